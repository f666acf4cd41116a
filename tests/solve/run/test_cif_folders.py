"""A folder of CIF files is read before workers start: by processes of its own where it is large, with a bar on stderr, and said of in few words."""

import json

import numpy as np
import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.candidates import crystals
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.run import batch, cif_folders
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.crystal_listing import export_cifs
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.particle_cut import ParticleCut
from deepstruc_hpc.structures.prototypes import candidate_crystals
from tests.solve.conftest import write_gr

BROKEN = 30


@pytest.fixture
def folder(tmp_path):
    """CIF files of CeO2 beside many that are broken."""
    place = tmp_path / "cifs"
    export_cifs(candidate_crystals(["Ce", "O"], amounts={"Ce": 1, "O": 2})[:8], place)
    for number in range(BROKEN):
        (place / f"broken{number:02d}.cif").write_text("nothing")
    return place


def _ceria(tmp_path):
    return write_gr(tmp_path / "in" / "ceria.gr", ParticleCut(prototype_crystal("CeO2"), 5.5).structure(), composition="CeO2")


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session_2cpu")
def test_actors_find_what_one_process_finds(folder, tmp_path, monkeypatch):
    found = cif_folders.read_folder(folder, workers=2, progress=False)
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path / "other"))
    alone = cif_folders.read_folder(folder, workers=0, progress=False)
    assert found.failures() == alone.failures()
    assert len(found.failures()) == BROKEN
    assert [one.origin for one in found.candidates()] == [one.origin for one in alone.candidates()]
    for one, other in zip(found.candidates(), alone.candidates(), strict=True):
        np.testing.assert_array_equal(one.crystal.fractions, other.crystal.fractions)


def test_the_folder_is_read_once_before_solving_and_the_bar_leaves_stdout_to_results(folder, tmp_path, capsys, monkeypatch):
    path = _ceria(tmp_path)
    command = ["solve", str(path), "--out", str(tmp_path / "out"), "--sources", "crystals", "--crystals", str(folder), "--no-figures", "--no-report"]
    assert run(command) == 0
    printed = capsys.readouterr()
    assert f"{BROKEN + 8}/{BROKEN + 8}" in printed.err
    assert cif_folders.LABEL in printed.err
    assert cif_folders.LABEL not in printed.out
    result = json.loads((tmp_path / "out" / "ceria" / "result.json").read_text())
    about = [note for note in result["details"]["notes"] if "broken" in note or "CIF" in note]
    assert len(about) == crystals.MOST_UNREADABLE + 1
    assert f"{BROKEN - crystals.MOST_UNREADABLE} more of {BROKEN + 8} CIF files" in about[-1]
    assert len(result["message"]) < 3000

    monkeypatch.setattr("deepstruc_hpc.structures.user_crystals.read_cif", lambda path: pytest.fail(f"{path} is read again"))
    monkeypatch.setattr(cif_folders, "read_cif", lambda path: pytest.fail(f"{path} is read again"))
    assert run([*command, "--force", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["items"][0]["status"] == "ok"
    assert cif_folders.LABEL not in printed.err


def test_a_damaged_index_is_said_once(folder, tmp_path):
    cif_folders.read_folder(folder, progress=False)
    own = cif_folders.UserCrystals(folder)
    (part,) = own._index.folder.glob("*.lines")
    part.write_bytes(b"\x00" * 100 + part.read_bytes())
    printed = []
    path = _ceria(tmp_path)
    common = {"sources": "crystals", "crystals": folder, "workers": 0, "on_note": printed.append}
    solve(path, tmp_path / "out", **common)
    solve(path, tmp_path / "out", force=True, **common)
    (note,) = printed
    assert "was damaged" in note
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["run"]["notes"] == []


def test_nothing_is_read_where_nothing_is_pending(folder, tmp_path, monkeypatch):
    path = _ceria(tmp_path)
    common = {"sources": "crystals", "crystals": folder, "workers": 0}
    solve(path, tmp_path / "out", **common)
    read, reader = [], batch.read_folder
    monkeypatch.setattr(batch, "read_folder", lambda *given, **options: read.append(given) or reader(*given, **options))
    solve(path, tmp_path / "out", **common)
    assert read == []
    solve(path, tmp_path / "out", force=True, **common)
    assert len(read) == 1  # so the replacement is what a run calls


def test_all_unreadable_files_are_listed(folder, capsys):
    assert run(["crystals", "list", "--crystals", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("note: broken") == BROKEN
    assert printed.out.count(str(folder)) == 8
    assert cif_folders.LABEL in printed.err


def test_thousands_of_crystals_are_thinned_and_the_right_one_stays(folder, tmp_path, monkeypatch):
    truth = ParticleCut(prototype_crystal("CeO2"), 5.5).structure()
    path = write_gr(tmp_path / "ceria.gr", truth, composition="CeO2")
    table = np.loadtxt(path, comments=("#", "["), skiprows=8)
    curve = PdfCurve(table[:, 0], table[:, 1], header={"qmin": 0.8, "qmax": 22.0, "composition": "CeO2"}, source="x.gr")
    measurement = describe(curve, SolveSettings(qdamp=0.03))
    source = crystals.CrystalSource([str(folder)])
    whole = source.candidates(measurement, Budget(samples=0, sigma=(3.0,), most_atoms=500))
    evaluated = []

    def few(*given, **options):
        evaluated.append(len(given[2]))
        return shortlist(*given, **options, keep=3)

    shortlist = crystals.shortlist
    monkeypatch.setattr(crystals, "shortlist", few)
    thinned = source.candidates(measurement, Budget(samples=0, sigma=(3.0,), most_atoms=500))
    assert evaluated == [8]
    assert thinned.counts["crystals_screened"] == whole.counts["crystals_screened"]
    assert thinned.candidates[0].crystal_fit.candidate.group == whole.candidates[0].crystal_fit.candidate.group == "fluorite"
