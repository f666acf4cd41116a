"""Particles of crystals and structures of files as candidates: only what the sample holds, at their own scale, within the budget."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.solve.candidates.crystals import BEYOND, CRYSTAL_ZOOM, CrystalSource
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.candidates.structures import STRUCTURE_ZOOM, StructureSource
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe

BUDGET = Budget(samples=0, sigma=(3.0,), most_atoms=2000)


def _measurement(composition, rmax=20.0):
    r = np.arange(0.0, 30.0, 0.01)
    return describe(PdfCurve(r, np.exp(-0.5 * ((r - 2.3) / 0.1) ** 2), source="x.gr"), SolveSettings(composition=composition, rmax=rmax))


def _of_crystals(composition, budget=BUDGET, **options):
    return CrystalSource().candidates(_measurement(composition, **options), budget)


def test_only_crystals_of_the_samples_elements_are_cut_and_all_of_their_polymorphs():
    found = _of_crystals("TiO2")
    assert {"rutile", "anatase"} <= set(found.types)
    assert {frozenset(candidate.structure.elements) for candidate in found} == {frozenset({"Ti", "O"})}
    assert not len(_of_crystals("Au144 S60 C480 H540"))


def test_cuts_are_listed_keep_the_scale_of_their_crystal_and_say_how_they_were_cut():
    for candidate in _of_crystals("CeO2"):
        assert (candidate.listed, candidate.zoom, candidate.source) == (True, CRYSTAL_ZOOM, "crystals")
        assert candidate.length == pytest.approx(2.343, abs=0.02)  # Ce–O of fluorite, a = 5.41 Å: √3/4 · a
        assert candidate.cut.crystal.composition.keys() == {"Ce", "O"}


@pytest.mark.parametrize(("most_atoms", "rmax"), [(200, 30.0), (2000, 12.0)])
def test_the_largest_cut_is_bounded_by_atoms_and_by_the_end_of_the_data(most_atoms, rmax):
    found = _of_crystals("CeO2", Budget(0, (3.0,), most_atoms), rmax=rmax)
    assert max(found.n_atoms) < 1.5 * most_atoms  # a sphere of that volume, its surface completed by bonds
    assert max(2.0 * candidate.cut.radius for candidate in found) <= BEYOND * rmax + 1e-6
    assert len(found) > 3


def test_a_broken_cif_is_a_note_and_a_folder_without_any_is_an_error(tmp_path):
    (tmp_path / "broken.cif").write_text("this is no crystal\n")
    found = CrystalSource.of_folders([str(tmp_path)]).candidates(_measurement("CeO2"), BUDGET)
    assert len(found) == 0
    assert "broken.cif" in " ".join(found.notes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StructureError, match="empty"):
        CrystalSource.of_folders([str(tmp_path / "empty")])


def _molecule(symbols, scale=1.5):
    return Structure(tuple(symbols), scale * np.random.default_rng(0).normal(size=(len(symbols), 3)) * 2.0)


def test_structures_of_files_keep_their_size_and_are_called_by_their_file(tmp_path):
    write_xyz(_molecule(["Au", "Au", "S", "C"]), tmp_path / "thiolate.xyz")
    write_xyz(_molecule(["Pt", "Pt"]), tmp_path / "platinum.xyz")
    (tmp_path / "broken.xyz").write_text("two\n")
    found = StructureSource.of_folders([str(tmp_path)]).candidates(_measurement("Au144 S60 C480 H540"), BUDGET)
    (one,) = found.candidates
    assert (one.structure.structure_type, one.zoom, one.length) == ("thiolate", STRUCTURE_ZOOM, 0.0)
    assert one.structure.symbols == ("Au", "Au", "S", "C")
    assert "broken.xyz" in " ".join(found.notes)


def test_a_family_of_sizes_holds_inner_parts_of_the_structure_the_whole_first():
    whole = _molecule(["Au"] * 80)
    family = StructureSource([whole], sizes=True).candidates(_measurement("Au"), BUDGET).candidates
    assert family[0].structure is whole
    assert len(family) > 4
    radius = np.linalg.norm(whole.positions - whole.positions.mean(axis=0), axis=1)
    for part in family[1:]:
        assert 10 <= len(part.structure) < 80
        kept = {tuple(position) for position in part.structure.positions}
        inside = np.array([tuple(position) in kept for position in whole.positions])
        assert inside.sum() == len(part.structure)
        assert radius[inside].max() <= radius[~inside].min()
