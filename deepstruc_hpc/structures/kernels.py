"""Compiled loops of the geometry. Import this module inside functions: numba takes its time to load."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])


def _compiled(function: F) -> F:
    """Cached on disk, the interpreter released while it runs, sums free to be reordered."""
    return cast("F", njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function))


@_compiled
def pair_sums(points: NDArray[np.float64], w: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Sums over the other points of each point, and the shortest distance squared.

    Args:
        points: (N, 3).
        w: (N,) weights.

    Returns:
        (4, N): Σ w d, Σ w/d, Σ w/d³, Σ w d⁴; and min d² (infinite for one point).
    """
    n_points = len(points)
    x, y, z = points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy()
    far, near, nearest, quartic = np.zeros(n_points), np.zeros(n_points), np.zeros(n_points), np.zeros(n_points)
    d1, d2, d3, d4 = np.empty(n_points), np.empty(n_points), np.empty(n_points), np.empty(n_points)
    shortest = 1e300
    for i in range(n_points):
        xi, yi, zi, wi = x[i], y[i], z[i], w[i]
        for j in range(i):
            squared = (xi - x[j]) ** 2 + (yi - y[j]) ** 2 + (zi - z[j]) ** 2
            inverse = 1.0 / np.sqrt(squared)
            d1[j], d2[j], d3[j], d4[j] = squared * inverse, inverse, inverse * inverse * inverse, squared * squared
            shortest = min(shortest, squared)
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for j in range(i):
            a += w[j] * d1[j]
            b += w[j] * d2[j]
            c += w[j] * d3[j]
            d += w[j] * d4[j]
        far[i] += a
        near[i] += b
        nearest[i] += c
        quartic[i] += d
        # One array at a time: each of these loops then runs in vector registers.
        for j in range(i):
            far[j] += wi * d1[j]
        for j in range(i):
            near[j] += wi * d2[j]
        for j in range(i):
            nearest[j] += wi * d3[j]
        for j in range(i):
            quartic[j] += wi * d4[j]
    sums = np.empty((4, n_points))
    sums[0], sums[1], sums[2], sums[3] = far, near, nearest, quartic
    return sums, shortest


@_compiled
def shape_numbers(points: NDArray[np.float64], w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], float]:
    """Root mean square pair distance, ten numbers that depend on the shape alone, and the shortest distance of (N, 3) points with weights (N,).

    The last two of the ten are means over atoms of quickly varying functions of their sums: moments of low order alone leave some homometric
    clusters all but equal.
    """
    n = len(points)
    centred = np.empty((n, 3))
    for axis in range(3):
        centred[:, axis] = points[:, axis] - points[:, axis].sum() / n
    # The mean square pair distance is 2 N/(N − 1) times the mean square distance from the centroid.
    size = np.sqrt(2.0 * (centred * centred).sum() / (n - 1))
    sums, shortest = pair_sums(centred / size, w)
    mean = w.sum() / n
    total = np.zeros(10)
    for i in range(n):
        far, near, nearest = sums[0, i], sums[1, i], sums[2, i]
        total[0] += w[i] * far
        total[1] += w[i] * near
        total[2] += w[i] * far * far
        total[3] += w[i] * near * near
        total[4] += w[i] * near * near * near
        total[5] += w[i] * nearest
        total[6] += w[i] * nearest * nearest
        total[7] += w[i] * sums[3, i] * near
        total[8] += w[i] * np.cos(41.0 * far / (n * mean))
        total[9] += w[i] * np.sin(29.0 * near / (n * mean))
    pairs = n * (n - 1.0)
    shape = np.empty(10)
    shape[0], shape[1] = total[0] / pairs, total[1] / pairs
    shape[2], shape[3] = np.sqrt(total[2] / n) / n, np.sqrt(total[3] / n) / n
    shape[4] = (total[4] / n) ** (1.0 / 3.0) / n
    shape[5], shape[6] = np.log(total[5] / pairs), np.log(total[6] / pairs)
    shape[7] = total[7] / pairs / n
    shape[8], shape[9] = total[8] / n, total[9] / n
    return size, shape / mean, size * np.sqrt(shortest)


