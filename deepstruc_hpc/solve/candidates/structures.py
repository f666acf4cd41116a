"""The user's own clusters and molecules as candidates: XYZ and CIF files, taken as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepstruc_hpc.core.errors import DeepstrucError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import read_structure
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.measurement.describe import Measurement

STRUCTURE_ZOOM = (0.97, 1.03)
"""A molecule has the size that it has: room for a calculated geometry's bonds and for temperature, no more."""
SIZES = 8
"""Sizes of a size family, beside the structure as it is."""
FEWEST_ATOMS = 10
"""A structure of fewer is a molecule and has no size family."""
SUFFIXES = (".xyz", ".cif")


class StructureSource:
    """Structures of files, as they are; particles also cut to smaller spheres about their middle, where that is asked for.

    Args:
        structures: Å, the type of each is the name that it is called by.
        sizes: also propose a size family of each.
        notes: what reading them left to say.
    """

    name = "structures"

    def __init__(self, structures: Sequence[Structure], *, sizes: bool = False, notes: Sequence[str] = ()) -> None:
        self.structures, self.sizes, self.notes = list(structures), sizes, tuple(notes)

    @classmethod
    def of_folders(cls, folders: Sequence[str], *, sizes: bool = False) -> StructureSource:
        """The structures of files and folders; a file that cannot be read is a note.

        Raises:
            StructureError: a folder that is not there or holds no such file.
        """
        found: list[Structure] = []
        notes: list[str] = []
        for folder in folders:
            for path in structure_files(folder):
                try:
                    read = read_structure(path)
                    found.append(replace(read, structure_type=path.stem, label=path.name))
                except DeepstrucError as broken:
                    notes.append(f"left out: {broken}")
        return cls(found, sizes=sizes, notes=notes)

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:  # noqa: ARG002 - a list has no budget
        """Those that share an element with the sample; ligands and counter-ions may be in the file or not."""
        elements = frozenset((*measurement.sample.elements, *measurement.sample.amounts))
        found: list[Candidate] = []
        for structure in self.structures:
            if elements.isdisjoint(structure.elements):
                continue
            found.append(Candidate(structure, "structures", zoom=STRUCTURE_ZOOM))
            found += _family(structure) if self.sizes else []
        return CandidateSet(tuple(found), notes=self.notes)


def _family(structure: Structure) -> list[Candidate]:
    """Spheres of atoms about the middle of a structure."""
    distance = np.linalg.norm(structure.positions - structure.positions.mean(axis=0), axis=1)
    order = np.argsort(distance, kind="stable")
    made = []
    for count in np.unique(np.geomspace(FEWEST_ATOMS, max(len(structure), FEWEST_ATOMS), SIZES + 1).astype(int))[:-1]:
        if count >= len(structure):
            continue
        kept = np.sort(order[distance[order] <= distance[order[count - 1]] + 1e-6])
        part = Structure(
            tuple(structure.symbols[place] for place in kept),
            structure.positions[kept],
            structure.structure_type,
            f"{structure.label}, the inner {len(kept)} atoms",
        )
        made.append(Candidate(part, "structures", zoom=STRUCTURE_ZOOM))
    return made


def structure_files(place: str) -> list[Path]:
    """An XYZ or CIF file, or all of a folder in alphabetical order.

    Raises:
        StructureError: no such file or folder, or a folder without one.
    """
    path = Path(place).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise StructureError(f"{path}: neither a file nor a folder. Name an .xyz or .cif file, or a folder of them.")
    files = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and not entry.name.startswith("."))
    if not files:
        raise StructureError(f"{path}: no .xyz or .cif file in this folder.")
    return files
