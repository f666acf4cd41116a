"""What a curve without a composition may be of: a hint from its first distances, never an answer."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.peaks import peaks, without_spikes
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.structures.crystals import PROTOTYPES, Crystal, prototype_crystal
from deepstruc_hpc.structures.elements import METALLIC_RADII_PM, is_metal, nn_distance

SHORTEST, LONGEST = 1.5, 5.0
"""Å: from the shortest bonds of metals with oxygen to the second shell of metals."""
WIDTH = 0.12
"""Å. Standard deviation of a model's peaks: thermal motion of solids at room temperature and a Qmax of 20 Å⁻¹ together."""
TOLERANCE = 0.03
"""Relative: particles, temperature and the radii's convention change a first distance by up to so much."""
LEAST_CORRELATION = 0.7
"""Correlation from which on a model is named: half the curve's variance between the two limits is then the model's."""
NAMED = 3
Array = NDArray[np.float64]
_METAL_SHELLS = {
    "fcc": ((1.0, 12 / 1.0), (1.414, 6 / 1.414), (1.732, 24 / 1.732), (2.0, 12 / 2.0)),
    "bcc": ((1.0, 8 / 1.0), (1.155, 6 / 1.155), (1.633, 12 / 1.633), (1.915, 24 / 1.915), (2.0, 8 / 2.0)),
}
"""Distances in nearest-neighbour distances, and how strongly they show: atoms at them over the distance."""


def suggest_elements(curve: PdfCurve) -> str:
    """A sentence that names up to three metals and up to three built-in crystals whose first distances lie at the curve's first peaks.

    Metals as fcc or bcc shells with twice their radius for twelve neighbours; crystals by their distances, weighted with numbers of electrons; both
    within 3 %.

    Args:
        curve: measured G(r).

    Returns:
        Words for the end of an error: the distances found, and what has them; or that nothing built in has.
    """
    found = peaks(curve, SHORTEST, LONGEST)
    inside = (curve.r >= SHORTEST) & (curve.r <= LONGEST)
    if not len(found) or curve.r[0] > 2.0:
        return f"No peak stands out between {SHORTEST:g} and {LONGEST:g} Å, so nothing can be suggested."
    r, g = curve.r[inside], without_spikes(curve.r, curve.g)[inside]
    metals, crystals = _metals(r, g, peaks(curve, SHORTEST, LONGEST, least=0.5)), _crystals(r, g)
    seen = ", ".join(f"{at:.2f}" for at in found[:4])
    if not metals and not crystals:
        return f"Its first peaks lie at {seen} Å, where no metal and no built-in crystal has its first distances."
    parts = [f"the metals {', '.join(metals)}"] * bool(metals) + [f"the crystals {', '.join(crystals)}"] * bool(crystals)
    return f"A hint, not an answer: its first peaks lie at {seen} Å; near these are the first distances of {' and of '.join(parts)}."


def _metals(r: Array, g: Array, strong: Array) -> list[str]:
    """Metals whose nearest neighbours lie at the first strong peak, where an fcc or bcc metal with such neighbours fits; the nearest first."""
    first = float(strong[0])
    correlation = max(
        _correlation(r, g, zoom * first * np.array(shells)[:, 0], np.array(shells)[:, 1])
        for shells in _METAL_SHELLS.values()
        for zoom in np.linspace(1 - TOLERANCE, 1 + TOLERANCE, 7)
    )
    if correlation < LEAST_CORRELATION:
        return []
    away = {symbol: abs(nn_distance(symbol, "twelve") / first - 1.0) for symbol in METALLIC_RADII_PM if is_metal(symbol)}
    near = sorted((symbol for symbol in away if away[symbol] <= TOLERANCE), key=lambda symbol: away[symbol])
    return [f"{symbol} ({nn_distance(symbol, 'twelve'):.2f} Å)" for symbol in near[:NAMED]]


def _crystals(r: Array, g: Array) -> list[str]:
    """Built-in crystals whose first distances fit, the best first."""
    scores: dict[str, float] = {}
    for name in PROTOTYPES:
        at, weight = weighted_distances(prototype_crystal(name), LONGEST * (1 + TOLERANCE))
        scores[name] = max(_correlation(r, g, zoom * at, weight) for zoom in np.linspace(1 - TOLERANCE, 1 + TOLERANCE, 7))
    best = sorted((name for name in scores if scores[name] >= LEAST_CORRELATION), key=lambda name: -scores[name])[:NAMED]
    return [f"{name} (from {prototype_crystal(name).bond_length:.2f} Å)" for name in best]


def _correlation(r: Array, g: Array, at: Array, weight: Array) -> float:
    """Correlation of a curve with Gaussian peaks at some distances, a straight line taken out of both."""
    model = np.exp(-0.5 * ((r[:, None] - at[None, :]) / WIDTH) ** 2) @ weight
    line = np.stack([np.ones_like(r), r], axis=1)
    both = np.stack([g, model], axis=1)
    one, other = (both - line @ np.linalg.lstsq(line, both, rcond=None)[0]).T
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm > 0 else 0.0


def weighted_distances(crystal: Crystal, longest: float) -> tuple[Float64[Array, " distances"], Float64[Array, " distances"]]:
    """Distances of a crystal up to some length, Å, and how strongly they show in an X-ray PDF: Zᵢ Zⱼ / r for each pair, Z the atomic numbers.

    Returns:
        (D,) Å, and (D,) weights, equal distances together.
    """
    from periodictable import elements

    spacing = 1.0 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    counts = [np.arange(-int(np.ceil(longest / width)), int(np.ceil(longest / width)) + 1) for width in spacing]
    shifts = np.stack(np.meshgrid(*counts, indexing="ij"), axis=-1).reshape(-1, 3)
    z = np.array([sum(occupancy * elements.symbol(symbol).number for symbol, occupancy in site) for site in crystal.species])
    r: list[float] = []
    weight: list[float] = []
    for i, j in combinations_with_replacement(range(len(z)), 2):
        apart = np.linalg.norm((crystal.fractions[j] - crystal.fractions[i] + shifts) @ crystal.lattice, axis=1)
        inside = apart[(apart > 1e-3) & (apart <= longest)]
        r += inside.tolist()
        weight += (z[i] * z[j] / inside * (1.0 if i == j else 2.0)).tolist()
    rounded, group = np.unique(np.round(r, 3), return_inverse=True)
    return rounded, np.bincount(group, weights=np.array(weight)).astype(np.float64)
