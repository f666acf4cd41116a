"""Occupation refinement: from an assignment that is nearly right to the right one, and what was known of sites."""

from __future__ import annotations

import numpy as np
import pytest

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.checkpoint import load_model
from deepstruc_hpc.model.occupation_refinement import Filled, fitted, improve_sites, snapped
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.compound_types import with_elements
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_shapes import without_dangling
from deepstruc_hpc.structures.template_lattices import template_lattice

INSTRUMENT = Instrument(qmin=0.8, qmax=24.0, qdamp=0.03)
R = np.arange(2.0, 22.0, 0.02)


def curve_of(sites: np.ndarray) -> PdfCurve:
    ranges = INSTRUMENT.model_dump(include={"qmin", "qmax", "qdamp"})
    return PdfCurve(R, simulate_pdf(("Pt",) * len(sites), sites, R, **ranges, uiso=0.006, delta2=2.0), header={"qmin": 0.8, "qmax": 24.0})


def nearly(name: str, unit: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid on a template lattice, and the same with an atom less and one more at the surface."""
    home, rng = template_lattice(name, 6.5), np.random.default_rng(seed)
    true = without_dangling(home, np.linalg.norm(home.sites * [1.0, 1.1, 0.85] + [0.1, 0.0, 0.05], axis=1) < 2.4)
    neighbours = np.asarray(home.bonds @ true.astype(int))
    begin = true.copy()
    begin[rng.choice(np.flatnonzero(true & (neighbours < 8)))] = False
    begin[rng.choice(np.flatnonzero(~true & (neighbours >= home.min_neighbours)))] = True
    return true, begin


@pytest.mark.parametrize("name", ["fcc bond", "decahedral atom", "icosahedral", "close-packed ABCABAC"])
def test_wrong_sites_and_wrong_parameters_are_mended_together(name):
    home, unit = template_lattice(name, 6.5), 2.78
    true, begin = nearly(name, unit, 3)
    curve = curve_of(home.sites[true] * unit)
    structure = home.structure(begin, "Pt", 2.76)
    start = Filled(home, begin, structure, fitted(structure, curve, INSTRUMENT))
    end = improve_sites(start, curve, INSTRUMENT)
    np.testing.assert_array_equal(end.mask, true)
    assert end.fit.rw < 0.01 < start.fit.rw or end.fit.rw < 0.2 * start.fit.rw
    assert end.structure.structure_type == home.structure_type
    assert end.fit.zoom * 2.76 == pytest.approx(unit, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "strain", "uiso"),
    [
        ("type rutile about cation", [-0.005, -0.005, 0.01], {"Ti": 0.006, "O": 0.006}),
        ("type brookite about bond", [0.012, -0.004, -0.008], {"Ti": 0.004, "O": 0.011}),
        ("type rock_salt about bond", [0.0, 0.0, 0.0], {"Ti": 0.004, "O": 0.011}),
    ],
)
def test_axes_and_anions_that_differ_from_the_lattices_do_not_hide_the_sites(name, strain, uiso):
    """Axes 1 % off those of the template lattice, anions that move more than cations, and two sites wrong: all are found, and the volume stays."""
    home = with_elements(template_lattice(name, 5.0), ["Ti"], "O", 1.95)
    full = home.distance < 2.6
    true = full & (np.asarray(home.unlike_bonds @ full.astype(int)) > 0)
    begin = true.copy()
    begin[np.flatnonzero(true)[-1]] = False
    begin[np.flatnonzero(~true & (np.asarray(home.unlike_bonds @ true.astype(int)) > 0))[3]] = True
    started = home.cluster(begin, [home.species[site] for site in np.flatnonzero(begin)], 1.95, home.structure_type, "")
    stretched = home.sites[true] * (1.0 + np.array(strain)) * 1.95
    symbols = tuple(home.species[site] for site in np.flatnonzero(true))
    ranges = INSTRUMENT.model_dump(include={"qmin", "qmax", "qdamp"})
    g = simulate_pdf(symbols, stretched, R, **ranges, uiso=np.array([uiso[symbol] for symbol in symbols]), delta2=2.0)
    curve = PdfCurve(R, g, header={"qmin": 0.8, "qmax": 24.0})
    end = improve_sites(Filled(home, begin, started, fitted(started, curve, INSTRUMENT)), curve, INSTRUMENT, hops=20)
    assert fingerprint(home.structure(end.mask, "Ti", 1.0)) == fingerprint(home.structure(true, "Ti", 1.0))
    assert end.fit.rw < 1e-3
    np.testing.assert_allclose(end.deformation * end.fit.zoom, np.diag(1.0 + np.array(strain)), atol=3e-4)
    assert end.fit.uiso_by_element == pytest.approx(uiso, abs=1e-4)


def test_a_assignment_that_is_right_stays():
    home = template_lattice("fcc atom", 6.5)
    true, _ = nearly("fcc atom", 2.78, 0)
    curve = curve_of(home.sites[true] * 2.78)
    structure = home.structure(true, "Pt", 2.78)
    end = improve_sites(Filled(home, true, structure, fitted(structure, curve, INSTRUMENT)), curve, INSTRUMENT)
    np.testing.assert_array_equal(end.mask, true)


def test_the_shipped_model_says_what_it_thinks_of_every_site():
    model, home = load_model("default"), template_lattice("fcc atom", 6.5)
    true = home.distance < 2.3
    odds_of = model.site_odds(curve_of(home.sites[true] * 2.77), symbol="Pt", instrument=INSTRUMENT)
    odds = odds_of("fcc atom")
    assert odds is not None
    assert odds.shape == (len(home),)
    assert np.isfinite(odds).all()
    inside, outside = home.distance < 1.5, home.distance > 4.0
    assert odds[inside].min() > 0 > odds[outside].max()
    assert odds_of("crystal CeO2 about origin") is None


@pytest.mark.parametrize("name", ["fcc bond", "hcp atom", "bcc face", "decahedral atom", "icosahedral", "sc cube"])
def test_atoms_written_by_coordinates_are_taken_to_the_sites_that_they_mean(name):
    home, unit, rng = template_lattice(name, 6.5), 2.78, np.random.default_rng(1)
    true, _ = nearly(name, unit, 1)
    ideal = home.structure(true, "Pt", unit)
    blurred = Structure(ideal.symbols, ideal.positions + 0.02 * unit * rng.uniform(-1, 1, ideal.positions.shape), home.structure_type)
    found = snapped(blurred)
    assert found is not None
    template, mask, structure = found
    assert mask.sum() == true.sum()
    assert template.structure_type == home.structure_type
    assert fingerprint(structure, scale_free=True) == fingerprint(ideal, scale_free=True)


def test_atoms_that_mean_no_sites_are_left():
    home = template_lattice("fcc atom", 6.5)
    ideal = home.structure(home.distance < 2.3, "Pt", 2.78)
    scattered = ideal.positions + 1.2 * np.random.default_rng(0).uniform(-1, 1, ideal.positions.shape)
    assert snapped(Structure(ideal.symbols, scattered, "fcc")) is None
    assert snapped(Structure(ideal.symbols, ideal.positions, "a type of nobody")) is None
