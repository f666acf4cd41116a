"""Crystals that beamlines measure to learn about their instrument, by name.

Cells (Å) at room temperature: nickel, and the elements, W. B. Pearson, Handbook of Lattice Spacings and Structures of Metals (1967); silicon NIST SRM
640d, LaB6 NIST SRM 660c, CeO2 NIST SRM 674b. A calibration refines the cell, so that these are starting values.
"""

from __future__ import annotations

from functools import lru_cache

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.crystals import Crystal, Prototype, crystal_of_prototype

_FCC = {"Ni": 3.5238, "Cu": 3.6147, "Al": 4.0496, "Ag": 4.0862, "Au": 4.0786, "Pt": 3.9236, "Pd": 3.8907, "Ir": 3.8389, "Rh": 3.8032}
_BCC = {"W": 3.1652, "Mo": 3.1470, "Fe": 2.8665, "Cr": 2.8846, "Ta": 3.3026, "Nb": 3.3004, "V": 3.0240}
_DIAMOND = {"Si": 5.4312, "Ge": 5.6579, "C": 3.5668}


def _cubic(group: str, a: float, *sites: tuple[str, tuple[float, float, float]]) -> Prototype:
    return Prototype(group, (a, a, a, 90.0, 90.0, 90.0), tuple(({symbol: 1.0}, place) for symbol, place in sites))


CALIBRANTS: dict[str, Prototype] = {
    **{symbol: _cubic("Fm-3m", a, (symbol, (0, 0, 0))) for symbol, a in _FCC.items()},
    **{symbol: _cubic("Im-3m", a, (symbol, (0, 0, 0))) for symbol, a in _BCC.items()},
    **{symbol: _cubic("Fd-3m", a, (symbol, (0, 0, 0))) for symbol, a in _DIAMOND.items()},
    "CeO2": _cubic("Fm-3m", 5.4117, ("Ce", (0, 0, 0)), ("O", (0.25, 0.25, 0.25))),
    "LaB6": _cubic("Pm-3m", 4.1568, ("La", (0, 0, 0)), ("B", (0.1996, 0.5, 0.5))),
    "MgO": _cubic("Fm-3m", 4.2117, ("Mg", (0, 0, 0)), ("O", (0.5, 0.5, 0.5))),
    "NaCl": _cubic("Fm-3m", 5.6402, ("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))),
    "CaF2": _cubic("Fm-3m", 5.4631, ("Ca", (0, 0, 0)), ("F", (0.25, 0.25, 0.25))),
}
"""Built-in calibrants by formula."""


@lru_cache(maxsize=16)
def calibrant_crystal(name: str) -> Crystal:
    """A built-in calibrant.

    Raises:
        StructureError: none of that name.
    """
    if name not in CALIBRANTS:
        raise StructureError(f"calibrant {name!r}: not built in. Known: {', '.join(CALIBRANTS)}; or give a CIF file with --cif.")
    return crystal_of_prototype(CALIBRANTS[name], name)
