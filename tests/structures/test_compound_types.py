"""Crystal types of cations and anions as template lattices, and random particles on them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.structures.compound_family import SAMPLES, bonded, coordinated
from deepstruc_hpc.structures.compound_origins import centred_occupation
from deepstruc_hpc.structures.compound_types import (
    ANION,
    CATION,
    COMPOUND_TYPES,
    bond_of_type,
    candidate_of_type,
    cations_and_anion,
    compound_template_names,
    origins_of,
    plain_crystal,
    with_elements,
)
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.template_lattices import template_lattice

RATIO = {"fluorite": 2.0, "rutile": 2.0, "anatase": 2.0, "brookite": 2.0, "corundum": 1.5, "bixbyite": 1.5, "spinel": 4 / 3, "cuprite": 0.5}
NEIGHBOURS = {"rock_salt": 6, "zincblende": 4, "wurtzite": 4, "fluorite": 8, "rutile": 6, "anatase": 6, "corundum": 6, "cuprite": 2}
"""Anions about a cation."""


@pytest.mark.law
@pytest.mark.parametrize("name", sorted(COMPOUND_TYPES))
def test_sites_of_a_type_have_its_ratio_and_its_shortest_bond(name):
    template = template_lattice(f"type {name} about cation", 5.0)
    inner = template.distance < 4.0
    share = np.count_nonzero(template.site_class[inner] == ANION) / np.count_nonzero(template.site_class[inner] == CATION)
    assert share == pytest.approx(RATIO.get(name, 1.0 if name not in {"tetragonal_zirconia", "baddeleyite"} else 2.0), rel=0.25)
    unlike = cKDTree(template.sites[template.site_class == ANION]).query(template.sites[inner & (template.site_class == CATION)])[0]
    assert unlike.min() == pytest.approx(1.0, abs=1e-3)
    if name in NEIGHBOURS:
        around = np.linalg.norm(template.sites[template.site_class == ANION], axis=1)
        assert np.count_nonzero(around < 1.2) == NEIGHBOURS[name]


@pytest.mark.parametrize(
    ("name", "elements", "built_in"),
    [("rutile", ("Ti", "O"), "TiO2 rutile"), ("fluorite", ("Ce", "O"), "CeO2"), ("rock_salt", ("Ni", "O"), "NiO"), ("wurtzite", ("Zn", "O"), "ZnO")],
)
def test_lengths_from_radii_are_near_the_crystals(name, elements, built_in):
    assert bond_of_type(name, elements) == pytest.approx(prototype_crystal(built_in).bond_length, rel=0.05)


def test_what_elements_cannot_be():
    assert bond_of_type("rutile", ("Na", "Cl")) is None  # charges
    assert candidate_of_type("rutile", ("Pt", "Ni")) is None  # no anion
    assert cations_and_anion(("O", "Co", "Fe", "Fe")) == (("Co", "Fe", "Fe"), "O")
    with pytest.raises(StructureError, match="type rutile about cation"):
        template_lattice("type rutile about moon", 4.0)
    with pytest.raises(StructureError, match="no such type"):
        origins_of("cheese")


def test_origins_have_surroundings_of_their_own():
    assert list(origins_of("rock_salt")) == ["cation", "anion", "bond"]
    assert list(origins_of("spinel")) == ["cation", "cation 2", "anion", "bond"]


@pytest.mark.law
@pytest.mark.parametrize("name", sorted(COMPOUND_TYPES))
def test_a_particle_has_one_description_about_whatever_origin_it_is_laid(name):
    """A body about a point of space, cut from the lattices about each of the type's origins: the same template and the same sites come out."""
    crystal, radius = plain_crystal(name), 6.0
    where = (crystal.fractions[0] @ crystal.lattice) / crystal.bond_length + [0.21, 0.13, -0.34]
    found = []
    for origin, point in origins_of(name).items():
        template = template_lattice(f"type {name} about {origin}", radius)
        inside = np.linalg.norm((template.sites + point / crystal.bond_length - where) * [1.0, 1.1, 0.85], axis=1) < 2.2
        described = centred_occupation(template, inside)
        if described is None or template.distance[inside].max() > radius - 0.5:
            continue
        lattice, mask = described
        assert np.count_nonzero(lattice.site_class[mask] == ANION) == np.count_nonzero(template.site_class[inside] == ANION)
        assert np.sort(pdist(lattice.sites[mask])) == pytest.approx(
            np.sort(pdist(template.sites[inside])), abs=2e-3
        )  # cells are known to four digits
        found.append((lattice.name, mask.tobytes()))
    assert len(found) >= 2
    assert len(set(found)) == 1


