"""Compositions that a distance allows: Vegard's law and its inverse."""

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.decoration import vegard_distance
from deepstruc_hpc.structures.vegard import WITHIN_CLOSE_PACKED, compositions_near, simplex, spread_of, vegard_log_weight

CUBIC = {"Cu3Au": (3.749,), "Pt3Co": (3.831,), "Ni3Al": (3.572,), "FePt3": (3.866,)}
TETRAGONAL = {"CuAu": (3.966, 3.673), "NiPt": (3.823, 3.589), "FePt": (3.852, 3.713), "CoPt": (3.803, 3.701), "FePd": (3.852, 3.723)}
"""a and c of L1_2 and of L1_0 in the axes of fcc, Å."""
AMOUNTS = {
    "Cu3Au": {"Cu": 3, "Au": 1},
    "Pt3Co": {"Pt": 3, "Co": 1},
    "Ni3Al": {"Ni": 3, "Al": 1},
    "FePt3": {"Fe": 1, "Pt": 3},
    "CuAu": {"Cu": 1, "Au": 1},
    "NiPt": {"Ni": 1, "Pt": 1},
    "FePt": {"Fe": 1, "Pt": 1},
    "CoPt": {"Co": 1, "Pt": 1},
    "FePd": {"Fe": 1, "Pd": 1},
}


def _neighbours(name):
    """Mean distance to the twelve nearest neighbours, Å."""
    if name in CUBIC:
        return CUBIC[name][0] / np.sqrt(2)
    a, c = TETRAGONAL[name]
    return (4 * a / np.sqrt(2) + 8 * np.hypot(a, c) / 2) / 12


def test_known_alloys_lie_about_vegards_law_as_far_as_is_said():
    away = np.array([_neighbours(name) / vegard_distance(AMOUNTS[name], "twelve") - 1 for name in AMOUNTS])
    assert np.sqrt(np.mean(away**2)) == pytest.approx(WITHIN_CLOSE_PACKED, abs=0.002)
    assert np.abs(away).max() < 3 * WITHIN_CLOSE_PACKED


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_distance_of_a_composition_is_likeliest_for_that_composition(share):
    grid = simplex(2, 50)
    weight = vegard_log_weight(grid, ("Au", "Cu"), vegard_distance({"Au": share, "Cu": 1 - share}, "twelve"), "fcc")
    assert grid[np.argmax(weight), 0] == pytest.approx(share, abs=0.011)
    assert weight.max() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("elements", [("Pt", "Ni"), ("Au", "Ag", "Cu")])
def test_the_order_in_which_elements_are_named_means_nothing(elements):
    def named(order):
        return {frozenset(zip(order, np.round(row, 9), strict=True)) for row in compositions_near(order, 2.67, "fcc", most=1000)}

    assert named(elements) == named(elements[::-1])


def test_every_composition_is_tried_of_metals_alike_in_size_and_few_of_others():
    alike = compositions_near(("Ag", "Au"), 2.88, "fcc")[:, 0]
    assert alike.min() == pytest.approx(0.1)
    assert alike.max() == pytest.approx(0.9)
    assert np.ptp(compositions_near(("Cu", "Au"), 2.72, "fcc")[:, 0]) < 0.5


def test_a_distance_that_no_composition_has_gives_the_nearest_one():
    assert compositions_near(("Cu", "Au"), 3.2, "fcc").tolist() == [[0.1, 0.9]]
    assert compositions_near(("Cu", "Au"), 2.3, "fcc").tolist() == [[0.9, 0.1]]


def test_shares_add_up_and_none_is_nothing():
    grid = simplex(3, 6)
    assert len(grid) == 10
    assert grid.sum(axis=1) == pytest.approx(np.ones(10))
    assert grid.min() > 0


def test_a_lattice_of_eight_neighbours_is_trusted_less():
    assert spread_of("bcc") > spread_of("fcc") == spread_of("icosahedral")


def test_an_element_without_a_radius_is_an_error():
    with pytest.raises(StructureError, match="metallic radius"):
        compositions_near(("Au", "Xe"), 2.7, "fcc")
