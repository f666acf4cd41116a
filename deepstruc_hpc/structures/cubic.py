"""Clusters cut from the three cubic lattices by facets: sc, bcc and fcc."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import permutations, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.sites import Sites, to_structure

CubicLattice = Literal["sc", "bcc", "fcc"]
Miller = tuple[int, int, int]

LATTICE_CONSTANT: dict[str, float] = {"sc": 1.0, "bcc": 2.0 / np.sqrt(3.0), "fcc": float(np.sqrt(2.0))}
"""Edge of the cubic cell in units of the nearest-neighbour distance."""

BASIS: dict[str, NDArray[np.float64]] = {
    "sc": np.array([[0.0, 0.0, 0.0]]),
    "bcc": np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    "fcc": np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]),
}
"""Sites of the cubic cell in units of its edge."""

EXTRA_LAYER = 0.1
"""A facet that lies n planes from the centre keeps what is nearer than n + 0.1 plane spacings."""


@lru_cache(maxsize=64)
def _cell_sites(lattice: str, reach: int, centre: tuple[float, float, float]) -> NDArray[np.float64]:
    """All sites within ``reach`` of a centre along each axis, in units of the cell edge, about the centre; read-only."""
    steps = np.arange(-reach - 1, reach + 2)
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites: Sites = (cells + BASIS[lattice]).reshape(-1, 3) - np.asarray(centre)
    sites = sites[(np.abs(sites) <= reach + 1e-9).all(axis=1)]
    sites.setflags(write=False)
    return sites


def lattice_sites(lattice: str, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Sites:
    """Sites of a cubic lattice within a radius of a centre, about that centre.

    Args:
        lattice: sc, bcc or fcc.
        radius: in units of the nearest-neighbour distance.
        centre: in fractions of the cubic cell.

    Returns:
        (N, 3) in units of the nearest-neighbour distance.
    """
    edge = LATTICE_CONSTANT[lattice]
    sites = _cell_sites(lattice, int(np.ceil(radius / edge)), centre) * edge
    inside: Sites = sites[(sites**2).sum(axis=1) <= radius**2 * (1 + 1e-12)]
    return inside


@lru_cache(maxsize=256)
def equivalent_planes(miller: Miller) -> Float64[NDArray[np.float64], "planes 3"]:
    """Unit normals of all planes that cubic symmetry makes equal to (h k l); (M, 3), read-only."""
    signed = {
        tuple(sign * index for sign, index in zip(signs, order, strict=True))
        for order in permutations(miller)
        for signs in product((1, -1), repeat=3)
    }
    normals = np.array(sorted(signed), dtype=np.float64)
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    normals.setflags(write=False)
    return normals


def layer_spacing(lattice: str, miller: Miller) -> float:
    """Distance between neighbouring lattice planes (h k l), in units of the cell edge.

    Source: the spacing of a Bravais lattice's planes is the smallest positive projection of a lattice vector on the normal.
    """
    steps = np.array(list(product(range(-2, 3), repeat=3)))
    projections = ((steps[:, None, :] + BASIS[lattice]).reshape(-1, 3) @ np.array(miller)) / np.linalg.norm(miller)
    return float(projections[projections > 1e-9].min())


def facetted_sites(lattice: str, facets: Mapping[Miller, float], centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Sites:
    """Sites inside the body bounded by facets, each with all planes that are equal by cubic symmetry.

    Args:
        lattice: sc, bcc or fcc.
        facets: Miller indices → distance of the plane from the centre, in units of the cell edge.
        centre: of the body, in fractions of the cubic cell.

    Returns:
        (N, 3) about the centre, in units of the nearest-neighbour distance.
    """
    # |x| on the body is bounded by each family alone: a plane family (h k l) at d holds max|x_i| ≤ d·|hkl|/max(h,k,l).
    reach = min(distance * float(np.linalg.norm(miller)) / max(map(abs, miller)) for miller, distance in facets.items())
    sites = _cell_sites(lattice, int(np.ceil(max(reach, 0.0))), centre)
    inside = np.ones(len(sites), dtype=bool)
    for miller, distance in facets.items():
        # The largest projection over a family is that of |x| sorted on |hkl| sorted.
        largest = np.sort(np.abs(sites), axis=1) @ np.sort(np.abs(np.array(miller, dtype=np.float64))) / np.linalg.norm(miller)
        inside &= largest < distance
    kept: Sites = sites[inside] * LATTICE_CONSTANT[lattice]
    return kept


def layered_sites(lattice: str, layers: Mapping[Miller, float], centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Sites:
    """Sites inside facets that lie a number of lattice planes from the centre, as ``ase.cluster`` counts them.

    A facet keeps every site nearer than (layers + 0.1) plane spacings.

    Args:
        lattice: sc, bcc or fcc.
        layers: Miller indices → number of lattice planes.
        centre: of the body, in fractions of the cubic cell.
    """
    distances = {miller: (count + EXTRA_LAYER) * layer_spacing(lattice, miller) for miller, count in layers.items()}
    return facetted_sites(lattice, distances, centre)


def planes_needed(lattice: str, max_layers: int) -> Float64[NDArray[np.float64], "3 sites"]:
    """How many planes of (100), (110) and (111) each site lies from the atom at the centre, (3, S), for bodies of at most so many planes to (100).

    A site is in the body of h, k, l planes when these numbers are below h + 0.1, k + 0.1 and l + 0.1.
    """
    sites = _cell_sites(lattice, int(np.ceil((max_layers + EXTRA_LAYER) * layer_spacing(lattice, (1, 0, 0)))), (0.0, 0.0, 0.0))
    largest = np.sort(np.abs(sites), axis=1)
    families = ((1, 0, 0), (1, 1, 0), (1, 1, 1))
    return np.stack([largest @ np.sort(miller) / np.linalg.norm(miller) / layer_spacing(lattice, miller) for miller in families])


def build_cubic(symbol: str, nn_distance: float, *, lattice: CubicLattice, h: int, k: int, l: int) -> Structure:  # noqa: E741
    """A cluster with (100), (110) and (111) facets, h, k and l lattice planes from an atom at its centre.

    Args:
        symbol: element.
        nn_distance: Å.
        lattice: sc, bcc or fcc.
        h: planes to the (100) facets, at least 1.
        k: planes to the (110) facets, at least 1.
        l: planes to the (111) facets, at least 1.

    Raises:
        StructureError: unknown lattice or a number of planes below 1.
    """
    if lattice not in BASIS or min(h, k, l) < 1:
        raise StructureError(f"{lattice} 100:{h} 110:{k} 111:{l}: needs a lattice of {', '.join(BASIS)} and at least one plane to each facet.")
    sites = layered_sites(lattice, {(1, 0, 0): h, (1, 1, 0): k, (1, 1, 1): l})
    return to_structure(sites, symbol, nn_distance, lattice, f"{symbol} {lattice} 100:{h} 110:{k} 111:{l}")