@_compiled
def nearest_squared(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) squared distance of each of (N, 3) points to its nearest one; infinite for a single point."""
    n_points = len(points)
    x, y, z = points[:, 0].copy(), points[:, 1].copy(), points[:, 2].copy()
    found = np.empty(n_points)
    for i in range(n_points):
        xi, yi, zi = x[i], y[i], z[i]
        best = 1e300
        for j in range(i):
            best = min(best, (xi - x[j]) ** 2 + (yi - y[j]) ** 2 + (zi - z[j]) ** 2)
        for j in range(i + 1, n_points):
            best = min(best, (xi - x[j]) ** 2 + (yi - y[j]) ** 2 + (zi - z[j]) ** 2)
        found[i] = best
    return found


@_compiled
def spherical_keys(points: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """(3, N) azimuth (0 to 2π), polar angle and distance from the origin of (N, 3) points, in units of 1/scale and rounded to whole ones.

    Coordinates are rounded to 1e-9 first: a point next to an axis lies on it.
    """
    keys = np.empty((3, len(points)))
    for i in range(len(points)):
        x, y, z = np.rint(points[i, 0] * 1e9) * 1e-9, np.rint(points[i, 1] * 1e9) * 1e-9, np.rint(points[i, 2] * 1e9) * 1e-9
        radius = np.sqrt(x * x + y * y + z * z)
        azimuth = np.arctan2(y, x) if x != 0.0 or y != 0.0 else 0.0
        if azimuth < -0.5 / scale:
            azimuth += 2.0 * np.pi
        polar = np.arccos(min(max(z / radius, -1.0), 1.0)) if radius > 0.0 else np.pi / 2
        keys[0, i], keys[1, i], keys[2, i] = np.rint(azimuth * scale), np.rint(polar * scale), np.rint(radius * scale)
    return keys


@_compiled
def moment_ratios(points: NDArray[np.float64]) -> tuple[float, float]:
    """Of (N, 3) points about their centroid: N Σ|x|⁴ / (Σ|x|²)², and the sum of squares of the gyration tensor's entries over its trace's square."""
    n_points = len(points)
    cx, cy, cz = points[:, 0].sum() / n_points, points[:, 1].sum() / n_points, points[:, 2].sum() / n_points
    xx, yy, zz, xy, xz, yz, quartic = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n_points):
        x, y, z = points[i, 0] - cx, points[i, 1] - cy, points[i, 2] - cz
        square = x * x + y * y + z * z
        xx += x * x
        yy += y * y
        zz += z * z
        xy += x * y
        xz += x * z
        yz += y * z
        quartic += square * square
    trace = xx + yy + zz
    if trace == 0.0:
        trace = 1.0
    second = xx * xx + yy * yy + zz * zz + 2.0 * (xy * xy + xz * xz + yz * yz)
    return quartic * n_points / trace**2, second / trace**2


@_compiled
def without_loose(indptr: NDArray[np.int32], indices: NDArray[np.int32], members: NDArray[np.int64], fewest: int) -> NDArray[np.bool_]:
    """Which members stay when those with too few neighbours among the members go, and then those that lose theirs, to the end.

    Args:
        indptr: (S + 1,) of the sites' lists of neighbours.
        indices: neighbours of all sites, one after the other.
        members: (M,) the sites that are filled.
        fewest: neighbours that a member needs.

    Returns:
        (M,).
    """
    filled = np.zeros(len(indptr) - 1, dtype=np.bool_)
    count = np.zeros(len(indptr) - 1, dtype=np.int32)
    stack = np.empty(len(members), dtype=np.int64)
    for site in members:
        filled[site] = True
    for site in members:
        for place in range(indptr[site], indptr[site + 1]):
            count[site] += filled[indices[place]]
    top = 0
    for site in members:
        if count[site] < fewest:
            filled[site] = False
            stack[top] = site
            top += 1
    while top > 0:
        top -= 1
        site = stack[top]
        for place in range(indptr[site], indptr[site + 1]):
            other = indices[place]
            if filled[other]:
                count[other] -= 1
                if count[other] < fewest:
                    filled[other] = False
                    stack[top] = other
                    top += 1
    return filled[members]
