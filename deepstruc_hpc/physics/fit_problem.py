"""One curve, the conditions of its fit, and how a group of candidates is refined under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.shapes import Float64, Int64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.evaluator import CompiledEvaluator, Evaluator
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.extra_terms import Term, columns_of
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.levenberg import Float, Minimum, minimise
from deepstruc_hpc.physics.screening import impossible_distances
from deepstruc_hpc.physics.separable import Spectra, spectra_of
from deepstruc_hpc.physics.target import Target, target_of
from deepstruc_hpc.physics.term_search import Tangent
from deepstruc_hpc.physics.uiso_groups import UisoGroups, automatic_groups, more_groups_pay

PARAMETERS = ("zoom", "uiso", "delta2")
BOUNDS: Mapping[str, tuple[float, float]] = {"zoom": (0.9, 1.1), "uiso": (5e-4, 0.08), "delta2": (0.0, 6.0)}
START: Mapping[str, float] = {"zoom": 1.0, "uiso": 0.008, "delta2": 2.0}
FIXED: Mapping[str, float] = {"zoom": 1.0, "uiso": 0.005, "delta2": 0.0}
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance, so that no width is clamped."""
ZOOM_STEP = 0.0125
"""Widest step of the scan over the zoom, dimensionless. Half a step moves a distance of 20 Å by 0.13 Å, about the width of a peak, so that some start
lies beside the minimum: the tests of the fit find zooms from 0.91 to 1.09 again from it."""
_SECOND_START = 0.1


@dataclass(frozen=True, eq=False)
class _Batch:
    """Candidates that are refined together; their P = 2 + G parameters are zoom, the U of each group of elements, delta2.

    Attributes:
        evaluator: of the batch.
        target: the data.
        groups: of the elements.
        index: (C,) numbers of the candidates in the evaluator.
        low: (C, P) bounds.
        high: (C, P) bounds.
        moving: (P,) which parameters are free.
        parts: (C, G) share of the atoms in each group.
    """

    evaluator: Evaluator
    target: Target
    groups: UisoGroups
    index: NDArray[np.int64]
    low: Float
    high: Float
    moving: NDArray[np.bool_]
    parts: Float

    @property
    def names(self) -> tuple[str, ...]:
        """Of the P parameters."""
        return ("zoom", *(("uiso",) if len(self.groups) == 1 else (f"uiso_{name}" for name in self.groups.names)), "delta2")

    def take(self, rows: NDArray[np.int64]) -> _Batch:
        """Some of the candidates."""
        return replace(self, index=self.index[rows], low=self.low[rows], high=self.high[rows], parts=self.parts[rows])

    def minimum(self, owner: NDArray[np.int64], starts: Float) -> Minimum:
        """Refine from K starts (K, P) of candidates ``owner`` (K,)."""
        return minimise(
            lambda part, p: self.evaluator.equations(self.index[owner[part]], p), starts, self.low[owner], self.high[owner], free=self.moving
        )


