"""What a model has to beat, on the same PDFs and the same split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.training.scores import Answer, TypeScores
from deepstruc_hpc.training.step import validation_batches


def neighbour_answers(listed: TrainingView, tested: TrainingView, seed: int) -> list[Answer]:
    """The listed structure whose standardised PDF is nearest, over the points that both know, for every structure that is asked."""
    references = np.concatenate([arrays.pdf for arrays in validation_batches(listed, np.arange(len(listed)), seed)])
    answers = []
    for arrays in validation_batches(tested, np.arange(len(tested)), seed):
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


def tree_scores(listed: TrainingView, tested: TrainingView, counted: NDArray[np.integer], seed: int, merged: NDArray[np.int64]) -> TreeScores:
    """Train scikit-learn's histogram gradient boosting on the listed structures and ask it about others.

    Args:
        listed: what it is trained on; unknown points of a curve are missing values.
        tested: the test set.
        counted: rows of it that the scores are over.
        seed: of the PDFs and the trees.
        merged: (T,) the type that each type counts as.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, features = _features(listed, seed), _features(tested, seed)[counted]
    kinds, truth, atoms = merged[listed.structure_type], merged[tested.structure_type[counted]], tested.n_atoms[counted]
    settings = {"max_iter": 150, "learning_rate": 0.12, "max_leaf_nodes": 31, "early_stopping": True, "random_state": seed}
    classifier = HistGradientBoostingClassifier(**settings).fit(x, kinds)
    probabilities = np.zeros((len(counted), len(tested.types)))
    probabilities[:, classifier.classes_] = classifier.predict_proba(features)
    size = np.exp(HistGradientBoostingRegressor(**settings).fit(x, np.log(listed.n_atoms)).predict(features))
    right = np.abs(size - atoms) <= 0.05 * atoms
    return TreeScores(TypeScores.of(probabilities, truth), float(right.mean()), len(listed))


def _features(view: TrainingView, seed: int) -> NDArray[np.float32]:
    pdf = np.concatenate([arrays.pdf for arrays in validation_batches(view, np.arange(len(view)), seed)])
    return np.where(pdf[:, 1] > 0, pdf[:, 0], np.nan).astype(np.float32)
