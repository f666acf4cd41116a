"""The catalog as its readers see it: structures by number, PDFs as an array, columns as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.block_file import PDF_DATA, SUFFIX, BlockFile, open_block
from deepstruc_hpc.data.catalog_block import BlockContent, read_block
from deepstruc_hpc.data.catalog_index import column_names
from deepstruc_hpc.data.catalog_sql import answer
from deepstruc_hpc.data.catalog_table import CatalogTable
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.expression import check_columns
from deepstruc_hpc.data.manifest import BlockEntry, Manifest
from deepstruc_hpc.data.pdf_rows import mapped_rows
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.physics.instrument import Instrument

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BLOCKS_IN_MEMORY = 8
MAPPED_FILES = 64


class Catalog:
    """A catalog at the moment when it was opened; a build that goes on beside it adds blocks that a later opening sees.

    Structures are numbered 0 … len − 1 in the order of their blocks.
    """

    def __init__(self, files: StoreFiles, manifest: Manifest) -> None:
        self.files = files
        self.manifest = manifest
        self.blocks: list[BlockEntry] = manifest.ordered
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum([block.n_structures for block in self.blocks])]).astype(np.int64)
        self.mapped_pdf = lru_cache(maxsize=MAPPED_FILES)(self._map_pdf)
        self._live = lru_cache(maxsize=MAPPED_FILES)(lambda number: self.blocks[number].live_rows())
        self._atoms_of = lru_cache(maxsize=BLOCKS_IN_MEMORY)(self._read_atoms)

    @classmethod
    def open(cls, store: str | os.PathLike[str]) -> Catalog:
        """Open a catalog by path or URL.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        files = StoreFiles(store)
        return cls(files, Manifest.read(files))

    def __reduce__(self) -> tuple[type[Catalog], tuple[StoreFiles, Manifest]]:
        return Catalog, (self.files, self.manifest)

    def __repr__(self) -> str:
        return f"Catalog({self.files.url!r}, {len(self)} structures)"

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: SupportsIndex) -> Structure:
        return self.structures([int(index)])[0]

    def __iter__(self) -> Iterator[Structure]:
        for number in range(len(self.blocks)):
            yield from self.structures(range(int(self.starts[number]), int(self.starts[number + 1])))

    @property
    def id(self) -> str:
        """Hash of the recipe."""
        return self.manifest.recipe_hash

    @property
    def content_hash(self) -> str:
        """Hash of everything that is stored."""
        return self.manifest.content_hash

    @property
    def complete(self) -> bool:
        """True when nothing of the recipe is missing."""
        return self.manifest.complete

    @property
    def conditions(self) -> PdfConditions:
        """Conditions of all PDFs."""
        return self.manifest.conditions

    @property
    def instrument(self) -> Instrument:
        """The instrument part of the conditions."""
        given = self.conditions
        return Instrument(radiation=given.radiation, qmin=given.qmin, qmax=given.qmax, qdamp=given.qdamp, qbroad=given.qbroad)

    @cached_property
    def r(self) -> NDArray[np.float64]:
        """(R,) Å."""
        return self.conditions.r

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe as it was resolved."""
        return self.manifest.recipes[0]

    @property
    def column_names(self) -> list[str]:
        """Names of all columns."""
        return column_names(self.manifest)

    @cached_property
    def columns(self) -> pd.DataFrame:
        """One row a structure, one column a property; the row's label is the structure's number."""
        return self.table.rows(self.column_names)

    @property
    def table(self) -> CatalogTable:
        """The columns as a table of the query engine."""
        return CatalogTable(self.files, self.manifest)

    def query(self, expression: str, columns: Sequence[str] | None = None, *, limit: int | None = None) -> pd.DataFrame:
        """The rows for which an expression holds; only the columns that are needed are read.

        Args:
            expression: see :mod:`deepstruc_hpc.data.expression`; empty for all rows.
            columns: names; None for all.
            limit: the first so many rows; None for all.

        Raises:
            ConfigError: see :func:`deepstruc_hpc.data.expression.condition`.
        """
        wanted = check_columns(columns, self.column_names) if columns is not None else self.column_names
        return self.table.rows(wanted, expression, limit)

    def count(self, expression: str = "") -> int:
        """How many structures an expression holds for; all without one.

        Raises:
            ConfigError: see :func:`deepstruc_hpc.data.expression.condition`.
        """
        return self.table.count(expression)

    def sql(self, statement: str) -> pa.Table:
        """The answer to a SQL query over the table ``catalog``: all columns, and ``_number``, the structure's number.

        Raises:
            ConfigError: not one SELECT, or one that would read or write anything else.
        """
        return answer(self.table, statement, self.column_names)

    @property
    def pdf(self) -> PdfView:
        """The PDFs as an array of shape (len, R), read when it is indexed."""
        return PdfView(self)

    def structures(self, indices: Sequence[int] | NDArray[np.integer[Any]] | range) -> list[Structure]:
        """Many structures at once, in the order given; each block is read once.

        Raises:
            IndexError: a number outside 0 … len − 1 (negative ones count from the end).
        """
        found: dict[int, Structure] = {}
        chosen = self._normalised(np.asarray(indices, dtype=np.int64))
        for number, places in self.by_block(chosen):
            atoms = self._atoms_of(number)
            for place, row in zip(places, self.stored_rows(number, chosen[places] - self.starts[number]), strict=True):
                found[int(place)] = atoms.structure(int(row))
        return [found[place] for place in range(len(chosen))]

    def block_slices(self) -> list[slice]:
        """The structures' numbers of each block: what one reading unit of a training view is."""
        return [slice(int(start), int(stop)) for start, stop in zip(self.starts[:-1], self.starts[1:], strict=True)]

    def read_block(self, number: int, *, pdf: bool = True) -> BlockContent:
        """All arrays of one block, without its deleted rows."""
        return read_block(self.group(number), pdf=pdf).taking(self._live(number))

    def block_pdf(self, number: int) -> NDArray[np.float32]:
        """(S, R) PDFs of one block: the fastest way to all of them. In a directory they are mapped, read-only; copied where rows are deleted."""
        mapped, live = self.mapped_pdf(number), self._live(number)
        values: NDArray[np.float32] = self.array(number, "pdf")[:] if mapped is None else mapped
        return values if live is None else values[live]

    def stored_rows(self, number: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where rows of a block lie in its arrays: the same numbers, but for a block with deleted rows."""
        live = self._live(number)
        return rows if live is None else live[rows]

    def _map_pdf(self, number: int) -> NDArray[np.float32] | None:
        if not self.files.is_local:
            return None
        path, n_bytes = self.blocks[number].path, self.blocks[number].n_bytes
        try:
            if path.endswith(SUFFIX):
                block = BlockFile(self.files, path, n_bytes)
                data = block.members[PDF_DATA]
                return mapped_rows(self.files.path / path, json.loads(block.content("pdf/zarr.json")), data.start, data.size)
            folder = self.files.path / path
            data_file = folder / PDF_DATA
            return mapped_rows(data_file, json.loads((folder / "pdf" / "zarr.json").read_bytes()), 0, data_file.stat().st_size)
        except (OSError, ValueError, KeyError, TypeError, IndexError, StoreError):  # Zarr says what is wrong with it
            return None

    def _read_atoms(self, number: int) -> BlockContent:
        return read_block(self.group(number), pdf=False, columns=("structure_type", "label"))

    @cached_property
    def root(self) -> Any:
        """The Zarr root group, opened for reading."""
        import zarr

        return zarr.open_group(self.files.zarr_store(), mode="r", zarr_format=3, use_consolidated=False)

    def group(self, number: int) -> Any:
        """The Zarr group of a block.

        Raises:
            StoreError: it is not there.
        """
        block = self.blocks[number]
        try:
            return open_block(self.files, block.path, block.n_bytes)
        except (KeyError, OSError, ValueError) as missing:
            raise StoreError(
                f"block {block.id} of {self.files.url} cannot be opened. Where the store was compacted meanwhile, open the catalog again; else run: "
                f"deepstruc-hpc catalog verify {self.files.url}"
            ) from missing

    def array(self, number: int, name: str) -> Any:
        """One Zarr array of a block as it is stored, deleted rows among the others, not read yet.

        Raises:
            StoreError: it is not there.
        """
        try:
            return self.group(number)[name]
        except (KeyError, OSError, ValueError) as missing:
            block = self.blocks[number]
            raise StoreError(f"block {block.id} of {self.files.url} has no {name}. Run: deepstruc-hpc catalog verify {self.files.url}") from missing

    def _normalised(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        shifted = np.where(chosen < 0, chosen + len(self), chosen)
        outside = (shifted < 0) | (shifted >= len(self))
        if outside.any():
            raise IndexError(f"structure {int(chosen[outside][0])} of a catalog of {len(self)}")
        return shifted

    def by_block(self, chosen: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """The blocks that some structures lie in, each with the places of its structures in ``chosen``."""
        owners = np.searchsorted(self.starts, chosen, side="right") - 1
        for number in np.unique(owners):
            yield int(number), np.flatnonzero(owners == number)


class PdfView:
    """The PDFs of a catalog, (len, R) float32 in Å⁻², read block by block when they are asked for."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @property
    def shape(self) -> tuple[int, int]:
        """(structures, points)."""
        return len(self._catalog), len(self._catalog.r)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self._catalog)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    @overload
    def __getitem__(self, index: SupportsIndex) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> NDArray[np.float32]: ...
    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        catalog = self._catalog
        rows = np.arange(len(catalog))[index]
        chosen = np.atleast_1d(rows)
        values = np.empty((len(chosen), len(catalog.r)), dtype=np.float32)
        for number, places in catalog.by_block(chosen):
            inside = catalog.stored_rows(number, chosen[places] - catalog.starts[number])
            mapped = catalog.mapped_pdf(number)
            if mapped is not None:
                values[places] = mapped[inside]
                continue
            array = catalog.array(number, "pdf")
            if len(inside) > 0.3 * array.shape[0]:
                values[places] = array[:][inside]
            else:
                unique, back = np.unique(inside, return_inverse=True)
                values[places] = array.oindex[unique, :][back]
        return values[0] if np.ndim(rows) == 0 else values
