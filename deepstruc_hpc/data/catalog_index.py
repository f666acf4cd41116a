"""The index: the columns of all blocks once more, as a Parquet dataset that queries read. It can always be made again from the blocks.

Whoever writes a block writes its columns into a file of its own. When the blocks of a range are there, their files are joined into one *part* of
about a million rows. The name of a part holds a hash of its blocks, so that one of another state is never taken for it, and a reader knows all names
from the manifest.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import SUFFIX, open_block
from deepstruc_hpc.data.catalog_block import BlockContent, read_column
from deepstruc_hpc.data.manifest import BlockEntry, Manifest, write_block
from deepstruc_hpc.data.schema import COLUMN_ARRAYS, COLUMN_NAMES, COLUMNS, INDEX
from deepstruc_hpc.data.store_files import StoreFiles, writing

ROWS_A_PART = 2**20
"""Rows of a part, about: 10⁹ structures are then a thousand files, and one is made in seconds."""

BLOCKS_A_PART = 256
"""Most blocks of a part: so few files are opened when it is made."""

ROWS_A_GROUP = 2**16
"""Rows of a row group. Each has the least and the largest value of every column, by which a query leaves it out unread."""

WHOLE = "columns-"
"""The index of version 0.1, one file of all blocks beside the manifest, begins with this."""

ENTRY = "block"
"""Metadata of the file of one block's columns: the block's entry as JSON."""

_REPEATING = frozenset({"structure_type", "family", "shape", "formula", "elements", "fingerprint"})
_SIGNS_OF_HASH = 16
_WORDS_OF_A_BLOCK = 4


@dataclass(frozen=True)
class IndexPart:
    """A range of blocks and the file of their columns.

    Attributes:
        key: of the file.
        blocks: in the order of the catalog.
    """

    key: str
    blocks: tuple[BlockEntry, ...]

    @property
    def n_structures(self) -> int:
        """Rows."""
        return sum(block.n_structures for block in self.blocks)


def parts_of(manifest: Manifest) -> list[IndexPart]:
    """The parts of a catalog's index. Those of blocks that are finished keep their names while others are added."""
    parts: list[IndexPart] = []
    for recipe, blocks in groupby(manifest.ordered, key=lambda block: _place(block)[0]):
        members = list(blocks)
        largest = max(block.n_structures + block.n_deleted for block in members)
        step = max(1, min(BLOCKS_A_PART, ROWS_A_PART // max(1, largest)))
        for number, chosen in groupby(members, key=lambda block: _place(block)[1] // step):
            parts.append(_part(recipe, number, tuple(chosen)))
    return parts


def _part(recipe: str, number: int, blocks: tuple[BlockEntry, ...]) -> IndexPart:
    digest = blake2b("".join(f"{block.id} {block.content}\n" for block in blocks).encode(), digest_size=_SIGNS_OF_HASH // 2).hexdigest()
    return IndexPart(f"{INDEX}/{recipe}-{number:05d}-{digest}.parquet", blocks)


def _place(block: BlockEntry) -> tuple[str, int]:
    recipe, number = block.id.split("-")[:2]
    return recipe, int(number)


def block_key(block: BlockEntry) -> str:
    """The file of one block's columns, deleted rows among them, which is there until its part is made."""
    return f"{INDEX}/{PurePosixPath(block.path).name.removesuffix(SUFFIX)}.parquet"


def whole_key(manifest: Manifest) -> str:
    """The index of version 0.1 of one state of a catalog."""
    return f"{WHOLE}{manifest.content_hash[:_SIGNS_OF_HASH]}.parquet"


def parameter_columns(blocks: Iterable[BlockEntry]) -> dict[str, str]:
    """Parameters of all shapes, name → ``float64`` or ``str`` (``str`` where blocks differ), in alphabetical order."""
    kinds: dict[str, str] = {}
    for block in blocks:
        for name, kind in block.parameters.items():
            kinds[name] = kind if kinds.get(name, kind) == kind else "str"
    return dict(sorted(kinds.items()))


def column_kinds(blocks: Iterable[BlockEntry]) -> dict[str, str]:
    """All columns of some blocks, name → ``str``, ``int32`` or ``float64``."""
    return {spec.name: spec.dtype for spec in COLUMN_ARRAYS} | parameter_columns(blocks)


def column_names(manifest: Manifest) -> list[str]:
    """All columns of a catalog."""
    return [*COLUMN_NAMES, *parameter_columns(manifest.blocks.values())]


def store_block(files: StoreFiles, block_id: str, content: BlockContent, parameters: Mapping[str, str]) -> BlockEntry:
    """Write a block and its columns for the index, both under a name of their own.

    Args:
        files: the store.
        block_id: from the plan.
        content: the arrays.
        parameters: which columns are parameters of shapes, with their kind.

    Returns:
        What the manifest needs to know of the block.
    """
    entry = write_block(files, block_id, content, nonce=uuid.uuid4().hex[:8], parameters=parameters)
    write_block_columns(files, entry, content.columns)
    return entry


def write_block_columns(files: StoreFiles, block: BlockEntry, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write the columns of a block that was just written, by whoever wrote it, and the block's entry as metadata of the file."""
    kinds = column_kinds([block])
    table = _table(columns, kinds, block.n_structures).replace_schema_metadata({ENTRY: json.dumps(block.written())})
    files.write({block_key(block): _encoded([table], kinds)})


def stored_entries(files: StoreFiles, named: Collection[str]) -> Iterator[BlockEntry]:
    """The entries of blocks whose columns lie in files of their own.

    Args:
        files: the store.
        named: keys of such files that are left out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for key in index_files(files):
        if key not in named and len(PurePosixPath(key).stem.split("-")) == _WORDS_OF_A_BLOCK:
            with suppress(OSError, pa.ArrowException, KeyError, ValueError, TypeError):
                yield BlockEntry(**json.loads(pq.read_schema(files.local_copy(key)).metadata[ENTRY.encode()]))


def write_part(files: StoreFiles, part: IndexPart) -> None:
    """Join the columns of a range of blocks into one file."""
    kinds, tables = column_kinds(part.blocks), BlockTables(files)
    files.write({part.key: _encoded((tables.table(block, kinds) for block in part.blocks), kinds)})


def missing_parts(files: StoreFiles, manifest: Manifest) -> list[IndexPart]:
    """Parts that have to be made; none where the index of version 0.1 is that of this state."""
    there = set(index_files(files))
    missing = [part for part in parts_of(manifest) if part.key not in there]
    return [] if missing and files.exists(whole_key(manifest)) else missing


def write_index(files: StoreFiles, manifest: Manifest) -> None:
    """Make what is missing of the index, here, and drop what belongs to other states."""
    for part in missing_parts(files, manifest):
        write_part(files, part)
    with writing(files.url):
        for key in index_leftovers(files, manifest):
            files.delete(key)


def index_leftovers(files: StoreFiles, manifest: Manifest) -> list[str]:
    """Files of the index that this state does not need: those of other states, of killed builds, and of blocks whose part is there."""
    there = files.keys(INDEX)
    parts = parts_of(manifest)
    needed = {part.key for part in parts}
    lacking = needed.difference(there)
    needed |= {block_key(block) for part in parts if part.key in lacking for block in part.blocks}
    whole = [name for name in _root_files(files) if name.startswith(WHOLE) and (not lacking or name != whole_key(manifest))]
    return [*(key for key in there if key not in needed), *whole]


def index_files(files: StoreFiles) -> list[str]:
    """The files of the index that are there."""
    return [key for key in files.keys(INDEX) if key.endswith(".parquet")]


def read_part(files: StoreFiles, part: IndexPart, kinds: Mapping[str, str]) -> Any:
    """Some columns of a range of blocks as an Arrow table, without deleted rows: from the part's file where that can be read, else from its blocks.

    Args:
        files: the store.
        part: of its index.
        kinds: the columns with their kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with suppress(OSError, pa.ArrowException):
        found = pq.read_table(files.local_copy(part.key), columns=list(kinds), page_checksum_verification=True)
        if found.num_rows == part.n_structures:
            return found
    return BlockTables(files).joined(part.blocks, kinds)


class BlockTables:
    """The columns of single blocks as Arrow tables."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files

    def table(self, block: BlockEntry, kinds: Mapping[str, str]) -> Any:
        """Some columns of a block without its deleted rows: from its file where that can be read, else from its arrays.

        Args:
            block: one of the store.
            kinds: the columns with their kind; one that the block lacks is missing in all rows.

        Raises:
            StoreError: an array cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        names, live = [name for name in kinds if name in COLUMN_NAMES or name in block.parameters], block.live_rows()
        with suppress(OSError, pa.ArrowException):
            found = pq.read_table(self._files.local_copy(block_key(block)), columns=names, page_checksum_verification=True)
            if found.num_rows == block.n_structures + block.n_deleted:
                found = found if live is None else found.take(live)
                return _table({name: found[name] for name in names}, kinds, block.n_structures)
        stored = self._stored(block, names)
        return _table({name: values if live is None else values[live] for name, values in stored.items()}, kinds, block.n_structures)

    def joined(self, blocks: Sequence[BlockEntry], kinds: Mapping[str, str]) -> Any:
        """The same of many blocks, one after the other; without rows for no block."""
        import pyarrow as pa

        return pa.concat_tables([self.table(block, kinds) for block in blocks] or [_table({}, kinds, 0)])

    def _stored(self, block: BlockEntry, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        name, found = "", {}
        try:
            columns = open_block(self._files, block.path, block.n_bytes)[COLUMNS]
            for name in names:
                found[name] = read_column(columns[name])
        except (KeyError, ValueError, RuntimeError, OSError) as damaged:
            raise StoreError(
                f"block {block.id}: column {name} cannot be read ({damaged}). Run: deepstruc-hpc catalog verify {self._files.url}"
            ) from damaged
        return found


def _table(values: Mapping[str, Any], kinds: Mapping[str, str], rows: int) -> Any:
    """Columns, arrays of NumPy or Arrow, as an Arrow table: a missing number is null, a missing text is empty."""
    import pyarrow as pa

    arrays = [_column(values.get(name), kind, rows) for name, kind in kinds.items()]
    return pa.table(arrays, names=list(kinds)) if arrays else pa.table({"": np.zeros(rows, dtype=np.int8)}).select([])


def _column(values: Any, kind: str, rows: int) -> Any:
    import pyarrow as pa

    wanted = {"str": pa.string(), "int32": pa.int32(), "float64": pa.float64()}[kind]
    if isinstance(values, pa.ChunkedArray):
        if values.type == wanted:
            return values
        values = values.to_numpy()
    if values is None:
        values = np.full(rows, "", dtype=object) if kind == "str" else np.full(rows, np.nan)
    elif kind == "str" and values.dtype.kind == "f":
        values = np.array(["" if np.isnan(value) else str(value) for value in values.tolist()], dtype=object)
    return pa.array(values, type=wanted, from_pandas=kind == "float64")


def _encoded(tables: Iterable[Any], kinds: Mapping[str, str]) -> bytes:
    """A Parquet file of tables one after the other, with checksums and in row groups of :data:`ROWS_A_GROUP`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    repeating = [name for name in kinds if name in _REPEATING or name not in COLUMN_NAMES]
    writer: Any = None
    for table in _groups(tables):
        writer = writer or pq.ParquetWriter(buffer, table.schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True)
        writer.write_table(table, row_group_size=2 * ROWS_A_GROUP)
    if writer is None:
        raise pa.ArrowInvalid("no rows")
    writer.close()
    return buffer.getvalue()


def _groups(tables: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    waiting: list[Any] = []
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) >= ROWS_A_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _root_files(files: StoreFiles) -> list[str]:
    if files.is_local:
        return sorted(path.name for path in files.path.iterdir() if path.is_file())
    return [key for key in files.keys("") if "/" not in key]


def is_readable(files: StoreFiles, key: str, rows: int, *, whole: bool) -> bool:
    """Whether a file of the index is there, sound and of so many rows; ``whole`` reads all of it and compares its checksums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_metadata(files.local_copy(key)).num_rows
        if whole:
            found = pq.read_table(files.local_copy(key), page_checksum_verification=True).num_rows
    except (OSError, pa.ArrowException):
        return False
    return bool(found == rows)


def damaged_files(files: StoreFiles, sources: Sequence[tuple[str, int]], *, whole: bool) -> frozenset[str]:
    """Which of some files (key, rows) of the index cannot be read."""
    return frozenset(key for key, rows in sources if not is_readable(files, key, rows, whole=whole))
