import numpy as np
import pytest

pytest.importorskip("diffpy.srfit")

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.physics.diffpy_bridge import refine_with_srfit, simulate_with, srfit_recipe, srreal_available
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from tests.physics.clusters import INSTRUMENT, gold, measured

RANGE = {"rmin": 2.0, "rmax": 12.0}
needs_srreal = pytest.mark.skipif(
    not srreal_available(), reason="diffpy.srreal is not installed (conda-forge only, clusters/environment-diffpy.yaml)"
)


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


@needs_srreal
def test_srreal_agrees_within_its_interpolation():
    r = np.arange(2.0, 20.0, 0.01)
    one, other = (simulate_with(engine, gold(55), r, Instrument(**INSTRUMENT)) for engine in ("native", "diffpy"))
    assert np.abs(one - other).max() < 1e-2 * np.abs(one).max()
