import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, PdfFileError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.evaluator import CompiledEvaluator
from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.physics.separable import spectra_of
from deepstruc_hpc.physics.target import target_of
from deepstruc_hpc.physics.transform import quadrature
from tests.physics.clusters import INSTRUMENT, alloy, ball, gold, measured

RANGE = {"rmin": 2.0, "rmax": 20.0}


def fit(structures, curve, **settings):
    return fit_candidates(structures, curve, **{**RANGE, **INSTRUMENT, **settings})


@pytest.mark.law
def test_the_right_structure_is_found_with_its_parameters():
    truth = gold(80)
    curve = measured(truth, zoom=1.017, scale=0.6, uiso=0.0075, delta2=2.5)
    table = fit([gold(60), truth, gold(80, lattice="bcc")], curve)
    row = table.row(1)
    assert table.order()[0] == 1
    assert row["rw"] < 1e-4
    assert (row["scale"], row["zoom"], row["uiso"]) == pytest.approx((0.6, 1.017, 0.0075), rel=1e-4)
    assert row["delta2"] == pytest.approx(2.5, abs=1e-2)
    assert row["converged"]
    assert row["at_bounds"] == ""
    assert table.rw[2] > 0.3


@pytest.mark.law
@pytest.mark.parametrize("zoom", [0.91, 0.95, 1.06, 1.09])
def test_a_wrong_first_neighbour_distance_does_not_lose_the_structure(zoom):
    """Fails without the scan over the zoom: one start at 1 ends in a neighbouring minimum."""
    truth = gold(100)
    table = fit([truth], measured(truth, zoom=zoom))
    assert table.zoom[0] == pytest.approx(zoom, abs=1e-4)
    assert table.rw[0] < 1e-3


@pytest.mark.law
@pytest.mark.parametrize(
    ("structure", "settings"),
    [
        (alloy(70), {}),
        (alloy(50, ("Ce", "O"), spacing=2.6), {"radiation": "neutron"}),
        (gold(90), {"qbroad": 0.02}),
        (alloy(40, ("Pt", "Ni")), {"qbroad": 0.015}),
        (gold(60), {"delta1": 0.3}),
    ],
)
def test_several_elements_neutrons_and_resolution(structure, settings):
    curve = measured(structure, zoom=1.01, uiso=0.008, delta2=1.0, **settings)
    row = fit([structure], curve, **settings).row(0)
    assert row["rw"] < 1e-3
    assert row["zoom"] == pytest.approx(1.01, abs=1e-4)
    assert row["uiso"] == pytest.approx(0.008, abs=1e-4)


@pytest.mark.law
def test_reported_agreement_is_that_of_the_reference_curve():
    """The separable form, single precision and the compressed data together change Rw by less than 1e-4, for right and wrong candidates."""
    curve = measured(gold(90, jitter=0.05), uiso=0.005, delta2=3.0)
    candidates = [gold(n, jitter=0.03, seed=n) for n in (30, 80, 90, 150)] + [gold(90, lattice="sc")]
    table = fit(candidates, curve)
    inside = curve.between(**RANGE)
    for index, candidate in enumerate(candidates):
        calculated = fitted_curve(candidate, table.row(index), inside, **RANGE, **INSTRUMENT)
        assert rw(inside.g, calculated) == pytest.approx(table.rw[index], abs=1e-4)


def test_rows_are_in_the_order_given_and_do_not_depend_on_company():
    candidates = [gold(150), gold(20), alloy(40), gold(60), gold(21)]
    curve = measured(gold(60))
    together = fit(candidates, curve)
    alone = [fit([candidate], curve) for candidate in candidates]
    assert np.allclose(together.rw, [table.rw[0] for table in alone], atol=2e-5)
    assert np.allclose(together.zoom, [table.zoom[0] for table in alone], atol=2e-4)


def test_threads_do_not_change_a_fit():
    candidates = [gold(n) for n in range(40, 60)]
    curve = measured(gold(50, jitter=0.1))
    one, two = (fit(candidates, curve, threads=threads) for threads in (1, 2))
    assert np.array_equal(one.rw, two.rw)


@pytest.mark.law
def test_uncertainty_covers_the_truth_and_ignores_the_grid():
    """Noise of a band-limited curve: the scatter of fitted zooms is what the errors say, on a 0.02 and a 0.08 Å grid alike."""
    truth = gold(55)
    clean = measured(truth)
    rng = np.random.default_rng(1)
    fine, coarse, zooms = [], [], []
    for _ in range(12):
        q = np.linspace(0.8, 25.0, 400)
        noise = (rng.normal(size=400) @ np.sin(np.outer(q, clean.r))) * 0.02
        noisy = PdfCurve(clean.r, clean.g + noise)
        table = fit([truth], noisy)
        zooms.append(table.zoom[0])
        fine.append(table.zoom_err[0])
        coarse.append(fit([truth], PdfCurve(noisy.r[::4], noisy.g[::4])).zoom_err[0])
    assert np.median(coarse) == pytest.approx(np.median(fine), rel=0.1)
    assert 0.4 < np.std(zooms) / np.median(fine) < 2.5


def test_fixed_parameters_stay_and_have_no_uncertainty():
    truth = gold(50)
    row = fit([truth], measured(truth), free=("scale", "zoom"), start={"uiso": 0.006, "delta2": 2.0}).row(0)
    assert (row["uiso"], row["delta2"]) == (0.006, 2.0)
    assert row["rw"] < 1e-4
    assert np.isnan(row["uiso_err"])
    assert row["zoom_err"] >= 0
    fixed = fit([truth], measured(truth, scale=0.5), free=("zoom", "uiso", "delta2")).row(0)
    assert fixed["scale"] == 1.0


