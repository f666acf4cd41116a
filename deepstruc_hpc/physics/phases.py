"""Several clusters in one curve: each has its own scale, all have one U and one delta2, and the zoom is shared or not.

G(r) = Σ_p s_p G_p(r; zoom_p, U, delta2). Per atom of the sample s_p ∝ x_p ⟨f⟩_p², with x_p the share of atoms in phase p and ⟨f⟩ the mean scattering
factor at Q = 0, so the share of the weight is w_p ∝ s_p M_p/⟨f⟩_p² with M_p the mean atomic mass. For one element this is s_p/Σs.

One U and delta2, because the phases are of one material at one temperature and their peaks lie on top of each other: two of each cannot be told
apart. A zoom each for different types, because strain differs between an icosahedron and a crystal and the peaks' positions show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.evaluator import CompiledEvaluator
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.form_factors import atomic_mass, scattering_factors
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.separable import spectra_of
from deepstruc_hpc.physics.target import target_of

Float = NDArray[np.float64]
UISO_LIMITS = (5e-4, 0.08)
MOST_DELTA2 = 6.0
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance."""
ZOOM_RANGE = 0.03
"""Each zoom moves at most so far from its start."""


@dataclass(frozen=True, eq=False)
class PhaseFit:
    """A fit of several phases.

    Attributes:
        rw: agreement.
        scales: (P,) of each phase, ≥ 0.
        zooms: (P,) of each phase; equal where shared.
        zoom_errors: (P,).
        uiso: Å²; delta2: Å².
        weights: (P,) share of each phase in the weight of the sample.
        weight_errors: (P,) standard uncertainties from the Jacobian with independent points.
        n_parameters: refined ones.
        residual: (K,) data less fit in the basis of the target.
        tangent: (K, n_parameters) orthonormal basis of what the parameters can change.
    """

    rw: float
    scales: Float
    zooms: Float
    zoom_errors: Float
    uiso: float
    delta2: float
    weights: Float
    weight_errors: Float
    n_parameters: int
    residual: Float
    tangent: Float


class PhaseModel:
    """Curves of a pool of clusters in the compressed form of the fit's engine, and fits of several of them together.

    Args:
        structures: the pool, Å.
        curve: the points to fit.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        max_zoom: the largest zoom that will be asked for.
        low_q: Å⁻¹, below which nothing of data and model counts, see :mod:`deepstruc_hpc.physics.target`; 0: all counts.
    """

    def __init__(self, structures: Sequence[Structure], curve: PdfCurve, instrument: Instrument, *, max_zoom: float, low_q: float = 0.0) -> None:
        highest = max_zoom * (1 + ZOOM_RANGE) + 1e-3
        spectra = spectra_of(structures, q_max=instrument.qmax, max_zoom=highest, radiation=instrument.radiation, resolution=instrument.qbroad > 0)
        ranges = {"qmin": instrument.qmin, "qmax": instrument.qmax, "qdamp": instrument.qdamp, "low_q": low_q}
        self.target = target_of(curve.r, curve.g, **ranges, largest_distance=float(spectra.longest.max()) * highest)
        self.evaluator = CompiledEvaluator(spectra, self.target, qbroad=instrument.qbroad, delta1=0.0, free_scale=True)
        self.n_independent = independent_points(float(curve.r[0]), float(curve.r[-1]), max(instrument.qmin, low_q), instrument.qmax)
        self.per_scale = np.array([_weight_per_scale(structure, instrument) for structure in structures])
        self.most_delta2 = min(MOST_DELTA2, SHARPEST * float(spectra.shortest.min()) ** 2)

    def curves(self, index: Any, zoom: Any, uiso: float, delta2: float, *, slopes: bool = False) -> Float64[Float, "clusters rows points"]:
        """Curves at scale 1 in the basis of ``self.target``.

        Args:
            index: (C,) numbers in the pool.
            zoom: (C,).
            uiso: Å².
            delta2: Å².
            slopes: also the derivatives by zoom, uiso and delta2.

        Returns:
            (C, 1 or 4, K).
        """
        rows = np.asarray(index, dtype=np.int64)
        p = np.column_stack([np.asarray(zoom, dtype=np.float64), np.full(len(rows), uiso), np.full(len(rows), delta2)])
        fq = self.evaluator.fq(rows, p, 4 if slopes else 1)
        reduced = fq.reshape(-1, fq.shape[2]) @ self.target.transform
        return np.asarray(reduced.reshape(*fq.shape[:2], -1), dtype=np.float64)

    def fit(self, members: Sequence[int], *, zooms: Sequence[float], uiso: float, delta2: float, shared_zoom: bool) -> PhaseFit:
        """Refine scales, zooms, U and delta2 of several phases.

        Args:
            members: P numbers in the pool.
            zooms: of each, to start from; of a shared zoom the first counts.
            uiso: Å², to start from.
            delta2: Å², to start from.
            shared_zoom: one zoom for all.
        """
        problem = _Problem(self, members, shared_zoom=shared_zoom)
        begin = np.array([*(zooms[:1] if shared_zoom else zooms), uiso, delta2])
        reach = np.full(len(begin) - 2, ZOOM_RANGE)
        low = np.concatenate([begin[:-2] - reach, [UISO_LIMITS[0], 0.0]])
        high = np.concatenate([begin[:-2] + reach, [UISO_LIMITS[1], self.most_delta2]])
        size = np.concatenate([np.full(len(reach), 1e-3), [1e-3, 0.5]])
        begin = np.clip(begin, low + 1e-6, high - 1e-6)
        found = least_squares(problem.residual, begin, jac=problem.jacobian, bounds=(low, high), x_scale=size, xtol=1e-6, ftol=1e-6, max_nfev=30)
        return problem.summary(found.x)


