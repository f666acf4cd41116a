"""The latent map of one PDF: where the prior points, what was sampled and how it fits, and where the catalog's shapes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.candidates.catalog import CatalogSource

if TYPE_CHECKING:
    from deepstruc_hpc.data.catalog_store import Catalog
    from deepstruc_hpc.model.generator import StructureModel

COLUMNS = ["kind", "z1", "z2", "structure_type", "rw", "std1", "std2", "catalog_id"]
MOST_ON_THE_MAP = 1000


def catalog_map(catalog: Catalog, source: CatalogSource, model: StructureModel) -> pd.DataFrame:
    """Where the catalog's one-element shapes lie: the posterior's mean of each under its own simulated PDF.

    It does not depend on the measured curve, so a worker makes it once. Of more than a thousand shapes an even selection is shown; shapes that the
    model cannot encode are left out.

    Returns:
        catalog_id, structure_type, z1, z2.
    """
    shapes = source.shapes
    spread = np.unique(np.linspace(0, len(shapes) - 1, min(len(shapes), MOST_ON_THE_MAP)).astype(int)) if len(shapes) else np.zeros(0, dtype=int)
    chosen = [int(shapes[place]) for place in spread]
    rows = []
    for index, structure in zip(chosen, catalog.structures(chosen), strict=True):
        curve = PdfCurve(catalog.r, np.asarray(catalog.pdf[index], dtype=float), source=f"structure {index} of the catalog")
        try:
            mean = np.ravel(model.encode(structure, curve)[0])
        except DeepstrucError:
            continue
        rows.append((str(catalog.columns["id"].iloc[index]), structure.structure_type, *_first_two(mean)))
    return pd.DataFrame(rows, columns=["catalog_id", "structure_type", "z1", "z2"])


def latent_table(candidates: CandidateSet, shapes: pd.DataFrame | None) -> pd.DataFrame:
    """The first two latent coordinates of the prior's mean (with its standard deviations), of every sample and of the catalog's shapes.

    Args:
        candidates: fitted, with their latent points.
        shapes: from :func:`catalog_map`, or None.

    Returns:
        A table with the columns kind (``mean``, ``sample`` or ``catalog``), z1, z2, structure_type, rw, std1, std2, catalog_id.
    """
    rows: list[tuple[Any, ...]] = []
    if candidates.belief is not None:
        rows.append(("mean", *_first_two(candidates.belief.mean), "", np.nan, *_first_two(candidates.belief.std), ""))
    fitted = {}
    for candidate, rw in zip(candidates, candidates.rw, strict=True):
        if candidate.latent:
            rows.append(("sample", *_first_two(np.array(candidate.latent)), candidate.structure.structure_type, float(rw), np.nan, np.nan, ""))
        if candidate.catalog_id:
            fitted[candidate.catalog_id] = float(rw)
    if shapes is not None:
        rows += [
            ("catalog", row.z1, row.z2, row.structure_type, fitted.get(str(row.catalog_id), np.nan), np.nan, np.nan, row.catalog_id)
            for row in shapes.itertuples()
        ]
    return pd.DataFrame(rows, columns=COLUMNS).replace([np.inf, -np.inf], np.nan)


def _first_two(point: np.ndarray) -> tuple[float, float]:
    values = np.ravel(point)
    return float(values[0]), float(values[1]) if len(values) > 1 else 0.0
