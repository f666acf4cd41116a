"""What comes in from other programs is the same structure, whole and centred; what is broken is a row of a report and stops nothing."""

import csv
import json
import multiprocessing
import signal
import time

import numpy as np
import pytest
from ase import Atoms
from ase.db import connect
from ase.io import write
from scipy.spatial.distance import pdist

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.formats import import_catalog as module
from deepstruc_hpc.catalog.formats.export import export_catalog
from deepstruc_hpc.catalog.formats.import_catalog import REPORT, import_catalog
from deepstruc_hpc.catalog.formats.particles import finite_positions
from deepstruc_hpc.catalog.formats.sources import frame_starts
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import ConfigError, StoreError, StructureError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.data.conditions import PdfConditions
from tests.catalog.recipes import COARSE, small_recipe

OXIDE = {"family": "crystal_cut", "limit": 3, "options": {"crystals": ["TiO2 rutile"], "aspects": [1.0]}}
RECIPE = small_recipe(max_atoms=40, families=("octahedral", "decahedral", OXIDE))
PLACE = {"extxyz": "a.extxyz", "ase": "a.db", "xyz": "folder", "cif": "folder"}
OURS = {"id", "source", "source_id", "shape", "fingerprint"}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    place = tmp_path_factory.mktemp("store") / "s"
    build_catalog(RECIPE, place, workers=0, progress=False)
    return Catalog.open(place)


@pytest.mark.parametrize("kind", ["extxyz", "ase"])
def test_export_and_import_give_back_every_structure_bit_for_bit(catalog, tmp_path, kind):
    export_catalog(catalog, tmp_path / PLACE[kind], kind)
    report = import_catalog(tmp_path / PLACE[kind], tmp_path / "back")
    back = Catalog.open(tmp_path / "back")
    assert (report.n_structures, report.n_refused) == (len(catalog), 0)
    assert back.complete
    assert verify(back) == []
    assert back.conditions == catalog.conditions
    assert back.columns["source_id"].tolist() == catalog.columns["id"].tolist()
    for one, other in zip(catalog, back, strict=True):
        assert one.symbols == other.symbols
        assert np.array_equal(one.positions, other.positions)
    for name in set(catalog.column_names) - OURS:
        first, second = catalog.columns[name], back.columns[name]
        if name in {"nn_distance", "diameter"}:
            np.testing.assert_allclose(first, second, rtol=1e-6)
        else:
            assert first.replace("", None).isna().tolist() == second.replace("", None).isna().tolist()
            assert first.dropna().tolist() == second.dropna().tolist()
    np.testing.assert_allclose(np.asarray(back.pdf), np.asarray(catalog.pdf), atol=2e-5 * float(np.abs(catalog.pdf).max()))


@pytest.mark.parametrize("kind", ["xyz", "cif"])
def test_a_folder_of_files_comes_back_with_the_same_distances(catalog, tmp_path, kind):
    """Fails when a particle in a box is cut at the box's faces, or when a box is taken for a crystal."""
    export_catalog(catalog, tmp_path / "folder", kind)
    assert import_catalog(tmp_path / "folder", tmp_path / "back").n_refused == 0
    back = Catalog.open(tmp_path / "back")
    index = {row["file"]: row["id"] for row in csv.DictReader((tmp_path / "folder" / "index.csv").open())}
    numbers = {name: number for number, name in enumerate(catalog.columns["id"])}
    assert sorted(back.columns["source"]) == sorted(index)
    for number, name in enumerate(back.columns["source"]):
        truth = catalog[numbers[index[name]]]
        assert sorted(back[number].symbols) == sorted(truth.symbols)
        np.testing.assert_allclose(np.sort(pdist(back[number].positions)), np.sort(pdist(truth.positions)), atol=4e-6)


def cluster(shift=0.0):
    """Thirteen gold atoms."""
    from ase.cluster import Icosahedron

    atoms = Icosahedron("Au", 2)
    atoms.pbc = False
    atoms.cell = None
    atoms.positions += shift
    return atoms


