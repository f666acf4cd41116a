"""Arrays with their shapes, for annotations: ``Float64[Floats, "atoms 3"]`` is an array of float64 with a row of three numbers for each atom.

A name stands for one length within one call: where an argument and the result both say ``q``, they are of one length. ``...`` stands for any axes,
``2 3`` for lengths that are fixed. ``Numbers`` is anything of which NumPy makes an array of numbers. To a type checker these are plain NumPy arrays.
Where jaxtyping is loaded before this package, as in the project's tests, they are jaxtyping's, and shapes are compared at every call; elsewhere they
are annotations and cost nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bool", "CellVectors", "Float32", "Float64", "Floats", "Int32", "Int64", "Numbers", "PerAtom", "Positions", "Real"]

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float32, Float64, Int32, Int64, Real
else:  # annotations that nobody reads at run time
    Bool = Float32 = Float64 = Int32 = Int64 = Real = Annotated
if TYPE_CHECKING:
    Numbers: TypeAlias = ArrayLike
else:
    Numbers = np.ndarray

Floats: TypeAlias = NDArray[np.float64]
Positions: TypeAlias = Float64[Floats, "atoms 3"]
CellVectors: TypeAlias = Float64[Floats, "3 3"]
"""Å, rows are the cell vectors."""
PerAtom: TypeAlias = Real[Numbers, ""] | Real[Numbers, "1"] | Real[Numbers, " atoms"]
"""A number for all atoms, or one for each."""
