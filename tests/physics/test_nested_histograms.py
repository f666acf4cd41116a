"""Pair distances of symmetric clusters of growing size: the same as counted one by one."""

import numpy as np
import pytest

from deepstruc_hpc.physics.histogram import pair_histograms
from deepstruc_hpc.physics.nested_histograms import FINER, nested_histograms
from deepstruc_hpc.structures.large_bodies import LargeBody, multiplicities

STEP, BINS = 0.01, 1600


def _nested(body, sizes):
    sites, counts = body.nested(np.array(sizes))
    return sites, counts, nested_histograms(sites, counts, multiplicities(sites, body.symmetry), step=STEP, n_bins=BINS)


@pytest.mark.parametrize("body", [LargeBody("fcc"), LargeBody("decahedral"), LargeBody("twin", planes=(2,)), LargeBody("icosahedral")])
def test_every_size_has_the_pairs_that_it_has_alone(body):
    sites, counts, found = _nested(body, (300, 500, 800))
    for count, histogram in zip(counts, found, strict=True):
        assert histogram.sum() == pytest.approx(count * (count - 1) / 2, rel=1e-6)  # fails if a shell's own pairs count twice
        alone = pair_histograms([sites[:count]], [np.zeros(count, dtype=np.int64)], 1, STEP, BINS)[0, 0]
        d = STEP * np.arange(1, BINS)
        for q in (5.0, 20.0, 60.0):
            curve, reference = (np.sum(one[1:] * np.sin(q * d) / d) for one in (histogram, alone))
            moved = 0.5 * STEP / FINER  # a distance is rounded by at most so much, and |sin a − sin b| ≤ |a − b|
            assert abs(curve - reference) <= 1.01 * q * moved * np.sum(alone[1:] / d)


def test_pairs_beyond_the_last_bin_are_left_out():
    sites, counts, whole = _nested(LargeBody("fcc"), (500,))
    short = nested_histograms(sites, counts, multiplicities(sites, LargeBody("fcc").symmetry), step=STEP, n_bins=400)
    np.testing.assert_allclose(short[:, :380], whole[:, :380], atol=1e-3)
    assert short.sum() < 0.5 * whole.sum()


def test_a_cluster_without_symmetry_counts_every_atom():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3)) * 2.0
    found = nested_histograms(points, np.array([20, 60]), np.ones(60, dtype=np.int64), step=0.02, n_bins=1000)
    assert found.sum(axis=1) == pytest.approx([190, 1770], rel=1e-6)
