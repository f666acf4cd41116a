"""What may change in a crystal while its symmetry stays: lengths of the cell, and shifts of sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.cell_symmetry import cell_symmetry
from deepstruc_hpc.core.shapes import CellVectors, Float64, Int64
from deepstruc_hpc.physics.crystal_screen import free_axes

Float = NDArray[np.float64]
MOST_SHIFTS = 20
_SYMMETRY = 0.01


def cell_basis(space_group: int) -> Float64[Float, "free 3"]:
    """Which of a, b, c move together, (n, 3): one row a free length; angles stay."""
    rows = {1: [[1, 1, 1]], 2: [[1, 1, 0], [0, 0, 1]], 3: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    return np.array(rows[free_axes(space_group)], dtype=np.float64)


def shift_basis(
    lattice: CellVectors, fractions: Float64[Float, "sites 3"], kinds: Int64[NDArray[np.intp], " sites"], occupancy: Float64[Float, " sites"]
) -> Float64[Float, "shifts sites 3"]:
    """Shifts of all sites that keep the space group, each moving a site and its equivalents.

    Args:
        lattice: (3, 3) Å.
        fractions: (M, 3).
        kinds: (M,) sites of one kind may be equivalent.
        occupancy: (M,).

    Returns:
        (S, M, 3) changes of the fractions for a shift of 1 Å of the first site of each orbit; a shift of the whole crystal is not among them where
        the origin is free. Without symmetry, or with more than ``MOST_SHIFTS`` of them, none.
    """
    types = np.unique(np.column_stack([kinds, np.round(occupancy, 4)]), axis=0, return_inverse=True)[1].ravel()
    found = cell_symmetry(lattice, fractions, types, precision=_SYMMETRY)
    if found is None:
        return np.zeros((0, *fractions.shape))
    rotations, translations, orbits = found.rotations, found.translations, found.orbits
    basis: list[Float] = []
    for site in np.unique(orbits):
        image = np.einsum("gij,j->gi", rotations, fractions[site]) + translations
        away = image[:, None] - fractions[None]
        target = np.abs((away - np.round(away)) @ lattice).sum(axis=2).argmin(axis=1)
        fixing = rotations[target == site]
        average = np.mean(fixing, axis=0)
        cartesian = lattice.T @ average @ np.linalg.inv(lattice.T)
        values, vectors = np.linalg.eigh(0.5 * (cartesian + cartesian.T))
        for value, vector in zip(values, vectors.T, strict=True):
            if value > 0.99:
                step = vector @ np.linalg.inv(lattice)
                moves = np.zeros_like(fractions)
                for rotation, other in zip(rotations, target, strict=True):
                    moves[other] = rotation @ step
                basis.append(moves)
    if not basis or len(basis) > MOST_SHIFTS:
        return np.zeros((0, *fractions.shape))
    return _without_drift(np.array(basis))


def _without_drift(basis: Float) -> Float:
    """Leave out one shift a direction in which the whole crystal can move."""
    flat = basis.reshape(len(basis), -1)
    kept = list(range(len(basis)))
    for axis in range(3):
        drift = np.zeros(basis.shape[1:])
        drift[:, axis] = 1.0
        shares, left, *_ = np.linalg.lstsq(flat[kept].T, drift.ravel(), rcond=None)
        del left
        if np.abs(flat[kept].T @ shares - drift.ravel()).max() < 1e-6:
            kept.pop(int(np.argmax(np.abs(shares))))
    return basis[kept]
