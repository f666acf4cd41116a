"""A folder of Parquet files in the layout of the Hugging Face hub: structures, PDFs, columns and divisions into train, validation and test.

``data/train-00000.parquet``, ``data/validation-00000.parquet``, … hold the structures; ``r.parquet`` the distances at which every PDF is given. Three
divisions are columns, those of :mod:`deepstruc_hpc.data.splits` and one by structure type; one of them names the files, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.formats.provenance import Division, Options
from deepstruc_hpc.catalog.formats.record import REMEDY, ExportRecord, or_output_error
from deepstruc_hpc.catalog.formats.selection import Chunk, Selection
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.data.splits import set_names

DATA, GRID = "data", "r.parquet"
SETS = ("train", "validation", "test")
BYTES_A_PART = 256 * 2**20
"""Bytes of arrays that the three files of one part hold together: of that size the hub's viewer and most readers like files best."""

ROWS_A_GROUP = 1024
"""Structures a row group: what a reader holds in memory at least; 12 MB at 2,801 points."""

_SPLIT_KEYS: Mapping[Division, str] = {"random": "id", "shape": "fingerprint", "prototype": "structure_type"}
ARRAYS = ("numbers", "positions", "pdf")


class ParquetDataset:
    """The files, part by part; what a killed export leaves of a part that it had not finished is made again."""

    rows_a_chunk = ROWS_A_GROUP
    needs_pdf = True

    def __init__(self, folder: Path, record: ExportRecord, selection: Selection, options: Options) -> None:
        self.folder, self.record, self.selection, self.options = folder, record, selection, options
        self._schema = arrow_schema(selection)
        self._part, self._rows = int(record.facts.get("part", 0)), 0
        self._rows_a_part = _rows_a_part(selection)
        self._last = len(selection)
        self._writers: dict[str, _Part] = {}
        with or_output_error(folder):
            (folder / DATA).mkdir(parents=True, exist_ok=True)
            for path in (folder / DATA).iterdir():
                if path.suffix == ".part" or (path.stem[-5:].isdigit() and int(path.stem[-5:]) >= self._part):
                    path.unlink()
            _write_grid(folder / GRID, selection.catalog.r)

    def write(self, chunk: Chunk) -> None:
        """Add the structures of a chunk to the files of the part, and close these where the part is full."""
        table = arrow_table(chunk, self._schema)
        of_set = np.asarray(table.column(f"split_{self.options.split}").to_pylist())
        with or_output_error(self.folder):
            for name in SETS:
                rows = np.flatnonzero(of_set == name)
                if len(rows):
                    if name not in self._writers:
                        self._writers[name] = _Part(self.folder / DATA / f"{name}-{self._part:05d}.parquet", self._schema)
                    self._writers[name].add(table if len(rows) == len(chunk) else table.take(rows))
            self._rows += len(chunk)
            done = chunk.first + len(chunk)
            if self._rows >= self._rows_a_part or done == self._last:
                for writer in self._writers.values():
                    writer.close()
                self._writers, self._rows, self._part = {}, 0, self._part + 1
                self.record.save(done, part=self._part)

    def finish(self) -> None:
        """Write what describes the files: the card and the Croissant file. Every part has been closed when its last structure came."""
        from deepstruc_hpc.catalog.formats.croissant import CROISSANT, croissant_text
        from deepstruc_hpc.catalog.formats.hugging_face import CARD, card_text

        counts = rows_of_sets(self.folder)
        write_atomically(self.folder / CROISSANT, croissant_text(self.selection, self.folder, self.options), remedy=REMEDY)
        write_atomically(self.folder / CARD, card_text(self.selection, self.options, counts), remedy=REMEDY)

    def close(self) -> None:
        """Drop the files of a part that is not whole."""
        for writer in self._writers.values():
            writer.drop()


