"""Large metal particles: symmetric, of about the size asked for, cut nowhere by the end of the sites, stacked as their name says."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from deepstruc_hpc.structures.close_packed import LAYER_SPACING, stacking_word
from deepstruc_hpc.structures.coordination import coordination_numbers
from deepstruc_hpc.structures.large_bodies import LargeBody, atoms_in_sphere, large_bodies, large_structure, multiplicities, sphere_diameter
from deepstruc_hpc.structures.lattices import metal_atomic_volume
from deepstruc_hpc.structures.multiply_twinned import decahedron_sites, icosahedron_sites
from deepstruc_hpc.structures.occupation import stack_of
from deepstruc_hpc.structures.sites import shortest_distance

BODIES = pytest.mark.parametrize("body", large_bodies(), ids=lambda body: body.name)


def test_no_two_bodies_have_one_name():
    assert len({body.name for body in large_bodies()}) == len(large_bodies())


@BODIES
def test_a_particle_has_the_symmetry_that_its_pairs_are_counted_by(body):
    # fails if a group is too large: the distances of one atom of an orbit would stand for others that have different ones
    sites = body.particle(600)
    tree = cKDTree(sites)
    assert max(np.max(tree.query(sites @ operation.T)[0]) for operation in body.symmetry) < 1e-6


@BODIES
def test_neighbours_are_one_distance_apart_and_every_atom_has_some(body):
    sites = body.particle(600)
    assert shortest_distance(sites) == pytest.approx(1.0, abs=1e-3)
    assert coordination_numbers(sites).min() >= 3


@BODIES
def test_orbits_hold_every_atom_once(body):
    sites = body.particle(600)
    found = multiplicities(sites, body.symmetry)
    assert found.sum() == len(sites)
    assert set(found[found > 0]) <= {count for count in range(1, len(body.symmetry) + 1) if len(body.symmetry) % count == 0}


@BODIES
def test_smaller_particles_are_the_inner_parts_of_larger_ones(body):
    sites, counts = body.nested(np.array([700, 1000, 1600]))
    for wanted, count in zip((700, 1000), counts, strict=False):
        own = body.particle(wanted)
        assert len(own) == count
        for one in (own, sites[:count]):  # a stack may stand on another layer, which turns it
            np.testing.assert_allclose(np.sort(np.abs(one[:, 2])), np.sort(np.abs(own[:, 2])), atol=1e-9)
            np.testing.assert_allclose(np.sort(np.linalg.norm(one, axis=1)), np.sort(np.linalg.norm(own, axis=1)), atol=1e-9)


def test_spheres_have_about_the_atoms_asked_for():
    for body in large_bodies():
        if body.outline == "sphere":
            assert len(body.particle(4000)) == pytest.approx(4000, rel=0.04), body.name


def test_a_sphere_holds_its_volume_over_the_volume_of_an_atom():
    for lattice in ("fcc", "bcc", "hcp", "decahedral"):
        assert np.pi / 6 * sphere_diameter(lattice, 5000) ** 3 == pytest.approx(5000 * metal_atomic_volume(lattice, 1.0))
        assert atoms_in_sphere(lattice, sphere_diameter(lattice, 5000)) == 5000


def test_no_body_reaches_the_end_of_the_sites_that_are_laid_out():
    # fails if the sites end too near: corners would be missing
    for body in large_bodies():
        radius = sphere_diameter(body.structure_type, 1500) / 2
        assert np.linalg.norm(body.particle(1500), axis=1).max() < 1.7 * radius + 1.0 - 0.3, body.name


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (LargeBody("twin", planes=(0,)), "cchcc"),
        (LargeBody("twin", planes=(-2, 2)), "cchccchcc"),
        (LargeBody("fault", word="hh", host="c"), "cchhcc"),
        (LargeBody("fault", word="c", host="h"), "hhchh"),
        (LargeBody("hcp"), "hhhhh"),
    ],
    ids=lambda value: value.name if isinstance(value, LargeBody) else value,
)
def test_layers_are_stacked_as_the_name_says(body, word):
    found = stacking_word(stack_of(large_structure(body, 900, "Au", 1.0).positions)[0])
    assert word in found
    assert found.strip(body.host or ("h" if body.family == "hcp" else "c")) == word.strip(body.host or ("h" if body.family == "hcp" else "c"))


def test_a_twin_plane_lies_so_many_layers_from_the_middle():
    sites = LargeBody("twin", planes=(4,)).particle(2000)
    heights = np.unique(np.round(sites[:, 2] / LAYER_SPACING, 3))
    word = stacking_word(stack_of(sites)[0])
    assert heights[1 + word.index("h")] in {4.0, -4.0}


def test_complexity_counts_planes_and_layers_of_the_other_crystal():
    counted = {body.name: body.complexity for body in large_bodies()}
    assert (counted["fcc sphere"], counted["decahedral sphere"], counted["twin sphere planes at 0"]) == (0, 0, 1)
    assert (counted["twin sphere planes at -2 2"], counted["fcc fault sphere hh"], counted["hcp fault sphere c"]) == (2, 2, 1)


def test_facets_of_a_twinned_truncated_octahedron_are_close_packed_or_square():
    # fails if the facets are turned against the crystal: then most surface atoms have 10 or 11 neighbours
    neighbours = coordination_numbers(LargeBody("twin", "facetted", (1.15,), planes=(0,)).particle(4000))
    surface = neighbours[neighbours < 12]
    assert np.isin(surface, (8, 9)).mean() > 0.7
    assert np.isin(surface, (10, 11)).mean() < 0.05


def test_known_shapes_are_among_the_bodies():
    ico = LargeBody("icosahedral", "facetted", (1.258,)).particle(2057)
    assert len(ico) == len(icosahedron_sites(9)) == 2057
    ino = decahedron_sites(6, 6, 0)
    assert len(LargeBody("decahedral", "Ino", (1.0, 0.0)).particle(len(ino))) == pytest.approx(len(ino), rel=0.1)
