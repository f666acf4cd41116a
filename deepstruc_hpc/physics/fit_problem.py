"""One curve, the conditions of its fit, and how a group of candidates is refined under them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.agreement import independent_points
from deepstruc_hpc.physics.evaluator import CompiledEvaluator, Evaluator
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.levenberg import Float, Minimum, minimise
from deepstruc_hpc.physics.screening import impossible_distances
from deepstruc_hpc.physics.separable import Spectra, spectra_of
from deepstruc_hpc.physics.target import Target, target_of

PARAMETERS = ("zoom", "uiso", "delta2")
BOUNDS: Mapping[str, tuple[float, float]] = {"zoom": (0.9, 1.1), "uiso": (5e-4, 0.08), "delta2": (0.0, 6.0)}
START: Mapping[str, float] = {"zoom": 1.0, "uiso": 0.008, "delta2": 2.0}
FIXED: Mapping[str, float] = {"zoom": 1.0, "uiso": 0.005, "delta2": 0.0}
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance, so that no width is clamped."""
_ZOOM_STEP = 0.0125
_SECOND_START = 0.1


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
        threads: at most this many.
        device: a torch device, or None for compiled code on the CPU.
    """

    data: PdfCurve
    instrument: Instrument
    delta1: float = 0.0
    free: frozenset[str] = frozenset({"scale", *PARAMETERS})
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    threads: int | None = None
    device: str | None = None

    @property
    def n_independent(self) -> float:
        """Independent points of the data in the range."""
        return independent_points(float(self.data.r[0]), float(self.data.r[-1]), self.instrument.qmin, self.instrument.qmax)

    def limits(self, name: str) -> tuple[float, float]:
        """Lower and upper bound of a parameter; equal where it is fixed."""
        if name not in self.free:
            kept = self.start.get(name, FIXED[name])
            return kept, kept
        return self.bounds.get(name, BOUNDS[name])

    def fit_group(self, structures: list[Structure], rows: NDArray[np.int64], table: FitTable) -> None:
        """Fit clusters of the same elements and about the same size, and write their rows of the table."""
        instrument = self.instrument
        max_zoom = self.limits("zoom")[1] * (1 + 1e-6)
        spectra = spectra_of(
            structures,
            q_max=instrument.qmax,
            max_zoom=max_zoom,
            radiation=instrument.radiation,
            resolution=instrument.qbroad > 0 or self.delta1 != 0,
            threads=self.threads,
        )
        reasons = impossible_distances(spectra)
        table.put(rows, {"refused": reasons})
        good = np.flatnonzero(reasons == "")
        if len(good):
            reach = float(spectra.longest.max()) * max_zoom
            ranges = {"qmin": instrument.qmin, "qmax": instrument.qmax, "qdamp": instrument.qdamp}
            target = target_of(self.data.r, self.data.g, **ranges, largest_distance=reach)
            table.put(rows[good], self._refine(self._evaluator(spectra, target), good, spectra.shortest[good].min(axis=1), target))

    def _evaluator(self, spectra: Spectra, target: Target) -> Evaluator:
        settings: dict[str, Any] = {"qbroad": self.instrument.qbroad, "delta1": self.delta1, "free_scale": "scale" in self.free}
        if self.device is None:
            return CompiledEvaluator(spectra, target, **settings, threads=self.threads)
        from deepstruc_hpc.physics.torch_evaluator import TorchEvaluator

        engine: Evaluator = TorchEvaluator(spectra, target, **settings, device=self.device)
        return engine

    def _refine(self, evaluator: Evaluator, good: NDArray[np.int64], shortest: Float, target: Target) -> dict[str, Any]:
        limits = np.array([self.limits(name) for name in PARAMETERS])
        low, high = (np.tile(limits[:, side], (len(good), 1)) for side in (0, 1))
        if "delta2" in self.free:
            high[:, 2] = np.minimum(high[:, 2], SHARPEST * (shortest * low[:, 0]) ** 2)
            low[:, 2] = np.minimum(low[:, 2], high[:, 2])
        begin = np.clip(np.array([self.start.get(name, START[name]) for name in PARAMETERS]), low, high)
        owner, starts = self._starts(evaluator, good, begin, target)
        moving = np.array([name in self.free for name in PARAMETERS])
        found = minimise(lambda part, p: evaluator.equations(good[owner[part]], p), starts, low[owner], high[owner], free=moving)
        order = np.lexsort((found.equations.cost, owner))
        best = order[np.unique(owner[order], return_index=True)[1]]
        return self._summary(found.take(best), target, low, high)

    def _starts(self, evaluator: Evaluator, good: NDArray[np.int64], begin: Float, target: Target) -> tuple[NDArray[np.int64], Float]:
        """Where to start from: (K,) candidate and (K, 3) parameters; two a candidate where the scan over the zoom leaves two ways open."""
        everyone = np.arange(len(good))
        low, high = self.limits("zoom")
        if high <= low:
            return everyone, begin
        zooms = np.linspace(low, high, max(3, math.ceil((high - low) / _ZOOM_STEP) + 1))
        costs = np.empty((len(good), len(zooms)))
        shared = begin[:, 1:].min(axis=0)  # delta2 begins lower for short distances; one value for all is near enough to choose a zoom by
        for index, zoom in enumerate(zooms):
            costs[:, index] = evaluator.costs(good, np.array([zoom, *shared]))
        padded = np.pad(costs, ((0, 0), (1, 1)), constant_values=np.inf)
        minima = np.where((costs <= padded[:, :-2]) & (costs <= padded[:, 2:]), costs, np.inf)
        first = np.argmin(minima, axis=1)
        lowest = minima[everyone, first]
        minima[everyone, first] = np.inf
        second = np.argmin(minima, axis=1)
        again = np.flatnonzero(minima[everyone, second] < lowest + _SECOND_START * target.norm)
        owner = np.concatenate([everyone, again])
        starts = begin[owner].copy()
        starts[:, 0] = zooms[np.concatenate([first, second[again]])]
        return owner, starts

    def _summary(self, found: Minimum, target: Target, low: Float, high: Float) -> dict[str, Any]:
        p, cost, scale = found.parameters, found.equations.cost, found.equations.scale
        moving = np.array([name in self.free for name in PARAMETERS])
        edge = 1e-6 * np.maximum(high - low, 1e-12)
        touching = moving & ((p <= low + edge) | (p >= high - edge))
        errors = self._errors(found, moving & ~touching)
        named = [("scale", scale <= 0), *((name, touching[:, column]) for column, name in enumerate(PARAMETERS))]
        return {
            "rw": np.sqrt(cost / target.norm) if target.norm > 0 else np.inf,
            "scale": scale,
            "zoom": p[:, 0],
            "uiso": p[:, 1],
            "delta2": p[:, 2],
            "scale_err": errors[:, 0],
            "zoom_err": errors[:, 1],
            "uiso_err": errors[:, 2],
            "delta2_err": errors[:, 3],
            "converged": found.converged,
            "at_bounds": [",".join(name for name, at in named if at[row]) for row in range(len(p))],
        }

    def _errors(self, found: Minimum, usable: NDArray[np.bool_]) -> Float:
        """(C, 4) standard uncertainties of scale, zoom, uiso, delta2 from the full Jacobian; NaN where fixed or at a bound.

        Covariance = (JᵀJ)⁻¹ · Σr²/(independent points − parameters). Both sums run over the file's points, so that a finer grid changes nothing.
        """
        freedom = self.n_independent - len(self.free)
        errors = np.full((len(usable), 4), np.nan)
        if freedom <= 0:
            return errors
        with_scale = np.column_stack([np.full(len(usable), "scale" in self.free), usable])
        full = found.equations.full
        variance = found.equations.cost / freedom
        for pattern in np.unique(with_scale, axis=0):
            chosen, names = np.flatnonzero((with_scale == pattern).all(axis=1)), np.flatnonzero(pattern)
            if len(names):
                inverse = np.linalg.pinv(full[np.ix_(chosen, names, names)], hermitian=True)
                errors[np.ix_(chosen, names)] = np.sqrt(np.maximum(np.einsum("cii->ci", inverse), 0.0) * variance[chosen, None])
        return errors
