"""Shape functions: Porod's law, the volume, the end, limits, and bodies of atoms that they stand for."""

import math

import numpy as np
import pytest
from scipy.spatial import ConvexHull, HalfspaceIntersection

from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.crystal_model import crystal_sphere_curve
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.shape_functions import FACETTED, facet_planes, lognormal_shape, shape_function, sphere_shape, spheroid_shape
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.crystal_cut import crystal_sites
from deepstruc_hpc.structures.crystals import Prototype, _site, crystal_of_prototype

D = 40.0
VOLUME = math.pi / 6.0 * D**3
R = np.linspace(0.0, 400.0, 80_001)


def spheroid_surface(aspect):
    """Of volume π/6: closed forms of the oblate and the prolate spheroid."""
    a, c = 0.5 * aspect ** (-1 / 3), 0.5 * aspect ** (2 / 3)
    if aspect < 1:
        e = math.sqrt(1 - (c / a) ** 2)
        return 2 * math.pi * a**2 * (1 + (1 - e**2) / e * math.atanh(e))
    e = math.sqrt(1 - (a / c) ** 2)
    return 2 * math.pi * a**2 * (1 + c / (a * e) * math.asin(e))


def facetted_surface(name):
    normals, distances = facet_planes(name)
    return ConvexHull(HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections).area


BODIES = [
    ("sphere", 0.0, math.pi, 1.0),
    ("spheroid", math.log(2.0), spheroid_surface(2.0), 2.0 ** (2 / 3)),
    ("spheroid", -math.log(2.0), spheroid_surface(0.5), 2.0 ** (1 / 3)),
    *((name, 0.0, facetted_surface(name), math.sqrt(3.0) * (math.pi / 6) ** (1 / 3) if name == "cube" else None) for name in FACETTED),
]
"""Name, value, surface of the body of volume π/6, and its largest chord over the diameter of the sphere of its volume."""


@pytest.mark.law
@pytest.mark.parametrize(("name", "value", "surface", "chord"), BODIES)
def test_a_body_begins_at_one_falls_by_its_surface_and_holds_its_volume(name, value, surface, chord):
    """γ₀(0) = 1, γ₀′(0) = −S/4V, ∫4πr²γ₀ dr = V, γ₀ = 0 beyond the largest chord, never rising. Fails when D is another diameter than that of V."""
    shape = shape_function(name, value)
    gamma = shape(R, 1 / D)
    assert gamma[0] == pytest.approx(1.0)
    near = D * 2e-3
    slope = (shape(np.array([near]), 1 / D)[0] - 1.0) / near
    assert slope == pytest.approx(-surface / (4 * math.pi / 6) / D, rel=0.006)
    assert np.trapezoid(4 * np.pi * R**2 * gamma, R) == pytest.approx(VOLUME, rel=1e-3)
    assert np.diff(gamma).max() <= 1e-12
    if chord is not None:
        assert shape(np.array([1.001 * chord * D]), 1 / D)[0] == 0.0
        assert shape(np.array([0.9 * chord * D]), 1 / D)[0] > 0.0


@pytest.mark.law
@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_a_lognormal_is_the_sum_of_its_spheres(spread):
    """Against a sum over 4000 sizes; its mean by volume and its relative deviation are the arguments. Fails when either is by number."""
    width = math.sqrt(math.log1p(spread**2))
    z = np.linspace(-8, 8, 4001)
    diameters, share = np.exp(math.log(D) - 0.5 * width**2 + width * z), np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    assert share @ diameters == pytest.approx(D)
    assert math.sqrt(share @ diameters**2 - D**2) / D == pytest.approx(spread, rel=1e-3)
    r = np.linspace(0.0, 150.0, 61)
    expected = sum(weight * sphere_shape(r, 1 / diameter) for weight, diameter in zip(share, diameters, strict=True))
    assert lognormal_shape(r, 1 / D, spread) == pytest.approx(expected, abs=2e-6)
    by_number = share / diameters**3 / (share / diameters**3).sum()
    mean = by_number @ diameters
    assert math.sqrt(by_number @ diameters**2 - mean**2) / mean == pytest.approx(spread, rel=2e-3)


