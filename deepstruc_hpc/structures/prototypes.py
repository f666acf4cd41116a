"""Which crystals a sample of given elements can be: every known crystal type with the elements on its sites.

One element, or metals alone: all types of one kind of site, the metals sharing it as a mean scatterer; ordered alloys beside it. With an anion (the
most electronegative non-metal): all types with two kinds of sites, all cations sharing one of them; ordered assignments beside it for two or three
cations. Parts of the elements count too (nickel of "Ni O"): samples are reduced, supports and ligands are named in headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.crystals import Crystal, Species
from deepstruc_hpc.structures.plausibility import CHARGES, Anion, Mixture, Scaled, compound_scale, facts, ionic_radius, metal_scale
from deepstruc_hpc.structures.prototype_names import HEXAGONAL, OWN_GROUP, well_known
from deepstruc_hpc.structures.prototype_table import Pattern, prototype_table

ANIONS = ("F", "O", "Cl", "N", "Br", "I", "S", "Se", "C", "As", "Te", "P", "H", "B")
"""Non-metals, the most electronegative first (Pauling); the first of a sample is its anion."""
SAME_FORMULA = 0.02
"""Relative difference of two shares of an element that counts as none."""
OPEN = frozenset(("B", "C", "Si", "Ge", "Sn", "N", "P", "As", "Sb", "Bi", "O", "S", "Se", "Te", "F", "Cl", "Br", "I", "Ga", "H"))
"""Elements that have crystals with fewer than six neighbours."""
FAMILIES = (frozenset(("S", "Se", "Te")), frozenset(("Cl", "Br", "I")), frozenset(("N", "O")))
"""Anions that share sites (CdSSe, CsPb(Br,I)3)."""
SUPERLATTICES = frozenset(("l1_0", "l1_2", "cscl"))
UNLIKE = 0.15
"""Metals whose radii differ by more rarely mix on one lattice (Hume-Rothery): their compounds are tried too."""
_CLOSE_PACKED = 5.5
_MOST_ORDERED = 3


@dataclass(frozen=True, eq=False)
class CrystalCandidate:
    """A crystal that a sample may be.

    Attributes:
        crystal: with lengths from radii; its name says formula and type.
        prototype: common name of the crystal type in lower case.
        group: the type of highest symmetry with the same net of bonds (``rutile`` for the CaCl2 type).
        formula: elements in alphabetical order, the cations before the anion.
        origin: where it comes from: ``prototype``, ``prototype, cations merged``, ``own``, or a CIF file.
        space_group: number.
        orbits: (M,) number of the first site of the cell that is equivalent by symmetry.
        kinds: (M,) sites of one kind share their elements and U.
        shortest: (K, K) Å, atoms of two kinds are never nearer.
        least_volume: Å³, the cell is never smaller.
        anion: its element, empty where there is none.
        notes: what a reader of the file should know.
        lacking: how many elements of the sample it does not hold.
    """

    crystal: Crystal
    prototype: str
    group: str
    formula: str
    origin: str
    space_group: int
    orbits: NDArray[np.intp]
    kinds: NDArray[np.intp]
    shortest: NDArray[np.float64]
    least_volume: float = 0.0
    anion: str = ""
    notes: tuple[str, ...] = ()
    lacking: int = 0

    @property
    def words(self) -> str:
        """The type in words: ``rutile type``, ``rutile type, distorted (calcium chloride)``, ``fcc type, ordered (l1 2)``."""
        plain = self.group.replace("_", " ")
        stacking = HEXAGONAL.get(self.prototype)
        if stacking is not None and 0.0 < stacking < 1.0:
            return f"{plain} type, {stacking:.0%} of the layers hexagonal"
        if self.prototype == self.group:
            return f"{plain} type"
        how = "ordered" if "ordered" in self.origin and not self.anion else "distorted"
        return f"{plain} type, {how} ({self.prototype.replace('_', ' ')})"

    @property
    def cell(self) -> tuple[float, float, float]:
        """Lengths a, b, c of the conventional cell, Å."""
        a, b, c = np.linalg.norm(self.crystal.lattice, axis=1)
        return float(a), float(b), float(c)


def candidate_crystals(elements: Sequence[str], *, amounts: Mapping[str, float] | None = None) -> list[CrystalCandidate]:
    """All plausible crystals of some elements, the simplest types first.

    Args:
        elements: symbols of the sample. Hydrogen is passed over beside others; carbon too where both are there (a ligand).
        amounts: the formula where it is known, element → number; then only crystals of this formula are made, mixed by it.

    Raises:
        StructureError: no element, or an unknown one.
    """
    names = _sample(elements)
    known = {symbol: float(amounts[symbol]) for symbol in names if amounts.get(symbol, 0) > 0} if amounts else {}
    found: list[CrystalCandidate] = []
    for subset in _subsets(tuple(known) if known else names, whole=bool(known)):
        anion = next((symbol for symbol in ANIONS if symbol in subset), "") if len(subset) > 1 else ""
        cations = tuple(symbol for symbol in subset if symbol != anion)
        found += _compounds(cations, anion, known) if anion else _metals(cations, known, ordered=not any(symbol in ANIONS for symbol in names))
    return [replace(one, lacking=len(set(names) - set(one.crystal.composition))) for one in _rank(found)]


def _sample(elements: Sequence[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(elements))
    table = prototype_table().elements
    unknown = [symbol for symbol in names if symbol not in table]
    if unknown or not names:
        raise StructureError(f"elements {', '.join(elements) or 'none'}: {', '.join(unknown) or 'nothing'} is no element. Give symbols such as Ir,O.")
    organic = {"C", "H"} <= set(names)
    kept = tuple(symbol for symbol in names if symbol != "H" and not (organic and symbol == "C"))
    return kept or names


def _subsets(names: tuple[str, ...], *, whole: bool) -> Iterator[tuple[str, ...]]:
    if whole:
        yield names
        return
    anions = [symbol for symbol in ANIONS if symbol in names]
    cations = tuple(symbol for symbol in names if symbol not in anions)
    if cations and 1 < len(anions) <= _MOST_ORDERED:
        yield (*cations, *anions[::-1])
    sizes = range(len(cations), 0, -1) if len(cations) <= _MOST_ORDERED else (len(cations), 1)
    for size in sizes:
        for chosen in combinations(cations, size):
            if size == len(cations) or len(cations) <= _MOST_ORDERED:
                yield from ((*chosen, anion) for anion in anions if size == len(cations) or anion == anions[0])
            yield chosen
    if not cations:
        yield from ((symbol,) for symbol in anions)
        yield from combinations(anions, 2)


def _metals(metals: tuple[str, ...], amounts: Mapping[str, float], *, ordered: bool) -> Iterator[CrystalCandidate]:
    mixture = _mixture(metals, amounts)
    for pattern in prototype_table().patterns:
        if pattern.n_kinds == 1 and (float(pattern.neighbours[0, 0]) >= _CLOSE_PACKED or any(metal in OPEN for metal in metals)):
            scale = metal_scale(pattern, [mixture])
            if scale:
                yield _made(pattern, scale, [mixture], "prototype, metals merged" if len(metals) > 1 else "prototype", metal=True)
        elif ordered and pattern.n_kinds == len(metals) <= _MOST_ORDERED and not pattern.merged and _orders_in(pattern, metals, amounts):
            for order in _orders(pattern, metals):
                kinds = [{symbol: 1.0} for symbol in order]
                scale = metal_scale(pattern, kinds)
                if scale and _fits(pattern, kinds, amounts):
                    yield _made(pattern, scale, kinds, "prototype, ordered", metal=True)


def _orders_in(pattern: Pattern, metals: tuple[str, ...], amounts: Mapping[str, float]) -> bool:
    """Whether an ordered type is tried: any with a formula; the common superlattices; others for metals of unlike size."""
    radii = [facts(metal).covalent for metal in metals]
    unlike = max(radii) / min(radii) > 1.0 + UNLIKE
    return bool(amounts) or unlike or pattern.name in SUPERLATTICES


def _compounds(cations: tuple[str, ...], anion: str, amounts: Mapping[str, float]) -> Iterator[CrystalCandidate]:
    """All crystals of these cations and an anion; other non-metals have sites of their own, or share the anion's where they are of its family."""
    metals = tuple(symbol for symbol in cations if symbol not in ANIONS)
    others = tuple(symbol for symbol in cations if symbol in ANIONS)
    same_family = not others or any({anion, *others} <= family for family in FAMILIES)
    own = _mixture((anion, *others) if same_family else (anion,), amounts)
    parts = metals if same_family else cations
    mixture = _mixture(metals or cations, amounts)
    grouped = list(permutations([*_groups(parts, amounts), own])) if len(parts) > 2 else []
    orders = list(permutations([*({symbol: 1.0} for symbol in parts), own])) if len(parts) <= _MOST_ORDERED else []
    merged = "prototype, cations merged" if len(metals) > 1 else "prototype"
    for pattern in prototype_table().patterns:
        assigned: list[tuple[Sequence[Mixture], str]] = []
        if pattern.n_kinds == 2 and same_family:
            assigned += [([mixture, own], merged), *([] if _symmetric(pattern) else [([own, mixture], merged)])]
        if pattern.n_kinds == len(parts) + 1 > 2:
            assigned += [(order, "prototype, ordered") for order in orders]
        if grouped and 2 < pattern.n_kinds == len(grouped[0]) <= len(parts):
            assigned += [(order, merged) for order in grouped]
        for kinds, origin in assigned:
            where = _main_anion(pattern, kinds, anion)
            scale = compound_scale(pattern, kinds, where)
            if scale and _fits(pattern, kinds, amounts):
                yield _made(pattern, scale, kinds, origin, anion=where.kind)


