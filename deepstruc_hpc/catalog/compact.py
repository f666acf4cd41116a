"""Compact a catalog: small blocks are joined, deleted rows dropped. Structures keep their ids and their order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from typing import Any

from deepstruc_hpc.catalog.build import finish, remove_orphans
from deepstruc_hpc.catalog.copying import BlockCopier, CopiedBlock, Piece, copied_block, require_complete
from deepstruc_hpc.catalog.over_blocks import over_blocks
from deepstruc_hpc.catalog.plan import LARGEST_BLOCK
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.manifest import BlockEntry, Manifest
from deepstruc_hpc.data.manifest_writer import ManifestWriter
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import building


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did, or would do.

    Attributes:
        store: path or URL.
        dry_run: True when nothing was changed.
        n_structures: in the store, before and after.
        n_dropped: deleted rows whose place is free now.
        n_blocks_before: blocks before.
        n_blocks: blocks now.
        n_written: blocks that were written anew.
        n_bytes_before: size of all blocks before.
        n_bytes: size of all blocks now; in a dry run what is known of it, 0.
        content_hash: of the catalog now.
        seconds: of this call.
    """

    store: str
    dry_run: bool
    n_structures: int
    n_dropped: int
    n_blocks_before: int
    n_blocks: int
    n_written: int
    n_bytes_before: int
    n_bytes: int
    content_hash: str
    seconds: float

    def facts(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def compact_catalog(
    store: str | PathLike[str], *, rows: int = LARGEST_BLOCK, dry_run: bool = False, workers: int | None = None, progress: bool = True
) -> CompactReport:
    """Join blocks that follow each other as long as they have at most ``rows`` structures together, and write those with deleted rows anew.

    Every state in between is a whole catalog with the same structures in the same order. After a kill the same call goes on, and ends with the same
    content. A catalog that was opened before cannot read blocks that have been joined since: open it again.

    Args:
        store: path or URL.
        rows: most structures of a joined block.
        dry_run: only say what it would be.
        workers: see :func:`deepstruc_hpc.catalog.over_blocks.over_blocks`.
        progress: show a bar on stderr.

    Raises:
        StoreError: the catalog is not complete, or another command writes it.
    """
    started = time.perf_counter()
    before = Catalog.open(store)
    require_complete(before)
    if dry_run:
        groups = [group for group in _groups(before.blocks, rows) if _changes(before.blocks, group)]
        n_blocks = len(before.blocks) - sum(len(group) - 1 for group in groups)
        return _report(before.manifest, before, n_blocks, len(groups), dry_run=True, seconds=0.0)
    files = StoreFiles(store)
    with building(files):
        before = Catalog(files, Manifest.read(files))
        remove_orphans(files, before.manifest)
        planned = dict(_planned(before, rows))
        writer = ManifestWriter(files, before.manifest)
        with ExitStack() as stack:
            stack.callback(writer.close)
            copier = partial(BlockCopier, [before], files.url)
            for block, entry in over_blocks(copier, list(planned.values()), workers=workers, label="joining blocks", progress=progress):
                writer.put(writer.manifest.with_joined([before.blocks[piece.block].id for piece in block.pieces], entry))
        remove_orphans(files, writer.manifest)
        finish(files, writer.manifest)
    seconds = round(time.perf_counter() - started, 3)
    return _report(writer.manifest, before, len(writer.manifest.blocks), len(planned), dry_run=False, seconds=seconds)


def _planned(catalog: Catalog, rows: int) -> Iterator[tuple[str, CopiedBlock]]:
    """The blocks to write. Each takes the place of the first of its members, which no other block has."""
    groups = [group for group in _groups(catalog.blocks, rows) if _changes(catalog.blocks, group)]
    ids: list[str] = catalog.query("", ["id"])["id"].tolist() if groups else []
    places = catalog.block_slices()
    for group in groups:
        prefix = "-".join(catalog.blocks[group[0]].id.split("-")[:2])
        named = copied_block(prefix, [Piece(0, number) for number in group], ids[places[group[0]].start : places[group[-1]].stop])
        yield named.id, named


def _groups(blocks: Sequence[BlockEntry], rows: int) -> list[list[int]]:
    """Numbers of blocks that become one. Where some are joined already the groups are the same, so that an interrupted call goes on."""
    groups: list[list[int]] = []
    filled = 0
    for number, block in enumerate(blocks):
        if groups and (0 in (filled, block.n_structures) or filled + block.n_structures <= rows):
            groups[-1].append(number)
            filled += block.n_structures
        else:
            groups.append([number])
            filled = block.n_structures
    return groups


def _changes(blocks: Sequence[BlockEntry], group: Sequence[int]) -> bool:
    return len(group) > 1 or blocks[group[0]].n_deleted > 0


def _report(manifest: Manifest, before: Catalog, n_blocks: int, n_written: int, *, dry_run: bool, seconds: float) -> CompactReport:
    return CompactReport(
        store=before.files.url,
        dry_run=dry_run,
        n_structures=len(before),
        n_dropped=sum(block.n_deleted for block in before.blocks),
        n_blocks_before=len(before.blocks),
        n_blocks=n_blocks,
        n_written=n_written,
        n_bytes_before=sum(block.n_bytes for block in before.blocks),
        n_bytes=0 if dry_run else sum(block.n_bytes for block in manifest.blocks.values()),
        content_hash=manifest.content_hash,
        seconds=seconds,
    )
