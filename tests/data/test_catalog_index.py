"""The index in parts: what it says is what the blocks say, whichever of its files are there, and a query reads no more than it needs."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepstruc_hpc import Catalog
from deepstruc_hpc.core.errors import ConfigError, StoreError
from deepstruc_hpc.data import catalog_index
from deepstruc_hpc.data.catalog_index import index_files, missing_parts, parts_of, whole_key, write_block_columns, write_index
from deepstruc_hpc.data.manifest import ROOT, BlockEntry, Manifest, create_store
from deepstruc_hpc.data.store_files import StoreFiles
from tests.data.test_catalog_store import CONDITIONS, content, store_of

PARAMETERS = ({"h": 2.0}, {"sequence": "ABCB"}, {"h": 3.0, "mixed": 1.0}, {"mixed": "two", "h": float("nan")}, {"h": 5.0})


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Five blocks whose parameters differ, with two blocks a part, and their columns as the arrays of the blocks hold them."""
    monkeypatch.setattr(catalog_index, "BLOCKS_A_PART", 2)
    blocks = [content(100 * number, number + 2, given)[1] for number, given in enumerate(PARAMETERS)]
    store_of(tmp_path / "store", blocks)
    return Catalog.open(tmp_path / "store"), blocks


def test_files_of_blocks_and_of_ranges_say_what_the_blocks_say(made):
    """Whichever is there of block files and parts: none, some, all. Fails if a row, a number or a missing value moves."""
    catalog, blocks = made
    truth = catalog.columns
    assert truth["h"].isna().tolist() == [False] * 2 + [True] * 3 + [False] * 4 + [True] * 5 + [False] * 6
    assert truth["mixed"].tolist() == [""] * 5 + ["1.0"] * 4 + ["two"] * 5 + [""] * 6
    for entry, block in zip(catalog.blocks[1:], blocks[1:], strict=True):
        write_block_columns(catalog.files, entry, block.columns)
        assert Catalog.open(catalog.files.url).columns.equals(truth)
    parts = parts_of(catalog.manifest)
    assert [len(part.blocks) for part in parts] == [2, 2, 1]
    for part in parts:
        catalog_index.write_part(catalog.files, part)
        assert Catalog.open(catalog.files.url).columns.equals(truth)
    write_index(catalog.files, catalog.manifest)
    assert index_files(catalog.files) == sorted(part.key for part in parts)
    found = catalog.query("h >= 3 or mixed == 'two'", ["id", "h"])
    assert found.index.tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    assert found.equals(truth.loc[found.index, ["id", "h"]])
    assert catalog.count("h != 3") == 16


def test_deleted_rows_are_left_out_whichever_files_are_there(made):
    """The file of a block is written before rows of it are deleted: a reader, and the part that is made of it, take the others."""
    catalog, blocks = made
    for entry, block in zip(catalog.blocks[:3], blocks, strict=False):
        write_block_columns(catalog.files, entry, block.columns)
    deleted = catalog.manifest
    for number, rows in ((1, [0, 2]), (3, [4]), (4, range(6))):
        deleted = deleted.with_block(catalog.blocks[number].without_rows(np.array(rows), len(rows)))
    truth = catalog.columns.drop(index=[2, 4, 13, *range(14, 20)]).reset_index(drop=True)
    view = Catalog(catalog.files, deleted)
    assert view.columns.equals(truth)
    assert not {part.key for part in parts_of(deleted)} & {part.key for part in parts_of(catalog.manifest)}
    write_index(catalog.files, deleted)
    assert view.columns.equals(truth)
    assert view.query("h >= 3", ["id"]).index.tolist() == [3, 4, 5, 6]
    assert view.count() == sum(pq.read_metadata(catalog.files.path / part.key).num_rows for part in parts_of(deleted)) == 11


def test_numbers_are_right_where_blocks_are_missing_from_the_middle(made):
    catalog, _ = made
    write_index(catalog.files, catalog.manifest)
    partial = catalog.manifest.without({catalog.blocks[1].id, catalog.blocks[2].id})
    whole = catalog.columns.drop(index=range(2, 9)).reset_index(drop=True)
    view = Catalog(catalog.files, partial)
    assert view.columns.equals(whole.drop(columns="sequence"))  # only the second block has it
    found = view.query("n_atoms == 3", ["id"])
    assert found["id"].tolist() == whole["id"][found.index].tolist()


def test_a_part_keeps_its_name_when_other_blocks_come_and_only_new_ones_are_made(made):
    catalog, _ = made
    early = catalog.manifest.without({block.id for block in catalog.blocks[2:]})
    write_index(catalog.files, early)
    assert [part.key for part in missing_parts(catalog.files, catalog.manifest)] == [part.key for part in parts_of(catalog.manifest)[1:]]
    changed = replace(catalog.blocks[0], content="other")
    assert parts_of(catalog.manifest.with_block(changed))[0].key != parts_of(catalog.manifest)[0].key


