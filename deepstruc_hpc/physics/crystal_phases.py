"""Several crystals × spheres refined together against one curve, and the shares of the weight that come of it.

G(r) = (2/π) ∫ Σ_p x_p ⟨f⟩_p²(Q)/⟨f⟩²(Q) F_p(Q) sin(Qr) dQ · exp(−(Qdamp r)²/2), with F_p of :mod:`deepstruc_hpc.physics.crystal_model`, x_p ≥ 0 the
share of the atoms in phase p, ⟨f⟩_p its mean scattering factor, and ⟨f⟩ that of the composition by which the data were normalised. The x_p are
eliminated linearly. The share of the weight is w_p ∝ x_p M_p with M_p the mean atomic mass. Every phase has its own cell, U, delta2 and diameter.

The ratio of ⟨f⟩² stays within the integral: X-ray factors of light atoms fall faster, and taken at Q = 0 the share of a light oxide beside a metal
comes out at about half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.crystal_refine import ORDER, CrystalFit, CurveProblem, Refinement
from deepstruc_hpc.physics.crystal_screen import Screened
from deepstruc_hpc.physics.evidence import criterion
from deepstruc_hpc.physics.form_factors import atomic_mass, scattering_factors
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.transform import envelope

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

Float = NDArray[np.float64]
SCALE_ERROR = 0.01
"""By how much of itself the scale of a phase is off beyond what noise says, one standard deviation: a particle of atoms has another surface than a
crystal × sphere. Of 64 simulated mixtures of spheres of atoms (Ni and NiO, anatase and rutile, 20 to 36 Å) 61 shares then lie within 1.96 of their
uncertainties, 50 within one; with the noise alone 54 and 38."""
VANISHING = 0.05
"""Where ⟨f⟩² is less than this part of ⟨f²⟩ (neutron lengths of both signs) ⟨f²⟩ takes its place, as in the model of one crystal."""


@dataclass(frozen=True, eq=False)
class PhasesFit:
    """Several crystals fitted to one curve together.

    Attributes:
        parts: one a phase, the largest weight first. Their ``rw`` is that on what the other phases leave of the data, their ``calculated`` is their
            own part of the curve, and their ``scale`` the share of the atoms.
        weights: (P,) share of each in the weight.
        weight_errors: (P,) standard uncertainties.
        rw: of the whole, over the file's points between rmin and rmax.
        calculated: (R,) Å⁻², the whole curve at the points ``parts[0].r``.
        n_parameters: refined, the scales included.
        n_independent: independent points.
        ordered: parameters that the ordered alloys among the phases count beyond those.
    """

    parts: tuple[CrystalFit, ...]
    weights: Float
    weight_errors: Float
    rw: float
    calculated: Float
    n_parameters: int
    n_independent: float
    ordered: int = 0

    @property
    def criterion(self) -> float:
        """N ln Rw² + k ln N as :attr:`CrystalFit.criterion`; lower is better. What the choice of the phases costs is not in it."""
        n = max(self.n_independent, self.n_parameters + 1.0)
        return criterion(max(self.rw, 1e-6) ** 2, n, self.n_parameters + self.ordered)

    @cached_property
    def names(self) -> frozenset[tuple[str, str]]:
        """Formula and net of each phase."""
        return frozenset((fit.candidate.formula, fit.candidate.group) for fit in self.parts)

    @property
    def nets(self) -> tuple[str, ...]:
        """The nets alone, sorted."""
        return tuple(sorted(fit.candidate.group for fit in self.parts))


@dataclass(frozen=True, eq=False)
class Start:
    """A phase before it is refined.

    Attributes:
        found: cell, positions and diameter to start from.
        given: the candidate with the lengths that radii predict.
        n_parameters: of a fit before, of which shifts of atoms stay as they are, but count; 0 without one.
    """

    found: Screened
    given: CrystalCandidate
    n_parameters: int = 0

    @classmethod
    def of_screened(cls, found: Screened) -> Start:
        """As a scan found it."""
        return cls(found, found.candidate)

    @classmethod
    def of_fit(cls, fit: CrystalFit) -> Start:
        """As it was fitted before."""
        candidate = replace(fit.candidate, crystal=fit.crystal)
        return cls(
            Screened(candidate, fit.rw, (1.0, 1.0, 1.0), fit.diameter or np.inf, fit.calculated), fit.candidate, fit.n_parameters - fit.n_extras
        )

    @property
    def name(self) -> tuple[str, str]:
        """Formula and net."""
        return self.given.formula, self.given.group


class PhaseRefinement(Refinement):
    """One crystal among others: its F(Q) is weighted by ⟨f⟩_p²(Q)/⟨f⟩²(Q), and its uncertainties come from the fit of all.

    Args:
        problem: the curve.
        start: where to start.
    """

    def __init__(self, problem: CurveProblem, start: Start) -> None:
        super().__init__(problem, start.found)
        self.given = start.given
        self.fixed = max(start.n_parameters - len(self.vector) - 1, 0)
        self.relative: Float | None = None
        self.errors = np.zeros(len(self.vector))

    def curves(
        self, vectors: Sequence[Float], to: Float64[Float, " ..."], r: Float64[Float, " r"], qdamp: float | None = None
    ) -> Float64[Float, "vectors r"]:
        """(V, R) G(r) of this phase for a share of 1 of the atoms."""
        fq = self.model.fq(np.stack([self.grid(vector) for vector in vectors]))
        weighted = fq if self.relative is None else fq * self.relative
        return np.asarray((weighted @ to) * envelope(r, self.qdamp if qdamp is None else qdamp))

    def _errors(self) -> Float:
        return self.errors


class JointRefinement:
    """Several crystals on one curve.

    Args:
        problem: the curve.
        starts: of each phase; at least one.
        reference: composition by which the data were normalised, element → amount; None: that of the phases as they are found.
    """

    def __init__(self, problem: CurveProblem, starts: Sequence[Start], reference: Mapping[str, float] | None) -> None:
        self.problem, self.reference = problem, reference
        self.runs = [PhaseRefinement(problem, start) for start in starts]
        self.ends = np.cumsum([len(run.vector) for run in self.runs])
        self._weigh(reference or starts[0].given.crystal.composition)
        self.rw = np.inf

    def _weigh(self, reference: Mapping[str, float]) -> None:
        q, instrument = self.problem.axes.q, self.problem.instrument
        whole = mean_square(reference, q, instrument)
        for run in self.runs:
            run.relative = mean_square(run.candidate.crystal.composition, q, instrument) / whole

    def _split(self, vector: Float) -> list[Float]:
        return list(np.split(vector, self.ends[:-1]))

    def columns(self, vectors: Sequence[Float]) -> Float64[Float, "r phases"]:
        """(R, P) the curve of each phase for a share of 1 of the atoms."""
        return np.stack([run.curves([part], self.problem.to_r, self.problem.r)[0] for run, part in zip(self.runs, vectors, strict=True)], axis=1)

    def _linear(self, vector: Float) -> tuple[Float, Float, Float]:
        """Curves of the phases (R, P), scales (P,), derivatives of the sum by the parameters (R, K)."""
        parts, columns, slopes = self._split(vector), [], []
        for run, own in zip(self.runs, parts, strict=True):
            high, moved = run.limits()[1], [own]
            for index, step in enumerate(_steps(run)):
                other = own.copy()
                other[index] += step if own[index] + step <= high[index] else -step
                moved.append(other)
            curves = run.curves(moved, self.problem.to_r, self.problem.r)
            change = np.array([other[index] - own[index] for index, other in enumerate(moved[1:])])
            columns.append(curves[0])
            slopes.append((curves[1:] - curves[0]) / change[:, None])
        matrix = np.stack(columns, axis=1)
        scales = nnls(matrix, self.problem.g)[0]
        return matrix, scales, np.concatenate([scale * slope for scale, slope in zip(scales, slopes, strict=True)]).T

    def refine(self, evaluations: int) -> None:
        """Least squares from where the vectors stand; where the composition of the sample is not known, twice."""
        for _ in range(1 if self.reference else 2):
            self._refine(evaluations)
            if self.reference is None:
                self._weigh(self._composition())

    def _refine(self, evaluations: int) -> None:
        low, high = (np.concatenate(limits) for limits in zip(*(run.limits() for run in self.runs), strict=True))
        g = self.problem.g

        def residual(vector: Float) -> Float:
            columns = self.columns(self._split(vector))
            return np.asarray(columns @ nnls(columns, g)[0] - g)

        def slopes(vector: Float) -> Float:
            columns, _, change = self._linear(vector)
            own, _ = np.linalg.qr(columns)
            return np.asarray(change - own @ (own.T @ change))  # Kaufman: less what the scales can take up

        start = np.clip(np.concatenate([run.vector for run in self.runs]), low + 1e-9, high - 1e-9)
        sizes = np.concatenate([_sizes(run) for run in self.runs])
        found = least_squares(residual, start, jac=slopes, bounds=(low, high), x_scale=sizes, ftol=1e-5, xtol=1e-6, max_nfev=evaluations)
        for run, part in zip(self.runs, self._split(found.x), strict=True):
            run.vector = part
        self.rw = float(np.sqrt(2.0 * found.cost / self.problem.norm))

    @property
    def n_parameters(self) -> int:
        """Refined ones, the scales included."""
        return int(self.ends[-1]) + len(self.runs) + sum(run.fixed for run in self.runs)

    def _composition(self) -> dict[str, float]:
        """Of the sample, by the scales as they stand."""
        columns = self.columns([run.vector for run in self.runs])
        scales = nnls(columns, self.problem.g)[0]
        total: dict[str, float] = {}
        for scale, run in zip(scales / max(float(scales.sum()), 1e-300), self.runs, strict=True):
            composition = run.candidate.crystal.composition
            for symbol, amount in composition.items():
                total[symbol] = total.get(symbol, 0.0) + scale * amount / sum(composition.values())
        return {symbol: amount for symbol, amount in total.items() if amount > 0} or dict(self.runs[0].candidate.crystal.composition)

    def possible(self) -> bool:
        """Whether in no phase two atoms are nearer than its candidate allows."""
        return all(run.possible() for run in self.runs)

    def result(self) -> PhasesFit:
        """The fit as it stands."""
        problem, vector = self.problem, np.concatenate([run.vector for run in self.runs])
        columns, scales, slopes = self._linear(vector)
        left = problem.g - columns @ scales
        freedom = max(problem.n_independent - self.n_parameters, 1.0)
        jacobian = np.column_stack([columns, slopes])
        size = np.linalg.norm(jacobian, axis=0)
        size = np.maximum(size, 1e-9 * float(size.max()) or 1.0)  # of a phase without a share nothing is known but that
        inverse = np.linalg.pinv((jacobian / size).T @ (jacobian / size), rcond=1e-8, hermitian=True)
        covariance = inverse / np.outer(size, size) * float(left @ left) / freedom
        count = len(scales)
        mass = np.array([mean_mass(run.candidate.crystal.composition) for run in self.runs])
        total = max(float(scales @ mass), 1e-300)
        weights = scales * mass / total
        turn = (np.eye(count) - weights[:, None]) * mass / total
        of_scales = covariance[:count, :count] + np.diag((SCALE_ERROR * scales) ** 2)
        errors = np.sqrt(np.maximum(np.diag(turn @ of_scales @ turn.T), 0.0))
        spread = self._split(np.sqrt(np.maximum(np.diag(covariance)[count:], 0.0)))
        fine = [scale * run.curves([run.vector], problem.to_points, problem.points.r)[0] for scale, run in zip(scales, self.runs, strict=True)]
        whole = np.sum(fine, axis=0)
        parts = []
        for number, run in enumerate(self.runs):
            run.problem, run.errors = _less(problem, whole - fine[number], columns @ scales - scales[number] * columns[:, number]), spread[number]
            run.cost = float(left @ left)
            part = run.result()
            parts.append(replace(part, candidate=run.given, n_parameters=part.n_parameters + run.fixed, shifted=run.fixed > 0))
            run.problem = problem
        order = np.argsort(-weights, kind="stable")
        ordered = sum(ORDER for run in self.runs if run.candidate.origin == "prototype, ordered" and not run.candidate.anion)
        return PhasesFit(
            parts=tuple(parts[place] for place in order),
            weights=weights[order],
            weight_errors=errors[order],
            rw=rw(problem.points.g, whole),
            calculated=whole,
            n_parameters=self.n_parameters,
            n_independent=problem.n_independent,
            ordered=ordered,
        )


def mean_square(composition: Mapping[str, float], q: Float64[Float, " q"], instrument: Instrument) -> Float64[Float, " q"]:
    """(Q,) ⟨f⟩² of a composition, or ⟨f²⟩ where the former nearly vanishes."""
    amounts = np.array(list(composition.values()))
    factors = scattering_factors(tuple(composition), q, instrument.radiation)
    mean, square = (amounts @ values / amounts.sum() for values in (factors, factors**2))
    return np.asarray(square if bool((mean**2 < VANISHING * square).any()) else mean**2)


def mean_mass(composition: Mapping[str, float]) -> float:
    """Mean mass of an atom, u."""
    return sum(amount * atomic_mass(symbol) for symbol, amount in composition.items()) / sum(composition.values())


def _less(problem: CurveProblem, at_points: Float, at_r: Float) -> CurveProblem:
    """The same curve less a part of it."""
    other = copy(problem)
    other.points = PdfCurve(problem.points.r, problem.points.g - at_points, header=problem.points.header, source=problem.points.source)
    other.g = problem.g - at_r
    other.norm = float(other.g @ other.g)
    return other


def _steps(run: Refinement) -> Float:
    return np.concatenate([np.full(len(run.cell) + run.n_u, 1e-5), [1e-3, 1e-5]])


def _sizes(run: Refinement) -> Float:
    return np.concatenate([np.full(len(run.cell) + run.n_u, 3e-3), [1.0, 5e-3]])
