"""A frame solved from its neighbours is what it would be alone."""

import numpy as np
import pytest

from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.physics.crystal_fit import mine_crystals
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.crystals import extended
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import RankSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.pipeline import Sources, solve_curve
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import rank
from deepstruc_hpc.solve.series.between import MARGIN, sizes_between
from deepstruc_hpc.solve.series.crystals import CrystalRuns
from deepstruc_hpc.solve.series.refit import Refitter
from deepstruc_hpc.solve.series.vigilance import Vigilance
from deepstruc_hpc.solve.series.warm import Knowledge, WarmSolver
from deepstruc_hpc.structures.prototypes import candidate_crystals
from tests.solve.conftest import fitted_set, write_gr

SETTINGS = SolveSettings(sources=("catalog",), qdamp=0.03, local_shapes=60)


@pytest.fixture(scope="module")
def source(shapes_store):
    return CatalogSource(Catalog.open(shapes_store))


@pytest.fixture(scope="module")
def curves(tmp_path_factory, shape_of):
    folder = tmp_path_factory.mktemp("warm")
    return [read_pdf(write_gr(folder / f"{kind}{seed}.gr", shape_of(kind), seed=seed)) for kind in ("decahedral", "fcc") for seed in (1, 2)]


def test_a_refit_ends_where_a_full_fit_ends(source, curves):
    measurements = [describe(curve, SETTINGS) for curve in curves[:2]]
    first = fit(source.candidates(measurements[0], Budget(0, (3.0,), 0)), measurements[0])
    refitter = Refitter(measurements[0].instrument)
    refitter.add([one.structure for one in first], np.array([one.zoom for one in first]), measurements[0])
    begin = np.column_stack([first.fits.zoom, first.fits.uiso, first.fits.delta2])
    table = refitter.fit(measurements[1], np.arange(len(first)), begin)
    whole = fit(CandidateSet(first.candidates), measurements[1])
    good = whole.rw < 0.2
    assert good.sum() >= 3
    assert np.allclose(table.rw[good], whole.rw[good], atol=2e-4)
    assert np.allclose(table.zoom[good], whole.zoom[good], atol=2e-4)
    agreement = refitter.agreement(measurements[1], np.arange(len(first)), begin)
    assert (agreement >= table.rw - 1e-6).all()
    refitter.keep(np.array([3, 5]))
    assert np.allclose(refitter.fit(measurements[1], np.arange(2), begin[[3, 5]]).rw, table.rw[[3, 5]], atol=2e-4)


def test_a_warm_frame_has_the_answer_that_it_has_alone(source, curves):
    sources = Sources([source])
    warm = WarmSolver(SETTINGS)
    warm.learn(*(Knowledge.of(solve_curve(curves[place], SETTINGS, sources).ranking) for place in (0, 2)))
    for place in (1, 3):
        alone = solve_curve(curves[place], SETTINGS, sources)
        here = warm.solve(describe(curves[place], SETTINGS))
        assert here.row["structure_type"] == alone.row["structure_type"]
        assert here.row["diameter"] == pytest.approx(alone.row["diameter"], rel=0.02)
        assert here.ranking.candidates.rw[0] <= alone.ranking.candidates.rw[0] * 1.02 + 1e-4
        assert here.row["probability"] == pytest.approx(alone.row["probability"], abs=0.1)


def test_sizes_between_lie_between_on_the_lattices_of_both(source, curves):
    found = fit(source.candidates(describe(curves[2], SETTINGS), Budget(0, (3.0,), 0)), describe(curves[2], SETTINGS))
    fcc = sorted((one for one in found if one.on_lattice == "fcc"), key=lambda one: len(one.structure))
    small, large = fcc[0], fcc[-1]
    made = sizes_between([small], [large])
    counts = np.array([len(one.structure) for one in made])
    assert {one.on_lattice for one in made} == {"fcc"}
    assert counts.min() >= len(small.structure) * np.exp(-MARGIN) * 0.8
    assert counts.max() <= len(large.structure) * np.exp(MARGIN) * 1.05
    inside = counts[(counts > len(small.structure)) & (counts < len(large.structure))]
    assert len(np.unique(inside)) >= 5
    assert len({one.fingerprint for one in made}) == len(made)


