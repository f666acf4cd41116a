import tracemalloc

import numpy as np
import pytest

from deepstruc_hpc.physics.histogram import class_pairs, pair_histograms
from deepstruc_hpc.physics.threads import run_blocks, thread_count
from tests.physics.clusters import ball

pytestmark = pytest.mark.law


def test_error_bound_of_the_sharing_holds():
    """Σ H sin(Qd) against the pairs themselves: at most 0.00488 (Qh)⁶ a pair, for every Q up to the limit."""
    positions = ball(30, jitter=0.1)
    d = np.linalg.norm(positions[:, None] - positions[None], axis=2)[np.triu_indices(30, 1)]
    step = 0.02
    hist = pair_histograms([positions], [np.zeros(30, dtype=np.int64)], 1, step, 800)[0, 0]
    for q in (1.0, 10.0, 25.0):
        error = abs(hist @ np.sin(q * step * np.arange(800)) - np.sin(q * d).sum())
        assert error <= 0.00488 * (q * step) ** 6 * len(d) + 1e-9


def test_every_pair_counts_once_and_by_its_classes():
    kinds = np.array([0, 1, 1, 0, 1, 0, 0])
    hist = pair_histograms([ball(7)], [kinds], 2, 0.01, 1000)[0]
    assert class_pairs(2) == [(0, 0), (0, 1), (1, 1)]
    assert hist.sum(axis=1) == pytest.approx([6, 12, 3])


def test_threads_share_a_large_cluster_without_loss():
    rng = np.random.default_rng(0)
    positions, kinds = rng.uniform(-20, 20, size=(3000, 3)), rng.integers(0, 2, 3000)
    one, two = (pair_histograms([positions], [kinds], 2, 0.05, 1600, threads=n) for n in (1, 2))
    assert np.abs(one - two).max() < 1e-6
    assert one.sum() == pytest.approx(3000 * 2999 / 2, rel=1e-9)


def test_memory_does_not_grow_with_the_number_of_pairs():
    positions = np.random.default_rng(0).uniform(-25, 25, size=(8000, 3))
    tracemalloc.start()
    pair_histograms([positions], [np.zeros(8000, dtype=np.int64)], 1, 0.05, 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # all pairs would be 256 MB


def test_blocks_cover_every_item_once():
    for n in (0, 1, 7, 100):
        parts = run_blocks(lambda a, b: list(range(a, b)), n, threads=3)
        assert [item for part in parts for item in part] == list(range(n))


def test_thread_count_follows_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_count() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert thread_count() >= 1
