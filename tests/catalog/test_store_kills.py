"""Delete, compact, merge and split, killed (SIGKILL) before a write or in the middle of it: the store is whole, and the same call ends the same."""

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from deepstruc_hpc.catalog.combine import merge_catalogs
from deepstruc_hpc.catalog.compact import compact_catalog
from deepstruc_hpc.catalog.delete import delete_structures
from deepstruc_hpc.catalog.split import split_catalog
from deepstruc_hpc.data import manifest_writer, store_files
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import orphans, verify
from deepstruc_hpc.data.manifest import ROOT
from tests.data.test_catalog_store import content, store_of

SIZES = (4, 3, 2, 4, 3)


def delete(place):
    delete_structures(place / "store", "n_atoms == 3")
    return [place / "store"]


def compact(place):
    compact_catalog(place / "store", rows=6, workers=0, progress=False)
    return [place / "store"]


def merge(place):
    merge_catalogs([place / "store", place / "other"], place / "merged", workers=0, progress=False)
    return [place / "merged"]


def split(place):
    report = split_catalog(place / "store", place / "sets", by="structure_type", kind="stores", workers=0, progress=False)
    return [Path(made) for made in report.made.values()]


def stores(place):
    store_of(place / "store", [content(100 * number, rows)[1] for number, rows in enumerate(SIZES)])
    store_of(place / "other", [content(100 * number, rows)[1] for number, rows in enumerate((4, 5), start=4)])
    delete_structures(place / "store", 'id == "0000000000000065"')


def ids(store):
    return Catalog.open(store).columns["id"].tolist()


def kill_at(place, command, count, between):
    """The command, ended by the kernel at its write of this number: before it, or between the temporary files and their names."""
    manifest_writer.SECONDS_BETWEEN_MANIFESTS, manifest_writer.SHARE_OF_MANIFESTS = 0.0, float("inf")
    left = [count]

    def end_when_due():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    name = "_sync" if between else "_write_files"
    real = getattr(store_files, name)

    def watched(*arguments):
        end_when_due()
        return real(*arguments)

    setattr(store_files, name, watched)
    command(place)


@pytest.mark.parametrize("command", [delete, compact, merge, split])
def test_killed_at_a_write_it_leaves_whole_stores_and_ends_the_same(command, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalog.test_store_kills", "zarr", "pyarrow.parquet", "pandas"])
    stores(tmp_path / "new")
    before = ids(tmp_path / "new" / "store")
    shutil.copytree(tmp_path / "new", tmp_path / "whole")
    expected = [Catalog.open(made).content_hash for made in command(tmp_path / "whole")]
    after = ids(tmp_path / "whole" / "store")
    kills = 0
    for count, between in ((0, False), (1, False), (2, True), (4, True)):
        place = tmp_path / f"killed-{count}"
        shutil.copytree(tmp_path / "new", place)
        process = context.Process(target=kill_at, args=(place, command, count, between))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += process.exitcode != 0
        for store in (path.parent for path in sorted(place.rglob(ROOT)) if (path.parent / "blocks").is_dir()):
            catalog = Catalog.open(store)
            assert verify(catalog) == []
            assert len(catalog.columns) == len(catalog) == len(catalog.pdf[:])
        assert ids(place / "store") in (before, after)
        made = command(place)
        assert [Catalog.open(store).content_hash for store in made] == expected
        assert [orphans(Catalog.open(store)) for store in made] == [[]] * len(made)
    assert kills >= 3
