"""Metal particles of some 300 to 15,000 atoms: crystals, multiply twinned, twinned and faulted ones, at any number of atoms.

A body is an outline on an endless set of sites. A particle of about N atoms is the N sites that the growing outline takes up first, with all that tie
with the last. So every body has particles of all sizes, and neighbours in size differ by one layer or less. Lengths are in nearest-neighbour
distances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64, Int64, Positions
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.close_packed import LAYER_SPACING, sequence_of, stacked_sites
from deepstruc_hpc.structures.cubic import equivalent_planes, lattice_sites
from deepstruc_hpc.structures.lattices import metal_atomic_volume
from deepstruc_hpc.structures.multiply_twinned import decahedron_sites, icosahedron_sites
from deepstruc_hpc.structures.sites import Sites, to_structure
from deepstruc_hpc.structures.symmetry import Operations, point_group

Floats = NDArray[np.float64]

SPHERE = "sphere"
_HOSTS: Mapping[str, str] = {"c": "fcc", "h": "hcp"}
_FIVEFOLD = np.pi / 2 + 2 * np.pi / 5 * np.arange(5)
_EDGE = np.sqrt(3.0) / 2.0
"""Between neighbouring columns of a decahedron along a twin plane."""
_CAP = np.arctan2(_EDGE * np.cos(np.pi / 5), 0.5)
"""How far the normals of a decahedron's {111} faces rise above the plane."""
_ONE_PLANE = ((0,), (1,), (2,), (3,), (4,), (5,), (7,), (9,))
_TWO_PLANES = ((-1, 1), (-1, 2), (-2, 2), (-2, 3), (-3, 3), (-4, 4), (-5, 6), (-7, 7), (-9, 9), (0, 3), (0, 6))
"""Layers from the middle at which twin planes lie: steps of about a tenth to a fifth of the radius."""
_TIE = 1e-6
_DEEP = 0.6
"""Of a sphere's radius: a plane so far from the middle cuts off 10 % of the volume."""
_ROOM = 1.7
"""Radius within which sites are laid out, over that of the sphere of as many atoms. A pentagonal bipyramid of regular tetrahedra reaches out 1.66
times as far as a sphere of its volume, a regular octahedron 1.47 times, the other bodies less."""


