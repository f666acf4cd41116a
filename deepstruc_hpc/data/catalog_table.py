"""All structures of a catalog as a table of the query engine, DuckDB: one row a structure, from the index, or from the blocks where it lacks them.

DuckDB reads the Parquet parts itself: the columns that a query names, and of these the row groups whose least and largest values do not rule it out.
It is given nothing else: no file beside the parts, no extension, no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.catalog_index import WHOLE, BlockTables, block_key, column_kinds, damaged_files, index_files, parts_of, whole_key
from deepstruc_hpc.data.expression import condition, fitting, refused
from deepstruc_hpc.data.manifest import BlockEntry, Manifest
from deepstruc_hpc.data.schema import COLUMN_NAMES
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.physics.threads import thread_count

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

T = TypeVar("T")

TABLE = "catalog"
"""Name of the table in SQL."""

NUMBER = "_number"
"""Column of the structures' numbers."""

_CLOSED = {"python_enable_replacements": "false", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


@dataclass(frozen=True)
class _Source:
    """Blocks that follow one another, and the file of the index that holds their columns, if any."""

    key: str
    blocks: tuple[BlockEntry, ...]
    first: int

    @property
    def n_structures(self) -> int:
        return sum(block.n_structures for block in self.blocks)


class CatalogTable:
    """The table of one state of a catalog.

    Args:
        files: the store.
        manifest: the state.
    """

    def __init__(self, files: StoreFiles, manifest: Manifest) -> None:
        self._files, self._manifest = files, manifest
        self._kinds = column_kinds(manifest.blocks.values())

    def rows(self, names: Sequence[str], where: str = "", limit: int | None = None) -> pd.DataFrame:
        """Some columns of the structures for which an expression holds, in the order of the catalog; the row's label is the structure's number.

        Args:
            names: columns.
            where: see :mod:`deepstruc_hpc.data.expression`; empty for all structures.
            limit: the first so many rows; None for all.

        Raises:
            ConfigError: the expression is wrong.
        """

        def evaluated(chosen: duckdb.DuckDBPyRelation) -> Any:
            from duckdb import ColumnExpression

            found = chosen.select(*(ColumnExpression(name) for name in (NUMBER, *names)))
            return (found if limit is None else found.limit(limit)).to_arrow_table()

        found = self._where(names, where, evaluated)
        numbers = found[NUMBER].to_numpy()
        if (np.diff(numbers) < 0).any():
            found = found.take(np.argsort(numbers))
            numbers = np.sort(numbers)
        frame: pd.DataFrame = found.drop_columns([NUMBER]).to_pandas()
        return frame.set_axis(numbers) if where.strip() else frame

    def first(self, names: Sequence[str], where: str, limit: int) -> list[tuple[Any, ...]]:
        """The first rows as tuples, a missing number as None: without pandas, which takes longer to import than the engine to answer.

        Raises:
            ConfigError: the expression is wrong.
        """
        from duckdb import ColumnExpression

        columns = [ColumnExpression(name) for name in names]
        return self._where(names, where, lambda chosen: chosen.select(*columns).limit(limit).fetchall())

    def count(self, where: str = "") -> int:
        """How many structures an expression holds for.

        Raises:
            ConfigError: the expression is wrong.
        """
        return self._where([], where, lambda chosen: int(chosen.aggregate("count(*)").fetchall()[0][0]))

    def counts(self, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """How many structures have each combination of values of some columns: the values with the count, in the order of the values."""
        from duckdb import ColumnExpression

        columns = [ColumnExpression(name) for name in names]
        grouped = _listed(names)
        return self._where(names, "", lambda all_of_them: all_of_them.select(*columns).aggregate(f"{grouped}, count(*)").order(grouped).fetchall())

    def ask(self, names: Sequence[str], question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Put a question to a connection that has the table, with some columns, and nothing else.

        A file of the index that cannot be read is left aside, and its blocks are read instead.
        """
        import duckdb

        damaged: frozenset[str] = frozenset()
        while True:
            sources = self._sources(damaged)
            try:
                with self._connected(sources, names) as connection:
                    return question(connection)
            except (duckdb.Error, OSError, ValueError) as failed:  # the last two of Arrow
                keys = [(source.key, source.n_structures) for source in sources if source.key]
                found = damaged_files(self._files, keys, whole=False)
                if not found and isinstance(failed, duckdb.IOException | duckdb.InvalidInputException | duckdb.InternalException | OSError):
                    found = damaged_files(self._files, keys, whole=True)
                if not found:
                    raise
                damaged |= found

    def _where(self, names: Sequence[str], where: str, question: Callable[[duckdb.DuckDBPyRelation], T]) -> T:
        import duckdb

        held, used = condition(where, list(self._kinds)) if where.strip() else (None, [])

        def evaluated(connection: duckdb.DuckDBPyConnection) -> T:
            relation = connection.view(TABLE)
            return question(relation if held is None else fitting(relation, where, held))

        try:
            return self.ask([name for name in self._kinds if name in {*names, *used}], evaluated)
        except duckdb.Error as failed:
            if where.strip():
                raise refused(where, failed) from failed
            raise StoreError(
                f"{self._files.url}: the index cannot be read ({failed}). Delete its folder index; the next build makes it again."
            ) from failed

    def _sources(self, damaged: frozenset[str]) -> list[_Source]:
        """Where the columns of all blocks are, in the order of the catalog. The file of a block with deleted rows holds these, too."""
        there = set(index_files(self._files)) - damaged
        found: list[tuple[str, tuple[BlockEntry, ...]]] = []
        for part in parts_of(self._manifest):
            if part.key in there:
                found.append((part.key, part.blocks))
            else:
                found += [("" if block.n_deleted or block_key(block) not in there else block_key(block), (block,)) for block in part.blocks]
        if any(not key for key, _ in found):
            whole = whole_key(self._manifest)
            if whole not in damaged and self._files.exists(whole):
                found = [(whole, tuple(self._manifest.ordered))]
        starts = accumulate((sum(block.n_structures for block in blocks) for _, blocks in found), initial=0)
        return [_Source(key, blocks, first) for (key, blocks), first in zip(found, starts, strict=False)]

    @contextmanager
    def _connected(self, sources: Sequence[_Source], names: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with the table, closed to everything else."""
        import duckdb

        with duckdb.connect(config={**_CLOSED, "threads": str(thread_count())}) as connection:
            if not self._files.is_local:
                connection.register_filesystem(self._files.filesystem)
            pieces: list[duckdb.DuckDBPyRelation] = []
            for reads, run in groupby(sources, key=self._reads):
                pieces.append(reads(connection, list(run), names))
            table = pieces[0] if pieces else self._from_blocks(connection, [], names)
            for piece in pieces[1:]:
                table = table.union(piece)
            table.create_view(TABLE)
            connection.execute("SET allowed_paths = ?", [[self._files.address(source.key) for source in sources if source.key]])
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield connection

    def _reads(self, source: _Source) -> Callable[[Any, Sequence[_Source], Sequence[str]], duckdb.DuckDBPyRelation]:
        """How a source is read."""
        if source.key.startswith(WHOLE):
            return self._from_whole
        return self._from_files if source.key else self._from_blocks

    def _from_files(self, connection: Any, sources: Sequence[_Source], names: Sequence[str]) -> duckdb.DuckDBPyRelation:
        from duckdb import ColumnExpression, ConstantExpression, FunctionExpression

        there = set(column_kinds(block for source in sources for block in source.blocks))
        starts = ConstantExpression([source.first for source in sources])
        place = ColumnExpression("file_index").cast("BIGINT") + ConstantExpression(1)
        number = FunctionExpression("list_extract", starts, place) + ColumnExpression("file_row_number")
        columns = [_read(name, self._kinds[name], there=name in there).alias(name) for name in names]
        found = connection.read_parquet([self._files.address(source.key) for source in sources], union_by_name=True)
        selected: duckdb.DuckDBPyRelation = found.select(number.cast("BIGINT").alias(NUMBER), *columns)
        return selected

    def _from_blocks(self, connection: Any, sources: Sequence[_Source], names: Sequence[str]) -> duckdb.DuckDBPyRelation:
        tables, kinds = BlockTables(self._files), {name: self._kinds[name] for name in names}
        blocks = [block for source in sources for block in source.blocks]
        return _numbered(connection, tables.joined(blocks, kinds), sources[0].first if sources else 0)

    def _from_whole(self, connection: Any, sources: Sequence[_Source], names: Sequence[str]) -> duckdb.DuckDBPyRelation:
        """Version 0.1 wrote NaN for a missing number. The statistics of Parquet leave NaN out, and DuckDB then takes ``isnan`` to be false."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        source = sources[0]
        found = pq.read_table(self._files.local_copy(source.key), columns=list(names))
        if found.num_rows != source.n_structures:
            raise pa.ArrowInvalid(f"{source.key}: {found.num_rows} rows, needed are {source.n_structures}")
        for place, field in enumerate(found.schema):
            if field.type == pa.float64():
                found = found.set_column(place, field.name, pa.array(found[field.name].to_numpy(), from_pandas=True))
        return _numbered(connection, found, 0)


def _numbered(connection: Any, table: Any, first: int) -> duckdb.DuckDBPyRelation:
    """An Arrow table as a relation, its rows numbered on from ``first``."""
    found: duckdb.DuckDBPyRelation = connection.from_arrow(table.add_column(0, NUMBER, [np.arange(first, first + table.num_rows)]))
    return found


def _read(name: str, kind: str, *, there: bool) -> Any:
    """A column of the index, with empty texts and missing numbers where a part lacks it.

    Args:
        name: of the column.
        kind: in the whole catalog.
        there: whether any of the files has it.
    """
    from duckdb import CoalesceOperator, ColumnExpression, ConstantExpression

    column = ColumnExpression(name)
    if not there:
        return ConstantExpression("") if kind == "str" else ConstantExpression(None).cast("DOUBLE")
    if kind == "str" and name not in COLUMN_NAMES:
        return CoalesceOperator(column.cast("VARCHAR"), ConstantExpression(""))
    return column


def _listed(names: Sequence[str]) -> str:
    """Names of columns as SQL writes them."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)
