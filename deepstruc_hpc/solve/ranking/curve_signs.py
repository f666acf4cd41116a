"""What a curve alone shows, before any candidate is believed: how its power is spread, where it ends, peaks and ripples where no atoms are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.peaks import peaks

TAIL_GAP = 1.15
"""Of a particle's size: the tail is looked at beyond it and 1 Å, so that a particle a little larger than the candidate is none."""
USUAL_Q = (2.0, 40.0)
"""Å⁻¹: below the first or above the second, four fifths of the power of G(r) do not lie for anything measured in Å."""
LEAST_BOND = 1.4
"""Å. Below it lie ripples of the transform, and no bond between atoms that scatter much."""
RIPPLES = (0.3, 1.2)
"""Å. Where G(r) is a straight line, −4πρ₀r, if nothing is wrong with the data: no two atoms are so near (Peterson et al., J. Appl.
Cryst. 36 (2003) 53)."""
_GRID = 600
"""Points of the spectrum in the band of the data."""


def ripples(curve: PdfCurve, end: float) -> float | None:
    """RMS of G less the best line through the origin, from 0.3 Å to ``end``, over RMS from 2 to 10 Å; None for fewer than ten points."""
    low, inner = (curve.r >= RIPPLES[0]) & (curve.r <= end), curve.g[(curve.r >= 2.0) & (curve.r <= 10.0)]
    r, g = curve.r[low], curve.g[low]
    if len(r) < 10 or not inner.any():
        return None
    return float(np.sqrt(np.mean((g - r * (r @ g) / (r @ r)) ** 2) / np.mean(inner**2)))


def short_peak(curve: PdfCurve, shortest: float, height: float) -> float | None:
    """Å, the first peak of a curve below a distance that reaches a share of the curve's highest point up to 10 Å; None where there is none."""
    if shortest <= LEAST_BOND or not len(curve.r[(curve.r >= LEAST_BOND) & (curve.r <= 10.0)]):
        return None
    highest = float(curve.g[(curve.r >= LEAST_BOND) & (curve.r <= 10.0)].max())
    for position in peaks(curve, LEAST_BOND, shortest, least=0.5):
        if float(np.interp(position, curve.r, curve.g)) >= height * highest > 0:
            return float(position)
    return None


def tail_ratio(curve: PdfCurve, size: float) -> float | None:
    """RMS of G beyond a particle of that diameter (up to twice it) over RMS between 2 Å and the diameter; None where nothing was measured."""
    inner = curve.g[(curve.r >= 2.0) & (curve.r <= size)]
    start = TAIL_GAP * size + 1.0
    outer = curve.g[(curve.r >= start) & (curve.r <= max(2.0 * size, start + 5.0))]
    if len(inner) < 10 or len(outer) < 10 or curve.r[-1] < start + 3.0 or not inner.any():
        return None
    return float(np.sqrt(np.mean(outer**2) / np.mean(inner**2)))


def spectrum(curve: PdfCurve, qmin: float, qmax: float) -> tuple[float, float, float]:
    """How the power of F(Q) = ∫ G sin(Qr) dr is spread.

    Args:
        curve: the measured PDF; from 1.5 Å on, where it holds distances between atoms.
        qmin: Å⁻¹.
        qmax: Å⁻¹.

    Returns:
        Mean power in the upper third of Qmin … Qmax over that in the lower third; the Q (Å⁻¹) below which four fifths of all power lie; and the
        highest Q that the steps of r resolve.
    """
    inside = curve.r >= 1.5
    r, g = curve.r[inside], curve.g[inside]
    if len(r) < 8 or not g.any():
        return 0.0, USUAL_Q[0], USUAL_Q[1]
    weights = np.gradient(r) * g

    def power(q: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((np.sin(np.outer(q, r)) @ weights) ** 2)

    band = power(np.linspace(qmin, qmax, _GRID))
    third = _GRID // 3
    resolved = np.pi / float(np.median(np.diff(r)))
    everything = np.linspace(0.0, resolved, 4 * _GRID)
    summed = np.cumsum(power(everything))
    edge = float(everything[np.searchsorted(summed, 0.8 * summed[-1])])
    return float(band[-third:].mean() / max(float(band[:third].mean()), 1e-300)), edge, resolved
