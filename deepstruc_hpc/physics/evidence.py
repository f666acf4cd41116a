"""One posterior: how residuals, parameters and prior knowledge become nats. Ranking, searches, phases, occupations, crystals and series ask here.

Likelihood. A Gaussian residual of unknown variance, integrated over the variance, gives −½ n ln(Rw²) up to a constant of the data, with n the
independent points that the residual counts for (:func:`log_likelihood`).

Points. A curve holds (rmax − rmin)(Qmax − Qmin)/π independent numbers (:func:`independent_points`). What a rigid, perfect model misses (relaxed
surfaces, ligands, sizes) it misses at many neighbouring points at once: ``points_per_datum`` of them count as one where kinds of structures are
compared (:func:`correlated`). A further parameter of the same model is different: it is asked whether the data see it beside noise, so that all
points count.

Price. A parameter that is fitted costs ½ ln n (:func:`parameter_price`), so that −2 ln of the evidence is the Bayesian information criterion
(:func:`criterion`).

Prior. Types share it equally, up to a weight with which a model's word counts (:func:`prior_of_types`). Many candidates of one type are pooled
(:func:`pooled`), and candidates away from the size that the good ones agree on lose (:func:`size_terms`).

Constants come from simulated measurements: ``benchmarks/calibrate_posterior.py`` writes ``posterior.json`` beside this file, each with its
uncertainty, and says by which curves.

Sources: MacKay, Information Theory, Inference and Learning Algorithms (2003), ch. 24 (likelihood); Farrow et al., Phys. Rev. B 84 (2011) 134105
(points); Schwarz, Ann. Statist. 6 (1978) 461 (price).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CONSTANTS_FILE = Path(__file__).with_name("posterior.json")
PHASE_ERROR, PHASE_POINTS = 0.02, 8.0
"""Model error (Rw) and independent points a datum where one phase is weighed against several. Those of structure types are no measure here: with
them 5 of 20 particles that no list holds were called two phases, with these none, and 17 of 20 mixtures were found
(``benchmarks/solve_mixtures.py``)."""


@dataclass(frozen=True)
class Constants:
    """What ``benchmarks/calibrate_posterior.py`` fits.

    Attributes:
        model_error: Rw that no candidate is expected to beat.
        points_per_datum: independent points that together count as one where kinds of structures are compared.
        prior_weight: share of a model's word in the prior over types; the rest is uniform.
        complexity_penalty: nats that one more fault or defect must gain.
        sharpness: power with which candidates of a type are averaged; 1 is the mean, infinity the best.
        doubt: share of the probability that the right answer is none of what was tried, spread evenly over the types.
        size_temper: power of the fits when candidates of a lattice agree on a size.
        size_width: width of that agreement in ln(number of atoms), in units of the best Rw.
        least_size_width: the same where the fit is perfect.
    """

    model_error: float
    points_per_datum: float
    prior_weight: float
    complexity_penalty: float
    sharpness: float
    doubt: float
    size_temper: float
    size_width: float
    least_size_width: float


@lru_cache(maxsize=1)
def record() -> Mapping[str, Any]:
    """The whole of ``posterior.json``: constants with uncertainties, quantiles of doubts, and by which curves and code they were found."""
    known: Mapping[str, Any] = json.loads(CONSTANTS_FILE.read_text(encoding="utf-8"))
    return known


@lru_cache(maxsize=1)
def constants() -> Constants:
    """The constants in use."""
    return Constants(**{name: float(one["value"]) for name, one in record()["constants"].items()})


def independent_points(rmin: float, rmax: float, qmin: float, qmax: float) -> float:
    """Number of independent points in a curve, (rmax−rmin)(Qmax−Qmin)/π: what it can know, however finely it is sampled.

    Source: Nyquist–Shannon; Farrow et al., Phys. Rev. B 84 (2011) 134105.
    """
    return max(rmax - rmin, 0.0) * max(qmax - qmin, 0.0) / math.pi


def correlated(points: float, points_per_datum: float, n_parameters: float = 0.0) -> float:
    """Data that count between kinds of structures: independent points over those that count as one, less the parameters; at least 1."""
    return max(points / points_per_datum - n_parameters, 1.0)


def within_calibration(rw: Any, limit: float | None = None) -> Floats:
    """Weight of the data by how well the best candidate fits: (limit/Rw)², at most 1.

    The constants hold for fits as good as those that they were found on: ``calibrated_to`` in posterior.json is the Rw that 97.5 % of these stay
    below. What a worse fit misses is not known to be of the same kind, so that its differences say less.

    Args:
        rw: of the best candidate, any shape.
        limit: another Rw than that of posterior.json.
    """
    limit = float(record()["made"]["calibrated_to"]) if limit is None else limit
    return np.asarray(np.minimum(1.0, np.square(limit / np.maximum(rw, limit))))


def log_likelihood(rw: Any, points: float, *, model_error: float = 0.0) -> Floats:
    """The marginal log-likelihood of a Gaussian residual of unknown variance, −½ n ln(Rw² + e²), up to a constant of the data.

    Args:
        rw: agreement, any shape, finite, ≥ 0.
        points: n, the points that the residual counts for, less the fitted parameters.
        model_error: e, the Rw that no candidate of the kind is expected to go below: what a rigid particle always misses.

    Returns:
        Nats, the shape of ``rw``.
    """
    return np.asarray(-0.5 * points * np.log(np.square(rw) + model_error**2))


def gain(before: Any, after: Any, points: float) -> Any:
    """Nats that a smaller sum of squares (or Rw²) is worth, ½ n ln(before/after)."""
    return 0.5 * points * np.log(before / after)


def parameter_price(n_parameters: float, points: float) -> float:
    """Nats that fitted parameters must gain, ½ k ln n; 0 where no more than one point counts."""
    return 0.5 * n_parameters * math.log(max(points, 1.0))


def criterion(power: float, points: float, n_parameters: float) -> float:
    """Bayesian information criterion, n ln(power) + k ln n = −2 ln(evidence) up to a constant of the data; lower is better.

    Args:
        power: Σ of squares that is left, or Rw², in any unit that is the same for all that are compared.
        points: n.
        n_parameters: k.
    """
    return float(points * np.log(power)) + 2.0 * parameter_price(n_parameters, points)


def prior_of_types(lattices: Mapping[str, str], stated: Mapping[str, float], weight: float) -> dict[str, float]:
    """Uniform over types, mixed with what a model says of their lattices, which the types of one lattice share.

    Args:
        lattices: of each type; outlines (fcc, octahedral) and orderings of an alloy have the same one.
        stated: probability of each lattice, any sum.
        weight: of what is stated, 0 to 1; 0 where nothing is said of any of the lattices.
    """
    count: dict[str, int] = {}
    for lattice in lattices.values():
        count[lattice] = count.get(lattice, 0) + 1
    uniform, total = 1.0 / max(len(lattices), 1), sum(stated.get(lattice, 0.0) for lattice in count)
    if total <= 0:
        return dict.fromkeys(lattices, uniform)
    return {kind: (1 - weight) * uniform + weight * stated.get(lattice, 0.0) / total / count[lattice] for kind, lattice in lattices.items()}


def pooled(score: Floats, sharpness: float, count: int | None = None) -> float:
    """Ln of (mean of exp(p · score))^(1/p): the evidence of many candidates, nats.

    Args:
        score: (C,) nats of those that are looked at.
        sharpness: p.
        count: how many there are; those that are not looked at add nothing. C where None.
    """
    best = float(score.max())
    return best + float(np.log(np.exp(sharpness * (score - best)).sum() / (count or len(score))) / sharpness)


def shares(evidence: Mapping[str, float], doubt: float = 0.0) -> dict[str, float]:
    """Probabilities of kinds from the ln of their evidence (nats); a part of it is left open and spread evenly."""
    top = max(evidence.values(), default=0.0)
    total = sum(math.exp(value - top) for value in evidence.values())
    return {kind: (1.0 - doubt) * math.exp(value - top) / total + doubt / len(evidence) for kind, value in evidence.items()}


def size_terms(n_atoms: Floats, rw: Floats, score: Floats, groups: Sequence[str] | NDArray[Any], known: SizePrior) -> Floats:
    """(C,) nats that a candidate loses for lying away from the size that the candidates of its group agree on.

    The best of thousands of candidates fits the residual, too. What all good ones agree on is steadier: the mean of ln N under exp(temper · score).
    A candidate loses ½ (distance in ln N / width)². The width is ``known.width`` times the best Rw of the group, since sizes mean less where even
    the best fits badly, and the spread of ln N under the same weights is added, since there is nothing to agree with where they do not agree.
    """
    if known.width == 0 or not len(score):
        return np.zeros(len(score))
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    size = np.log(np.maximum(n_atoms, 1.0))
    top, best = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    np.maximum.at(top, place, score)
    np.minimum.at(best, place, rw)
    weight = np.exp(known.temper * (score - top[place]))
    total = np.bincount(place, weight)
    away = size - (np.bincount(place, weight * size) / total)[place]
    disagreement = np.bincount(place, weight * away**2) / total
    width = np.hypot(np.maximum(known.width * best, known.least), np.sqrt(disagreement))
    return np.asarray(-0.5 * (away / width[place]) ** 2)


@dataclass(frozen=True)
class SizePrior:
    """How sizes agree.

    Attributes:
        temper: power of the fits.
        width: of the agreement in ln(number of atoms), in units of the best Rw; 0: sizes by fit alone.
        least: no agreement is narrower, ln(number of atoms).
    """

    temper: float
    width: float
    least: float
