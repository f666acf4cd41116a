"""A model in use: proposals for a curve, in Å, repeatable, with their prior density."""

import numpy as np
import pytest
from scipy.stats import norm

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError, StructureError
from deepstruc_hpc.model.generator import FIRST_PEAKS, StructureModel
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.elements import nn_distance
from tests.model.clusters import TYPES, curve_of, icosahedron, tiny_info, tiny_network


@pytest.fixture(scope="module")
def model():
    return StructureModel(tiny_network(), tiny_info())


@pytest.fixture(scope="module")
def curve():
    return curve_of(icosahedron())


def propose(model, curve, *, seed=0, n_samples=20, sigma=3.0, symbol="Au"):
    return model.propose(curve, symbol=symbol, n_samples=n_samples, sigma=sigma, rng=np.random.default_rng(seed))


def prior_of(model, curve, number):
    """The prior that proposal ``number`` is drawn from: the curve read in one of the units that its first peak may stand for."""
    return model.prior(curve, nn_distance=model.nn_distance(curve, "Au") / FIRST_PEAKS[number % len(FIRST_PEAKS)])


def test_as_many_proposals_as_asked_each_with_a_known_type(model, curve):
    proposals = propose(model, curve)
    assert len(proposals) == 20
    assert {proposal.structure.structure_type for proposal in proposals} <= set(TYPES)
    assert all(set(proposal.structure.symbols) == {"Au"} for proposal in proposals)
    assert len({proposal.structure.label for proposal in proposals}) == 20


def test_the_same_seed_proposes_the_same_structures(model, curve):
    one, again, other = propose(model, curve), propose(model, curve), propose(model, curve, seed=1)
    assert np.array_equal([p.latent for p in one], [p.latent for p in again])
    assert all(np.array_equal(a.structure.positions, b.structure.positions) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[-1].latent, other[-1].latent)


@pytest.mark.law
def test_samples_lie_around_the_prior_with_the_width_asked(model, curve):
    points = np.array([p.latent for p in propose(model, curve, n_samples=16000, sigma=5.0)])
    for number in range(len(FIRST_PEAKS)):
        mean, std = prior_of(model, curve, number)
        assert points[number] == pytest.approx(mean, rel=1e-5)
        assert ((points[number :: len(FIRST_PEAKS)] - mean) / std).std(axis=0) == pytest.approx(5.0, rel=0.05)


@pytest.mark.law
def test_log_prior_is_the_density_of_the_prior_not_of_the_wider_sampling(model, curve):
    for number, proposal in enumerate(propose(model, curve, sigma=7.0)[:9]):
        mean, std = prior_of(model, curve, number)
        assert proposal.log_prior == pytest.approx(norm.logpdf(proposal.latent, mean, std).sum(), rel=1e-6)


@pytest.mark.law
def test_a_calibrated_prior_says_wider_and_draws_the_same(model, curve):
    """Fails when calibration moves what is sampled, or when the density is that of another width than the one stated."""
    widths = (2.0, 0.5, 3.0)
    calibrated = StructureModel(model.network, tiny_info(latent_widths=widths))
    (mean, std), (same, wider) = model.prior(curve, symbol="Au"), calibrated.prior(curve, symbol="Au")
    assert same == pytest.approx(mean)
    assert wider == pytest.approx(std * widths)
    before, after = propose(model, curve), propose(calibrated, curve)
    assert np.array_equal([p.latent for p in before], [p.latent for p in after])
    first = len(FIRST_PEAKS)  # the next one in the first unit
    assert after[first].log_prior == pytest.approx(norm.logpdf(after[first].latent, mean, wider).sum(), rel=1e-6)
    assert calibrated.type_probabilities(curve, symbol="Au") == model.type_probabilities(curve, symbol="Au")


def test_decoded_structures_scale_with_the_nearest_neighbour_distance(model):
    z = np.zeros(3)
    au, cu = model.decode(z, symbol="Au")[0], model.decode(z, symbol="Cu")[0]
    assert au.positions / nn_distance("Au") == pytest.approx(cu.positions / nn_distance("Cu"))


def test_a_batch_of_pdfs_gives_what_each_alone_does(model, curve):
    from deepstruc_hpc.data.standard_pdf import curve_to_grid

    unit = model.nn_distance(curve, "Au")
    channels = curve_to_grid(curve, unit, model.grid, qdamp=Instrument().qdamp)
    mean, std = model.prior(np.stack([channels, channels]))
    alone = model.prior(curve, nn_distance=unit)
    assert mean[1] == pytest.approx(alone[0], abs=1e-5)
    assert std[1] == pytest.approx(alone[1], abs=1e-5)


def test_encode_takes_the_structure_into_account(model, curve):
    one, other = (model.encode(icosahedron(shells=shells), curve) for shells in (2, 3))
    assert one[0].shape == one[1].shape == (3,)
    assert (one[1] > 0).all()
    assert not np.allclose(one[0], other[0])


def test_without_an_element_the_first_peak_sets_the_scale(model, curve):
    assert model.nn_distance(curve) == pytest.approx(model.nn_distance(curve, "Au"))


def test_a_curve_that_starts_beyond_its_neighbours_needs_the_element(model):
    r = np.arange(4.0, 20.0, 0.05)
    with pytest.raises(PdfFileError, match="Name the element"):
        model.nn_distance(PdfCurve(r=r, g=np.sin(r), source="late.gr"))


def test_points_of_another_latent_space_are_refused(model):
    with pytest.raises(StructureError, match="2 coordinates"):
        model.decode(np.zeros((1, 2)))
