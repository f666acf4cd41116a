"""Which two or three crystals make a curve that one does not explain.

What the best crystal leaves of the curve is screened with all crystals of the sample, first over short distances and then the best of them in full;
the best few are refined together with it. A further phase is believed where the screening of the residual itself comes below Rw 0.75, where in the
fit of all every phase explains as much of what the others leave, where it has a share of the weight, and where the gain pays for its parameters
and for the choice among M crystals. A gain of Rw alone means nothing: with eight more parameters everything fits a little better.

Where what is there does not explain the curve (Rw above 0.4) the gain is that of the Bayesian information criterion with all N independent points,
less 2 ln M. Where it does, another type or another shape may be what is wrong with it, which it misses at many neighbouring points at once. So the
points count as they do in the ranking, c for one, a residual below the model error counts little, a phase pays for charges that its cations rarely
have, and the gain has to be

  ½ (N/c) ln((Rw₁² + e²)/(Rw₂² + e²)) − ½ (k₂ − k₁) ln(N/c) − ln(rarity) > ln M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.crystal_fit import STRONG, manageable
from deepstruc_hpc.physics.crystal_phases import JointRefinement, PhasesFit, Start
from deepstruc_hpc.physics.crystal_refine import CrystalFit, CurveProblem
from deepstruc_hpc.physics.crystal_screen import Screen, by_rw, distinct
from deepstruc_hpc.physics.crystal_shortlist import CoarseScreen
from deepstruc_hpc.physics.evidence import PHASE_ERROR, PHASE_POINTS, correlated, gain, log_likelihood, parameter_price
from deepstruc_hpc.physics.instrument import Instrument

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

BAR = 0.75
"""Rw of a crystal on what the other phases leave, above which it is no phase."""
LEAST_SHARE = 0.05
"""Of the weight."""
FIRST, NEXT, FOLLOWED = 3, 4, 3
"""Single crystals to start from, further ones tried beside each, and pairs that are refined to the end."""
NEAR = 1.25
"""Single crystals to start from have an Rw within this factor of the best one's: the phase with most of the weight is the best one or close to it."""
SHORTLIST, COARSE_BAR = 80, 0.85
"""Crystals that are screened in full after a coarse screening of all, and the coarse Rw above which nothing is there: over 12 Å, and with ratios of
axes 6 % apart, it is up to 0.1 higher or lower than the full one."""
FEWEST = 5
"""Parameters of the simplest further phase: scale, length, U, delta2, diameter."""
ROUGH, FINE = 5, 15
"""Evaluations of the model and its derivatives in a trial, and in the end."""
MOST_PHASES = 3


def _usual(_composition: Mapping[str, float]) -> float:
    return 0.0


