"""What a model has to beat, on the same PDFs and the same split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.training.scores import Answer, TypeScores
from deepstruc_hpc.training.step import validation_batches


def neighbour_answers(listed: TrainingView, asked: TrainingView, seed: int) -> list[Answer]:
    """The listed structure whose standardised PDF is nearest, over the points that both know, for every structure that is asked."""
    references = np.concatenate([arrays.pdf for arrays in validation_batches(listed, np.arange(len(listed)), seed)])
    answers = []
    for arrays in validation_batches(asked, np.arange(len(asked)), seed):
        for pdf in arrays.pdf:
            both = references[:, 1] * pdf[1]
            distance = (((references[:, 0] - pdf[0]) ** 2) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1.0)
            nearest = int(distance.argmin())
            answers.append(Answer(listed.positions[nearest].astype(np.float64), int(listed.n_atoms[nearest]), int(listed.structure_type[nearest])))
    return answers


@dataclass(frozen=True)
class TreeScores:
    """Gradient-boosted trees on the standardised PDF: a classifier of types and a regressor of ln N."""

    types: TypeScores
    n_within_5_percent: float
    n_train: int


def tree_scores(listed: TrainingView, asked: TrainingView, counted: NDArray[np.integer], seed: int, merged: NDArray[np.int64]) -> TreeScores:
    """Train scikit-learn's histogram gradient boosting on the listed structures and ask it about others.

    Args:
        listed: what it is trained on; unknown points of a curve are missing values.
        asked: the test set.
        counted: rows of it that the scores are over.
        seed: of the PDFs and the trees.
        merged: (T,) the type that each type counts as.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, questions = _features(listed, seed), _features(asked, seed)[counted]
    kinds, truth, atoms = merged[listed.structure_type], merged[asked.structure_type[counted]], asked.n_atoms[counted]
    settings = {"max_iter": 150, "learning_rate": 0.12, "max_leaf_nodes": 31, "early_stopping": True, "random_state": seed}
    classifier = HistGradientBoostingClassifier(**settings).fit(x, kinds)
    probabilities = np.zeros((len(counted), len(asked.types)))
    probabilities[:, classifier.classes_] = classifier.predict_proba(questions)
    size = np.exp(HistGradientBoostingRegressor(**settings).fit(x, np.log(listed.n_atoms)).predict(questions))
    right = np.abs(size - atoms) <= 0.05 * atoms
    return TreeScores(TypeScores.of(probabilities, truth), float(right.mean()), len(listed))


def _features(view: TrainingView, seed: int) -> NDArray[np.float32]:
    pdf = np.concatenate([arrays.pdf for arrays in validation_batches(view, np.arange(len(view)), seed)])
    return np.where(pdf[:, 1] > 0, pdf[:, 0], np.nan).astype(np.float32)
