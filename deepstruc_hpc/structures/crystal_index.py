"""What was read of a folder of CIF files, kept in the cache folder so that each file is read once.

An index is a folder of parts under a hash of the CIF folder's path. A part is a text that one process only appends to, a line a file:

    checksum ⇥ [path, size, time, failure, notes, [elements of each crystal]] ⇥ [crystals]

So a build that is killed has lost no line, its last one cut short is passed over, and builds at the same time each write their own part; no file is
locked, which network file systems do badly. Crystals of other elements than those asked for are never unpacked. Lines that are damaged count as never
written. Parts at rest are put together once there are several of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.resources import cache_dir

REVISION = 3
"""Of what a line holds; an index of another revision is not looked at."""
MOST_PARTS = 4
AT_REST_S = 3600.0
"""A part that was not written to for so long has no writer any more."""
_SUFFIX = ".lines"
_BEGIN = re.compile(rb"[0-9a-f]{8}\t\[")
Mark = tuple[str, int, int]
"""A file's path relative to the folder, its size, and the time of its last change in ns: while these stay, what was read of it stays true."""


@dataclass(frozen=True)
class Entry:
    """What is known of one file.

    Attributes:
        mark: which file, in which state.
        failure: why there is no crystal in it, or empty.
        notes: what the reader had to assume.
        elements: symbols of each crystal.
    """

    mark: Mark
    failure: str
    notes: tuple[str, ...]
    elements: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class _Line:
    """An entry and where its line lies, or the line itself where it could not be stored."""

    entry: Entry
    part: int = -1
    begin: int = 0
    length: int = 0
    text: bytes = b""


class CrystalIndex:
    """The index of one folder of CIF files (or of one file).

    Args:
        place: the folder; its index is found by its absolute path.

    Attributes:
        folder: where the index lies.
        damaged: lines that could not be understood.
    """

    def __init__(self, place: Path) -> None:
        key = blake2b(os.fsencode(place.resolve()), digest_size=8).hexdigest()
        self.folder = cache_dir() / f"user-crystals-{REVISION}-{key}"
        self._own: BinaryIO | None = None
        self._unwritable = False
        while not self._opened():
            time.sleep(0.01)

    def __contains__(self, mark: Mark) -> bool:
        return mark in self._lines

    def __getitem__(self, mark: Mark) -> Entry:
        return self._lines[mark].entry

    def crystals(self, mark: Mark) -> list[dict[str, Any]]:
        """The crystals of a file as they were added; an empty list where the index was damaged after it was opened."""
        line = self._lines[mark]
        text = line.text or self._text(line)
        try:
            rows = json.loads(text.split(b"\t", 2)[2])
        except (IndexError, ValueError):
            return []
        return rows if isinstance(rows, list) else []

    def add(self, mark: Mark, crystals: Iterable[Mapping[str, Any]], *, failure: str = "", notes: Iterable[str] = ()) -> None:
        """Remember what was read of a file; at once on disk, or in this process alone where the cache folder cannot be written."""
        rows = list(crystals)
        elements = [sorted({symbol for site in row["species"] for symbol, _ in site}) for row in rows]
        head = json.dumps([*mark, failure, list(notes), elements], separators=(",", ":"))
        text = f"{head}\t{json.dumps(rows, separators=(',', ':'))}".encode()
        text = b"%08x\t%s" % (zlib.crc32(text), text)
        entry = _entry(json.loads(head))
        begin = self._append(text + b"\n")
        self._lines[mark] = _Line(entry, text=text) if begin is None else _Line(entry, len(self._parts) - 1, begin, len(text))

    def close(self, present: Iterable[Mark]) -> None:
        """End adding: put parts at rest together where there are several of them, or more lines than files.

        Args:
            present: the files that are there; what is known of others is forgotten then.
        """
        if self._own is None and not self._torn:
            return
        rest = [place for place, (path, stream) in enumerate(self._parts) if stream is self._own or place in self._torn or _at_rest(path)]
        live = [line for mark in present if (line := self._lines.get(mark)) is not None]
        if len(rest) >= MOST_PARTS or self._found > 2 * len(live) + MOST_PARTS or self._torn:
            self._put_together(rest, [line for line in live if line.part in rest])
        self._own = None

    def _opened(self) -> bool:
        """Whether all parts could be opened; False where another process has just put them together."""
        self.damaged, self._found = 0, 0
        self._torn: set[int] = set()
        self._lines: dict[Mark, _Line] = {}
        self._parts: list[tuple[Path, BinaryIO]] = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            try:
                self._open(path)
            except FileNotFoundError:
                return False
            except OSError:  # a part of another user, say: its files are read again
                continue
        return True

    def _open(self, path: Path) -> None:
        stream = path.open("rb")
        content = stream.read()
        self._parts.append((path, stream))
        begin = 0
        while (end := content.find(b"\n", begin)) >= 0:
            self._take(content[begin:end], begin)
            begin = end + 1
        cut_short = content[begin:]
        if len(cut_short) > len("checksum\t[") and not _BEGIN.match(cut_short):
            self._damage()

    def _take(self, text: bytes, begin: int) -> None:
        entry = _checked(text)
        if entry is None:
            self._damage()
            return
        self._found += 1
        self._lines[entry.mark] = _Line(entry, len(self._parts) - 1, begin, len(text))

    def _damage(self) -> None:
        self.damaged += 1
        self._torn.add(len(self._parts) - 1)

    def _append(self, text: bytes) -> int | None:
        """Where the line begins in the part of this process; None where it could not be written."""
        if self._unwritable:
            return None
        try:
            if self._own is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                path = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
                self._own = path.open("ab+", buffering=0)
                self._parts.append((path, self._own))
            begin = self._own.seek(0, os.SEEK_END)
            if self._own.write(text) != len(text):
                self._unwritable = True
        except OSError:
            self._unwritable = True
        self._found += 1
        return None if self._unwritable else begin

    def _text(self, line: _Line) -> bytes:
        stream = self._parts[line.part][1]
        try:
            stream.seek(line.begin)
            return stream.read(line.length)
        except OSError:
            return b""

    def _put_together(self, rest: list[int], lines: list[_Line]) -> None:
        texts = [text for line in lines if (text := self._text(line))]
        target = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        with contextlib.suppress(OSError, ValueError):
            write_atomically(target, b"".join(text + b"\n" for text in texts))
            for place in rest:
                self._parts[place][0].unlink(missing_ok=True)


def _checked(line: bytes) -> Entry | None:
    """The entry of a line, or None where it is not as it was written."""
    checksum, _, rest = line.partition(b"\t")
    if checksum != b"%08x" % zlib.crc32(rest):
        return None
    try:
        return _entry(json.loads(rest.partition(b"\t")[0]))
    except (ValueError, TypeError):
        return None


def _entry(head: Any) -> Entry:
    path, size, changed, failure, notes, elements = head
    return Entry((str(path), int(size), int(changed)), str(failure), tuple(notes), tuple(frozenset(symbols) for symbols in elements))


def _at_rest(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > AT_REST_S
    except OSError:
        return False


def marks_of(place: Path, files: Iterable[Path]) -> Iterator[tuple[Path, Mark]]:
    """The files of a folder (or the one file) that are there, with their states."""
    base = place.parent if place.is_file() else place
    for path in files:
        with contextlib.suppress(OSError):  # it went away a moment ago
            stat = path.stat()
            yield path, (path.relative_to(base).as_posix(), stat.st_size, stat.st_mtime_ns)
