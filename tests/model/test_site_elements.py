"""The decoder over sites with elements: what it is asked, what it learns, what comes back."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.dataset import SiteSource, TrainingView
from deepstruc_hpc.data.site_targets import EMPTY, SiteTable, composition_error
from deepstruc_hpc.data.standard_pdf import shortest_known, with_length
from deepstruc_hpc.data.training_pdfs import StoredPdfs
from deepstruc_hpc.model.checkpoint import CheckpointInfo
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.losses import CvaeObjective, LossConfig
from deepstruc_hpc.model.site_features import SiteBook
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystal_templates import crystal_template_names
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.training.element_scores import element_scores
from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step

TEMPLATES = ("fcc atom", "fcc octahedral hole", *crystal_template_names("CeO2"), *crystal_template_names("MgO"))
ELEMENTS = ("Au", "Ce", "Cu", "Mg", "O", "Pt")
RADIUS = 4.5
R = np.arange(1.0, 15.0, 0.05)
CONFIG = ModelConfig.model_validate(
    {
        "decoder": "sites",
        "latent_dim": 6,
        "max_atoms": 90,
        "structure_types": ("CeO2", "L1_2 alloy", "MgO", "janus alloy"),
        "elements": ELEMENTS,
        "grid": {"start": 0.7, "stop": 5.0, "step": 0.05},
        "encoder": {"hidden": 8, "layers": 1},
        "prior": {"hidden": 64, "layers": 1},
        "sites": {
            "hidden": 32,
            "layers": 2,
            "trunk": 64,
            "blocks": 1,
            "embedding": 4,
            "per_structure": 48,
            "radius": RADIUS,
            "template_lattices": TEMPLATES,
        },
    }
)
BOOK = SiteBook(TEMPLATES, RADIUS)


@lru_cache(maxsize=1)
def structures():
    family = FAMILIES["alloy"]
    options = {"systems": [["Cu", "Au"], ["Pt", "Cu"]], "bases": ["octahedral"], "orderings": ["L1_2", "janus"], "compositions": [0.25]}
    alloys = [family.build(shape, "", 0.0) for shape in family.enumerate(13, 90, **options)]
    cuts = [cut_crystal(prototype_crystal(name), radius=radius) for name in ("CeO2", "MgO") for radius in (4.0, 4.5, 5.0, 5.5)]
    return [*alloys[::3], *(cut for cut in cuts if len(cut) <= 90)]


@lru_cache(maxsize=1)
def view():
    units = np.array([shortest_distance(structure.positions) for structure in structures()])
    curves = np.array([simulate_pdf(structure.symbols, structure.positions, R, qmin=0.7, qmax=22.0, uiso=0.005) for structure in structures()])
    pdfs = StoredPdfs(R, curves.astype(np.float32), units.astype(np.float32), CONFIG.grid.axis(), lengths=True, unit_error=0.008)
    source = SiteSource(SiteTable.of(structures(), BOOK.templates(), ELEMENTS), CONFIG.sites.per_structure, CONFIG.sites.edge_share)
    return TrainingView.of(structures(), units, CONFIG.structure_types, pdfs, max_atoms=90, sites=source, elements=True)


def test_targets_bear_the_elements_of_the_structures():
    table = view().sites.table
    for row, structure in enumerate(structures()):
        found = [ELEMENTS[kind] for kind in table.element[row] if kind != EMPTY]
        assert sorted(found) == sorted(structure.symbols)
        filled = np.unpackbits(table.mask[row], count=table.element.shape[1]).astype(bool)
        np.testing.assert_array_equal(table.element[row] != EMPTY, filled)


def test_the_length_of_the_unit_is_a_reading_of_its_own():
    channels = np.zeros((2, 2, 5), dtype=np.float32)
    found = with_length(channels, np.array([2.5, 2.5 * np.e]))
    assert found.shape == (2, 2, 6)
    np.testing.assert_allclose(found[:, 0, -1], [0.0, 1.0], atol=1e-6)
    assert (found[:, 1, -1] == 1).all()
    batch = view().batch(np.arange(3), np.random.default_rng(0))
    assert batch.pdf.shape[2] == CONFIG.readings == CONFIG.grid.points + 1


def test_the_first_peak_of_an_oxide_is_seen():
    np.testing.assert_allclose(shortest_known(np.array([1.9, 2.9])), [1.52, 2.0])


@pytest.mark.parametrize(
    ("found", "true", "error"),
    [([0, 0, 1, -1], [0, 1, 0, -1], 0.0), ([0, 0], [1, 1], 1.0), ([0, 1, -1, -1], [0, 0, 0, 1], 0.25), ([-1, -1], [0, -1], 0.5)],
)
def test_composition_error_is_the_share_that_would_have_to_change(found, true, error):
    assert composition_error(np.array(found), np.array(true), 3) == pytest.approx(error)
    if -1 not in found:
        assert composition_error(np.array(true), np.array(found), 3) == pytest.approx(error)


@lru_cache(maxsize=1)
def trained():
    """A network after 200 steps on these structures, and the first and last of their losses."""
    torch.manual_seed(0)
    net = Cvae(CONFIG)
    objective = CvaeObjective(net, LossConfig(kl=1e-3, template_lattice=0.3, structure_type=0.3, elements=0.5))
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    rows, rng, generator = np.arange(len(view())), np.random.default_rng(0), torch.Generator().manual_seed(0)
    sample = to_tensors(view().batch(rows, rng))
    net.initialise(sample.graphs, sample.pdf)
    losses = []
    for _ in range(200):
        batch = to_tensors(view().batch(rows, rng, n_graphs=8))
        terms = train_step(
            objective, optimizer, batch, schedule=StepSchedule(3e-3, 1e-4), latent_dim=CONFIG.latent_dim, clip_norm=1.0, generator=generator
        )
        losses.append((float(terms["elements"]), float(terms["structure_type"])))
    return net.eval(), losses[0], losses[-1]


def test_a_few_steps_learn_the_elements():
    net, first, last = trained()
    assert last[0] < 0.5 * first[0]
    assert last[1] < 0.5 * first[1]
    sample = to_tensors(view().batch(np.arange(len(view())), np.random.default_rng(0)))
    with torch.inference_mode():
        output = net.decode(net.prior(sample.pdf).mean)
        errors = {name: float(values.mean()) for name, values in net.decoder.errors(output, sample.targets).items()}
        decoded = net.decoder.structures(output)
    assert errors["type_exact"] > 0.9
    assert errors["element_exact"] > 0.6
    assert errors["composition_error"] < 0.25
    oxide = next(row for row, structure in enumerate(structures()) if structure.structure_type == "MgO")
    assert set(decoded[oxide].symbols) == {"Mg", "O"}


def test_decoded_structures_have_elements_and_lengths():
    torch.manual_seed(1)
    model = StructureModel(Cvae(CONFIG), CheckpointInfo(model=CONFIG))
    found = model.decode(np.random.default_rng(0).normal(size=(4, CONFIG.latent_dim)), nn_distance=2.7)
    for structure in found:
        assert isinstance(structure, Structure)
        assert set(structure.symbols) <= set(ELEMENTS)
        assert structure.structure_type in CONFIG.structure_types


@pytest.mark.parametrize("kind", ["janus alloy", "MgO"])
def test_proposals_are_of_the_elements_of_the_sample(kind):
    structure = next(structure for structure in structures() if structure.structure_type == kind)
    curve = PdfCurve(R, simulate_pdf(structure.symbols, structure.positions, R, qmin=0.7, qmax=22.0, uiso=0.005))
    model = StructureModel(trained()[0], CheckpointInfo(model=CONFIG))
    assert model.nn_distance(curve, "Au") == pytest.approx(shortest_distance(structure.positions), rel=0.03)
    instrument = Instrument(qmin=0.7, qmax=22.0, qdamp=0.0)
    found = model.propose(
        curve, symbol="Au", n_samples=20, sigma=3.0, rng=np.random.default_rng(0), instrument=instrument, elements=structure.elements
    )
    assert found
    assert all(set(proposal.structure.symbols) <= set(structure.elements) for proposal in found)
    nearest = min(found, key=lambda proposal: abs(len(proposal.structure) - len(structure)))
    assert shortest_distance(nearest.structure.positions) == pytest.approx(shortest_distance(structure.positions), rel=0.05)
    shares = model.type_probabilities(curve, symbol="Au", instrument=instrument)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert ("alloy" in max(shares, key=shares.get)) == ("alloy" in kind)


def test_scores_of_elements_are_better_where_the_elements_are_known():
    unknown, known = element_scores(trained()[0], view(), structures(), seed=0)
    assert (unknown.known, known.known) == (False, True)
    assert 0.5 < unknown.atoms_right <= known.atoms_right + 0.02
    assert known.composition_error <= unknown.composition_error < 0.3
    assert known.all_right <= known.sites_exact == unknown.sites_exact
