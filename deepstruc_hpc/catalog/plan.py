"""From a recipe to the list of its structures, in blocks: the same list every time, on every machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.listing import evenly, list_shapes
from deepstruc_hpc.catalog.recipe import FamilyChoice, Recipe
from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.structures.families import Shape, family_named
from deepstruc_hpc.structures.fingerprint import fingerprint

SMALLEST_BLOCK, LARGEST_BLOCK, BLOCKS_A_CATALOG = 64, 4096, 16


@dataclass(frozen=True)
class PlannedShape:
    """A shape and the elements it comes in; none where the shape brings its own."""

    shape: Shape
    fingerprint: str
    elements: tuple[str, ...]

    @property
    def count(self) -> int:
        """Structures that it makes."""
        return max(1, len(self.elements))


@dataclass(frozen=True)
class PlannedStructure:
    """One structure to build.

    Attributes:
        id: 16 hexadecimal digits from family, parameters, element and nearest-neighbour distance.
        shape: what.
        fingerprint: of the shape, free of scale.
        symbol: of which element; empty where the shape brings its own.
        nn_distance: Å; 0 where the shape brings its own.
    """

    id: str
    shape: Shape
    fingerprint: str
    symbol: str
    nn_distance: float


@dataclass(frozen=True)
class PlannedBlock:
    """A block to build: its id holds its place and a hash of its structures' ids."""

    id: str
    structures: tuple[PlannedStructure, ...]


