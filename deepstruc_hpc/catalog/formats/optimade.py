"""OPTIMADE JSON lines: one structure entry a line, which optimade-python-tools loads and serves.

Source: OPTIMADE specification 1.2, https://specification.optimade.org (structure entries; JSON lines). Clusters are not periodic: no lattice vectors.
Columns of the catalog stand under the prefix ``_deepstruc_``; what the specification has a word for is not repeated.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from itertools import count
from math import gcd
from pathlib import Path
from typing import Any

from deepstruc_hpc.catalog.formats.extxyz import kept, resumed
from deepstruc_hpc.catalog.formats.record import REMEDY, ExportRecord
from deepstruc_hpc.catalog.formats.selection import Chunk, Selection
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.schema import COLUMN_ARRAYS

SUFFIXES = (".jsonl",)
SERVER = ".server.json"
"""Ending of the settings with which optimade-python-tools serves the file."""

PREFIX = "_deepstruc_"
API_VERSION = "1.2.0"
_OWN_WORDS = frozenset({"id", "formula", "elements", "n_atoms"})
"""Columns for which OPTIMADE has a field: id, chemical_formula_descriptive, elements, nsites."""


class Optimade:
    """The file, appended chunk by chunk; the record says up to which byte it is whole."""

    rows_a_chunk = 1024
    needs_pdf = False

    def __init__(self, path: Path, record: ExportRecord, selection: Selection) -> None:
        self._path, self._record, self._selection = path, record, selection
        self._head = "".join(_line(one) for one in head(selection))
        self._stream = resumed(path, record)

    def write(self, chunk: Chunk) -> None:
        """Append the entries of a chunk, after the head where it is the first one."""
        lines = [_line(entry(chunk, row, columns)) for row, columns in enumerate(chunk.rows())]
        self._stream.write("".join([self._head if chunk.first == 0 else "", *lines]).encode())
        kept(self._stream, self._record, chunk.first + len(chunk))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def finish(self) -> None:
        """Write the server's settings beside the file."""
        settings = json.dumps(server_settings(self._selection), indent=1, ensure_ascii=False) + "\n"
        write_atomically(self._path.with_name(f"{self._path.name}{SERVER}"), settings, remedy=REMEDY)


def head(selection: Selection) -> list[dict[str, Any]]:
    """The lines before the entries: which format this is, and what our fields mean."""
    catalog = selection.catalog
    meta = {
        "api_version": API_VERSION,
        f"{PREFIX}recipe_hash": catalog.id,
        f"{PREFIX}content_hash": catalog.content_hash,
        f"{PREFIX}program": f"deepstruc_hpc {__version__}",
    }
    return [{"x-optimade": {"meta": meta}}, {"type": "info", "id": "structures", "properties": properties(selection.column_types)}]


def server_settings(selection: Selection) -> dict[str, Any]:
    """Settings of optimade-python-tools' server that make our fields known to it."""
    described = properties(selection.column_types)
    return {
        "insert_test_data": False,
        "provider": {
            "prefix": PREFIX.strip("_"),
            "name": "deepstruc_hpc",
            "description": f"catalog {selection.catalog.recipe.get('name')}, content hash {selection.catalog.content_hash}",
        },
        "provider_fields": {"structures": [{"name": name, **facts} for name, facts in described.items()]},
    }


def properties(types: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What each of our fields is."""
    known = {spec.name: spec for spec in COLUMN_ARRAYS}
    names = {"str": "string", "int32": "integer", "float64": "float"}
    found = {}
    for name, kind in types.items():
        if name not in _OWN_WORDS:
            spec = known.get(name)
            unit = {"unit": "angstrom"} if spec is not None and spec.unit == "Å" else {}
            found[field_name(name)] = {"description": spec.meaning if spec else f"parameter {name} of the shape", "type": names[kind], **unit}
    return found


def entry(chunk: Chunk, row: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    """One structure entry."""
    symbols, positions = chunk.atoms(row)
    counts = Counter(symbols)
    elements = sorted(counts)
    attributes = {
        "immutable_id": columns["id"],
        "last_modified": None,
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [counts[symbol] / len(symbols) for symbol in elements],
        "chemical_formula_descriptive": columns["formula"],
        "chemical_formula_reduced": reduced_formula(counts),
        "chemical_formula_anonymous": anonymous_formula(counts),
        "dimension_types": [0, 0, 0],
        "nperiodic_dimensions": 0,
        "lattice_vectors": [[None, None, None]] * 3,
        "cartesian_site_positions": positions.astype(float).round(7).tolist(),
        "nsites": len(symbols),
        "species": [{"name": symbol, "chemical_symbols": [symbol], "concentration": [1.0]} for symbol in elements],
        "species_at_sites": list(symbols),
        "structure_features": [],
        **{field_name(name): value for name, value in columns.items() if name not in _OWN_WORDS},
    }
    return {"type": "structures", "id": columns["id"], "attributes": attributes}


def reduced_formula(counts: Mapping[str, int]) -> str:
    """Elements in alphabetical order with the smallest whole numbers: ``O2Ti``."""
    divisor = gcd(*counts.values())
    return "".join(f"{symbol}{_number(counts[symbol] // divisor)}" for symbol in sorted(counts))


def anonymous_formula(counts: Mapping[str, int]) -> str:
    """Letters in the place of elements, the most frequent first: ``A2B``."""
    divisor = gcd(*counts.values())
    numbers = sorted((number // divisor for number in counts.values()), reverse=True)
    return "".join(f"{letter}{_number(number)}" for letter, number in zip(_letters(), numbers, strict=False))


@lru_cache(maxsize=1024)
def field_name(column: str) -> str:
    """The field of a column: small letters, digits and underscores under our prefix."""
    return PREFIX + re.sub(r"[^a-z0-9_]", "_", column.lower())


def _number(value: int) -> str:
    return str(value) if value > 1 else ""


def _letters() -> Any:
    """The letters A to Z, then Aa to Za, Ab to Zb, and so on."""
    alphabet = [chr(ord("A") + place) for place in range(26)]
    yield from alphabet
    for second in count():
        yield from (letter + chr(ord("a") + second) for letter in alphabet)


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
