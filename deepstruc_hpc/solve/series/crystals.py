"""Crystals × spheres, alone and several together, refined from where the frame before left them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.crystal_fit import STRONG
from deepstruc_hpc.physics.crystal_phases import JointRefinement, PhasesFit, Start
from deepstruc_hpc.physics.crystal_refine import CrystalFit, CurveProblem, Refinement
from deepstruc_hpc.physics.phase_search import BAR, LEAST_SHARE, MOST_PHASES
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import extended
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.phase_set import PhaseSet
from deepstruc_hpc.solve.candidates.phases import SOURCE, prices_of
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import Measurement

EVALUATIONS = 6
"""Of the model and its derivatives in a frame: neighbours' parameters differ by per cents, and least squares gain two digits an evaluation there."""
MOST_SINGLES, MOST_SETS = 4, 3
"""Crystals, and sets of phases, that are followed from frame to frame."""


@dataclass(eq=False)
class _Single:
    origin: Candidate
    run: Refinement
    fixed: int


@dataclass(eq=False)
class _Set:
    origin: Candidate
    joint: JointRefinement


class CrystalRuns:
    """Refinements that go from curve to curve.

    Args:
        settings: how the parameters of phases are priced.
    """

    def __init__(self, settings: SolveSettings) -> None:
        self._settings = settings
        self._problem: CurveProblem | None = None
        self._origins: list[Candidate] = []
        self._singles: list[_Single] = []
        self._sets: list[_Set] = []

    def __bool__(self) -> bool:
        return bool(self._origins)

    def learn(self, candidates: Iterable[Candidate]) -> None:
        """Follow the crystals and the sets of phases among fitted candidates, the best first; each name once, as it was fitted last."""
        known = {_name(one): one for one in self._origins}
        known.update({_name(one): one for one in reversed(list(candidates)) if one.crystal_fit is not None})
        ordered = sorted(known.values(), key=_criterion)
        sets = [one for one in ordered if one.phases is not None][:MOST_SETS]
        self._origins = [*sets, *[one for one in ordered if one.phases is None][:MOST_SINGLES]]
        self._problem = None

    def fit(self, measurement: Measurement) -> CandidateSet:
        """The crystals and those sets of phases that are believed, fitted to a curve."""
        if not self._origins:
            return CandidateSet()
        self._face(measurement)
        singles = [self._refined(one) for one in self._singles]
        found = [one for one in singles if one is not None]
        alone = min((one.crystal_fit.criterion for one in found if one.crystal_fit is not None), default=np.inf)
        sets = [made for one in self._sets if (made := self._together(one, measurement, alone)) is not None]
        prices = prices_of([one.phases.fit for one in sets if one.phases is not None], self._settings)
        found += [replace(one, complexity=price, type_complexity=price) for one, price in zip(sets, prices, strict=True)]
        return fit(CandidateSet(tuple(found)), measurement)

    def _face(self, measurement: Measurement) -> None:
        """Turn all refinements to a curve; they are made anew where its points or its instrument are others."""
        curve, end = measurement.curve, float(measurement.curve.r[-1])
        points = curve.between(measurement.rmin, min(end, self._problem.rmax if self._problem else end))
        if self._problem is not None and self._problem.instrument == measurement.instrument and np.array_equal(points.r, self._problem.points.r):
            self._problem = _turned(self._problem, points)
            for one in self._singles:
                one.run.problem = self._problem
            for other in self._sets:
                other.joint.problem = self._problem
                for run in other.joint.runs:
                    run.problem = self._problem
            return
        known = measurement.origin["qdamp"] != "default"
        self._problem = CurveProblem(curve, measurement.instrument, rmin=measurement.rmin, rmax=end, qdamp_known=known)
        self._singles = [_single(one, self._problem) for one in self._origins if one.phases is None]
        sample = measurement.sample
        reference = sample.amounts if sample.stoichiometric else None
        parts = [one.phases.fit.parts for one in self._origins if one.phases is not None]
        origins = [one for one in self._origins if one.phases is not None]
        self._sets = [_Set(one, _joint(own, self._problem, reference)) for one, own in zip(origins, parts, strict=True)]
        if (both := _united(parts)) is not None:
            self._sets.append(_Set(origins[0], _joint(both, self._problem, reference)))

    @staticmethod
    def _refined(one: _Single) -> Candidate | None:
        one.run.refine(EVALUATIONS)
        found, before = one.run.result(), one.origin.crystal_fit
        if before is None or not one.run.possible():
            return None
        found = replace(found, candidate=before.candidate, n_parameters=found.n_parameters + one.fixed, shifted=before.shifted)
        return replace(one.origin, structure=_strained(one.origin, found), crystal_fit=found, size_spread=found.size_spread)

    def _together(self, one: _Set, measurement: Measurement, alone: float) -> Candidate | None:
        one.joint.refine(EVALUATIONS)
        found = one.joint.result()
        if not one.joint.possible() or not _believed(found) or found.criterion + STRONG > alone:
            return None
        phases = PhaseSet.of(found, measurement.sample)
        made = one.origin if one.origin.phases is not None and _nets(one.origin.phases.fit) == _nets(found) else None
        if made is None or made.phases is None or made.phases.main != phases.main:
            made = extended(phases.crystal_fit, phases.crystal_fit.n_parameters)
        return None if made is None else replace(made, source=SOURCE, crystal_fit=phases.crystal_fit, phases=phases)


