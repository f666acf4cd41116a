"""Figures of merit: zero for the truth, and the baseline finds what it has seen."""

import dataclasses

import numpy as np
import pytest

from deepstruc_hpc.data.splits import Split
from deepstruc_hpc.training.baselines import neighbour_answers
from deepstruc_hpc.training.evaluate import spread
from deepstruc_hpc.training.scores import Answer, scores
from tests.model.clusters import clusters, view


def truth(rows, **changes):
    found = view()
    return [
        dataclasses.replace(Answer(found.positions[row].astype(float), int(found.n_atoms[row]), int(found.structure_type[row])), **changes)
        for row in rows
    ]


def test_the_truth_has_no_error():
    rows = np.arange(6)
    perfect = scores(truth(rows), view(), rows, starts=2)
    assert (perfect.n_exact, perfect.n_within_5_percent, perfect.type_exact) == (1.0, 1.0, 1.0)
    assert max(perfect.mae, perfect.mae_per_coordinate, perfect.mae_aligned) < 1e-5


def test_a_shift_of_a_tenth_of_an_angstrom_is_a_mae_of_a_tenth():
    row = np.array([2])
    shift = np.array([0.1, 0.0, 0.0]) / view().nn_distance[2]
    shifted = scores(truth(row, positions=view().positions[2] + shift), view(), row, starts=2)
    assert shifted.mae == pytest.approx(0.1, rel=1e-4)
    assert shifted.mae_per_coordinate == pytest.approx(0.1 / 3, rel=1e-4)
    assert shifted.mae_aligned < 1e-5  # alignment takes the shift away


def test_another_order_of_atoms_is_an_error_in_order_but_not_after_matching():
    row = np.array([2])
    count = int(view().n_atoms[2])
    turned = view().positions[2].copy()
    turned[:count] = turned[:count][::-1]
    found = scores(truth(row, positions=turned), view(), row, starts=2)
    assert found.mae > 0.5
    assert found.mae_aligned < 1e-5


def test_the_nearest_pdf_finds_the_same_shape_in_another_metal():
    _, _, names = clusters()
    split = Split(train=np.arange(0, len(view()), 2), validation=np.array([1]), test=np.arange(1, len(view()), 2))
    quiet = dataclasses.replace(
        view().pdfs, ranges=view().pdfs.ranges.updated(noise=(0.0, 0.0), uiso=(0.005, 0.005), zoom=(1.0, 1.0), delta2=(2.0, 2.0))
    )
    answers = neighbour_answers(dataclasses.replace(view(), pdfs=quiet), split, split.test, seed=0)
    assert len(names) == len(view())
    assert np.mean([answer.n_atoms == view().n_atoms[row] for answer, row in zip(answers, split.test, strict=True)]) > 0.7


def test_a_limit_takes_structures_from_all_over_the_set():
    rows = np.arange(100)
    assert list(spread(rows, 5)) == [0, 25, 50, 74, 99]
    assert np.array_equal(spread(rows, 200), rows)
