"""Structures and curves keep their promises on shape, immutability and range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError, StructureError
from deepstruc_hpc.core.structure import Structure


def test_formula_counts_atoms_by_element_in_alphabetical_order():
    structure = Structure(("Ti", "O", "O"), np.eye(3))
    assert structure.formula == "O2Ti"
    assert structure.elements == ("O", "Ti")
    assert Structure.of_element("Au", np.zeros((1, 3))).formula == "Au"


@pytest.mark.parametrize("positions", [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros(9), np.full((3, 3), np.nan)])
def test_positions_of_another_shape_or_not_finite_are_refused(positions):
    with pytest.raises(StructureError):
        Structure(("Au", "Au", "Au"), positions)


def test_positions_are_a_read_only_copy():
    source = np.eye(3)
    structure = Structure.of_element("Au", source)
    source[0, 0] = 9
    assert structure.positions[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        structure.positions[0, 0] = 2


@given(factor=st.floats(0.5, 2.0))
def test_scaling_multiplies_every_distance(factor):
    positions = np.random.default_rng(1).normal(size=(6, 3))
    scaled = Structure.of_element("Pt", positions).scaled(factor)
    assert np.allclose(np.linalg.norm(scaled.positions[0] - scaled.positions[5]), factor * np.linalg.norm(positions[0] - positions[5]))


def test_centring_puts_the_centroid_at_the_origin():
    structure = Structure.of_element("Pt", np.random.default_rng(2).normal(size=(6, 3)) + 5)
    assert np.allclose(structure.centred().positions.mean(axis=0), 0, atol=1e-12)


def test_cutting_a_curve_keeps_uncertainties_and_refuses_an_empty_range():
    r = np.arange(0, 10, 0.1)
    curve = PdfCurve(r, np.sin(r), dg=r * 0.01, header={"qmax": 25.0, "composition": "Au"}, source="a.gr")
    cut = curve.between(2, 5)
    assert cut.r[0] == pytest.approx(2.0)
    assert cut.r[-1] == pytest.approx(5.0)
    assert np.allclose(cut.dg, cut.r * 0.01)
    assert curve.value("qmax") == 25.0
    assert curve.value("composition") is None
    assert curve.value("qmin") is None
    with pytest.raises(PdfFileError, match=r"a\.gr.*0 to 9\.9"):
        curve.between(20, 30)
