"""From a recipe to the list of its structures, in blocks: the same list every time, on every machine.

Who plans holds a few columns of each shape and no structure. Blocks that follow each other are handed out as a :class:`Ticket`: which shapes, and
which of their structures. Whoever makes the blocks works out the structures, their ids and the ids of the blocks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.listing import list_parts
from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.catalog.selection import select, spread
from deepstruc_hpc.catalog.shapes import PlannedShapes, ShapeFiles, ShapeReader, shape_words
from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.structures.families import Shape

SMALLEST_BLOCK, LARGEST_BLOCK, BLOCKS_A_CATALOG = 64, 4096, 16

SHAPES_TO_SEND = 2000
"""Shapes, about half a kilobyte each, that are sent to each worker as they are; more are put into files."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, eq=False, slots=True)
class Ticket:
    """Blocks that follow each other, as they are handed out. Their shapes are given as runs: the same part and set, one row after the other.

    Attributes:
        number: of the first block.
        part: (K,) which part of the list each run of shapes is from.
        row: (K,) the place of its first shape there.
        sets: (K,) in which set of elements its shapes come.
        length: (K,) shapes of the run.
        first: place of the first structure among those of the shapes.
        count: structures of all blocks.
        block_size: structures a block, but for the last one.
        chosen: (count,) places of the structures among those of the shapes, where they do not follow one another.
    """

    number: int
    part: NDArray[np.int32]
    row: NDArray[np.int32]
    sets: NDArray[np.int16]
    length: NDArray[np.int32]
    first: int
    count: int
    block_size: int
    chosen: NDArray[np.int64] | None = None

    @property
    def numbers(self) -> range:
        """Of its blocks."""
        return range(self.number, self.number - (-self.count // self.block_size))


class TicketReader:
    """Makes planned blocks of tickets, wherever the shapes are.

    Args:
        shapes: where they are.
        element_sets: see :class:`deepstruc_hpc.catalog.shapes.PlannedShapes`.
        distances: nearest-neighbour distance of each element, Å.
        recipe_number: 0 for the first recipe of a store, 1, 2, … for those appended to it.
    """

    def __init__(self, shapes: ShapeReader, element_sets: tuple[tuple[str, ...], ...], distances: Mapping[str, float], recipe_number: int) -> None:
        self._shapes, self._sets, self._recipe_number = shapes, element_sets, recipe_number
        self._distances = {**distances, "": 0.0}
        self._ends = {symbol: f', "{symbol}", {round(distance, 6)}]'.encode() for symbol, distance in self._distances.items()}

    def blocks(self, ticket: Ticket) -> Iterator[PlannedBlock]:
        """The blocks of a ticket with their structures, made one at a time."""
        all_structures = self._structures(ticket)
        for number in ticket.numbers:
            structures = tuple(islice(all_structures, ticket.block_size))
            digest = blake2b("".join(planned.id for planned in structures).encode(), digest_size=6)
            yield PlannedBlock(f"{self._recipe_number:02d}-{number:06d}-{digest.hexdigest()}", structures)

    def _structures(self, ticket: Ticket) -> Iterator[PlannedStructure]:
        places = iter(range(ticket.first, ticket.first + ticket.count) if ticket.chosen is None else ticket.chosen.tolist())
        place = next(places, None)
        start = 0
        for part, row, number in _shapes(ticket):
            symbols = self._sets[number] or ("",)
            if place is not None and place < start + len(symbols):
                shape = self._shapes.shape(part, row)
                words = blake2b(shape_words(shape).encode(), digest_size=8)
                while place is not None and place < start + len(symbols):
                    symbol = symbols[place - start]
                    named = words.copy()
                    named.update(self._ends[symbol])
                    yield PlannedStructure(named.hexdigest(), shape, shape.fingerprint, symbol, self._distances[symbol])
                    place = next(places, None)
            start += len(symbols)


def _shapes(ticket: Ticket) -> Iterator[tuple[int, int, int]]:
    """Part, row and set of each shape of a ticket."""
    runs = zip(ticket.part.tolist(), ticket.row.tolist(), ticket.sets.tolist(), ticket.length.tolist(), strict=True)
    return ((part, row, number) for part, first, number, length in runs for row in range(first, first + length))


class Plan:
    """All structures of a recipe by number, without holding them.

    Args:
        recipe: what was asked for.
        shapes: without duplicates, in the recipe's order.
        dropped: structures left out because an earlier one is the same.
        part: 0 for the first recipe of a store, 1, 2, … for those appended to it.
    """

    def __init__(self, recipe: Recipe, shapes: PlannedShapes, dropped: int = 0, part: int = 0) -> None:
        self.recipe, self.shapes, self.dropped, self.part = recipe, shapes, dropped, part
        self._starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(shapes.counts)]).astype(np.int64)
        self._distances = {symbol: recipe.distance_of(symbol) for elements in shapes.element_sets for symbol in elements}
        self._chosen = spread(recipe.limit, shapes, self._starts)

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._chosen is None else len(self._chosen)

    def reader(self, shelf: ShapeFiles | None = None) -> TicketReader:
        """What makes blocks of this plan's tickets.

        Args:
            shelf: for workers: where to put shapes that are in this process's memory. A few go with the reader.
        """
        shapes = self.shapes if shelf is None or self.shapes.n_in_memory <= SHAPES_TO_SEND else self.shapes.in_files(shelf)
        return TicketReader(shapes.reader, shapes.element_sets, self._distances, self.part)

    def structure(self, number: int) -> PlannedStructure:
        """The structure with a number from 0 to len − 1."""
        return next(self._own_reader.blocks(self._ticket_of(0, number, number + 1, 1))).structures[0]

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
        """Ids of all blocks, in order; each needs the ids of its structures."""
        return tuple(self.block_id(number) for number in range(self.n_blocks))

    def block_id(self, number: int) -> str:
        """Id of one block."""
        return self.block(number).id

    def size_of(self, number: int) -> int:
        """Structures of a block."""
        return min(self.block_size, len(self) - number * self.block_size)

    def block(self, number: int) -> PlannedBlock:
        """A block with its structures."""
        return next(self._own_reader.blocks(self.ticket(number)))

    def ticket(self, number: int, n_blocks: int = 1) -> Ticket:
        """Some blocks as they are handed out.

        Args:
            number: of the first.
            n_blocks: that follow each other from there.
        """
        size = self.block_size
        return self._ticket_of(number, number * size, min((number + n_blocks) * size, len(self)), size)

    def missing(self, finished: Iterable[str] = ()) -> list[range]:
        """Numbers of the blocks that are not finished, in runs that follow each other.

        Args:
            finished: ids of blocks.
        """
        done = np.array(sorted(number for number in self.numbers_of(finished) if number < self.n_blocks), dtype=np.int64)
        starts, ends = np.concatenate([[0], done + 1]), np.concatenate([done, [self.n_blocks]])
        return [range(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True) if start < end]

    def ranges(self, size: int) -> Iterator[Ticket]:
        """All structures as tickets of so many, numbered from 0, each with one block of all of its structures."""
        for number, first in enumerate(range(0, len(self), size)):
            yield self._ticket_of(number, first, min(first + size, len(self)), size)

    def keeping(self, kept: NDArray[np.bool_]) -> Plan:
        """The plan with some of its structures left out.

        Args:
            kept: (len,) which ones stay.
        """
        found = Plan(self.recipe, self.shapes, self.dropped, self.part)
        found._chosen = np.flatnonzero(kept) if self._chosen is None else self._chosen[kept]
        return found

    def numbers_of(self, block_ids: Iterable[str]) -> dict[int, str]:
        """Numbers of those blocks that are this plan's by their place in the store, with their ids."""
        places = ((block_id.split("-"), block_id) for block_id in block_ids)
        return {int(words[1]): block_id for words, block_id in places if int(words[0]) == self.part}

    def pending(self, finished: Collection[str]) -> Iterator[PlannedBlock]:
        """The blocks that are not finished, made one at a time, with their structures."""
        return (self.block(number) for run in self.missing(finished) for number in run)

    def digest(self) -> str:
        """Hash of everything that decides which structures stand in which block."""
        chosen = "" if self._chosen is None else blake2b(self._chosen.tobytes(), digest_size=16).hexdigest()
        return self.shapes.digest(self._distances, self.block_size, len(self), chosen)

    def counts(self) -> Counter[str]:
        """Structures by structure type."""
        counts = self._counts_of_shapes()
        totals = {name: int(counts[self.shapes.types == code].sum()) for code, name in enumerate(self.shapes.type_names)}
        return Counter({name: total for name, total in totals.items() if total})

    def counts_by_family(self) -> Counter[tuple[str, str]]:
        """Structures by family and structure type."""
        counts, totals = self._counts_of_shapes(), Counter[tuple[str, str]]()
        for number, part in enumerate(self.shapes.parts):
            for code, name in enumerate(self.shapes.type_names):
                totals[part.family, name] += int(counts[(self.shapes.part == number) & (self.shapes.types == code)].sum())
        return +totals

    def n_atoms(self) -> int:
        """Atoms of all structures."""
        return int((self.shapes.n_atoms.astype(np.int64) * self._counts_of_shapes()).sum())

    def _counts_of_shapes(self) -> NDArray[np.int64]:
        if self._chosen is None:
            return self.shapes.counts
        owners = np.searchsorted(self._starts, self._chosen, side="right") - 1
        return np.bincount(owners, minlength=len(self.shapes)).astype(np.int64)

    @cached_property
    def _own_reader(self) -> TicketReader:
        return self.reader()

    def _ticket_of(self, number: int, first: int, last: int, block_size: int) -> Ticket:
        if self._chosen is not None:
            return self._ticket(number, self._chosen[first:last], block_size)
        left, right = (int(place) for place in np.searchsorted(self._starts, (first, last - 1), side="right"))
        runs = self._runs(np.arange(left - 1, right))
        return Ticket(number, *runs, first - int(self._starts[left - 1]), last - first, block_size)

    def _ticket(self, number: int, chosen: NDArray[np.int64], block_size: int) -> Ticket:
        """A ticket for some structures, by their numbers without limit, in order."""
        owners = np.searchsorted(self._starts, chosen, side="right") - 1
        mine, position = np.unique(owners, return_inverse=True)
        starts = np.concatenate([[0], np.cumsum(self.shapes.counts[mine])])
        places = chosen - self._starts[owners] + starts[position]
        return Ticket(number, *self._runs(mine), 0, len(chosen), block_size, places)

    def _runs(self, mine: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int16], NDArray[np.int32]]:
        """Some shapes as runs: part, first row, set and length of each."""
        part, row, sets = self.shapes.part[mine], self.shapes.row[mine], self.shapes.sets[mine]
        breaks = (np.diff(part) != 0) | (np.diff(sets) != 0) | (np.diff(row) != 1)
        starts = np.concatenate([[0], np.flatnonzero(breaks) + 1]) if len(mine) else np.empty(0, dtype=np.int64)
        return part[starts], row[starts], sets[starts], np.diff(np.concatenate([starts, [len(mine)]])).astype(np.int32)


