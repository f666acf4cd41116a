"""What a composition is taken for: rules for matter, whoever names it."""

import re
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.core.composition import SYMBOLS
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CompositionError, ConfigError
from deepstruc_hpc.solve.measurement.sample import describe_sample
from deepstruc_hpc.structures.elements import is_metal, nn_distance


def sample(header=None, *, elements=(), composition=None, kind=None, radiation="xray"):
    r = np.arange(0.0, 10.0, 0.01)
    curve = PdfCurve(r, np.sin(r), header={} if header is None else {"composition": header})
    return describe_sample(curve, elements=elements, composition=composition, kind=kind, radiation=radiation)


@pytest.mark.parametrize(
    ("formula", "kind", "elements"),
    [
        ("Au", "metal", ("Au",)),
        ("Po", "metal", ("Po",)),
        ("Ce", "metal", ("Ce",)),
        ("Pt3Ni", "alloy", ("Pt", "Ni")),
        ("Tb3Ni", "alloy", ("Tb", "Ni")),
        ("CuAu", "alloy", ("Au", "Cu")),
        ("PdH", "metal", ("Pd",)),
        ("Ce O2", "compound", ("Ce", "O")),
        ("CdSe", "compound", ("Cd", "Se")),
        ("GaAs", "compound", ("As", "Ga")),
        ("LaB6", "compound", ("La", "B")),
        ("WC", "compound", ("W", "C")),
        ("CaCO3", "compound", ("Ca", "O", "C")),
        ("FePO4", "compound", ("Fe", "O", "P")),
        ("CuSO4*5H2O", "compound", ("Cu", "O", "S")),
        ("AlOOH", "compound", ("Al", "O")),
        ("Ag2S", "compound", ("Ag", "S")),
        ("NiTiO3", "compound", ("Ni", "Ti", "O")),
        ("Cu0.5Ni0.5Cr0.66Mn0.66Fe0.66O4", "compound", ("Fe", "Cu", "Mn", "Ni", "Cr", "O")),
        ("Si", "compound", ("Si",)),
        ("Ge", "compound", ("Ge",)),
        ("SiO2", "compound", ("Si", "O")),
        ("CeO2 C18H34O2", "compound", ("Ce", "O")),
        ("Cd50Se50C200H400", "compound", ("Cd", "Se")),
        ("C60", "cluster", ("C",)),
        ("SF6", "cluster", ("F", "S")),
        ("CO2", "cluster", ("O", "C")),
        ("H3PW12O40", "cluster", ("W", "O", "P")),
        ("Zr6O4(OH)4(C4H5O2)12", "cluster", ("Zr", "O", "C")),
        ("Au144 S60 C480 H540", "ligands", ("Au",)),
        ("Au144 S60 C180", "ligands", ("Au",)),
        ("Ni100C18H34O2", "ligands", ("Ni",)),
        ("Au100 Pt20 C80 H80", "ligands", ("Au", "Pt")),
        ("Fe190 S47", "ligands", ("Fe",)),
        ("Pd15 P2", "compound", ("Pd", "P")),
        ("Pt/Al2O3", "support", ("Pt", "Al", "O")),
        ("Pt C", "support", ("Pt", "C")),
        ("NiAl4O6", "support", ("Ni", "Al", "O")),
    ],
)
@pytest.mark.parametrize("origin", ["header", "option"])
def test_amounts_say_what_kind_of_matter_it_is(formula, kind, elements, origin):
    found = sample(formula) if origin == "header" else sample(composition=formula)
    assert (found.kind, set(found.elements), found.origin) == (kind, set(elements), origin)
    assert not set(found.left_out) & set(found.elements)
    assert set(found.left_out) | set(found.elements) == set(found.amounts)


def test_the_strongest_scatterer_comes_first():
    assert sample("CuAu").elements == ("Au", "Cu")
    assert sample("MnO", radiation="neutron").elements == ("O", "Mn")  # |b| 5.80 and 3.73 fm


def test_elements_alone_say_the_kind_but_no_amounts():
    oxide = sample(elements=("Ce", "O"))
    assert (oxide.kind, oxide.elements, oxide.stoichiometric, oxide.formula) == ("compound", ("Ce", "O"), False, "Ce-O")
    assert sample(elements=("Pt", "Ru")).kind == "alloy"
    assert sample(elements=("Fe3+", "O2-")).elements == ("Fe", "O")


def test_every_metal_that_is_named_is_kept():  # lithium scatters a thirtieth of what uranium does
    assert sample(elements=("U", "Li")).elements == ("U", "Li")


def test_an_option_wins_over_the_header_and_says_so():
    gold = sample("Au144 S60 C480 H540", elements=("Au",))
    assert (gold.kind, gold.elements, gold.left_out, gold.origin) == ("metal", ("Au",), (), "option")
    assert "Au144 S60 C480 H540" in " ".join(gold.notes)


def test_a_kind_that_is_given_wins():
    assert sample("Pt3Ni", kind="cluster").kind == "cluster"
    assert sample(kind="metal").kind == "metal"
    with pytest.raises(ConfigError, match=r"'gas'.*metal, alloy"):
        sample("Au", kind="gas")


def test_the_sentence_names_what_was_taken_and_where_it_stood():
    assert sample("Ce O2").sentence == "taken for a compound, CeO2 (header Ce O2)"
    assert "Au144S60C480H540" in sample(composition="Au144 S60 C480 H540").sentence


@pytest.mark.parametrize("header", [None, "", "Pt nanoparticles", "unknown"])
def test_without_a_readable_composition_nothing_is_guessed(header):
    found = sample(header)
    assert (found.kind, found.elements, found.origin) == ("unknown", (), "unknown")
    assert "--composition" in found.sentence
    assert not header or f"'{header}'" in found.sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"elements": ("AU",)}, "AU.*Did you mean Au"),
        ({"elements": ("CeO2",)}, "--composition CeO2"),
        ({"elements": ("Po",), "radiation": "neutron"}, "Po.*neutron"),
        ({"elements": ("Pt",), "composition": "CeO2"}, "Pt: not in --composition CeO2"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        sample(**options)


def test_an_unreadable_option_is_quoted():
    with pytest.raises(CompositionError, match="'ceo2'"):
        sample(composition="ceo2")


def test_every_element_with_form_factors_is_accepted():  # Ce and Po were refused because they lacked a metallic radius
    for symbol in SYMBOLS[:98]:
        found = sample(elements=(symbol,))
        assert found.elements == (symbol,)
        assert (found.kind == "metal") == is_metal(symbol)
        if is_metal(symbol) and symbol != "Fr":
            assert 2.2 < nn_distance(symbol, "twelve") < 5.5


MEASURED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.mark.experimental
@pytest.mark.skipif(not MEASURED.is_dir(), reason="the measured curves are not beside this checkout (../shared/data)")
def test_every_composition_in_a_measured_header_is_read():
    texts = [path.read_text(encoding="latin-1") for path in MEASURED.rglob("*.gr")]
    headers = {match[1].strip() for text in texts for match in re.finditer(r"^composition\s*=\s*(\S.*)$", text, re.MULTILINE)}
    assert len(headers) >= 10
    for header in headers:
        found = sample(header)
        assert found.kind != "unknown", header
        assert found.elements, header
