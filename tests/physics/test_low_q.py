"""What lies below ``low_q`` changes nothing: a header's Qmin, small-angle scattering, the slope of a baseline."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.evaluator import CompiledEvaluator
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.phases import PhaseModel
from deepstruc_hpc.physics.separable import spectra_of
from deepstruc_hpc.physics.site_descent import SiteCurves
from deepstruc_hpc.physics.target import low_q_part, target_of
from deepstruc_hpc.physics.transform import envelope
from tests.physics.clusters import INSTRUMENT, alloy, ball, fluorite, gold, measured, noise

pytestmark = pytest.mark.law
LOW_Q = 1.2
RANGE = {"rmin": 2.0, "rmax": 30.0}
TRUE = {"zoom": 1.004, "scale": 0.7, "uiso": 0.006, "delta2": 2.0}
PLAIN = {"qbroad": 0.0, "delta1": 0.0, "free_scale": True}
PARAMETERS = ("scale", "zoom", "uiso", "delta2")


def fit(structures, curve, **settings):
    return fit_candidates(structures, curve, **{**RANGE, **INSTRUMENT, "low_q": LOW_Q, **settings})


def parameters(table, row=0):
    return np.array([getattr(table, name)[row] for name in PARAMETERS])


def slow_wave(r, below, seed=0, qdamp=INSTRUMENT["qdamp"]):
    """∫₀^below a(Q) sin(Qr) dQ with a random a, damped as every G(r) is, Å⁻²."""
    q = np.linspace(0.0, below, 100)
    return (np.random.default_rng(seed).normal(size=len(q)) @ np.sin(np.outer(q, r))) * envelope(r, qdamp)


@pytest.fixture(scope="module")
def particle():
    """A sphere of CeO2 of 35 Å."""
    return fluorite(17.5)


@pytest.fixture(scope="module")
def clean(particle):
    """Its curve with nothing below 0.8 Å⁻¹."""
    return measured(particle, rmax=31.0, **TRUE)


@pytest.mark.parametrize("r", [np.arange(2.0, 20.0, 0.02), np.arange(2.0, 20.0, 0.3)])
def test_without_it_nothing_changes(r):
    g = np.random.default_rng(0).normal(size=len(r))
    plain, off = (target_of(r, g, **INSTRUMENT, largest_distance=20.0, **more) for more in ({}, {"low_q": 0.0}))
    for name in ("q", "transform", "data", "outside", "norm"):
        assert np.array_equal(getattr(plain, name), getattr(off, name))
    assert plain.norm == float(g @ g)
    assert not low_q_part(r, g, qmin=0.8, qdamp=0.03, low_q=0.0).any()
    curve, candidates = measured(gold(60)), [gold(55), gold(60)]
    without = fit_candidates(candidates, curve, rmin=2.0, rmax=20.0, **INSTRUMENT)
    assert np.array_equal(without.rw, fit(candidates, curve, rmax=20.0, low_q=0.0).rw)
    assert np.array_equal(*(fitted_curve(candidates[0], without.row(0), curve, **INSTRUMENT, **more) for more in ({}, {"low_q": 0.0})))


@pytest.mark.parametrize("header", [0.0, 0.1, 0.5, 0.8, 1.2])
def test_the_qmin_of_a_header_changes_nothing(particle, clean, header):
    """With low_q 0 Rw is 0.679, 0.471, 0.019, 0.000 and 0.039 for these five; at Qmin 0 the scale is 0.27 for 0.7, U 0.0020 for 0.0060 Å².

    Fails if data or model alone is projected, or the model's integral begins at Qmin.
    """
    found = fit([particle], clean, qmin=header)
    assert found.rw[0] < 1e-3
    assert parameters(found) == pytest.approx([TRUE[name] for name in PARAMETERS], rel=1e-4)
    assert np.array_equal(parameters(found), parameters(fit([particle], clean, qmin=0.3)))


def test_without_it_a_header_that_names_too_low_a_qmin_spoils_the_fit(particle, clean):
    """What the projection is for; should the default path cope with this one day, low_q has lost its reason."""
    rows = [fit([particle], clean, qmin=header, low_q=0.0).row(0) for header in (0.0, 0.1, 0.8)]
    assert [row["rw"] > 0.3 for row in rows] == [True, True, False]
    assert rows[0]["scale"] < 0.5 * TRUE["scale"]


@pytest.mark.parametrize("strength", [0.3, 5.0])
def test_whatever_low_q_adds_to_the_data_changes_nothing(particle, clean, strength):
    data = noise(clean, 0.05)
    wave = slow_wave(data.r, 1.1)
    inside = data.between(**RANGE).r
    assert np.abs(wave - low_q_part(data.r, wave, qmin=0.8, qdamp=0.03, low_q=LOW_Q)).max() < 1e-9 * np.abs(wave).max()
    assert low_q_part(inside, slow_wave(inside, 1.1), qmin=0.8, qdamp=0.03, low_q=LOW_Q) == pytest.approx(slow_wave(inside, 1.1), abs=1e-7)
    spoilt = PdfCurve(data.r, data.g + strength * data.g.std() / wave.std() * wave)
    before, after = fit([particle], data), fit([particle], spoilt)
    assert 0.03 < before.rw[0] < 0.06
    assert after.rw[0] == pytest.approx(before.rw[0], rel=1e-9)
    assert parameters(after) == pytest.approx(parameters(before), rel=1e-7)


@pytest.mark.parametrize("qdamp", [0.0, 0.03, 0.2])
def test_up_to_low_q_all_is_taken_out(qdamp):
    """Fails at 0.2 where the damping is left out of the basis."""
    r = np.arange(2.0, 30.0, 0.05)
    wave = slow_wave(r, LOW_Q, qdamp=qdamp)
    assert np.abs(wave - low_q_part(r, wave, qmin=0.1, qdamp=qdamp, low_q=LOW_Q)).max() < 1e-7 * np.abs(wave).max()


@pytest.mark.parametrize("sizes", [(fluorite(10.0), fluorite(10.5)), (gold(120), gold(130))])
def test_what_particles_and_their_differences_hold_above_is_kept(sizes):
    """The edge is not sharp on a finite range: a lone wave of 2 Å⁻¹ over all of it loses a quarter of its power. Particles lose little."""
    one, other = (measured(size, rmax=30.0).between(**RANGE) for size in sizes)
    for curve in (one.g, one.g - other.g):
        lost = low_q_part(one.r, curve, qmin=0.8, qdamp=0.03, low_q=LOW_Q)
        assert 1e-4 < (lost @ lost) / (curve @ curve) < 0.02


def test_a_slope_of_the_baseline_is_projected_out(particle, clean):
    """−0.02 r, not damped, so not strictly below low_q: Rw of 0.048 is 0.160 with low_q 0; with 1.2 no figure moves by a millionth."""
    data = noise(clean, 0.05)
    sloping = PdfCurve(data.r, data.g - 0.02 * data.r)
    (before, after), (plain, worse) = ([fit([particle], curve, low_q=low) for curve in (data, sloping)] for low in (LOW_Q, 0.0))
    assert worse.rw[0] > 2.0 * plain.rw[0]
    assert after.rw[0] == pytest.approx(before.rw[0], rel=1e-6)
    assert parameters(after) == pytest.approx(parameters(before), rel=1e-6)


@pytest.mark.parametrize(
    ("structure", "settings"),
    [
        (gold(80), {}),
        (alloy(60), {"qbroad": 0.02}),
        (fluorite(7.0), {"radiation": "neutron"}),
        (gold(60), {"qdamp": 0.0}),
        (gold(60), {"qmin": 1.5}),
    ],
)
def test_the_true_structure_still_fits_exactly_and_others_do_not(structure, settings):
    curve = measured(structure, zoom=1.01, **settings)
    table = fit([structure, structure.scaled(1.25)], curve, rmax=20.0, **settings)
    assert table.rw[0] < 1e-3
    assert table.zoom[0] == pytest.approx(1.01, abs=1e-4)
    assert table.rw[1] > 0.3


def test_coarse_grids_keep_the_law():
    """Where the points are fewer than the nodes the basis is the points themselves."""
    fine = measured(gold(80))
    coarse = PdfCurve(fine.r[::8], fine.g[::8])
    table = fit([gold(80), gold(60)], coarse, rmax=20.0, qmin=0.0)
    assert table.rw[0] < 1e-3
    assert table.zoom[0] == pytest.approx(1.0, abs=1e-4)


def test_a_qmin_above_it_counts():
    """What the data hold below a Qmin that lies above low_q is taken out, too."""
    curve = noise(measured(gold(80), qmin=1.5), 0.05)
    spoilt = PdfCurve(curve.r, curve.g + 2.0 * slow_wave(curve.r, 1.4))
    before, after = (fit([gold(80)], data, rmax=20.0, qmin=1.5) for data in (curve, spoilt))
    assert after.rw[0] == pytest.approx(before.rw[0], rel=1e-6)
    assert before.n_independent == pytest.approx(independent_points(2.0, 20.0, 1.5, 25.0))


def test_independent_points_count_from_there_and_uncertainties_with_them():
    data = noise(measured(gold(80)), 0.1)
    table = fit([gold(80)], data, rmax=20.0)
    assert table.n_independent == pytest.approx(independent_points(2.0, 20.0, LOW_Q, 25.0))
    away = [fit([gold(80)], noise(measured(gold(80)), 0.1, seed), rmax=20.0) for seed in range(40)]
    pulls = np.array([(found.zoom[0] - 1.0) / found.zoom_err[0] for found in away])
    assert 0.6 < pulls.std() < 1.6


def test_the_fitted_curve_leaves_the_residual_that_was_made_small():
    truth = gold(90, jitter=0.05)
    exact = noise(measured(truth), 0.05)
    curve = PdfCurve(exact.r, exact.g + slow_wave(exact.r, 1.0))
    row = fit([gold(90)], curve, rmax=20.0).row(0)
    inside = curve.between(2.0, 20.0)
    calculated = fitted_curve(gold(90), row, curve, rmin=2.0, rmax=20.0, **INSTRUMENT, low_q=LOW_Q)
    shown = calculated[(curve.r >= 2.0 - 1e-9) & (curve.r <= 20.0 + 1e-9)]
    kept = inside.g - low_q_part(inside.r, inside.g, qmin=0.8, qdamp=0.03, low_q=LOW_Q)
    assert np.linalg.norm(inside.g - shown) / np.linalg.norm(kept) == pytest.approx(row["rw"], abs=1e-4)
    assert rw(inside.g, shown) < row["rw"]
    assert not calculated[curve.r < 1.9].any()
    assert shown == pytest.approx(fitted_curve(gold(90), row, inside, **INSTRUMENT, low_q=LOW_Q), abs=1e-9)


def test_sites_and_phases_see_the_same_rw_as_the_fit():
    candidate = gold(60)
    curve = measured(gold(66)).between(2.0, 20.0)
    curve = PdfCurve(curve.r, curve.g + slow_wave(curve.r, 1.1))
    widths = {"uiso": 0.006, "delta2": 2.0}
    table = fit([candidate], curve, rmax=20.0, free=("scale",), start=widths)
    target = target_of(curve.r, curve.g, **INSTRUMENT, largest_distance=30.0, low_q=LOW_Q)
    sites = SiteCurves.of(ball(60), target, **widths)
    assert sites.rw(np.ones(60, dtype=bool)) == pytest.approx(float(table.rw[0]), rel=2e-3)
    model = PhaseModel([candidate], curve, Instrument(**INSTRUMENT), max_zoom=1.05, low_q=LOW_Q)
    alone = model.fit([0], zooms=[1.0], uiso=0.006, delta2=2.0, shared_zoom=True)
    assert model.n_independent == pytest.approx(table.n_independent, rel=1e-9)
    assert alone.rw == pytest.approx(float(fit([candidate], curve, rmax=20.0).rw[0]), rel=1e-3)


def test_moving_atoms_ignores_what_lies_below():
    pytest.importorskip("torch")
    from deepstruc_hpc.physics.relax import relax

    truth, clean = gold(30, jitter=0.1), measured(gold(30, jitter=0.1))
    curve = PdfCurve(clean.r, clean.g + 0.5 * clean.g.std() * slow_wave(clean.r, 1.1) / slow_wave(clean.r, 1.1).std())
    row = fit([truth], clean, rmax=15.0).row(0)
    ends = [relax(truth, row, data, Instrument(**INSTRUMENT), rmin=2.0, rmax=15.0, low_q=low) for data, low in ((curve, LOW_Q), (curve, 0.0))]
    assert [end.rw_before < 2e-3 for end in ends] == [True, False]
    assert ends[0].moved.max() < 0.01 < ends[1].moved.max()


def test_derivatives_are_those_of_the_cost():
    curve = noise(measured(gold(60, jitter=0.05)), 0.05).between(2.0, 20.0)
    target = target_of(curve.r, curve.g, **INSTRUMENT, largest_distance=20.0, low_q=LOW_Q)
    engine = CompiledEvaluator(spectra_of([gold(60)], q_max=25.0, max_zoom=1.1, radiation="xray", resolution=False), target, **PLAIN)
    point, one = np.array([[1.001, 0.007, 1.5]]), np.zeros(1, dtype=np.int64)
    for number, step in enumerate((1e-4, 1e-4, 1e-2)):
        move = np.zeros(3)
        move[number] = step
        slope = (engine.costs(one, point + move) - engine.costs(one, point - move))[0] / (2.0 * step)
        assert -2.0 * engine.equations(one, point).gradient[0, number] == pytest.approx(slope, rel=0.02)


def test_torch_and_compiled_code_agree():
    pytest.importorskip("torch")
    curve = PdfCurve((clean := noise(measured(gold(60)), 0.05)).r, clean.g + slow_wave(clean.r, 1.1))
    ours, tensors = (fit([gold(60), gold(50)], curve, rmax=20.0, device=device) for device in (None, "cpu"))
    assert tensors.rw == pytest.approx(ours.rw, rel=1e-4)
    assert tensors.zoom == pytest.approx(ours.zoom, abs=1e-5)
    assert tensors.uiso == pytest.approx(ours.uiso, rel=1e-3)


@pytest.mark.parametrize("low", [-0.1, 25.0, float("nan")])
def test_a_low_q_that_leaves_nothing_is_an_error(low):
    with pytest.raises(ConfigError, match="low_q"):
        fit([gold(20)], measured(gold(20)), rmax=20.0, low_q=low)
    with pytest.raises(ConfigError, match="low_q"):
        target_of(np.arange(2.0, 9.0, 0.1), np.ones(70), **INSTRUMENT, largest_distance=9.0, low_q=low)
