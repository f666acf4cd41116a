"""Ask a catalog: what is in it, and which structures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.expression import check_columns

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("id", "structure_type", "formula", "n_atoms", "nn_distance", "diameter", "shape")
SIZE_CLASSES = (0, 13, 55, 100, 147, 200, 309, 561, 1000)


def describe(catalog: Catalog) -> dict[str, Any]:
    """Counts, grid, hashes and sizes, as plain values."""
    manifest = catalog.manifest
    by_elements = catalog.table.counts(["elements"])
    elements: Counter[str] = Counter()
    for joined, count in by_elements:
        elements.update(dict.fromkeys(str(joined).split("-"), count))
    atoms = catalog.table.counts(["n_atoms"])
    n_bytes = sum(block.n_bytes for block in catalog.blocks)
    return {
        "store": catalog.files.url,
        "recipe": [str(recipe.get("name")) for recipe in manifest.recipes],
        "recipe_hash": catalog.id,
        "content_hash": catalog.content_hash,
        "code_version": manifest.code_version,
        "complete": catalog.complete,
        "n_structures": len(catalog),
        "n_planned": manifest.n_planned,
        "n_blocks": len(catalog.blocks),
        "n_atoms": sum(size * count for size, count in atoms),
        "atoms_a_structure": [atoms[0][0], atoms[-1][0]] if atoms else [],
        "by_type": _counted(catalog.table.counts(["structure_type"])),
        "by_family": _counted(catalog.table.counts(["family"])),
        "by_element": dict(sorted(elements.items(), key=lambda pair: (-pair[1], pair[0]))),
        "by_size": _by_size(atoms),
        "conditions": catalog.conditions.model_dump(mode="json"),
        "r": {"min": float(catalog.r[0]), "max": float(catalog.r[-1]), "points": len(catalog.r)},
        "columns": catalog.column_names,
        "bytes": n_bytes,
        "bytes_a_structure": round(n_bytes / len(catalog), 1) if len(catalog) else 0.0,
    }


def select(catalog: Catalog, where: str = "", columns: Sequence[str] | None = None, limit: int | None = None) -> pd.DataFrame:
    """Rows of a catalog, at most ``limit``; without names the columns that people look at first."""
    return catalog.query(where, list(columns or SHOWN), limit=limit)


def first_rows(catalog: Catalog, where: str, columns: Sequence[str], limit: int) -> tuple[list[str], list[tuple[Any, ...]], int]:
    """Names of columns, at most ``limit`` rows of values, and how many rows there are; columns as in :func:`select`."""
    names = check_columns(columns or SHOWN, catalog.column_names)
    rows = catalog.table.first(names, where, limit)
    return names, rows, len(rows) if len(rows) < limit else catalog.count(where)


def _counted(counts: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """The most frequent first."""
    return {str(name): int(count) for name, count in sorted(counts, key=lambda pair: (-pair[1], str(pair[0])))}


def _by_size(atoms: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """Structures by class of size, from those by number of atoms."""
    edges = [*SIZE_CLASSES, math.inf]
    counts = [sum(count for size, count in atoms if low < size <= high) for low, high in pairwise(edges)]
    names = [f"{low + 1}-{high}" if math.isfinite(high) else f"more than {low}" for low, high in pairwise(edges)]
    return {name: count for name, count in zip(names, counts, strict=True) if count}
