"""How far a size, a length and a share may be off: intervals that hold what they say.

Three things make a quantity doubtful: candidates of rank 1's type that explain the curve about as well and have another value of it, the uncertainty
of each candidate's own fit, and what no candidate models. The first two are added in quadrature, about rank 1 and with the candidates' probabilities
as weights: the spread. The third makes residuals wider and correlated, so that neither is right as it stands, and now and then it makes an answer
far worse than usual. It shows in Rw, and more so the more points a particle has, since its candidates then differ the less. So the logarithm of a
quantity over its truth is taken for scale · (bias + t), scale = factor · (points/100)^growth · √(spread² + floor² + (misfit · Rw)²), with t from
Student's distribution: factor, growth, floor, misfit, bias and degrees of freedom of each quantity are those of simulated measurements whose truth
is known (``benchmarks/calibrate_posterior.py``, ``posterior.json``). A particle has a bias, since a surface that is drawn in, ligands and smaller
particles beside it make it look small: its interval reaches further up than down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from deepstruc_hpc.physics.evidence import record
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.ranking.ranking import Ranking

LEVELS = (0.68, 0.9, 0.95)
"""Of the intervals that are written."""
ONE_SIGMA = math.erf(math.sqrt(0.5))
"""Part of the probability within a standard uncertainty."""
USUAL_POINTS = 100.0
"""Independent points of a particle of 15 to 20 Å, where the factor of a doubt stands."""
LEAST_SIZE = 0.002
"""Relative: no diameter is known better, since surfaces are not smooth (a layer of atoms more or less on a tenth of the surface of 5 nm)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A positive quantity and its doubt.

    Attributes:
        value: in its unit.
        error: standard uncertainty of its logarithm: half of the interval that holds 68 %.
        open_above: the data end before they say how large it is.
        freedom: degrees of freedom of Student's distribution; infinite: the normal one.
        spread: of the logarithm over candidates, with each fit's own uncertainty.
        points: independent points behind the width; 0 where they do not count.
        shift: of the interval's middle from the value, in the logarithm.
    """

    value: float
    error: float
    open_above: bool = False
    freedom: float = math.inf
    spread: float = 0.0
    points: float = 0.0
    shift: float = 0.0

    def at(self, level: float) -> tuple[float, float | None]:
        """The central interval that holds this part of the probability; the upper end is None where it is open."""
        width = self.error * float(student.ppf(0.5 + 0.5 * level, self.freedom) / student.ppf(0.5 + 0.5 * ONE_SIGMA, self.freedom))
        return self.value * math.exp(self.shift - width), None if self.open_above else self.value * math.exp(self.shift + width)

    def record(self) -> dict[str, Any]:
        """For result.json: value, standard uncertainty in its unit, relative spread and points behind it, and the intervals by their per cent."""
        intervals = {f"{100 * level:.0f}": [None if end is None else round(end, 5) for end in self.at(level)] for level in LEVELS}
        numbers = {"value": round(self.value, 5), "error": round(self.value * self.error, 6), "spread": float(f"{self.spread:.4g}")}
        if self.points:
            numbers["points"] = round(self.points, 1)
        return {**numbers, **intervals}


def doubted(
    quantity: str, value: float, spread: float, *, rw: float = 0.0, points: float = 0.0, least: float = 0.0, open_above: bool = False
) -> Interval:
    """The interval of a quantity with what simulated measurements say of its kind.

    Args:
        quantity: a key of ``doubts`` in posterior.json.
        value: in its unit.
        spread: of ln(quantity) over candidates, with each fit's own uncertainty.
        rw: of rank 1.
        points: independent points of the curve up to where the particle ends; 0: as for :data:`USUAL_POINTS`.
        least: of the standard uncertainty, relative.
        open_above: as in :class:`Interval`.
    """
    known = record()["doubts"][quantity]
    more = (points / USUAL_POINTS) ** known["growth"] if points else 1.0
    scale = known["factor"] * more * math.hypot(spread, known["floor"], known["misfit"] * rw)
    error = scale * float(student.ppf(0.5 + 0.5 * ONE_SIGMA, known["freedom"]))
    return Interval(value, max(error, least), open_above, known["freedom"], spread, points, shift=-known["bias"] * scale)


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
            found[f"share {name}"] = doubted("share", float(share), float(error) / max(float(share), 1e-9))
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
    return doubted(
        size_kind(first), value, spread, rw=float(candidates.rw[0]), points=ranking.posterior.points, least=LEAST_SIZE, open_above=open_above
    )


def size_kind(first: Candidate) -> str:
    """Which doubt the size of rank 1 has: of explicit atoms, of a crystal of one size, or of a distribution."""
    if first.crystal_fit is None and first.cut is None:
        return "particle_size"
    return "distribution_size" if first.size_spread else "crystal_size"


def lengths(ranking: Ranking) -> dict[str, Interval]:
    """Lengths of the cell of rank 1, or its nearest-neighbour distance, Å; empty for a structure without a length of its own."""
    first, candidates = ranking.first, ranking.candidates
    if first.crystal_fit is not None:
        cell, errors = np.array(first.crystal_fit.cell), np.array(first.crystal_fit.cell_error)
        return _different(cell, errors / cell)
    zoom, own = float(candidates.zoom[0]), _zoom_error(ranking, 0)
    ours, weight = _of_type(ranking)
    scales = np.array([candidates.candidates[place].length for place in ours]) * candidates.zoom[ours]
    if first.length <= 0 or (scales <= 0).any():
        return {}
    spread = math.sqrt(float(weight @ np.log(scales / (first.length * zoom)) ** 2) + own**2)
    if first.cut is not None:
        cell = np.linalg.norm(first.cut.crystal.lattice, axis=1) * zoom
        return _different(cell, np.full(3, spread))
    return {
        "nearest_neighbours": doubted("particle_length", first.length * zoom, spread, rw=float(candidates.rw[0]), points=ranking.posterior.points)
    }


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


def _different(cell: Floats, spread: Floats) -> dict[str, Interval]:
    """a, and b and c where they are not equal to one before."""
    found: dict[str, Interval] = {}
    for name, length, doubt in zip("abc", cell, spread, strict=True):
        if all(abs(length - one.value) > 1e-6 * length for one in found.values()):
            found[name] = doubted("crystal_length", float(length), float(doubt))
    return found
