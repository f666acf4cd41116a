"""A catalog on an object store: a real S3 server (moto's) over HTTP, through s3fs, by the same commands as on a disk."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepstruc_hpc.catalog.blocks import BlockBuilder
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.combine import append_recipe, merge_catalogs
from deepstruc_hpc.catalog.delete import delete_structures
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.errors import OutputError, StoreError
from deepstruc_hpc.data import store_lock
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import orphans, verify
from deepstruc_hpc.data.manifest import ROOT
from deepstruc_hpc.data.pdf_stream import pdf_batches
from deepstruc_hpc.data.splits import split_rows
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import LOCK, Lease, building
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
    assert [path for path in orphans(Catalog.open(url)) if path.startswith("blocks/")] == [block.path for block in whole.blocks[1:]]
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


def waiting(monkeypatch, when=2):
    """The block of this number, from the first that is built, waits; returns its two events: it has come, it may go on."""
    came, go, count = threading.Event(), threading.Event(), [0]
    build = BlockBuilder.__call__

    def wait(self, item):
        count[0] += 1
        if count[0] == when:
            came.set()
            assert go.wait(120)
        return build(self, item)

    monkeypatch.setattr(BlockBuilder, "__call__", wait)
    return came, go


def test_of_two_builds_at_once_one_is_refused_and_nothing_is_lost(bucket, on_disk, monkeypatch):
    url = f"{bucket}/twice"
    came, go = waiting(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(build_catalog, RECIPE, url, workers=0, progress=False)
        assert came.wait(120)
        for change in (
            lambda: build_catalog(RECIPE, url, workers=0, progress=False),
            lambda: append_recipe(RECIPE, url, workers=0, progress=False),
            lambda: merge_catalogs([on_disk.files.url], url, workers=0, progress=False),
        ):
            with pytest.raises(StoreError, match=f"another build is writing this store .process {os.getpid()} on "):
                change()
        go.set()
        assert first.result().content_hash == on_disk.content_hash
    assert verify(Catalog.open(url)) == orphans(Catalog.open(url)) == []
    assert not StoreFiles(url).exists(LOCK)
    assert delete_structures(url, "n_atoms == 13").n_deleted > 0


def test_a_build_that_lost_its_lock_names_nothing_more_and_the_other_ends_whole(bucket, on_disk, monkeypatch):
    """The first is asleep for longer than its lease. Fails when the manifest is written without a condition."""
    url = f"{bucket}/asleep"
    came, go = waiting(monkeypatch)
    monkeypatch.setattr(Lease, "_renew", lambda _: None)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(build_catalog, RECIPE, url, workers=0, progress=False)
        assert came.wait(120)
        monkeypatch.setattr(store_lock, "LEASE_SECONDS", -1.0)
        report = build_catalog(RECIPE, url, workers=0, progress=False)
        go.set()
        with pytest.raises(StoreError, match="taken this store over"):
            first.result()
    assert (report.complete, report.content_hash) == (True, on_disk.content_hash)
    assert Catalog.open(url).content_hash == on_disk.content_hash
    assert verify(Catalog.open(url)) == []


def test_the_manifest_is_out_of_reach_as_soon_as_another_has_the_lock(stored, monkeypatch):
    """Also before the other has written it: the blocks that it is about to remove can no longer be named. Fails when the manifest is not stamped."""
    monkeypatch.setattr(Lease, "_renew", lambda _: None)
    files, others = StoreFiles(stored.files.url), StoreFiles(stored.files.url)
    with building(files):
        files.write({ROOT: stored.manifest.to_bytes()})
        monkeypatch.setattr(store_lock, "LEASE_SECONDS", -1.0)
        with building(others), pytest.raises(StoreError, match="taken this store over"):
            files.write({ROOT: stored.manifest.without({stored.blocks[0].id}).to_bytes()})
    assert Catalog.open(stored.files.url).content_hash == stored.content_hash


def test_the_lock_of_a_process_that_was_killed_here_holds_nobody_up(bucket):
    files = StoreFiles(f"{bucket}/killed")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with building(files):
        held = json.loads(files.read(LOCK))
    files.write({LOCK: json.dumps({**held, "process": os.getppid()}).encode()})
    with pytest.raises(StoreError, match="another build"), building(files):
        pass
    files.write({LOCK: json.dumps({**held, "process": ended.pid, "system": "another"}).encode()})
    with pytest.raises(StoreError, match=r"its lock ends in \d+ s"), building(files):
        pass
    files.write({LOCK: json.dumps({**held, "process": ended.pid}).encode()})
    with building(files):
        assert json.loads(files.read(LOCK))["process"] == os.getpid()
    assert not files.exists(LOCK)


def test_a_lock_is_renewed_and_not_taken_from_whoever_took_it(bucket, monkeypatch):
    files, other = StoreFiles(f"{bucket}/renewed"), StoreFiles(f"{bucket}/renewed")
    monkeypatch.setattr(store_lock, "LEASE_SECONDS", 0.12)
    with building(files):
        first, end = other.state(LOCK), time.monotonic() + 60
        while other.state(LOCK)[0] == first[0]:
            assert time.monotonic() < end
        other.write({LOCK: b'{"owner": "other"}'})
    assert json.loads(other.read(LOCK)) == {"owner": "other"}


def test_a_write_whose_answer_was_lost_counts_as_done(bucket):
    files = StoreFiles(f"{bucket}/repeated")
    etag = files.write_if("key", b"one", None)
    assert files.write_if("key", b"one", None) == etag
    assert files.write_if("key", b"two", None) is None
    assert files.write_if("key", b"two", '"other"') is None
    assert files.write_if("nothing", b"two", etag) is None
    assert files.read("key") == b"one"


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