def test_bounds_are_kept_and_named():
    truth = gold(50)
    row = fit([truth], measured(truth, zoom=1.05), bounds={"zoom": (0.98, 1.02)}).row(0)
    assert row["zoom"] == pytest.approx(1.02)
    assert "zoom" in row["at_bounds"]
    assert np.isnan(row["zoom_err"])


def test_scale_is_never_negative():
    truth = gold(50)
    curve = measured(truth)
    row = fit([truth], PdfCurve(curve.r, -curve.g), bounds={"zoom": (0.99, 1.01)}).row(0)
    assert row["scale"] >= 0


def test_impossible_candidates_are_refused_with_a_reason_and_stop_nobody():
    squeezed = Structure.of_element("Au", ball(40) / 2.88)
    unknown = Structure(("Xx", "Au"), [[0, 0, 0], [0, 0, 3.0]])
    table = fit([squeezed, gold(40), gold(1), unknown], measured(gold(40)))
    assert "apart" in table.refused[0]
    assert table.refused[1] == ""
    assert "two" in table.refused[2]
    assert "Xx" in table.refused[3]
    assert np.isinf(table.rw[[0, 2, 3]]).all()
    assert table.rw[1] < 1e-3


def test_torch_engine_agrees_with_the_compiled_one():
    candidates = [gold(30), gold(55), gold(55, lattice="bcc")]
    curve = measured(gold(55, jitter=0.05))
    one, other = fit(candidates, curve), fit(candidates, curve, device="cpu")
    assert np.allclose(one.rw, other.rw, atol=2e-5)
    assert np.allclose(one.zoom, other.zoom, atol=2e-5)
    assert np.allclose(one.uiso, other.uiso, atol=2e-5)


def test_table_as_frame_has_every_column():
    frame = fit([gold(30)], measured(gold(30))).to_frame()
    assert list(frame.columns[:5]) == ["rw", "scale", "zoom", "uiso", "delta2"]
    assert frame.n_points[0] == 901
    assert frame.n_independent[0] == pytest.approx(18 * 24.2 / np.pi)


def test_wrong_settings_are_named():
    curve = measured(gold(20))
    with pytest.raises(ConfigError, match="spacing"):
        fit([gold(20)], curve, free=("scale", "spacing"))
    with pytest.raises(ConfigError, match="Qmin"):
        fit([gold(20)], curve, qmin=30.0)
    with pytest.raises(ConfigError, match="bounds"):
        fit([gold(20)], curve, bounds={"uiso": (0.02, 0.01)})
    with pytest.raises(PdfFileError, match="between"):
        fit([gold(20)], curve, rmin=50.0, rmax=60.0)


@pytest.mark.law
@pytest.mark.parametrize(("clusters", "qbroad"), [([gold(30), gold(34)], 0.0), ([alloy(40), alloy(44)], 0.02)])
def test_the_scan_over_the_zoom_sees_the_curves_that_the_fit_sees(clusters, qbroad):
    """Fails if the shared interpolation weights or dampings belong to another zoom or grid point."""
    spectra = spectra_of(clusters, q_max=25.0, resolution=qbroad > 0)
    r = np.arange(2.0, 15.0, 0.05)
    target = target_of(r, np.sin(r), qmin=0.7, qmax=25.0, qdamp=0.03, largest_distance=15.0)
    evaluator = CompiledEvaluator(spectra, target, qbroad=qbroad, delta1=0.0, free_scale=True)
    index = np.array([1, 0, 1])
    for parameters in ([0.93, 0.008, 2.0], [1.08, 0.002, 0.0]):
        one_by_one = evaluator.equations(index, np.tile(parameters, (3, 1))).cost
        assert evaluator.costs(index, np.array(parameters)) == pytest.approx(one_by_one, rel=1e-5)


@pytest.mark.law
@pytest.mark.parametrize("r", [np.arange(2.0, 30.0, 0.01), np.sort(np.random.default_rng(0).uniform(1.0, 25.0, 900)), np.arange(2.0, 20.0, 0.5)])
def test_the_compressed_curve_is_the_sine_sum_on_the_points_of_the_file(r):
    """Fails if the interpolation over Q is too coarse, or if the basis loses a part of the curves; the last grid is too coarse to be compressed."""
    rng = np.random.default_rng(1)
    target = target_of(r, rng.normal(size=len(r)), qmin=0.7, qmax=25.0, qdamp=0.04, largest_distance=25.0)
    q, weights = quadrature(0.7, 25.0, 4.0 * np.ceil((25.0 + r.max()) / 4.0))
    fq = rng.normal(size=len(q))
    plain = (2.0 / np.pi) * np.exp(-0.5 * (0.04 * r) ** 2) * (np.sin(np.outer(r, q)) @ (weights * fq))
    assert target.q == pytest.approx(q)
    assert np.linalg.norm(fq @ target.transform) == pytest.approx(np.linalg.norm(plain), rel=1e-5)
    onto = target_of(r, plain, qmin=0.7, qmax=25.0, qdamp=0.04, largest_distance=25.0)
    assert onto.outside < 1e-9 * onto.norm
    assert fq @ target.transform == pytest.approx(onto.data, abs=1e-5 * np.linalg.norm(plain))
