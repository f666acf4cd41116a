"""Bonds and shells of a crystal: which crystals are the same net, and which are the same crystal.

A bond joins two sites whose distance is below ``BOND`` times the shortest such distance of one of them. Between kinds of sites that differ (cations
and anions) only unlike sites are joined. The coordination sequence of a site is the number of sites one, two, three … bonds away; crystals whose
sites have the same sequences are distortions of one another, as CaCl2 is of rutile.

Source: coordination sequences as in Brunner & Laves, Wiss. Z. Tech. Univ. Dresden 20 (1971) 387; Grosse-Kunstleve et al., Acta Cryst. A52 (1996) 879.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Bool, CellVectors, Float64, Int64

Float = NDArray[np.float64]
BOND = 1.25
"""Longest bond in units of a site's shortest one: 1.155 joins the 8 + 6 neighbours of bcc, 1.41 would join the second shell of fcc."""
UNBOUND = 1.4
"""A site whose nearest one of a kind is farther than this many shortest contacts has no bonds to it: the iron at the corners of Fe4N."""
GENERATIONS = 6
"""Most numbers of a coordination sequence; quartz and cristobalite differ in the fifth, anatase and rutile in the third."""
ENOUGH = 250
"""A sequence ends once it has counted so many sites."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Sites around the sites of a cell.

    Attributes:
        first: (K,) number of the site in the cell.
        second: (K,) number of the site around it.
        shift: (K, 3) cell of the second one.
        distance: (K,) Å, sorted within each first site.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    shift: NDArray[np.intp]
    distance: Float


def neighbours(lattice: CellVectors, fractions: Float64[Float, "sites 3"], reach: float) -> Neighbours:
    """All sites within a reach of every site of the cell, itself left out.

    Args:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3).
        reach: Å.
    """
    spread = np.floor(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int) + 1  # fractions differ by less than 1
    shifts = np.stack(np.meshgrid(*[np.arange(-s, s + 1) for s in spread], indexing="ij"), axis=-1).reshape(-1, 3)
    parts = []
    for site, place in enumerate(fractions):
        apart = np.linalg.norm((fractions[None] + shifts[:, None] - place) @ lattice, axis=-1)
        cell, other = np.nonzero((apart <= reach) & (apart > 1e-4))
        order = np.argsort(apart[cell, other], kind="stable")
        cell, other = cell[order], other[order]
        parts.append((np.full(len(cell), site), other, shifts[cell], apart[cell, other]))
    first, second, shift, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Neighbours(first, second, shift, distance)


def bond_mask(found: Neighbours, kinds: Int64[NDArray[np.intp], " sites"]) -> Bool[NDArray[np.bool_], " pairs"]:
    """Which of the neighbours are bonded.

    Args:
        found: neighbours of all sites, far enough to hold a bond of each.
        kinds: (M,) of the sites; only unlike ones are bonded where there are several.

    Returns:
        (K,), the same for both directions of a pair.
    """
    wanted = kinds[found.first] != kinds[found.second] if len(np.unique(kinds)) > 1 else np.ones(len(found.first), dtype=bool)
    nearest = np.full(len(kinds), np.inf)
    np.minimum.at(nearest, found.first[wanted], found.distance[wanted])
    limit = np.maximum(nearest[found.first], nearest[found.second])
    return np.asarray(wanted & (found.distance <= BOND * np.where(np.isfinite(limit), limit, 0.0)))


def coordination_sequences(
    found: Neighbours, kinds: Int64[NDArray[np.intp], " sites"], sites: Int64[NDArray[np.intp], " chosen"]
) -> dict[int, tuple[int, ...]]:
    """The coordination sequence of some sites.

    Returns:
        For each site the numbers of sites 1, 2, 3 … bonds away.
    """
    bonded = bond_mask(found, kinds)
    ends: list[list[tuple[int, int, int, int]]] = [[] for _ in kinds]
    for first, second, (x, y, z) in zip(found.first[bonded], found.second[bonded], found.shift[bonded].tolist(), strict=True):
        ends[int(first)].append((int(second), x, y, z))
    sequences = {}
    for site in sites:
        before: set[tuple[int, int, int, int]] = set()
        layer = {(int(site), 0, 0, 0)}
        counts: list[int] = []
        while len(counts) < GENERATIONS and sum(counts) < ENOUGH:
            reached = {(s, x + a, y + b, z + c) for j, x, y, z in layer for s, a, b, c in ends[j]}
            before, layer = layer, reached - layer - before
            counts.append(len(layer))
        sequences[int(site)] = tuple(counts)
    return sequences


def shell_table(
    found: Neighbours, kinds: Int64[NDArray[np.intp], " sites"], sites: Int64[NDArray[np.intp], " chosen"], n_kinds: int
) -> tuple[Float64[Float, "kinds kinds"], Float64[Float, "kinds kinds"], Float64[Float, "kinds kinds"]]:
    """The shortest distance of every pair of kinds, and the mean length and number of the bonds from kind a to kind b.

    Args:
        found: neighbours of all sites.
        kinds: (M,).
        sites: those to take the bonds from.
        n_kinds: K.

    Returns:
        (K, K) shortest distance and (K, K) mean bond, Å, infinity where there is none within reach; (K, K) mean number of bonds.
    """
    contact, bond = np.full((n_kinds, n_kinds), np.inf), np.full((n_kinds, n_kinds), np.inf)
    number = np.zeros((n_kinds, n_kinds))
    for a in range(n_kinds):
        for b in range(n_kinds):
            between = (kinds[found.first] == a) & (kinds[found.second] == b)
            if not between.any():
                continue
            contact[a, b] = found.distance[between].min()
            lengths = []
            for site in sites[kinds[sites] == a]:
                around = found.distance[between & (found.first == site)]
                if len(around):
                    lengths.append(around[around <= BOND * around[0]])
            lengths = [length for length in lengths if length[0] <= UNBOUND * contact[a, b]]
            if lengths:
                bond[a, b] = float(np.mean([length.mean() for length in lengths]))
                number[a, b] = float(np.mean([len(length) for length in lengths]))
    return contact, bond, number
