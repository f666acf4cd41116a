"""Formulas: what headers and options write, and what is refused with the text in the message."""

import pytest

from deepstruc_hpc.core.composition import SYMBOLS, parse_composition
from deepstruc_hpc.core.errors import CompositionError, ConfigError


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("CeO2", {"Ce": 1, "O": 2}),
        ("Ce O2", {"Ce": 1, "O": 2}),
        ("Ti  O2 ", {"Ti": 1, "O": 2}),
        ("Po", {"Po": 1}),
        ("Pt3Ni", {"Pt": 3, "Ni": 1}),
        ("Au144 S60 C480 H540", {"Au": 144, "S": 60, "C": 480, "H": 540}),
        ("Zr0.85Y0.15O1.925", {"Zr": 0.85, "Y": 0.15, "O": 1.925}),
        ("(Cu,Ni,Cr,Mn,Fe)3O4", {"Cu": 0.6, "Ni": 0.6, "Cr": 0.6, "Mn": 0.6, "Fe": 0.6, "O": 4}),
        ("(Fe0.9,Co)3O4", {"Fe": 2.7, "Co": 0.3, "O": 4}),
        ("Cu0.5Ni0.5Cr0.66Mn0.66Fe0.66O4", {"Cu": 0.5, "Ni": 0.5, "Cr": 0.66, "Mn": 0.66, "Fe": 0.66, "O": 4}),
        ("AlOOH", {"Al": 1, "O": 2, "H": 1}),
        ("Ca(OH)2", {"Ca": 1, "O": 2, "H": 2}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("CaSO4*2H2O", {"Ca": 1, "S": 1, "O": 6, "H": 4}),
        ("CaSO4·2H2O", {"Ca": 1, "S": 1, "O": 6, "H": 4}),
        ("CaSO4 . 2 H2O", {"Ca": 1, "S": 1, "O": 6, "H": 4}),
        ("D2O", {"D": 2, "O": 1}),
        ("Fe3+", {"Fe": 1}),
        ("O2-", {"O": 1}),
        ("Ce4+O2-2", {"Ce": 1, "O": 2}),
        ("Fe2+Fe3+2O4", {"Fe": 3, "O": 4}),
        ("SO42-", {"S": 1, "O": 4}),
        ("NH4+", {"N": 1, "H": 4}),
        ("MnO4-", {"Mn": 1, "O": 4}),
        ("Pt 0.5 Ru 0.5", {"Pt": 0.5, "Ru": 0.5}),
        ("0.5Pt 0.5Pd", {"Pt": 0.5, "Pd": 0.5}),
        ("Pt, Ru", {"Pt": 1, "Ru": 1}),
        ("Pt:3 Ni:1", {"Pt": 3, "Ni": 1}),
        ("{'Ti': 1, 'O': 2}", {"Ti": 1, "O": 2}),
        ("Pt50%Ni50%", {"Pt": 50, "Ni": 50}),
        ("CeO$_2$", {"Ce": 1, "O": 2}),
        ("Al_2O_3", {"Al": 2, "O": 3}),
        ("CeO₂", {"Ce": 1, "O": 2}),
        ("Pt/Al2O3", {"Pt": 1, "Al": 2, "O": 3}),
        ("Ni on SiO2", {"Ni": 1, "Si": 1, "O": 2}),
        ("CeO2-ZrO2", {"Ce": 1, "O": 4, "Zr": 1}),
    ],
)
def test_a_formula_means_its_atoms(text, amounts):
    found = parse_composition(text)
    assert dict(found.amounts) == pytest.approx(amounts, abs=1e-9)
    assert found.elements == tuple(amounts)  # the order given


@pytest.mark.parametrize(
    ("text", "formula"),
    [("Ce O2", "CeO2"), ("Au", "Au"), ("Ni1Pt3", "NiPt3"), ("Mn0.5 O0.5", "MnO"), ("Ti2O4", "TiO2"), ("Zr0.85Y0.15O1.925", "Zr0.85Y0.15O1.925")],
)
def test_the_reduced_formula_has_the_smallest_whole_numbers(text, formula):
    assert parse_composition(text).formula == formula


def test_an_ion_is_kept_beside_its_element():
    assert parse_composition("Ce4+O2-2").ions == {"Ce": "Ce4+", "O": "O2-"}


def test_parts_of_a_support_stay_apart():
    assert [dict(part) for part in parse_composition("Pt/Al2O3").parts] == [{"Pt": 1.0}, {"Al": 2.0, "O": 3.0}]


@pytest.mark.parametrize(
    "text", ["", "?", "unknown", "None", "ceo2", "Pt nanoparticles", "La1-xSrxMnO3", "Xx", "Au144(SR)60", "Ca(OH", "1e5", "Au 20 wt%", "Au0"]
)
def test_what_is_no_formula_is_refused_with_its_text(text):
    with pytest.raises(CompositionError) as refused:
        parse_composition(text)
    assert repr(text) in str(refused.value)
    assert isinstance(refused.value, ConfigError)  # exit code 2 where an option holds it


@pytest.mark.parametrize(("text", "meant"), [("AU", "Au"), ("PT", "Pt"), ("Ptt", "Pt")])
def test_an_unknown_symbol_is_named_with_the_one_that_may_be_meant(text, meant):
    with pytest.raises(CompositionError, match=rf"Did you mean {meant}\?|cannot be read"):
        parse_composition(text)


def test_a_guess_is_noted():
    assert "unknown part" in parse_composition("CeO2-x").notes[0]
    assert "write Ni" in parse_composition("NI").notes[0]


def test_every_element_reads_as_itself():
    assert all(parse_composition(symbol).elements == (symbol,) for symbol in SYMBOLS)
    assert len(SYMBOLS) == 118
