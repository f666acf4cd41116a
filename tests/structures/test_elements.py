"""Radii: what the catalog's distances rest on."""

import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.elements import METALLIC_RADII_PM, METALS_OF_THE_PAPER, metallic_radius, nn_distance


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
