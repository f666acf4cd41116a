"""The fingerprint: equal for equal structures, different for different ones."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint

PAPER = ("octahedral", "icosahedral", "decahedral", "sc", "bcc", "fcc", "hcp")


def moved(structure: Structure, rng: np.random.Generator) -> Structure:
    order = rng.permutation(len(structure))
    rotation = Rotation.random(random_state=np.random.RandomState(int(rng.integers(2**31)))).as_matrix()
    mirror = np.diag([1.0, 1.0, rng.choice([-1.0, 1.0])])
    positions = structure.positions[order] @ rotation @ mirror + rng.normal(size=3)
    return Structure(tuple(structure.symbols[i] for i in order), positions)


@pytest.mark.parametrize("family", PAPER)
def test_rotation_reflection_translation_and_order_change_nothing(family):
    rng = np.random.default_rng(1)
    for shape in list(FAMILIES[family].enumerate(2, 200))[::3]:
        structure = FAMILIES[family].build(shape, "Pt", 2.6)
        assert fingerprint(moved(structure, rng)) == fingerprint(structure)


def test_disordered_structures_keep_their_fingerprint_when_turned():
    rng = np.random.default_rng(2)
    for _ in range(200):
        structure = Structure.of_element("Au", rng.normal(size=(40, 3)) * 4)
        assert fingerprint(moved(structure, rng)) == fingerprint(structure)


def test_two_structures_with_the_same_distances_but_not_congruent_are_told_apart():
    # Homometric sets on a line: {0,1,4,10,12,17} and {0,1,8,11,13,17}.
    pair = [Structure.of_element("Au", np.array(line, dtype=float)[:, None] * [1.0, 0, 0]) for line in ([0, 1, 4, 10, 12, 17], [0, 1, 8, 11, 13, 17])]
    assert fingerprint(pair[0]) != fingerprint(pair[1])


def test_moving_one_atom_by_a_thousandth_of_a_bond_is_seen():
    structure = FAMILIES["icosahedral"].builder("Au", 2.8, shells=4)
    positions = structure.positions.copy()
    positions[100, 0] += 0.003
    assert fingerprint(Structure(structure.symbols, positions)) != fingerprint(structure)


def test_scale_and_element_count_unless_asked_not_to():
    small = FAMILIES["fcc"].builder("Cu", 2.4, lattice="fcc", h=2, k=3, l=3)
    large = FAMILIES["fcc"].builder("Au", 2.8, lattice="fcc", h=2, k=3, l=3)
    assert fingerprint(small) != fingerprint(large)
    assert fingerprint(small, scale_free=True) == fingerprint(large, scale_free=True)


def test_swapping_two_elements_is_seen_and_swapping_two_equal_atoms_is_not():
    base = FAMILIES["fcc"].builder("Cu", 2.4, lattice="fcc", h=1, k=2, l=2)
    centre_gold = base.with_symbols(("Au", *("Cu",) * 12))
    corner_gold = base.with_symbols((*("Cu",) * 12, "Au"))
    other_corner = base.with_symbols(("Cu", "Au", *("Cu",) * 11))
    assert fingerprint(centre_gold) != fingerprint(corner_gold)
    assert fingerprint(corner_gold) == fingerprint(other_corner)


def surroundings(positions: np.ndarray) -> bytes:
    """The distances from each atom to all others, atoms in any order."""
    rows = np.sort(np.round(squareform(pdist(positions)), 4), axis=1)
    return rows[np.lexsort(rows.T)].tobytes()


def test_fingerprints_merge_those_shapes_and_only_those_whose_atoms_have_the_same_surroundings():
    """Over thousands of candidates, repeats included. Two ellipsoids of 49 atoms among them share all pair distances without being congruent."""
    lines = {"round": {"parents": ("fcc atom", "bcc hole", "hcp cross bond")}, "wulff": {}, "fcc": {}, "octahedral": {"truncated": True}}
    by_mark: dict[str, bytes] = {}
    by_surroundings: dict[bytes, str] = {}
    candidates = 0
    for name, options in lines.items():
        family = FAMILIES[name]
        for _, parameters, *_ in family.candidates(60, **{**family.options, **options}):
            structure = family.builder("Au", 1.0, **parameters)
            if structure.n_atoms <= 70:
                candidates += 1
                mark, around = fingerprint(structure), surroundings(structure.positions)
                assert by_mark.setdefault(mark, around) == around
                assert by_surroundings.setdefault(around, mark) == mark
    assert candidates > len(by_mark) > 400
