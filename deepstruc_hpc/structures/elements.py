"""Metallic radii, and the nearest-neighbour distances that follow from them.

Source: L. Pauling, J. Am. Chem. Soc. 69 (1947) 542 (single-bond radii R(1) and radii for twelve neighbours), as tabulated in Kaye & Laby, Tables of
Physical and Chemical Constants, sec. 3.7.5, and in the ``mendeleev`` package as ``metallic_radius`` and ``metallic_radius_c12``. The original
DeepStruc catalog takes twice the single-bond radius as its nearest-neighbour distance; in the bulk metal atoms are nearer to twice the radius for
twelve neighbours, about 7 % more.

Metals that Pauling's table lacks have a radius for twelve neighbours from elsewhere, and a single-bond radius by Pauling's own rule
R(1) = R(12) − 0.300 Å · log10(12/v) with the valence v (same paper; it gives his values back to 1 pm for Hf, K, Ca, Zr and La). Their radii:
rare earths K. A. Gschneidner, Bull. Alloy Phase Diagrams 11 (1990) 216, metallic radii for CN 12; actinides W. H. Zachariasen, J. Inorg. Nucl.
Chem. 35 (1973) 3487, as carried by ``pymatgen``; Ac, Ra and Po from the lattice constants of the metals (5.31 fcc, 5.148 bcc and 3.359 Å simple
cubic; J. Donohue, The Structures of the Elements, 1974), brought to twelve neighbours by the same rule.
"""

from __future__ import annotations

import math
from typing import Literal

from deepstruc_hpc.core.composition import SYMBOLS, suggested_symbol
from deepstruc_hpc.core.errors import StructureError

RadiusKind = Literal["single", "twelve"]

METALS_OF_THE_PAPER: tuple[str, ...] = (
    *("Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Y", "Zr", "Nb", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd"),
    *("Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg"),
)
"""The 28 metals of Kjær, Anker et al., Digital Discovery 2 (2023) 69."""

_RADII_PM = """
Li 123 155  Be  89 112  Na 157 190  Mg 136 160  Al 125 143  K  203 235  Ca 174 197  Sc 144 162  Ti 132 147  V  122 134
Cr 119 128  Mn 118 127  Fe 117 126  Co 116 125  Ni 115 124  Cu 118 128  Zn 121 134  Ga 125 140  Ge 124 144  Rb 216 248
Sr 191 215  Y  162 180  Zr 145 160  Nb 134 146  Mo 130 139  Tc 127 136  Ru 125 134  Rh 125 134  Pd 128 137  Ag 134 144
Cd 138 151  In 142 158  Sn 142 163  Sb 139 166  Cs 235 267  Ba 198 222  La 169 187  Hf 144 159  Ta 134 146  W  130 139
Re 128 137  Os 126 135  Ir 127 136  Pt 130 139  Au 134 144  Hg 139 151  Tl 144 160  Pb 150 170  Bi 151 178
"""

_FIELDS = _RADII_PM.split()
METALLIC_RADII_PM: dict[str, tuple[int, int]] = {
    symbol: (int(single), int(twelve)) for symbol, single, twelve in zip(_FIELDS[::3], _FIELDS[1::3], _FIELDS[2::3], strict=True)
}
"""Symbol → (single-bond radius, radius for twelve neighbours), pm."""

_MORE_RADII_PM = """
Ce 182 3  Pr 183 3  Nd 182 3  Pm 181 3  Sm 180 3  Eu 204 2  Gd 180 3  Tb 178 3  Dy 177 3  Ho 177 3  Er 176 3  Tm 175 3  Yb 194 2  Lu 173 3
Po 177 2  Ra 228 2  Ac 188 3  Th 180 4  Pa 163 5  U  156 6  Np 155 6  Pu 159 6  Am 173 3  Cm 174 3  Bk 170 3  Cf 186 2  Es 186 2
"""
_MORE = _MORE_RADII_PM.split()
METALLIC_RADII_PM |= {
    symbol: (round(int(twelve) - 30.0 * math.log10(12 / int(valence))), int(twelve))
    for symbol, twelve, valence in zip(_MORE[::3], _MORE[1::3], _MORE[2::3], strict=True)
}

_NOT_METALS = frozenset(
    (*("H", "D", "He", "Ne", "Si", "Cl", "Ar", "Ge", "As", "Se", "Br", "Kr", "Sb", "Te", "Xe", "At", "Rn", "Ts", "Og"), *"BCNOFPSI")
)
"""Nonmetals and the elements between: their crystals are not those of metals, and beside a metal they make compounds."""


def is_metal(symbol: str) -> bool:
    """Whether the element is a metal. B, Si, Ge, As, Sb, Te and At are not; Po is.

    Args:
        symbol: such as ``Au``. What is no element is no metal.
    """
    return symbol in SYMBOLS and symbol not in _NOT_METALS


def metallic_radius(symbol: str, kind: RadiusKind = "single") -> float:
    """Metallic radius of an element, Å.

    Args:
        symbol: element symbol, for example ``Au``.
        kind: ``single`` for the radius that the paper's catalog uses, ``twelve`` for the one of twelve neighbours.

    Raises:
        StructureError: the table has no such metal.
    """
    try:
        radii = METALLIC_RADII_PM[symbol]
    except KeyError:
        near = "" if symbol in SYMBOLS else suggested_symbol(symbol)
        hint = f" Did you mean '{near}'?" if near else ""
        raise StructureError(
            f"element {symbol!r}: no metallic radius is tabulated.{hint} Use one of {', '.join(METALLIC_RADII_PM)}, "
            "or give the nearest-neighbour distance yourself."
        ) from None
    return radii[0 if kind == "single" else 1] / 100.0


def nn_distance(symbol: str, kind: RadiusKind = "single") -> float:
    """Nearest-neighbour distance of a metal, Å: twice its metallic radius (see :func:`metallic_radius`)."""
    return 2.0 * metallic_radius(symbol, kind)
