"""What a measurement is not trusted in: from the settings to the fit and to the curve that is shown."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit, fit_curve_table
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from tests.physics.clusters import gold, measured

HEADER = {"qmin": 0.1, "qmax": 25.0, "qdamp": 0.03}
"""A Qmin that nobody set; the curve holds nothing below 0.8."""


def question(*, slope=0.0, **settings):
    made = measured(gold(150), uiso=0.007)
    curve = PdfCurve(made.r, made.g - slope * made.r, header=HEADER)
    return describe(curve, SolveSettings(elements=("Au",), **settings))


def fitted(measurement):
    return fit(CandidateSet((Candidate(gold(150), "catalog"),)), measurement)


def test_nothing_below_low_q_is_trusted_and_a_qmin_that_no_detector_sees_is_told():
    found = question()
    assert (found.low_q, found.record()["low_q"], found.instrument.qmin) == (1.2, 1.2, 0.1)
    assert found.independent_points() == pytest.approx(independent_points(found.rmin, found.rmax, 1.2, 25.0))
    assert question(low_q=0.0).independent_points() == pytest.approx(independent_points(found.rmin, found.rmax, 0.1, 25.0))
    assert "taken out" in found.notes[-1]
    assert question(qmin=0.8).low_q == 1.2
    assert not any("taken out" in note for note in question(qmin=0.8).notes)
    assert question(qmin=0.8, low_q=0.0).low_q == 0.0
    assert question(qmin=1.5).independent_points() == pytest.approx(independent_points(found.rmin, found.rmax, 1.5, 25.0))


def test_a_wrong_qmin_and_a_slope_do_not_reach_the_fit():
    assert fitted(question(slope=0.05)).rw[0] < 1e-3
    assert fitted(question(slope=0.05, low_q=0.0)).rw[0] > 0.1


def test_the_table_of_the_fit_shows_the_residual_that_was_made_small():
    found = question(slope=0.05)
    row = fitted(found).row(0)
    table = fit_curve_table(Candidate(gold(150), "catalog"), row, found)
    data = found.data
    kept = data.g - low_q_part(data.r, data.g, qmin=0.1, qdamp=0.03, low_q=1.2)
    assert np.linalg.norm(table["difference"]) / np.linalg.norm(kept) == pytest.approx(row["rw"], abs=1e-4)
    assert np.allclose(table["g_calc"] + table["difference"], data.g)


def test_a_qmax_that_is_not_above_it_is_an_error_that_names_both():
    with pytest.raises(PdfFileError, match=r"Qmax 1 .*low_q 1\.2"):
        describe(PdfCurve(measured(gold(20)).r, measured(gold(20)).g, header={"qmin": 0.3, "qmax": 1.0}), SolveSettings(elements=("Au",)))
    with pytest.raises(ValueError, match="low_q"):
        SolveSettings(low_q=3.0, qmax=2.0)
