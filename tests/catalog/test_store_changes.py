"""Delete, compact, split, merge and diff: what counts, in which order, with the same bits; verified, and the same by any number of workers."""

import json

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.check import verify_catalog
from deepstruc_hpc.catalog.combine import append_recipe, merge_catalogs
from deepstruc_hpc.catalog.compact import compact_catalog
from deepstruc_hpc.catalog.delete import delete_structures
from deepstruc_hpc.catalog.difference import difference
from deepstruc_hpc.catalog.split import split_catalog
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import ConfigError, StoreError
from deepstruc_hpc.data.catalog_index import missing_parts
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import orphans, verify
from deepstruc_hpc.data.manifest import ROOT, BlockEntry
from deepstruc_hpc.data.marks import pack_marks, unpack_marks
from deepstruc_hpc.data.pdf_stream import pdf_batches
from deepstruc_hpc.data.splits import split_rows
from deepstruc_hpc.data.store_files import StoreFiles
from tests.catalog.recipes import small_recipe
from tests.data.test_catalog_store import content, store_of

MORE = small_recipe(name="more", families=("bcc",), elements=("Au", "Ag"), block_size=3)
WHERE = 'formula == "Au13" or n_atoms > 20'


@pytest.fixture
def store(tmp_path):
    """Blocks of 7, 5, 3 and 4 structures with different parameters."""
    parameters = ({"h": 1.0}, {"h": 2.0, "w": "x"}, {"h": "word"}, None)
    blocks = [content(100 * number, rows, parameters[number])[1] for number, rows in enumerate((7, 5, 3, 4))]
    for block in blocks:
        block.columns["fingerprint"][:] = [f"shape of {size}" for size in block.columns["n_atoms"]]
    store_of(tmp_path / "store", blocks)
    return tmp_path / "store"


def rows_of(catalog, numbers=None):
    """Everything of some structures that a reader can see."""
    numbers = np.arange(len(catalog)) if numbers is None else np.asarray(numbers)
    table = catalog.columns.iloc[numbers].reset_index(drop=True)
    positions = [structure.positions.tobytes() + "".join(structure.symbols).encode() for structure in catalog.structures(numbers)]
    return json.loads(table.to_json()), positions, catalog.pdf[numbers].tobytes()


def test_deleted_rows_are_seen_by_no_reader_and_the_others_keep_all_their_values(store):
    before = Catalog.open(store)
    kept = np.flatnonzero(~before.columns["n_atoms"].isin([3, 5]))
    expected = rows_of(before, kept)
    dry = delete_structures(store, "n_atoms in [3, 5]", dry_run=True)
    assert Catalog.open(store).content_hash == before.content_hash
    report = delete_structures(store, "n_atoms in [3, 5]")
    after = Catalog.open(store)
    assert (dry.n_deleted, dry.n_blocks, dry.n_structures, dry.content_hash) == (7, 4, 12, report.content_hash)
    assert report.content_hash == after.content_hash != before.content_hash
    assert rows_of(after) == expected
    assert verify(after) == []
    assert after.complete
    assert np.array_equal(np.concatenate([after.block_pdf(number) for number in range(4)]), after.pdf[:])
    assert [len(after.read_block(number)) for number in range(4)] == [block.n_structures for block in after.blocks]
    assert sum(block.n_atoms for block in after.blocks) == after.columns["n_atoms"].sum()
    batches = list(pdf_batches(after, np.arange(len(after)), batch_size=4, seed=0))
    assert all(np.array_equal(batch.pdf, after.pdf[batch.rows]) for batch in batches)
    again = delete_structures(store, "n_atoms == 2")
    assert (again.n_deleted, again.n_structures, again.n_marked) == (4, 8, 11)
    assert rows_of(Catalog.open(store)) == rows_of(before, np.flatnonzero(~before.columns["n_atoms"].isin([2, 3, 5])))