@pytest.mark.law
def test_limits_are_the_sphere():
    r = np.linspace(0.0, 60.0, 241)
    assert lognormal_shape(r, 1 / D, 2e-3) == pytest.approx(sphere_shape(r, 1 / D), abs=2e-5)
    assert lognormal_shape(r, 1 / D, 0.0) == pytest.approx(sphere_shape(r, 1 / D), abs=1e-12)
    assert spheroid_shape(r, 1 / D, 1.0) == pytest.approx(sphere_shape(r, 1 / D), abs=1e-12)
    for name, value in (("lognormal", 0.2), ("spheroid", 0.5), ("cube", 0.0)):
        assert shape_function(name, value)(r, 0.0) == pytest.approx(np.ones(241))


GOLD = crystal_of_prototype(Prototype("Fm-3m", (4.0782, 4.0782, 4.0782, 90.0, 90.0, 90.0), (_site("Au", 0, 0, 0),)), "Au")
XRAY = Instrument(qmin=0.8, qmax=22.0, qdamp=0.03)
NEAR = np.arange(1.5, 40.0, 0.02)


def residuals(positions, shapes):
    """Rw of the absolute curve of explicit atoms against the crystal × each shape of the same volume."""
    curve = simulate_pdf(["Au"] * len(positions), positions, NEAR, uiso=0.006, **XRAY.model_dump())
    diameter = np.cbrt(6 / np.pi * len(positions) * np.linalg.det(GOLD.lattice) / 4)
    found = {}
    for name, value in shapes:
        shape = shape_function(name, value)
        model = crystal_sphere_curve(GOLD.lattice, GOLD.fractions, GOLD.species, NEAR, XRAY, uiso=0.006, diameter=diameter, shape=shape)
        found[name, value] = rw(curve, model)
    return found


@pytest.mark.law
@pytest.mark.parametrize("name", list(FACETTED))
def test_atoms_cut_to_a_polyhedron_have_its_curve_and_no_other_bodys(name):
    """2,800 atoms of gold, no scale fitted. Facets lie along lattice planes, so an average over directions is right to a few per cent only."""
    normals, distances = facet_planes(name)
    positions, _ = crystal_sites(GOLD, 42.0, np.array([0.1, 0.2, 0.3]) @ GOLD.lattice)
    found = residuals(positions[(positions @ normals.T <= distances * 45.0).all(axis=1)], [(body, 0.0) for body in ("sphere", *FACETTED)])
    assert min(found, key=found.get) == (name, 0.0)
    assert found[name, 0.0] < 0.05


@pytest.mark.law
@pytest.mark.parametrize("aspect", [0.5, 2.0])
def test_atoms_cut_to_a_spheroid_have_its_curve(aspect):
    """About an axis along no lattice direction; the wrong sense of the aspect is three times as far off, a sphere fifteen times."""
    across, along = 22.5 * aspect ** (-1 / 3), 22.5 * aspect ** (2 / 3)
    positions, _ = crystal_sites(GOLD, max(across, along), np.array([0.1, 0.2, 0.3]) @ GOLD.lattice)
    axis = np.array([1.0, 2.0, 3.5])
    height = positions @ axis / np.linalg.norm(axis)
    inside = ((positions**2).sum(axis=1) - height**2) / across**2 + height**2 / along**2 <= 1
    found = residuals(positions[inside], [("sphere", 0.0), ("spheroid", math.log(aspect)), ("spheroid", -math.log(aspect))])
    assert found["spheroid", math.log(aspect)] < 0.006
    assert found["spheroid", -math.log(aspect)] > 2 * found["spheroid", math.log(aspect)]
    assert found["sphere", 0.0] > 8 * found["spheroid", math.log(aspect)]