BROKEN = {
    "two atoms on one place": ("2\n\nAu 0 0 0\nAu 0 0 0.1\n", "no distance of atoms"),
    "too few lines": ("5\n\nAu 0 0 0\nAu 0 0 2.9\n", "5 atoms are announced"),
    "too many lines": ("1\n\nAu 0 0 0\nAu 0 0 2.9\n", "1 atoms are announced"),
    "a word for a number": ("2\n\nAu 0 0 0\nAu 0 zero 2.9\n", ""),
    "no element": ("2\n\nQq 0 0 0\nQq 0 0 2.9\n", ""),
    "not a number": ("2\n\nAu 0 0 0\nAu 0 0 nan\n", "no finite number"),
    "a crystal": ('1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3\nAu 0 0 0\n', "a crystal, not a particle"),
    "nanometres": ("2\n\nAu 0 0 0\nAu 0 0 0.288\n", "lengths are in Å"),
    "nothing in it": ("0\n\n", "0 atoms"),
    "words": ("hello\n", "number of atoms"),
}


def test_what_is_broken_is_a_row_of_the_report_and_takes_nothing_with_it(tmp_path):
    """Each broken frame between two good ones, and broken files beside good ones: all good ones are there."""
    good = "13\nname=good\n" + "".join(f"Au {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in cluster().positions)
    folder = tmp_path / "in"
    folder.mkdir()
    inside = {name: one for name, one in BROKEN.items() if name != "words"}
    (folder / "frames.xyz").write_text(good + "".join(text + good for text, _ in inside.values()))
    (folder / "words.xyz").write_text(BROKEN["words"][0])
    (folder / "empty.xyz").write_text("")
    (folder / "broken.cif").write_text("data_nothing\n")
    (folder / "broken.db").write_bytes(b"not a database")
    (folder / "binary.extxyz").write_bytes(bytes(range(256)))
    (folder / "readme.txt").write_text("not looked at")
    (folder / "fine.xyz").write_text(good)
    report = import_catalog(folder, tmp_path / "store")
    catalog = Catalog.open(tmp_path / "store")
    assert catalog.columns["source"].tolist() == ["fine.xyz", *(f"frames.xyz#{2 * i}" for i in range(len(inside) + 1))]
    assert set(catalog.columns["name"]) == {"good"}
    rows = dict(list(csv.reader((tmp_path / "store" / REPORT).open()))[1:])
    assert report.n_refused == len(rows) == len(inside) + 5
    for place, (_, message) in enumerate(inside.values()):
        assert message in rows[f"frames.xyz#{2 * place + 1}"]
    assert "number of atoms" in rows["words.xyz"]
    assert {"broken.cif", "broken.db", "binary.extxyz", "empty.xyz"} <= set(rows)
    assert verify(catalog) == []


def test_frames_begin_where_a_line_holds_a_number_alone(tmp_path):
    (tmp_path / "a.xyz").write_text("1\n2\nAu 0 0 0\n\n2\n\nAu 0 0 0\n1\nlast\nAu 0 0 0\n")
    starts, _ = frame_starts(tmp_path / "a.xyz")
    assert starts.tolist() == [0, 14, 26, 42]


@pytest.mark.parametrize("shift", [0.0, 4.0, 9.3, -7.7])
@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True)])
def test_a_particle_that_a_box_cuts_is_made_whole(shift, periodic):
    """Fails when atoms beyond a face stay where the file wrapped them: a particle in pieces has other distances."""
    whole = cluster(shift)
    whole.cell, whole.pbc = [[15.0, 0, 0], [3.0, 15.0, 0], [0, 2.0, 15.0]], periodic
    wrapped = whole.copy()
    wrapped.wrap()
    found = finite_positions(wrapped.positions, np.asarray(wrapped.cell), wrapped.pbc)
    np.testing.assert_allclose(np.sort(pdist(found)), np.sort(pdist(whole.positions)), atol=1e-9)


def test_a_crystal_is_no_particle():
    with pytest.raises(StructureError, match="crystal_cut"):
        finite_positions(np.zeros((1, 3)), np.eye(3) * 5.9, (True, True, True))


