"""A block is one file: an ordinary ZIP with a Zarr group inside, of which each part is read where it lies."""

import zipfile

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import ALIGNMENT, PDF_DATA, WINDOW, BlockFile, open_block, pack
from deepstruc_hpc.data.store_files import StoreFiles

RNG = np.random.default_rng(0)
MEMBERS = {
    "zarr.json": b'{"zarr_format":3,"node_type":"group","attributes":{"block":"one"}}',
    "pdf/zarr.json": b"{}",
    PDF_DATA: RNG.bytes(3 * ALIGNMENT + 17),
    "positions/c/0/0": RNG.bytes(WINDOW),
    "columns/zarr.json": b'{"zarr_format":3,"node_type":"group","attributes":{}}',
    "columns/é/c/0": b"text",
    "columns/empty/c/0": b"",
}


SIZE = len(pack(MEMBERS))


@pytest.fixture
def files(tmp_path):
    files = StoreFiles(tmp_path)
    files.write({"one.zarr.zip": pack(MEMBERS)})
    return files


class Counted(StoreFiles):
    """Tells which ranges were read."""

    def read_range(self, key, start, stop):
        self.ranges = [*getattr(self, "ranges", []), (start, stop)]
        return super().read_range(key, start, stop)


def test_any_zip_tool_reads_the_members(files):
    with zipfile.ZipFile(files.path / "one.zarr.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS


def test_each_member_is_found_where_it_lies_and_the_pdfs_begin_with_a_page(files):
    block = BlockFile(files, "one.zarr.zip", SIZE)
    assert {name: block.content(name) for name in block.members} == MEMBERS
    assert block.members[PDF_DATA].start % ALIGNMENT == 0
    with pytest.raises(KeyError):
        block.content("nothing")


def test_metadata_and_columns_come_with_one_request_and_an_array_with_one_more(files):
    counted = Counted(files.path)
    block = BlockFile(counted, "one.zarr.zip", SIZE)
    for name in ("zarr.json", "columns/é/c/0", "columns/zarr.json"):
        block.content(name)
    assert len(counted.ranges) == 1
    block.content(PDF_DATA)
    assert counted.ranges[1:] == [(block.members[PDF_DATA].start, block.members[PDF_DATA].start + len(MEMBERS[PDF_DATA]))]


def test_zarr_opens_the_group_and_cannot_write_it(files):
    group = open_block(files, "one.zarr.zip", SIZE)
    assert group.attrs["block"] == "one"
    assert "columns" in group
    assert "nothing" not in group
    with pytest.raises((NotImplementedError, ValueError)):
        group.create_group("more")


def test_a_cut_file_a_compressed_one_and_none_are_refused_with_their_name(files):
    whole = files.read("one.zarr.zip")
    files.write({"cut.zarr.zip": whole[:-30], "text.zarr.zip": b"no zip", "empty.zarr.zip": b""})
    with zipfile.ZipFile(files.path / "again.zarr.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", MEMBERS["zarr.json"] * 9)
    for name in ("cut", "text", "empty", "again"):
        size = (files.path / f"{name}.zarr.zip").stat().st_size
        with pytest.raises(StoreError, match=name):
            _ = BlockFile(files, f"{name}.zarr.zip", size).members
    with pytest.raises(StoreError, match=f"shorter than the {SIZE} bytes"):
        _ = BlockFile(files, "cut.zarr.zip", SIZE).members
    with pytest.raises(FileNotFoundError):
        open_block(files, "nothing.zarr.zip", SIZE)
