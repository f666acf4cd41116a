"""The seven families of the paper: counts, symmetry, distances, and agreement with ase.cluster."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.structures.elements import METALS_OF_THE_PAPER, metallic_radius
from deepstruc_hpc.structures.families import FAMILIES, family_named
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.symmetry import operations_of, point_group

PAPER = ("octahedral", "icosahedral", "decahedral", "sc", "bcc", "fcc", "hcp")


def assert_same_distances(ours, theirs):
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(np.sort(pdist(ours)), np.sort(pdist(theirs)), atol=1e-8)


@pytest.mark.parametrize(("shells", "atoms"), [(1, 1), (2, 13), (3, 55), (4, 147), (5, 309), (6, 561)])
def test_icosahedra_have_the_magic_numbers(shells, atoms):
    assert FAMILIES["icosahedral"].builder("Au", 2.7, shells=shells).n_atoms == atoms


@pytest.mark.parametrize(("lattice", "neighbours"), [("fcc", 12), ("bcc", 8), ("sc", 6)])
def test_an_inner_atom_has_the_coordination_of_its_lattice(lattice, neighbours):
    positions = FAMILIES[lattice].builder("Au", 2.5, lattice=lattice, h=4, k=5, l=6).positions
    distances = squareform(pdist(positions))
    assert np.sum(np.abs(distances[0] - 2.5) < 1e-6) == neighbours


def test_an_inner_atom_of_hcp_has_six_neighbours_in_its_layer_and_six_beside():
    positions = FAMILIES["hcp"].builder("Co", 2.5, a=5, b=5, c=4).positions
    distances = squareform(pdist(positions))[0]
    assert np.sum(np.abs(distances - 2.5) < 1e-9) == 6
    assert np.sum(np.abs(distances - 2.5) < 1e-4) == 12


@pytest.mark.parametrize("family", PAPER)
def test_the_nearest_neighbour_distance_is_the_one_asked_for(family):
    for shape in FAMILIES[family].enumerate(2, 200):
        structure = FAMILIES[family].build(shape, "Pt", 2.775)
        assert shortest_distance(structure.positions) == pytest.approx(2.775, abs=1e-5 if family == "hcp" else 1e-9)


@pytest.mark.parametrize("family", PAPER)
def test_shapes_say_their_size_and_differ_by_more_than_turning(family):
    shapes = list(FAMILIES[family].enumerate(5, 200))
    built = [FAMILIES[family].build(shape, "Pt", 2.6) for shape in shapes]
    assert [structure.n_atoms for structure in built] == [shape.n_atoms for shape in shapes]
    assert all(5 <= shape.n_atoms <= 200 for shape in shapes)
    assert len({fingerprint(structure) for structure in built}) == len(shapes) == len({shape.name for shape in shapes})


def test_shapes_times_different_radii_is_the_papers_count():
    """The paper's 3743: it compares structures without their element, so metals of one radius count once (19 of 28)."""
    counts, seen = Counter(), set()
    for family in PAPER:
        for shape in FAMILIES[family].enumerate(5, 200):
            mark = fingerprint(FAMILIES[family].build(shape, "Au", 1.0))
            counts[family] += mark not in seen
            seen.add(mark)
    assert counts == {"octahedral": 5, "icosahedral": 3, "decahedral": 37, "sc": 19, "bcc": 19, "fcc": 8, "hcp": 106}
    radii = {metallic_radius(symbol) for symbol in METALS_OF_THE_PAPER}
    assert len(seen) * len(radii) == 3743


@pytest.mark.reference
@pytest.mark.parametrize("layers", [(1, 1, 1), (1, 2, 2), (2, 3, 4), (3, 3, 3), (2, 5, 5), (4, 5, 6)])
@pytest.mark.parametrize("lattice", ["sc", "bcc", "fcc"])
def test_cubic_clusters_are_those_of_ase(lattice, layers):
    from ase.cluster.cubic import BodyCenteredCubic, FaceCenteredCubic, SimpleCubic

    builder = {"sc": SimpleCubic, "bcc": BodyCenteredCubic, "fcc": FaceCenteredCubic}[lattice]
    edge = 2.7 * {"sc": 1.0, "bcc": 2 / np.sqrt(3), "fcc": np.sqrt(2)}[lattice]
    theirs = builder("Au", [(1, 0, 0), (1, 1, 0), (1, 1, 1)], layers, latticeconstant=edge)
    ours = FAMILIES[lattice].builder("Au", 2.7, lattice=lattice, **dict(zip("hkl", layers, strict=True)))
    assert_same_distances(ours.positions, theirs.positions)