def test_the_index_follows_every_change_and_holds_no_deleted_row(tmp_path):
    """After each command the parts are those of the state, and nothing else lies there; every query finds them without a look into a block."""
    store = tmp_path / "store"
    build_catalog(small_recipe(), store, workers=0, progress=False)

    def checked(place):
        catalog = Catalog.open(place)
        assert missing_parts(catalog.files, catalog.manifest) == orphans(catalog) == []
        ids = [name for number in range(len(catalog.blocks)) for name in catalog.read_block(number).columns["id"].tolist()]
        (catalog.files.path / "blocks").rename(catalog.files.path / "elsewhere")
        assert Catalog.open(place).columns["id"].tolist() == ids
        assert catalog.sql("select id from catalog order by _number").column("id").to_pylist() == ids
        (catalog.files.path / "elsewhere").rename(catalog.files.path / "blocks")
        return catalog, set(ids)

    _, before = checked(store)
    gone = set(Catalog.open(store).query(WHERE)["id"])
    delete_structures(store, WHERE)
    marked, kept = checked(store)
    assert kept == before - gone
    assert kept == set(marked.query(f"not ({WHERE})", ["id"])["id"])
    report = build_catalog(small_recipe(), store, workers=0, progress=False)
    assert (report.n_built, report.complete, report.content_hash) == (0, True, marked.content_hash)
    assert (store / "plan" / "00.json").exists()
    compact_catalog(store, workers=0, progress=False)
    compacted, same = checked(store)
    assert (same, len(compacted.blocks)) == (kept, 1)
    assert not (store / "plan" / "00.json").exists()
    with pytest.raises(StoreError, match="merged, split or compacted"):
        build_catalog(small_recipe(), store, workers=0, progress=False)
    append_recipe(MORE, store, workers=0, progress=False)
    merge_catalogs([store], tmp_path / "merged", workers=0, progress=False)
    assert checked(store)[1] == checked(tmp_path / "merged")[1] > kept
    made = split_catalog(store, tmp_path / "parts", by="random", kind="stores", workers=0, progress=False).made
    assert set().union(*(checked(place)[1] for place in made.values())) == checked(store)[1]


def test_the_order_of_deletions_does_not_show(store, tmp_path):
    store_of(tmp_path / "other", [Catalog.open(store).read_block(number) for number in range(4)])
    for place, expressions in ((store, ("n_atoms == 2", "n_atoms == 4")), (tmp_path / "other", ("n_atoms == 4", "n_atoms == 2"))):
        for expression in expressions:
            delete_structures(place, expression)
    assert Catalog.open(store).content_hash == Catalog.open(tmp_path / "other").content_hash


def test_compaction_drops_deleted_rows_joins_blocks_and_changes_nothing_else(store):
    delete_structures(store, "n_atoms in [3, 5]")
    before = Catalog.open(store)
    expected, columns = rows_of(before), before.column_names
    dry = compact_catalog(store, rows=8, dry_run=True)
    report = compact_catalog(store, rows=8, workers=0, progress=False)
    after = Catalog.open(store)
    assert [block.n_structures for block in before.blocks] == [5, 3, 2, 2]
    assert [block.n_structures for block in after.blocks] == [8, 4]
    assert (dry.n_blocks, dry.n_written, report.n_blocks, report.n_dropped, report.n_written) == (2, 2, 2, 7, 2)
    assert report.n_bytes < report.n_bytes_before
    assert rows_of(after) == expected
    assert after.column_names == columns
    assert verify(after) == orphans(after) == []
    assert after.complete
    assert not any(block.n_deleted for block in after.blocks)
    assert compact_catalog(store, rows=8, workers=0, progress=False).n_written == 0
    delete_structures(store, "n_atoms == 8")
    assert len(Catalog.open(store)) == len(after) - 1


def test_a_block_of_which_nothing_is_left_goes(store):
    delete_structures(store, 'id < "0000000000000010"')
    catalog = Catalog.open(store)
    assert catalog.blocks[0].n_structures == 0
    assert rows_of(catalog)
    assert verify(catalog) == []
    expected = rows_of(catalog)
    compact_catalog(store, rows=1, workers=0, progress=False)
    after = Catalog.open(store)
    assert [block.n_structures for block in after.blocks] == [5, 3, 4]
    assert rows_of(after) == expected
    assert verify(after) == []


