"""Laws of the posterior's parts: counts, prices, priors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc.physics.evidence import (
    SizePrior,
    constants,
    criterion,
    gain,
    log_likelihood,
    parameter_price,
    pooled,
    prior_of_types,
    record,
    shares,
    size_terms,
    within_calibration,
)


@given(n=st.floats(3.0, 500.0), before=st.floats(1e-3, 1.0), share=st.floats(0.1, 1.0))
def test_criterion_likelihood_gain_and_price_are_one_scale(n, before, share):
    after = share * before
    nats = float(log_likelihood(np.sqrt(after), n) - log_likelihood(np.sqrt(before), n))
    assert gain(before, after, n) == pytest.approx(nats, abs=1e-9)
    assert criterion(before, n, 2) - criterion(after, n, 3) == pytest.approx(2.0 * (nats - parameter_price(1, n)), abs=1e-6)


def test_the_prior_adds_up_and_types_of_one_lattice_share_what_is_stated():
    lattices = {"fcc": "fcc", "octahedral": "fcc", "hcp": "hcp"}
    prior = prior_of_types(lattices, {"fcc": 0.9, "hcp": 0.1}, 0.5)
    assert sum(prior.values()) == pytest.approx(1.0)
    assert prior["fcc"] == prior["octahedral"] == pytest.approx(0.5 / 3 + 0.5 * 0.45)
    assert prior_of_types(lattices, {"bcc": 1.0}, 0.5) == dict.fromkeys(lattices, pytest.approx(1.0 / 3.0))


def test_a_list_pays_for_its_length_and_equal_candidates_count_as_one():
    one = np.array([-3.0])
    assert pooled(np.full(100, -3.0), 2.0) == pytest.approx(pooled(one, 2.0))
    assert pooled(np.array([-3.0] + [-1e3] * 99), 2.0) == pytest.approx(-3.0 - np.log(100) / 2.0)
    assert pooled(one, 2.0, 100) == pytest.approx(-3.0 - np.log(100) / 2.0)


def test_doubt_is_the_least_that_a_wrong_type_keeps():
    found = shares({"fcc": 0.0, "hcp": -800.0}, doubt=0.04)
    assert found["hcp"] == pytest.approx(0.02)
    assert sum(found.values()) == pytest.approx(1.0)


def test_a_size_away_from_what_the_good_ones_agree_on_loses_and_disagreement_costs_nothing():
    n, rw, score = np.array([100.0, 100.0, 140.0]), np.full(3, 0.1), np.zeros(3)
    known = SizePrior(0.3, 1.0, 0.03)
    apart = size_terms(n, rw, score, ["fcc"] * 3, known)
    assert apart[2] < apart[0] == apart[1]
    assert not size_terms(n, rw, score, ["fcc", "fcc", "hcp"], known).any()
    assert not size_terms(n, rw, score, ["fcc"] * 3, SizePrior(0.3, 0.0, 0.03)).any()


def test_groups_agree_on_sizes_apart_whatever_their_order():
    rng = np.random.default_rng(0)
    n, rw, score, groups = rng.uniform(50, 150, 40), rng.uniform(0.02, 0.1, 40), rng.normal(size=40), rng.choice(["fcc", "hcp", "bcc"], 40)
    known = SizePrior(0.3, 1.0, 0.03)
    together = size_terms(n, rw, score, groups, known)
    for name in ("fcc", "hcp", "bcc"):
        ours = groups == name
        assert together[ours] == pytest.approx(size_terms(n[ours], rw[ours], score[ours], groups[ours], known))
    order = rng.permutation(40)
    assert size_terms(n[order], rw[order], score[order], groups[order], known) == pytest.approx(together[order])


def test_data_count_less_where_fits_are_worse_than_any_that_the_constants_come_from():
    limit = record()["made"]["calibrated_to"]
    assert 0.1 < limit < 0.4  # an Rw at which something is still right
    assert within_calibration(np.array([0.01, limit, 2.0 * limit, 3.0 * limit])) == pytest.approx([1.0, 1.0, 1 / 4, 1 / 9])
    assert within_calibration(0.4, 0.2) == pytest.approx(0.25)


def test_every_constant_has_an_uncertainty_and_the_curves_that_it_came_from():
    known = record()
    assert set(known["constants"]) == set(vars(constants()))
    for one in known["constants"].values():
        assert one["low"] <= one["value"] <= one["high"]
        assert one["unit"]
    assert {"date", "version", "seeds", "code"} <= set(known["made"])
    assert known["made"]["curves"] >= 150
