"""A block in one file: the Zarr group of the block as a ZIP whose members are not compressed, so that any part is a range of the file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.schema import COLUMNS
from deepstruc_hpc.data.store_files import StoreFiles

SUFFIX = ".zarr.zip"
"""Ending of a block's path. A block of format 1 has none: it is a folder."""
PDF_DATA = "pdf/c/0/0"
"""Member with the PDFs, the first of the file."""
ALIGNMENT = 4096
"""Bytes: the PDFs begin at a multiple of a page, so that they can be mapped into memory."""
WINDOW = 2**18
"""Bytes at the end of a file that are read at once: the list of members, all metadata and the columns of some thousand structures."""
_TIME = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER, _EXTRA_HEADER = 30, 4
_PADDING_ID = b"PD"


def pack(members: Mapping[str, bytes]) -> bytes:
    """The members as one file: PDFs first, then the other arrays of atoms, the columns, and the metadata last.

    The same members give the same bytes.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=_place):
            header = zipfile.ZipInfo(name, _TIME)
            if name == PDF_DATA:
                gap = -(target.tell() + _LOCAL_HEADER + len(name) + _EXTRA_HEADER) % ALIGNMENT
                header.extra = _PADDING_ID + gap.to_bytes(2, "little") + bytes(gap)
            archive.writestr(header, members[name])
    return target.getvalue()


def _place(name: str) -> tuple[bool, bool, bool, str]:
    return name != PDF_DATA, name.endswith("zarr.json"), name.startswith(f"{COLUMNS}/"), name


@dataclass(frozen=True)
class Member:
    """Where a member's bytes lie in the file."""

    start: int
    size: int


class BlockFile:
    """The members of a block's file.

    Args:
        files: the store.
        key: of the file.
        size: of the file, bytes, as the manifest says.
    """

    def __init__(self, files: StoreFiles, key: str, size: int) -> None:
        self.files, self.key, self.size = files, key, size

    @cached_property
    def members(self) -> Mapping[str, Member]:
        """All members by name, from the list at the end of the file.

        Raises:
            FileNotFoundError: there is no such file.
            StoreError: the file is no ZIP, or one that another program packed anew.
        """
        _ = self._end
        try:
            with zipfile.ZipFile(_Window(self)) as archive:
                found, end = sorted(archive.infolist(), key=lambda info: info.header_offset), archive.start_dir
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, UnicodeDecodeError) as damaged:
            raise StoreError(f"{self.key}: not a block's file ({damaged}). Run: deepstruc-hpc catalog verify STORE") from damaged
        places = [*(info.header_offset for info in found), end]
        members = {}
        for info, (begin, after) in zip(found, pairwise(places), strict=True):
            start = after - info.file_size
            if info.compress_type != zipfile.ZIP_STORED or start < begin + _LOCAL_HEADER:
                raise StoreError(f"{self.key}: member {info.filename} is compressed. A block's file must stay as it was written.")
            members[info.filename] = Member(start, info.file_size)
        return members

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of the file from ``start`` to ``stop``."""
        first = self.size - len(self._end)
        return self._end[start - first : stop - first] if start >= first else self.files.read_range(self.key, start, stop)

    def content(self, name: str) -> bytes:
        """The bytes of one member.

        Raises:
            KeyError: there is none of this name.
        """
        member = self.members[name]
        return self.read(member.start, member.start + member.size)

    @cached_property
    def _end(self) -> bytes:
        begin = max(0, self.size - WINDOW)
        found = self.files.read_range(self.key, begin, self.size)
        if len(found) != self.size - begin:
            raise StoreError(f"{self.key}: shorter than the {self.size} bytes that were written. Run: deepstruc-hpc catalog verify STORE")
        return found


class _Window(io.RawIOBase):
    """A block's file for the reader of ZIPs."""

    def __init__(self, block: BlockFile) -> None:
        self._block, self._at = block, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._block.size}[whence]
        if place < 0:
            raise OSError("before the start of the file")
        self._at = place
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        stop = self._block.size if size is None or size < 0 else min(self._block.size, self._at + size)
        found = self._block.read(self._at, stop) if stop > self._at else b""
        self._at += len(found)
        return found


def open_block(files: StoreFiles, path: str, size: int) -> Any:
    """The Zarr group of a block, opened for reading: a file, or a folder of format 1.

    Args:
        files: the store.
        path: of the block, as the manifest says.
        size: of the file, bytes.

    Raises:
        FileNotFoundError: it is not there.
        StoreError: it is damaged.
    """
    import zarr

    from deepstruc_hpc.data.block_zarr import BlockStore

    if path.endswith(SUFFIX):
        return zarr.open_group(BlockStore(BlockFile(files, path, size)), mode="r", zarr_format=3, use_consolidated=False)
    return zarr.open_group(files.zarr_store(), path=path, mode="r", zarr_format=3, use_consolidated=False)