def test_what_may_not_be_deleted_is_refused(store):
    for where, message in (("", "empty"), ("n_atoms > 0", "all 19"), ("nothing == 1", "nothing")):
        with pytest.raises(ConfigError, match=message):
            delete_structures(store, where)
    manifest = Catalog.open(store).manifest
    StoreFiles(store).write({ROOT: manifest.without({manifest.ordered[0].id}).to_bytes()})
    for change in (lambda: delete_structures(store, "n_atoms == 2"), lambda: compact_catalog(store), lambda: split_catalog(store, store / "sets")):
        with pytest.raises(StoreError, match="not complete"):
            change()


def test_rows_stay_deleted_when_their_block_is_made_again_and_when_a_recipe_is_appended(tmp_path):
    place = tmp_path / "store"
    build_catalog(small_recipe(), place, workers=0, progress=False)
    delete_structures(place, WHERE)
    before = Catalog.open(place)
    expected = rows_of(before)
    victim = place / next(block for block in before.blocks if block.n_deleted).path
    victim.write_bytes(victim.read_bytes()[:-40] + bytes(40))
    report = build_catalog(small_recipe(), place, workers=0, progress=False, repair=True)
    assert (report.n_built, report.content_hash, report.complete) == (1, before.content_hash, True)
    assert rows_of(Catalog.open(place)) == expected
    append_recipe(small_recipe(name="again", families=("fcc", "octahedral")), place, workers=0, progress=False)
    assert rows_of(Catalog.open(place)) == expected


def test_a_compacted_store_grows_and_is_not_taken_for_that_of_its_recipe(tmp_path):
    place = tmp_path / "store"
    build_catalog(small_recipe(), place, workers=0, progress=False)
    compact_catalog(place, workers=0, progress=False)
    assert len(Catalog.open(place).blocks) == 1
    with pytest.raises(StoreError, match="compacted"):
        build_catalog(small_recipe(), place, workers=0, progress=False)
    before = Catalog.open(place)
    append_recipe(MORE, place, workers=0, progress=False)
    after = Catalog.open(place)
    assert rows_of(after, range(len(before))) == rows_of(before)
    assert len(after) > len(before)
    assert after.columns["id"].is_unique
    assert append_recipe(MORE, place, workers=0, progress=False).n_built == 0
    expected, stale = rows_of(after), Catalog.open(place)
    compact_catalog(place, workers=0, progress=False)
    assert append_recipe(MORE, place, workers=0, progress=False).n_built == 0
    assert rows_of(Catalog.open(place)) == expected
    with pytest.raises(StoreError, match="open the catalog again"):
        list(stale)


@pytest.mark.parametrize("by", ["random", "shape"])
def test_stores_of_a_split_hold_the_sets_of_a_training(store, tmp_path, by):
    catalog = Catalog.open(store)
    rows = split_rows(catalog.columns, by, seed=3)
    report = split_catalog(store, tmp_path / "sets", by=by, kind="stores", seed=3, workers=0, progress=False)
    for name in report.sets:
        part = Catalog.open(report.made[name])
        assert part.complete
        assert verify(part) == []
        assert rows_of(part)[1:] == rows_of(catalog, getattr(rows, name))[1:]
        assert part.columns["id"].tolist() == catalog.columns["id"].iloc[getattr(rows, name)].tolist()
        assert part.id != catalog.id
    assert sum(report.sets.values()) == len(catalog)
    assert split_catalog(store, tmp_path / "sets", by=by, kind="stores", seed=3, workers=0, progress=False).content_hashes == report.content_hashes


