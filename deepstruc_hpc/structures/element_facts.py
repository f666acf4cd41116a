"""Oxidation states, radii and volumes of the elements, as pymatgen and periodictable list them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MONOVALENT = frozenset(("H", "Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Au", "Hg", "Ga", "In", "Tl"))
"""Elements with stable crystals of charge +1; databases list it for others in a few organometallic ones."""


@dataclass(frozen=True)
class ElementFacts:
    """What is known of an element.

    Attributes:
        charges: positive oxidation states in known crystals; empty where there is none.
        ionic: charge → ionic (crystal) radius, Å.
        covalent: Å (Cordero et al., Dalton Trans. (2008) 2832).
        volume: Å³ an atom in the element; 0 where unknown.
    """

    charges: tuple[int, ...]
    ionic: dict[int, float]
    covalent: float
    volume: float


def element_facts() -> dict[str, tuple[list[int], dict[int, float], float, float]]:
    """Symbol → oxidation states, charge → ionic radius (Å), covalent radius (Å), volume (Å³), of all elements to curium."""
    import periodictable
    from pymatgen.core.periodic_table import Element

    facts = {}
    for element in Element:
        if element.Z > 96 or element.symbol in {"D", "T"}:
            continue
        states = {int(q) for q in (*element.common_oxidation_states, *element.icsd_oxidation_states) if q > 0}
        ionic = _shannon(element) | {int(q): float(radius) for q, radius in element.ionic_radii.items()}
        states |= set() if states else {int(q) for q in element.oxidation_states if q > 0}
        states -= set() if element.symbol in _MONOVALENT or states == {1} else {1}
        covalent = getattr(periodictable.elements.symbol(element.symbol), "covalent_radius", None)
        volume = element.data.get("Molar volume")
        cubic = float(str(volume).split()[0]) / 0.602214 if volume and str(volume)[0].isdigit() else 0.0
        facts[element.symbol] = (sorted(states), ionic, float(covalent or 1.4), cubic)
    return facts


def _shannon(element: Any) -> dict[int, float]:
    """Charge → crystal radius at six neighbours, the high spin one where there are two; pymatgen's other list lacks Ni2+, Cr3+ and Mn4+."""
    radii: dict[int, float] = {}
    for charge, by_number in (element.data.get("Shannon radii") or {}).items():
        spins = by_number.get("VI", {})
        found = next((spins[spin] for spin in ("", "High Spin", "Low Spin") if spin in spins), None)
        if found:
            radii[int(charge)] = float(found["crystal_radius"])
    return radii
