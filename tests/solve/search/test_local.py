"""Search about the best candidates: what is broken is mended, and nothing impossible comes out."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, cKDTree

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import resolve_conditions
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.search.moves import all_moves, fault_moves, with_layer, without_layer
from deepstruc_hpc.solve.search.local import search_neighbours
from deepstruc_hpc.structures.occupation import complexity_of, faults_of, inside_hull, missing_orbits, place, place_stack, stack_of, with_room
from deepstruc_hpc.solve.ranking.ranking import rank_candidates
from deepstruc_hpc.solve.candidates.fitting import refine
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.parents import parent_of

CONDITIONS = {"qmin": 0.7, "qmax": 22.0, "qdamp": 0.03}


def ball(parent_name, radius, **changes):
    """A sphere on a parent, as gold."""
    parent = parent_of(parent_name, 6.5)
    return parent.structure(parent.distance < radius, "Au", 2.88)


def octahedron(cut=None):
    """A truncated octahedron of fcc; with a limit, cut at it along one [111]."""
    parent = parent_of("fcc octahedral hole", 6.5)
    mask = np.abs(parent.sites @ parent.facets[2].T).max(axis=1) < 2.1
    mask &= np.abs(parent.sites).max(axis=1) < 2.2
    if cut is not None:
        mask &= parent.sites @ parent.facets[2][0] < cut
    return parent.structure(mask, "Au", 2.88)


def curve_of(structure, seed=0):
    r = np.arange(0.0, 22.0, 0.02)
    g = simulate_pdf(structure.symbols, structure.positions, r, **CONDITIONS, uiso=0.008, delta2=2.0)
    g = g + 0.01 * g.std() * np.random.default_rng(seed).normal(size=len(r))
    return PdfCurve(r, g, header={"qmin": 0.7, "qmax": 22.0}, source="simulated")


def searched(start, truth, seed=0, **settings):
    """Candidates and table of a search from one structure against the curve of another."""
    curve, chosen = curve_of(truth), SolveSettings(elements=("Au",), qdamp=0.03, **{"neighbours": 700, **settings})
    conditions = resolve_conditions(curve, chosen)
    candidates = [Candidate(start, "cvae", latent=(0.0,))]
    fits = refine(candidates, curve, conditions)
    rng = np.random.default_rng(seed)
    return search_neighbours(candidates, fits, curve, conditions, chosen, start=1.0, type_prior=None, rng=rng)


def best_of(candidates, table):
    return candidates[int(table.sort_values("rw")["index"].iloc[0])].structure


def test_a_mackay_icosahedron_with_atoms_missing_is_completed():
    whole = ball("icosahedral", 3.05)
    assert len(whole) == 147
    broken = Structure.of_element("Au", np.delete(whole.positions, [60, 75, 100, 120, 130, 146], axis=0), "icosahedral")
    found = best_of(*searched(broken, whole)[:2])
    assert fingerprint(found, scale_free=True) == fingerprint(whole, scale_free=True)


def test_an_icosahedron_about_an_empty_centre_is_found_and_a_full_one_is_not_emptied():
    """The vacancy at the centre costs nothing, any other one does; the data decide."""
    full = ball("icosahedral", 2.1)
    assert len(full) == 55
    hollow = Structure.of_element("Au", full.positions[np.linalg.norm(full.positions, axis=1) > 1.0], "icosahedral")
    pierced = Structure.of_element("Au", np.delete(full.positions, 1, axis=0), "icosahedral")
    assert [complexity_of(place(structure)) for structure in (full, hollow)] == [0.0, 0.0]
    assert complexity_of(place(pierced)) > 0.5
    for start, truth in ((full, hollow), (hollow, full)):
        found = best_of(*searched(start, truth)[:2])
        assert fingerprint(found, scale_free=True) == fingerprint(truth, scale_free=True)


def test_an_octahedron_one_facet_off_is_found():
    whole = octahedron()
    cut = octahedron(cut=1.7)
    assert 8 < len(whole) - len(cut) < 60
    found = best_of(*searched(cut, whole)[:2])
    assert fingerprint(found, scale_free=True) == fingerprint(whole, scale_free=True)


def test_a_twin_plane_is_found_from_the_perfect_crystal():
    parent = parent_of("close-packed ABCACBA", 6.5)
    twinned = parent.structure(np.linalg.norm(parent.sites, axis=1) < 2.6, "Au", 2.88)
    perfect = parent_of("close-packed ABCABCA", 6.5)
    placed = place_stack("ABCABCA", perfect.sites[np.linalg.norm(perfect.sites, axis=1) < 2.6])
    assert placed.kind == "fcc"
    candidates, table, _ = searched(placed.structure("Au", 2.88, "fcc"), twinned, neighbours=1500)
    assert best_of(candidates, table).structure_type == "stacking_fault"
    assert table["rw"].min() < 0.6 * table["rw"].iloc[0]


def test_a_strained_decahedron_is_not_turned_into_a_faulted_stack():
    parent, stack = parent_of("decahedral atom", 6.5), parent_of("close-packed ABABCAC", 6.5)
    truth = parent.structure(parent.distance < 2.7, "Au", 2.88)
    radius = np.linalg.norm(truth.positions, axis=1)
    strained = Structure.of_element("Au", truth.positions * (1 - 0.03 * (radius / radius.max()) ** 4)[:, None], "decahedral")
    curve, settings = curve_of(strained), SolveSettings(elements=("Au",), qdamp=0.03, neighbours=800)
    conditions = resolve_conditions(curve, settings)
    begin = [ball("decahedral atom", 2.4), stack.structure(np.linalg.norm(stack.sites, axis=1) < 2.5, "Au", 2.88)]
    candidates = [Candidate(structure, "cvae", latent=(0.0,), complexity=1) for structure in begin]
    fits = refine(candidates, curve, conditions)
    rng = np.random.default_rng(0)
    _, table, _ = search_neighbours(candidates, fits, curve, conditions, settings, start=1.0, type_prior=None, rng=rng)
    ranked = rank_candidates(table, independent_points=conditions.independent_points(20.0), settings=settings.rank)
    assert ranked["structure_type"].iloc[0] == "decahedral"
    assert ranked["rw"].iloc[0] < 0.6 * fits["rw"].iloc[0]


def test_nothing_that_is_proposed_clashes_or_falls_apart():
    start = ball("decahedral atom", 2.6)
    candidates, table, counts = searched(start, ball("decahedral bond", 2.9))
    assert counts["neighbours"] <= 700
    assert counts["neighbours_kept"] > 0
    assert len(candidates) == len(table)
    for candidate in candidates[1:]:
        positions = candidate.structure.positions
        nearest = np.asarray(cKDTree(positions).query(positions, k=2)[0])[:, 1]
        assert candidate.source == "neighbour"
        assert nearest.min() > 0.9 * 2.8
        assert nearest.max() < 1.1 * 2.95


def test_the_same_numbers_give_the_same_search_and_no_budget_none():
    start, truth = ball("fcc atom", 2.1), ball("fcc bond", 2.4)
    first, again = (searched(start, truth, neighbours=300)[1] for _ in range(2))
    assert first["rw"].tolist() == again["rw"].tolist()
    assert len(searched(start, truth, neighbours=0)[0]) == 1


def test_what_is_kept_scores_better_than_what_it_came_from():
    _, table, _ = searched(ball("hcp atom", 2.3), ball("hcp octahedral hole", 2.4), neighbours=300)
    assert (table["rw"].iloc[1:] < table["rw"].iloc[0]).all()


@pytest.mark.parametrize("name", ["fcc atom", "hcp octahedral hole", "bcc face", "sc cube", "icosahedral", "decahedral bond", "close-packed ABCACB"])
def test_a_cluster_of_every_kind_is_placed_with_room_to_grow(name):
    structure = ball(name, 2.4)
    placed = place(structure)
    assert placed.kind == structure.structure_type
    assert int(placed.mask.sum()) == len(structure)
    assert fingerprint(placed.structure("Au", 2.88, ""), scale_free=True) == fingerprint(structure, scale_free=True)
    assert all(len(one.sites) >= 6 for one in all_moves(placed, np.random.default_rng(0)))


def test_a_stack_that_has_grown_to_its_ends_gets_more_layers():
    parent = parent_of("close-packed ABCACB", 6.5)
    drum = np.hypot(parent.sites[:, 0], parent.sites[:, 1]) < 2.5
    placed = place(parent.structure(drum, "Au", 2.88))
    top = np.array([0.0, 0.0, 1.0])
    grown = placed.with_mask(placed.mask | with_layer(placed, top))
    taller = with_room(grown)
    assert taller.parent.layer.max() == placed.parent.layer.max() + 1
    assert taller.mask.sum() == grown.mask.sum()
    assert with_layer(taller, top).any()
    assert with_room(placed) is placed


def test_layers_come_off_and_go_on_along_a_normal():
    placed = place(octahedron())
    normal = placed.parent.facets[2][0]
    grown = placed.with_mask(placed.mask | with_layer(placed, normal))
    assert grown.mask.sum() > placed.mask.sum()
    back = grown.mask & ~without_layer(grown, normal)
    assert (back == placed.mask).all()


def test_complexity_counts_faults_and_holes_but_not_the_outline():
    whole = place(ball("fcc atom", 2.4))
    assert complexity_of(whole) == 0
    hole = whole.mask.copy()
    hole[np.flatnonzero(whole.mask)[5]] = False
    assert complexity_of(whole.with_mask(hole)) == pytest.approx(np.log(2))
    symmetric = whole.mask.copy()
    symmetric[(whole.parent.distance > 0.9) & (whole.parent.distance < 1.1)] = False
    assert missing_orbits(whole.with_mask(symmetric)) == pytest.approx(1)
    twin, odd = (parent_of(f"close-packed {sequence}", 6.5) for sequence in ("ABCACBA", "ABABCAC"))
    assert [faults_of(p.structure(p.distance < 2.6, "Au", 2.88)) for p in (twin, odd)] == [1, 2]


def test_taking_a_fault_out_and_putting_it_in_come_back_to_the_same_particle():
    parent = parent_of("close-packed ABCACBA", 6.5)
    twinned = parent.structure(np.linalg.norm(parent.sites, axis=1) < 2.6, "Au", 2.88)
    perfect = [one for one in fault_moves(place(twinned)) if one.kind == "fcc"]
    assert len(perfect) == 1
    assert int(perfect[0].mask.sum()) == len(twinned)
    words = {stack_of(one.sites)[0] for one in fault_moves(perfect[0]) if one.kind == "stacking_fault"}
    assert any(faults == 1 for faults in (faults_of(one.structure("Au", 2.88, "")) for one in fault_moves(perfect[0])))
    assert words


@pytest.mark.parametrize("name", ["fcc octahedral hole", "icosahedral", "bcc atom", "hcp atom"])
def test_sites_within_the_outline_are_those_within_the_convex_hull(name):
    """Fails if a direction rules out a site that the hull holds: the shortcut may save the hull, never change what it says."""
    parent, rng = parent_of(name, 6.5), np.random.default_rng(0)
    for _ in range(20):
        level = np.linalg.norm((parent.sites - rng.normal(size=3) * 0.2) * np.exp(rng.normal(0, 0.2, size=3)), axis=1)
        points, tested = parent.sites[(level < 2.6) & (rng.random(len(parent)) < 0.9)], parent.sites[level < 4.0]
        hull = ConvexHull(points).equations
        expected = (tested @ hull[:, :3].T + hull[:, 3]).max(axis=1) < -0.02
        np.testing.assert_array_equal(inside_hull(points, tested, np.concatenate(parent.facets)), expected)
