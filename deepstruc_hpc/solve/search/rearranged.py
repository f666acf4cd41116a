"""The orderings of an alloy on other shapes: larger and smaller particles, other outlines, other compositions.

A beam search as for metals (:mod:`~deepstruc_hpc.solve.search.local`), but the shape changes and the rule of its elements stays, or the rule
changes. First every ordering is tried at sizes far from that of the mean atoms, then the plausible ones are changed in turn, until nothing is gained
or the budget is spent. A change is kept where the score rises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.decorations import decorated
from deepstruc_hpc.solve.search.local import GAIN, KEPT, PLAUSIBLE, Scorer
from deepstruc_hpc.solve.search.moves import FEWEST_ATOMS, all_moves, smoothed, usable
from deepstruc_hpc.structures.decoration import Rule
from deepstruc_hpc.structures.occupation import Occupation, assign_lattice, complexity_of, with_room
from deepstruc_hpc.structures.ordering import ORDERED

SIZES = (0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
"""Numbers of atoms, relative to that of the mean atoms' shape: a heavy core or shell changes it by as much."""
ROUNDS = 5
"""Of changes; a limit of time."""
BEAM = 2
"""Particles an ordering that are changed further; a limit of time."""
CHANGES = 40
"""Changes of a particle that are fitted in a round."""
SHARE_STEPS = (-0.1, -0.05, 0.05, 0.1)
"""Changes of a share that are tried, in two steps up and down."""
TURNS = 6
"""Directions of a Janus particle about the one it has, in a round."""
_TURN = 0.4
"""RMS of the change of each component of a unit axis."""
MOST_KINDS = 4
"""Orderings that are searched; a limit of time."""


@dataclass(frozen=True, eq=False)
class State:
    """A decorated particle, its score (nats) and its fitted zoom."""

    candidate: Candidate
    score: float
    zoom: float

    @property
    def shape(self) -> Occupation | None:
        """The sites that it occupies, with room to grow; None where its lattice ends."""
        held = self.candidate.decoration
        return None if held is None else assign_lattice(held[0])


