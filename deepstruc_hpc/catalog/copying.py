"""Blocks made of rows of other blocks: what merge, compact and split have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.build import BuildReport, finish, remove_orphans, report_of
from deepstruc_hpc.catalog.over_blocks import over_blocks
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.catalog_block import BlockContent, joined_kinds
from deepstruc_hpc.data.catalog_index import store_block
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.manifest import ROOT, BlockEntry, Manifest, create_store
from deepstruc_hpc.data.manifest_writer import ManifestWriter
from deepstruc_hpc.data.store_files import StoreFiles


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows of one block.

    Attributes:
        source: number of the catalog.
        block: number of the block in it.
        rows: ascending, deleted ones not counted; None for all.
    """

    source: int
    block: int
    rows: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class CopiedBlock:
    """A block to make: its id, and the pieces of which it consists."""

    id: str
    pieces: tuple[Piece, ...]


class BlockCopier:
    """Reads pieces, writes them as one block of the target and returns its entry; holds the opened catalogs."""

    def __init__(self, sources: Sequence[Catalog], target: str) -> None:
        self._sources, self._target = tuple(sources), StoreFiles(target)

    def __call__(self, item: CopiedBlock) -> BlockEntry:
        """Make one block: equal pieces give an equal content hash."""
        contents = [self._sources[piece.source].read_block(piece.block).taking(piece.rows) for piece in item.pieces]
        kinds = [self._sources[piece.source].blocks[piece.block].parameters for piece in item.pieces]
        content = BlockContent.joined(contents, kinds)
        return store_block(self._target, item.id, content, joined_kinds(kinds))


def copied_block(prefix: str, pieces: Sequence[Piece], ids: Iterable[str]) -> CopiedBlock:
    """A block to make whose id holds its place and a hash of its structures' ids."""
    return CopiedBlock(f"{prefix}-{blake2b(''.join(ids).encode(), digest_size=6).hexdigest()}", tuple(pieces))


def copy_into(
    out: StoreFiles, planned: Manifest, sources: Sequence[Catalog], blocks: Sequence[CopiedBlock], *, workers: int | None, label: str, progress: bool
) -> BuildReport:
    """Make a store of rows of others, or what is missing of it there. The caller holds the store's lock.

    Raises:
        StoreError: the store holds another catalog.
        OutputError: it cannot be written. What the manifest names is whole, and a second call goes on.
    """
    manifest = _existing(out, planned)
    remove_orphans(out, manifest)
    found = frozenset(manifest.blocks)
    missing = [block for block in blocks if block.id not in found]
    writer = ManifestWriter(out, manifest)
    with ExitStack() as stack:
        stack.callback(writer.close)
        for _, entry in over_blocks(partial(BlockCopier, sources, out.url), missing, workers=workers, label=label, progress=progress):
            writer.add(entry)
    finish(out, writer.manifest)
    return report_of(out, writer.manifest, found, {}, 0.0)


def require_complete(catalog: Catalog) -> None:
    """Refuse a catalog that is still being built.

    Raises:
        StoreError: saying so.
    """
    if not catalog.complete:
        url = catalog.files.url
        raise StoreError(f"{url}: not complete. Finish it first: deepstruc-hpc catalog build RECIPE --out {url}")


def _existing(files: StoreFiles, planned: Manifest) -> Manifest:
    """The manifest of an earlier call for the same, or of a new store."""
    if not files.exists(ROOT):
        create_store(files, planned)
        return planned
    manifest = Manifest.read(files)
    if (manifest.recipe_hash, manifest.n_planned) != (planned.recipe_hash, planned.n_planned):
        raise StoreError(f"{files.url}: holds another catalog. Choose another --out.")
    return manifest
