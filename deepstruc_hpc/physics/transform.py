"""F(Q) ↔ G(r): sine sums over uniform grids and an exact quadrature over Q."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64

Float = NDArray[np.float64]


@lru_cache(maxsize=32)
def _panel(n: int) -> tuple[Float, Float]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return nodes, weights


@lru_cache(maxsize=64)
def _quadrature(qmin: float, qmax: float, reach: float) -> tuple[Float, Float]:
    half_phase = 0.5 * reach * (qmax - qmin)
    panels = max(1, math.ceil(half_phase / 400.0))
    k = half_phase / panels
    nodes, weights = _panel(8 * math.ceil((0.5 * k + 3.0 * k ** (1 / 3) + 8) / 8))
    edges = np.linspace(qmin, qmax, panels + 1)
    half = 0.5 * np.diff(edges)[:, None]
    middle = 0.5 * (edges[1:] + edges[:-1])[:, None]
    q, w = (middle + half * nodes).ravel(), (half * weights + 0 * middle).ravel()
    q.setflags(write=False)
    w.setflags(write=False)
    return q, w


def quadrature(qmin: float, qmax: float, reach: float) -> tuple[Float64[Float, " q"], Float64[Float, " q"]]:
    """Nodes and weights that integrate F(Q) sin(Qr) over [Qmin, Qmax] to rounding error.

    Gauss–Legendre panels with slightly more than two nodes a period of the fastest oscillation, cos(Q·reach).

    Args:
        qmin: Å⁻¹.
        qmax: Å⁻¹.
        reach: largest distance in the cluster plus largest r, Å.

    Returns:
        (Q,) Å⁻¹ and (Q,) Å⁻¹; read-only, the same arrays for nearly equal reaches.
    """
    return _quadrature(float(qmin), float(qmax), 2.0 ** (math.ceil(8 * math.log2(max(reach, 4.0))) / 8))


@lru_cache(maxsize=32)
def _trig_tables(key: bytes, start: float, step: float, coarse: int, fine: int) -> tuple[Float, Float]:
    q = np.frombuffer(key)
    phase_fine = np.outer(np.arange(fine) * step, q)
    phase_coarse = np.outer(start + np.arange(coarse) * (step * fine), q)
    return np.hstack([np.cos(phase_fine), np.sin(phase_fine)]), np.hstack([np.sin(phase_coarse), np.cos(phase_coarse)])


def _tables(q: Float, start: float, step: float, count: int) -> tuple[Float, Float, int, int]:
    fine = max(1, math.isqrt(count - 1) + 1)
    coarse = -(-count // fine)
    key = np.ascontiguousarray(q, dtype=np.float64).tobytes()
    return (*_trig_tables(key, float(start), float(step), coarse, fine), coarse, fine)


def sine_sums(values: Float64[Float, "*rows bins"], start: float, step: float, q: Float64[Float, " q"]) -> Float64[Float, "*rows q"]:
    """Σ_b values[…, b] sin(q (start + b·step)) at any q.

    The grid is cut into √B blocks; inside a block sin(q(x+y)) = sin qx cos qy + cos qx sin qy, so that only 2√B·Q sines are evaluated and the rest
    is a matrix product.

    Args:
        values: (…, B).
        start: Å, first grid point.
        step: Å.
        q: (Q,) Å⁻¹.

    Returns:
        (…, Q).
    """
    count, n_q = values.shape[-1], len(q)
    inner, outer, coarse, fine = _tables(q, start, step, count)
    padded = np.zeros((*values.shape[:-1], coarse * fine))
    padded[..., :count] = values
    blocks = padded.reshape(-1, coarse, fine) @ inner
    sums: Float = np.einsum("scq,cq->sq", blocks, outer, optimize=False)
    return (sums[:, :n_q] + sums[:, n_q:]).reshape(*values.shape[:-1], n_q)


def sine_synthesis(
    amplitudes: Float64[Float, "*rows q"], q: Float64[Float, " q"], start: float, step: float, count: int
) -> Float64[Float, "*rows r"]:
    """Σ_q amplitudes[…, q] sin(q r_k) on r_k = start + k·step; the transpose of :func:`sine_sums`, of the same cost.

    Args:
        amplitudes: (…, Q).
        q: (Q,) Å⁻¹.
        start: Å.
        step: Å.
        count: R.

    Returns:
        (…, R).
    """
    inner, outer, coarse, fine = _tables(q, start, step, count)
    doubled = np.concatenate([amplitudes, amplitudes], axis=-1).reshape(-1, 1, 2 * len(q))
    blocks = (doubled * outer) @ inner.T
    return blocks.reshape(*amplitudes.shape[:-1], coarse * fine)[..., :count]


def uniform_step(r: Float64[Float, " r"]) -> float | None:
    """The step of a uniform grid, or None."""
    if len(r) < 3:
        return None
    step = (r[-1] - r[0]) / (len(r) - 1)
    return float(step) if step > 0 and np.abs(np.diff(r) - step).max() < 1e-7 * step else None


def envelope(r: Float64[Float, " *shape"], qdamp: float) -> Float64[Float, " *shape"]:
    """exp(−(Qdamp r)²/2): what finite resolution in Q does to G(r)."""
    damping: Float = np.exp(-0.5 * (qdamp * r) ** 2)
    return damping


def fq_to_gr(
    fq: Float64[Float, "*rows q"], q: Float64[Float, " q"], weights: Float64[Float, " q"], r: Float64[Float, " r"], qdamp: float = 0.0
) -> Float64[Float, "*rows r"]:
    """G(r) = (2/π) Σ_j w_j F(Q_j) sin(Q_j r) · exp(−(Qdamp r)²/2).

    Args:
        fq: (…, Q) Å⁻¹ at the nodes of :func:`quadrature`.
        q: (Q,) Å⁻¹.
        weights: (Q,) Å⁻¹.
        r: (R,) Å, any grid; a uniform one is faster.
        qdamp: Å⁻¹.

    Returns:
        (…, R) Å⁻².
    """
    amplitudes = (2.0 / np.pi) * weights * fq
    step = uniform_step(r)
    sums = amplitudes @ np.sin(np.outer(q, r)) if step is None else sine_synthesis(amplitudes, q, float(r[0]), step, len(r))
    return np.asarray(sums * envelope(r, qdamp))


def trapezoid_transform(fq: Float64[Float, " q"], q: Float64[Float, " q"], r: Float64[Float, " r"]) -> Float64[Float, " r"]:
    """G(r) from an F(Q) that is known on a grid of its own (a file): trapezoid rule, no envelope.

    Args:
        fq: (Q,) Å⁻¹.
        q: (Q,) Å⁻¹, increasing.
        r: (R,) Å.

    Returns:
        (R,) Å⁻².
    """
    weights = np.zeros(len(q))
    weights[1:] += 0.5 * np.diff(q)
    weights[:-1] += 0.5 * np.diff(q)
    return fq_to_gr(fq, q, weights, r)


def lorch_window(q: Float64[Float, " q"], qmax: float) -> Float64[Float, " q"]:
    """sin(πQ/Qmax)/(πQ/Qmax): lets a spectrum end smoothly, at the price of wider peaks.

    Args:
        q: (Q,) Å⁻¹.
        qmax: Å⁻¹.

    Returns:
        (Q,), 1 at Q = 0 and 0 at Qmax.

    Source: E. Lorch, J. Phys. C 2 (1969) 229.
    """
    window: Float = np.sinc(q / qmax)
    return window


def chebyshev_nodes(low: float, high: float, count: int) -> Float64[Float, " nodes"]:
    """Nodes of interpolation on [low, high], increasing; the middle when there is one only."""
    return 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * (np.arange(count) + 0.5) / count)


def lagrange_basis(nodes: Float64[Float, " nodes"], x: Any) -> Float64[Float, "nodes x"]:
    """The Lagrange polynomials of a set of nodes.

    Args:
        nodes: (M,).
        x: (X,).

    Returns:
        (M, X): row m is 1 at node m and 0 at the others.
    """
    away = np.asarray(x, dtype=np.float64) - np.asarray(nodes)[:, None]
    basis, after = np.ones_like(away), np.ones(away.shape[1])
    for m in range(1, len(nodes)):
        basis[m] = basis[m - 1] * away[m - 1]
    for m in range(len(nodes) - 1, -1, -1):
        basis[m] *= after / np.prod(nodes[m] - np.delete(nodes, m))
        after = after * away[m]
    return basis


def nodes_for_exponential(half_range: float, tolerance: float) -> int:
    """How many Chebyshev nodes interpolate exp(−a x), x ∈ [−1, 1], to ``tolerance`` of its maximum.

    The interpolation error is at most 2 (a/2)^M / M! · exp(a), against a maximum of exp(a).
    """
    count, term = 1, half_range / 2.0
    while 2.0 * term > tolerance and count < 64:
        count += 1
        term *= half_range / 2.0 / count
    return count