def _main_anion(pattern: Pattern, kinds: Sequence[Mixture], anion: str) -> Anion:
    """The kind that cations are bonded to: of the non-metals the one with most atoms (O in fluorapatite), the most electronegative where equal."""
    kind = next(number for number, one in enumerate(kinds) if anion in one)
    for number, one in enumerate(kinds):
        if pattern.counts[number] > pattern.counts[kind] * (1 + SAME_FORMULA) and set(one) <= CHARGES.keys():
            kind = number
    return Anion(next(iter(kinds[kind])), kind)


def _groups(cations: tuple[str, ...], amounts: Mapping[str, float]) -> list[Mixture]:
    """Cations that share a site where there are more of them than sites: non-metals each apart, metals in one or two groups.

    Metals are parted at the widest step of charge over radius (Li from Ni, Mn and Co; La and Sr from Mn).
    """
    metals = [symbol for symbol in cations if symbol not in ANIONS]
    alone: list[Mixture] = [{symbol: 1.0} for symbol in cations if symbol in ANIONS]
    if alone or len(metals) < 3:
        return [_mixture(tuple(metals), amounts), *alone] if metals else alone
    strength = {symbol: _field_strength(symbol) for symbol in metals}
    metals.sort(key=lambda symbol: strength[symbol])
    cut = max(range(1, len(metals)), key=lambda place: strength[metals[place]] / strength[metals[place - 1]])
    return [_mixture(tuple(metals[:cut]), amounts), _mixture(tuple(metals[cut:]), amounts)]


