"""Which terms may lie beside a metal particle: bonds to ligands, amorphous carbon, halos of solvent and of other disordered matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepstruc_hpc.physics.extra_terms import Term

LIGANDS = ("S", "P", "O", "N", "Se", "Cl", "Br", "I", "F")
"""Elements that bind to metal surfaces. Carbon is not among them: its distances to a metal are as short as oxygen's and weigh less."""
BELOW_SUM, STEP = 0.16, 0.04
"""Å: bonds of noble metals to S and P are up to 0.16 shorter than the sum of covalent radii (Pt–P 2.27 for 2.43)."""
LONGEST_BOND = 0.85
"""Of the metal's own nearest-neighbour distance: what is longer is where short bonds of a contracted surface are."""
BOND_WIDTHS = (0.1, 0.15)
"""Å, standard deviations of a bond: thermal motion (0.08) with the spread over sites."""
ABOVE_RMIN = 0.1
"""Å: a bond nearer to the beginning of the data shows by half."""
CARBON_BOND, CARBON_REACH = 1.42, 12.0
"""Å: of graphene, and the distance at which the number of pairs has fallen to none: layers of disordered carbon are 10 to 20 Å wide."""
CARBON_WIDTHS = (0.08, 0.12)
"""Å, of the bond; farther pairs are wider by the root of the distance, as in paracrystals."""
GRAPHENE = ((1.0, 3.0), (3.0**0.5, 6.0), (2.0, 3.0), (7.0**0.5, 6.0), (3.0, 6.0), (12.0**0.5, 6.0), (13.0**0.5, 6.0), (4.0, 3.0))
"""Distances over the bond and their numbers, the first eight shells."""
HALOS = np.arange(1.2, 2.65, 0.1)
"""Å⁻¹: liquids and polymers have their first halo at 1.3 to 1.6, amorphous carbon and silica at 1.5 to 2. Above 2.6 lie the first peaks of metals, of
which a halo would take more than a tenth."""
HALO_WIDTHS = (0.15, 0.2, 0.3, 0.4, 0.6)
"""Å⁻¹: order that fades within 6.7 to 1.7 Å."""
RIVAL_PLACES, RIVAL_WIDTHS = (0.85, 0.9, 0.95, 1.0), (0.15, 0.2, 0.3, 0.4)
"""Of the nearest-neighbour distance, and Å: bonds of the metal that a disordered or contracted surface adds below and about the first peak."""


def term_library(metal: str, ligands: Sequence[str], *, nearest: float, rmin: float) -> list[Term]:
    """Terms that may lie beside a particle.

    Args:
        metal: symbol.
        ligands: elements named beside it; those that bind to metals count.
        nearest: Å, the metal's nearest-neighbour distance in the curve.
        rmin: Å, where the fit begins.
    """
    found = []
    for symbol in [symbol for symbol in ligands if symbol in LIGANDS]:
        longest = bond_length(metal, symbol)
        places = np.arange(longest - BELOW_SUM, longest + 1e-9, STEP)
        inside = places[(places >= rmin + ABOVE_RMIN) & (places <= LONGEST_BOND * nearest)]
        found += [Term(f"{metal}–{symbol}", float(d), width, (metal, symbol), metal) for d in inside for width in BOND_WIDTHS]
    net = tuple((ratio, number * (1.0 - ratio * CARBON_BOND / CARBON_REACH)) for ratio, number in GRAPHENE)
    found += [Term("amorphous carbon", CARBON_BOND, width, ("C", "C"), metal, net, scanned=1) for width in CARBON_WIDTHS]
    return found + [Term("halo", float(q), width, most=2) for q in HALOS for width in HALO_WIDTHS]


def surface_terms(metal: str, nearest: float) -> list[Term]:
    """What the surface of the particle itself may add about its first peak: rivals of ligands, and no part of an answer."""
    return [Term("surface", part * nearest, width, (metal, metal), metal) for part in RIVAL_PLACES for width in RIVAL_WIDTHS]


def bond_length(first: str, second: str) -> float:
    """Å, the sum of the covalent radii of two elements.

    Source: Cordero et al., Dalton Trans. (2008) 2832, as carried by pymatgen.
    """
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

    return float(CovalentRadius.radius[first] + CovalentRadius.radius[second])
