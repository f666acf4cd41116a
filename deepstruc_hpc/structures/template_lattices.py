"""Template lattices: sets of sites, about a stated origin, of which any cluster of the kind fills some.

Everything is in units of the nearest-neighbour distance. The standard set holds sc, bcc, fcc and hcp about the points of high symmetry, the
icosahedral and decahedral arrangements, and every faulted close-packed sequence of 4 to 8 layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Bool, Float64, Int64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.close_packed import COLUMNS, LAYER_SPACING, distinct_sequences, sequence_of, stacked_sites
from deepstruc_hpc.structures.cubic import equivalent_planes, lattice_sites
from deepstruc_hpc.structures.multiply_twinned import icosahedron_sites
from deepstruc_hpc.structures.sites import Sites, canonical_permutation, to_structure
from deepstruc_hpc.structures.symmetry import Operations, canonical_mask, operations_of, point_group, site_permutations

DEFAULT_RADIUS = 6.5
_BOND_LENGTH, _UNLIKE_BOND = 1.25, 1.3
SAME_SITE = 1e-3
"""Sites of a crystal nearer than this, in bond lengths, are one: cells are known to four digits."""

CUBIC_ORIGINS: dict[str, dict[str, tuple[float, float, float]]] = {
    "fcc": {"atom": (0.0, 0.0, 0.0), "octahedral hole": (0.5, 0.5, 0.5), "tetrahedral hole": (0.25, 0.25, 0.25), "bond": (0.25, 0.25, 0.0)},
    "bcc": {"atom": (0.0, 0.0, 0.0), "face": (0.5, 0.5, 0.0), "bond": (0.25, 0.25, 0.25), "hole": (0.5, 0.25, 0.0)},
    "sc": {"atom": (0.0, 0.0, 0.0), "cube": (0.5, 0.5, 0.5), "edge": (0.5, 0.0, 0.0), "face": (0.5, 0.5, 0.0)},
}
"""Origins in fractions of the cubic cell."""

_H = LAYER_SPACING
HCP_ORIGINS: dict[str, tuple[float, float, float]] = {
    "atom": (0.0, 0.0, 0.0),
    "octahedral hole": (*COLUMNS["C"], _H / 2),
    "tetrahedral hole": (*COLUMNS["B"], _H / 4),
    "layer bond": (0.5, 0.0, 0.0),
    "cross bond": (0.25, np.sqrt(3.0) / 12.0, _H / 2),
    "triangle": (*COLUMNS["B"], 0.0),
}
"""Origins from an atom of an A layer of …ABAB…, in units of the nearest-neighbour distance."""


@dataclass(frozen=True, eq=False)
class TemplateLattice:
    """A set of sites about an origin, complete within a radius.

    Attributes:
        name: ``fcc atom``, ``icosahedral``, ``close-packed ABCACB`` …
        structure_type: what a cluster on it is called.
        sites: (S, 3), in the builder's order (from the origin outwards), read-only; units of the nearest-neighbour distance.
        radius: within which the set is complete (laterally, for a stack of layers).
        facets: families of unit normals, (F, 3) each, that bound crystals of the kind.
        group: name of the point group that holds all symmetries of the set.
        extra: (S, E) further coordinates that bound such crystals (the re-entrance of Marks decahedra).
        layer: (S,) number of the layer of a finite stack, or none.
        min_neighbours: an atom with fewer is a dangling one.
        symmetry_reach: distance from the origin within which the sites decide on the symmetries.
        species: the element of each site of a crystal of several; none where any element may lie on any site.
        classes: a number for each of these elements; those of one number may lie on each other's sites.
        length: the unit of length of such a crystal, Å; 0 for template lattices that are scaled to every metal.
        known_operations: (G, 3, 3) the symmetries, where they are known beforehand.
    """

    name: str
    structure_type: str
    sites: Sites
    radius: float
    facets: tuple[NDArray[np.float64], ...]
    group: str
    extra: NDArray[np.float64] | None = None
    layer: NDArray[np.intp] | None = None
    min_neighbours: int = 3
    symmetry_reach: float = 2.0
    species: tuple[str, ...] | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    length: float = 0.0
    known_operations: Operations | None = None

    def __len__(self) -> int:
        return len(self.sites)

    @cached_property
    def distance(self) -> Float64[NDArray[np.float64], " sites"]:
        """(S,) distance of each site from the origin."""
        radial: NDArray[np.float64] = np.linalg.norm(self.sites, axis=1)
        return radial

    @cached_property
    def bonds(self) -> csr_matrix:
        """(S, S) sparse matrix, 1 where two sites are at most 1.25 apart."""
        pairs = cKDTree(self.sites).query_pairs(_BOND_LENGTH, output_type="ndarray")
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return csr_matrix((np.ones(len(both), dtype=np.int32), (both[:, 0], both[:, 1])), shape=(len(self), len(self)))

    @cached_property
    def unlike_bonds(self) -> csr_matrix:
        """(S, S) sparse matrix, 1 where two sites of different classes are at most 1.3 apart: the bonds of a compound."""
        pairs = cKDTree(self.sites).query_pairs(_UNLIKE_BOND, output_type="ndarray")
        pairs = pairs[self.site_class[pairs[:, 0]] != self.site_class[pairs[:, 1]]]
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return csr_matrix((np.ones(len(both), dtype=np.int32), (both[:, 0], both[:, 1])), shape=(len(self), len(self)))

    @cached_property
    def operations(self) -> Operations:
        """(G, 3, 3) the symmetries of the set about its origin, the identity first."""
        if self.known_operations is not None:
            return self.known_operations
        return operations_of(self.sites, point_group(self.group), self.symmetry_reach)

    @cached_property
    def permutations(self) -> Int64[NDArray[np.intp], "operations sites"]:
        """(G, S) where each symmetry takes each site."""
        return site_permutations(self.sites, self.operations, 1e-6 if self.known_operations is None else SAME_SITE)

    @cached_property
    def site_class(self) -> Float64[NDArray[np.float64], " sites"]:
        """(S,) the class of the element of each site, 0 where any may lie on any."""
        return np.array([self.classes[symbol] for symbol in self.species], dtype=np.float64) if self.species else np.zeros(len(self))

    @cached_property
    def invariants(self) -> Float64[NDArray[np.float64], "sites numbers"]:
        """(S, K) numbers of a site that the symmetries leave alone.

        The distance from the origin, |z| for stacks and decahedra, the largest projection on each family of facets, and the extra coordinates.
        """
        columns = [self.distance]
        if self.group in {"hexagonal", "pentagonal"}:
            columns += [np.abs(self.sites[:, 2]), np.hypot(self.sites[:, 0], self.sites[:, 1])]
        columns += [self._symmetrised(self.sites @ normals.T) for normals in self.facets]
        if self.extra is not None:
            columns += list(self.extra.T)
        return np.column_stack(columns)

    def _symmetrised(self, projections: NDArray[np.float64]) -> NDArray[np.float64]:
        largest = projections.max(axis=1)
        averaged: NDArray[np.float64] = largest[self.permutations].mean(axis=0)
        return averaged

    def canonical(self, mask: Bool[NDArray[np.bool_], " sites"]) -> Bool[NDArray[np.bool_], " sites"]:
        """The representative of an assignment under the template lattice's symmetries."""
        return canonical_mask(mask, self.permutations)

    def structure(self, mask: Bool[NDArray[np.bool_], " sites"], symbol: str, nn_distance: float, label: str = "") -> Structure:
        """The cluster that a mask of filled sites stands for.

        Args:
            mask: (S,) bool.
            symbol: element.
            nn_distance: Å.
            label: what it is; the template lattice's name and the number of atoms where empty.
        """
        if mask.shape != (len(self),):
            raise StructureError(f"template lattice {self.name}: a mask of {len(self)} sites is needed, found {mask.shape}.")
        return to_structure(self.sites[mask], symbol, nn_distance, self.structure_type, label or f"{symbol} {self.name} {int(mask.sum())} atoms")

    def cluster(
        self, mask: Bool[NDArray[np.bool_], " sites"], symbols: Sequence[str], nn_distance: float, structure_type: str, label: str
    ) -> Structure:
        """A cluster of several elements: as :meth:`structure`, with an element for each filled site, in the order of the sites."""
        positions = self.sites[mask] - self.sites[mask].mean(axis=0)
        order = canonical_permutation(positions)
        return Structure(tuple(symbols[place] for place in order), positions[order] * nn_distance, structure_type, label)


