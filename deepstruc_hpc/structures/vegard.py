"""Which compositions of an alloy a nearest-neighbour distance allows.

Vegard's law (L. Vegard, Z. Phys. 5 (1921) 17) is a rule of thumb. Distances of nine ordered alloys of fcc metals lie 1.2 % (root mean square) about
the mean of the tabulated radii for twelve neighbours, FePd 2.3 % above and Ni3Al 2.0 % below (lattice constants as in Pearson's Handbook of
Crystallographic Data for Intermetallic Phases, 2nd ed., 1991; a test holds them). On bcc sites an atom has eight neighbours, and compounds such
as NiAl shrink by 6 %: 3 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.structures.elements import nn_distance

WITHIN: Mapping[str, float] = {"bcc": 0.03, "sc": 0.03}
"""Standard deviation of distances from Vegard's law, as a share, on lattices that are not close-packed."""
WITHIN_CLOSE_PACKED = 0.012

Floats = NDArray[np.float64]


def spread_of(lattice: str) -> float:
    """Standard deviation of an alloy's distance from Vegard's, as a share of it."""
    return WITHIN.get(lattice, WITHIN_CLOSE_PACKED)


def simplex(count: int, steps: int) -> Float64[Floats, "compositions elements"]:
    """(P, count) shares in whole steps of 1/steps that add up to 1, none of them 0; P = C(steps − 1, count − 1).

    Args:
        count: elements, at least 1.
        steps: at least ``count``.
    """
    whole = [(*parts, steps - sum(parts)) for parts in product(range(1, steps), repeat=count - 1) if sum(parts) < steps]
    return np.array(whole, dtype=np.float64) / steps


def vegard_log_weight(
    shares: Float64[Floats, "compositions elements"], elements: Sequence[str], distance: float, lattice: str
) -> Float64[Floats, " compositions"]:
    """(P,) ln of how well each composition agrees with a distance, 0 at best: −½ ((d/d(Vegard) − 1)/spread)².

    Args:
        shares: (P, E) of the elements.
        elements: E of them.
        distance: Å, between nearest neighbours.
        lattice: of the sites.

    Raises:
        StructureError: an element without a metallic radius.
    """
    lengths = np.array([nn_distance(symbol, "twelve") for symbol in elements])
    return np.asarray(-0.5 * ((distance / (shares @ lengths) - 1.0) / spread_of(lattice)) ** 2)


def compositions_near(elements: Sequence[str], distance: float, lattice: str, most: int = 5) -> Float64[Floats, "compositions elements"]:
    """(P, E) shares to try: those within two standard deviations of Vegard's law, evenly thinned to at most ``most``; the nearest one where none is.

    Args:
        elements: two or more.
        distance: Å, between nearest neighbours.
        lattice: of the sites.
        most: compositions.

    Raises:
        StructureError: an element without a metallic radius.
    """
    shares = simplex(len(elements), 10 if len(elements) == 2 else 2 * len(elements))
    weight = vegard_log_weight(shares, elements, distance, lattice)
    near = np.flatnonzero(weight >= -2.0)
    if not len(near):
        return shares[[int(np.argmax(weight))]]
    chosen = np.unique(np.linspace(0, len(near) - 1, min(most, len(near))).round().astype(int))
    return np.asarray(shares[near[chosen]])
