"""The latent map of one PDF: where the prior points, what was sampled and how it fits, and where the catalog's shapes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.solve.candidates.candidate import CatalogShapes
from deepstruc_hpc.solve.candidates.generator import Proposals

if TYPE_CHECKING:
    from deepstruc_hpc.data.catalog_store import Catalog

COLUMNS = ["kind", "z1", "z2", "structure_type", "rw", "std1", "std2", "catalog_id"]
MOST_ON_THE_MAP = 1000


def catalog_map(catalog: Catalog, shapes: CatalogShapes, model: Any) -> pd.DataFrame:
    """Where the catalog's one-element shapes lie: the posterior's mean of each under its own simulated PDF.

    It does not depend on the measured curve, so a worker makes it once. Of more than a thousand shapes an even selection is shown; shapes that the
    model cannot encode are left out.

    Returns:
        catalog_id, structure_type, z1, z2.
    """
    spread: Any = (
        np.unique(np.linspace(0, len(shapes.indices) - 1, min(len(shapes.indices), MOST_ON_THE_MAP)).astype(int)) if len(shapes.indices) else []
    )
    chosen = [int(shapes.indices[place]) for place in spread]
    rows = []
    for index, structure in zip(chosen, catalog.structures(chosen), strict=True):
        curve = PdfCurve(catalog.r, np.asarray(catalog.pdf[index], dtype=float), source=f"structure {index} of the catalog")
        try:
            mean = np.ravel(model.encode(structure, curve)[0])
        except DeepstrucError:
            continue
        rows.append((str(catalog.columns["id"].iloc[index]), structure.structure_type, *_first_two(mean)))
    return pd.DataFrame(rows, columns=["catalog_id", "structure_type", "z1", "z2"])


def latent_table(fits: pd.DataFrame, proposals: Proposals, shapes: pd.DataFrame | None) -> pd.DataFrame:
    """The first two latent coordinates of the prior's mean (with its standard deviations), of every sample and of the catalog's shapes.

    Args:
        fits: one row a candidate, in the order of the proposals.
        proposals: the candidates with their latent points.
        shapes: from :func:`catalog_map`, or None.

    Returns:
        A table with the columns kind (``mean``, ``sample`` or ``catalog``), z1, z2, structure_type, rw, std1, std2, catalog_id.
    """
    rows: list[tuple[Any, ...]] = []
    if proposals.prior is not None:
        mean, std = proposals.prior
        rows.append(("mean", *_first_two(mean), "", np.nan, *_first_two(std), ""))
    fitted = {}
    for candidate, rw in zip(proposals.candidates, fits["rw"], strict=True):
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