@dataclass(frozen=True, eq=False)
class FitProblem:
    """What is fitted to what.

    Attributes:
        data: the points of the curve in the range.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        delta1: Å, fixed.
        free: names of the parameters that move.
        bounds: by name; those of parameters that do not move are ignored.
        start: values to start from or to keep, by name.
        uiso_groups: element → name of the group that shares a U, see ``UisoGroups.of``; one U for all atoms when None.
        zoom_bounds: (S, 2) bounds of the zoom of each candidate of the table, instead of those for all.
        threads: at most this many.
        device: a torch device, or None for compiled code on the CPU.
        low_q: Å⁻¹, below which nothing of data and model counts, see :mod:`deepstruc_hpc.physics.target`; 0: all counts.
        terms: of ligands, solvent or support, whose amplitudes are eliminated with the scale.
    """

    data: PdfCurve
    instrument: Instrument
    delta1: float = 0.0
    free: frozenset[str] = frozenset({"scale", *PARAMETERS})
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    uiso_groups: Mapping[str, str] | None = None
    zoom_bounds: Float | None = None
    threads: int | None = None
    device: str | None = None
    low_q: float = 0.0
    terms: tuple[Term, ...] = ()

    @property
    def n_independent(self) -> float:
        """Independent points of the data in the range, from max(Qmin, low_q) on."""
        return independent_points(float(self.data.r[0]), float(self.data.r[-1]), max(self.instrument.qmin, self.low_q), self.instrument.qmax)

    def limits(self, name: str) -> tuple[float, float]:
        """Lower and upper bound of a parameter; equal where it is fixed."""
        if name not in self.free:
            kept = self.start.get(name, FIXED[name])
            return kept, kept
        return self.bounds.get(name, BOUNDS[name])

    def fit_group(self, structures: list[Structure], rows: Int64[NDArray[np.int64], " clusters"], table: FitTable) -> None:
        """Fit clusters of the same elements and about the same size, and write their rows of the table."""
        zoom = self._zoom_limits(rows)
        spectra = self._spectra(structures, zoom)
        reasons = impossible_distances(spectra)
        table.put(rows, {"refused": reasons})
        good = np.flatnonzero(reasons == "")
        if len(good):
            batch = self._batch(spectra, good, zoom, self._groups(spectra.elements))
            begin = np.clip(self._columns([self.start.get(name, START[name]) for name in PARAMETERS], len(batch.groups)), batch.low, batch.high)
            owner, starts = _starts(batch, begin)
            found = batch.minimum(owner, starts)
            order = np.lexsort((found.equations.cost, owner))
            best = order[np.unique(owner[order], return_index=True)[1]]
            table.put(rows[good], self._summary(batch, found.take(best)))

    def try_more_uiso(self, structures: list[Structure], rows: Int64[NDArray[np.int64], " clusters"], table: FitTable) -> None:
        """Fit clusters of the same elements again from their rows of the table with ``automatic_groups``; write where the data carry them."""
        zoom = self._zoom_limits(rows)
        self.more_uiso(self._spectra(structures, zoom), zoom, rows, table)

    def more_uiso(self, spectra: Spectra, zoom: Float64[Float, "clusters 2"], rows: Int64[NDArray[np.int64], " clusters"], table: FitTable) -> None:
        """The same for clusters whose separable form is there, one for each of the rows, with (C, 2) bounds of their zoom."""
        batch = self._batch(spectra, np.arange(len(rows)), zoom, automatic_groups(spectra.elements))
        n_groups = len(batch.groups)
        if n_groups == 1 or self._freedom(batch) <= 0:
            return
        begin = np.column_stack([table.zoom[rows], *[table.uiso[rows]] * n_groups, table.delta2[rows]])
        found = batch.minimum(batch.index, np.clip(begin, batch.low, batch.high))
        one = batch.evaluator.equations(batch.index, begin).cost
        pays = more_groups_pay(one, found.equations.cost, n_groups=n_groups, n_independent=self.n_independent, norm=batch.target.norm)
        better = np.flatnonzero(pays)
        if len(better):
            table.put(rows[better], self._summary(batch.take(better), found.take(better)))

    def tangent(self, structure: Structure, parameters: Mapping[str, Any], *, groups: UisoGroups | None = None) -> Tangent:
        """The surroundings of a fit of this problem, with one U for all atoms or one a group.

        Args:
            structure: the candidate as given to the fit, the only one of this problem.
            parameters: its ``scale``, ``zoom``, ``uiso`` and ``delta2``; of several groups each has its own, ``uiso_`` and the group's name.
            groups: of the structure's elements, sorted; one for all where not given.
        """
        zoom = self._zoom_limits(np.zeros(1, dtype=np.int64))
        spectra = self._spectra([structure], zoom)
        one = UisoGroups.of(spectra.elements, dict.fromkeys(spectra.elements, "all"))
        batch = self._batch(spectra, np.zeros(1, dtype=np.int64), zoom, groups or one)
        settings: dict[str, Any] = {"qbroad": self.instrument.qbroad, "delta1": self.delta1, "threads": self.threads}
        engine = CompiledEvaluator(spectra, batch.target, **settings, free_scale=True, groups=batch.groups)
        p = np.array([[float(parameters[name]) for name in batch.names]])
        curves = engine.fq(batch.index, p, 1 + len(batch.names))[0] @ batch.target.transform
        scale = float(parameters["scale"])
        return Tangent(batch.target, scale * curves[0].astype(np.float64), curves.T.astype(np.float64), scale, self.n_independent)

    def spectra(self, structures: Sequence[Structure], zoom: Float64[Float, "clusters 2"]) -> Spectra:
        """The separable form of clusters of the same elements; it serves every curve with this instrument.

        Args:
            structures: S of them.
            zoom: (S, 2) bounds of the zoom of each.
        """
        return self._spectra(list(structures), zoom)

    def refit(
        self, spectra: Spectra, index: Int64[NDArray[np.int64], " clusters"], zoom: Float64[Float, "clusters 2"], begin: Float64[Float, "clusters 3"]
    ) -> dict[str, Any]:
        """Columns of the table for some clusters with one U, refined from where they stand; the zoom is not scanned.

        Args:
            spectra: of this instrument.
            index: (C,) which clusters of the spectra.
            zoom: (C, 2) bounds of the zoom.
            begin: (C, 3) zoom, U in Å², delta2 in Å².
        """
        batch = self._batch_of(spectra, index, zoom)
        return self._summary(batch, batch.minimum(np.arange(len(index)), np.clip(begin, batch.low, batch.high)))

    def agreement(
        self, spectra: Spectra, index: Int64[NDArray[np.int64], " clusters"], zoom: Float64[Float, "clusters 2"], p: Float64[Float, "clusters 3"]
    ) -> Float64[Float, " clusters"]:
        """(C,) Rw of clusters at given zoom, U and delta2 (C, 3), with the best scale of each; nothing else is refined.

        Args:
            spectra: of this instrument.
            index: (C,) which clusters of the spectra.
            zoom: (C, 2) bounds of the zoom.
            p: (C, 3) zoom, U in Å², delta2 in Å².
        """
        batch = self._batch_of(spectra, index, zoom)
        costs = batch.evaluator.costs(index, np.clip(p, batch.low, batch.high))
        return np.sqrt(costs / batch.target.norm) if batch.target.norm > 0 else np.full(len(index), np.inf)

    def _batch_of(self, spectra: Spectra, index: NDArray[np.int64], zoom: Float) -> _Batch:
        """Some clusters of the spectra with bounds (C, 2) of their zoom and one U."""
        every = np.zeros((len(spectra), 2))
        every[index] = zoom
        return self._batch(spectra, index, every, UisoGroups.of(spectra.elements, dict.fromkeys(spectra.elements, "all")))

    def _zoom_limits(self, rows: NDArray[np.int64]) -> Float:
        """(C, 2) bounds of the zoom of some rows of the table."""
        if self.zoom_bounds is None or "zoom" not in self.free:
            return np.tile(self.limits("zoom"), (len(rows), 1))
        return self.zoom_bounds[rows]

    def _groups(self, elements: tuple[str, ...]) -> UisoGroups:
        one = self.uiso_groups is None or "uiso" not in self.free
        return UisoGroups.of(elements, dict.fromkeys(elements, "all") if one or self.uiso_groups is None else self.uiso_groups)

    def _spectra(self, structures: list[Structure], zoom: Float) -> Spectra:
        return spectra_of(
            structures,
            q_max=self.instrument.qmax,
            max_zoom=_most(zoom),
            radiation=self.instrument.radiation,
            resolution=self.instrument.qbroad > 0 or self.delta1 != 0,
            threads=self.threads,
        )

    def _columns(self, values: Sequence[Any], n_groups: int) -> NDArray[Any]:
        """Values of zoom, U and delta2, that of U once a group."""
        return np.array([values[0], *[values[1]] * n_groups, values[2]])

    def _batch(self, spectra: Spectra, good: NDArray[np.int64], zoom: Float, groups: UisoGroups) -> _Batch:
        ranges = {"qmin": self.instrument.qmin, "qmax": self.instrument.qmax, "qdamp": self.instrument.qdamp, "low_q": self.low_q}
        target = target_of(self.data.r, self.data.g, **ranges, largest_distance=float(spectra.longest.max()) * _most(zoom))
        target = target.without(columns_of(self.terms, target.q, self.instrument.radiation))
        limits = self._columns([self.limits(name) for name in PARAMETERS], len(groups))
        low, high = (np.tile(limits[:, side], (len(good), 1)) for side in (0, 1))
        low[:, 0], high[:, 0] = zoom[good].T
        if "delta2" in self.free:
            high[:, -1] = np.minimum(high[:, -1], SHARPEST * (spectra.shortest[good].min(axis=1) * low[:, 0]) ** 2)
            low[:, -1] = np.minimum(low[:, -1], high[:, -1])
        moving = self._columns([name in self.free for name in PARAMETERS], len(groups))
        return _Batch(self._evaluator(spectra, target, groups), target, groups, good, low, high, moving, groups.parts(spectra.fractions[good]))

    def _evaluator(self, spectra: Spectra, target: Target, groups: UisoGroups) -> Evaluator:
        settings: dict[str, Any] = {"qbroad": self.instrument.qbroad, "delta1": self.delta1, "free_scale": "scale" in self.free, "groups": groups}
        if self.device is None:
            return CompiledEvaluator(spectra, target, **settings, threads=self.threads)
        from deepstruc_hpc.physics.torch_evaluator import TorchEvaluator

        engine: Evaluator = TorchEvaluator(spectra, target, **settings, device=self.device)
        return engine

    def _summary(self, batch: _Batch, found: Minimum) -> dict[str, Any]:
        p, cost, scale = found.parameters, found.equations.cost, found.equations.scale
        edge = 1e-6 * np.maximum(batch.high - batch.low, 1e-12)
        touching = batch.moving & ((p <= batch.low + edge) | (p >= batch.high - edge))
        covariance = self._covariance(batch, found, batch.moving & ~touching)
        errors = np.sqrt(np.maximum(np.einsum("cii->ci", covariance), 0.0))
        named = [("scale", scale <= 0), *((name, touching[:, column]) for column, name in enumerate(batch.names))]
        uiso, uiso_error = p[:, 1], errors[:, 2]
        if len(batch.groups) > 1:
            uiso = np.einsum("cg,cg->c", batch.parts, p[:, 1:-1])
            uiso_error = np.sqrt(np.maximum(np.einsum("cg,cgh,ch->c", batch.parts, covariance[:, 2:-1, 2:-1], batch.parts), 0.0))
        norm = batch.target.norm
        return {
            "rw": np.sqrt(cost / norm) if norm > 0 else np.inf,
            "scale": scale,
            "zoom": p[:, 0],
            "uiso": uiso,
            "delta2": p[:, -1],
            "scale_err": errors[:, 0],
            "zoom_err": errors[:, 1],
            "uiso_err": uiso_error,
            "delta2_err": errors[:, -1],
            "converged": found.converged,
            "at_bounds": [",".join(name for name, at in named if at[row]) for row in range(len(p))],
            "uiso_by_element": batch.groups.by_element(p[:, 1:-1]),
            "uiso_by_element_err": batch.groups.by_element(errors[:, 2:-1]),
        }

    def _freedom(self, batch: _Batch) -> float:
        """Independent points less parameters."""
        return self.n_independent - int("scale" in self.free) - int(batch.moving.sum()) - len(self.terms)

    def _covariance(self, batch: _Batch, found: Minimum, usable: NDArray[np.bool_]) -> Float:
        """(C, 1 + P, 1 + P) covariance of the scale and the parameters from the full Jacobian; NaN where fixed or at a bound.

        Covariance = (JᵀJ)⁻¹ · Σr²/(independent points − parameters). Both sums run over the file's points, so that a finer grid changes nothing.
        """
        freedom = self._freedom(batch)
        full = found.equations.full
        covariance = np.full(full.shape, np.nan)
        if freedom <= 0:
            return covariance
        with_scale = np.column_stack([np.full(len(usable), "scale" in self.free), usable])
        variance = found.equations.cost / freedom
        for pattern in np.unique(with_scale, axis=0):
            chosen, names = np.flatnonzero((with_scale == pattern).all(axis=1)), np.flatnonzero(pattern)
            if len(names):
                inverse = np.linalg.pinv(full[np.ix_(chosen, names, names)], hermitian=True)
                covariance[np.ix_(chosen, names, names)] = inverse * variance[chosen, None, None]
        return covariance


