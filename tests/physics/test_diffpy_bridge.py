import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

pytest.importorskip("diffpy.srfit")

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, EngineError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.diffpy_bridge import NAMES, ClusterGenerator, refine_with_srfit, simulate_with, srfit_recipe, srreal_available
from deepstruc_hpc.physics.diffpy_engine import calculation_grid
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from tests.physics import fake_srreal
from tests.physics.clusters import INSTRUMENT, alloy, gold, measured

RANGE = {"rmin": 2.0, "rmax": 12.0}
needs_srreal = pytest.mark.skipif(
    not srreal_available(), reason="diffpy.srreal is not installed (conda-forge only, clusters/environment-diffpy.yaml)"
)


@pytest.fixture
def srreal(monkeypatch):
    """The stand-in for srreal; gives the calculators that were made."""
    return fake_srreal.install(monkeypatch)


@pytest.mark.parametrize("candidate", [gold(20), gold(25)])
def test_srfit_finds_the_same_minimum(candidate):
    """Rw within 1e-4 and parameters within their uncertainty, for the right structure and a wrong one."""
    curve = measured(gold(20, jitter=0.05), zoom=1.01, scale=0.8, rmax=13.0)
    row = fit_candidates([candidate], curve, **RANGE, **INSTRUMENT).row(0)
    start = {"scale": row["scale"] * 0.9, "zoom": row["zoom"] * 1.003, "uiso": row["uiso"] * 1.2, "delta2": row["delta2"] + 0.2}
    result = refine_with_srfit(srfit_recipe(candidate, curve, Instrument(**INSTRUMENT), **RANGE, start=start))
    assert result.rw == pytest.approx(row["rw"], abs=1e-4)
    for name in ("scale", "zoom", "uiso"):
        assert abs(result.values[name] - row[name]) < max(row[f"{name}_err"], 1e-6)
        assert result.errors[name] == pytest.approx(row[f"{name}_err"], rel=0.1)


def test_a_recipe_can_be_changed_by_its_user():
    curve = measured(gold(20), rmax=13.0)
    recipe = srfit_recipe(gold(20), curve, Instrument(**INSTRUMENT), **RANGE, start={"uiso": 0.006, "delta2": 2.0}, free=("scale", "zoom"))
    assert recipe.getNames() == ["scale", "zoom"]
    recipe.fix("zoom")
    assert np.abs(recipe.residual([1.0])).max() < 1e-6


def test_native_engine_is_the_simulation():
    r = np.arange(2.0, 8.0, 0.05)
    found = simulate_with("native", gold(10), r, Instrument(**INSTRUMENT), uiso=0.01)
    assert np.array_equal(found, simulate_pdf(gold(10).symbols, gold(10).positions, r, uiso=0.01, **INSTRUMENT))


@pytest.mark.skipif(srreal_available(), reason="srreal is installed here")
def test_missing_srreal_says_how_to_get_it():
    with pytest.raises(EngineError, match="conda"):
        simulate_with("diffpy", gold(10), np.arange(2.0, 8.0, 0.05), Instrument())


@pytest.mark.law
@pytest.mark.parametrize("engine", ["native", "diffpy"])
def test_the_residual_of_a_recipe_is_our_rw(engine, request):
    """√(Σ residual² / ΣGobs²) at the values of our fit is the Rw of our fit, for a right structure and a wrong one."""
    if engine == "diffpy":
        request.getfixturevalue("srreal")
    curve = measured(gold(20, jitter=0.05), zoom=1.01, scale=0.8, rmax=13.0)
    candidates = [gold(20), gold(25)]
    table = fit_candidates(candidates, curve, **RANGE, **INSTRUMENT)
    inside = curve.between(*RANGE.values()).g
    for number, candidate in enumerate(candidates):
        row = table.row(number)
        recipe = srfit_recipe(candidate, curve, Instrument(**INSTRUMENT), **RANGE, start=row, engine=engine)
        residual = recipe.residual(recipe.getValues())
        assert np.sqrt((residual**2).sum() / (inside**2).sum()) == pytest.approx(row["rw"], rel=1e-3 if engine == "diffpy" else 1e-6, abs=2e-5)