@dataclass(frozen=True)
class PhaseLimits:
    """When a further phase is believed.

    Attributes:
        bar: Rw on what the others leave.
        least_share: of the weight.
        most: phases.
        enough: Rw up to which fewer phases explain the curve, and a further one has to pay more.
        points_per_datum: independent points that count as one there.
        model_error: Rw that no model is expected to go below.
        rarity: what a composition (element → amount) costs for charges that its cations rarely have, nats.
    """

    bar: float = BAR
    least_share: float = LEAST_SHARE
    most: int = MOST_PHASES
    enough: float = 0.4
    points_per_datum: float = PHASE_POINTS
    model_error: float = PHASE_ERROR
    rarity: Callable[[Mapping[str, float]], float] = _usual

    def evidence(self, rw: float, points: float, n_parameters: float) -> float:
        """Nats of a fit, up to a constant of the curve: its likelihood less what its parameters cost."""
        data = correlated(points, self.points_per_datum)
        return float(log_likelihood(rw, data, model_error=self.model_error)) - parameter_price(n_parameters, data)


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
    alone: float | None = None,
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
        alone: Rw of the best single candidate of any kind; that of the best crystal where None.

    Returns:
        The best first; those after it are other phases in the same number, of other nets, that are believed, too. Empty where no second phase is.

    Raises:
        PdfFileError: nothing to fit between rmin and rmax.
    """
    if not singles:
        return []
    problem = CurveProblem(curve, instrument, rmin=rmin, rmax=rmax, qdamp_known=qdamp_known)
    ordered = sorted(singles, key=lambda fit: fit.criterion)
    search = _Search(problem, manageable(pool, rmax), reference, limits or PhaseLimits())
    start = search.single(ordered[0], ordered[0].rw if alone is None else alone)
    if not search.may_gain(start):
        return []
    first = [fit for fit in _different(ordered) if fit.rw <= NEAR * min(one.rw for one in ordered)]
    believed = search.extended([([Start.of_fit(fit)], fit.calculated[: len(problem.points)]) for fit in first], start)
    if not believed:
        return []
    best = search.exchanged(believed[0])
    believed = search.each_once([best, *believed])
    while len(believed[0].parts) < search.limits.most:
        best = believed[0]
        than = _Alone(best.rw, best.n_parameters + best.ordered, best.criterion, search.charges(best))
        starts = [([Start.of_fit(fit) for fit in best.parts], best.calculated)]
        more = search.extended(starts, than) if search.may_gain(than) else []
        if not more:
            break
        believed = more
    best = search.simpler(believed[0])
    return [best, *(fit for fit in believed if search.evidence(fit) < search.evidence(best) and fit.nets != best.nets)]


@dataclass(frozen=True)
class _Alone:
    """What a further phase is compared with: Rw, parameters, criterion and rarity (nats) of the fit without it."""

    rw: float
    n_parameters: float
    criterion: float
    rarity: float


def _different(fits: Sequence[CrystalFit]) -> list[CrystalFit]:
    """The best of each net and formula, and beside a distorted one the type that it distorts, a few: distortions take up what a second phase is."""
    kept: dict[tuple[str, str, bool], CrystalFit] = {}
    for fit in fits:
        one = fit.candidate
        kept.setdefault((one.formula, one.group, one.prototype == one.group), fit)
    return list(kept.values())[:FIRST]


class _Search:
    """One curve and the crystals that its phases may be."""

    def __init__(self, problem: CurveProblem, pool: Sequence[CrystalCandidate], reference: Mapping[str, float] | None, limits: PhaseLimits) -> None:
        self.problem, self.pool, self.reference, self.limits = problem, pool, reference, limits
        self.choice = 2.0 * math.log(max(len(pool), 1))
        points = problem.points
        self.coarse = _remembering(CoarseScreen)(points, problem.instrument, rmin=problem.rmin, rmax=problem.rmax)
        self.screen = _remembering(Screen)(points, problem.instrument, rmin=problem.rmin, rmax=problem.rmax)

    def single(self, fit: CrystalFit, rw: float) -> _Alone:
        """A single crystal, with the Rw of what fits better than it does where there is something."""
        best = max(min(fit.rw, rw), 1e-6)
        better = 2.0 * gain(best**2, max(fit.rw, 1e-6) ** 2, fit.n_independent)
        rare = self.limits.rarity(fit.candidate.crystal.composition)
        return _Alone(best, fit.n_parameters + fit.choices, fit.criterion + better, rare)

    def charges(self, fit: PhasesFit) -> float:
        """What its phases pay for rare charges, nats."""
        return sum(self.limits.rarity(part.candidate.crystal.composition) for part in fit.parts)

    def evidence(self, fit: PhasesFit) -> float:
        """Nats, up to a constant of the curve."""
        return self.limits.evidence(fit.rw, fit.n_independent, fit.n_parameters + fit.ordered) - self.charges(fit)

    def may_gain(self, alone: _Alone) -> bool:
        """Whether a second phase that leaves nothing of the curve would pay; a curve that one phase explains to the noise is not asked."""
        n, limits = self.problem.n_independent, self.limits
        if alone.rw > limits.enough:
            return True
        now = limits.evidence(alone.rw, n, alone.n_parameters) - alone.rarity
        return limits.evidence(0.0, n, alone.n_parameters + FEWEST) - now > 0.5 * self.choice

    def pays(self, fit: PhasesFit, than: _Alone) -> bool:
        """Whether a fit gains over one with a phase less what this module's head asks for."""
        if than.rw > self.limits.enough:
            return fit.criterion + self.choice < than.criterion
        now = self.limits.evidence(than.rw, fit.n_independent, than.n_parameters) - than.rarity
        return self.evidence(fit) - now > 0.5 * self.choice

    def each_once(self, fits: Sequence[PhasesFit]) -> list[PhasesFit]:
        """The best of each set of names, by evidence."""
        kept: dict[frozenset[tuple[str, str]], PhasesFit] = {}
        for fit in sorted(fits, key=self.evidence, reverse=True):
            kept.setdefault(fit.names, fit)
        return list(kept.values())

    def screened(self, calculated: NDArray[np.float64], beside: Sequence[Start], keep: int) -> list[Start]:
        """The best crystals on what a calculated curve leaves, none that is there already, and none above the bar."""
        taken = {start.name for start in beside}
        return self._scan(calculated, [one for one in self.pool if (one.formula, one.group) not in taken], keep)

    def _scan(self, calculated: NDArray[np.float64], candidates: Sequence[CrystalCandidate], keep: int) -> list[Start]:
        points = self.problem.points
        left = PdfCurve(points.r, points.g - calculated, header=points.header, source=points.source)
        if not left.g.any() or not candidates:
            return []
        if len(candidates) > SHORTLIST:
            coarse = by_rw(self.coarse.of(left), candidates)
            candidates = [one.candidate for one in coarse[:SHORTLIST] if coarse[0].rw <= COARSE_BAR]
        found = by_rw(self.screen.of(left), candidates)
        return [Start.of_screened(one) for one in distinct(found, keep) if one.rw <= self.limits.bar]

    def extended(self, starts: Sequence[tuple[list[Start], NDArray[np.float64]]], than: _Alone) -> list[PhasesFit]:
        """With one phase more: what is believed of it, the best first.

        Args:
            starts: phases and their calculated curve.
            than: the best fit with a phase less.
        """
        trials: list[JointRefinement] = []
        for phases, calculated in starts:
            for one in self.screened(calculated, phases, NEXT):
                trials.append(JointRefinement(self.problem, [*phases, one], self.reference))
                trials[-1].refine(ROUGH)
        trials.sort(key=lambda trial: trial.rw)
        return [fit for fit in self._finished(trials[:FOLLOWED]) if self.pays(fit, than)]

    def _finished(self, trials: Sequence[JointRefinement]) -> list[PhasesFit]:
        fits = []
        for trial in trials:
            trial.refine(FINE)
            fit = trial.result()
            if trial.possible() and self._believed(fit):
                fits.append(fit)
        return self.each_once(fits)

    def _believed(self, fit: PhasesFit) -> bool:
        return bool(fit.weights.min() >= self.limits.least_share) and all(part.rw <= self.limits.bar for part in fit.parts)

    def exchanged(self, fit: PhasesFit) -> PhasesFit:
        """Each phase once replaced by whatever goes better with the others: the first was chosen as if it were alone."""
        for place in range(len(fit.parts)):
            others = [part for number, part in enumerate(fit.parts) if number != place]
            own, beside = fit.parts[place], [Start.of_fit(part) for part in others]
            trials = []
            for one in self.screened(fit.calculated - own.calculated, beside, FOLLOWED - 1):
                trials.append(JointRefinement(self.problem, [*beside, one], self.reference))
                trials[-1].refine(ROUGH)
            trials.sort(key=lambda trial: trial.rw)
            better = [one for one in self._finished(trials[:1]) if self.evidence(one) > self.evidence(fit)]
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


def _remembering(kind: type[Screen]) -> type[Screen]:
    """A screen that keeps the curves of the crystals, which the data have no part in: several residuals of one curve are screened."""

    class Remembering(kind):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            self._known: dict[int, tuple[NDArray[np.float32], NDArray[np.float64]]] = {}
            super().__init__(*arguments, **named)

        def curves(self, candidate: CrystalCandidate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            known = self._known.get(id(candidate))
            if known is None:
                curves, least = super().curves(candidate)
                known = self._known[id(candidate)] = (curves.astype(np.float32), least)
            return known[0].astype(np.float64), known[1]

    return Remembering
