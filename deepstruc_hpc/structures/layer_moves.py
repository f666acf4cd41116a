"""Changes of a close-packed particle by whole layers: another order of layers, a layer more or less, other outlines of layers.

Where a layer comes to stand on other columns its sites are others, too. Its outline is carried over in the ways of :func:`carried`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.structures.layer_stack import LayerStack, Mask, nearest_columns, shares, shifted, translated, turned

SHARES = (0.3, 0.6, 0.9)
"""Sites that a three-fold axis makes equal are filled together where more than this part of them is: one, two or all of three."""
_ROWS = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))
"""Steps to the six neighbours in a layer, each 60° or 120° from the one before."""


def carried(outline: Mask, letter: int, wanted: int, columns: NDArray[np.int64]) -> list[Mask]:
    """The outline of a layer on the columns of another letter, the nearest first.

    The sites that lie within 1/√3 of two filled ones (each lies within that of three); the outline moved sideways in three directions; turned by
    180°, which for a hexagonal net is 60°; the sites within 1/√3 of three filled ones, and of one.

    Args:
        outline: (W, W).
        letter: that it has.
        wanted: that it shall have; where it is the same the outline itself is all.
        columns: (3, 2) thirds, of each letter the column about which layers are turned.
    """
    by = (wanted - letter) % 3
    if by == 0:
        return [outline]
    ways = translated(outline, letter, by)
    near = np.sum(ways, axis=0)
    return [near >= 2, *ways, turned(outline, letter, columns[2 * (letter + wanted) % 3]), near >= 3, near >= 1]


def symmetric_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """The whole particle, and each layer, made symmetric about the three-fold axes nearest to its middle."""
    for column in nearest_columns(stack):
        for mirrored in (True, False):
            share = shares(stack, column, mirrored=mirrored)
            for least in SHARES:
                yield LayerStack(stack.letters, share > least)
                yield from (stack.with_outline(k, share[k] > least) for k in range(len(stack.letters)))


def copy_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """Each layer with the outline of another one."""
    columns = nearest_columns(stack)
    for k, wanted in enumerate(stack.letters):
        for outline, letter in zip(stack.outlines, stack.letters, strict=True):
            yield from (stack.with_outline(k, one) for one in carried(outline, letter, wanted, columns))


def row_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """A row less or more at each of the six sides of each layer, and each layer moved by a site."""
    for k, outline in enumerate(stack.outlines):
        i, j = np.nonzero(outline)
        grid = np.indices(outline.shape)
        for number, along in enumerate(_ROWS):
            yield stack.with_outline(k, shifted(outline, *along))
            row = _ROWS[(number + 2) % len(_ROWS)]
            sign = row[0] * along[1] - row[1] * along[0]
            height = sign * (row[0] * grid[1] - row[1] * grid[0])
            last = outline & (height == height[i, j].max())
            yield stack.with_outline(k, outline & ~last)
            above = shifted(last, *along).astype(np.int64) + shifted(last, along[0] + row[0], along[1] + row[1])
            yield stack.with_outline(k, outline | (above == 2))
            yield stack.with_outline(k, outline | (above > 0))


def slip_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """All layers above a plane moved sideways to the columns that the layer below leaves free: the layers on both sides change character."""
    for k in range(1, len(stack.letters)):
        by = stack.letters[k] - stack.letters[k - 1]
        yield from _above(stack, k, [letter + by for letter in stack.letters[k:]])


def twin_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """All layers above an inner one mirrored in the order of their letters: it alone changes between h and c."""
    for k in range(1, len(stack.letters) - 1):
        yield from _above(stack, k + 1, [2 * stack.letters[k] - letter for letter in stack.letters[k + 1 :]])


def _above(stack: LayerStack, first: int, wanted: Sequence[int]) -> Iterator[LayerStack]:
    """Layers from ``first`` on at other letters, their outlines carried over all in the same way; as little as possible sideways is one more."""
    letters = (*stack.letters[:first], *(letter % 3 for letter in wanted))
    yield restacked(stack, letters)
    columns = nearest_columns(stack)
    layers = zip(stack.outlines[first:], stack.letters[first:], letters[first:], strict=True)
    ways = [carried(outline, old, new, columns) for outline, old, new in layers]
    for way in range(max(map(len, ways))):
        moved = [options[way] if way < len(options) else options[0] for options in ways]
        yield LayerStack(letters, np.concatenate([stack.outlines[:first], np.stack(moved)]))


def restacked(stack: LayerStack, letters: tuple[int, ...]) -> LayerStack:
    """The layers moved sideways to other letters, each to where its middle is nearest to the particle's axis."""
    thirds, _ = stack.columns
    axis, middle = thirds.mean(axis=0), stack.outlines.shape[1] // 2
    outlines = stack.outlines.copy()
    for k, (old, new) in enumerate(zip(stack.letters, letters, strict=True)):
        by = (new - old) % 3
        if by:
            ways = translated(stack.outlines[k], old, by)
            away = np.array([3 * (np.argwhere(way).mean(axis=0) - middle) + new for way in ways]) - axis
            outlines[k] = ways[int(np.argmin(np.round((away**2).sum(axis=1) + away.prod(axis=1), 6)))]
    return LayerStack(letters, outlines)


