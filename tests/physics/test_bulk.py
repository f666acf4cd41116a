"""The curve of a crystal: against sums over shells in real space, and against a large sphere."""

import numpy as np
import pytest

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.physics.bulk import FADE, BulkCurve, bulk_distances, fade, needed_reach, simulate_bulk
from deepstruc_hpc.physics.form_factors import neutron_length
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.calibrants import CALIBRANTS, calibrant_crystal

EVERYTHING = Instrument(qmin=0.0, qmax=45.0, qdamp=0.0)
"""So wide a range of Q that peaks with U of 0.008 Å² are not cut."""


def cell(name):
    crystal = calibrant_crystal(name)
    return crystal.lattice, crystal.fractions, crystal.species


def shells(name, reach):
    """Sites by hand: (element a, element b, distance) for every ordered pair that starts in the cell."""
    lattice, fractions, species = cell(name)
    n = int(reach / lattice[0, 0]) + 2
    steps = np.array([(i, j, k) for i in range(-n, n + 1) for j in range(-n, n + 1) for k in range(-n, n + 1)])
    for i, here in enumerate(fractions):
        for j, there in enumerate(fractions):
            d = np.linalg.norm((steps + there - here) @ lattice, axis=1)
            yield species[i][0][0], species[j][0][0], d[(d > 0.1) & (d < reach)]


