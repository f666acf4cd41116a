"""Alloys: which element sits on which site of a cluster.

The lattice follows Vegard's law (L. Vegard, Z. Phys. 5 (1921) 17): the nearest-neighbour distance is the mean of the metals' own, weighted by
composition, unless it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.shapes import Bool, Int64, Positions
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.coordination import coordination_numbers
from deepstruc_hpc.structures.elements import RadiusKind, nn_distance
from deepstruc_hpc.structures.ordering import ORDERED, ORDERED_FRACTION, ordered_sites
from deepstruc_hpc.structures.sites import shortest_distance

ORDERINGS = ("random", "L1_0", "L1_2", "B2", "core_shell", "janus", "segregated")


def vegard_distance(fractions: Mapping[str, float], kind: RadiusKind = "single") -> float:
    """Nearest-neighbour distance of an alloy, Å: the mean over its atoms.

    Args:
        fractions: element → number or share of atoms.
        kind: of the metallic radius.
    """
    total = sum(fractions.values())
    return sum(share * nn_distance(symbol, kind) for symbol, share in fractions.items()) / total


def second_element(
    positions: Positions,
    ordering: str,
    fraction: float,
    rng: np.random.Generator,
    *,
    variant: int = 0,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
    structure_type: str = "",
) -> Bool[NDArray[np.bool_], " atoms"]:
    """Which atoms are of the second element.

    Args:
        positions: (N, 3); for ordered alloys see :func:`deepstruc_hpc.structures.ordering.ordered_sites`.
        ordering: one of :data:`ORDERINGS`. ``core_shell``: the second element outside; ``janus``: on one side; ``segregated``: where neighbours
            are fewest (vertices, then edges, then facets).
        fraction: share of the second element, 0 to 1; ordered alloys have their own.
        rng: for random places and for ties.
        variant: which sublattice of an ordered alloy holds the second element.
        axis: normal to the plane between the halves of a Janus particle.
        structure_type: of the cluster, for ordered alloys.

    Raises:
        StructureError: unknown ordering, a fraction outside 0 to 1, or an ordered alloy on sites that are not of its lattice.
    """
    if ordering not in ORDERINGS or not 0.0 <= fraction <= 1.0:
        raise StructureError(f"alloy {ordering!r} with a fraction of {fraction}: needs one of {', '.join(ORDERINGS)}, and a fraction from 0 to 1.")
    if ordering in ORDERED:
        return ordered_sites(positions, structure_type, ordering, variant)
    chosen = np.zeros(len(positions), dtype=bool)
    chosen[site_order(positions, ordering, rng, axis=axis)[: round(fraction * len(positions))]] = True
    return chosen


def site_order(
    positions: Positions, ordering: str, rng: np.random.Generator, *, axis: Sequence[float] = (0.0, 0.0, 1.0)
) -> Int64[NDArray[np.intp], " atoms"]:
    """Sites in the order in which an element fills them: at random, from the surface inwards, along an axis, or by the number of neighbours.

    Args:
        positions: (N, 3), any unit.
        ordering: ``random``, ``core_shell``, ``janus`` or ``segregated``.
        rng: for random places and for ties.
        axis: of ``janus``.

    Returns:
        (N,) places, those that are filled first at the front.
    """
    centred = positions - positions.mean(axis=0)
    ties = rng.permutation(len(positions))
    if ordering == "random":
        return np.asarray(ties, dtype=np.intp)
    if ordering == "core_shell":
        return np.lexsort((ties, -np.round(np.linalg.norm(centred, axis=1), 6)))
    if ordering == "janus":
        return np.lexsort((ties, -np.round(centred @ (np.asarray(axis) / np.linalg.norm(axis)), 6)))
    return np.lexsort((ties, -np.round(np.linalg.norm(centred, axis=1), 6), coordination_numbers(positions)))


def decorate(
    structure: Structure,
    elements: Sequence[str],
    ordering: str,
    *,
    fraction: float = 0.5,
    seed: int = 0,
    variant: int = 0,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
    distance: float | None = None,
    radius_kind: RadiusKind = "single",
) -> Structure:
    """A two-element alloy on the sites of a cluster.

    Args:
        structure: any one-element cluster; its size does not matter.
        elements: the first and the second element.
        ordering: see :func:`second_element`, as for fraction, variant and axis.
        fraction: share of the second element.
        seed: of random places and of ties; together with the structure's label it decides.
        variant: of ordered alloys.
        axis: of Janus particles.
        distance: nearest-neighbour distance, Å; by Vegard's law from the atoms there are, where not given.
        radius_kind: of the metallic radius for Vegard's law.

    Raises:
        StructureError: not two elements, or what :func:`second_element` refuses.
    """
    if len(elements) != 2 or elements[0] == elements[1]:
        raise StructureError(f"alloy of {list(elements)}: two different elements are needed.")
    rng = item_rng(seed, f"{ordering} {fraction} {len(structure)} {variant}")
    second = second_element(structure.positions, ordering, fraction, rng, variant=variant, axis=axis, structure_type=structure.structure_type)
    counts = {elements[0]: int((~second).sum()), elements[1]: int(second.sum())}
    length = distance if distance is not None else vegard_distance(counts, radius_kind)
    symbols = tuple(elements[int(is_second)] for is_second in second)
    scale = length / shortest_distance(structure.positions)
    return Structure(symbols, structure.positions * scale, f"{_NAMES.get(ordering, ordering)} alloy", structure.label)


@dataclass(frozen=True)
class Rule:
    """How the sites of any shape get their elements, so that an ordering can be put on other shapes and sizes.

    Attributes:
        ordering: one of :data:`ORDERINGS`.
        elements: two or more, the innermost first; of ordered alloys the last one has the sublattice.
        shares: of the elements.
        apart: the last element is set apart and the others are mixed at random; else each has its place in turn (shells, slabs).
        variant, axis, seed: see :func:`decorate`.
    """

    ordering: str
    elements: tuple[str, ...]
    shares: tuple[float, ...]
    apart: bool = False
    variant: int = 0
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    seed: int = 0

    def on(self, shape: Structure) -> Structure:
        """A shape with the elements on its sites, at Vegard's distance (radii for twelve neighbours).

        Raises:
            StructureError: an ordered alloy on sites that are not of its lattice, fewer than two elements left, or no radius of one.
        """
        x, last = shape.positions, self.elements[-1]
        rng = item_rng(self.seed, f"{self.ordering} {self.shares} {len(shape)} {self.variant}")
        symbols = np.full(len(x), last, dtype=object)
        if self.ordering in ORDERED:
            inner = np.flatnonzero(~ordered_sites(x, shape.structure_type, self.ordering, self.variant))
        else:
            order = site_order(x, self.ordering, rng, axis=self.axis)
            inner = order[round(self.shares[-1] * len(x)) :]
        if self.apart or self.ordering in ORDERED:
            inner = rng.permutation(inner)
        within = np.cumsum(self.shares[-2::-1]) / sum(self.shares[:-1])
        ends = np.floor(within * len(inner) + 0.5).astype(int)
        for symbol, part in zip(self.elements[-2::-1], np.split(inner, ends[:-1]), strict=True):
            symbols[part] = symbol
        counts = {symbol: int((symbols == symbol).sum()) for symbol in self.elements}
        if sum(count > 0 for count in counts.values()) < 2:
            raise StructureError(f"{self.ordering} with shares {self.shares} on {len(x)} sites: one element is left.")
        scale = vegard_distance(counts, "twelve") / shortest_distance(x)
        name = _NAMES.get(self.ordering, self.ordering)
        return Structure(tuple(symbols.tolist()), x * scale, f"{name} alloy", shape.label)


_NAMES = {"core_shell": "core-shell"}


def compositions_of(ordering: str, compositions: Iterable[float]) -> list[float]:
    """The fractions to try: those asked for, or the ideal one of an ordered alloy."""
    return [ORDERED_FRACTION[ordering]] if ordering in ORDERED else [float(fraction) for fraction in compositions]


def alloy_name(details: Mapping[str, Any], base: str) -> str:
    """What an alloy is called in a catalog."""
    first, second = details["elements"]
    parts = [f"{first}-{second}", details["ordering"], base]
    if details["ordering"] not in ORDERED:
        parts.insert(2, f"{100 * details['fraction']:g}% {second}")
    if details.get("variant"):
        parts.append(f"variant {details['variant']}")
    if details.get("seed"):
        parts.append(f"seed {details['seed']}")
    return " ".join(parts)
