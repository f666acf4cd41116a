"""Particles cut on the fly from crystals: the built-in ones and those of the user's CIF files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.crystals import PROTOTYPES, Crystal, cif_crystal, cif_files, prototype_crystal
from deepstruc_hpc.structures.particle_cut import ParticleCut

CRYSTAL_ZOOM = (0.94, 1.06)
"""Cells of nanocrystals differ from bulk by up to some 2 %, calculated ones by up to 5 %."""
SMALLEST_RADIUS, RADIUS_STEP = 3.0, 1.0
"""Å. The first list of sizes; the search around the best makes it finer."""
BEYOND = 1.15
"""A particle may be larger than the range of the data by this factor; beyond that its size does not show."""


class CrystalSource:
    """Spheres of growing radius cut from every crystal whose elements the sample holds.

    Args:
        crystals: to cut from; of the built-in ones those that a sample asks for, where not given.
        notes: what reading them left to say.
    """

    name = "crystals"

    def __init__(self, crystals: Sequence[Crystal] | None = None, notes: Sequence[str] = ()) -> None:
        self.crystals = None if crystals is None else list(crystals)
        self.notes = tuple(notes)

    @classmethod
    def of_folders(cls, folders: Sequence[str]) -> CrystalSource:
        """The crystals of CIF files and folders; a file that cannot be read is a note.

        Raises:
            StructureError: a folder that is not there or holds no CIF file.
        """
        found: list[Crystal] = []
        notes: list[str] = []
        for folder in folders:
            for path in cif_files(folder):
                try:
                    found.append(cif_crystal(str(path)))
                except StructureError as broken:
                    notes.append(f"left out: {broken}")
        return cls(found, notes)

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:
        """Spheres about the origin of each crystal of the sample's elements, up to the end of the data."""
        suitable = self.suitable(frozenset(measurement.sample.elements))
        found = [candidate for crystal in suitable for candidate in _spheres(crystal, measurement, budget)]
        return CandidateSet(tuple(found), counts={"crystals_suitable": len(suitable)}, notes=self.notes)

    def suitable(self, elements: frozenset[str]) -> list[Crystal]:
        """The crystals that are made of these elements alone."""
        if self.crystals is None:
            return [prototype_crystal(name) for name, prototype in PROTOTYPES.items() if prototype.elements <= elements]
        return [crystal for crystal in self.crystals if frozenset(crystal.composition) <= elements]


def _spheres(crystal: Crystal, measurement: Measurement, budget: Budget) -> Iterator[Candidate]:
    """Spheres of one crystal; a crystal of one nonmetal is left as it is cut, since it has no unlike neighbours to be bonded to."""
    cut = ParticleCut(crystal, SMALLEST_RADIUS)
    largest = min(BEYOND * measurement.rmax / 2.0, float(np.cbrt(3.0 * budget.most_atoms * cut.atomic_volume / (4.0 * np.pi))))
    for radius in np.arange(SMALLEST_RADIUS, max(largest, SMALLEST_RADIUS) + 1e-6, RADIUS_STEP):
        made = cut_candidate(replace(cut, radius=float(radius)), "crystals", listed=True)
        if made is not None:
            yield made


def cut_candidate(cut: ParticleCut, source: str, *, listed: bool) -> Candidate | None:
    """A cut as a candidate, or None where nothing is left of it."""
    try:
        structure = cut.structure()
    except StructureError:
        return None
    if len(structure) < 2:
        return None
    return Candidate(structure, source, zoom=CRYSTAL_ZOOM, listed=listed, length=cut.crystal.bond_length, atomic_volume=cut.atomic_volume, cut=cut)


def check_folders(folders: Sequence[str]) -> tuple[str, ...]:
    """Absolute paths of the folders, checked early.

    Raises:
        StructureError: one that is not there or holds no CIF file.
    """
    for folder in folders:
        cif_files(folder)
    return tuple(str(Path(folder).expanduser().resolve()) for folder in folders)
