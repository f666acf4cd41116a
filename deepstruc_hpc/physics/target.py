"""The curve that candidates are fitted to, compressed without loss to as many numbers as it can hold.

A measured G(r) has no trustworthy content at low Q, whatever Qmin its header names: small-angle scattering lies below the range of the detector or
is cut off with the background, so the curve lacks what makes the line −4πrρ₀γ₀(r), or has a slope or a wave there (Farrow & Billinge, Acta Cryst.
A65 (2009) 232). With ``low_q`` all curves that Q below it can make are taken out of data and model alike, by projection, so that neither the
header's Qmin nor anything below ``low_q`` changes a fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.transform import chebyshev_nodes, envelope, quadrature

_RANK_TOLERANCE = 1e-11
_LOW_Q_TOLERANCE = 1e-10
"""Singular values of the low-Q curves over the largest one, from which they are taken out. What stays of a low-Q curve is at most about this part
of it. From 2 to 30 Å below 1.2 Å⁻¹, where (rmax − rmin) low/π is 10.7, 1e-4 takes 16 numbers out of some 220, 1e-10 takes 21. The further ones are
waves of up to about 2 Å⁻¹ at the ends of the range: a lone wave of 2 Å⁻¹ over all of it loses 10 % of its power at 1e-4 and 26 % at 1e-10. The curve
of a sphere of CeO2 of 20 Å loses 0.4 and 1.3 %, its difference from one of 21 Å 0.4 and 0.5 % (tests/physics/test_low_q.py)."""
_REACH_STEP = 4.0
"""Å: distances are rounded up to multiples of it, so that groups of about the same size share a basis."""


@dataclass(frozen=True, eq=False)
class Target:
    """Data in an orthonormal basis of all curves that F(Q) on [Qmin, Qmax] can make on the data's own grid.

    G = S F with S (R, Q). With S = U Σ Vᵀ, |y − S F|² = |Uᵀy − ΣVᵀ F|² + what lies outside U, exactly, on the file's own points; and the rank
    is about the number of independent points plus a few, whatever the step of the file.

    Attributes:
        q: (Q,) nodes of the quadrature, Å⁻¹.
        transform: (Q, K) float32: F → curve in the basis.
        data: (K,) the data in the basis.
        outside: Σ of squares of the data outside the basis.
        norm: Σ of squares of the data, without its low-Q part where that is taken out.
    """

    q: NDArray[np.float64]
    transform: NDArray[np.float32]
    data: NDArray[np.float64]
    outside: float
    norm: float

    def without(self, curves: Float64[NDArray[np.float64], "terms q"]) -> Target:
        """With all sums of some further curves taken out of data and model, by projection: their amplitudes are then eliminated in every fit.

        ``norm`` stays, so that Rw is that of model and further curves together.

        Args:
            curves: (T, Q) F(Q) of each at ``q``.
        """
        if not len(curves):
            return self
        basis = np.linalg.qr((curves @ self.transform.astype(np.float64)).T)[0]
        inside = self.transform - ((self.transform @ basis) @ basis.T).astype(np.float32)
        return replace(self, transform=np.ascontiguousarray(inside, dtype=np.float32), data=self.data - basis @ (basis.T @ self.data))


def check_low_q(low_q: float, qmax: float) -> None:
    """Raise where nothing would be left.

    Raises:
        ConfigError: ``low_q`` is negative, not finite, or not below Qmax.
    """
    if not 0 <= low_q < qmax:
        raise ConfigError(f"low_q = {low_q:g} and Qmax = {qmax:g} Å⁻¹: 0 ≤ low_q < Qmax is needed; 0 takes nothing out.")


def target_of(
    r: Float64[NDArray[np.float64], " r"],
    g: Float64[NDArray[np.float64], " r"],
    *,
    qmin: float,
    qmax: float,
    qdamp: float,
    largest_distance: float,
    low_q: float = 0.0,
) -> Target:
    """Compress a curve.

    With ``low_q`` > 0 and low = max(Qmin, low_q), let N be an orthonormal basis of all ∫₀^low a(Q) sin(Qr) dQ · exp(−(Qdamp r)²/2) on the points.
    Data and model are multiplied by 1 − NNᵀ. What a model has below ``low`` lies in N, so its integral begins there, whatever Qmin is.

    Args:
        r: (R,) Å, any grid.
        g: (R,) Å⁻².
        qmin: Å⁻¹.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        largest_distance: of any candidate at its largest zoom, Å.
        low_q: Å⁻¹, below which nothing of data and model counts; 0: all counts.

    Raises:
        ConfigError: ``low_q`` is not below Qmax.
    """
    check_low_q(low_q, qmax)
    reach = _REACH_STEP * math.ceil((largest_distance + float(np.abs(r).max())) / _REACH_STEP)
    band = _Band(max(qmin, low_q), qmax, qdamp, low_q > 0)
    q, _ = quadrature(band.first, qmax, reach)
    grid = r.tobytes()
    left = g - low_q_part(r, g, qmin=qmin, qdamp=qdamp, low_q=low_q) if band.projected else g
    data = _coordinates(grid, left.tobytes(), band)
    norm = float(left @ left)
    return Target(q, _transform(grid, band, reach), data, max(norm - float(data @ data), 0.0), norm)


def low_q_part(
    r: Float64[NDArray[np.float64], " r"], residual: Float64[NDArray[np.float64], " r *columns"], *, qmin: float, qdamp: float, low_q: float
) -> Float64[NDArray[np.float64], " r *columns"]:
    """The component of a curve that can be made of Q below max(Qmin, low_q): what :func:`target_of` takes out.

    Args:
        r: (R,) Å, the points of the fit and no others.
        residual: (R,) Å⁻², or (R, T) for T curves at once.
        qmin: Å⁻¹.
        qdamp: Å⁻¹.
        low_q: Å⁻¹; 0 takes nothing out.

    Returns:
        NNᵀ residual, of its shape, Å⁻².
    """
    if low_q <= 0:
        return np.zeros(len(r))
    basis = _low_q_basis(r.tobytes(), max(qmin, low_q), qdamp)
    return np.asarray(basis @ (basis.T @ residual))


@lru_cache(maxsize=8)
def _low_q_basis(r: bytes, low: float, qdamp: float) -> NDArray[np.float64]:
    """(R, D) orthonormal basis of the damped sines of Q in [0, low]; D is about rmax low/π plus a few, see ``_LOW_Q_TOLERANCE``."""
    grid = np.frombuffer(r)
    half_phase = 0.5 * float(np.abs(grid).max()) * low
    unit, weights = np.polynomial.legendre.leggauss(_node_count(half_phase))
    sines = np.sin(np.outer(grid, 0.5 * low * (1.0 + unit))) * envelope(grid, qdamp)[:, None]
    left, singular, _ = np.linalg.svd(sines * np.sqrt(weights), full_matrices=False)
    return np.ascontiguousarray(left[:, singular > _LOW_Q_TOLERANCE * singular[0]])


def _node_count(half_phase: float) -> int:
    """Nodes on an interval of Q at which sin(Qr) is known to rounding error, for half the phase that the largest r turns through in it."""
    return math.ceil(half_phase + 5.0 * float(np.cbrt(half_phase))) + 20


class _Band(NamedTuple):
    """The Q that count, first to qmax, Å⁻¹; Qdamp, Å⁻¹; and whether what lies below is projected out."""

    first: float
    qmax: float
    qdamp: float
    projected: bool


@dataclass(frozen=True, eq=False)
class _Space:
    """An orthonormal basis of all curves on one grid of r, told by those of a few Q from which all others follow by interpolation.

    sin(Qr) as a function of Q on [Qmin, Qmax] is a polynomial to rounding error as soon as the nodes are a little denser than half a period of the
    largest r apart. So the decomposition is made once a curve, and the basis serves whatever quadrature the size of the candidates needs.

    Attributes:
        nodes: (M,) Chebyshev nodes, Å⁻¹.
        sines: (R, M) curves at unit F at the nodes, without their low-Q part where that is taken out.
        to_basis: (M, K) the basis is ``sines @ to_basis``; None where it is the points themselves (K = R).
        curves: (M, K) the curves of the nodes in the basis.
    """

    nodes: NDArray[np.float64]
    sines: NDArray[np.float64]
    to_basis: NDArray[np.float64] | None
    curves: NDArray[np.float64]

    def at(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """(Q, K) the curves of other Q in the basis, by barycentric interpolation."""
        angle = np.pi * (np.arange(len(self.nodes)) + 0.5) / len(self.nodes)
        away = q[:, None] - self.nodes
        away[away == 0] = 1e-300
        share = np.sin(angle) * (-1.0) ** np.arange(len(self.nodes)) / away
        return np.asarray((share @ self.curves) / share.sum(axis=1)[:, None])


@lru_cache(maxsize=8)
def _space(r: bytes, band: _Band) -> _Space:
    grid = np.frombuffer(r)
    half_phase = 0.5 * float(np.abs(grid).max()) * (band.qmax - band.first)
    nodes = chebyshev_nodes(band.first, band.qmax, _node_count(half_phase))
    sines = (2.0 / np.pi) * np.sin(np.outer(grid, nodes)) * envelope(grid, band.qdamp)[:, None]
    if band.projected:
        below = _low_q_basis(r, band.first, band.qdamp)
        sines -= below @ (below.T @ sines)
    if len(grid) <= len(nodes):
        return _Space(nodes, sines, None, sines.T)
    root = np.sqrt(np.sin(np.pi * (np.arange(len(nodes)) + 0.5) / len(nodes)))  # as if Q were evenly spread
    even = sines * root
    values, vectors = np.linalg.eigh(even.T @ even)
    kept = values > _RANK_TOLERANCE * values[-1]
    singular, right = np.sqrt(values[kept]), vectors[:, kept]
    return _Space(nodes, sines, root[:, None] * right / singular, right * singular / root[:, None])


@lru_cache(maxsize=8)
def _coordinates(r: bytes, g: bytes, band: _Band) -> NDArray[np.float64]:
    """(K,) the curve g in the basis."""
    space, curve = _space(r, band), np.frombuffer(g)
    return curve if space.to_basis is None else (curve @ space.sines) @ space.to_basis


@lru_cache(maxsize=32)
def _transform(r: bytes, band: _Band, reach: float) -> NDArray[np.float32]:
    q, weights = quadrature(band.first, band.qmax, reach)
    return np.ascontiguousarray(_space(r, band).at(q) * weights[:, None], dtype=np.float32)