_PRISM = np.array([[np.cos(a), np.sin(a), 0.0] for a in np.pi / 6 + np.pi / 3 * np.arange(6)])
_PRISM_2 = np.array([[np.cos(a), np.sin(a), 0.0] for a in np.pi / 3 * np.arange(6)])
_BASAL = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])


def _pyramid(azimuths: NDArray[np.floating[Any]], tilt: float, sides: tuple[int, ...] = (1, -1)) -> NDArray[np.float64]:
    """Normals at a height angle above (and below) the plane; (len(azimuths)·len(sides), 3)."""
    return np.array([[np.cos(a) * np.cos(tilt), np.sin(a) * np.cos(tilt), side * np.sin(tilt)] for side in sides for a in azimuths])


def _ordered(sites: Sites, radius: float, *, lateral: bool = False) -> Sites:
    """Sites within the radius in the builder's order, read-only."""
    size = np.hypot(sites[:, 0], sites[:, 1]) if lateral else np.linalg.norm(sites, axis=1)
    kept = np.round(sites[size <= radius + 1e-9], 12) + 0.0
    kept = np.ascontiguousarray(kept[canonical_permutation(kept)])
    kept.setflags(write=False)
    return kept


def cubic_templates(radius: float) -> list[TemplateLattice]:
    """fcc, bcc and sc about atoms, holes, faces and bonds."""
    facets = tuple(equivalent_planes(miller) for miller in ((1, 0, 0), (1, 1, 0), (1, 1, 1)))
    return [
        TemplateLattice(
            f"{lattice} {origin}",
            lattice,
            _ordered(lattice_sites(lattice, radius, place), radius),
            radius,
            facets,
            "cubic",
            min_neighbours=2 if lattice == "sc" else 3,
        )
        for lattice, origins in CUBIC_ORIGINS.items()
        for origin, place in origins.items()
    ]


