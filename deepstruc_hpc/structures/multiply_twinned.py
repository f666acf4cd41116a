"""Multiply twinned particles: decahedra and Mackay icosahedra."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.sites import Sites, to_structure

_FIVEFOLD_EDGE = np.sqrt(3.0) / 2.0


def decahedron_sites(p: int, q: int, r: int) -> Sites:
    """Sites of a decahedron in units of the distance along its five-fold axis, as ``ase.cluster.Decahedron`` places them.

    Columns of atoms run along the axis, √3/2 apart along the five twin planes; the strain of closing five fcc tetrahedra is taken up between the
    twin planes, where neighbouring columns are 2·(√3/2)·sin 36° = 1.018 apart.

    Args:
        p: atoms on the (100) facets perpendicular to the five-fold axis.
        q: atoms on the (100) facets parallel to the axis; 1 means none.
        r: depth of the Marks re-entrance at the corners; 0 means none.
    """
    height = p + q + 2 * r - 1
    width = p + 2 * r
    angles = np.pi / 2 + 2 * np.pi / 5 * np.arange(5)
    vertices = _FIVEFOLD_EDGE * np.stack([np.cos(angles), np.sin(angles), np.zeros(5)], axis=1)
    columns = [np.zeros((1, 3))]
    lengths = [height]
    for ring in range(1, min(height, width)):
        along = np.array([i for i in range(ring) if ring - i < width - r and i < width - r])
        if len(along):
            first, second = np.roll(vertices, 1, axis=0), vertices
            columns.append(((ring - along)[None, :, None] * first[:, None] + along[None, :, None] * second[:, None]).reshape(-1, 3))
            lengths += [height - ring] * (5 * len(along))
    base = np.concatenate(columns)
    counts = np.array(lengths)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.arange(counts.sum()) - starts
    sites = np.repeat(base, counts, axis=0)
    sites[:, 2] = rank - (np.repeat(counts, counts) - 1) / 2.0
    return sites


def _icosahedron_frame() -> tuple[NDArray[np.float64], list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Corners at distance 1 from the centre, edges and faces of an icosahedron; two-fold axes along x, y and z."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    vertices = np.array([np.roll([0.0, s, t * golden], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)]) / np.sqrt(1.0 + golden**2)
    near = np.abs(np.linalg.norm(vertices[:, None] - vertices[None], axis=-1) - 2.0 / np.sqrt(1.0 + golden**2)) < 1e-6
    edges = [(i, j) for i, j in combinations(range(12), 2) if near[i, j]]
    faces = [(i, j, k) for i, j, k in combinations(range(12), 3) if near[i, j] and near[j, k] and near[i, k]]
    return vertices, edges, faces


def icosahedron_sites(shells: int) -> Sites:
    """Sites of a Mackay icosahedron with a number of shells (the central atom is the first), in units of the distance along a radius.

    Neighbours along a radius are 1 apart, neighbours within a shell 1.0515.

    Source: A. L. Mackay, Acta Cryst. 15 (1962) 916; 10 n² + 2 atoms in shell n.
    """
    vertices, edges, faces = _icosahedron_frame()
    sites = [np.zeros((1, 3))]
    for shell in range(1, shells):
        sites.append(shell * vertices)
        sites += [((shell - s) * vertices[i] + s * vertices[j])[None] for i, j in edges for s in range(1, shell)]
        sites += [
            (s * vertices[i] + t * vertices[j] + (shell - s - t) * vertices[k])[None]
            for i, j, k in faces
            for s in range(1, shell - 1)
            for t in range(1, shell - s)
        ]
    return np.concatenate(sites)


def anti_mackay_sites(shells: int) -> Sites:
    """A Mackay icosahedron with an overlayer in stacking-fault (hcp) positions on its faces and atoms on its corners.

    13 + 32 = 45, 55 + 72 = 127, 147 + 132 = 279 atoms for 2, 3 and 4 Mackay shells.

    Source: J. P. K. Doye and D. J. Wales, Z. Phys. D 40 (1997) 194.

    Args:
        shells: of the Mackay core, the central atom counted; at least 2.
    """
    vertices, _, faces = _icosahedron_frame()
    edge = shells - 1
    overlayer = [shells * vertices]
    for face in faces:
        first, second, third = vertices[list(face)]
        normal = first + second + third
        normal /= np.linalg.norm(normal)
        # An atom 1 from each corner of a triangle with sides of 1.0515.
        height = np.sqrt(1.0 - ((first - second) @ (first - second)) / 3.0)
        steps = [(i, j, edge - 1 - i - j) for i in range(edge) for j in range(edge - i)]
        overlayer += [((i + 1 / 3) * first + (j + 1 / 3) * second + (k + 1 / 3) * third + height * normal)[None] for i, j, k in steps]
    return np.concatenate([icosahedron_sites(shells), *overlayer])


def build_anti_mackay(symbol: str, nn_distance: float, *, shells: int) -> Structure:
    """An icosahedron with an anti-Mackay overlayer; ``nn_distance`` (Å) as for the Mackay icosahedron.

    Raises:
        StructureError: fewer than two Mackay shells.
    """
    if shells < 2:
        raise StructureError(f"anti-Mackay icosahedron on {shells} shells: at least two are needed.")
    return to_structure(anti_mackay_sites(shells), symbol, nn_distance, "icosahedral", f"{symbol} anti-Mackay shells {shells}")


def build_decahedron(symbol: str, nn_distance: float, *, p: int, q: int, r: int) -> Structure:
    """A decahedron (p, q, r); ``nn_distance`` (Å) is the distance along the five-fold axis, the shortest of all.

    Raises:
        StructureError: p or q below 1, or r below 0.
    """
    if min(p, q) < 1 or r < 0:
        raise StructureError(f"decahedron p{p} q{q} r{r}: p and q of at least 1 and r of at least 0 are needed.")
    return to_structure(decahedron_sites(p, q, r), symbol, nn_distance, "decahedral", f"{symbol} decahedral p{p} q{q} r{r}")


def build_icosahedron(symbol: str, nn_distance: float, *, shells: int) -> Structure:
    """An icosahedron of a number of shells, the central atom counted.

    ``nn_distance`` (Å) is the distance along a radius, the shortest, as in ``ase.cluster``; within a shell it is 5.1 % longer.

    Raises:
        StructureError: fewer than one shell.
    """
    if shells < 1:
        raise StructureError(f"icosahedron with {shells} shells: at least one is needed.")
    return to_structure(icosahedron_sites(shells), symbol, nn_distance, "icosahedral", f"{symbol} icosahedral shells {shells}")
