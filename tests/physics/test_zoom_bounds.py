"""Bounds of the zoom of each candidate."""

import numpy as np
import pytest

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.physics.fit import fit_candidates
from tests.physics.clusters import INSTRUMENT, alloy, gold, measured, noise

CANDIDATES = [gold(40), gold(55), gold(60), alloy(40), gold(55).scaled(0.9), gold(55).scaled(1.15), gold(52)]
CURVE = noise(measured(gold(55), zoom=1.01), 0.05)


def fit(structures=CANDIDATES, curve=CURVE, **settings):
    return fit_candidates(structures, curve, **{"rmin": 2.0, "rmax": 20.0, **INSTRUMENT, **settings})


def test_the_same_bounds_for_each_are_the_bounds_for_all_to_the_last_digit():
    one, other = fit(bounds={"zoom": (0.95, 1.07)}), fit(zoom_bounds=np.tile([0.95, 1.07], (len(CANDIDATES), 1)))
    for name in ("rw", "zoom", "uiso", "delta2", "zoom_err"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)


@pytest.mark.law
@pytest.mark.parametrize("device", [None, "cpu"])
def test_own_bounds_give_what_a_call_with_them_gives(device):
    """Ranges of several widths, one of them a point. Fails when a start or a bound belongs to another candidate.

    Candidates that are much worse than the best of their batch end at a looser tolerance (``levenberg.FAR``), 1e-3 of their sum of squares.
    """
    ranges = np.array([[0.95, 1.05], [0.9, 1.1], [0.95, 1.05], [0.98, 1.0], [1.08, 1.18], [0.83, 0.93], [1.01, 1.01]])
    together = fit(zoom_bounds=ranges, device=device)
    assert ((together.zoom >= ranges[:, 0] - 1e-9) & (together.zoom <= ranges[:, 1] + 1e-9)).all()
    for row, (candidate, bounds) in enumerate(zip(CANDIDATES, ranges, strict=True)):
        alone = fit([candidate], bounds={"zoom": tuple(bounds)}, device=device)
        assert together.rw[row] == pytest.approx(alone.rw[0], rel=1e-3)
        assert together.zoom[row] == pytest.approx(alone.zoom[0], abs=1e-3)
        assert ("zoom" in together.at_bounds[row]) == ("zoom" in alone.at_bounds[0])
    assert together.rw[4] == pytest.approx(together.rw[1], abs=1e-3)  # the same cluster at another scale finds its zoom in its own range


@pytest.mark.law
@pytest.mark.parametrize("device", [None, "cpu"])
def test_each_candidate_is_scanned_over_its_own_range(device):
    """One cluster at four scales, each range 0.09 about the zoom that brings it back: too far for a start at an end, or where another one begins."""
    zooms = np.array([0.9, 1.1, 0.91, 1.11])
    candidates = [gold(100).scaled(1 / zoom) for zoom in zooms]
    table = fit(candidates, measured(gold(100)), zoom_bounds=np.stack([zooms - 0.09, zooms + 0.09], axis=1), device=device)
    assert table.zoom == pytest.approx(zooms, abs=1e-3)
    assert (table.rw < 2e-3).all()


def test_own_bounds_of_a_zoom_that_is_not_free_have_no_effect():
    fixed = {"free": ("scale", "uiso"), "start": {"zoom": 1.01}}
    assert np.array_equal(fit(**fixed).rw, fit(**fixed, zoom_bounds=np.tile([1.05, 1.06], (len(CANDIDATES), 1))).rw)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((2, 2)), r"\(7, 2\)"),
        ([[0.9, 1.1]] * 6 + [[1.1, 0.9]], "candidate 6: found 1.1 to 0.9"),
        ([[0.9, 1.1]] * 3 + [[0.0, 1.1]] + [[0.9, np.inf]] * 3, "candidate 3"),
    ],
)
def test_broken_bounds_are_named(given, message):
    with pytest.raises(ConfigError, match=message):
        fit(zoom_bounds=given)
    with pytest.raises(ConfigError, match="Give one of them"):
        fit(zoom_bounds=np.ones((7, 2)), bounds={"zoom": (0.9, 1.1)})
