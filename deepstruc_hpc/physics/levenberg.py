"""Levenberg–Marquardt for many small problems side by side, with bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Bool, Float64, Int64

Float = NDArray[np.float64]
FAR = 2.0


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Sums of squares and normal equations of C problems at given parameters, the scale eliminated.

    Attributes:
        cost: (C,) sum of squares.
        scale: (C,) best scale.
        hessian: (C, P, P) JᵀJ with the scale projected out.
        gradient: (C, P) Jᵀr.
        full: (C, P+1, P+1) JᵀJ of the scale (first) and the parameters.
    """

    cost: Float
    scale: Float
    hessian: Float
    gradient: Float
    full: Float

    @classmethod
    def empty(cls, problems: int, parameters: int) -> NormalEquations:
        """Room for C problems of P parameters."""
        n, p = problems, parameters
        return cls(np.empty(n), np.empty(n), np.empty((n, p, p)), np.empty((n, p)), np.empty((n, p + 1, p + 1)))

    def take(self, rows: Int64[NDArray[np.int64], " rows"] | slice) -> NormalEquations:
        """Some of the problems; with a slice, views into the same memory."""
        return NormalEquations(self.cost[rows], self.scale[rows], self.hessian[rows], self.gradient[rows], self.full[rows])

    def keep(self, other: NormalEquations, rows: Int64[NDArray[np.int64], " rows"], source: Bool[NDArray[np.bool_], " problems"]) -> None:
        """Overwrite ``rows`` with those entries of ``other`` that ``source`` selects."""
        for name in ("cost", "scale", "hessian", "gradient", "full"):
            getattr(self, name)[rows] = getattr(other, name)[source]


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the problems ended: parameters (C, P), the normal equations there, which converged and how often each was evaluated."""

    parameters: Float
    equations: NormalEquations
    converged: NDArray[np.bool_]
    evaluations: NDArray[np.int64]

    def take(self, rows: Int64[NDArray[np.int64], " rows"]) -> Minimum:
        """Some of the problems."""
        return Minimum(self.parameters[rows], self.equations.take(rows), self.converged[rows], self.evaluations[rows])


def minimise(
    equations_at: Callable[[NDArray[np.int64], Float], NormalEquations],
    start: Float64[Float, "problems parameters"],
    low: Float64[Float, "problems parameters"],
    high: Float64[Float, "problems parameters"],
    *,
    free: Bool[NDArray[np.bool_], " parameters"],
    tolerance: float = 1e-6,
    far_tolerance: float = 1e-3,
    max_iterations: int = 40,
) -> Minimum:
    """Minimise C sums of squares at once.

    Args:
        equations_at: (rows, parameters of these rows) → normal equations.
        start: (C, P).
        low: (C, P) bounds.
        high: (C, P) bounds.
        free: (P,) which parameters may move.
        tolerance: a problem is done once the next step is predicted to lower its cost by less than this part.
        far_tolerance: the same for problems whose cost is more than :data:`FAR` times the lowest of all: they are told to be worse already.
        max_iterations: evaluations a problem.

    Returns:
        The minimum of each problem.
    """
    n = len(start)
    p = np.asarray(np.clip(start, low, high), dtype=np.float64)
    rows = np.arange(n)
    state = equations_at(rows, p)
    damping = np.full(n, 1e-2)
    converged = np.zeros(n, dtype=np.bool_)
    evaluations = np.ones(n, dtype=np.int64)
    active = rows
    for _ in range(max_iterations):
        step = _step(state.hessian[active], state.gradient[active], damping[active], p[active], (low[active], high[active], free))
        gain = np.einsum("ci,ci->c", step, state.gradient[active]) - 0.5 * np.einsum("ci,cij,cj->c", step, state.hessian[active], step)
        cost = np.maximum(state.cost[active], 1e-30)
        done = gain <= np.where(cost > FAR * state.cost.min(), far_tolerance, tolerance) * cost
        converged[active[done]] = True
        active, step = active[~done], step[~done]
        if not len(active):
            break
        trial = np.clip(p[active] + step, low[active], high[active])
        found = equations_at(active, trial)
        evaluations[active] += 1
        better = found.cost < state.cost[active]
        p[active[better]] = trial[better]
        state.keep(found, active[better], better)
        damping[active] = np.where(better, np.maximum(damping[active] * 0.2, 1e-9), damping[active] * 6.0)
        stuck = damping[active] > 1e5
        converged[active[stuck]] = True
        active = active[~stuck]
        if not len(active):
            break
    return Minimum(p, state, converged, evaluations)


def _step(hessian: Float, gradient: Float, damping: Float, p: Float, limits: tuple[Float, Float, NDArray[np.bool_]]) -> Float:
    """The damped Gauss–Newton step over the parameters that may move: free ones that do not push against a bound."""
    low, high, free = limits
    moving = free & ~((p <= low) & (gradient <= 0)) & ~((p >= high) & (gradient >= 0))
    diagonal = np.einsum("cii->ci", hessian)
    scale = np.where(moving & (diagonal > 0), 1.0 / np.sqrt(np.maximum(diagonal, 1e-300)), 0.0)
    matrix = hessian * scale[:, :, None] * scale[:, None, :]
    index = np.arange(p.shape[1])
    matrix[:, index, index] = np.where(scale > 0, 1.0 + damping[:, None], 1.0)
    step = np.linalg.solve(matrix, (gradient * scale)[:, :, None])[:, :, 0] * scale
    return np.asarray(np.clip(p + step, low, high) - p, dtype=np.float64)
