"""Chemical order on fcc and bcc sites, through twin planes and stacking faults.

Each site of fcc has three whole coordinates in half edges of the cubic cell, with an even sum; their parities X, Y, Z say on which of the four
simple cubic sublattices it lies. L1_0 fills the sites of one parity of one coordinate, L1_2 one of the four sublattices.

A twinned particle is ordered grain by grain, so that neighbouring grains agree on the atoms of the plane that they share, which is a mirror of both
(coherent order, free of antiphase boundaries):

- **Stacks of close-packed layers** (twins and faults): order goes through any sequence of layers in one way. Rows of a layer alternate in Z, and
  a site of the next layer has the Z of the one row below in which it touches a single atom. L1_2 so continued is D0_19 where layers lie as in hcp.
- **Decahedra**: X and Y of a grain change places across each of the five twin planes, an odd number; so only what treats X and Y alike is
  coherent: L1_0 with its layers along the outer (100) facets, the tetragonal axis of each grain pointing outwards, and two of the four L1_2
  sublattices.
- **Icosahedra**: each grain meets three five-fold axes, and the twin planes around them permute X, Y and Z. Only the L1_2 sublattice of the central
  atom is coherent; there is no coherent L1_0.

These follow from the mirror planes alone; tests count neighbours across them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Bool, Positions
from deepstruc_hpc.structures.close_packed import LAYER_SPACING
from deepstruc_hpc.structures.sites import shortest_distance

ORDERED = ("L1_0", "L1_2", "B2")
ORDERED_FRACTION = {"L1_0": 0.5, "L1_2": 0.25, "B2": 0.5}
"""Share of the second element in the ideal crystal."""

Parities = NDArray[np.int64]
"""(N, 3) of 0 and 1 with an even sum."""

_TOLERANCE = 1e-3
_SUBLATTICES = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
_COHERENT: dict[tuple[str, str], tuple[int, ...]] = {
    ("decahedral", "L1_0"): (4, 5),
    ("decahedral", "L1_2"): (0, 3),
    ("icosahedral", "L1_0"): (),
    ("icosahedral", "L1_2"): (0,),
}
"""Of the six L1_0 (three axes, two phases) and the four L1_2 sublattices, those that all grains can agree on."""
_FCC_TYPES = ("fcc", "octahedral", "stacking_fault", "decahedral", "icosahedral")


def variants_of(ordering: str, structure_type: str) -> tuple[int, ...]:
    """The sublattices of an ordered alloy to try on a structure type; none where there is no order. Symmetry may make some of them equal."""
    if ordering == "B2":
        return (0, 1) if structure_type == "bcc" else ()
    if structure_type not in _FCC_TYPES:
        return ()
    return _COHERENT.get((structure_type, ordering), tuple(range(6 if ordering == "L1_0" else 4)))


def ordered_sites(positions: Positions, structure_type: str, ordering: str, variant: int) -> Bool[NDArray[np.bool_], " atoms"]:
    """Which atoms of an ordered alloy are of the second element.

    Args:
        positions: (N, 3), any unit, as the builders leave them: cubic crystals along x, y, z, stacks and five-fold axes along z.
        structure_type: of the cluster.
        ordering: one of :data:`ORDERED`.
        variant: see :func:`variants_of`.

    Raises:
        StructureError: sites that are not of the lattice, or a variant that there is not.
    """
    unit = positions / shortest_distance(positions)
    lattice = "bcc" if ordering == "B2" else "fcc"
    if ordering == "B2":
        parities = _bcc(unit)
    else:
        found = (made for finder in _finders(structure_type) if (made := finder(unit)) is not None)
        parities = next(found, None)
    if parities is None:
        raise StructureError(f"{ordering}: needs sites of a {lattice} lattice along x, y, z; use a {lattice} shape, or another ordering.")
    coherent = _COHERENT.get((structure_type, ordering))
    if coherent is not None and variant not in coherent:
        raise StructureError(
            f"{ordering} on a {structure_type} particle: its grains cannot agree on variant {variant}; use {_named(coherent)}another ordering, "
            "or a fcc shape."
        )
    if ordering == "B2":
        return np.asarray(parities[:, 0] == (variant + 1) % 2)
    if ordering == "L1_0":
        return np.asarray(parities[:, variant // 2 % 3] == (variant + 1) % 2)
    return np.asarray((parities == _SUBLATTICES[variant % 4]).all(axis=1))


def _named(variants: tuple[int, ...]) -> str:
    return f"variant {' or '.join(map(str, variants))}, " if variants else ""


def _finders(structure_type: str) -> tuple[Callable[[NDArray[np.float64]], Parities | None], ...]:
    return {"decahedral": (_decahedral,), "icosahedral": (_icosahedral,), "stacking_fault": (_stacked,)}.get(structure_type, (_cubic, _stacked))


def _whole(steps: NDArray[np.float64]) -> Parities | None:
    """Parities of coordinates that must be whole numbers with an even sum."""
    whole = np.round(steps)
    parities: Parities = whole.astype(np.int64) % 2
    if np.abs(steps - whole).max(initial=0.0) > _TOLERANCE or (parities.sum(axis=1) % 2).any():
        return None
    return parities


def _bcc(unit: NDArray[np.float64]) -> Parities | None:
    steps = (unit - unit[0]) * np.sqrt(3.0)
    whole = np.round(steps)
    parities: Parities = whole.astype(np.int64) % 2
    if np.abs(steps - whole).max(initial=0.0) > _TOLERANCE or not (parities == parities[:, :1]).all():
        return None
    return parities


def _cubic(unit: NDArray[np.float64]) -> Parities | None:
    return _whole((unit - unit[0]) * np.sqrt(2.0))


def _stacked(unit: NDArray[np.float64]) -> Parities | None:
    """Layers along z, rows of atoms along x."""
    level = np.round((unit[:, 2] - unit[:, 2].min()) / LAYER_SPACING)
    if np.abs((unit[:, 2] - unit[:, 2].min()) / LAYER_SPACING - level).max(initial=0.0) > _TOLERANCE:
        return None
    layers = level.astype(np.int64)
    first = [np.flatnonzero(layers == number)[:1] for number in range(layers.max() + 1)]
    if any(len(one) == 0 for one in first):
        return None
    steps = [0]
    for below, above in pairwise(first):
        # The step of a stack in rows along x: a third of a row up (A to B) or down.
        rows = (unit[above[0], 1] - unit[below[0], 1]) / (np.sqrt(3.0) / 2.0)
        steps.append(steps[-1] + (1 if round(3.0 * rows) % 3 == 1 else -1))
    height = 2.0 / 3.0 * np.array(steps)[layers]
    across = np.array([[np.cos(angle), np.sin(angle)] for angle in np.pi / 2 + 2 * np.pi / 3 * np.arange(3)])
    return _whole((unit[:, :2] - unit[first[0][0], :2]) @ across.T / (np.sqrt(3.0) / 2.0) + height[:, None])


def _decahedral(unit: NDArray[np.float64]) -> Parities | None:
    """Five grains about z: coordinates m, n along the two twin planes that bound a grain, and the height along the axis."""
    angles = np.pi / 2 + 2 * np.pi / 5 * np.arange(5)
    vertices = np.sqrt(3.0) / 2.0 * np.column_stack([np.cos(angles), np.sin(angles)])
    m, n = _within_grains(unit[:, :2], [np.stack([vertices[sector - 1], vertices[sector]]) for sector in range(5)])
    ring = m + n
    # Heights are whole or half numbers in rings of the other parity; the lowest site of an even ring, or else its equal, is at zero.
    even = np.round(ring) % 2 == 0
    origin = unit[np.flatnonzero(even)[0], 2] if even.any() else unit[0, 2] + 0.5
    height = unit[:, 2] - origin
    return _whole(np.column_stack([(m - n) / 2.0 + height, (m - n) / 2.0 - height, ring]))


def _icosahedral(unit: NDArray[np.float64]) -> Parities | None:
    """Twenty grains about the centre: coordinates i, j, k along the three five-fold axes that bound a grain."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array([np.roll([0.0, s, t * golden], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)]) / np.sqrt(1.0 + golden**2)
    near = corners @ corners.T > 0.4
    faces = [corners[[i, j, k]] for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]]
    i, j, k = _within_grains(unit, faces)
    return _whole(np.column_stack([j + k, i + k, i + j]))


def _within_grains(sites: NDArray[np.float64], frames: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Coordinates of each site in the frame of a grain that holds it (none of them negative); rows of a frame are its vectors. (D, N)."""
    inside = np.full(sites.shape, np.nan)
    for frame in frames:
        coordinates = sites @ np.linalg.inv(frame)
        held = np.isnan(inside[:, 0]) & (coordinates > -_TOLERANCE).all(axis=1)
        inside[held] = coordinates[held]
    return np.where(np.isnan(inside), 0.5, inside).T