def test_zoom_moves_the_whole_cell_and_uiso_every_atom(srreal):
    """On srfit's own parameter sets; fails when zoom drives lattice.a alone or uiso the first atom alone."""
    curve = measured(gold(20), rmax=13.0)
    recipe = srfit_recipe(gold(20), curve, Instrument(**INSTRUMENT), **RANGE, engine="diffpy")
    assert recipe.getNames() == list(NAMES)
    recipe.residual([1.0, 1.02, 0.011, 1.5])
    structure = recipe.pdf.cluster.phase.stru
    assert structure.lattice.abcABG() == pytest.approx((1.02, 1.02, 1.02, 90, 90, 90))
    np.testing.assert_allclose([atom.xyz_cartn for atom in structure], 1.02 * gold(20).positions)
    np.testing.assert_allclose([atom.Uisoequiv for atom in structure], 0.011)
    recipe.fix("zoom", "uiso")
    recipe.zoom.setValue(0.98)
    recipe.uiso.setValue(0.004)
    recipe.residual([1.0, 1.5])
    assert structure.lattice.abcABG()[:3] == pytest.approx((0.98, 0.98, 0.98))
    np.testing.assert_allclose([atom.Uisoequiv for atom in structure], 0.004)


def test_values_that_are_not_refined_reach_every_atom_too(srreal):
    start, curve = {"zoom": 1.03, "uiso": 0.02}, measured(gold(20), rmax=13.0)
    recipe = srfit_recipe(gold(20), curve, Instrument(), **RANGE, start=start, free=("scale",), engine="diffpy")
    recipe.residual([1.0])
    structure = recipe.pdf.cluster.phase.stru
    assert structure.lattice.abcABG()[:3] == pytest.approx((1.03, 1.03, 1.03))
    np.testing.assert_allclose([atom.Uisoequiv for atom in structure], 0.02)


@pytest.mark.parametrize("engine", ["native", "diffpy"])
def test_each_element_can_have_a_u_of_its_own(engine, request):
    if engine == "diffpy":
        request.getfixturevalue("srreal")
    cluster, r = alloy(30), np.arange(0.0, 13.0, 0.02)
    uiso = np.array([{"Au": 0.004, "Cu": 0.012}[symbol] for symbol in cluster.symbols])
    curve = PdfCurve(r, simulate_pdf(cluster.symbols, cluster.positions, r, uiso=uiso, delta2=2.0, **INSTRUMENT))
    recipe = srfit_recipe(cluster, curve, Instrument(**INSTRUMENT), **RANGE, start={"uiso": 0.008}, uiso="element", engine=engine)
    assert recipe.getNames() == ["scale", "zoom", "uiso_Au", "uiso_Cu", "delta2"]
    found = refine_with_srfit(recipe)
    assert found.values["uiso_Au"] == pytest.approx(0.004, rel=0.01)
    assert found.values["uiso_Cu"] == pytest.approx(0.012, rel=0.01)


@pytest.mark.parametrize("engine", ["native", "diffpy"])
def test_ions_share_the_u_of_their_element_and_a_table_may_give_it_by_element(engine, request):
    if engine == "diffpy":
        request.getfixturevalue("srreal")
    oxide = Structure(("Ce4+", "O2-", "O", "Ce4+"), [[0, 0, 0], [2.3, 0, 0], [0, 2.4, 0], [2.7, 2.7, 0]])
    start = {"uiso": 0.005, "uiso_by_element": {"O": 0.02}}
    recipe = srfit_recipe(oxide, measured(gold(5), rmax=13.0), Instrument(), **RANGE, start=start, uiso="element", engine=engine)
    assert dict(zip(recipe.getNames(), recipe.getValues(), strict=True)) == {"scale": 1, "zoom": 1, "uiso_Ce": 0.005, "uiso_O": 0.02, "delta2": 2}
    observed, calculated = recipe.pdf.profile.y, recipe.residual(recipe.getValues())
    expected = simulate_pdf(
        oxide.symbols, oxide.positions, recipe.pdf.profile.x, uiso=[0.005, 0.02, 0.02, 0.005], delta2=2.0, **Instrument().model_dump()
    )
    assert np.abs(calculated - (expected - observed)).max() < 1e-3 * np.abs(expected).max()


