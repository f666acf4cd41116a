"""Families cut from template lattices: stacks, round and facetted bodies, twins."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.bodies import body_levels, build_body
from deepstruc_hpc.structures.close_packed import distinct_sequences
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.template_lattices import template_lattice

SMALL = {
    "stacking_fault": {"max_layers": 5, "columns": ["A", "B"]},
    "round": {"parents": ["fcc atom", "bcc bond", "hcp octahedral hole"], "aspects": [1.4]},
    "wulff": {"parents": ["fcc atom", "fcc octahedral hole"], "ratios": [0.8, 1.1]},
    "twinned": {"parents": ["decahedral bond", "icosahedral", "fcc twin"], "ratios": [0.8]},
}


@pytest.mark.parametrize("family", SMALL)
def test_listed_shapes_build_to_what_they_say_and_differ(family):
    shapes = list(FAMILIES[family].enumerate(10, 120, **SMALL[family]))
    assert len(shapes) >= 15
    built = [FAMILIES[family].build(shape, "Pt", 2.7) for shape in shapes]
    assert [structure.n_atoms for structure in built] == [shape.n_atoms for shape in shapes]
    assert len({fingerprint(structure) for structure in built}) == len({shape.name for shape in shapes}) == len(shapes)
    for structure in built:
        assert shortest_distance(structure.positions) == pytest.approx(2.7, abs=1e-8)


def test_every_faulted_sequence_of_four_and_five_layers_is_listed_with_all_its_layers():
    shapes = list(FAMILIES["stacking_fault"].enumerate(10, 120, **SMALL["stacking_fault"]))
    sequences = {shape.parameters["parent"].split()[1] for shape in shapes}
    assert sequences == {*distinct_sequences(4, pure=False), *distinct_sequences(5, pure=False)}
    for shape in shapes[::5]:
        heights = np.unique(np.round(FAMILIES["stacking_fault"].build(shape, "Au", 1.0).positions[:, 2], 6))
        assert len(heights) == len(shape.parameters["parent"].split()[1])


def test_pure_sequences_are_fcc_and_hcp():
    shapes = FAMILIES["stacking_fault"].enumerate(20, 80, min_layers=5, max_layers=5, pure=True, cross_sections=["round"], columns=["A"])
    types = {shape.parameters["parent"].split()[1]: shape.structure_type for shape in shapes}
    assert types["ABCAB"] == "fcc"
    assert types["ABABA"] == "hcp"
    assert Counter(types.values())["stacking_fault"] == 4


def test_a_ball_of_fcc_about_an_atom_grows_by_its_known_shells():
    shapes = FAMILIES["round"].enumerate(1, 150, parents=["fcc atom"], aspects=[])
    # 1 and 13, 19, 43, 55, 79, 87, 135, 141: the coordination shells of fcc.
    assert [shape.n_atoms for shape in shapes] == [13, 19, 43, 55, 79, 87, 135, 141]


def test_truncated_octahedra_and_cuboctahedra_have_their_magic_numbers():
    sizes = {shape.n_atoms for shape in FAMILIES["octahedral"].enumerate(5, 600, truncated=True)}
    assert {13, 55, 147, 309, 561} <= sizes  # cuboctahedra
    assert {38, 201, 586} <= sizes  # regular truncated octahedra
    assert {79, 140, 225, 314, 405} <= sizes


def test_a_twin_is_its_own_mirror_image_and_not_fcc():
    twin = template_lattice("fcc twin", 4.0)
    mirrored = twin.sites * [1, 1, -1]
    assert np.linalg.norm(mirrored[:, None] - twin.sites[None], axis=-1).min(axis=1).max() < 1e-9
    ball = build_body("Au", 1.0, parent="fcc twin", body="sphere", level=1.0, reach=2.0)
    fcc = build_body("Au", 1.0, parent="fcc tetrahedral hole", body="sphere", level=1.1726, reach=4.0)
    assert ball.n_atoms != fcc.n_atoms or not np.allclose(np.sort(pdist(ball.positions)), np.sort(pdist(fcc.positions)))


def test_a_fault_lies_at_the_same_place_however_large_the_set():
    for fault in ("twin", "intrinsic fault", "extrinsic fault", "double twin"):
        small, large = template_lattice(f"fcc {fault}", 3.0), template_lattice(f"fcc {fault}", 6.0)
        np.testing.assert_allclose(small.sites, large.sites[: len(small)], atol=1e-9)


def test_an_ellipsoid_is_longer_by_its_aspect_and_facets_bound_by_their_ratio():
    template = template_lattice("sc atom", 6.0)
    level = body_levels(template, "ellipsoid", aspect=2.0)
    assert level[np.all(template.sites == [0, 0, 4], axis=1)] == pytest.approx(2.0)
    assert level[np.all(template.sites == [4, 0, 0], axis=1)] == pytest.approx(4.0)
    facetted = body_levels(template, "facetted", facets=[1.0, 0.0, 0.5])
    assert facetted[np.all(template.sites == [3, 0, 0], axis=1)] == pytest.approx(max(3.0, 2 * 3 / np.sqrt(3)))


def test_bodies_that_are_none_are_refused():
    with pytest.raises(StructureError, match="needs sphere"):
        body_levels(template_lattice("sc atom", 4.0), "cube")
    with pytest.raises(StructureError, match="none of that name"):
        template_lattice("fcc corner", 4.0)
