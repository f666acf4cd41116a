"""One fit for candidates of every kind: each within its own bounds, in the order of the set."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit, fit_curve_table
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from tests.structures.particles import ball

TRUTH = ball("fcc atom", 2.1)


@pytest.fixture(scope="module")
def measurement():
    r = np.arange(0.0, 18.0, 0.02)
    g = simulate_pdf(TRUTH.symbols, 1.01 * TRUTH.positions, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.007, delta2=2.0)
    return describe(PdfCurve(r, g, header={"qmin": 0.8, "qmax": 22.0}, source="x.gr"), SolveSettings(elements="Au"))


def _candidates():
    """The truth with room and without, between others."""
    zooms = ((0.9, 1.1), (0.97, 1.0), (0.9, 1.1), (0.97, 1.0))
    shapes = (ball("icosahedral", 2.1), TRUTH, TRUTH, ball("hcp atom", 2.1))
    return CandidateSet(tuple(Candidate(shape, "catalog", zoom=zoom) for shape, zoom in zip(shapes, zooms, strict=True)))


def test_each_candidate_is_fitted_within_its_own_bounds_and_keeps_its_place(measurement):
    candidates = _candidates()
    fitted = fit(candidates, measurement)
    assert fitted.candidates == candidates.candidates
    assert candidates.fits is None
    assert fitted.zoom[2] == pytest.approx(1.01, abs=1e-3)
    assert fitted.rw[2] < 0.01
    assert fitted.zoom[1] == pytest.approx(1.0, abs=1e-6)
    assert fitted.rw[1] > 0.1
    assert fitted.best == 2


def test_the_fit_of_a_set_is_that_of_each_candidate_alone(measurement):
    whole = fit(_candidates(), measurement)
    alone = [fit(_candidates().take([place]), measurement).rw[0] for place in range(len(whole))]
    assert whole.rw == pytest.approx(alone, abs=1e-3)  # starts depend on the range of all, minima do not


def test_a_set_that_is_fitted_comes_back_as_it_is_and_an_empty_one_is_fitted(measurement):
    fitted = fit(_candidates(), measurement)
    assert fit(fitted, measurement) is fitted
    nothing = fit(CandidateSet(), measurement)
    assert (len(nothing), len(nothing.rw), len(nothing.fitted())) == (0, 0, 0)
    assert fitted.joined(nothing).rw.tolist() == fitted.rw.tolist()


def test_the_curve_of_a_fit_has_its_rw_and_lies_on_the_measured_points(measurement):
    fitted = fit(_candidates(), measurement)
    table = fit_curve_table(fitted.candidates[0], fitted.row(0), measurement)
    assert table["r"].tolist() == measurement.data.r.tolist()
    data, low_q = measurement.data, {"qmin": measurement.instrument.qmin, "qdamp": measurement.instrument.qdamp, "low_q": measurement.low_q}
    kept = data.g - low_q_part(data.r, data.g, **low_q)
    rw = np.sqrt((table["difference"] ** 2).sum() / (kept**2).sum())
    assert rw == pytest.approx(fitted.rw[0], abs=1e-6)
