"""The search for the crystal that a sample is.

Screening ranks all candidates; the best are refined (scale, lengths of the cell, U of cations and of anions, delta2, diameter, and what of the
resolution is not known, held to what is usual). The best of those are finished: with the shifts that their symmetry allows, held to the type by a
weak pull; over the whole range of the data; and with the shape that the data ask for. What is more than a sphere stays only where it pays for its
number of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_finish import STRONG, best_shape, whole_range
from deepstruc_hpc.physics.crystal_model import FADE
from deepstruc_hpc.physics.crystal_problem import LONGEST, CurveProblem
from deepstruc_hpc.physics.crystal_refine import Refinement
from deepstruc_hpc.physics.crystal_result import CrystalFit
from deepstruc_hpc.physics.crystal_screen import distinct, screen_crystals
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.size_family import free_sizes

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

__all__ = ["STRONG", "Budget", "CrystalFit", "manageable", "margin", "mine_crystals"]
RESOLVED = 2
"""Refinements with the resolution free."""
SAME_FIT = 0.998
"""Correlation from which on two fitted curves of one formula are one crystal: rutile refined from zircon has 0.9997, zincblende from PbO 0.9984."""
MOST_PAIRS = 4_000_000
"""Crystals with more (hundreds of different sites) are passed over: 40 bytes a pair."""
FINISHED_WITHIN = 1.25
"""Crystals whose Rw is within this factor of the best one's are finished."""


@dataclass(frozen=True)
class Budget:
    """How much is refined; counts, so that an answer does not depend on the machine.

    Attributes:
        finished: fits that get shifts of sites; and topologies that are finished.
        evaluations: of the model and its derivatives a refinement.
    """

    finished: int = 3
    evaluations: int = 12


def margin(fits: Sequence[CrystalFit]) -> tuple[float, CrystalFit | None]:
    """How clearly the first of some fits leads: Rw of the best fit of another topology minus its own, and that fit.

    Returns:
        Infinity and None where there is no other topology.
    """
    if not fits:
        return np.inf, None
    others = [fit for fit in fits[1:] if fit.candidate.group != fits[0].candidate.group]
    best = min(others, key=lambda fit: fit.rw, default=None)
    return (best.rw - fits[0].rw, best) if best is not None else (np.inf, None)


def mine_crystals(
    curve: PdfCurve,
    instrument: Instrument,
    candidates: Sequence[CrystalCandidate],
    *,
    rmin: float,
    rmax: float,
    keep: int = 8,
    budget: Budget | None = None,
    qdamp_known: bool = False,
    qbroad_known: bool | None = None,
) -> list[CrystalFit]:
    """The crystals that a curve can be, by Rw.

    Args:
        curve: a measured G(r).
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        candidates: what it may be, the simplest first; those with more than four million pairs up to 40 Å or rmax are passed over.
        rmin: Å.
        rmax: Å.
        keep: how many are refined.
        budget: counts; the usual ones where None.
        qdamp_known: whether Qdamp comes from a calibration; else it is refined.
        qbroad_known: the same of Qbroad; as ``qdamp_known`` where not given.

    Returns:
        At most ``keep`` fits, each of another curve, by Rw, where more parameters have to pay for themselves (:attr:`CrystalFit.criterion`).

    Raises:
        PdfFileError: nothing to fit between rmin and rmax.
    """
    counts = budget or Budget()
    small = manageable(candidates, rmax)
    chosen = distinct(screen_crystals(curve, instrument, small, rmin=rmin, rmax=rmax), keep)
    problem = CurveProblem(curve, instrument, rmin=rmin, rmax=rmax, qdamp_known=qdamp_known, qbroad_known=qbroad_known)
    runs = [Refinement(problem, found) for found in chosen]
    for run in runs:
        run.refine(counts.evaluations)
        if run.free_resolution():
            for _ in range(RESOLVED):  # the pull to what is usual is as strong as the residuals let it be
                run.refine(counts.evaluations)
    runs.sort(key=lambda run: run.cost)
    fits: list[tuple[CrystalFit, Refinement]] = []
    for number, run in enumerate(runs):
        one = _with_shifts(run, counts.evaluations) if number < counts.finished else run
        if one.possible() or not fits:
            fits.append((one.result(), one))
    ordered = _in_order([fit for fit, _ in fits])
    run_of = {id(fit): run for fit, run in fits}
    return _finished(ordered, [run_of[id(fit)] for fit in ordered], counts)


