"""Pair distances of symmetric clusters that grow shell by shell, each within the next: all sizes for the price of the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float32, Int64, Positions
from deepstruc_hpc.physics.compiled import compiled

FINER = 10
"""Distances are counted in bins so many times finer and then shared out, which moves each by at most a twentieth of a bin."""


def nested_histograms(
    positions: Positions, counts: Int64[NDArray[np.int64], " clusters"], multiplicity: Int64[NDArray[np.int64], " atoms"], *, step: float, n_bins: int
) -> Float32[NDArray[np.float32], "clusters bins"]:
    """Pair-distance histograms of clusters that hold the first so many of a list of atoms.

    Bin b stands for the distance b · step. Pairs are shared among the six bins around their distance by Lagrange interpolation, as in
    :mod:`deepstruc_hpc.physics.histogram`; before, distances are rounded to a tenth of a bin: for sin(Qd), with step · Q ≤ 1, an error of a
    pair's curve of up to 0.05 step Q, of either sign.

    Args:
        positions: (N, 3) any unit of length, from the inside out.
        counts: (C,) how many atoms each cluster holds, ascending.
        multiplicity: (N,) for one atom of each orbit of a symmetry, which all clusters have, how many atoms are in the orbit; 0 for the others.
        step: of the bins, same unit.
        n_bins: B; pairs farther apart than (B − 4) · step are left out.

    Returns:
        (C, B) number of pairs, each pair i < j once.
    """
    x, y, z = (np.ascontiguousarray(positions[:, axis], dtype=np.float32) for axis in range(3))
    fine = np.zeros((len(counts), FINER * n_bins), dtype=np.int64)
    edges = np.concatenate([[0], counts]).astype(np.int64)
    limit = np.int32(FINER * (n_bins - 4))
    _count_shells(x, y, z, np.ascontiguousarray(multiplicity, dtype=np.int64), edges, np.float32(FINER / step), limit, fine)
    return _shared_out(np.cumsum(fine, axis=0) / 2.0, n_bins)


@compiled
def _count_shells(x: Any, y: Any, z: Any, multiplicity: Any, edges: Any, inverse: Any, limit: Any, fine: Any) -> None:  # noqa: PLR0917 - compiled
    """Twice the pairs that each shell adds: among its atoms, and with those inside of it."""
    bins = np.empty(edges[-1], dtype=np.int32)
    half = np.float32(0.5)
    for stage in range(len(edges) - 1):
        inside, outside = edges[stage], edges[stage + 1]
        for i in range(inside, outside):
            weight = multiplicity[i]
            if weight == 0:
                continue
            xi, yi, zi = x[i], y[i], z[i]
            for j in range(outside):
                a, b, c = x[j] - xi, y[j] - yi, z[j] - zi
                bins[j] = min(np.int32(np.sqrt(a * a + b * b + c * c) * inverse + half), limit)
            for j in range(inside):
                fine[stage, bins[j]] += 2 * weight
            for j in range(inside, i):
                fine[stage, bins[j]] += weight
            for j in range(i + 1, outside):
                fine[stage, bins[j]] += weight
        fine[stage, limit] = 0


def _shared_out(fine: NDArray[np.float64], n_bins: int) -> NDArray[np.float32]:
    """Fine bins onto coarse ones, by Lagrange interpolation over six."""
    parts = fine.reshape(len(fine), n_bins, FINER)
    found = np.zeros((len(fine), n_bins + 6))
    for place in range(FINER):
        t = place / FINER
        for node in range(-2, 4):
            others = [other for other in range(-2, 4) if other != node]
            weight = float(np.prod([(t - other) / (node - other) for other in others]))
            found[:, 2 + node : 2 + node + n_bins] += weight * parts[:, :, place]
    return found[:, 2 : 2 + n_bins].astype(np.float32)
