"""What an HDF5 file holds, without its numbers: groups, datasets, attributes, links followed. h5py is imported when a file is opened."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.files import natural_order

SUFFIXES = (".h5", ".hdf5", ".nxs", ".nexus")
"""Endings of HDF5 files that a folder gives."""
MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 200_000
LONGEST_TEXT = 20_000
CACHE_BYTES = 64 * 1024 * 1024
"""Of HDF5's chunk cache: a chunk may hold many curves of a stack, and is unpacked once."""


@dataclass(frozen=True)
class Node:
    """A group or a dataset.

    Attributes:
        path: from the root on.
        shape: None for a group.
        kind: ``number``, ``text``, ``table`` (named fields), ``other``; '' for a group.
        fields: names of a table's fields.
        attributes: decoded: numbers, texts, lists of them.
        value: of a dataset that is one number or text, else None.
    """

    path: str
    shape: tuple[int, ...] | None = None
    kind: str = ""
    fields: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def parent(self) -> str:
        """The path of the group that it is in; '/' at the top."""
        return self.path.rsplit("/", 1)[0] or "/"

    def text(self, *keys: str) -> str:
        """The first of several attributes that is a text; '' where there is none."""
        for key in keys:
            value = self.attributes.get(key)
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if isinstance(value, str) and value.strip():
                return value.strip()
        return ""


