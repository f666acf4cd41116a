"""Which terms beside the particle a curve carries: forward selection in the tangent space of a fit, priced by the Bayesian information criterion.

At the minimum of a fit without terms let r be the residual in the compressed basis, J the model and its derivatives there, and T the curves of some
terms. To first order the refined fit with the terms leaves (1 − P) r, with P the projection on J and T together: one least-squares step, so that
hundreds of terms are compared in the time of one fit. A term is added where

    (m/2) ln(c/c′) > (k/2) ln m,      m = n / ``POINTS_PER_DATUM``,

with c and c′ the sums of squares before and after, n independent points, and k its amplitude and the numbers that were chosen with it. A term must
leave the model its power: of |model|² at most ``MOST_SHARE`` may lie in the space of all terms together. Pairs of atoms have no negative number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.evidence import gain, parameter_price
from deepstruc_hpc.physics.extra_terms import Term, columns_of
from deepstruc_hpc.physics.form_factors import Radiation
from deepstruc_hpc.physics.target import Target

Float = NDArray[np.float64]
MOST_SHARE = 0.1
"""Of the model's power in the space of the terms: at 0.4 a subspace takes the first peaks of the structure, and the wrong lattice wins."""
POINTS_PER_DATUM = 1.0
"""Independent points that count as one. At 1 there is a gap between right and wrong terms: of 29 simulated curves with nothing beside the
particle, half of them of rough particles that no rigid candidate explains, one gains 3 nats and the others none; those with carbon gain 40 to
220, those with solvent up to 71 (the cases of benchmarks/solve_terms.py)."""
MOST_TERMS = 3
"""Kept beside the particle, such as a ligand's bond, a halo and one more: a limit, so that errors of the background are not fitted one by one."""
MOST_PAIRS = 2.0
"""Pairs of a metal and a ligand atom for each metal atom, at most: three bonds of each of two ligands to three atoms."""


@dataclass(frozen=True, eq=False)
class Tangent:
    """A fit without terms, and its surroundings to first order, in the compressed basis of :class:`~deepstruc_hpc.physics.target.Target`.

    Attributes:
        target: the data.
        model: (K,) the candidate's curve at its scale.
        derivatives: (K, P) of the curve by scale and all parameters, of any length.
        scale: of the fit.
        points: n, independent points of the data.
    """

    target: Target
    model: Float
    derivatives: Float
    scale: float
    points: float


@dataclass(frozen=True)
class TermChoice:
    """Terms that pay.

    Attributes:
        terms: none, or up to ``MOST_TERMS``.
        gain: nats above the price of all of them, to first order.
        cost: Σ of squares that is left, to first order.
        norm: Σ of squares of the data.
    """

    terms: tuple[Term, ...]
    gain: float
    cost: float
    norm: float


def price(terms: Sequence[Term], points: float) -> float:
    """Nats that the terms must gain, (k/2) ln m."""
    return parameter_price(sum(1 + term.scanned for term in terms), points / POINTS_PER_DATUM)


def evidence(before: float, after: float, points: float) -> float:
    """Nats that a smaller sum of squares (or Rw²) is worth, (m/2) ln(before/after)."""
    return float(gain(before + 1e-300, after + 1e-300, points / POINTS_PER_DATUM))


def choose_terms(library: Sequence[Term], tangent: Tangent, radiation: Radiation, *, rivals: Sequence[Term] = ()) -> TermChoice:
    """Add terms one by one, the one that gains most first, as long as each pays; then leave out what does not pay alone.

    Args:
        library: what may be there.
        tangent: of the fit that they are added to.
        radiation: ``xray`` or ``neutron``.
        rivals: what the particle itself may do that its candidate does not, such as short bonds at its surface. At most one of them is taken where it
            gains most; what it explains no term may explain again. It is no part of the choice.
    """
    own = np.linalg.qr(tangent.derivatives)[0]
    residual = _without(own, tangent.target.data - tangent.model)
    start = float(residual @ residual) + tangent.target.outside
    every = (*library, *rivals)
    curves = columns_of(every, tangent.target.q, radiation) @ tangent.target.transform
    free = _without(own, curves.T).T

    def with_rows(rows: list[int]) -> TermChoice | None:
        """The choice of some rows; None where it cannot be."""
        amplitudes, *_ = np.linalg.lstsq(free[rows].T, residual, rcond=1e-6)
        left = residual - amplitudes @ free[rows]
        cost = float(left @ left) + tangent.target.outside
        terms = tuple(every[row] for row in rows)
        ours = [row for row in rows if row < len(library)]
        if not amounts_possible(terms, np.asarray(amplitudes / tangent.scale)) or (ours and _share(curves[ours], tangent.model) > MOST_SHARE):
            return None
        return TermChoice(terms, evidence(start, cost, tangent.points) - price(terms, tangent.points), cost, tangent.target.norm)

    chosen: list[int] = []
    best = TermChoice((), 0.0, start, tangent.target.norm)
    while len(chosen) < MOST_TERMS + 1:
        names = Counter(every[one].name for one in chosen)
        open_rows = [row for row, term in enumerate(every) if names[term.name] < term.most and row not in chosen]
        tried = [(found, row) for row in open_rows if (found := with_rows([*chosen, row])) is not None]
        found, row = max(tried, key=lambda pair: pair[0].gain, default=(best, -1))
        if found.gain <= best.gain:
            break
        best, chosen = found, [*chosen, row]
    ours = [row for row in chosen if row < len(library)][:MOST_TERMS]
    while ours:
        alone = with_rows(ours)
        if alone is not None and alone.gain > 0:
            return alone
        ours = ours[:-1]
    return TermChoice((), 0.0, start, tangent.target.norm)


def _without(basis: Float, curves: Float) -> Float:
    return np.asarray(curves - basis @ (basis.T @ curves))


def _share(curves: Float, model: Float) -> float:
    inside = np.linalg.qr(curves.T)[0].T @ model
    return float(inside @ inside) / max(float(model @ model), 1e-300)


def amounts_possible(terms: Sequence[Term], amplitudes: Float64[Float, " terms"]) -> bool:
    """Whether numbers of pairs are none below 0, and those of a metal and its ligands no larger than chemistry allows.

    Args:
        terms: T of them.
        amplitudes: (T,) over the scale of the model.
    """
    return all(
        not term.is_distance or set(term.pair) == {term.metal} or (amount > 0 and (term.metal not in term.pair or amount <= MOST_PAIRS))
        for term, amount in zip(terms, amplitudes, strict=True)
    )
