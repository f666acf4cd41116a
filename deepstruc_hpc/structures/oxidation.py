"""How usual the charges are that a formula asks of its cations, by how often they occur in known crystals.

Nickel is found as Ni2+ 29 times as often as Ni4+ (407 and 14 structures of the ICSD, as pymatgen's bond valence analysis counts them). A fit that
asks for the rare one has to be so much better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from deepstruc_hpc.structures.plausibility import CHARGES

NEVER = 0.5
"""Structures that a charge counts as which the table does not hold."""


@lru_cache(maxsize=1)
def _occurrence() -> dict[str, dict[int, float]]:
    """Element → positive charge → number of structures. Source: O'Keeffe & Brese's analysis of the ICSD in pymatgen.analysis.bond_valence."""
    from pymatgen.analysis.bond_valence import PRIOR_PROB

    found: dict[str, dict[int, float]] = {}
    for species, count in PRIOR_PROB.items():
        charge = int(species.oxi_state or 0)
        if charge > 0:
            found.setdefault(str(species.element), {})[charge] = float(count)
    return found


def rarity(composition: Mapping[str, float]) -> float:
    """ln(how often the most usual charge of the cations occurs over how often the one occurs that the anions ask for), nats.

    A mean charge between two whole ones takes the price of each by its share; where several cations can share the charge, the cheapest way counts.

    Args:
        composition: element → amount. Metals, alloys and compounds of anions whose charges need not balance cost nothing.
    """
    anions = {symbol: CHARGES[symbol] for symbol in composition if symbol in CHARGES}
    cations = {symbol: amount for symbol, amount in composition.items() if symbol not in CHARGES and symbol != "H"}
    if not anions or not cations:
        return 0.0
    total = sum(composition[symbol] * charge for symbol, charge in anions.items()) - composition.get("H", 0.0)
    known = [(amount, _occurrence().get(symbol, {})) for symbol, amount in cations.items()]
    return _cheapest(known, total) if all(counts for _, counts in known) else 0.0


def _cheapest(cations: list[tuple[float, dict[int, float]]], total: float) -> float:
    """The least mean price, nats, at which cations (amount, charge → structures) share a charge: a linear programme over the charges of each."""
    from scipy.optimize import linprog

    amounts, usual = [amount for amount, _ in cations], [max(counts.values()) for _, counts in cations]
    columns = [(place, charge, math.log(usual[place] / n)) for place, (_, counts) in enumerate(cations) for charge, n in sorted(counts.items())]
    balance = [[float(charge) for _, charge, _ in columns]]
    shares = [[float(place == own) for own, _, _ in columns] for place in range(len(cations))]
    found = linprog([price for _, _, price in columns], A_eq=[*balance, *shares], b_eq=[total, *amounts], bounds=(0, None))
    if not found.success:
        return max(math.log(most / NEVER) for most in usual)
    return max(float(found.fun or 0.0), 0.0) / sum(amounts)
