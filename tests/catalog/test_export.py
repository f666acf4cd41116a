"""What an export writes, other programs' own libraries read: the same structures, columns and curves; a killed export goes on."""

import json
import multiprocessing
import signal
import time

import ase.db
import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.io.extxyz import key_val_str_to_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.formats import parquet
from deepstruc_hpc.catalog.formats.ase_database import AseDatabase, key_name, pairs
from deepstruc_hpc.catalog.formats.export import export_catalog
from deepstruc_hpc.catalog.formats.extxyz import ExtendedXyz, text_value
from deepstruc_hpc.catalog.formats.files import StructureFiles
from deepstruc_hpc.catalog.formats.selection import Selection
from deepstruc_hpc.core.errors import ConfigError, OutputError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.splits import split_rows
from tests.catalog.recipes import small_recipe

ALLOY = {"family": "alloy", "options": {"systems": [["Cu", "Au"]], "bases": ["octahedral"], "orderings": ["random", "L1_0"], "compositions": [0.5]}}
RECIPE = small_recipe(max_atoms=45, families=("octahedral", "decahedral", "sc", ALLOY), block_size=7)
WHERE = 'structure_type != "sc" and n_atoms > 10'
SUFFIX = {"extxyz": ".extxyz", "ase": ".db", "parquet": "", "xyz": "", "cif": ""}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("store") / "s"
    build_catalog(RECIPE, place, workers=0, progress=False)
    return place


@pytest.fixture(scope="module")
def catalog(store):
    return Catalog.open(store)


@pytest.fixture(scope="module")
def dataset(catalog, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet") / "d"
    export_catalog(catalog, folder, "parquet")
    return folder


def as_stored(catalog, where=""):
    """(number, columns that the structure has) of each chosen structure."""
    frame = catalog.query(where)
    for number, row in zip(frame.index, frame.to_dict("records"), strict=True):
        yield number, {name: value for name, value in row.items() if value not in ("", None) and value == value}  # noqa: PLR0124  (NaN)


def test_ase_reads_extended_xyz_with_every_position_bit_and_every_column(catalog, tmp_path):
    """Fails for too few digits, and for an id of digits alone that comes back as a number."""
    report = export_catalog(catalog, tmp_path / "a.extxyz", "extxyz", where=WHERE)
    frames = ase.io.read(tmp_path / "a.extxyz", ":")
    wanted = list(as_stored(catalog, WHERE))
    assert report.structures == len(frames) == len(wanted) > 10
    for atoms, (number, columns) in zip(frames, wanted, strict=True):
        assert np.array_equal(atoms.positions.astype(np.float32), catalog[number].positions.astype(np.float32))
        assert tuple(atoms.symbols) == catalog[number].symbols
        assert not atoms.pbc.any()
        assert dict(atoms.info) == columns


@settings(max_examples=60)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12) | st.from_regex(r"[0-9eE.+\-T F,]{1,9}", fullmatch=True)
)
def test_any_text_comes_back_from_a_comment_line_as_the_same_text(text):
    assert key_val_str_to_dict(f'before=1 key={text_value(text)} pbc="F F F"')["key"] == text
    assert text_value(text).isprintable()


def test_an_ase_database_holds_structures_columns_and_curves(catalog, tmp_path):
    export_catalog(catalog, tmp_path / "a.db", "ase", where=WHERE)
    database = ase.db.connect(tmp_path / "a.db")
    wanted = list(as_stored(catalog, WHERE))
    assert database.count() == len(wanted)
    assert np.allclose(database.metadata["r"], catalog.r, rtol=0, atol=1e-12)
    for place, (number, columns) in enumerate(wanted, start=1):
        row = database.get(place)
        assert np.array_equal(row.positions.astype(np.float32), catalog[number].positions.astype(np.float32))
        assert tuple(row.symbols) == catalog[number].symbols
        assert np.array_equal(row.data["pdf"], catalog.pdf[number])
        assert row.data["columns"] == columns
    number, columns = wanted[3]
    (found,) = database.select(catalog_id=f"id-{columns['id']}")
    assert found.id == 4
    assert database.count("n_atoms>20,structure_type=octahedral") == len(catalog.query('n_atoms > 20 and structure_type == "octahedral"'))


