"""Every checksum and invariant of a catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import SUFFIX
from deepstruc_hpc.data.catalog_block import BlockContent, bytes_digest, files_digest, read_block
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.manifest import BlockEntry, leftovers
from deepstruc_hpc.data.schema import COLUMN_NAMES
from deepstruc_hpc.data.species import SYMBOLS


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a block (or, with an empty name, with the whole)."""

    block: str
    message: str

    def __str__(self) -> str:
        return f"block {self.block}: {self.message}" if self.block else self.message


def verify(catalog: Catalog, on_block: Callable[[], None] = lambda: None) -> list[Fault]:
    """Check all blocks: bytes against the manifest's digest, values against the content hash, and what must hold of the values.

    Args:
        catalog: an open catalog.
        on_block: called after each block, for a progress bar.
    """
    faults: list[Fault] = []
    seen: dict[str, str] = {}
    stored_r = _stored_r(catalog)
    if stored_r is not None:
        faults.append(stored_r)
    for number, block in enumerate(catalog.blocks):
        faults += [Fault(block.id, message) for message in check_block(catalog, number, block, seen)]
        on_block()
    return faults


def orphans(catalog: Catalog) -> list[str]:
    """Blocks that no manifest names: left by builds that were killed. They do no harm and the next build removes them."""
    return leftovers(catalog.files, catalog.manifest)


def check_block(catalog: Catalog, number: int, block: BlockEntry, seen: dict[str, str]) -> Iterator[str]:
    """What is wrong with one block; ``seen`` collects the ids of structures over the blocks."""
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
        matches = content.content_hash() == block.content
    except (StoreError, UnicodeDecodeError, AttributeError, IndexError) as damaged:
        yield f"cannot be decoded ({damaged})"
        return
    if not matches:
        yield "the values are not those that were written (content hash)"
    yield from invariants(content, len(catalog.r))
    for structure_id in content.columns.get("id", np.empty(0, dtype=object)).tolist():
        if structure_id in seen:
            yield f"structure {structure_id} is also in block {seen[structure_id]}"
        seen[structure_id] = block.id


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
