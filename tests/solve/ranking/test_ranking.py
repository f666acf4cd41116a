"""From fits to an order, probabilities and words. All numbers are invented."""

import numpy as np
import pytest

from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.physics.evidence import record
from deepstruc_hpc.solve.config import RankSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.posterior import Posterior, mixed_prior
from deepstruc_hpc.solve.ranking.ranking import rank
from deepstruc_hpc.solve.ranking.wording import in_words, size_range
from tests.solve.conftest import fitted_set

SETTINGS = RankSettings()


def _rank(candidates, *, points=150.0, type_prior=None, settings=SETTINGS):
    prior = mixed_prior(sorted(set(candidates.types)), type_prior, settings.prior_weight)
    return rank(candidates, Posterior(points, {kind: float(np.log(share)) for kind, share in prior.items()}, settings))


def _ranked(*rows, **options):
    return _rank(fitted_set(*rows), **options)


def _shares(ranking):
    return ranking.types.set_index("structure_type")["probability"]


def _first(ranking):
    return ranking.first.structure.structure_type


def test_probabilities_add_up_and_rank_one_belongs_to_the_most_probable_type():
    rng = np.random.default_rng(1)
    ranking = _ranked(*[(kind, n, rng.uniform(0.1, 0.5), 0) for kind in ("fcc", "hcp", "icosahedral") for n in range(2, 22)])
    assert ranking.probability.sum() == pytest.approx(1)
    assert ranking.types["probability"].sum() == pytest.approx(1)
    assert _first(ranking) == ranking.types["structure_type"].iloc[0] == _shares(ranking).idxmax()
    frame = ranking.frame()
    assert list(frame["rank"]) == list(range(1, 61))
    assert frame["score"].is_monotonic_decreasing
    assert frame["score"].iloc[0] == 0


def test_a_much_better_fit_wins_whatever_the_prior():
    assert _first(_ranked(("fcc", 100, 0.10, 0), ("hcp", 100, 0.40, 0), type_prior={"hcp": 1.0})) == "fcc"


def test_a_fit_that_is_hardly_better_does_not_pay_for_a_fault():
    assert _first(_ranked(("stacking_fault", 60, 0.20, 1), ("decahedral", 100, 0.203, 0))) == "decahedral"
    assert _first(_ranked(("stacking_fault", 60, 0.20, 0), ("decahedral", 100, 0.203, 0))) == "stacking_fault"


def test_the_models_prior_decides_between_equal_fits_but_never_rules_a_type_out():
    ranking = _ranked(("fcc", 100, 0.2, 0), ("hcp", 100, 0.2, 0), type_prior={"hcp": 1.0})
    assert _first(ranking) == "hcp"
    assert ranking.probability[1] == pytest.approx((1 - SETTINGS.doubt) * (1 - SETTINGS.prior_weight) / 2 + SETTINGS.doubt / 2)
    assert mixed_prior(["fcc", "hcp"], {"sc": 1.0}, 0.5) == {"fcc": 0.5, "hcp": 0.5}
    assert mixed_prior(["fcc", "hcp", "octahedral"], {"fcc": 1.0}, 1.0) == {"fcc": 0.5, "hcp": 0.0, "octahedral": 0.5}


def test_more_independent_points_make_the_same_fits_more_telling():
    candidates = fitted_set(("fcc", 100, 0.20, 0), ("hcp", 100, 0.22, 0))
    few, many = (_rank(candidates, points=points).probability[0] for points in (50.0, 500.0))
    assert 0.5 < few < many < 1


def test_many_sizes_of_one_type_do_not_vote_it_up():
    one = _ranked(("fcc", 100, 0.20, 0), ("hcp", 100, 0.19, 0))
    many = _ranked(*[("fcc", n, 0.20, 0) for n in range(2, 102)], ("hcp", 100, 0.19, 0))
    assert _shares(one)["hcp"] == pytest.approx(_shares(many)["hcp"])


def test_the_best_of_a_thousand_tries_is_worth_less_than_the_best_of_three():
    bad = [("stacking_fault", n, 0.5, 0) for n in range(2, 1002)]
    rest = (("stacking_fault", 60, 0.20, 0), ("decahedral", 100, 0.21, 0), ("decahedral", 50, 0.4, 0), ("decahedral", 20, 0.4, 0))
    assert _first(_ranked(*bad, *rest)) == "decahedral"
    assert _first(_ranked(bad[-1], *rest)) == "stacking_fault"


def test_bad_samples_of_a_type_do_not_speak_against_it():
    listed = fitted_set(("fcc", 100, 0.20, 0), ("hcp", 100, 0.19, 0))
    samples = fitted_set(*[("hcp", n, 0.7, 1) for n in range(2, 1002)], source="cvae", listed=False)
    assert _first(_rank(listed.joined(samples))) == "hcp"


