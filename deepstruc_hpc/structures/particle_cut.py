"""A particle cut from a crystal, told by how it is cut: what a search changes, and what an answer can say of its shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.crystal_cut import Surface, cut_crystal
from deepstruc_hpc.structures.crystals import Crystal, crystal_type


@dataclass(frozen=True, eq=False)
class ParticleCut:
    """How a particle is cut from a crystal; see :func:`~deepstruc_hpc.structures.crystal_cut.cut_crystal` for each value.

    Attributes:
        crystal: what is cut.
        radius: Å, in the crystal's own cell.
        centre: ``origin``, ``cell``, ``bond``, or an element.
        aspect: length along the axis over width.
        axis: direction of the crystal.
        facets: Miller indices and relative distances, or none for a rounded body.
        surface: rule for atoms at the surface.
        seed: of the draw for sites with partial occupancy.
        structure_type: what the particle is called.
    """

    crystal: Crystal
    radius: float
    centre: str = "origin"
    aspect: float = 1.0
    axis: tuple[int, int, int] = (0, 0, 1)
    facets: Mapping[str, float] = field(default_factory=dict)
    surface: Surface = "bonded"
    seed: int = 0
    structure_type: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal cuts."""
        facets = tuple(sorted(self.facets.items()))
        return self.crystal.name, round(self.radius, 3), self.centre, round(self.aspect, 3), self.axis, facets, self.surface, self.seed

    @cached_property
    def atomic_volume(self) -> float:
        """Å³ an atom takes in the crystal, occupancies counted."""
        return abs(float(np.linalg.det(self.crystal.lattice))) / sum(self.crystal.composition.values())

    def structure(self) -> Structure:
        """The particle, Å.

        Raises:
            StructureError: nothing is left, or a value that makes no sense.
        """
        made = cut_crystal(
            self.crystal,
            radius=self.radius,
            centre=self.centre,
            aspect=self.aspect,
            axis=self.axis,
            facets=self.facets or None,
            surface=self.surface,
            seed=self.seed,
        )
        return Structure(made.symbols, made.positions, self.structure_type or crystal_type(self.crystal.name), made.label)
