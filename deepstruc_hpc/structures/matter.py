"""Which kind of matter a composition is: rules of chemistry, not of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepstruc_hpc.structures.elements import is_metal

LARGEST_ANION_RATIO = 4.0
"""Anions a metal atom in solids: SnI4, ThF4 and ZrF4 are at the limit; WF6 and SF6 are molecules."""
LIGAND_CHALCOGEN = 0.5
"""Chalcogen or pnictogen atoms a coinage-metal atom: no solid has less than Ag2S, Cu2S, Au2S; thiolate-protected clusters do."""
COUNTED_ATOMS = 20
"""Metal atoms of a formula from which it counts a particle: a crystal's formula is reduced, and metal-rich sulfides and phosphides of late metals
(Pd15P2, Ni12P5) have fewer."""
ORGANIC_COMPLEX = 4.0
"""Carbon atoms a metal atom beyond which oxygen-rich matter is a metal-organic molecule or framework, not an oxide with ligands on it."""
_COINAGE = frozenset(("Cu", "Ag", "Au"))
_NOBLE = frozenset(("Ru", "Rh", "Pd", "Ag", "Os", "Ir", "Pt", "Au", "Hg"))
_REDUCIBLE = _NOBLE | {"Fe", "Co", "Ni", "Cu", "Re"}
"""Metals that stand as metals on oxides: a noble one always, the others after reduction in hydrogen."""
_SUPPORT_VALENCE = {"Al": 3, "Si": 4, "Mg": 2, "Ti": 4, "Zr": 4, "Ce": 4, "La": 3, "Y": 3, "Hf": 4}
"""Elements whose oxides carry catalysts, with the valence in their usual oxide."""
_SEMIMETALS = frozenset(("B", "Si", "Ge", "As", "Sb", "Te"))
_CRYSTALS_OF_NONMETALS = frozenset(("C", "P", "S", "Se", "I"))
_OXYANIONS = {"P": 4.0, "S": 4.0, "Si": 4.0, "As": 4.0, "Se": 4.0, "Cl": 4.0, "Br": 4.0, "I": 4.0, "C": 3.0, "N": 3.0, "B": 3.0}
"""Oxygen atoms that one atom binds in the ions of its acids: with them it counts as one anion."""
_OXIDE_CLUSTER_FORMERS = frozenset(("V", "Nb", "Ta", "Mo", "W"))

Verdict = tuple[str, str]


def classify(amounts: Mapping[str, float], *, stoichiometric: bool, parts: Sequence[Mapping[str, float]] = ()) -> Verdict:
    """The kind of matter, and a sentence where the reason is not plain ('' elsewhere).

    Args:
        amounts: element → atoms; ``D`` counts as H.
        stoichiometric: whether the amounts mean something.
        parts: formulas that were kept apart, such as ``Pt`` and ``Al2O3``.

    Returns:
        One of ``metal``, ``alloy``, ``compound``, ``cluster``, ``ligands``, ``support``.
    """
    merged = dict(amounts)
    if "D" in merged:
        merged["H"] = merged.get("H", 0.0) + merged.pop("D")
    metals = {symbol: amount for symbol, amount in merged.items() if is_metal(symbol)}
    others = {symbol: amount for symbol, amount in merged.items() if symbol not in metals}
    if not metals:
        return _without_metal(others, stoichiometric=stoichiometric)
    if not others:
        return ("metal" if len(metals) == 1 else "alloy"), ""
    free = free_metals(amounts, parts)
    if free and (stoichiometric or set(others) == {"C"}):
        return "support", f"{', '.join(free)} stands beside a whole oxide or carbon: particles on a support."
    if {"C", "H"} <= set(others):
        return _organic(metals, others, stoichiometric=stoichiometric)
    return _inorganic(metals, others) if stoichiometric else ("compound", "")


def free_metals(amounts: Mapping[str, float], parts: Sequence[Mapping[str, float]] = ()) -> tuple[str, ...]:
    """Metals for which the other elements of a composition leave no anion: Pt of Pt/Al2O3, Ni of NiAl4O6 = Ni + 2 Al2O3, Pt of Pt and C.

    Empty where every metal takes part in one compound.
    """
    if len(parts) > 1 and not all(any(is_metal(symbol) for symbol in part) and set(part) & {"O", "S", "Se", "N"} for part in parts):
        bare = [symbol for part in parts if all(is_metal(symbol) for symbol in part) for symbol in part]
        if bare and len(bare) < len(amounts) and any("O" in part or set(part) == {"C"} for part in parts):
            return tuple(bare)
    candidates = {symbol: amount for symbol, amount in amounts.items() if symbol in _REDUCIBLE}
    rest = {symbol: amount for symbol, amount in amounts.items() if symbol not in candidates}
    if not candidates or not rest:
        return ()
    if set(rest) == {"C"} and (set(candidates) <= _NOBLE or rest["C"] > 2.0 * sum(candidates.values())):
        return tuple(candidates)
    carriers = {symbol: amount for symbol, amount in rest.items() if symbol in _SUPPORT_VALENCE}
    if not carriers or set(rest) - set(carriers) != {"O"}:
        return ()
    taken = sum(amount * _SUPPORT_VALENCE[symbol] for symbol, amount in carriers.items()) / 2.0
    return tuple(candidates) if abs(rest["O"] - taken) <= 0.01 * taken else ()


def _without_metal(others: Mapping[str, float], *, stoichiometric: bool) -> Verdict:
    """Elemental crystals, oxides and the like of semi-metals, and molecules."""
    solid = set(others) & _SEMIMETALS
    if len(others) == 1:
        (symbol, amount), *_ = others.items()
        if symbol in _SEMIMETALS or (symbol in _CRYSTALS_OF_NONMETALS and (amount == 1.0 or not stoichiometric)):
            return "compound", f"{symbol} is no metal: its own crystal is meant."
        return "cluster", ""
    if solid and not {"C", "H"} <= set(others):
        ratio = sum(amount for symbol, amount in others.items() if symbol not in solid and symbol != "H") / sum(others[symbol] for symbol in solid)
        return ("compound", "") if ratio <= LARGEST_ANION_RATIO or not stoichiometric else ("cluster", "")
    return "cluster", ""


def _organic(metals: Mapping[str, float], others: Mapping[str, float], *, stoichiometric: bool) -> Verdict:
    """Carbon and hydrogen beside metals: ligands on a metal, on an oxide or on a semiconductor, or a molecule."""
    total = sum(metals.values())
    oxygen = others.get("O", 0.0) / total
    heavy = sum(others.get(symbol, 0.0) for symbol in ("S", "Se", "Te", "P", "As", "Sb", "F", "Cl", "Br", "I")) / total
    noble = sum(amount for symbol, amount in metals.items() if symbol in _NOBLE) >= 0.5 * total
    if noble:
        return "ligands", ""
    if not stoichiometric:
        return ("compound", "") if oxygen or heavy else ("ligands", "")
    if heavy >= LIGAND_CHALCOGEN:
        return "compound", ""
    if oxygen >= LIGAND_CHALCOGEN:
        if others["C"] / total > ORGANIC_COMPLEX and oxygen > LARGEST_ANION_RATIO:
            return "cluster", "More organic ligands than an oxide has sites for: a metal-organic molecule."
        return "compound", ""
    return "ligands", ""


def _inorganic(metals: Mapping[str, float], others: Mapping[str, float]) -> Verdict:
    """Metals and anions in amounts that mean something."""
    total = sum(metals.values())
    coinage = sum(amount for symbol, amount in metals.items() if symbol in _COINAGE) >= 0.5 * total
    noble = sum(amount for symbol, amount in metals.items() if symbol in _NOBLE) >= 0.5 * total
    soft = sum(others.get(symbol, 0.0) for symbol in ("S", "Se", "P", "N"))
    late = sum(amount for symbol, amount in metals.items() if symbol in _REDUCIBLE) >= 0.5 * total
    if (coinage or (late and total >= COUNTED_ATOMS)) and 0 < soft < LIGAND_CHALCOGEN * total:
        few = "Fewer anions than any solid of these metals has" if coinage else "So few anions to so many metal atoms are those of a particle"
        return "ligands", f"{few}: they belong to ligands."
    if noble and {"C"} < set(others):
        return "ligands", "Noble metals make no carbides: the carbon belongs to ligands."
    if noble and set(others) <= {"O", "H"} and others.get("O", 0.0) < LIGAND_CHALCOGEN * total:
        reason = (
            "Too little oxygen for an oxide of these metals: it lies on the surface." if "O" in others else "Hydrogen in a metal leaves it a metal."
        )
        return ("metal" if len(metals) == 1 else "alloy"), reason
    oxygen, formers = others.get("O", 0.0), sum(amount for symbol, amount in metals.items() if symbol in _OXIDE_CLUSTER_FORMERS)
    if formers >= 6 and formers >= 0.8 * total and oxygen > 3.0 * total:
        return "cluster", "Six or more atoms of V, Nb, Ta, Mo or W with more than three O each: a polyoxometalate."
    if _anions(others) / total > LARGEST_ANION_RATIO:
        return "cluster", f"More than {LARGEST_ANION_RATIO:g} anions a metal atom: a molecule, not a solid."
    return "compound", ""


def _anions(others: Mapping[str, float]) -> float:
    """Anions, where SO4, CO3, CN and their like count once, and the water of hydrates and the frameworks of borides (LaB6, YB66) not at all."""
    oxygen = max(others.get("O", 0.0) - others.get("H", 0.0) / 2.0, 0.0)
    count = 0.0
    for symbol, amount in others.items():
        if symbol not in {"O", "H"}:
            count += amount
            oxygen = max(oxygen - _OXYANIONS.get(symbol, 0.0) * amount, 0.0)
    boron = 0.0 if others.get("O") else others.get("B", 0.0)
    return count + oxygen - min(others.get("C", 0.0), others.get("N", 0.0)) - boron
