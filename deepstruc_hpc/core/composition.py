"""Chemical formulas: what a header or an option says a sample is made of.

A parser of our own, because libraries read less than headers hold: ``periodictable.formula`` takes ``*`` for an error and has no site shared by
several elements, and ``pymatgen.core.Composition`` costs a second to import on a busy machine and has no ions and no supports.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd

from deepstruc_hpc.core.errors import CompositionError

_TABLE = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr
Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS: tuple[str, ...] = tuple(_TABLE.split())
"""The chemical elements in the order of their atomic numbers (IUPAC, 2016)."""
_KNOWN = frozenset((*SYMBOLS, "D"))
_NEVER_POSITIVE = frozenset(("O", "F", "Cl", "Br", "I", "S", "Se", "Te", "D"))
_MAY_BE_NEGATIVE = frozenset(("H", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Ge", "As", "Se", "Br", "Sb", "Te", "I"))
_LARGEST_CHARGE = {"H": 1, "O": 2, "F": 1, "Cl": 1, "Br": 1, "I": 1, "Li": 1, "Na": 1, "K": 1, "Rb": 1, "Cs": 1, "Ag": 3, "S": 2, "Se": 2, "Te": 2}
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻−–•∙⋅×[]", "01234567890123456789+---····()")
_DROPPED = re.compile(r"[\$_\^{}'\"`\\]|\bat\.?\s*%|\bmol\.?\s*%|%")
_VARIABLE = re.compile(r"(\d)\s*[-+±]\s*(?:x|y|z|d|δ|delta)(?![a-zA-Z])")
_TOKEN = re.compile(
    r"(?P<symbol>[A-Z][a-z]?)(?:(?P<charge>\d*[+-])(?=$|[\s),;/·*.\dA-Z(+-]))?(?:\s*[:=]\s*|\s+(?=[\d.]+(?:[\s,;)]|$)))?(?P<amount>\d+\.?\d*|\.\d+)?(?![.\d]*[a-z])"
    r"|(?P<open>\()|(?P<close>\))\s*(?P<times>\d+\.?\d*|\.\d+)?(?P<sign>[+-](?=$|[\s),;/·*]))?"
    r"|(?P<part>[·*/+;@-])|(?P<comma>,)|(?P<factor>\d+\.?\d*|\.\d+)(?=\s*[A-Z(])|(?P<blank>\s+)"
)


@dataclass(frozen=True)
class Composition:
    """Elements and their amounts.

    Attributes:
        amounts: atoms of each element, in the order given; deuterium has its own symbol ``D``.
        text: as it was written.
        parts: the formulas that ``/``, ``·``, ``*`` or ``;`` keep apart, such as ``Pt`` and ``Al2O3`` of ``Pt/Al2O3``; one where nothing does.
        ions: element → its ion as written (``Fe3+``), for those with a charge.
        notes: what was guessed, one sentence each.
    """

    amounts: Mapping[str, float]
    text: str = ""
    parts: tuple[Mapping[str, float], ...] = ()
    ions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[str, ...]:
        """The symbols, in the order given."""
        return tuple(self.amounts)

    @property
    def formula(self) -> str:
        """The formula with the smallest whole numbers, in the order given: ``CeO2``, ``Au``, ``Pt3Ni``; the amounts as given where none fit."""
        return reduced_formula(self.amounts)


def reduced_formula(amounts: Mapping[str, float]) -> str:
    """Amounts as a formula with the smallest whole numbers; as they are, to four digits, where no small ones fit."""
    if not amounts:
        return ""
    least = min(amounts.values())
    for scale in (1.0, *(number / least for number in range(1, 4))):
        scaled = [amount * scale for amount in amounts.values()]
        whole = [round(value) for value in scaled]
        if (scale == 1.0 or max(whole) <= 12) and all(
            count > 0 and abs(value - count) <= 1e-3 * count for value, count in zip(scaled, whole, strict=True)
        ):
            common = gcd(*whole)
            return "".join(symbol if count == common else f"{symbol}{count // common}" for symbol, count in zip(amounts, whole, strict=True))
    return "".join(symbol if amount == 1.0 else f"{symbol}{amount:.4g}" for symbol, amount in amounts.items())


def suggested_symbol(text: str) -> str:
    """The element that somebody may have meant by an unknown symbol, or '' where none is near: ``AU`` and ``gold``'s ``Go`` differ in that."""
    if text.capitalize() in _KNOWN:
        return text.capitalize()
    near = difflib.get_close_matches(text.capitalize(), SYMBOLS, n=1, cutoff=0.6)
    return near[0] if near else ""


