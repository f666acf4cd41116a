"""Which of the listed shapes a recipe keeps, in which elements: repetitions, limits and exceptions, on columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.catalog.shapes import ListedPart, PlannedShapes
from deepstruc_hpc.structures.families import family_named

_BITS = 64


def evenly(available: int, wanted: int) -> NDArray[np.int64]:
    """``wanted`` numbers below ``available``, evenly apart."""
    return (2 * np.arange(wanted, dtype=np.int64) + 1) * available // (2 * max(wanted, 1))


def select(recipe: Recipe, parts: Sequence[ListedPart], lines: Sequence[int]) -> tuple[PlannedShapes, int]:
    """The shapes of a recipe, and how many structures are left out because an earlier one is the same.

    Of shapes with one fingerprint in one line of the recipe the first counts; then the line's limit takes evenly from them. What ``leave_out`` names
    goes. Of what is left a shape in an element counts where it comes first, in the order of the recipe; by ``duplicates: geometry`` all elements of
    one nearest-neighbour distance count as one.

    Args:
        recipe: what was asked for.
        parts: of the list, in the recipe's order.
        lines: the line of the recipe that each part belongs to.
    """
    marks = np.concatenate([part.marks for part in parts]) if parts else np.zeros((0, 16), dtype=np.uint8)
    part_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    row_of = np.concatenate([np.arange(len(part), dtype=np.int32) for part in parts]) if parts else np.zeros(0, dtype=np.int32)
    line_of = np.asarray(lines, dtype=np.int32)[part_of] if len(parts) else part_of
    shape_of, n_shapes = different(marks)
    excluded = np.isin(np.ascontiguousarray(marks).view("V16").ravel(), _as_marks(recipe.leave_out)) if recipe.leave_out else None
    kinds = _Kinds(recipe)
    seen = np.zeros((n_shapes, kinds.words), dtype=np.uint64)
    sets: dict[tuple[str, ...], int] = {}
    kept: list[NDArray[np.int64]] = []
    set_of: list[NDArray[np.int16]] = []
    dropped = 0
    for line in range(len(recipe.families)):
        chosen = _of_line(recipe, line, line_of, shape_of, n_shapes)
        chosen = chosen if excluded is None else chosen[~excluded[chosen]]
        elements = kinds.elements(line)
        if recipe.duplicates == "keep":
            fresh = np.full(len(chosen), sets.setdefault(elements, len(sets)), dtype=np.int16)
        else:
            fresh, left_out = _fresh(kinds, line, seen, shape_of[chosen], sets)
            dropped += left_out
        kept.append(chosen[fresh >= 0])
        set_of.append(fresh[fresh >= 0])
    places = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    of_sets = np.concatenate(set_of) if set_of else np.zeros(0, dtype=np.int16)
    return PlannedShapes(parts, part_of[places], row_of[places], of_sets, list(sets)), dropped


def different(marks: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """A number from 0 for each shape, equal where the fingerprints are, and how many numbers there are.

    Sorting integers of eight bytes takes about a third of the time that sorting marks of sixteen does, so the first halves are sorted and the second
    ones only compared. Halves of different fingerprints agree in one of 400,000 lists of 10⁷ shapes, n²/2 over 2⁶⁴; then the whole marks are sorted.

    Args:
        marks: (S, 16) fingerprints.
    """
    halves = np.ascontiguousarray(marks).view(np.uint64).reshape(-1, 2)
    firsts, numbers = np.unique(halves[:, 0], return_inverse=True)
    seconds = np.empty(len(firsts), dtype=np.uint64)
    seconds[numbers] = halves[:, 1]
    if (seconds[numbers] == halves[:, 1]).all():
        return numbers, len(firsts)
    whole, numbers = np.unique(np.ascontiguousarray(marks).view("V16").ravel(), return_inverse=True)
    return numbers, len(whole)


def _of_line(recipe: Recipe, line: int, line_of: NDArray[np.int32], shape_of: NDArray[np.int64], n_shapes: int) -> NDArray[np.int64]:
    """Places of the different shapes of a line, cut to its limit."""
    mine = np.flatnonzero(line_of == line)
    first = np.empty(n_shapes, dtype=np.int64)
    first[shape_of[mine[::-1]]] = mine[::-1]  # of several places the last one written stays
    chosen: NDArray[np.int64] = mine[first[shape_of[mine]] == mine]
    limit = recipe.families[line].limit
    if limit is not None and len(chosen) > limit:
        chosen = chosen[evenly(len(chosen), limit)]
    return chosen


class _Kinds:
    """Elements, or by ``duplicates: geometry`` their distances, as bits of a few words."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._bits: dict[str, int] = {}
        self._of_line: list[list[tuple[str, int]]] = []
        for choice in recipe.families:
            symbols = recipe.elements_of(choice) if family_named(choice.family).takes_metal else ()
            self._of_line.append([(symbol, self._bits.setdefault(self._kind(symbol), len(self._bits))) for symbol in dict.fromkeys(symbols) or ("",)])
        self.words = max(1, -(-len(self._bits) // _BITS))

    def _kind(self, symbol: str) -> str:
        return f"{self._recipe.distance_of(symbol):.6f}" if self._recipe.duplicates == "geometry" and symbol else symbol

    def elements(self, line: int) -> tuple[str, ...]:
        """Elements of a line; none where its shapes bring their own."""
        return tuple(symbol for symbol, _ in self._of_line[line] if symbol)

    def of(self, line: int) -> list[tuple[str, int]]:
        """Elements of a line with their bits."""
        return self._of_line[line]

    def chosen(self, line: int, pattern: NDArray[np.uint64]) -> list[str]:
        """Elements of a line whose bits stand in a pattern (words,); of elements with one bit the first."""
        bits = {bit for word, value in enumerate(pattern.tolist()) for bit in range(word * _BITS, (word + 1) * _BITS) if value >> (bit % _BITS) & 1}
        found = []
        for symbol, bit in self._of_line[line]:
            if bit in bits:
                bits.remove(bit)
                found.append(symbol)
        return found

    def mask(self, line: int) -> NDArray[np.uint64]:
        """(words,) all bits of a line."""
        words = [0] * self.words
        for _, bit in self._of_line[line]:
            words[bit // _BITS] |= 1 << (bit % _BITS)
        return np.array(words, dtype=np.uint64)


def _fresh(
    kinds: _Kinds, line: int, seen: NDArray[np.uint64], shapes: NDArray[np.int64], sets: dict[tuple[str, ...], int]
) -> tuple[NDArray[np.int16], int]:
    """The set of elements in which each shape is no repetition, −1 for none, and how many structures are; ``seen`` is brought up to date."""
    wanted, before = kinds.mask(line), seen[shapes]
    seen[shapes] = before | wanted
    codes = np.full(len(shapes), _code_of(kinds, line, wanted, sets), dtype=np.int16)
    repeated = np.flatnonzero((before & wanted).any(axis=1))
    dropped = (len(shapes) - len(repeated)) * (len(kinds.of(line)) - len(kinds.chosen(line, wanted)))
    if not len(repeated):
        return codes, dropped
    patterns, pattern_of, counts = np.unique(wanted & ~before[repeated], axis=0, return_inverse=True, return_counts=True)
    codes[repeated] = np.array([_code_of(kinds, line, pattern, sets) for pattern in patterns], dtype=np.int16)[pattern_of.ravel()]
    left = [len(kinds.of(line)) - len(kinds.chosen(line, pattern)) for pattern in patterns]
    return codes, dropped + int(np.dot(left, counts))


def _code_of(kinds: _Kinds, line: int, pattern: NDArray[np.uint64], sets: dict[tuple[str, ...], int]) -> int:
    """Number of the set of a line's elements that stand in a pattern, −1 for none."""
    chosen = kinds.chosen(line, pattern)
    return sets.setdefault(tuple(symbol for symbol in chosen if symbol), len(sets)) if chosen else -1


def _as_marks(fingerprints: Sequence[str]) -> NDArray[np.void]:
    whole = [mark for mark in fingerprints if len(mark) == 32]
    return np.frombuffer(bytes.fromhex("".join(whole)), dtype="V16")


def spread(limit: int | None, shapes: PlannedShapes, starts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Numbers of at most ``limit`` structures: the types get equal shares (small ones all they have), each taken evenly from its list.

    Args:
        limit: None for all.
        shapes: of the plan.
        starts: (K + 1,) number of each shape's first structure.

    Returns:
        Sorted numbers, or None where all are taken.
    """
    total = int(starts[-1])
    if limit is None or limit >= total:
        return None
    sizes = {name: int(shapes.counts[shapes.types == code].sum()) for code, name in enumerate(shapes.type_names)}
    chosen: list[NDArray[np.int64]] = []
    left = limit
    present = sorted((name for name, size in sizes.items() if size), key=lambda name: (sizes[name], name))
    for position, name in enumerate(present):
        share = min(sizes[name], left // (len(present) - position))
        chosen.append(_numbers(evenly(sizes[name], share), np.flatnonzero(shapes.types == shapes.type_names.index(name)), shapes.counts, starts))
        left -= share
    return np.sort(np.concatenate(chosen))


def _numbers(places: NDArray[np.int64], members: NDArray[np.int64], counts: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the structures at some places of the list of all structures of some shapes."""
    ends = np.cumsum(counts[members])
    owner = np.searchsorted(ends, places, side="right")
    return starts[members[owner]] + places - (ends[owner] - counts[members[owner]])
