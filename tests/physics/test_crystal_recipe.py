"""Recipes of srfit for a crystal in a sphere: constraints by crystal system, one U an element, and the same law with both engines."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("diffpy.srfit")

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, StructureError
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.crystal_lattice import cell_parameters, cell_vectors, crystal_system, free_cell
from deepstruc_hpc.physics.crystal_recipe import crystal_recipe
from deepstruc_hpc.physics.diffpy_bridge import refine_with_srfit
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.shape_functions import shape_function
from deepstruc_hpc.structures.crystals import Crystal, Prototype, crystal_of_prototype, prototype_crystal
from tests.physics import fake_srreal

INSTRUMENT = Instrument(qmin=0.5, qmax=22.0, qdamp=0.03)
RANGE = {"rmin": 1.5, "rmax": 14.0}
ENGINES = ("native", "diffpy")


@pytest.fixture
def engine(request, monkeypatch):
    """The engine of a test; diffpy runs on the stand-in for srreal."""
    if request.param == "diffpy":
        fake_srreal.install(monkeypatch)
    return request.param


def sphere(r, diameter):
    """γ(r) of a sphere, written out once more."""
    x = np.clip(r / diameter, 0.0, 1.0)
    return 1.0 - 1.5 * x + 0.5 * x**3


def simulated(crystal, cell=None, *, uiso, delta2=0.0, diameter=None):
    r = np.linspace(1.5, 14.0, 626)
    lattice = crystal.lattice if cell is None else cell_vectors(cell)
    g = simulate_bulk(lattice, crystal.fractions, crystal.species, r, INSTRUMENT, uiso=uiso, delta2=delta2)
    return PdfCurve(r, g if diameter is None else g * sphere(r, diameter))


@pytest.mark.parametrize(
    ("name", "system", "free"),
    [
        ("CeO2", "cubic", ["a"]),
        ("TiO2 rutile", "tetragonal", ["a", "c"]),
        ("ZnO", "hexagonal", ["a", "c"]),
        ("TiO2 brookite", "orthorhombic", ["a", "b", "c"]),
        ("ZrO2 monoclinic", "monoclinic", ["a", "b", "c", "beta"]),
    ],
)
def test_the_crystal_system_says_which_parameters_of_the_cell_are_free(name, system, free):
    found = free_cell(prototype_crystal(name))
    assert (found.system, list(found.groups)) == (system, free)
    assert sorted(member for members in found.groups.values() for member in members if member in "abc") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("group", "cell", "free"),
    [
        ("R-3m", (4.5, 4.5, 11.8, 90, 90, 120), ["a", "c"]),
        ("P1", (4.0, 5.0, 6.0, 80, 85, 95), ["a", "b", "c", "alpha", "beta", "gamma"]),
    ],
)
def test_trigonal_and_triclinic_cells_too(group, cell, free):
    crystal = crystal_of_prototype(Prototype(group, cell, (({"Bi": 1.0}, (0.1, 0.1, 0.2340) if group == "P1" else (0, 0, 0.2340)),)), "test")
    if group == "P1":  # one atom a cell has an inversion centre; still triclinic
        assert crystal_system(crystal.point_operations) == "triclinic"
    assert list(free_cell(crystal).groups) == free


def test_a_cell_in_another_setting_is_refused_with_its_numbers():
    tetragonal = prototype_crystal("TiO2 anatase")
    turned = Crystal("turned", tetragonal.lattice[[2, 0, 1]], tetragonal.fractions, tetragonal.species, tetragonal.point_operations)
    with pytest.raises(StructureError, match=r"turned: a = 9\.5143.*tetragonal.*conventional"):
        free_cell(turned)


def test_cell_parameters_and_vectors_are_inverses():
    cell = (4.0, 5.0, 6.5, 81.0, 96.0, 107.0)
    assert cell_parameters(cell_vectors(cell)) == pytest.approx(cell)
    with pytest.raises(StructureError, match="no cell"):
        cell_vectors((4.0, 5.0, 6.5, 150.0, 150.0, 150.0))


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_a_cubic_cell_stays_cubic_and_each_element_has_its_u(engine):
    crystal = prototype_crystal("MgO")
    truth = {"scale": 0.7, "a": 4.24, "uiso_Mg": 0.004, "uiso_O": 0.009, "delta2": 1.2, "diameter": 25.0}
    curve = simulated(crystal, (4.24, 4.24, 4.24, 90, 90, 90), uiso={"Mg": 0.004, "O": 0.009}, delta2=1.2, diameter=25.0)
    recipe = crystal_recipe(
        crystal, PdfCurve(curve.r, 0.7 * curve.g), INSTRUMENT, **RANGE, diameter=30.0, start={"uiso": 0.006, "delta2": 0.5}, engine=engine
    )
    assert recipe.getNames() == list(truth)
    found = refine_with_srfit(recipe)
    for name, value in truth.items():
        assert found.values[name] == pytest.approx(value, rel=0.02), name
    assert found.values["a"] == pytest.approx(4.24, abs=2e-3)
    assert found.rw < 5e-3
    if engine == "diffpy":
        structure = recipe.pdf.crystal.phase.stru
        assert structure.lattice.abcABG() == pytest.approx((*[found.values["a"]] * 3, 90, 90, 90))
        assert {(atom.element, round(atom.Uisoequiv, 9)) for atom in structure} == {
            (symbol, round(found.values[f"uiso_{symbol}"], 9)) for symbol in ("Mg", "O")
        }


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
def test_the_residual_of_a_crystal_recipe_is_rw_over_the_points(engine):
    """At the truth it is zero; 1 % away in a, or with another diameter, it is √(Σ(Gobs − Gcalc)²/ΣGobs²) of the curves written out."""
    crystal = prototype_crystal("ZnO")
    curve = simulated(crystal, uiso={"Zn": 0.006, "O": 0.01}, diameter=20.0)
    data = curve.between(*RANGE.values())
    recipe = crystal_recipe(
        crystal, curve, INSTRUMENT, **RANGE, diameter=20.0, start={"uiso_Zn": 0.006, "uiso_O": 0.01, "delta2": 0.0}, engine=engine
    )
    tolerance = 2e-3 if engine == "diffpy" else 1e-9  # the stand-in ends a little later, interpolates, and rounds as srreal does
    norm = np.sqrt((data.g**2).sum())
    assert np.linalg.norm(recipe.residual(recipe.getValues())) / norm < tolerance
    recipe.a.setValue(3.2498 * 1.01)
    recipe.diameter.setValue(17.0)
    cell = (3.2498 * 1.01, 3.2498 * 1.01, 5.2066, 90, 90, 120)
    other = simulated(crystal, cell, uiso={"Zn": 0.006, "O": 0.01}, diameter=17.0).between(*RANGE.values())
    expected = np.linalg.norm(other.g - data.g) / norm
    assert np.linalg.norm(recipe.residual(recipe.getValues())) / norm == pytest.approx(expected, abs=2 * tolerance)
    assert expected > 0.1


@pytest.mark.parametrize("expansion", [0.98, 1.02, 1.049, 0.9, 1.1])
def test_a_cell_that_expands_is_that_crystal_calculated_anew(expansion):
    """A generator keeps the distances of a cell and expands them; fails when it does so too far, or when the density does not follow."""
    crystal, a = prototype_crystal("MgO"), 4.2117 * expansion
    expected = simulated(crystal, (a, a, a, 90, 90, 90), uiso=0.006)
    recipe = crystal_recipe(crystal, expected, INSTRUMENT, **RANGE, start={"uiso": 0.006, "delta2": 0.0}, free=("a",))
    assert np.abs(recipe.residual([4.2117])).max() > 0.1 * np.abs(expected.g).max()
    assert np.abs(recipe.residual([a])).max() < 1e-5 * np.abs(expected.g).max()


def test_a_crystal_without_end_has_no_diameter():
    crystal = prototype_crystal("MgO")
    curve = simulated(crystal, uiso=0.006)
    recipe = crystal_recipe(crystal, curve, INSTRUMENT, **RANGE, start={"uiso": 0.006, "delta2": 0.0}, uiso="shared", free=("scale", "uiso"))
    assert recipe.getNames() == ["scale", "uiso"]
    assert np.abs(recipe.residual([1.0, 0.006])).max() < 1e-9


def test_any_object_with_the_attributes_of_a_crystal_will_do():
    mgo = prototype_crystal("MgO")
    crystal = SimpleNamespace(**{name: getattr(mgo, name) for name in ("name", "lattice", "fractions", "species", "point_operations")})
    assert crystal_recipe(crystal, simulated(mgo, uiso=0.006), INSTRUMENT, **RANGE).getNames() == ["scale", "a", "uiso_Mg", "uiso_O", "delta2"]


@pytest.mark.law
@pytest.mark.parametrize(("shape", "name", "value"), [("lognormal", "spread", 0.3), ("spheroid", "aspect", 0.5), ("cube", "diameter", 20.0)])
def test_a_recipe_with_another_shape_finds_its_parameter(shape, name, value):
    """The curve is the crystal's times γ₀; fails when a spheroid gets ln(aspect), or D is 1/D."""
    crystal = prototype_crystal("CeO2")
    bulk = simulated(crystal, uiso=0.005)
    parameter = {"lognormal": value, "spheroid": np.log(value)}.get(shape, 0.0)
    data = PdfCurve(bulk.r, bulk.g * shape_function(shape, parameter)(bulk.r, 1 / 20.0))
    start = {"uiso": 0.005, "delta2": 0.0, "scale": 1.0, **({"aspect": 0.8} if name == "aspect" else {})}
    recipe = crystal_recipe(crystal, data, INSTRUMENT, **RANGE, diameter=18.0, shape=shape, start=start)
    for other in set(recipe.names) - {"diameter", name}:
        recipe.fix(other)
    refine_with_srfit(recipe)
    found = dict(zip(recipe.names, recipe.values, strict=True))
    assert found["diameter"] == pytest.approx(20.0, rel=0.02)
    assert found[name] == pytest.approx(value, rel=0.05)


def test_a_shape_that_nobody_knows_is_refused_with_those_that_are():
    crystal = prototype_crystal("CeO2")
    with pytest.raises(ConfigError, match=r"no shape 'ball'\. Known: sphere, lognormal"):
        crystal_recipe(crystal, simulated(crystal, uiso=0.005), INSTRUMENT, **RANGE, diameter=18.0, shape="ball")
