"""Qdamp and Qbroad from the curve of a crystal."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.physics.bulk import bulk_distances, needed_reach, simulate_bulk
from deepstruc_hpc.physics.calibration import fit_calibrant
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.calibrants import calibrant_crystal

TRUE = {"scale": 0.83, "zoom": 1.004, "uiso_Ni": 0.0057, "delta2": 1.9, "qdamp": 0.041, "qbroad": 0.019}
RANGE = Instrument(qmin=0.8, qmax=24.0, qdamp=0.0)


def nickel():
    crystal = calibrant_crystal("Ni")
    return crystal.lattice, crystal.fractions, crystal.species


def curve(noise, rmax=30.0, seed=0):
    """Nickel as an instrument with the true values sees it; noise as a fraction of the RMS, with nothing above Qmax."""
    r = np.arange(1.5, rmax, 0.02)
    lattice, fractions, species = nickel()
    seen = RANGE.updated(qdamp=TRUE["qdamp"], qbroad=TRUE["qbroad"])
    g = TRUE["scale"] * simulate_bulk(TRUE["zoom"] * lattice, fractions, species, r, seen, uiso=TRUE["uiso_Ni"], delta2=TRUE["delta2"])
    rng = np.random.default_rng(seed)
    q = np.linspace(RANGE.qmin, RANGE.qmax, 1200)
    wobble = np.sin(np.outer(r, q)) @ rng.normal(size=len(q))
    return PdfCurve(r, g + noise * g.std() * wobble / wobble.std())


@pytest.fixture(scope="module")
def distances():
    return bulk_distances(*nickel(), needed_reach(30.0))


def test_the_true_values_come_back(distances):
    found = fit_calibrant(distances, curve(0.0), RANGE)
    assert found.converged
    assert found.rw < 2e-3
    for name, value in TRUE.items():
        assert found.values[name] == pytest.approx(value, rel=5e-3), name


def test_uncertainties_cover_the_truth(distances):
    """Over eight draws of noise the deviations in units of the stated uncertainty have an RMS near 1; per grid point counted they would be near 7."""
    pulls = []
    for seed in range(8):
        found = fit_calibrant(distances, curve(0.1, seed=seed), RANGE)
        pulls += [(found.values[name] - TRUE[name]) / found.errors[name] for name in ("zoom", "uiso_Ni", "qdamp", "qbroad")]
    assert 0.5 < np.sqrt(np.mean(np.square(pulls))) < 2.0


def test_progress_is_told(distances):
    steps = []
    fit_calibrant(distances, curve(0.0), RANGE, on_step=lambda count, rw: steps.append((count, rw)))
    assert len(steps) > 10
    assert steps[-1][1] < steps[0][1]


def test_too_short_a_curve_is_refused(distances):
    data = curve(0.0).between(2.0, 2.6)
    with pytest.raises(PdfFileError, match="independent points for 6 parameters"):
        fit_calibrant(distances, data, RANGE)