def hcp_templates(radius: float) -> list[TemplateLattice]:
    """Ideal hcp (c/a = √(8/3)) about six origins; z along the hexagonal axis."""
    half = 2 * int(np.ceil((radius / LAYER_SPACING + 3) / 2))
    base = stacked_sites("AB" * half + "A", radius + 3)
    azimuth = np.pi / 6 + np.pi / 3 * np.arange(6)
    facets = (_BASAL, _PRISM, _pyramid(azimuth, np.arctan(np.sqrt(3.0) / 2 / np.sqrt(8 / 3))), _PRISM_2)
    return [
        TemplateLattice(f"hcp {origin}", "hcp", _ordered(base - np.array(place), radius), radius, facets, "hexagonal", symmetry_reach=2.5)
        for origin, place in HCP_ORIGINS.items()
    ]


def stacked_template(sequence: str, radius: float, column: str = "A") -> TemplateLattice:
    """A finite stack of close-packed layers about its middle, with the A, B or C column or a bond of an A layer on its axis."""
    sites = _ordered(stacked_sites(sequence, radius, column), radius, lateral=True)
    heights = np.round(sites[:, 2] / LAYER_SPACING + (len(sequence) - 1) / 2).astype(np.intp)
    reach = float(np.hypot(1.6, LAYER_SPACING * (len(sequence) - 1) / 2))
    name = f"close-packed {sequence}" + (f" on {column}" if column != "A" else "")
    return TemplateLattice(name, "stacking_fault", sites, radius, _stack_facets(), "hexagonal", layer=heights, symmetry_reach=reach)


def _stack_facets() -> tuple[NDArray[np.float64], ...]:
    """Prism faces, and the {111} and {100} faces of fcc above and below, in both orientations of a twin."""
    odd, even = np.pi / 6 + 2 * np.pi / 3 * np.arange(3), np.pi / 2 + 2 * np.pi / 3 * np.arange(3)
    steep, flat = np.arctan(1 / np.sqrt(8.0)), np.arctan(1 / np.sqrt(2.0))
    return (_PRISM, _pyramid(odd, steep), _pyramid(even, steep), _pyramid(odd, flat), _pyramid(even, flat))


FAULTS: dict[str, str] = {"twin": "h", "intrinsic fault": "hh", "extrinsic fault": "hch", "double twin": "hcch"}
"""Planar faults in an endless fcc crystal, by the stacking of the layers at the fault."""