def test_lists_of_a_split_by_a_column_name_each_structure_once(store, tmp_path):
    import pandas as pd

    delete_structures(store, "n_atoms == 2")
    catalog = Catalog.open(store)
    report = split_catalog(store, tmp_path / "sets", by="structure_type")
    parts = {name: pd.read_csv(place, dtype=str) for name, place in report.made.items()}
    assert set(parts) == set(catalog.columns["structure_type"])
    for name, part in parts.items():
        assert part["id"].tolist() == catalog.query(f'structure_type == "{name}"')["id"].tolist()
    with pytest.raises(ConfigError, match="neither random"):
        split_catalog(store, tmp_path / "sets", by="colour")


def test_diff_counts_both_sides_and_structures_with_other_values_and_reads_only_other_blocks(store, tmp_path):
    first = Catalog.open(store)
    blocks = [first.read_block(number) for number in range(4)]
    changed = np.array(blocks[1].pdf)
    changed[2] += 1.0
    blocks[1] = type(blocks[1])(**{**vars(blocks[1]), "pdf": changed})
    store_of(tmp_path / "other", [*blocks[:3], content(500, 4)[1]])
    found = difference(first, Catalog.open(tmp_path / "other"))
    assert (found["in_both"], found["changed"], found["only_in_first"], found["only_in_second"]) == (15, 1, 4, 4)
    assert found["blocks_compared"] == 4
    assert sum(found["changed_by_type"].values()) == 1


def test_one_structure_in_two_blocks_is_found(tmp_path):
    store_of(tmp_path / "store", [content(0, 5)[1], content(3, 5)[1]])
    faults = verify(Catalog.open(tmp_path / "store"))
    assert {fault.block for fault in faults} == {"00-000001"}
    assert [fault.message for fault in faults] == [f"structure {number:016x} is also in block 00-000000" for number in (3, 4)]


def test_marks_that_do_not_fit_the_rows_are_found(store):
    delete_structures(store, "n_atoms == 2")
    manifest = Catalog.open(store).manifest
    block = manifest.ordered[0]
    wrong = BlockEntry(**{**vars(block), "deleted": pack_marks(np.zeros(7, dtype=bool))})
    StoreFiles(store).write({ROOT: manifest.with_block(wrong).to_bytes()})
    assert any("marked as deleted" in str(fault) for fault in verify(Catalog.open(store)))
    with pytest.raises(StoreError, match="marks"):
        unpack_marks("no base64!", 7)
    with pytest.raises(StoreError, match="rows"):
        unpack_marks(pack_marks(np.zeros(70, dtype=bool)), 7)


@pytest.mark.ray
def test_actors_give_what_this_process_gives(ray_session_2cpu, tmp_path, monkeypatch):
    monkeypatch.setattr("deepstruc_hpc.catalog.over_blocks.SECONDS_ALONE", 0.0)
    contents = [content(100 * number, rows)[1] for number, rows in enumerate((7, 5, 3, 4, 6))]
    hashes, faults = [], []
    for workers in (0, 2):
        place = tmp_path / str(workers)
        store_of(place / "a", contents[:3])
        store_of(place / "b", contents[1:])
        merged = merge_catalogs([place / "a", place / "b"], place / "all", workers=workers, progress=False)
        victim = place / "all" / Catalog.open(place / "all").blocks[1].path
        victim.write_bytes(victim.read_bytes()[:-30] + bytes(30))
        report = verify_catalog(Catalog.open(place / "all"), workers=workers, progress=False)
        hashes.append(merged.content_hash)
        faults.append({fault.block for fault in report.faults})
    assert hashes[0] == hashes[1]
    assert faults[0] == faults[1] != set()


def test_the_commands_tell_what_they_do(store, tmp_path, capsys):
    place = str(store)
    assert run(["catalog", "delete", place, "--where", "n_atoms == 2", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_deleted"] == 4
    assert run(["catalog", "delete", place, "--where", "n_atoms == 2"]) == 0
    assert run(["catalog", "compact", place, "--workers", "0", "--json"]) == 0
    capsys.readouterr()
    assert run(["catalog", "split", place, "--by", "elements", "--out", str(tmp_path / "sets"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == {"Au-O": 15}
    assert run(["catalog", "verify", place, "--workers", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["structures"] == 15
    assert run(["catalog", "delete", place, "--where", "n_atoms > 0"]) == 2