def _field_strength(symbol: str) -> float:
    charges = facts(symbol).charges or (1,)
    return float(np.mean([charge / ionic_radius(symbol, charge) for charge in charges]))


def _mixture(symbols: tuple[str, ...], amounts: Mapping[str, float]) -> Mixture:
    shares = np.array([amounts.get(symbol, 0.0) if amounts else 1.0 for symbol in symbols])
    return dict(zip(symbols, (shares / shares.sum()).tolist(), strict=True))


def _orders(pattern: Pattern, symbols: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for order in permutations(symbols):
        if not (len(order) == 2 and order != symbols and _symmetric(pattern)):
            yield order


def _symmetric(pattern: Pattern) -> bool:
    """Whether the two kinds of a pattern can change places without a change of the crystal."""
    equal = pattern.nets[0] == pattern.nets[1] and abs(pattern.counts[0] - pattern.counts[1]) < 1e-6
    return bool(equal and abs(pattern.contact[0, 0] / pattern.contact[1, 1] - 1.0) < 1e-3 and len(np.unique(pattern.orbits)) == 2)


def _fits(pattern: Pattern, kinds: Sequence[Mixture], amounts: Mapping[str, float]) -> bool:
    if not amounts:
        return True
    found = _composition(pattern, kinds)
    total, wanted = sum(found.values()), sum(amounts.values())
    return all(abs(found.get(symbol, 0.0) / total - amount / wanted) <= SAME_FORMULA * amount / wanted for symbol, amount in amounts.items())


def _composition(pattern: Pattern, kinds: Sequence[Mixture]) -> dict[str, float]:
    total: dict[str, float] = {}
    for count, kind in zip(pattern.counts, kinds, strict=True):
        for symbol, share in kind.items():
            total[symbol] = total.get(symbol, 0.0) + float(count) * share
    return total


def formula_of(composition: Mapping[str, float]) -> str:
    """A formula in smallest whole numbers, or with decimals where there are none: ``IrO2``, ``Cr0.6Fe2.4O4``; metals first, the anion last."""
    anion = next((symbol for symbol in ANIONS if symbol in composition), "") if len(composition) > 1 else ""
    metals = sorted(symbol for symbol in composition if symbol not in ANIONS)
    order = [*metals, *(symbol for symbol in reversed(ANIONS) if symbol in composition)]
    amounts = np.array([composition[symbol] for symbol in order])
    whole = (amounts / amounts.min() * factor for factor in range(1, 13))
    small = (trial for trial in whole if trial[:-1].max(initial=0) <= 12 and trial.sum() <= 24)
    numbers = next((trial for trial in small if np.abs(trial - np.round(trial)).max() < 0.02), None)
    if numbers is None:
        others = sum(composition[symbol] for symbol in order if symbol != anion)
        numbers = amounts / others * (3.0 if abs(composition.get(anion, 0.0) / others - 4 / 3) < 0.01 else 1.0)
    return "".join(f"{symbol}{'' if abs(n - 1) < 0.005 else format(round(float(n), 2), 'g')}" for symbol, n in zip(order, numbers, strict=True))


def _made(pattern: Pattern, scale: Scaled, kinds: Sequence[Mixture], origin: str, *, anion: int = -1, metal: bool = False) -> CrystalCandidate:
    formula = formula_of(_composition(pattern, kinds))
    if metal:
        name = "b2" if pattern.name == "cscl" else pattern.name
        group = pattern.frame if pattern.n_kinds == 1 or pattern.frame in {"fcc", "bcc", "hcp", "diamond"} else name
    else:
        turned = pattern.anion >= 0 and anion != pattern.anion and not _symmetric(pattern) and pattern.n_kinds == 2
        name = f"anti_{pattern.name}" if turned else pattern.name
        group = _net_group(pattern, anion, name) if pattern.n_kinds == 2 else pattern.group
    species: list[Species] = [
        tuple((symbol, share * float(occupancy)) for symbol, share in sorted(kinds[kind].items()))
        for kind, occupancy in zip(pattern.kinds, pattern.occupancy, strict=True)
    ]
    lattice = pattern.lattice * scale.factor
    change = np.linalg.inv(lattice)
    operations = np.array([(change @ rotation.T @ lattice).T for rotation in pattern.rotations.astype(np.float64)])
    crystal = Crystal(f"{formula} {name}", lattice, pattern.fractions, tuple(species), operations)
    origin = "own" if pattern.label == "own" else origin
    element = "" if metal else next(iter(kinds[anion]))
    sites = (pattern.orbits, pattern.kinds)
    return CrystalCandidate(crystal, name, group, formula, origin, pattern.space_group, *sites, scale.shortest, scale.least_volume, element)


def candidate_of_pattern(pattern: Pattern, kinds: Sequence[Mixture], anion: Anion) -> CrystalCandidate | None:
    """The crystal of a type with given elements on its kinds of sites.

    Args:
        pattern: the type.
        kinds: elements of each kind.
        anion: which kind is it.

    Returns:
        None where charges do not balance or atoms touch.
    """
    scale = compound_scale(pattern, kinds, anion)
    merged = any(len(kind) > 1 for kind in kinds)
    return None if scale is None else _made(pattern, scale, kinds, "prototype, cations merged" if merged else "prototype", anion=anion.kind)


def _net_group(pattern: Pattern, anion: int, name: str) -> str:
    own = "" if pattern.merged else OWN_GROUP.get(name, "")
    return own or group_of_nets(pattern.nets[1 - anion], pattern.nets[anion]) or name


def group_of_nets(cation: str, anion: str) -> str:
    """The simplest known type with the same nets of cations and of anions, ``anti_`` before one whose roles are exchanged; empty where there is none.

    Args:
        cation: coordination sequences as in :attr:`Pattern.nets`.
        anion: the same of the anions.
    """
    nets = _natural_nets()
    return nets.get((cation, anion), "") or (f"anti_{nets[anion, cation]}" if (anion, cation) in nets else "")


@lru_cache(maxsize=1)
def _natural_nets() -> dict[tuple[str, str], str]:
    """Nets of cations and anions → name, for all types of two kinds in their usual roles, known names before others."""
    nets: dict[tuple[str, str], str] = {}
    for known in (True, False):
        for pattern in prototype_table().patterns:
            if pattern.n_kinds == 2 and pattern.anion >= 0 and well_known(pattern.name) is known and pattern.name not in OWN_GROUP:
                nets.setdefault((pattern.nets[1 - pattern.anion], pattern.nets[pattern.anion]), pattern.name)
    return nets


def _rank(found: Sequence[CrystalCandidate]) -> list[CrystalCandidate]:
    """The same crystal once; the simplest first."""
    kept: dict[tuple[str, ...], CrystalCandidate] = {}
    for candidate in found:
        lengths = " ".join(f"{length:.2f}" for length in candidate.cell)
        key = (candidate.formula, candidate.prototype, lengths, " ".join(str(sorted(map(str, set(candidate.crystal.species))))))
        kept.setdefault((*key, str(len(candidate.orbits)), str(candidate.kinds.tolist()[:24])), candidate)
    return sorted(kept.values(), key=lambda candidate: (len(np.unique(candidate.orbits)), -candidate.space_group))