def test_an_ase_lmdb_is_a_database_too(catalog, tmp_path):
    pytest.importorskip("ase_db_backends", reason="ase-db-backends is not installed: it brings database drivers that nothing else here needs")
    export_catalog(catalog, tmp_path / "a.aselmdb", "ase", where=WHERE)
    database = ase.db.connect(tmp_path / "a.aselmdb")
    wanted = list(as_stored(catalog, WHERE))
    assert database.count() == len(wanted)
    row = database.get(2)
    assert np.array_equal(row.data["pdf"], catalog.pdf[wanted[1][0]])
    assert row.key_value_pairs["n_atoms"] == wanted[1][1]["n_atoms"]


def test_texts_that_ase_would_refuse_are_kept_in_data_alone():
    """A shape called ``13`` must not stop an export, and no key may be one of ASE's own."""
    assert pairs({"id": "12", "shape": "13", "energy": 1.0, "h": 2.0, "n_atoms": 4}) == {
        "catalog_id": "id-12",
        "energy_": 1.0,
        "h": 2.0,
        "n_atoms": 4,
    }
    assert key_name("Au") == "Au_"


def test_pandas_reads_the_parquet_files(catalog, dataset):
    frame = pd.read_parquet(dataset / "data").set_index("id")
    assert len(frame) == len(catalog)
    for number, columns in as_stored(catalog):
        row = frame.loc[columns["id"]]
        assert np.array_equal(np.stack(row["positions"]), catalog[number].positions.astype(np.float32))
        assert np.array_equal(row["pdf"], catalog.pdf[number])
        assert row["label"] == columns["label"]
    table = catalog.columns.set_index("id")
    pd.testing.assert_series_equal(frame["n_atoms"].sort_index(), table["n_atoms"].sort_index())
    assert np.array_equal(pd.read_parquet(dataset / "r.parquet")["r"], catalog.r)


@pytest.mark.parametrize("split", ["shape", "random"])
def test_the_files_are_the_sets_that_training_would_take(catalog, dataset, tmp_path, split):
    """Fails when a foreign test set holds what the shipped model was trained on, or when a shape is on two sides."""
    folder = dataset if split == "shape" else tmp_path / "d"
    if split == "random":
        export_catalog(catalog, folder, "parquet", split="random")
    rows = split_rows(catalog.columns, split)
    for name in ("train", "validation", "test"):
        files = sorted((folder / "data").glob(f"{name}-*.parquet"))
        ids = [one for path in files for one in pd.read_parquet(path, columns=["id"])["id"]]
        assert ids == catalog.columns["id"].iloc[getattr(rows, name)].tolist()


def test_no_structure_type_is_on_two_sides_of_the_division_by_prototype(dataset):
    frame = pd.read_parquet(dataset / "data", columns=["structure_type", "split_prototype"])
    assert (frame.groupby("structure_type")["split_prototype"].nunique() == 1).all()
    assert set(frame["split_prototype"]) <= {"train", "validation", "test"}


def test_duckdb_queries_the_parquet_files(catalog, dataset):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    answer = duckdb.sql(f"select count(*), sum(n_atoms), sum(len(numbers)), min(len(pdf)), max(pdf[1]) from '{dataset}/data/*.parquet'").fetchall()[0]  # noqa: S608
    assert answer[:4] == (len(catalog), catalog.columns["n_atoms"].sum(), catalog.columns["n_atoms"].sum(), len(catalog.r))
    assert answer[4] == pytest.approx(np.asarray(catalog.pdf)[:, 0].max())


def test_hugging_face_datasets_loads_the_folder(catalog, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))
    assert {name: len(part) for name, part in loaded.items()} == {
        name: len(getattr(split_rows(catalog.columns, "shape"), name)) for name in ("train", "validation", "test")
    }
    row = loaded["train"].with_format("numpy")[2]
    (number,) = catalog.query(f'id == "{row["id"]}"').index
    assert np.array_equal(row["positions"], catalog[number].positions.astype(np.float32))
    assert np.array_equal(row["pdf"], catalog.pdf[number])
    assert datasets.load_dataset(str(dataset), "r", cache_dir=str(tmp_path))["train"]["r"][:] == catalog.r.tolist()


