"""Element symbols and atomic numbers: structures carry symbols, stores carry numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError

_IN_ORDER = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag
Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa
U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""

SYMBOLS: tuple[str, ...] = tuple(_IN_ORDER.split())
"""Symbols in the order of the atomic number, hydrogen first."""

_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}


def atomic_numbers(symbols: Sequence[str]) -> NDArray[np.uint8]:
    """(N,) atomic numbers of N symbols.

    Raises:
        StructureError: for a word that is no element.
    """
    try:
        return np.fromiter((_NUMBERS[symbol] for symbol in symbols), dtype=np.uint8, count=len(symbols))
    except KeyError as unknown:
        raise StructureError(f"element {unknown.args[0]!r}: no such chemical element. Use symbols such as Au, Fe, O.") from None


def element_symbols(numbers: NDArray[np.uint8]) -> tuple[str, ...]:
    """The symbols of atomic numbers 1 to 118."""
    return tuple(SYMBOLS[number - 1] for number in numbers.tolist())
