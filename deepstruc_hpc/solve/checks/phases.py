"""Is it one particle, or two kinds, or a distribution of sizes? Asked of the best candidates, and answered yes only where the data pay for it.

Hypotheses beside the best single candidate:
- two phases: any two candidates of different lattice, or of clearly different size, each with a scale and a zoom of its own, U and delta2 shared;
- sizes: two or three neighbouring sizes of one structure type with one zoom.

Each is scored like a candidate (:mod:`deepstruc_hpc.solve.ranking.posterior`): −(n − k)/2 · ln(Rw² + e²) − penalty · complexity, where k counts
all refined parameters. n counts what the residual of the mixture says that it is: independent points where it is noise, eight times fewer where it
looks like a cluster (:class:`~deepstruc_hpc.physics.phases.Signal`), as it does where one particle with a relaxed surface, which no list holds, is
made of two listed ones. On top of that a mixture pays ln(M) for each further phase that was chosen out of M: who may choose finds a better fit by
chance. It is kept when what remains is a gain. A size between two listed ones looks like a mixture of the two, so a distribution of sizes that is
kept is said to be one particle of a size between, or several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from deepstruc_hpc.physics.evidence import PHASE_ERROR, PHASE_POINTS
from deepstruc_hpc.physics.phases import PhaseFit, PhaseModel, Signal, best_pairs
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import Ranking
from deepstruc_hpc.structures.lattices import lattice_of

SIZE_STEP = 0.15
"""ln N: of candidates of one type closer than this the better stands for all."""
CLEARLY_DIFFERENT = 1.5
"""Ratio of the numbers of atoms from which two candidates of one lattice count as different phases."""
ZOOM_STEP, ZOOM_STEPS = 0.006, 3
"""Relative, and steps on either side: trial curves within 1.8 % in zoom; the refinement goes on from the best."""
MOST_IN_POOL, MOST_HEADS = 500, 120
"""Candidates that mixtures are made of, and those that start one; a limit of memory and time."""
FOLLOWED_PAIRS, REFINED_PAIRS = 16, 6
"""Pairs that are descended from, and refined; a limit of time."""
MOST_EXCHANGES, EXCHANGED = 4, 4
"""Rounds in which a phase of the best pair is exchanged, and how many others are refined in the place of each."""
SHARPER = 0.8
"""U of the trial curves over the least of the best single fits: one shape that stands for two is blurred."""
Trial: TypeAlias = tuple[str, tuple[int, ...], tuple[float, ...]]
"""``phases`` or ``sizes``, rows of the pool, and a zoom for each."""
LEAST_SHARE = 0.05
"""A phase below this share of the weight is none."""
STEEP = 3
"""Power of the likeness that gives the points which count as one: at the noise (1 to 1.7) nearly all points count, from 2 on an eighth as usual.
Right pairs of simulated mixtures leave 0.5 to 1.6, one particle with a relaxed surface made of two listed ones leaves 2 to 20."""
FEWEST_POINTS = 2.0
"""Independent points that count as one where the residual is white: Qdamp, the range of Q and the shape of U are never quite what they are assumed
to be, which no residual shows that the fit has made small."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """The best mixture and whether it is kept.

    Attributes:
        kind: ``phases`` or ``sizes``.
        kept: whether it explains more than it costs.
        rows: rows of the ranked table, one a phase, the largest share first.
        fit: in the order of ``rows``.
        rw_single: of the best single candidate.
        gain: nats by which the mixture's score exceeds the best single one.
        n_tried: candidates from which a further phase was chosen.
    """

    kind: str
    kept: bool
    rows: pd.DataFrame
    fit: PhaseFit
    rw_single: float
    gain: float
    n_tried: int

    def table(self) -> pd.DataFrame:
        """One row a phase."""
        phases = self.rows[["rank", "structure_type", "n_atoms", "label"]].reset_index(drop=True)
        return phases.assign(
            kind=self.kind,
            kept=self.kept,
            weight_fraction=self.fit.weights,
            weight_fraction_err=self.fit.weight_errors,
            scale=self.fit.scales,
            zoom=self.fit.zooms,
            zoom_err=self.fit.zoom_errors,
            uiso=self.fit.uiso,
            delta2=self.fit.delta2,
            rw=self.fit.rw,
            rw_single=self.rw_single,
            gain=self.gain,
        )

    def details(self) -> dict[str, Any]:
        """For result.json."""
        columns = ["rank", "structure_type", "n_atoms", "weight_fraction", "weight_fraction_err", "zoom"]
        phases = [{str(key): _plain(value) for key, value in row.items()} for row in self.table()[columns].astype(object).to_dict("records")]
        numbers = {"rw": self.fit.rw, "rw_single": self.rw_single, "gain": self.gain}
        return {"kind": self.kind, "kept": self.kept, "phases": phases, **{name: round(value, 6) for name, value in numbers.items()}}

    def shares(self) -> str:
        """Weight shares for the summary, ``fcc 0.62; hcp 0.38``; empty where the mixture is not kept."""
        names = self.rows["structure_type"]
        return "; ".join(f"{name} {share:.2f}" for name, share in zip(names, self.fit.weights, strict=True)) if self.kept else ""

    def words(self) -> str:
        """For the message; empty where the mixture is not kept."""
        if not self.kept:
            return ""
        parts = [
            f"{100 * share:.0f}{f' ± {max(100 * error, 1.0):.0f}' if np.isfinite(error) else ''} % {row.structure_type} of {row.n_atoms} atoms"
            for share, error, row in zip(self.fit.weights, self.fit.weight_errors, self.rows.itertuples(), strict=True)
        ]
        what = "a mixture" if self.kind == "phases" else "several sizes, or one between them,"
        return f"{what} explains the curve better (Rw {self.fit.rw:.3f} instead of {self.rw_single:.3f}): {' and '.join(parts)} by weight"


def find_mixture(ranking: Ranking, measurement: Measurement) -> Mixture | None:
    """The best mixture of candidates, kept or not.

    Args:
        ranking: candidates in order of rank, and the posterior that scores combinations, too.
        measurement: data, range and instrument.

    Returns:
        None where no two candidates can share the curve.
    """
    ranked = ranking.frame()
    ranked = ranked[[candidate.crystal_fit is None for candidate in ranking.candidates]]
    pool = _pool(ranked)
    if len(pool) < 2:
        return None
    trials = _Trials(ranking.candidates, pool, measurement)
    contest = _Contest(trials, ranked, ranking.posterior)
    contest.enter([*trials.phases(), *trials.sizes()])
    if contest.best is not None:  # once more with the widths that this fit found: those of a single shape were too blurred or too sharp
        trials.set_widths(contest.best.fit.uiso, contest.best.fit.delta2)
        contest.enter(trials.phases())
        contest.exchange()
    return contest.best


class _Contest:
    """Refines combinations and keeps the one that gains most over the best single candidate (``best``), and the best of two phases (``pair``).

    Args:
        trials: where the combinations come from.
        ranked: all single candidates.
        posterior: of the ranking.
    """

    def __init__(self, trials: _Trials, ranked: pd.DataFrame, posterior: Posterior) -> None:
        self.trials, self.posterior = trials, posterior
        self.rw, self.complexity = ranked["rw"].to_numpy(dtype=float), ranked["complexity"].to_numpy(dtype=float)
        self.rw_single = float(ranked["rw"].min())
        self.best: Mixture | None = None
        self.pair: Mixture | None = None

    def _counting(self, likeness: float) -> Posterior:
        """The posterior with so many independent points a datum as the power of a residual says, within limits, however well one particle fits."""
        counting = {"points_per_datum": min(max(likeness, FEWEST_POINTS), PHASE_POINTS), "model_error": PHASE_ERROR}
        return replace(self.posterior, settings=self.posterior.settings.model_copy(update=counting), weight=1.0)

    def enter(self, combinations: Sequence[Trial]) -> None:
        """Refine and compare."""
        trials = self.trials
        for kind, members, zooms in combinations:
            rows = trials.pool.iloc[list(members)]
            fit = trials.model.fit(members, zooms=zooms, uiso=trials.uiso, delta2=trials.delta2, shared_zoom=kind == "sizes")
            choice = (len(rows) - 1) * math.log(trials.choices(kind))
            posterior = self._counting(trials.signal.likeness(fit) ** STEEP)
            single = float(posterior.fit_score(self.rw, self.complexity).max())
            gain = float(posterior.fit_score(fit.rw, float(rows["complexity"].max()), fit.n_parameters)) - choice - single
            if fit.weights.min() < LEAST_SHARE:
                continue
            order = np.argsort(-fit.weights, kind="stable")
            found = Mixture(kind, gain > 0, rows.iloc[order], _ordered(fit, order), self.rw_single, gain, trials.choices(kind))
            if self.best is None or gain > self.best.gain:
                self.best = found
            if kind == "phases" and (self.pair is None or gain > self.pair.gain):
                self.pair = found

    def exchange(self) -> None:
        """Exchange one phase of the best pair at a time for what goes best with the other as it was refined, as long as that gains."""
        for _ in range(MOST_EXCHANGES):
            before = self.pair
            if before is None:
                return
            self.trials.set_widths(before.fit.uiso, before.fit.delta2)
            self.enter(self.trials.beside([int(row) for row in before.rows.index], before.fit.zooms))
            if self.pair is before:
                return


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ordered(fit: PhaseFit, order: NDArray[np.intp]) -> PhaseFit:
    names = ("scales", "zooms", "zoom_errors", "weights", "weight_errors")
    return replace(fit, **{name: getattr(fit, name)[order] for name in names})


def _pool(ranked: pd.DataFrame) -> pd.DataFrame:
    """Of each structure type and number of atoms the simplest candidate, and of these the best; in order of Rw.

    What was searched to fit a mixture as one particle stands behind the listed shapes that may be its parts.
    """
    usable = ranked[np.isfinite(ranked["rw"].to_numpy(dtype=float)) & (ranked["scale"] > 0)]
    simplest = usable.sort_values(["complexity", "rw"], kind="stable").drop_duplicates(["structure_type", "n_atoms"]).head(MOST_IN_POOL)
    best: pd.DataFrame = simplest.sort_values("rw", kind="stable").reset_index(drop=True)
    return best


class _Trials:
    """Curves of the pool at several zooms, and the combinations that look best before they are refined."""

    def __init__(self, candidates: CandidateSet, pool: pd.DataFrame, measurement: Measurement) -> None:
        self.pool = pool
        self.atoms = pool["n_atoms"].to_numpy(dtype=float)
        shapes = [candidates.candidates[int(rank) - 1].structure for rank in pool["rank"]]
        # Shapes of the best candidate's elements share its scale; others have one of their own.
        same = np.array([shape.elements == shapes[0].elements for shape in shapes])
        middle = np.where(same, float(pool["zoom"].iloc[0]), pool["zoom"].to_numpy(dtype=float))
        self.zooms = middle[:, None] * (1.0 + ZOOM_STEP * np.arange(-ZOOM_STEPS, ZOOM_STEPS + 1))
        lattice = pool["structure_type"].map(lattice_of).to_numpy()
        ratio = np.maximum(self.atoms[:, None], self.atoms[None, :]) / np.minimum(self.atoms[:, None], self.atoms[None, :])
        self.different = (lattice[:, None] != lattice[None, :]) | (ratio >= CLEARLY_DIFFERENT)
        bins = np.floor(np.log(self.atoms) / SIZE_STEP)
        first = ~pool.assign(bin=bins)[["structure_type", "bin"]].duplicated().to_numpy()
        self.heads = np.flatnonzero(first)[:MOST_HEADS]
        highest = float(self.zooms.max())
        self.model = PhaseModel(shapes, measurement.data, measurement.instrument, max_zoom=highest, low_q=measurement.low_q)
        self.data = self.model.target.data
        sharp = pool.head(5)
        self.set_widths(SHARPER * float(sharp["uiso"].min()), float(sharp["delta2"].median()))

    def set_widths(self, uiso: float, delta2: float) -> None:
        """Compute the trial curves, (C, Z, K), with these U and delta2 (Å²)."""
        self.uiso, self.delta2 = uiso, delta2
        rows = np.repeat(np.arange(len(self.pool)), self.zooms.shape[1])
        self.curves = self.model.curves(rows, self.zooms.ravel(), uiso, delta2)[:, 0].reshape(*self.zooms.shape, -1)

    @cached_property
    def signal(self) -> Signal:
        """Of all candidates of the pool, as they were first computed."""
        return Signal(self.curves[:, ZOOM_STEPS])

    def choices(self, kind: str) -> int:
        """From how many candidates a further phase was chosen: all of the pool, or the sizes of one type."""
        return len(self.pool) if kind == "phases" else max(int(self.pool["structure_type"].value_counts().iloc[0]), 2)

    def phases(self) -> list[Trial]:
        """The best pairs of different lattice or clearly different size, each with its best zooms."""
        steps, heads = self.zooms.shape[1], self.heads
        flat = self.curves[heads].reshape(len(heads) * steps, -1)
        rw = best_pairs(flat, flat, self.data).reshape(len(heads), steps, len(heads), steps)
        lowest = np.where(np.triu(self.different[np.ix_(heads, heads)], 1), rw.min(axis=(1, 3)), math.inf)
        found: dict[tuple[int, ...], tuple[float, Trial]] = {}
        for place in np.argsort(lowest, axis=None)[:FOLLOWED_PAIRS]:
            a, b = np.unravel_index(place, lowest.shape)
            if not np.isfinite(lowest[a, b]):
                break
            i, j = np.unravel_index(np.argmin(rw[a, :, b, :]), (steps, steps))
            agreement, trial = self.descend(int(heads[a]), int(heads[b]), int(i), int(j))
            found[tuple(sorted(trial[1]))] = (agreement, trial)
        return [trial for _, trial in sorted(found.values())[:REFINED_PAIRS]]

    def descend(self, a: int, b: int, i: int, j: int) -> tuple[float, Trial]:
        """Exchange one phase of a pair at a time for whatever of the pool goes best with the other, until nothing gets better."""
        best = math.inf
        for _ in range(6):
            rw = best_pairs(self.curves[a, i][None], self.curves.reshape(-1, self.curves.shape[2]), self.data).reshape(self.curves.shape[:2])
            rw[~self.different[a]] = math.inf
            b, j = (int(index) for index in np.unravel_index(np.argmin(rw), rw.shape))
            if not rw[b, j] < best - 1e-9:
                break
            best = float(rw[b, j])
            a, b, i, j = b, a, j, i
        return best, ("phases", (a, b), (float(self.zooms[a, i]), float(self.zooms[b, j])))

    def beside(self, members: Sequence[int], zooms: NDArray[np.float64]) -> list[Trial]:
        """Pairs in which one phase of a pair is another: for each the best few, at the zoom that the one which stays was refined to."""
        fixed = self.model.curves(members, zooms, self.uiso, self.delta2)[:, 0]
        found: list[Trial] = []
        for place, (own, zoom) in enumerate(zip(members, zooms, strict=True)):
            rw = best_pairs(fixed[place][None], self.curves.reshape(-1, self.curves.shape[2]), self.data).reshape(self.curves.shape[:2])
            rw[~self.different[own]] = math.inf
            chosen = np.argsort(rw.min(axis=1), kind="stable")[:EXCHANGED]
            found += [
                ("phases", (own, int(other)), (float(zoom), float(self.zooms[other, np.argmin(rw[other])])))
                for other in chosen
                if np.isfinite(rw[other].min())
            ]
        return found

    def sizes(self) -> list[Trial]:
        """The best two and three neighbouring sizes of one type with one zoom."""
        trials = []
        kinds = self.pool["structure_type"].to_numpy()[self.heads]
        for kind in dict.fromkeys(kinds):
            members = self.heads[kinds == kind]
            members = members[np.argsort(self.atoms[members], kind="stable")]
            for many in (2, 3):
                for first in range(len(members) - many + 1):
                    chosen = members[first : first + many]
                    for step, zoom in enumerate(self.zooms[chosen[0]]):
                        scales, left = nnls(self.curves[chosen, step].T, self.data)
                        if scales.min() > 0:
                            trials.append((left, many, tuple(int(member) for member in chosen), float(zoom)))
        best: list[Trial] = []
        for many in (2, 3):
            of_many = sorted(trial for trial in trials if trial[1] == many)
            best += [("sizes", members, (zoom,) * many) for _, _, members, zoom in of_many[:1]]
        return best