class _Problem:
    """Residuals of several phases with the scales eliminated."""

    def __init__(self, model: PhaseModel, members: Sequence[int], *, shared_zoom: bool) -> None:
        self.model, self.members, self.shared = model, np.asarray(members, dtype=np.int64), shared_zoom
        self.data = model.target.data

    def zooms(self, vector: Float) -> Float:
        return np.full(len(self.members), vector[0]) if self.shared else vector[:-2].copy()

    def parts(self, vector: Float, *, slopes: bool) -> Float:
        return self.model.curves(self.members, self.zooms(vector), float(vector[-2]), float(vector[-1]), slopes=slopes)

    def residual(self, vector: Float) -> Float:
        columns = self.parts(vector, slopes=False)[:, 0].T
        return self.data - columns @ nnls(columns, self.data)[0]

    def jacobian(self, vector: Float) -> Float:
        """Kaufman's form: the derivatives less what the scales can take up."""
        columns, slopes, _ = self.linear(vector)
        own, _ = np.linalg.qr(columns)
        return -(slopes - own @ (own.T @ slopes))

    def linear(self, vector: Float) -> tuple[Float, Float, Float]:
        """Curves of the phases (K, P), derivatives of the sum by the other parameters (K, …), scales (P,)."""
        parts = self.parts(vector, slopes=True)
        columns = parts[:, 0].T
        scales = nnls(columns, self.data)[0]
        weighted = scales[:, None, None] * parts[:, 1:]
        by_zoom = weighted[:, 0].sum(axis=0)[:, None] if self.shared else weighted[:, 0].T
        return columns, np.column_stack([by_zoom, weighted[:, 1].sum(axis=0), weighted[:, 2].sum(axis=0)]), scales

    def summary(self, vector: Float) -> PhaseFit:
        columns, slopes, scales = self.linear(vector)
        left = self.data - columns @ scales
        cost = float(left @ left) + self.model.target.outside
        n, count = len(scales) + len(vector), len(scales)
        covariance = np.full((n, n), np.nan)
        jacobian = np.column_stack([columns, slopes])
        if self.model.n_independent > n:
            covariance = np.linalg.pinv(jacobian.T @ jacobian, hermitian=True) * cost / (self.model.n_independent - n)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        per_scale = self.model.per_scale[self.members]
        total = float((scales * per_scale).sum()) or 1.0
        weights = scales * per_scale / total
        turn = (np.eye(count) - weights[:, None]) * per_scale / total
        errors = np.sqrt(np.maximum(np.diag(turn @ covariance[:count, :count] @ turn.T), 0.0))
        norm = self.model.target.norm
        return PhaseFit(
            rw=math.sqrt(cost / norm) if norm > 0 else math.inf,
            scales=scales,
            zooms=self.zooms(vector),
            zoom_errors=np.full(count, spread[count]) if self.shared else spread[count:-2],
            uiso=float(vector[-2]),
            delta2=float(vector[-1]),
            weights=weights,
            weight_errors=errors,
            n_parameters=n,
            residual=left,
            tangent=np.linalg.qr(jacobian)[0],
        )