@dataclass(frozen=True, eq=False)
class Tree:
    """All nodes of a file by path; ``aliases`` are further paths of datasets with their first one, ``dangling`` links that lead nowhere."""

    nodes: Mapping[str, Node]
    aliases: Mapping[str, str] = field(default_factory=dict)
    dangling: tuple[str, ...] = ()

    @cached_property
    def _by_parent(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            found.setdefault(node.parent if node.path != "/" else "", []).append(node)
        return found

    def children(self, group: str) -> list[Node]:
        """What is in a group."""
        return self._by_parent.get(group, [])

    def same(self, path: str) -> str:
        """The first path of the dataset that a path leads to."""
        return self.aliases.get(path, path)

    def numeric(self) -> list[Node]:
        """Datasets of numbers with at least one dimension."""
        return [node for node in self.nodes.values() if node.kind in ("number", "table") and node.shape]


def is_hdf5(path: Path) -> bool:
    """Whether a file is read as HDF5: by its ending, or because it begins like one."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as handle:
            return handle.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file, read-only and without a lock, so that a writer is neither waited for nor disturbed.

    Raises:
        PdfFileError: it is not there, no HDF5, cut off, being written, packed by a filter that is missing, or damaged.
    """
    _check_bytes(path)
    import h5py

    if importlib.util.find_spec("hdf5plugin"):  # filters of detectors; optional
        importlib.import_module("hdf5plugin")
    try:
        handle = _open(h5py, path)
    except OSError as refused:
        raise PdfFileError(f"{path}: {_why(path, str(refused))}") from refused
    try:
        with handle:
            yield handle
    except (OSError, RuntimeError) as refused:
        raise PdfFileError(f"{path}: {_why(path, str(refused))}") from refused


def _open(h5py: Any, path: Path) -> Any:
    try:
        return h5py.File(path, "r", locking=False, rdcc_nbytes=CACHE_BYTES)
    except OSError as refused:
        if "already open for write" not in str(refused):
            raise
        return h5py.File(path, "r", locking=False, swmr=True, rdcc_nbytes=CACHE_BYTES)


def _check_bytes(path: Path) -> None:
    try:
        if path.is_dir():
            raise PdfFileError(f"{path}: is a directory. One file is needed here.")
        if not path.exists():
            raise PdfFileError(f"{path}: no such file. Check the path.")
        with path.open("rb") as handle:
            start = handle.read(len(MAGIC))
            places = [512 << number for number in range(12)]  # a user block may come first
            magic = start == MAGIC or any(handle.seek(place) == place and handle.read(len(MAGIC)) == MAGIC for place in places)
    except OSError as refused:
        raise PdfFileError(f"{path}: cannot be read ({refused}). Check the path and its permissions.") from refused
    if not start:
        raise PdfFileError(f"{path}: the file is empty (0 bytes). Was the copy or export interrupted?")
    if not magic:
        known = "is an older kind of NeXus file (HDF4)" if start.startswith(b"\x0e\x03\x13\x01") else "is no HDF5 file, though its ending says so"
        raise PdfFileError(f"{path}: {known} (it begins with {start!r}). Export G(r) as HDF5 or as text.")


def _why(path: Path, reason: str) -> str:
    """The library's reason in plain words, with the remedy."""
    low = reason.lower()
    if "already open for write" in low or "unable to lock" in low or "swmr" in low:
        return "is an HDF5 file that another program is writing, or did not close. Solve it when that program has closed it."
    truncated = re.search(r"truncated file: eof = (\d+).*stored_eof = (\d+)", low)
    if truncated:
        return f"is an HDF5 file that is cut off ({truncated[1]} of {truncated[2]} bytes). Copy it again, or wait until it is written."
    if "filter" in low or "plugin" in low:
        return f"its numbers are packed by a filter that is not installed ({_short(reason)}). Install it: pip install hdf5plugin."
    return f"is an HDF5 file that is damaged, cut off or still being written ({_short(reason)}; {path.stat().st_size} bytes). Copy it again."


def _short(reason: str) -> str:
    words = " ".join(reason.split())
    return words if len(words) <= 160 else words[:159] + "…"


def read_tree(path: Path) -> Tree:
    """The tree of a file; kept for the last few files until they change.

    Raises:
        PdfFileError: see :func:`opened`; or more than 200,000 objects.
    """
    try:
        state = path.stat()
        key = state.st_mtime_ns, state.st_size
    except OSError:
        key = 0, 0
    return _tree(path, key)


@lru_cache(maxsize=8)
def _tree(path: Path, _state: tuple[int, int]) -> Tree:
    with opened(path) as handle:
        return _Walk(str(path)).tree(handle)


class _Walk:
    """Goes through a file once; links that lead in circles are followed once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.nodes: dict[str, Node] = {}
        self.seen: dict[Any, str] = {}
        self.aliases: dict[str, str] = {}
        self.dangling: list[str] = []

    def tree(self, handle: Any) -> Tree:
        self.nodes["/"] = Node("/", attributes=_attributes(handle))
        self.seen[_identity(handle)] = "/"
        waiting = [("", handle)]
        while waiting:
            place, group = waiting.pop()
            waiting += reversed(self._group(place, group))
        return Tree(self.nodes, self.aliases, tuple(self.dangling))

    def _group(self, place: str, group: Any) -> list[tuple[str, Any]]:
        below = []
        keys = list(group)
        for key in (
            sorted(keys, key=natural_order) if keys == sorted(keys, key=os.fsdecode) else keys
        ):  # else in the order in which a program made them
            path = f"{place}/{key}"
            try:
                item = group[key]
            except (KeyError, OSError):
                self.dangling.append(path)
                continue
            if len(self.nodes) > MOST_OBJECTS:
                raise PdfFileError(f"{self.path}: holds more than {MOST_OBJECTS} objects. Name the dataset: {self.path}::/path/to/it.")
            identity = _identity(item)
            first = identity not in self.seen
            self.seen.setdefault(identity, path)
            if hasattr(item, "keys"):
                if first:
                    self.nodes[path] = Node(path, attributes=_attributes(item))
                    below.append((path, item))
            elif hasattr(item, "shape"):
                if not first:
                    self.aliases[path] = self.seen[identity]
                self.nodes[path] = _dataset(path, item)
        return below


def _identity(item: Any) -> Any:
    import h5py

    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def _dataset(path: str, item: Any) -> Node:
    dtype = item.dtype
    fields = tuple(dtype.names or ())
    kind = "table" if fields else "number" if dtype.kind in "iuf" else "text" if dtype.kind in "OSU" else "other"
    shape = tuple(item.shape) if item.shape is not None else (0,)
    value = None
    if kind in ("number", "text") and shape in ((), (1,)):
        try:
            value = _decoded(item[()])
        except (OSError, ValueError, TypeError):
            value = None
    return Node(path, shape, kind, fields, _attributes(item), value)


def _attributes(item: Any) -> dict[str, Any]:
    found = {}
    for key in item.attrs:
        try:
            value = _decoded(item.attrs[key])
        except (OSError, TypeError, ValueError, KeyError, RuntimeError):  # types that h5py cannot read
            continue
        if value is not None:
            found[str(key)] = value
    return found


def _decoded(value: Any) -> Any:
    """Numbers, texts and short lists of them; None for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")[:LONGEST_TEXT]
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return _decoded(value.reshape(-1)[0])
        return [_decoded(one) for one in value.reshape(-1)] if value.size <= 64 and value.dtype.kind in "OSUiuf" else None
    if isinstance(value, np.generic | int | float) and np.isrealobj(value):
        number = value.item() if isinstance(value, np.generic) else value
        return number.decode("utf-8", errors="replace") if isinstance(number, bytes) else number if isinstance(number, int | float | str) else None
    return None
