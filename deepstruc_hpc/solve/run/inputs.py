"""From what a user names (files, directories, globs, lists) to the PDFs to solve, each with a folder name of its own."""

from __future__ import annotations

import csv
import glob
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from deepstruc_hpc.core.errors import ConfigError, NoCurveError, PdfFileError
from deepstruc_hpc.core.files import natural_order, shown_name, split_inside
from deepstruc_hpc.data.hdf5_tree import SUFFIXES as HDF5_SUFFIXES
from deepstruc_hpc.data.hdf5_tree import is_hdf5

PDF_SUFFIXES = (".gr", ".cgr", ".fgr", *HDF5_SUFFIXES)
TABLE_SUFFIXES = (".xy", ".dat", ".txt", ".asc", ".csv")
"""Endings under which programs write columns of anything, a G(r) too: in a directory such files are not read, but said."""
LIST_SUFFIXES = (".lst", ".list")
WHOLE_AFTER_S = 1.0
"""Seconds without a change after which a file is taken for whole."""
_MOST_LISTED = 6
"""Names in a message."""


@dataclass(frozen=True)
class PdfItem:
    """One PDF to solve.

    Attributes:
        path: absolute; of a curve inside an HDF5 file with its place there, ``/data/a.h5#/entry/pdf[12]``.
        folder: name of its folder in the output directory, unique there.
        values: settings for this file alone (from a table of values).
    """

    path: Path
    folder: str
    values: Mapping[str, Any] = field(default_factory=dict)


def find_pdfs(
    paths: Iterable[str | Path], *, recursive: bool = False, allow_empty: bool = False, skipped: dict[Path, str] | None = None
) -> list[Path]:
    """The PDF files that the paths name, absolute, each once, in order of the paths and then by name, numbers in names counted as numbers.

    A directory gives its files with a known ending (with ``recursive`` those below it too), a glob what it matches, a file itself, and
    a list (``@NAME``, or a ``.lst``/``.list`` file) one path a line, relative to the list's own folder. An HDF5 file gives all its curves, or those
    at a place inside it (``a.h5::/entry/pdf``); one that cannot be read gives itself. An HDF5 file of a directory that holds no curve, such as one
    of images, is left out as other files are that are no PDFs.

    Args:
        paths: what the user named.
        recursive: look below directories, too.
        allow_empty: a directory or glob may have nothing yet.
        skipped: takes the HDF5 files of directories that were left out, with the reason.

    Raises:
        PdfFileError: naming a path that is not there, or saying where nothing was found.
    """
    found: dict[Path, None] = {}
    left = {} if skipped is None else skipped
    names = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not names:
        raise PdfFileError("no input: name at least one .gr file, directory, glob or list.")
    for name in names:
        before, folder = len(found), Path(name).expanduser().is_dir()
        expanded = _expand(name, recursive=recursive, allow_empty=allow_empty)
        for path in expanded:
            try:
                curves = _curves_of(path, strict=folder)
            except NoCurveError as other:
                left[path.resolve()] = str(other)
                continue
            for curve in curves:
                found.setdefault(curve)
        if folder and expanded and len(found) == before and not allow_empty and all(path.resolve() in left for path in expanded):
            raise PdfFileError(f"{name}: none of its {len(expanded)} HDF5 files holds a G(r). {left[expanded[0].resolve()]}")
    return list(found)


def skipped_in_words(skipped: Mapping[Path, str]) -> list[str]:
    """One sentence on the files of directories that hold no curve; none where there are none."""
    if not skipped:
        return []
    names = [path.name for path in sorted(skipped, key=natural_order)]
    listed = ", ".join(names[:_MOST_LISTED]) + (f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else "")
    return [f"{len(names)} HDF5 files of the directories hold no G(r) and were left out: {listed}. Name a file to be told what it holds."]


def other_tables_in_words(names: Iterable[str | Path], *, recursive: bool = False, apart: Path | None = None) -> list[str]:
    """A sentence on each directory that also holds tables under other endings, which may be curves; none where there are none.

    Args:
        names: what the user named.
        recursive: look below directories, too.
        apart: a table that is known for another one (of values), or None.
    """
    sentences = []
    for folder in filter(Path.is_dir, (Path(name).expanduser() for name in names)):
        entries = folder.rglob("*") if recursive else folder.iterdir()
        tables = [entry for entry in entries if entry.suffix.lower() in TABLE_SUFFIXES and entry.is_file() and not entry.name.startswith(".")]
        others = sorted((table for table in tables if apart is None or table.resolve() != apart.resolve()), key=natural_order)
        if others:
            listed = ", ".join(one.name for one in others[:_MOST_LISTED]) + (" …" if len(others) > _MOST_LISTED else "")
            hint = f"'{folder / f'*{others[0].suffix}'}'"
            whose = f"1 file of {folder} has" if len(others) == 1 else f"{len(others)} files of {folder} have"
            sentences.append(f"{whose} another ending than a curve, so not read: {listed}. To read what holds G(r) there, name {hint}.")
    return sentences


def _curves_of(path: Path, *, strict: bool) -> list[Path]:
    """The file, absolute; of an HDF5 file with several curves one path for each; ``strict``: see :func:`curve_paths`."""
    file, inside = split_inside(path)
    whole, ending = file.resolve(), file.suffix.lower()
    if not inside and ending not in HDF5_SUFFIXES and (ending in PDF_SUFFIXES or not is_hdf5(whole)):
        return [whole]
    from deepstruc_hpc.data.hdf5_curves import curve_paths

    return curve_paths(Path(f"{whole}::{inside}") if inside else whole, strict=strict)


