"""Figures of merit: zero for the truth, and the baseline finds what it has seen."""

import dataclasses
import json

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.measured_curve import measured_curve
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import CheckpointInfo, read_info, save_checkpoint
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.training import calibration
from deepstruc_hpc.training.baselines import neighbour_answers
from deepstruc_hpc.training.calibration import calibrate, matching_widths
from deepstruc_hpc.training.clean_scores import compare_conditions
from deepstruc_hpc.training.evaluate import EvaluateSettings, evaluate
from deepstruc_hpc.training.evaluate_fits import CurveFit, FitCase, FitScores, listed_fits
from deepstruc_hpc.training.evaluate_text import as_text, calibration_text, comparison_text
from deepstruc_hpc.training.held_out import clean, spread
from deepstruc_hpc.training.latent_scores import LatentAnswers, coverage, fault_order
from deepstruc_hpc.training.scores import Answer, TypeScores, scores
from deepstruc_hpc.training.size_scores import SizeAnswers, size_scores
from tests.model.clusters import MAX_ATOMS, TINY, TYPES, clusters, view
from tests.training.catalogs import tiny_settings


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
    structures, units, names = clusters()
    quiet = MeasuredLike(noise=(0.0, 0.0), uiso=(0.005, 0.005), zoom=(1.0, 1.0), delta2=(2.0, 2.0))
    listed, tested = (part(structures[first::2], units[first::2], names[first::2], quiet) for first in (0, 1))
    answers = neighbour_answers(listed, tested, seed=0)
    assert np.mean([answer.n_atoms == wanted for answer, wanted in zip(answers, tested.n_atoms, strict=True)]) > 0.7


def part(structures, units, names, conditions):
    pdfs = MeasuredLikePdfs.of(structures, units, names, TINY.grid.axis(), conditions)
    return TrainingView.of(structures, units, TYPES, pdfs, max_atoms=MAX_ATOMS)


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
    templates = ["fcc atom"] * 5 + ["hcp atom"] * 5 + [f"close-packed {word}" for word in ("ABCABCACB", "ABCACB", "ABCBCB", "ABACAB")]
    along = np.array([0.0] * 5 + [1.0] * 5 + [0.1, 0.4, 0.6, 0.7])
    spread = np.random.default_rng(1).normal(size=(14, 1)) * 0.01
    found = fault_order(np.hstack([along[:, None], spread]), kinds, templates)
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
    case = FitCase(curve, Instrument(qmin=0.8, qmax=24.0, qdamp=0.03), truth, float(units[2]))
    exact = FitScores.of(listed_fits(structures, np.asarray(units), [case], starts=4))
    assert (exact.n_exact, exact.type_exact, exact.sites_exact) == (1.0, 1.0, 1.0)
    assert exact.excess_median == pytest.approx(0.0, abs=1e-5)
    others = [s for s in structures if len(s) != len(truth)]
    poorer = FitScores.of(listed_fits(others, np.array([float(units[structures.index(s)]) for s in others]), [case], starts=4))
    assert poorer.n_exact == 0.0
    assert poorer.excess_median > 0.0


def test_a_curve_without_candidates_counts_as_wrong_and_not_as_a_number():
    none, one = CurveFit(n_atoms=55, candidates=0, seconds=1.0), CurveFit(55, 3, 1.0, rw=0.2, excess=0.1, mae=0.0, n_exact=True)
    found = FitScores.of([none, one])
    assert (found.n_exact, found.rw_median, found.excess_median, found.candidates) == (0.5, 0.2, 0.1, 1.5)
    assert np.isnan(FitScores.of([none]).rw_median)


def test_sizes_have_a_row_each_and_those_beyond_the_training_are_counted():
    """Fails when a structure of exactly max_atoms counts as beyond it, or one on no template lattice is left out."""
    true = np.array([13, 50, 51, 400, 401, 1200])
    predicted = np.array([13, 45, 51, 300, 401, 600])
    answers = SizeAnswers(true, predicted, np.array([True, True, False, True, True, False]), np.array([True, True, True, True, True, False]))
    rows = size_scores(answers, 400, [CurveFit(400, 1, 1.0, rw=0.1, excess=0.02), CurveFit(380, 0, 1.0)])
    assert [(row.smallest, row.largest, row.count, row.n_beyond) for row in rows] == [
        (13, 50, 2, 0), (51, 51, 1, 0), (400, 400, 1, 0), (401, 401, 1, 1), (1200, 1200, 1, 1)
    ]  # fmt: skip
    assert rows[0].n_error == pytest.approx(0.05)
    assert rows[0].n_within_5_percent == 0.5
    assert (rows[2].n_fitted, rows[2].excess) == (2, 0.02)
    assert np.isnan(rows[0].excess)
    assert (rows[4].n_on_no_template, rows[4].type_exact) == (1, 0.0)


