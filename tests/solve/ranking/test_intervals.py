"""Intervals of what was found: their laws. All fits are invented; benchmarks/solve_intervals.py says how often they hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from deepstruc_hpc.physics.evidence import record
from deepstruc_hpc.solve.config import RankSettings
from deepstruc_hpc.solve.ranking.intervals import LEAST_SIZE, ONE_SIGMA, Interval, diameter, doubted, intervals
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import rank
from tests.solve.conftest import fitted_set


def _ranking(*rows):
    return rank(fitted_set(*rows), Posterior(150.0, {}, RankSettings()))


@given(value=st.floats(1.0, 500.0), error=st.floats(1e-5, 0.5), level=st.floats(0.05, 0.99))
def test_an_interval_holds_the_part_of_the_probability_that_it_names(value, error, level):
    low, high = Interval(value, error).at(level)
    assert norm.cdf(math.log(high / value) / error) - norm.cdf(math.log(low / value) / error) == pytest.approx(level)
    assert low * high == pytest.approx(value**2)


@given(error=st.floats(1e-4, 0.5), freedom=st.floats(1.5, 50.0), level=st.floats(0.05, 0.99))
def test_a_standard_uncertainty_holds_68_per_cent_whatever_the_tails(error, freedom, level):
    """Fails where the scale of Student's distribution is taken for the standard uncertainty."""
    one = Interval(100.0, error, freedom=freedom)
    assert one.at(ONE_SIGMA)[1] == pytest.approx(100.0 * math.exp(error), rel=1e-5)
    scale = error / student.ppf(0.5 + 0.5 * ONE_SIGMA, freedom)
    assert student.cdf(math.log(one.at(level)[1] / 100.0) / scale, freedom) == pytest.approx(0.5 + 0.5 * level)


@pytest.mark.parametrize("quantity", record()["doubts"])
def test_a_doubt_grows_with_the_spread_and_has_a_least_one(quantity):
    errors = [doubted(quantity, 10.0, spread).error for spread in (0.0, 0.01, 0.1)]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert doubted(quantity, 10.0, 0.0, least=0.9).error == 0.9


@pytest.mark.parametrize("quantity", ["particle_size", "particle_length"])
def test_what_the_fit_misses_makes_a_particle_doubtful(quantity):
    """Fails where the width comes from the candidates alone: they agree on a wrong size where all of them miss the same."""
    spread = record()["doubts"][quantity]["floor"]
    errors = [doubted(quantity, 10.0, spread, rw=rw).error for rw in (0.0, 0.05, 0.1, 0.2, 0.4)]
    assert errors == sorted(errors)
    assert errors[-1] - errors[-2] > errors[1] - errors[0]  # in quadrature: it decides where Rw is large
    assert errors[-1] > 2.0 * errors[1]


def test_more_points_make_no_size_surer_than_the_misfit_lets_it_be():
    """The candidates of a larger particle differ less in their likelihoods; the same residual makes their sizes wrong all the same."""
    few, usual, many = (doubted("particle_size", 10.0, 0.01, rw=0.1, points=points).error for points in (50.0, 100.0, 200.0))
    assert few < usual < many
    assert usual == pytest.approx(doubted("particle_size", 10.0, 0.01, rw=0.1).error)


def test_a_particle_is_more_often_larger_than_smaller_and_a_crystal_has_no_side():
    """Fails where an interval lies about the value whatever the calibration curves say of the side of their errors."""
    known, one = record()["doubts"]["particle_size"], doubted("particle_size", 10.0, 0.01, rw=0.1)
    for level in (0.68, 0.95):
        low, high = one.at(level)
        assert math.log(high / 10.0) > math.log(10.0 / low) > 0
        scale = one.shift / -known["bias"]
        inside = [student.cdf(math.log(10.0 / end) / scale - known["bias"], known["freedom"]) for end in (low, high)]  # of ln(found/true)
        assert inside[0] - inside[1] == pytest.approx(level, abs=0.01)
    low, high = doubted("crystal_size", 10.0, 0.01).at(0.95)
    assert low * high == pytest.approx(100.0)


def test_an_interval_that_is_open_above_has_a_lower_end_alone():
    record = Interval(50.0, 0.1, open_above=True).record()
    assert record["95"][1] is None
    assert record["95"][0] < record["90"][0] < record["68"][0] < record["value"]


def test_sizes_that_fit_alike_make_a_diameter_doubtful_and_one_that_stands_out_makes_it_sure():
    alike = diameter(_ranking(*[("fcc", n, 0.2, 0) for n in range(80, 121, 5)]))
    alone = diameter(_ranking(("fcc", 100, 0.05, 0), *[("fcc", n, 0.6, 0) for n in range(80, 121, 5) if n != 100]))
    assert alike.error > 2 * alone.error  # what is the same for both, the floor and what Rw adds, is in both
    assert alone.error >= LEAST_SIZE


def test_another_type_says_nothing_of_the_size():
    rows = [("fcc", n, 0.2, 0) for n in (95, 100, 105)]
    assert diameter(_ranking(*rows)).error == pytest.approx(diameter(_ranking(*rows, ("hcp", 20, 0.21, 0))).error)


def test_a_metal_shape_has_a_diameter_and_a_nearest_neighbour_distance():
    found = intervals(_ranking(*[("fcc", n, 0.2, 0) for n in (95, 100, 105)]))
    assert set(found) <= {"diameter", "nearest_neighbours"}
    assert found["diameter"].value > 0
    assert all(np.isfinite(one.error) for one in found.values())
