"""Clusters as occupations of template lattices: where each atom sits, which sites beside it are empty, and what a perfect shape would have there.

The sites of a :class:`~deepstruc_hpc.structures.template_lattices.TemplateLattice` are in units of the nearest-neighbour distance (metals), or of the
shortest bond of a crystal, which brings its elements with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError, cKDTree

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.shapes import Bool, Float64, Int32, Int64, Positions
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.assignment import LatticeLookup
from deepstruc_hpc.structures.close_packed import LAYER_SPACING, stacking_word
from deepstruc_hpc.structures.lattices import CLOSE_PACKED, FAULTED, lattice_of
from deepstruc_hpc.structures.sites import nearest_distances, shortest_distance
from deepstruc_hpc.structures.template_lattices import DEFAULT_RADIUS, TemplateLattice, standard_templates, template_lattice

MARGIN = 1.3
"""A particle needs so many nearest-neighbour distances between itself and the end of its lattice, so that it can grow."""
RADII = (DEFAULT_RADIUS, 9.0)
_CLOSE = 0.05
_WITHIN = 0.02
_BASAL = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
_TO_STACK = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0], [1.0, 1.0, 1.0]]) / np.sqrt([[2.0], [6.0], [3.0]])
"""From the cubic frame to that of a stack: (111) along z, a close-packed row along x."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Occupation:
    """Which sites of a template lattice hold atoms.

    Attributes:
        template: the sites.
        mask: (S,) bool, the occupied ones.
        kind: the structure type that the particle is called by.
        symbol: element of every atom; empty where the lattice is a crystal's, whose sites have elements of their own.
        length: Å, the lattice's unit of length in this sample.
    """

    template: TemplateLattice
    mask: Mask
    kind: str
    symbol: str
    length: float

    @property
    def sites(self) -> Positions:
        """(N, 3) the occupied sites."""
        return np.asarray(self.template.sites[self.mask])

    @cached_property
    def coordination(self) -> Int32[NDArray[np.int32], " sites"]:
        """(S,) number of occupied neighbours of every site."""
        return np.asarray(self.template.bonds @ self.mask.astype(np.int32))

    @cached_property
    def stabiliser(self) -> Int64[NDArray[np.intp], "operations sites"]:
        """(G, S) where each symmetry of the particle itself takes each site."""
        permutations = self.template.permutations
        return np.asarray(permutations[(self.mask[permutations] == self.mask).all(axis=1)])

    @cached_property
    def normals(self) -> tuple[Floats, ...]:
        """Families of facet normals, (F, 3) each; stacks may also grow along their axis."""
        return (*self.template.facets, _BASAL) if self.template.layer is not None else self.template.facets

    @property
    def centre(self) -> int | None:
        """The site where all twins of an icosahedron meet; None for other kinds.

        Its atom is the most compressed one and may be missing without being a fault: the vacancy relieves the strain, and clusters such as
        Au144(SR)60 are built about an empty shell of twelve. Source: C. Mottet, G. Tréglia, B. Legrand, Surf. Sci. 383 (1997) L719.
        """
        return 0 if self.kind == "icosahedral" and self.template.distance[0] < _CLOSE else None

    def structure(self, label: str) -> Structure:
        """The cluster, Å."""
        if self.template.species is None:
            built = self.template.structure(self.mask, self.symbol, self.length, label)
            return Structure(built.symbols, built.positions, self.kind, label)
        symbols = [self.template.species[site] for site in np.flatnonzero(self.mask)]
        return self.template.cluster(self.mask, symbols, self.length, self.kind, label)

    def with_mask(self, mask: Bool[Mask, " sites"]) -> Occupation:
        """Other atoms on the same lattice; an octahedral outline is its crystal once it is changed."""
        return replace(self, mask=mask, kind=lattice_of(self.kind))


def assign_lattice(structure: Structure, length: float | None = None) -> Occupation | None:
    """The occupation that a one-element cluster is, with room to grow, or None where it is a piece of no template lattice.

    Args:
        structure: Å.
        length: Å, its nearest-neighbour distance; the shortest distance where not given.
    """
    if len(structure.elements) != 1 or len(structure) < 4:
        return None
    shortest = float(nearest_distances(structure.positions).min())
    unit, symbol = structure.positions / shortest, structure.symbols[0]
    kind = structure.structure_type
    if kind == "stacking_fault":
        stacked = stack_of(unit)
        return None if stacked is None else assign_stack(*stacked, symbol=symbol, length=length or shortest)
    reach = float(np.linalg.norm(unit - unit.mean(axis=0), axis=1).max()) + MARGIN
    finder = next((_finder(kind, radius) for radius in RADII if reach <= radius), None)
    if finder is None:
        return None
    try:
        found = finder.find(unit, kind)
    except DeepstrucError:
        return None
    return None if found is None else Occupation(finder.templates[found.template], found.mask, kind, symbol, length or shortest)


def with_growth_room(occupation: Occupation) -> Occupation | None:
    """An occupation as it was made, or None where its lattice ends too near; stacks have a lattice of their own each, see :func:`assign_lattice`."""
    template = occupation.template
    if template.layer is not None or float(template.distance[occupation.mask].max()) + MARGIN > template.radius:
        return None
    return occupation


