"""Candidates as fillings of parents: where each atom sits, which sites beside it are empty, and what a perfect shape would have there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError, cKDTree

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.assignment import ParentFinder
from deepstruc_hpc.structures.close_packed import LAYER_SPACING, stacking_word
from deepstruc_hpc.structures.parents import DEFAULT_RADIUS, Parent, parent_of, standard_parents
from deepstruc_hpc.structures.sites import nearest_distances, shortest_distance

MARGIN = 1.3
"""A particle needs so many nearest-neighbour distances between itself and the end of its parent's sites, so that it can grow."""
RADII = (DEFAULT_RADIUS, 9.0)
CLOSE_PACKED = frozenset({"fcc", "octahedral", "hcp", "stacking_fault"})
_CLOSE = 0.05
_WITHIN = 0.02
_BASAL = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
_TO_STACK = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0], [1.0, 1.0, 1.0]]) / np.sqrt([[2.0], [6.0], [3.0]])
"""From the cubic frame to that of a stack: (111) along z, a close-packed row along x."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placed:
    """A filling of a parent.

    Attributes:
        parent: the sites, in units of the nearest-neighbour distance.
        mask: (S,) which are filled.
        kind: the structure type that the particle is called by.
    """

    parent: Parent
    mask: Mask
    kind: str

    @property
    def sites(self) -> Floats:
        """(N, 3) the filled sites."""
        return np.asarray(self.parent.sites[self.mask])

    @cached_property
    def neighbours(self) -> NDArray[np.int32]:
        """(S,) number of filled neighbours of every site."""
        return np.asarray(self.parent.bonds @ self.mask.astype(np.int32))

    @cached_property
    def stabiliser(self) -> NDArray[np.intp]:
        """(G, S) where each symmetry of the particle itself takes each site."""
        permutations = self.parent.permutations
        return np.asarray(permutations[(self.mask[permutations] == self.mask).all(axis=1)])

    @cached_property
    def normals(self) -> tuple[Floats, ...]:
        """Families of facet normals, (F, 3) each; stacks may also grow along their axis."""
        return (*self.parent.facets, _BASAL) if self.parent.layer is not None else self.parent.facets

    @property
    def centre(self) -> int | None:
        """The site where all twins of an icosahedron meet; None for other kinds.

        Its atom is the most compressed one and may be missing without being a fault: the vacancy relieves the strain, and clusters such as
        Au144(SR)60 are built about an empty shell of twelve. Source: C. Mottet, G. Tréglia, B. Legrand, Surf. Sci. 383 (1997) L719.
        """
        return 0 if self.kind == "icosahedral" and self.parent.distance[0] < _CLOSE else None

    def structure(self, symbol: str, distance: float, label: str) -> Structure:
        """The cluster, Å."""
        built = self.parent.structure(self.mask, symbol, distance, label)
        return Structure(built.symbols, built.positions, self.kind, label)

    def with_mask(self, mask: Mask) -> Placed:
        """Another filling of the same parent; an octahedral outline is fcc once it is changed."""
        return Placed(self.parent, mask, "fcc" if self.kind == "octahedral" else self.kind)


def place(structure: Structure) -> Placed | None:
    """The filling that a one-element cluster is, with room to grow, or None where it is a piece of no parent."""
    if len(structure.elements) != 1 or len(structure) < 4:
        return None
    unit = structure.positions / float(nearest_distances(structure.positions).min())
    kind = structure.structure_type
    if kind == "stacking_fault":
        stacked = stack_of(unit)
        return None if stacked is None else place_stack(*stacked)
    reach = float(np.linalg.norm(unit - unit.mean(axis=0), axis=1).max()) + MARGIN
    finder = next((_finder(kind, radius) for radius in RADII if reach <= radius), None)
    if finder is None:
        return None
    try:
        found = finder.find(unit, kind)
    except DeepstrucError:
        return None
    return None if found is None else Placed(finder.parents[found.parent], found.mask, kind)


def place_filling(parent: Parent, mask: Mask, *, kind: str) -> Placed | None:
    """A filling as it was made, or None where the parent leaves it no room to grow; stacks have a parent of their own each, see :func:`place`."""
    if parent.layer is not None or float(parent.distance[mask].max()) + MARGIN > parent.radius:
        return None
    return Placed(parent, mask, kind)


@lru_cache(maxsize=16)
def _finder(kind: str, radius: float) -> ParentFinder:
    lattice = "fcc" if kind == "octahedral" else kind
    return ParentFinder([parent for parent in standard_parents(radius, 4) if parent.structure_type == lattice])


def stack_of(unit: Floats) -> tuple[str, Floats] | None:
    """The layers of a close-packed particle whose layers lie across z.

    Args:
        unit: (N, 3) in units of the nearest-neighbour distance.

    Returns:
        The sequence, the lowest layer first, an A layer; and the particle with an A column and the middle of the stack at the origin, turned so that
        a close-packed row lies along x. None where it is no stack.
    """
    x = unit - unit.mean(axis=0)
    height = (x[:, 2] - x[:, 2].min()) / LAYER_SPACING
    level = np.round(height).astype(np.intp)
    if np.abs(height - level).max() > _CLOSE or len(np.unique(level)) <= level.max():
        return None
    for angle in (0.0, np.pi / 6):
        c, s = np.cos(angle), np.sin(angle)
        turned = x @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]).T
        turned[:, :2] -= turned[np.flatnonzero(level == 0)[0], :2]
        net = _hexagonal(turned[:, :2])
        thirds = np.round(3.0 * net[:, 0]).astype(np.intp)
        if np.abs(3.0 * net[:, 0] - thirds).max() > 3 * _CLOSE or np.abs(net[:, 1] - np.round(3.0 * net[:, 1]) / 3).max() > _CLOSE:
            continue
        letters = ["ABC"[thirds[level == k][0] % 3] for k in range(level.max() + 1)]
        if any((thirds[level == k] % 3 != "ABC".index(letters[k])).any() for k in range(len(letters))) or any(a == b for a, b in pairwise(letters)):
            continue
        turned[:, 2] = (level - level.max() / 2) * LAYER_SPACING
        return "".join(letters), turned
    return None


def _hexagonal(plane: Floats) -> Floats:
    """Coordinates along the two rows of a layer, 60° apart."""
    return np.column_stack([plane[:, 0] - plane[:, 1] / np.sqrt(3.0), 2.0 * plane[:, 1] / np.sqrt(3.0)])


def stacks_of(placed: Placed) -> list[tuple[str, Floats]]:
    """A close-packed particle with its layers across z, as :func:`stack_of` gives it; fcc has four such directions, other lattices none."""
    if placed.kind in {"hcp", "stacking_fault"}:
        ways = [placed.sites]
    elif placed.kind in CLOSE_PACKED:
        ways = [(placed.sites * signs) @ _TO_STACK.T for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    else:
        ways = []
    return [found for way in ways if (found := stack_of(way)) is not None]


def place_stack(sequence: str, sites: Floats) -> Placed | None:
    """A stack on its parent with a layer more on either side; fcc and hcp go to the parents of their own.

    Args:
        sequence: of the layers that hold atoms.
        sites: as :func:`stack_of` gives them.
    """
    kind = stack_kind(sequence)
    if kind != "stacking_fault":
        ways = [sites, sites * np.array([-1.0, -1.0, 1.0])]  # ABC and ACB are one crystal, turned
        placed = (place(Structure.of_element("Au", way @ _TO_STACK if kind == "fcc" else way, kind)) for way in ways)
        return next((found for found in placed if found is not None), None)
    below = next(letter for letter in "ABC" if letter not in sequence[:2])
    above = next(letter for letter in "ABC" if letter not in sequence[-2:])
    # The axis is moved to the A column nearest to the particle's middle.
    middle = _hexagonal(sites[:, :2].mean(axis=0, keepdims=True))[0]
    a, b = np.round(middle)
    moved = sites - np.array([a + 0.5 * b, np.sqrt(0.75) * b, 0.0])
    reach = float(np.hypot(moved[:, 0], moved[:, 1]).max()) + MARGIN
    radius = next((radius for radius in (4.5, *RADII) if reach <= radius), None)
    if radius is None:
        return None
    parent = parent_of(f"close-packed {below}{sequence}{above}", radius)
    distance, site = cKDTree(parent.sites).query(moved)
    if np.max(distance) > _CLOSE or len(np.unique(site)) < len(moved):
        return None
    mask = np.zeros(len(parent), dtype=bool)
    mask[site] = True
    return Placed(parent, mask, kind)


def with_room(placed: Placed) -> Placed:
    """The particle on a taller parent where it has grown to the ends of its stack."""
    layers = placed.parent.layer
    if layers is None or not (placed.mask & ((layers == 0) | (layers == layers.max()))).any():
        return placed
    found = stack_of(placed.sites)
    return (place_stack(*found) if found is not None else None) or placed


def stack_kind(sequence: str) -> str:
    """``fcc``, ``hcp`` or ``stacking_fault``; fewer than three layers are fcc."""
    word = stacking_word(sequence)
    return "fcc" if "h" not in word else "hcp" if "c" not in word else "stacking_fault"


def n_faults(sequence: str) -> int:
    """How many layers stand otherwise than in the perfect crystal that the stack is nearest to."""
    word = stacking_word(sequence)
    return min(word.count("h"), word.count("c"))


def missing_orbits(placed: Placed) -> float:
    """Empty sites within the particle's convex outline; those that its own symmetry makes equal count once.

    0 for spheres, ellipsoids and facetted bodies, 1 for a particle with one atom missing or with a whole inner shell of equal sites missing. The
    centre of an icosahedron may be empty.
    """
    empty = ~placed.mask & (placed.neighbours > 0)
    if placed.centre is not None:
        empty[placed.centre] = False
    if not empty.any():
        return 0.0
    inside = np.flatnonzero(empty)[inside_hull(placed.sites, placed.parent.sites[empty], np.concatenate(placed.normals))]
    if len(inside) == 0:
        return 0.0
    images = placed.stabiliser[:, inside]
    return float((1.0 / np.array([len(np.unique(images[:, column])) for column in range(len(inside))])).sum())


def complexity_of(placed: Placed) -> float:
    """What a perfect convex particle does not have: stacking faults, one each, and empty sites within its outline, as ln(1 + orbits).

    The logarithm, because twelve missing atoms are not told twelve times worse than one: an unfinished layer is one thing.
    """
    faults = _faults(placed.sites) if placed.kind == "stacking_fault" else 0
    return float(faults + np.log1p(missing_orbits(placed)))


def inside_hull(points: Floats, tested: Floats, normals: Floats) -> Mask:
    """Which of (T, 3) lie more than 0.02 within the convex hull of (N, 3).

    Most are told to lie outside by one of a few directions: (F, 3) ``normals`` and those of the tested points themselves. The hull settles the rest.
    """
    middle = points.mean(axis=0)
    length = np.linalg.norm(tested - middle, axis=1, keepdims=True)
    directions = np.concatenate([normals, ((tested - middle) / np.maximum(length, 0.1))[length[:, 0] > 0.1]])
    inside: Mask = (tested @ directions.T < (points @ directions.T).max(axis=0) - _WITHIN).all(axis=1)
    if not inside.any():
        return inside
    try:
        equations = ConvexHull(points).equations
    except (QhullError, ValueError):
        return np.zeros(len(tested), dtype=bool)
    inside[inside] = (tested[inside] @ equations[:, :3].T + equations[:, 3]).max(axis=1) < -_WITHIN
    return inside


def in_one_piece(placed: Placed) -> bool:
    """Whether every atom is bonded, through others, to every other."""
    filled = np.flatnonzero(placed.mask)
    bonds: csr_matrix = placed.parent.bonds[filled][:, filled]
    return bool(connected_components(bonds, directed=False)[0] == 1)


def faults_of(structure: Structure) -> int:
    """Faults of a close-packed stack by its layers; 1 for a faulted particle whose layers cannot be told, 0 for other types."""
    if structure.structure_type != "stacking_fault":
        return 0
    return _faults(structure.positions / shortest_distance(structure.positions))


def _faults(points: Floats) -> int:
    found = stack_of(points)
    return 1 if found is None else max(n_faults(found[0]), 1)
