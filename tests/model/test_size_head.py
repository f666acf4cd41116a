"""The size head: its distribution, its inputs, its two files, and what the shipped one says."""

import json
from functools import lru_cache

import numpy as np
import pytest
import torch

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.data.standard_pdf import standardise
from deepstruc_hpc.model import size_references
from deepstruc_hpc.model.checkpoint import PRETRAINED_DIR, load_model, load_network, save_checkpoint
from deepstruc_hpc.model.coarse_view import sphere_decay
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.size_checkpoint import SIZE_DESCRIPTION, SIZE_WEIGHTS, SizeInfo, load_size_head, prior_hash, save_size_head
from deepstruc_hpc.model.size_head import SizeHead, SizeHeadConfig, SizeMixture, feature_count, long_axis, on_model_axis, window_shares
from deepstruc_hpc.model.size_references import REFERENCES, ReferenceStrengths, reference_curves
from deepstruc_hpc.model.sized_model import SizedModel
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.template_lattices import template_lattice
from tests.model.clusters import tiny_info, tiny_network

SMALL = SizeHeadConfig(stop=8.0, hidden=16, layers=1, components=2)


def tiny_head(network, seed=0):
    torch.manual_seed(seed)
    return SizeHead(SMALL, network.config.grid, feature_count(network)).eval()


def tiny_size_info(network):
    return SizeInfo(head=SMALL, prior_hash=prior_hash(network), fewest_atoms=13, most_atoms=60)


def test_a_mixture_is_a_distribution_with_these_moments():
    mixture = SizeMixture(torch.tensor([[0.3, 0.7]]).log(), torch.tensor([[4.0, 5.0]]), torch.tensor([[0.2, 0.5]]).log())
    at = np.linspace(-2, 10, 20_001)
    density = np.exp([float(mixture.log_density(torch.tensor([x]))) for x in at[::20]])
    step = at[20] - at[0]
    mean, std = (float(part[0]) for part in mixture.moments())
    assert density.sum() * step == pytest.approx(1.0, abs=1e-4)
    assert (density * at[::20]).sum() * step == pytest.approx(mean, abs=1e-3)
    assert np.sqrt((density * (at[::20] - mean) ** 2).sum() * step) == pytest.approx(std, abs=1e-3)


def test_the_model_sees_of_a_long_curve_what_it_sees_of_a_short_one():
    g = np.random.default_rng(0).normal(size=(3, 90))
    known = np.arange(90)[None] < np.array([[30], [60], [90]])
    long = torch.from_numpy(standardise(g, known))
    assert np.allclose(on_model_axis(long, 50).numpy(), standardise(g[:, :50], known[:, :50]), atol=1e-6)


def test_a_curve_that_ends_early_is_one_whose_rest_is_unknown():
    network = tiny_network()
    head = tiny_head(network)
    short = torch.from_numpy(standardise(np.random.default_rng(1).normal(size=(2, head.short)), np.ones((2, head.short), dtype=bool)))
    padded = torch.nn.functional.pad(short, (0, head.points - head.short))
    features = torch.zeros(2, feature_count(network))
    assert torch.equal(head(short, features).mean, head(padded, features).mean)


def test_strengths_are_the_shape_function(monkeypatch):
    """Of a sphere of fcc of 9 nearest-neighbour distances: the strength of fcc falls as its γ(r), and fcc is the best likeness."""
    monkeypatch.setattr(size_references, "REFERENCE_RADIUS", 8.0)
    size_references._reference.cache_clear()
    axis = np.arange(0.7, 7.5, 0.04)
    template = template_lattice("fcc octahedral hole", 6.5)
    sites = template.sites[template.distance < 4.5]
    conditions = {"qmin": size_references.REFERENCE_QMIN, "qmax": size_references.REFERENCE_QMAX, "uiso": size_references.REFERENCE_U}
    g = simulate_pdf(["Pt"] * len(sites), sites, axis, qdamp=0.0, delta2=size_references.REFERENCE_DELTA2, **conditions)
    strengths = ReferenceStrengths(axis, window_shares(axis, 1.0))
    for number in (0, 3):
        strengths.references[number] = torch.from_numpy(reference_curves(REFERENCES[number], axis))
    size_references._reference.cache_clear()
    pdf = torch.from_numpy(standardise(g[None], np.ones((1, len(axis)), dtype=bool)))
    found = strengths(pdf[:, 0], pdf[:, 1])[0].numpy()
    assert found[0] > 0.8 > found[3]
    seen = found[3 * len(REFERENCES) :][: strengths.windows.shape[1]]
    centres = (strengths.windows.numpy() * axis[:, None]).sum(axis=0)
    expected = sphere_decay(centres, np.array([9.0]))[0]
    factor = (seen @ expected) / (expected @ expected)
    assert np.abs(seen - factor * expected).max() < 0.15 * factor


