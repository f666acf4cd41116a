"""A model of compounds: PDFs that say their elements, particles on the lattices of crystal types."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CheckpointError, StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.dataset import SiteSource, TrainingView
from deepstruc_hpc.data.site_targets import SiteTable
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs, mean_numbers
from deepstruc_hpc.model.checkpoint import CheckpointInfo, save_checkpoint
from deepstruc_hpc.model.compound_model import CompoundModel
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.loading import load_generator
from deepstruc_hpc.model.losses import CvaeObjective, LossConfig
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.assignment import SiteAssignment, oriented
from deepstruc_hpc.structures.compound_types import compound_template_names
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_family import unpacked
from deepstruc_hpc.structures.template_lattices import template_lattice
from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step

TYPES, RADIUS, MOST = ("fluorite", "rock_salt", "rutile"), 5.0, 60
SAMPLES = {"fluorite": ["Ce-O", "Zr-O"], "rock_salt": ["Ni-O"], "rutile": ["Ti-O", "Sn-O"]}
TINY = ModelConfig.model_validate(
    {
        "decoder": "sites",
        "given_elements": True,
        "latent_dim": 6,
        "max_atoms": MOST,
        "structure_types": TYPES,
        "grid": {"start": 0.7, "stop": 6.0, "step": 0.1},
        "encoder": {"hidden": 8, "layers": 1},
        "prior": {"hidden": 64, "layers": 1},
        "sites": {
            "hidden": 24,
            "layers": 2,
            "trunk": 48,
            "blocks": 1,
            "embedding": 4,
            "radius": RADIUS,
            "template_lattices": compound_template_names(TYPES),
        },
    }
)
EXACT = {
    "qmin": (0.8, 0.8),
    "qmax": (22.0, 22.0),
    "qdamp": (0.03, 0.03),
    "uiso": (0.006, 0.006),
    "delta2": (2.0, 2.0),
    "rmin": (1.0, 1.0),
    "rmax": (15.0, 15.0),
}
STILL = {**EXACT, "noise": (0.0, 0.0), "zoom": (1.0, 1.0), "qdamp_error": (0.0, 0.0), "strain": (0.0, 0.0), "expected": (1.0, 1.0)}


@lru_cache(maxsize=1)
def particles():
    """Structures, their shapes' parameters."""
    family = FAMILIES["random_compounds"]
    shapes = list(family.enumerate(13, MOST, count=48, seed=2, radius=RADIUS, samples=SAMPLES))
    return [family.build(shape, "", 0.0) for shape in shapes], [dict(shape.parameters) for shape in shapes]


def pdfs(**changes):
    structures, known = particles()
    units = np.array([one["length"] for one in known])
    names = [str(number) for number in range(len(units))]
    return MeasuredLikePdfs.of(structures, units, names, TINY.grid.axis(), MeasuredLike(**{**STILL, **changes}), given_elements=True)


def view():
    structures, known = particles()
    templates = TINY.sites.templates()
    number = {template.name: place for place, template in enumerate(templates)}
    assignments = [
        SiteAssignment(place := number[one["parent"]], oriented(templates[place], unpacked(one["filled"], len(templates[place])))) for one in known
    ]
    source = SiteSource(SiteTable.of_assignments(assignments, len(known), templates), 32, 0.75)
    return TrainingView.of(structures, pdfs().nn_distance, TYPES, pdfs(), max_atoms=MOST, sites=source)


def model():
    torch.manual_seed(0)
    return CompoundModel(Cvae(TINY), CheckpointInfo(model=TINY))


def curve_of(structure):
    r = np.arange(0.5, 18.0, 0.02)
    return PdfCurve(r, simulate_pdf(structure.symbols, structure.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03), source="test")


