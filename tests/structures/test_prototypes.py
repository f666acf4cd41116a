"""Candidate crystals from elements: the right type is among them at about the right size, and nonsense is not."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures import prototype_table as table_module
from deepstruc_hpc.structures.crystal_listing import amounts_of, crystal_cif, crystal_row, export_cifs
from deepstruc_hpc.structures.plausibility import CHARGES, CLOSEST, facts
from deepstruc_hpc.structures.prototype_additions import ADDITIONS
from deepstruc_hpc.structures.prototype_table import prototype_table
from deepstruc_hpc.structures.prototypes import ANIONS, candidate_crystals, formula_of
from deepstruc_hpc.structures.topology import neighbours
from deepstruc_hpc.structures.user_crystals import user_crystals


def named(candidates, prototype, formula):
    found = [candidate for candidate in candidates if candidate.prototype == prototype and candidate.formula == formula]
    assert found, f"{formula} {prototype} is not among {len(candidates)}"
    return found[0]


@pytest.mark.parametrize(
    ("elements", "prototype", "formula", "cell"),
    [
        (("Ce", "O"), "fluorite", "CeO2", (5.411, 5.411, 5.411)),
        (("Ti", "O"), "rutile", "TiO2", (4.594, 4.594, 2.959)),
        (("Ti", "O"), "anatase", "TiO2", (3.785, 3.785, 9.514)),
        (("Ti", "O"), "brookite", "TiO2", (5.138, 9.174, 5.449)),
        (("Ti", "O"), "bronze_titania", "TiO2", (12.163, 3.735, 6.513)),
        (("Fe", "O"), "spinel", "Fe3O4", (8.394, 8.394, 8.394)),
        (("Al", "O"), "corundum", "Al2O3", (4.759, 4.759, 12.99)),
        (("Y", "O"), "bixbyite", "Y2O3", (10.60, 10.60, 10.60)),
        (("Mg", "O"), "rock_salt", "MgO", (4.212, 4.212, 4.212)),
        (("Zn", "O"), "wurtzite", "ZnO", (3.250, 3.250, 5.207)),
        (("Sr", "Ti", "O"), "perovskite", "SrTiO3", (3.905, 3.905, 3.905)),
        (("Cs", "Cl"), "cscl", "ClCs", (4.12, 4.12, 4.12)),
        (("Fe", "S"), "pyrite", "FeS2", (5.418, 5.418, 5.418)),
        (("Ga", "As"), "zincblende", "GaAs", (5.653, 5.653, 5.653)),
        (("Al", "O", "H"), "boehmite", "AlO2", (2.868, 12.234, 3.692)),
        (("Au",), "fcc", "Au", (4.078, 4.078, 4.078)),
        (("Fe",), "bcc", "Fe", (2.866, 2.866, 2.866)),
        (("Co",), "hcp", "Co", (2.507, 2.507, 4.069)),
        (("Si",), "diamond", "Si", (5.431, 5.431, 5.431)),
        (("Fe", "Pt"), "l1_0", "FePt", (2.73, 2.73, 3.71)),
    ],
)
def test_the_known_crystal_is_among_the_candidates_within_the_scan_of_its_size(elements, prototype, formula, cell):
    """Fails when radii, coordination or a printed position are wrong: the scan of zooms reaches 14 %, axes 10 % more."""
    candidate = named(candidate_crystals(elements), prototype, formula if formula != "ClCs" else "CsCl")
    ratio = np.array(candidate.cell) / cell
    volume = abs(np.linalg.det(candidate.crystal.lattice))
    assert ratio == pytest.approx(np.full(3, np.cbrt(np.prod(ratio))), rel=0.08)
    assert np.prod(ratio) ** (1 / 3) == pytest.approx(1.0, abs=0.16 if prototype == "pyrite" else 0.12)
    assert volume > 0


def test_charges_balance_and_no_atoms_touch():
    allowed = facts("Ti").charges
    for candidate in candidate_crystals(["Ti", "O"]):
        amounts = candidate.crystal.composition
        if candidate.anion == "O" and candidate.prototype not in {addition.name for addition in ADDITIONS if addition.protons}:
            needed = CHARGES["O"] * amounts["O"] / amounts["Ti"]
            assert min(allowed) - 1e-6 <= needed <= max(allowed) + 1e-6, candidate.crystal.name
        if candidate.anion:
            around = neighbours(candidate.crystal.lattice, candidate.crystal.fractions, 2.5)
            oxygen = np.array([site[0][0] == "O" for site in candidate.crystal.species])
            both = oxygen[around.first] & oxygen[around.second]
            assert around.distance[both].min(initial=9.0) > CLOSEST * 2 * 1.2, candidate.crystal.name


def test_a_formula_leaves_its_own_crystals_only_and_far_fewer():
    free, given = candidate_crystals(["Ti", "O"]), candidate_crystals(["Ti", "O"], amounts={"Ti": 1, "O": 2})
    assert {candidate.formula for candidate in given} == {"TiO2"}
    assert len(given) < len(free) / 2
    assert {"rutile", "anatase", "brookite", "bronze_titania"} <= {candidate.prototype for candidate in given}


def test_cations_share_their_sites_by_the_formula():
    spinel = named(candidate_crystals(["Cr", "Fe", "O"], amounts={"Cr": 1, "Fe": 2, "O": 4}), "spinel", "CrFe2O4")
    mixed = [c for c in candidate_crystals(["Cr", "Fe", "O"], amounts={"Cr": 1, "Fe": 2, "O": 4}) if "merged" in c.origin and c.prototype == "spinel"]
    assert spinel.crystal.composition["Fe"] == pytest.approx(2 * spinel.crystal.composition["Cr"])
    assert any(dict(site) == pytest.approx({"Cr": 1 / 3, "Fe": 2 / 3}) for candidate in mixed for site in candidate.crystal.species)


def test_parts_of_the_elements_are_candidates_too():
    candidates = candidate_crystals(["Ni", "O"])
    named(candidates, "fcc", "Ni")
    named(candidates, "rock_salt", "NiO")
    assert not any(set(candidate.crystal.composition) == {"O"} for candidate in candidates)


def test_metals_alike_in_size_are_mixed_and_superlattices_are_the_common_ones():
    ordered = {candidate.prototype for candidate in candidate_crystals(["Pt", "Ru"]) if "ordered" in candidate.origin}
    assert ordered == {"l1_0", "l1_2", "b2"}
    assert len({candidate.prototype for candidate in candidate_crystals(["Tb", "Ni"]) if "ordered" in candidate.origin}) > 20


@pytest.mark.parametrize(
    ("child", "parent"),
    [("calcium_chloride", "rutile"), ("tetragonal_zirconia", "fluorite"), ("hausmannite", "spinel"), ("thallium_fluoride", "rock_salt")],
)
def test_a_distorted_type_belongs_to_its_parent(child, parent):
    patterns = {pattern.name: pattern for pattern in prototype_table().patterns if not pattern.merged or pattern.name == "hausmannite"}
    candidate = next(c for c in [*candidate_crystals(["Mn", "O"]), *candidate_crystals(["Ce", "O"])] if c.prototype == child)
    assert candidate.group == parent
    assert candidate.words == f"{parent.replace('_', ' ')} type, distorted ({child.replace('_', ' ')})"
    assert child in patterns


def test_nets_tell_polymorphs_apart():
    groups = {candidate.prototype: candidate.group for candidate in candidate_crystals(["Ti", "O"])}
    assert len({groups[name] for name in ("rutile", "anatase", "brookite", "bronze_titania", "fluorite")}) == 5
    stacked = {candidate.prototype: candidate.group for candidate in candidate_crystals(["Zn", "O"])}
    assert stacked["zincblende"] != stacked["wurtzite"]
    words = {candidate.prototype: candidate.words for candidate in candidate_crystals(["Zn", "O"])}
    assert words["polytype_4h"].endswith("50% of the layers hexagonal")
    assert words["wurtzite"] == "wurtzite type"


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda addition: addition.name)
def test_printed_positions_give_bonds_of_the_radii(addition):
    """Fails when a coordinate is mistyped: some bond is then far too short or a cation has no anion near."""
    pattern = next(p for p in prototype_table().patterns if p.name == addition.name and not p.merged)
    elements = {max(site[0], key=site[0].get) for site in addition.prototype.sites}
    anion = next(symbol for symbol in ANIONS if symbol in elements)
    cations = [symbol for symbol in sorted(elements) if symbol != anion]
    metals = [symbol for symbol in cations if symbol not in ANIONS or (symbol in "PSC" and anion == "O" and addition.name != "oxysulfide")]
    radius = {symbol: facts(symbol).covalent for symbol in elements}
    nearest = pattern.contact.min(axis=1)
    for symbol in metals:
        kind = next(k for k in range(pattern.n_kinds) if k != pattern.anion and kind_symbols(pattern, elements)[k] == symbol)
        assert 0.70 < pattern.contact[kind, pattern.anion] / (radius[symbol] + radius[anion]) < 1.25 or len(cations) > 2
        assert 1.0 <= pattern.neighbours[kind, pattern.anion] <= 18.0 or addition.name == "fluorapatite"
    assert nearest.min() > 1.2 or addition.name == "birnessite"


def kind_symbols(pattern, elements):
    """The element of each kind, in the order in which the table sorts them."""
    order = table_module._ANIONS
    return dict(enumerate(sorted(elements, key=lambda symbol: (order.index(symbol) if symbol in order else -1, symbol))))


@pytest.mark.parametrize(
    ("elements", "prototype", "formula"),
    [
        (("La", "P", "O"), "monazite", "LaPO4"),
        (("Ca", "C", "O"), "calcite", "CaCO3"),
        (("Ba", "S", "O"), "barite", "BaSO4"),
        (("Bi", "O", "Cl"), "bismuth_oxyhalide", "BiClO"),
        (("Gd", "O", "S"), "oxysulfide", "Gd2SO2"),
        (("Ca", "P", "O", "F"), "fluorapatite", "Ca5P3O12F"),
        (("Cd", "Se", "S"), "wurtzite", "Cd2SeS"),
        (("Cs", "Pb", "Br", "I"), "orthorhombic_perovskite", "Cs2Pb2I3Br3"),
    ],
)
def test_other_nonmetals_are_cations_second_anions_or_share_a_site(elements, prototype, formula):
    """Fails when a sample of two non-metals gets compounds of one of them only."""
    found = [one for one in candidate_crystals(elements) if one.prototype == prototype and set(one.crystal.composition) == set(elements)]
    assert found, formula
    assert formula in {one.formula for one in found}
    assert all(one.lacking == 0 for one in found)


@pytest.mark.parametrize(
    ("elements", "prototype", "a"),
    [
        (("Fe", "S"), "marcasite", 4.4446),
        (("Co", "Se"), "pyrite", 5.8593),
        (("Ni", "Se"), "nickel_arsenide", 3.6613),
        (("Mo", "Te"), "molybdenite", 3.519),
        (("Ta", "N"), "pseudobrookite", 3.8862),
        (("Ni", "S"), "hazelwoodite", 5.7454),
        (("Fe", "N"), "iron_nitride", 3.795),
        (("Mg", "O", "H"), "brucite", 3.142),
    ],
)
def test_soft_anions_and_nitrides_are_there_within_reach_of_the_scan(elements, prototype, a):
    """Fails when low spin, overlap, bonds between metals or protons rule a compound out, or its length starts beyond what is scanned."""
    found = [one for one in candidate_crystals(elements) if one.prototype == prototype]
    assert min(abs(one.cell[0] / a - 1.0) for one in found) < 0.12


def test_metals_share_sites_in_two_groups():
    """Fails when a lithium nickel manganese cobalt oxide is rock salt alone: lithium has a site of its own."""
    found = [one for one in candidate_crystals(["Li", "Ni", "Mn", "Co", "O"]) if one.prototype == "layered_rock_salt" and one.lacking == 0]
    kinds = [{frozenset(symbol for symbol, _ in site) for site in one.crystal.species} for one in found]
    assert {frozenset({"Li"}), frozenset({"Ni", "Mn", "Co"}), frozenset({"O"})} in kinds


@pytest.fixture
def small_table(monkeypatch, tmp_path):
    """A cache folder of its own, and how often a table, here of two patterns, was made. Other tests find their table again."""
    kept = [asdict(pattern) for pattern in prototype_table().patterns if pattern.name in {"fcc", "bcc"} and not pattern.merged]
    rows = [{key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in row.items()} for row in kept]
    made = []
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path))
    monkeypatch.setattr(table_module, "_patterns", lambda: made.append("table") or iter(rows))
    prototype_table.cache_clear()
    yield made
    prototype_table.cache_clear()


def test_the_table_is_read_from_the_cache_and_a_damaged_one_is_made_again(small_table, tmp_path):
    for times in (1, 2):
        for _ in ("made", "read"):
            assert sorted(pattern.name for pattern in prototype_table().patterns) == ["bcc", "fcc"]
            prototype_table.cache_clear()
        assert len(small_table) == times
        (place,) = tmp_path.glob("prototypes-*.json")
        place.write_text(place.read_text()[: place.stat().st_size // 2])


def test_no_element_and_an_unknown_one_are_errors():
    with pytest.raises(StructureError, match="Xx"):
        candidate_crystals(["Ti", "Xx"])
    with pytest.raises(StructureError, match="nothing"):
        candidate_crystals([])


@pytest.mark.parametrize(
    ("text", "amounts"), [("IrO2", {"Ir": 1, "O": 2}), ("Cu0.5Fe2.5O4", {"Cu": 0.5, "Fe": 2.5, "O": 4}), ("Ni O", {"Ni": 1, "O": 1})]
)
def test_formulas_are_read(text, amounts):
    assert amounts_of(text) == amounts


@pytest.mark.parametrize("text", ["", "iro2", "Ir(OH)3", "2"])
def test_a_formula_that_is_none_is_an_error(text):
    with pytest.raises(StructureError, match="formula"):
        amounts_of(text)


def test_formulas_are_written_with_the_anion_last():
    assert formula_of({"O": 8.0, "Fe": 6.0}) == "Fe3O4"
    assert formula_of({"Ni": 3.0, "Fe": 1.0}) == "FeNi3"


def test_exported_files_are_read_again_as_the_same_crystals(tmp_path):
    """Written as CIF, read as a user's file: the same density, space group and composition."""
    wanted = {"rutile", "anatase", "corundum", "bronze_titania", "maghemite", "spinel"}
    made = [candidate for candidate in candidate_crystals(["Ti", "O"]) if candidate.prototype in wanted]
    export_cifs(made, tmp_path / "cifs")
    found = {candidate.prototype: candidate for candidate in user_crystals(tmp_path / "cifs")}
    assert len(found) == len(made)
    for candidate in made:
        again = found[f"{candidate.formula}_{candidate.prototype}".lower()]
        assert again.space_group == candidate.space_group
        assert again.formula == candidate.formula
        row, other = crystal_row(candidate), crystal_row(again)
        assert other["volume_per_atom"] == pytest.approx(row["volume_per_atom"], rel=1e-3)
        assert other["different_sites"] == row["different_sites"]


