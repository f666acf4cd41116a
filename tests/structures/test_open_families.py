"""Alloys of any number of metals and cuts of crystal types: which there are, and that their atoms are where chemistry puts them."""

from collections import Counter

import numpy as np
import pytest

from deepstruc_hpc.structures.coordination import coordination_numbers
from deepstruc_hpc.structures.elements import metallic_radius
from deepstruc_hpc.structures.families import FAMILIES
from deepstruc_hpc.structures.open_families import RAREST, known_crystals, systems_of
from deepstruc_hpc.structures.oxidation import rarity

ALLOY, CUT = FAMILIES["multicomponent_alloy"], FAMILIES["prototype_cut"]


@pytest.mark.parametrize("count", [2, 3])
def test_systems_are_the_choices_of_metals_of_like_radius(count):
    metals = ("Ni", "Cu", "Pt", "Au", "Pb", "Cs")
    found = systems_of(metals, count)
    assert (*("Pt", "Au")[: count - 1], "Pb") not in found
    assert len(found) == len(set(found)) > 0
    for one in found:
        radii = [metallic_radius(symbol, "twelve") for symbol in one]
        assert max(radii) <= 1.15 * min(radii) + 1e-9
    assert len(systems_of(metals, count, mismatch=10.0)) == {2: 15, 3: 20}[count]


@pytest.mark.parametrize("count", [2, 3])
def test_every_listed_alloy_has_all_its_metals_on_the_base_shape_at_vegards_distance(count):
    """Fails when a share is lost to rounding, when a shape is scaled by one element's radius, or when two names are one structure."""
    options = {
        "metals": ["Ni", "Pd", "Pt"],
        "count": count,
        "bases": ["octahedral", "icosahedral"],
        "base_shapes": 2,
        "orderings": ["random", "segregated", "L1_2"],
        "shares": [[0.5, 0.5], [3, 1], [1, 1, 1]],
    }
    shapes = list(ALLOY.enumerate(13, 90, **options))
    assert len({shape.name for shape in shapes}) == len(shapes) > 10
    assert len({shape.fingerprint for shape in shapes}) == len(shapes)
    for shape in shapes[:: max(1, len(shapes) // 25)]:
        made = ALLOY.build(shape, "", 0.0)
        counts = Counter(made.symbols)
        assert len(counts) == count
        assert set(counts) == set(shape.parameters["elements"])
        wanted = sum(2 * metallic_radius(symbol, "twelve") * number for symbol, number in counts.items()) / len(made)
        distances = np.linalg.norm(made.positions[:, None] - made.positions, axis=-1) + 99 * np.eye(len(made))
        assert distances.min() == pytest.approx(wanted, rel=1e-6)
        if shape.parameters["ordering"] != "L1_2" and shape.parameters["shares"] == [0.5, 0.5]:
            assert abs(counts[shape.parameters["elements"][0]] / len(made) - 0.5) < 0.2


def test_the_last_metal_is_the_shell_and_each_metal_is_once_the_last():
    shapes = list(ALLOY.enumerate(13, 90, metals=["Ni", "Pd", "Pt"], count=3, bases=["icosahedral"], orderings=["core_shell"], shares=[[1, 1, 1]]))
    assert {shape.parameters["elements"][-1] for shape in shapes} == {"Ni", "Pd", "Pt"}
    for shape in shapes:
        made = ALLOY.build(shape, "", 0.0)
        symbols, last = np.array(made.symbols), shape.parameters["elements"][-1]
        inner = np.linalg.norm(made.positions, axis=1)
        assert inner[symbols == last].min() >= inner[symbols != last].max() - 1e-6


def test_compounds_have_the_types_asked_for_and_charges_that_are_known():
    found = known_crystals("Ti", "O", ("rutile", "anatase", "rock_salt", "corundum"))
    assert set(found) == {"TiO2 rutile", "TiO2 anatase", "Ti2O3 corundum"}
    assert all(rarity(crystal.composition) <= RAREST for crystal in found.values())
    assert known_crystals("Na", "Cl", ("fluorite",)) == {}
    volume = abs(np.linalg.det(found["TiO2 rutile"].lattice))
    assert volume == pytest.approx(62.4, rel=0.1)  # Å³, Howard et al., Acta Cryst. B47 (1991) 462


def test_cuts_are_round_bonded_and_of_their_type():
    shapes = list(CUT.enumerate(10, 400, cations=["Zn"], anions=["S"], prototypes=["zincblende", "rock_salt"], radii=[5.0, 7.0]))
    assert {(shape.structure_type, shape.parameters["radius"]) for shape in shapes} == {
        (kind, radius) for kind in ("zincblende", "rock_salt") for radius in (5.0, 7.0)
    }
    for shape in shapes:
        made = CUT.build(shape, "", 0.0)
        assert len(made) == shape.n_atoms
        assert set(made.symbols) == {"Zn", "S"}
        assert np.ptp(made.positions, axis=0).max() <= 2 * shape.parameters["radius"] + 1e-6
        assert coordination_numbers(made.positions).max() == {"zincblende": 4, "rock_salt": 6}[shape.structure_type]


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("multicomponent_alloy", {"metals": ["Ni", "Pd", "Pt"], "bases": ["icosahedral"], "orderings": ["random", "L1_2"]}),
        ("prototype_cut", {"cations": ["Zn", "Ti"], "anions": ["O", "S"], "prototypes": ["rutile", "wurtzite"], "radii": [5.0]}),
    ],
)
def test_parts_together_are_the_list(family, options):
    whole = [shape.name for shape in FAMILIES[family].enumerate(10, 60, **options)]
    parts = [shape.name for part in FAMILIES[family].parts(options) for shape in FAMILIES[family].enumerate(10, 60, **part)]
    assert whole == parts
