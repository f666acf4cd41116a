"""Metallic radii, and the nearest-neighbour distances that follow from them.

Source: L. Pauling, J. Am. Chem. Soc. 69 (1947) 542 (single-bond radii R(1) and radii for twelve neighbours), as tabulated in Kaye & Laby, Tables of
Physical and Chemical Constants, sec. 3.7.5, and in the ``mendeleev`` package as ``metallic_radius`` and ``metallic_radius_c12``. The original
DeepStruc catalog takes twice the single-bond radius as its nearest-neighbour distance; in the bulk metal atoms are nearer to twice the radius for
twelve neighbours, about 7 % more.
"""

from __future__ import annotations

import difflib
from typing import Literal

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
        near = difflib.get_close_matches(symbol, METALLIC_RADII_PM, n=1, cutoff=0.3)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise StructureError(
            f"element {symbol!r}: no metallic radius is tabulated.{hint} Use one of {', '.join(METALLIC_RADII_PM)}, "
            "or give the nearest-neighbour distance yourself."
        ) from None
    return radii[0 if kind == "single" else 1] / 100.0


def nn_distance(symbol: str, kind: RadiusKind = "single") -> float:
    """Nearest-neighbour distance of a metal, Å: twice its metallic radius (see :func:`metallic_radius`)."""
    return 2.0 * metallic_radius(symbol, kind)
