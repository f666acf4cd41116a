"""Figures of merit: zero for the truth, and the baseline finds what it has seen."""

import dataclasses

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.data.splits import Split
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.training.baselines import neighbour_answers
from deepstruc_hpc.training.evaluate import spread
from deepstruc_hpc.training.evaluate_fits import Question, listed_fits
from deepstruc_hpc.training.latent_scores import LatentAnswers, coverage, fault_order
from deepstruc_hpc.training.scores import Answer, TypeScores, scores
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


def test_stated_probabilities_are_compared_with_what_came_true():
    """A prior that is right covers its own posterior as often as it says; one that is too narrow does not."""
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=(400, 3)), np.full((400, 3), 0.5)
    types = np.tile([0.6, 0.3, 0.1], (400, 1))
    truth = rng.choice(3, p=[0.6, 0.3, 0.1], size=400)
    honest = coverage(LatentAnswers(mean, std, mean + 0.5 * rng.normal(size=mean.shape), types), truth)
    assert [row.latent for row in honest] == pytest.approx([0.5, 0.8, 0.95], abs=0.04)
    assert [row.set_size for row in honest] == [1, 2, 3]
    assert [row.types for row in honest] == pytest.approx([0.6, 0.9, 1.0], abs=0.06)
    narrow = coverage(LatentAnswers(mean, std / 4, mean + 0.5 * rng.normal(size=mean.shape), types), truth)
    assert narrow[2].latent < 0.5


def test_faulted_stacks_are_ordered_by_their_share_of_hexagonal_layers():
    kinds = ["fcc"] * 5 + ["hcp"] * 5 + ["stacking_fault"] * 4
    parents = ["fcc atom"] * 5 + ["hcp atom"] * 5 + [f"close-packed {word}" for word in ("ABCABCACB", "ABCACB", "ABCBCB", "ABACAB")]
    along = np.array([0.0] * 5 + [1.0] * 5 + [0.1, 0.4, 0.6, 0.7])
    spread = np.random.default_rng(1).normal(size=(14, 1)) * 0.01
    found = fault_order(np.hstack([along[:, None], spread]), kinds, parents)
    assert found.between == 1.0
    assert found.spearman > 0.7
    assert fault_order(np.zeros((5, 2)), ["fcc"] * 5, ["fcc atom"] * 5) is None


def test_right_types_are_counted_by_their_place():
    found = TypeScores.of(np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), np.array([0, 0]))
    assert (found.top_1, found.top_3) == (0.5, 1.0)


def test_fits_of_the_truth_are_exact_and_a_list_without_it_is_not():
    structures, units, _ = clusters()
    truth = structures[2]
    r = np.arange(1.0, 20.0, 0.02)
    curve = PdfCurve(r, simulate_pdf(truth.symbols, truth.positions, r, qmin=0.8, qmax=24.0, qdamp=0.03, uiso=0.006))
    question = Question(curve, Instrument(qmin=0.8, qmax=24.0, qdamp=0.03), truth, float(units[2]))
    exact = listed_fits(structures, np.asarray(units), [question], starts=4)
    assert (exact.n_exact, exact.type_exact, exact.sites_exact) == (1.0, 1.0, 1.0)
    assert exact.excess_median == pytest.approx(0.0, abs=1e-5)
    others = [s for s in structures if len(s) != len(truth)]
    poorer = listed_fits(others, np.array([float(units[structures.index(s)]) for s in others]), [question], starts=4)
    assert poorer.n_exact == 0.0
    assert poorer.excess_median > 0.0
