"""Gold particles on template lattices, for tests."""

import numpy as np

from deepstruc_hpc.structures.template_lattices import template_lattice


def ball(lattice, radius):
    """A sphere on a template lattice, as gold; the radius in nearest-neighbour distances."""
    template = template_lattice(lattice, 6.5)
    return template.structure(template.distance < radius, "Au", 2.88)


def octahedron(cut=None):
    """A truncated octahedron of fcc; with a limit, cut at it along one [111]."""
    template = template_lattice("fcc octahedral hole", 6.5)
    mask = np.abs(template.sites @ template.facets[2].T).max(axis=1) < 2.1
    mask &= np.abs(template.sites).max(axis=1) < 2.2
    if cut is not None:
        mask &= template.sites @ template.facets[2][0] < cut
    return template.structure(mask, "Au", 2.88)


def twinned():
    """A sphere about a twin plane, and the atoms of the untwinned one as (sequence, sites)."""
    twin, perfect = template_lattice("close-packed ABCACBA", 6.5), template_lattice("close-packed ABCABCA", 6.5)
    chosen = np.linalg.norm(twin.sites, axis=1) < 2.6
    return twin.structure(chosen, "Au", 2.88), ("ABCABCA", perfect.sites[np.linalg.norm(perfect.sites, axis=1) < 2.6])
