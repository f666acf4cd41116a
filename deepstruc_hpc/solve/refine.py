"""Fit every candidate to one curve, and what follows from the best fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.solve.candidates import Candidate
from deepstruc_hpc.solve.conditions import Conditions
from deepstruc_hpc.solve.config import RefusalSettings
from deepstruc_hpc.solve.propose import scaled

ZOOM_BOUNDS = (0.92, 1.08)
"""Candidates are brought to the first peak of the curve before, so this is room for strain, not for the lattice."""
TAIL_GAP = 1.15


def refine(candidates: Sequence[Candidate], curve: PdfCurve, conditions: Conditions, *, start: float = 1.0) -> pd.DataFrame:
    """One row a candidate, in the order given: what it is and how it fits.

    Args:
        candidates: Å.
        curve: the measured PDF.
        conditions: range and instrument.
        start: expansion of every candidate before the fit; the column ``zoom`` counts from the candidate as it was given.

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
        bounds={"zoom": ZOOM_BOUNDS},
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


def judge(curve: PdfCurve, best: Structure, rw: float, settings: RefusalSettings) -> tuple[str, str]:
    """Whether the curve belongs to the world of the candidates.

    Refused are a curve that keeps oscillating beyond the best candidate while that candidate fits poorly (bulk, or a particle larger than all
    candidates), and one that no candidate comes near. Measured nanoparticles have 2 to 7 % of their
    amplitude beyond their best candidate, bulk 25 to 90 %.

    Args:
        curve: the whole measured curve, not only the fitted range.
        best: rank 1, refined.
        rw: of rank 1.
        settings: the limits.

    Returns:
        status (``ok`` or ``refused``) and a message, which is empty or a warning where the status is ``ok``.
    """
    size = max(diameter(best), 4.0)
    tail = tail_ratio(curve, size)
    beyond = tail is not None and tail > settings.tail_ratio
    if beyond and rw > settings.rw_warn:
        return "refused", (
            f"G(r) goes on oscillating beyond the best candidate ({size:.0f} Å across, Rw {rw:.2f}) with {100 * (tail or 0):.0f} % of its amplitude: "
            "a bulk crystal, or a particle larger than every candidate. A catalog with larger structures is needed"
        )
    if rw > settings.rw_refuse:
        return "refused", f"no candidate comes near the curve (best Rw {rw:.2f}): another kind of sample, other elements or other units"
    if rw > settings.rw_warn:
        return "ok", f"warning: even the best candidate fits poorly (Rw {rw:.2f}); the sample may hold something else"
    if beyond:
        return "ok", f"warning: the curve holds structure beyond the best candidate ({size:.0f} Å across)"
    return "ok", ""


def tail_ratio(curve: PdfCurve, size: float) -> float | None:
    """RMS of G beyond a particle of that diameter (up to twice it) over RMS between 2 Å and the diameter; None where nothing was measured."""
    inner = curve.g[(curve.r >= 2.0) & (curve.r <= size)]
    start = TAIL_GAP * size + 1.0
    outer = curve.g[(curve.r >= start) & (curve.r <= max(2.0 * size, start + 5.0))]
    if len(inner) < 10 or len(outer) < 10 or curve.r[-1] < start + 3.0 or not inner.any():
        return None
    return float(np.sqrt(np.mean(outer**2) / np.mean(inner**2)))


def _describe(candidates: Sequence[Candidate]) -> pd.DataFrame:
    rows = [
        {
            "index": index,
            "source": candidate.source,
            "structure_type": candidate.structure.structure_type,
            "n_atoms": len(candidate.structure),
            "formula": candidate.structure.formula,
            "label": candidate.structure.label,
            "catalog_id": candidate.catalog_id,
            "latent": " ".join(f"{value:.4g}" for value in candidate.latent),
            "complexity": candidate.complexity,
        }
        for index, candidate in enumerate(candidates)
    ]
    return pd.DataFrame(rows)
