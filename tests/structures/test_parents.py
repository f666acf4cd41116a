"""Parents: complete sets of sites, their symmetry, and their invariants."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.parents import parent_named, standard_parents
from deepstruc_hpc.structures.sites import shortest_distance


@pytest.fixture(scope="module")
def parents():
    return standard_parents(4.5)


def test_the_standard_set_has_86_parents_in_a_fixed_order(parents):
    assert len(parents) == len({parent.name for parent in parents}) == 86
    assert Counter(parent.structure_type for parent in parents) == {
        "fcc": 4,
        "bcc": 4,
        "sc": 4,
        "hcp": 6,
        "icosahedral": 1,
        "decahedral": 2,
        "stacking_fault": 65,
    }
    assert parents[0].name == "fcc atom"


def test_neighbouring_sites_are_one_apart_and_the_set_begins_at_the_origin(parents):
    for parent in parents:
        assert shortest_distance(parent.sites) == pytest.approx(1.0, abs=1e-9), parent.name
        assert np.all(np.diff(parent.distance) > -2e-6), parent.name


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
def test_site_symmetries_are_those_of_the_space_group(parents, name, order):
    assert len(parents[parent_named(name, parents)].operations) == order


def test_a_symmetry_permutes_the_sites_and_leaves_the_invariants_alone(parents):
    for parent in parents:
        assert all(len(np.unique(row)) == len(parent) for row in parent.permutations[:4])
        for row in parent.permutations:
            np.testing.assert_allclose(parent.invariants[row], parent.invariants, atol=1e-6)


def test_all_turned_occupations_have_one_canonical_representative(parents):
    rng = np.random.default_rng(5)
    for parent in parents[::7]:
        mask = rng.random(len(parent)) < 0.3
        canonical = parent.canonical(mask)
        assert canonical.sum() == mask.sum()
        for row in parent.permutations:
            np.testing.assert_array_equal(parent.canonical(mask[row]), canonical)
        assert fingerprint(parent.structure(canonical, "Au", 1.0)) == fingerprint(parent.structure(mask, "Au", 1.0))


@pytest.mark.parametrize(
    ("parent", "family", "parameters"),
    [
        ("fcc octahedral hole", "octahedral", {"length": 4}),
        ("icosahedral", "icosahedral", {"shells": 4}),
        ("decahedral atom", "decahedral", {"p": 3, "q": 1, "r": 0}),
        ("decahedral bond", "decahedral", {"p": 2, "q": 3, "r": 0}),
        ("decahedral atom", "decahedral", {"p": 2, "q": 2, "r": 1}),
        ("bcc atom", "bcc", {"lattice": "bcc", "h": 3, "k": 3, "l": 3}),
    ],
)
def test_the_papers_shapes_fill_sites_of_their_parent(parents, parent, family, parameters):
    built = FAMILIES[family].builder("Au", 1.0, **parameters)
    chosen = parents[parent_named(parent, parents)]
    apart = np.linalg.norm(built.positions[:, None] - chosen.sites[None], axis=-1)
    assert apart.min(axis=1).max() < 1e-6
    assert fingerprint(chosen.structure((apart < 1e-6).any(axis=0), "Au", 1.0)) == fingerprint(built)


def test_unknown_parents_and_wrong_masks_are_refused(parents):
    with pytest.raises(StructureError, match="none of that name"):
        parent_named("diamond", parents)
    with pytest.raises(StructureError, match="mask of"):
        parents[0].structure(np.ones(3, dtype=bool), "Au", 2.8)
