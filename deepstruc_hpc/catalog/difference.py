"""Say how two catalogs differ, reading only the blocks that are not the same in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.over_blocks import over_blocks
from deepstruc_hpc.data.catalog_block import BlockContent
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import id_numbers
from deepstruc_hpc.data.conditions import changed_conditions


@dataclass(frozen=True, eq=False)
class BlockRows:
    """What a comparison needs of the rows of a block.

    Attributes:
        ids: (S,) uint64, ids as numbers.
        values: (S,) uint64, a hash of positions, species and PDF of each.
        types: (S,) structure types.
    """

    ids: NDArray[np.uint64]
    values: NDArray[np.uint64]
    types: NDArray[Any]

    @classmethod
    def of(cls, content: BlockContent) -> BlockRows:
        """Of the rows of a block."""
        values = [_digest(content, row) for row in range(len(content))]
        return cls(id_numbers(content.columns["id"].tolist()), np.array(values, dtype=np.uint64), content.columns["structure_type"])

    @classmethod
    def joined(cls, parts: Sequence[BlockRows]) -> BlockRows:
        """The rows of several blocks, by id."""
        if not parts:
            return cls(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, dtype=object))
        ids = np.concatenate([part.ids for part in parts])
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], np.concatenate([part.values for part in parts])[order], np.concatenate([part.types for part in parts])[order])


class RowReader:
    """Reads rows of blocks of two catalogs; holds both opened."""

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        self._catalogs = tuple(catalogs)

    def __call__(self, item: tuple[int, int]) -> BlockRows:
        """Rows of one block: number of the catalog, number of the block."""
        return BlockRows.of(self._catalogs[item[0]].read_block(item[1]))


def difference(first: Catalog, second: Catalog, *, workers: int | None = 0, progress: bool = False) -> dict[str, Any]:
    """Structures that only one of two catalogs holds, those that both hold with other values, by structure type, and other differences.

    Args:
        first: a catalog.
        second: another.
        workers: see :func:`deepstruc_hpc.catalog.over_blocks.over_blocks`.
        progress: show a bar on stderr.
    """
    both = (first, second)
    shared = {block.content for block in first.blocks} & {block.content for block in second.blocks}
    items = [(side, number) for side in (0, 1) for number, block in enumerate(both[side].blocks) if block.content not in shared]
    parts: tuple[list[BlockRows], list[BlockRows]] = ([], [])
    for (side, _), rows in over_blocks(partial(RowReader, both), items, workers=workers, label="comparing blocks", progress=progress):
        parts[side].append(rows)
    one, other = (BlockRows.joined(part) for part in parts)
    _, here, there = np.intersect1d(one.ids, other.ids, return_indices=True)
    changed = one.types[here[one.values[here] != other.values[there]]]
    only = [np.delete(one.types, here), np.delete(other.types, there)]
    equal_blocks = sum(block.n_structures for block in first.blocks if block.content in shared)
    return {
        "same_content": first.content_hash == second.content_hash,
        "same_recipe": first.id == second.id,
        "in_both": equal_blocks + len(here),
        "changed": len(changed),
        "only_in_first": len(only[0]),
        "only_in_second": len(only[1]),
        "changed_by_type": dict(Counter(changed.tolist()).most_common()),
        "only_in_first_by_type": dict(Counter(only[0].tolist()).most_common()),
        "only_in_second_by_type": dict(Counter(only[1].tolist()).most_common()),
        "blocks_compared": len(items),
        "conditions": {key: f"{here} / {there}" for key, (here, there) in changed_conditions(first.conditions, second.conditions).items()},
    }


def _digest(content: BlockContent, row: int) -> int:
    atoms = slice(int(content.offsets[row]), int(content.offsets[row + 1]))
    digest = blake2b(content.positions[atoms].tobytes(), digest_size=8)
    digest.update(content.species[atoms].tobytes())
    digest.update(np.ascontiguousarray(content.pdf[row]).tobytes())
    return int.from_bytes(digest.digest(), "big")