@pytest.mark.law
def test_clean_conditions_keep_sample_and_instrument_and_drop_the_noise():
    """Fails when switching noise off moves the random numbers of Qmin, Qmax or U: the two curves would be of different conditions."""
    structures, _, _ = clusters()
    ranges = MeasuredLike(noise=(0.05, 0.05), baseline=(0.1, 0.1), strain=(0.0, 0.0), rmin=(2.0, 2.0), rmax=(20.0, 20.0))
    (real, given), (pure, known) = (measured_curve(structures[2], tested, np.random.default_rng(3)) for tested in (ranges, clean(ranges)))
    assert (given.qmin, given.qmax) == (known.qmin, known.qmax)
    again, _ = measured_curve(structures[2], ranges.updated(noise=(0.0, 0.0), baseline=(0.0, 0.0)), np.random.default_rng(3))
    assert pure.g == pytest.approx(again.g)
    size = np.sqrt(np.mean(pure.g**2))
    assert np.sqrt(np.mean((real.g - pure.g) ** 2)) > 0.05 * size


def test_widths_that_are_too_narrow_by_two_and_too_wide_by_two_are_found():
    rng = np.random.default_rng(1)
    mean = rng.normal(size=(3000, 2))
    narrow = LatentAnswers(mean, np.full((3000, 2), 0.5) * [1.0, 2.0], mean + rng.normal(size=mean.shape) * [1.0, 0.5], np.ones((3000, 1)))
    assert matching_widths(narrow) == pytest.approx([2.0, 0.5], rel=0.06)


@pytest.fixture(scope="module")
def tiny_checkpoint(tiny_store, tmp_path_factory):
    """A decoder over sites that was not trained, said to be of the tiny catalog and of at most 12 atoms."""
    catalog, settings = Catalog.open(tiny_store), tiny_settings("data.pdfs=measured_like", "data.validation=0.3", "data.test=0.4")
    types = tuple(sorted(catalog.columns["structure_type"].unique()))
    names = ("fcc atom", "bcc atom", "sc atom", "icosahedral", "decahedral atom", "hcp atom")
    options = {
        "decoder": "sites",
        "max_atoms": 12,
        "structure_types": types,
        "sites": {"template_lattices": names, "radius": 1.5, "hidden": 8, "trunk": 16},
    }
    model = ModelConfig.model_validate({**TINY.model_dump(), **options})
    info = CheckpointInfo(model=model, catalog_hash=catalog.content_hash, settings=settings.model_dump(mode="json"))
    return save_checkpoint(tmp_path_factory.mktemp("sites") / "checkpoint", Cvae(model), info)


SETTINGS = EvaluateSettings(pdfs="measured_like", alignment_starts=2, fits=2, samples=5)


def test_structures_beyond_the_training_and_on_no_template_lattice_are_asked_for_type_and_size(tiny_checkpoint, tiny_store):
    report = evaluate(tiny_checkpoint, tiny_store, SETTINGS)
    assert report.n_beyond > 0
    assert report.n_left_out > 0
    assert sum(row.count for row in report.sizes) == report.n_test
    assert sum(row.n_on_no_template for row in report.sizes) == report.n_left_out
    text = as_text(report)
    assert "more than 12 atoms" in text
    assert "on no template lattice" in text


def test_both_conditions_are_asked_of_the_same_structures(tiny_checkpoint, tiny_store):
    found = compare_conditions(tiny_checkpoint, tiny_store, SETTINGS)
    assert [row.count for row in found.clean.sizes] == [row.count for row in found.measured_like.sizes]
    alone = evaluate(tiny_checkpoint, tiny_store, SETTINGS.updated(pdfs="clean", fits=0))
    assert (alone.model.mae, alone.types, alone.coverage) == (found.clean.model.mae, found.clean.types, found.clean.coverage)
    json.dumps(found.as_dict(), allow_nan=False)  # what is missing is null: NaN is no JSON
    assert "factor" in comparison_text(found)


def test_a_calibration_is_written_and_another_catalog_is_refused(tiny_checkpoint, tiny_store, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "FEWEST_STRUCTURES", 2)
    before = read_info(tiny_checkpoint)
    assert before.latent_widths == ()
    found = calibrate(tiny_checkpoint, tiny_store)
    after = read_info(tiny_checkpoint)
    assert after == before.updated(latent_widths=found.widths)
    assert "calibrated" in calibration_text(found)
    strange = save_checkpoint(tmp_path / "checkpoint", Cvae(before.model), before.updated(catalog_hash="c" * 32))
    with pytest.raises(CheckpointError, match="trained on a catalog of content c"):
        calibrate(strange, tiny_store)
