"""Files that are whole or not there, and names of curves inside files."""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

from deepstruc_hpc.core.errors import OutputError

REMEDY = "Free space or check the permissions."
_NUMBERED = re.compile(r"(\D*)(\d*)", re.ASCII)
_INSIDE = re.compile(r"^(.+?\.\w+)(?:#|::)(/.*)$", re.DOTALL)


def split_inside(name: str | os.PathLike[str]) -> tuple[Path, str]:
    """The file and the place inside it of a curve's name; the place is '' where a file alone is named.

    ``a.h5#/entry/pdf[12]`` (as results name it) and ``a.h5::/entry/pdf[12]`` (as users type it) both give ``a.h5`` and ``/entry/pdf[12]``. A name
    that is itself a file's is never split.
    """
    match = _INSIDE.match(os.fspath(name))
    return (Path(match[1]), match[2]) if match and not Path(name).exists() else (Path(name), "")


def shown_name(name: str | os.PathLike[str]) -> str:
    """A file's name without its folders; of a curve inside a file with its place there: ``a.h5#/entry/pdf[12]``."""
    match = _INSIDE.match(os.fspath(name))
    return f"{Path(match[1]).name}#{match[2]}" if match else Path(name).name


def natural_order(name: str | os.PathLike[str]) -> tuple[tuple[tuple[tuple[str, int], ...], ...], str]:
    """What to sort names by so that numbers in them count as numbers: ``f5.gr``, ``F7.gr``, ``f100.gr``; ``a.h5#/gr[2]``, ``a.h5#/gr[10]``."""
    written = os.fsdecode(name)
    parts = tuple(tuple((words, int(digits or -1)) for words, digits in _NUMBERED.findall(part)) for part in written.lower().split("/"))
    return parts, written


def remove_partials(folder: Path) -> None:
    """Remove what :func:`write_atomically` left in a folder when its process was killed. Nobody else may be writing there.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in folder.glob(".*.part"):
        if re.fullmatch(r"\..+\.[0-9a-f]{8}\.part", path.name):
            path.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], content: str | bytes, *, remedy: str = REMEDY) -> Path:
    """Write a file so that a reader finds the old one or the new one, never half of it, and so that two writers do not mix.

    The content goes to a file of its own name in the same directory, which is then given the right name. Nothing of it is left after a failure.

    Args:
        path: of the file; its directory is there.
        content: text, written as UTF-8, or bytes.
        remedy: what the error tells its reader to do.

    Returns:
        The path.

    Raises:
        OutputError: with the path and the system's reason.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(target)
    except OSError as failed:
        raise OutputError(f"{target}: cannot be written ({failed.strerror or failed}). {remedy}") from failed
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return target
