import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from deepstruc_hpc.physics.agreement import aligned_matched_error, rw
from deepstruc_hpc.physics.evidence import independent_points
from tests.physics.clusters import ball


def test_rw_is_zero_for_equal_and_one_for_nothing():
    curve = np.sin(np.arange(50.0))
    assert rw(curve, curve) == 0.0
    assert rw(curve, 0 * curve) == 1.0
    assert rw(curve, 0.9 * curve) == pytest.approx(0.1)
    assert np.isinf(rw(0 * curve, curve))


def test_independent_points_do_not_depend_on_the_grid():
    assert independent_points(2, 20, 0.8, 25) == pytest.approx(18 * 24.2 / np.pi)
    assert independent_points(5, 2, 0.8, 25) == 0


def test_moved_rotated_mirrored_and_reordered_clusters_match():
    rng = np.random.default_rng(2)
    one = ball(25, jitter=0.2)
    order = rng.permutation(25)
    other = ((one * [1, 1, -1]) @ Rotation.random(random_state=1).as_matrix() + 5.0)[order]
    error, permutation = aligned_matched_error(one, other)
    assert error < 1e-8
    assert np.array_equal(order[permutation], np.arange(25))


def test_error_is_the_size_of_the_displacements():
    one = ball(25)
    error, _ = aligned_matched_error(one, one + np.random.default_rng(0).normal(size=one.shape) * 0.01, starts=0)
    assert 0.005 < error < 0.01


def test_other_numbers_of_atoms_cannot_match():
    assert np.isinf(aligned_matched_error(ball(5), ball(6))[0])
