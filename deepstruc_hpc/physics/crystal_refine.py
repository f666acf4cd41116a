"""One crystal × sphere refined against one curve, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.agreement import independent_points, rw
from deepstruc_hpc.physics.crystal_model import Axes, Cell, CrystalModel, pair_distances
from deepstruc_hpc.physics.crystal_motions import cell_basis, shift_basis
from deepstruc_hpc.physics.crystal_screen import Screened
from deepstruc_hpc.physics.histogram import class_pairs
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.transform import envelope

if TYPE_CHECKING:
    from deepstruc_hpc.structures.crystals import Crystal
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

Float = NDArray[np.float64]
LONGEST = 40.0
"""Å: fits end here; pairs grow as the cube of it, and what it says beyond is the diameter alone."""
ROOM = 0.06
"""By how much a cell may still shrink after the scan."""
U_LIMITS = (0.001, 0.08)
"""Å²: from helium temperatures to a sublattice in disorder."""
SMALLEST = 6.0
"""Å: diameter of a sphere that holds about one shell of neighbours."""
LARGEST_SHIFT = 0.6
"""Å: farther, and it is another type."""
PULL = 0.1
"""A shift of 1 Å raises Rw² by this much squared: 0.2 Å takes an Rw of 0.100 to 0.102."""
ORDER = 3
"""An ordered alloy counts as so many parameters more than a mixed one: its formula, and which sites and which element go together, were chosen."""
LACKING = 4
"""The same for each element of the sample that a crystal lacks: which it is was chosen. An oxide that was reduced differs by far more."""
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance."""
NEARLY = 0.97
"""Contacts may be shorter by 3 % after the refinement, which is what cells change in it."""
KNOWN_TO = 50.0
"""Å: above it a diameter is told from Qdamp only where that is known (crystal × Qdamp 0.016 to 0.045 Å⁻¹ gives 52 to 91 Å on one curve)."""
NO_END = 2e-4
"""Å⁻¹: 1/D below it changes no point up to 40 Å by more than 1.2 %."""
BLUNT_QDAMP = 0.4
"""Part of a guessed Qdamp with which the least diameter is found."""


@dataclass(frozen=True, eq=False)
class CrystalFit:
    """A crystal fitted to a curve.

    Attributes:
        candidate: as given.
        crystal: with cell and positions as fitted.
        rw: over the file's points between rmin and rmax.
        scale: of the curve.
        cell: a, b, c in Å.
        cell_error: their standard uncertainties, Å.
        uiso: element → Å².
        delta2: Å².
        diameter: of the coherent sphere, Å; None for a crystal whose end the curve does not show.
        diameter_error: Å, or None.
        at_least: Å, what the diameter is at least.
        qdamp: Å⁻¹, as given, or less where that is not known and a crystal without end asks for it.
        n_parameters: refined, the scale included.
        shifted: whether positions were refined.
        rmin: Å; rmax: Å, of the points fitted.
        r: (R,) Å; calculated: (R,) Å⁻² there.
        n_independent: independent points of the fit.
    """

    candidate: CrystalCandidate
    crystal: Crystal
    rw: float
    scale: float
    cell: tuple[float, float, float]
    cell_error: tuple[float, float, float]
    uiso: Mapping[str, float]
    delta2: float
    diameter: float | None
    diameter_error: float | None
    at_least: float
    qdamp: float
    n_parameters: int
    shifted: bool
    rmin: float
    rmax: float
    r: Float
    calculated: Float
    n_independent: float

    @property
    def bulk(self) -> bool:
        """Whether the curve shows no end of the crystal."""
        return self.diameter is None

    @property
    def criterion(self) -> float:
        """N ln Rw² + k ln N with N independent points and k parameters (Bayesian information criterion); lower is better."""
        n = max(self.n_independent, self.n_parameters + 1.0)
        return float(n * np.log(max(self.rw, 1e-6) ** 2) + (self.n_parameters + self.choices) * np.log(n))

    @property
    def choices(self) -> int:
        """What the choice of its elements and of their order counts, in parameters."""
        ordered = ORDER if self.candidate.origin == "prototype, ordered" and not self.candidate.anion else 0
        return ordered + LACKING * self.candidate.lacking