def export_slowly(store, target, kind):
    """In chunks of two structures, so that there is something to interrupt."""
    for sink in (ExtendedXyz, AseDatabase, StructureFiles, parquet.ParquetDataset):
        sink.rows_a_chunk = 2
    parquet.ROWS_A_GROUP, parquet.BYTES_A_PART = 4, 1
    export_catalog(Catalog.open(store), target, kind)


@pytest.mark.parametrize("kind", ["extxyz", "ase", "parquet", "xyz"])
def test_a_killed_export_goes_on_to_the_same_files(store, catalog, tmp_path, kind):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalog.test_export", "zarr", "pyarrow.parquet", "pandas"])
    target, whole = tmp_path / f"killed{SUFFIX[kind]}", tmp_path / f"whole{SUFFIX[kind]}"
    record = target.with_name(f"{target.name}.json") if SUFFIX[kind] else target / "export.json"
    killed = 0
    for least in (2, 7, 15):
        process = context.Process(target=export_slowly, args=(store, target, kind))
        process.start()
        while process.is_alive() and not (record.exists() and json.loads(record.read_text())["state"]["done"] >= least):
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        killed += process.exitcode != 0
    assert killed >= 1
    if kind == "xyz":
        (target / ".Au55.xyz.0a1b2c3d.part").write_text("55\n")  # as a kill within a write leaves
    process = context.Process(target=export_slowly, args=(store, target, kind))
    process.start()
    process.join()
    assert process.exitcode == 0
    process = context.Process(target=export_slowly, args=(store, whole, kind))
    process.start()
    process.join()
    assert contents(target, kind) == contents(whole, kind)
    assert json.loads(record.read_text())["state"]["complete"]
    assert export_catalog(catalog, target, kind).written == 0


def contents(target, kind):
    """What an export holds, as something to compare."""
    if kind == "extxyz":
        return target.read_bytes()
    if kind == "ase":
        return [(row.id, row.positions.tolist(), row.key_value_pairs, row.data["pdf"].tolist()) for row in ase.db.connect(target).select()]
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file() and path.name != "export.json"}


def test_an_export_never_overwrites_what_it_did_not_write(catalog, tmp_path):
    (tmp_path / "mine.extxyz").write_text("my own")
    with pytest.raises(OutputError, match="did not export"):
        export_catalog(catalog, tmp_path / "mine.extxyz", "extxyz")
    assert (tmp_path / "mine.extxyz").read_text() == "my own"
    export_catalog(catalog, tmp_path / "other.extxyz", "extxyz", limit=3)
    with pytest.raises(OutputError, match="another export"):
        export_catalog(catalog, tmp_path / "other.extxyz", "extxyz", limit=4)
    with pytest.raises(ConfigError, match="its name must end in"):
        export_catalog(catalog, tmp_path / "a.sqlite", "ase")
    assert export_catalog(catalog, tmp_path / "folder", "extxyz", limit=1).out == str(tmp_path / "folder" / "structures.extxyz")
    assert len(ase.io.read(tmp_path / "folder" / "structures.extxyz", ":")) == 1


@pytest.mark.parametrize("limit", [1, 9, 10_000])
def test_chunks_are_the_chosen_structures_in_order_from_any_start(catalog, limit):
    """Fails when a chunk crosses a block, when a limit cuts wrongly, or when a resumed export repeats or skips a structure."""
    for where in ("", WHERE):
        selection = Selection(catalog, where, limit)
        wanted = catalog.query(where)["id"].tolist()[:limit]
        assert len(selection) == len(wanted)
        for start in (0, 1, len(wanted) - 1):
            chunks = list(selection.chunks(start, size=3, pdf=True))
            assert [one for chunk in chunks for one in chunk.columns["id"]] == wanted[start:]
            assert [chunk.first for chunk in chunks] == list(start + np.cumsum([0, *map(len, chunks)])[:-1])
