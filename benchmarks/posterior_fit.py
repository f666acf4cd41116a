"""Constants of the posterior from solved curves: by the logarithm of the probability that was given to the truth, with bootstrap uncertainties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp
from scipy.stats import t as student

from deepstruc_hpc.physics.evidence import Constants, SizePrior, independent_points, prior_of_types, size_terms
from deepstruc_hpc.solve.ranking.posterior import FITTED_PARAMETERS
from deepstruc_hpc.structures.lattices import lattice_of

Array = NDArray[np.float64]
START = Constants(0.02, 8.0, 0.25, 2.0, 2.0, 0.01, 0.3, 1.0, 0.03)
"""What the fit starts from and is pulled to, weakly: the values before any were fitted, and 1 % for the doubt, which was 0."""
PULL = 1.0
"""Standard deviation of that pull, in ln of a positive constant or in the logit of a share: a factor of e. It decides where curves say nothing."""
KERNEL = 0.01
"""Least width, in ln N, that a candidate stands for when sizes are scored: one atom in a hundred."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Solved curves as padded arrays: R curves, G groups of candidates (a type, listed or found), C candidates.

    Attributes:
        rows: as read.
        points: (R,) independent points up to where the best candidate ends.
        rw, complexity: (R, G, C); candidates that are not there have an infinite Rw.
        count: (R, G) of candidates of the group; 0 where there is none.
        kind: (R, G) place of the group's type among the K types of its curve.
        stated, uniform: (R, K) prior of the model and the uniform one; 0 where a curve has fewer types.
        right: (R, K) whether a type is right.
        lattice: (R, K) place of the type's lattice among those of its curve; −1 where a curve has fewer types.
    """

    rows: Sequence[dict[str, Any]]
    points: Array
    rw: Array
    complexity: Array
    count: Array
    kind: NDArray[np.int64]
    stated: Array
    uniform: Array
    right: NDArray[np.bool_]
    lattice: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> Curves:
        """Of rows with candidates."""
        each = [_groups(row) for row in rows]
        most = max(len(one[0]) for one in each)
        widest = max(len(rw) for one in each for _, rw, _, _ in one[0])
        types = max(len(one[1]) for one in each)
        shape = len(rows), most, widest
        rw, complexity, count = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape[:2])
        kind = np.zeros(shape[:2], dtype=np.int64)
        stated, uniform = np.zeros((len(rows), types)), np.zeros((len(rows), types))
        right, lattice = np.zeros((len(rows), types), dtype=bool), np.full((len(rows), types), -1)
        for number, (row, (groups, lattices)) in enumerate(zip(rows, each, strict=True)):
            for place, (own, ours, priced, many) in enumerate(groups):
                rw[number, place, : len(ours)], complexity[number, place, : len(ours)] = ours, priced
                count[number, place], kind[number, place] = many, own
            belief: dict[str, float] = {}
            for name, share in (row["belief"] or {}).items():
                belief[lattice_of(name)] = belief.get(lattice_of(name), 0.0) + share
            for weight, prior in ((1.0, stated), (0.0, uniform)):
                prior[number, : len(lattices)] = list(prior_of_types(lattices, belief, weight).values())
            names = list(dict.fromkeys(lattices.values()))
            lattice[number, : len(lattices)] = [names.index(one) for one in lattices.values()]
            right[number, : len(lattices)] = [one in row["right"] for one in lattices]
        points = np.array([_points(row) for row in rows])
        return cls(rows, points, rw, complexity, count, kind, stated, uniform, right, lattice)

    def take(self, chosen: NDArray[np.int64]) -> Curves:
        """Some curves, any as often as named."""
        columns = ("points", "rw", "complexity", "count", "kind", "stated", "uniform", "right", "lattice")
        return Curves([self.rows[int(one)] for one in chosen], **{name: getattr(self, name)[chosen] for name in columns})

    def scores(self, one: Constants) -> Array:
        """(R, G, C) nats, as the program scores candidates; −∞ where there is none."""
        data = np.maximum(self.points / one.points_per_datum - FITTED_PARAMETERS, 1.0)[:, None, None]
        prior = (1.0 - one.prior_weight) * self.uniform + one.prior_weight * self.stated
        own = np.log(np.maximum(np.take_along_axis(prior, self.kind, axis=1), 1e-300))[:, :, None]
        fit = -0.5 * data * np.log(np.where(np.isfinite(self.rw), self.rw, 1.0) ** 2 + one.model_error**2)
        return np.where(np.isfinite(self.rw), fit - one.complexity_penalty * self.complexity + own, -np.inf)

    def shares(self, one: Constants) -> Array:
        """(R, K) probability of each type."""
        score, p = self.scores(one), one.sharpness
        with np.errstate(divide="ignore"):
            pooled = (logsumexp(p * score, axis=2) - np.log(np.maximum(self.count, 1))) / p
        pooled = np.where(self.count > 0, pooled, -np.inf)
        there = self.lattice >= 0
        evidence = np.full(there.shape, -np.inf)
        np.maximum.at(evidence, (np.arange(len(evidence))[:, None], self.kind), pooled)
        weight = np.where(there, np.exp(evidence - evidence.max(axis=1, keepdims=True)), 0.0)
        return (1.0 - one.doubt) * weight / weight.sum(axis=1, keepdims=True) + one.doubt * there / there.sum(axis=1, keepdims=True)

    def first(self, one: Constants) -> tuple[Array, NDArray[np.bool_]]:
        """(R,) probability of the most probable lattice, and whether it is right."""
        share = self.shares(one)
        pooled = np.zeros_like(share)
        for place in range(share.shape[1]):
            pooled[:, place] = np.where(self.lattice == place, share, 0.0).sum(axis=1)
        best = pooled.argmax(axis=1)
        return pooled.max(axis=1), ((self.lattice == best[:, None]) & self.right).any(axis=1)


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


def fit_types(curves: Curves, start: Constants = START) -> Constants:
    """The constants of type probabilities: the greatest Σ ln(probability of the right types), with a weak pull to where they start."""
    begin = _free(start)

    def cost(vector: Array) -> float:
        one = _bound(vector, start)
        share = curves.shares(one)
        given = (share * curves.right).sum(axis=1)
        given = np.where(curves.right.any(axis=1), given, one.doubt / (1.0 + (curves.lattice >= 0).sum(axis=1)))
        return float(-np.log(np.maximum(given, 1e-12)).sum() + 0.5 * (((vector - begin) / PULL) ** 2).sum())

    found = minimize(cost, begin, method="Nelder-Mead", options={"maxiter": 1500, "xatol": 0.01, "fatol": 0.01, "adaptive": True})
    return _bound(found.x, start)


def _free(one: Constants) -> Array:
    return np.array([logit(getattr(one, name)) if name in SHARES else np.log(getattr(one, name)) for name in TYPES])


def _bound(vector: Array, start: Constants) -> Constants:
    limited = np.clip(vector, -9.0, 9.0)
    values = {name: float(expit(value) if name in SHARES else np.exp(value)) for name, value in zip(TYPES, limited, strict=True)}
    return Constants(**{**vars(start), **values})


@dataclass(frozen=True)
class Sizes:
    """Sizes of the candidates of the true lattice of one curve: ln N, Rw, score (nats), group; and the true ln N."""

    log: Array
    rw: Array
    score: Array
    group: NDArray[np.str_]
    true: float


def sizes_of(curves: Curves, one: Constants) -> list[Sizes]:
    """Of particles of explicit atoms that are right."""
    found, score = [], curves.scores(one)
    for number, row in enumerate(curves.rows):
        true, table = float(row["truth"].get("n_atoms", 0.0)), row["candidates"]
        if true <= 0 or row["kind"] == "compound" or not row["right"]:
            continue
        of = np.array([f"{kind}|{int(listed)}" for kind, listed in zip(table["type"], table["listed"], strict=True)])
        own = np.zeros(len(of))
        for place, name in enumerate(row["counts"]):
            ours = np.flatnonzero(of == name)
            own[ours] = score[number, place, : len(ours)]
        usable = np.array([kind in row["right"] for kind in table["type"]]) & (np.array(table["n_atoms"]) > 0)
        if usable.any():
            columns = (np.log(np.array(table["n_atoms"], dtype=float)[usable]), np.array(table["rw"])[usable], own[usable])
            found.append(Sizes(*columns, np.array(table["group"])[usable], float(np.log(true))))
    return found


def fit_sizes(sizes: Sequence[Sizes], start: Constants = START) -> Constants:
    """How sizes agree: the greatest Σ ln(density of the true ln N), each candidate a Student t (4 degrees) whose width is fitted, too."""
    begin = np.array([logit(start.size_temper), np.log(start.size_width), np.log(start.least_size_width), np.log(0.03)])

    def cost(vector: Array) -> float:
        temper, width, least, kernel = expit(vector[0]), np.exp(vector[1]), np.exp(vector[2]), max(float(np.exp(vector[3])), KERNEL)
        total = 0.0
        for one in sizes:
            term = size_terms(np.exp(one.log), one.rw, one.score, one.group, SizePrior(float(temper), float(width), float(least)))
            weight = one.score + term
            total += float(logsumexp(weight - logsumexp(weight) + student.logpdf((one.true - one.log) / kernel, 4) - np.log(kernel)))
        return -total + float(0.5 * (((vector - begin) / PULL) ** 2).sum())

    found = minimize(cost, begin, method="Nelder-Mead", options={"maxiter": 200, "xatol": 0.05, "fatol": 0.05, "adaptive": True})
    values = {"size_temper": float(expit(found.x[0])), "size_width": float(np.exp(found.x[1])), "least_size_width": float(np.exp(found.x[2]))}
    return Constants(**{**vars(start), **values})


def fit_doubt(off: Array, spread: Array) -> dict[str, float]:
    """Scale, floor and degrees of freedom of a Student t of |ln(found/true)|: t/√(spread² + floor²)/factor, by greatest likelihood.

    The pull is that of :data:`PULL` to a factor of 1, a floor of the median error and 5 degrees of freedom.
    """
    middle = max(float(np.median(np.abs(off))), 1e-6)
    begin = np.log(np.array([1.0, middle, 5.0]))

    def cost(vector: Array) -> float:
        factor, floor, freedom = np.exp(np.clip(vector, -14.0, 5.0))
        width = factor * np.hypot(spread, floor)
        likely = student.logpdf(off / width, max(freedom, 1.5)) - np.log(width)
        return float(-likely.sum() + 0.5 * (((vector - begin) / PULL) ** 2).sum())

    found = minimize(cost, begin, method="Nelder-Mead", options={"maxiter": 600, "xatol": 0.01, "fatol": 0.01})
    factor, floor, freedom = np.exp(np.clip(found.x, -14.0, 5.0))
    return {"factor": float(factor), "floor": float(floor), "freedom": float(max(freedom, 1.5))}
