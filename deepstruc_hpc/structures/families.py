"""The registry of shape families: what a recipe can name, list and build.

A family lists shapes (parameters with a name and a number of atoms) and builds one of them as a Structure. Listing is deterministic, drops shapes
that are equal up to rotation, reflection and order, and keeps the first in the family's order of parameters.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.close_packed import PAPER_C_OVER_A, build_hcp_block
from deepstruc_hpc.structures.cubic import build_cubic
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.multiply_twinned import build_decahedron, build_icosahedron
from deepstruc_hpc.structures.octahedral import build_octahedron
from deepstruc_hpc.structures.sites import shortest_distance

_BOND_TOLERANCE = 1e-3
ENTRY_POINT_GROUP = "deepstruc_hpc.structures"


@dataclass(frozen=True)
class Shape:
    """One member of a family, without element and scale.

    Attributes:
        family: name of the family in the registry.
        structure_type: what the structure will call itself.
        name: unique within the family, e.g. ``fcc 100:2 110:3 111:2``.
        parameters: what :meth:`Family.build` needs; numbers and strings only, so that it can be stored as JSON.
        n_atoms: number of atoms.
    """

    family: str
    structure_type: str
    name: str
    parameters: Mapping[str, Any]
    n_atoms: int


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
        description: one line for people.
    """

    name: str
    structure_type: str
    candidates: Callable[..., Iterator[tuple[str, dict[str, Any]]]]
    builder: Callable[..., Structure]
    options: Mapping[str, Any] = field(default_factory=dict)
    takes_metal: bool = True
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
            structure = self.builder("Au", 1.0, **parameters)
            if not min_atoms <= structure.n_atoms <= max_atoms or (self.takes_metal and not _is_bonded(structure)):
                continue
            mark = fingerprint(structure)
            if mark not in seen:
                seen.add(mark)
                yield Shape(self.name, structure.structure_type, name, parameters, structure.n_atoms)

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


def _layers_up_to(max_layers: int) -> Iterator[tuple[int, int, int]]:
    return ((h, k, l) for h in range(1, max_layers + 1) for k in range(h, max_layers + 1) for l in range(k, max_layers + 1))  # noqa: E741


def _cubic(lattice: str) -> Callable[..., Iterator[tuple[str, dict[str, Any]]]]:
    def candidates(max_atoms: int, *, max_layers: int) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ARG001
        for h, k, l in _layers_up_to(max_layers):  # noqa: E741
            yield f"{lattice} 100:{h} 110:{k} 111:{l}", {"lattice": lattice, "h": h, "k": k, "l": l}

    return candidates


def _hcp_blocks(max_atoms: int, *, max_cells: int, c_over_a: float) -> Iterator[tuple[str, dict[str, Any]]]:
    for a, b, c in _layers_up_to(max_cells):
        if 2 * a * b * c <= max_atoms:
            yield f"hcp {a}x{b}x{c}", {"a": a, "b": b, "c": c, "c_over_a": c_over_a}


def _decahedra(max_atoms: int, *, max_p: int, max_q: int, max_r: int) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ARG001
    for p in range(1, max_p + 1):
        for q in range(1, max_q + 1):
            for r in range(max_r + 1):
                yield f"decahedral p{p} q{q} r{r}", {"p": p, "q": q, "r": r}


def _icosahedra(max_atoms: int) -> Iterator[tuple[str, dict[str, Any]]]:
    shells = 1
    while (10 * (shells - 1) ** 3 + 15 * (shells - 1) ** 2 + 11 * (shells - 1) + 3) // 3 <= max_atoms:
        yield f"icosahedral shells {shells}", {"shells": shells}
        shells += 1


def _octahedra(max_atoms: int, *, truncated: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    length = 2
    while length < 3 or _octahedron_atoms(length, (length - 1) // 2 if truncated else 0) <= max_atoms:
        for cutoff in range((length - 1) // 2 + 1 if truncated else 1):
            yield f"octahedral length {length}" + (f" cut {cutoff}" if cutoff else ""), {"length": length, "cutoff": cutoff}
        length += 1


def _octahedron_atoms(length: int, cutoff: int) -> int:
    return length * (2 * length**2 + 1) // 3 - cutoff * (cutoff + 1) * (2 * cutoff + 1)


_LAYERS = {"max_layers": 10}

_BUILT_IN = (
    Family(
        "octahedral",
        "octahedral",
        _octahedra,
        build_octahedron,
        {"truncated": False},
        description="fcc octahedra; truncated: true cuts the corners too",
    ),
    Family("icosahedral", "icosahedral", _icosahedra, build_icosahedron, description="Mackay icosahedra"),
    Family(
        "decahedral",
        "decahedral",
        _decahedra,
        build_decahedron,
        {"max_p": 5, "max_q": 5, "max_r": 5},
        description="decahedra (p, q, r), Marks and Ino",
    ),
    Family("sc", "sc", _cubic("sc"), build_cubic, _LAYERS, description="simple cubic with (100), (110), (111) facets"),
    Family("bcc", "bcc", _cubic("bcc"), build_cubic, _LAYERS, description="body-centred cubic with (100), (110), (111) facets"),
    Family("fcc", "fcc", _cubic("fcc"), build_cubic, _LAYERS, description="face-centred cubic with (100), (110), (111) facets"),
    Family("hcp", "hcp", _hcp_blocks, build_hcp_block, {"max_cells": 10, "c_over_a": PAPER_C_OVER_A}, description="blocks of hexagonal cells"),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _BUILT_IN}
"""Built-in families by name."""


def family_named(name: str) -> Family:
    """A built-in family, or one that an installed package offers under the entry point group ``deepstruc_hpc.structures``.

    Raises:
        RecipeError: no such family, or an entry point that is not a Family.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    offered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in offered:
        loaded = offered[name].load()
        if not isinstance(loaded, Family):
            raise StructureError(f"entry point {name!r} of {ENTRY_POINT_GROUP}: {type(loaded).__name__} found, a Family is needed.")
        return loaded
    known = [*FAMILIES, *offered]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise RecipeError(f"family {name!r}: there is none of that name.{hint} Known: {', '.join(sorted(known))}.")
