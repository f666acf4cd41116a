"""Which template lattice a cluster is a piece of, and which of the template lattice's sites it fills.

One crystal can be described about an atom, a hole or a bond. To make the description unique, the origin is the point of high symmetry nearest to
the cluster's centroid, and the assignment is turned to one orientation under the symmetry about that origin. The cluster must stand in its template's
frame, up to the template lattice's point group, as all builders of this package leave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.shapes import Bool, Int64, Numbers, Real
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.close_packed import LAYER_SPACING, stacking_word
from deepstruc_hpc.structures.cubic import LATTICE_CONSTANT
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.symmetry import Operations, point_group
from deepstruc_hpc.structures.template_lattices import CUBIC_ORIGINS, HCP_ORIGINS, TemplateLattice, template_lattice

_CLOSE = 0.02
_SHIFTS = 1.3
_MARGIN = 2.0
"""A crystal is laid out so much farther than its template lattices reach: a cluster is first shifted with an atom, not its middle, at the origin."""
_CELL_SHIFTS = 4.0
_ALLOY_ORDER = ("fcc", "bcc", "hcp", "sc", "icosahedral", "decahedral", "stacking_fault")
"""In which the template lattices of an alloy are tried, whose type says its order and not its lattice."""
_TURNED = np.array([[[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]] for c, s in ((1.0, 0.0), (np.sqrt(0.75), 0.5))])
"""Frames in which builders leave hexagonal crystals: along x, or turned by 30°."""
_LAYERS = np.column_stack([np.array([1.0, -1.0, 0.0]) / np.sqrt(2.0), np.array([1.0, 1.0, -2.0]) / np.sqrt(6.0), np.ones(3) / np.sqrt(3.0)])
_STACKED = np.array([_LAYERS, _LAYERS @ np.diag([-1.0, -1.0, 1.0])])
"""From the frame of a stack of close-packed layers to the cubic axes of its fcc crystal, in either orientation of the twin."""


@dataclass(frozen=True)
class SiteAssignment:
    """A template lattice by number, (S,) bool which of its sites are filled and, where elements are given, each site's number, −1 for empty."""

    template: int
    mask: NDArray[np.bool_]
    kinds: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class _Lattice:
    """A crystal with all of its points of high symmetry near the origin.

    Attributes:
        base: the template lattice about an atom.
        members: numbers of its template lattices.
        points: (P, 3) points of high symmetry in the base's frame.
        template: (P,) whose origin each is.
        operations: (P, 3, 3); x goes to ``operation @ (x − point)`` in the frame of that template lattice.
    """

    base: cKDTree
    starts: NDArray[np.float64]
    points: NDArray[np.float64]
    template: NDArray[np.intp]
    operations: Operations


