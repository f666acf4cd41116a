"""One frame after another, each from where its neighbour stands: the candidates of fully solved frames, fitted, ranked and checked like all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import NotApplicableError
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.solve.candidates.candidate import Belief, Candidate, CandidateSet
from deepstruc_hpc.solve.checks.checks import Answer, check
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import Ranking, rank
from deepstruc_hpc.solve.search.local import search_locally
from deepstruc_hpc.solve.series.between import sizes_between
from deepstruc_hpc.solve.series.crystals import CrystalRuns
from deepstruc_hpc.solve.series.refit import Refitter

REFINED_WITHIN = 5.0
"""Nats behind the best, up to which a candidate is refined in a frame; of the others only the agreement is computed. exp(−5) is 0.7 %."""
MOST_REFINED = 60
"""Candidates that are refined in a frame."""
OF_EACH_LATTICE = 3
"""The best of each lattice are refined however far behind they are, so that a type that comes up is seen."""
RANKED_WITHIN = 16.0
"""Nats behind the best, up to which candidates are ranked: at the temper of the term of sizes (0.3) one beyond has a weight below 1 %, and in the
evidence of its type exp(−32). What is left out counts in the number of shapes that the evidence is the mean over."""
LOOKED_WITHIN, TURNS = 40.0, 4
"""Nats behind the best, up to which the agreement of a candidate is computed in every frame; of the others in every fourth, in turns."""
HANDED_ON, HANDED_EACH = 80, 6
"""Candidates that a fully solved frame hands on: the best of all, and the best of each lattice."""
PLAUSIBLE = 1e-4
"""Probability of a lattice in a fully solved frame, from which its particles are cut at the sizes between two frames."""
MOST_MEMBERS = 400
"""Candidates that are followed; the worst of them are forgotten beyond it."""
SEARCH_EVERY = 8
"""Frames between two small local searches: what one finds serves its neighbours."""
SEARCH_SHARE = 10
"""A small search has this part of the budget of a full one (``neighbours``)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What a fully solved frame hands on.

    Attributes:
        candidates: fitted, the best first: crystals and sets of phases, and explicit particles of every lattice.
        listed, found: how many listed shapes, and how many found by searching, of each type were fitted.
        plausible: lattices with a probability that matters.
        belief: of the generator, or None.
    """

    candidates: CandidateSet
    listed: dict[str, int]
    found: dict[str, int]
    plausible: frozenset[str] = frozenset()
    belief: Belief | None = None

    @classmethod
    def of(cls, ranking: Ranking) -> Knowledge:
        """The best of a ranking, in order."""
        candidates = ranking.candidates
        each: dict[str, int] = {}
        kept = []
        for place, one in enumerate(candidates):
            lattice = one.on_lattice
            each[lattice] = each.get(lattice, 0) + 1
            if place < HANDED_ON or each[lattice] <= HANDED_EACH or one.crystal_fit is not None:
                kept.append(place)
        counts: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for one in candidates:
            group = counts[0 if one.listed else 1]
            group[one.kind] = group.get(one.kind, 0) + 1
        small = replace(candidates.take(kept), counts={}, seconds={}, notes=(), belief=None)
        shares = ranking.types.groupby("lattice")["probability"].sum()
        plausible = frozenset(str(lattice) for lattice in shares.index[shares >= PLAUSIBLE])
        return cls(small, *counts, plausible, candidates.belief)


@dataclass(eq=False)
class WarmSolver:
    """Solves frames that are like those that it learned from.

    Args:
        settings: of the series; what is asked beside the answer (``verify``, ``mixtures``, ``refine_positions``, ``strain``) is asked of fully
            solved frames alone.

    Attributes:
        frames: solved so far.
    """

    settings: SolveSettings
    frames: int = 0
    _members: list[Candidate] = field(default_factory=list)
    _table: FitTable | None = None
    _refitter: Refitter | None = None
    _crystals: CrystalRuns = field(init=False)
    _counts: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))
    _belief: Belief | None = None
    _score: Floats = field(default_factory=lambda: np.zeros(0))
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = self.settings.model_copy(update={"verify": None, "mixtures": False, "refine_positions": False, "strain": False})
        self._crystals = CrystalRuns(self.settings)

    def learn(self, *known: Knowledge) -> None:
        """Take in what fully solved frames hand on; of two, the sizes between theirs, too."""
        explicit = []
        for one in known:
            atoms = one.candidates.take([place for place, candidate in enumerate(one.candidates) if candidate.crystal_fit is None])
            explicit.append(atoms)
            self._take(atoms)
            self._crystals.learn([candidate for candidate in one.candidates if candidate.crystal_fit is not None])
            for ours, theirs in zip(self._counts, (one.listed, one.found), strict=True):
                ours.update({kind: max(count, ours.get(kind, 0)) for kind, count in theirs.items()})
            self._belief = one.belief or self._belief
        plausible = frozenset[str]().union(*(one.plausible for one in known))
        sides = [[one for one in side if one.on_lattice in plausible] for side in explicit]
        sides = [side for side in sides if side]
        if sides:
            made = CandidateSet(tuple(one for one in sizes_between(sides[0], sides[-1]) if one.fingerprint not in self._places))
            self._take(made.with_fits(_like(next(one for one in explicit if len(one)), len(made))))

    def _take(self, fitted: CandidateSet) -> None:
        """Follow fitted candidates; one that is followed already stands where it fitted better."""
        if not len(fitted) or fitted.fits is None:
            return
        fits, fresh = _parameters(fitted.fits), list[int]()
        for place, one in enumerate(fitted.candidates):
            known = self._places.setdefault(one.fingerprint, len(self._members))
            if known == len(self._members):
                self._members.append(one)
                fresh.append(place)
            elif self._table is not None and known < len(self._table) and fits.rw[place] < self._table.rw[known]:
                self._table.put(np.array([known]), vars(fits.take(np.array([place]))))
                self._score[known : known + 1] = np.inf
        if fresh:
            table = fits.take(np.array(fresh))
            self._table = table if self._table is None else FitTable.concatenated([self._table, table])

    def solve(self, measurement: Measurement) -> Answer:
        """The answer to one frame.

        Raises:
            NotApplicableError: nothing was learned that could be fitted.
        """
        candidates = self._crystals.fit(measurement)
        atoms = self._fit_atoms(measurement)
        if atoms is not None:
            candidates = atoms.joined(candidates) if len(candidates) else atoms
        if not len(candidates) or not np.isfinite(candidates.rw).any():
            raise NotApplicableError(f"{measurement.curve.source}: no candidate of the frames around it can be fitted")
        candidates = replace(candidates, belief=self._belief)
        posterior = self._of_lists(self._posterior(candidates, measurement), candidates)
        budget = self.settings.local_shapes // SEARCH_SHARE
        if atoms is not None and budget and self.frames % SEARCH_EVERY == 0:
            before = len(candidates)
            candidates = search_locally(candidates, measurement, posterior, budget=budget, rng=measurement.rng("neighbours"))
            self._take(candidates.take(np.arange(before, len(candidates))))
        self.frames += 1
        ranking = rank(candidates, posterior)
        return check(ranking, measurement, self.settings)

    def _of_lists(self, posterior: Posterior, candidates: CandidateSet) -> Posterior:
        """With what a type's evidence loses for the shapes of its list that are not looked at here: it is the mean over all that were tried.

        The evidence is (mean of exp(2·score))^½ over the listed shapes or over those that were found, whichever is more; the others add nothing to
        the sum.
        """
        score = posterior.score(candidates.rw, candidates.complexity, list(candidates.types))
        listed, types = candidates.listed, candidates.types
        prior = dict(posterior.log_prior)
        for kind in prior:
            ours = np.flatnonzero((types == kind) & np.isfinite(score))
            if len(ours):
                group = bool(listed[ours[np.argmax(score[ours])]])
                here = int((listed[ours] == group).sum())
                tried = self._counts[0 if group else 1].get(kind, 0)
                prior[kind] -= np.log(max(tried, here) / here) / posterior.settings.sharpness
        return replace(posterior, log_prior=prior)

    def _posterior(self, candidates: CandidateSet, measurement: Measurement) -> Posterior:
        return Posterior.of(candidates, measurement, self.settings.rank)

    def _fit_atoms(self, measurement: Measurement) -> CandidateSet | None:
        """Explicit particles: agreement of all where the neighbour's frame left them, then the best refined."""
        self._settle(measurement)
        table, refitter = self._table, self._refitter
        if table is None or refitter is None or not len(table):
            return None
        p = np.column_stack([table.zoom, table.uiso, table.delta2])
        in_turn = np.arange(len(table)) % TURNS == self.frames % TURNS
        looked = np.flatnonzero((self._score >= self._score.max(initial=-np.inf) - LOOKED_WITHIN) | in_turn)
        table.rw[looked] = refitter.agreement(measurement, looked, p[looked])
        table.converged[:] = False
        candidates = CandidateSet(tuple(self._members), table)
        chosen = self._best(self._scored(candidates, measurement), REFINED_WITHIN, MOST_REFINED)
        before = p[chosen]
        table.put(chosen, vars(refitter.fit(measurement, chosen, before)))
        self._follow(chosen, before)
        table.n_independent[:] = measurement.independent_points()
        ranked = self._best(self._scored(candidates, measurement), RANKED_WITHIN, len(table))
        return CandidateSet(candidates.candidates, table).take(ranked)

    def _scored(self, candidates: CandidateSet, measurement: Measurement) -> Floats:
        """(C,) nats of each member as it stands."""
        posterior = self._posterior(candidates, measurement)
        fit, prior = posterior.fit_score(candidates.rw, self._complexity()), posterior.log_prior
        least = min(prior.values(), default=0.0)
        score = fit + np.array([prior.get(candidate.kind, least) for candidate in self._members])
        self._score = np.where(np.isfinite(candidates.rw), score, -np.inf)
        return self._score

    def _complexity(self) -> Floats:
        return np.array([candidate.complexity for candidate in self._members])

    def _best(self, score: Floats, within: float, most: int) -> NDArray[np.int64]:
        """Those within some nats of the best, at most so many, and the best few of each lattice."""
        order = np.argsort(-score, kind="stable")
        best = score[order[0]]
        each: dict[str, int] = {}
        chosen: list[int] = []
        for place in order.tolist():
            lattice = self._members[place].on_lattice
            each[lattice] = each.get(lattice, 0) + 1
            near = score[place] >= best - within and len(chosen) < most
            if np.isfinite(score[place]) and (near or each[lattice] <= OF_EACH_LATTICE):
                chosen.append(place)
        return np.array(chosen, dtype=np.int64)

    def _follow(self, chosen: NDArray[np.int64], before: Floats) -> None:
        """Let those that were not refined take the same steps in zoom, U and delta2 as the best of those that were."""
        table = self._table
        if table is None or not len(chosen):
            return
        leader = int(np.argmin(table.rw[chosen]))
        row = chosen[leader]
        rest = np.ones(len(table), dtype=bool)
        rest[chosen] = False
        now = np.array([table.zoom[row], table.uiso[row], table.delta2[row]])
        table.zoom[rest] *= now[0] / before[leader, 0]
        table.uiso[rest] *= now[1] / before[leader, 1]
        table.delta2[rest] += now[2] - before[leader, 2]

    def _settle(self, measurement: Measurement) -> None:
        """Prepare what was learned since for this instrument."""
        if self._table is None:
            return
        self._table.n_points[:] = len(measurement.data)
        if self._refitter is None or self._refitter.instrument != measurement.instrument:
            self._refitter = Refitter(measurement.instrument)
        first = len(self._refitter)
        if len(self._members) > first:
            added = self._members[first:]
            self._refitter.add([one.structure for one in added], np.array([one.zoom for one in added]), measurement)
            self._score = np.concatenate([self._score, np.full(len(self._members) - len(self._score), np.inf)])
        if len(self._members) > MOST_MEMBERS:
            self._forget(measurement)

    def _forget(self, measurement: Measurement) -> None:
        """Keep the best members by their agreement where they stand, and some of each lattice."""
        table, refitter = self._table, self._refitter
        if table is None or refitter is None:
            return
        agreement = refitter.agreement(measurement, np.arange(len(table)), np.column_stack([table.zoom, table.uiso, table.delta2]))
        each: dict[str, int] = {}
        kept: list[int] = []
        for place in np.argsort(agreement, kind="stable").tolist():
            lattice = self._members[place].on_lattice
            each[lattice] = each.get(lattice, 0) + 1
            if len(kept) < MOST_MEMBERS * 3 // 4 or each[lattice] <= OF_EACH_LATTICE:
                kept.append(place)
        rows = np.sort(np.array(kept))
        refitter.keep(rows)
        self._members, self._table, self._score = [self._members[row] for row in rows], table.take(rows), self._score[rows]
        self._places = {one.fingerprint: place for place, one in enumerate(self._members)}


def _like(fitted: CandidateSet, count: int) -> FitTable:
    """Rows with the parameters of the best fit, for candidates that were not fitted yet."""
    if fitted.fits is None:
        raise ValueError("the candidates are not fitted yet.")
    return fitted.fits.take(np.full(count, int(np.argmin(fitted.rw))))


def _parameters(fits: FitTable) -> FitTable:
    """Fits of another curve as places to start from."""
    table = fits.take(np.arange(len(fits)))
    table.zoom[:] = np.where(np.isfinite(table.zoom), table.zoom, 1.0)
    table.uiso[:] = np.where(np.isfinite(table.uiso), table.uiso, 0.008)
    table.delta2[:] = np.where(np.isfinite(table.delta2), table.delta2, 2.0)
    return table
