"""Pair distances of clusters, gathered on a uniform grid of distances without losing accuracy.

A sum over pairs Σ wₖ Φ(dₖ) of any smooth function Φ is replaced by Σ_b H_b Φ(b h): each pair is shared among the six grid points around its
distance with the weights of Lagrange interpolation. This is exact for polynomials of degree five, and the error of a pair is at most

    |wₖ| · max|Φ⁽⁶⁾| h⁶ · (0.5·1.5·2.5)²/720 = 0.00488 |wₖ| max|Φ⁽⁶⁾| h⁶,

for Φ = sin(Qd) thus 0.00488 (Qh)⁶: 1.2e-6 at Qh = 0.25, 1.3e-9 at Qh = 0.08. Afterwards the cost no longer depends on the number of pairs, and
every later step (widths, form factors, zoom) is a function on the grid. Pairs are visited in blocks: memory does not grow with N².
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64, Int64, Positions
from deepstruc_hpc.physics.compiled import compiled
from deepstruc_hpc.physics.threads import run_blocks, run_ranges

COINCIDENT = 1.4901161193847656e-8
"""Å: pairs closer than this are one atom given twice, and are not counted as a pair."""
_PAIRS_PER_TASK = 4_000_000


@compiled
def _spread(  # noqa: PLR0917 - compiled functions take positional arguments
    x: Any, y: Any, z: Any, w: Any, rows: Any, columns: Any, triangle: bool, inv_h: float, hist: Any, d: Any
) -> None:
    """Add the pairs of rows × columns (j > i only when ``triangle``) to one histogram; ``d`` is scratch for distances."""
    last = hist.shape[0] - 6
    for i in range(rows[0], rows[1]):
        begin = i + 1 if triangle else columns[0]
        xi, yi, zi, wi = x[i], y[i], z[i], w[i]
        for low in range(begin, columns[1], d.shape[0]):
            n = min(d.shape[0], columns[1] - low)
            for j in range(n):
                a = x[low + j] - xi
                b = y[low + j] - yi
                c = z[low + j] - zi
                d[j] = np.sqrt(a * a + b * b + c * c)
            for j in range(n):
                if d[j] <= COINCIDENT:
                    continue
                s = d[j] * inv_h
                k = min(max(int(s) - 2, 0), last)
                t = s - (k + 2)
                weight = wi * w[low + j]
                a = t + 2.0
                b = t + 1.0
                e = t - 1.0
                f = t - 2.0
                g = t - 3.0
                ab = a * b * weight
                fg = f * g * weight
                te = t * e
                hist[k] -= b * te * fg * (1.0 / 120.0)
                hist[k + 1] += a * te * fg * (1.0 / 24.0)
                hist[k + 2] -= a * b * e * fg * (1.0 / 12.0)
                hist[k + 3] += a * b * t * fg * (1.0 / 12.0)
                hist[k + 4] -= ab * te * g * (1.0 / 24.0)
                hist[k + 5] += ab * te * f * (1.0 / 120.0)


@compiled
def _spread_many(  # noqa: PLR0917 - compiled functions take positional arguments
    x: Any, y: Any, z: Any, w: Any, starts: Any, first: int, stop: int, n_classes: int, inv_h: float, hist: Any
) -> None:
    """Histograms of structures first..stop; ``starts`` (S, C+1) are the class boundaries in the flat arrays, ``hist`` is (S, P, B)."""
    scratch = np.empty(512)
    rows = np.empty(2, dtype=np.int64)
    columns = np.empty(2, dtype=np.int64)
    for s in range(first, stop):
        pair = 0
        for a in range(n_classes):
            for b in range(a, n_classes):
                rows[0], rows[1] = starts[s, a], starts[s, a + 1]
                columns[0], columns[1] = starts[s, b], starts[s, b + 1]
                _spread(x, y, z, w, rows, columns, a == b, inv_h, hist[s, pair], scratch)
                pair += 1


def pair_count(n_classes: int) -> int:
    """Number of unordered pairs of classes, a ≤ b."""
    return n_classes * (n_classes + 1) // 2


def class_pairs(n_classes: int) -> list[tuple[int, int]]:
    """The pairs (a, b), a ≤ b, in the order of the histograms."""
    return [(a, b) for a in range(n_classes) for b in range(a, n_classes)]


def extent(positions: Positions) -> float:
    """An upper bound of the largest distance in a cluster, Å: twice the radius about the centroid."""
    return 2.0 * float(np.sqrt(_farthest_squared(positions))) if len(positions) else 0.0


@compiled
def _farthest_squared(positions: Any) -> float:
    """The largest squared distance of (N, 3) from their centroid."""
    n = positions.shape[0]
    x, y, z = positions[:, 0].sum() / n, positions[:, 1].sum() / n, positions[:, 2].sum() / n
    farthest = 0.0
    for i in range(n):
        farthest = max(farthest, (positions[i, 0] - x) ** 2 + (positions[i, 1] - y) ** 2 + (positions[i, 2] - z) ** 2)
    return farthest


def pair_histograms(
    positions: Sequence[Float64[NDArray[np.float64], "_ 3"]],
    classes: Sequence[Int64[NDArray[np.int64], " _"]],
    n_classes: int,
    step: float,
    n_bins: int,
    *,
    weights: Sequence[Float64[NDArray[np.float64], " _"]] | None = None,
    threads: int | None = None,
) -> Float64[NDArray[np.float64], "clusters pairs bins"]:
    """Pair-distance histograms of several clusters, split by the classes of the two atoms.

    Args:
        positions: S arrays (Nₛ, 3), Å.
        classes: S arrays (Nₛ,) of class numbers below ``n_classes`` (elements, say).
        n_classes: C.
        step: h in Å; the bound on the error is in the module's text.
        n_bins: B; grid point b stands for the distance b·h. Needs B·h > largest distance + 4h.
        weights: S arrays (Nₛ,): a pair counts wᵢwⱼ (occupancies); 1 where not given.
        threads: at most this many.

    Returns:
        (S, C(C+1)/2, B): each pair i<j once, pairs of classes in the order of :func:`class_pairs`.
    """
    orders = [np.argsort(kind, kind="stable") for kind in classes]
    sizes = np.array([len(part) for part in positions])
    flat = np.concatenate([part[order] for part, order in zip(positions, orders, strict=True)]) if len(positions) else np.zeros((0, 3))
    x, y, z = (np.ascontiguousarray(flat[:, axis]) for axis in range(3))
    if weights is None:
        w = np.ones(len(flat))
    else:
        w = np.concatenate([np.asarray(part, dtype=np.float64)[order] for part, order in zip(weights, orders, strict=True)])
    starts = np.zeros((len(positions), n_classes + 1), dtype=np.int64)
    for index, kind in enumerate(classes):
        starts[index, 1:] = np.cumsum(np.bincount(kind, minlength=n_classes))
    starts += (np.cumsum(sizes) - sizes)[:, None]
    hist = np.zeros((len(positions), pair_count(n_classes), n_bins))
    if len(positions) == 1 and sizes[0] ** 2 > 2 * _PAIRS_PER_TASK:
        _spread_large((x, y, z, w), starts[0], 1.0 / step, hist[0], threads)
    else:
        run_blocks_by_cost(lambda a, b: _spread_many(x, y, z, w, starts, a, b, n_classes, 1.0 / step, hist), sizes.astype(float) ** 2, threads)
    return hist


def run_blocks_by_cost(work: Any, costs: Float64[NDArray[np.float64], " items"], threads: int | None) -> None:
    """Run ``work(start, stop)`` over blocks of about equal summed cost."""
    total = np.concatenate([[0.0], np.cumsum(costs)])
    pieces = run_blocks(lambda a, b: (a, b), 64 if total[-1] > 1e6 else 1, threads=threads)
    wanted = [total[-1] * a / pieces[-1][1] for a, _ in pieces[1:]]
    edges = [0, *np.searchsorted(total, wanted).tolist(), len(costs)]
    run_ranges(work, [(a, b) for a, b in pairwise(edges) if b > a] or [(0, 0)])


def _spread_large(flat: tuple[Any, Any, Any, Any], starts: Any, inv_h: float, hist: Any, threads: int | None) -> None:
    """One large cluster: the rows of each class pair are dealt to the threads, each with a histogram of its own."""
    n_classes = len(starts) - 1
    for pair, (a, b) in enumerate(class_pairs(n_classes)):
        columns = np.array([starts[b], starts[b + 1]])
        n_rows = int(starts[a + 1] - starts[a])
        parts: list[Any] = run_blocks(lambda i, k: (i, k), n_rows, threads=threads) if n_rows else []
        if not parts:
            continue
        if a == b:  # a triangle: equal areas, not equal numbers of rows
            fractions = 1.0 - np.sqrt(1.0 - np.arange(len(parts) + 1) / len(parts))
            edges = np.round(fractions * n_rows).astype(int).tolist()
            parts = list(pairwise(edges))

        def rows_of(i: int, k: int, first: int = int(starts[a]), columns: Any = columns, triangle: bool = a == b) -> Any:
            x, y, z, w = flat
            own = np.zeros(hist.shape[1])
            _spread(x, y, z, w, np.array([first + i, first + k]), columns, triangle, inv_h, own, np.empty(512))
            return own

        hist[pair] += sum(run_ranges(rows_of, parts))