@dataclass(frozen=True)
class LargeBody:
    """An outline on a set of sites.

    Attributes:
        family: ``fcc``, ``hcp``, ``bcc``, ``decahedral``, ``icosahedral``, ``twin`` (planes across z), ``fault``.
        outline: ``sphere``, or the name of a facetted one.
        facets: relative distances of its families of facets, in the order of the outline's level function; empty for a sphere.
        word: of a fault, its layers: c as in fcc, h as in hcp.
        host: of a fault, the letter of the layers of the crystal around it.
        planes: of a twin, where its one or two planes lie, in layers from the middle, ascending.
    """

    family: str
    outline: str = SPHERE
    facets: tuple[float, ...] = ()
    word: str = ""
    host: str = ""
    planes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """In words, the same for no two bodies."""
        numbers = " ".join(f"{value:g}" for value in self.facets)
        planes = f" planes at {' '.join(map(str, self.planes))}" if self.planes else ""
        return " ".join(part for part in (_HOSTS.get(self.host, ""), self.family, self.outline, numbers, self.word) if part) + planes

    @property
    def structure_type(self) -> str:
        """What its particles are called."""
        return "stacking_fault" if self.family in {"twin", "fault"} else self.family

    @property
    def lattice(self) -> str:
        """Bodies of one lattice have the same distances between neighbours: ``close-packed``, ``bcc``, ``decahedral``, ``icosahedral``."""
        return self.family if self.family in {"bcc", "decahedral", "icosahedral"} else "close-packed"

    @property
    def complexity(self) -> int:
        """Faults: layers that stand otherwise than in the perfect crystal."""
        return len(self.planes) + sum(letter != self.host for letter in self.word)

    @property
    def symmetry(self) -> Operations:
        """(G, 3, 3) operations about the origin that leave every particle of the body as it is."""
        named = {"fcc": "cubic", "bcc": "cubic", "decahedral": "pentagonal", "icosahedral": "icosahedral"}
        return point_group(named[self.family]) if self.family in named else _trigonal(flat=self.family == "hcp" or self.planes == (0,))

    @property
    def fewest_atoms(self) -> int:
        """Of particles with a tenth of the atoms beyond the outermost plane: with fewer they hardly differ from crystals."""
        away = max(map(abs, self.planes), default=0) * LAYER_SPACING
        return atoms_in_sphere(self.structure_type, 2.0 * away / _DEEP)

    def particle(self, n_atoms: int) -> Sites:
        """(N, 3) sites of the particle of about so many atoms, about the outline's middle, from the inside out; of equal sites all or none are taken.

        Of two such particles the one is returned whose number is nearer to ``n_atoms`` on a logarithmic scale.
        """
        sites, counts = self.nested(np.array([n_atoms]))
        return np.asarray(sites[: counts[0]])

    def nested(self, n_atoms: Int64[NDArray[np.int64], " particles"]) -> tuple[Positions, Int64[NDArray[np.int64], " particles"]]:
        """Particles of about so many atoms, ascending, each the first part of the next one.

        Returns:
            The sites of the largest, from the inside out; and how many each particle holds.
        """
        radius = sphere_diameter(self.structure_type, int(n_atoms[-1])) / 2.0
        sites = self._sites(_ROOM * radius + 1.0)
        level = self._level(sites)
        order = np.argsort(level, kind="stable")
        ordered = level[order]
        edge = ordered[np.minimum(n_atoms, len(ordered)) - 1]
        less, more = np.searchsorted(ordered, edge - _TIE), np.searchsorted(ordered, edge + _TIE)
        counts = np.where((less > 1) & (more * less > n_atoms.astype(float) ** 2), less, more)
        return np.asarray(sites[order[: counts[-1]]]), counts.astype(np.int64)

    def _sites(self, reach: float) -> Sites:
        """All sites of the endless set within a distance of the outline's middle."""
        layers = int(np.ceil(reach / LAYER_SPACING)) + 2
        if self.family == "twin":
            first, last = self.planes[0], self.planes[-1]
            between = "c" * (last - first - 1) + "h" if last > first else ""
            around = "c" * (layers + abs(first + last))
            return _stack(around + "h" + between + around, 0.5 * (first + last), reach)
        if self.family in {"fault", "hcp"}:
            around = (self.host or "h") * layers
            return _stack(around + (self.word or "h") + around, 0.0, reach)
        return _endless(self.family, float(2.0 * np.ceil(reach / 2.0)), reach)

    def _level(self, sites: Sites) -> Floats:
        return np.asarray(_LEVELS[self.family](sites, self.facets) if self.facets else np.linalg.norm(sites, axis=1))


def sphere_diameter(lattice: str, n_atoms: float) -> float:
    """Of the sphere with the volume of so many atoms of a lattice, nearest-neighbour distances."""
    return float(np.cbrt(6.0 / np.pi * n_atoms * metal_atomic_volume(lattice, 1.0)))


def atoms_in_sphere(lattice: str, diameter: float) -> int:
    """How many atoms of a lattice have the volume of a sphere of a diameter (nearest-neighbour distances)."""
    return round(np.pi / 6.0 * diameter**3 / metal_atomic_volume(lattice, 1.0))


def large_structure(body: LargeBody, n_atoms: int, symbol: str, nn_distance: float) -> Structure:
    """The particle of about so many atoms as a structure of a metal; ``nn_distance`` in Å."""
    sites = body.particle(n_atoms)
    return to_structure(sites, symbol, nn_distance, body.structure_type, f"{symbol} {body.name}, {len(sites)} atoms")


def _endless(family: str, radius: float, reach: float) -> Sites:
    sites = _laid_out(family, radius)
    return np.asarray(sites[np.einsum("ij,ij->i", sites, sites) <= reach**2])


@lru_cache(maxsize=4)
def _laid_out(family: str, radius: float) -> Sites:
    """Sites of a lattice or a multiply twinned arrangement within a radius; the last few sets are kept."""
    if family == "icosahedral":
        return icosahedron_sites(int(np.ceil(radius / 0.79)) + 2)
    if family == "decahedral":
        rings = int(np.ceil(radius / (_EDGE * np.cos(np.pi / 5)))) + 1
        tall = int(np.ceil(2.0 * radius)) + 2
        return decahedron_sites(rings, tall + (rings + tall) % 2, 0)  # an odd number of atoms on the axis: one in the middle
    return lattice_sites(family, radius)


