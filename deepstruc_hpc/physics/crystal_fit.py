"""The search for the crystal that a sample is.

Screening ranks all candidates; the best are refined (scale, lengths of the cell, U of cations and of anions, delta2, diameter), the best of those
finished with the shifts that their symmetry allows, held to the type by a weak pull. Shifts stay only where they pay for their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_model import FADE
from deepstruc_hpc.physics.crystal_refine import LONGEST, CrystalFit, CurveProblem, Refinement
from deepstruc_hpc.physics.crystal_screen import distinct, screen_crystals
from deepstruc_hpc.physics.instrument import Instrument

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

__all__ = ["Budget", "CrystalFit", "manageable", "margin", "mine_crystals"]
SAME_FIT = 0.998
"""Correlation from which on two fitted curves of one formula are one crystal: rutile refined from zircon has 0.9997, zincblende from PbO 0.9984."""
MOST_PAIRS = 4_000_000
"""Crystals with more (hundreds of different sites) are passed over: 40 bytes a pair."""
STRONG = 10.0
"""Difference of the criterion from which on it speaks very strongly (Kass & Raftery, J. Am. Stat. Assoc. 90 (1995) 773)."""


@dataclass(frozen=True)
class Budget:
    """How much is refined; counts, so that an answer does not depend on the machine.

    Attributes:
        finished: fits that get shifts of sites.
        evaluations: of the model and its derivatives a refinement.
        sharpened: how often a guessed Qdamp is lowered for a crystal without end.
    """

    finished: int = 3
    evaluations: int = 12
    sharpened: int = 3


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
) -> list[CrystalFit]:
    """The crystals that a curve can be, by Rw.

    Args:
        curve: a measured G(r).
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        candidates: what it may be, the simplest first; those with more than four million pairs up to rmax are passed over.
        rmin: Å.
        rmax: Å.
        keep: how many are refined.
        budget: counts; the usual ones where None.
        qdamp_known: whether Qdamp comes from a calibration; else diameters above 50 Å are lower bounds.

    Returns:
        At most ``keep`` fits, each of another curve, by Rw, where more parameters have to pay for themselves (:attr:`CrystalFit.criterion`).

    Raises:
        PdfFileError: nothing to fit between rmin and rmax.
    """
    counts = budget or Budget()
    small = manageable(candidates, rmax)
    chosen = distinct(screen_crystals(curve, instrument, small, rmin=rmin, rmax=rmax), keep)
    problem = CurveProblem(curve, instrument, rmin=rmin, rmax=rmax, qdamp_known=qdamp_known)
    runs = [Refinement(problem, found) for found in chosen]
    for run in runs:
        run.refine(counts.evaluations)
        for _ in range(counts.sharpened):
            if not run.sharpen():
                break
            run.refine(counts.evaluations)
    runs.sort(key=lambda run: run.cost)
    fits: list[CrystalFit] = []
    for number, run in enumerate(runs):
        plain = run.result()
        if number < counts.finished and run.free_positions():
            run.refine(counts.evaluations)
            shifted = run.result()
            plain = shifted if shifted.criterion < plain.criterion else plain
        if run.possible() or not fits:
            fits.append(plain)
    return _each_once(_parent_first(sorted(fits, key=lambda fit: fit.criterion)))


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
    norms = float(np.linalg.norm(fit.calculated)) * float(np.linalg.norm(other.calculated))
    return float(fit.calculated @ other.calculated) > SAME_FIT * norms
