"""What is said of an alloy's composition and ordering. Fits are invented."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.checks.checks import check
from deepstruc_hpc.solve.config import RankSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.composition import alloy_composition
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import rank
from deepstruc_hpc.solve.ranking.wording import named_orderings
from deepstruc_hpc.solve.search.decorations import decorated
from deepstruc_hpc.structures.decoration import Rule
from tests.structures.particles import ball


def _measured(distance, **settings):
    r = np.arange(0.0, 20.0, 0.01)
    return describe(PdfCurve(r, np.exp(-0.5 * ((r - distance) / 0.1) ** 2), source="x.gr"), SolveSettings(**settings))


def _ranked(measurement, distance, rules=(), mean_rw=0.1, lattice="fcc atom"):
    """A shape of mean atoms at a distance (Å), and the same with rules, each with an Rw."""
    shape = Candidate(ball(lattice, 2.6), "catalog", length=2.88, atomic_volume=17.0)
    made = [(shape, mean_rw, distance / 2.88)]
    for rule, rw in rules:
        one = decorated(shape, shape.structure, rule, distance / 2.88)
        made.append((one, rw, distance / one.length))
    table = FitTable.empty(len(made), 100, 100.0)
    for row, (_, rw, zoom) in enumerate(made):
        values = {"rw": rw, "scale": 1.0, "zoom": zoom, "uiso": 0.005, "delta2": 2.0, "converged": True}
        table.put(np.array([row]), values)
    candidates = CandidateSet(tuple(one for one, _, _ in made), fits=table)
    return rank(candidates, Posterior.of(candidates, measurement, RankSettings()))


def _found(elements, distance, **more):
    measurement = _measured(distance, elements=elements)
    return alloy_composition(_ranked(measurement, distance, **more), measurement)


def test_a_distance_gives_the_composition_of_metals_of_different_size_with_its_error():
    found = _found(("Au", "Cu"), 0.6 * 2.88 + 0.4 * 2.56)
    assert not found.open
    assert found.shares["Au"] == pytest.approx(0.6, abs=0.03)
    assert 0.05 < found.errors["Au"] < 0.15
    assert "about Au0.6" in found.words
    assert "Vegard" in found.words


@pytest.mark.parametrize(("elements", "distance"), [(("Ag", "Au"), 2.88), (("Rh", "Pd"), 2.71), (("Fe", "Co"), 2.51), (("Ir", "Pt"), 2.75)])
def test_the_composition_of_neighbours_in_the_table_is_said_to_be_open(elements, distance):
    found = _found(elements, distance)
    assert found.open
    assert found.formula == "-".join(sorted(elements))
    assert "composition is open" in found.words


def test_the_order_in_which_elements_are_named_changes_nothing():
    assert _found(("Pt", "Ni"), 2.65) == _found(("Ni", "Pt"), 2.65)


def test_on_bcc_sites_vegards_law_is_not_trusted():
    assert not _found(("Fe", "Pt"), 2.65).open
    assert _found(("Fe", "Pt"), 2.65, lattice="bcc atom").open


def test_an_order_that_shows_says_the_composition_that_the_distance_leaves_open():
    rules = [(Rule("core_shell", ("Ag", "Au"), (1 - share, share)), 0.04 + abs(share - 0.3)) for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)]
    measurement = _measured(2.88, elements=("Ag", "Au"))
    ranking = _ranked(measurement, 2.88, rules, mean_rw=0.4)
    assert alloy_composition(ranking, measurement).open
    found = alloy_composition(ranking, measurement, "core-shell")
    assert not found.open
    assert found.shares["Au"] == pytest.approx(0.3, abs=0.03)
    assert "ordering" in found.words


def test_a_random_draw_says_nothing_of_the_composition():
    rules = [(Rule("random", ("Ag", "Au"), (1 - share, share)), 0.04 + share) for share in (0.1, 0.3, 0.5)]
    measurement = _measured(2.88, elements=("Ag", "Au"))
    assert alloy_composition(_ranked(measurement, 2.88, rules, mean_rw=0.4), measurement, "random").open


def test_a_composition_that_was_given_is_kept_and_doubted_where_the_distance_is_anothers():
    right, wrong = (_measured(distance, composition="AuCu") for distance in (2.72, 2.86))
    kept = alloy_composition(_ranked(right, 2.72), right)
    assert kept.shares == {"Au": 0.5, "Cu": 0.5}
    assert (kept.given, kept.open, kept.doubtful, kept.words) == (True, False, False, "")
    doubted = alloy_composition(_ranked(wrong, 2.86), wrong)
    assert doubted.shares == kept.shares
    assert doubted.doubtful
    assert "farther than Vegard's law" in doubted.words


def test_metals_and_compounds_have_none():
    for composition in ("Au", "CeO2"):
        measurement = _measured(2.88, composition=composition)
        assert alloy_composition(_ranked(measurement, 2.88), measurement) is None


@pytest.mark.parametrize(
    ("left", "named"),
    [
        ([], ()),
        (["random"], ("random",)),
        (["L1_0"], ("L1_0",)),
        (["core-shell", "segregated"], ("core-shell", "segregated")),
        (["L1_2", "random"], ()),
        (["janus", "core-shell", "segregated"], ()),
    ],
)
def test_an_ordering_is_named_where_at_most_two_are_left_and_random_only_alone(left, named):
    assert named_orderings(left) == named


@pytest.mark.parametrize(
    ("rw", "phase", "open_ordering"),
    [
        ((0.05, 0.30, 0.30), "AuCu fcc, core-shell alloy", False),
        ((0.05, 0.0501, 0.30), "AuCu fcc, ordering open", True),  # random beside it
        ((0.05, 0.30, 0.0501), "AuCu fcc, ordering open", True),  # mean atoms beside it
    ],
)
def test_a_phase_names_an_ordering_only_where_no_other_explains_the_curve(rw, phase, open_ordering):
    shell, random, mean = rw
    measurement = _measured(2.72, composition="AuCu")
    rules = [(Rule("core_shell", ("Cu", "Au"), (0.5, 0.5)), shell), (Rule("random", ("Au", "Cu"), (0.5, 0.5)), random)]
    answer = check(_ranked(measurement, 2.72, rules, mean_rw=mean), measurement, SolveSettings())
    assert answer.row["phase"] == phase
    assert answer.row["formula"] == "AuCu"
    assert ("Cu inside, Au outside" in answer.message) == (answer.row["structure_type"] == "core-shell alloy")
    assert ("cannot tell" in answer.message) == open_ordering


def test_an_open_composition_is_said_in_formula_phase_and_details():
    measurement = _measured(2.88, elements=("Au", "Ag"))
    answer = check(_ranked(measurement, 2.88), measurement, SolveSettings())
    assert answer.row["formula"] == "Ag-Au"
    assert answer.row["phase"] == "Ag-Au fcc, ordering open"
    assert answer.details["composition"]["open"]
    assert set(answer.details["composition"]["shares"]) == {"Ag", "Au"}
