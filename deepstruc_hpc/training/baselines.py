"""What a model has to beat, on the same PDFs and the same split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.splits import Split
from deepstruc_hpc.training.scores import Answer, TypeScores
from deepstruc_hpc.training.step import validation_batches

MOST_TRAINING_PDFS = 20_000


def neighbour_answers(view: TrainingView, split: Split, rows: NDArray[np.int64], seed: int) -> list[Answer]:
    """The training structure whose standardised PDF is nearest, over the points that both know."""
    train = _some(split.train)
    references = np.concatenate([arrays.pdf for arrays in validation_batches(view, train, seed)])
    answers = []
    for arrays in validation_batches(view, rows, seed):
        for pdf in arrays.pdf:
            both = references[:, 1] * pdf[1]
            distance = (((references[:, 0] - pdf[0]) ** 2) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1.0)
            nearest = train[int(distance.argmin())]
            answers.append(Answer(view.positions[nearest].astype(np.float64), int(view.n_atoms[nearest]), int(view.structure_type[nearest])))
    return answers


@dataclass(frozen=True)
class TreeScores:
    """Gradient-boosted trees on the standardised PDF: a classifier of types and a regressor of ln N."""

    types: TypeScores
    n_within_5_percent: float
    n_train: int


def tree_scores(view: TrainingView, split: Split, rows: NDArray[np.int64], seed: int, merged: NDArray[np.int64]) -> TreeScores:
    """Train scikit-learn's histogram gradient boosting on the training set (at most 20,000 PDFs) and ask it about some rows.

    Args:
        view: where PDFs come from; unknown points of a curve are missing values.
        split: its training set.
        rows: of the test set.
        seed: of the PDFs and the trees.
        merged: (T,) the type that each type counts as.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train = _some(split.train)
    x, asked = _features(view, train, seed), _features(view, rows, seed)
    kinds, truth = merged[view.structure_type[train]], merged[view.structure_type[rows]]
    settings = {"max_iter": 150, "learning_rate": 0.12, "max_leaf_nodes": 31, "early_stopping": True, "random_state": seed}
    classifier = HistGradientBoostingClassifier(**settings).fit(x, kinds)
    probabilities = np.zeros((len(rows), len(view.types)))
    probabilities[:, classifier.classes_] = classifier.predict_proba(asked)
    size = np.exp(HistGradientBoostingRegressor(**settings).fit(x, np.log(view.n_atoms[train])).predict(asked))
    right = np.abs(size - view.n_atoms[rows]) <= 0.05 * view.n_atoms[rows]
    return TreeScores(TypeScores.of(probabilities, truth), float(right.mean()), len(train))


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most so many rows, evenly over all."""
    return rows if len(rows) <= MOST_TRAINING_PDFS else rows[np.linspace(0, len(rows) - 1, MOST_TRAINING_PDFS).round().astype(np.int64)]


def _features(view: TrainingView, rows: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    pdf = np.concatenate([arrays.pdf for arrays in validation_batches(view, rows, seed)])
    return np.where(pdf[:, 1] > 0, pdf[:, 0], np.nan).astype(np.float32)
