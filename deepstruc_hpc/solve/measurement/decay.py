"""How far the order of a curve goes, told by its own decay, before any candidate is tried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.large_bodies import sphere_diameter

LISTED = 400
"""Atoms of the largest particle of the shipped list. Of metals whose decay tells fewer, neither large particles nor crystals are asked."""
WINDOW = 3.0
"""Å. About a nearest-neighbour distance of metals: the power of G(r) is averaged over so much."""
START = 4.0
"""Å. The first neighbours stand alone and have more power than those farther out, whose peaks overlap."""
DIAMETERS = np.geomspace(6.0, 400.0, 120)
"""Å, tried."""
NOISE = np.array([0.0, *np.geomspace(1e-5, 0.3, 25)])
"""Power of noise, over that of G near r = 0, tried."""
PLAUSIBLE = 2.0
"""Nats below the best at which a diameter is given up: two standard deviations."""


@dataclass(frozen=True)
class Decay:
    """Diameters of the sphere whose envelope falls off as the curve does.

    Attributes:
        best: Å.
        low: Å, the smallest plausible one.
        high: Å, the largest plausible one; 400 where the curve shows no end.
    """

    best: float
    low: float
    high: float


def has_more_atoms(measurement: Measurement, symbol: str, n_atoms: int, *, surely: bool = False) -> bool:
    """Whether the decay of a curve tells a particle of a metal of more than so many atoms.

    Args:
        measurement: the curve.
        symbol: of the metal.
        n_atoms: of the close-packed sphere to compare with.
        surely: the smallest plausible diameter counts, not the best.
    """
    decay = decay_of(measurement)
    extent = 0.0 if decay is None else decay.low if surely else decay.best
    return extent > nn_distance(symbol, "twelve") * sphere_diameter("fcc", n_atoms)


@lru_cache(maxsize=4)
def decay_of(measurement: Measurement) -> Decay | None:
    """The diameter that the fall of a curve's power with r tells; None where the curve is too short to tell.

    For a crystal cut to a sphere, ⟨G²⟩(r) = a γ₀(r)² exp(−(Qdamp r)²) + b with γ₀ = 1 − 3r/2D + r³/2D³ and the noise b. The power of each window is
    taken for a mean over its independent points, whose likelihood is that of a gamma distribution. In a multiply twinned particle order is lost
    between its crystals, too, so the diameter is a lower estimate there.

    Source of γ₀: Guinier & Fournet, Small-Angle Scattering of X-rays (1955).
    """
    curve, instrument = measurement.curve, measurement.instrument
    inside = curve.r >= max(START, measurement.rmin)
    r, g = curve.r[inside], curve.g[inside]
    count = int((r[-1] - r[0]) / WINDOW) if len(r) else 0
    if count < 4:
        return None
    g = g - low_q_part(r, g, qmin=instrument.qmin, qdamp=instrument.qdamp, low_q=measurement.low_q)
    place = np.minimum(((r - r[0]) / WINDOW).astype(np.intp), count - 1)
    middle = r[0] + WINDOW * (np.arange(count) + 0.5)
    points = np.bincount(place, minlength=count)
    power = np.bincount(place, weights=g**2, minlength=count) / np.maximum(points, 1)
    if not (power > 0).all():
        return None
    nats = _log_likelihood(middle, power, instrument.qdamp, WINDOW * instrument.qmax / np.pi)
    good = DIAMETERS[nats > nats.max() - PLAUSIBLE]
    return Decay(float(DIAMETERS[np.argmax(nats)]), float(good.min()), float(good.max()))


def _log_likelihood(r: NDArray[np.float64], power: NDArray[np.float64], qdamp: float, points: float) -> NDArray[np.float64]:
    """(D,) of each diameter at its best noise; ``points`` independent ones in a window, of which half count: peaks of a crystal are no noise."""
    x = np.minimum(r[None, :] / DIAMETERS[:, None], 1.0)
    crystal = (1.0 - 1.5 * x + 0.5 * x**3) ** 2 * np.exp(-((qdamp * r) ** 2))
    shape = crystal[:, None, :] + NOISE[None, :, None] + 1e-9
    amplitude = (power / shape).mean(axis=2, keepdims=True)
    nats = -0.25 * points * (np.log(shape * amplitude) + power / (shape * amplitude)).sum(axis=2)
    return np.asarray(nats.max(axis=1))
