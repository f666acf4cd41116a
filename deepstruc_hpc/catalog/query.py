"""Ask a catalog: what is in it, and which structures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deepstruc_hpc.data.catalog_index import read_columns
from deepstruc_hpc.data.catalog_store import Catalog

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("id", "structure_type", "formula", "n_atoms", "nn_distance", "diameter", "shape")
SIZE_CLASSES = (0, 13, 55, 100, 147, 200, 309, 561, 1000)


def describe(catalog: Catalog) -> dict[str, Any]:
    """Counts, grid, hashes and sizes, as plain values."""
    manifest = catalog.manifest
    frame = read_columns(catalog.files, manifest, ["structure_type", "family", "elements", "n_atoms"])
    atoms = frame["n_atoms"].to_numpy() if len(frame) else np.zeros(0, dtype=np.int32)
    n_bytes = sum(block.n_bytes for block in catalog.blocks)
    elements = Counter(symbol for joined, count in Counter(frame["elements"]).items() for symbol in [*str(joined).split("-")] * count)
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
        "n_atoms": int(atoms.sum()),
        "atoms_a_structure": [int(atoms.min()), int(atoms.max())] if len(atoms) else [],
        "by_type": _counted(frame["structure_type"]),
        "by_family": _counted(frame["family"]),
        "by_element": dict(sorted(elements.items(), key=lambda pair: (-pair[1], pair[0]))),
        "by_size": _by_size(atoms),
        "conditions": catalog.conditions.model_dump(mode="json"),
        "r": {"min": float(catalog.r[0]), "max": float(catalog.r[-1]), "points": len(catalog.r)},
        "columns": catalog.column_names,
        "bytes": n_bytes,
        "bytes_a_structure": round(n_bytes / len(catalog), 1) if len(catalog) else 0.0,
    }


def select(catalog: Catalog, where: str = "", columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of a catalog; without names the columns that people look at first."""
    return catalog.query(where, list(columns) if columns else list(SHOWN))


def _counted(values: pd.Series[Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().items()}


def _by_size(atoms: np.ndarray[Any, Any]) -> dict[str, int]:
    edges = [*SIZE_CLASSES, np.inf]
    counts = [int(((atoms > low) & (atoms <= high)).sum()) for low, high in pairwise(edges)]
    names = [f"{low + 1}-{high}" if np.isfinite(high) else f"more than {low}" for low, high in pairwise(edges)]
    return {name: count for name, count in zip(names, counts, strict=True) if count}
