"""Where candidates come from: each source is asked once, each structure is kept once, and a user's package may add a source."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates import source as sources_module
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.source import BUILT_IN, ENTRY_POINT_GROUP, Budget, Source, added_sources, metal_of, metal_zoom, propose
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.elements import nn_distance

BUDGET = Budget(samples=5, sigma=(3.0,), most_atoms=500)


def _measurement(composition="Pt", peak=2.8):
    r = np.arange(0.0, 20.0, 0.01)
    return describe(PdfCurve(r, np.exp(-0.5 * ((r - peak) / 0.1) ** 2), source="x.gr"), SolveSettings(composition=composition))


class Offers:
    """A source of the structures that it was made of; it remembers what it was asked."""

    def __init__(self, *structures, name="mine"):
        self.structures, self.name, self.calls = structures, name, []

    def candidates(self, measurement, budget):
        self.calls.append((measurement, budget))
        found = tuple(Candidate(one, self.name) for one in self.structures if set(one.elements) <= set(measurement.sample.elements))
        return CandidateSet(found, notes=(f"{self.name} was asked",))


class Point:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name, made):
        self.name, self._made = name, made

    def load(self):
        return lambda: self._made


@pytest.fixture
def installed(monkeypatch):
    """Let packages be installed that offer sources; the group that is asked for must be the documented one."""

    def offer(*points):
        monkeypatch.setattr(sources_module, "entry_points", lambda *, group: points if group == ENTRY_POINT_GROUP else ())

    return offer


@pytest.mark.parametrize(
    ("composition", "peak", "distance"),
    [
        ("Al4Ni", 2.80, 2.80),  # farther from twice the radius of nickel, the strongest scatterer, than a metal's bonds may lie
        ("PtNi", 2.63, 2.63),
        ("AuCu", 2.0, 2.72),  # no bond of either: Vegard's distance
        ("Au", 2.85, 2.85),
        ("Au", 2.0, 2.88),
    ],
)
def test_shapes_start_at_a_bond_of_the_sample_or_else_at_its_own_distance(composition, peak, distance):
    measurement = _measurement(composition, peak)
    symbol = metal_of(measurement.sample)
    assert np.mean(metal_zoom(measurement, symbol)) * nn_distance(symbol, "twelve") == pytest.approx(distance, abs=0.01)


def _line(count, distance=2.8):
    return Structure.of_element("Pt", np.column_stack([distance * np.arange(count), np.zeros(count), np.zeros(count)]), "a line")


def test_every_source_is_asked_once_with_the_budget_and_equal_structures_are_kept_once():
    measurement, one, other = _measurement(), Offers(_line(3), _line(4), name="one"), Offers(_line(4), _line(5), name="other")
    found = propose(measurement, [one, other], BUDGET)
    assert [source.calls for source in (one, other)] == [[(measurement, BUDGET)]] * 2
    assert sorted(found.n_atoms) == [3, 4, 5]
    assert (found.counts["one"], found.counts["other"], found.counts["distinct"]) == (2, 2, 3)
    assert found.notes == ("one was asked", "other was asked")


def test_no_source_gives_an_empty_set_and_not_an_error():
    assert len(propose(_measurement(), [], BUDGET)) == 0
    assert len(propose(_measurement("Au"), [Offers(_line(3))], BUDGET)) == 0


@pytest.mark.parametrize(
    ("composition", "metal"), [("Pt", "Pt"), ("CuAu", "Au"), ("CeO2", None), ("C60", None), ("Au144 S60 C480 H540", "Au"), ("Pt/Al2O3", "Pt")]
)
def test_the_metal_whose_shapes_stand_for_a_sample(composition, metal):
    assert metal_of(_measurement(composition).sample) == metal


def test_the_zoom_of_a_metal_lies_about_the_first_peak_only_where_that_is_a_bond_of_the_metal():
    strained, foreign = (np.mean(metal_zoom(_measurement("Pt", peak), "Pt")) for peak in (2.9, 3.6))
    assert strained == pytest.approx(2.9 / 2.77, abs=0.01)
    assert foreign == pytest.approx(1.0)


def test_a_source_of_an_installed_package_is_asked_when_it_is_named(measured, shapes_store, shape_of, installed, tmp_path):
    mine = Offers(shape_of("decahedral"))
    installed(Point("mine", mine))
    common = {"catalog": shapes_store, "local_shapes": 0, "workers": 0}
    row = solve(measured / "decahedral.gr", tmp_path / "named", sources="mine", **common).iloc[0]
    assert (row["status"], row["structure_type"], row["n_candidates"]) == ("ok", "decahedral", 1)
    ((measurement, budget),) = mine.calls
    assert measurement.sample.elements == ("Pt",)
    assert budget.samples == SolveSettings().samples
    solve(measured / "decahedral.gr", tmp_path / "not-named", sources="catalog", **common)
    assert len(mine.calls) == 1


def test_a_source_that_nobody_offers_is_an_error_that_lists_the_known(measured, shapes_store, installed, tmp_path):
    installed(Point("mine", Offers()))
    with pytest.raises(ConfigError, match=rf"--sources yours: no such source\. Known: {', '.join(BUILT_IN)}, mine"):
        solve(measured / "fcc.gr", tmp_path / "out", catalog=shapes_store, sources="catalog,yours", workers=0)
    assert not (tmp_path / "out").exists()


def test_what_is_installed_but_is_no_source_is_named(installed):
    installed(Point("mine", Offers()), Point("broken", object()))
    with pytest.raises(ConfigError, match=r"'broken'.*object has no name and candidates"):
        added_sources()
    assert isinstance(Offers(), Source)


def test_a_package_that_cannot_be_loaded_is_named_and_no_traceback(installed):
    class Broken(Point):
        def load(self):
            raise ImportError("no module named torch2")

    installed(Broken("theirs", None))
    with pytest.raises(ConfigError, match=r"'theirs'.*ImportError: no module named torch2"):
        added_sources()
