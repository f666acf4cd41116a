"""Neighbours of the best candidates: a beam search over discrete changes, fitted in batches, judged like all.

The best few candidates of each plausible type are put on their parent lattices and changed there: layers, corners, orbits of sites, outlines,
centres, faults (:mod:`deepstruc_hpc.solve.moves`). The changes of a particle are fitted together. A change is kept where the score of the ranking
rises, so a fault or a hole in the outline must earn its price. Types are searched apart, each with its own beam, so that none wins by having been
searched alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.candidates import Candidate
from deepstruc_hpc.solve.conditions import Conditions
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.moves import all_moves, joined
from deepstruc_hpc.solve.placement import Placed, complexity_of, in_one_piece, place, place_filling, with_room
from deepstruc_hpc.solve.rank import LATTICES, fit_score, mixed_prior
from deepstruc_hpc.solve.refine import ZOOM_BOUNDS, diameter, refine
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.fingerprint import fingerprint

BEAM = 3
ROUNDS = 12
PLAUSIBLE = 8.0
"""Nats below the best at which a type is not searched."""
MOST_TYPES = 4
GAIN = 0.02
"""Nats that a change must gain to be kept."""
LEAST_SHARE = 20
MOST_JOINED = 8
STRAIN = 0.02
"""How far the zoom of a neighbour may lie from that of its origin."""
KEPT = 40
"""Best neighbours of a type that are kept beside the other candidates."""
ASSESSED = 60


@dataclass(frozen=True, eq=False)
class Way:
    """A particle to search about: where its atoms are, its score (nats) and its zoom, counted from the start of the fit."""

    placed: Placed
    score: float
    zoom: float


@dataclass(frozen=True, eq=False)
class Found:
    """A neighbour that was fitted and kept."""

    way: Way
    candidate: Candidate
    row: Mapping[str, object]


@dataclass
class NeighbourSearch:
    """One search about one curve.

    Attributes:
        curve: the data.
        conditions: range and instrument.
        settings: budget in candidates and seconds, prices of the ranking.
        symbol: metal of the particles.
        start: expansion before the fit.
        independent_points: of the curve up to where the particle ends.
        prior: ln of the prior of each type.
        rng: random numbers of this curve.
    """

    curve: PdfCurve
    conditions: Conditions
    settings: SolveSettings
    symbol: str
    start: float
    independent_points: float
    prior: Mapping[str, float]
    rng: np.random.Generator
    fitted: int = 0
    rounds: int = 0
    out_of_time: bool = False
    seen: set[str] = field(default_factory=set)
    found: dict[str, list[Found]] = field(default_factory=lambda: defaultdict(list))

    def run(self, seeds: Sequence[Way]) -> None:
        """Search from placed candidates until the budget is spent or nothing is gained."""
        ends = time.process_time() + self.settings.neighbours_seconds
        beams = _best_of_each_type(seeds)
        expanded: set[int] = set()
        while self.rounds < ROUNDS and self.fitted < self.settings.neighbours:
            fresh = [way for way in beams if id(way.placed) not in expanded]
            if not fresh:
                return
            self.rounds += 1
            share = max((self.settings.neighbours - self.fitted) // (2 * len(fresh)), LEAST_SHARE)
            made: list[Way] = []
            for way in fresh:
                if time.process_time() > ends:
                    self.out_of_time = True
                    return
                expanded.add(id(way.placed))
                made += self._expand(way, share)
            beams = _best_of_each_type([*made, *beams])

    def _expand(self, origin: Way, share: int) -> list[Way]:
        """Fit the changes of one particle, then the helpful ones together; those that the ranking prefers to it."""
        placed = with_room(origin.placed)
        first = self._fit(self._new(all_moves(placed, self.rng), share), origin)
        better = [way.placed.mask for way in sorted(first, key=lambda way: -way.score) if way.placed.parent is placed.parent]
        limit = max(6, int(placed.mask.sum()) // 12)
        small = [mask for mask in better if np.count_nonzero(mask != placed.mask) <= limit]
        return [*first, *self._fit(self._new(joined(placed, small), MOST_JOINED), origin)]

    def _new(self, ways: Iterator[Placed], most: int) -> list[tuple[Placed, Candidate]]:
        found: list[tuple[Placed, Candidate]] = []
        distance = nn_distance(self.symbol, "twelve")
        for placed in ways:
            if len(found) >= most or self.fitted + len(found) >= self.settings.neighbours:
                break
            label = f"{self.symbol} neighbour on {placed.parent.name} {int(placed.mask.sum())} atoms"
            structure = placed.structure(self.symbol, distance, label)
            mark = fingerprint(structure, scale_free=True)
            if mark not in self.seen:
                self.seen.add(mark)
                found.append((placed, Candidate(structure, "neighbour")))
        return found

    def _fit(self, ways: Sequence[tuple[Placed, Candidate]], origin: Way) -> list[Way]:
        """Fit; those that score higher than their origin are kept, with what their complexity takes off."""
        if not ways:
            return []
        low, high = max(origin.zoom - STRAIN, ZOOM_BOUNDS[0]), min(origin.zoom + STRAIN, ZOOM_BOUNDS[1])
        fits = refine([candidate for _, candidate in ways], self.curve, self.conditions, start=self.start, zoom=(low, high))
        self.fitted += len(ways)
        rw = fits["rw"].to_numpy(dtype=float)
        best = np.where(np.isfinite(rw), self.score(rw, np.zeros(len(rw)), [placed.kind for placed, _ in ways]), -np.inf)
        kept = []
        for index in np.flatnonzero(best > origin.score + GAIN):
            placed, candidate = ways[int(index)]
            if not in_one_piece(placed):
                continue
            complexity = complexity_of(placed)
            total = float(best[index]) - self.settings.rank.complexity_penalty * complexity
            if total > origin.score + GAIN:
                row = {**{str(name): value for name, value in fits.iloc[int(index)].items()}, "complexity": complexity}
                way = Way(placed, total, float(fits["zoom"].iloc[int(index)]) / self.start)
                self.found[kind_of(placed)].append(Found(way, replace(candidate, complexity=complexity), row))
                kept.append(way)
        return kept

    def score(self, rw: np.ndarray, complexity: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
        """(C,) nats, as the ranking counts them."""
        least = min(self.prior.values(), default=0.0)
        prior = np.array([self.prior.get(kind, least) for kind in kinds])
        return np.asarray(fit_score(rw, complexity, self.independent_points, self.settings.rank) + prior)


def kind_of(placed: Placed) -> str:
    """The type under which a particle is searched: fcc with every outline is one."""
    return LATTICES.get(placed.kind, placed.kind)


def _best_of_each_type(ways: Sequence[Way]) -> list[Way]:
    """The best few of each plausible type, the best type's first."""
    by_type: dict[str, list[Way]] = defaultdict(list)
    for way in sorted(ways, key=lambda way: -way.score):
        if len(by_type[kind_of(way.placed)]) < BEAM:
            by_type[kind_of(way.placed)].append(way)
    order = sorted(by_type.values(), key=lambda beam: -beam[0].score)[:MOST_TYPES]
    return [way for beam in order if beam[0].score > order[0][0].score - PLAUSIBLE for way in beam]


