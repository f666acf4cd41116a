"""Sets of sites in units of the nearest-neighbour distance, their one order, and the step from sites to a Structure.

The order of atoms in every built structure: by distance from the centroid, then by polar angle from +z, then by azimuth from +x, each compared to
1e-6. Coordinates are rounded to 1e-12 first, so that the same shape comes out alike on machines whose sine differs in the last bit.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64, Int64, Numbers, Positions, Real
from deepstruc_hpc.core.structure import Structure

Sites: TypeAlias = NDArray[np.float64]
"""(N, 3) positions in units of the nearest-neighbour distance."""

_TOLERANCE_DIGITS = 6
_MOST_COMPARED = 1000
"""Of more atoms the nearest ones are found by a tree instead of comparing all pairs."""


class EmptyShapeError(StructureError):
    """Parameters that leave no atoms: a list of shapes passes over them."""


def canonical_permutation(sites: Real[Numbers, "atoms 3"]) -> Int64[NDArray[np.intp], " atoms"]:
    """Indices that put sites in the builder's order: distance from the origin, polar angle, azimuth.

    Args:
        sites: (N, 3), any unit of length near 1; the origin counts as the centre.
    """
    from deepstruc_hpc.structures.kernels import spherical_keys

    xyz = np.ascontiguousarray(sites, dtype=np.float64)
    return np.lexsort(spherical_keys(xyz, 10.0**_TOLERANCE_DIGITS))


def nearest_distances(positions: Real[Numbers, "atoms 3"]) -> Float64[NDArray[np.float64], " atoms"]:
    """(N,) distance of each of (N, 3) atoms to its nearest one; infinite for a single atom. Unit of the positions."""
    xyz = np.ascontiguousarray(positions, dtype=np.float64)
    if len(xyz) < 2:
        return np.full(len(xyz), np.inf)
    if len(xyz) > _MOST_COMPARED:
        return np.asarray(cKDTree(xyz).query(xyz, k=2)[0])[:, 1]
    from deepstruc_hpc.structures.kernels import nearest_squared

    return np.sqrt(nearest_squared(xyz))


def shortest_distance(positions: Real[Numbers, "atoms 3"]) -> float:
    """The shortest distance between two atoms; infinite for a single one. Unit of the positions."""
    xyz = np.asarray(positions, dtype=np.float64)
    if len(xyz) < 2:
        return float("inf")
    nearest = np.asarray(cKDTree(xyz).query(xyz, k=2)[0])
    return float(nearest[:, 1].min())


def centred_and_ordered(sites: Real[Numbers, "atoms 3"]) -> Positions:
    """Sites with their centroid at the origin, rounded to 1e-12 and in the builder's order."""
    xyz = np.asarray(sites, dtype=np.float64).reshape(-1, 3)
    if len(xyz) == 0:
        raise EmptyShapeError("a shape without atoms cannot be built; ask for a larger one.")
    xyz = np.round(xyz - xyz.mean(axis=0), 12) + 0.0
    return np.ascontiguousarray(xyz[canonical_permutation(xyz)])


def to_structure(sites: Real[Numbers, "atoms 3"], symbol: str, nn_distance: float, structure_type: str, label: str = "") -> Structure:
    """A one-element structure from sites in units of the nearest-neighbour distance.

    Args:
        sites: (N, 3) in units of the nearest-neighbour distance.
        symbol: element symbol.
        nn_distance: Å, positive.
        structure_type: see :class:`deepstruc_hpc.core.structure.Structure`.
        label: what it is, in words.

    Raises:
        StructureError: no sites, or a distance that is not positive.
    """
    if not nn_distance > 0:
        raise StructureError(f"{label or structure_type}: nearest-neighbour distance {nn_distance} Å; a positive number is needed.")
    return Structure.of_element(symbol, centred_and_ordered(sites) * nn_distance, structure_type, label)
