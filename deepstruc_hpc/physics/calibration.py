"""Qdamp and Qbroad from the curve of a known crystal: least squares over lattice, scale, U, delta2 and the resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.bulk import BulkCurve, BulkDistances
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.transform import envelope

Float = NDArray[np.float64]
ZOOM_LIMITS = (0.97, 1.03)
START = {"uiso": 0.006, "delta2": 2.0, "qdamp": 0.04, "qbroad": 0.01}
BOUNDS = {"uiso": (5e-4, 0.1), "qdamp": (0.0, 0.3), "qbroad": (0.0, 0.2)}
_ZOOMS = 25
_ZOOM_DIFFERENCE = 1e-6
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance."""
_STEPS = {"zoom": 1e-3, "scale": 0.1, "uiso": 1e-3, "delta2": 0.5, "qdamp": 5e-3, "qbroad": 5e-3}
"""Sizes at which a change of each parameter matters; they only condition the search."""
OnStep = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class CalibrationFit:
    """What a calibration found.

    Attributes:
        values: scale, zoom, one ``uiso_<element>`` an element (Å²), delta2 (Å²), qdamp (Å⁻¹), qbroad (Å⁻¹).
        errors: standard uncertainties of the same names from the Jacobian with independent points; NaN at a bound.
        at_bounds: names of parameters that ended at a bound.
        rw: agreement over the points used.
        n_points: points of the grid; n_independent: Δr·ΔQ/π.
        calculated: (R,) Å⁻².
        evaluations: of the curve.
        converged: whether the minimum was reached.
    """

    values: Mapping[str, float]
    errors: Mapping[str, float]
    at_bounds: tuple[str, ...]
    rw: float
    n_points: int
    n_independent: float
    calculated: Float
    evaluations: int
    converged: bool


def fit_calibrant(distances: BulkDistances, data: PdfCurve, instrument: Instrument, *, on_step: OnStep | None = None) -> CalibrationFit:
    """Fit a crystal to its measured curve.

    Args:
        distances: of the crystal, with a reach of at least ``needed_reach`` of the last r.
        data: the points to fit.
        instrument: radiation, Qmin and Qmax of the transform; Qdamp and Qbroad are refined.
        on_step: called with the number of evaluations so far and the Rw of the last one.

    Returns:
        Values and uncertainties. Covariance = (JᵀJ)⁻¹ · Σr²/(independent points − parameters); a finer grid changes nothing.

    Raises:
        PdfFileError: fewer independent points than parameters, or a curve of zeros.
    """
    problem = _Problem(distances, data, instrument, on_step)
    if problem.freedom <= 0 or not problem.norm > 0:
        raise PdfFileError(
            f"{data.source}: {problem.n_independent:.0f} independent points for {len(problem.names)} parameters. "
            "Fit a longer range of r (--rmin, --rmax)."
        )
    low, high = problem.limits()
    begin = np.clip(problem.start(), low, high)
    scale = np.array([_STEPS[name.partition("_")[0]] for name in problem.names])
    found = least_squares(
        problem.residual, begin, jac=problem.jacobian, bounds=(low, high), x_scale=scale, xtol=1e-9, ftol=1e-10, gtol=1e-12, max_nfev=60
    )
    edge = 1e-5 * np.where(np.isfinite(high), high - low, 0.0)
    stuck = (found.x <= low + edge) | (found.x >= high - edge)
    errors = np.full(len(found.x), np.nan)
    free = ~stuck
    jacobian = np.asarray(found.jac)[:, free]
    variance = np.diag(np.linalg.pinv(jacobian.T @ jacobian, hermitian=True)) * 2.0 * float(found.cost) / problem.freedom
    errors[free] = np.sqrt(np.maximum(variance, 0.0))
    calculated = data.g - found.fun
    return CalibrationFit(
        values=dict(zip(problem.names, map(float, found.x), strict=True)),
        errors=dict(zip(problem.names, map(float, errors), strict=True)),
        at_bounds=tuple(name for name, at in zip(problem.names, stuck, strict=True) if at),
        rw=rw(data.g, calculated),
        n_points=len(data),
        n_independent=problem.n_independent,
        calculated=calculated,
        evaluations=problem.evaluations,
        converged=bool(found.status > 0),
    )