def search_neighbours(
    candidates: Sequence[Candidate],
    fits: pd.DataFrame,
    curve: PdfCurve,
    conditions: Conditions,
    settings: SolveSettings,
    *,
    start: float,
    type_prior: Mapping[str, float] | None,
    rng: np.random.Generator,
) -> tuple[list[Candidate], pd.DataFrame, dict[str, int]]:
    """Candidates and fits with the neighbours of the best added, and complexities counted where they decide.

    Args:
        candidates: that were fitted.
        fits: their rows, from :func:`deepstruc_hpc.solve.refine.refine`, in the same order.
        curve: the data.
        conditions: range and instrument.
        settings: budgets and ranking.
        start: expansion before the fit.
        type_prior: the model's probability of each type, or None.
        rng: random numbers of this curve.

    Returns:
        All candidates, one row each, and counts: fitted neighbours, kept ones, rounds.
    """
    found, table = list(candidates), fits.copy()
    rw = table["rw"].to_numpy(dtype=float)
    if not np.isfinite(rw).any():
        return found, table, {}
    end = 1.1 * diameter(found[int(np.nanargmin(np.where(np.isfinite(rw), rw, np.nan)))].structure) + 2.0
    points = conditions.independent_points(end)
    prior = {kind: float(np.log(p)) for kind, p in mixed_prior(sorted(set(table["structure_type"])), type_prior, settings.rank.prior_weight).items()}
    placed = _assess(found, table)
    if settings.neighbours == 0:
        return found, table, {}
    symbol = found[int(np.argmin(rw))].structure.symbols[0]
    search = NeighbourSearch(curve, conditions, settings, symbol, start, points, prior, rng)
    search.run(_seeds(search, found, table, placed))
    kept = [one for found_ones in search.found.values() for one in sorted(found_ones, key=lambda one: -one.way.score)[:KEPT]]
    rows = pd.DataFrame([{**one.row, "index": len(found) + number} for number, one in enumerate(kept)])
    counts = {"neighbours": search.fitted, "neighbours_kept": len(kept), "neighbour_rounds": search.rounds}
    if search.out_of_time:
        counts["neighbours_out_of_time"] = 1
    table = pd.concat([table, rows], ignore_index=True) if len(rows) else table
    return [*found, *(one.candidate for one in kept)], table, counts


