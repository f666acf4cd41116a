"""The cell of a crystal in numbers: its six parameters, the crystal system, and which parameters may vary on their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import CellVectors, Float64, Numbers, Real

CrystalSystem = Literal["cubic", "hexagonal", "trigonal", "tetragonal", "orthorhombic", "monoclinic", "triclinic"]
CELL = ("a", "b", "c", "alpha", "beta", "gamma")
EQUAL = 1e-4
"""Lengths that differ by less than this part, and angles by less than a hundred times as many degrees, are equal: CIF files round."""


class PeriodicCrystal(Protocol):
    """What physics needs to know of a crystal; ``structures.crystals.Crystal`` has it."""

    @property
    def name(self) -> str:
        """What it is."""

    @property
    def lattice(self) -> CellVectors:
        """(3, 3) Å, rows are the cell vectors."""

    @property
    def fractions(self) -> Float64[NDArray[np.float64], "sites 3"]:
        """(M, 3) positions in the cell."""

    @property
    def species(self) -> Sequence[Sequence[tuple[str, float]]]:
        """Elements of each site with their occupancies."""

    @property
    def point_operations(self) -> Float64[NDArray[np.float64], "operations 3 3"]:
        """(G, 3, 3) Cartesian point group."""


def cell_parameters(lattice: Real[Numbers, "3 3"]) -> tuple[float, ...]:
    """(a, b, c, α, β, γ) in Å and degrees of cell vectors in rows, (3, 3) Å."""
    rows = np.asarray(lattice, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    unit = rows / lengths[:, None]
    angles = [float(np.degrees(np.arccos(np.clip(unit[i] @ unit[j], -1.0, 1.0)))) for i, j in ((1, 2), (0, 2), (0, 1))]
    return (*map(float, lengths), *(round(angle, 9) for angle in angles))


def cell_vectors(cell: Sequence[float]) -> CellVectors:
    """(3, 3) Å, rows are the vectors of a cell (a, b, c in Å; α, β, γ in degrees), with a along x and b in the xy plane.

    Raises:
        StructureError: no cell has these angles.
    """
    a, b, c = cell[:3]
    cos_alpha, cos_beta, cos_gamma = np.cos(np.radians(cell[3:]))
    sin_gamma = np.sqrt(1.0 - cos_gamma**2)
    y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    height = 1.0 - cos_beta**2 - y**2
    if not height > 0 or not min(a, b, c) > 0:
        raise StructureError(f"a = {a:g}, b = {b:g}, c = {c:g} Å, α = {cell[3]:g}, β = {cell[4]:g}, γ = {cell[5]:g}°: no cell has these parameters.")
    return np.array([[a, 0.0, 0.0], [b * cos_gamma, b * sin_gamma, 0.0], [c * cos_beta, c * y, c * np.sqrt(height)]])


def crystal_system(point_operations: Real[Numbers, "operations 3 3"]) -> CrystalSystem:
    """The crystal system from the rotation axes of the point group.

    Args:
        point_operations: (G, 3, 3) Cartesian.

    Source: International Tables for Crystallography A (2016), table 2.1.1.1: four threefold axes are cubic, one six-, three- or fourfold axis is
        hexagonal, trigonal or tetragonal, three twofold axes are orthorhombic and one is monoclinic; rotation-inversions count as their rotations.
    """
    operations = np.asarray(point_operations, dtype=np.float64)
    proper = operations * np.sign(np.linalg.det(operations))[:, None, None]
    traces = np.rint(np.trace(np.unique(np.round(proper, 6), axis=0), axis1=1, axis2=2)).astype(int)
    sixfold, fourfold, threefold, twofold = (int((traces == trace).sum()) for trace in (2, 1, 0, -1))
    if threefold == 8:
        return "cubic"
    if sixfold:
        return "hexagonal"
    if threefold:
        return "trigonal"
    if fourfold:
        return "tetragonal"
    return "orthorhombic" if twofold == 3 else "monoclinic" if twofold else "triclinic"


@dataclass(frozen=True)
class FreeCell:
    """The parameters of a cell that its crystal system leaves free.

    Attributes:
        system: the crystal system.
        start: the six parameters by name, Å and degrees.
        groups: for each free parameter, named by its first member, those that are equal to it.
    """

    system: CrystalSystem
    start: Mapping[str, float]
    groups: Mapping[str, tuple[str, ...]]

    def cell(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """(a, b, c, α, β, γ) with the free parameters at the given values."""
        full = dict(self.start)
        for name, members in self.groups.items():
            full |= dict.fromkeys(members, float(values[name]))
        return tuple(full[name] for name in CELL)


def free_cell(crystal: PeriodicCrystal) -> FreeCell:
    """Which parameters of a crystal's cell are free, by its crystal system.

    Raises:
        StructureError: the cell is not in the usual setting of its system.
    """
    system = crystal_system(crystal.point_operations)
    start = dict(zip(CELL, cell_parameters(crystal.lattice), strict=True))
    groups = _groups(system, start)
    right = {name for name in ("alpha", "beta", "gamma") if abs(start[name] - 90.0) < 100 * EQUAL}
    needed = {
        "tetragonal": {"alpha", "beta", "gamma"}, "orthorhombic": {"alpha", "beta", "gamma"}, "hexagonal": {"alpha", "beta"},
        "trigonal": {"alpha", "beta"} if "c" in groups else set(),
    }.get(system, set())  # fmt: skip
    unequal = [
        members
        for members in groups.values()
        if np.ptp([start[name] for name in members]) > EQUAL * start[members[0]]
    ]  # fmt: skip
    if unequal or not needed <= right or (system == "monoclinic" and len(right) != 2):
        shown = ", ".join(f"{name} = {start[name]:g}" for name in CELL)
        raise StructureError(f"crystal {crystal.name}: {shown} is not the usual cell of a {system} crystal. Give it in its conventional cell.")
    return FreeCell(system, start, groups)


def _groups(system: CrystalSystem, start: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    if system == "cubic":
        return {"a": ("a", "b", "c")}
    if system in ("tetragonal", "hexagonal") or (system == "trigonal" and abs(start["gamma"] - 120.0) < 100 * EQUAL):
        return {"a": ("a", "b"), "c": ("c",)}
    if system == "trigonal":
        return {"a": ("a", "b", "c"), "alpha": ("alpha", "beta", "gamma")}
    angles = {
        "orthorhombic": (), "monoclinic": tuple(name for name in CELL[3:] if abs(start[name] - 90.0) >= 100 * EQUAL), "triclinic": CELL[3:],
    }[system]  # fmt: skip
    return {name: (name,) for name in ("a", "b", "c", *angles)}