def _criterion(candidate: Candidate) -> float:
    fitted = candidate.phases.fit if candidate.phases is not None else candidate.crystal_fit
    return np.inf if fitted is None else fitted.criterion


def _name(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    """Formula and net of each phase."""
    if candidate.phases is not None:
        return tuple(sorted(candidate.phases.fit.names))
    held = candidate.crystal_fit
    return () if held is None else ((held.candidate.formula, held.candidate.group),)


def _nets(fitted: PhasesFit) -> tuple[tuple[str, str], ...]:
    return tuple((part.candidate.formula, part.candidate.group) for part in fitted.parts)


def _single(origin: Candidate, problem: CurveProblem) -> _Single:
    fitted = origin.crystal_fit
    if fitted is None:
        raise ValueError(f"{origin.structure.label}: no fit of a crystal")
    run = Refinement(problem, Start.of_fit(fitted).found)
    _stand(run, fitted)
    run = run.with_shape(fitted.shape, {"lognormal": fitted.size_spread, "spheroid": math.log(fitted.aspect)}.get(fitted.shape, 0.0))
    run.free_resolution()
    return _Single(origin, run, max(fitted.n_parameters - len(run.vector) - 1, 0))


def _joint(parts: Sequence[CrystalFit], problem: CurveProblem, reference: object) -> JointRefinement:
    joint = JointRefinement(problem, [Start.of_fit(part) for part in parts], reference)  # type: ignore[arg-type]
    for run, part in zip(joint.runs, parts, strict=True):
        _stand(run, part)
    return joint


def _stand(run: Refinement, fitted: CrystalFit) -> None:
    """U, delta2 and Qdamp of a refinement as a fit has them; the cell is in its start already."""
    n = len(run.cell)
    kinds, species = run.candidate.kinds, run.candidate.crystal.species
    for group in range(run.n_u):
        held = {symbol for kind, site in zip(kinds, species, strict=True) if run.groups[int(kind)] == group for symbol, _ in site}
        if held:
            run.vector[n + group] = float(np.mean([fitted.uiso[symbol] for symbol in held if symbol in fitted.uiso] or [run.vector[n + group]]))
    run.vector[n + run.n_u] = fitted.delta2
    run.qdamp = fitted.qdamp


def _turned(problem: CurveProblem, points: PdfCurve) -> CurveProblem:
    """The same grids with other data."""
    other = copy(problem)
    other.points = points
    other.g = points.g[:: max(1, round(float(problem.r[1] - problem.r[0]) / float(points.r[1] - points.r[0])))][: len(problem.r)]
    other.norm = float(other.g @ other.g)
    return other


def _united(sets: Sequence[Sequence[CrystalFit]]) -> list[CrystalFit] | None:
    """The phases of two different sets together, where they are few enough: what lies between the two."""
    first = next(iter(sets), None)
    if first is None:
        return None
    names = {(part.candidate.formula, part.candidate.group) for part in first}
    for other in sets[1:]:
        more = [part for part in other if (part.candidate.formula, part.candidate.group) not in names]
        if more and len(first) + len(more) <= MOST_PHASES and len(first) + len(more) > max(len(first), len(other)):
            return [*first, *more]
    return None


def _believed(fitted: PhasesFit) -> bool:
    return bool(fitted.weights.min() >= LEAST_SHARE) and all(part.rw <= BAR for part in fitted.parts)


def _strained(origin: Candidate, found: CrystalFit) -> Structure:
    """The piece of the crystal that stands for it, with the cell's length as it is now."""
    before = origin.crystal_fit
    ratio = 1.0 if before is None else found.cell[0] / before.cell[0]
    return origin.structure.scaled(ratio)