def _most(zoom: Float) -> float:
    """The largest zoom that will be asked for."""
    return float(zoom[:, 1].max()) * (1 + 1e-6)


def _starts(batch: _Batch, begin: Float) -> tuple[NDArray[np.int64], Float]:
    """Where to start from: (K,) candidate and (K, P) parameters; two a candidate where the scan over the zoom leaves two ways open."""
    everyone = np.arange(len(begin))
    if (batch.high[:, 0] <= batch.low[:, 0]).all():
        return everyone, begin
    zooms, costs = _zoom_scan(batch, begin)
    padded = np.pad(costs, ((0, 0), (1, 1)), constant_values=np.inf)
    minima = np.where((costs <= padded[:, :-2]) & (costs <= padded[:, 2:]), costs, np.inf)
    first = np.argmin(minima, axis=1)
    lowest = minima[everyone, first]
    minima[everyone, first] = np.inf
    second = np.argmin(minima, axis=1)
    again = np.flatnonzero(minima[everyone, second] < lowest + _SECOND_START * batch.target.norm)
    owner = np.concatenate([everyone, again])
    starts = begin[owner].copy()
    starts[:, 0] = zooms[owner, np.concatenate([first, second[again]])]
    return owner, starts


def _zoom_scan(batch: _Batch, begin: Float) -> tuple[Float, Float]:
    """Sums of squares over each candidate's range of the zoom, at the U and delta2 to begin with and one U for all atoms.

    Candidates with the same range share the damping and the interpolation of each zoom, which is twice as fast. Where ranges differ, those with the
    same number of steps are evaluated together, each at its own zoom.

    Returns:
        zooms and costs, (C, Z) both; the costs of candidates with fewer steps than others end with infinity.
    """
    low, high = batch.low[:, 0], batch.high[:, 0]
    steps = np.where(high > low, np.maximum(3, np.ceil((high - low) / ZOOM_STEP) + 1), 1).astype(np.int64)
    zooms, costs = np.ones((len(begin), steps.max())), np.full((len(begin), steps.max()), np.inf)
    shared = begin[:, [1, -1]].min(axis=0)  # delta2 begins lower for short distances; one value for all is near enough to choose a zoom by
    one_range = bool((low == low[0]).all() and (high == high[0]).all())
    for count in np.unique(steps).tolist():
        rows = np.flatnonzero(steps == count)
        zooms[rows, :count] = np.linspace(low[rows], high[rows], count, axis=1)
        for column in range(count):
            p = np.column_stack([zooms[rows, column], np.tile(shared, (len(rows), 1))])
            costs[rows, column] = batch.evaluator.costs(batch.index[rows], p[0] if one_range else p)
    return zooms, costs