@dataclass
class Rearrangement:
    """One search about one curve.

    Attributes:
        measurement: the data.
        scorer: of the ranking.
        budget: fits.
        rng: random numbers of this curve.
        fitted: fits so far.
        largest: most atoms of a particle that was fitted, by lattice.
        found: what was kept, with scores, by kind.
    """

    measurement: Measurement
    scorer: Scorer
    budget: int
    rng: np.random.Generator
    fitted: int = 0
    seen: set[str] = field(default_factory=set)
    largest: dict[str, int] = field(default_factory=dict)
    found: dict[str, list[tuple[float, CandidateSet]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, seeds: Sequence[State], best: float) -> CandidateSet:
        """The best that was found of each ordering, fitted.

        Args:
            seeds: decorated shapes of any ordering.
            best: score of the best candidate that there is, nats.
        """
        beams = _beams(seeds)
        states = [state for beam in beams.values() for state in beam]
        beams = _beams([*states, *(made for state in states for made in self._fit(self._sizes(state), state))])
        expanded: set[int] = set()
        for _ in range(ROUNDS):
            best = max([best, *(beam[0].score for beam in beams.values())])
            order = sorted((beam for beam in beams.values() if beam[0].score > best - PLAUSIBLE), key=lambda beam: -beam[0].score)[:MOST_KINDS]
            fresh = [state for beam in order for state in beam if id(state.candidate) not in expanded]
            if not fresh or self.fitted >= self.budget:
                break
            made: list[State] = []
            for state in fresh:
                expanded.add(id(state.candidate))
                made += self._fit(self._changes(state), state)
            beams = _beams([*made, *(state for beam in beams.values() for state in beam)])
        kept = CandidateSet()
        for group in self.found.values():
            for _, one in sorted(group, key=lambda entry: -entry[0])[:KEPT]:
                kept = kept.joined(one)
        return replace(kept, largest=self.largest)

    def _sizes(self, state: State) -> list[Candidate]:
        """The same outline larger and smaller; of a random alloy the mean atoms have the right size already."""
        rule, shape = _rule(state.candidate), state.shape
        if shape is None or rule.ordering == "random":
            return []
        masks = [mask for size in SIZES for level in _levels(shape) if (mask := _cut(shape, level, size)) is not None]
        return self._new((shape.with_mask(mask), rule, state) for mask in masks)

    def _changes(self, state: State) -> list[Candidate]:
        """Other compositions and directions on the same sites, then other sites."""
        rule, shape = _rule(state.candidate), state.shape
        if shape is None:
            return []
        again = [(shape, other, state) for other in self._rules(rule)]
        moved = ((one, rule, state) for one in all_moves(with_room(shape), self.rng))
        return [*self._new(iter(again)), *self._new(moved)]

    def _rules(self, rule: Rule) -> Iterator[Rule]:
        """A rule with other shares, and other directions of a Janus particle."""
        if not self.measurement.sample.stoichiometric and rule.ordering not in ORDERED:
            for place in range(len(rule.elements) - 1):
                for step in SHARE_STEPS:
                    shares = list(rule.shares)
                    shares[place] += step
                    shares[-1] -= step
                    if min(shares) > 0.03:
                        yield replace(rule, shares=tuple(shares))
        if rule.ordering == "janus":
            axis = np.asarray(rule.axis) / np.linalg.norm(rule.axis)
            yield replace(rule, axis=(-float(axis[0]), -float(axis[1]), -float(axis[2])))
            for _ in range(TURNS):
                turned = axis + _TURN * self.rng.normal(size=3)
                yield replace(rule, axis=(float(turned[0]), float(turned[1]), float(turned[2])))

    def _new(self, changes: Iterator[tuple[Occupation, Rule, State]]) -> list[Candidate]:
        """The next changes that were not tried, within the budget."""
        made: list[Candidate] = []
        for shape, rule, state in changes:
            if len(made) >= CHANGES or self.fitted + len(made) >= self.budget:
                break
            origin = state.candidate
            candidate = decorated(origin, shape.structure(origin.structure.label), rule, state.zoom, listed=False)
            if candidate is not None and candidate.fingerprint not in self.seen:
                self.seen.add(candidate.fingerprint)
                made.append(candidate)
        return made

    def _fit(self, changes: Sequence[Candidate], origin: State) -> list[State]:
        """Fit; those that score higher than their origin are kept, with what their complexity takes off."""
        if not changes:
            return []
        fitted = fit(CandidateSet(tuple(changes)), self.measurement)
        self.fitted += len(changes)
        for one in fitted.fitted():
            self.largest[one.on_lattice] = max(self.largest.get(one.on_lattice, 0), len(one.structure))
        plain = np.where(np.isfinite(fitted.rw), self.scorer.score(fitted.rw, np.zeros(len(fitted)), list(fitted.types)), -np.inf)
        kept = []
        for place in np.flatnonzero(plain > origin.score + GAIN).tolist():
            candidate = fitted.candidates[place]
            held = assign_lattice(candidate.decoration[0]) if candidate.decoration is not None else None
            priced = candidate.complexity if held is None else complexity_of(held)
            score = float(plain[place]) - self.scorer.penalty * priced
            if score > origin.score + GAIN:
                candidate = replace(candidate, complexity=priced)
                alone = replace(fitted.take([place]), candidates=(candidate,))
                self.found[candidate.kind].append((score, alone))
                kept.append(State(candidate, score, float(fitted.zoom[place])))
        return kept


def rearrange(candidates: CandidateSet, measurement: Measurement, scorer: Scorer, *, budget: int, rng: np.random.Generator) -> CandidateSet:
    """The candidates with the orderings of an alloy on other shapes.

    Args:
        candidates: fitted; those that are decorated are changed.
        measurement: the data.
        scorer: of the ranking.
        budget: fits.
        rng: random numbers of this curve.
    """
    places = [place for place, one in enumerate(candidates) if one.decoration is not None and np.isfinite(candidates.rw[place])]
    if not budget or not places:
        return candidates
    score = scorer.score(candidates.rw, candidates.complexity, list(candidates.types))
    seeds = [State(candidates.candidates[place], float(score[place]), float(candidates.zoom[place])) for place in places]
    search = Rearrangement(measurement, scorer, budget, rng)
    found = search.run(seeds, float(score[np.isfinite(candidates.rw)].max()))
    return candidates.joined(found).counted(rearranged=search.fitted, rearranged_kept=len(found))


def _rule(candidate: Candidate) -> Rule:
    if candidate.decoration is None:
        raise ValueError(f"{candidate.structure.label}: no rule of its elements is known.")
    return candidate.decoration[1]


def _levels(shape: Occupation) -> Iterator[NDArray[np.float64]]:
    """Outlines to cut: the particle's own, rounded, and the ellipsoid of its axes."""
    yield -smoothed(shape)
    sites = shape.sites
    axes = np.linalg.cholesky(np.linalg.inv(np.cov(sites.T) + 0.02 * np.eye(3)))
    yield np.linalg.norm((shape.template.sites - sites.mean(axis=0)) @ axes, axis=1)


def _cut(shape: Occupation, level: NDArray[np.float64], size: float) -> NDArray[np.bool_] | None:
    """The sites of the lowest levels, so many times those of the particle."""
    wanted = round(size * int(shape.mask.sum()))
    if not FEWEST_ATOMS <= wanted < len(level):
        return None
    return usable(shape, level <= np.sort(level)[wanted - 1] + 1e-6)


def _beams(states: Sequence[State]) -> dict[str, list[State]]:
    """The best few of each ordering; the two ways of a core and a shell are two."""
    beams: dict[str, list[State]] = defaultdict(list)
    for state in sorted(states, key=lambda state: -state.score):
        beam = beams[f"{state.candidate.kind} {_rule(state.candidate).elements}"]
        if len(beam) < BEAM:
            beam.append(state)
    return beams
