"""The latent map of one PDF: where the prior points, what was sampled and how it fits, and where the catalog's shapes lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.propose import Proposals

COLUMNS = ["kind", "z1", "z2", "structure_type", "rw"]


def latent_table(fits: pd.DataFrame, proposals: Proposals, model: Any, curve: PdfCurve) -> pd.DataFrame:
    """The first two latent coordinates of the prior's mean, of every sample and of every shape of the catalog that the model can encode.

    Args:
        fits: one row a candidate, in the order of the proposals.
        proposals: the candidates with their latent points.
        model: the loaded model; its ``encode`` gives the posterior mean of a structure under this curve.
        curve: the measured PDF.

    Returns:
        A table with the columns kind (``mean``, ``sample`` or ``catalog``), z1, z2, structure_type, rw.
    """
    rows = [_row("mean", proposals.mean, "", np.nan)] if proposals.mean is not None else []
    listed = []
    for candidate, rw in zip(proposals.candidates, fits["rw"], strict=True):
        if candidate.latent:
            rows.append(_row("sample", np.array(candidate.latent), candidate.structure.structure_type, float(rw)))
        if candidate.catalog_id and len(candidate.structure) <= model_max_atoms(model):
            listed.append((candidate, float(rw)))
    for (candidate, rw), point in zip(listed, _encode([entry for entry, _ in listed], model, curve), strict=False):
        rows.append(_row("catalog", point, candidate.structure.structure_type, rw))
    return pd.DataFrame(rows, columns=COLUMNS)


def model_max_atoms(model: Any) -> float:
    """The largest structure the model knows, infinity where it does not say."""
    return float(getattr(model, "max_atoms", np.inf))


def _encode(candidates: list[Any], model: Any, curve: PdfCurve) -> list[np.ndarray]:
    """Posterior means, or nothing for a model that cannot encode."""
    encode = getattr(model, "encode_many", None)
    if encode is None or not candidates:
        return []
    return list(np.asarray(encode([candidate.structure for candidate in candidates], curve)))


def _row(kind: str, point: np.ndarray | None, structure_type: str, rw: float) -> tuple[str, float, float, str, float]:
    values = np.ravel(np.zeros(2) if point is None else point)
    return kind, float(values[0]), float(values[1]) if len(values) > 1 else 0.0, structure_type, rw