def _expand(name: str, *, recursive: bool, allow_empty: bool) -> list[Path]:
    path = Path(name).expanduser()
    file, place = split_inside(path)
    if place:
        return [Path(f"{one}::{place}") for one in _expand(str(file), recursive=recursive, allow_empty=allow_empty)]
    if name.startswith("@") or (path.is_file() and path.suffix.lower() in LIST_SUFFIXES):
        return _read_list(Path(name.removeprefix("@")).expanduser(), recursive=recursive)
    if path.is_dir():
        entries = list(path.rglob("*") if recursive else path.iterdir())
        known = [entry for entry in entries if entry.suffix.lower() in PDF_SUFFIXES and entry.is_file() and not entry.name.startswith(".")]
        inside = sorted(known, key=natural_order)
        if not inside and not allow_empty:
            below = "" if recursive else " (use --recursive to look in the folders below)"
            other = next((entry.suffix for entry in sorted(entries) if entry.suffix.lower() in TABLE_SUFFIXES and entry.name[0] != "."), ".txt")
            hint = f"Name others by a glob: '{path / f'*{other}'}'."
            raise PdfFileError(f"{name}: no {', '.join(PDF_SUFFIXES)} file in this directory{below}. {hint}")
        return inside
    if path.exists():
        return [path]
    if glob.has_magic(name):
        matches = [Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file()]  # noqa: PTH207
        matched = sorted(matches, key=natural_order)
        if not matched and not allow_empty:
            raise PdfFileError(f"{name}: no file matches this pattern. Check the path and the quotes around the pattern.")
        return matched
    raise PdfFileError(f"{name}: no such file or directory. Check the path.")


def _read_list(path: Path, *, recursive: bool) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as missing:
        raise PdfFileError(f"{path}: no such list of files. Check the path.") from missing
    except (OSError, UnicodeDecodeError) as unreadable:
        raise PdfFileError(f"{path}: cannot be read as a list of files ({unreadable}). One path a line is needed.") from unreadable
    entries = [text for line in lines if (text := line.strip()) and not text.startswith("#")]
    if not entries:
        raise PdfFileError(f"{path}: the list is empty. One path a line is needed.")
    found: list[Path] = []
    for entry in entries:
        found += _expand(str(path.parent / Path(entry).expanduser()), recursive=recursive, allow_empty=False)
    return found


def read_values(path: Path) -> dict[str, dict[str, Any]]:
    """A CSV table of settings for single files: a column ``file`` (name, stem or path) and columns named like the settings.

    Raises:
        ConfigError: when the table cannot be read or has no ``file`` column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle, skipinitialspace=True))
    except (OSError, UnicodeDecodeError) as unreadable:
        raise ConfigError(f"{path}: cannot be read ({unreadable}). A CSV table with a column 'file' is needed.") from unreadable
    if not rows or "file" not in rows[0]:
        raise ConfigError(f"{path}: found the columns {', '.join(rows[0]) if rows else 'none'}. A column 'file' and at least one row are needed.")
    return {row["file"].strip(): {key: value.strip() for key, value in row.items() if key != "file" and value and value.strip()} for row in rows}


def make_items(paths: Sequence[Path], taken: Mapping[str, str] | None = None, values: Mapping[str, Mapping[str, Any]] | None = None) -> list[PdfItem]:
    """Give each file its folder: its stem, and where two files share a stem the stem with a short hash of the path.

    Args:
        paths: absolute.
        taken: file → folder of earlier calls into the same output directory; such a file keeps its folder.
        values: from :func:`read_values`.
    """
    taken, values = dict(taken or {}), values or {}
    used = set(taken.values())
    stems = {path: _stem(path) for path in paths}
    shared = Counter(stems[path].lower() for path in paths if str(path) not in taken)
    items = []
    for path in paths:
        folder = taken.get(str(path))
        if folder is None:
            folder = stems[path]
            if shared[folder.lower()] > 1 or folder in used:
                folder = f"{folder}-{blake2b(str(path).encode(), digest_size=3).hexdigest()}"
        used.add(folder)
        file, _ = split_inside(path) if values else (path, "")
        own = next((values[key] for key in (str(path), shown_name(path), str(file), file.name, file.stem) if key in values), {})
        items.append(PdfItem(path, folder, dict(own)))
    return items


def is_whole(path: Path, sizes: dict[Path, int], *, now: float | None = None) -> bool:
    """Whether a file that arrives can be read: its size is that of the last look and nobody wrote to it for a second.

    Args:
        path: the file.
        sizes: bytes at the last look; updated here.
        now: seconds since the epoch; the clock where None.
    """
    try:
        state = split_inside(path)[0].stat()
    except OSError:
        return False
    same = sizes.get(path) == state.st_size
    sizes[path] = state.st_size
    return same and state.st_size > 0 and (time.time() if now is None else now) - state.st_mtime > WHOLE_AFTER_S


def _stem(path: Path) -> str:
    """A folder's name for a file or a curve inside one: ``a.gr`` → a, ``a.h5#/entry/pdf[12]`` → a_entry_pdf_12."""
    file, inside = split_inside(path)
    return _safe(f"{file.stem}{inside}").rstrip("_") if inside else _safe(path.stem)


def _safe(stem: str) -> str:
    return re.sub(r"[^\w.+=-]+", "_", stem).strip(".") or "pdf"
