"""How well two curves or two clusters agree."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Int64, Numbers, Real


def rw(observed: Real[Numbers, " r"], calculated: Real[Numbers, " r"]) -> float:
    """Rw = √(Σ(Gobs−Gcalc)² / ΣGobs²), all points with equal weight; 0 is perfect, 1 is as good as nothing.

    Args:
        observed: (R,).
        calculated: (R,) on the same grid.

    Returns:
        Dimensionless; infinity when the observed curve is zero everywhere.
    """
    seen = np.asarray(observed, dtype=np.float64)
    norm = float(seen @ seen)
    difference = seen - np.asarray(calculated, dtype=np.float64)
    return math.sqrt(float(difference @ difference) / norm) if norm > 0 else math.inf


def aligned_matched_error(
    a: Real[Numbers, "atoms 3"], b: Real[Numbers, "others 3"], *, starts: int = 60, seed: int = 0
) -> tuple[float, Int64[NDArray[np.int64], " matched"]]:
    """Distance of two clusters after the best shift, rotation or reflection and one-to-one matching of the atoms.

    Iterates assignment and orthogonal Procrustes alignment from principal axes and random rotations; the best of all starts counts.

    Args:
        a: (N, 3) Å.
        b: (N, 3) Å.
        starts: random rotations to try besides the principal axes.
        seed: of the random rotations.

    Returns:
        Mean absolute error per coordinate in Å, and ``permutation`` (N,) so that ``b[permutation]`` matches ``a``. Infinity and an empty array for
        different numbers of atoms.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or not len(x):
        return math.inf, np.zeros(0, dtype=np.int64)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    best, permutation = math.inf, np.arange(len(x))
    for start in _start_rotations(x, y, starts, np.random.default_rng(seed)):
        moved = x @ start
        columns = np.arange(len(x))
        for _ in range(40):
            _, found = linear_sum_assignment(cdist(moved, y, "sqeuclidean"))
            left, _, right = np.linalg.svd(x.T @ y[found])
            moved = x @ (left @ right)
            if np.array_equal(found, columns):
                break
            columns = found
        error = float(np.abs(moved - y[columns]).mean())
        if error < best:
            best, permutation = error, columns
        if best < 1e-9:
            break
    return best, permutation.astype(np.int64)


def _start_rotations(x: NDArray[np.float64], y: NDArray[np.float64], starts: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """The identity, the four proper matches of principal axes and their mirror images, and random ones."""
    axes_x, axes_y = np.linalg.svd(x, full_matrices=True)[2], np.linalg.svd(y, full_matrices=True)[2]
    signs = [np.diag([a, b, c]) for a in (1.0, -1.0) for b in (1.0, -1.0) for c in (1.0, -1.0)]
    principal = [axes_x.T @ sign @ axes_y for sign in signs]
    return [np.eye(3), *principal, *(np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(starts))]
