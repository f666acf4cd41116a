"""All columns of all blocks in one Parquet file, so that a query reads columns and no structures. It can always be made again from the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import open_block
from deepstruc_hpc.data.catalog_block import read_column
from deepstruc_hpc.data.manifest import BlockEntry, Manifest
from deepstruc_hpc.data.schema import COLUMN_ARRAYS, COLUMN_NAMES, COLUMNS
from deepstruc_hpc.data.store_files import StoreFiles

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "columns-"
_REPEATING = ("structure_type", "family", "shape", "elements", "fingerprint")


def index_key(manifest: Manifest) -> str:
    """Name of the index of one state of a catalog: an index of another state is never taken for it."""
    return f"{PREFIX}{manifest.content_hash[:16]}.parquet"


def parameter_columns(manifest: Manifest) -> dict[str, str]:
    """Parameters of all shapes, name → ``float64`` or ``str`` (``str`` where blocks differ), in alphabetical order."""
    kinds: dict[str, str] = {}
    for block in manifest.blocks.values():
        for name, kind in block.parameters.items():
            kinds[name] = kind if kinds.get(name, kind) == kind else "str"
    return dict(sorted(kinds.items()))


def column_names(manifest: Manifest) -> list[str]:
    """All columns of a catalog."""
    return [*COLUMN_NAMES, *parameter_columns(manifest)]


def write_index(files: StoreFiles, manifest: Manifest) -> None:
    """Make the index of a catalog, block by block, and drop those of other states."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _arrow_schema(manifest)
    key = index_key(manifest)
    repeating = [name for name in schema.names if name in _REPEATING]
    with files.large_file(key) as path, pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating) as writer:
        for block in manifest.ordered:
            values = _block_columns(files, block, schema.names, manifest)
            writer.write_table(pa.table({name: pa.array(values[name], type=schema.field(name).type) for name in schema.names}, schema=schema))
    for name in (name for name in _root_files(files) if name.startswith(PREFIX) and name != key):
        files.delete(name)


def read_columns(files: StoreFiles, manifest: Manifest, names: Sequence[str]) -> pd.DataFrame:
    """Some columns of all structures, in the order of the catalog: from the index where it is there, else from the blocks."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(files.local_copy(index_key(manifest)), columns=list(names))
        if table.num_rows == sum(block.n_structures for block in manifest.blocks.values()):
            frame: pd.DataFrame = table.to_pandas()
            return frame
    except (OSError, pa.ArrowException):
        pass
    parts = [_block_columns(files, block, names, manifest) for block in manifest.ordered]
    kinds = _arrow_schema(manifest)
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kinds.field(name).type.to_pandas_dtype()) for name in names})
    merged = pa.table({name: pa.array(np.concatenate([part[name] for part in parts]), type=kinds.field(name).type) for name in names})
    columns: pd.DataFrame = merged.to_pandas()
    return columns


def _arrow_schema(manifest: Manifest) -> Any:
    import pyarrow as pa

    kinds = {spec.name: spec.dtype for spec in COLUMN_ARRAYS} | parameter_columns(manifest)
    types = {"str": pa.string(), "int32": pa.int32(), "float64": pa.float64()}
    return pa.schema([(name, types[kind]) for name, kind in kinds.items()])


def _block_columns(files: StoreFiles, block: BlockEntry, names: Sequence[str], manifest: Manifest) -> dict[str, NDArray[Any]]:
    kinds = parameter_columns(manifest)
    group, live = None, block.live_rows()
    values: dict[str, NDArray[Any]] = {}
    for name in names:
        if name in kinds and name not in block.parameters:
            missing = np.full(block.n_structures, "", dtype=object) if kinds[name] == "str" else np.full(block.n_structures, np.nan)
            values[name] = missing
            continue
        try:
            group = open_block(files, block.path, block.n_bytes)[COLUMNS] if group is None else group
            stored = read_column(group[name])
        except (KeyError, ValueError, RuntimeError, OSError) as damaged:
            raise StoreError(f"block {block.id}: column {name} cannot be read ({damaged}). Run: deepstruc-hpc catalog verify STORE") from damaged
        stored = stored if live is None else stored[live]
        values[name] = stored.astype(str).astype(object) if kinds.get(name) == "str" else stored
    return values


def _root_files(files: StoreFiles) -> list[str]:
    if files.is_local:
        return sorted(path.name for path in files.path.iterdir() if path.is_file())
    return [key for key in files.keys("") if "/" not in key]
