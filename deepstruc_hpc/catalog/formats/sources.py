"""Where structures come in from: files of extended XYZ with many frames, ASE databases, CIFs, and folders of them.

A source is counted once, by the driver; what it finds is a list of places, each of which a worker can read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.formats.ase_database import SUFFIXES as DATABASES
from deepstruc_hpc.catalog.formats.ase_database import open_database, require_ase
from deepstruc_hpc.catalog.formats.extxyz import SUFFIXES as FRAMES
from deepstruc_hpc.core.errors import ConfigError, StructureError
from deepstruc_hpc.core.files import natural_order

ENDINGS = (*FRAMES, *DATABASES, ".cif")
_HASHED_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class SourceFile:
    """One file with what it holds.

    Attributes:
        path: of the file.
        name: path within the source, for messages and columns.
        places: (n + 1,) byte offsets of n frames and of the end, or (n,) ids of the rows of a database; (1,) for a CIF.
        digest: hash of the bytes, by which an import knows its source again.
    """

    path: Path
    name: str
    places: NDArray[np.int64]
    digest: str

    def __len__(self) -> int:
        return len(self.places) - 1 if self.path.suffix in FRAMES else len(self.places)


@dataclass(frozen=True, eq=False)
class Part:
    """Some neighbouring structures of one file: what a worker is told. The places are those of :class:`SourceFile`, cut to the part."""

    path: Path
    name: str
    first: int
    places: NDArray[np.int64]
    single: bool

    def names(self) -> list[str]:
        """``file#number`` of each structure, counted from 0 as ASE counts frames; the file alone where it holds one structure."""
        count = len(self.places) - 1 if self.path.suffix in FRAMES else len(self.places)
        return [self.name if self.single else f"{self.name}#{self.first + place}" for place in range(count)]


@dataclass(frozen=True, eq=False)
class Source:
    """All files of a source, in order.

    Attributes:
        files: those that hold something.
        refused: (name, reason) of files that cannot be opened at all.
        starts: (files + 1,) number of the first structure of each file.
    """

    files: Sequence[SourceFile]
    refused: Sequence[tuple[str, str]] = ()
    starts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", np.concatenate([[0], np.cumsum([len(one) for one in self.files])]).astype(np.int64))

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def digest(self) -> str:
        """Hash of all names and contents."""
        total = blake2b(digest_size=16)
        for one in self.files:
            total.update(f"{one.name} {one.digest}\n".encode())
        return total.hexdigest()

    def parts(self, start: int, stop: int) -> tuple[Part, ...]:
        """The structures from one number to another, file by file."""
        found = []
        number = int(np.searchsorted(self.starts, start, side="right")) - 1
        while start < stop:
            one, begin = self.files[number], start - int(self.starts[number])
            end = min(stop - int(self.starts[number]), len(one))
            places = one.places[begin : end + 1] if one.path.suffix in FRAMES else one.places[begin:end]
            found.append(Part(one.path, one.name, begin, places, len(one) == 1))
            start, number = int(self.starts[number]) + end, number + 1
        return tuple(found)


def open_source(path: str | Path, on_file: Callable[[], None] = lambda: None) -> Source:
    """Find the files of a source and count what they hold.

    Args:
        path: a file, or a folder whose files are taken in natural order, those of its folders too.
        on_file: called after each file, for a progress bar.

    Raises:
        ConfigError: there is nothing to import.
        EngineError: ase is not installed and is needed.
    """
    where = Path(path)
    paths = source_files(where)
    if any(one.suffix != ".cif" for one in paths):
        require_ase()
    files, refused = [], []
    for one in paths:
        name = one.relative_to(where).as_posix() if where.is_dir() else one.name
        try:
            counted = _count(one, name)
            if len(counted):
                files.append(counted)
            else:
                refused.append((name, "no structure in it"))
        except Exception as broken:  # noqa: BLE001  (whatever is wrong with one file, the others go on)
            refused.append((name, message_of(broken)))
        on_file()
    if not files:
        raise ConfigError(f"{where}: nothing to import: {refused[0][0]}: {refused[0][1]}.")
    return Source(tuple(files), tuple(refused))


