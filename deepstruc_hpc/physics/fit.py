"""Many candidates against one curve at once: scale, zoom, U and delta2 of each, by variable projection and batched Levenberg–Marquardt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit_problem import PARAMETERS, FitProblem
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.form_factors import Radiation
from deepstruc_hpc.physics.histogram import extent
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.screening import fit_groups
from deepstruc_hpc.physics.simulate import check_range, simulate_pdf


def fit_candidates(
    structures: Sequence[Structure],
    curve: PdfCurve,
    *,
    rmin: float,
    rmax: float,
    qmin: float,
    qmax: float,
    qdamp: float,
    qbroad: float = 0.0,
    delta1: float = 0.0,
    radiation: Radiation = "xray",
    free: Sequence[str] = ("scale", "zoom", "uiso", "delta2"),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    start: Mapping[str, float] | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> FitTable:
    """Fit every candidate to a measured curve.

    Minimises Σ(Gobs − scale·G(r; zoom, uiso, delta2))² over the curve's own points with rmin ≤ r ≤ rmax. The zoom is first scanned over its bounds in
    steps of 0.01, and the minimum is sought from the best of these and, where another one is nearly as good, from that too.

    Args:
        structures: candidates of any elements and sizes, Å.
        curve: the data.
        rmin: Å.
        rmax: Å.
        qmin: Å⁻¹, of the data's sine transform.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        qbroad: Å⁻¹.
        delta1: Å, fixed.
        radiation: ``xray`` or ``neutron``.
        free: parameters to refine; the others keep ``start``, or scale 1, zoom 1, uiso 0.005, delta2 0.
        bounds: other bounds than zoom 0.9–1.1, uiso 5e-4–0.08 Å², delta2 0–6 Å² (never above 0.9 of the shortest distance squared).
        start: values to start from, or to keep.
        threads: at most this many.
        device: a torch device (``cuda``, ``cpu``) to fit on; compiled code on the CPU when not given.

    Returns:
        A row a candidate, in the order given. Candidates that cannot be right (fewer than two atoms, atoms on top of each other, no distance below
        rmax, unknown elements) are refused with the reason and never stop the others.

    Raises:
        ConfigError: unknown parameter names, an empty range of Q.
        PdfFileError: the curve has no points in the range.
    """
    _check(free, bounds, start)
    check_range(qmin, qmax)
    problem = FitProblem(
        curve.between(rmin, rmax),
        Instrument(radiation=radiation, qmin=qmin, qmax=qmax, qdamp=qdamp, qbroad=qbroad),
        delta1=delta1,
        free=frozenset(free),
        bounds=dict(bounds or {}),
        start=dict(start or {}),
        threads=threads,
        device=device,
    )
    table = FitTable.empty(len(structures), len(problem.data), problem.n_independent)
    sizes = np.array([extent(structure.positions) for structure in structures])
    for rows in fit_groups(structures, sizes, radiation, table):
        problem.fit_group([structures[row] for row in rows], np.array(rows), table)
    return table


def fitted_curve(
    structure: Structure,
    parameters: Mapping[str, Any],
    curve: PdfCurve,
    *,
    qmin: float,
    qmax: float,
    qdamp: float,
    qbroad: float = 0.0,
    delta1: float = 0.0,
    radiation: Radiation = "xray",
    rmin: float = -math.inf,
    rmax: float = math.inf,
) -> NDArray[np.float64]:
    """G(r) of a fitted candidate, by the reference path.

    Args:
        structure: the candidate as given to the fit.
        parameters: ``scale``, ``zoom``, ``uiso``, ``delta2``: a row of the table.
        curve: whose r is wanted.
        qmin: Å⁻¹; this and the following as in the fit.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        qbroad: Å⁻¹.
        delta1: Å.
        radiation: ``xray`` or ``neutron``.
        rmin: Å; points of the curve outside [rmin, rmax] are 0.
        rmax: Å.

    Returns:
        (R,) Å⁻² on the curve's own points.
    """
    moved = structure.positions * float(parameters["zoom"])
    calculated = float(parameters["scale"]) * simulate_pdf(
        structure.symbols,
        moved,
        curve.r,
        radiation=radiation,
        qmin=qmin,
        qmax=qmax,
        qdamp=qdamp,
        qbroad=qbroad,
        uiso=float(parameters["uiso"]),
        delta1=delta1,
        delta2=float(parameters["delta2"]),
    )
    return np.where((curve.r >= rmin - 1e-9) & (curve.r <= rmax + 1e-9), calculated, 0.0)


def _check(free: Sequence[str], bounds: Mapping[str, tuple[float, float]] | None, start: Mapping[str, float] | None) -> None:
    known = {"scale", *PARAMETERS}
    for name in [*free, *(bounds or {}), *(start or {})]:
        if name not in known:
            raise ConfigError(f"fit parameter {name!r}: not one of {', '.join(sorted(known))}.")
    for name, (low, high) in (bounds or {}).items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (name in {"zoom", "uiso"} and low <= 0):
            raise ConfigError(
                f"bounds of {name}: found {low:g} to {high:g}; finite numbers, the lower first, positive for zoom and uiso, are needed."
            )