@pytest.mark.law
def test_a_training_pdf_is_the_simulated_one_and_tells_bond_and_elements():
    structures, known = particles()
    made, grid = pdfs(), TINY.grid.axis()
    for row in (0, 11, 30):
        pdf = made(np.array([row]), np.random.default_rng(0))[0]
        bond = 2.1 * float(np.exp(pdf[0, -3]))
        assert bond == pytest.approx(known[row]["length"], rel=0.05)
        assert np.exp(pdf[0, -2:]) * [30.0, 10.0] == pytest.approx(mean_numbers(structures[row]), rel=1e-5)
        exact = simulate_pdf(structures[row].symbols, structures[row].positions, grid * bond, qmin=0.8, qmax=22.0, uiso=0.006, delta2=2.0)
        there = pdf[1, :-3] > 0
        assert np.corrcoef(exact[there], pdf[0, :-3][there])[0, 1] > 0.995  # the axis is coarse here: read linearly between points half a step apart


def test_particles_without_cation_and_anion_are_refused():
    gold = Structure.of_element("Au", np.eye(3) * 2.0, "fcc", "gold")
    with pytest.raises(StoreError, match="no compound"):
        MeasuredLikePdfs.of([gold], np.array([2.8]), ["a"], TINY.grid.axis(), MeasuredLike(), given_elements=True)


def test_it_learns_on_sites_of_types():
    torch.manual_seed(0)
    network, seen = Cvae(TINY), view()
    objective = CvaeObjective(network, LossConfig())
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    losses = []
    for _ in range(40):
        batch = to_tensors(seen.batch(np.arange(len(seen)), rng, n_graphs=4))
        schedule = StepSchedule(3e-3, 1e-4)
        losses.append(float(train_step(objective, optimizer, batch, schedule=schedule, latent_dim=6, clip_norm=1.0, generator=generator)["sites"]))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_proposals_are_particles_of_the_sample_in_types_whose_charges_balance():
    structures, _ = particles()
    titania = next(one for one in structures if set(one.elements) == {"Ti", "O"})
    request = {"symbol": "Ti", "n_samples": 30, "sigma": 2.0, "instrument": Instrument(qdamp=0.03), "elements": ("Ti", "O")}
    found = model().propose(curve_of(titania), rng=np.random.default_rng(1), **request)
    again = model().propose(curve_of(titania), rng=np.random.default_rng(1), **request)
    assert 1 <= len(found) <= 30
    assert [fingerprint(one.structure) for one in found] == [fingerprint(one.structure) for one in again]
    for one in found:
        template, mask = one.occupation
        assert set(one.structure.elements) <= {"Ti", "O"}
        assert one.structure.structure_type in TYPES
        assert one.crystal.prototype == one.structure.structure_type
        assert int(mask.sum()) == len(one.structure) <= MOST
        assert template.length == pytest.approx(1.95, rel=0.15)
        assert one.structure.symbols.count("Ti") == sum(template.species[site] == "Ti" for site in np.flatnonzero(mask))


def test_mixed_cations_share_their_sites():
    structures, _ = particles()
    found = model().propose(curve_of(structures[0]), symbol="", n_samples=10, sigma=1.0, rng=np.random.default_rng(0), elements=("Ce", "Zr", "O"))
    assert found
    assert all(set(one.structure.elements) <= {"Ce", "Zr", "O"} for one in found)


@pytest.mark.parametrize("elements", [("Pt", "Ni"), ("Au",), ("Na", "Cl", "O", "H", "C")])
def test_it_says_nothing_of_other_matter(elements):
    structures, _ = particles()
    assert model().propose(curve_of(structures[0]), symbol="", n_samples=10, sigma=1.0, rng=np.random.default_rng(0), elements=elements) == []


def test_a_checkpoint_that_was_given_elements_is_a_model_of_compounds(tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "given", Cvae(TINY), CheckpointInfo(model=TINY))
    assert isinstance(load_generator(str(tmp_path / "given")), CompoundModel)
    plain = TINY.updated(given_elements=False)
    with pytest.raises(CheckpointError, match="no model of compounds"):
        CompoundModel(Cvae(plain), CheckpointInfo(model=plain))


def test_the_likeliest_particle_is_of_a_possible_type():
    structures, _ = particles()
    one = model()
    given = one.given(curve_of(structures[0]), ("Ni", "O"))
    template, mask = one.most_probable(given)
    assert one.decoder.book.type_of(template) in given.crystals
    assert mask.sum() >= 4
    assert template_lattice(one.decoder.book.names[template], RADIUS).sites.shape[0] == len(mask)