def faulted_template(fault: str, radius: float) -> TemplateLattice:
    """Fcc with one planar fault through its middle, complete within the radius, on the column of its middle layer; z normal to the fault."""
    around = int(np.ceil(radius / LAYER_SPACING)) + 2
    sequence = sequence_of("c" * around + FAULTS[fault] + "c" * around)
    reach = float(np.hypot(1.6, 3.1 * LAYER_SPACING))
    sites = _ordered(stacked_sites(sequence, radius, sequence[len(sequence) // 2]), radius)
    return TemplateLattice(f"fcc {fault}", "stacking_fault", sites, radius, (*_stack_facets(), _BASAL), "hexagonal", symmetry_reach=reach)


@lru_cache(maxsize=256)
def template_lattice(name: str, radius: float) -> TemplateLattice:
    """One template lattice by name.

    Those of the standard set, any ``close-packed SEQUENCE`` (``… on B``), ``fcc twin`` and the other faults, ``crystal NAME about CENTRE``
    (:mod:`~deepstruc_hpc.structures.crystal_templates`), and ``type NAME about ORIGIN`` (:mod:`~deepstruc_hpc.structures.compound_types`).

    Args:
        name: see :class:`TemplateLattice`.
        radius: within which the set is complete.

    Raises:
        StructureError: no such template lattice.
    """
    if name.startswith("close-packed "):
        sequence, _, column = name.removeprefix("close-packed ").partition(" on ")
        return stacked_template(sequence, radius, column or "A")
    if name.startswith("fcc ") and name.removeprefix("fcc ") in FAULTS:
        return faulted_template(name.removeprefix("fcc "), radius)
    if name.startswith("crystal "):
        from deepstruc_hpc.structures.crystal_templates import crystal_template

        return crystal_template(name, radius)
    if name.startswith("type "):
        from deepstruc_hpc.structures.compound_types import compound_template

        return compound_template(name, radius)
    makers: dict[str, Callable[[float], list[TemplateLattice]]] = {
        "hcp": hcp_templates,
        "decahedral": decahedral_templates,
        "icosahedral": lambda reach: [icosahedral_template(reach)],
    }
    candidates = makers.get(name.partition(" ")[0], cubic_templates)(radius)
    return candidates[template_number(name, candidates)]


def icosahedral_template(radius: float) -> TemplateLattice:
    """The shells of a Mackay icosahedron."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array([np.roll([0.0, s, t * golden], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)]) / np.sqrt(1.0 + golden**2)
    triples = np.array([corners[i] + corners[j] + corners[k] for i in range(12) for j in range(i) for k in range(j)])
    faces = triples[np.abs(np.linalg.norm(triples, axis=1) - np.linalg.norm(triples, axis=1).max()) < 1e-6]
    facets = (faces / np.linalg.norm(faces, axis=1)[:, None], corners)
    shells = int(np.ceil(radius / 0.79)) + 2
    return TemplateLattice("icosahedral", "icosahedral", _ordered(icosahedron_sites(shells), radius), radius, facets, "icosahedral")


def decahedral_templates(radius: float) -> list[TemplateLattice]:
    """The sites of all decahedra about an atom and about a bond of the five-fold axis (z)."""
    edge = np.sqrt(3.0) / 2.0
    angles = np.pi / 2 + 2 * np.pi / 5 * np.arange(5)
    vertices = edge * np.column_stack([np.cos(angles), np.sin(angles)])
    rings = int(np.ceil(radius / (edge * np.cos(np.pi / 5)))) + 1
    columns = [(0.0, 0.0, 0, 0)]
    for ring in range(1, rings + 1):
        for sector in range(5):
            for along in range(ring):
                x, y = (ring - along) * vertices[sector - 1] + along * vertices[sector]
                columns.append((float(x), float(y), ring, max(along, ring - along)))
    table = np.array(columns)
    heights = np.arange(-int(radius) - 2, int(radius) + 3)
    sectors = np.pi / 2 + 2 * np.pi / 5 * np.arange(5) + np.pi / 5
    cap = np.arctan2(edge * np.cos(np.pi / 5), 0.5)
    facets = (_pyramid(sectors, cap), np.column_stack([np.cos(sectors), np.sin(sectors), np.zeros(5)]), _BASAL)
    templates = []
    for origin, shift in (("atom", 0.0), ("bond", 0.5)):
        z = heights[None, :] + 0.5 * (table[:, 2] % 2)[:, None] + shift
        sites = np.column_stack([np.repeat(table[:, :2], len(heights), axis=0), z.ravel()])
        ordered = _ordered(sites, radius)
        width = np.repeat(table[:, 3], len(heights))[np.asarray(cKDTree(sites).query(ordered)[1])]
        templates.append(TemplateLattice(f"decahedral {origin}", "decahedral", ordered, radius, facets, "pentagonal", extra=width[:, None] * edge))
    return templates


@lru_cache(maxsize=4)
def standard_templates(radius: float = DEFAULT_RADIUS, max_layers: int = 8) -> tuple[TemplateLattice, ...]:
    """The standard set, in a fixed order: 12 cubic, 6 hcp, icosahedral, 2 decahedral, then the faulted sequences of 4 to max_layers layers.

    For 8 layers these are 65 sequences, and 86 template lattices in all.

    Args:
        radius: within which the sets are complete, in units of the nearest-neighbour distance (6.5 holds about 1,600 sites of fcc).
        max_layers: longest sequence.
    """
    stacks = [stacked_template(sequence, radius) for layers in range(4, max_layers + 1) for sequence in distinct_sequences(layers, pure=False)]
    return (*cubic_templates(radius), *hcp_templates(radius), icosahedral_template(radius), *decahedral_templates(radius), *stacks)


def template_number(name: str, templates: Sequence[TemplateLattice]) -> int:
    """Index of a template lattice by its name."""
    for index, template in enumerate(templates):
        if template.name == name:
            return index
    raise StructureError(f"template lattice {name!r}: none of that name among {len(templates)}.")
