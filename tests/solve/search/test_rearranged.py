"""Orderings of an alloy on other shapes and sizes."""

from dataclasses import replace

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.config import RankSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.search.decorations import decorated
from deepstruc_hpc.solve.search.rearranged import rearrange
from deepstruc_hpc.structures.decoration import Rule
from tests.structures.particles import ball

CONDITIONS = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}
SHELL = Rule("core_shell", ("Au", "Cu"), (0.3, 0.7))


def _searched(budget, radius=3.2, start=2.6, **sample):
    """A search from a sphere that is too small, and the true one."""
    truth = SHELL.on(ball("fcc atom", radius))
    r = np.arange(0.0, 24.0, 0.02)
    curve = PdfCurve(r, simulate_pdf(truth.symbols, truth.positions, r, uiso=0.005, delta2=1.5, **CONDITIONS), source="x.gr")
    measurement = describe(curve, SolveSettings(**(sample or {"composition": "Au3Cu7"}), **CONDITIONS))
    shape = Candidate(ball("fcc atom", start), "catalog", length=2.88, atomic_volume=17.0)
    zoom = 2.656 / 2.88
    made = tuple(decorated(shape, shape.structure, rule, zoom) for rule in (SHELL, replace(SHELL, elements=("Cu", "Au"), shares=(0.7, 0.3))))
    candidates = fit(CandidateSet(made), measurement)
    scorer = Posterior.of(candidates, measurement, RankSettings())
    return candidates, rearrange(candidates, measurement, scorer, budget=budget, rng=np.random.default_rng(0)), truth


def test_a_core_and_a_shell_on_a_shape_that_is_too_small_find_their_size():
    before, after, truth = _searched(150)
    best = after.candidates[after.best]
    assert after.rw.min() < 0.4 * before.rw.min()
    assert abs(len(best.structure) / len(truth) - 1) < 0.1 < abs(len(before.candidates[0].structure) / len(truth) - 1)
    assert best.decoration[1].elements == ("Au", "Cu")  # which one is outside
    assert not best.listed


def test_the_composition_moves_where_nobody_says_it_and_stays_where_somebody_does():
    for sample, moves in (({"composition": "Au3Cu7"}, False), ({"elements": ("Au", "Cu")}, True)):
        _, after, _ = _searched(120, **sample)
        shares = {one.decoration[1].shares[one.decoration[1].elements.index("Au")] for one in after if "core" in one.kind}
        assert (len({round(share, 3) for share in shares}) > 1) == moves


def test_no_more_is_fitted_than_the_budget_and_nothing_without_one():
    before, after, _ = _searched(7)
    assert after.counts["rearranged"] <= 7
    before, after, _ = _searched(0)
    assert after is before


@pytest.mark.parametrize("rule", [SHELL, Rule("janus", ("Au", "Cu"), (0.3, 0.7)), Rule("segregated", ("Cu", "Au"), (0.5, 0.5))])
def test_a_rule_gives_its_shares_on_every_size(rule):
    for radius in (2.1, 2.6, 3.2):
        made = rule.on(ball("fcc atom", radius))
        assert made.symbols.count(rule.elements[-1]) / len(made) == pytest.approx(rule.shares[-1], abs=1 / len(made))


def test_the_last_element_of_a_rule_lies_outside():
    made = Rule("core_shell", ("Cu", "Ag", "Au"), (0.3, 0.3, 0.4)).on(ball("fcc atom", 3.2))
    away = np.linalg.norm(made.positions - made.positions.mean(axis=0), axis=1)
    symbols = np.array(made.symbols)
    assert away[symbols == "Cu"].max() <= away[symbols == "Ag"].min() + 1e-6
    assert away[symbols == "Ag"].max() <= away[symbols == "Au"].min() + 1e-6
