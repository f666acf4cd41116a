"""Names: of clients' files, kept as text to show; of our own files and secrets, made here."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Set

from deepstruc_hpc.solve.run.inputs import PDF_SUFFIXES

LONGEST_NAME = 120
"""Characters of a shown name; file systems allow 255 bytes."""
TOKEN_BYTES = 24
"""192 bits of randomness: a token cannot be guessed, so a plain hash of it is enough to keep."""
SHORTEST_TOKEN = 16
"""Characters of a token that somebody chooses."""
READ_BY_ENDING = (*PDF_SUFFIXES, ".gofr", ".fq", ".sq", ".soq", ".iq", ".chi", ".xye")
"""Endings that tell the reader something. A stored file has one of these or ``.txt``: never what a client wrote, never that of a list."""
_FORMULA_STARTS = ("=", "+", "-", "@")
"""A cell of a table that begins so is calculated by some programs."""


def shown_text(text: str, longest: int = LONGEST_NAME) -> str:
    """A client's text without control characters, marks that turn the direction of writing, and surrogates; cut to a length.

    Letters of all scripts stay. The text is shown and never used as a path.
    """
    plain = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    spaced = "".join(" " if character.isspace() else character for character in plain)
    kept = "".join(character for character in spaced if unicodedata.category(character)[0] != "C")
    return " ".join(kept.split())[:longest].strip()


def file_name(text: str, taken: Set[str] = frozenset()) -> str:
    """What a client's file is called: the last part of its path, as text; with a number where the job has that name already.

    ``..``, an empty name and names of dots alone become ``file``; a name that a table would take for a formula gets ``_`` before it.
    """
    last = shown_text(text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])
    name = last if last.strip(". ") else "file"
    name = f"_{name}" if name.startswith(_FORMULA_STARTS) else name
    chosen, number = name, 1
    while chosen in taken:
        number += 1
        chosen = f"{name} ({number})"
    return chosen


def curve_name(name: str, place: str) -> str:
    """What one of several curves of an HDF5 file is called, in the way of the results: ``scan.h5#/entry/pdf[12]``."""
    return f"{name}#{place}" if "." in name.strip(".") else f"{name}.h5#{place}"


def stored_ending(text: str) -> str:
    """The ending of the file that keeps an upload: one of our own list."""
    low = text.lower()
    return next((ending for ending in READ_BY_ENDING if low.endswith(ending)), ".txt")


def stored_name(number: int, ending: str) -> str:
    """The file's name below the job's directory: ``f00012.gr``."""
    return f"f{number:05d}{ending}"


def folder_name(number: int) -> str:
    """The folder of a curve's results: ``c00012``."""
    return f"c{number:05d}"


def new_token() -> str:
    """A secret for a user or a shared link."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_id() -> str:
    """The id of a job: 24 hexadecimal digits that nobody can guess."""
    return secrets.token_hex(12)


def token_hash(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
