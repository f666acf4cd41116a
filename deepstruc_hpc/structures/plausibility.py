"""How large a crystal type is with given elements, and whether it can be: balanced charges, no contact too short, a usual density.

Lengths come from radii and are right within a few percent for ionic oxides, within about 10 % for others: a start for a scan, no prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.structures.element_facts import ElementFacts
from deepstruc_hpc.structures.prototype_table import Pattern, prototype_table

Float = NDArray[np.float64]
Mixture = Mapping[str, float]
"""Elements of one kind of site with their shares, together 1."""

CHARGES = {"O": 2.0, "F": 1.0, "Cl": 1.0, "Br": 1.0, "I": 1.0, "S": 2.0, "Se": 2.0, "Te": 2.0}
"""Anions whose compounds have to balance; carbides, nitrides, phosphides and the like need not."""
PAIRED = frozenset(("S", "Se", "Te"))
"""Anions that may be bonded in pairs, with half of the charge each (FeS2)."""
PAIR = 1.1
"""Anions nearer to each other than this part of the shortest bond are bonded."""
CLOSEST = 0.75
"""No two atoms are nearer than this part of the sum of their radii."""
FILLED = (0.25, 0.80)
"""Part of the volume inside the atoms' ionic spheres: 0.46 in quartz, 0.59 in rutile, 0.61 in SrTiO3, 0.79 in CsCl; others are left out."""
SOFT = frozenset(("S", "Se", "Te"))
SOFT_FILLED = 1.1
"""The same where bonds are covalent: 0.9 in MoTe2 and NiSe."""
METALLIC = 0.65
"""Least charge of metals among soft anions in units of their usual least, the rest being bonds between metals: 0.67 in Ni3S2, 0.89 in Co9S8."""
SOFTER = 0.96
"""Bonds of soft anions are shorter than the sum of ionic radii by 3 to 6 % (MoSe2, WTe2, ZnS, CdSe, FeS)."""
SECOND = {**CHARGES, "N": 3.0, "P": 3.0, "As": 3.0, "C": 4.0, "H": 1.0}
"""Charges of an anion beside a more electronegative one (Cl in BiOCl, S in Gd2O2S)."""
DENSEST = 0.80
"""Least volume of a metal in units of the predicted one; alloys shrink by less than 15 % on forming."""
DENSEST_COMPOUND = 0.70
"""The same of a compound without charges, whose bonds are predicted within 10 %."""
INTERSTITIAL = 0.94
"""Bonds of N and C to transition metals over the sum of covalent radii: 0.88 in Ta3N5, 0.91 in TiN and Mo2C, 0.94 in Fe4N and Cu3N, 0.97 in LaN."""
TRANSITION = frozenset(
    (
        *(
            "Sc",
            "Ti",
            "V",
            "Cr",
            "Mn",
            "Fe",
            "Co",
            "Ni",
            "Cu",
            "Y",
            "Zr",
            "Nb",
            "Mo",
            "Ru",
            "Rh",
            "Pd",
            "Ag",
            "Hf",
            "Ta",
            "W",
            "Re",
            "Os",
            "Ir",
            "Pt",
        ),
        *("La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Th", "U"),
    )
)
_ROUNDED = 1e-3
_BORN = 0.12
"""Bond lengths grow as the coordination number to this power (Pauling, The Nature of the Chemical Bond, 3rd ed., ch. 13, Born exponent 9)."""


@dataclass(frozen=True)
class Anion:
    """The anion of a compound: its element, and which kinds of the pattern it takes."""

    symbol: str
    kind: int


def facts(symbol: str) -> ElementFacts:
    """What the table knows of an element."""
    return prototype_table().elements[symbol]


def ionic_radius(symbol: str, charge: float) -> float:
    """Ionic radius at a charge (negative for anions), between the tabulated ones by interpolation, Å."""
    known = facts(symbol)
    radii = sorted((q, radius) for q, radius in known.ionic.items() if (q > 0) == (charge > 0))
    if not radii:
        return max(known.covalent - 0.5, 0.3) if charge > 0 else known.covalent + 0.6
    charges, lengths = zip(*radii, strict=True)
    return float(np.interp(charge, charges, lengths))


@dataclass(frozen=True, eq=False)
class Scaled:
    """A pattern with the lengths that elements give it.

    Attributes:
        factor: of the pattern's lengths.
        shortest: (K, K) Å, no two atoms of these kinds may be nearer.
        least_volume: Å³ of the cell, it may not be smaller.
    """

    factor: float
    shortest: Float
    least_volume: float


def metal_scale(pattern: Pattern, kinds: Sequence[Mixture]) -> Scaled | None:
    """Lengths that give the volume of the elements; None where a contact is too short or the volume is unknown."""
    volumes = [sum(share * facts(symbol).volume for symbol, share in kind.items()) for kind in kinds]
    if min(volumes) <= 0:
        return None
    scale = float(np.cbrt(float(pattern.counts @ np.array(volumes)) / pattern.volume))
    radii = [sum(share * facts(symbol).covalent for symbol, share in kind.items()) for kind in kinds]
    return _unless_touching(pattern, scale, np.add.outer(radii, radii), DENSEST)


