"""Large metal particles as candidates: asked where the curve tells them, the right type and size first, the list kept between runs."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf_batch
from deepstruc_hpc.solve.candidates import large_shapes as shapes_module
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.large import MOST_ATOMS, LargeSource, sizes_of
from deepstruc_hpc.solve.candidates.large_screen import LargeScreen, Widths
from deepstruc_hpc.solve.candidates.large_shapes import pairs_of
from deepstruc_hpc.solve.candidates.source import Budget, Source
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.decay import LISTED, Decay
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.large_bodies import LargeBody, large_structure

BUDGET = Budget(samples=0, sigma=(3.0,), most_atoms=5000)
INSTRUMENT = Instrument(qmin=0.8, qmax=20.0, qdamp=0.02)
BODIES = (
    LargeBody("fcc"),
    LargeBody("fcc", "facetted", (1.15, 0.0, 1.0)),
    LargeBody("bcc"),
    LargeBody("hcp"),
    LargeBody("decahedral", "Marks", (1.0, 1.05)),
    LargeBody("decahedral"),
    LargeBody("icosahedral"),
    LargeBody("twin", planes=(0,)),
    LargeBody("twin", planes=(2,)),
)


@pytest.fixture(scope="module", autouse=True)
def short_list(tmp_path_factory):
    """Nine bodies of 330 to 2,000 atoms, in a cache folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path_factory.mktemp("large")))
        patch.setattr(shapes_module, "large_bodies", lambda: BODIES)
        patch.setattr(shapes_module, "LARGEST", 14.0)
        shapes_module.large_shapes.cache_clear()
        yield
    shapes_module.large_shapes.cache_clear()


def _measurement(body, n_atoms, *, end=30.0, symbol="Pt"):
    """A curve of another particle than those of the list: an atom in forty is missing, and noise."""
    rng = np.random.default_rng(n_atoms)
    structure = large_structure(body, n_atoms, symbol, 0.99 * nn_distance(symbol, "twelve"))
    kept = rng.random(len(structure)) > 0.025
    structure = type(structure).of_element(symbol, structure.positions[kept], structure.structure_type)
    r = np.arange(0.0, end, 0.02)
    g = simulate_pdf_batch([structure], r, INSTRUMENT, uiso=0.006, delta2=2.0)[0].astype(float)
    q = np.arange(0.8, 20.0, 0.05)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    curve = PdfCurve(r, g + 0.02 * g[r > 2].std() * counting / counting.std(), source="x.gr")
    return describe(curve, SolveSettings(composition=symbol, qmin=0.8, qmax=20.0, qdamp=0.02))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (LargeBody("decahedral", "Marks", (1.1, 1.2)), "decahedral"),
        (LargeBody("icosahedral", "facetted", (1.2,)), "icosahedral"),
        (LargeBody("fcc", "facetted", (1.05, 0.0, 1.0)), "fcc"),
        (LargeBody("twin", planes=(1,)), "stacking_fault"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_type_and_size_of_a_particle_that_the_list_lacks(body, kind):
    measurement = _measurement(body, 1300)
    fitted = fit(LargeSource().candidates(measurement, BUDGET), measurement)
    best = fitted.candidates[fitted.best]
    assert best.structure.structure_type == kind
    assert fitted.rw[fitted.best] < 0.6 * min(fitted.rw[fitted.types != kind])
    count = len(body.particle(1300))
    assert len(best.structure) == pytest.approx(count, rel=0.15)  # 5 % of the diameter
    assert len(best.structure) < max(len(one.structure) for one in fitted if one.structure.structure_type == kind)  # larger ones were tried


def test_nothing_is_asked_for_a_small_particle(monkeypatch):
    monkeypatch.setattr(shapes_module, "_of_body", None)  # fails if the list is made
    assert not len(LargeSource().candidates(_measurement(LargeBody("fcc"), 250), BUDGET))


def test_nothing_is_asked_where_the_sample_is_no_metal():
    curve = _measurement(LargeBody("fcc"), 1300).curve
    oxide = describe(curve, SolveSettings(composition="CeO2", qmin=0.8, qmax=20.0, qdamp=0.02))
    assert not len(LargeSource().candidates(oxide, BUDGET))


def test_candidates_know_what_the_ranking_needs():
    found = LargeSource().candidates(_measurement(LargeBody("twin", planes=(1,)), 1300), BUDGET)
    assert isinstance(LargeSource(), Source)
    assert found.counts["large_screened"] > 50
    for one in found:
        assert one.complexity - one.type_complexity == pytest.approx(1.0 if one.structure.structure_type == "stacking_fault" else 0.0)
        assert 0.0 <= one.type_complexity < 1.0
        assert one.length == nn_distance("Pt", "twelve")
        assert one.zoom[0] < 0.99 < one.zoom[1] or one.structure.structure_type not in {"fcc", "stacking_fault"}
        assert np.pi / 6 * one.diameter**3 == pytest.approx(len(one.structure) * one.atomic_volume)
    assert max(one.type_complexity for one in found) > 0.0  # the best few of several bodies of a type
    assert len({one.fingerprint for one in found}) == len(found)


def test_rw_of_the_screen_is_that_of_a_fit_at_the_same_widths():
    measurement = _measurement(LargeBody("decahedral"), 1300)
    body = LargeBody("decahedral", "Marks", (1.0, 1.05))
    counts, pairs = pairs_of(body, np.array([900, 1300]))
    screen = LargeScreen(measurement)
    bond = nn_distance("Pt", "twelve")
    screened = screen.rw(screen.curves(pairs, Widths(0.991 * bond, 0.007, 1.5)))
    table = fit_candidates(
        [large_structure(body, int(count), "Pt", bond) for count in counts],
        measurement.curve,
        rmin=measurement.rmin,
        rmax=measurement.rmax,
        free=("scale",),
        start={"zoom": 0.991, "uiso": 0.007, "delta2": 1.5},
        low_q=measurement.low_q,
        **measurement.instrument.model_dump(),
    )
    np.testing.assert_allclose(screened, table.rw, atol=2e-3)


def test_sizes_follow_from_the_decay_and_end_at_a_stated_number():
    short, long = sizes_of(Decay(28.0, 26.0, 30.0), 2.8), sizes_of(Decay(56.0, 52.0, 60.0), 2.8)
    assert long[0] == pytest.approx(8 * short[0], rel=0.01)
    assert short[1] < long[1] == MOST_ATOMS
    endless = sizes_of(Decay(300.0, 200.0, 400.0), 2.8)
    assert endless[0] < MOST_ATOMS == endless[1]
    assert sizes_of(Decay(24.0, 23.0, 25.0), 2.8)[0] < LISTED


def test_the_list_is_made_once_and_read_again(monkeypatch):
    first = shapes_module.large_shapes()
    shapes_module.large_shapes.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(shapes_module, "_of_body", None)  # fails if it is made a second time
        again = shapes_module.large_shapes()
    np.testing.assert_array_equal(first.pairs, again.pairs)
    np.testing.assert_array_equal(first.n_atoms, again.n_atoms)


def test_a_broken_file_of_the_list_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPSTRUC_HPC_CACHE", str(tmp_path))
    monkeypatch.setattr(shapes_module, "large_bodies", lambda: BODIES[:1])
    shapes_module.large_shapes.cache_clear()
    made = shapes_module.large_shapes()
    (kept,) = tmp_path.glob("large-shapes-*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    shapes_module.large_shapes.cache_clear()
    np.testing.assert_array_equal(shapes_module.large_shapes().pairs, made.pairs)
    shapes_module.large_shapes.cache_clear()
