"""Local search about the best candidates: a beam search over discrete changes, fitted in batches, scored like all.

The best few candidates of each plausible type are changed: metals on their template lattices (layers, corners, orbits of sites, outlines, centres,
faults: :mod:`deepstruc_hpc.solve.search.moves`), cuts of crystals in how they are cut, and small ones in their sites, too
(:mod:`deepstruc_hpc.solve.search.cuts`). The changes of a particle are fitted together. A change is kept where the score of the ranking rises, so a
fault or a hole in the outline must earn its price. Types are searched apart, each with its own beam, so that none wins by having been searched alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.cuts import cut_moves
from deepstruc_hpc.solve.search.moves import all_moves, joined
from deepstruc_hpc.structures.occupation import Occupation, assign_lattice, complexity_of, in_one_piece, with_growth_room, with_room

BEAM = 3
"""Particles a lattice that are changed further; a limit of time."""
ROUNDS = 12
"""Of changes, at most; a search ends before where nothing is gained."""
PLAUSIBLE = 8.0
"""Nats below the best at which a type is not searched."""
MOST_TYPES = 4
"""Lattices that are searched; a limit of time."""
GAIN = 0.02
"""Nats that a change must gain to be kept."""
LEAST_SHARE = 20
"""Fits that each particle of a round gets at least."""
MOST_JOINED = 8
"""Combinations of helpful changes that are fitted."""
FULL_PRICE = 1000
"""Atoms up to which a fit counts as one of the budget; larger ones count by their pairs, since these are what a fit costs."""
STRAIN = 0.02
"""How far the zoom of a changed particle may lie from that of its origin."""
KEPT = 40
"""Best changed particles of a type that are kept beside the other candidates."""
ASSESSED = 60
"""Best candidates of a type whose complexity is counted on their lattice."""


class Scorer(Protocol):
    """The score of the ranking, so that a search prefers what the ranking prefers."""

    @property
    def penalty(self) -> float:
        """Nats that one unit of complexity takes off."""
        ...

    def score(self, rw: np.ndarray, complexity: np.ndarray, types: Sequence[str]) -> np.ndarray:
        """(C,) nats."""
        ...


@dataclass(frozen=True, eq=False)
class State:
    """A particle to search about, its score (nats) and its fitted zoom."""

    candidate: Candidate
    score: float
    zoom: float


@dataclass
class LocalSearch:
    """One search about one curve.

    Attributes:
        measurement: the data.
        scorer: of the ranking.
        budget: fits of particles up to :data:`FULL_PRICE` atoms.
        rng: random numbers of this curve.
        fitted: fits so far.
        spent: of the budget.
        largest: most atoms of a particle that was fitted, by lattice.
        found: changed particles that were kept, with their scores, by lattice.
    """

    measurement: Measurement
    scorer: Scorer
    budget: int
    rng: np.random.Generator
    fitted: int = 0
    spent: float = 0.0
    rounds: int = 0
    seen: set[str] = field(default_factory=set)
    largest: dict[str, int] = field(default_factory=dict)
    found: dict[str, list[tuple[float, CandidateSet]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, seeds: Sequence[State]) -> CandidateSet:
        """Search from seeds until the budget is spent or nothing is gained; the best that was found of each lattice, fitted."""
        self.seen |= {state.candidate.fingerprint for state in seeds}
        beams = _best_of_each_lattice(seeds)
        expanded: set[int] = set()
        while self.rounds < ROUNDS and self.spent < self.budget:
            fresh = [state for state in beams if id(state.candidate) not in expanded]
            if not fresh:
                break
            self.rounds += 1
            share = max((self.budget - self.spent) // (2 * len(fresh)), LEAST_SHARE)
            made: list[State] = []
            for state in fresh:
                expanded.add(id(state.candidate))
                made += self._expand(state, share)
            beams = _best_of_each_lattice([*made, *beams])
        kept = CandidateSet()
        for group in self.found.values():
            for _, one in sorted(group, key=lambda entry: -entry[0])[:KEPT]:
                kept = kept.joined(one)
        return replace(kept, largest=self.largest)

    def _expand(self, origin: State, share: float) -> list[State]:
        """Fit the changes of one particle, then the helpful ones together; those that the ranking prefers to it."""
        start = origin.candidate
        if start.occupation is None:
            return self._fit(self._new((moved for moved in cut_moves(start, self.rng)), share), origin)
        held = with_room(start.occupation)
        first = self._fit(self._new((_moved(start, one) for one in all_moves(held, self.rng)), share), origin)
        better = [state.candidate.occupation for state in sorted(first, key=lambda state: -state.score)]
        limit = max(6, int(held.mask.sum()) // 12)
        masks = [one.mask for one in better if one is not None and one.template is held.template]
        small = [mask for mask in masks if np.count_nonzero(mask != held.mask) <= limit]
        return [*first, *self._fit(self._new((_moved(start, one) for one in joined(held, small)), MOST_JOINED), origin)]

    def _new(self, changes: Iterable[Candidate], most: float) -> list[Candidate]:
        """The next changes that were not tried, for at most so much of the budget."""
        found: list[Candidate] = []
        left = min(most, self.budget - self.spent)
        for candidate in changes:
            if left <= 0:
                break
            if candidate.shows_its_crystal and candidate.fingerprint not in self.seen:
                self.seen.add(candidate.fingerprint)
                found.append(candidate)
                left -= _price(candidate)
        return found

    def _fit(self, changes: Sequence[Candidate], origin: State) -> list[State]:
        """Fit; those that score higher than their origin are kept, with what their complexity takes off."""
        if not changes:
            return []
        bounds = origin.candidate.zoom
        zoom = max(origin.zoom - STRAIN, bounds[0]), min(origin.zoom + STRAIN, bounds[1])
        fitted = fit(CandidateSet(tuple(replace(candidate, zoom=zoom) for candidate in changes)), self.measurement)
        self.fitted += len(changes)
        self.spent += sum(_price(candidate) for candidate in changes)
        rw = fitted.rw
        for one in fitted.fitted():
            self.largest[one.on_lattice] = max(self.largest.get(one.on_lattice, 0), len(one.structure))
        priced = np.array([0.0 if one.occupation is not None else one.complexity for one in fitted])  # of occupations it is counted once it matters
        best = np.where(np.isfinite(rw), self.scorer.score(rw, priced, list(fitted.types)), -np.inf)
        kept = []
        for place in np.flatnonzero(best > origin.score + GAIN).tolist():
            candidate = replace(fitted.candidates[place], zoom=bounds)
            if candidate.occupation is not None:
                if not in_one_piece(candidate.occupation):
                    continue
                candidate = replace(candidate, complexity=candidate.type_complexity + complexity_of(candidate.occupation))
            total = float(best[place]) - self.scorer.penalty * (candidate.complexity - priced[place])
            if total > origin.score + GAIN:
                alone = replace(fitted.take([place]), candidates=(candidate,))
                self.found[candidate.on_lattice].append((total, alone))
                kept.append(State(candidate, total, float(fitted.zoom[place])))
        return kept


def search_locally(candidates: CandidateSet, measurement: Measurement, scorer: Scorer, *, budget: int, rng: np.random.Generator) -> CandidateSet:
    """The candidates with what a local search about the best of them found.

    Args:
        candidates: fitted.
        measurement: the data.
        scorer: of the ranking.
        budget: fits of particles up to 1000 atoms; larger ones count by their pairs.
        rng: random numbers of this curve.
    """
    if not budget or not np.isfinite(candidates.rw).any():
        return candidates
    begin = time.perf_counter()
    search = LocalSearch(measurement, scorer, budget, rng)
    found = search.run(list(_seeds(candidates, scorer)))
    found = replace(found, seconds={"neighbour": time.perf_counter() - begin})
    return candidates.joined(found).counted(neighbours=search.fitted, neighbours_kept=len(found), neighbour_rounds=search.rounds)


def assess(candidates: CandidateSet) -> CandidateSet:
    """The best candidates of each type that no list holds with their complexity counted on the lattice that they occupy."""
    chosen: set[int] = set()
    types, rw = candidates.types, candidates.rw
    for kind in dict.fromkeys(types):
        members = np.flatnonzero((types == kind) & np.isfinite(rw))
        chosen |= set(members[np.argsort(rw[members], kind="stable")][:ASSESSED].tolist())
    assessed = list(candidates.candidates)
    for place in chosen:
        candidate = assessed[place]
        if candidate.listed or (held := _occupation(candidate)) is None:
            continue
        assessed[place] = replace(candidate, complexity=candidate.type_complexity + complexity_of(held))
    return replace(candidates, candidates=tuple(assessed))


def _occupation(candidate: Candidate) -> Occupation | None:
    """The occupation that a one-element candidate is, with room to grow."""
    if candidate.occupation is not None:
        kind = candidate.structure.structure_type
        if (roomy := with_growth_room(replace(candidate.occupation, kind=kind))) is not None:
            return roomy
    return assign_lattice(candidate.structure, candidate.length or None)


def _seeds(candidates: CandidateSet, scorer: Scorer) -> Iterator[State]:
    """The best few candidates of each lattice that can be changed: they lie on a template lattice, or are cut from a crystal."""
    usable = candidates.fitted()
    score = scorer.score(usable.rw, usable.complexity, list(usable.types))
    order = np.argsort(-score, kind="stable")
    taken: dict[str, int] = defaultdict(int)
    for place in order:
        if score[place] < score[order[0]] - PLAUSIBLE:
            return
        lattice = str(usable.lattices[place])
        if taken[lattice] >= BEAM:
            continue
        candidate = usable.candidates[place]
        if candidate.crystal_fit is not None:
            continue
        if candidate.cut is None or candidate.occupation is not None:
            held = _occupation(candidate) if candidate.length else None
            if held is None:
                continue
            candidate = replace(candidate, occupation=held)
        taken[lattice] += 1
        yield State(candidate, float(score[place]), float(usable.zoom[place]))


def _moved(origin: Candidate, occupation: Occupation) -> Candidate:
    """A changed particle; complexity is counted once it proves worth keeping."""
    of = occupation.symbol or (occupation.template.structure_type if origin.crystal is None else origin.crystal.crystal.name)
    label = f"{of} neighbour on {occupation.template.name} {int(occupation.mask.sum())} atoms"
    return Candidate(
        occupation.structure(label.strip()),
        "neighbour",
        zoom=origin.zoom,
        listed=False,
        lattice=origin.lattice,
        length=origin.length,
        atomic_volume=origin.atomic_volume,
        occupation=occupation,
        cut=origin.cut,
        crystal=origin.crystal,
        type_complexity=origin.type_complexity,
    )


def _price(candidate: Candidate) -> float:
    """What a fit counts of the budget."""
    return max(1.0, (len(candidate.structure) / FULL_PRICE) ** 2)


def _best_of_each_lattice(states: Sequence[State]) -> list[State]:
    """The best few of each plausible lattice, the best lattice's first."""
    by_lattice: dict[str, list[State]] = defaultdict(list)
    for state in sorted(states, key=lambda state: -state.score):
        lattice = state.candidate.on_lattice
        if len(by_lattice[lattice]) < BEAM:
            by_lattice[lattice].append(state)
    order = sorted(by_lattice.values(), key=lambda beam: -beam[0].score)[:MOST_TYPES]
    return [state for beam in order if beam[0].score > order[0][0].score - PLAUSIBLE for state in beam]
