"""The atoms of rank 1 moved under the data, beside the rigid answer and never in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import Measurement

MOST_ITERATIONS = 40
"""Of the restrained refinement; a limit of time, what it reached is told."""
RELAXED_FILE = "relaxed-001.xyz"


def refine_positions(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> tuple[Structure | None, dict[str, Any]]:
    """Relax a fitted candidate, restrained to where its atoms were.

    N atoms have 3N coordinates and a curve some hundred independent points, so a relaxation always fits better: it says what strain the data would
    allow, and decides on nothing.

    Args:
        candidate: rank 1, as given to the fit.
        row: its fit.
        measurement: data, range and instrument.

    Returns:
        The structure, centred, Å (None where it is not refined, with the reason as ``not_done``), and how it came: ``rw_before``, ``rw_after``,
        ``moved_mean`` and ``moved_max`` (Å, apart from the whole), ``uiso`` (Å²), ``iterations``, ``converged``, ``file``.
    """
    from deepstruc_hpc.physics.relax import relax

    if candidate.crystal_fit is not None:
        return None, {"not_done": "rank 1 is a crystal in a sphere: its positions were refined with it"}
    if row["uiso_by_element"]:
        return None, {"not_done": "rank 1 has a U for each element; positions are refined with one U for all"}

    parameters = {name: float(row[name]) for name in ("zoom", "uiso", "delta2")}
    found = relax(
        candidate.structure,
        parameters,
        measurement.curve,
        measurement.instrument,
        rmin=measurement.rmin,
        rmax=measurement.rmax,
        max_iterations=MOST_ITERATIONS,
        low_q=measurement.low_q,
        terms=measurement.terms,
    )
    rigid = candidate.structure.scaled(parameters["zoom"]).positions
    moved = np.linalg.norm((found.structure.positions - found.structure.positions.mean(axis=0)) - (rigid - rigid.mean(axis=0)), axis=1)
    details = {
        "rw_before": round(found.rw_before, 6),
        "rw_after": round(found.rw_after, 6),
        "moved_mean": round(float(moved.mean()), 4),
        "moved_max": round(float(moved.max()), 4),
        "uiso": round(found.uiso, 6),
        "iterations": found.iterations,
        "converged": found.converged,
        "file": RELAXED_FILE,
    }
    return found.structure.centred(), details