def test_a_variable_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match=r"'qdamp'.*scale, zoom, uiso, delta2"):
        srfit_recipe(gold(10), measured(gold(10), rmax=13.0), Instrument(), **RANGE, free=("scale", "qdamp"))


def test_a_refinement_runs_on_one_thread_of_linear_algebra_and_leaves_the_setting_as_it_was(monkeypatch):
    """Threads of a library that wait for each other cost seconds a candidate on a busy machine."""

    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    recipe = srfit_recipe(gold(10), measured(gold(10), rmax=13.0), Instrument(**INSTRUMENT), **RANGE)
    inside, call = [], ClusterGenerator.__call__
    monkeypatch.setattr(ClusterGenerator, "__call__", lambda self, r: inside.append(threads()) or call(self, r))
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        refine_with_srfit(recipe)
        assert threads() == before
    assert {count for counts in inside for count in counts} == {1}


@pytest.mark.parametrize("step", [0.01, 0.03, 0.1])
def test_srreal_is_asked_for_a_fine_grid_whatever_the_step_of_the_curve(srreal, step):
    """Its linear interpolation is off by 2 % at 0.05 Å and 9 % at 0.1 Å; 0.1 % is allowed here."""
    r = np.arange(2.0, 15.0, step)
    one, other = (simulate_with(engine, gold(30), r, Instrument(**INSTRUMENT), delta1=0.3, delta2=1.0) for engine in ("native", "diffpy"))
    (calculator,) = srreal
    ((rmin, rmax, rstep),) = calculator.grids
    assert (rstep <= 0.002 + 1e-12, rmin <= r[0], rmax >= r[-1]) == (True, True, True)
    assert np.abs(one - other).max() < 1e-3 * np.abs(one).max()
    wide = PdfCurve(r, one)
    recipe = srfit_recipe(gold(30), wide, Instrument(**INSTRUMENT), **RANGE, engine="diffpy")
    recipe.residual(recipe.getValues())
    assert all(grid[2] <= 0.002 + 1e-12 for calculator in srreal for grid in calculator.grids)


@pytest.mark.parametrize("qmax", [20.0, 60.0])
def test_linear_interpolation_on_the_grid_for_srreal_keeps_three_in_ten_thousand_of_a_wave(qmax):
    r = np.array([2.0, 2.37, 3.011, 9.4])
    grid = calculation_grid(r, qmax)
    fine = np.arange(grid["rmin"], grid["rmax"], grid["rstep"])
    wanted = np.linspace(2.0, 9.4, 5001)
    assert np.abs(np.interp(wanted, fine, np.sin(qmax * fine)) - np.sin(qmax * wanted)).max() < 3.2e-4


def gold_55(engine):
    """The case of a cluster of 55 atoms with the true zoom 1.01 and U 0.006 Å², from the usual start."""
    curve = measured(gold(55), zoom=1.01, uiso=0.006, delta2=2.0, rmax=16.0)
    start = {"scale": 0.9, "zoom": 1.0, "uiso": 0.008, "delta2": 1.0}
    return refine_with_srfit(srfit_recipe(gold(55), curve, Instrument(**INSTRUMENT), rmin=2.0, rmax=15.0, start=start, engine=engine))


@pytest.mark.parametrize("engine", ["native", "diffpy"])
def test_a_known_cluster_is_found_again(engine, request):
    if engine == "diffpy":
        request.getfixturevalue("srreal")
    found = gold_55(engine)
    assert found.values["zoom"] == pytest.approx(1.01, abs=1e-4)
    assert found.values["uiso"] == pytest.approx(0.006, abs=5e-5)
    assert found.rw < 1e-3
    assert 0 < found.errors["zoom"] < 1e-4


@needs_srreal
def test_a_known_cluster_is_found_again_by_srreal_itself():
    found = gold_55("diffpy")
    assert found.values["zoom"] == pytest.approx(1.01, abs=2e-4)
    assert found.values["uiso"] == pytest.approx(0.006, abs=1e-4)
    assert found.rw < 0.02


@needs_srreal
def test_srreal_agrees_within_its_interpolation():
    r = np.arange(2.0, 20.0, 0.01)
    one, other = (simulate_with(engine, gold(55), r, Instrument(**INSTRUMENT)) for engine in ("native", "diffpy"))
    assert np.abs(one - other).max() < 1e-2 * np.abs(one).max()
