"""A small evolution strategy with ask and tell, for batches: CMA-ES with a diagonal covariance.

Ray Tune with Optuna would start a trial for every point. Here a generation is decoded and fitted in one call of the engine inside a worker, which is
an actor itself, so the strategy is a plain object: ask for a generation, tell its costs. A diagonal covariance suits some hundred evaluations in some
ten dimensions, where a full one cannot be learnt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class EvolutionStrategy:
    """sep-CMA-ES (Ros and Hansen, PPSN 2008) for minimisation.

    Args:
        mean: (D,) where to start.
        scale: (D,) standard deviations at the start, times ``step``.
        step: overall step size at the start.
        population: points a generation.
        rng: random numbers.

    Attributes:
        mean: (D,) centre of the search.
        step: overall step size.
        variance: (D,) of the coordinates, relative to ``scale``.
    """

    def __init__(self, mean: Floats, scale: Floats, *, step: float, population: int, rng: np.random.Generator) -> None:
        self.mean, self.scale, self.step, self.rng = np.array(mean, dtype=np.float64), np.asarray(scale, dtype=np.float64), step, rng
        self.population = max(population, 4)
        dimensions = len(self.mean)
        parents = self.population // 2
        weights = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
        self._weights = weights / weights.sum()
        mu = 1.0 / (self._weights**2).sum()
        self._c_step = (mu + 2) / (dimensions + mu + 5)
        self._damping = 1 + self._c_step + 2 * max(0.0, np.sqrt((mu - 1) / (dimensions + 1)) - 1)
        self._c_path = 4 / (dimensions + 4)
        learning = 2 / ((dimensions + 1.3) ** 2 + mu), 2 * (mu - 2 + 1 / mu) / ((dimensions + 2) ** 2 + mu)
        faster = (dimensions + 2) / 3  # a diagonal has fewer unknowns
        self._c_one, self._c_mu = min(learning[0] * faster, 0.4), min(max(learning[1], 0.0) * faster, 0.4)
        self._mu, self._expected = mu, np.sqrt(dimensions) * (1 - 1 / (4 * dimensions) + 1 / (21 * dimensions**2))
        self.variance = np.ones(dimensions)
        self._step_path, self._path = np.zeros(dimensions), np.zeros(dimensions)

    def ask(self) -> Floats:
        """(population, D) points of the next generation."""
        offsets = self.step * np.sqrt(self.variance) * self.rng.standard_normal((self.population, len(self.mean)))
        return np.asarray(self.mean + self.scale * offsets)

    def tell(self, points: Floats, costs: Floats) -> None:
        """Take in the costs, (population,), of points that :meth:`ask` gave; infinite where a point failed."""
        order = np.argsort(np.where(np.isfinite(costs), costs, np.inf), kind="stable")[: len(self._weights)]
        steps = (points[order] - self.mean) / self.scale / self.step
        shift = self._weights @ steps
        self.mean = self.mean + self.scale * self.step * shift
        self._step_path = (1 - self._c_step) * self._step_path + np.sqrt(self._c_step * (2 - self._c_step) * self._mu) * shift / np.sqrt(
            self.variance
        )
        length = float(np.linalg.norm(self._step_path))
        self._path = (1 - self._c_path) * self._path + np.sqrt(self._c_path * (2 - self._c_path) * self._mu) * shift
        learned = self._c_one * self._path**2 + self._c_mu * (self._weights @ steps**2)
        self.variance = np.maximum((1 - self._c_one - self._c_mu) * self.variance + learned, 1e-8)
        self.step *= float(np.exp(min((length / self._expected - 1) * self._c_step / self._damping, 0.6)))
