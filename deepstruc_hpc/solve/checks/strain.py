"""Surface contraction and radial strain of rank 1, beside the rigid answer and never in its place: named numbers, kept where the evidence pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepstruc_hpc.physics.fit_problem import FitProblem
from deepstruc_hpc.physics.strain import Strain, refine_strain
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.elements import is_metal

MULTIPLY_TWINNED = frozenset({"decahedral", "icosahedral"})
"""Lattices that no crystal fills without strain; of others the surface alone is asked for."""
MOST_ATOMS = 2000
"""Beyond it few atoms lie at the surface, and a step takes seconds."""


def strain_of(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> Strain | None:
    """The strain that the data ask of a metal particle; None where they ask none, or where it is not a particle of one metal.

    Args:
        candidate: rank 1, as given to the fit.
        row: its fit.
        measurement: data, range, instrument and terms.
    """
    structure = candidate.structure
    if candidate.crystal_fit is not None or len(structure.elements) > 1 or not is_metal(structure.elements[0]) or len(structure) > MOST_ATOMS:
        return None
    twinned = candidate.on_lattice in MULTIPLY_TWINNED
    names = ("radial_strain", "surface_contraction") if twinned else ("surface_contraction",)
    problem = FitProblem(
        measurement.data, measurement.instrument, zoom_bounds=np.array([candidate.zoom]), low_q=measurement.low_q, terms=measurement.terms
    )
    return refine_strain(structure, {name: float(row[name]) for name in ("scale", "zoom", "uiso", "delta2")}, problem, names)


def strain_details(found: Strain) -> dict[str, Any]:
    """For result.json: ``surface_contraction`` and ``radial_strain``, each with its uncertainty, and what they do to Rw."""
    details: dict[str, Any] = {}
    for name, value in found.values.items():
        details[name], details[f"{name}_err"] = round(value, 5), round(found.errors[name], 5)
    return {**details, "rw_rigid": round(found.rw_before, 6), "rw": round(found.rw_after, 6), "gain": round(found.gain, 2)}


def strain_words(found: Strain) -> str:
    """One sentence."""
    parts = []
    for name, value in found.values.items():
        error = 100 * found.errors[name]
        if name == "surface_contraction":
            moved = f"the surface is drawn {'in' if value > 0 else 'out'} by {100 * abs(value):.1f} ± {error:.1f} % of a bond"
            parts.append(moved)
        else:
            parts.append(f"lengths change outwards by {100 * value:+.1f} ± {error:.1f} % at the surface (radial strain)")
    return f"{' and '.join(parts)}: Rw {found.rw_after:.3f} for {found.rw_before:.3f}"
