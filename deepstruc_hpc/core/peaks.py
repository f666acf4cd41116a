"""Peaks of a PDF: where first neighbours are seen.

The functions that the model uses (:func:`first_neighbour_distance`, :func:`first_neighbour_distances`, :func:`first_maximum`,
:func:`highest_point`) are part of what a checkpoint was trained with: their numbers must not change. :func:`first_peak` and :func:`peaks` are for
people and for choosing candidates.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError

Array = NDArray[np.float64]
Real = TypeVar("Real", np.float32, np.float64)

PEAK_TOLERANCE = 0.12
"""Relative half-width of the window in which first neighbours are looked for."""
NARROWEST_PEAK = 0.1
"""Å. A peak of a PDF is at least as wide as its Qmax allows, 3.8/Qmax at half height: 0.1 Å at 38 Å⁻¹. What is narrower is no peak."""
_STANDS_OUT = 0.25
"""Share of a curve's range by which a point differs from the median of its neighbourhood when it is a spike, not the top of a peak."""


def first_neighbour_distance(curve: PdfCurve, expected: float, *, tolerance: float = PEAK_TOLERANCE) -> float:
    """The position of the first-neighbour peak, Å.

    The highest point within ``tolerance`` of the expected distance, made finer by a parabola; the expected distance itself where the curve has no
    maximum there.

    Args:
        curve: measured G(r).
        expected: e.g. twice the metallic radius, Å.
        tolerance: relative half-width of the window.
    """
    near = np.flatnonzero((curve.r >= expected * (1 - tolerance)) & (curve.r <= expected * (1 + tolerance)))
    if len(near) < 3:
        return expected
    top = int(near[np.argmax(curve.g[near])])
    if top in (near[0], near[-1]) or curve.g[top] <= 0:
        return expected
    return _vertex(curve.r, curve.g, top)


def first_neighbour_distances(r: Array, g: NDArray[Real], expected: NDArray[Real]) -> NDArray[Real]:
    """Where each curve's first neighbours are seen: :func:`first_neighbour_distance` of many curves.

    Args:
        r: (F,) uniform grid.
        g: (B, F).
        expected: (B, 1) distances, in the unit of r.

    Returns:
        (B, 1) float32; the expected distance where there is no maximum near it.
    """
    step = float(r[1] - r[0])
    near = (r >= expected * (1 - PEAK_TOLERANCE)) & (r <= expected * (1 + PEAK_TOLERANCE))
    top = np.where(near, g, -np.inf).argmax(axis=1)
    rows = np.arange(len(g))
    inner = np.clip(top, 1, len(r) - 2)
    middle = g[rows, inner]
    shift = _parabola_shift(g[rows, inner - 1], middle, g[rows, inner + 1])
    inside = near[rows, inner - 1] & near[rows, inner + 1] & (middle > 0)
    found: NDArray[Real] = np.where(inside, r[inner] + shift * step, expected[:, 0]).astype(np.float32)
    return found[:, None]


def first_maximum(curve: PdfCurve, *, low: float = 1.6, high: float = 3.3, least: float = 0.15) -> float:
    """The position of the first maximum that is no ripple, Å: of bonds between unlike atoms in an oxide, of nearest neighbours in a metal.

    Args:
        curve: measured G(r).
        low: Å, where to begin.
        high: Å, where to end.
        least: share of the highest point between the two that a maximum has at least.

    Raises:
        PdfFileError: there is none.
    """
    near = np.flatnonzero((curve.r >= low) & (curve.r <= high))
    tops = _tops(curve.g[near], least)
    if not len(tops):
        raise PdfFileError(f"{curve.source or 'curve'}: no peak between {low:g} and {high:g} Å, where nearest neighbours lie.")
    return first_neighbour_distance(curve, float(curve.r[near[tops[0]]]), tolerance=0.03)


def highest_point(curve: PdfCurve, low: float, high: float) -> float | None:
    """Where the highest point between two distances lies, Å; None where the curve has no points there."""
    inside = np.flatnonzero((curve.r >= low) & (curve.r <= high))
    return float(curve.r[inside[np.argmax(curve.g[inside])]]) if len(inside) else None


def first_peak(curve: PdfCurve, low: float = 1.8, high: float = 4.5) -> float | None:
    """The position of the first peak between two distances that reaches half the highest point there, Å; None where there is none.

    A spike of one or two points is no bond, however high (:func:`without_spikes`). The top is that of the peak, not of the first ripple on its flank.

    Args:
        curve: measured G(r).
        low: Å, where to begin.
        high: Å, where to end.
    """
    found = peaks(curve, low, high, least=0.5)
    return float(found[0]) if len(found) else None


def peaks(curve: PdfCurve, low: float, high: float, *, least: float = 0.15) -> Array:
    """Positions of the peaks between two distances, Å, in order; those that reach ``least`` times the highest point there.

    Tops nearer to each other than :data:`NARROWEST_PEAK` are one peak.

    Args:
        curve: measured G(r).
        low: Å, where to begin.
        high: Å, where to end.
        least: share of the highest point.
    """
    r, g = curve.r, without_spikes(curve.r, curve.g)
    inside = np.flatnonzero((r >= low) & (r <= high))
    if len(inside) < 5:
        return np.zeros(0)
    found: list[int] = []
    for top in inside[_tops(g[inside], least)]:
        if found and r[top] - r[found[-1]] < NARROWEST_PEAK:
            found[-1] = int(top) if g[top] > g[found[-1]] else found[-1]
        else:
            found.append(int(top))
    return np.array([_vertex(r, g, top) for top in found])


def without_spikes(r: Array, g: Array) -> Array:
    """The curve with its spikes replaced by the median around them; every other point as it was.

    A spike is one point, or two on a grid finer than a quarter of :data:`NARROWEST_PEAK`, that differs from the median of its neighbourhood by more
    than a quarter of the curve's range without spikes. On a grid as coarse as the peaks are wide a spike cannot be distinguished from a peak: the
    curve comes back as it is.

    Args:
        r: (R,) Å.
        g: (R,) any unit.
    """
    step = float(np.median(np.diff(r))) if len(r) > 1 else np.inf
    half = 2 if step <= NARROWEST_PEAK / 4 else 1 if step <= NARROWEST_PEAK / 2 else 0
    if not half or len(g) < 2 * half + 1:
        return g
    padded = np.pad(g, half, mode="reflect")
    median = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    spike = np.abs(g - median) > _STANDS_OUT * float(np.ptp(median))
    return np.where(spike, median, g) if spike.any() else g


def _tops(g: Array, least: float) -> NDArray[np.int64]:
    """Places of the maxima of at least a share of the highest point."""
    if len(g) < 3 or not g.max() > 0:
        return np.zeros(0, dtype=np.int64)
    middle = g[1:-1]
    return 1 + np.flatnonzero((g[:-2] < middle) & (middle >= g[2:]) & (middle > least * g.max()))


def _vertex(r: Array, g: Array, top: int) -> float:
    """Where the top lies of the parabola through a maximum and its two neighbours."""
    shift = _parabola_shift(g[top - 1], g[top], g[top + 1])
    return float(r[top] + shift * (r[top + 1] - r[top - 1]) / 2)


def _parabola_shift(left: NDArray[Real], middle: NDArray[Real], right: NDArray[Real]) -> NDArray[Real]:
    """How far from the middle of three equally spaced points their parabola has its top, in steps, at most half a one."""
    curvature = left - 2 * middle + right
    return np.clip(np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, 1.0), 0.0), -0.5, 0.5)
