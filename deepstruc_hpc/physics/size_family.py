"""A free distribution of diameters: how much of the volume each size of a family has, by non-negative least squares.

With G_j the curve of spheres of diameter D_j at the cell, U, delta2 and resolution that were fitted, G = Σ_j v_j G_j and v_j ≥ 0 the volume of each
size. Curves of neighbouring sizes are much alike, so the second difference of v_j is held small: as strongly as leaves the residual within one
standard deviation of the least one (Σr² larger by 2/N of itself, with N independent points). Uncertainties are the standard deviations of what
comes out when noise of the size of the residual is added to the fitted curve again and again.

Source: Lawson & Hanson, Solving Least Squares Problems (1974), ch. 23; Phillips, J. ACM 9 (1962) 84, for the second difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from deepstruc_hpc.physics.crystal_refine import Refinement
from deepstruc_hpc.physics.crystal_size import NO_END, SMALLEST

Float = NDArray[np.float64]
SIZES = 28
"""Diameters of the family."""
SMALLER, LARGER = 0.25, 2.4
"""The least and the largest of them over that of the fitted sphere or distribution: with a width of 0.3, 99.9 % of the volume lies between."""
STRENGTHS = np.geomspace(1e-5, 1e2, 15)
"""Weights of the second difference, in units of the largest column: from none to a straight line."""
DRAWS = 24
"""Noisy copies of the fitted curve: a standard deviation is known to 15 % then."""


@dataclass(frozen=True, eq=False)
class SizeFamily:
    """Shares of sizes by volume.

    Attributes:
        diameters: (S,) Å.
        shares: (S,) of the volume, their sum is 1.
        share_errors: (S,) standard uncertainties.
        mean: Å, by volume; mean_error: of it.
        spread: relative standard deviation of the diameters by volume; spread_error: of it.
        rw: over the range that was fitted.
    """

    diameters: Float
    shares: Float
    share_errors: Float
    mean: float
    mean_error: float
    spread: float
    spread_error: float
    rw: float

    def table(self) -> pd.DataFrame:
        """One row a size."""
        return pd.DataFrame({"diameter": self.diameters, "share_by_volume": self.shares, "share_err": self.share_errors})


def free_sizes(run: Refinement) -> SizeFamily | None:
    """The distribution of sizes of a crystal that was refined; None for one without an end in sight.

    Args:
        run: refined, with any shape: its diameter is the middle of the family.
    """
    inverse = float(run.vector[run.size_place])
    if inverse <= NO_END:
        return None
    problem = run.problem
    diameters = np.geomspace(max(SMALLER / inverse, SMALLEST), LARGER / inverse, SIZES)
    spheres = run.as_spheres()
    vectors = []
    for diameter in diameters:
        vector = spheres.vector.copy()
        vector[spheres.size_place] = 1.0 / diameter
        vectors.append(vector)
    columns = spheres.curves(vectors, problem.to_r, problem.r).T
    scale = float(np.linalg.norm(columns, axis=0).max())
    bend = np.diff(np.eye(SIZES), n=2, axis=0) * scale
    strength = _strength(columns, problem.g, bend, problem.n_independent)
    shares = _solve(columns, problem.g, bend, strength)
    if not shares.sum() > 0:
        return None
    calculated = columns @ shares
    left = problem.g - calculated
    noise = np.sqrt(float(left @ left) / len(left) * max(len(left) / problem.n_independent, 1.0))  # points are finer than independent
    rng = np.random.default_rng(0)
    drawn = [_solve(columns, calculated + noise * rng.normal(size=len(left)), bend, strength) for _ in range(DRAWS)]
    moments = np.array([_moments(diameters, one) for one in drawn if one.sum() > 0])
    mean, spread = _moments(diameters, shares)
    return SizeFamily(
        diameters,
        shares / shares.sum(),
        np.std([one / max(one.sum(), 1e-300) for one in drawn], axis=0),
        mean,
        float(np.std(moments[:, 0])),
        spread,
        float(np.std(moments[:, 1])),
        float(np.sqrt(left @ left / problem.norm)),
    )


def _solve(columns: Float, g: Float, bend: Float, strength: float) -> Float:
    matrix = np.concatenate([columns, strength * bend])
    return np.asarray(nnls(matrix, np.concatenate([g, np.zeros(len(bend))]), maxiter=50 * columns.shape[1])[0])


def _strength(columns: Float, g: Float, bend: Float, n_independent: float) -> float:
    """The strongest hold on the second difference that the data allow."""
    least = float(np.sum((columns @ _solve(columns, g, bend, 0.0) - g) ** 2))
    best = 0.0
    for strength in STRENGTHS:
        left = float(np.sum((columns @ _solve(columns, g, bend, float(strength)) - g) ** 2))
        if left > least * (1.0 + 2.0 / n_independent):
            break
        best = float(strength)
    return best


def _moments(diameters: Float, shares: Float) -> tuple[float, float]:
    """Mean and relative standard deviation."""
    weight = shares / shares.sum()
    mean = float(weight @ diameters)
    return mean, float(np.sqrt(max(weight @ diameters**2 - mean**2, 0.0)) / mean)
