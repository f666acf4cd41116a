"""The structures that an export takes, read chunk by chunk: memory holds one block of the catalog, whatever its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.catalog_block import BlockContent, is_text
from deepstruc_hpc.data.catalog_index import column_kinds
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.species import element_symbols


@dataclass(frozen=True, eq=False)
class Chunk(BlockContent):
    """Some structures of a catalog, one after the other, with every column of the catalog: NaN or an empty string where a structure has none.

    Attributes:
        first: place of the first one in the selection.
    """

    first: int = 0

    def atoms(self, row: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Symbols and (N, 3) positions of one structure."""
        part = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return element_symbols(self.species[part]), self.positions[part]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The columns of one structure after the other, as plain values; without those that a structure does not have (NaN, empty text)."""
        lists = {name: values.tolist() for name, values in self.columns.items()}
        for row in range(len(self)):
            yield {name: values[row] for name, values in lists.items() if values[row] != "" and values[row] == values[row]}


class Selection:
    """What an export takes of a catalog, in the catalog's order.

    Args:
        catalog: an opened catalog.
        where: expression over the columns; empty for all structures.
        limit: at most so many, the first ones.

    Raises:
        ConfigError: the expression is wrong, or no structure is left.
    """

    def __init__(self, catalog: Catalog, where: str = "", limit: int | None = None) -> None:
        self.catalog, self.where, self.limit = catalog, where, limit
        self._chosen = catalog.query(where, ["n_atoms"], limit=limit).index.to_numpy().astype(np.int64) if where.strip() else None
        count = len(catalog) if self._chosen is None else len(self._chosen)
        self._count = count if limit is None else min(limit, count)
        if not self._count:
            named = f"--where {where}: " if where else ""
            raise ConfigError(f"{named}no structure of {catalog.files.url} fits. See deepstruc-hpc catalog info {catalog.files.url}")

    def __len__(self) -> int:
        return self._count

    @property
    def key(self) -> str:
        """Hash of content and choice: an export goes on only with what it was begun with."""
        return blake2b(f"{self.catalog.content_hash}\n{self.where.strip()}\n{self.limit}".encode(), digest_size=16).hexdigest()

    @property
    def column_types(self) -> dict[str, str]:
        """Every column of the catalog with its type: ``str``, ``int32`` or ``float64``."""
        return column_kinds(self.catalog.blocks)

    def chunks(self, start: int = 0, *, size: int, pdf: bool) -> Iterator[Chunk]:
        """The structures from a place on, at most ``size`` at a time; a chunk never reaches over a block's end.

        Args:
            start: place in the selection of the first one.
            size: most structures a chunk.
            pdf: with their PDFs.
        """
        types, catalog = self.column_types, self.catalog
        while start < self._count:
            first = self._number(start)
            number = int(np.searchsorted(catalog.starts, first, side="right")) - 1
            begin, end = int(catalog.starts[number]), int(catalog.starts[number + 1])
            stop = start + (end - first) if self._chosen is None else int(np.searchsorted(self._chosen, end))
            stop = min(stop, self._count)
            content = catalog.read_block(number, pdf=False)
            curves = catalog.block_pdf(number) if pdf else None
            for low in range(start, stop, size):
                high = min(low + size, stop)
                rows = np.arange(first - start + low, first - start + high) if self._chosen is None else self._chosen[low:high]
                yield _take(content, rows - begin, curves, low, types)
            start = stop

    def _number(self, place: int) -> int:
        return place if self._chosen is None else int(self._chosen[place])


def _take(content: BlockContent, rows: NDArray[np.int64], curves: NDArray[np.float32] | None, first: int, types: Mapping[str, str]) -> Chunk:
    part = content.taking(rows)
    columns = {name: _column(part.columns.get(name), len(rows), kind) for name, kind in types.items()}
    pdf = np.empty((0, 0), dtype=np.float32) if curves is None else curves[rows]
    return Chunk(part.positions, part.species, part.offsets, pdf, columns, first)


def _column(values: NDArray[Any] | None, count: int, kind: str) -> NDArray[Any]:
    if values is None:
        return np.full(count, "" if kind == "str" else np.nan, dtype=object if kind == "str" else np.float64)
    return values.astype(str).astype(object) if kind == "str" and not is_text(values) else values
