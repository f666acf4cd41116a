"""The last part of the fit of a crystal: the whole range of the data, and which shape function they ask for.

After the sphere, a lognormal distribution of spheres, a spheroid, and facetted bodies are tried. A width or an aspect is one parameter more; it stays
where the Bayesian information criterion over the whole range says so, where it differs from 0 by more than two of its uncertainties, and where it is
one that samples have: a width of more than 50 % stands for shape or disorder, and its mean is no size. A facetted body has no parameter, but is one
of several: it must be strongly better. A distribution of sizes and a body that is not round are much alike, as both are spheres of several diameters
to first order: what the curve does not exclude is named.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from deepstruc_hpc.physics.crystal_problem import CurveProblem
from deepstruc_hpc.physics.crystal_refine import EXTRAS, TOO_WIDE, Refinement
from deepstruc_hpc.physics.crystal_size import NO_END, SMALLEST
from deepstruc_hpc.physics.evidence import criterion
from deepstruc_hpc.physics.shape_functions import FACETTED, shape_function

Float = NDArray[np.float64]

STRONG = 10.0
"""Difference of the criterion from which on it speaks very strongly (Kass & Raftery, J. Am. Stat. Assoc. 90 (1995) 773)."""
POSITIVE = 2.0
"""Difference from which on it speaks at all (the same)."""
STARTS = (("lognormal", 0.15), ("spheroid", math.log(1.4)), ("spheroid", -math.log(1.4)))
"""Shapes with one parameter, and where it starts. The curve does not change to first order in either at 0, so neither starts there."""
AWAY = 2.0
"""Uncertainties that a width or an aspect must be away from 0."""
WIDE = f"sizes that spread by more than {100 * TOO_WIDE:.0f} %, which stands for shape or disorder,"
INSIDE = 0.99
"""Of the bounds of a width or an aspect, within which a fit has ended."""
MOST_FOLLOWED = 3
"""Shapes that are refined to the end."""


def whole_range(run: Refinement, far: CurveProblem, evaluations: int) -> Refinement:
    """The same fit to the whole range of the data; positions stay as the nearer part has them.

    Args:
        run: refined over the range that all crystals are compared over.
        far: the problem over the whole range.
        evaluations: at most.
    """
    if far is run.problem:
        return run
    other = run.on(far)
    other.refine(evaluations, hold_positions=True)
    return other


def best_shape(run: Refinement, evaluations: int) -> tuple[Refinement, tuple[str, ...]]:
    """The fit with the shape that the data ask for, and in words what else they leave.

    Args:
        run: refined with a sphere.
        evaluations: of the last refinement, at most.
    """
    if float(run.vector[run.size_place]) <= NO_END:
        return run, ()
    passed: list[Refinement] = []
    unreal: list[Refinement] = []
    for trial in _promising(run):
        trial.refine(evaluations, hold_positions=True)
        if _criterion(trial) < _criterion(run) - POSITIVE:
            (passed if _real(trial) else unreal).append(trial)
        if len(passed) == MOST_FOLLOWED:
            break
    best = min([run, *passed], key=_criterion)
    sizes = next((trial for trial in passed if trial.shape == "lognormal"), None)
    if sizes is not None and sizes.criterion < best.criterion + STRONG:  # samples have sizes; a shape is said where sizes do not explain the curve
        best = sizes
    rivals = [trial for trial in (run, *passed) if trial is not best and trial.criterion < best.criterion + STRONG]
    too_wide = any(trial.shape == "lognormal" and not _inside(trial) and trial.criterion < best.criterion for trial in unreal)
    return best, (*(in_words(trial) for trial in rivals), *((WIDE,) if too_wide else ()))


def _promising(run: Refinement) -> list[Refinement]:
    """Shapes worth a refinement, the best first, one of each name: those that gain with 1/D, their parameter and the scale alone.

    The crystal without an end is made once and multiplied by each γ₀, which hardly changes over the width of a peak.
    """
    problem, endless = run.problem, run.vector.copy()
    endless[run.size_place] = 0.0
    bulk, g = run.curves([endless], problem.to_r, problem.r)[0], problem.g

    def left(name: str, vector: Float) -> Float:
        curve = bulk * shape_function(name, float(vector[-1]))(problem.r, float(vector[0]))
        return np.asarray(curve * max(float(curve @ g), 0.0) / max(float(curve @ curve), 1e-300) - g)

    found: dict[str, tuple[float, Float]] = {}
    for name, start in (("sphere", 0.0), *STARTS, *((name, 0.0) for name in FACETTED)):
        low, high = (EXTRAS[name][2:]) if name in EXTRAS else (0.0, 0.0)
        free = 2 if name in EXTRAS else 1
        begin = np.array([float(run.vector[run.size_place]), start])[:free]
        bounds = (np.array([NO_END, low])[:free], np.array([1.0 / SMALLEST, high])[:free])
        trial = least_squares(partial(left, name), np.clip(begin, *bounds), bounds=bounds, x_scale=np.array([5e-3, 0.1])[:free], max_nfev=15)
        value = criterion(2.0 * float(trial.cost) / problem.norm, problem.n_independent, 1.0 if name in EXTRAS else 0.0)
        value += STRONG if name in FACETTED else 0.0
        if name not in found or value < found[name][0]:
            found[name] = value, trial.x
    better = sorted((name for name in found if name != "sphere" and found[name][0] < found["sphere"][0]), key=lambda name: found[name][0])
    trials = []
    for name in better:
        trial_run = run.with_shape(name, float(found[name][1][-1]))
        trial_run.vector = trial_run.vector.copy()
        trial_run.vector[run.size_place] = found[name][1][0]
        trials.append(trial_run)
    return trials


def _criterion(run: Refinement) -> float:
    """With what the choice of a facetted body costs."""
    return run.criterion + (STRONG if run.shape in FACETTED else 0.0)


def _real(run: Refinement) -> bool:
    """Whether a width or an aspect differs from 0, and is one that samples have: at its bound it stands for something else."""
    if run.shape in FACETTED:
        return True
    return abs(run.value(run.shape, run.vector, 0.0)) > AWAY * run.error_of(run.shape) and _inside(run)


def _inside(run: Refinement) -> bool:
    """Whether a width or an aspect ended within its bounds."""
    low, high = EXTRAS[run.shape][2:]
    return low < run.value(run.shape, run.vector, 0.0) / INSIDE < high


def in_words(run: Refinement) -> str:
    """A shape with its parameter."""
    value = run.value(run.shape, run.vector, 0.0)
    if run.shape == "lognormal":
        return f"a lognormal distribution of width {100 * value:.0f} %"
    if run.shape == "spheroid":
        return f"one size of spheroids of aspect {math.exp(value):.2f}"
    return "spheres of one size" if run.shape == "sphere" else f"{run.shape}s of one size"
