"""The range of Q that a G(r) itself shows, and G(r) from files of F(Q) and S(Q)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.peaks import without_spikes
from deepstruc_hpc.physics.transform import lorch_window, trapezoid_transform

Array = NDArray[np.float64]

LEAST_QMAX, LARGEST_QMAX = 2.0, 60.0
"""Å⁻¹: where an edge is looked for. Transforms of measured patterns end between 8 and 50; an end elsewhere says that r is in another unit."""
STARTS = 0.2
"""Å: a curve that starts below it starts at 0 as far as its spectrum goes."""
Q_STEP = 0.02
BELOW = 1.5
"""Å⁻¹: the stretch below an edge over which its power is taken."""
SHARPNESS = 8.0
"""Power below an edge over power above it. A decay by thermal motion alone gives at most 3 across the same distance (U 0.01 Å², Q 25 Å⁻¹)."""
R_STEP = 0.01
"""Å: the step on which most programs write G(r)."""
LONGEST = 60.0
"""Å: to where a spectrum is transformed when its file does not say."""


def power_spectrum(r: Array, g: Array) -> tuple[Array, Array]:
    """(∫ G(r) sin(Qr) w(r) dr)² with a Hann half-window w that falls from 1 at the start to 0 at the end of the curve.

    G is odd in r, so from r = 0 on the sine transform alone ends where the spectrum ends. A curve that starts later has lost that, and the power of
    sine and cosine together is taken.

    Args:
        r: (R,) Å; interpolated to its median step where it is not even.
        g: (R,).

    Returns:
        (Q,) Å⁻¹ in steps of about 0.02, up to π over the step; and (Q,) power in any unit.
    """
    step = float(np.median(np.diff(r)))
    even = np.arange(r[0], r[-1], step)
    window = 0.5 * (1.0 + np.cos(np.pi * (even - r[0]) / (r[-1] - r[0])))
    length = next_fast_len(max(round(2 * np.pi / (Q_STEP * step)), len(even)), real=True)
    transform = np.fft.rfft(window * np.interp(even, r, g), length)
    q = np.arange(len(transform)).astype(np.float64) * (2 * np.pi / (length * step))
    power: Array = (transform * np.exp(-1j * q * r[0])).imag ** 2 if r[0] <= STARTS else np.abs(transform) ** 2
    return q, power


def spectral_qmax(curve: PdfCurve) -> float | None:
    """Where the spectrum of a curve ends, Å⁻¹; None where it ends nowhere clearly.

    A G(r) from a measured pattern is a sine transform that ends at Qmax, so its own spectrum has an edge there. The edge is where the median power of
    1.5 Å⁻¹ below it exceeds nearly all power above it most. None is the answer for curves whose grid is too coarse to hold the edge, whose noise
    hides it, or that a smooth window (Lorch) has ended. Where thermal motion lets F(Q) fade into the noise before Qmax (U above 0.01 Å²), the answer
    is where it fades: Qmax is hardly ever smaller than the answer, and may be larger.

    Args:
        curve: r in Å; its header is not read.
    """
    r, g = curve.r, without_spikes(curve.r, curve.g)
    inside = r <= r[0] + LONGEST
    r, g = r[inside], g[inside]
    q, power = power_spectrum(r, g)
    usable = (q >= LEAST_QMAX - BELOW) & (q <= min(0.97 * q[-1], 1.5 * LARGEST_QMAX))
    q, power = q[usable], power[usable]
    resolution = 2.0 * np.pi / float(r[-1] - r[0])
    if len(q) < 2 or q[-1] < LEAST_QMAX + 3.0:
        return None
    dq = float(q[1] - q[0])
    gap, below = max(int(resolution / dq), 1), int(BELOW / dq)
    places = np.arange(below, len(q) - gap - int(0.5 / dq), 4)
    if not len(places):
        return None
    lower = np.median(np.lib.stride_tricks.sliding_window_view(power, below)[places - below], axis=1)
    ceiling = np.maximum(_running_high(power, dq)[places + gap], 1e-300)
    ratio = lower / ceiling
    best = int(np.argmax(ratio))
    if not ratio[best] >= SHARPNESS or q[places[best]] > LARGEST_QMAX:
        return None
    at = int(places[best])
    level = np.sqrt(lower[best] * ceiling[best])
    over = np.flatnonzero(power[: at + gap + below] >= level)
    return float(q[over[-1]]) - resolution  # the window spreads an edge over one such step to either side


def _running_high(power: Array, dq: float) -> Array:
    """For each place the power that nineteen of twenty points from there on stay below, taken over at most 10 Å⁻¹."""
    reach, stride = int(10.0 / dq), 10
    whole = np.percentile(np.lib.stride_tricks.sliding_window_view(power, reach)[::stride], 95, axis=1) if reach <= len(power) else np.zeros(0)
    rest = [np.sort(power[at:]) for at in range(len(whole) * stride, len(power), stride)]
    highs = np.concatenate([whole, [_at_share(ordered, 0.95) for ordered in rest]])
    spread: Array = np.repeat(highs, stride)[: len(power)]
    return spread


def _at_share(ordered: Array, share: float) -> float:
    """The quantile of sorted values, between the two next to it in proportion."""
    place = share * (len(ordered) - 1)
    low = int(place)
    return float(ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]))


def power_below(curve: PdfCurve, limit: float) -> float:
    """Share of a curve's spectral power between 0.8 Å⁻¹ and a limit, of all from 0.8 to 30 Å⁻¹; below 0.8 is baseline, not structure."""
    inside = curve.r <= curve.r[0] + LONGEST
    q, power = power_spectrum(curve.r[inside], without_spikes(curve.r, curve.g)[inside])
    structure = (q >= 0.8) & (q <= 30.0)
    total = float(power[structure].sum())
    return float(power[structure & (q < limit)].sum()) / total if total > 0 else 0.0


def transformed(q: Array, fq: Array, *, qmin: float, qmax: float, rmax: float | None, lorch: bool) -> tuple[Array, Array]:
    """G(r) from F(Q) between Qmin and Qmax.

    G(r) = (2/π) ∫ F(Q) sin(Qr) M(Q) dQ, M = 1 or Lorch's window.

    Args:
        q: (Q,) Å⁻¹, increasing.
        fq: (Q,) Å⁻¹.
        qmin: Å⁻¹.
        qmax: Å⁻¹.
        rmax: Å; None for as far as the grid of Q goes, π/ΔQ, at most 60 Å.
        lorch: end with Lorch's window instead of an edge.

    Returns:
        (R,) r in steps of 0.01 Å, and G(r) in Å⁻².
    """
    inside = (q >= qmin - 1e-9) & (q <= qmax + 1e-9)
    at, values = q[inside], fq[inside]
    reach = min(np.pi / float(np.median(np.diff(at))), LONGEST) if rmax is None else rmax
    r = np.arange(round(reach / R_STEP) + 1).astype(np.float64) * R_STEP
    return r, trapezoid_transform(values * lorch_window(at, qmax) if lorch else values, at, r)
