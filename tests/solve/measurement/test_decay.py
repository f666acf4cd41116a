"""What a curve's own decay says of the particle's size."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf_batch
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.decay import decay_of, has_more_atoms
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.large_bodies import LargeBody, large_structure
from deepstruc_hpc.structures.lattices import metal_atomic_volume

BOND = 2.78


def _curve(body, n_atoms, *, end=40.0, noise=0.02, qdamp=0.02):
    structure = large_structure(body, n_atoms, "Pt", BOND)
    r = np.arange(0.0, end, 0.02)
    g = simulate_pdf_batch([structure], r, Instrument(qmin=0.8, qmax=22.0, qdamp=qdamp), uiso=0.006, delta2=2.0)[0].astype(float)
    q = np.arange(0.8, 22.0, 0.05)
    rng = np.random.default_rng(n_atoms)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    diameter = float(np.cbrt(6 / np.pi * len(structure) * metal_atomic_volume(body.structure_type, BOND)))
    return PdfCurve(r, g + noise * g[r > 2].std() * counting / counting.std(), source="x.gr"), diameter


def _described(curve, qdamp=0.02):
    return describe(curve, SolveSettings(composition="Pt", qmin=0.8, qmax=22.0, qdamp=qdamp))


@pytest.mark.parametrize(("family", "n_atoms"), [("fcc", 500), ("fcc", 1500), ("bcc", 1500), ("hcp", 2500)])
def test_the_diameter_of_a_crystal_shows_in_its_decay(family, n_atoms):
    curve, diameter = _curve(LargeBody(family), n_atoms)
    found = decay_of(_described(curve))
    assert found.best == pytest.approx(diameter, rel=0.12)
    assert found.low <= found.best <= found.high


def test_damping_by_the_instrument_is_not_taken_for_the_end_of_the_particle():
    curve, diameter = _curve(LargeBody("fcc"), 1500, qdamp=0.05)
    assert decay_of(_described(curve, qdamp=0.05)).best == pytest.approx(diameter, rel=0.15)


def test_the_order_of_a_decahedron_ends_before_the_particle():
    curve, diameter = _curve(LargeBody("decahedral"), 2500)
    assert 0.5 * diameter < decay_of(_described(curve)).best < diameter


def test_an_amplitude_of_the_curve_changes_nothing():
    curve, _ = _curve(LargeBody("fcc"), 1500)
    assert decay_of(_described(PdfCurve(curve.r, 7.0 * curve.g, source="x.gr"))).best == decay_of(_described(curve)).best


def test_small_and_large_particles_are_told_apart():
    small, large = (_described(_curve(LargeBody("fcc"), count)[0]) for count in (200, 1500))
    assert not has_more_atoms(small, "Pt", 400)
    assert has_more_atoms(large, "Pt", 400)
    assert has_more_atoms(large, "Pt", 800, surely=True)
    assert not has_more_atoms(large, "Pt", 5000)


def test_a_curve_without_an_end_allows_any_size():
    curve, _ = _curve(LargeBody("fcc"), 14_000, end=20.0)
    assert decay_of(_described(curve)).high > 60.0


def test_a_curve_too_short_to_fall_says_nothing():
    curve, _ = _curve(LargeBody("fcc"), 500, end=13.0)
    assert decay_of(_described(curve)) is None