class _Problem:
    """The residual as a function of a vector of parameters."""

    def __init__(self, distances: BulkDistances, data: PdfCurve, instrument: Instrument, on_step: OnStep | None) -> None:
        self.curve = BulkCurve(distances, data.r, instrument)
        self.data, self.on_step, self.evaluations = data, on_step, 0
        self.sharpest = SHARPEST * (distances.shortest * ZOOM_LIMITS[0]) ** 2
        self.uiso = tuple(f"uiso_{symbol}" for symbol in distances.elements)
        self.names = ("scale", "zoom", *self.uiso, "delta2", "qdamp", "qbroad")
        self.norm = float(data.g @ data.g)
        self.n_independent = independent_points(float(data.r[0]), float(data.r[-1]), instrument.qmin, instrument.qmax)
        self.freedom = self.n_independent - len(self.names)

    def limits(self) -> tuple[Float, Float]:
        bounds = {"scale": (0.0, np.inf), "zoom": ZOOM_LIMITS, "delta2": (0.0, self.sharpest), **BOUNDS}
        pairs = np.array([bounds[name.partition("_")[0]] for name in self.names])
        return pairs[:, 0], pairs[:, 1]

    def start(self) -> Float:
        """The zoom that a scan finds best at the other parameters' usual values, with its best scale."""
        usual = np.array([START.get(name.partition("_")[0], 1.0) for name in self.names])
        best = (np.inf, usual)
        for zoom in np.linspace(*ZOOM_LIMITS, _ZOOMS):
            trial = usual.copy()
            trial[1] = zoom
            curve = self._unit(trial)
            trial[0] = max(float(curve @ self.data.g) / max(float(curve @ curve), 1e-300), 1e-9)
            left = self.data.g - trial[0] * curve
            best = min(best, (float(left @ left), trial), key=lambda pair: pair[0])
            self._tell(left)
        return best[1]

    def residual(self, vector: Float) -> Float:
        """Gobs − Gcalc, Å⁻²."""
        left: Float = self.data.g - vector[0] * self._unit(vector)
        self._tell(left)
        return left

    def jacobian(self, vector: Float) -> Float:
        """(R, parameters): derivatives of the residual; that by the zoom as a difference, the others exactly."""
        p = dict(zip(self.names, vector, strict=True))
        curve = self._unit(vector)
        moved = vector.copy()
        moved[1] += _ZOOM_DIFFERENCE
        uiso = np.array([p[name] for name in self.uiso])
        slopes = self.curve.slopes(uiso=uiso, zoom=p["zoom"], delta2=p["delta2"], qbroad=p["qbroad"]) * envelope(self.data.r, p["qdamp"])
        by_zoom = (self._unit(moved) - curve) / _ZOOM_DIFFERENCE
        by_qdamp = -p["qdamp"] * self.data.r**2 * curve
        rows = [curve, *(p["scale"] * row for row in (by_zoom, *slopes[:-1], by_qdamp, slopes[-1]))]
        return -np.stack(rows, axis=1)

    def _unit(self, vector: Float) -> Float:
        """G(r) at scale 1."""
        p = dict(zip(self.names, map(float, vector), strict=True))
        self.evaluations += 1
        return self.curve(uiso=np.array([p[name] for name in self.uiso]), **{name: p[name] for name in ("zoom", "delta2", "qdamp", "qbroad")})

    def _tell(self, left: Float) -> None:
        if self.on_step is not None:
            self.on_step(self.evaluations, math.sqrt(float(left @ left) / self.norm))