def check_symbol(symbol: str, where: str) -> str:
    """The symbol itself where it is an element, or D.

    Args:
        symbol: such as ``Ce``.
        where: where it was found, for the message.

    Raises:
        CompositionError: no element, with the one that may be meant.
    """
    if symbol not in _KNOWN:
        near = suggested_symbol(symbol)
        hint = f" Did you mean {near}?" if near else ""
        raise CompositionError(f"{where}: {symbol!r} is no chemical element.{hint} Write symbols such as Au or Ce.")
    return symbol


def parse_composition(text: str) -> Composition:
    """Read a chemical formula.

    Reads ``CeO2``, ``Ce O2``, ``Au144 S60 C480 H540``, ``Zr0.85Y0.15O1.925``, ``Pt 0.5 Ru 0.5``, ``(Cu,Ni,Cr,Mn,Fe)3O4`` (several elements on one
    site in equal shares, unless amounts say otherwise), ``Ca(OH)2``, ions (``Fe3+``, ``O2-``, ``SO42-``), hydrates (``CaSO4*2H2O``, ``·``), supports
    (``Pt/Al2O3``), subscripts, and TeX (``CeO$_2$``).

    Raises:
        CompositionError: quotes what cannot be read, and names an unknown symbol with the one that may be meant.
    """
    if re.search(r"\bwt\.?\s*%", text):
        raise CompositionError(f"composition {text!r}: shares by weight are not read. Give atoms, such as Pt3Ni.")
    reader = _Reader(text)
    parts = [part for part in reader.parts() if part]
    amounts: dict[str, float] = {}
    for part in parts:
        for symbol, amount in part.items():
            amounts[symbol] = amounts.get(symbol, 0.0) + amount
    if not amounts:
        raise CompositionError(f"composition {text!r}: holds no element. Write a formula such as CeO2 or Pt3Ni.")
    notes = list(reader.notes)
    one = text.strip()
    if len(one) == 2 and one.isupper() and one.capitalize() in _KNOWN:
        notes.append(f"{one} was read as {' and '.join(amounts)}; write {one.capitalize()} for the element.")
    return Composition(amounts, text, tuple(parts), reader.ions, tuple(notes))


Members = list[tuple[dict[str, float], bool]]
"""Amounts of atoms and groups in a row, and whether each was given a number."""


