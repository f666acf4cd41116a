"""Laws of parents made from crystals of several elements, and of finding cuts and alloys on parents."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.assignment import LatticeLookup
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystal_parents import crystal_of_parent, crystal_parent_names
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.parents import parent_of
from deepstruc_hpc.structures.sites import shortest_distance

RADIUS = 4.5
CRYSTALS = ("TiO2 rutile", "CeO2", "CoFe2O4", "CdSe wurtzite")
ELEMENTS = ("Au", "Cd", "Ce", "Co", "Cu", "Fe", "O", "Se", "Ti")


@pytest.fixture(scope="module")
def parents():
    crystals = [parent_of(name, RADIUS) for crystal in CRYSTALS for name in crystal_parent_names(crystal)]
    return [*crystals, *(parent_of(name, RADIUS) for name in ("fcc atom", "fcc octahedral hole", "icosahedral", "bcc atom"))]


@pytest.fixture(scope="module")
def finder(parents):
    return LatticeLookup(parents)


def rebuilt(parents, found, like):
    parent = parents[found.parent]
    symbols = [ELEMENTS[kind] for kind in found.kinds[found.mask]]
    return parent.cluster(found.mask, symbols, parent.length or shortest_distance(like.positions), like.structure_type, "")


@pytest.mark.parametrize("crystal", CRYSTALS)
@pytest.mark.parametrize("centre", range(3))
def test_sites_are_those_of_the_crystal(crystal, centre):
    parent = parent_of(crystal_parent_names(crystal)[centre], RADIUS)
    unlike = np.array(parent.species)[:, None] != np.array(parent.species)[None]
    apart = np.linalg.norm(parent.sites[:, None] - parent.sites[None], axis=2)
    assert apart[unlike].min() == pytest.approx(1.0, abs=1e-6)
    assert parent.distance.max() <= RADIUS + 2e-3
    counts, formula = Counter(parent.species), prototype_crystal(crystal).composition
    for symbol, share in formula.items():
        if symbol != "Co":  # half of a site that Fe is the main element of
            whole = share + (formula["Co"] if "Co" in formula and symbol == "Fe" else 0)
            assert counts[symbol] / len(parent) == pytest.approx(whole / sum(formula.values()), abs=0.08)  # a ball is not neutral
    assert crystal_of_parent(parent.name) == crystal == parent.structure_type


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_symmetries_leave_elements_where_they_are(crystal):
    parent = parent_of(crystal_parent_names(crystal)[0], RADIUS)
    species = np.array(parent.species)
    assert len(parent.permutations) > 1
    assert (species[parent.permutations] == species).all()


def test_a_name_without_a_centre_is_refused():
    with pytest.raises(StructureError, match="about origin"):
        parent_of("crystal CeO2", RADIUS)


@pytest.mark.parametrize("crystal", CRYSTALS)
@pytest.mark.parametrize("centre", ["origin", "cell", "bond"])
def test_the_assignment_found_is_the_cut(parents, finder, crystal, centre):
    for radius in (4.0, 5.5):
        cut = cut_crystal(prototype_crystal(crystal), radius=radius, centre=centre, seed=3)
        found = finder.find_compound(cut, ELEMENTS)
        assert found is not None
        again = rebuilt(parents, found, cut)
        assert again.formula == cut.formula
        assert fingerprint(again) == fingerprint(cut)


def test_elements_on_sites_of_other_elements_are_no_assignment(finder):
    cut = cut_crystal(prototype_crystal("CeO2"), radius=4.5)
    swapped = cut.with_symbols(["O" if symbol == "Ce" else "Ce" for symbol in cut.symbols])
    assert finder.find_compound(swapped, ELEMENTS) is None


def alloys(ordering):
    options = {"systems": [["Cu", "Au"]], "bases": ["octahedral", "icosahedral"], "orderings": [ordering], "compositions": [0.25]}
    family = FAMILIES["alloy"]
    return [family.build(shape, "", 0.0) for shape in family.enumerate(13, 90, **options)]


@pytest.mark.parametrize("ordering", ["random", "L1_2", "core_shell", "janus"])
def test_an_alloy_is_found_with_its_elements(parents, finder, ordering):
    for alloy in alloys(ordering)[:8]:
        found = finder.find_compound(alloy, ELEMENTS)
        assert found is not None
        again = rebuilt(parents, found, alloy)
        assert again.formula == alloy.formula
        assert fingerprint(again) == fingerprint(alloy)


def test_equal_alloys_are_turned_alike(parents, finder):
    """A network must not be asked for one of many equal answers: order along x, y and z is one alloy."""
    rng = np.random.default_rng(0)
    for alloy in alloys("L1_2")[:6]:
        found = finder.find_compound(alloy, ELEMENTS)
        operations = parents[found.parent].operations
        turn = operations[rng.integers(len(operations))]
        turned = finder.find_compound(Structure(alloy.symbols, alloy.positions @ turn.T, alloy.structure_type), ELEMENTS)
        assert turned.parent == found.parent
        np.testing.assert_array_equal(turned.kinds, found.kinds)