@pytest.mark.reference
@pytest.mark.parametrize("pqr", [(1, 1, 1), (5, 1, 0), (2, 3, 1), (3, 2, 2), (1, 5, 0), (4, 4, 1), (2, 2, 3)])
def test_decahedra_are_those_of_ase(pqr):
    from ase.cluster import Decahedron

    theirs = Decahedron("Au", *pqr, latticeconstant=2.7 * np.sqrt(2))
    ours = FAMILIES["decahedral"].builder("Au", 2.7, **dict(zip("pqr", pqr, strict=True)))
    assert_same_distances(ours.positions, theirs.positions)


@pytest.mark.reference
@pytest.mark.parametrize("shells", [2, 3, 4, 5])
def test_icosahedra_are_those_of_ase(shells):
    from ase.cluster import Icosahedron

    assert_same_distances(
        FAMILIES["icosahedral"].builder("Au", 2.7, shells=shells).positions, Icosahedron("Au", shells, latticeconstant=2.7 * np.sqrt(2)).positions
    )


@pytest.mark.reference
@pytest.mark.parametrize(("length", "cutoff"), [(2, 0), (3, 0), (5, 0), (4, 1), (5, 2), (7, 2), (8, 3)])
def test_octahedra_are_those_of_ase(length, cutoff):
    from ase.cluster import Octahedron

    theirs = Octahedron("Au", length, cutoff, latticeconstant=2.7 * np.sqrt(2))
    assert_same_distances(FAMILIES["octahedral"].builder("Au", 2.7, length=length, cutoff=cutoff).positions, theirs.positions)


@pytest.mark.reference
@pytest.mark.parametrize("cells", [(1, 1, 3), (2, 3, 4), (3, 3, 3)])
def test_hcp_blocks_are_those_of_ase(cells):
    from ase.lattice.hexagonal import HexagonalClosedPacked

    theirs = HexagonalClosedPacked(symbol="Co", latticeconstant=(2.5, 2.5 * 1.633), size=cells)
    ours = FAMILIES["hcp"].builder("Co", 2.5, **dict(zip("abc", cells, strict=True)))
    assert_same_distances(ours.positions, theirs.positions)


def test_atoms_come_from_the_centre_outwards_whatever_the_scale():
    for family in PAPER:
        shape = next(iter(FAMILIES[family].enumerate(20, 200)))
        small, large = (FAMILIES[family].build(shape, "Au", distance) for distance in (1.0, 3.1))
        np.testing.assert_allclose(large.positions, small.positions * 3.1, atol=1e-12)
        assert np.all(np.diff(np.linalg.norm(small.positions, axis=1)) > -2e-6)


@pytest.mark.parametrize(
    ("family", "parameters", "message"),
    [
        ("icosahedral", {"shells": 0}, "at least one"),
        ("octahedral", {"length": 4, "cutoff": 2}, "cutoff"),
        ("decahedral", {"p": 0, "q": 1, "r": 0}, "at least 1"),
        ("hcp", {"a": 0, "b": 1, "c": 1}, "at least one cell"),
        ("fcc", {"lattice": "fcc", "h": 0, "k": 1, "l": 1}, "at least one plane"),
    ],
)
def test_impossible_parameters_are_refused(family, parameters, message):
    with pytest.raises(StructureError, match=message):
        FAMILIES[family].builder("Au", 2.7, **parameters)


def test_an_unknown_family_or_option_is_refused_with_what_there_is():
    with pytest.raises(RecipeError, match="Did you mean 'decahedral'"):
        family_named("decahedra")
    with pytest.raises(RecipeError, match="max_layers"):
        list(FAMILIES["fcc"].enumerate(5, 50, layers=3))
    with pytest.raises(RecipeError, match="empty range"):
        list(FAMILIES["fcc"].enumerate(50, 5))


@pytest.mark.parametrize(("shells", "atoms"), [(2, 45), (3, 127), (4, 279)])
def test_anti_mackay_icosahedra_have_their_magic_numbers_and_full_symmetry(shells, atoms):
    built = FAMILIES["anti_mackay"].builder("Au", 2.7, shells=shells)
    assert built.n_atoms == atoms
    assert shortest_distance(built.positions) == pytest.approx(2.7, abs=1e-9)
    assert len(operations_of(built.positions, point_group("icosahedral"), 100.0)) == 120