class LatticeLookup:
    """Assigns clusters to template lattices.

    Args:
        templates: of the standard set or a part of it.
        tolerance: how far an atom may lie from its site, nearest-neighbour distances.
    """

    def __init__(self, templates: Sequence[TemplateLattice], tolerance: float = _CLOSE) -> None:
        self.templates = tuple(templates)
        self.tolerance = tolerance
        self._trees = {index: cKDTree(template.sites) for index, template in enumerate(self.templates)}
        self._shortest = [shortest_distance(template.sites) for template in self.templates]

    def find(
        self,
        positions: Real[Numbers, "atoms 3"],
        structure_type: str,
        kinds: Int64[NDArray[np.int64], " atoms"] | None = None,
        *,
        length: float | None = None,
    ) -> SiteAssignment | None:
        """The assignment that a cluster is, or None where it is a piece of no template lattice.

        Args:
            positions: (N, 3), any unit of length.
            structure_type: narrows the search; ``octahedral`` is fcc.
            kinds: (N,) numbers of the atoms' elements; the assignment then says which lies where, and its orientation depends on it, too.
            length: nearest-neighbour distance in that unit; the shortest distance where not given.
        """
        xyz = np.asarray(positions, dtype=np.float64)
        if len(xyz) < 2:
            return None
        kind = lattice_of(structure_type)
        unit = (xyz - xyz.mean(axis=0)) / (length or shortest_distance(xyz))
        if kind in self._lattices:
            return self._on_lattice(unit, self._lattices[kind], kinds)
        shifted = [self._search(unit * self._shortest[index], index) for index in self._searched(unit, kind)]
        fitting = [found for found in shifted if found is not None]
        return self._assignment(*min(fitting, key=lambda found: found[0])[1:], kinds) if fitting else None

    def find_compound(self, structure: Structure, elements: Sequence[str]) -> SiteAssignment | None:
        """The assignment that a cluster of several elements is: a cut of one of the crystals among the templates, or an alloy on another template.

        Args:
            structure: Å. Cuts of crystals bear the crystal's name as their type.
            elements: names of the numbers in the assignment's ``kinds``.
        """
        number = {symbol: place for place, symbol in enumerate(elements)}
        kinds = np.array([number[symbol] for symbol in structure.symbols], dtype=np.int64)
        crystals = [i for i, template in enumerate(self.templates) if template.species and template.structure_type == structure.structure_type]
        if crystals:
            return self._in_crystal(structure, crystals, kinds)
        known = [kind for kind in _ALLOY_ORDER if any(template.structure_type == kind for template in self.templates)]
        tried = (self.find(structure.positions, kind, kinds) for kind in ([structure.structure_type] if structure.structure_type in known else known))
        return next((found for found in tried if found is not None), None)

    def _in_crystal(self, structure: Structure, members: Sequence[int], kinds: NDArray[np.int64]) -> SiteAssignment | None:
        """The cluster shifted by whole cells to where its middle is nearest to the origin of one of a crystal's template lattices."""
        best: tuple[float, NDArray[np.float64], int] | None = None
        for index in members:
            template = self.templates[index]
            if not set(structure.symbols) <= set(template.classes):
                return None
            tree = self._marked(index)
            unit = (structure.positions - structure.positions.mean(axis=0)) / template.length
            marked = np.column_stack([unit, [float(template.classes[symbol]) for symbol in structure.symbols]])
            first = int(np.argmin(np.einsum("ij,ij->i", unit, unit)))
            for site in tree.query_ball_point(marked[first], _CELL_SHIFTS):
                shift = np.append(template.sites[site] - unit[first], 0.0)
                away = float(np.linalg.norm(shift))
                if (best is None or away < best[0] - 1e-6) and np.max(tree.query(marked + shift)[0]) < self.tolerance:
                    best = (away, unit + shift[:3], index)
        return None if best is None else self._assignment(*best[1:], kinds)

    def _marked(self, index: int) -> cKDTree:
        template = self.templates[index]
        return cKDTree(np.column_stack([template.sites, template.site_class]))

    def _searched(self, unit: NDArray[np.float64], kind: str) -> list[int]:
        members = [index for index, template in enumerate(self.templates) if template.structure_type == kind]
        if kind != "stacking_fault":
            return members
        word = _word_of(unit)
        return [i for i in members if self.templates[i].name.startswith("close-packed ") and stacking_word(self.templates[i].name.split()[1]) in word]

    def _on_lattice(self, unit: NDArray[np.float64], lattice: _Lattice, kinds: NDArray[np.int64] | None) -> SiteAssignment | None:
        for turn in (*_TURNED, *_STACKED):
            turned = unit @ turn.T
            first = turned[np.argmin(np.einsum("ij,ij->i", turned, turned))]
            for start in lattice.starts:
                shift = start - first
                if np.max(lattice.base.query(turned + shift)[0]) > self.tolerance:
                    continue
                distance = np.linalg.norm(lattice.points - shift, axis=1)
                chosen = int(np.flatnonzero(distance < distance.min() + 1e-5)[0])
                index = int(lattice.template[chosen])
                return self._assignment((turned + shift - lattice.points[chosen]) @ lattice.operations[chosen].T, index, kinds)
        return None

    def _search(self, unit: NDArray[np.float64], index: int) -> tuple[float, NDArray[np.float64], int] | None:
        """The shift with the centroid nearest to the template lattice's origin; in its own frame, turned over, or turned about z.

        Returns:
            Distance of the centroid from the origin, the cluster in the template lattice's frame, and the template lattice's number.
        """
        template, tree = self.templates[index], self._trees[index]
        best: tuple[float, NDArray[np.float64], int] | None = None
        for turn in _frames(template):
            turned = unit @ turn.T
            squared = np.einsum("ij,ij->i", turned, turned)
            first, probe = turned[np.argmin(squared)], turned[np.argsort(squared)[-8:]]
            shifts = template.sites[tree.query_ball_point(first, _SHIFTS)] - first
            far = np.asarray(tree.query((probe[None] + shifts[:, None]).reshape(-1, 3))[0]).reshape(len(shifts), -1).max(axis=1)
            for shift in shifts[far < self.tolerance]:
                away = float(np.linalg.norm(shift))
                if (best is None or away < best[0] - 1e-6) and np.max(tree.query(turned + shift)[0]) < self.tolerance:
                    best = (away, turned + shift, index)
        return best

    def _assignment(self, shifted: NDArray[np.float64], index: int, kinds: NDArray[np.int64] | None) -> SiteAssignment | None:
        distance, site = self._trees[index].query(shifted)
        if np.max(distance) > self.tolerance or len(np.unique(site)) < len(shifted):
            return None
        mask = np.zeros(len(self.templates[index]), dtype=bool)
        mask[site] = True
        if kinds is None:
            return SiteAssignment(index, oriented(self.templates[index], mask))
        on_site = np.full(len(mask), -1, dtype=np.int64)
        on_site[site] = kinds
        chosen = oriented_kinds(self.templates[index], mask, on_site)
        return SiteAssignment(index, chosen >= 0, chosen)

    @cached_property
    def _lattices(self) -> dict[str, _Lattice]:
        found = {}
        for kind, origins in _origins().items():
            numbers = {
                index: template.name.removeprefix(f"{kind} ") for index, template in enumerate(self.templates) if template.structure_type == kind
            }
            about_atom = [index for index, name in numbers.items() if name == "atom"]
            if about_atom:
                known = {index: np.array(origins[name]) for index, name in numbers.items() if name in origins}
                found[kind] = _lattice(template_lattice(f"{kind} atom", self.templates[about_atom[0]].radius + _MARGIN), known)
        return found