def test_a_head_comes_back_and_a_checkpoint_without_one_is_as_it_was(tmp_path):
    directory = save_checkpoint(tmp_path / "one", tiny_network(), tiny_info())
    network, _ = load_network(directory)
    assert load_size_head(directory, network) is None
    assert type(load_model(directory)) is StructureModel
    head = tiny_head(network)
    save_size_head(directory, head, tiny_size_info(network))
    found = load_size_head(directory, network)
    assert found is not None
    assert found[1] == tiny_size_info(network)
    for name, tensor in head.state_dict().items():
        assert torch.allclose(found[0].state_dict()[name], tensor, atol=2e-3), name


def test_a_head_of_another_model_is_refused(tmp_path):
    directory = save_checkpoint(tmp_path / "one", tiny_network(seed=1), tiny_info())
    other = tiny_network(seed=2)
    save_size_head(directory, tiny_head(other), tiny_size_info(other))
    with pytest.raises(CheckpointError, match="another model"):
        load_size_head(directory, load_network(directory)[0])


@pytest.mark.parametrize("change", ["schema", "words", "weights"])
def test_damaged_heads_are_named(tmp_path, change):
    network = tiny_network()
    directory = save_checkpoint(tmp_path / "one", network, tiny_info())
    save_size_head(directory, tiny_head(network), tiny_size_info(network))
    description = directory / SIZE_DESCRIPTION
    if change == "schema":
        description.write_text(json.dumps({**json.loads(description.read_text()), "schema_version": 9}))
    elif change == "words":
        description.write_text("{")
    else:
        (directory / SIZE_WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="size_head"):
        load_size_head(directory, network)


@lru_cache(maxsize=1)
def shipped():
    return load_model("default")


@pytest.mark.parametrize(
    ("template", "radius"), [("fcc atom", 2.9), ("fcc bond", 4.6), ("bcc atom", 5.6), ("hcp triangle", 6.6), ("decahedral atom", 6.5)]
)
def test_the_shipped_model_says_sizes_beyond_its_catalog(template, radius):
    """Spheres of about 140 to 1,700 atoms, noise of 1 %: size within four widths and 30 %, lattice right, as many atoms as said."""
    sites = template_lattice(template, 8.0)
    inside = sites.sites[sites.distance < radius]
    r = np.arange(2.0, 45.0, 0.02)
    g = simulate_pdf(["Pt"] * len(inside), inside * 2.775, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006, delta2=2.0)
    noisy = PdfCurve(r, g + 0.01 * np.sqrt(np.mean(g**2)) * np.random.default_rng(0).normal(size=len(r)))
    model, instrument = shipped(), Instrument(qmin=0.8, qmax=22.0, qdamp=0.03)
    assert isinstance(model, SizedModel)
    mean, std = model.size(noisy, symbol="Pt", instrument=instrument)
    assert abs(mean - np.log(len(inside))) < max(4 * std, 0.05)
    assert abs(mean - np.log(len(inside))) < 0.3
    structure = model.generate(noisy, symbol="Pt", instrument=instrument)
    assert len(structure) == round(np.exp(mean))
    assert structure.structure_type == template.split()[0]


def test_the_shipped_head_is_of_the_shipped_model_and_small():
    directory = PRETRAINED_DIR / "default"
    assert load_size_head(directory, load_network(directory)[0]) is not None
    assert (directory / SIZE_WEIGHTS).stat().st_size < 10e6


def test_the_axis_goes_on_from_the_models():
    grid = tiny_network().config.grid
    axis = long_axis(SMALL, grid)
    assert np.allclose(axis[: grid.points], grid.axis())
    assert axis[-1] == pytest.approx(8.0, abs=grid.step)
