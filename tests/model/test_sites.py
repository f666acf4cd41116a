"""Laws of the decoder over sites."""

import itertools
from functools import lru_cache

import numpy as np
import pytest
import torch

from deepstruc_hpc.core.errors import ConfigError, StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.dataset import SiteSource, TrainingView
from deepstruc_hpc.data.site_targets import SiteTable, surface_sites
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import CheckpointInfo, load_model, save_checkpoint
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.losses import CvaeObjective, LossConfig
from deepstruc_hpc.model.site_features import FEATURES, SiteBook, type_of_template
from deepstruc_hpc.model.site_proposals import nested_cuts, propose_occupations
from deepstruc_hpc.model.sites import FEWEST_ATOMS, SitesDecoder, expected_atoms, filled_sites
from deepstruc_hpc.structures.assignment import oriented
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates, template_lattice
from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step
from tests.model.clusters import curve_of

NAMES = ("fcc atom", "fcc octahedral hole", "bcc atom", "icosahedral", "decahedral atom", "close-packed ABAC")
RADIUS, MAX_ATOMS = 4.0, 60
TINY = ModelConfig.model_validate(
    {
        "decoder": "sites",
        "latent_dim": 6,
        "max_atoms": MAX_ATOMS,
        "structure_types": ("bcc", "decahedral", "fcc", "icosahedral", "octahedral", "stacking_fault"),
        "grid": {"start": 0.7, "stop": 5.0, "step": 0.1},
        "encoder": {"hidden": 8, "layers": 1},
        "prior": {"hidden": 64, "layers": 1},
        "sites": {
            "hidden": 24,
            "layers": 2,
            "trunk": 48,
            "blocks": 1,
            "embedding": 4,
            "per_structure": 32,
            "radius": RADIUS,
            "template_lattices": NAMES,
        },
    }
)
BOOK = SiteBook(NAMES, RADIUS)


@lru_cache(maxsize=1)
def shapes():
    source = RandomShapes(BOOK.templates(), RandomShapeSettings(max_atoms=MAX_ATOMS))
    return [(shape.template, shape.mask) for shape in itertools.islice(source.stream(7), 48)]


@lru_cache(maxsize=1)
def structures():
    return [BOOK.template(template).structure(mask, "Au", 2.88) for template, mask in shapes()]


@lru_cache(maxsize=1)
def view():
    units = np.full(len(structures()), 2.88)
    names = [str(number) for number in range(len(units))]
    pdfs = MeasuredLikePdfs.of(structures(), units, names, TINY.grid.axis(), MeasuredLike())
    source = SiteSource(SiteTable.of(structures(), BOOK.templates()), TINY.sites.per_structure, TINY.sites.edge_share)
    return TrainingView.of(structures(), units, TINY.structure_types, pdfs, max_atoms=MAX_ATOMS, sites=source)


def network(seed=0):
    torch.manual_seed(seed)
    return Cvae(TINY)


def model():
    return StructureModel(network(), CheckpointInfo(model=TINY))


def is_on_template(structure, template, unit):
    """Whether some shift of the structure lies on the template lattice's sites."""
    xyz = structure.positions / unit
    for site in template.sites[:80]:
        moved = xyz - xyz[0] + site
        if np.max(np.linalg.norm(moved[:, None] - template.sites[None], axis=2).min(axis=1)) < 1e-6:
            return True
    return False


def test_every_structure_of_the_view_has_its_assignment():
    table = view().sites.table
    for row, structure in enumerate(structures()):
        template = BOOK.template(int(table.template[row]))
        mask = np.unpackbits(table.mask[row], count=len(template)).astype(bool)
        assert fingerprint(template.structure(mask, "Au", 2.88)) == fingerprint(structure)