QUIRKY = """data_one
_cell_length_a '4.498(2)'
_cell_length_b 4.498(2)
_cell_length_c 3.154(2)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 42/m n m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Ir1 Ir4+ 0 0 0 0.9
Ru1 Ru4+ 0 0 0 0.1
O1 O2- 0.308 0.308 0 1
"""


def test_a_users_folder_is_read_once_and_a_broken_file_is_a_note(tmp_path, monkeypatch):
    folder = tmp_path / "crystals"
    folder.mkdir()
    (folder / "iridia.cif").write_text(QUIRKY)
    (folder / "broken.cif").write_text("data_x\n_cell_length_a what\nloop_\n_atom_site_label\n")
    (folder / "empty.cif").write_text("")
    notes = []
    (found,) = user_crystals(folder, notes=notes)
    assert found.space_group == 136
    assert (found.prototype, found.group) == ("iridia", "rutile")
    assert found.cell == pytest.approx((4.498, 4.498, 3.154))
    assert found.crystal.composition == pytest.approx({"Ir": 1.8, "Ru": 0.2, "O": 4.0})
    assert sorted(note.split(":")[0] for note in notes) == ["broken.cif", "empty.cif"]

    def fail(path: Path):
        raise AssertionError(f"{path} is read a second time")

    monkeypatch.setattr("deepstruc_hpc.structures.user_crystals.read_cif", fail)
    assert len(user_crystals(folder, notes=notes)) == 1
    (folder / "iridia.cif").write_text(QUIRKY + "\n# changed\n")
    with pytest.raises(AssertionError, match="second time"):
        user_crystals(folder)


def test_a_folder_without_cifs_is_an_error(tmp_path):
    with pytest.raises(StructureError, match=r"no \.cif files"):
        user_crystals(tmp_path)


def test_a_cif_holds_all_sites_with_their_occupancies():
    text = crystal_cif(named(candidate_crystals(["Fe", "O"]), "maghemite", "Fe2O3").crystal, "Fe2O3 maghemite")
    assert "data_Fe2O3_maghemite" in text
    assert text.count("0.833333") == 16
