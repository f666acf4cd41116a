"""Where the shapes of a catalog lie in a model's latent space: made once for a model and a catalog, then read in milliseconds.

The map depends on the weights and on the catalog's content alone, so it is kept in the cache under their hashes. For the model and the catalog that
come with the program it comes along (``pretrained/default/latent_map.csv``).
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.model.checkpoint import PRETRAINED_DIR, load_model

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.data.catalog_store import Catalog
    from deepstruc_hpc.model.generator import StructureModel

VERSION = 1
"""Of the numbers in a map: raise it when the same model and catalog would give others."""
MOST_SHAPES = 1000
COLUMNS = ("catalog_id", "structure_type", "z1", "z2")
FOLDER, SHIPPED = "latent-maps", "latent_map.csv"

Head = dict[str, str | int]


def latent_map(model: StructureModel, catalog: Catalog, *, most: int = MOST_SHAPES) -> pd.DataFrame:
    """The posterior's mean of a catalog's one-element shapes, each under its own simulated PDF: the first two coordinates.

    Read from what comes with the program or from the cache where it is there, else made and kept in the cache. A cache that cannot be written or
    read is done without.

    Args:
        model: from ``load_model``.
        catalog: an open catalog.
        most: of more shapes an even selection is taken.

    Returns:
        catalog_id, structure_type, z1, z2; one row a shape. Shapes that the model cannot encode are left out. z2 is 0 for a latent space of one
        dimension.
    """
    head = map_head(model, catalog, most)
    cached = cache_dir() / FOLDER / f"{_key(head)}.csv"
    for path in (*sorted(PRETRAINED_DIR.glob(f"*/{SHIPPED}")), cached):
        found = read_map(path, head)
        if found is not None:
            return found
    made = make_map(model, catalog, most=most)
    with suppress(OSError):
        write_map(cached, made, head)
    return made


def map_head(model: StructureModel, catalog: Catalog, most: int = MOST_SHAPES) -> Head:
    """What a map depends on."""
    return {"version": VERSION, "weights": model.weights_hash(), "catalog": catalog.content_hash, "most": most}


def make_map(model: StructureModel, catalog: Catalog, *, most: int = MOST_SHAPES) -> pd.DataFrame:
    """As :func:`latent_map`, made anew; nothing is read from the cache or written to it."""
    import pandas as pd

    chosen = evenly_spread(one_element_shapes(catalog), most)
    structures = catalog.structures(chosen)
    curves = [
        PdfCurve(r=catalog.r, g=np.asarray(g, dtype=np.float64), source=f"structure {index} of the catalog")
        for index, g in zip(chosen.tolist(), catalog.pdf[chosen], strict=True)
    ]
    mean, _ = model.encode_many(structures, curves, instrument=catalog.instrument, skip=True)
    known = np.isfinite(mean).all(axis=1)
    second = mean[:, 1] if mean.shape[1] > 1 else np.zeros(len(mean))
    table = pd.DataFrame(
        {
            "catalog_id": catalog.columns["id"].astype(str).to_numpy()[chosen],
            "structure_type": [structure.structure_type for structure in structures],
            "z1": np.round(mean[:, 0], 5),
            "z2": np.round(second, 5),
        },
        columns=list(COLUMNS),
    )
    return table.iloc[np.flatnonzero(known)].reset_index(drop=True)


def one_element_shapes(catalog: Catalog) -> NDArray[np.int64]:
    """Numbers of the catalog's different shapes of one element, (S,), in its order: entries that differ in scale or element alone are one shape."""
    columns = catalog.columns.reset_index(drop=True)
    one_element = ~columns["elements"].astype(str).str.contains("-", regex=False).to_numpy(dtype=bool)
    keys = ["structure_type", "fingerprint"] if "fingerprint" in columns else ["structure_type", "family", "shape"]
    return np.flatnonzero(one_element & ~columns.duplicated(keys).to_numpy()).astype(np.int64)


def evenly_spread(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of (S,) numbers, evenly spread, the first and the last among them."""
    if len(numbers) <= most:
        return numbers
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, most).astype(np.int64))]


def read_map(path: Path, head: Head) -> pd.DataFrame | None:
    """A map from a file; None where there is none, or one of another model, catalog or version, or a damaged one."""
    import pandas as pd

    try:
        with path.open(encoding="utf-8") as file:
            if json.loads(file.readline().removeprefix("#")) != head:
                return None
            table = pd.read_csv(file, dtype={"catalog_id": str, "structure_type": str, "z1": float, "z2": float}, keep_default_na=False)
    except (OSError, ValueError):
        return None
    return table if tuple(table.columns) == COLUMNS else None


def write_map(path: Path, table: pd.DataFrame, head: Head) -> None:
    """Write a map: the head as JSON behind ``#``, then CSV. A reader sees the old file or the new one.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    try:
        partial.write_text(f"#{json.dumps(head)}\n{table.to_csv(index=False)}", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def ship_map(name: str, catalog: Catalog) -> Path:
    """Write the map of a model that comes with the program beside it; to be done when the model or the catalog changed.

    ``python -c "from deepstruc_hpc import Catalog; from deepstruc_hpc.model.latent_map import ship_map; ship_map('default',
    Catalog.open('catalog/compact.zarr'))"``
    """
    model, path = load_model(name), PRETRAINED_DIR / name / SHIPPED
    write_map(path, make_map(model, catalog), map_head(model, catalog))
    return path


def _key(head: Head) -> str:
    return blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=16).hexdigest()