def test_targets_say_what_the_mask_says():
    rows = np.arange(20)
    evaluated = view().sites(rows, np.random.default_rng(0))
    bits = np.unpackbits(evaluated.mask, axis=1)
    np.testing.assert_array_equal(evaluated.filled, np.take_along_axis(bits, evaluated.site, axis=1))
    assert 0.2 < evaluated.filled.mean() < 0.8


def test_sites_are_asked_for_to_the_end_of_the_template_lattice():
    """A field that is never asked far outside a small cluster would fill sites there."""
    small = structures()[0]
    table = SiteTable.of([small], BOOK.templates())
    template = BOOK.template(int(table.template[0]))
    evaluated = table.take(np.zeros(50, dtype=np.int64), np.random.default_rng(0), sites=64, edge_share=0.75)
    far = template.distance[evaluated.site] > template.distance[np.unpackbits(table.mask[0], count=len(template)).astype(bool)].max() + 1.0
    assert far.mean() > 0.02
    assert template.distance[evaluated.site].max() == pytest.approx(template.distance.max(), abs=0.2)
    assert not evaluated.filled[far].any()


def test_surface_sites_have_the_other_kind_next_to_them():
    template = template_lattice("fcc atom", RADIUS)
    mask = template.distance < 1.1  # the atom and its 12 neighbours
    edge = surface_sites(template, mask)
    assert 0 not in edge
    assert set(np.flatnonzero(mask)[1:]) <= set(edge)
    outside = edge[~mask[edge]]
    assert ((template.bonds @ mask.astype(int))[outside] > 0).all()


def test_structures_on_no_template_lattice_are_marked_and_a_catalog_of_them_is_refused():
    rng = np.random.default_rng(0)
    glass = Structure.of_element("Au", rng.normal(size=(20, 3)) * 4, "fcc")
    table = SiteTable.of([structures()[0], glass], BOOK.templates())
    assert (table.template >= 0).tolist() == [True, False]
    with pytest.raises(StoreError, match="coordinates"):
        SiteTable.of([glass], BOOK.templates())


def test_features_are_of_order_one_and_invariants_do_not_see_symmetry():
    template = BOOK.template(0)
    features = BOOK.features(0).numpy()
    assert features.shape == (len(template), FEATURES)
    assert np.abs(features).max() < 3
    invariant = slice(11, 19)
    turned = features[template.permutations[5]]
    np.testing.assert_allclose(turned[:, invariant], features[:, invariant], atol=1e-6)


def test_type_of_a_template_lattice_follows_from_its_name():
    for template in (*standard_templates(4.0, 5), template_lattice("fcc twin", 4.0)):
        assert type_of_template(template.name) == template.structure_type


def test_the_field_of_all_sites_is_that_of_sites_asked_for_one_by_one():
    """Fails when a batch's sites are read from another template lattice's rows of the table."""
    decoder = network().decoder_network.eval()
    z = torch.randn(4, TINY.latent_dim, generator=torch.Generator().manual_seed(1))
    table, starts = BOOK.table()
    with torch.inference_mode():
        for template in range(len(NAMES)):
            site = torch.arange(10).repeat(4, 1)
            some = decoder.field(z, torch.full((4,), template), table[starts[template] + site])
            torch.testing.assert_close(some, decoder.site_logits(z, template)[:, :10], atol=1e-5, rtol=1e-4)


def test_a_few_steps_learn_a_small_set():
    torch.manual_seed(0)
    net = network()
    objective = CvaeObjective(net, LossConfig(kl=1e-3))
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    rows, rng, generator = np.arange(48), np.random.default_rng(0), torch.Generator().manual_seed(0)
    net.initialise(to_tensors(view().batch(rows, rng)).graphs, to_tensors(view().batch(rows, rng)).pdf)
    losses = []
    for _ in range(150):
        batch = to_tensors(view().batch(rows, rng, n_graphs=8))
        terms = train_step(
            objective, optimizer, batch, schedule=StepSchedule(3e-3, 1e-4), latent_dim=TINY.latent_dim, clip_norm=1.0, generator=generator
        )
        losses.append((float(terms["sites"]), float(terms["parent"])))
    first, last = np.mean(losses[:5], axis=0), np.mean(losses[-5:], axis=0)
    assert last[0] < 0.6 * first[0]
    assert last[1] < 0.6 * first[1]
    batch = to_tensors(view().batch(rows, rng))
    net.eval()
    with torch.inference_mode():
        errors = net.decoder.errors(net.decode(net.prior(batch.pdf).mean), batch.targets)
    assert float(errors["type_exact"].mean()) > 0.6


