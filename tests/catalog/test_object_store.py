"""A catalog on an object store: a real S3 server (moto's) over HTTP, through s3fs, by the same commands as on a disk."""

import json
import subprocess
import sys

import numpy as np
import pytest

from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.combine import append_recipe
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import OutputError, StoreError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import orphans, verify
from deepstruc_hpc.data.manifest import ROOT
from deepstruc_hpc.data.pdf_stream import pdf_batches
from deepstruc_hpc.data.splits import split_rows
from tests.catalog.recipes import small_recipe
from tests.data.s3_server import s3_server

pytest.importorskip("moto")
pytest.importorskip("s3fs")

RECIPE = small_recipe(block_size=8)


@pytest.fixture(scope="module")
def bucket():
    """URL of an empty bucket."""
    with s3_server("catalogs"):
        yield "s3://catalogs"


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    store = tmp_path_factory.mktemp("disk") / "small.zarr"
    build_catalog(RECIPE, store, workers=0, progress=False)
    return Catalog.open(store)


@pytest.fixture(scope="module")
def stored(bucket, on_disk):
    """The small recipe, built into the bucket."""
    report = build_catalog(RECIPE, f"{bucket}/small", workers=0, progress=False)
    assert report.complete
    return Catalog.open(f"{bucket}/small")


def test_a_bucket_holds_the_same_content_as_a_disk(stored, on_disk):
    assert stored.content_hash == on_disk.content_hash
    assert verify(stored) == []
    assert stored.columns.equals(on_disk.columns)
    assert np.array_equal(np.asarray(stored.pdf), np.asarray(on_disk.pdf))
    assert [structure.formula for structure in stored] == [structure.formula for structure in on_disk]


def test_the_commands_take_the_url(stored, capsys):
    url = stored.files.url
    assert run(["catalog", "info", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_structures"] == len(stored)
    assert run(["catalog", "list", url, "--where", 'structure_type == "fcc"', "--columns", "formula", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == int((stored.columns["structure_type"] == "fcc").sum()) > 0
    assert run(["catalog", "verify", url]) == 0


def test_training_batches_come_from_the_bucket(stored, on_disk):
    rows = split_rows(stored.columns, "shape").train
    assert np.array_equal(rows, split_rows(on_disk.columns, "shape").train)
    batches = list(pdf_batches(stored, rows, batch_size=4, seed=0))
    assert sorted(row for batch in batches for row in batch.rows) == list(rows)
    assert all(np.array_equal(batch.pdf, on_disk.pdf[batch.rows]) for batch in batches)


def test_a_build_that_stopped_early_goes_on_and_its_leftovers_are_removed(bucket, on_disk):
    url = f"{bucket}/stopped"
    build_catalog(RECIPE, url, workers=0, progress=False)
    whole = Catalog.open(url)
    whole.files.write({ROOT: whole.manifest.without({block.id for block in whole.blocks[1:]}).to_bytes()})
    assert len(Catalog.open(url)) == 8
    assert len(orphans(Catalog.open(url))) == len(whole.blocks) - 1
    report = build_catalog(RECIPE, url, workers=0, progress=False)
    assert (report.n_found, report.n_built) == (1, len(whole.blocks) - 1)
    assert report.content_hash == on_disk.content_hash
    assert orphans(Catalog.open(url)) == verify(Catalog.open(url)) == []


def test_a_changed_byte_is_found_and_that_block_alone_made_again(bucket, on_disk):
    url = f"{bucket}/damaged"
    build_catalog(RECIPE, url, workers=0, progress=False)
    catalog = Catalog.open(url)
    block = catalog.blocks[1]
    content = bytearray(catalog.files.read(block.path))
    content[len(content) // 2] ^= 1
    catalog.files.write({block.path: bytes(content)})
    assert {fault.block for fault in verify(Catalog.open(url))} == {block.id}
    report = build_catalog(RECIPE, url, workers=0, progress=False, repair=True)
    assert (report.n_built, report.content_hash) == (1, on_disk.content_hash)
    assert verify(Catalog.open(url)) == []


def test_a_reader_sees_one_state_while_the_store_grows(bucket):
    url = f"{bucket}/growing"
    build_catalog(RECIPE, url, workers=0, progress=False)
    reader = Catalog.open(url)
    before = len(reader)
    append_recipe(small_recipe(name="more", families=("bcc",), elements=("Au",)), url, workers=0, progress=False)
    assert len(reader) == len(reader.columns) == before < len(Catalog.open(url))
    assert verify(Catalog.open(url)) == []


@pytest.mark.ray
def test_actors_write_to_the_bucket(bucket, on_disk, tmp_path):
    """By the command, whose Ray session begins after the server: its workers learn from it where the server is."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.to_yaml(), encoding="utf-8")
    url = f"{bucket}/actors"
    command = [sys.executable, "-m", "deepstruc_hpc", "catalog", "build", str(recipe), "--out", url, "--workers", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert Catalog.open(url).content_hash == on_disk.content_hash


def test_no_catalog_and_no_bucket_are_said_in_one_sentence(bucket):
    with pytest.raises(StoreError, match="no catalog there"):
        Catalog.open(f"{bucket}/nothing")
    with pytest.raises(OutputError, match=r"s3://no-such-bucket.*cannot be written"):
        build_catalog(RECIPE, "s3://no-such-bucket/small", workers=0, progress=False)


def test_a_server_that_does_not_answer_is_a_store_error(monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match="cannot be read"):
        Catalog.open("s3://catalogs/small")
    s3fs.S3FileSystem.clear_instance_cache()
