"""One XYZ or CIF file a structure, and ``index.csv`` with their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepstruc_hpc.catalog.formats.extxyz import kept, resumed
from deepstruc_hpc.catalog.formats.record import ExportRecord, or_output_error
from deepstruc_hpc.catalog.formats.selection import Chunk
from deepstruc_hpc.core.files import remove_partials
from deepstruc_hpc.data.structure_files import write_cif, write_xyz

INDEX = "index.csv"


class StructureFiles:
    """A folder of files; those of the chunk in which an export was killed are written again."""

    rows_a_chunk = 1024
    needs_pdf = False

    def __init__(self, folder: Path, record: ExportRecord, kind: str) -> None:
        self._folder, self._record, self._kind = folder, record, kind
        with or_output_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            remove_partials(folder)
        self._index = resumed(folder / INDEX, record)

    def write(self, chunk: Chunk) -> None:
        """Write the files of a chunk, then their lines of the index."""
        import pandas as pd

        names = []
        for row in range(len(chunk)):
            columns = {name: values[row] for name, values in chunk.columns.items()}
            names.append(f"{_file_stem(columns)}.{self._kind}")
            structure = chunk.structure(row)
            if self._kind == "xyz":
                write_xyz(structure, self._folder / names[-1], f"{structure.label} id={columns['id']}")
            else:
                write_cif(structure, self._folder / names[-1])
        table = pd.DataFrame({**chunk.columns, "file": names}).to_csv(index=False, header=chunk.first == 0)
        with or_output_error(self._folder):
            self._index.write(table.encode())
        kept(self._index, self._record, chunk.first + len(chunk))

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def finish(self) -> None:
        """Nothing follows the last file."""


def _file_stem(row: Mapping[str, Any]) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", f"{row['formula']}_{row['structure_type']}_{row['id']}")
