import numpy as np
import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.physics.debye import simulate_fq
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf, simulate_pdf_batch
from deepstruc_hpc.physics.transform import fq_to_gr, quadrature, sine_sums, sine_synthesis, trapezoid_transform
from tests.physics.clusters import alloy, gold

pytestmark = pytest.mark.law
R = np.arange(0.0, 20.0, 0.01)


def test_a_peak_has_the_area_of_its_neighbours():
    """∫ r G dr over the first peak of a wide Q range is the mean number of neighbours (N⟨f⟩² normalised): 2 pairs·1/N. Absolute scale."""
    d, u = 2.8, 0.01
    g = simulate_pdf(["Au"] * 3, [[0, 0, 0], [0, 0, d], [0, 0, 2 * d + 30]], R, qmin=0.0, qmax=60.0, uiso=u)
    near = (d - 1 < R) & (d + 1 > R)
    assert np.sum(R[near] * g[near]) * 0.01 == pytest.approx(2 / 3, rel=2e-3)


def test_without_a_limit_in_q_peaks_are_gaussians_over_d():
    """Qmax → ∞: G(r) = Σ (2/N) g(r−d)/d with σ² = 2U, minus the mirror image at −d."""
    d, u = 3.0, 0.01
    g = simulate_pdf(["Au", "Au"], [[0, 0, 0], [0, 0, d]], R, qmin=0.0, qmax=74.0, uiso=u)
    sigma = np.sqrt(2 * u)
    gauss = np.exp(-0.5 * ((R - d) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)) / d
    assert np.abs(g - gauss).max() < 1e-8


def test_expanding_a_cluster_moves_every_peak_by_the_same_factor():
    structure = gold(55)
    settings = {"qmin": 0.0, "uiso": 0.0, "qdamp": 0.0}
    one = simulate_pdf(structure.symbols, structure.positions, R, qmax=22.0, **settings)
    other = simulate_pdf(structure.symbols, structure.positions * 1.1, R * 1.1, qmax=20.0, **settings)
    assert np.abs(other * 1.1**2 - one).max() < 1e-7 * np.abs(one).max()


def test_resolution_damps_by_the_gaussian_envelope():
    structure = gold(30)
    plain, damped = (simulate_pdf(structure.symbols, structure.positions, R, qdamp=qdamp) for qdamp in (0.0, 0.05))
    assert np.abs(damped - plain * np.exp(-0.5 * (0.05 * R) ** 2)).max() < 1e-12


def test_integral_is_the_one_of_the_definition():
    """A brute-force rule of 20,000 points with Qmin and Qmax where they are; fails if the ends move to a grid."""
    structure = gold(20)
    q = np.linspace(0.83, 19.7, 20001)
    fq = simulate_fq(structure.symbols, structure.positions, q)
    r = np.array([2.0, 2.88, 7.7, 19.3])
    found = simulate_pdf(structure.symbols, structure.positions, r, qmin=0.83, qmax=19.7)
    assert np.abs(found - trapezoid_transform(fq, q, r)).max() < 1e-5


def test_any_grid_of_r_gives_the_same_curve():
    structure = gold(40)
    whole = simulate_pdf(structure.symbols, structure.positions, R)
    picked = np.array([0.0, 0.37, 2.88, 2.89, 11.11])
    some = simulate_pdf(structure.symbols, structure.positions, picked)
    assert np.abs(some - whole[np.round(picked / 0.01).astype(int)]).max() < 1e-9
    coarse = simulate_pdf(structure.symbols, structure.positions, R[3::12])
    assert np.abs(coarse - whole[3::12]).max() < 1e-9


def test_batch_equals_single():
    structures = [gold(5), gold(147, lattice="bcc"), alloy(30), gold(300), alloy(60, ("Ce", "O")), gold(1), gold(55, jitter=0.1)]
    instrument = Instrument(qmin=0.7, qmax=25.0, qdamp=0.04, qbroad=0.01)
    batch = simulate_pdf_batch(structures, R, instrument, uiso=0.004, delta2=2.0)
    assert batch.dtype == np.float32
    for structure, found in zip(structures, batch, strict=True):
        one = simulate_pdf(structure.symbols, structure.positions, R, uiso=0.004, delta2=2.0, **instrument.model_dump())
        assert np.abs(found - one).max() <= 1e-5 * np.abs(one).max() + 1e-12


def test_block_size_and_threads_do_not_change_a_batch(monkeypatch):
    structures = [gold(n) for n in (20, 21, 22, 23, 24)]
    whole = simulate_pdf_batch(structures, R, Instrument(), threads=2)
    monkeypatch.setattr("deepstruc_hpc.physics.simulate._BLOCK_BYTES", 1)
    assert np.abs(simulate_pdf_batch(structures, R, Instrument(), threads=1) - whole).max() < 1e-5


def test_sums_over_a_uniform_grid_are_plain_sums():
    rng = np.random.default_rng(0)
    values, q, amplitudes = rng.normal(size=(2, 37)), np.linspace(0, 20, 11), rng.normal(size=11)
    grid = 1.3 + 0.05 * np.arange(37)
    assert np.allclose(sine_sums(values, 1.3, 0.05, q), values @ np.sin(np.outer(grid, q)), atol=1e-12)
    assert np.allclose(sine_synthesis(amplitudes, q, 1.3, 0.05, 37), np.sin(np.outer(grid, q)) @ amplitudes, atol=1e-12)


def test_quadrature_integrates_the_fastest_oscillation_it_promises():
    for reach in (5.0, 40.0, 150.0):
        q, w = quadrature(0.5, 25.0, reach)
        assert w @ np.cos(reach * q) == pytest.approx((np.sin(25 * reach) - np.sin(0.5 * reach)) / reach, abs=1e-10)


def test_transform_of_a_sine_is_a_line_at_its_distance():
    q, w = quadrature(0.0, 30.0, 40.0)
    r = np.arange(1.0, 10.0, 0.01)
    assert r[np.argmax(fq_to_gr(np.sin(4.0 * q), q, w, r))] == pytest.approx(4.0, abs=0.011)


def test_empty_range_of_q_is_refused():
    with pytest.raises(ConfigError, match="Qmin"):
        simulate_pdf(["Au", "Au"], [[0, 0, 0], [0, 0, 3]], R, qmin=5.0, qmax=4.0)
    with pytest.raises(ValueError, match="larger"):
        Instrument(qmin=5.0, qmax=4.0)
