"""Neighbours of atoms in a cluster: how many, and in which direction the vacuum lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.shapes import Int64, Positions
from deepstruc_hpc.structures.sites import shortest_distance

BOND_STRETCH = 1.2
"""Two atoms are neighbours up to so many times the shortest distance: between the first and second shell of every close packing."""


def bonded_pairs(positions: Positions, cutoff: float | None = None) -> Int64[NDArray[np.intp], "pairs 2"]:
    """(P, 2) pairs of neighbours, first index below the second, sorted.

    Args:
        positions: (N, 3).
        cutoff: in the unit of the positions; 1.2 times the shortest distance where not given.
    """
    if len(positions) < 2:
        return np.empty((0, 2), dtype=np.intp)
    length = BOND_STRETCH * shortest_distance(positions) if cutoff is None else cutoff
    pairs = np.asarray(cKDTree(positions).query_pairs(length, output_type="ndarray"), dtype=np.intp)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def coordination_numbers(positions: Positions, cutoff: float | None = None) -> Int64[NDArray[np.intp], " atoms"]:
    """(N,) number of neighbours of each atom; see :func:`bonded_pairs`."""
    return np.asarray(np.bincount(bonded_pairs(positions, cutoff).ravel(), minlength=len(positions)), dtype=np.intp)


def outward_directions(positions: Positions) -> Positions:
    """(N, 3) unit vectors away from an atom's neighbours; zero where the neighbours balance."""
    pairs = bonded_pairs(positions)
    away = np.zeros_like(positions)
    bond = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    np.add.at(away, pairs[:, 0], bond)
    np.add.at(away, pairs[:, 1], -bond)
    length = np.linalg.norm(away, axis=1, keepdims=True)
    balanced = length < 1e-6 * (1.0 + np.abs(positions).max(initial=0.0))
    return np.where(balanced, 0.0, away / np.where(balanced, 1.0, length))
