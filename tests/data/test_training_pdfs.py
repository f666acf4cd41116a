"""PDFs as the model sees them: one axis for all metals, nothing padded, conditions as drawn."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError, StoreError
from deepstruc_hpc.core.peaks import first_neighbour_distance, first_neighbour_distances
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.standard_pdf import curve_to_grid
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs, StoredPdfs
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.cubic import lattice_sites
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.families import FAMILIES
from tests.model.clusters import clusters, curve_of, icosahedron

GRID = 0.7 + 0.04 * np.arange(150)
EXACT = {
    "qmin": (1.0, 1.0),
    "qmax": (20.0, 20.0),
    "qdamp": (0.03, 0.03),
    "uiso": (0.006, 0.006),
    "delta2": (2.0, 2.0),
    "noise": (0.0, 0.0),
    "rmin": (1.9, 1.9),
    "rmax": (15.0, 15.0),
    "zoom": (1.0, 1.0),
    "qdamp_error": (0.0, 0.0),
    "strain": (0.0, 0.0),
    "expected": (1.0, 1.0),
}


def source(**changes):
    structures, units, names = clusters()
    return MeasuredLikePdfs.of(structures, units, names, GRID, MeasuredLike(**{**EXACT, **changes}))


@pytest.mark.law
def test_a_training_pdf_is_the_simulated_one_under_the_same_conditions():
    """And read as a measured curve is: at multiples of its first peak, without the instrument's damping."""
    structures, units, _ = clusters()
    rows = np.array([0, 5, len(structures) - 1])
    made = source()(rows, np.random.default_rng(0))
    r = np.arange(0.5, 32.0, 0.01)
    for pdf, row in zip(made, rows, strict=True):
        structure = structures[row]
        exact = simulate_pdf(structure.symbols, structure.positions, r, qmin=1.0, qmax=20.0, qdamp=0.03, uiso=0.006, delta2=2.0)
        curve = PdfCurve(r, exact)
        unit = first_neighbour_distance(curve, float(units[row]))
        expected = curve_to_grid(curve, unit, GRID, qdamp=0.03, rmin=1.9, rmax=15.0)
        assert (pdf[1] != expected[1]).sum() <= 2  # a point at either end, where the two peaks found differ by a thousandth
        both = (pdf[1] > 0) & (expected[1] > 0)
        assert pdf[0][both] == pytest.approx(expected[0][both], abs=2e-2 * float(np.abs(expected[0]).max()))


def test_the_damping_of_the_instrument_is_taken_out():
    r = np.arange(0.5, 25.0, 0.01)
    structure, unit = icosahedron(), nn_distance("Au")
    curves = [PdfCurve(r, simulate_pdf(structure.symbols, structure.positions, r, qdamp=qdamp)) for qdamp in (0.0, 0.05)]
    still, damped = (curve_to_grid(curve, unit, GRID, qdamp=qdamp) for curve, qdamp in zip(curves, (0.0, 0.05), strict=True))
    assert damped[0] == pytest.approx(still[0], abs=1e-2 * float(np.abs(still[0]).max()))


def test_noise_is_as_strong_as_asked_and_differs_between_draws():
    rows = np.zeros(200, dtype=np.int64)
    clean, noisy = source()(rows[:1], np.random.default_rng(1))[0, 0], source(noise=(0.1, 0.1))(rows, np.random.default_rng(1))[:, 0]
    known = clean != 0
    scatter = (noisy - noisy.mean(axis=0))[:, known]
    assert np.sqrt((scatter**2).mean()) == pytest.approx(0.1, abs=0.04)  # and what it does to the first peak, by which r is divided


def test_zoom_moves_the_first_peak_by_its_factor():  # an error of the NN distance, as a measured curve brings it
    peak = GRID[np.argmax(source(zoom=(1.1, 1.1))(np.array([0]), np.random.default_rng(0))[0, 0])]
    unmoved = GRID[np.argmax(source()(np.array([0]), np.random.default_rng(0))[0, 0])]
    assert peak == pytest.approx(unmoved / 1.1, abs=0.041)


def test_several_elements_are_refused_with_the_way_out():
    structures, units, names = clusters()
    alloy = structures[0].with_symbols(["Cu", *structures[0].symbols[1:]])
    with pytest.raises(StoreError, match=r"data\.pdfs=stored"):
        MeasuredLikePdfs.of([alloy], units[:1], names[:1], GRID, MeasuredLike())