def _with_shifts(run: Refinement, evaluations: int) -> Refinement:
    """The fit with shifts of sites, where they pay."""
    moved = copy(run)
    if not moved.free_positions():
        return run
    moved.refine(evaluations)
    return moved if moved.result().criterion < run.result().criterion else run


def _finished(fits: Sequence[CrystalFit], runs: Sequence[Refinement], counts: Budget) -> list[CrystalFit]:
    """The fits, of which the best of each topology are finished; none of a topology passes the one that was its best before."""
    done: dict[str, CrystalFit] = {}
    for fit, run in zip(fits, runs, strict=True):
        if len(done) < counts.finished and fit.candidate.group not in done and fit.rw <= FINISHED_WITHIN * fits[0].rw:
            done[fit.candidate.group] = _finish(run, counts.evaluations, sizes=not done)
    heads = {id(next(fit for fit in fits if fit.candidate.group == group)): fit for group, fit in done.items()}
    listed = [(heads.get(id(fit), fit), fit.candidate.group) for fit in fits]
    keys = [fit.criterion if group not in done else max(fit.criterion, done[group].criterion) for fit, group in listed]
    return [listed[place][0] for place in np.argsort(keys, kind="stable")]


def _finish(run: Refinement, evaluations: int, *, sizes: bool) -> CrystalFit:
    """Over the whole range, with the shape that the data ask for, and where it is the first a free distribution of sizes beside it."""
    reach = np.cbrt(MOST_PAIRS / _pairs(run.candidate, 1.0 - FADE)) - FADE
    run = whole_range(run, run.problem.extended(min(run.problem.fades_at, float(reach))), evaluations)
    shaped, rivals = best_shape(run, evaluations)
    return replace(shaped.result(), rivals=rivals, sizes=free_sizes(shaped) if sizes else None)


def manageable(candidates: Sequence[CrystalCandidate], rmax: float) -> list[CrystalCandidate]:
    """Those with at most four million pairs up to rmax (Å)."""
    return [candidate for candidate in candidates if _pairs(candidate, min(rmax, LONGEST)) <= MOST_PAIRS]


def _pairs(candidate: CrystalCandidate, rmax: float) -> float:
    """About how many pairs a fit of a crystal up to rmax holds before equivalent ones are put together."""
    crystal = candidate.crystal
    density = len(crystal.fractions) / abs(float(np.linalg.det(crystal.lattice)))
    return float(len(np.unique(candidate.orbits)) * density * 4.0 / 3.0 * np.pi * (rmax + FADE) ** 3)


def _parent_first(fits: list[CrystalFit]) -> list[CrystalFit]:
    """The type that names the first topology goes first where the data do not say strongly that it is distorted."""
    if not fits or fits[0].candidate.prototype == fits[0].candidate.group:
        return fits
    group = fits[0].candidate.group
    near = [fit for fit in fits if fit.candidate.prototype == fit.candidate.group == group and fit.criterion < fits[0].criterion + STRONG]
    return [*near[:1], *(fit for fit in fits if not near or fit is not near[0])]


def _in_order(fits: list[CrystalFit]) -> list[CrystalFit]:
    return _each_once(_parent_first(sorted(fits, key=lambda fit: fit.criterion)))


def _each_once(fits: list[CrystalFit]) -> list[CrystalFit]:
    """Leave out fits of another topology that became one before: positions and axes of a type often hold a second type as a special case."""
    kept: list[CrystalFit] = []
    for fit in fits:
        if not any(_became(fit, other) for other in kept):
            kept.append(fit)
    return kept


def _became(fit: CrystalFit, other: CrystalFit) -> bool:
    if fit.candidate.group == other.candidate.group or fit.candidate.formula != other.candidate.formula:
        return False
    common = min(len(fit.calculated), len(other.calculated))
    ours, theirs = fit.calculated[:common], other.calculated[:common]
    return float(ours @ theirs) > SAME_FIT * float(np.linalg.norm(ours)) * float(np.linalg.norm(theirs))