def compound_scale(pattern: Pattern, kinds: Sequence[Mixture], anion: Anion) -> Scaled | None:
    """Lengths that give bonds of the radii's sum.

    A non-metal that is nearest to the anion counts as a cation (P in LaPO4), one that is nearest to metals as a second anion (Cl in BiOCl).

    Args:
        pattern: the crystal type.
        kinds: the elements of each kind of site.
        anion: which kind is it.

    Returns:
        None where charges do not balance, two atoms touch, a cation has no anion near, or the density is out of the usual.
    """
    charges = _charges(pattern, kinds, anion)
    if charges is None:
        return None
    anions = [kind for kind, charge in enumerate(charges) if charge < 0 or kind == anion.kind]
    paired = charges[anion.kind] > -CHARGES.get(anion.symbol, 0.0)
    radii = np.array([_radius(kind, charge, anion, paired=paired) for kind, charge in zip(kinds, charges, strict=True)])
    target, found = 0.0, 0.0
    for kind in set(range(pattern.n_kinds)) - set(anions):
        nearest = min(anions, key=lambda other: pattern.bond[kind, other])
        length = pattern.bond[kind, nearest]
        if not np.isfinite(length):
            return None
        neighbours = float(pattern.neighbours[kind, nearest])
        shorter = INTERSTITIAL if anion.symbol in {"C", "N"} and TRANSITION.issuperset(kinds[kind]) else 1.0
        target += shorter * pattern.counts[kind] * (radii[kind] + radii[nearest]) * (neighbours / 6.0) ** (_BORN if anion.symbol in CHARGES else 0.0)
        found += pattern.counts[kind] * length
    scale = float(target / found)
    covalent = np.array([sum(share * facts(symbol).covalent for symbol, share in kind.items()) for kind in kinds])
    sums = np.add.outer(covalent, covalent)
    for kind in anions:
        sums[kind, :] = sums[:, kind] = radii + radii[kind]
    if anion.symbol in PAIRED or anion.symbol not in CHARGES:
        sums[anion.kind, anion.kind] = 2.0 * covalent[anion.kind]
    filled = float(pattern.counts @ (4.0 / 3.0 * np.pi * radii**3)) / (pattern.volume * scale**3)
    most = SOFT_FILLED if anion.symbol in SOFT else FILLED[1]
    least = filled / most if anion.symbol in CHARGES else DENSEST_COMPOUND
    return _unless_touching(pattern, scale, sums, least) if FILLED[0] <= filled <= most or anion.symbol not in CHARGES else None


def _unless_touching(pattern: Pattern, scale: float, sums: Float, least: float) -> Scaled | None:
    if not np.all(pattern.contact * scale >= CLOSEST * sums):
        return None
    return Scaled(scale, CLOSEST * sums, least * pattern.volume * scale**3)


def _radius(kind: Mixture, charge: float, anion: Anion, *, paired: bool) -> float:
    """Covalent where charges need not balance, or where anions are bonded to one another and the metal is of low spin (pyrites); else ionic."""
    if anion.symbol not in CHARGES:
        return sum(share * facts(symbol).covalent for symbol, share in kind.items())
    if paired:
        return sum(share * facts(symbol).covalent for symbol, share in kind.items())
    softer = SOFTER if anion.symbol in SOFT else 1.0
    return softer * sum(share * ionic_radius(symbol, charge) for symbol, share in kind.items())


def _charges(pattern: Pattern, kinds: Sequence[Mixture], anion: Anion) -> list[float] | None:
    """The charge of each kind that balances, None where the cations cannot have it; zeros where nothing has to balance."""
    if anion.symbol not in CHARGES:
        return [0.0] * len(kinds)
    full = CHARGES[anion.symbol]
    paired = anion.symbol in PAIRED and pattern.contact[anion.kind, anion.kind] < PAIR * pattern.bond[:, anion.kind].min()
    counts = pattern.counts
    others = [number for number in range(len(kinds)) if number != anion.kind]
    second = {number: -charge for number in others if (charge := _second(pattern, kinds[number], number, anion))}
    low = np.array([second.get(k, _mean(kinds[k], 0)) for k in others])
    high = np.array([second.get(k, _mean(kinds[k], -1)) for k in others])
    if not all(charge > 0 for k, charge in zip(others, high, strict=True) if k not in second):
        return None
    amounts = counts[others]
    least = METALLIC if anion.symbol in SOFT and not second and not paired else 1.0
    for each in (full / 2.0, full) if paired else (full,):
        needed = (each - pattern.protons) * counts[anion.kind]
        if least * (amounts @ low) * (1 - _ROUNDED) <= needed <= (amounts @ high) * (1 + _ROUNDED):
            between = float(amounts @ (high - low))
            part = max((needed - float(amounts @ low)) / between, 0.0) if between > 0 else 0.0
            charges = dict(zip(others, low + part * (high - low), strict=True))
            return [float(charges.get(k, -each)) for k in range(len(kinds))]
    return None


def _second(pattern: Pattern, kind: Mixture, number: int, anion: Anion) -> float:
    """The charge of a kind that is a second anion, nearer to a metal than to the anion; 0 for a cation."""
    if not all(symbol in SECOND for symbol in kind):
        return 0.0
    metals = [other for other in range(pattern.n_kinds) if other not in {number, anion.kind}]
    to_metals = min((pattern.contact[number, other] for other in metals), default=np.inf)
    return max(SECOND[symbol] for symbol in kind) if to_metals < pattern.contact[number, anion.kind] else 0.0


def _mean(kind: Mixture, end: int) -> float:
    charges = {symbol: facts(symbol).charges for symbol in kind}
    if not all(charges.values()):
        return 0.0
    return sum(share * charges[symbol][end] for symbol, share in kind.items())
