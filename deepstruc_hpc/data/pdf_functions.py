"""Which function of r a table holds, and G(r) from it: g(r), g(r) − 1, D(r), T(r), the radial distribution function, and G(r) upside down.

Definitions and relations: D. A. Keen, J. Appl. Cryst. 34 (2001) 172. With the number density ρ₀ (Å⁻³): G = 4πρ₀ r (g − 1); D is G times a constant;
T = D + 4πρ₀ r times that constant; R = r T. Where ρ₀ is not known, G comes in a scale of its own, as it does from many programs; fits have a free
scale.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.peaks import without_spikes

Array = NDArray[np.float64]

NO_ATOMS = 1.0
"""Å: no two atoms but hydrogen are nearer."""
UPSIDE_DOWN = {"xray": -0.5, "": -1.0}
"""Skewness from which on a curve is upside down, where X-rays are known or nothing is. Peaks of G(r) are sharp and the troughs between them broad:
the skewness of 864 simulated curves (17 crystals and gold, 5 to 20 Å, Qmax 10 to 25 Å⁻¹, U 0.004 and 0.02 Å², noise up to 0.3 of the RMS) is at least
−0.07 with X-rays and −0.91 with neutrons, where negative scattering lengths turn peaks over. With neutrons nothing is turned."""
WEIGHTED = 0.01
"""A plateau of g − 1 that is farther from −1 is weighted."""
_LABELS = (
    ("g(r) − 1", re.compile(r"^\s*(?:g\s*\(r\)|g)\s*-\s*1|^\s*h\s*\(r\)", re.IGNORECASE)),
    ("RDF", re.compile(r"^\s*(?:rdf|r\(r\)|4\s*(?:pi|π)\s*r)", re.IGNORECASE)),
    ("T(r)", re.compile(r"^\s*t\s*(?:\(r\)|$|_r)", re.IGNORECASE)),
    ("D(r)", re.compile(r"^\s*d\s*\(r\)|^\s*d\s*$", re.IGNORECASE)),
)


def named_function(label: str) -> str:
    """The function that a column's label names where it is not G(r); '' elsewhere. ``g(r)`` is left to the numbers: many write it for G(r)."""
    return next((name for name, pattern in _LABELS if pattern.search(label)), "")


def function_by_shape(r: Array, y: Array) -> str:
    """``g(r)``, ``g(r) − 1``, ``T(r)`` or ``RDF`` where the numbers can hardly be G(r); '' elsewhere.

    g settles at 1 and is never negative; g − 1 is a negative constant where no atoms are; T grows as r and the RDF as r², and neither is negative.
    """
    y = without_spikes(r, y)
    if _plateau(r, y) is not None:
        return "g(r) − 1"
    tail = r > r[0] + 0.6 * (r[-1] - r[0])
    if tail.sum() < 20:
        return ""
    beyond = y[r > NO_ATOMS]
    if not len(beyond) or beyond.min() < -0.05 * y.max():
        return ""
    mean, spread = float(y[tail].mean()), float(y[tail].std())
    growth = {power: _power_fit(r[tail], y[tail], power) for power in (0, 1, 2)}
    power = min(growth, key=lambda p: growth[p][1])
    level, residual = growth[power]
    if power == 0:
        return "g(r)" if 0.8 < mean < 1.2 and spread < 0.5 else ""
    whole = y[(r > NO_ATOMS) & (r < r[-1])]
    return ("T(r)" if power == 1 else "RDF") if level > 3.0 * residual and whole.min() > -0.05 * whole.max() else ""


