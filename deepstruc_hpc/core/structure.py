"""A finite arrangement of atoms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepstruc_hpc.core.errors import StructureError


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms of one cluster.

    Attributes:
        symbols: element symbol of each atom (length N).
        positions: (N, 3) Å, float64, read-only.
        structure_type: sc, bcc, fcc, hcp, decahedral, icosahedral, octahedral, stacking_fault, or a recipe's own name.
        label: what it is in words, unique within a catalog, e.g. ``Au decahedral p3 q2 r1``.
    """

    symbols: tuple[str, ...]
    positions: NDArray[np.float64]
    structure_type: str = "unknown"
    label: str = ""

    def __post_init__(self) -> None:
        positions = np.array(self.positions, dtype=np.float64, copy=True)
        if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) != len(self.symbols):
            raise StructureError(f"structure {self.label!r}: {len(self.symbols)} symbols need positions of shape (N, 3), found {positions.shape}.")
        if not np.isfinite(positions).all():
            raise StructureError(f"structure {self.label!r}: positions hold NaN or infinity.")
        positions.setflags(write=False)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "symbols", tuple(self.symbols))

    @classmethod
    def of_element(cls, symbol: str, positions: ArrayLike, structure_type: str = "unknown", label: str = "") -> Structure:
        """A cluster of one element."""
        array = np.asarray(positions, dtype=np.float64)
        return cls((symbol,) * len(array), array, structure_type, label)

    def __len__(self) -> int:
        return len(self.symbols)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.symbols)

    @property
    def elements(self) -> tuple[str, ...]:
        """Distinct element symbols in alphabetical order."""
        return tuple(sorted(set(self.symbols)))

    @property
    def formula(self) -> str:
        """Elements in alphabetical order with counts: ``Au55``, ``O24Ti12``."""
        counts = Counter(self.symbols)
        return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in sorted(counts))

    def scaled(self, factor: float) -> Structure:
        """The structure expanded isotropically about the origin by a factor (1 changes nothing)."""
        return replace(self, positions=self.positions * factor)

    def centred(self) -> Structure:
        """The structure with its centroid at the origin."""
        return replace(self, positions=self.positions - self.positions.mean(axis=0))

    def with_symbols(self, symbols: Sequence[str]) -> Structure:
        """The same sites with other elements."""
        return replace(self, symbols=tuple(symbols))
