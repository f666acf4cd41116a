"""What rare charges cost: nothing for the usual oxides, more the rarer, and the cheapest way where cations share a charge."""

import math

import pytest

from deepstruc_hpc.structures.oxidation import rarity


@pytest.mark.parametrize("usual", [{"Ni": 1, "O": 1}, {"Al": 2, "O": 3}, {"Ti": 1, "O": 2}, {"Zn": 1, "S": 1}, {"Ni": 1, "Al": 2, "O": 4}, {"Ni": 1}])
def test_usual_charges_and_metals_cost_nothing(usual):
    assert rarity(usual) == pytest.approx(0.0, abs=1e-9)


def test_the_rarer_a_charge_the_more_it_costs():
    """Fails where NiO2 costs no more than Ni2O3, or where a charge that no known crystal has is free."""
    assert 0 < rarity({"Ni": 2, "O": 3}) < rarity({"Ni": 1, "O": 2}) < rarity({"Ni": 1, "O": 3})


def test_copper_has_two_usual_charges():
    assert rarity({"Cu": 2, "O": 1}) < 0.1
    assert rarity({"Cu": 1, "O": 1}) < 0.1


@pytest.mark.law
def test_the_price_is_that_of_an_atom_whatever_the_formula_unit():
    assert rarity({"Ni": 3, "O": 6}) == pytest.approx(rarity({"Ni": 1, "O": 2}))


def test_a_mean_charge_takes_each_price_by_its_share():
    """Magnetite has a third of Fe2+, the rarer one: a third of its price."""
    assert rarity({"Fe": 3, "O": 4}) == pytest.approx(rarity({"Fe": 1, "O": 1}) / 3)
    assert math.isfinite(rarity({"Fe": 1, "Ni": 1, "O": 4}))