def to_reduced(r: Array, y: Array, function: str, density: float | None) -> tuple[Array, Array, str]:
    """G(r) from another function.

    Args:
        r: (R,) Å.
        y: (R,).
        function: ``g(r)``, ``g(r) − 1``, ``D(r)``, ``T(r)`` or ``RDF``.
        density: atoms Å⁻³, or None.

    Returns:
        r (without r = 0 for the RDF) and G, and a sentence about it.
    """
    scale = 4.0 * np.pi * density if density else 1.0
    unit = f"with the number density {density:g} Å⁻³" if density else "in a scale of its own, because the number density is not known"
    if function == "g(r)":
        return r, scale * r * (y - 1.0), f"The table holds g(r), which settles at 1; it was read as G(r) = 4πρ₀ r (g − 1), {unit}."
    if function == "g(r) − 1":
        plateau = weight_of(r, y)
        weight = 1.0 if plateau is None else plateau
        words = f" weighted with {weight:.4g}" if abs(weight - 1.0) > WEIGHTED else ""
        unsure = "" if plateau is not None or density is None else " Its weight is not known, so the scale is not absolute."
        return r, scale * r * y / weight, f"The table holds g(r) − 1{words}; it was read as G(r) = 4πρ₀ r (g − 1), {unit}.{unsure}"
    if function == "D(r)":
        return r, y, "The table holds D(r), which is G(r) times a constant; it was read as G(r) in a scale of its own."
    if function == "RDF":
        away = r > 0
        r, y = r[away], y[away] / r[away]
    tail = r > r[0] + 0.5 * (r[-1] - r[0])
    slope, _ = _power_fit(r[tail], y[tail], 1)
    slope /= float(r[tail].mean())
    name = "T(r)" if function == "T(r)" else "the radial distribution function; over r it is T(r), which"
    grows = "which grows as r; the" if function == "T(r)" else "grows as r. The"
    return (
        r,
        y - slope * r,
        f"The table holds {name}{',' if function == 'T(r)' else ''} {grows} line {slope:.4g} r of its tail was taken out to have G(r).",
    )


def weight_of(r: Array, y: Array) -> float | None:
    """What a weighted g(r) − 1 is at r below all atoms, with the sign changed; None where no plateau shows.

    With neutrons RMCProfile writes Σᵢⱼ cᵢcⱼbᵢbⱼ (gᵢⱼ − 1), whose plateau is −(Σcb)² in 10⁻²⁴ cm²; with X-rays its weights are divided by those of the
    mean atom, and the plateau is −1 (Keen, J. Appl. Cryst. 34 (2001) 172).
    """
    plateau = _plateau(r, y)
    return None if plateau is None else -plateau


def is_upside_down(r: Array, g: Array, radiation: str) -> bool:
    """Whether the sharp features of a curve point down. See :data:`UPSIDE_DOWN`; False with neutrons.

    Args:
        r: (R,) Å.
        g: (R,).
        radiation: ``xray``, ``neutron`` or '' where nobody says.
    """
    limit = UPSIDE_DOWN.get(radiation)
    if limit is None:
        return False
    g = without_spikes(r, g)
    return all(_skewness(r, g, start) <= limit for start in (0.9, 1.5))


def _skewness(r: Array, g: Array, start: float) -> float:
    """Third moment over the 3/2 power of the second from some r to 12 Å, a straight line taken out; 0 for a flat curve."""
    inside = (r >= start) & (r <= 12.0)
    if inside.sum() < 20:
        return 0.0
    line = np.stack([np.ones(int(inside.sum())), r[inside]], axis=1)
    x = g[inside] - line @ np.linalg.lstsq(line, g[inside], rcond=None)[0]
    square = float(np.mean(x**2))
    return float(np.mean(x**3)) / square**1.5 if square > 0 else 0.0


def _plateau(r: Array, y: Array) -> float | None:
    """The negative constant below 1 Å that g − 1 has and G has not; None where there is none."""
    first = y[r <= NO_ATOMS]
    if len(first) < 10 or r[0] > 0.5 * NO_ATOMS:
        return None
    level, tail = float(first.mean()), y[r > r[0] + 0.6 * (r[-1] - r[0])]
    if level >= -0.02 * float(y.max()) or float(np.ptp(first)) > 0.1 * abs(level) or abs(float(tail.mean())) > 0.5 * abs(level):
        return None
    return level


def _power_fit(r: Array, y: Array, power: int) -> tuple[float, float]:
    """The mean of the best a·r^power over the points, and the RMS of what is left."""
    shape = r**power
    a = float(shape @ y) / float(shape @ shape)
    return float(np.mean(a * shape)), float(np.sqrt(np.mean((y - a * shape) ** 2)))