def test_below_the_models_error_differences_of_rw_mean_little():
    assert _ranked(("fcc", 100, 0.001, 0), ("hcp", 100, 0.004, 0)).probability[0] < 0.7
    certain = _ranked(("fcc", 100, 0.001, 0), ("hcp", 100, 0.004, 0), settings=SETTINGS.model_copy(update={"model_error": 1e-6}))
    assert certain.probability[0] > 0.99


def test_what_cannot_be_fitted_is_not_ranked():
    assert list(_ranked(("fcc", 100, np.nan, 0), ("hcp", 100, 0.4, 0), ("sc", 9, np.inf, 0)).candidates.types) == ["hcp"]
    nothing = _ranked(("fcc", 100, np.nan, 0))
    assert len(nothing) == 0
    assert nothing.types.empty


def test_types_that_cannot_be_told_apart_are_said_in_words():
    words = in_words(_ranked(("decahedral", 100, 0.200, 0), ("hcp", 90, 0.202, 0), ("sc", 30, 0.8, 0)), SETTINGS)
    assert "the data cannot tell decahedral (Rw 0.200) from hcp (Rw 0.202) apart" in words
    assert "sc" not in words
    assert in_words(_ranked(("decahedral", 100, 0.1, 0), ("hcp", 90, 0.5, 0)), SETTINGS) == ""


def test_a_truncated_octahedron_is_said_to_be_an_fcc_crystal():
    words = in_words(_ranked(("octahedral", 140, 0.200, 0), ("fcc", 160, 0.201, 0)), SETTINGS)
    assert "fcc crystal" in words
    assert "cannot tell" not in words


def test_sizes_that_fit_alike_are_given_as_a_range():
    sizes = ((80, 0.202), (100, 0.200), (150, 0.201), (20, 0.6))
    assert size_range(_ranked(*[("decahedral", n, rw, 0) for n, rw in sizes])) == (80, 150)


def test_outlines_of_one_crystal_are_pooled_before_another_lattice_is_named():
    ranking = _ranked(("fcc", 100, 0.200, 0), ("octahedral", 110, 0.200, 0), ("stacking_fault", 100, 0.198, 0))
    assert _shares(ranking).idxmax() == "stacking_fault"
    assert _first(ranking) == ranking.types["structure_type"].iloc[0] in {"fcc", "octahedral"}
    assert ranking.lattice_probability > 0.5


def test_an_odd_size_that_fits_slightly_better_does_not_outrank_the_size_that_all_others_agree_on():
    crowd = [("fcc", n, 0.050 + 0.0003 * abs(n - 100), 0) for n in range(93, 108)]
    both = [*crowd, ("fcc", 84, 0.049, 0)]
    assert 97 <= len(_ranked(*both).first.structure) <= 103
    by_fit = _ranked(*both, settings=SETTINGS.model_copy(update={"size_width": 0.0}))
    assert len(by_fit.first.structure) == 84


def test_sizes_mean_less_where_even_the_best_fits_poorly():
    crowd = [("fcc", n, 0.300, 0) for n in range(93, 108)]
    assert len(_ranked(*crowd, ("fcc", 90, 0.280, 0)).first.structure) == 90


def test_the_order_of_the_candidates_in_the_set_changes_nothing():
    rng = np.random.default_rng(3)
    candidates = fitted_set(*[(kind, n, rng.uniform(0.1, 0.3), n % 2) for kind in ("fcc", "hcp", "octahedral") for n in range(20, 30)])
    one, other = _rank(candidates), _rank(candidates.take(rng.permutation(len(candidates))))
    assert one.candidates.rw.tolist() == other.candidates.rw.tolist()
    assert one.probability == pytest.approx(other.probability, rel=1e-9)


def test_a_fit_worse_than_any_of_the_calibration_makes_nothing_surer(measured):
    """Fails where the same ratio of two Rw speaks as loudly where the best candidate misses a third of the curve."""
    seen = describe(read_pdf(measured / "fcc.gr"), SolveSettings())
    limit = record()["made"]["calibrated_to"]
    good, bad = (fitted_set(("fcc", 55, rw, 0), ("hcp", 55, 1.3 * rw, 0)) for rw in (limit, 1.8 * limit))
    data = [Posterior.of(candidates, seen, SETTINGS).data() for candidates in (good, bad)]
    assert data[1] == pytest.approx(data[0] / 1.8**2)


def test_points_beyond_the_end_of_the_particle_make_nothing_surer(measured):
    """Fails if a longer range of a curve makes the same small particle more certain: beyond it every candidate is flat."""
    curve = read_pdf(measured / "fcc.gr")
    small = fitted_set(("fcc", 8, 0.2, 0), ("hcp", 8, 0.3, 0))
    near, far = (Posterior.of(small, describe(curve, SolveSettings(rmax=end)), SETTINGS).points for end in (16.0, 21.0))
    assert near == far > 0
