"""Occupation refinement by whole layers: from an assignment of one close-packed stack to assignments of its neighbours.

Changing one atom at a time ends where no single atom helps: a layer of other sites, a layer more, or one atom missing at each corner of a symmetric
particle are many atoms away, and worse in between. Here a particle is changed by whole layers (:mod:`deepstruc_hpc.structures.layer_moves`). All
changes, some hundred, are compared by a least-squares problem each (:mod:`deepstruc_hpc.physics.stack_curves`) in a beam search. The best are
fitted and refined atom by atom, and the search goes on from the first that lowers −ln of the posterior.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.occupation_refinement import FEWEST, LEAST_RW, Filled, Improved, finder_of, fitted, improve_sites
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.stack_curves import StackCurves, class_of, pair_classes
from deepstruc_hpc.physics.target import Target, target_of
from deepstruc_hpc.structures.lattices import CLOSE_PACKED
from deepstruc_hpc.structures.layer_moves import all_layer_moves
from deepstruc_hpc.structures.layer_stack import LayerStack
from deepstruc_hpc.structures.occupation import Occupation, frames_of_stack, stack_kind, stacks_of
from deepstruc_hpc.structures.random_shapes import without_dangling
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.template_lattices import TemplateLattice

Floats = NDArray[np.float64]
OddsOf = Callable[[str], Floats | None]

ROUNDS = 4
"""Searches and descents in turn, at most; a limit of time."""
BEAM = 4
"""Particles that are changed further; a limit of time."""
DEPTH = 4
"""Changes in a row, where not told otherwise; a limit of time."""
TRIES = 4
"""Best particles of a search that are fitted and refined atom by atom, until one is better, where not told otherwise; a limit of time."""
LINEAR = 80
"""Best changes of a particle at its own distance, U and delta2 for which these are adapted; a limit of time."""
KEPT = 20
"""Best changes of each step of a search that may be refined."""
LARGEST = 500
"""Atoms up to which layers are moved; a limit of time, since every change counts all pairs."""
PERFECT = 1e-4
"""Rw at which a search is ended: what is left is that curves are taken to be linear."""
CHOICE = float(np.log(400))
"""Nats that whole layers must gain: ln of how many changes a particle of some six layers has, since the best of so many fits noise, too."""
_GROWTH = 3.0
"""Nearest-neighbour distances by which a particle's diameter may grow in a search."""


def refine(
    starts: Sequence[Filled],
    curve: PdfCurve,
    instrument: Instrument,
    *,
    odds_of: OddsOf | None = None,
    points: float | None = None,
    most_atoms: int = 10_000,
    low_q: float = 0.0,
    layered: int = 2,
    depth: int = DEPTH,
    tries: int = TRIES,
    kinds: frozenset[str] = CLOSE_PACKED,
) -> list[tuple[int, Improved]]:
    """Occupation refinement of samples: each atom by atom, and the most probable of the ends by whole layers.

    Args:
        starts: samples.
        curve: the data, in the range of the fit.
        instrument: how it was measured.
        odds_of: of a template lattice's name: (S,) ln p/(1 − p) of its sites, nats, or None where nothing is known of it.
        points: independent points of the data; those of its range where not given.
        most_atoms: that may come out.
        low_q: Å⁻¹, below which nothing of data and model counts, as in the fits; 0: all counts.
        layered: most probable ends that are changed by whole layers; none after a perfect fit.
        depth: changes in a row.
        tries: best particles of a search that are fitted and refined atom by atom, until one is better.
        kinds: structure types that are changed by whole layers.

    Returns:
        Number of the start and what became of it: one for each start, and one more for each that whole layers helped.
    """
    problem = Problem(curve, instrument, odds_of or (lambda _: None), points, most_atoms, low_q, depth, tries, kinds)
    found = [(number, problem.improved(start)) for number, start in enumerate(starts)]
    seen: set[bytes] = set()
    for number, end in sorted(found, key=lambda one: one[1].objective):
        mark = end.template.name.encode() + np.packbits(end.mask).tobytes()
        if len(seen) == layered or min(one.fit.rw for _, one in found) <= LEAST_RW:
            break
        if mark not in seen:
            seen.add(mark)
            better = improve_layers(end, problem)
            found += [(number, better)] if better is not end else []
    return found


@dataclass(frozen=True, eq=False)
class Problem:
    """The data, and what is known beside them: see :func:`refine`."""

    curve: PdfCurve
    instrument: Instrument
    odds_of: OddsOf
    points: float | None
    most_atoms: int
    low_q: float
    depth: int
    tries: int
    kinds: frozenset[str]

    def improved(self, start: Filled) -> Improved:
        """Atom by atom."""
        odds = self.odds_of(start.template.name)
        return improve_sites(start, self.curve, self.instrument, log_odds=odds, points=self.points, most_atoms=self.most_atoms, low_q=self.low_q)

    def target(self, largest_distance: float) -> Target:
        """Of particles up to a size, Å."""
        ranges = {name: getattr(self.instrument, name) for name in ("qmin", "qmax", "qdamp")}
        return target_of(self.curve.r, self.curve.g, **ranges, largest_distance=largest_distance, low_q=self.low_q)