class CurveProblem:
    """A curve with its grids, shared by all fits to it.

    Args:
        curve: the measurement.
        instrument: as assumed.
        rmin: Å.
        rmax: Å.
        qdamp_known: see :func:`mine_crystals`.
    """

    def __init__(self, curve: PdfCurve, instrument: Instrument, *, rmin: float, rmax: float, qdamp_known: bool) -> None:
        self.points = curve.between(rmin, min(rmax, LONGEST, float(curve.r[-1])))
        self.instrument, self.qdamp_known = instrument, qdamp_known
        self.rmin, self.rmax = float(self.points.r[0]), float(self.points.r[-1])
        self.axes = Axes.of(self.rmax, instrument)
        every = max(1, int(np.pi / instrument.qmax / 2.2 / max(float(np.median(np.diff(self.points.r))), 1e-6)))
        self.r, self.g = self.points.r[::every], self.points.g[::every]
        self.to_points = self.axes.sines(self.points.r)
        self.to_r = self.axes.sines(self.r)
        self.norm = float(self.g @ self.g)
        self.n_independent = independent_points(self.rmin, self.rmax, min(instrument.qmin, 1.0), instrument.qmax)


class Refinement:
    """One crystal on one curve.

    The vector of parameters holds the logarithms of the free lengths, U of cations, U of anions (one for a crystal of one kind), delta2, 1/D, and the
    shifts once :meth:`free_positions` was called. The scale is eliminated.
    """

    def __init__(self, problem: CurveProblem, found: Screened) -> None:
        self.problem, self.candidate, self.qdamp = problem, found.candidate, problem.instrument.qdamp
        crystal = found.candidate.crystal
        self.lattice = crystal.lattice * np.array(found.stretch)[:, None]
        self.cell = cell_basis(found.candidate.space_group)
        self.occupancy = np.array([sum(amount for _, amount in site) for site in crystal.species])
        self.shifts = np.zeros((0, *crystal.fractions.shape))
        self.groups = self._vibrating()
        self.n_u = int(self.groups.max()) + 1
        start = 0.0 if not np.isfinite(found.diameter) else 1.0 / found.diameter
        self.vector = np.concatenate([np.zeros(len(self.cell)), [0.007, 0.012][: self.n_u], [1.0, start]])
        self.model = self._merged()
        self.closest = float(self._distances_of(self.vector).min())
        self.cost = np.inf
        self.jacobian = np.zeros((0, 0))

    def _vibrating(self) -> NDArray[np.intp]:
        """For each kind of site 0, or 1 for the anion."""
        kinds, crystal = self.candidate.kinds, self.candidate.crystal
        anions = [crystal.species[int(np.flatnonzero(kinds == kind)[0])][0][0] == self.candidate.anion for kind in range(int(kinds.max()) + 1)]
        return np.array(anions, dtype=np.intp) if any(anions) and not all(anions) else np.zeros(len(anions), dtype=np.intp)

    def _merged(self) -> CrystalModel:
        crystal, candidate = self.candidate.crystal, self.candidate
        cell = Cell(self.lattice, crystal.fractions, crystal.species, candidate.kinds, candidate.orbits)
        model = CrystalModel(cell, self.problem.axes, self.problem.instrument, room=ROOM)
        rng = np.random.default_rng(0)
        geometries = [(self.lattice, crystal.fractions)]
        for _ in range(2):
            stretch = np.exp(0.03 * rng.normal(size=len(self.cell)) @ self.cell)
            moved = crystal.fractions + np.tensordot(0.05 * rng.normal(size=len(self.shifts)), self.shifts, axes=1)
            geometries.append((self.lattice * stretch[:, None], moved))
        model.merge(geometries)
        return model

    def _distances_of(self, vector: Float) -> Float:
        return pair_distances(*self.geometry(vector), self.model.table)

    def free_positions(self) -> bool:
        """Let the sites move as the symmetry allows; False where none can."""
        crystal = self.candidate.crystal
        self.shifts = shift_basis(self.lattice, crystal.fractions, self.candidate.kinds, self.occupancy)
        if not len(self.shifts):
            return False
        self.model = self._merged()
        self.vector = np.concatenate([self.vector, np.zeros(len(self.shifts))])
        return True

    def geometry(self, vector: Float) -> tuple[Float, Float]:
        """The cell and the positions."""
        n = len(self.cell)
        lattice = self.lattice * np.exp(vector[:n] @ self.cell)[:, None]
        return lattice, self.candidate.crystal.fractions + np.tensordot(vector[n + self.n_u + 2 :], self.shifts, axes=1)

    def grid(self, vector: Float) -> Float:
        """The model on its grid of r."""
        n = len(self.cell)
        u = vector[n : n + self.n_u][self.groups]
        return self.model.on_grid(*self.geometry(vector), u, (0.0, float(vector[n + self.n_u])), float(vector[n + self.n_u + 1]))

    def curves(self, vectors: Sequence[Float], to: Float, r: Float, qdamp: float | None = None) -> Float:
        """(V, R) G(r) at scale 1 for several vectors."""
        grids = np.stack([self.grid(vector) for vector in vectors])
        return np.asarray((self.model.fq(grids) @ to) * envelope(r, self.qdamp if qdamp is None else qdamp))

    def _residuals(self, curves: Float, vectors: Sequence[Float]) -> Float:
        g = self.problem.g
        scales = np.maximum(curves @ g, 0.0) / np.maximum(np.sum(curves**2, axis=1), 1e-300)
        pulls = np.array([vector[len(self.cell) + self.n_u + 2 :] for vector in vectors]) * PULL * np.sqrt(self.problem.norm)
        return np.concatenate([scales[:, None] * curves - g, pulls.reshape(len(vectors), -1)], axis=1)

    def limits(self) -> tuple[Float, Float]:
        """Bounds of the vector."""
        n, shifts = len(self.cell), len(self.shifts)
        low = np.concatenate([np.full(n, -0.05), np.full(self.n_u, U_LIMITS[0]), [0.0, 0.0], np.full(shifts, -LARGEST_SHIFT)])
        high = np.concatenate(
            [np.full(n, 0.08), np.full(self.n_u, U_LIMITS[1]), [SHARPEST * self.closest**2, 1.0 / SMALLEST], np.full(shifts, LARGEST_SHIFT)]
        )
        return low, high

    def refine(self, evaluations: int) -> None:
        """Least squares from where the vector stands."""
        n, shifts = len(self.cell), len(self.shifts)
        steps = np.concatenate([np.full(n, 1e-5), np.full(self.n_u, 1e-5), [1e-3, 1e-5], np.full(shifts, 1e-4)])
        sizes = np.concatenate([np.full(n, 3e-3), np.full(self.n_u, 3e-3), [1.0, 5e-3], np.full(shifts, 0.05)])
        low, high = self.limits()

        def residual(vector: Float) -> Float:
            return np.asarray(self._residuals(self.curves([vector], self.problem.to_r, self.problem.r), [vector])[0])

        def slopes(vector: Float) -> Float:
            moved = [vector]
            for index, step in enumerate(steps):
                other = vector.copy()
                other[index] += step if vector[index] + step <= high[index] else -step
                moved.append(other)
            rows = self._residuals(self.curves(moved, self.problem.to_r, self.problem.r), moved)
            change = np.array([other[index] - vector[index] for index, other in enumerate(moved[1:])])
            return np.asarray((rows[1:] - rows[0]).T / change)

        inside = np.clip(self.vector, low + 1e-9, high - 1e-9)
        found = least_squares(residual, inside, jac=slopes, bounds=(low, high), x_scale=sizes, ftol=1e-5, xtol=1e-6, max_nfev=evaluations)
        self.vector, self.cost, self.jacobian = found.x, float(2.0 * found.cost), np.asarray(found.jac)

    def sharpen(self) -> bool:
        """Where Qdamp is not known and the crystal has no end, take the Qdamp below the given one that fits best; whether that is another."""
        if self.problem.qdamp_known or self.vector[len(self.cell) + self.n_u + 1] > NO_END:
            return False
        trials = np.linspace(0.0, 1.0, 11) * self.qdamp
        bare = self.curves([self.vector], self.problem.to_r, self.problem.r, 0.0)
        costs = [float(np.sum(self._residuals(bare * envelope(self.problem.r, trial), [self.vector]) ** 2)) for trial in trials]
        best = float(trials[int(np.argmin(costs))])
        changed, self.qdamp = best < self.qdamp, best
        return changed

    def _errors(self) -> Float:
        """Standard uncertainties: (JᵀJ)⁻¹ · Σr²/(independent points − parameters), the points being finer than independent."""
        thinner = len(self.problem.r) / max(self.problem.n_independent, 1.0)
        freedom = max(self.problem.n_independent - len(self.vector) - 1, 1.0)
        size = np.maximum(np.linalg.norm(self.jacobian, axis=0), 1e-300)
        inverse = np.linalg.pinv((self.jacobian / size).T @ (self.jacobian / size), rcond=1e-8, hermitian=True)
        return np.asarray(np.sqrt(np.maximum(np.diag(inverse), 0.0) * self.cost / thinner / freedom * thinner) / size)

    def possible(self) -> bool:
        """Whether no two atoms are much nearer than the candidate allows."""
        d = self._distances_of(self.vector)
        pairs = class_pairs(self.model.n_kinds)
        return all(d[self.model.pair == index].min(initial=np.inf) >= NEARLY * self.candidate.shortest[a, b] for index, (a, b) in enumerate(pairs))

    def result(self) -> CrystalFit:
        """The fit as it stands."""
        n, problem = len(self.cell), self.problem
        lattice, fractions = self.geometry(self.vector)
        errors = self._errors()
        curve = self.curves([self.vector], problem.to_points, problem.points.r)[0]
        scale = max(float(curve @ problem.points.g), 0.0) / max(float(curve @ curve), 1e-300)
        cell = np.linalg.norm(lattice, axis=1)
        a, b, c = (float(length) for length in cell)
        ea, eb, ec = (float(length * error) for length, error in zip(cell, errors[:n] @ self.cell, strict=True))
        u = self.vector[n : n + self.n_u][self.groups]
        kind_of = {symbol: int(kind) for kind, site in zip(self.candidate.kinds, self.candidate.crystal.species, strict=True) for symbol, _ in site}
        diameter, error, least = self._size(float(errors[n + self.n_u + 1]))
        return CrystalFit(
            candidate=self.candidate,
            crystal=replace(self.candidate.crystal, lattice=lattice, fractions=np.mod(fractions, 1.0)),
            rw=rw(problem.points.g, scale * curve),
            scale=scale,
            cell=(a, b, c),
            cell_error=(ea, eb, ec),
            uiso={symbol: float(u[kind]) for symbol, kind in sorted(kind_of.items())},
            delta2=float(self.vector[n + self.n_u]),
            diameter=diameter,
            diameter_error=error,
            at_least=least,
            qdamp=self.qdamp,
            n_parameters=len(self.vector) + 1,
            shifted=bool(len(self.shifts)),
            rmin=problem.rmin,
            rmax=problem.rmax,
            r=problem.points.r,
            calculated=scale * curve,
            n_independent=problem.n_independent,
        )

    def _size(self, error: float) -> tuple[float | None, float | None, float]:
        """The diameter with its error, or None, and what it is at least."""
        inverse = float(self.vector[len(self.cell) + self.n_u + 1])
        least = 1.0 / max(inverse + 2.0 * error, 1e-4)
        if inverse <= 2.0 * error or inverse < NO_END:
            return None, None, least if self.problem.qdamp_known else min(least, self._least_diameter())
        diameter = 1.0 / inverse
        if diameter > KNOWN_TO and not self.problem.qdamp_known:
            return None, None, min(least, self._least_diameter())
        return diameter, error * diameter**2, least

    def _least_diameter(self) -> float:
        """The diameter that fits best were Qdamp less than half of what is assumed; everything else stays."""
        place = len(self.cell) + self.n_u + 1
        trials = []
        for inverse in np.linspace(0.0, 1.0 / 20.0, 26):
            vector = self.vector.copy()
            vector[place] = inverse
            trials.append(vector)
        curves = self.curves(trials, self.problem.to_r, self.problem.r, BLUNT_QDAMP * self.qdamp)
        left = np.sum(self._residuals(curves, trials) ** 2, axis=1)
        best = float(trials[int(np.argmin(left))][place])
        return 1.0 / max(best, 1e-3)
