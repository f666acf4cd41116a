"""Radii: what the catalog's distances rest on."""

import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.elements import METALLIC_RADII_PM, METALS_OF_THE_PAPER, is_metal, metallic_radius, nn_distance


def test_the_paper_has_28_metals_and_19_different_radii():
    assert len(METALS_OF_THE_PAPER) == len(set(METALS_OF_THE_PAPER)) == 28
    assert len({metallic_radius(symbol) for symbol in METALS_OF_THE_PAPER}) == 19


@pytest.mark.parametrize(
    ("symbol", "distance"),
    [("W", 2.60), ("Cr", 2.38), ("Ta", 2.68), ("Re", 2.56), ("Zn", 2.42), ("Fe", 2.34), ("Os", 2.52), ("Mn", 2.36), ("V", 2.44), ("Ti", 2.64)],
)
def test_distances_are_those_in_the_file_names_of_the_paper(symbol, distance):
    assert nn_distance(symbol) == pytest.approx(distance, abs=1e-12)


def test_the_radius_of_twelve_neighbours_gives_the_distance_of_bulk_gold():
    assert nn_distance("Au", "twelve") == pytest.approx(2.884, abs=0.01)


def test_the_radius_of_twelve_neighbours_is_the_longer_one():
    assert all(single < twelve for single, twelve in METALLIC_RADII_PM.values())


def test_an_unknown_element_is_refused_by_name():
    with pytest.raises(StructureError, match=r"'Xx'.*nearest-neighbour distance"):
        metallic_radius("Xx")


@pytest.mark.parametrize(
    ("symbol", "bulk"),
    [("Ce", 3.649), ("Gd", 3.60), ("Lu", 3.47), ("Yb", 3.879), ("Th", 3.595), ("Ac", 3.755), ("Eu", 3.969), ("Ra", 4.458), ("Po", 3.359)],
)
def test_metals_beyond_paulings_table_have_their_bulk_distance(symbol, bulk):  # bcc and simple cubic neighbours are nearer than twelve would be
    assert bulk * 0.99 < nn_distance(symbol, "twelve") < bulk * 1.06


def test_an_element_that_is_no_metal_gets_no_other_symbol_proposed():  # Ce was answered with Re
    with pytest.raises(StructureError) as refused:
        metallic_radius("Se")
    assert "Did you mean" not in str(refused.value)


def test_metals_are_told_from_other_elements():
    assert all(is_metal(symbol) for symbol in ("Au", "Ce", "Po", "U", "Sn", "Al", "Na"))
    assert not any(is_metal(symbol) for symbol in ("Si", "Ge", "Sb", "C", "O", "D", "Xx", ""))