def improve_layers(end: Improved, problem: Problem) -> Improved:
    """Go on by whole layers and by atoms in turn, as long as −ln of the posterior falls; the same object where it does not."""
    tried: set[bytes] = set()
    for _ in range(ROUNDS):
        better = (one for one in _neighbours(end, problem, tried) if one.objective < end.objective - CHOICE)
        found = next(better, None)
        if found is None:
            break
        end = found
    return end


def _neighbours(end: Improved, problem: Problem, tried: set[bytes]) -> Iterator[Improved]:
    """The best few particles that differ by whole layers, refined atom by atom; none of those that were tried before, nothing for a perfect fit."""
    stacks = layer_stacks(end) if end.fit.rw > LEAST_RW and end.template.structure_type in problem.kinds else []
    if not stacks:
        return
    known = problem.odds_of(end.template.name) is not None
    length = shortest_distance(end.structure.positions)
    for stack in itertools.islice(
        (one for one in LayerSearch.about(end, stacks, problem).run(stacks, problem.depth) if one.key not in tried), problem.tries
    ):
        tried.add(stack.key)
        start = _on_template(stack, end, length)
        if start is None or len(start[2]) > problem.most_atoms or (known and problem.odds_of(start[0].name) is None):
            continue
        yield problem.improved(Filled(*start, fitted(start[2], problem.curve, problem.instrument, low_q=problem.low_q)))


def layer_stacks(filled: Filled) -> list[LayerStack]:
    """A particle as close-packed layers: fcc in four directions, hcp and stacks in one, other lattices and large particles in none."""
    kind, count = filled.template.structure_type, int(np.count_nonzero(filled.mask))
    if kind not in CLOSE_PACKED or not FEWEST <= count <= LARGEST:
        return []
    held = Occupation(filled.template, filled.mask, kind, filled.structure.symbols[0], 1.0)
    return [LayerStack.of(sequence, sites) for sequence, sites in stacks_of(held)]


def _on_template(stack: LayerStack, like: Filled, length: float) -> tuple[TemplateLattice, NDArray[np.bool_], Structure] | None:
    """Template lattice, assignment and structure (Å) of a stack without dangling atoms; None where none of the present radius holds it."""
    kind, sequence = stack_kind(stack.sequence), stack.sequence
    finder = finder_of(kind, like.template.radius)
    ways = (finder.find(way, kind, length=1.0) for way in frames_of_stack(sequence, stack.sites))
    found = next((one for one in ways if one is not None), None)
    if found is None:
        return None
    template = finder.templates[found.template]
    mask = without_dangling(template, found.mask)
    if np.count_nonzero(mask) < FEWEST:
        return None
    return template, mask, template.structure(mask, like.structure.symbols[0], length)


@dataclass(frozen=True, eq=False)
class LayerSearch:
    """A beam search over changes by whole layers, without fits.

    Attributes:
        curves: of pairs, about the parameters of the particle that the search begins from.
    """

    curves: StackCurves

    @classmethod
    def about(cls, filled: Filled, stacks: Sequence[LayerStack], problem: Problem) -> LayerSearch:
        """With the parameters of a fit.

        Args:
            filled: where the search begins.
            stacks: the same, in one direction at least.
            problem: the data.
        """
        length = shortest_distance(filled.structure.positions) * filled.fit.zoom
        diameter = 2.0 * stacks[0].reach + _GROWTH
        curves = StackCurves.of(
            problem.target(diameter * length),
            class_of(diameter),
            length=length,
            uiso=filled.fit.uiso,
            delta2=filled.fit.delta2,
            qbroad=problem.instrument.qbroad,
        )
        return cls(curves)

    def run(self, stacks: Sequence[LayerStack], depth: int) -> list[LayerStack]:
        """The best particles that were met, the best first.

        Ends after so many steps, at a perfect agreement, or where neither of two steps in a row comes to a lower Rw than those before.
        """
        seen, states = {stack.key for stack in stacks}, list(stacks)
        met: list[tuple[float, LayerStack]] = []
        lowest, idle = np.inf, 0
        for _ in range(depth):
            made = []
            for rw, one in (change for stack in states for change in self.changes(stack)):
                if one.key not in seen:
                    seen.add(one.key)
                    made.append((rw, one))
            made.sort(key=lambda entry: entry[0])
            met += made[:KEPT]
            least = made[0][0] if made else np.inf
            idle = 0 if least < lowest else idle + 1
            lowest = min(least, lowest)
            if lowest < PERFECT or idle == 2:
                break
            states = [one for _, one in made[:BEAM]]
        return [one for _, one in sorted(met, key=lambda entry: entry[0])]

    def changes(self, stack: LayerStack) -> list[tuple[float, LayerStack]]:
        """Rw and particle of the best changes by whole layers, the best first."""
        largest = 0.5 * float(np.sqrt(self.curves.there[-1] / 3.0))
        made = [one for one in all_layer_moves(stack) if one.reach <= largest]
        if not made:
            return []
        counts = pair_classes([one.columns for one in made], int(self.curves.there[-1]))
        best = np.argsort(self.curves.rw(counts), kind="stable")[:LINEAR]
        rw = self.curves.rw_linear(counts[best])
        return [(float(rw[place]), made[best[place]]) for place in np.argsort(rw, kind="stable")]
