"""Every checksum and invariant of a catalog."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import SUFFIX
from deepstruc_hpc.data.catalog_block import BlockContent, bytes_digest, files_digest, read_block
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.leftovers import leftovers
from deepstruc_hpc.data.manifest import BlockEntry
from deepstruc_hpc.data.schema import COLUMN_NAMES
from deepstruc_hpc.data.species import SYMBOLS

ID_DIGITS = 16
"""Hexadecimal digits of a structure's id."""
_HEX = re.compile("[0-9a-f]")


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a block (or, with an empty name, with the whole)."""

    block: str
    message: str

    def __str__(self) -> str:
        return f"block {self.block}: {self.message}" if self.block else self.message


@dataclass(frozen=True, eq=False)
class CheckedBlock:
    """What a check of one block found.

    Attributes:
        faults: what is wrong, in words.
        ids: (S,) uint64, the structures' ids as numbers.
    """

    faults: tuple[str, ...]
    ids: NDArray[np.uint64]


class BlockChecker:
    """Checks blocks of one catalog by their numbers; holds the opened catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __call__(self, item: int) -> CheckedBlock:
        """Check one block: bytes against the manifest's digest, values against the content hash, and what must hold of the values."""
        ids: list[str] = []
        faults = tuple(check_block(self._catalog, item, ids))
        return CheckedBlock(faults, id_numbers(ids))


def verify(catalog: Catalog, on_block: Callable[[], None] = lambda: None) -> list[Fault]:
    """Check all blocks, one after the other.

    Args:
        catalog: an open catalog.
        on_block: called after each block, for a progress bar.
    """
    checker = BlockChecker(catalog)
    checked: dict[int, CheckedBlock] = {}
    for number in range(len(catalog.blocks)):
        checked[number] = checker(number)
        on_block()
    return faults_of(catalog, checked)


def faults_of(catalog: Catalog, checked: Mapping[int, CheckedBlock]) -> list[Fault]:
    """All that is wrong with a catalog, from the checks of its blocks: those of each block, and structures that two blocks hold."""
    found: dict[int, list[str]] = {number: list(checked[number].faults) for number in sorted(checked)}
    for first, second, number in _repeated(checked):
        found[second].append(f"structure {number:016x} is also in block {catalog.blocks[first].id}")
    stored_r = _stored_r(catalog)
    whole = [] if stored_r is None else [stored_r]
    return whole + [Fault(catalog.blocks[number].id, message) for number, messages in found.items() for message in messages]


def id_numbers(ids: Sequence[str]) -> NDArray[np.uint64]:
    """(S,) the ids of structures as numbers of 64 bits: what their 16 hexadecimal digits say; of another id a hash."""
    if all(len(name) == ID_DIGITS and not _HEX.sub("", name) for name in ids):
        return np.frombuffer(bytes.fromhex("".join(ids)), dtype=">u8").astype(np.uint64)
    return np.array([_number(name) for name in ids], dtype=np.uint64)


def _number(name: str) -> int:
    is_hex = len(name) == ID_DIGITS and not _HEX.sub("", name)
    return int(name, 16) if is_hex else int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _repeated(checked: Mapping[int, CheckedBlock]) -> Iterator[tuple[int, int, int]]:
    """First block, later block and id of structures that are there twice."""
    numbers = sorted(checked)
    ids = np.concatenate([checked[number].ids for number in numbers]) if numbers else np.empty(0, dtype=np.uint64)
    owners = np.repeat(numbers, [len(checked[number].ids) for number in numbers])
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    yield from ((int(owners[order[place]]), int(owners[order[place + 1]]), int(ids[order[place]])) for place in same)


def orphans(catalog: Catalog) -> list[str]:
    """See :func:`deepstruc_hpc.data.leftovers.leftovers`."""
    return leftovers(catalog.files, catalog.manifest)


def check_block(catalog: Catalog, number: int, ids: list[str]) -> Iterator[str]:
    """What is wrong with one block; the ids of its structures are added to ``ids``."""
    block = catalog.blocks[number]
    try:
        digest = stored_digest(catalog, block)
    except OSError as unreadable:
        yield f"cannot be read ({unreadable})"
        return
    if digest is None:
        yield "its files are missing"
        return
    if digest != block.digest:
        yield "the bytes on disk are not those that were written (checksum)"
    try:
        content = read_block(catalog.group(number))
        matches = content.content_hash() == block.stored_content
    except (StoreError, UnicodeDecodeError, AttributeError, IndexError) as damaged:
        yield f"cannot be decoded ({damaged})"
        return
    if not matches:
        yield "the values are not those that were written (content hash)"
    yield from invariants(content, len(catalog.r))
    yield from _marks(block, len(content))
    live = block.live_rows()
    stored_ids = content.columns.get("id", np.empty(0, dtype=object))
    ids += (stored_ids if live is None or len(stored_ids) != len(content) else stored_ids[live]).tolist()


def _marks(block: BlockEntry, rows: int) -> Iterator[str]:
    """What is wrong with what the manifest says of the rows."""
    if block.n_structures + block.n_deleted != rows:
        yield f"{rows} rows are stored, the manifest says {block.n_structures} and {block.n_deleted} deleted ones"
    elif len(block.deleted_rows()) != block.n_deleted:
        yield f"{len(block.deleted_rows())} rows are marked as deleted, the manifest says {block.n_deleted}"


def stored_digest(catalog: Catalog, block: BlockEntry) -> str | None:
    """Hash of a block's bytes as they are now; None where there are none.

    Raises:
        OSError: they cannot be read.
    """
    if block.path.endswith(SUFFIX):
        try:
            return bytes_digest(catalog.files.read(block.path))
        except FileNotFoundError:
            return None
    prefix = f"{block.path}/"
    found = catalog.files.read_all(catalog.files.keys(block.path))
    return files_digest({key.removeprefix(prefix): content for key, content in found.items()}) if found else None


def invariants(content: BlockContent, n_points: int) -> Iterator[str]:
    """What must hold of the values of any block."""
    rows = len(content)
    missing = [name for name in COLUMN_NAMES if name not in content.columns]
    if missing:
        yield f"column {missing[0]} is missing"
    if content.offsets[0] != 0 or content.offsets[-1] != len(content.species) or (np.diff(content.offsets) < 1).any():
        yield "offsets do not divide the atoms into structures"
    if content.positions.shape != (len(content.species), 3):
        yield f"positions have the shape {content.positions.shape} for {len(content.species)} atoms"
    if len(content.species) and (content.species.min() < 1 or content.species.max() > len(SYMBOLS)):
        yield "species holds numbers that are no elements"
    if content.pdf.shape != (rows, n_points):
        yield f"pdf has the shape {content.pdf.shape}, needed is {(rows, n_points)}"
    if not (np.isfinite(content.pdf).all() and np.isfinite(content.positions).all()):
        yield "NaN or infinity among the values"
    for name, values in content.columns.items():
        if len(values) != rows:
            yield f"column {name} has {len(values)} rows for {rows} structures"
    if "n_atoms" in content.columns and not np.array_equal(content.columns["n_atoms"], np.diff(content.offsets)):
        yield "n_atoms does not fit the offsets"


def _stored_r(catalog: Catalog) -> Fault | None:
    try:
        stored = catalog.root["r"][:]
    except (KeyError, ValueError, OSError, RuntimeError) as damaged:
        return Fault("", f"the r grid cannot be read ({damaged})")
    return None if np.array_equal(stored, catalog.r) else Fault("", "the stored r grid is not that of the conditions")
