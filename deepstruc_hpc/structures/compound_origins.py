"""One description of each particle of a compound: its lattice about the site or bond that is nearest to the particle's middle.

A particle can be described about any site of its crystal. The origin that is taken is the site, or the middle of a shortest bond, nearest to the
centroid, and the crystal is turned by its own symmetry so that it is that of the template lattice about this origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.structures.assignment import oriented
from deepstruc_hpc.structures.compound_types import ANION, CATION, PREFIX, SURROUNDINGS, origins_of, plain_crystal, type_of
from deepstruc_hpc.structures.crystal_cut import crystal_sites
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.template_lattices import TemplateLattice, template_lattice

SAME = 1e-3
"""Bonds. Sites nearer than this are one: cells are known to four digits."""
_CELLS = np.array(list(product((-1, 0, 1), repeat=3)))

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Origins:
    """All points of a crystal's cell that are the origin of one of its template lattices.

    Attributes:
        points: (M, 3) in bonds.
        names: of the M origins.
        turns: (M, 3, 3); x about a point is ``turn @ x`` about its origin.
        cell: (3, 3) in bonds, rows are the cell vectors.
    """

    points: Floats
    names: tuple[str, ...]
    turns: Floats
    cell: Floats

    def nearest(self, middle: Floats) -> tuple[Floats, str, Floats]:
        """The point (3,) nearest to a middle (3,), its origin's name, and its turn."""
        home = np.floor(middle @ np.linalg.inv(self.cell)) @ self.cell
        images = self.points + home + (_CELLS @ self.cell)[:, None]
        away = np.round(np.linalg.norm(images - middle, axis=2), 6)
        cell, number = np.unravel_index(int(away.argmin()), away.shape)
        return images[cell, number], self.names[int(number)], self.turns[int(number)]


def centred_occupation(template: TemplateLattice, mask: NDArray[np.bool_]) -> tuple[TemplateLattice, NDArray[np.bool_]] | None:
    """The same particle about the origin that is nearest to its middle, turned to one orientation.

    Args:
        template: of a type, from :func:`~deepstruc_hpc.structures.compound_types.compound_template`.
        mask: (S,) filled sites.

    Returns:
        Its template lattice and filled sites; None where it reaches beyond that template lattice's sites.
    """
    kind = type_of(template.name)
    bond = plain_crystal(kind).bond_length
    shifted = template.sites[mask] + origins_of(kind)[template.name.rpartition(" about ")[2]] / bond
    point, name, turn = _origins(kind).nearest(shifted.mean(axis=0))
    chosen = template_lattice(f"{PREFIX}{kind} about {name}", template.radius)
    away, site = _tree(chosen.name, chosen.radius).query((shifted - point) @ turn.T)
    if np.max(away) > SAME:
        return None
    filled = np.zeros(len(chosen), dtype=bool)
    filled[site] = True
    return chosen, oriented(chosen, filled)


@lru_cache(maxsize=128)
def _tree(name: str, radius: float) -> cKDTree:
    return cKDTree(template_lattice(name, radius).sites)


@lru_cache(maxsize=64)
def _origins(kind: str) -> Origins:
    crystal = plain_crystal(kind)
    bond = crystal.bond_length
    around = {name: _surroundings(crystal, point) for name, point in origins_of(kind).items()}
    found: list[tuple[Floats, str, Floats]] = []
    for point in _candidates(crystal):
        own = _surroundings(crystal, point)
        matched = next(((name, turn) for name, other in around.items() if (turn := _turn(crystal, own, other)) is not None), None)
        if matched is not None:
            found.append((point / bond, *matched))
    return Origins(
        np.array([point for point, _, _ in found]),
        tuple(name for _, name, _ in found),
        np.array([turn for *_, turn in found]),
        crystal.lattice / bond,
    )


def _candidates(crystal: Crystal) -> list[Floats]:
    """Sites of a cell and the middles of its shortest bonds, Å."""
    places = crystal.fractions @ crystal.lattice
    kinds = np.array(crystal.main_element)
    found = list(places)
    for place, kind in zip(places, kinds, strict=True):
        near, cell_site = crystal_sites(crystal, (1.0 + SAME) * crystal.bond_length, place)
        unlike = kinds[cell_site] != kind
        found += [place + step / 2.0 for step in near[unlike]]
    return found


def _surroundings(crystal: Crystal, point: Floats) -> Floats:
    """(K, 4) sites about a point, in bonds, and their kinds."""
    sites, cell_site = crystal_sites(crystal, SURROUNDINGS * crystal.bond_length, point)
    kinds = [ANION if crystal.main_element[site] == "X" else CATION for site in cell_site]
    return np.column_stack([sites / crystal.bond_length, 10.0 * np.array(kinds)])


def _turn(crystal: Crystal, own: Floats, other: Floats) -> Floats | None:
    """The symmetry of the crystal that brings some surroundings onto others."""
    if len(own) != len(other):
        return None
    tree = cKDTree(other)
    for operation in crystal.point_operations:
        turned = np.column_stack([own[:, :3] @ operation.T, own[:, 3]])
        if np.max(tree.query(turned)[0]) < SAME:
            return np.asarray(operation)
    return None
