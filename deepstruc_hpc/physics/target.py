"""The curve that candidates are fitted to, compressed without loss to as many numbers as it can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.transform import envelope, quadrature

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
    q, weights = quadrature(qmin, qmax, reach)
    transform, to_basis = _basis(r.tobytes(), q.tobytes(), weights.tobytes(), qdamp)
    data = to_basis @ g
    norm = float(g @ g)
    return Target(q, transform, data, max(norm - float(data @ data), 0.0), norm)


@lru_cache(maxsize=32)
def _basis(r: bytes, q: bytes, weights: bytes, qdamp: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    grid, nodes = np.frombuffer(r), np.frombuffer(q)
    sines = (2.0 / np.pi) * np.sin(np.outer(grid, nodes)) * np.frombuffer(weights) * envelope(grid, qdamp)[:, None]
    if len(grid) <= len(nodes):
        return np.ascontiguousarray(sines.T, dtype=np.float32), np.eye(len(grid))
    values, vectors = np.linalg.eigh(sines.T @ sines)
    kept = values > _RANK_TOLERANCE * values[-1]
    singular, right = np.sqrt(values[kept]), vectors[:, kept]
    return np.ascontiguousarray(right * singular, dtype=np.float32), (right / singular).T @ sines.T
