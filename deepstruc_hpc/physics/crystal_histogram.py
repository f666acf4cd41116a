"""The distances of a crystal laid on a grid of r, for a screening: weights of two grid points, no widths."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepstruc_hpc.physics.compiled import compiled


@compiled
def lay_histogram(  # noqa: PLR0917 - compiled functions take positional arguments
    lattice: Any, fractions: Any, share: Any, weight: Any, row: Any, spans: Any, step: float, grid: Any
) -> None:
    """Add share·w/d of all pairs from the sites that have a share to the two grid points around d; point n stands for (n + 1)·step.

    A pair of two such sites is met once and counted for both. Distances below 0.001 Å are no pairs.

    Args:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3), differing by less than 1.
        share: (M,) how many sites stand behind each, over the number of atoms; 0 for those that another one stands for.
        weight: (M,) occupancies.
        row: (M, M) row of the grid for each pair of sites.
        spans: (3,) cells to go along each axis to both sides.
        step: Å.
        grid: (P, N) what is added to.
    """
    last = grid.shape[1] - 1
    reach = last * step
    cx, cy, cz = lattice[2, 0], lattice[2, 1], lattice[2, 2]
    cc = cx * cx + cy * cy + cz * cz
    for i in range(fractions.shape[0]):
        if share[i] == 0.0:
            continue
        for j in range(fractions.shape[0]):
            if j < i and share[j] > 0.0:
                continue
            u = fractions[j, 0] - fractions[i, 0]
            v = fractions[j, 1] - fractions[i, 1]
            w = fractions[j, 2] - fractions[i, 2]
            into = row[i, j]
            amount = (share[i] + share[j]) * weight[i] * weight[j]
            for n0 in range(0 if i == j else -spans[0], spans[0] + 1):
                for n1 in range(0 if i == j and n0 == 0 else -spans[1], spans[1] + 1):
                    x1 = (u + n0) * lattice[0, 0] + (v + n1) * lattice[1, 0]
                    y1 = (u + n0) * lattice[0, 1] + (v + n1) * lattice[1, 1]
                    z1 = (u + n0) * lattice[0, 2] + (v + n1) * lattice[1, 2]
                    middle = (x1 * cx + y1 * cy + z1 * cz) / cc + w
                    half = chord(x1, y1, z1, middle - w, cc, reach)
                    low = 1 if i == j and n0 == 0 and n1 == 0 else max(-spans[2], int(np.floor(-middle - half)))
                    for n2 in range(low, min(spans[2], int(np.ceil(half - middle))) + 1):
                        x = x1 + (w + n2) * cx
                        y = y1 + (w + n2) * cy
                        z = z1 + (w + n2) * cz
                        d2 = x * x + y * y + z * z
                        if 1e-6 < d2 < reach * reach:
                            d = np.sqrt(d2)
                            s = d / step - 1.0
                            k = int(np.floor(s))
                            if k < 0:
                                continue
                            grid[into, k] += amount * (1.0 - (s - k)) / d
                            grid[into, k + 1] += amount * (s - k) / d


@compiled
def chord(x: float, y: float, z: float, middle: float, length2: float, reach: float) -> float:  # noqa: PLR0917 - compiled
    """Half the length of what a row of cells has inside a sphere about 0, in cells; −1 where the row passes the sphere by.

    Args:
        x: Å, of a point of the row.
        y: Å.
        z: Å.
        middle: cells from the place next to the centre to this point.
        length2: Å², squared length of a cell along the row.
        reach: Å, radius of the sphere.
    """
    inside = middle * middle - (x * x + y * y + z * z - reach * reach) / length2
    return np.sqrt(inside) if inside > 0.0 else -1.0
