import numpy as np
import pytest

from deepstruc_hpc.core.errors import ConfigError, StructureError
from deepstruc_hpc.physics.form_factors import covalent_radius, neutron_length, scattering_factors, xray_form_factor


def test_forward_scattering_counts_the_electrons():
    for symbol, electrons in (("Au", 79), ("Cu", 29), ("O", 8), ("O2-", 10), ("Ce4+", 54), ("Na+", 10), ("D", 1)):
        assert xray_form_factor(symbol, 0.0) == pytest.approx(electrons, abs=0.05)


def test_form_factor_falls_with_q():
    assert (np.diff(xray_form_factor("Pt", np.linspace(0, 30, 50))) < 0).all()


def test_neutron_length_is_constant_and_may_be_negative():
    factors = scattering_factors(("Ti", "O"), np.linspace(0, 20, 5), "neutron")
    assert np.ptp(factors, axis=1).max() == 0
    assert factors[0, 0] == pytest.approx(-3.37)
    assert neutron_length("O2-") == neutron_length("O")
    assert neutron_length("D") != neutron_length("H")


def test_unknown_element_is_named():
    with pytest.raises(StructureError, match="Xx"):
        xray_form_factor("Xx", 1.0)
    with pytest.raises(StructureError, match="Qq"):
        neutron_length("Qq")
    with pytest.raises(StructureError, match="Po"):
        neutron_length("Po")


def test_table_ends_where_it_says():
    with pytest.raises(ConfigError, match="75"):
        xray_form_factor("Au", [1.0, 90.0])


def test_unknown_radiation_is_refused():
    with pytest.raises(ConfigError, match="electron"):
        scattering_factors(("Au",), np.ones(2), "electron")


def test_radii_are_those_of_atoms():
    assert 1.2 < covalent_radius("Au") < 1.5
    assert covalent_radius("H") < 0.5