def source_files(where: Path) -> list[Path]:
    """The files of a source, in natural order.

    Raises:
        ConfigError: there are none.
    """
    if where.is_file():
        if where.suffix not in ENDINGS:
            raise ConfigError(f"{where}: the ending '{where.suffix}' is not known. Structures come from files that end in {', '.join(ENDINGS)}.")
        return [where]
    if not where.is_dir():
        raise ConfigError(f"{where}: no such file or folder. Check the path.")
    found = sorted((path for path in where.rglob("*") if path.suffix in ENDINGS and path.is_file()), key=natural_order)
    if not found:
        raise ConfigError(f"{where}: no file in it ends in {', '.join(ENDINGS)}.")
    return found


def message_of(error: BaseException) -> str:
    """An error as one short line."""
    text = " ".join(str(error).split())[:300] or "no further word"
    return text if isinstance(error, StructureError) else f"{type(error).__name__}: {text}"


def _count(path: Path, name: str) -> SourceFile:
    if path.suffix in FRAMES:
        places, digest = frame_starts(path)
        return SourceFile(path, name, places, digest)
    digest = _digest(path)
    if path.suffix in DATABASES:
        with open_database(path) as database:
            ids = np.array([row.id for row in database.select(columns=["id"], include_data=False)], dtype=np.int64)
        return SourceFile(path, name, np.sort(ids), digest)
    return SourceFile(path, name, np.zeros(1, dtype=np.int64), digest)


def frame_starts(path: Path) -> tuple[NDArray[np.int64], str]:
    """(n + 1,) byte offsets of the frames of an XYZ file and of its end, and the hash of its bytes.

    A line with a whole number alone begins a frame, except as the comment that follows one: no line of an atom looks so. A frame with too many or too
    few lines, or with any other damage, therefore ends where the next one begins, and takes no other with it.
    """
    starts: list[int] = []
    digest = blake2b(digest_size=16)
    offset, comment = 0, False
    with path.open("rb") as stream:
        for line in stream:
            digest.update(line)
            if comment:
                comment = False
            elif line.strip().isdigit():
                starts.append(offset)
                comment = True
            elif not starts and line.strip():  # something before the first frame: a broken frame of its own
                starts.append(offset)
            offset += len(line)
    return np.array([*starts, offset] if starts else [offset], dtype=np.int64), digest.hexdigest()


def read_part(part: Part) -> Iterator[Any]:
    """An ``ase.Atoms`` with ``info`` for each structure of a part, or the exception that its reading raised."""
    if part.path.suffix in FRAMES:
        yield from _read_frames(part)
    elif part.path.suffix in DATABASES:
        yield from _read_rows(part)
    else:
        yield _or_error(_read_cif, part.path)


def _read_frames(part: Part) -> Iterator[Any]:
    with part.path.open("rb") as stream:
        for start, stop in zip(part.places[:-1].tolist(), part.places[1:].tolist(), strict=True):
            stream.seek(start)
            yield _or_error(_parse_frame, stream.read(stop - start))


def _parse_frame(content: bytes) -> Any:
    from io import StringIO

    from ase.io import read

    text = content.decode("utf-8", errors="replace").rstrip() + "\n"
    count, _, rest = text.partition("\n")
    if not count.strip().isdigit():
        raise StructureError(f"found '{count[:40]}' where a frame begins with its number of atoms")
    lines = rest.count("\n") - 1
    if lines != int(count):
        raise StructureError(f"{count.strip()} atoms are announced, {max(lines, 0)} lines of atoms follow")
    return read(StringIO(text), index=0, format="extxyz")


def _read_rows(part: Part) -> Iterator[Any]:
    with open_database(part.path) as database:
        for number in part.places.tolist():
            yield _or_error(_row, database, number)


def _row(database: Any, number: int) -> Any:
    row = database.get(id=number)
    atoms = row.toatoms()
    kept = row.data.get("columns") if isinstance(row.data.get("columns"), dict) else None
    atoms.info = dict(kept or row.key_value_pairs)
    return atoms


def _read_cif(path: Path) -> Any:
    from ase import Atoms

    from deepstruc_hpc.data.structure_files import read_cell

    structure, cell = read_cell(path)
    return Atoms(structure.symbols, structure.positions, cell=cell, pbc=True)


def _or_error(read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except Exception as broken:  # noqa: BLE001  (a broken structure is a row of the report)
        return broken


def _digest(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as stream:
        while piece := stream.read(_HASHED_AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()
