"""A large particle seen as a small one of its kind, and a small one's answer stretched to a large one."""

import numpy as np
import pytest

from deepstruc_hpc.data.standard_pdf import standardise
from deepstruc_hpc.model.coarse_view import COARSE_ATOMS, coarse_view, sphere_decay, sphere_diameter, stretched_sites
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.lattices import metal_atomic_volume
from deepstruc_hpc.structures.template_lattices import template_lattice

AXIS = np.arange(0.7, 10.9, 0.04)


def spherical(kind, n_atoms, radius=9.0):
    template = template_lattice(f"{kind} atom", radius)
    return template.sites[np.argsort(template.distance, kind="stable")[:n_atoms]]


def pdf_of(sites):
    g = simulate_pdf(["Au"] * len(sites), sites, AXIS, qmin=1.5, qmax=60.0, qdamp=0.0, uiso=0.0015, delta2=0.3)
    return standardise(g[None], np.ones((1, len(AXIS)), dtype=bool))


def test_the_decay_of_a_sphere_is_the_overlap_of_two():
    """γ(r) is the volume that a sphere shares with itself moved by r, over its own: counted at random points."""
    points = np.random.default_rng(0).uniform(-1, 1, size=(200_000, 3))
    inside = points[np.linalg.norm(points, axis=1) <= 1.0]
    for moved in (0.2, 0.7, 1.3, 1.9):
        shared = np.mean(np.linalg.norm(inside + np.array([moved, 0, 0]), axis=1) <= 1.0)
        assert sphere_decay(np.array([moved]), np.array([2.0]))[0, 0] == pytest.approx(shared, abs=0.006)


@pytest.mark.parametrize("kind", ["fcc", "bcc", "sc"])
@pytest.mark.parametrize("n_atoms", [700, 1500])
def test_a_large_sphere_looks_like_one_of_the_size_that_is_asked_for(kind, n_atoms):
    large, small = pdf_of(spherical(kind, n_atoms)), pdf_of(spherical(kind, COARSE_ATOMS))
    seen, size = coarse_view(large, AXIS, np.array([float(n_atoms)]), np.array([metal_atomic_volume(kind, 1.0)]))
    assert size[0] == COARSE_ATOMS
    before, after = (np.linalg.norm(one[0, 0] - small[0, 0]) for one in (large, seen))
    assert after < 0.4 * before
    assert np.sqrt((seen[0, 0] ** 2).mean()) == pytest.approx(1.0, abs=1e-5)


def test_small_particles_are_seen_as_they_are():
    pdf = pdf_of(spherical("fcc", 147))
    seen, size = coarse_view(pdf, AXIS, np.array([150.0]), np.array([0.7071]))
    assert np.array_equal(seen, pdf)
    assert size[0] == 150.0


@pytest.mark.parametrize("n_atoms", [300, 611, 1400, 2000])
def test_a_ball_stays_a_ball_when_it_is_stretched(n_atoms):
    """The log-odds of a ball of 201 sites, stretched, fill the sites nearest to the origin, but for single ones at the surface."""
    template = template_lattice("fcc atom", 6.5)
    edge = np.sort(template.distance)[201]
    sites = stretched_sites(template, (4.0 * (edge - template.distance)).astype(np.float32), 201.0, n_atoms)
    assert len(sites) == n_atoms
    truth = {tuple(site) for site in np.round(spherical("fcc", n_atoms, 12.0), 6)}
    assert len(truth & {tuple(site) for site in np.round(sites, 6)}) > 0.93 * n_atoms


def test_a_stack_keeps_its_layers_and_grows_along_them():
    template = template_lattice("close-packed ABCACB", 6.5)
    lateral = np.hypot(template.sites[:, 0], template.sites[:, 1])
    sites = stretched_sites(template, (4.0 * (3.0 - lateral)).astype(np.float32), float((lateral < 3.0).sum()), 900)
    assert len(sites) == 900
    assert np.unique(np.round(sites[:, 2], 4)).size == 6
    assert np.hypot(sites[:, 0], sites[:, 1]).max() > 4.0


def test_what_the_decoder_knows_is_taken_site_by_site():
    template = template_lattice("fcc atom", 6.5)
    logits = np.random.default_rng(0).normal(size=len(template)).astype(np.float32)
    sites = stretched_sites(template, logits, 100.0, 100)
    assert np.array_equal(sites, template.sites[np.sort(np.argsort(-logits, kind="stable")[:100])])


def test_diameters_follow_from_volumes():
    assert sphere_diameter(np.array([1000.0]), 0.5)[0] == pytest.approx((6 / np.pi * 500) ** (1 / 3))