@lru_cache(maxsize=16)
def _finder(kind: str, radius: float) -> LatticeLookup:
    return LatticeLookup([template for template in standard_templates(radius, 4) if template.structure_type == lattice_of(kind)])


def stack_of(unit: Positions) -> tuple[str, Floats] | None:
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


def stacks_of(occupation: Occupation) -> list[tuple[str, Floats]]:
    """A close-packed particle with its layers across z, as :func:`stack_of` gives it; fcc has four such directions, other lattices none."""
    if occupation.kind in {"hcp", "stacking_fault"}:
        ways = [occupation.sites]
    elif occupation.kind in CLOSE_PACKED:
        ways = [(occupation.sites * signs) @ _TO_STACK.T for signs in ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    else:
        ways = []
    return [found for way in ways if (found := stack_of(way)) is not None]


def assign_stack(sequence: str, sites: Positions, *, symbol: str, length: float) -> Occupation | None:
    """A stack on its lattice with a layer more on either side; fcc and hcp go to the lattices of their own.

    Args:
        sequence: of the layers that hold atoms.
        sites: as :func:`stack_of` gives them.
        symbol: element.
        length: Å, nearest-neighbour distance.
    """
    kind = stack_kind(sequence)
    if kind != "stacking_fault":
        assigned = (assign_lattice(Structure.of_element(symbol, way, kind), length) for way in frames_of_stack(sequence, sites))
        return next((found for found in assigned if found is not None), None)
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
    template = template_lattice(f"close-packed {below}{sequence}{above}", radius)
    distance, site = cKDTree(template.sites).query(moved)
    if np.max(distance) > _CLOSE or len(np.unique(site)) < len(moved):
        return None
    mask = np.zeros(len(template), dtype=bool)
    mask[site] = True
    return Occupation(template, mask, kind, symbol, length)


def frames_of_stack(sequence: str, sites: Floats) -> list[Floats]:
    """The sites of a stack in the frame of the lattices of its kind: as they are and turned by 180°, since ABC and ACB are one crystal, turned."""
    ways = [sites, sites * np.array([-1.0, -1.0, 1.0])]
    return [way @ _TO_STACK for way in ways] if stack_kind(sequence) == "fcc" else ways


def with_room(occupation: Occupation) -> Occupation:
    """The particle on a taller lattice where it has grown to the ends of its stack."""
    layers = occupation.template.layer
    if layers is None or not (occupation.mask & ((layers == 0) | (layers == layers.max()))).any():
        return occupation
    found = stack_of(occupation.sites)
    return (assign_stack(*found, symbol=occupation.symbol, length=occupation.length) if found is not None else None) or occupation


def stack_kind(sequence: str) -> str:
    """``fcc``, ``hcp`` or ``stacking_fault``; fewer than three layers are fcc."""
    word = stacking_word(sequence)
    return "fcc" if "h" not in word else "hcp" if "c" not in word else "stacking_fault"


def n_faults(sequence: str) -> int:
    """How many layers stand otherwise than in the perfect crystal that the stack is nearest to."""
    word = stacking_word(sequence)
    return min(word.count("h"), word.count("c"))


def missing_orbits(occupation: Occupation) -> float:
    """Empty sites within the particle's convex outline; those that its own symmetry makes equal count once.

    0 for spheres, ellipsoids and facetted bodies, 1 for a particle with one atom missing or with a whole inner shell of equal sites missing. The
    centre of an icosahedron may be empty.
    """
    empty = ~occupation.mask & (occupation.coordination > 0)
    if occupation.centre is not None:
        empty[occupation.centre] = False
    if not empty.any():
        return 0.0
    inside = np.flatnonzero(empty)[inside_hull(occupation.sites, occupation.template.sites[empty], np.concatenate(occupation.normals))]
    if len(inside) == 0:
        return 0.0
    images = occupation.stabiliser[:, inside]
    return float((1.0 / np.array([len(np.unique(images[:, column])) for column in range(len(inside))])).sum())


def complexity_of(occupation: Occupation) -> float:
    """What a perfect convex particle does not have: stacking faults, one each, and empty sites within its outline, as ln(1 + orbits).

    The logarithm, because twelve missing atoms are not told twelve times worse than one: an unfinished layer is one thing.
    """
    faults = _faults(occupation.sites) if occupation.kind in FAULTED else 0
    return float(faults + np.log1p(missing_orbits(occupation)))


def inside_hull(
    points: Float64[Floats, "points 3"], tested: Float64[Floats, "tested 3"], normals: Float64[Floats, "directions 3"]
) -> Bool[Mask, " tested"]:
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


def in_one_piece(occupation: Occupation) -> bool:
    """Whether every atom is bonded, through others, to every other."""
    occupied = np.flatnonzero(occupation.mask)
    bonds: csr_matrix = occupation.template.bonds[occupied][:, occupied]
    return bool(connected_components(bonds, directed=False)[0] == 1)


def faults_of(structure: Structure) -> int:
    """Faults of a close-packed stack by its layers; 1 for a faulted particle whose layers cannot be told, 0 for other types."""
    if structure.structure_type not in FAULTED:
        return 0
    return _faults(structure.positions / shortest_distance(structure.positions))


def _faults(points: Floats) -> int:
    found = stack_of(points)
    return 1 if found is None else max(n_faults(found[0]), 1)
