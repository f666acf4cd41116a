"""Gold particles on template lattices, for tests."""

import numpy as np

from deepstruc_hpc.structures.parents import parent_of


def ball(lattice, radius):
    """A sphere on a template lattice, as gold; the radius in nearest-neighbour distances."""
    parent = parent_of(lattice, 6.5)
    return parent.structure(parent.distance < radius, "Au", 2.88)


def octahedron(cut=None):
    """A truncated octahedron of fcc; with a limit, cut at it along one [111]."""
    parent = parent_of("fcc octahedral hole", 6.5)
    mask = np.abs(parent.sites @ parent.facets[2].T).max(axis=1) < 2.1
    mask &= np.abs(parent.sites).max(axis=1) < 2.2
    if cut is not None:
        mask &= parent.sites @ parent.facets[2][0] < cut
    return parent.structure(mask, "Au", 2.88)


def twinned():
    """A sphere about a twin plane, and the atoms of the untwinned one as (sequence, sites)."""
    twin, perfect = parent_of("close-packed ABCACBA", 6.5), parent_of("close-packed ABCABCA", 6.5)
    chosen = np.linalg.norm(twin.sites, axis=1) < 2.6
    return twin.structure(chosen, "Au", 2.88), ("ABCABCA", perfect.sites[np.linalg.norm(perfect.sites, axis=1) < 2.6])