def test_numbers_and_texts_of_the_source_become_columns(tmp_path):
    first, second = cluster(), cluster(5.0)
    first.info = {"energy_of_mine": -3.5, "method": "dft", "cutoff": 400, "structure_type": "icosahedral", "n_atoms": 99, "array": [1, 2, 3]}
    second.info = {"method": "emt"}
    write(tmp_path / "a.extxyz", [first, second])
    import_catalog(tmp_path / "a.extxyz", tmp_path / "s", conditions=COARSE, structure_type="cluster")
    table = Catalog.open(tmp_path / "s").columns
    assert table["method"].tolist() == ["dft", "emt"]
    assert table["energy_of_mine"].tolist()[0] == -3.5
    assert np.isnan(table["cutoff"].tolist()[1])
    assert table["n_atoms"].tolist() == [13, 13]
    assert table["structure_type"].tolist() == ["icosahedral", "cluster"]
    assert table["fingerprint"].nunique() == 1
    assert table["id"].nunique() == 2


def import_slowly(source, store):
    module.BLOCKS_A_CATALOG, module.SMALLEST_BLOCK = 10**6, 2
    import_catalog(source, store, conditions=COARSE)


def test_a_killed_import_goes_on_to_the_same_catalog(catalog, tmp_path):
    export_catalog(catalog, tmp_path / "a.extxyz", "extxyz", limit=12)
    with (tmp_path / "a.extxyz").open("a") as stream:
        stream.write(BROKEN["two atoms on one place"][0] * 4)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalog.test_import", "zarr", "pyarrow.parquet", "pandas"])
    killed = 0
    for least in (1, 3):
        process = context.Process(target=import_slowly, args=(tmp_path / "a.extxyz", tmp_path / "killed"))
        process.start()
        while process.is_alive() and blocks(tmp_path / "killed") < least:
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        killed += process.exitcode != 0
    assert killed >= 1
    for name in ("killed", "whole"):
        process = context.Process(target=import_slowly, args=(tmp_path / "a.extxyz", tmp_path / name))
        process.start()
        process.join()
    first, second = Catalog.open(tmp_path / "killed"), Catalog.open(tmp_path / "whole")
    assert first.complete
    assert first.content_hash == second.content_hash
    assert verify(first) == []
    assert (tmp_path / "killed" / REPORT).read_bytes() == (tmp_path / "whole" / REPORT).read_bytes()
    with pytest.raises(StoreError, match="another catalog"):
        import_catalog(tmp_path / "a.extxyz", tmp_path / "killed", conditions=PdfConditions())


def blocks(store):
    try:
        return len(json.loads((store / "zarr.json").read_bytes())["attributes"]["blocks"])
    except (OSError, ValueError):
        return 0


def test_nothing_to_import_is_said(tmp_path):
    (tmp_path / "a.xyz").write_text("2\n\nAu 0 0 0\nAu 0 0 0\n")
    with pytest.raises(StoreError, match="none of 1 structures"):
        import_catalog(tmp_path / "a.xyz", tmp_path / "s")
    with pytest.raises(ConfigError, match="ends in"):
        import_catalog(tmp_path / "s", tmp_path / "t")


def test_the_command_takes_conditions_as_in_recipes_and_fails_softly(tmp_path, capsys):
    with connect(tmp_path / "a.db") as database:
        database.write(cluster())
        database.write(Atoms("Au2", [[0, 0, 0], [0, 0, 0.1]]))
    words = [
        "catalog",
        "import",
        str(tmp_path / "a.db"),
        "--out",
        str(tmp_path / "s"),
        "--workers",
        "0",
        "--pdf",
        "smoke",
        "--set",
        "radiation=neutron",
    ]
    assert run([*words, "--set", "qmax=20", "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n_structures"] == 1
    assert "a.db#1" in printed.err
    conditions = Catalog.open(tmp_path / "s").conditions
    assert (conditions.radiation, conditions.qmax, conditions.rstep) == ("neutron", 20.0, 0.05)
    assert run([*words, "--set", "qmaks=20"]) == 2
    assert "qmax" in capsys.readouterr().err
