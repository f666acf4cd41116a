"""How far a size, a length and a share may be off: intervals that hold what they say.

Three things make a quantity doubtful: candidates of rank 1's type that explain the curve about as well and have another value of it, the uncertainty
of each candidate's own fit, and what no candidate models. The first two are added in quadrature, about rank 1 and with the candidates' probabilities
as weights; the third makes residuals wider and correlated, so that neither is right as it stands. One factor for each quantity brings them to what is
found on simulated measurements whose truth is known: ``benchmarks/solve_intervals.py`` makes them, prints the factors and how often the intervals
then hold the truth.

Quantities are positive, and their doubt is normal in the logarithm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from deepstruc_hpc.solve.ranking.ranking import Ranking

LEVELS = (0.68, 0.9, 0.95)
"""Of the intervals that are written."""
PARTICLE_SIZE = 0.45
"""Doubt of the diameter of explicit atoms over the spread of the candidates' diameters: 140 particles of benchmarks/solve_unseen.py, seed 1."""
CRYSTAL_SIZE = 1.0
"""The same of a crystal × shape and of particles cut from crystals, with the fit's own uncertainty in the spread. This and the following are those of
benchmarks/solve_intervals.py --curves 75 --seed 7."""
OUTLINE = 0.025
"""Relative, added to that where the sizes have no spread: particles are no spheres, and their surface holds a layer of atoms more or less."""
PARTICLE_LENGTH = 0.5
"""Doubt of a nearest-neighbour distance over spread and standard uncertainty of the fitted zoom."""
CRYSTAL_LENGTH, LEAST_LENGTH = 1.3, 2e-4
"""Doubt of a length of a cell over its standard uncertainty in the fit, and what is added to it, relative."""
SHARE = 1.35
"""Doubt of a share of the weight over its standard uncertainty in the fit of all phases."""
LEAST_SIZE = 0.002
"""Relative: no diameter is known better, since surfaces are not smooth (a layer of atoms more or less on a tenth of the surface of 5 nm)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A positive quantity and its doubt.

    Attributes:
        value: in its unit.
        error: standard deviation of its logarithm.
        open_above: the data end before they say how large it is.
    """

    value: float
    error: float
    open_above: bool = False

    def at(self, level: float) -> tuple[float, float | None]:
        """The central interval that holds this part of the probability; the upper end is None where it is open."""
        width = float(norm.ppf(0.5 + 0.5 * level)) * self.error
        return self.value * math.exp(-width), None if self.open_above else self.value * math.exp(width)

    def record(self) -> dict[str, Any]:
        """For result.json: value, standard uncertainty in the same unit, and the intervals by their per cent."""
        intervals = {f"{100 * level:.0f}": [None if end is None else round(end, 5) for end in self.at(level)] for level in LEVELS}
        return {"value": round(self.value, 5), "error": round(self.value * self.error, 6), **intervals}


def intervals(ranking: Ranking, *, open_above: bool = False) -> dict[str, Interval]:
    """All quantities of rank 1 whose doubt is known, by name.

    Args:
        ranking: of all candidates.
        open_above: the data end before the particle does.

    Returns:
        ``diameter`` in Å (absent for a crystal without an end); ``a``, ``b``, ``c`` in Å of a crystal, those that differ, or ``nearest_neighbours``
        in Å of a metal shape; ``share …`` of the weight of each phase.
    """
    found = {}
    size = diameter(ranking, open_above=open_above)
    if size is not None:
        found["diameter"] = size
    found |= lengths(ranking)
    phases = ranking.first.phases
    if phases is not None:
        for name, share, error in zip(phases.labels, phases.fit.weights, phases.fit.weight_errors, strict=True):
            found[f"share {name}"] = Interval(float(share), SHARE * float(error) / max(float(share), 1e-9))
    return found


def diameter(ranking: Ranking, *, open_above: bool = False) -> Interval | None:
    """The diameter of the sphere with the volume of rank 1, Å; None for a crystal without an end."""
    first, candidates = ranking.first, ranking.candidates
    if first.crystal_fit is not None and first.crystal_fit.bulk:
        return None
    value = first.diameter * float(candidates.zoom[0])
    ours, weight = _of_type(ranking)
    log, own = np.zeros(len(ours)), np.zeros(len(ours))
    for number, place in enumerate(ours):
        candidate = candidates.candidates[place]
        log[number] = math.log(max(candidate.diameter * float(candidates.zoom[place]), 1e-3) / value)
        fit = candidate.crystal_fit
        own[number] = (fit.diameter_error or 0.0) / fit.diameter if fit is not None and fit.diameter else 0.0
    spread = math.sqrt(float(weight @ (log**2 + own**2)))
    if first.crystal_fit is None and first.cut is None:
        return Interval(value, max(PARTICLE_SIZE * spread, LEAST_SIZE), open_above)
    return Interval(value, max(math.hypot(CRYSTAL_SIZE * spread, 0.0 if first.size_spread else OUTLINE), LEAST_SIZE), open_above)


def lengths(ranking: Ranking) -> dict[str, Interval]:
    """Lengths of the cell of rank 1, or its nearest-neighbour distance, Å; empty for a structure without a length of its own."""
    first, candidates = ranking.first, ranking.candidates
    if first.crystal_fit is not None:
        cell, errors = np.array(first.crystal_fit.cell), np.array(first.crystal_fit.cell_error)
        return _different(cell, np.hypot(CRYSTAL_LENGTH * errors / cell, LEAST_LENGTH))
    zoom, own = float(candidates.zoom[0]), _zoom_error(ranking, 0)
    ours, weight = _of_type(ranking)
    scales = np.array([candidates.candidates[place].length for place in ours]) * candidates.zoom[ours]
    if first.length <= 0 or (scales <= 0).any():
        return {}
    spread = math.sqrt(float(weight @ np.log(scales / (first.length * zoom)) ** 2) + own**2)
    if first.cut is not None:
        cell = np.linalg.norm(first.cut.crystal.lattice, axis=1) * zoom
        return _different(cell, np.full(3, math.hypot(CRYSTAL_LENGTH * spread, LEAST_LENGTH)))
    return {"nearest_neighbours": Interval(first.length * zoom, PARTICLE_LENGTH * spread)}


def _of_type(ranking: Ranking) -> tuple[NDArray[np.intp], Floats]:
    """Places of the candidates of rank 1's type that have a size, and their shares of its probability."""
    candidates = ranking.candidates
    endless = np.array([one.crystal_fit is not None and one.crystal_fit.bulk for one in candidates], dtype=bool)
    ours = np.flatnonzero((candidates.types == ranking.first.kind) & ~endless)
    weight = ranking.probability[ours]
    total = float(weight.sum())
    return ours, weight / total if total > 0 else np.full(len(ours), 1.0 / max(len(ours), 1))


def _zoom_error(ranking: Ranking, place: int) -> float:
    """Standard uncertainty of a fitted zoom, relative; 0 where the fit has none."""
    error = float(ranking.candidates.row(place)["zoom_err"]) / float(ranking.candidates.zoom[place])
    return error if math.isfinite(error) else 0.0


def _different(cell: Floats, error: Floats) -> dict[str, Interval]:
    """a, and b and c where they are not equal to one before."""
    found: dict[str, Interval] = {}
    for name, length, doubt in zip("abc", cell, error, strict=True):
        if all(abs(length - one.value) > 1e-6 * length for one in found.values()):
            found[name] = Interval(float(length), float(doubt))
    return found
