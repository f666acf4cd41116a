"""What a shape family is: a way to list shapes and to build one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.sites import EmptyShapeError, shortest_distance

Candidates = Iterator[tuple[str, dict[str, Any]]]
"""(name, parameters) of shapes, repeats allowed."""

_BOND_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Shape:
    """One member of a family, without element and scale.

    Attributes:
        family: name of the family in the registry.
        structure_type: what the structure will call itself.
        name: unique within the family, e.g. ``fcc 100:2 110:3 111:2``.
        parameters: what :meth:`Family.build` needs; numbers and strings only, so that it can be stored as JSON.
        n_atoms: number of atoms.
        fingerprint: of the structure; free of scale and element where the family takes a metal.
    """

    family: str
    structure_type: str
    name: str
    parameters: Mapping[str, Any]
    n_atoms: int
    fingerprint: str = ""


@dataclass(frozen=True)
class Family:
    """A way to list and build shapes.

    Attributes:
        name: in the registry and in recipes.
        structure_type: of what it builds.
        candidates: ``candidates(max_atoms, **options)`` yields (name, parameters), smallest parameters first, repeats allowed.
        builder: ``builder(symbol, nn_distance, **parameters)`` returns a Structure.
        options: what ``enumerate`` takes beside the numbers of atoms, with the defaults.
        takes_metal: False where the shape brings its own elements and scale (oxides, alloys, CIF files): then ``build`` ignores ``symbol`` and
            ``nn_distance``, and a recipe lists no elements.
        strained: True where bonds may differ from the distance asked for (disorder, relaxation), so that it is not checked.
        description: one line for people.
    """

    name: str
    structure_type: str
    candidates: Callable[..., Candidates]
    builder: Callable[..., Structure]
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_metal: bool = True
    strained: bool = False
    description: str = ""

    def enumerate(self, min_atoms: int, max_atoms: int, **options: Any) -> Iterator[Shape]:
        """All different shapes with min_atoms to max_atoms atoms.

        Shapes in which no two atoms are nearest neighbours are left out: seven atoms of bcc cut to the cube's axes are a piece of sc.

        Raises:
            RecipeError: an option that the family does not have, or an empty range of atoms.
        """
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            known = ", ".join(sorted(self.options)) or "none"
            raise RecipeError(f"family {self.name}: unknown option {unknown[0]!r}; it has: {known}.")
        if min_atoms > max_atoms or max_atoms < 1:
            raise RecipeError(f"family {self.name}: atoms from {min_atoms} to {max_atoms} is an empty range.")
        seen: set[str] = set()
        for name, parameters in self.candidates(max_atoms, **{**self.options, **options}):
            try:
                structure = self.builder("Au", 1.0, **parameters)
            except EmptyShapeError:
                continue
            if not min_atoms <= structure.n_atoms <= max_atoms:
                continue
            mark = fingerprint(structure, scale_free=self.takes_metal)
            if mark in seen or (self.takes_metal and not self.strained and not _is_bonded(structure)):
                continue
            seen.add(mark)
            yield Shape(self.name, structure.structure_type, name, parameters, structure.n_atoms, mark)

    def build(self, shape: Shape, symbol: str, nn_distance: float) -> Structure:
        """The structure of a shape; its label is ``symbol`` and the shape's name.

        Args:
            shape: one that this family listed.
            symbol: element (not used where ``takes_metal`` is False).
            nn_distance: Å (not used where ``takes_metal`` is False).
        """
        built = self.builder(symbol, nn_distance, **shape.parameters)
        label = f"{symbol} {shape.name}" if self.takes_metal else shape.name
        return Structure(built.symbols, built.positions, shape.structure_type, label)


def _is_bonded(structure: Structure) -> bool:
    """Whether the shortest distance is the nearest-neighbour distance of 1 that the structure was built with (to 1e-3)."""
    return structure.n_atoms < 2 or abs(shortest_distance(structure.positions) - 1.0) < _BOND_TOLERANCE
