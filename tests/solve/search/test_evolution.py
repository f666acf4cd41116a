"""The evolution strategy that moves latent points."""

import numpy as np

from deepstruc_hpc.solve.search.evolution import EvolutionStrategy


def _minimum(seed, generations=60):
    target = np.linspace(-2, 2, 8)
    strategy = EvolutionStrategy(np.zeros(8), np.ones(8), step=0.7, population=12, rng=np.random.default_rng(seed))
    best = np.inf
    for _ in range(generations):
        points = strategy.ask()
        costs = (((points - target) * np.linspace(1, 3, 8)) ** 2).sum(axis=1)
        best = min(best, costs.min())
        strategy.tell(points, costs)
    return best, strategy.mean, target


def test_a_quadratic_bowl_is_descended_far_beyond_random_sampling():
    best, mean, target = _minimum(0)
    assert best < 1e-2  # 720 samples about the start reach about 10
    assert np.abs(mean - target).max() < 0.2


def test_the_same_numbers_give_the_same_path():
    assert np.array_equal(_minimum(1, 5)[1], _minimum(1, 5)[1])


def test_points_that_failed_do_not_move_the_search_towards_them():
    strategy = EvolutionStrategy(np.zeros(3), np.ones(3), step=1.0, population=8, rng=np.random.default_rng(2))
    points = strategy.ask()
    costs = np.where(points[:, 0] > 0, np.inf, (points**2).sum(axis=1))
    if np.isfinite(costs).sum() >= 4:
        strategy.tell(points, costs)
        assert strategy.mean[0] < 0
    assert np.isfinite(strategy.mean).all()
