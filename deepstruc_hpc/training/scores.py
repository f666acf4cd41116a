"""Figures of merit of answers to PDFs whose structures are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.physics.agreement import aligned_matched_error

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Figures of one method over a test set; lengths in Å.

    Attributes:
        mae: mean over structures of the mean distance of an atom from its place, in the model's order of atoms.
        mae_per_coordinate: the same of |Δx|, |Δy|, |Δz|.
        mae_median: median over structures.
        mae_std: standard deviation over structures.
        mae_aligned: after best rotation and matching of atoms, over the structures with the right number of atoms.
        n_exact: share with the right number of atoms.
        n_error: median of |N predicted − N| / N.
        n_within_5_percent: share with a number of atoms within 5 %.
        type_exact: share with the right structure type.
    """

    mae: float
    mae_per_coordinate: float
    mae_median: float
    mae_std: float
    mae_aligned: float
    n_exact: float
    n_error: float
    n_within_5_percent: float
    type_exact: float


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says of one PDF: positions (max_atoms, 3) in NN units, the number of atoms, the type's index."""

    positions: Array
    n_atoms: int
    structure_type: int


@dataclass(frozen=True)
class TypeScores:
    """How often the right type is the first, among the first three, among the first five."""

    top_1: float
    top_3: float
    top_5: float

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> TypeScores:
        """From (S, T) probabilities and the true types, (S,)."""
        place = (probabilities > np.take_along_axis(probabilities, truth[:, None], axis=1)).sum(axis=1)
        return cls(*(float((place < most).mean()) for most in (1, 3, 5)))


def without_nan(value: Any) -> Any:
    """The same document with None for every NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def merged_types(types: Sequence[str], same: Mapping[str, str]) -> NDArray[np.int64]:
    """(T,) index of the type that each type counts as, for example the lattice of an outline."""
    places = {name: index for index, name in enumerate(types)}
    return np.array([places.get(same.get(name, name), index) for index, name in enumerate(types)], dtype=np.int64)


def scores(answers: list[Answer], view: TrainingView, rows: NDArray[np.integer], starts: int, merged: NDArray[np.int64] | None = None) -> Scores:
    """Figures of merit of answers to some rows. An atom that is not predicted counts from the centre.

    Args:
        answers: one a row.
        view: holds the truth.
        rows: of the view.
        starts: random orientations from which the alignment is begun.
        merged: (T,) from :func:`merged_types`; every type stands for itself where not given.
    """
    per_atom, per_coordinate, aligned = [], [], []
    for answer, row in zip(answers, rows, strict=True):
        count, unit = int(view.n_atoms[row]), float(view.nn_distance[row])
        true = view.positions[row, :count].astype(np.float64)
        delta = (answer.positions[:count] - true) * unit
        per_atom.append(float(np.linalg.norm(delta, axis=1).mean()))
        per_coordinate.append(float(np.abs(delta).mean()))
        if answer.n_atoms == count:
            aligned.append(aligned_matched_error(answer.positions[:count] * unit, true * unit, starts=starts)[0])
    predicted, kinds = np.array([answer.n_atoms for answer in answers]), np.array([answer.structure_type for answer in answers])
    true_n, true_kinds = view.n_atoms[rows], view.structure_type[rows]
    counts_as = np.arange(len(view.types)) if merged is None else merged
    return Scores(
        mae=float(np.mean(per_atom)),
        mae_per_coordinate=float(np.mean(per_coordinate)),
        mae_median=float(np.median(per_atom)),
        mae_std=float(np.std(per_atom)),
        mae_aligned=float(np.mean(aligned)) if aligned else float("nan"),
        n_exact=float(np.mean(predicted == true_n)),
        n_error=float(np.median(np.abs(predicted - true_n) / true_n)),
        n_within_5_percent=float(np.mean(np.abs(predicted - true_n) <= 0.05 * true_n)),
        type_exact=float(np.mean(counts_as[kinds] == counts_as[true_kinds])),
    )
