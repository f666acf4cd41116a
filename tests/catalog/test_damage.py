"""A damaged byte anywhere is found, the block is named, and a repair makes that block again and no other."""

import random

import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import BlockFile
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.data.manifest import ROOT
from deepstruc_hpc.data.store_files import StoreFiles
from tests.catalog.recipes import small_recipe


@pytest.fixture
def store(tmp_path):
    build_catalog(small_recipe(), tmp_path / "store", workers=0, progress=False)
    return tmp_path / "store"


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << (position % 8)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_anywhere_in_a_block_is_found_and_the_block_named(store, seed):
    rng = random.Random(seed)
    catalog = Catalog.open(store)
    block = rng.choice(catalog.blocks)
    victim, members = store / block.path, BlockFile(StoreFiles(store), block.path, block.n_bytes).members
    chosen = members[rng.choice(sorted(members))]
    places = (chosen.start + rng.randrange(chosen.size), rng.randrange(chosen.start), victim.stat().st_size - 1 - rng.randrange(60), 0)
    flip(victim, places[seed])
    assert {fault.block for fault in verify(Catalog.open(store))} == {block.id}
    before = Catalog.open(store).content_hash
    report = build_catalog(small_recipe(), store, workers=0, progress=False, repair=True)
    assert (report.n_built, report.content_hash) == (1, before)
    assert verify(Catalog.open(store)) == []


def test_a_cut_file_and_a_missing_block_are_found(store):
    catalog = Catalog.open(store)
    first, second = catalog.blocks[0], catalog.blocks[1]
    (store / first.path).write_bytes((store / first.path).read_bytes()[:-1000])
    catalog.files.delete(second.path)
    assert {fault.block for fault in verify(Catalog.open(store))} == {first.id, second.id}
    assert build_catalog(small_recipe(), store, workers=0, progress=False, repair=True).n_built == 2
    assert verify(Catalog.open(store)) == []


def test_a_changed_r_grid_is_found_and_mended(store):
    flip(store / "r" / "c" / "0", 40)
    faults = verify(Catalog.open(store))
    assert [fault.block for fault in faults] == [""]
    assert "r grid" in str(faults[0])
    build_catalog(small_recipe(), store, workers=0, progress=False, repair=True)
    assert verify(Catalog.open(store)) == []


def test_a_damaged_manifest_is_refused_not_believed(store):
    text = (store / ROOT).read_text()
    (store / ROOT).write_text(text.replace('"n_structures":5', '"n_structures":6', 1))
    with pytest.raises(StoreError, match="checksum"):
        Catalog.open(store)
    (store / ROOT).write_text(text[: len(text) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        Catalog.open(store)


def test_a_damaged_index_of_columns_is_not_believed(store):
    """The index can always be made again; a reader that cannot use it reads the blocks."""
    whole = Catalog.open(store).columns
    index = next(store.glob("index/*.parquet"))
    index.write_bytes(index.read_bytes()[:100])
    assert Catalog.open(store).columns.equals(whole)
    index.unlink()
    assert Catalog.open(store).columns.equals(whole)


def test_no_catalog_and_another_zarr_group_are_told_apart(tmp_path):
    import zarr

    with pytest.raises(StoreError, match="no catalog there"):
        Catalog.open(tmp_path / "nothing")
    zarr.create_group(tmp_path / "other", zarr_format=3)
    with pytest.raises(StoreError, match="not a catalog of this program"):
        Catalog.open(tmp_path / "other")
