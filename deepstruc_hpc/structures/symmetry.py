"""Point groups as matrices, and what a set of sites looks like under them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Bool, Float64, Int64, Numbers, Real

Operations = NDArray[np.float64]
"""(G, 3, 3) orthogonal matrices; a site x goes to ``operation @ x``."""


def _rotation(axis: ArrayLike, angle: float) -> NDArray[np.float64]:
    x, y, z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turned: NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return turned


def _closure(generators: list[NDArray[np.float64]]) -> Operations:
    """The group that matrices generate, the identity first, in a fixed order."""
    found = {tuple(np.round(np.eye(3), 6).ravel() + 0.0): np.eye(3)}
    frontier = [np.eye(3)]
    while frontier:
        fresh = []
        for element in frontier:
            for generator in generators:
                made = generator @ element
                key = tuple(np.round(made, 6).ravel() + 0.0)
                if key not in found:
                    found[key] = made
                    fresh.append(made)
        frontier = fresh
    return np.array(list(found.values()))


@lru_cache(maxsize=8)
def point_group(name: str) -> Operations:
    """The full point group of a lattice or a multiply twinned particle.

    Args:
        name: ``cubic`` (Oh about the axes, 48), ``hexagonal`` (D6h about z, 24), ``icosahedral`` (Ih with two-fold axes along x, y, z, 120), or
            ``pentagonal`` (D5h about z with a two-fold axis along x, 20).
    """
    inversion = -np.eye(3)
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    generators = {
        "cubic": [_rotation([0, 0, 1], np.pi / 2), _rotation([1, 1, 1], 2 * np.pi / 3), inversion],
        "hexagonal": [_rotation([0, 0, 1], np.pi / 3), _rotation([1, 0, 0], np.pi), inversion],
        "icosahedral": [_rotation([0, 1, golden], 2 * np.pi / 5), _rotation([0, 0, 1], np.pi), _rotation([1, 1, 1], 2 * np.pi / 3), inversion],
        "pentagonal": [_rotation([0, 0, 1], 2 * np.pi / 5), np.diag([1.0, 1.0, -1.0]), np.diag([-1.0, 1.0, 1.0])],
    }
    operations = _closure(generators[name])
    operations.setflags(write=False)
    return operations


def site_permutations(
    sites: Real[Numbers, "sites 3"], operations: Float64[Operations, "operations 3 3"], tolerance: float = 1e-6
) -> Int64[NDArray[np.intp], "operations sites"]:
    """For each operation, the index of the site that each site goes to; (G, S).

    Raises:
        StructureError: an operation takes a site to a place that holds none.
    """
    xyz = np.asarray(sites, dtype=np.float64)
    distance, index = cKDTree(xyz).query(np.einsum("gij,sj->gsi", operations, xyz).reshape(-1, 3))
    if np.max(distance) > tolerance:
        raise StructureError("the sites are not closed under the operations given.")
    return np.asarray(index, dtype=np.intp).reshape(len(operations), len(xyz))


def operations_of(
    sites: Real[Numbers, "sites 3"], candidates: Float64[Operations, "candidates 3 3"], reach: float
) -> Float64[Operations, "operations 3 3"]:
    """Those candidates that map the sites within a reach of the origin on themselves (the set must be complete up to the reach)."""
    xyz = np.asarray(sites, dtype=np.float64)
    near = xyz[(xyz**2).sum(axis=1) <= reach**2 + 1e-9]
    moved = np.einsum("gij,sj->gsi", candidates, near)
    distance, _ = cKDTree(xyz).query(moved.reshape(-1, 3))
    kept: Operations = candidates[np.asarray(distance).reshape(len(candidates), -1).max(axis=1) < 1e-6]
    return kept


def canonical_mask(
    mask: Bool[NDArray[np.bool_], " sites"], permutations: Int64[NDArray[np.intp], "operations sites"]
) -> Bool[NDArray[np.bool_], " sites"]:
    """One representative of all masks that symmetry makes equal: the one that fills the earliest sites.

    Args:
        mask: (S,) which sites are filled.
        permutations: (G, S) from :func:`site_permutations`.
    """
    images = mask[permutations]
    packed = np.packbits(images, axis=1)
    best = max(range(len(packed)), key=lambda g: packed[g].tobytes())
    chosen: NDArray[np.bool_] = images[best]
    return chosen
