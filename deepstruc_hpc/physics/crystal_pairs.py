"""The pairs of sites of a crystal within a reach, and their distances in cells and at positions that change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import CellVectors, Float64, Int64
from deepstruc_hpc.physics.compiled import compiled

Float = NDArray[np.float64]


@compiled
def _fill_pairs(lattice: Any, fractions: Any, first: Any, spans: Any, reach: float, table: Any) -> int:  # noqa: PLR0917 - compiled
    """Fill the table as far as it goes, and count all pairs."""
    found = 0
    for a in range(first.shape[0]):
        i = first[a]
        for j in range(fractions.shape[0]):
            for n0 in range(-spans[0], spans[0] + 1):
                for n1 in range(-spans[1], spans[1] + 1):
                    for n2 in range(-spans[2], spans[2] + 1):
                        u = fractions[j, 0] - fractions[i, 0] + n0
                        v = fractions[j, 1] - fractions[i, 1] + n1
                        w = fractions[j, 2] - fractions[i, 2] + n2
                        x = u * lattice[0, 0] + v * lattice[1, 0] + w * lattice[2, 0]
                        y = u * lattice[0, 1] + v * lattice[1, 1] + w * lattice[2, 1]
                        z = u * lattice[0, 2] + v * lattice[1, 2] + w * lattice[2, 2]
                        d2 = x * x + y * y + z * z
                        if 1e-6 < d2 <= reach * reach:
                            if found < table.shape[0]:
                                table[found, 0] = i
                                table[found, 1] = j
                                table[found, 2] = n0
                                table[found, 3] = n1
                                table[found, 4] = n2
                            found += 1
    return found


@compiled
def _distances(lattice: Any, fractions: Any, table: Any, out: Any) -> None:
    for k in range(table.shape[0]):
        i, j = table[k, 0], table[k, 1]
        u = fractions[j, 0] - fractions[i, 0] + table[k, 2]
        v = fractions[j, 1] - fractions[i, 1] + table[k, 3]
        w = fractions[j, 2] - fractions[i, 2] + table[k, 4]
        x = u * lattice[0, 0] + v * lattice[1, 0] + w * lattice[2, 0]
        y = u * lattice[0, 1] + v * lattice[1, 1] + w * lattice[2, 1]
        z = u * lattice[0, 2] + v * lattice[1, 2] + w * lattice[2, 2]
        out[k] = np.sqrt(x * x + y * y + z * z)


def site_pairs(
    lattice: CellVectors, fractions: Float64[Float, "sites 3"], first: Int64[NDArray[np.intp], " first"], reach: float
) -> Int64[NDArray[np.intp], "pairs 5"]:
    """Pairs from some sites of the cell to all sites within a reach.

    Args:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3).
        first: sites to start from.
        reach: Å.

    Returns:
        (K, 5): first site, second site, cell of the second one.
    """
    fractions = np.mod(fractions, 1.0)
    spans = np.floor(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(np.intp) + 1  # fractions differ by less than 1
    places, sites = np.ascontiguousarray(fractions), np.ascontiguousarray(first)
    cell = np.ascontiguousarray(lattice)
    count = _fill_pairs(cell, places, sites, spans, reach, np.empty((0, 5), dtype=np.intp))
    table = np.empty((count, 5), dtype=np.intp)
    _fill_pairs(cell, places, sites, spans, reach, table)
    return table


def pair_distances(lattice: CellVectors, fractions: Float64[Float, "sites 3"], table: Int64[NDArray[np.intp], "pairs 5"]) -> Float64[Float, " pairs"]:
    """(K,) Å of the pairs of :func:`site_pairs` in another cell and at other positions."""
    out = np.empty(len(table))
    _distances(np.ascontiguousarray(lattice), np.ascontiguousarray(fractions), table, out)
    return out