class Plan:
    """All structures of a recipe by number, without holding them all.

    Args:
        recipe: what was asked for.
        shapes: without duplicates, in the recipe's order.
        dropped: structures left out because an earlier one is the same.
        part: 0 for the first recipe of a store, 1, 2, … for those appended to it.
        excluded: see :func:`identities`, of structures that the store holds already.
    """

    def __init__(
        self, recipe: Recipe, shapes: Sequence[PlannedShape], dropped: int = 0, part: int = 0, excluded: frozenset[str] = frozenset()
    ) -> None:
        self.recipe, self.shapes, self.dropped, self.part = recipe, tuple(shapes), dropped, part
        self._starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum([shape.count for shape in shapes])]).astype(np.int64)
        self._first = self._last = 0
        self._distances: dict[str, float] = {}
        chosen = _spread(recipe.limit, [shape.shape.structure_type for shape in shapes], self._starts)
        if excluded:
            numbers = np.arange(int(self._starts[-1])) if chosen is None else chosen
            chosen = np.array([number for number in numbers if excluded.isdisjoint(identities(self._structure(int(number))))], dtype=np.int64)
        self._chosen = chosen

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._chosen is None else len(self._chosen)

    def structure(self, number: int) -> PlannedStructure:
        """The structure with a number from 0 to len − 1."""
        return self._structure(number if self._chosen is None else int(self._chosen[number]))

    @property
    def block_size(self) -> int:
        """Structures a block, the last one excepted."""
        if self.recipe.block_size is not None:
            return self.recipe.block_size
        return min(LARGEST_BLOCK, max(SMALLEST_BLOCK, -(-len(self) // BLOCKS_A_CATALOG)))

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-len(self) // self.block_size) if len(self) else 0

    @cached_property
    def block_ids(self) -> tuple[str, ...]:
        """Ids of all blocks, in order."""
        return tuple(self._block_id(number) for number in range(self.n_blocks))

    def block(self, number: int) -> PlannedBlock:
        """A block with its structures."""
        return PlannedBlock(self.block_ids[number], tuple(self.structure(index) for index in self._members(number)))

    def pending(self, finished: Mapping[str, Any]) -> Iterator[PlannedBlock]:
        """The blocks that are not finished, made one at a time."""
        for number, block_id in enumerate(self.block_ids):
            if block_id not in finished:
                yield self.block(number)

    def counts(self) -> Counter[str]:
        """Structures by structure type."""
        counts: Counter[str] = Counter()
        for planned, count in self._counts_of_shapes():
            counts[planned.shape.structure_type] += count
        return counts

    def counts_by_family(self) -> Counter[tuple[str, str]]:
        """Structures by family and structure type."""
        counts: Counter[tuple[str, str]] = Counter()
        for planned, count in self._counts_of_shapes():
            counts[planned.shape.family, planned.shape.structure_type] += count
        return counts

    def n_atoms(self) -> int:
        """Atoms of all structures."""
        return sum(planned.shape.n_atoms * count for planned, count in self._counts_of_shapes())

    def _counts_of_shapes(self) -> Iterator[tuple[PlannedShape, int]]:
        if self._chosen is None:
            yield from ((planned, planned.count) for planned in self.shapes)
            return
        owners, counts = np.unique(np.searchsorted(self._starts, self._chosen, side="right") - 1, return_counts=True)
        yield from ((self.shapes[int(owner)], int(count)) for owner, count in zip(owners, counts, strict=True))

    def _structure(self, number: int) -> PlannedStructure:
        if not self._first <= number < self._last:  # numbers come in order mostly, and those of one shape stand together
            owner = int(np.searchsorted(self._starts, number, side="right")) - 1
            self._first, self._last = int(self._starts[owner]), int(self._starts[owner + 1])
            self._planned = self.shapes[owner]
            self._words = _shape_words(self._planned.shape)
        planned = self._planned
        symbol = planned.elements[number - self._first] if planned.elements else ""
        return PlannedStructure(
            _digest(self._words, symbol, self._distance(symbol)), planned.shape, planned.fingerprint, symbol, self._distance(symbol)
        )

    def _distance(self, symbol: str) -> float:
        if symbol not in self._distances:
            self._distances[symbol] = self.recipe.distance_of(symbol) if symbol else 0.0
        return self._distances[symbol]

    def _members(self, number: int) -> range:
        return range(number * self.block_size, min(len(self), (number + 1) * self.block_size))

    def _block_id(self, number: int) -> str:
        digest = blake2b(digest_size=6)
        for index in self._members(number):
            digest.update(self.structure(index).id.encode())
        return f"{self.part:02d}-{number:06d}-{digest.hexdigest()}"


def identities(planned: PlannedStructure) -> tuple[str, str]:
    """Two names, each of which tells that two structures are the same: the id, and what it is made of."""
    return planned.id, identity(planned.fingerprint, planned.symbol, planned.nn_distance)


def identity(fingerprint_of_shape: str, symbol: str, nn_distance: float) -> str:
    """Shape, element and nearest-neighbour distance; the fingerprint alone where the shape brings its own elements (it then knows them)."""
    return f"{fingerprint_of_shape} {symbol} {nn_distance:.4f}" if symbol else fingerprint_of_shape


def structure_id(shape: Shape, symbol: str, nn_distance: float) -> str:
    """The name of a structure, equal in every catalog that holds it."""
    return _digest(_shape_words(shape), symbol, nn_distance)


def _shape_words(shape: Shape) -> str:
    """What a structure's name says of its shape: the open end of a JSON list."""
    return json.dumps([shape.family, shape.name, dict(shape.parameters)], sort_keys=True, default=str)[:-1]


def _digest(words: str, symbol: str, nn_distance: float) -> str:
    return blake2b(f'{words}, "{symbol}", {round(nn_distance, 6)}]'.encode(), digest_size=8).hexdigest()


def make_plan(
    recipe: Recipe,
    *,
    part: int = 0,
    excluded: frozenset[str] = frozenset(),
    workers: int | None = 0,
    session: ExitStack | None = None,
    progress: bool = False,
) -> Plan:
    """List the shapes of all families and leave out those that equal an earlier one up to rotation, reflection, order and scale.

    Args:
        recipe: what was asked for.
        part: see :class:`Plan`.
        excluded: see :class:`Plan`.
        workers: actors for a long listing; None for one a core, 0 for this process alone.
        session: keeps a Ray session that the listing starts open for the caller.
        progress: show a bar on stderr where the listing takes a while.

    Raises:
        RecipeError: nothing is left.
    """
    shapes: list[PlannedShape] = []
    seen: set[tuple[str, str]] = set()
    dropped = 0
    for choice, listed in zip(recipe.families, list_shapes(recipe, workers=workers, session=session, progress=progress), strict=True):
        for shape in listed:
            planned = _planned(recipe, choice, shape)
            if planned.fingerprint in recipe.leave_out:
                continue
            if recipe.duplicates != "keep":
                fresh = _fresh(recipe, planned, seen)
                dropped += planned.count - len(fresh)
                if not fresh:
                    continue
                planned = PlannedShape(shape, planned.fingerprint, fresh if planned.elements else ())
            shapes.append(planned)
    if not shapes:
        raise RecipeError(
            f"recipe {recipe.name}: no structures: no family has a shape of {recipe.min_atoms} to {recipe.max_atoms} atoms. "
            "Widen min_atoms and max_atoms."
        )
    return Plan(recipe, shapes, dropped, part, excluded)


def _fresh(recipe: Recipe, planned: PlannedShape, seen: set[tuple[str, str]]) -> tuple[str, ...]:
    """The elements in which a shape is no repetition of what was seen; the empty word for a shape with its own elements."""
    fresh = []
    for symbol in planned.elements or ("",):
        kind = f"{recipe.distance_of(symbol):.6f}" if recipe.duplicates == "geometry" and symbol else symbol
        if (planned.fingerprint, kind) not in seen:
            seen.add((planned.fingerprint, kind))
            fresh.append(symbol)
    return tuple(fresh)


def _planned(recipe: Recipe, choice: FamilyChoice, shape: Shape) -> PlannedShape:
    family = family_named(shape.family)
    elements = recipe.elements_of(choice) if family.takes_metal else ()
    mark = shape.fingerprint or fingerprint(family.build(shape, "Au", 1.0), scale_free=family.takes_metal)
    return PlannedShape(shape, mark, tuple(dict.fromkeys(elements)))


def _spread(limit: int | None, types: Sequence[str], starts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Numbers of at most ``limit`` structures: the types get equal shares (small ones all they have), each taken evenly from its list."""
    total = int(starts[-1])
    if limit is None or limit >= total:
        return None
    members: dict[str, list[NDArray[np.int64]]] = {}
    for index, name in enumerate(types):
        members.setdefault(name, []).append(np.arange(starts[index], starts[index + 1]))
    pools = {name: np.concatenate(parts) for name, parts in members.items()}
    chosen: list[NDArray[np.int64]] = []
    left = limit
    for position, name in enumerate(sorted(pools, key=lambda key: (len(pools[key]), key))):
        share = min(len(pools[name]), left // (len(pools) - position))
        chosen.append(pools[name][evenly(len(pools[name]), share)])
        left -= share
    return np.sort(np.concatenate(chosen))