def test_the_evidence_of_a_type_is_that_of_its_whole_list():
    """Halves of lists that nobody looks at again count, or a type with a long list would gain by being cut short."""
    rows = [("fcc", 50 + k, 0.06 + 0.02 * k, 0) for k in range(40)] + [("hcp", 60 + k, 0.055 + 0.02 * k, 0) for k in range(3)]
    whole = fitted_set(*rows)
    posterior = Posterior(100.0, {"fcc": np.log(0.5), "hcp": np.log(0.5)}, RankSettings(points_per_datum=8.0, sharpness=2.0))
    warm = WarmSolver(SETTINGS)
    warm._counts = ({"fcc": 40, "hcp": 3}, {})
    few = whole.take([*range(12), 40, 41, 42])

    def share(candidates, scorer):
        return rank(candidates, scorer).types.set_index("structure_type")["probability"]["hcp"]

    assert share(few, warm._of_lists(posterior, few)) == pytest.approx(share(whole, posterior), abs=0.01)
    assert abs(share(few, posterior) - share(whole, posterior)) > 0.05


@pytest.fixture(scope="module")
def nickel():
    """Curves of a sphere of nickel, its cell growing by half a per cent."""
    cells = np.stack(np.meshgrid(*[np.arange(-6, 7.0)] * 3), axis=-1).reshape(-1, 3)
    sites = np.concatenate([cells + face for face in ([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5])])
    r = np.arange(0.0, 25.0, 0.02)

    def curve(edge):
        from deepstruc_hpc.core.curve import PdfCurve

        x = sites[np.linalg.norm(sites, axis=1) < 15.0 / 3.52] * edge
        g = simulate_pdf(["Ni"] * len(x), x, r, qmin=0.8, qmax=22.0, qdamp=0.03, uiso=0.006, delta2=1.5)
        return PdfCurve(r, np.asarray(g), header={"qmin": 0.8, "qmax": 22.0}, source="nickel")

    return curve


def test_a_crystal_is_followed_from_curve_to_curve(nickel):
    settings = SolveSettings(elements=("Ni",), qdamp=0.03)
    first, last = (describe(nickel(edge), settings) for edge in (3.52, 3.5376))
    listed = [one for one in candidate_crystals(["Ni"]) if one.group in {"fcc", "bcc"}]
    ranges = {"rmin": first.rmin, "rmax": float(first.curve.r[-1]), "qdamp_known": True}
    fits = mine_crystals(first.curve, first.instrument, listed, **ranges)
    alone = mine_crystals(last.curve, last.instrument, listed, **ranges)
    runs = CrystalRuns(settings)
    runs.learn([one for found in fits if (one := extended(found, 4)) is not None])
    runs.fit(first)
    candidates = runs.fit(last)
    best = candidates.candidates[candidates.best].crystal_fit
    assert best.candidate.group == alone[0].candidate.group == "fcc"
    assert best.cell[0] == pytest.approx(3.5376, rel=1e-3)
    assert best.diameter == pytest.approx(alone[0].diameter, rel=0.02)
    assert best.n_parameters == alone[0].n_parameters


def test_vigilance_asks_for_frames_that_fit_worse_or_differ(curves):
    eye = Vigilance(0.05, 50)
    assert eye.asks(0.055, ok=True, changed=False) == ""
    assert "0.090" in eye.asks(0.09, ok=True, changed=False)
    assert "differs" in eye.asks(0.05, ok=True, changed=True)
    eye.learn(0.09, 0.089)
    assert eye.asks(0.09, ok=True, changed=False) == ""
    for _ in range(eye.most):
        eye.learn(0.2, 0.2)
    assert eye.asks(0.5, ok=False, changed=True) == ""


def test_a_curve_of_another_shape_differs_and_one_of_another_scale_does_not(curves):
    from dataclasses import replace

    eye = Vigilance(0.05, 50)
    differing = [eye.differs(curves[place % 2]) for place in range(10)]
    assert not any(differing)
    assert not eye.differs(replace(curves[0], g=3.0 * curves[0].g))
    assert eye.differs(curves[2])