def identities(planned: PlannedStructure) -> tuple[str, str]:
    """Two names, each of which tells that two structures are the same: the id, and what it is made of."""
    return planned.id, identity(planned.fingerprint, planned.symbol, planned.nn_distance)


def identity(fingerprint_of_shape: str, symbol: str, nn_distance: float) -> str:
    """Shape, element and nearest-neighbour distance; the fingerprint alone where the shape brings its own elements (it then knows them)."""
    return f"{fingerprint_of_shape} {symbol} {nn_distance:.4f}" if symbol else fingerprint_of_shape


def structure_id(shape: Shape, symbol: str, nn_distance: float) -> str:
    """The name of a structure, equal in every catalog that holds it."""
    words: list[Any] = [shape.family, shape.name, dict(shape.parameters), symbol, round(nn_distance, 6)]
    return blake2b(json.dumps(words, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def make_plan(
    recipe: Recipe,
    *,
    part: int = 0,
    workers: int | None = 0,
    session: ExitStack | None = None,
    progress: bool = False,
    shelf: ShapeFiles | None = None,
) -> Plan:
    """List the shapes of all families and leave out those that equal an earlier one up to rotation, reflection, order and scale.

    Args:
        recipe: what was asked for.
        part: see :class:`Plan`.
        workers: actors for a long listing; None for one a core, 0 for this process alone.
        session: keeps a Ray session that the listing starts open for the caller.
        progress: show a bar on stderr where the listing takes a while.
        shelf: where actors put what they list; without one it comes to this process.

    Raises:
        RecipeError: nothing is left.
    """
    parts, lines = list_parts(recipe, workers=workers, session=session, progress=progress, shelf=shelf)
    shapes, dropped = select(recipe, parts, lines)
    if shelf is not None:
        shapes.read_from(shelf.files)
    if not len(shapes):
        raise RecipeError(
            f"recipe {recipe.name}: no structures: no family has a shape of {recipe.min_atoms} to {recipe.max_atoms} atoms. "
            "Widen min_atoms and max_atoms."
        )
    return Plan(recipe, shapes, dropped, part)
