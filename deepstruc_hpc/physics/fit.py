"""Many candidates against one curve at once: scale, zoom, U and delta2 of each, by variable projection and batched Levenberg–Marquardt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.extra_terms import Term
from deepstruc_hpc.physics.fit_problem import PARAMETERS, FitProblem
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.form_factors import Radiation
from deepstruc_hpc.physics.histogram import extent
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.screening import fit_groups
from deepstruc_hpc.physics.simulate import check_range, simulate_pdf
from deepstruc_hpc.physics.target import check_low_q, low_q_part
from deepstruc_hpc.physics.uiso_groups import CLOSE_TO_BEST, automatic_groups, check_groups, uiso_of_atoms


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
    uiso_groups: Mapping[str, str] | Literal["auto"] | None = None,
    zoom_bounds: Float64[NDArray[np.float64], "candidates 2"] | None = None,
    threads: int | None = None,
    device: str | None = None,
    low_q: float = 0.0,
    terms: Sequence[Term] = (),
) -> FitTable:
    """Fit every candidate to a measured curve.

    Minimises Σ(Gobs − scale·G(r; zoom, uiso, delta2))² over the curve's own points with rmin ≤ r ≤ rmax. The zoom is first scanned over its bounds in
    steps of ``ZOOM_STEP`` at most, and the minimum is sought from the best of these and, where another one is nearly as good, from that too.

    With ``uiso_groups`` the atoms of each group of elements have their own U, and σᵢⱼ² = (Uᵢ + Uⱼ) s(d). Only groups that occur in a candidate count.
    ``"auto"`` asks of each candidate whether the data carry more than one U:

    1. All candidates are fitted with one U.
    2. Those whose Rw is at most ``CLOSE_TO_BEST`` (1.3) times the lowest are fitted again from there, without a scan: with a U for cations and one
       for anions (O S Se Te N P As F Cl Br I H C), or, where all elements are metals and at most three, with one for each element.
    3. The second fit is kept where (n/2) ln(Σr²(one U)/Σr²(G)) > (G − 1)/2 · ln n, with n independent points: the Bayesian information criterion.

    Rows of one table then differ in their number of parameters: see ``uiso_by_element``.

    With ``low_q`` everything that Q below max(Qmin, low_q) can make is taken out of data and model (:mod:`deepstruc_hpc.physics.target`). Rw is then
    that of what is left, and independent points count from there. Nothing below changes the fit, nor does a Qmin below ``low_q``.

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
        start: values to start from, or to keep; ``uiso`` is that of all groups.
        uiso_groups: element symbol → name of its group; elements that are not named make groups of their own. ``"auto"``: see above. None: one U for
            all atoms. Without effect where ``uiso`` is not free.
        zoom_bounds: (C, 2) lowest and highest zoom of each candidate, instead of ``bounds["zoom"]``. Without effect where the zoom is not free.
        threads: at most this many.
        device: a torch device (``cuda``, ``cpu``) to fit on; compiled code on the CPU when not given.
        low_q: Å⁻¹, below which nothing of data and model counts; 0: all counts.
        terms: of ligands, solvent or support, eliminated with the scale (:mod:`deepstruc_hpc.physics.extra_terms`); of any sign.

    Returns:
        A row a candidate, in the order given. Candidates that cannot be right (fewer than two atoms, atoms on top of each other, no distance below
        rmax, unknown elements) are refused with the reason and never stop the others.

    Raises:
        ConfigError: unknown parameter names, broken bounds or groups, an empty range of Q, ``low_q`` not below Qmax.
        PdfFileError: the curve has no points in the range.
    """
    _check(free, bounds, start)
    check_groups(uiso_groups)
    check_range(qmin, qmax)
    check_low_q(low_q, qmax)
    problem = FitProblem(
        curve.between(rmin, rmax),
        Instrument(radiation=radiation, qmin=qmin, qmax=qmax, qdamp=qdamp, qbroad=qbroad),
        delta1=delta1,
        free=frozenset(free),
        bounds=dict(bounds or {}),
        start=dict(start or {}),
        uiso_groups=None if isinstance(uiso_groups, str) else uiso_groups,
        zoom_bounds=_checked_zoom_bounds(zoom_bounds, len(structures), bounds),
        threads=threads,
        device=device,
        low_q=low_q,
        terms=tuple(terms),
    )
    table = FitTable.empty(len(structures), len(problem.data), problem.n_independent)
    sizes = np.array([extent(structure.positions) for structure in structures])
    for rows in fit_groups(structures, sizes, radiation, table):
        problem.fit_group([structures[row] for row in rows], np.array(rows), table)
    if uiso_groups == "auto" and "uiso" in free:
        close = np.flatnonzero(table.rw <= CLOSE_TO_BEST * table.rw.min(initial=math.inf)).tolist()
        several = [row for row in close if table.refused[row] == "" and len(automatic_groups(structures[row].elements)) > 1]
        for part in fit_groups([structures[row] for row in several], sizes[several], radiation, table):
            rows = [several[number] for number in part]
            problem.try_more_uiso([structures[row] for row in rows], np.array(rows), table)
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
    low_q: float = 0.0,
) -> Float64[NDArray[np.float64], " r"]:
    """G(r) of a fitted candidate, by the reference path.

    With ``low_q`` the low-Q component of (data − model) between rmin and rmax is added to the model, so that data − returned is the residual that the
    fit made small. Rw of the fit is the root of its sum of squares over that of the data less the data's own low-Q component.

    Args:
        structure: the candidate as given to the fit.
        parameters: ``scale``, ``zoom``, ``uiso``, ``delta2``, and ``uiso_by_element`` where there is one: a row of the table.
        curve: whose r is wanted; with ``low_q`` its G is the data of the fit.
        qmin: Å⁻¹; this and the following as in the fit.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        qbroad: Å⁻¹.
        delta1: Å.
        radiation: ``xray`` or ``neutron``.
        rmin: Å; points of the curve outside [rmin, rmax] are 0.
        rmax: Å.
        low_q: Å⁻¹, as in the fit; 0: the model alone.

    Returns:
        (R,) Å⁻² on the curve's own points.

    Raises:
        ConfigError: ``uiso_by_element`` is not a mapping or lacks an element of the structure.
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
        uiso=uiso_of_atoms(structure.symbols, parameters),
        delta1=delta1,
        delta2=float(parameters["delta2"]),
    )
    inside = (curve.r >= rmin - 1e-9) & (curve.r <= rmax + 1e-9)
    if low_q > 0:
        calculated[inside] += low_q_part(curve.r[inside], (curve.g - calculated)[inside], qmin=qmin, qdamp=qdamp, low_q=low_q)
    return np.where(inside, calculated, 0.0)


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


def _checked_zoom_bounds(given: Any, count: int, bounds: Mapping[str, tuple[float, float]] | None) -> NDArray[np.float64] | None:
    """The bounds of each candidate's zoom as (C, 2), or None."""
    if given is None:
        return None
    if "zoom" in (bounds or {}):
        raise ConfigError("bounds of zoom are given for all candidates (bounds) and for each (zoom_bounds). Give one of them.")
    pairs = np.asarray(given, dtype=np.float64)
    if pairs.shape != (count, 2):
        raise ConfigError(
            f"zoom_bounds: found shape {pairs.shape}; a lower and an upper bound for each of {count} candidates, ({count}, 2), are needed."
        )
    wrong = np.flatnonzero(~(np.isfinite(pairs).all(axis=1) & (pairs[:, 0] > 0) & (pairs[:, 0] <= pairs[:, 1])))
    if len(wrong):
        low, high = pairs[wrong[0]]
        raise ConfigError(f"zoom_bounds of candidate {wrong[0]}: found {low:g} to {high:g}; finite positive numbers, the lower first, are needed.")
    return pairs