@pytest.mark.law
@pytest.mark.parametrize(("name", "radiation", "qmax"), [("Ni", "xray", 45.0), ("CeO2", "neutron", 45.0), ("Ni", "neutron", 60.0)])
def test_without_cuts_the_curve_is_gaussians_over_the_line(name, radiation, qmax):
    """Fails when a pair is counted once, when ρ₀ is of the wrong cell, when an element's U lands on another, or when Qmax outruns the nodes in r."""
    lattice, fractions, species = cell(name)
    r = np.arange(1.0, 14.0, 0.02)
    uiso = {"Ni": 0.008, "Ce": 0.008, "O": 0.014}
    lengths = {symbol: neutron_length(symbol) if radiation == "neutron" else 1.0 for symbol in uiso}
    mean = np.mean([lengths[site[0][0]] for site in species])
    density = len(species) / abs(np.linalg.det(lattice))
    expected = -4 * np.pi * r * density
    for a, b, distances in shells(name, 18.0):
        for d in distances:
            variance = (uiso[a] + uiso[b]) * (1 - 1.5 / d**2 + (0.02 * d) ** 2)
            peak = np.exp(-((r - d) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
            expected += lengths[a] * lengths[b] / mean**2 * peak / (d * len(species))
    found = simulate_bulk(lattice, fractions, species, r, EVERYTHING.updated(radiation=radiation, qbroad=0.02, qmax=qmax), uiso=uiso, delta2=1.5)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.law
@pytest.mark.parametrize("name", ["Ni", "CeO2"])
def test_a_large_sphere_has_the_same_curve_times_its_shape(name):
    """G of the sphere = γ₀(r)·(G of the crystal + 4πrρ₀), with X-ray factors that depend on Q and with both ends of Q cut where they matter."""
    lattice, fractions, species = cell(name)
    radius, n = 24.0, int(24.0 / lattice[0, 0]) + 2
    steps = np.array([(i, j, k) for i in range(-n, n + 1) for j in range(-n, n + 1) for k in range(-n, n + 1)])
    sites = ((steps[:, None] + fractions) @ lattice).reshape(-1, 3)
    symbols = np.tile([site[0][0] for site in species], len(steps))
    inside = np.linalg.norm(sites - np.array([0.3, 0.2, 0.7]), axis=1) < radius
    r = np.arange(1.5, 10.0, 0.02)
    conditions = {"qmin": 0.0, "qmax": 22.0}
    sphere = simulate_pdf(symbols[inside].tolist(), sites[inside], r, uiso=0.006, **conditions)
    crystal = simulate_bulk(lattice, fractions, species, r, Instrument(**conditions, qdamp=0.0), uiso=0.006)
    shape = 1 - 0.75 * r / radius + (r / radius) ** 3 / 16
    line = 4 * np.pi * r * len(species) / abs(np.linalg.det(lattice))
    assert np.abs(sphere / shape - line - crystal).max() < 0.03 * np.abs(crystal).max()


@pytest.mark.law
@pytest.mark.parametrize("qmax", [25.0, 60.0])
def test_fq_of_nickel_is_its_pairs_less_the_line_to_any_qmax(qmax):
    """Against the sum over shells and a rule of 24 nodes a quarter of an Ångström; 24 nodes a panel of 1.5 Å were off by 2 Å⁻¹ at Qmax 60 Å⁻¹."""
    end, lattice = 15.0, cell("Ni")[0]
    curve = BulkCurve(bulk_distances(*cell("Ni"), needed_reach(end)), np.arange(1.0, end + 0.005, 0.01), Instrument(qmin=0.5, qmax=qmax, qdamp=0.0))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.concatenate([np.linspace(0.0, end, 61), np.linspace(end, end + FADE, 49)[1:]])
    half = 0.5 * np.diff(edges)[:, None]
    r, w = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * nodes).ravel(), (half * weights).ravel()
    line = np.sin(np.outer(curve.q, r)) @ (w * r * fade(r, end))
    expected = -4.0 * np.pi * 4 / lattice[0, 0] ** 3 * line
    for _, _, d in shells("Ni", end + FADE):
        expected += np.exp(-0.006 * curve.q**2) * (np.sin(np.outer(curve.q, d)) @ (fade(d, end) / d)) / 4
    assert np.abs(curve.fq(uiso=0.006) - expected).max() < 1e-6 * np.abs(expected).max()


def test_the_fade_beyond_the_end_changes_nothing_before_it(monkeypatch):
    r = np.arange(1.0, 25.0, 0.05)
    short = simulate_bulk(*cell("Ni"), r, Instrument(qdamp=0.0))
    monkeypatch.setattr("deepstruc_hpc.physics.bulk.FADE", 4 * FADE)
    assert np.abs(simulate_bulk(*cell("Ni"), r, Instrument(qdamp=0.0)) - short).max() < 2e-3 * np.abs(short).max()


def test_slopes_are_the_derivatives():
    r = np.arange(1.5, 15.0, 0.05)
    curve = BulkCurve(bulk_distances(*cell("CeO2"), needed_reach(15.0)), r, Instrument(qdamp=0.0))
    at = {"uiso": np.array([0.006, 0.01]), "delta2": 1.5, "qbroad": 0.02}
    found = curve.slopes(**at, zoom=1.01)
    moves = [{"uiso": np.array([0.006 + 1e-6, 0.01])}, {"uiso": np.array([0.006, 0.01 + 1e-6])}, {"delta2": 1.5 + 1e-4}, {"qbroad": 0.02 + 1e-6}]
    for row, (move, size) in zip(found, zip(moves, (1e-6, 1e-6, 1e-4, 1e-6), strict=True), strict=True):
        expected = (curve(**{**at, **move}, zoom=1.01) - curve(**at, zoom=1.01)) / size
        assert np.abs(row - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_stretched_lattice_moves_every_peak_and_thins_the_line():
    lattice, fractions, species = cell("Ni")
    r = np.arange(1.5, 12.0, 0.02)
    distances = bulk_distances(lattice, fractions, species, needed_reach(12.0))
    zoomed = BulkCurve(distances, r, Instrument(qdamp=0.0))(uiso=0.005, zoom=1.02)
    assert np.abs(zoomed - simulate_bulk(1.02 * lattice, fractions, species, r, Instrument(qdamp=0.0))).max() < 1e-3 * np.abs(zoomed).max()


@pytest.mark.parametrize(
    ("name", "d", "neighbours"), [("Ni", 2.4917, 12), ("Si", 2.3518, 4), ("W", 2.7411, 8), ("CeO2", 2.3433, 32 / 6), ("LaB6", 1.6594, 6 / 7)]
)
def test_calibrants_have_their_nearest_neighbours(name, d, neighbours):
    """An average atom's; in CeO2 the pairs of unlike elements: 4 Ce with 8 and 8 O with 4 neighbours, of 12 atoms."""
    found = bulk_distances(*cell(name), 4.0)
    nearest = min((pair for pair in found.pairs if len(pair[0])), key=lambda pair: pair[0][0])
    assert nearest[0][0] == pytest.approx(d, abs=2e-3)
    assert nearest[1][0] == pytest.approx(neighbours, rel=1e-6)


def test_every_compound_can_be_built():
    for name in [name for name in CALIBRANTS if len(name) > 2]:
        found = bulk_distances(*cell(name), 4.0)
        assert found.shortest > 1.5
    with pytest.raises(StructureError, match="Known: Ni"):
        calibrant_crystal("Unobtainium")


def test_atoms_on_top_of_each_other_are_refused():
    with pytest.raises(StructureError, match=r"0\.35 Å apart"):
        bulk_distances(np.eye(3) * 3.5, [[0, 0, 0], [0.1, 0, 0]], [[("Ni", 1.0)], [("Ni", 1.0)]], 5.0)