def swap_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """One layer moved to the letter that its neighbours leave free: an outer one, or one between two of the same letter."""
    columns, letters = nearest_columns(stack), stack.letters
    for k, letter in enumerate(letters):
        beside = {letters[other] for other in (k - 1, k + 1) if 0 <= other < len(letters)}
        if len(beside) == 1:
            new = 3 - letter - beside.pop()
            for one in carried(stack.outlines[k], letter, new, columns):
                made = stack.with_outline(k, one)
                yield LayerStack((*letters[:k], new, *letters[k + 1 :]), made.outlines)


def end_moves(stack: LayerStack) -> Iterator[LayerStack]:
    """A layer less at either end, a layer more, and one taken from one end to the other."""
    yield from _longer(stack, top=True)
    yield from _longer(stack, top=False)
    if len(stack.letters) > 2:
        for less, top in ((stack.part(1, None), True), (stack.part(None, -1), False)):
            yield less
            yield from _longer(less, top=top)


def _longer(stack: LayerStack, *, top: bool) -> Iterator[LayerStack]:
    """With one more layer: with the outline of each of the two next to it, and with ever smaller ones."""
    columns, last = nearest_columns(stack), -1 if top else 0
    for new in {0, 1, 2} - {stack.letters[last]}:
        outlines = carried(stack.outlines[last], stack.letters[last], new, columns)
        outlines += list(_cores(outlines[0]))
        if len(stack.letters) > 1:
            before = last - 1 if top else last + 1
            outlines += carried(stack.outlines[before], stack.letters[before], new, columns)
        for outline in outlines:
            layer = LayerStack((new,), outline[None])
            yield layer.on(stack) if top else stack.on(layer)


def _cores(outline: Mask) -> Iterator[Mask]:
    """Ever smaller outlines, each without the sites at the edge of the one before."""
    while True:
        outline = outline & (np.sum([shifted(outline, *step) for step in _ROWS], axis=0) == len(_ROWS))
        if not outline.any():
            return
        yield outline


LAYER_MOVES: tuple[Callable[[LayerStack], Iterator[LayerStack]], ...] = (
    symmetric_moves,
    copy_moves,
    row_moves,
    slip_moves,
    twin_moves,
    swap_moves,
    end_moves,
)
"""Ways to change a particle by whole layers; the first three keep the order of its layers."""


def all_layer_moves(stack: LayerStack) -> list[LayerStack]:
    """Every change, each once, of those that leave a close-packed particle inside the window of sites."""
    seen, found = {stack.key}, []
    for moves in LAYER_MOVES:
        for one in moves(stack):
            if one.key not in seen and one.is_close_packed():
                seen.add(one.key)
                found.append(one)
    return found
