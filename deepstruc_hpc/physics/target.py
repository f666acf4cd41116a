"""The curve that candidates are fitted to, compressed without loss to as many numbers as it can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.transform import chebyshev_nodes, envelope, quadrature

_RANK_TOLERANCE = 1e-11
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
        norm: Σ of squares of the data.
    """

    q: NDArray[np.float64]
    transform: NDArray[np.float32]
    data: NDArray[np.float64]
    outside: float
    norm: float


def target_of(r: NDArray[np.float64], g: NDArray[np.float64], *, qmin: float, qmax: float, qdamp: float, largest_distance: float) -> Target:
    """Compress a curve.

    Args:
        r: (R,) Å, any grid.
        g: (R,) Å⁻².
        qmin: Å⁻¹.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        largest_distance: of any candidate at its largest zoom, Å.
    """
    reach = _REACH_STEP * math.ceil((largest_distance + float(np.abs(r).max())) / _REACH_STEP)
    q, _ = quadrature(qmin, qmax, reach)
    grid = r.tobytes()
    data = _coordinates(grid, g.tobytes(), qmin, qmax, qdamp)
    norm = float(g @ g)
    return Target(q, _transform(grid, qmin, qmax, qdamp, reach), data, max(norm - float(data @ data), 0.0), norm)


@dataclass(frozen=True, eq=False)
class _Space:
    """An orthonormal basis of all curves on one grid of r, told by those of a few Q from which all others follow by interpolation.

    sin(Qr) as a function of Q on [Qmin, Qmax] is a polynomial to rounding error as soon as the nodes are a little denser than half a period of the
    largest r apart. So the decomposition is made once a curve, and the basis serves whatever quadrature the size of the candidates needs.

    Attributes:
        nodes: (M,) Chebyshev nodes, Å⁻¹.
        sines: (R, M) curves at unit F at the nodes.
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
def _space(r: bytes, qmin: float, qmax: float, qdamp: float) -> _Space:
    grid = np.frombuffer(r)
    half_phase = 0.5 * float(np.abs(grid).max()) * (qmax - qmin)
    nodes = chebyshev_nodes(qmin, qmax, math.ceil(half_phase + 5.0 * half_phase ** (1 / 3)) + 20)
    sines = (2.0 / np.pi) * np.sin(np.outer(grid, nodes)) * envelope(grid, qdamp)[:, None]
    if len(grid) <= len(nodes):
        return _Space(nodes, sines, None, sines.T)
    root = np.sqrt(np.sin(np.pi * (np.arange(len(nodes)) + 0.5) / len(nodes)))  # as if Q were evenly spread
    even = sines * root
    values, vectors = np.linalg.eigh(even.T @ even)
    kept = values > _RANK_TOLERANCE * values[-1]
    singular, right = np.sqrt(values[kept]), vectors[:, kept]
    return _Space(nodes, sines, root[:, None] * right / singular, right * singular / root[:, None])


@lru_cache(maxsize=8)
def _coordinates(r: bytes, g: bytes, qmin: float, qmax: float, qdamp: float) -> NDArray[np.float64]:
    """(K,) the curve g in the basis."""
    space, curve = _space(r, qmin, qmax, qdamp), np.frombuffer(g)
    return curve if space.to_basis is None else (curve @ space.sines) @ space.to_basis


@lru_cache(maxsize=32)
def _transform(r: bytes, qmin: float, qmax: float, qdamp: float, reach: float) -> NDArray[np.float32]:
    q, weights = quadrature(qmin, qmax, reach)
    return np.ascontiguousarray(_space(r, qmin, qmax, qdamp).at(q) * weights[:, None], dtype=np.float32)
