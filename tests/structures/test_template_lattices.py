"""Template lattices: complete sets of sites, their symmetry, and their invariants."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.template_lattices import standard_templates, template_number


@pytest.fixture(scope="module")
def templates():
    return standard_templates(4.5)


def test_the_standard_set_has_86_template_lattices_in_a_fixed_order(templates):
    assert len(templates) == len({template.name for template in templates}) == 86
    assert Counter(template.structure_type for template in templates) == {
        "fcc": 4,
        "bcc": 4,
        "sc": 4,
        "hcp": 6,
        "icosahedral": 1,
        "decahedral": 2,
        "stacking_fault": 65,
    }
    assert templates[0].name == "fcc atom"


def test_neighbouring_sites_are_one_apart_and_the_set_begins_at_the_origin(templates):
    for template in templates:
        assert shortest_distance(template.sites) == pytest.approx(1.0, abs=1e-9), template.name
        assert np.all(np.diff(template.distance) > -2e-6), template.name


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("fcc atom", 48),
        ("fcc tetrahedral hole", 24),
        ("bcc bond", 12),
        ("hcp atom", 12),
        ("hcp tetrahedral hole", 6),
        ("icosahedral", 120),
        ("decahedral bond", 20),
    ],
)
def test_site_symmetries_are_those_of_the_space_group(templates, name, order):
    assert len(templates[template_number(name, templates)].operations) == order


def test_a_symmetry_permutes_the_sites_and_leaves_the_invariants_alone(templates):
    for template in templates:
        assert all(len(np.unique(row)) == len(template) for row in template.permutations[:4])
        for row in template.permutations:
            np.testing.assert_allclose(template.invariants[row], template.invariants, atol=1e-6)


def test_all_turned_occupations_have_one_canonical_representative(templates):
    rng = np.random.default_rng(5)
    for template in templates[::7]:
        mask = rng.random(len(template)) < 0.3
        canonical = template.canonical(mask)
        assert canonical.sum() == mask.sum()
        for row in template.permutations:
            np.testing.assert_array_equal(template.canonical(mask[row]), canonical)
        assert fingerprint(template.structure(canonical, "Au", 1.0)) == fingerprint(template.structure(mask, "Au", 1.0))


@pytest.mark.parametrize(
    ("template", "family", "parameters"),
    [
        ("fcc octahedral hole", "octahedral", {"length": 4}),
        ("icosahedral", "icosahedral", {"shells": 4}),
        ("decahedral atom", "decahedral", {"p": 3, "q": 1, "r": 0}),
        ("decahedral bond", "decahedral", {"p": 2, "q": 3, "r": 0}),
        ("decahedral atom", "decahedral", {"p": 2, "q": 2, "r": 1}),
        ("bcc atom", "bcc", {"lattice": "bcc", "h": 3, "k": 3, "l": 3}),
    ],
)
def test_the_papers_shapes_fill_sites_of_their_template_lattice(templates, template, family, parameters):
    built = FAMILIES[family].builder("Au", 1.0, **parameters)
    chosen = templates[template_number(template, templates)]
    apart = np.linalg.norm(built.positions[:, None] - chosen.sites[None], axis=-1)
    assert apart.min(axis=1).max() < 1e-6
    assert fingerprint(chosen.structure((apart < 1e-6).any(axis=0), "Au", 1.0)) == fingerprint(built)


def test_unknown_template_lattices_and_wrong_masks_are_refused(templates):
    with pytest.raises(StructureError, match="none of that name"):
        template_number("diamond", templates)
    with pytest.raises(StructureError, match="mask of"):
        templates[0].structure(np.ones(3, dtype=bool), "Au", 2.8)
