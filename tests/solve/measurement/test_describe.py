"""Options before header values before defaults."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, PdfFileError
from deepstruc_hpc.solve.measurement.describe import check_elements, first_peak, parse_composition, resolve_conditions, resolve_elements
from deepstruc_hpc.solve.config import SolveSettings


def _curve(header=None, stop=30.0):
    r = np.arange(0.0, stop + 1e-9, 0.01)
    g = np.exp(-0.5 * ((r - 2.88) / 0.1) ** 2) - 0.2 * np.sin(r)
    return PdfCurve(r, g, header=header or {}, source="x.gr")


def test_an_option_wins_over_the_header_and_the_header_over_the_default():
    curve = _curve({"qmin": 1.3, "qmax": 28.0, "composition": "Au"})
    found = resolve_conditions(curve, SolveSettings(qmax=20))
    assert (found.qmin, found.qmax, found.qdamp) == (1.3, 20.0, 0.03)
    assert [found.origin[name] for name in ("qmin", "qmax", "qdamp", "elements")] == ["header", "option", "default", "header"]


def test_the_range_ends_where_the_data_end():
    found = resolve_conditions(_curve(stop=18.0), SolveSettings(rmax=25, elements="Au"))
    assert found.rmax == pytest.approx(18.0)


def test_too_short_a_range_is_refused_with_the_numbers():
    with pytest.raises(PdfFileError, match=r"0 to 3 Å.*independent points"):
        resolve_conditions(_curve(stop=3.0), SolveSettings(elements="Au"))


def test_qmin_above_qmax_is_refused():
    with pytest.raises(PdfFileError, match="Qmin 30"):
        resolve_conditions(_curve({"qmin": 30.0}), SolveSettings(elements="Au"))


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Au144 S60 C180", {"Au": 144, "S": 60, "C": 180}),
        ("AuCu3", {"Au": 1, "Cu": 3}),
        ("Pt0.5 Pd0.5", {"Pt": 0.5, "Pd": 0.5}),
        ("", {}),
        ("C:\\data\\x", {}),
    ],
)
def test_compositions_are_read(text, amounts):
    assert parse_composition(text) == amounts


def test_ligands_do_not_decide_the_element():
    elements, notes = resolve_elements(_curve({"composition": "Au144 S60 C180"}), (), "xray")
    assert elements == ("Au",)
    assert "S, C left out" in notes[0]


def test_metals_come_strongest_scatterer_first():
    assert resolve_elements(_curve({"composition": "Cu3 Au"}), (), "xray")[0] == ("Au", "Cu")
    assert resolve_elements(_curve({"composition": "Cu20 Au"}), (), "xray")[0] == ("Cu", "Au")


def test_a_composition_without_a_metal_gives_no_element():
    assert resolve_elements(_curve({"composition": "C60"}), (), "xray")[0] == ()


def test_an_unknown_element_is_refused_by_name():
    with pytest.raises(ConfigError, match="--elements Xx"):
        check_elements(("Xx",), "xray")


def test_the_first_peak_is_found_and_noise_below_half_is_not():
    assert first_peak(_curve()) == pytest.approx(2.88, abs=0.02)
    assert first_peak(PdfCurve(np.linspace(5, 9, 50), np.ones(50))) is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"sigma": "3,-1"}, "sigma"), ({"sources": ""}, "source"), ({"rmin": 5, "rmax": 4}, "rmax"), ({"qmin": 9, "qmax": 4}, "qmax")],
)
def test_contradictory_settings_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        SolveSettings(**changes)


def test_settings_read_commas_and_their_hash_changes_with_each_value():
    assert SolveSettings(sigma="3,5", elements="Au, Pd").sigma == (3.0, 5.0)
    assert SolveSettings(elements="Au, Pd").elements == ("Au", "Pd")
    marks = {SolveSettings(**change).fingerprint("m") for change in ({}, {"qmax": 20}, {"seed": 1}, {"rank": {"misfit_floor": 0.03}})}
    assert len(marks) == 4
    assert SolveSettings().fingerprint("other model") not in marks
