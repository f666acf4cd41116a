"""Search about the best candidates: what is broken is mended, and nothing impossible comes out."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.generator import as_metal
from deepstruc_hpc.solve.candidates.source import metal_zoom
from deepstruc_hpc.solve.config import RankSettings, RefusalSettings, SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.applicability import applies
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import rank
from deepstruc_hpc.solve.search.local import assess, search_locally
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.occupation import assign_stack
from deepstruc_hpc.structures.template_lattices import template_lattice
from tests.structures.particles import ball, octahedron, twinned

CONDITIONS = {"qmin": 0.7, "qmax": 22.0, "qdamp": 0.03}
GOLD = 2.88


def curve_of(structure, seed=0):
    r = np.arange(0.0, 22.0, 0.02)
    g = simulate_pdf(structure.symbols, structure.positions, r, **CONDITIONS, uiso=0.008, delta2=2.0)
    g = g + 0.01 * g.std() * np.random.default_rng(seed).normal(size=len(r))
    return PdfCurve(r, g, header={"qmin": 0.7, "qmax": 22.0}, source="simulated")


def fitted(structures, truth, complexity=0.0):
    """Structures as samples of gold, fitted to the curve of another one; and the measurement."""
    measurement = describe(curve_of(truth), SolveSettings(elements=("Au",), qdamp=0.03))
    zoom = metal_zoom(measurement, "Au")
    samples = [Candidate(one, "cvae", listed=False, latent=(0.0,), complexity=complexity) for one in structures]
    return fit(CandidateSet(tuple(as_metal(one, "Au", GOLD, zoom) for one in samples)), measurement), measurement


def searched(start, truth, *, seed=0, budget=700, complexity=0.0):
    """What a search from some structures finds against the curve of another one; the first of the set is the first of them."""
    begin, measurement = fitted(start if isinstance(start, list) else [start], truth, complexity)
    scorer = Posterior.of(begin, measurement, RankSettings())
    return search_locally(assess(begin), measurement, scorer, budget=budget, rng=np.random.default_rng(seed)), measurement


def best_of(candidates):
    return candidates.candidates[candidates.best].structure


def is_shape(found, truth):
    return fingerprint(found, scale_free=True) == fingerprint(truth, scale_free=True)


def test_a_mackay_icosahedron_with_atoms_missing_is_completed():
    whole = ball("icosahedral", 3.05)
    assert len(whole) == 147
    broken = Structure.of_element("Au", np.delete(whole.positions, [60, 75, 100, 120, 130, 146], axis=0), "icosahedral")
    assert is_shape(best_of(searched(broken, whole)[0]), whole)


def test_an_icosahedron_about_an_empty_centre_is_found_and_a_full_one_is_not_emptied():
    """The vacancy at the centre costs nothing; the data decide."""
    full = ball("icosahedral", 2.1)
    hollow = Structure.of_element("Au", full.positions[np.linalg.norm(full.positions, axis=1) > 1.0], "icosahedral")
    for start, truth in ((full, hollow), (hollow, full)):
        assert is_shape(best_of(searched(start, truth)[0]), truth)


def test_an_octahedron_one_facet_off_is_found():
    whole, cut = octahedron(), octahedron(cut=1.7)
    assert 8 < len(whole) - len(cut) < 60
    assert is_shape(best_of(searched(cut, whole)[0]), whole)


def test_a_twin_plane_is_found_from_the_perfect_crystal():
    twin, (sequence, sites) = twinned()
    perfect = assign_stack(sequence, sites, symbol="Au", length=GOLD)
    found, _ = searched(perfect.structure(""), twin, budget=1500)
    assert best_of(found).structure_type == "stacking_fault"
    assert found.rw.min() < 0.6 * found.rw[0]


def test_a_strained_decahedron_is_not_turned_into_a_faulted_stack():
    template, stack = template_lattice("decahedral atom", 6.5), template_lattice("close-packed ABABCAC", 6.5)
    truth = template.structure(template.distance < 2.7, "Au", GOLD)
    radius = np.linalg.norm(truth.positions, axis=1)
    strained = Structure.of_element("Au", truth.positions * (1 - 0.03 * (radius / radius.max()) ** 4)[:, None], "decahedral")
    begin = [ball("decahedral atom", 2.4), stack.structure(np.linalg.norm(stack.sites, axis=1) < 2.5, "Au", GOLD)]
    found, measurement = searched(begin, strained, budget=800, complexity=1.0)
    ranking = rank(found, Posterior.of(found, measurement, RankSettings()))
    assert ranking.first.kind == "decahedral"
    assert ranking.candidates.rw[0] < 0.6 * found.rw[0]


def test_nothing_that_is_proposed_clashes_or_falls_apart_or_exceeds_the_budget():
    found, _ = searched(ball("decahedral atom", 2.6), ball("decahedral bond", 2.9))
    assert found.counts["neighbours"] <= 700
    assert len(found) == 1 + found.counts["neighbours_kept"] > 1
    for candidate in found.candidates[1:]:
        positions = candidate.structure.positions
        nearest = np.asarray(cKDTree(positions).query(positions, k=2)[0])[:, 1]
        assert (candidate.source, candidate.listed) == ("neighbour", False)
        assert nearest.min() > 0.9 * 2.8
        assert nearest.max() < 1.1 * 2.95


def test_the_same_numbers_give_the_same_search_and_no_budget_none():
    start, truth = ball("fcc atom", 2.1), ball("fcc bond", 2.4)
    first, again = (searched(start, truth, budget=300)[0] for _ in range(2))
    assert len(first) > 1
    assert first.rw.tolist() == again.rw.tolist()
    assert len(searched(start, truth, budget=0)[0]) == 1


def test_what_is_kept_scores_better_than_what_it_came_from():
    found, _ = searched(ball("hcp atom", 2.3), ball("hcp octahedral hole", 2.4), budget=300)
    assert len(found) > 1
    assert (found.rw[1:] < found.rw[0]).all()


def test_larger_particles_that_fit_worse_were_tried_although_they_are_left_out():
    """Fails where the largest tried is read off what is kept: a true size would be called a lower bound."""
    truth = ball("fcc atom", 2.1)
    smaller = Structure.of_element("Au", truth.positions[np.linalg.norm(truth.positions, axis=1) < 2.0 * GOLD], "fcc")
    begin, measurement = fitted([truth, smaller], truth)
    found = search_locally(begin, measurement, Posterior.of(begin, measurement, RankSettings()), budget=150, rng=np.random.default_rng(0))
    assert found.largest["fcc"] > 1.05 * len(truth)
    place = int(np.argmax(found.n_atoms))
    alone = found.take([place, int(np.argmin(found.n_atoms))])
    assert "largest_tried" not in applies(alone, measurement, RefusalSettings(), 0).flags
    assert "largest_tried" in applies(replace(alone, largest={}), measurement, RefusalSettings(), 0).flags


def test_a_search_leaves_the_set_that_it_was_given_as_it_was():
    begin, measurement = fitted([ball("fcc atom", 2.1)], ball("fcc bond", 2.4))
    before = begin.candidates, begin.rw.tolist(), dict(begin.counts)
    search_locally(begin, measurement, Posterior.of(begin, measurement, RankSettings()), budget=100, rng=np.random.default_rng(0))
    assert (begin.candidates, begin.rw.tolist(), dict(begin.counts)) == before
