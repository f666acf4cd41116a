"""Files that go in and out: uploads under names of our own, results found in a listing and never by a path that a client wrote."""

from __future__ import annotations

import asyncio
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from deepstruc_hpc.serve.settings import NotAllowedError

TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".gz": "application/gzip",
    ".xyz": "text/plain; charset=utf-8",
    ".cif": "text/plain; charset=utf-8",
}
"""Of results by their ending; whatever else is sent as bytes."""
PAGE = "index.html"
CHUNK_BYTES = 256 * 1024
LONGEST_PAUSE_S = 60.0
"""Within an upload: a client that sends nothing for longer gives its connection up."""


async def keep_upload(chunks: AsyncIterator[bytes], path: Path, most: int) -> int:
    """Write what arrives; the file has its name once it is whole.

    Args:
        chunks: of the body.
        path: of our own making.
        most: bytes.

    Returns:
        Its size in bytes.

    Raises:
        NotAllowedError: more bytes than allowed came, or none for long. Nothing is left then, nor where the connection ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, size = path.with_name(f".{path.name}.part"), 0
    try:
        with partial.open("wb") as handle:
            async for chunk in _in_time(chunks):
                size += len(chunk)
                if size > most:
                    raise NotAllowedError(f"the file has more than {most} bytes", 413)
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return size


async def _in_time(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(LONGEST_PAUSE_S):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as silent:
            raise NotAllowedError(f"nothing came for {LONGEST_PAUSE_S:g} s", 408) from silent
        yield chunk


def listing(out: Path) -> dict[str, Path]:
    """The files of a directory of results and of its folders, by their names with ``/``; no hidden ones, no links."""
    found: dict[str, Path] = {}
    for entry in _entries(out):
        if entry.is_file(follow_symlinks=False):
            found[entry.name] = Path(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            inner = (item for item in _entries(Path(entry.path)) if item.is_file(follow_symlinks=False))
            found.update({f"{entry.name}/{item.name}": Path(item.path) for item in inner})
    return found


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []


class _Pieces:
    """What a zip file writes into, and what is taken from there to be sent: never the whole archive at once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        """Keep a piece."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """There is nothing to do."""

    def take(self) -> bytes:
        """All that was written since the last call."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def zipped(files: dict[str, Path], folder: str) -> Iterator[bytes]:
    """A zip archive of files, piece by piece.

    Args:
        files: name in the archive → path, from :func:`listing`.
        folder: that all of them are in, in the archive.
    """
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in files.items():
            try:
                source = path.open("rb")
            except FileNotFoundError:  # replaced by a newer one while the archive is being sent
                continue
            entry = zipfile.ZipInfo.from_file(path, f"{folder}/{name}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with source, archive.open(entry, "w") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    yield pieces.take()
    yield pieces.take()
