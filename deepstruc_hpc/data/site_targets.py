"""What a decoder over sites should say: the template lattice of each structure, which of the template's sites are filled, and with which elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.assignment import LatticeLookup, SiteAssignment
from deepstruc_hpc.structures.template_lattices import TemplateLattice

EMPTY = 255
"""Stands for the element of an empty site."""
REACH_BEYOND = 1.0
"""Sites near a structure are those up to this far outside its outermost atom, in nearest-neighbour distances."""
FAR_SHARE = 0.5
"""Of the sites that are evaluated away from the surface, the share drawn from all of the template's: an untrained field is wild there."""


@dataclass(frozen=True, eq=False)
class SiteArrays:
    """Targets of a batch.

    Attributes:
        template: (B,) int64.
        site: (B, K) int64, sites of that template lattice.
        filled: (B, K) float32, 1 where the site is filled.
        mask: (B, ⌈S/8⌉) uint8, all sites of the template lattice as bits.
        element: (B, S) uint8, the number of the element on every site, :data:`EMPTY` where there is none; only where elements are to be decoded.
    """

    template: NDArray[np.int64]
    site: NDArray[np.int64]
    filled: NDArray[np.float32]
    mask: NDArray[np.uint8]
    element: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class SiteTable:
    """Template lattices and assignments of many structures; about 1 kB each.

    Attributes:
        template: (S,) int64; −1 for a structure that is a piece of no template lattice.
        mask: (S, ⌈largest template lattice / 8⌉) uint8.
        edge: (Σ,) int32, the sites at the surface of each structure, on both sides of it, laid end to end.
        offsets: (S + 1,) int64 into ``edge``.
        reach: (S,) int64, number of sites up to a little outside the structure.
        size: (S,) int64, number of sites of its template lattice.
        element: (S, sites of the largest template lattice) uint8, see :class:`SiteArrays`; a further 1 kB a structure.
    """

    template: NDArray[np.int64]
    mask: NDArray[np.uint8]
    edge: NDArray[np.int32]
    offsets: NDArray[np.int64]
    reach: NDArray[np.int64]
    size: NDArray[np.int64]
    element: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, structures: Sequence[Structure], templates: Sequence[TemplateLattice], elements: Sequence[str] = ()) -> SiteTable:
        """Find the template lattice of every structure.

        Args:
            structures: of a catalog.
            templates: to choose from.
            elements: names of the elements' numbers, where elements are to be decoded, too; without them a structure of several has no template.

        Raises:
            StoreError: not one structure is a piece of a template lattice.
        """
        finder = LatticeLookup(templates)
        return cls.of_assignments(
            (assignment_of(finder, structure, elements) for structure in structures), len(structures), templates, bool(elements)
        )

    @classmethod
    def of_assignments(
        cls, assignments: Iterable[SiteAssignment | None], count: int, templates: Sequence[TemplateLattice], elements: bool = False
    ) -> SiteTable:
        """A table of known assignments; see :meth:`of`.

        Args:
            assignments: of each structure, None where it is a piece of no template lattice.
            count: how many structures.
            templates: to which the assignments' numbers belong.
            elements: whether elements are to be decoded, too.
        """
        owner = np.full(count, -1, dtype=np.int64)
        largest = max(len(template) for template in templates)
        width = -(-largest // 8)
        species = np.full((count, largest), EMPTY, dtype=np.uint8) if elements else None
        masks = np.zeros((count, width), dtype=np.uint8)
        edges: list[NDArray[np.int32]] = []
        reach = np.zeros(count, dtype=np.int64)
        for row, found in enumerate(assignments):
            if found is None:
                edges.append(np.zeros(0, dtype=np.int32))
                continue
            owner[row] = found.template
            packed = np.packbits(found.mask)
            masks[row, : len(packed)] = packed
            if species is not None and found.kinds is not None:
                species[row, : len(found.kinds)] = np.where(found.kinds < 0, EMPTY, found.kinds)
            template = templates[found.template]
            edges.append(surface_sites(template, found.mask))
            reach[row] = np.searchsorted(template.distance, template.distance[found.mask].max() + REACH_BEYOND)
        if (owner < 0).all():
            raise StoreError(
                f"none of the {count} structures is a piece of a template lattice, which the decoder over sites needs. "
                "Train the other decoder: --set model.decoder=coordinates."
            )
        offsets = np.cumsum([0, *(len(edge) for edge in edges)], dtype=np.int64)
        size = np.array([len(template) for template in templates], dtype=np.int64)[owner]
        return cls(owner, masks, np.concatenate(edges), offsets, reach, size, species)

    def __len__(self) -> int:
        return len(self.template)

    def take(self, rows: NDArray[np.int64], rng: np.random.Generator, *, sites: int, edge_share: float) -> SiteArrays:
        """Targets of some rows at sites drawn anew.

        Args:
            rows: of structures that have a template lattice.
            rng: which sites.
            sites: K, how many of each structure.
            edge_share: expected share of sites at the surface, where the decision falls.
        """
        shape = (len(rows), sites)
        counts = (self.offsets[rows + 1] - self.offsets[rows])[:, None]
        place = self.offsets[rows][:, None] + (rng.random(shape) * counts).astype(np.int64)
        limit = np.where(rng.random(shape) < FAR_SHARE, self.size[rows][:, None], self.reach[rows][:, None])
        anywhere = (rng.random(shape) * limit).astype(np.int64)
        site = np.where(rng.random(shape) < edge_share, self.edge[np.minimum(place, len(self.edge) - 1)], anywhere)
        mask = self.mask[rows]
        bits = np.take_along_axis(mask, site // 8, axis=1) >> (7 - site % 8).astype(np.uint8)
        return SiteArrays(self.template[rows], site, (bits & 1).astype(np.float32), mask, None if self.element is None else self.element[rows])


def assignment_of(finder: LatticeLookup, structure: Structure, elements: Sequence[str] = ()) -> SiteAssignment | None:
    """The template lattice of a structure and its filled sites; None where there is none, as for several elements where none are to be decoded."""
    if elements:
        return finder.find_compound(structure, elements)
    return finder.find(structure.positions, structure.structure_type) if len(structure.elements) == 1 else None


def surface_sites(template: TemplateLattice, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Filled sites with an empty neighbour and empty sites with a filled one."""
    filled = mask.astype(np.int32)
    neighbours = template.bonds @ filled
    coordination = np.diff(template.bonds.indptr)
    return np.flatnonzero(np.where(mask, neighbours < coordination, neighbours > 0)).astype(np.int32)


def composition_error(found: NDArray[np.int64], true: NDArray[np.int64], n_elements: int) -> float:
    """½ Σ |fraction found − true fraction| over the elements, from the elements of all atoms (negative numbers do not count)."""
    shares = [np.bincount(kinds[kinds >= 0], minlength=n_elements) / max(int((kinds >= 0).sum()), 1) for kinds in (found, true)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())