def oriented(template: TemplateLattice, mask: Bool[NDArray[np.bool_], " sites"]) -> Bool[NDArray[np.bool_], " sites"]:
    """One of all assignments that the template lattice's symmetry makes equal: where it reaches out farthest lies at +z, then +y.

    Told by low moments of the shape, so that clusters of similar shape are turned alike, which a network can learn; equal moments by the first sites.

    Args:
        template: the sites.
        mask: (S,) bool.
    """
    images = mask[template.permutations]
    return np.asarray(images[_turns(template, images)[0]])


def oriented_kinds(
    template: TemplateLattice, mask: Bool[NDArray[np.bool_], " sites"], kinds: Int64[NDArray[np.int64], " sites"]
) -> Int64[NDArray[np.int64], " sites"]:
    """As :func:`oriented`, with the elements: where the shape leaves several orientations, the one in which they reach out farthest.

    Args:
        template: the sites.
        mask: (S,) bool.
        kinds: (S,) numbers of the elements, −1 where a site is empty.
    """
    turns = _turns(template, mask[template.permutations])
    images = kinds[template.permutations[turns]]
    moments = np.round((images + 1.0) @ _asymmetric(template), 6)
    best = images[moments == moments.max()]
    return np.asarray(max(best, key=lambda image: image.astype(">i8").tobytes()))