class _Reader:
    """One pass over the text of a formula."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.notes: list[str] = []
        self.ions: dict[str, str] = {}
        self.found: list[dict[str, float]] = [{}]
        self.members: Members = []
        self.shared, self.factor = False, 1.0
        self.stack: list[tuple[Members, bool]] = []
        plain = re.sub(r"\bon\b", "/", text.translate(_PLAIN))
        plain = _DROPPED.sub(" " if re.search(r"%", plain) else "", plain).strip().rstrip(".,;")
        plain = re.sub(r"\s+\.\s+", "·", plain)
        if "+" not in plain:
            plain = re.sub(r"-(?=[A-Z(])", "/", plain)
        self.plain, varied = _VARIABLE.subn(r"\1", plain)
        if varied:
            self.notes.append(f"An amount of {text!r} has an unknown part; the number alone was used.")

    def parts(self) -> list[dict[str, float]]:
        """Amounts of each part."""
        at = 0
        while at < len(self.plain):
            match = _TOKEN.match(self.plain, at)
            if match is None or match.end() == at:
                raise self._unreadable(at)
            if match["symbol"]:
                self.members.append(self._atom(match))
            elif not match["blank"]:
                self._mark(match, at)
            at = match.end()
        if self.stack:
            raise CompositionError(f"composition {self.text!r}: a bracket is not closed. Write a formula such as Ca(OH)2.")
        self._end_formula()
        return self.found

    def _mark(self, match: re.Match[str], at: int) -> None:
        """A bracket, a separator, or a number before a formula."""
        if match["open"]:
            self.stack.append((self.members, self.shared))
            self.members, self.shared = [], False
        elif match["close"] and self.stack:
            group = _total(_shared(self.members) if self.shared else self.members, float(match["times"] or 1.0))
            self.members, self.shared = self.stack.pop()
            self.members.append((group, match["times"] is not None))
        elif match["comma"]:
            self.shared = bool(self.stack)
        elif match["factor"] and not self.stack and (not self.members or self.plain[at - 1].isspace()):
            self._end_formula()
            self.factor = float(match["factor"])
        elif match["part"] and not self.stack:
            self._end_formula()
            self.found.append({})
        else:
            raise self._unreadable(at)

    def _end_formula(self) -> None:
        self.found[-1] = _total([(self.found[-1], True), (_total(self.members, self.factor), True)], 1.0)
        self.members, self.factor = [], 1.0

    def _atom(self, match: re.Match[str]) -> tuple[dict[str, float], bool]:
        """One element with its charge and amount."""
        symbol, charge, number = match["symbol"], match["charge"] or "", match["amount"]
        check_symbol(self.text.strip() if symbol not in _KNOWN and len(self.text.strip()) <= 2 else symbol, f"composition {self.text!r}")
        amount = float(number) if number else 1.0
        if charge:
            digits, sign = charge[:-1], charge[-1]
            atoms, valence = _charge(symbol, digits, sign)
            amount *= atoms
            if valence:
                self.ions[symbol] = f"{symbol}{valence}{sign}"
                if digits and atoms == 1.0:
                    self.notes.append(f"{symbol}{charge} was read as one ion with the charge {valence}{sign}.")
            return {symbol: amount}, bool(number) or atoms != 1.0
        if number and amount <= 0:
            raise CompositionError(f"composition {self.text!r}: the amount of {symbol} is {number}. Amounts are above 0.")
        return {symbol: amount}, number is not None

    def _unreadable(self, at: int) -> CompositionError:
        word = re.match(r"[A-Za-z]+|\S", self.plain[at:])
        found = word[0] if word else self.plain[at:]
        near = suggested_symbol(found) if len(found) <= 2 else ""
        hint = f" Did you mean {near}?" if near else " Symbols begin with a capital letter." if found[0].islower() else ""
        return CompositionError(f"composition {self.text!r}: {found!r} cannot be read.{hint} Write a formula such as CeO2 or Au144 S60 C480 H540.")


def _charge(symbol: str, digits: str, sign: str) -> tuple[float, int]:
    """Atoms and charge that a number and a sign after a symbol mean: ``3+`` of Fe → 1, 3; ``42-`` of O → 4, 2; ``4+`` of H → 4, 0.

    The charge is 0 where the sign belongs to a whole molecule, or is no charge at all.
    """
    possible = symbol not in _NEVER_POSITIVE if sign == "+" else symbol in _MAY_BE_NEGATIVE
    largest = _LARGEST_CHARGE.get(symbol, 8)
    if not digits:
        return 1.0, 1 if possible else 0
    if len(digits) == 1 and possible and 0 < int(digits) <= largest:
        return 1.0, int(digits)
    if len(digits) == 2 and sign == "-" and 0 < int(digits[1]) <= 4 and symbol in _MAY_BE_NEGATIVE:
        return float(digits[0]), 0
    return float(digits), 0


def _shared(members: Members) -> Members:
    """Elements of one site: those without an amount take equal shares of what the others leave of 1."""
    free = [index for index, (_, given) in enumerate(members) if not given]
    rest = 1.0 - sum(sum(amounts.values()) for amounts, given in members if given)
    share = rest / len(free) if free and rest > 0 else 1.0
    return [(amounts if given else dict.fromkeys(amounts, share), given) for amounts, given in members]


def _total(members: Members, factor: float) -> dict[str, float]:
    total: dict[str, float] = {}
    for amounts, _ in members:
        for symbol, amount in amounts.items():
            total[symbol] = round(total.get(symbol, 0.0) + amount * factor, 10)
    return total