class _Part:
    """One file under a temporary name until it is whole; small tables are gathered to row groups."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow.parquet as pq

        self._path, self._partial = path, path.with_name(f".{path.name}.part")
        plain = [name for name in schema.names if name not in ARRAYS]
        self._writer = pq.ParquetWriter(self._partial, schema, compression="zstd", compression_level=1, use_dictionary=plain)
        self._tables: list[Any] = []

    def add(self, table: Any) -> None:
        self._tables.append(table)
        if sum(len(part) for part in self._tables) >= ROWS_A_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._partial.replace(self._path)

    def drop(self) -> None:
        with suppress(OSError):
            self._writer.close()
            self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._tables:
            self._writer.write_table(pa.concat_tables(self._tables), row_group_size=2 * ROWS_A_GROUP)
            self._tables = []


def part_files(folder: Path, name: str) -> list[Path]:
    """The files of one set, in order."""
    return sorted((folder / DATA).glob(f"{name}-*.parquet"))


def rows_of_sets(folder: Path) -> Counter[str]:
    """Structures in the files of each set."""
    import pyarrow.parquet as pq

    return Counter({name: sum(pq.read_metadata(path).num_rows for path in part_files(folder, name)) for name in SETS})


def arrow_schema(selection: Selection) -> Any:
    """Columns of the files: those of the catalog, the arrays, and the divisions. Units stand in the fields' metadata."""
    import pyarrow as pa

    types = {"str": pa.string(), "int32": pa.int32(), "float64": pa.float64()}
    points = len(selection.catalog.r)
    fields = [pa.field(_name(name), types[kind]) for name, kind in selection.column_types.items()]
    fields += [pa.field(f"split_{name}", pa.string()) for name in _SPLIT_KEYS]
    fields += [
        pa.field("numbers", pa.list_(pa.uint8()), metadata={"meaning": "atomic number of each atom"}),
        pa.field("positions", pa.list_(pa.list_(pa.float32(), 3)), metadata={"unit": "Å", "meaning": "position of each atom"}),
        pa.field("pdf", pa.list_(pa.float32(), points), metadata={"unit": "Å⁻²", "meaning": "G(r) at the distances of r.parquet"}),
    ]
    return pa.schema(fields)


def arrow_table(chunk: Chunk, schema: Any) -> Any:
    """The structures of a chunk as a table."""
    import pyarrow as pa

    columns = {_name(name): values for name, values in chunk.columns.items()}
    columns |= {f"split_{name}": set_names(chunk.columns[key].tolist()) for name, key in _SPLIT_KEYS.items()}
    offsets = pa.array(chunk.offsets.astype(np.int32))
    xyz = pa.FixedSizeListArray.from_arrays(pa.array(chunk.positions.ravel()), 3)
    arrays = {
        "numbers": pa.ListArray.from_arrays(offsets, pa.array(chunk.species)),
        "positions": pa.ListArray.from_arrays(offsets, xyz),
        "pdf": pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(chunk.pdf).ravel()), chunk.pdf.shape[1]),
    }
    made = {name: arrays[name] if name in arrays else _array(columns[name], schema.field(name).type) for name in schema.names}
    return pa.table({name: values.cast(schema.field(name).type) if name in arrays else values for name, values in made.items()}, schema=schema)


def _array(values: NDArray[Any], kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string(kind):
        return pa.array(values.tolist(), type=kind)
    return pa.array(values, type=kind, from_pandas=True)  # NaN, where a structure has no such parameter, becomes null


def _name(column: str) -> str:
    return f"{column}_" if column in {*ARRAYS, *(f"split_{name}" for name in _SPLIT_KEYS)} else column


def _rows_a_part(selection: Selection) -> int:
    """Structures a part, from the mean size of the catalog's structures."""
    catalog = selection.catalog
    atoms = sum(block.n_atoms for block in catalog.blocks) / max(1, len(catalog))
    return max(ROWS_A_GROUP, int(BYTES_A_PART / (4.0 * len(catalog.r) + 13.0 * atoms)))


def _write_grid(path: Path, r: NDArray[np.float64]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    partial = path.with_name(f".{path.name}.part")
    pq.write_table(pa.table({"r": pa.array(r)}), partial)
    partial.replace(path)
