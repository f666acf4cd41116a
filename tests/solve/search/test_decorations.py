"""Alloys of the best shapes, and changes of cut particles."""

import numpy as np
import pytest

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import cut_candidate
from deepstruc_hpc.solve.config import RankSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.search.cuts import cut_moves
from deepstruc_hpc.solve.search.decorations import decorations
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.particle_cut import ParticleCut
from tests.solve.conftest import fitted_set
from tests.structures.particles import ball


def _decorated(composition, kind="fcc atom"):
    r = np.arange(0.0, 20.0, 0.01)
    measurement = describe(PdfCurve(r, np.exp(-0.5 * ((r - 2.75) / 0.1) ** 2), source="x.gr"), SolveSettings(composition=composition))
    shape = Candidate(ball(kind, 2.1), "catalog", length=2.88, atomic_volume=2.88**3 / np.sqrt(2))
    fits = fitted_set((shape.kind, len(shape.structure), 0.2, 0)).fits
    candidates = CandidateSet((shape,), fits=fits)
    return decorations(candidates, measurement, Posterior.of(candidates, measurement, RankSettings())), shape


@pytest.mark.parametrize(("composition", "share"), [("PtNi", 0.5), ("Pt3Ni", 0.25)])
def test_decorated_shapes_hold_the_samples_composition_on_the_sites_of_the_shape(composition, share):
    found, shape = _decorated(composition)
    assert len({candidate.structure.structure_type for candidate in found}) >= 3
    for candidate in found:
        symbols = candidate.structure.symbols
        assert len(symbols) == len(shape.structure)
        assert set(symbols) == {"Pt", "Ni"}
        assert candidate.on_lattice == "fcc"
    random = [candidate for candidate in found if "random" in candidate.kind]
    assert [candidate.structure.symbols.count("Ni") / len(shape.structure) for candidate in random] == pytest.approx([share] * len(random), abs=0.02)


def test_a_decorated_shape_may_be_as_large_as_the_shape_was_fitted():
    found, shape = _decorated("PtNi")
    for candidate in found:
        low, high = candidate.zoom
        assert low * candidate.length < shape.length < high * candidate.length


def _alone(*elements, peak):
    """Decorations of a sphere that was fitted at the peak (Å), of elements whose amounts nobody says."""
    r = np.arange(0.0, 20.0, 0.01)
    curve = PdfCurve(r, np.exp(-0.5 * ((r - peak) / 0.1) ** 2), source="x.gr")
    measurement = describe(curve, SolveSettings(elements=elements))
    shape = Candidate(ball("fcc atom", 2.1), "catalog", length=peak, atomic_volume=peak**3 / np.sqrt(2))
    candidates = CandidateSet((shape,), fits=fitted_set((shape.kind, len(shape.structure), 0.2, 0)).fits)
    return decorations(candidates, measurement, Posterior.of(candidates, measurement, RankSettings()))


def test_with_elements_alone_the_compositions_tried_are_those_that_the_distance_allows():
    shares = {one.decoration[1].shares[one.decoration[1].elements.index("Au")] for one in _alone("Cu", "Au", peak=2.80) if "random" in one.kind}
    assert min(shares) >= 0.5  # Vegard's law says 0.75
    assert (
        len({round(one.structure.symbols.count("Au") / len(one.structure), 1) for one in _alone("Ag", "Au", peak=2.88) if "random" in one.kind}) == 5
    )


def test_the_order_in_which_elements_are_named_changes_no_decoration():
    first, second = (_alone(*names, peak=2.63) for names in (("Pt", "Ni"), ("Ni", "Pt")))
    assert [one.fingerprint for one in first] == [one.fingerprint for one in second]
    assert {one.decoration[1].elements for one in first if "core" in one.kind} == {("Ni", "Pt"), ("Pt", "Ni")}  # either outside


def test_three_elements_lie_in_shells_and_slabs_or_one_apart_from_the_others():
    found = _alone("Au", "Ag", "Cu", peak=2.8)
    shells = {one.decoration[1].elements for one in found if "core" in one.kind and not one.decoration[1].apart}
    assert len(shells) == 6
    assert {one.decoration[1].elements[-1] for one in found if "janus" in one.kind and one.decoration[1].apart} == {"Au", "Ag", "Cu"}
    for one in found:
        assert len(one.structure.elements) == 3


def test_neither_a_metal_nor_a_compound_is_decorated():
    assert len(_decorated("Au")[0]) == 0
    assert len(_decorated("CeO2")[0]) == 0


def test_changes_of_a_cut_are_cuts_or_sites_of_the_same_crystal_and_none_is_listed():
    start = cut_candidate(ParticleCut(prototype_crystal("CeO2"), 8.0), "crystals", listed=True)
    moves = [move for move, _ in zip(cut_moves(start, np.random.default_rng(0)), range(40), strict=False)]
    assert len(moves) == 40
    assert {(move.source, move.listed) for move in moves} == {("neighbour", False)}
    assert {frozenset(move.structure.elements) for move in moves} == {frozenset({"Ce", "O"})}
    changed = [move.cut for move in moves if move.occupation is None]
    assert 0 < len(changed) < len(moves)  # by how it is cut, and by its sites
    assert len({cut.key for cut in changed}) == len(changed)
    assert start.cut.key not in {cut.key for cut in changed}
    assert {cut.crystal.name for cut in changed} == {start.cut.crystal.name}


def test_what_was_not_cut_from_a_crystal_has_no_such_changes():
    assert list(cut_moves(Candidate(ball("fcc atom", 2.1), "catalog"), np.random.default_rng(0))) == []
