"""A PDF as the model sees it: r in nearest-neighbour distances, the instrument's damping taken out, G over its RMS, and a mask of what is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError

Array = NDArray[np.float64]

LEAST_ENVELOPE = 0.25
"""Damping beyond this is not taken out: there is more noise than signal in what would be blown up."""


def envelope(r: NDArray[np.floating], qdamp: NDArray[np.floating] | float) -> Array:
    """exp(−qdamp² r² / 2), but not below :data:`LEAST_ENVELOPE`: what a curve is divided by.

    Size and damping both make a curve fade towards large r. The damping is known of an instrument, so a model need not guess it.

    Args:
        r: Å, or any other unit of length.
        qdamp: its inverse; arrays that broadcast with r.
    """
    damped: Array = np.maximum(np.exp(-0.5 * np.square(np.multiply(qdamp, r))), LEAST_ENVELOPE)
    return damped


def standardise(g: Array, known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Two channels: G divided by its RMS where it is known and 0 elsewhere; and the mask.

    Args:
        g: (B, R).
        known: (B, R).

    Returns:
        (B, 2, R) float32. A curve that is zero throughout stays zero.
    """
    inside = np.where(known, g, 0.0)
    rms = np.sqrt((inside**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    scaled = inside / np.where(rms > 0, rms, 1.0)[:, None]
    return np.stack([scaled, known.astype(np.float64)], axis=1).astype(np.float32)


def with_length(channels: NDArray[np.float32], nn_distance: NDArray[np.floating]) -> NDArray[np.float32]:
    """PDFs with one more reading: the length that r was divided by, as its logarithm over 2.5 Å. Metals and oxides are told apart by it.

    Args:
        channels: (B, 2, R).
        nn_distance: (B,) Å.

    Returns:
        (B, 2, R + 1).
    """
    reading = np.stack([np.log(np.asarray(nn_distance) / 2.5), np.ones(len(channels))], axis=1)[:, :, None]
    return np.concatenate([channels, reading.astype(np.float32)], axis=2)


def with_elements(channels: NDArray[np.float32], bond: NDArray[np.floating], scatterers: NDArray[np.floating]) -> NDArray[np.float32]:
    """PDFs of compounds with three more readings: the length that r was divided by, and the mean atomic numbers of cations and of anions.

    Args:
        channels: (B, 2, R).
        bond: (B,) Å.
        scatterers: (B, 2) mean atomic number of the cations, and of the anion.

    Returns:
        (B, 2, R + 3); logarithms over 2.1 Å, 30 and 10.
    """
    features = np.log(np.column_stack([np.asarray(bond) / 2.1, scatterers / np.array([30.0, 10.0])]))
    reading = np.stack([features, np.ones_like(features)], axis=1)
    return np.concatenate([channels, reading.astype(np.float32)], axis=2)


def shortest_known(nn_distance: NDArray[np.floating]) -> Array:
    """Where a curve begins to count, Å: at 2 Å, or below the first peak of an oxide, where that is nearer. Below is termination ripple."""
    return np.minimum(2.0, 0.8 * np.asarray(nn_distance, dtype=np.float64))


def sample_rows(r: Array, g: NDArray[np.floating], at: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Linear interpolation of each row at its own points.

    Args:
        r: (P,) uniform grid, Å.
        g: (B, P).
        at: (B, R), Å.

    Returns:
        (B, R) values, 0 outside the grid, and where they lie inside it.
    """
    step = (r[-1] - r[0]) / (len(r) - 1)
    place = (at - r[0]) / step
    known = (place >= -1e-6) & (place <= len(r) - 1 + 1e-6)
    left = np.clip(place.astype(np.int64), 0, len(r) - 2)
    share = np.clip(place - left, 0.0, 1.0)
    rows = np.arange(len(g))[:, None]
    values = g[rows, left] * (1.0 - share) + g[rows, left + 1] * share
    return np.where(known, values, 0.0), known


def curve_to_grid(
    curve: PdfCurve, nn_distance: float, grid: Array, *, qdamp: float = 0.0, rmin: float = 2.0, rmax: float | None = None
) -> NDArray[np.float32]:
    """Bring a curve to the model's axis.

    What the curve does not cover is masked, never padded.

    Args:
        curve: measured or simulated G(r), r in Å.
        nn_distance: Å.
        grid: (R,) r / d_nn.
        qdamp: of the instrument, Å⁻¹; its damping is taken out.
        rmin: Å; below it G is termination ripple.
        rmax: Å, or None for the end of the curve.

    Returns:
        (2, R) float32.

    Raises:
        PdfFileError: when the curve covers less than three nearest-neighbour distances of the axis.
    """
    at = grid * nn_distance
    low, high = max(rmin, float(curve.r[0])), min(rmax if rmax is not None else np.inf, float(curve.r[-1]))
    known = (at >= low - 1e-9) & (at <= high + 1e-9)
    if high - low < 3 * nn_distance or known.sum() < 2:
        raise PdfFileError(
            f"{curve.source or 'curve'}: G(r) is known from {low:.2f} to {high:.2f} Å, {max(high - low, 0) / nn_distance:.1f} nearest-neighbour "
            f"distances of {nn_distance:.2f} Å. The model needs at least 3; measure or choose a longer range."
        )
    values = np.interp(at, curve.r, curve.g) / envelope(at, qdamp)
    channels: NDArray[np.float32] = standardise(values[None], known[None])[0]
    return channels