def _assess(candidates: list[Candidate], table: pd.DataFrame) -> dict[int, Placed]:
    """Count the complexity of the best candidates that no list holds; which of those looked at sits where."""
    placed: dict[int, Placed] = {}
    complexity = table["complexity"].to_numpy(dtype=float, copy=True)
    number = table["index"].to_numpy()
    for _, group in table[np.isfinite(table["rw"])].groupby("structure_type"):
        for index in group.sort_values("rw", kind="stable")["index"].head(ASSESSED):
            candidate = candidates[index]
            if candidate.catalog_id:
                continue
            where = _placed(candidate)
            if where is not None:
                placed[index] = where
                candidates[index] = replace(candidate, complexity=complexity_of(where))
                complexity[number == index] = candidates[index].complexity
    table["complexity"] = complexity
    return placed


def _placed(candidate: Candidate) -> Placed | None:
    kind = candidate.structure.structure_type
    if candidate.filling is not None and (found := place_filling(*candidate.filling, kind=kind)) is not None:
        return found
    return place(candidate.structure)


def _seeds(search: NeighbourSearch, candidates: Sequence[Candidate], table: pd.DataFrame, placed: dict[int, Placed]) -> list[Way]:
    """The best few candidates of each type that lie on a parent."""
    usable = table[np.isfinite(table["rw"])]
    kinds = [str(kind) for kind in usable["structure_type"]]
    score = search.score(usable["rw"].to_numpy(dtype=float), usable["complexity"].to_numpy(dtype=float), kinds)
    order = np.argsort(-score, kind="stable")
    taken: dict[str, int] = defaultdict(int)
    seeds = []
    for row in order:
        if score[row] < score[order[0]] - PLAUSIBLE:
            break
        kind = LATTICES.get(kinds[row], kinds[row])
        if taken[kind] >= BEAM:
            continue
        index = int(usable["index"].iloc[row])
        where = placed.get(index) or place(candidates[index].structure)
        if where is not None:
            taken[kind] += 1
            search.seen.add(fingerprint(candidates[index].structure, scale_free=True))
            seeds.append(Way(where, float(score[row]), float(usable["zoom"].iloc[row]) / search.start))
    return seeds
