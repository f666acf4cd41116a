"""Extended XYZ: one file, one frame a structure, every column of the catalog as a key of the comment line.

The text is that which ``ase.io.read(path, ":")`` reads. Numbers are written with nine digits, which give back the stored float32 exactly.
Source of the format: https://github.com/libAtoms/extxyz; ASE's reader (ase.io.extxyz) turns every value that looks like a number, a list of numbers
or a truth value into one, quoted or not. Text that it would take for such (an ``id`` of digits alone) is written as ASE's ``_JSON`` value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from deepstruc_hpc.catalog.formats.record import ExportRecord, or_output_error
from deepstruc_hpc.catalog.formats.selection import Chunk

_NUMBER_LIKE = re.compile(r"[0-9+\-.eE_]*")
_WORDS = frozenset({"t", "f", "true", "false", "nan", "inf", "infinity"})
_QUOTED = re.compile(r"[\s\"'{}\[\]=,\\]")
TAKEN = frozenset(
    {"lattice", "properties", "pbc", "cell", "positions", "pos", "species", "numbers", "symbols", "uid"}
    | {"energy", "energies", "free_energy", "forces", "stress", "stresses", "virial", "dipole", "polarization", "dielectric_tensor"}
    | {"charge", "charges", "magmom", "magmoms", "born_effective_charges"}
)
"""Keys to which readers of extended XYZ give a meaning of their own; a column of such a name gets an underscore behind it."""

SUFFIXES = (".extxyz", ".xyz")


class ExtendedXyz:
    """The file, appended chunk by chunk; the record says up to which byte it is whole."""

    rows_a_chunk = 1024
    needs_pdf = False

    def __init__(self, path: Path, record: ExportRecord) -> None:
        self._record = record
        self._stream = resumed(path, record)

    def write(self, chunk: Chunk) -> None:
        """Append the structures of a chunk."""
        self._stream.write("".join(frames(chunk)).encode())
        kept(self._stream, self._record, chunk.first + len(chunk))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def finish(self) -> None:
        """Nothing follows the last frame."""


def resumed(path: Path, record: ExportRecord) -> Any:
    """The file opened for more, cut to the bytes that the record vouches for; from its start where it is shorter than those."""
    with or_output_error(path):
        stream = path.open("r+b" if path.exists() else "w+b")
        size = int(record.facts.get("bytes", 0))
        if stream.seek(0, os.SEEK_END) < size:
            size = 0
            record.save(0)
        stream.truncate(size)
        stream.seek(size)
    return stream


def kept(stream: Any, record: ExportRecord, done: int) -> None:
    """Bring what was written to the disk, then say so in the record."""
    with or_output_error(record.path):
        stream.flush()
        os.fsync(stream.fileno())
    record.save(done, bytes=stream.tell())


def frames(chunk: Chunk) -> Iterator[str]:
    """The text of each structure."""
    for row, columns in enumerate(chunk.rows()):
        symbols, positions = chunk.atoms(row)
        fields = " ".join(f"{_key(name)}={_value(value)}" for name, value in columns.items())
        lines = [f"{symbol} {x:.9g} {y:.9g} {z:.9g}\n" for symbol, (x, y, z) in zip(symbols, positions.tolist(), strict=True)]
        yield f'{len(symbols)}\nProperties=species:S:1:pos:R:3 pbc="F F F" {fields}\n{"".join(lines)}'


@lru_cache(maxsize=1024)
def _key(name: str) -> str:
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    word = f"_{word}" if word[:1].isdigit() else word
    return f"{word}_" if word.lower() in TAKEN else word


def _value(value: Any) -> str:
    return text_value(value) if isinstance(value, str) else repr(value)


@lru_cache(maxsize=65536)
def text_value(text: str) -> str:
    """A text as a value of the comment line, such that ASE reads the same text."""
    if not stays_text(text) or text.startswith("_JSON "):
        text = f"_JSON {json.dumps(text)}"
    if _QUOTED.search(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def stays_text(text: str) -> bool:
    """False for what a reader that guesses types takes for a number, a list of numbers, a truth value or a line break."""
    words = re.findall(r"[^\s,]+", text)
    if not words or not text.isascii() or not text.isprintable() or text != text.strip():
        return False
    return not (_NUMBER_LIKE.fullmatch(words[0]) or words[0].lstrip("+-").lower() in _WORDS)