def _stack(word: str, height: float, reach: float) -> Sites:
    """Layers of a word within a distance of a point ``height`` layers below the middle of the stack, on the column of the middle layer."""
    sequence = sequence_of(word)
    sites = stacked_sites(sequence, reach, sequence[len(sequence) // 2])
    sites[:, 2] += height * LAYER_SPACING
    return np.asarray(sites[np.einsum("ij,ij->i", sites, sites) <= reach**2])


def _trigonal(*, flat: bool) -> Operations:
    """C3v about z with a mirror across x; with ``flat`` the mirror across z, too."""
    return _trigonal_groups()[flat]


@lru_cache(maxsize=1)
def _trigonal_groups() -> tuple[Operations, Operations]:
    turns = [np.array([[np.cos(a), -np.sin(a), 0.0], [np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]]) for a in 2 * np.pi / 3 * np.arange(3)]
    low = np.array([turn @ mirror for turn in turns for mirror in (np.eye(3), np.diag([-1.0, 1.0, 1.0]))])
    return low, np.concatenate([low, low @ np.diag([1.0, 1.0, -1.0])])


def _cubic_level(sites: Sites, facets: tuple[float, ...]) -> Floats:
    """Facets (100), (110), (111); 0 leaves a family out."""
    families = zip(((1, 0, 0), (1, 1, 0), (1, 1, 1)), facets, strict=True)
    return np.asarray(np.max([(sites @ equivalent_planes(miller).T).max(axis=1) / away for miller, away in families if away], axis=0))


def _decahedral_level(sites: Sites, facets: tuple[float, ...]) -> Floats:
    """The caps' {111} at 1; the prism's {100} at the first distance; the re-entrance begins at the second, along a twin plane; 0 leaves one out."""
    prism, notch = facets
    normals = np.column_stack([np.cos(_FIVEFOLD + np.pi / 5), np.sin(_FIVEFOLD + np.pi / 5)])
    across = (sites[:, :2] @ normals.T).max(axis=1)
    level = np.cos(_CAP) * across + np.sin(_CAP) * np.abs(sites[:, 2])
    if prism:
        level = np.maximum(level, across / prism)
    if notch:
        angle = np.mod(np.arctan2(sites[:, 1], sites[:, 0]) - np.pi / 2, 2 * np.pi / 5)
        away = np.hypot(sites[:, 0], sites[:, 1]) / np.sin(2 * np.pi / 5)
        level = np.maximum(level, away * np.maximum(np.sin(angle), np.sin(2 * np.pi / 5 - angle)) / notch)
    return np.asarray(level)


def _icosahedral_level(sites: Sites, facets: tuple[float, ...]) -> Floats:
    """The twenty faces at 1, the corners cut at the distance given."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array([np.roll([0.0, s, t * golden], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)]) / np.sqrt(1.0 + golden**2)
    near = np.abs(corners @ corners.T - 1.0 / np.sqrt(5.0)) < 1e-6
    faces = np.array(
        [corners[i] + corners[j] + corners[k] for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]]
    )
    faces /= np.linalg.norm(faces, axis=1)[:, None]
    return np.asarray(np.maximum((sites @ faces.T).max(axis=1), (sites @ corners.T).max(axis=1) / facets[0]))


def _prism_level(sites: Sites, facets: tuple[float, ...]) -> Floats:
    """Six prism faces at 1, the basal ones at the distance given."""
    azimuth = np.pi / 6 + np.pi / 3 * np.arange(6)
    across = (sites[:, :2] @ np.column_stack([np.cos(azimuth), np.sin(azimuth)]).T).max(axis=1)
    return np.asarray(np.maximum(across, np.abs(sites[:, 2]) / facets[0]))


def _twin_level(sites: Sites, facets: tuple[float, ...]) -> Floats:
    """A truncated octahedron and its mirror image: {111} at 1, {100} at the distance given, of the upper crystal; the lower one is its image."""
    upper = sites * np.array([1.0, 1.0, 0.0]) + np.abs(sites) * np.array([0.0, 0.0, 1.0])
    even, odd = np.pi / 6 + 2 * np.pi / 3 * np.arange(3), np.pi / 2 + 2 * np.pi / 3 * np.arange(3)
    steep, flat = np.arctan(1 / np.sqrt(8.0)), np.arctan(1 / np.sqrt(2.0))
    close = _raised(odd, steep, 1.0), _raised(even, steep, -1.0), np.array([[0.0, 0.0, 1.0]])
    square = _raised(even, flat, 1.0), _raised(odd, flat, -1.0)
    at_one, cut = np.concatenate(close), np.concatenate(square)
    return np.asarray(np.maximum((upper @ at_one.T).max(axis=1), (upper @ cut.T).max(axis=1) / facets[0]))


def _raised(azimuths: NDArray[np.floating[Any]], tilt: float, side: float) -> Floats:
    return np.column_stack([np.cos(azimuths) * np.cos(tilt), np.sin(azimuths) * np.cos(tilt), np.full(len(azimuths), side * np.sin(tilt))])


_LEVELS: Mapping[str, Callable[[Sites, tuple[float, ...]], Floats]] = {
    "fcc": _cubic_level,
    "bcc": _cubic_level,
    "hcp": _prism_level,
    "decahedral": _decahedral_level,
    "icosahedral": _icosahedral_level,
    "twin": _twin_level,
}


@lru_cache(maxsize=1)
def large_bodies() -> tuple[LargeBody, ...]:
    """All bodies that are tried: spheres, and facetted bodies over the range of shapes that metals grow in.

    fcc: cuboctahedron (0.87, distance of {100} over {111}), truncated octahedra, octahedron (1.73); cubes are rare. Decahedra: {100} at 0.75 to 1.3
    of the distance of {111} are rods to flat ones (Ino), 0 the pentagonal bipyramid; the re-entrance (Marks) cuts the corners, which lie at 1.236
    times the distance of {100}. Icosahedra: corners lie at 1.258 times the faces.

    Source of the shapes: L. D. Marks, Rep. Prog. Phys. 57 (1994) 603.
    """
    found = [LargeBody("fcc")]
    found += [LargeBody("fcc", "facetted", (ratio, 0.0, 1.0)) for ratio in (0.87, 1.0, 1.15, 1.35, 1.73)]
    found += [LargeBody("hcp"), *(LargeBody("hcp", "prism", (ratio,)) for ratio in (0.8, 1.0, 1.3))]
    found += [LargeBody("bcc"), LargeBody("bcc", "facetted", (0.0, 1.0, 0.0)), LargeBody("bcc", "facetted", (1.15, 1.0, 0.0))]
    found += [LargeBody("decahedral"), LargeBody("decahedral", "bipyramid", (0.0, 0.0))]
    found += [LargeBody("decahedral", "Ino", (prism, 0.0)) for prism in (0.75, 1.0, 1.3)]
    found += [LargeBody("decahedral", "Marks", (prism, round(cut * prism, 3))) for prism, cut in ((0.75, 0.9), (1.0, 1.05), (1.0, 0.9), (1.3, 1.0))]
    found += [LargeBody("icosahedral"), LargeBody("icosahedral", "facetted", (1.258,)), LargeBody("icosahedral", "facetted", (1.15,))]
    found += [LargeBody("twin", planes=planes) for planes in (*_ONE_PLANE, *_TWO_PLANES)]
    found += [LargeBody("twin", "facetted", (1.15,), planes=(0,))]
    found += [LargeBody("fault", word=word, host=host) for word, host in (("hh", "c"), ("c", "h"), ("cc", "h"))]
    return tuple(found)


def multiplicities(sites: Positions, operations: Float64[Operations, "operations 3 3"]) -> Int64[NDArray[np.int64], " atoms"]:
    """(N,) for the first site of each set that the operations make equal how many the set holds, 0 for the others; the sites must be symmetric."""
    highest = np.full(len(sites), -np.inf)
    for operation in operations:
        image = np.round(sites @ operation.T, 3) + 0.0
        highest = np.maximum(highest, image[:, 0] * 1e8 + image[:, 1] * 1e4 + image[:, 2])
    _, first, counts = np.unique(np.round(highest, 2), return_index=True, return_counts=True)
    found = np.zeros(len(sites), dtype=np.int64)
    found[first] = counts
    return found
