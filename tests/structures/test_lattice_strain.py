"""Strains that a crystal's symmetry allows: as many as the crystal system has, left alone by every operation, and none that changes the volume."""

import numpy as np
import pytest

from deepstruc_hpc.structures.compound_types import COMPOUND_TYPES, plain_crystal
from deepstruc_hpc.structures.lattice_strain import strain_basis, strained_lattice, strains_of
from deepstruc_hpc.structures.template_lattices import template_lattice

FREE = {
    **dict.fromkeys(("rock_salt", "zincblende", "fluorite", "bixbyite", "spinel", "cuprite"), 0),
    **dict.fromkeys(("wurtzite", "nickel_arsenide", "tetragonal_zirconia", "rutile", "anatase", "corundum"), 1),
    "brookite": 2,
    **dict.fromkeys(("tenorite", "baddeleyite"), 3),
}


@pytest.mark.parametrize("name", COMPOUND_TYPES)
def test_a_crystal_has_the_strains_of_its_system(name):
    """Cubic 0, with one main axis 1, orthorhombic 2, monoclinic 3 (Nye, Physical Properties of Crystals, table 8, without the volume)."""
    strains = strains_of(f"type {name} about cation")
    assert len(strains) == FREE[name]
    for operation in plain_crystal(name).point_operations:
        np.testing.assert_allclose(operation @ strains @ operation.T, strains, atol=1e-9)
    np.testing.assert_allclose(np.einsum("kii->k", strains), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.einsum("aij,bij->ab", strains, strains), np.eye(len(strains)), atol=1e-9)


def test_without_symmetry_there_are_five():
    assert len(strain_basis(np.eye(3)[None])) == 5
    assert len(strains_of("fcc atom")) == len(strains_of("icosahedral")) == 0
    assert len(strains_of("crystal CeO2 about origin")) == 0


def test_a_strained_lattice_keeps_bonds_and_symmetries():
    lattice = template_lattice("type rutile about cation", 4.0)
    strained = strained_lattice(lattice, np.diag([0.99, 0.99, 1.02]))
    np.testing.assert_allclose(strained.sites, lattice.sites * [0.99, 0.99, 1.02])
    assert strained.unlike_bonds is lattice.unlike_bonds
    assert strained.permutations is lattice.permutations
    assert not np.allclose(strained.distance, lattice.distance)
