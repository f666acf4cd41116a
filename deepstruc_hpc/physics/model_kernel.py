"""Compiled evaluation of F(Q) and its derivatives from the separable form, and of the sums that a fit needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepstruc_hpc.physics.compiled import compiled, inlined

F32 = np.float32
TAPS = 6
"""Grid points from which a value between them is interpolated; the functions below write them out one by one."""
N_NODES = 8
"""Node distances of the separable form, its modes; eight single-precision numbers fill a vector register."""
_LOG2E = F32(1.4426950408889634)
_LN2 = F32(0.6931471805599453)
_HALF = F32(0.5)
_ONE = F32(1.0)
_C3, _C4, _C5, _C6 = F32(1 / 6), F32(1 / 24), F32(1 / 120), F32(1 / 720)
_SMALLEST = F32(-125.0)
_BIAS, _MANTISSA = np.int32(127), np.int32(23)


@inlined
def decay(x: Any) -> Any:
    """exp(x) for x ≤ 0 in single precision to 2e-7: 2ⁿ by its bits times a polynomial; unlike the library's it runs in vector registers."""
    y = max(x * _LOG2E, _SMALLEST)
    n = np.int32(y - _HALF)
    f = (y - F32(n)) * _LN2
    polynomial = _ONE + f * (_ONE + f * (_HALF + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return polynomial * np.int32((n + _BIAS) << _MANTISSA).view(F32)


@inlined
def _weights(table: Any, row: Any, f: Any) -> Any:
    """Six interpolation weights, linear between two rows of a table."""
    return (
        table[row, 0] + f * (table[row + 1, 0] - table[row, 0]),
        table[row, 1] + f * (table[row + 1, 1] - table[row, 1]),
        table[row, 2] + f * (table[row + 1, 2] - table[row, 2]),
        table[row, 3] + f * (table[row + 1, 3] - table[row, 3]),
        table[row, 4] + f * (table[row + 1, 4] - table[row, 4]),
        table[row, 5] + f * (table[row + 1, 5] - table[row, 5]),
    )


@inlined
def _tap(x: Any, i: Any, a: Any) -> Any:
    """One mode at an interpolated q: TAPS rows of ``x``, N_NODES apart."""
    near = a[0] * x[i] + a[1] * x[i + N_NODES] + a[2] * x[i + 2 * N_NODES]
    return near + a[3] * x[i + 3 * N_NODES] + a[4] * x[i + 4 * N_NODES] + a[5] * x[i + 5 * N_NODES]


@compiled
def evaluate_values(  # noqa: PLR0917 - compiled functions take positional arguments
    values: Any, weights: Any, index: Any, zoom: Any, uiso: Any, scales: Any, q: Any, dq: Any, origin: Any, table: Any, out: Any
) -> None:
    """F(Q) of many candidates: row 0 of :func:`evaluate_derivatives`, which names the arguments (no slope here); ``out`` is (C, 1, Q)."""
    rows = F32(table.shape[0] - 2)
    for c in range(index.shape[0]):
        s = index[c]
        scale = scales[c, 0]
        to_grid = np.float64(zoom[c]) / dq
        for j in range(q.shape[0]):
            x = to_grid * q[j] + origin
            k = int(x)
            t = F32(x - k) * rows
            row = int(t)
            a = _weights(table, row, t - F32(row))
            uq2 = uiso[c] * q[j] * q[j]
            total = F32(0.0)
            for p in range(values.shape[1]):
                modes = values[s, p]
                part = F32(0.0)
                for m in range(N_NODES):
                    part += decay(-uq2 * scale[m]) * _tap(modes, (k - 2) * N_NODES + m, a)
                total += part * weights[s, p, j]
            out[c, 0, j] = total / zoom[c]


@compiled
def shared_coefficients(  # noqa: PLR0917 - compiled functions take positional arguments
    zoom: float, uiso: float, scale: Any, q: Any, dq: float, origin: int, table: Any, first: Any, coefficients: Any
) -> None:
    """What :func:`evaluate_shared` takes, at one zoom, U (Å²) and width factors ``scale`` (M,); ``first`` and ``coefficients`` are overwritten."""
    rows = F32(table.shape[0] - 2)
    to_grid = np.float64(zoom) / dq
    for j in range(q.shape[0]):
        x = to_grid * q[j] + origin
        k = int(x)
        t = F32(x - k) * rows
        row = int(t)
        a = _weights(table, row, t - F32(row))
        first[j] = (k - 2) * N_NODES
        uq2 = F32(uiso) * q[j] * q[j]
        for m in range(N_NODES):
            damping = decay(-uq2 * scale[m]) / F32(zoom)
            coefficients[j, m] = a[0] * damping
            coefficients[j, m + N_NODES] = a[1] * damping
            coefficients[j, m + 2 * N_NODES] = a[2] * damping
            coefficients[j, m + 3 * N_NODES] = a[3] * damping
            coefficients[j, m + 4 * N_NODES] = a[4] * damping
            coefficients[j, m + 5 * N_NODES] = a[5] * damping


@compiled
def evaluate_shared(  # noqa: PLR0917 - compiled functions take positional arguments
    values: Any, weights: Any, index: Any, first: Any, coefficients: Any, out: Any
) -> None:
    """F(Q) of many candidates at the same parameters: what :func:`evaluate_values` gives, with the damping and the interpolation worked out before.

    Args:
        values: (S, P, K·M) float32, see ``Spectra``; M = N_NODES.
        weights: (S, P, Q) float32 W_p(Q).
        index: (C,) which cluster each candidate is.
        first: (Q,) where in ``values`` the TAPS grid points around each q begin.
        coefficients: (Q, TAPS·M) float32, weight of each mode at each of these points.
        out: (C, 1, Q) float32, overwritten.
    """
    for c in range(index.shape[0]):
        s = index[c]
        for j in range(first.shape[0]):
            total = F32(0.0)
            for p in range(values.shape[1]):
                modes = values[s, p]
                part = F32(0.0)
                for m in range(TAPS * N_NODES):
                    part += coefficients[j, m] * modes[first[j] + m]
                total += part * weights[s, p, j]
            out[c, 0, j] = total


@compiled
def fill_sines(step: float, dq: float, below: int, table: Any) -> None:
    """sin(Q d) for d = step, 2·step, … in rows and Q = −below·dq, … in columns, by turning from one column to the next (error about 1e-13)."""
    for row in range(table.shape[0]):
        angle = (row + 1) * step * dq
        c, s = np.cos(angle), np.sin(angle)
        x, y = np.cos(below * angle), -np.sin(below * angle)
        for column in range(table.shape[1]):
            table[row, column] = y
            x, y = x * c - y * s, y * c + x * s


@compiled
def evaluate_derivatives(  # noqa: PLR0917 - compiled functions take positional arguments
    values: Any, weights: Any, index: Any, zoom: Any, uiso: Any, scales: Any, q: Any, dq: Any, origin: Any, table: Any, slope: Any, out: Any
) -> None:
    """F(Q) of many candidates and its derivatives by zoom, U and delta2.

    Args:
        values: (S, P, K·M) float32, see ``Spectra``; M = N_NODES.
        weights: (S, P, Q) float32 W_p(Q).
        index: (C,) which cluster each candidate is.
        zoom: (C,) float32.
        uiso: (C,) float32, Å².
        scales: (C, 3, M) float32: s(z d_m), ∂s/∂z, ∂s/∂delta2.
        q: (Q,) float32, Å⁻¹.
        dq: step of the spectra.
        origin: their index of q = 0.
        table: (rows + 2, TAPS) interpolation kernel.
        slope: (rows + 2, TAPS) its derivative.
        out: (C, 4, Q) float32, overwritten.
    """
    rows = F32(table.shape[0] - 2)
    per_step = F32(1.0 / dq)
    for c in range(index.shape[0]):
        s = index[c]
        scale, by_zoom, by_delta2 = scales[c, 0], scales[c, 1], scales[c, 2]
        to_grid = np.float64(zoom[c]) / dq
        inverse = _ONE / zoom[c]
        for j in range(q.shape[0]):
            x = to_grid * q[j] + origin
            k = int(x)
            t = F32(x - k) * rows
            row = int(t)
            a = _weights(table, row, t - F32(row))
            b = _weights(slope, row, t - F32(row))
            q2 = q[j] * q[j]
            uq2 = uiso[c] * q2
            s0 = s1 = s2 = s3 = s4 = F32(0.0)
            for p in range(values.shape[1]):
                modes = values[s, p]
                p0 = p1 = p2 = p3 = p4 = F32(0.0)
                for m in range(N_NODES):
                    damping = decay(-uq2 * scale[m])
                    term = damping * _tap(modes, (k - 2) * N_NODES + m, a)
                    p0 += term
                    p1 += damping * _tap(modes, (k - 2) * N_NODES + m, b)
                    p2 += scale[m] * term
                    p3 += by_zoom[m] * term
                    p4 += by_delta2[m] * term
                w = weights[s, p, j]
                s0, s1, s2, s3, s4 = s0 + w * p0, s1 + w * p1, s2 + w * p2, s3 + w * p3, s4 + w * p4
            out[c, 0, j] = s0 * inverse
            out[c, 1, j] = inverse * (s1 * q[j] * per_step - uq2 * s3 - s0 * inverse)
            out[c, 2, j] = -inverse * q2 * s2
            out[c, 3, j] = -inverse * uq2 * s4


@compiled
def evaluate_group_derivatives(  # noqa: PLR0917 - compiled functions take positional arguments
    values: Any,
    weights: Any,
    index: Any,
    zoom: Any,
    uiso: Any,
    scales: Any,
    pairs: Any,
    q: Any,
    dq: Any,
    origin: Any,
    table: Any,
    slope: Any,
    out: Any,
) -> None:
    """F(Q) of many candidates with a U for each of G groups of elements, and its derivatives by zoom, each U and delta2.

    A pair of elements in groups g and h has exp(−(U_g + U_h) s Q²/2).

    Args:
        values: (S, P, K·M) float32; this and what is not said otherwise as in :func:`evaluate_derivatives`.
        weights: (S, P, Q) float32.
        index: (C,).
        zoom: (C,) float32.
        uiso: (C, G) float32, Å².
        scales: (C, 3, M) float32.
        pairs: (P, 2) groups of the two elements of each pair.
        q: (Q,) float32, Å⁻¹.
        dq: step of the spectra.
        origin: their index of q = 0.
        table: (rows + 2, TAPS) float32.
        slope: (rows + 2, TAPS) float32.
        out: (C, 3 + G, Q) float32, overwritten: F, by zoom, by U of group 0, 1, …, by delta2.
    """
    rows = F32(table.shape[0] - 2)
    per_step = F32(1.0 / dq)
    n_groups = uiso.shape[1]
    for c in range(index.shape[0]):
        s = index[c]
        scale, by_zoom, by_delta2 = scales[c, 0], scales[c, 1], scales[c, 2]
        to_grid = np.float64(zoom[c]) / dq
        inverse = _ONE / zoom[c]
        for j in range(q.shape[0]):
            x = to_grid * q[j] + origin
            k = int(x)
            t = F32(x - k) * rows
            row = int(t)
            a = _weights(table, row, t - F32(row))
            b = _weights(slope, row, t - F32(row))
            q2 = q[j] * q[j]
            s0 = s1 = s3 = s4 = F32(0.0)
            for g in range(n_groups):
                out[c, 2 + g, j] = F32(0.0)
            for p in range(values.shape[1]):
                modes = values[s, p]
                uq2 = _HALF * (uiso[c, pairs[p, 0]] + uiso[c, pairs[p, 1]]) * q2
                p0 = p1 = p2 = p3 = p4 = F32(0.0)
                for m in range(N_NODES):
                    damping = decay(-uq2 * scale[m])
                    term = damping * _tap(modes, (k - 2) * N_NODES + m, a)
                    p0 += term
                    p1 += damping * _tap(modes, (k - 2) * N_NODES + m, b)
                    p2 += scale[m] * term
                    p3 += by_zoom[m] * term
                    p4 += by_delta2[m] * term
                w = weights[s, p, j]
                s0, s1, s3, s4 = s0 + w * p0, s1 + w * p1, s3 + w * uq2 * p3, s4 + w * uq2 * p4
                by_pair = _HALF * inverse * q2 * w * p2
                out[c, 2 + pairs[p, 0], j] -= by_pair
                out[c, 2 + pairs[p, 1], j] -= by_pair
            out[c, 0, j] = s0 * inverse
            out[c, 1, j] = inverse * (s1 * q[j] * per_step - s3 - s0 * inverse)
            out[c, 2 + n_groups, j] = -inverse * s4


@compiled
def _grams(curve: Any, data: Any, gram: Any, with_data: Any) -> None:
    for a in range(curve.shape[0]):
        total = 0.0
        for k in range(curve.shape[1]):
            total += curve[a, k] * data[k]
        with_data[a] = total
        for b in range(a + 1):
            total = 0.0
            for k in range(curve.shape[1]):
                total += np.float64(curve[a, k]) * curve[b, k]
            gram[a, b] = total
            gram[b, a] = total


@compiled
def normal_sums(  # noqa: PLR0917 - compiled functions take positional arguments
    curves: Any, data: Any, outside: float, free_scale: bool, cost: Any, scale: Any, hessian: Any, gradient: Any, full: Any
) -> None:
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
        full: (C, D, D) out: JᵀJ of scale and parameters before the projection.
    """
    n = curves.shape[1]
    gram = np.empty((n, n))
    with_data = np.empty(n)
    for c in range(curves.shape[0]):
        _grams(curves[c], data, gram, with_data)
        norm = max(gram[0, 0], 1e-300)
        s = max(0.0, with_data[0] / norm) if free_scale else 1.0
        total = outside
        for k in range(curves.shape[2]):
            difference = data[k] - s * curves[c, 0, k]
            total += difference * difference
        cost[c] = total
        scale[c] = s
        full[c] = gram
        full[c, 1:, :] *= s
        full[c, :, 1:] *= s
        for a in range(1, n):
            projected = gram[a, 0] / norm if free_scale else 0.0
            gradient[c, a - 1] = s * ((with_data[a] - s * gram[a, 0]) - projected * (with_data[0] - s * gram[0, 0]))
            for b in range(1, n):
                hessian[c, a - 1, b - 1] = s * s * (gram[a, b] - projected * gram[b, 0])