class Signal:
    """What curves of clusters look like, and how much a residual looks like it.

    With curves of norm 1 as rows of C = A Σ Vᵀ, C Cᵀ says by how much each direction of V is shared by the curves. A residual ρ of white noise has
    the same power in every direction that the parameters leave free, so that

      c = ρᵀ V Σ Vᵀ ρ / ⟨the same for white noise of that power⟩

    is 1 for noise and more for what a cluster would make: the residual of a cluster is a difference of such curves. Σ, not Σ², so that the few
    directions that all clusters share, which the parameters take up, do not decide alone.

    Args:
        curves: (M, K) of clusters of the kind, in an orthonormal basis in which the noise is white.
    """

    def __init__(self, curves: Float) -> None:
        size = np.linalg.norm(curves, axis=1)
        _, self.strength, self.directions = np.linalg.svd(curves[size > 0] / size[size > 0, None], full_matrices=False)

    def likeness(self, fit: PhaseFit) -> float:
        """How much a fit's residual looks like a cluster, c; 1 for noise. Over simulated fits at the noise it is 0.5 to 1.7."""
        free = 1.0 - np.sum((self.directions @ fit.tangent) ** 2, axis=1)
        each = float(fit.residual @ fit.residual) / max(len(fit.residual) - fit.tangent.shape[1], 1)
        white = each * float(self.strength @ free)
        return float(self.strength @ (self.directions @ fit.residual) ** 2) / white if white > 0 else 1.0


def best_pairs(first: Float64[Float, "first r"], second: Float64[Float, "second r"], data: Float64[Float, " r"]) -> Float64[Float, "first second"]:
    """Agreement of the best sum of every curve of one set with every curve of another, scales ≥ 0.

    Args:
        first: (A, R) at scale 1.
        second: (B, R).
        data: (R,).

    Returns:
        (A, B) Rw; infinite where one of the two would not be positive, or where they are one curve.
    """
    cross, norm = first @ second.T, float(data @ data)
    own = [np.einsum("cr,cr->c", curves, curves) for curves in (first, second)]
    project = [curves @ data for curves in (first, second)]
    product = np.outer(own[0], own[1])
    determinant = product - cross**2
    with np.errstate(divide="ignore", invalid="ignore"):
        one = (project[0][:, None] * own[1][None, :] - project[1][None, :] * cross) / determinant
        other = (project[1][None, :] * own[0][:, None] - project[0][:, None] * cross) / determinant
        found = np.sqrt(np.maximum(1.0 - (one * project[0][:, None] + other * project[1][None, :]) / norm, 0.0))
    return np.where((one > 0) & (other > 0) & (determinant > 1e-6 * product), found, math.inf)


def _weight_per_scale(structure: Structure, instrument: Instrument) -> float:
    """Weight of the phase per unit of its scale: mean atomic mass over ⟨f⟩²."""
    factors = scattering_factors(structure.elements, np.zeros(1), instrument.radiation)[:, 0]
    share = np.array([structure.symbols.count(symbol) for symbol in structure.elements]) / len(structure)
    mass = share @ np.array([atomic_mass(symbol) for symbol in structure.elements])
    return float(mass / (share @ factors) ** 2)
