"""PDFs of a catalog in shuffled batches, straight from its blocks: for catalogs that do not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.catalog_store import Catalog

PAGE_BYTES = 4096


@dataclass(frozen=True, eq=False)
class PdfBatch:
    """One batch.

    Attributes:
        rows: (B,) numbers of the structures in the catalog.
        pdf: (B, R) float32, Å⁻².
    """

    rows: NDArray[np.int64]
    pdf: NDArray[np.float32]


def pdf_batches(
    catalog: Catalog,
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int = 0,
    readers: int = 2,
    blocks_at_once: int = 8,
    share: tuple[int, int] = (0, 1),
) -> Iterator[PdfBatch]:
    """Every row of one epoch once, shuffled, in batches.

    The blocks come in a random order. Some blocks at a time are read whole by several threads, ahead of what is asked for, and their rows are
    shuffled together: the disk is read in long strides, and a batch holds structures of all of these blocks. The order depends on the rows, seed,
    epoch and share alone.

    Memory: at most twice ``blocks_at_once`` blocks; blocks of a directory are mapped from their files, and the system takes that memory back as it
    needs it.

    Args:
        catalog: an open catalog.
        rows: numbers of the structures that belong to the epoch, for example ``split_rows(...).train``.
        batch_size: rows a batch; the last one may hold fewer.
        seed: of the order.
        epoch: another order each.
        readers: threads that read blocks.
        blocks_at_once: blocks that are shuffled together.
        share: (k, n): the k-th of n processes, which share the blocks out among them.

    Raises:
        ConfigError: a number below 1, or a share that is none.
        StoreError: a block cannot be read.
    """
    if min(batch_size, readers, blocks_at_once) < 1 or not 0 <= share[0] < share[1]:
        raise ConfigError(f"pdf_batches: batch_size {batch_size}, readers {readers}, blocks_at_once {blocks_at_once} must be at least 1, and share "
                          f"{share} must be (k, n) with 0 ≤ k < n.")  # fmt: skip
    rng = np.random.default_rng([seed, epoch, 0xB10C])
    of_blocks = [(number, np.sort(rows[places])) for number, places in catalog.by_block(np.asarray(rows, dtype=np.int64))]
    order = rng.permutation(len(of_blocks))[share[0] :: share[1]]
    groups = [[of_blocks[place] for place in order[first : first + blocks_at_once]] for first in range(0, len(order), blocks_at_once)]
    rng = np.random.default_rng([seed, epoch, share[0], 0x0DE5])
    left = PdfBatch(np.empty(0, dtype=np.int64), np.empty((0, len(catalog.r)), dtype=np.float32))
    with ThreadPoolExecutor(readers) as pool:
        for group in _read_ahead(catalog, groups, pool):
            shuffled = rng.permutation(len(group))
            while len(left.rows) + len(shuffled) >= batch_size:
                wanted = batch_size - len(left.rows)
                left, shuffled = _joined(left, group.take(shuffled[:wanted])), shuffled[wanted:]
                yield left
                left = PdfBatch(left.rows[:0], left.pdf[:0])
            left = _joined(left, group.take(shuffled))
    if len(left.rows):
        yield left


class _Group:
    """Some blocks, being read.

    Attributes:
        rows: numbers of the structures in the catalog, block after block.
    """

    def __init__(self, catalog: Catalog, members: Sequence[tuple[int, NDArray[np.int64]]], pool: ThreadPoolExecutor) -> None:
        self.rows = np.concatenate([rows for _, rows in members])
        self._width = len(catalog.r)
        self._starts = np.concatenate([[0], np.cumsum([len(rows) for _, rows in members])])
        self._places = np.concatenate([rows - catalog.starts[number] for number, rows in members])
        self._reading = [pool.submit(_in_memory, catalog, number) for number, _ in members]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _blocks(self) -> list[NDArray[np.float32]]:
        return [block.result() for block in self._reading]

    def take(self, chosen: NDArray[np.int64]) -> PdfBatch:
        """The rows at some places of the group: one copy from the blocks to the batch."""
        pdf = np.empty((len(chosen), self._width), dtype=np.float32)
        owners = np.searchsorted(self._starts, chosen, side="right") - 1
        for owner in np.unique(owners):
            here = np.flatnonzero(owners == owner)
            pdf[here] = self._blocks[owner][self._places[chosen[here]]]
        return PdfBatch(self.rows[chosen], pdf)


def _read_ahead(catalog: Catalog, groups: list[list[tuple[int, NDArray[np.int64]]]], pool: ThreadPoolExecutor) -> Iterator[_Group]:
    """The groups in their order, the next one being read meanwhile."""
    following: _Group | None = None
    for members in groups:
        current, following = following, _Group(catalog, members, pool)
        if current is not None:
            yield current
    if following is not None:
        yield following


def _in_memory(catalog: Catalog, number: int) -> NDArray[np.float32]:
    """The PDFs of a block; of a mapped file every page is touched, so that the disk is read here and now."""
    block = catalog.block_pdf(number)
    if isinstance(block, np.memmap):
        block.reshape(-1)[:: PAGE_BYTES // block.itemsize].sum()
    return block


def _joined(first: PdfBatch, second: PdfBatch) -> PdfBatch:
    if not len(first.rows):
        return second
    return PdfBatch(np.concatenate([first.rows, second.rows]), np.concatenate([first.pdf, second.pdf]))
