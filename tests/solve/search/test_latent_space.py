"""The search in the latent space: it descends, it keeps to the model's decoder, and every likely type takes part."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.model.checkpoint import load_model
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.measurement.describe import resolve_conditions
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.search.latent_space import POPULATION, search_latent
from deepstruc_hpc.solve.search.occupation import cut_elsewhere, last_step
from deepstruc_hpc.solve.candidates.fitting import refine
from deepstruc_hpc.structures.parents import parent_of


@pytest.fixture(scope="module")
def model():
    return load_model("default")


@pytest.fixture(scope="module")
def asked():
    """The curve of a Mackay icosahedron of 147 atoms with noise, and its conditions."""
    parent = parent_of("icosahedral", 6.5)
    truth = parent.structure(parent.distance < 3.05, "Au", 2.8)
    r = np.arange(0.0, 22.0, 0.02)
    g = simulate_pdf(truth.symbols, truth.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.008, delta2=2.0)
    curve = PdfCurve(r, g + 0.02 * g.std() * np.random.default_rng(0).normal(size=len(r)), header={"qmin": 0.8, "qmax": 22.0})
    return curve, resolve_conditions(curve, SolveSettings(elements=("Au",)))


@pytest.fixture(scope="module")
def found(model, asked):
    """The shipped model on that curve, none of the catalog's candidates in sight."""
    curve, conditions = asked
    return [search_latent(model, curve, conditions, symbol="Au", budget=240, start=1.0, rng=np.random.default_rng(seed)) for seed in (0, 0)]


def test_later_generations_fit_better_than_the_first(found):
    _, table = found[0]
    ours = table[table["structure_type"] == "icosahedral"]
    first, later = ours["rw"].iloc[:POPULATION], ours["rw"].iloc[POPULATION:]
    assert first.min() < 0.025 or later.min() < first.min()  # 2 % of noise: the first may find the structure itself


def test_several_types_are_searched_and_the_true_one_wins(found):
    _, table = found[0]
    assert table["structure_type"].nunique() >= 3
    assert table.loc[table["rw"].idxmin(), "structure_type"] == "icosahedral"


def test_every_candidate_is_new_and_none_clashes(found):
    candidates, table = found[0]
    assert len(candidates) == len(table) <= 240 + 8 * POPULATION
    for candidate in candidates:
        positions = candidate.structure.positions
        assert np.asarray(cKDTree(positions).query(positions, k=2)[0])[:, 1].min() > 0.9 * 2.7
        assert candidate.latent


def test_the_same_numbers_give_the_same_search(found):
    assert found[0][1]["rw"].tolist() == found[1][1]["rw"].tolist()


def test_the_best_samples_are_cut_at_other_sizes_by_the_models_own_order(found, model):
    candidates, table = found[0]
    cuts = cut_elsewhere(model, candidates, table, "Au")
    sizes = sorted(len(cut.structure) for cut in cuts if cut.structure.structure_type == "icosahedral")
    best = candidates[int(table.loc[table["rw"].idxmin(), "index"])]
    assert sizes[0] < 0.9 * len(best.structure)
    assert sizes[-1] > 1.2 * len(best.structure)
    nested = sorted((cut.structure for cut in cuts if cut.structure.structure_type == "icosahedral"), key=len)
    assert all(np.asarray(cKDTree(one.positions).query(one.positions, k=2)[0])[:, 1].min() > 2.6 for one in nested)


def test_the_last_step_fits_better_than_the_samples_that_it_begins_from(found, model, asked):
    candidates, table = found[0]
    curve, conditions = asked
    missed = table[table["n_atoms"] != 147]  # as if the structure itself had not been found
    ends = last_step(model, candidates, missed, curve, conditions, symbol="Au")
    fits = refine(ends, curve, conditions)
    best = fits.loc[fits["rw"].idxmin()]
    assert (best["structure_type"], best["n_atoms"]) == ("icosahedral", 147)
    assert best["rw"] < missed["rw"].min()
