"""Batches straight from blocks: each row once, in an order that the seed decides, the same values however a block is stored."""

import numpy as np
import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data import catalog_block
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.pdf_stream import pdf_batches
from deepstruc_hpc.data.splits import split_rows
from tests.data.test_catalog_store import content, store_of

SIZES = (300, 40, 129, 7, 256)


@pytest.fixture(scope="module")
def blocks():
    return [content(1000 * number, rows)[1] for number, rows in enumerate(SIZES)]


@pytest.fixture(scope="module")
def catalog(blocks, tmp_path_factory):
    store = tmp_path_factory.mktemp("stream") / "store"
    store_of(store, blocks)
    return Catalog.open(store)


def order_of(batches):
    return np.concatenate([batch.rows for batch in batches])


@pytest.mark.parametrize("blocks_at_once", [1, 2, 8])
@pytest.mark.parametrize("readers", [1, 3])
def test_every_row_comes_once_with_its_own_pdf(catalog, blocks, readers, blocks_at_once):
    pdf = np.concatenate([block.pdf for block in blocks])
    rows = split_rows(catalog.columns, "random").train
    batches = list(pdf_batches(catalog, rows, batch_size=32, seed=3, readers=readers, blocks_at_once=blocks_at_once))
    assert [len(batch.rows) for batch in batches] == [32] * (len(rows) // 32) + [len(rows) % 32] * bool(len(rows) % 32)
    assert sorted(order_of(batches)) == list(rows)
    assert all(np.array_equal(batch.pdf, pdf[batch.rows]) for batch in batches)


def test_the_order_is_that_of_seed_and_epoch_not_of_the_readers(catalog):
    rows = np.arange(len(catalog))
    first, again = (order_of(pdf_batches(catalog, rows, batch_size=50, seed=1, readers=readers)) for readers in (1, 3))
    others = [order_of(pdf_batches(catalog, rows, batch_size=50, seed=seed, epoch=epoch)) for seed, epoch in ((2, 0), (1, 1))]
    assert np.array_equal(first, again)
    assert not any(np.array_equal(first, other) for other in others)
    assert np.abs(np.diff(first)).mean() > 50  # rows of different blocks stand beside each other


def test_processes_share_the_rows_out_without_gap_or_overlap(catalog):
    rows = np.arange(len(catalog))
    shares = [order_of(pdf_batches(catalog, rows, batch_size=16, seed=0, share=(rank, 3))) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(rows)


def test_a_block_on_disk_is_mapped_and_equals_what_any_zarr_reader_finds(catalog, blocks):
    for number, block in enumerate(blocks):
        mapped = catalog.block_pdf(number)
        assert isinstance(mapped, np.memmap)
        assert not mapped.flags.writeable
        assert np.array_equal(mapped, catalog.array(number, "pdf")[:])
        assert np.array_equal(mapped, block.pdf)


def test_a_block_that_was_stored_compressed_is_read_too(blocks, tmp_path, monkeypatch):
    """Catalogs of earlier versions are."""
    from zarr.core.array import Array

    create, made = catalog_block._create, []

    def compressed(group, name, values, *, rows, dims, unit):
        create(group, name, values, rows=None, dims=dims, unit=unit)
        if name == "pdf":
            made.append(isinstance(group[name], Array) and bool(group[name].compressors))

    monkeypatch.setattr(catalog_block, "_create", compressed)
    store_of(tmp_path / "store", blocks[:2])
    catalog = Catalog.open(tmp_path / "store")
    assert made == [True, True]
    assert catalog.mapped_pdf(0) is None
    assert np.array_equal(np.asarray(catalog.pdf), np.concatenate([block.pdf for block in blocks[:2]]))
    batches = list(pdf_batches(catalog, np.arange(len(catalog)), batch_size=64, seed=0))
    assert all(np.array_equal(batch.pdf, catalog.pdf[batch.rows]) for batch in batches)


def test_what_cannot_be_asked_for_is_refused(catalog):
    for wrong in ({"batch_size": 0}, {"batch_size": 4, "readers": 0}, {"batch_size": 4, "share": (2, 2)}):
        with pytest.raises(ConfigError, match="pdf_batches"):
            next(pdf_batches(catalog, np.arange(4), seed=0, **wrong))


def test_no_rows_give_no_batch(catalog):
    assert list(pdf_batches(catalog, np.empty(0, dtype=np.int64), batch_size=4, seed=0)) == []
