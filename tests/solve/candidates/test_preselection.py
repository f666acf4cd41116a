"""Preselection of long lists: what would fit best is still there."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates import catalog as listed
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.preselection import Screen
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates

COUNT = 300
R = np.arange(2.0, 24.0, 0.05)


@pytest.fixture(scope="module")
def shapes():
    rng = np.random.default_rng(5)
    source = RandomShapes(standard_templates(), RandomShapeSettings(min_atoms=20, max_atoms=120), canonical=False)
    drawn = [source.sample(rng) for _ in range(COUNT)]
    return [source.templates[shape.template].structure(shape.mask, "Au", 2.88) for shape in drawn]


@pytest.fixture(scope="module")
def screen(shapes):
    pdfs = np.array([simulate_pdf(s.symbols, s.positions, R, qmin=0.7, qmax=25.0, qdamp=0.04, uiso=0.004, delta2=2.0) for s in shapes])
    return Screen([pdfs[:100], pdfs[100:]], R, np.full(COUNT, 2.88), np.array([s.structure_type for s in shapes], dtype=object))


def measured(structure, seed):
    """Another zoom, U, Qmax and Qdamp than the list's, and noise."""
    r = np.arange(0.0, 20.0, 0.02)
    moved = structure.positions * 1.015
    g = simulate_pdf(structure.symbols, moved, r, qmin=1.1, qmax=19.0, qdamp=0.03, uiso=0.012, delta2=3.0)
    return PdfCurve(r, g + 0.05 * g.std() * np.random.default_rng(seed).normal(size=len(r)))


@pytest.mark.parametrize("number", [3, 50, 111, 200, 290])
def test_the_best_fit_of_all_survives_a_preselection_to_a_tenth(shapes, screen, number):
    curve = measured(shapes[number], number)
    fits = fit_candidates(shapes, curve, rmin=2.0, rmax=20.0, qmin=1.1, qmax=19.0, qdamp=0.03)
    kept = screen.best(curve, 2.88, 2.0, 20.0, keep=COUNT // 10)
    assert len(kept) == COUNT // 10
    assert fits.order()[0] == number
    assert number in kept


def test_every_type_keeps_some(shapes, screen):
    kept = screen.best(measured(shapes[0], 0), 2.88, 2.0, 20.0, keep=60)
    kinds = [structure.structure_type for structure in shapes]
    assert {kinds[index] for index in kept} == set(kinds)


def test_a_long_catalog_is_preselected_and_a_short_one_is_not(shapes_store, shape_of, monkeypatch):
    from deepstruc_hpc.data.catalog_store import Catalog

    truth = shape_of("decahedral", "Au", 2.9)
    question = describe(measured(truth, 1), SolveSettings(elements=("Au",), qmin=1.1, qmax=19.0))
    budget = Budget(samples=0, sigma=(3.0,), most_atoms=1000)
    whole = CatalogSource(Catalog.open(shapes_store))
    assert len(whole.candidates(question, budget)) == len(whole)
    monkeypatch.setattr(listed, "KEEP", 8)
    monkeypatch.setattr(listed, "SHARE", 1000)
    found = CatalogSource(Catalog.open(shapes_store)).candidates(question, budget)
    assert (len(found), found.counts["listed"]) == (8, len(whole))
    assert len(truth) in [len(candidate.structure) for candidate in found if candidate.structure.structure_type == "decahedral"]


def test_a_long_list_that_is_read_for_every_curve_offers_what_one_in_memory_does(shapes_store, shape_of, monkeypatch):
    from deepstruc_hpc.data.catalog_store import Catalog

    question = describe(measured(shape_of("fcc", "Au", 2.9), 1), SolveSettings(elements=("Au",), qmin=1.1, qmax=19.0))
    budget = Budget(samples=0, sigma=(3.0,), most_atoms=1000)
    monkeypatch.setattr(listed, "KEEP", 8)
    monkeypatch.setattr(listed, "SHARE", 1000)
    kept = CatalogSource(Catalog.open(shapes_store)).candidates(question, budget)
    monkeypatch.setattr(listed, "IN_MEMORY", 0)
    monkeypatch.setattr(listed, "READ_AT_A_TIME", 3)
    read = CatalogSource(Catalog.open(shapes_store)).candidates(question, budget)
    assert [one.catalog_id for one in read] == [one.catalog_id for one in kept]
    assert all(np.array_equal(a.structure.positions, b.structure.positions) for a, b in zip(read, kept, strict=True))
