"""Peaks: the model's finders give the numbers that the model was trained with; the others take no spike for a bond."""

from itertools import pairwise

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.peaks import (
    first_maximum,
    first_neighbour_distance,
    first_neighbour_distances,
    first_peak,
    highest_point,
    peaks,
    without_spikes,
)


def old_distance(curve, expected, tolerance=0.12):
    """As the shipped model was trained with: data/standard_pdf.py at commit 6f94275."""
    near = np.flatnonzero((curve.r >= expected * (1 - tolerance)) & (curve.r <= expected * (1 + tolerance)))
    if len(near) < 3:
        return expected
    top = int(near[np.argmax(curve.g[near])])
    if top in (near[0], near[-1]) or curve.g[top] <= 0:
        return expected
    left, middle, right = curve.g[top - 1], curve.g[top], curve.g[top + 1]
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    return float(curve.r[top] + np.clip(shift, -0.5, 0.5) * (curve.r[top + 1] - curve.r[top - 1]) / 2)


def old_maximum(curve, low=1.6, high=3.3, least=0.15):
    near = np.flatnonzero((curve.r >= low) & (curve.r <= high))
    g = curve.g[near]
    tops = [place for place in range(1, len(g) - 1) if g[place - 1] < g[place] >= g[place + 1] and g[place] > least * g.max() > 0]
    return old_distance(curve, float(curve.r[near[tops[0]]]), tolerance=0.03) if tops else None


def old_distances(r, g, expected):
    """Of data/training_pdfs.py at commit 6f94275."""
    step = float(r[1] - r[0])
    near = (r >= expected * (1 - 0.12)) & (r <= expected * (1 + 0.12))
    top = np.where(near, g, -np.inf).argmax(axis=1)
    rows = np.arange(len(g))
    inner = np.clip(top, 1, len(r) - 2)
    left, middle, right = g[rows, inner - 1], g[rows, inner], g[rows, inner + 1]
    curvature = left - 2 * middle + right
    shift = np.clip(np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, 1.0), 0.0), -0.5, 0.5)
    inside = near[rows, inner - 1] & near[rows, inner + 1] & (middle > 0)
    return np.where(inside, r[inner] + shift * step, expected[:, 0]).astype(np.float32)[:, None]


def random_curve(rng):
    """Waves and noise on an even or uneven grid, of any range and sign."""
    count = int(rng.integers(5, 1500))
    steps = rng.uniform(0.5, 1.5, count) if rng.random() < 0.3 else np.ones(count)
    r = rng.uniform(0.0, 3.0) + np.cumsum(steps) * rng.choice([0.005, 0.01, 0.02, 0.1])
    g = np.sin(r * rng.uniform(1, 9)) * np.exp(-r / 8) + rng.normal(scale=rng.choice([0.0, 0.01, 0.5]), size=count)
    return PdfCurve(r, np.round(g, 2) if rng.random() < 0.2 else g)


def test_the_models_finders_give_the_same_bits_as_before_on_random_curves():
    rng = np.random.default_rng(20261129)
    for _ in range(2000):
        curve = random_curve(rng)
        expected = float(rng.uniform(1.8, 4.2))
        assert first_neighbour_distance(curve, expected) == old_distance(curve, expected)
        before = old_maximum(curve)
        if before is None:
            with pytest.raises(PdfFileError, match="no peak between"):
                first_maximum(curve)
        else:
            assert first_maximum(curve) == before
        inside = np.flatnonzero((curve.r >= 2.2) & (curve.r <= 3.6))
        assert highest_point(curve, 2.2, 3.6) == (float(curve.r[inside[np.argmax(curve.g[inside])]]) if len(inside) else None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_curves_at_once_give_the_same_bits_as_before(dtype):
    rng = np.random.default_rng(7)
    r = np.arange(0.0, 4.0, 0.01)
    g = (np.sin(r * rng.uniform(2, 9, (400, 1))) + rng.normal(scale=0.1, size=(400, len(r)))).astype(dtype)
    expected = rng.uniform(0.5, 3.9, (400, 1)).astype(dtype)
    found = first_neighbour_distances(r, g, expected)
    assert found.dtype == np.float32
    assert np.array_equal(found, old_distances(r, g, expected))


def gaussians(r, *tops, width=0.12):
    return sum(height * np.exp(-0.5 * ((r - at) / width) ** 2) for at, height in tops) - 0.05 * r


R = np.arange(0.0, 20.0, 0.01)


def test_the_first_peak_is_the_first_that_reaches_half_the_highest():
    curve = PdfCurve(R, gaussians(R, (2.2, 0.4), (2.88, 1.0), (4.07, 0.6)))
    assert first_peak(curve) == pytest.approx(2.88, abs=0.01)
    assert peaks(curve, 1.8, 4.5) == pytest.approx([2.2, 2.88, 4.07], abs=0.02)


@pytest.mark.parametrize("points", [1, 2])
@pytest.mark.parametrize("at", [1.9, 2.3, 2.88, 3.5])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_spike_of_ten_times_the_first_peak_is_no_bond(points, at, sign):  # fails if the highest point alone is asked
    g = gaussians(R, (2.88, 1.0), (4.07, 0.6))
    place = int(np.searchsorted(R, at))
    spiked = g.copy()
    spiked[place : place + points] = sign * 10.0
    assert first_peak(PdfCurve(R, spiked)) == pytest.approx(2.88, abs=0.02)


def test_a_curve_without_spikes_comes_back_as_it_is():
    g = gaussians(R, (2.88, 1.0), (4.07, 0.6))
    assert without_spikes(R, g) is g
    noisy = g + np.random.default_rng(1).normal(scale=0.03, size=len(R))
    assert np.array_equal(without_spikes(R, noisy), noisy)


def test_ripples_on_a_flank_are_not_peaks_of_their_own():
    noisy = gaussians(R, (2.88, 1.0), (4.07, 0.6)) + np.random.default_rng(2).normal(scale=0.01, size=len(R))
    found = peaks(PdfCurve(R, noisy), 1.8, 4.5, least=0.5)
    assert first_peak(PdfCurve(R, noisy)) == pytest.approx(2.88, abs=0.06)
    assert all(b - a >= 0.1 for a, b in pairwise(found))


def test_on_the_nyquist_grid_the_first_peak_is_found():
    r = np.arange(0.0, 20.0, 0.105)
    assert first_peak(PdfCurve(r, gaussians(r, (2.88, 1.0), (4.07, 0.6)))) == pytest.approx(2.88, abs=0.06)


@pytest.mark.parametrize("g", [np.zeros_like(R), -np.ones_like(R), np.linspace(0, 1, len(R))])
def test_a_curve_without_a_maximum_has_no_first_peak(g):
    assert first_peak(PdfCurve(R, g)) is None
    assert first_peak(PdfCurve(R + 5.0, g)) is None