def test_elements_leave_sites_and_symmetry_alone():
    template = template_lattice("type rutile about cation", 4.0)
    laid = with_elements(template, ["Sn"], "O", 2.05)
    assert laid.sites is template.sites
    assert np.array_equal(laid.permutations, template.permutations)
    assert set(laid.species) == {"Sn", "O"}
    assert [laid.classes[symbol] for symbol in laid.species] == template.site_class.tolist()


def test_surfaces():
    template = template_lattice("type rutile about cation", 5.0)
    mask = template.distance < 2.5
    full, cut = coordinated(template, mask), bonded(template, mask)
    cations = template.site_class == CATION
    assert np.array_equal(full & cations, mask & cations)
    assert not (cut & ~mask).any()
    tree = cKDTree(template.sites[full & ~cations])
    assert all(len(near) == 6 for near in tree.query_ball_point(template.sites[full & cations], 1.3))


def test_random_particles():
    family = FAMILIES["random_compounds"]
    options = {"count": 40, "seed": 3, "any_sample": 0.5, "samples": {"rutile": ["Ti-O", "Sn-O"], "rock_salt": ["Ni-O"]}}
    shapes = list(family.enumerate(13, 90, **options))
    again = list(family.enumerate(13, 90, **options))
    assert [shape.fingerprint for shape in shapes] == [shape.fingerprint for shape in again]
    assert len(shapes) > 30
    assert {shape.structure_type for shape in shapes} == {"rutile", "rock_salt"}
    for shape in shapes[::6]:
        structure = family.build(shape, "", 0.0)
        lattice = template_lattice(shape.parameters["parent"], shape.parameters["radius"])
        assert 13 <= len(structure) == shape.n_atoms <= 90
        assert lattice.name in compound_template_names()
        nearest = cKDTree(structure.positions).query(structure.positions, k=2)[0][:, 1]
        assert nearest.min() == pytest.approx(shape.parameters["length"], rel=0.02)


def test_a_share_of_the_particles_are_of_any_elements_whose_charges_balance():
    options = {"count": 60, "seed": 1, "samples": {"rutile": ["Ti-O"], "fluorite": ["Ce-O"]}}
    named = {(s.structure_type, s.parameters["sample"]) for s in FAMILIES["random_compounds"].enumerate(13, 60, **options)}
    mixed = {(s.structure_type, s.parameters["sample"]) for s in FAMILIES["random_compounds"].enumerate(13, 60, any_sample=1.0, **options)}
    assert named == {("rutile", "Ti-O"), ("fluorite", "Ce-O")}
    assert {("rutile", "Ce-O"), ("fluorite", "Ti-O")} <= mixed


@pytest.mark.parametrize("samples", [{"cheese": ["Ti-O"]}, {"rutile": ["Na-Cl"]}])
def test_samples_that_cannot_be(samples):
    with pytest.raises(RecipeError, match=r"cheese|Na-Cl"):
        list(FAMILIES["random_compounds"].enumerate(13, 60, samples=samples))


def test_every_sample_of_the_training_has_its_type():
    assert all(bond_of_type(name, sample.split("-")) for name, samples in SAMPLES.items() for sample in samples)
    assert set(SAMPLES) == set(COMPOUND_TYPES)
