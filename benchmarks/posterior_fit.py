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
Places = NDArray[np.int64]
START = Constants(0.02, 8.0, 0.25, 2.0, 2.0, 0.01, 0.3, 1.0, 0.03)
"""What the fit starts from and is pulled to, weakly: the values before any were fitted, and 1 % for the doubt, which was 0."""
PULL = 1.0
"""Standard deviation of that pull, in ln of a positive constant or in the logit of a share: a factor of e. It decides where curves say nothing."""
KERNEL = 0.01
"""Least width, in ln N, that a candidate stands for when sizes are scored: one atom in a hundred."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Solved curves, all candidates one after another: R curves, T types, G groups (a type's listed candidates, or those found), C candidates.

    Attributes:
        rows: as read.
        points: (R,) independent points up to where the best candidate ends.
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
    def of(cls, rows: Sequence[dict[str, Any]]) -> Curves:
        """Of rows with candidates."""
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

    def scores(self, one: Constants) -> Array:
        """(C,) nats, as the program scores candidates."""
        each = np.diff(np.append(self.begin, len(self.rw)))
        data = np.array([correlated(points, one) for points in self.points])[self.curve[self.kind]]
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
