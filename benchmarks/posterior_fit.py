"""Constants of the posterior from solved curves: by the logarithm of the probability that was given to the truth, with bootstrap uncertainties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import t as student

from deepstruc_hpc.physics.evidence import Constants, SizePrior, independent_points, prior_of_types, size_terms, within_calibration
from deepstruc_hpc.solve.ranking.intervals import USUAL_POINTS
from deepstruc_hpc.solve.ranking.posterior import FITTED_PARAMETERS
from deepstruc_hpc.structures.lattices import lattice_of

Array = NDArray[np.float64]
Places = NDArray[np.int64]
START = Constants(0.02, 8.0, 0.25, 2.0, 2.0, 0.01, 0.3, 1.0, 0.03)
"""What the fit starts from and is pulled to, weakly: the values before any were fitted, and 1 % for the doubt, which was 0."""
PULL = 1.0
"""Standard deviation of that pull, in ln of a positive constant or in the logit of a share: a factor of e. It decides where curves say nothing."""
KERNEL = 0.01
"""Least width, in ln N, that a candidate stands for when sizes are scored: one atom in a hundred."""


def best_fits(rows: Sequence[dict[str, Any]]) -> Array:
    """(R,) Rw of the best candidate of each curve."""
    return np.array([min(row["candidates"]["rw"]) for row in rows])


@dataclass(frozen=True, eq=False)
class Curves:
    """Solved curves, all candidates one after another: R curves, T types, G groups (a type's listed candidates, or those found), C candidates.

    Attributes:
        rows: as read.
        points: (R,) independent points up to where the best candidate ends.
        trust: (R,) weight of the data by how well the best candidate fits.
        rw, complexity: (C,), sorted by group.
        begin: (G,) first candidate of each group.
        count: (G,) candidates of the group that there were, kept or not.
        kind: (G,) type of each group.
        curve: (T,) curve of each type.
        first_kind: (R,) first type of each curve.
        stated, uniform: (T,) prior of the model and the uniform one.
        right: (T,) whether a type is right.
        lattice: (T,) lattice of each type, counted through all curves.
    """

    rows: Sequence[dict[str, Any]]
    points: Array
    trust: Array
    rw: Array
    complexity: Array
    begin: Places
    count: Array
    kind: Places
    curve: Places
    first_kind: Places
    stated: Array
    uniform: Array
    right: NDArray[np.bool_]
    lattice: Places

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]], limit: float | None = None) -> Curves:
        """Of rows with candidates; the limit is that of ``within_calibration``."""
        rw, complexity, begin, count, kind, curve, first_kind = [], [], [0], [], [], [], []
        stated, uniform, right, lattice, lattices_before = [], [], [], [], 0
        for number, row in enumerate(rows):
            groups, lattices = _groups(row)
            first_kind.append(len(curve))
            for own, ours, priced, many in groups:
                rw.append(ours)
                complexity.append(priced)
                begin.append(begin[-1] + len(ours))
                count.append(float(many))
                kind.append(first_kind[-1] + own)
            belief: dict[str, float] = {}
            for name, share in (row["belief"] or {}).items():
                belief[lattice_of(name)] = belief.get(lattice_of(name), 0.0) + share
            for weight, prior in ((1.0, stated), (0.0, uniform)):
                prior += list(prior_of_types(lattices, belief, weight).values())
            names = list(dict.fromkeys(lattices.values()))
            lattice += [lattices_before + names.index(one) for one in lattices.values()]
            lattices_before += len(names)
            right += [one in row["right"] for one in lattices]
            curve += [number] * len(lattices)
        places = (np.array(one, dtype=np.int64) for one in (begin[:-1], kind, curve, first_kind, lattice))
        starts, of_group, of_type, firsts, of_lattice = places
        points = np.array([_points(row) for row in rows])
        return cls(
            rows,
            points,
            within_calibration(best_fits(rows), limit),
            np.concatenate(rw),
            np.concatenate(complexity),
            starts,
            np.array(count),
            of_group,
            of_type,
            firsts,
            np.array(stated),
            np.array(uniform),
            np.array(right),
            of_lattice,
        )

    def own(self, number: int) -> slice:
        """Candidates of a curve, in the order of its table."""
        groups = np.flatnonzero(self.curve[self.kind] == number)
        last = int(groups[-1]) + 1
        return slice(int(self.begin[groups[0]]), int(self.begin[last]) if last < len(self.begin) else len(self.rw))

    def scores(self, one: Constants) -> Array:
        """(C,) nats, as the program scores candidates."""
        each = np.diff(np.append(self.begin, len(self.rw)))
        data = (self.trust * np.maximum(self.points / one.points_per_datum - FITTED_PARAMETERS, 1.0))[self.curve[self.kind]]
        prior = np.log(np.maximum((1.0 - one.prior_weight) * self.uniform + one.prior_weight * self.stated, 1e-300))[self.kind]
        fit = -0.5 * np.repeat(data, each) * np.log(self.rw**2 + one.model_error**2)
        return np.asarray(fit - one.complexity_penalty * self.complexity + np.repeat(prior, each))

    def shares(self, one: Constants) -> Array:
        """(T,) probability of each type."""
        score, p = self.scores(one), one.sharpness
        each = np.diff(np.append(self.begin, len(self.rw)))
        top = np.maximum.reduceat(score, self.begin)
        summed = np.add.reduceat(np.exp(p * (score - np.repeat(top, each))), self.begin)
        evidence = np.full(len(self.curve), -np.inf)
        np.maximum.at(evidence, self.kind, top + (np.log(summed) - np.log(self.count)) / p)
        many = np.diff(np.append(self.first_kind, len(self.curve)))
        weight = np.exp(evidence - np.repeat(np.maximum.reduceat(evidence, self.first_kind), many))
        total = np.repeat(np.add.reduceat(weight, self.first_kind), many)
        return np.asarray((1.0 - one.doubt) * weight / total + one.doubt / np.repeat(many, many))

    def given(self, one: Constants) -> Array:
        """(R,) probability that the right types got; the doubt's share of one type more where no right one was tried."""
        many = np.diff(np.append(self.first_kind, len(self.curve)))
        given = np.add.reduceat(np.where(self.right, self.shares(one), 0.0), self.first_kind)
        return np.where(np.logical_or.reduceat(self.right, self.first_kind), given, one.doubt / (1.0 + many))

    def first(self, one: Constants) -> tuple[Array, NDArray[np.bool_]]:
        """(R,) probability of the most probable lattice, and whether it is right."""
        pooled = np.bincount(self.lattice, self.shares(one))
        stated = np.maximum.reduceat(pooled[self.lattice], self.first_kind)
        many = np.diff(np.append(self.first_kind, len(self.curve)))
        best = pooled[self.lattice] >= np.repeat(stated, many)
        return stated, np.logical_or.reduceat(best & self.right, self.first_kind)


def _groups(row: dict[str, Any]) -> tuple[list[tuple[int, Array, Array, int]], dict[str, str]]:
    """Groups (place of the type, Rw, complexity, count) and the lattice of each type."""
    table = row["candidates"]
    lattices = {kind: table["lattice"][table["type"].index(kind)] for kind in dict.fromkeys(table["type"])}
    kinds, found = list(lattices), []
    of = [f"{kind}|{int(listed)}" for kind, listed in zip(table["type"], table["listed"], strict=True)]
    for name, many in row["counts"].items():
        ours = [place for place, own in enumerate(of) if own == name]
        rw, priced = (np.array([table[column][place] for place in ours], dtype=float) for column in ("rw", "complexity"))
        found.append((kinds.index(name.rpartition("|")[0]), rw, priced, int(many)))
    return found, lattices


def _points(row: dict[str, Any]) -> float:
    rmin, rmax, qmin, qmax = row["range"]
    return independent_points(rmin, min(1.1 * row["extent"] + 2.0, rmax), qmin, qmax)


TYPES = ("model_error", "points_per_datum", "prior_weight", "complexity_penalty", "sharpness", "doubt")
SHARES = {"prior_weight", "doubt"}


def fit_types(curves: Curves, weights: Array | float = 1.0, begin: Constants = START) -> Constants:
    """The constants of type probabilities: the greatest Σ w ln(probability of the right types), with a weak pull to :data:`START`.

    Args:
        curves: R of them.
        weights: (R,), or one for all.
        begin: where the search starts.
    """
    middle = _free(START)

    def cost(vector: Array) -> float:
        given = curves.given(_bound(vector, begin))
        return float(-(weights * np.log(np.maximum(given, 1e-12))).sum() + 0.5 * (((vector - middle) / PULL) ** 2).sum())

    found = minimize(cost, _free(begin), method="L-BFGS-B", options={"maxiter": 60, "eps": 1e-3, "ftol": 1e-6})
    return _bound(found.x, begin)


def _free(one: Constants) -> Array:
    return np.array([logit(getattr(one, name)) if name in SHARES else np.log(getattr(one, name)) for name in TYPES])


def _bound(vector: Array, start: Constants) -> Constants:
    limited = np.clip(vector, -9.0, 9.0)
    values = {name: float(expit(value) if name in SHARES else np.exp(value)) for name, value in zip(TYPES, limited, strict=True)}
    return Constants(**{**vars(start), **values})


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sizes of the candidates of the true lattices of S curves, all C candidates one after another.

    Attributes:
        log, rw, score: (C,) ln N, Rw, and nats.
        group: (C,) numbers of those that agree on a size.
        begin: (S,) first candidate of each curve.
        true: (S,) true ln N.
        weights: (S,) of the curves.
    """

    log: Array
    rw: Array
    score: Array
    group: Places
    begin: Places
    true: Array
    weights: Array

    def density(self, known: SizePrior, kernel: float) -> Array:
        """(S,) ln of the density of the true ln N: each candidate is a Student t of 4 degrees and this width."""
        each = np.diff(np.append(self.begin, len(self.log)))
        weight = self.score + size_terms(np.exp(self.log), self.rw, self.score, self.group, known)
        weight = weight - np.repeat(np.maximum.reduceat(weight, self.begin), each)
        apart = (np.repeat(self.true, each) - self.log) / kernel
        held = np.exp(weight) * (0.375 / kernel) * (1.0 + apart**2 / 4.0) ** -2.5
        return np.asarray(np.log(np.add.reduceat(held, self.begin)) - np.log(np.add.reduceat(np.exp(weight), self.begin)))


def sizes_of(curves: Curves, one: Constants, weights: Array | float = 1.0) -> Sizes:
    """Of particles of explicit atoms that are right; the weights are (R,), or one for all."""
    score, parts, begin, true, own_weights = curves.scores(one), [], [0], [], []
    each = np.broadcast_to(weights, len(curves.rows))
    for number, row in enumerate(curves.rows):
        atoms, table = float(row["truth"].get("n_atoms", 0.0)), row["candidates"]
        if atoms <= 0 or row["kind"] == "compound" or not row["right"]:
            continue
        usable = np.isin(table["type"], row["right"]) & (np.array(table["n_atoms"]) > 0)
        if usable.any():
            names = list(dict.fromkeys(table["group"]))
            group = np.array([names.index(name) for name in table["group"]]) + 1000 * number
            logs = np.log(np.array(table["n_atoms"], dtype=float)[usable])
            parts.append((logs, np.array(table["rw"])[usable], score[curves.own(number)][usable], group[usable]))
            begin.append(begin[-1] + int(usable.sum()))
            true.append(float(np.log(atoms)))
            own_weights.append(float(each[number]))
    log, rw, scores, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sizes(log, rw, scores, group, np.array(begin[:-1]), np.array(true), np.array(own_weights))


def fit_sizes(sizes: Sizes, types: Constants, begin: Constants = START) -> Constants:
    """How sizes agree: the greatest Σ w ln(density of the true ln N), the width of a candidate fitted, too; with a weak pull to :data:`START`.

    Args:
        sizes: of S curves, scored with ``types``.
        types: the other constants.
        begin: where the search starts.
    """

    def free(one: Constants) -> Array:
        return np.array([logit(one.size_temper), np.log(one.size_width), np.log(one.least_size_width), np.log(0.03)])

    middle = free(START)

    def cost(vector: Array) -> float:
        known, kernel = _prior_of(vector), max(float(np.exp(vector[3])), KERNEL)
        return float(-(sizes.weights * sizes.density(known, kernel)).sum() + 0.5 * (((vector - middle) / PULL) ** 2).sum())

    found = minimize(cost, free(begin), method="L-BFGS-B", options={"maxiter": 40, "eps": 1e-3, "ftol": 1e-6})
    known = _prior_of(found.x)
    return Constants(**{**vars(types), "size_temper": known.temper, "size_width": known.width, "least_size_width": known.least})


def _prior_of(vector: Array) -> SizePrior:
    return SizePrior(float(expit(vector[0])), float(np.exp(vector[1])), float(np.exp(vector[2])))


def fit_doubt(off: Array, spread: Array, rw: Array, points: Array, *, one_sided: bool = False) -> dict[str, float]:
    """Of ln(found/true) = scale · (bias + t), scale = factor · (points/100)^growth · √(spread² + floor² + (misfit · Rw)²), by greatest likelihood.

    The pull is that of :data:`PULL` to a factor of 1, a floor of the median error, a misfit that makes as much at the median Rw, 5 degrees of
    freedom, no growth and no bias. Where no Rw is known (all are 0) there are neither misfit nor growth. A bias is fitted where ``one_sided``.
    """
    middle, usual = max(float(np.median(np.abs(off))), 1e-6), float(np.median(rw))
    begin = np.array([0.0, np.log(middle), np.log(5.0), np.log(middle / usual) if usual else 0.0, 0.0, 0.0])
    more = np.log(np.where(points > 0, points, USUAL_POINTS) / USUAL_POINTS)

    def cost(vector: Array) -> float:
        factor, floor, freedom, misfit = np.exp(np.clip(vector[:4], -14.0, 5.0))
        scale = factor * np.exp(vector[4] * more) * np.sqrt(spread**2 + floor**2 + (misfit * rw) ** 2)
        bias = vector[5] if one_sided else 0.0
        likely = student.logpdf(off / scale - bias, max(freedom, 1.5)) - np.log(scale)
        return float(-likely.sum() + 0.5 * (((vector - begin) / PULL) ** 2).sum())

    found = minimize(cost, begin, method="L-BFGS-B", options={"maxiter": 200, "eps": 1e-4, "ftol": 1e-8}).x
    factor, floor, freedom, misfit = (float(value) for value in np.exp(np.clip(found[:4], -14.0, 5.0)))
    held = {"misfit": misfit, "growth": float(found[4])} if usual else {"misfit": 0.0, "growth": 0.0}
    return {"factor": factor, "floor": floor, **held, "bias": float(found[5]) if one_sided else 0.0, "freedom": max(freedom, 1.5)}
