"""From fits to an order, probabilities and words."""

import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.solve.config import RankSettings
from deepstruc_hpc.solve.ranking.ranking import in_words, lattice_probability, mixed_prior, rank_candidates, size_range, type_table

SETTINGS = RankSettings()


def _table(*rows):
    return pd.DataFrame(rows, columns=["structure_type", "n_atoms", "rw", "complexity"]).assign(source="catalog", catalog_id="x")


def _rank(table, **options):
    return rank_candidates(table, independent_points=150.0, settings=SETTINGS, **options)


def test_probabilities_add_up_and_rank_one_belongs_to_the_most_probable_type():
    rng = np.random.default_rng(1)
    table = _table(*[(kind, n, rng.uniform(0.1, 0.5), 0) for kind in ("fcc", "hcp", "icosahedral") for n in range(20)])
    ranked = _rank(table)
    types = type_table(ranked)
    assert ranked["probability"].sum() == pytest.approx(1)
    assert types["probability"].sum() == pytest.approx(1)
    assert ranked["structure_type"].iloc[0] == types["structure_type"].iloc[0]
    assert list(ranked["rank"]) == list(range(1, 61))
    assert ranked["score"].is_monotonic_decreasing


def test_a_much_better_fit_wins_whatever_the_prior():
    table = _table(("fcc", 100, 0.10, 0), ("hcp", 100, 0.40, 0))
    assert _rank(table, type_prior={"hcp": 1.0})["structure_type"].iloc[0] == "fcc"


def test_an_equal_fit_goes_to_the_simpler_structure():
    table = _table(("stacking_fault", 71, 0.148, 1), ("decahedral", 105, 0.155, 0))
    assert _rank(table)["structure_type"].iloc[0] == "decahedral"


def test_the_models_prior_decides_between_equal_fits_but_never_rules_a_type_out():
    table = _table(("fcc", 100, 0.2, 0), ("hcp", 100, 0.2, 0))
    ranked = _rank(table, type_prior={"hcp": 1.0})
    assert ranked["structure_type"].iloc[0] == "hcp"
    assert ranked["probability"].iloc[1] == pytest.approx((1 - SETTINGS.prior_weight) / 2)
    assert mixed_prior(["fcc", "hcp"], {"sc": 1.0}, 0.5) == {"fcc": 0.5, "hcp": 0.5}
    assert mixed_prior(["fcc", "hcp", "octahedral"], {"fcc": 1.0}, 1.0) == {"fcc": 0.5, "hcp": 0.0, "octahedral": 0.5}


def test_more_independent_points_make_the_same_fits_more_telling():
    table = _table(("fcc", 100, 0.20, 0), ("hcp", 100, 0.22, 0))
    few, many = (rank_candidates(table, independent_points=n, settings=SETTINGS)["probability"].iloc[0] for n in (50, 500))
    assert 0.5 < few < many < 1


def test_many_sizes_of_one_type_do_not_vote_it_up():
    one = _table(("fcc", 100, 0.20, 0), ("hcp", 100, 0.19, 0))
    many = _table(*[("fcc", n, 0.20, 0) for n in range(100)], ("hcp", 100, 0.19, 0))
    share = [type_table(_rank(table)).set_index("structure_type").loc["hcp", "probability"] for table in (one, many)]
    assert share[0] == pytest.approx(share[1])


def test_the_best_of_a_thousand_tries_is_worth_less_than_the_best_of_three():
    bad = [("stacking_fault", n, 0.5, 0) for n in range(1000)]
    table = _table(*bad, ("stacking_fault", 71, 0.148, 0), ("decahedral", 105, 0.155, 0), ("decahedral", 54, 0.3, 0), ("decahedral", 13, 0.3, 0))
    assert _rank(table)["structure_type"].iloc[0] == "decahedral"
    assert _rank(table[999:])["structure_type"].iloc[0] == "stacking_fault"


def test_bad_samples_of_a_type_do_not_speak_against_it():
    listed = _table(("fcc", 100, 0.20, 0), ("hcp", 100, 0.19, 0))
    samples = _table(*[("hcp", n, 0.7, 1) for n in range(1000)]).assign(source="cvae", catalog_id="")
    assert _rank(pd.concat([listed, samples], ignore_index=True))["structure_type"].iloc[0] == "hcp"


def test_below_the_floor_differences_of_rw_mean_little():
    ranked = _rank(_table(("fcc", 100, 0.001, 0), ("hcp", 100, 0.004, 0)))
    assert ranked["probability"].iloc[0] < 0.7


def test_what_cannot_be_fitted_is_not_ranked():
    ranked = _rank(_table(("fcc", 100, np.nan, 0), ("hcp", 100, 0.4, 0), ("sc", 9, np.inf, 0)))
    assert list(ranked["structure_type"]) == ["hcp"]
    assert _rank(_table(("fcc", 100, np.nan, 0))).empty


def test_types_that_cannot_be_told_apart_are_said_in_words():
    ranked = _rank(_table(("decahedral", 105, 0.155, 0), ("hcp", 90, 0.157, 0), ("sc", 27, 0.8, 0)))
    words = in_words(ranked, type_table(ranked), SETTINGS)
    assert "the data cannot tell decahedral (Rw 0.155) from hcp (Rw 0.157) apart" in words
    assert "sc" not in words
    clear = _rank(_table(("decahedral", 105, 0.1, 0), ("hcp", 90, 0.5, 0)))
    assert in_words(clear, type_table(clear), SETTINGS) == ""


def test_a_truncated_octahedron_is_said_to_be_an_fcc_crystal():
    ranked = _rank(_table(("octahedral", 140, 0.180, 0), ("fcc", 165, 0.181, 0)))
    words = in_words(ranked, type_table(ranked), SETTINGS)
    assert "fcc crystal" in words
    assert "cannot tell" not in words


def test_sizes_that_fit_alike_are_given_as_a_range():
    ranked = _rank(_table(("decahedral", 85, 0.158, 0), ("decahedral", 105, 0.155, 0), ("decahedral", 156, 0.157, 0), ("decahedral", 20, 0.6, 0)))
    assert size_range(ranked) == (85, 156)


def test_outlines_of_one_crystal_are_pooled_before_another_lattice_is_named():
    ranked = _rank(_table(("fcc", 100, 0.165, 0), ("octahedral", 110, 0.165, 0), ("stacking_fault", 100, 0.163, 0)))
    types = type_table(ranked)
    assert types["probability"].max() == types.set_index("structure_type").loc["stacking_fault", "probability"]
    assert ranked["structure_type"].iloc[0] == types["structure_type"].iloc[0] in {"fcc", "octahedral"}
    assert lattice_probability(types) > 0.5


def test_an_odd_size_that_fits_slightly_better_does_not_outrank_the_size_that_all_others_agree_on():
    crowd = [("fcc", n, 0.060 + 0.0004 * abs(n - 80), 0) for n in range(74, 87)]
    lone = ("fcc", 68, 0.0585, 0)
    assert 78 <= _rank(_table(*crowd, lone))["n_atoms"].iloc[0] <= 82
    by_fit = SETTINGS.model_copy(update={"size_width": 0.0})
    ranked = rank_candidates(_table(*crowd, lone), independent_points=150.0, settings=by_fit)
    assert ranked["n_atoms"].iloc[0] == 68


def test_sizes_mean_less_where_even_the_best_fits_poorly():
    crowd = [("fcc", n, 0.310, 0) for n in range(74, 87)]
    assert _rank(_table(*crowd, ("fcc", 72, 0.290, 0)))["n_atoms"].iloc[0] == 72
