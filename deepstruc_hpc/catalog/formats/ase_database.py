"""An ASE database: the structures, the columns as key-value pairs, and the PDF in ``data``.

``.db`` is SQLite and needs ase; ``.aselmdb`` needs the package ase-db-backends besides. The r grid and the conditions are the database's metadata.
Rows are in the order of the catalog: row k of the database is the export's k-th structure, counted from 1.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.catalog.formats.extxyz import stays_text
from deepstruc_hpc.catalog.formats.record import ExportRecord, or_output_error
from deepstruc_hpc.catalog.formats.selection import Chunk, Selection
from deepstruc_hpc.core.errors import EngineError

SUFFIXES = (".db", ".aselmdb")
PREFIXES = {"id": "id-", "fingerprint": "fp-"}
"""Before hexadecimal names: ASE refuses a text that could be read as a number, and a hexadecimal name of digits alone could."""

_NAMES = {"id": "catalog_id", "formula": "catalog_formula", "n_atoms": "n_atoms"}


class AseDatabase:
    """The database, one transaction a chunk: what a killed export leaves is a number of whole rows."""

    rows_a_chunk = 512
    needs_pdf = True

    def __init__(self, path: Path, record: ExportRecord, selection: Selection) -> None:
        self._path, self._record = path, record
        require_ase(path)
        self._metadata = _metadata(selection)
        done = self._rows() if path.exists() and record.path.exists() else 0
        if done == 0:
            path.unlink(missing_ok=True)
        record.save(done)

    def write(self, chunk: Chunk) -> None:
        """Add the structures of a chunk in one transaction."""
        from ase import Atoms

        with or_output_error(self._path), open_database(self._path) as database:
            if chunk.first == 0:
                database.metadata = self._metadata
            for row, columns in enumerate(chunk.rows()):
                part = slice(int(chunk.offsets[row]), int(chunk.offsets[row + 1]))
                atoms = Atoms(numbers=chunk.species[part], positions=chunk.positions[part].astype(np.float64), pbc=False)
                database.write(atoms, key_value_pairs=pairs(columns), data={"pdf": np.asarray(chunk.pdf[row]), "columns": columns})
        self._record.save(chunk.first + len(chunk))

    def close(self) -> None:
        """Nothing is open between two chunks."""

    def finish(self) -> None:
        """Nothing follows the last row."""

    def _rows(self) -> int:
        with open_database(self._path) as database:
            return int(database.count())


def require_ase(path: Path | None = None) -> None:
    """Refuse to go on where the library is missing.

    Raises:
        EngineError: saying what to install.
    """
    needed = {"ase": "ase"} | ({"ase_db_backends": "ase-db-backends"} if path is not None and path.suffix == ".aselmdb" else {})
    missing = [package for module, package in needed.items() if find_spec(module) is None]
    if missing:
        raise EngineError(f"{missing[0]} is needed here and is not installed. Run: pip install {' '.join(missing)}")


def pairs(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns as ASE's key-value pairs; a text that could be read as a number is in ``data`` alone."""
    found = {}
    for name, value in columns.items():
        kept = PREFIXES.get(name, "") + value if isinstance(value, str) else value
        if not isinstance(kept, str) or stays_text(kept):
            found[key_name(name)] = kept
    return found


@lru_cache(maxsize=1024)
def key_name(name: str) -> str:
    """The key of a column; names that ASE keeps for itself, and chemical formulas, get an underscore behind them."""
    from ase.db.core import check

    word = _NAMES.get(name, re.sub(r"\W", "_", name, flags=re.ASCII))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check({word: 1.0})
    except (ValueError, UserWarning):
        return f"{word}_"
    return word


def open_database(path: Path) -> Any:
    """A connection, to be used in a ``with`` block, which is one transaction."""
    from ase.db import connect

    return connect(str(path), use_lock_file=False)


def _metadata(selection: Selection) -> dict[str, Any]:
    catalog = selection.catalog
    recipe = catalog.manifest.recipes[0]
    return {
        "title": f"catalog {recipe.get('name')}",
        "description": str(recipe.get("description", "")),
        "recipe_hash": catalog.id,
        "content_hash": catalog.content_hash,
        "conditions": catalog.conditions.model_dump(mode="json"),
        "r": catalog.r.tolist(),
        "units": {"positions": "Å", "r": "Å", "pdf": "Å⁻²", "nn_distance": "Å", "diameter": "Å"},
    }
