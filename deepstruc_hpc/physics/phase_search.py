"""Which two or three crystals make a curve that one does not explain.

What the best crystal leaves of the curve is screened with all crystals of the sample; the best of them are refined together with it. A further phase
is believed where the screening of the residual itself comes below Rw 0.75, where in the fit of all every phase explains as much of what the others
leave, where it has a share of the weight, and where the gain pays for its parameters and for the choice among M crystals (Bayesian information
criterion + 2 ln M). A gain of Rw alone means nothing: with eight more parameters everything fits a little better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_fit import STRONG, manageable
from deepstruc_hpc.physics.crystal_phases import JointRefinement, PhasesFit, Start
from deepstruc_hpc.physics.crystal_refine import CrystalFit, CurveProblem
from deepstruc_hpc.physics.crystal_screen import distinct, screen_crystals
from deepstruc_hpc.physics.instrument import Instrument

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

BAR = 0.75
"""Rw of a crystal on what the other phases leave, above which it is no phase."""
LEAST_SHARE = 0.05
"""Of the weight."""
FIRST, NEXT, FOLLOWED = 3, 4, 3
"""Single crystals to start from, further ones tried beside each, and pairs that are refined to the end."""
ROUGH, FINE = 5, 15
"""Evaluations of the model and its derivatives in a trial, and in the end."""
MOST_PHASES = 3


@dataclass(frozen=True)
class PhaseLimits:
    """When a further phase is believed.

    Attributes:
        bar: Rw on what the others leave.
        least_share: of the weight.
        most: phases.
    """

    bar: float = BAR
    least_share: float = LEAST_SHARE
    most: int = MOST_PHASES


def find_phases(
    curve: PdfCurve,
    instrument: Instrument,
    singles: Sequence[CrystalFit],
    pool: Sequence[CrystalCandidate],
    *,
    rmin: float,
    rmax: float,
    reference: Mapping[str, float] | None = None,
    qdamp_known: bool = False,
    limits: PhaseLimits | None = None,
) -> list[PhasesFit]:
    """Two or three phases that explain a curve together, where they are believed.

    Args:
        curve: a measured G(r).
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        singles: crystals that were fitted to it alone.
        pool: crystals that a further phase may be.
        rmin: Å.
        rmax: Å.
        reference: composition by which the data were normalised, element → amount; None where it is not known.
        qdamp_known: whether Qdamp comes from a calibration.
        limits: the usual ones where None.

    Returns:
        The best first; those after it are other phases in the same number, of other nets, that are believed, too. Empty where no second phase is.

    Raises:
        PdfFileError: nothing to fit between rmin and rmax.
    """
    if not singles:
        return []
    problem = CurveProblem(curve, instrument, rmin=rmin, rmax=rmax, qdamp_known=qdamp_known)
    search = _Search(problem, manageable(pool, rmax), reference, limits or PhaseLimits())
    ordered = sorted(singles, key=lambda fit: fit.criterion)
    believed = search.extended([([Start.of_fit(fit)], fit.calculated[: len(problem.points)]) for fit in _different(ordered)], ordered[0].criterion)
    if not believed:
        return []
    best = search.exchanged(believed[0])
    believed = _each_once([best, *believed])
    while len(believed[0].parts) < search.limits.most:
        best = believed[0]
        more = search.extended([([Start.of_fit(fit) for fit in best.parts], best.calculated)], best.criterion)
        if not more:
            break
        believed = more
    best = search.simpler(believed[0])
    return [best, *(fit for fit in believed if fit.criterion > best.criterion and fit.nets != best.nets)]


def _different(fits: Sequence[CrystalFit]) -> list[CrystalFit]:
    """The best of each net and formula, a few."""
    kept: dict[tuple[str, str], CrystalFit] = {}
    for fit in fits:
        kept.setdefault((fit.candidate.formula, fit.candidate.group), fit)
    return list(kept.values())[:FIRST]


def _each_once(fits: Sequence[PhasesFit]) -> list[PhasesFit]:
    kept: dict[frozenset[tuple[str, str]], PhasesFit] = {}
    for fit in sorted(fits, key=lambda one: one.criterion):
        kept.setdefault(fit.names, fit)
    return list(kept.values())


class _Search:
    """One curve and the crystals that its phases may be."""

    def __init__(self, problem: CurveProblem, pool: Sequence[CrystalCandidate], reference: Mapping[str, float] | None, limits: PhaseLimits) -> None:
        self.problem, self.pool, self.reference, self.limits = problem, pool, reference, limits
        self.choice = 2.0 * math.log(max(len(pool), 1))

    def screened(self, calculated: NDArray[np.float64], beside: Sequence[Start], keep: int) -> list[Start]:
        """The best crystals on what a calculated curve leaves, none that is there already, and none above the bar."""
        taken = {start.name for start in beside}
        return self._scan(calculated, [one for one in self.pool if (one.formula, one.group) not in taken], keep)

    def _scan(self, calculated: NDArray[np.float64], candidates: Sequence[CrystalCandidate], keep: int) -> list[Start]:
        points = self.problem.points
        left = PdfCurve(points.r, points.g - calculated, header=points.header, source=points.source)
        found = screen_crystals(left, self.problem.instrument, candidates, rmin=self.problem.rmin, rmax=self.problem.rmax)
        return [Start.of_screened(one) for one in distinct(found, keep) if one.rw <= self.limits.bar]

    def extended(self, starts: Sequence[tuple[list[Start], NDArray[np.float64]]], than: float) -> list[PhasesFit]:
        """With one phase more: what is believed of it, the best first.

        Args:
            starts: phases and their calculated curve.
            than: criterion of the best fit with a phase less.
        """
        trials: list[JointRefinement] = []
        for phases, calculated in starts:
            for one in self.screened(calculated, phases, NEXT):
                trials.append(JointRefinement(self.problem, [*phases, one], self.reference))
                trials[-1].refine(ROUGH)
        trials.sort(key=lambda trial: trial.rw)
        return self._finished(trials[:FOLLOWED], than)

    def _finished(self, trials: Sequence[JointRefinement], than: float) -> list[PhasesFit]:
        fits = []
        for trial in trials:
            trial.refine(FINE)
            fit = trial.result()
            if trial.possible() and self._believed(fit) and fit.criterion + self.choice < than:
                fits.append(fit)
        return _each_once(fits)

    def _believed(self, fit: PhasesFit) -> bool:
        return bool(fit.weights.min() >= self.limits.least_share) and all(part.rw <= self.limits.bar for part in fit.parts)

    def exchanged(self, fit: PhasesFit) -> PhasesFit:
        """Each phase once replaced by whatever goes better with the others: the first was chosen as if it were alone."""
        for place in range(len(fit.parts)):
            others = [part for number, part in enumerate(fit.parts) if number != place]
            own, beside = fit.parts[place], [Start.of_fit(part) for part in others]
            trials = []
            for one in self.screened(fit.calculated - own.calculated, [*beside, Start.of_fit(own)], FOLLOWED - 1):
                trials.append(JointRefinement(self.problem, [*beside, one], self.reference))
                trials[-1].refine(ROUGH)
            trials.sort(key=lambda trial: trial.rw)
            better = self._finished(trials[:1], fit.criterion + self.choice)
            if better:
                return better[0]
        return fit

    def simpler(self, fit: PhasesFit) -> PhasesFit:
        """Each phase without the elements that another one holds, where the data do not say strongly that it needs them.

        A mean scatterer of nickel and aluminium on an fcc lattice scatters as nickel does; beside alumina it is nickel.
        """
        for place, own in enumerate(fit.parts):
            others = [part for number, part in enumerate(fit.parts) if number != place]
            beside = [Start.of_fit(part) for part in others]
            shared = {symbol for part in others for symbol in part.candidate.crystal.composition}
            elements = set(own.candidate.crystal.composition)
            fewer = [
                one
                for one in self.pool
                if one.group == own.candidate.group
                and set(one.crystal.composition) < elements
                and elements - set(one.crystal.composition) <= shared
                and all((one.formula, one.group) != start.name for start in beside)
            ]
            for one in self._scan(fit.calculated - own.calculated, fewer, 1):
                trial = JointRefinement(self.problem, [*beside, one], self.reference)
                trial.refine(FINE)
                found = trial.result()
                if trial.possible() and self._believed(found) and found.criterion < fit.criterion + STRONG:
                    return self.simpler(found)
        return fit