def test_a_damaged_file_of_the_index_is_not_believed(made):
    """Cut off, empty, or with other bytes inside: the blocks are read in its place."""
    catalog, _ = made
    truth = catalog.columns
    write_index(catalog.files, catalog.manifest)
    part = catalog.files.path / parts_of(catalog.manifest)[1].key
    sound = part.read_bytes()
    for damaged in (sound[: len(sound) // 2], b"", sound[:200] + bytes(300) + sound[500:]):
        part.write_bytes(damaged)
        assert Catalog.open(catalog.files.url).columns.equals(truth)
        assert catalog.query("n_atoms > 4", ["id"])["id"].tolist() == truth["id"][truth["n_atoms"] > 4].tolist()
    part.unlink()
    assert Catalog.open(catalog.files.url).columns.equals(truth)


@pytest.mark.parametrize("rows", [3, 100])
def test_the_index_of_version_0_1_is_read_and_gives_way_to_parts(made, rows):
    """One file of all blocks beside the manifest, with NaN for a missing number. The blocks are gone, so a reader that touches them fails."""
    catalog, _ = made
    truth = catalog.columns
    table = pa.table({name: pa.array(truth[name].to_numpy(), from_pandas=False) for name in truth.columns})
    pq.write_table(table, catalog.files.path / whole_key(catalog.manifest), row_group_size=rows)
    shutil.move(catalog.files.path / "blocks", catalog.files.path / "elsewhere")
    old = Catalog.open(catalog.files.url)
    assert old.columns.equals(truth)
    assert old.query("h > 1", ["h"])["h"].tolist() == truth["h"].dropna().tolist()
    assert old.count("h < 100") == old.sql("select count(h) as n from catalog").to_pylist()[0]["n"] == truth["h"].count()
    assert missing_parts(catalog.files, catalog.manifest) == []
    shutil.move(catalog.files.path / "elsewhere", catalog.files.path / "blocks")
    catalog.files.write({ROOT: catalog.manifest.without({catalog.blocks[4].id}).to_bytes()})
    smaller = Catalog.open(catalog.files.url)
    write_index(smaller.files, smaller.manifest)
    assert not list(catalog.files.path.glob("columns-*"))
    assert len(smaller.columns) == len(smaller) == len(truth) - 6


def test_a_query_reads_only_the_row_groups_that_it_cannot_rule_out(tmp_path):
    """Fails if statistics do not prune. Pages of columns in other row groups are overwritten: a reader that touches them finds no rows."""
    _, manifest = wide_store(tmp_path, rows=4000, blocks=2)
    part = tmp_path / parts_of(manifest)[0].key
    groups = pq.read_metadata(part)
    assert groups.num_row_groups == 4
    found = bytearray(part.read_bytes())
    for number in (0, 1, 3):
        for column in range(groups.num_columns):
            chunk = groups.row_group(number).column(column)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            found[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    part.write_bytes(bytes(found))
    rows = Catalog.open(tmp_path).query("n_atoms >= 200 and n_atoms < 300 and diameter < 2", ["id", "n_atoms"])
    assert rows.index.tolist() == list(range(2000, 3000))
    assert Catalog.open(tmp_path).count("n_atoms == 250") == 10


def test_a_query_with_a_limit_gives_the_first_rows_and_the_count_of_all(tmp_path):
    wide_store(tmp_path, rows=4000, blocks=2)
    catalog = Catalog.open(tmp_path)
    assert catalog.query("n_atoms >= 150", ["id"], limit=3).index.tolist() == [1500, 1501, 1502]
    assert catalog.query("", ["id"], limit=3).index.tolist() == [0, 1, 2]
    assert catalog.count("n_atoms >= 150") == 2500
    assert catalog.count() == 4000


def test_a_store_whose_path_has_signs_of_patterns_and_quotes_is_read(tmp_path):
    catalog = Catalog.open(wide_store(tmp_path / "a [1]'s *?", rows=40, blocks=1)[0].url)
    assert catalog.count("n_atoms > 0") == 30
    assert catalog.sql("select count(*) as n from catalog").to_pylist() == [{"n": 40}]


def test_an_empty_catalog_has_an_empty_table(tmp_path):
    manifest = Manifest(({"name": "made"},), "hash", CONDITIONS, "0", 0, 0)
    create_store(StoreFiles(tmp_path), manifest)
    catalog = Catalog.open(tmp_path)
    assert len(catalog.columns) == catalog.count("n_atoms > 1") == 0
    assert catalog.columns.dtypes["n_atoms"] == np.int32


def wide_store(path, rows, blocks):
    """A store with an index and no blocks: rows in four row groups, n_atoms rising by one every ten rows."""
    path.mkdir(exist_ok=True)
    entries = {
        f"00-{number:06d}-x": BlockEntry(f"00-{number:06d}-x", f"blocks/none-{number}", rows // blocks, 0, "c", "d", 0, {})
        for number in range(blocks)
    }
    manifest = Manifest(({"name": "made"},), "hash", CONDITIONS, "0", rows, blocks, entries)
    files = StoreFiles(path)
    create_store(files, manifest)
    text = pa.array([f"{number:016x}" for number in range(rows)])
    table = dict.fromkeys(("id", "structure_type", "family", "shape", "label", "formula", "elements"), text)
    table |= {"n_atoms": pa.array(np.arange(rows) // 10, pa.int32()), "nn_distance": pa.array(np.ones(rows)), "diameter": pa.array(np.ones(rows))}
    table |= {"fingerprint": text}
    (path / "index").mkdir()
    pq.write_table(pa.table(table), path / parts_of(manifest)[0].key, row_group_size=rows // 4, use_dictionary=False)
    return files, manifest


SELECTS = {
    "select count(*) as n from catalog": [{"n": 40}],
    "from catalog select n_atoms, _number order by _number limit 1;": [{"n_atoms": 0, "_number": 0}],
    "with few as (select * from catalog where n_atoms > 2) select count(*) as n from few": [{"n": 10}],
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) select max(n) as n from r": [{"n": 3}],
    "select count(*) as n from CATALOG a join catalog b using (id)": [{"n": 40}],
    "select sum(x) as n from range(4) t(x)": [{"n": 6}],
    "select id from catalog where n_atoms = 3 union select 'x' order by id desc limit 1": [{"id": "x"}],
}


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    path = tmp_path_factory.mktemp("closed")
    wide_store(path / "store", rows=40, blocks=1)
    (path / "secret.csv").write_text("a,b\n1,2\n")
    return path


@pytest.mark.parametrize(("statement", "rows"), SELECTS.items())
def test_a_select_is_answered(closed, statement, rows):
    assert Catalog.open(closed / "store").sql(statement).to_pylist() == rows


REFUSED = """
;
select
selec 1
select 1; select 2
select nothing from catalog
select * from other
drop view catalog
create table t as select 1
create temp table t as select 1
create macro m() as 1
insert into catalog values (1)
update catalog set id = 1
delete from catalog
truncate catalog
alter view catalog rename to x
merge into catalog using catalog c on true when matched then delete
copy catalog to 'DIR/out.csv'
copy (select 1) to 'PART'
copy (select 1) to 'PART' (use_tmp_file false)
export database 'DIR/out'
with x as (copy (select 1) to 'PART' (format parquet, use_tmp_file false)) select 1
with x as (insert into catalog values (1)) select 1
select * from (with x as (copy (select 1) to 'PART' (use_tmp_file false)) select 1)
with x as (delete from catalog) select 1
select * from query('with x as (copy (select 1) to ''PART'') select 1')
select * from query_table('catalog')
attach 'DIR/new.db'
attach 'DIR/new.db' as y (read_only)
detach memory
use main
import database 'DIR'
install httpfs
load httpfs
load 'DIR/x.duckdb_extension'
set enable_external_access = true
set allowed_paths = ['DIR/secret.csv']
set threads = 1
reset threads
pragma database_list
pragma enable_profiling
call pragma_version()
checkpoint
vacuum
begin
commit
prepare p as select 1
execute p
explain select 1
explain analyze select 1
deallocate p
select * from 'DIR/secret.csv'
from 'PART'
select * from read_csv('DIR/secret.csv')
select * from READ_TEXT('DIR/secret.csv')
select * from read_parquet('PART')
select (select content from read_text('DIR/secret.csv'))
select * from glob('DIR/*')
select * from sniff_csv('DIR/secret.csv')
select * from parquet_metadata('PART')
select 1 where exists (from read_blob('DIR/secret.csv'))
select * from duckdb_settings()
select * from duckdb_secrets()
select * from pg_class
select * from information_schema.tables
select * from memory.main.catalog
show tables
show all tables
describe pg_class
select load_extension('x')
select getenv('HOME')
select * from json_execute_serialized_sql(json_serialize_sql('select 1'))
select * from enable_logging()
""".strip().splitlines()


@pytest.mark.parametrize("statement", ["", *REFUSED])
def test_what_writes_attaches_loads_or_reads_other_files_is_refused(closed, statement):
    """The part of the index is the one path that the engine may open, so it is where a hole would do harm."""
    store = closed / "store"
    part = next((store / "index").iterdir())
    before = {path: path.read_bytes() if path.is_file() else b"" for path in closed.rglob("*")}
    with pytest.raises(ConfigError, match="sql: "):
        Catalog.open(store).sql(statement.replace("PART", str(part)).replace("DIR", str(closed)))
    assert {path: path.read_bytes() if path.is_file() else b"" for path in closed.rglob("*")} == before


@pytest.mark.parametrize(
    "statement",
    [
        "select * from 'DIR/secret.csv'",
        "select * from read_text('DIR/secret.csv')",
        "copy (select 1) to 'DIR/out.csv'",
        "attach 'DIR/new.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set allowed_paths = ['DIR/secret.csv']",
        "create table t as select 1",
    ],
)
def test_the_engine_refuses_by_itself_what_a_check_would_miss(closed, statement):
    """The second wall: the same connection without the check of the statement."""
    import duckdb

    def unchecked(connection):
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return connection.execute(statement.replace("DIR", str(closed))).fetchall()

    before = sorted(closed.rglob("*"))
    with pytest.raises((duckdb.Error, StoreError)):
        Catalog.open(closed / "store").table.ask(["id"], unchecked)
    assert sorted(closed.rglob("*")) == before
