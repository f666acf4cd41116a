"""Fit every candidate to one curve, and what follows from a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.solve.candidates import Candidate
from deepstruc_hpc.solve.conditions import Conditions
from deepstruc_hpc.solve.propose import scaled

ZOOM_BOUNDS = (0.92, 1.08)
"""Candidates are brought to the first peak of the curve before, so this is room for strain, not for the lattice."""


def refine(
    candidates: Sequence[Candidate], curve: PdfCurve, conditions: Conditions, *, start: float = 1.0, zoom: tuple[float, float] = ZOOM_BOUNDS
) -> pd.DataFrame:
    """One row a candidate, in the order given: what it is and how it fits.

    Args:
        candidates: Å.
        curve: the measured PDF.
        conditions: range and instrument.
        start: expansion of every candidate before the fit; the column ``zoom`` counts from the candidate as it was given.
        zoom: bounds of the zoom, counted from ``start``.

    Returns:
        The columns of ``FitTable.to_frame()`` with source, structure_type, n_atoms, formula, label, catalog_id, latent, complexity and index.
    """
    described = _describe(candidates)
    if described.empty:
        return described
    table = fit_candidates(
        [scaled(candidate, start).structure for candidate in candidates],
        curve,
        rmin=conditions.rmin,
        rmax=conditions.rmax,
        bounds={"zoom": zoom},
        **conditions.instrument.model_dump(),
    )
    fits = table.to_frame()
    fits["zoom"] *= start
    fits["zoom_err"] *= start
    return pd.concat([described, fits], axis=1)


def refined_structure(candidate: Candidate, row: pd.Series) -> Structure:
    """The candidate as refined: expanded by the fitted zoom and centred, Å."""
    return candidate.structure.scaled(float(row["zoom"])).centred()


def fit_curve_table(candidate: Candidate, row: pd.Series, curve: PdfCurve, conditions: Conditions) -> pd.DataFrame:
    """r, g_obs, g_calc and difference on the measured points between rmin and rmax."""
    inside = curve.between(conditions.rmin, conditions.rmax)
    calculated = fitted_curve(candidate.structure, {str(name): value for name, value in row.items()}, inside, **conditions.instrument.model_dump())
    return pd.DataFrame({"r": inside.r, "g_obs": inside.g, "g_calc": calculated, "difference": inside.g - calculated})


def diameter(structure: Structure) -> float:
    """Largest distance between two atoms, Å (within 1 % for particles: twice the largest distance from the centroid at most)."""
    radii = np.linalg.norm(structure.positions - structure.positions.mean(axis=0), axis=1)
    return float(2.0 * radii.max()) if len(radii) else 0.0


def _describe(candidates: Sequence[Candidate]) -> pd.DataFrame:
    columns = {
        "source": [candidate.source for candidate in candidates],
        "structure_type": [candidate.structure.structure_type for candidate in candidates],
        "n_atoms": [len(candidate.structure) for candidate in candidates],
        "formula": [candidate.structure.formula for candidate in candidates],
        "label": [candidate.structure.label for candidate in candidates],
        "catalog_id": [candidate.catalog_id for candidate in candidates],
        "latent": [" ".join(f"{value:.4g}" for value in candidate.latent) for candidate in candidates],
        "complexity": [float(candidate.complexity) for candidate in candidates],
    }
    return pd.DataFrame({"index": range(len(candidates)), **columns})
