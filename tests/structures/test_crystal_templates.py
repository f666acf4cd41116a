"""Laws of template lattices made from crystals of several elements, and of finding cuts and alloys on template lattices."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.assignment import LatticeLookup
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystal_templates import crystal_of_template, crystal_template_names
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.template_lattices import template_lattice

RADIUS = 4.5
CRYSTALS = ("TiO2 rutile", "CeO2", "CoFe2O4", "CdSe wurtzite")
ELEMENTS = ("Au", "Cd", "Ce", "Co", "Cu", "Fe", "O", "Se", "Ti")


@pytest.fixture(scope="module")
def templates():
    crystals = [template_lattice(name, RADIUS) for crystal in CRYSTALS for name in crystal_template_names(crystal)]
    return [*crystals, *(template_lattice(name, RADIUS) for name in ("fcc atom", "fcc octahedral hole", "icosahedral", "bcc atom"))]


@pytest.fixture(scope="module")
def finder(templates):
    return LatticeLookup(templates)


def rebuilt(templates, found, like):
    template = templates[found.template]
    symbols = [ELEMENTS[kind] for kind in found.kinds[found.mask]]
    return template.cluster(found.mask, symbols, template.length or shortest_distance(like.positions), like.structure_type, "")


@pytest.mark.parametrize("crystal", CRYSTALS)
@pytest.mark.parametrize("centre", range(3))
def test_sites_are_those_of_the_crystal(crystal, centre):
    template = template_lattice(crystal_template_names(crystal)[centre], RADIUS)
    unlike = np.array(template.species)[:, None] != np.array(template.species)[None]
    apart = np.linalg.norm(template.sites[:, None] - template.sites[None], axis=2)
    assert apart[unlike].min() == pytest.approx(1.0, abs=1e-6)
    assert template.distance.max() <= RADIUS + 2e-3
    counts, formula = Counter(template.species), prototype_crystal(crystal).composition
    for symbol, share in formula.items():
        if symbol != "Co":  # half of a site that Fe is the main element of
            whole = share + (formula["Co"] if "Co" in formula and symbol == "Fe" else 0)
            assert counts[symbol] / len(template) == pytest.approx(whole / sum(formula.values()), abs=0.08)  # a ball is not neutral
    assert crystal_of_template(template.name) == crystal == template.structure_type


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_symmetries_leave_elements_where_they_are(crystal):
    template = template_lattice(crystal_template_names(crystal)[0], RADIUS)
    species = np.array(template.species)
    assert len(template.permutations) > 1
    assert (species[template.permutations] == species).all()


def test_a_name_without_a_centre_is_refused():
    with pytest.raises(StructureError, match="about origin"):
        template_lattice("crystal CeO2", RADIUS)


@pytest.mark.parametrize("crystal", CRYSTALS)
@pytest.mark.parametrize("centre", ["origin", "cell", "bond"])
def test_the_assignment_found_is_the_cut(templates, finder, crystal, centre):
    for radius in (4.0, 5.5):
        cut = cut_crystal(prototype_crystal(crystal), radius=radius, centre=centre, seed=3)
        found = finder.find_compound(cut, ELEMENTS)
        assert found is not None
        again = rebuilt(templates, found, cut)
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
def test_an_alloy_is_found_with_its_elements(templates, finder, ordering):
    for alloy in alloys(ordering)[:8]:
        found = finder.find_compound(alloy, ELEMENTS)
        assert found is not None
        again = rebuilt(templates, found, alloy)
        assert again.formula == alloy.formula
        assert fingerprint(again) == fingerprint(alloy)


def test_equal_alloys_are_turned_alike(templates, finder):
    """A network must not be asked for one of many equal answers: order along x, y and z is one alloy."""
    rng = np.random.default_rng(0)
    for alloy in alloys("L1_2")[:6]:
        found = finder.find_compound(alloy, ELEMENTS)
        operations = templates[found.template].operations
        turn = operations[rng.integers(len(operations))]
        turned = finder.find_compound(Structure(alloy.symbols, alloy.positions @ turn.T, alloy.structure_type), ELEMENTS)
        assert turned.template == found.template
        np.testing.assert_array_equal(turned.kinds, found.kinds)