def test_decoded_structures_are_pieces_of_their_template_lattices():
    decoder = network().decoder_network.eval()
    z = 2 * torch.randn(6, TINY.latent_dim, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        output = decoder(z)
        decoded = decoder.structures(output)
    for row, template in enumerate(output.template_logits.argmax(dim=1).tolist()):
        structure = Structure.of_element("Au", decoded[row].positions * 2.88)
        assert is_on_template(structure, BOOK.template(template), 2.88)
        assert decoded[row].type_probabilities.sum() == pytest.approx(1.0)


def test_errors_vanish_for_the_truth():
    """With logits that are the truth itself, every figure of merit says so."""

    class Knowing(SitesDecoder):
        def site_logits(self, _z, template):
            return self.answers[template]

    decoder = Knowing(TINY)
    batch = to_tensors(view().batch(np.array([5]), np.random.default_rng(0)))
    index = int(batch.targets.sites.template[0])
    mask = np.unpackbits(batch.targets.sites.mask[0].numpy(), count=len(BOOK.template(index)))
    decoder.answers = {index: torch.from_numpy(40 * (mask.astype(np.float32) - 0.5))[None]}
    logits = torch.zeros(1, len(NAMES))
    logits[0, index] = 9.0
    output = type(decoder(torch.zeros(1, TINY.latent_dim)))(torch.zeros(1, TINY.latent_dim), logits)
    errors = {name: float(value[0]) for name, value in decoder.errors(output, batch.targets).items()}
    assert errors == {
        "mae": 0.0,
        "n_exact": 1.0,
        "type_exact": 1.0,
        "parent_exact": 1.0,
        "sites_exact": 1.0,
        "n_within_5_percent": 1.0,
        "overlap": 1.0,
    }


def test_proposals_are_different_and_not_too_large():
    curve = curve_of(structures()[0])
    found = model().propose(curve, symbol="Au", n_samples=60, sigma=3.0, rng=np.random.default_rng(0))
    assert 10 < len(found) <= 60
    assert all(4 <= proposal.structure.n_atoms <= MAX_ATOMS for proposal in found)
    marks = {
        (proposal.structure.structure_type, proposal.structure.label.split(" cvae ")[1].split(",")[0], proposal.structure.positions.tobytes())
        for proposal in found
    }
    assert len(marks) == len(found)
    assert len({proposal.structure.structure_type for proposal in found}) > 1
    assert all(np.isfinite(proposal.log_prior) for proposal in found)


def test_no_more_latent_points_are_asked_than_the_share_of_a_template_lattice_needs(monkeypatch):
    """Fails if all points are decoded before the first assignment is taken."""
    decoder, evaluated = model().network.decoder_network, []
    field = decoder.site_logits
    monkeypatch.setattr(decoder, "site_logits", lambda z, template, first=None: evaluated.append(len(z)) or field(z, template, first))
    points = np.random.default_rng(0).normal(size=(160, model().latent_dim))
    probabilities = np.eye(len(decoder.book))[0]
    settings = {"max_atoms": MAX_ATOMS, "device": torch.device("cpu")}
    few = propose_occupations(decoder, points, probabilities, count=4, **settings)
    assert sum(evaluated) < 80
    many = propose_occupations(decoder, points, probabilities, count=40, **settings)
    assert [one.sample for one in few] == [one.sample for one in many[:4]]
    assert all((one.mask == other.mask).all() for one, other in zip(few, many, strict=False))


def test_proposals_are_in_one_orientation_and_repeatable():
    curve = curve_of(structures()[3])
    one, two = (model().propose(curve, symbol="Au", n_samples=20, sigma=3.0, rng=np.random.default_rng(4)) for _ in range(2))
    assert [p.structure.label for p in one] == [p.structure.label for p in two]
    np.testing.assert_array_equal(one[-1].structure.positions, two[-1].structure.positions)


def test_type_probabilities_add_up_and_octahedra_count_as_fcc():
    predicted = model().type_probabilities(curve_of(structures()[0]), symbol="Au")
    assert predicted["octahedral"] == predicted["fcc"]
    assert sum(share for kind, share in predicted.items() if kind != "octahedral") == pytest.approx(1.0)


def test_cuts_begin_with_the_expected_number_and_go_on_with_the_largest_gap():
    logits = np.array([5.0, 4.0, 3.0, 2.9, 1.9, 0.1, -0.1, -0.2, -2.6, -6.0], dtype=np.float32)
    cuts = nested_cuts(logits, 50)
    assert cuts[0] == 6  # Σp = 6.2
    assert cuts[1:3] == [8, 5]  # between −0.2 and −2.6, between 1.9 and 0.1
    assert max(nested_cuts(logits, 5)) <= 5


def test_of_equal_corners_that_may_be_missing_as_many_are_taken_as_are_expected():
    """Twelve corners, three of which are missing: each is filled with p = 0.75, and one by one all would be."""
    corner = float(np.log(3.0))
    logits = np.array([8.0] * 43 + [corner] * 12 + [-8.0] * 60, dtype=np.float32)
    assert expected_atoms(logits) == 43 + 9
    assert filled_sites(logits).sum() == 52
    assert not filled_sites(logits)[55:].any()
    assert expected_atoms(np.full(30, -9.0, dtype=np.float32)) == FEWEST_ATOMS


def test_what_nobody_doubts_adds_up_to_no_atoms_where_the_model_is_sure():
    """55 sites filled, 6,000 empty at odds of 1 in 2,000: three atoms too many by the mean; ten sites in doubt, and the mean is taken again."""
    sure = np.concatenate([np.full(55, 8.0), np.full(6000, -7.6)]).astype(np.float32)
    assert expected_atoms(sure) == 58
    assert filled_sites(sure).sum() == 55
    doubtful = np.concatenate([sure, np.full(10, -0.5)]).astype(np.float32)
    assert filled_sites(doubtful).sum() == expected_atoms(doubtful) == 62


def test_a_checkpoint_of_the_sites_decoder_reads_back(tmp_path):
    net = network(3).eval()
    save_checkpoint(tmp_path / "ck", net, CheckpointInfo(model=TINY))
    again = load_model(tmp_path / "ck")
    z = torch.randn(2, TINY.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(again.network.decoder_network.site_logits(z, 1), net.decoder_network.site_logits(z, 1))
    size = sum(file.stat().st_size for file in (tmp_path / "ck").iterdir())
    assert size < 1_000_000  # tables of sites are made anew, not stored


def test_a_model_without_template_lattices_is_refused():
    with pytest.raises(ConfigError, match="template_lattices"):
        Cvae(TINY.updated(sites=TINY.sites.updated(template_lattices=()).model_dump()))


def test_oriented_assignments_of_similar_clusters_are_alike():
    """A body that grows by one site keeps its orientation: otherwise the decoder would have to learn jumps."""
    template = template_lattice("fcc atom", RADIUS)
    along = template.sites @ np.array([0.2, 0.5, 0.9])
    body = (template.distance < 2.6) & (along > -1.0)
    grown = body.copy()
    grown[np.flatnonzero(~body)[0]] = True
    assert (oriented(template, body) != oriented(template, grown)).sum() <= 3
