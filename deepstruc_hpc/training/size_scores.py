"""How good answers are by the size of the structure, up to and beyond the largest that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.training.evaluate_fits import CurveFit

SIZE_EDGES = (0, 50, 100, 200, 400, 700, 1000)
"""A structure belongs to the row whose edges (low, high] hold its number of atoms; those beyond the last have a row of their own."""


@dataclass(frozen=True)
class SizeScores:
    """Figures over the structures of one range of sizes, on a template lattice or not.

    Attributes:
        smallest: atoms of the smallest structure of the row.
        largest: atoms of the largest.
        count: structures.
        n_beyond: of them larger than the model's ``max_atoms``.
        n_on_no_template: of them a piece of no template lattice of a decoder over sites; evaluated for type and size all the same.
        type_exact: share with the right type, as generated.
        n_error: median of |N predicted − N| / N, as generated.
        n_within_5_percent: share with a number of atoms within 5 %, as generated.
        n_fitted: curves of this row that were fitted.
        excess: median of the best Rw minus the true structure's, over them; NaN where none was fitted.
    """

    smallest: int
    largest: int
    count: int
    n_beyond: int
    n_on_no_template: int
    type_exact: float
    n_error: float
    n_within_5_percent: float
    n_fitted: int
    excess: float


@dataclass(frozen=True, eq=False)
class SizeAnswers:
    """Of S structures: the truth and what was predicted.

    Attributes:
        n_atoms: (S,) true number.
        predicted: (S,) number predicted.
        type_right: (S,) bool.
        on_template: (S,) bool.
    """

    n_atoms: NDArray[np.int64]
    predicted: NDArray[np.int64]
    type_right: NDArray[np.bool_]
    on_template: NDArray[np.bool_]


def size_scores(answers: SizeAnswers, max_atoms: int, fits: Sequence[CurveFit] = ()) -> list[SizeScores]:
    """One row for each range of sizes that occurs, the smallest first.

    Args:
        answers: as generated.
        max_atoms: of the model.
        fits: of curves of some of the structures, or of none.
    """
    place = np.searchsorted(SIZE_EDGES, answers.n_atoms, side="left")
    fitted = np.searchsorted(SIZE_EDGES, [fit.n_atoms for fit in fits], side="left")
    excess = np.array([fit.excess for fit in fits])
    return [_row(answers, np.flatnonzero(place == row), max_atoms, excess[fitted == row]) for row in np.unique(place)]


def _row(answers: SizeAnswers, rows: NDArray[np.intp], max_atoms: int, excess: NDArray[np.float64]) -> SizeScores:
    true = answers.n_atoms[rows]
    error = np.abs(answers.predicted[rows] - true) / true
    known = excess[np.isfinite(excess)]
    return SizeScores(
        smallest=int(true.min()),
        largest=int(true.max()),
        count=len(rows),
        n_beyond=int((true > max_atoms).sum()),
        n_on_no_template=int((~answers.on_template[rows]).sum()),
        type_exact=float(answers.type_right[rows].mean()),
        n_error=float(np.median(error)),
        n_within_5_percent=float((error <= 0.05).mean()),
        n_fitted=len(excess),
        excess=float(np.median(known)) if len(known) else float("nan"),
    )