def _turns(template: TemplateLattice, images: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The symmetries (of G, with (G, S) images) that turn an assignment to its one orientation: several where it is symmetric itself."""
    moments = np.round(images @ _asymmetric(template), 6)
    best = np.flatnonzero(moments == moments.max())
    if len(best) == 1:
        return best
    packed = np.packbits(images[best], axis=1)
    first = max(row.tobytes() for row in packed)
    return best[[row.tobytes() == first for row in packed]]


@lru_cache(maxsize=512)
def _asymmetric(template: TemplateLattice) -> NDArray[np.float64]:
    """A smooth function of space that no symmetry leaves alone, (S,)."""
    x, y, z = (template.sites / 4.0).T
    even = z**2 + 0.5 * y**2 + 0.25 * (x * y + 0.8 * y * z + 0.6 * z * x)
    odd = z + 0.75 * y + 0.45 * x + 0.6 * (z**3 + 0.7 * y**3 + 0.4 * x**3) + 0.35 * x * y * z
    return np.asarray(even + odd)


def _origins() -> dict[str, dict[str, NDArray[np.float64]]]:
    cubic = {kind: {name: np.array(place) * LATTICE_CONSTANT[kind] for name, place in origins.items()} for kind, origins in CUBIC_ORIGINS.items()}
    return {**cubic, "hcp": {name: np.array(place) for name, place in HCP_ORIGINS.items()}}


def _lattice(base: TemplateLattice, origins: dict[int, NDArray[np.float64]]) -> _Lattice:
    """All points of high symmetry within reach: the images of each template lattice's origin under the crystal's space group."""
    tree = cKDTree(base.sites)
    inner, basis = base.sites[base.distance < 1.5], base.sites[base.distance < 2.0]
    translations = np.array([t for t in base.sites[base.distance < 5.0] if np.max(tree.query(inner + t)[0]) < 1e-6])
    starts = np.concatenate([np.zeros((1, 3)), _other_atoms(basis, translations)])
    points: list[NDArray[np.float64]] = []
    owners: list[int] = []
    operations: list[NDArray[np.float64]] = []
    seen: set[tuple[float, ...]] = set()
    near = base.sites[base.distance < 2.0]
    for turn in point_group(base.group):
        glide = next(start for start in starts if np.max(tree.query(near @ turn.T + start)[0]) < 1e-6)
        for index, origin in origins.items():
            images = turn @ origin + glide + translations
            for image in images[np.linalg.norm(images, axis=1) < 2.2]:
                key = tuple(np.round(image, 5) + 0.0)
                if key not in seen:
                    seen.add(key)
                    points.append(image)
                    owners.append(index)
                    operations.append(turn.T)
    order = np.argsort(owners, kind="stable")
    return _Lattice(tree, starts, np.array(points)[order], np.array(owners, dtype=np.intp)[order], np.array(operations)[order])


def _other_atoms(sites: NDArray[np.float64], translations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sites that no translation brings to the origin, one of each kind (hcp has one, cubic lattices none)."""
    others = [site for site in sites if np.min(np.linalg.norm(translations - site, axis=1)) > 1e-6]
    return np.array(others[:1]).reshape(-1, 3)


def _frames(template: TemplateLattice) -> Operations:
    """Orientations to try: as it is; for stacks also turned over, turned by 180° about z, and both."""
    if template.layer is None:
        return np.eye(3)[None]
    return np.array([np.diag(signs) for signs in ((1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0))])


def _word_of(unit: NDArray[np.float64]) -> set[str]:
    """The stacking of layers along z as a word of h and c, read both ways."""
    level = np.round((unit[:, 2] - unit[:, 2].min()) / LAYER_SPACING).astype(np.intp)
    places = [unit[np.flatnonzero(level == k)[0], :2] if (level == k).any() else np.full(2, np.nan) for k in range(level.max() + 1)]
    letters = ""
    for place in places:
        u = np.array([place[0] - place[1] / np.sqrt(3.0), 2.0 * place[1] / np.sqrt(3.0)]) - _hexagonal(places[0])
        thirds = 3.0 * (u[0] if np.isfinite(u[0]) else 0.5)
        letters += "ABC"[round(thirds) % 3]
    word = stacking_word(letters)
    return {word, word[::-1]}


def _hexagonal(place: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([place[0] - place[1] / np.sqrt(3.0), 2.0 * place[1] / np.sqrt(3.0)])
