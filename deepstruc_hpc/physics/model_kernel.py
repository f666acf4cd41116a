"""Compiled evaluation of F(Q) and its derivatives from the separable form, and of the sums that a fit needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from deepstruc_hpc.physics.separable import N_NODES, TAPS

ROW_VALUE, ROW_ZOOM, ROW_UISO, ROW_DELTA2 = range(4)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def evaluate_spectra(
    values: Any, weights: Any, index: Any, zoom: Any, uiso: Any, scales: Any, q: Any, dq: float, origin: int, table: Any, slope: Any, out: Any
) -> None:
    """F(Q) of many candidates, and its derivatives by zoom, U and delta2 where ``out`` has room for them.

    Args:
        values: (S, P, K, M) float32, see ``Spectra``.
        weights: (S, P, Q) float32 W_p(Q).
        index: (C,) which cluster each candidate is.
        zoom: (C,) float32.
        uiso: (C,) float32, Å².
        scales: (C, 3, M) float32: s(z d_m), ∂s/∂z, ∂s/∂delta2.
        q: (Q,) float32, Å⁻¹.
        dq: step of the spectra.
        origin: their index of q = 0.
        table: (rows + 2, TAPS) kernel.
        slope: (rows + 2, TAPS) its derivative.
        out: (C, 4, Q) or (C, 1, Q) float32, overwritten.
    """
    one = np.float32(1.0)
    rows = np.float32(table.shape[0] - 2)
    full = out.shape[1] == 4
    taps = np.empty(TAPS, dtype=np.float32)
    slopes = np.empty(TAPS, dtype=np.float32)
    v = np.empty(N_NODES, dtype=np.float32)
    dv = np.empty(N_NODES, dtype=np.float32)
    for c in range(index.shape[0]):
        s = index[c]
        z = zoom[c]
        for j in range(q.shape[0]):
            x = np.float64(z) * q[j] / dq + origin
            k = int(x)
            t = np.float32(x - k) * rows
            row = int(t)
            fraction = t - np.float32(row)
            for tap in range(TAPS):
                taps[tap] = table[row, tap] + fraction * (table[row + 1, tap] - table[row, tap])
            if full:
                for tap in range(TAPS):
                    slopes[tap] = slope[row, tap] + fraction * (slope[row + 1, tap] - slope[row, tap])
            for m in range(N_NODES):
                v[m] = 0.0
                dv[m] = 0.0
            for p in range(values.shape[1]):
                w = weights[s, p, j]
                for tap in range(TAPS):
                    a = w * taps[tap]
                    for m in range(N_NODES):
                        v[m] += a * values[s, p, k - (TAPS // 2 - 1) + tap, m]
                if full:
                    for tap in range(TAPS):
                        a = w * slopes[tap]
                        for m in range(N_NODES):
                            dv[m] += a * values[s, p, k - (TAPS // 2 - 1) + tap, m]
            q2 = q[j] * q[j]
            uq2 = uiso[c] * q2
            value = np.float32(0.0)
            by_index = np.float32(0.0)
            by_s = np.float32(0.0)
            by_zoom = np.float32(0.0)
            by_delta2 = np.float32(0.0)
            for m in range(N_NODES):
                damping = np.exp(-uq2 * scales[c, 0, m])
                term = damping * v[m]
                value += term
                if full:
                    by_index += damping * dv[m]
                    by_s += scales[c, 0, m] * term
                    by_zoom += scales[c, 1, m] * term
                    by_delta2 += scales[c, 2, m] * term
            inverse = one / z
            out[c, 0, j] = value * inverse
            if full:
                out[c, 1, j] = inverse * (by_index * q[j] / np.float32(dq) - uq2 * by_zoom - value * inverse)
                out[c, 2, j] = -inverse * q2 * by_s
                out[c, 3, j] = -inverse * uq2 * by_delta2


@njit(cache=True, nogil=True, fastmath=True)
def normal_sums(curves: Any, data: Any, outside: float, free_scale: bool, cost: Any, scale: Any, hessian: Any, gradient: Any) -> None:
    """Variable projection: the best scale ≥ 0 of each candidate, the remaining sum of squares and the normal equations of the other parameters.

    With g the curve, d_p its derivatives, y the data: s = max(0, ⟨g,y⟩/⟨g,g⟩), J_p = s (d_p − g⟨g,d_p⟩/⟨g,g⟩) (Kaufman's form), r = y − s g.

    Args:
        curves: (C, D, K) float32, row 0 g, the others derivatives.
        data: (K,) y in the same basis.
        outside: part of Σy² that no curve can reach.
        free_scale: False keeps the scale at 1.
        cost: (C,) out: Σ r².
        scale: (C,) out.
        hessian: (C, D−1, D−1) out: JᵀJ.
        gradient: (C, D−1) out: Jᵀr.
    """
    n = curves.shape[1]
    gram = np.empty((n, n))
    with_data = np.empty(n)
    for c in range(curves.shape[0]):
        for a in range(n):
            total = 0.0
            for k in range(curves.shape[2]):
                total += curves[c, a, k] * data[k]
            with_data[a] = total
            for b in range(a + 1):
                total = 0.0
                for k in range(curves.shape[2]):
                    total += np.float64(curves[c, a, k]) * curves[c, b, k]
                gram[a, b] = total
                gram[b, a] = total
        norm = max(gram[0, 0], 1e-300)
        s = max(0.0, with_data[0] / norm) if free_scale else 1.0
        total = outside
        for k in range(curves.shape[2]):
            difference = data[k] - s * curves[c, 0, k]
            total += difference * difference
        cost[c] = total
        scale[c] = s
        for a in range(1, n):
            projected = gram[a, 0] / norm if free_scale else 0.0
            gradient[c, a - 1] = s * ((with_data[a] - s * gram[a, 0]) - projected * (with_data[0] - s * gram[0, 0]))
            for b in range(1, n):
                correction = gram[a, 0] * gram[b, 0] / norm if free_scale else 0.0
                hessian[c, a - 1, b - 1] = s * s * (gram[a, b] - correction)
