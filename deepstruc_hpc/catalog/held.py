"""Which structures of a plan a store holds already.

Workers turn the names of a part of the store into sorted numbers in a file, and look the plan's structures up there, a range at a time: no process
holds the names of all.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.over_blocks import over_blocks
from deepstruc_hpc.catalog.plan import Plan, Ticket, TicketReader, identities, identity
from deepstruc_hpc.catalog.shapes import ShapeFiles
from deepstruc_hpc.data.block_file import open_block
from deepstruc_hpc.data.catalog_block import read_block
from deepstruc_hpc.data.catalog_index import IndexPart, parts_of, read_part
from deepstruc_hpc.data.catalog_verify import id_numbers
from deepstruc_hpc.data.manifest import Manifest
from deepstruc_hpc.data.store_files import StoreFiles

NAMING = {"id": "str", "fingerprint": "str", "elements": "str", "nn_distance": "float64"}
"""Columns that say which structure a row is."""

LOOKED_UP_AT_ONCE = 2**16
"""Structures of a plan that a worker looks up at a time: about half a second of work."""


def without_held(files: StoreFiles, manifest: Manifest, plan: Plan, shelf: ShapeFiles, *, workers: int | None, progress: bool) -> Plan:
    """The plan without structures that the store holds; a deleted one counts as held until its row is dropped.

    Args:
        files: the store.
        manifest: the blocks that count.
        plan: of the recipe that is appended.
        shelf: where workers put what they share.
        workers: see :func:`deepstruc_hpc.catalog.over_blocks.over_blocks`.
        progress: show bars on stderr.
    """
    lister = partial(NameLister, files.url, shelf.folder)
    keys = sorted(key for _, key in over_blocks(lister, parts_of(manifest), workers=workers, label="listing names", progress=progress))
    lookup = partial(Lookup, files.url, keys, reader=plan.reader(shelf))
    fresh = np.ones(len(plan), dtype=bool)
    for ticket, found in over_blocks(lookup, list(plan.ranges(LOOKED_UP_AT_ONCE)), workers=workers, label="comparing names", progress=progress):
        first = ticket.number * LOOKED_UP_AT_ONCE
        fresh[first : first + ticket.count] = found
    return plan if fresh.all() else plan.keeping(fresh)


class NameLister:
    """Writes the numbers of all names of a part of a store, sorted, and returns the key of the file.

    Args:
        store: path or URL.
        folder: in the store.
    """

    def __init__(self, store: str, folder: str) -> None:
        self._files, self._folder = StoreFiles(store), folder

    def __call__(self, item: IndexPart) -> str:
        """One part; nothing where its file is there, as of an append that was interrupted."""
        key = f"{self._folder}/held-{PurePosixPath(item.key).stem}.npy"
        if not self._files.exists(key):
            numbers = [name_numbers(read_part(self._files, item, NAMING)), *(self._deleted(block) for block in item.blocks if block.n_deleted)]
            buffer = io.BytesIO()
            np.save(buffer, np.unique(np.concatenate([part.ravel() for part in numbers])))
            self._files.write({key: buffer.getvalue()})
        return key

    def _deleted(self, block: Any) -> NDArray[np.uint64]:
        group = open_block(self._files, block.path, block.n_bytes)
        return name_numbers(read_block(group, pdf=False, columns=tuple(NAMING)).taking(block.deleted_rows()).columns)


class Lookup:
    """Says which structures of a ticket no file of names holds. The files are mapped where the store is a directory, else they are read once.

    Args:
        store: path or URL.
        keys: of the files.
        reader: of the plan.
    """

    def __init__(self, store: str, keys: Sequence[str], *, reader: TicketReader) -> None:
        files = StoreFiles(store)
        self._held = [np.load(files.local_copy(key), mmap_mode="r" if files.is_local else None) for key in keys]
        self._reader = reader

    def __call__(self, item: Ticket) -> NDArray[np.bool_]:
        """(count,) True for a structure that is not held."""
        names = [identities(planned) for block in self._reader.blocks(item) for planned in block.structures]
        numbers = np.column_stack([id_numbers([name for name, _ in names]), _hashes(made_of for _, made_of in names)])
        known: NDArray[np.bool_] = np.zeros(numbers.shape, dtype=bool)
        for held in self._held:
            known |= is_among(numbers, held)
        fresh: NDArray[np.bool_] = ~np.logical_or.reduce(known, axis=1)
        return fresh


def is_among(numbers: NDArray[np.uint64], held: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which numbers are in a sorted list."""
    if not len(held):
        return np.zeros(numbers.shape, dtype=bool)
    places = np.minimum(np.searchsorted(held, numbers), len(held) - 1)
    found: NDArray[np.bool_] = np.asarray(held)[places] == numbers
    return found


def name_numbers(columns: Any) -> NDArray[np.uint64]:
    """(S, 2) two names of each structure as numbers of 64 bits: its id, and what it is made of.

    Args:
        columns: those of :data:`NAMING`, arrays of NumPy or Arrow.
    """
    ids, marks, elements, distances = (columns[name].to_pylist() if hasattr(columns[name], "to_pylist") else columns[name] for name in NAMING)
    whole = (
        identity(mark, "" if "-" in joined else joined, float("nan") if distance is None else distance)
        for mark, joined, distance in zip(marks, elements, distances, strict=True)
    )
    return np.column_stack([id_numbers(list(ids)), _hashes(whole)])


def _hashes(words: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big") for word in words], dtype=np.uint64)
