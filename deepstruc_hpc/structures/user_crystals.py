"""A user's CIF files as candidate crystals, read once and remembered.

A file counts as known while its size and time stay (:mod:`~deepstruc_hpc.structures.crystal_index`). A large folder is read before workers start, by
many processes (:mod:`~deepstruc_hpc.solve.run.cif_folders`); what is still unread when crystals are asked for is read then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.cif_reading import read_cif
from deepstruc_hpc.structures.crystal_index import CrystalIndex, marks_of
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.plausibility import CLOSEST, DENSEST
from deepstruc_hpc.structures.prototype_table import prototype_table
from deepstruc_hpc.structures.prototypes import ANIONS, CrystalCandidate, formula_of, group_of_nets


def crystal_files(place: Path) -> list[Path]:
    """A CIF file, or all of a folder and of those below it, in the order of their paths.

    Raises:
        StructureError: no such folder, or no CIF file in it.
    """
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.suffix.lower() == ".cif" and path.is_file())
    if not files:
        missing = "no .cif files in this folder" if place.is_dir() else "no such folder or file"
        raise StructureError(f"{place}: {missing}. Give a folder of CIF files.")
    return files


def user_crystals(folder: str | Path, *, notes: list[str] | None = None) -> list[CrystalCandidate]:
    """The crystals of all CIF files of a folder (and below).

    Args:
        folder: where they are; one file is fine too.
        notes: gets a sentence for every file that could not be read.

    Returns:
        One candidate a structure, in the order of the paths; its notes say what the reader had to assume.

    Raises:
        StructureError: no such folder, or no CIF file in it.
    """
    own = UserCrystals(folder)
    own.read_rest()
    if notes is not None:
        notes += own.failures()
    return own.candidates()


class UserCrystals:
    """A folder of CIF files (or one) as it is now, and what its index knows of it.

    Args:
        folder: where they are.

    Attributes:
        pending: files that the index does not know as they are; they count as empty until they are added.

    Raises:
        StructureError: no such folder, or no CIF file in it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.place = Path(folder)
        self._files = dict(marks_of(self.place, crystal_files(self.place)))
        self._index = CrystalIndex(self.place)
        self.pending = [path for path, mark in self._files.items() if mark not in self._index]

    def __len__(self) -> int:
        return len(self._files)

    @property
    def damage(self) -> str:
        """A sentence on damage of the index, or empty."""
        lines = self._index.damaged
        return f"{self._index.folder}: the index of {self.place} was damaged in {lines} places; the files concerned are read again" if lines else ""

    def add(self, path: Path, read: Mapping[str, Any]) -> None:
        """Remember what :func:`~deepstruc_hpc.structures.cif_reading.read_cif` found in a file, in its state when this object was made."""
        self._index.add(self._files[path], read["crystals"], failure=read["failure"], notes=read["notes"])

    def read_rest(self) -> None:
        """Read what is pending, in this process."""
        for path in self.pending:
            self.add(path, read_cif(path))
        self.close()

    def close(self) -> None:
        """End adding."""
        self.pending = [path for path in self.pending if self._files[path] not in self._index]
        self._index.close(self._files.values())

    def failures(self) -> list[str]:
        """A sentence for every file that could not be read, in the order of the paths."""
        known = ((path, self._index[mark]) for path, mark in self._files.items() if mark in self._index)
        return [f"{path.name}: {entry.failure}" for path, entry in known if entry.failure]

    def candidates(self, elements: Collection[str] | None = None) -> list[CrystalCandidate]:
        """The crystals, in the order of the paths.

        Args:
            elements: those that a crystal may hold; None for all crystals.
        """
        allowed = None if elements is None else frozenset(elements)
        found: list[CrystalCandidate] = []
        for path, mark in self._files.items():
            if mark not in self._index:
                continue
            entry = self._index[mark]
            wanted = [allowed is None or symbols <= allowed for symbols in entry.elements]
            if any(wanted):
                rows = self._index.crystals(mark) or read_cif(path)["crystals"]
                found += [_candidate(row, path, entry.notes) for row, one in zip(rows, wanted, strict=False) if one]
        return found


def _candidate(row: dict[str, Any], path: Path, notes: tuple[str, ...]) -> CrystalCandidate:
    lattice = np.array(row["lattice"])
    kinds = np.array(row["types"], dtype=np.intp)
    sites = [tuple((str(symbol), float(amount)) for symbol, amount in site) for site in row["species"]]
    change = np.linalg.inv(lattice)
    rotations = np.array(row["rotations"], dtype=np.float64).reshape(-1, 3, 3)
    operations = np.array([(change @ rotation.T @ lattice).T for rotation in rotations])
    crystal = Crystal(path.stem, lattice, np.array(row["fractions"]), tuple(sites[kind] for kind in kinds), operations)
    elements = prototype_table().elements
    radii = np.array([sum(amount * elements[symbol].covalent for symbol, amount in site) / sum(a for _, a in site) for site in sites])
    name = path.stem.lower().replace(" ", "_")
    return CrystalCandidate(
        crystal,
        name,
        (group_of_nets(*row["nets"]) if row["nets"] else "") or name,
        formula_of(crystal.composition),
        str(path),
        int(row["space_group"]),
        np.array(row["orbits"], dtype=np.intp),
        kinds,
        0.5 * CLOSEST * np.add.outer(radii, radii),
        DENSEST * abs(float(np.linalg.det(lattice))),
        next((symbol for symbol in ANIONS if symbol in crystal.composition), "") if len(crystal.composition) > 1 else "",
        notes,
    )
