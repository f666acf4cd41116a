"""What a shape family is: a way to list shapes and to build one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.fingerprint import fingerprint_and_bond
from deepstruc_hpc.structures.sites import EmptyShapeError


class Listed(NamedTuple):
    """A shape that a family lists together with its sites, so that listing need not build it.

    Attributes:
        name: of the shape.
        parameters: of the builder.
        sites: (N, 3) nearest-neighbour distances, as the builder would place them but in any order and about any origin.
        structure_type: that the builder gives it.
    """

    name: str
    parameters: dict[str, Any]
    sites: NDArray[np.float64]
    structure_type: str


Candidates = Iterator[tuple[str, dict[str, Any]] | Listed]
"""(name, parameters) of shapes, or these with their sites; repeats allowed."""

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
        divided: all options → what differs in each of the parts that, listed one after the other, make the whole list; for listing in parallel.
    """

    name: str
    structure_type: str
    candidates: Callable[..., Candidates]
    builder: Callable[..., Structure]
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_metal: bool = True
    strained: bool = False
    description: str = ""
    divided: Callable[[Mapping[str, Any]], list[dict[str, Any]]] | None = None

    def enumerate(self, min_atoms: int, max_atoms: int, **options: Any) -> Iterator[Shape]:
        """All different shapes with min_atoms to max_atoms atoms.

        Shapes in which no two atoms are nearest neighbours are left out: seven atoms of bcc cut to the cube's axes are a piece of sc.

        Raises:
            RecipeError: an option that the family does not have, or an empty range of atoms.
        """
        chosen = self._chosen(options)
        if min_atoms > max_atoms or max_atoms < 1:
            raise RecipeError(f"family {self.name}: atoms from {min_atoms} to {max_atoms} is an empty range.")
        seen: set[str] = set()
        for candidate in self.candidates(max_atoms, **chosen):
            try:
                shape, bond = self._listed(candidate, min_atoms, max_atoms)
            except EmptyShapeError:
                continue
            if shape is None or shape.fingerprint in seen:
                continue
            if self.takes_metal and not self.strained and shape.n_atoms > 1 and abs(bond - 1.0) >= _BOND_TOLERANCE:
                continue
            seen.add(shape.fingerprint)
            yield shape

    def parts(self, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Options of the parts in which the list can be made, each by itself.

        Raises:
            RecipeError: an option that the family does not have.
        """
        chosen = self._chosen(options)
        return [{**options, **part} for part in ([{}] if self.divided is None else self.divided(chosen))]

    def _chosen(self, options: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            known = ", ".join(sorted(self.options)) or "none"
            raise RecipeError(f"family {self.name}: unknown option {unknown[0]!r}; it has: {known}.")
        return {**self.options, **options}

    def _listed(self, candidate: tuple[str, dict[str, Any]] | Listed, min_atoms: int, max_atoms: int) -> tuple[Shape | None, float]:
        """The candidate as a shape, or None where its number of atoms is not wanted, and its shortest distance."""
        if isinstance(candidate, Listed):
            name, parameters, positions, structure_type = candidate
            symbols: tuple[str, ...] = ()
        else:
            name, parameters = candidate
            structure = self.builder("Au", 1.0, **parameters)
            positions, symbols, structure_type = structure.positions, structure.symbols, structure.structure_type
        if not min_atoms <= len(positions) <= max_atoms:
            return None, 0.0
        mark, bond = fingerprint_and_bond(positions, symbols, scale_free=self.takes_metal)
        return Shape(self.name, structure_type, name, parameters, len(positions), mark), bond

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
