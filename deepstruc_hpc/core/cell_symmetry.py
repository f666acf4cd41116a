"""The space group of a crystal's cell, by spglib: the one place that calls it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Integer = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class CellSymmetry:
    """The symmetry of a cell and its conventional setting.

    Attributes:
        number: of the space group.
        rotations: (G, 3, 3) of the operations, in fractions.
        translations: (G, 3).
        orbits: (M,) number of the first equivalent site of each.
        lattice: (3, 3) Å, the conventional cell; rows are the cell vectors.
        fractions: (N, 3) its sites.
        types: (N,) their types.
    """

    number: int
    rotations: Integer
    translations: Float
    orbits: Integer
    lattice: Float
    fractions: Float
    types: Integer


def cell_symmetry(lattice: Float, fractions: Float, types: Integer, *, precision: float) -> CellSymmetry | None:
    """Find the space group.

    Args:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3).
        types: (M,) sites of one type may be equivalent.
        precision: Å, by which sites may be off.

    Returns:
        The symmetry, or None where spglib finds none (overlapping sites, say).

    Source: Togo, Shinohara & Tanaka, Sci. Technol. Adv. Mater. Methods 4 (2024) 2384822.
    """
    import spglib

    cell: Any = (np.asarray(lattice), np.asarray(fractions), np.asarray(types) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notice on how later versions report errors
        try:
            found: Any = spglib.get_symmetry_dataset(cell, symprec=precision)
        except Exception:  # noqa: BLE001 - newer versions raise errors of their own where older ones returned None
            return None
    if found is None:
        return None
    return CellSymmetry(
        number=int(found.number),
        rotations=np.array(found.rotations, dtype=np.intp),
        translations=np.array(found.translations, dtype=np.float64),
        orbits=np.array(found.equivalent_atoms, dtype=np.intp),
        lattice=np.array(found.std_lattice, dtype=np.float64),
        fractions=np.mod(np.round(np.array(found.std_positions, dtype=np.float64), 7), 1.0),
        types=np.array(found.std_types, dtype=np.intp) - 1,
    )
