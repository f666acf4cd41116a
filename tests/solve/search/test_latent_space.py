"""The search in the latent space: it descends, it keeps to the model's decoder, and every likely type takes part."""

import copy

import numpy as np
import pytest
from scipy.spatial import cKDTree

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.model.checkpoint import load_model
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.search.latent_space import POPULATION, search_latent
from deepstruc_hpc.solve.search.occupation import other_sizes, refine_occupations
from deepstruc_hpc.structures.template_lattices import template_lattice


@pytest.fixture(scope="module")
def model():
    return load_model("default")


@pytest.fixture(scope="module")
def measurement():
    """The curve of a Mackay icosahedron of 147 atoms with noise, and what is assumed about it."""
    template = template_lattice("icosahedral", 6.5)
    truth = template.structure(template.distance < 3.05, "Au", 2.8)
    r = np.arange(0.0, 22.0, 0.02)
    g = simulate_pdf(truth.symbols, truth.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.008, delta2=2.0)
    curve = PdfCurve(r, g + 0.02 * g.std() * np.random.default_rng(0).normal(size=len(r)), header={"qmin": 0.8, "qmax": 22.0})
    return describe(curve, SolveSettings(elements=("Au",)))


@pytest.fixture(scope="module")
def space(model, measurement):
    return model.search_space(measurement.curve, symbol="Au", instrument=measurement.instrument, rng=np.random.default_rng(0))


def search(space, measurement, budget=240):
    return search_latent(space, measurement, symbol="Au", budget=budget, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def found(space, measurement):
    """The shipped model on that curve, none of the catalog's candidates in sight."""
    return search(space, measurement)


def test_from_a_wrong_start_later_generations_come_nearer_than_any_of_the_first(space, measurement):
    """The mean is moved away by three standard deviations, so that the first generation cannot hold the structure itself."""
    away = copy.copy(space)
    away.mean = space.mean + 3.0 * space.std
    found = search(away, measurement)
    ours = found.rw[found.types == "icosahedral"]
    first, later = ours[:POPULATION], ours[POPULATION:]
    assert first.min() > 0.1
    assert later.min() < 0.8 * first.min()


def test_several_types_are_searched_and_the_true_one_wins(found):
    assert len(set(found.types)) >= 3
    assert found.types[found.best] == "icosahedral"


def test_every_candidate_is_new_and_none_clashes_and_the_budget_is_kept(found):
    assert 0 < len(found) <= 240
    assert len({candidate.fingerprint for candidate in found}) == len(found)
    for candidate in found:
        positions = candidate.structure.positions
        assert np.asarray(cKDTree(positions).query(positions, k=2)[0])[:, 1].min() > 0.9 * 2.7
        assert candidate.latent
        assert not candidate.listed


def test_the_same_numbers_give_the_same_search(found, space, measurement):
    assert found.rw.tolist() == search(space, measurement).rw.tolist()


def test_the_best_samples_are_cut_at_other_sizes_by_the_models_own_order(found, space):
    cuts = other_sizes(space, found)
    ours = sorted((cut.structure for cut in cuts if cut.structure.structure_type == "icosahedral"), key=len)
    best = found.candidates[found.best].structure
    assert len(ours[0]) < 0.9 * len(best)
    assert len(ours[-1]) > 1.2 * len(best)
    assert all(np.asarray(cKDTree(one.positions).query(one.positions, k=2)[0])[:, 1].min() > 2.6 for one in ours)


def test_refined_occupations_fit_better_than_the_samples_that_they_begin_from(found, model, space, measurement):
    missed = found.take(found.n_atoms != 147)  # as if the structure itself had not been found
    ends = fit(refine_occupations(model, space, missed, measurement, symbol="Au"), measurement)
    assert (ends.types[ends.best], ends.n_atoms[ends.best]) == ("icosahedral", 147)
    assert ends.rw.min() < missed.rw.min()
