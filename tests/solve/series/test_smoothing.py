"""States are smoothed as two-state laws of probability say."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepstruc_hpc.solve.series.changes import course_changes, state_changes
from deepstruc_hpc.solve.series.results import measures_of
from deepstruc_hpc.solve.series.smoothing import CHANGE, smooth


def _seen(odds):
    """Evidence of two states, ln of b over a."""
    return [{"a": -np.logaddexp(0.0, x), "b": x - np.logaddexp(0.0, x)} for x in odds]


def test_a_lone_frame_that_says_otherwise_is_overruled_and_two_that_are_sure_are_not():
    lone, weak, sure = [-3.0] * 20, [-3.0] * 20, [-3.0] * 20
    lone[10], weak[10:12], sure[10:12] = 30.0, [3.0] * 2, [8.0] * 2
    assert (smooth(_seen(lone)).path == 0).all()
    assert (smooth(_seen(weak)).path == 0).all()
    assert np.flatnonzero(smooth(_seen(sure)).path).tolist() == [10, 11]


def test_many_weak_frames_together_make_a_change():
    found = smooth(_seen([-1.0] * 30 + [1.0] * 30))
    assert (found.path == np.repeat([0, 1], 30)).all()
    (change,) = state_changes(found)
    assert abs(change.frame - 30) <= 1
    assert change.text == "a becomes b"
    assert change.probability > 0.9


def test_a_frame_without_an_answer_says_nothing():
    seen = _seen([-4.0] * 5 + [0.0] + [-4.0] * 5)
    seen[5] = {}
    found = smooth(seen)
    assert (found.path == 0).all()
    assert found.probability[5, 0] > 0.99
    assert smooth([{}, {}]).states == ()


def test_phases_that_come_and_go_are_named():
    found = smooth([{"Al2O3 spinel + NiO rocksalt": 0.0}] * 9 + [{"Al2O3 spinel + Ni fcc": 0.0}] * 9)
    (change,) = state_changes(found)
    assert (change.frame, change.text) == (9, "Ni fcc appears, NiO rocksalt disappears")


@pytest.mark.law
@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=2, max_size=9))
def test_the_probabilities_are_those_of_all_sequences_counted_one_by_one(odds):
    found = smooth(_seen(odds))
    if len(found.states) < 2:
        return
    frames, weight = len(odds), np.exp([[one["a"], one["b"]] for one in _seen(odds)])
    total, share, changed = 0.0, np.zeros((frames, 2)), np.zeros(frames)
    for code in range(2**frames):
        path = [(code >> t) & 1 for t in range(frames)]
        p = np.prod([weight[t, s] for t, s in enumerate(path)])
        for t in range(1, frames):
            p *= CHANGE if path[t] != path[t - 1] else 1 - CHANGE
        total += p
        for t in range(frames):
            share[t, path[t]] += p
            changed[t] += p * (t > 0 and path[t] != path[t - 1])
    assert np.allclose(found.probability, share / total, atol=1e-9)
    assert np.allclose(found.changed, changed / total, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_and_a_smooth_course_have_no_changes(seed):
    rng = np.random.default_rng(seed)
    frames = np.arange(200)
    for course in (np.zeros(200), np.log(55 + 3.7 * frames) / 3):
        probability, reported = course_changes(course + rng.normal(0, 0.01, 200), np.full(200, 0.01), "size", ("growth", "shrinkage"))
        assert not reported
        assert probability.max() < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_growth_that_begins_and_a_jump_are_found(seed):
    rng = np.random.default_rng(seed)
    frames, true = np.arange(120), 50
    begins = 0.01 * np.maximum(frames - true, 0) + rng.normal(0, 0.01, 120)
    probability, reported = course_changes(begins, np.full(120, 0.01), "size", ("growth", "shrinkage"))
    assert [(abs(one.frame - true) <= 3, one.text) for one in reported] == [(True, "growth starts")]
    assert probability[true - 6 : true + 7].sum() > 0.5
    at_one_rate = np.log(120 * (1 + 0.02 * np.maximum(frames - true, 0))) / 3 + rng.normal(0, 0.002, 120)
    _, reported = course_changes(at_one_rate, np.full(120, 0.01), "size", ("growth", "shrinkage"))
    assert [(abs(one.frame - true) <= 3, one.text) for one in reported] == [(True, "growth starts")]
    jumps = 0.2 * (frames >= true) + rng.normal(0, 0.01, 120)
    _, reported = course_changes(jumps, np.full(120, 0.01), "size", ("growth", "shrinkage"))
    assert [(abs(one.frame - true) <= 1, one.text) for one in reported] == [(True, "growth at once")]


def test_each_phase_keeps_its_own_cell_and_size_whichever_is_the_largest():
    def phase(formula, group, a, size):
        known = SimpleNamespace(formula=formula, group=group)
        return SimpleNamespace(candidate=known, cell=(a, a, a), cell_error=(1e-4,) * 3, diameter=size, diameter_error=1.0, bulk=False)

    nickel, oxide = phase("Ni", "fcc", 3.52, 20.0), phase("NiO", "rock_salt", 4.18, 40.0)
    for parts, weights in (((nickel, oxide), (0.6, 0.4)), ((oxide, nickel), (0.6, 0.4)), ((oxide, nickel), (0.9, 0.1))):
        fit = SimpleNamespace(parts=parts, weights=weights, names=tuple(sorted((part.candidate.formula, part.candidate.group) for part in parts)))
        found = measures_of(SimpleNamespace(first=SimpleNamespace(phases=SimpleNamespace(fit=fit))))
        assert set(found) == ({"NiO rock_salt"} if min(weights) < 0.2 else {"NiO rock_salt", "Ni fcc"})
        for name, known in found.items():
            assert (known["lattice"][0], np.exp(known["size"][0])) == pytest.approx((4.18, 40.0) if name == "NiO rock_salt" else (3.52, 20.0))
