"""The latent map of one PDF: where the prior points, what was sampled and how it fits, and where the catalog's shapes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepstruc_hpc.solve.candidates.candidate import CandidateSet

if TYPE_CHECKING:
    pass

COLUMNS = ["kind", "z1", "z2", "structure_type", "rw", "std1", "std2", "catalog_id"]


def latent_table(candidates: CandidateSet, shapes: pd.DataFrame | None) -> pd.DataFrame:
    """The first two latent coordinates of the prior's mean (with its standard deviations), of every sample and of the catalog's shapes.

    Args:
        candidates: fitted, with their latent points.
        shapes: where the catalog's shapes lie, from :func:`~deepstruc_hpc.model.latent_map.latent_map`, or None.

    Returns:
        A table with the columns kind (``mean``, ``sample`` or ``catalog``), z1, z2, structure_type, rw, std1, std2, catalog_id.
    """
    rows: list[tuple[Any, ...]] = []
    if candidates.belief is not None and len(candidates.belief.mean):
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
