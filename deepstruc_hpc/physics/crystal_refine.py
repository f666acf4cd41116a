"""One crystal × shape refined against one curve, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from deepstruc_hpc.core.shapes import CellVectors, Float64
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.crystal_model import Cell, CrystalModel
from deepstruc_hpc.physics.crystal_motions import cell_basis, shift_basis
from deepstruc_hpc.physics.crystal_pairs import pair_distances
from deepstruc_hpc.physics.crystal_problem import LONGEST, RESOLUTION, CurveProblem
from deepstruc_hpc.physics.crystal_result import LACKING, ORDER, CrystalFit
from deepstruc_hpc.physics.crystal_screen import Screened
from deepstruc_hpc.physics.crystal_size import SMALLEST, size_of
from deepstruc_hpc.physics.evidence import criterion
from deepstruc_hpc.physics.histogram import class_pairs
from deepstruc_hpc.physics.shape_functions import shape_function
from deepstruc_hpc.physics.transform import envelope

__all__ = ["LACKING", "LONGEST", "ORDER", "CrystalFit", "CurveProblem", "Refinement"]

Float = NDArray[np.float64]
ROOM = 0.06
"""By how much a cell may still shrink after the scan."""
U_LIMITS = (0.001, 0.08)
"""Å²: from helium temperatures to a sublattice in disorder."""
LARGEST_SHIFT = 0.6
"""Å: farther, and it is another type."""
PULL = 0.1
"""A shift of 1 Å raises Rw² by this much squared: 0.2 Å takes an Rw of 0.100 to 0.102."""
SHARPEST = 0.9
"""delta2 stays below this part of the square of the shortest distance."""
NEARLY = 0.97
"""Contacts may be shorter by 3 % after the refinement, which is what cells change in it."""
TOO_WIDE = 0.5
"""Width of a lognormal distribution at which a fit stops: syntheses give 0.05 to 0.4, and a width of 0.5 holds sizes of 1 : 6. What asks for more is
shape or disorder, and the mean that goes with it is no size."""
EXTRAS = {
    "lognormal": (1e-3, 0.1, 0.0, TOO_WIDE),
    "spheroid": (1e-3, 0.2, -math.log(4.0), math.log(4.0)),
    "qdamp": (1e-4, 5e-3, 0.0, 0.15),
    "qbroad": (1e-4, 5e-3, 0.0, 0.1),
}
"""Step of a difference, size of a change that matters, least and largest value of the parameters that a fit may have beside the usual ones: the width
of a distribution, ln(aspect), Qdamp and Qbroad (Å⁻¹)."""


class Refinement:
    """One crystal on one curve.

    The vector of parameters holds the logarithms of the free lengths, U of cations, U of anions (one for a crystal of one kind), delta2, 1/D, the
    shifts once :meth:`free_positions` was called, and last those of :attr:`extras`. The scale is eliminated.

    Attributes:
        shape: name of the shape function.
        extras: further parameters, by the names of :data:`EXTRAS`.
    """

    def __init__(self, problem: CurveProblem, found: Screened) -> None:
        self.problem, self.candidate, self.qdamp = problem, found.candidate, problem.instrument.qdamp
        crystal = found.candidate.crystal
        self.lattice = crystal.lattice * np.array(found.stretch)[:, None]
        self.cell = cell_basis(found.candidate.space_group)
        self.occupancy = np.array([sum(amount for _, amount in site) for site in crystal.species])
        self.shifts = np.zeros((0, *crystal.fractions.shape))
        self.shape, self.extras = "sphere", tuple[str, ...]()
        self.groups = self._vibrating()
        self.n_u = int(self.groups.max()) + 1
        start = 0.0 if not np.isfinite(found.diameter) else 1.0 / found.diameter
        self.vector = np.concatenate([np.zeros(len(self.cell)), [0.007, 0.012][: self.n_u], [1.0, start]])
        self.model = self.merged()
        self.closest = float(self._distances_of(self.vector).min())
        self.cost = np.inf
        self.jacobian = np.zeros((0, 0))

    def _vibrating(self) -> NDArray[np.intp]:
        """For each kind of site 0, or 1 for the anion."""
        kinds, crystal = self.candidate.kinds, self.candidate.crystal
        anions = [crystal.species[int(np.flatnonzero(kinds == kind)[0])][0][0] == self.candidate.anion for kind in range(int(kinds.max()) + 1)]
        return np.array(anions, dtype=np.intp) if any(anions) and not all(anions) else np.zeros(len(anions), dtype=np.intp)

    def merged(self) -> CrystalModel:
        """The model with equivalent pairs counted once."""
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

    @property
    def _usual(self) -> int:
        """How many parameters stand before the shifts."""
        return len(self.cell) + self.n_u + 2

    @property
    def size_place(self) -> int:
        """Place of 1/D in the vector."""
        return self._usual - 1

    def value(self, name: str, vector: Float64[Float, " parameters"], otherwise: float) -> float:
        """One of the extras, or what it is where it is none."""
        return float(vector[self._usual + len(self.shifts) + self.extras.index(name)]) if name in self.extras else otherwise

    def with_extra(self, name: str, start: float) -> Refinement:
        """The same with one parameter more."""
        other = copy(self)
        other.extras, other.vector = (*self.extras, name), np.append(self.vector, start)
        return other

    def with_shape(self, name: str, start: float) -> Refinement:
        """The same with another shape function, whose parameter, where it has one, starts there."""
        other = self.with_extra(name, start) if name in EXTRAS else copy(self)
        other.shape = name
        return other

    def as_spheres(self) -> Refinement:
        """The same with a sphere in place of its shape function."""
        other = copy(self)
        if self.shape in self.extras:
            place = self.extras.index(self.shape)
            other.vector = np.delete(self.vector, self._usual + len(self.shifts) + place)
            other.extras = (*self.extras[:place], *self.extras[place + 1 :])
        other.shape = "sphere"
        return other

    def on(self, problem: CurveProblem) -> Refinement:
        """The same on another range of the curve."""
        if problem is self.problem:
            return self
        other = copy(self)
        other.problem = problem
        other.model = other.merged()
        return other

    def free_resolution(self) -> bool:
        """Let vary what of the resolution is not known; whether there is any."""
        for name in self.problem.unknown:
            if name not in self.extras:
                start = self.qdamp if name == "qdamp" else self.problem.instrument.qbroad
                self.extras, self.vector = (*self.extras, name), np.append(self.vector, start)
        return bool(self.problem.unknown)

    def free_positions(self) -> bool:
        """Let the sites move as the symmetry allows; False where none can."""
        crystal = self.candidate.crystal
        self.shifts = shift_basis(self.lattice, crystal.fractions, self.candidate.kinds, self.occupancy)
        if not len(self.shifts):
            return False
        self.model = self.merged()
        self.vector = np.insert(self.vector, self._usual, np.zeros(len(self.shifts)))
        return True

    def _moved(self, vector: Float) -> Float:
        return vector[self._usual : self._usual + len(self.shifts)]

    def geometry(self, vector: Float64[Float, " parameters"]) -> tuple[CellVectors, Float64[Float, "sites 3"]]:
        """The cell and the positions."""
        lattice = self.lattice * np.exp(vector[: len(self.cell)] @ self.cell)[:, None]
        return lattice, self.candidate.crystal.fractions + np.tensordot(self._moved(vector), self.shifts, axes=1)

    def grid(self, vector: Float64[Float, " parameters"]) -> Float64[Float, "rows grid"]:
        """The model on its grid of r."""
        n = len(self.cell)
        u = vector[n : n + self.n_u][self.groups]
        return self.model.on_grid(
            *self.geometry(vector),
            u,
            (0.0, float(vector[n + self.n_u])),
            float(vector[self.size_place]),
            shape=shape_function(self.shape, self.value(self.shape, vector, 0.0)),
            qbroad=self.value("qbroad", vector, self.problem.instrument.qbroad),
        )

    def curves(
        self, vectors: Sequence[Float], to: Float64[Float, " ..."], r: Float64[Float, " r"], qdamp: float | None = None
    ) -> Float64[Float, "vectors r"]:
        """(V, R) G(r) at scale 1 for several vectors; with the Qdamp of each where none is given."""
        grids = np.stack([self.grid(vector) for vector in vectors])
        damped = np.stack([envelope(r, self.value("qdamp", vector, self.qdamp) if qdamp is None else qdamp) for vector in vectors])
        return np.asarray((self.model.fq(grids) @ to) * damped)

    def residuals(self, curves: Float64[Float, "vectors r"], vectors: Sequence[Float], pull: float = 0.0) -> Float64[Float, "vectors residuals"]:
        """(V, R + pulls) of curves scaled to fit, with pulls of shifts to 0, and of the resolution to what is usual by ``pull`` a deviation."""
        g = self.problem.g
        scales = np.maximum(curves @ g, 0.0) / np.maximum(np.sum(curves**2, axis=1), 1e-300)
        pulls = np.array([self._moved(vector) for vector in vectors]) * PULL * np.sqrt(self.problem.norm)
        held = [[pull * (self.value(name, vector, 0.0) - RESOLUTION[name][0]) / RESOLUTION[name][1] for name in self._guessed] for vector in vectors]
        return np.concatenate([scales[:, None] * curves - g, pulls.reshape(len(vectors), -1), np.array(held).reshape(len(vectors), -1)], axis=1)

    @property
    def _guessed(self) -> tuple[str, ...]:
        return tuple(name for name in self.extras if name in RESOLUTION)

    def limits(self) -> tuple[Float64[Float, " parameters"], Float64[Float, " parameters"]]:
        """Bounds of the vector."""
        n, shifts = len(self.cell), len(self.shifts)
        extras = [EXTRAS[name] for name in self.extras]
        largest = [SHARPEST * self.closest**2, 1.0 / SMALLEST]
        low = [*[-0.05] * n, *[U_LIMITS[0]] * self.n_u, 0.0, 0.0, *[-LARGEST_SHIFT] * shifts, *(extra[2] for extra in extras)]
        high = [*[0.08] * n, *[U_LIMITS[1]] * self.n_u, *largest, *[LARGEST_SHIFT] * shifts, *(extra[3] for extra in extras)]
        return np.array(low), np.array(high)

    def refine(self, evaluations: int, *, hold_positions: bool = False) -> None:
        """Least squares from where the vector stands.

        Args:
            evaluations: of the model and its derivatives, at most.
            hold_positions: shifts stay where they are, and get no uncertainty.
        """
        n, shifts = len(self.cell), len(self.shifts)
        extras = [EXTRAS[name] for name in self.extras]
        steps = np.concatenate([np.full(n, 1e-5), np.full(self.n_u, 1e-5), [1e-3, 1e-5], np.full(shifts, 1e-4), [extra[0] for extra in extras]])
        sizes = np.concatenate([np.full(n, 3e-3), np.full(self.n_u, 3e-3), [1.0, 5e-3], np.full(shifts, 0.05), [extra[1] for extra in extras]])
        low, high = self.limits()
        whole, problem = np.clip(self.vector, low + 1e-9, high - 1e-9), self.problem
        free = np.ones(len(whole), dtype=bool)
        free[self._usual : self._usual + shifts] = not hold_positions
        pull = self._pull(whole)

        def full(part: Float) -> Float:
            vector: Float = whole.copy()
            vector[free] = part
            return vector

        def residual(part: Float) -> Float:
            vector = full(part)
            return np.asarray(self.residuals(self.curves([vector], problem.to_r, problem.r), [vector], pull)[0])

        def slopes(part: Float) -> Float:
            vector = full(part)
            moved = [vector]
            for index in np.flatnonzero(free):
                other = vector.copy()
                other[index] += steps[index] if vector[index] + steps[index] <= high[index] else -steps[index]
                moved.append(other)
            rows = self.residuals(self.curves(moved, problem.to_r, problem.r), moved, pull)
            change = np.array([other[index] - vector[index] for index, other in zip(np.flatnonzero(free), moved[1:], strict=True)])
            return np.asarray((rows[1:] - rows[0]).T / change)

        found = least_squares(
            residual, whole[free], jac=slopes, bounds=(low[free], high[free]), x_scale=sizes[free], ftol=1e-5, xtol=1e-6, max_nfev=evaluations
        )
        self.vector, self.cost = full(found.x), float(2.0 * found.cost)
        self.jacobian = np.zeros((len(found.fun), len(whole)))
        self.jacobian[:, free] = np.asarray(found.jac)

    def _pull(self, vector: Float) -> float:
        """What one standard deviation of the usual resolution weighs: that of the residuals as they stand, so that both are told in one unit."""
        if not self._guessed:
            return 0.0
        left = self.residuals(self.curves([vector], self.problem.to_r, self.problem.r), [vector])[0]
        return float(np.sqrt(float(left @ left) / self._freedom))

    @property
    def _freedom(self) -> float:
        return max(self.problem.n_independent - len(self.vector) - 1, 1.0)

    @property
    def criterion(self) -> float:
        """N ln(Σr²/ΣG²) + k ln N over the range of this problem (Bayesian information criterion); lower is better."""
        return criterion(max(self.cost / self.problem.norm, 1e-12), self.problem.n_independent, len(self.vector) + 1)

    def _errors(self) -> Float:
        """Standard uncertainties: (JᵀJ)⁻¹ · Σr²/(independent points − parameters), the points being finer than independent."""
        size = np.maximum(np.linalg.norm(self.jacobian, axis=0), 1e-300)
        inverse = np.linalg.pinv((self.jacobian / size).T @ (self.jacobian / size), rcond=1e-8, hermitian=True)
        return np.asarray(np.sqrt(np.maximum(np.diag(inverse), 0.0) * self.cost / self._freedom) / size)

    def error_of(self, name: str) -> float:
        """Standard uncertainty of one of the extras; 0 where it is none."""
        return float(self._errors()[self._usual + len(self.shifts) + self.extras.index(name)]) if name in self.extras else 0.0

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
        u, eu = (values[n : n + self.n_u][self.groups] for values in (self.vector, errors))
        kind_of = {symbol: int(kind) for kind, site in zip(self.candidate.kinds, self.candidate.crystal.species, strict=True) for symbol, _ in site}
        diameter, error, least = size_of(self, float(errors[self.size_place]))
        value = self.value(self.shape, self.vector, 0.0)
        extra = {name: float(errors[self._usual + len(self.shifts) + place]) for place, name in enumerate(self.extras)}
        spread, aspect = (value if self.shape == "lognormal" else 0.0), math.exp(value if self.shape == "spheroid" else 0.0)
        near = problem.n_compared
        return CrystalFit(
            candidate=self.candidate,
            crystal=replace(self.candidate.crystal, lattice=lattice, fractions=np.mod(fractions, 1.0)),
            rw=rw(problem.points.g[:near], scale * curve[:near]),
            scale=scale,
            cell=(a, b, c),
            cell_error=(ea, eb, ec),
            uiso={symbol: float(u[kind]) for symbol, kind in sorted(kind_of.items())},
            uiso_error={symbol: float(eu[kind]) for symbol, kind in sorted(kind_of.items())},
            delta2=float(self.vector[n + self.n_u]),
            diameter=diameter,
            diameter_error=error,
            at_least=least,
            qdamp=self.value("qdamp", self.vector, self.qdamp),
            qdamp_error=extra.get("qdamp", 0.0),
            qbroad=self.value("qbroad", self.vector, problem.instrument.qbroad),
            qbroad_error=extra.get("qbroad", 0.0),
            shape=self.shape,
            size_spread=spread,
            size_spread_error=extra.get("lognormal", 0.0),
            aspect=aspect,
            aspect_error=aspect * extra.get("spheroid", 0.0),
            n_parameters=len(self.vector) + 1,
            n_extras=len(self.extras),
            shifted=bool(len(self.shifts)),
            rmin=problem.rmin,
            rmax=problem.rmax,
            r=problem.points.r,
            calculated=scale * curve,
            n_independent=problem.n_compared_independent,
        )