def test_stored_pdfs_are_taken_as_they_are():
    structure, unit = icosahedron(), nn_distance("Au")
    r = np.arange(1.0, 20.0, 0.01)
    g = simulate_pdf(structure.symbols, structure.positions, r)
    made = StoredPdfs(r, g[None].astype(np.float32), np.array([unit], dtype=np.float32), GRID)(np.array([0]), np.random.default_rng(0))
    expected = curve_to_grid(PdfCurve(r=r, g=g), unit, GRID, rmin=2.0)
    assert made[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.law
def test_every_metal_of_one_shape_gives_one_curve():  # fails if r or U are not scaled with the NN distance
    au, cu = nn_distance("Au"), nn_distance("Cu")
    one = PdfCurve(r=np.arange(1.5, 20.0, 0.02) * au, g=(rows := np.sin(np.arange(1.5, 20.0, 0.02) * 6.0)))
    other = PdfCurve(r=np.arange(1.5, 20.0, 0.02) * cu, g=3.0 * rows)
    known = GRID >= 1.6
    left, right = curve_to_grid(one, au, GRID, rmin=1.55 * au), curve_to_grid(other, cu, GRID, rmin=1.55 * cu)
    assert left[:, known] == pytest.approx(right[:, known], abs=1e-5)


def test_what_a_curve_does_not_cover_is_masked_not_padded():
    unit = nn_distance("Au")
    channels = curve_to_grid(curve_of(icosahedron(), rmax=12.0), unit, GRID, rmin=2.0)
    at = GRID * unit
    assert np.array_equal(channels[1] > 0, (at >= 2.0 - 1e-9) & (at <= 11.98 + 1e-9))
    assert not channels[0][channels[1] == 0].any()
    assert np.sqrt((channels[0][channels[1] > 0] ** 2).mean()) == pytest.approx(1.0, abs=1e-5)


def test_a_curve_too_short_for_the_model_is_refused():
    with pytest.raises(PdfFileError, match="needs at least 3"):
        curve_to_grid(curve_of(icosahedron(), rmax=8.0), nn_distance("Au"), GRID)


@pytest.mark.parametrize("symbol", ["Au", "Cu", "Fe"])
def test_the_first_peak_gives_the_nearest_neighbour_distance(symbol):
    shape = max(FAMILIES["fcc"].enumerate(30, 60), key=lambda shape: shape.n_atoms)
    structure = FAMILIES["fcc"].build(shape, symbol, 1.03 * nn_distance(symbol))
    assert first_neighbour_distance(curve_of(structure), nn_distance(symbol)) == pytest.approx(1.03 * nn_distance(symbol), rel=0.005)


def test_training_finds_the_first_peak_where_the_model_will():
    r = np.arange(1.5, 20.0, 0.02)
    curves = [curve_of(icosahedron()), curve_of(FAMILIES["fcc"].build(max(FAMILIES["fcc"].enumerate(30, 60), key=lambda s: s.n_atoms), "Au", 2.9))]
    g = np.stack([np.interp(r, curve.r, curve.g) for curve in curves]).astype(np.float32)
    expected = np.full((2, 1), nn_distance("Au", "twelve"), dtype=np.float32)
    alone = [first_neighbour_distance(PdfCurve(r, row.astype(float)), float(expected[0, 0])) for row in g]
    assert first_neighbour_distances(r, g, expected)[:, 0] == pytest.approx(alone, abs=1e-3)
    assert alone[1] == pytest.approx(2.9, abs=0.01)


def test_without_a_peak_the_expected_distance_stays():
    r = np.arange(1.5, 20.0, 0.02)
    assert first_neighbour_distance(PdfCurve(r=r, g=-np.ones_like(r)), 2.8) == 2.8
    assert first_neighbour_distance(PdfCurve(r=r + 5.0, g=np.ones_like(r)), 2.8) == 2.8


@pytest.mark.law
def test_strain_widens_peaks_in_proportion_to_their_distance():
    """Against the sum over pairs, exp(−Q² (U + (strain · d)²/2)) each: also at 11 nearest-neighbour distances, where strain does most."""
    structures = [Structure.of_element("Pt", lattice_sites("fcc", 5.5) * 2.77, "fcc", "sphere")]
    strain, uiso = 0.01, 0.005 / 2.77**2
    made = MeasuredLikePdfs.of(structures, np.array([2.77]), ["sphere"], GRID, MeasuredLike(**{**EXACT, "strain": (strain, strain)}))
    column = np.ones((1, 1), dtype=np.float32)
    found = made._fq(np.array([0]), column * np.float32(uiso), column * 0, column * np.float32(strain))[0]
    sites = structures[0].positions / 2.77
    apart = np.linalg.norm(sites[:, None] - sites[None], axis=2)[np.triu_indices(len(sites), 1)]
    d, count = np.unique(np.round(apart, 6), return_counts=True)
    q = made.q[5:].astype(np.float64)
    exact = (np.sin(np.outer(q, d)) * np.exp(-np.outer(q**2, uiso + 0.5 * (strain * d) ** 2))) @ (count / d) * 2 / len(sites)
    assert found[5:] == pytest.approx(exact, abs=2e-2 * float(np.abs(exact).max()))
