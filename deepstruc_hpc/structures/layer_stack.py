"""Close-packed particles layer by layer: which of the three positions each layer takes, and which of its sites hold atoms.

The sites of all close-packed stacks lie on one triangular net of columns A, B and C, in layers √(2/3) apart, all in units of the nearest-neighbour
distance. So a particle is a letter and an outline a layer, and three times the squared distance of two sites is a whole number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.structures.close_packed import LAYER_SPACING

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

ROOM = 4
"""Sites between a particle and the end of the window of sites that are known, so that it can grow and move sideways."""
_WAYS = {1: ((0, 0), (-1, 0), (0, -1)), 2: ((0, 0), (1, 0), (0, 1))}
"""Sites by which the window of a letter is shifted against that of the next, or of the one after the next."""
_AROUND = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])


@dataclass(frozen=True, eq=False)
class LayerStack:
    """A close-packed particle.

    Site (i, j) of a layer of letter x lies at (i − m + x/3) a₁ + (j − m + x/3) a₂, with a₁ = (1, 0), a₂ = (1/2, √3/2) and m the middle of the window.

    Attributes:
        letters: 0, 1 or 2 for A, B, C, lowest layer first; neighbours differ.
        outlines: (L, W, W) which sites hold atoms.
    """

    letters: tuple[int, ...]
    outlines: Mask

    @classmethod
    def of(cls, sequence: str, sites: Floats) -> LayerStack:
        """From sites as :func:`~deepstruc_hpc.structures.occupation.stack_of` gives them, shifted so that the particle's axis is near the middle."""
        level = np.round((sites[:, 2] - sites[:, 2].min()) / LAYER_SPACING).astype(np.int64)
        letters = np.array(["ABC".index(letter) for letter in sequence], dtype=np.int64)
        net = np.column_stack([sites[:, 0] - sites[:, 1] / np.sqrt(3.0), 2.0 * sites[:, 1] / np.sqrt(3.0)])
        place = np.round(net - letters[level][:, None] / 3.0).astype(np.int64)
        place -= np.round(net.mean(axis=0)).astype(np.int64)
        away = net - net.mean(axis=0)
        middle = int(np.sqrt((away**2).sum(axis=1) + away.prod(axis=1)).max() * 2.0 / np.sqrt(3.0)) + ROOM
        outlines = np.zeros((len(letters), 2 * middle + 1, 2 * middle + 1), dtype=bool)
        outlines[level, place[:, 0] + middle, place[:, 1] + middle] = True
        return cls(tuple(letters.tolist()), outlines)

    @property
    def sequence(self) -> str:
        """Letters A, B and C, lowest layer first."""
        return "".join("ABC"[letter] for letter in self.letters)

    @cached_property
    def columns(self) -> tuple[Whole, Whole]:
        """(N, 2) along a₁ and a₂ in thirds, and (N,) the layer of every atom."""
        layer, i, j = np.nonzero(self.outlines)
        middle = self.outlines.shape[1] // 2
        letter = np.array(self.letters, dtype=np.int64)[layer]
        return np.column_stack([3 * (i - middle) + letter, 3 * (j - middle) + letter]), layer.astype(np.int64)

    @property
    def sites(self) -> Floats:
        """(N, 3) about the middle of the stack, nearest-neighbour distances; an A column at the origin."""
        thirds, layer = self.columns
        height = (layer - (len(self.letters) - 1) / 2.0) * LAYER_SPACING
        return np.column_stack([thirds[:, 0] / 3.0 + thirds[:, 1] / 6.0, thirds[:, 1] * np.sqrt(3.0) / 6.0, height])

    @cached_property
    def key(self) -> bytes:
        """The same for the same letters and outlines."""
        return bytes(self.letters) + np.packbits(self.outlines).tobytes()

    @property
    def reach(self) -> float:
        """Of the atoms from the middle of the particle, nearest-neighbour distances."""
        sites = self.sites
        return float(np.linalg.norm(sites - sites.mean(axis=0), axis=1).max())

    def is_close_packed(self) -> bool:
        """Whether no layer is empty, none lies on one of its own letter, and nothing reaches the end of the window."""
        edge = self.outlines[:, [0, -1], :].any() or self.outlines[:, :, [0, -1]].any()
        return not edge and bool(self.outlines.any(axis=(1, 2)).all()) and all(a != b for a, b in pairwise(self.letters))

    def with_outline(self, layer: int, outline: Mask) -> LayerStack:
        """With another outline of one layer."""
        outlines = self.outlines.copy()
        outlines[layer] = outline
        return LayerStack(self.letters, outlines)

    def part(self, first: int | None, stop: int | None) -> LayerStack:
        """Some of the layers, those from ``first`` to before ``stop``."""
        return LayerStack(self.letters[first:stop], self.outlines[first:stop])

    def on(self, other: LayerStack) -> LayerStack:
        """These layers on top of others."""
        return LayerStack((*other.letters, *self.letters), np.concatenate([other.outlines, self.outlines]))


def shifted(outline: Mask, i: int, j: int) -> Mask:
    """An outline moved by so many sites; what leaves the window comes in at the other side, see :meth:`LayerStack.is_close_packed`."""
    return np.roll(outline, (i, j), axis=(-2, -1))


def translated(outline: Mask, letter: int, by: int) -> list[Mask]:
    """A layer moved by 1/√3 to another letter, in each of three directions 120° apart.

    Args:
        outline: (W, W) of the layer.
        letter: that it has.
        by: 1 or 2: to the next of A, B, C, A …, or to the one after the next.
    """
    wrap = (letter + 1) // 3 if by == 1 else -int(letter == 0)
    return [shifted(outline, i + wrap, j + wrap) for i, j in _WAYS[by]]


def nearest_columns(stack: LayerStack) -> Whole:
    """(3, 2) thirds: for each letter the column that lies nearest to the particle's axis."""
    thirds, _ = stack.columns
    middle = thirds.mean(axis=0)
    found = []
    for letter in range(3):
        near = 3 * (np.round((middle - letter) / 3.0).astype(np.int64) + _AROUND) + letter
        away = near - middle
        found.append(near[int(np.argmin(np.round((away**2).sum(axis=1) + away.prod(axis=1), 6)))])
    return np.array(found)


def turned(outline: Mask, letter: int, column: Whole) -> Mask:
    """A layer turned by 180° about a column of letter c; its own letter x becomes 2c − x. Sites that leave the window are put on its edge."""
    width, new = outline.shape[-1], int(2 * column[0] - letter) % 3
    i, j = np.nonzero(outline)
    thirds = 2 * column[:, None] - (3 * (np.stack([i, j]) - width // 2) + letter)
    place = np.clip((thirds - new) // 3 + width // 2, 0, width - 1)
    found = np.zeros_like(outline)
    found[place[0], place[1]] = True
    return found


def shares(stack: LayerStack, column: Whole, *, mirrored: bool) -> Floats:
    """(L, W, W) share of the sites that a three-fold axis makes equal which are filled.

    Args:
        stack: the particle.
        column: (2,) thirds; a column of atoms.
        mirrored: together with the three mirror planes through the axis that leave the letters as they are.
    """
    width = stack.outlines.shape[1]
    grid = np.stack(np.meshgrid(*(np.arange(width) - width // 2,) * 2, indexing="ij"))
    total = np.zeros(stack.outlines.shape)
    for k, letter in enumerate(stack.letters):
        away = 3 * grid + letter - column[:, None, None]
        images = [away, np.stack([-away[0] - away[1], away[0]]), np.stack([away[1], -away[0] - away[1]])]
        if mirrored:
            images += [image[::-1] for image in images]
        for image in images:
            place = (image + column[:, None, None] - letter) // 3 + width // 2
            inside = ((place >= 0) & (place < width)).all(axis=0)
            place = np.clip(place, 0, width - 1)
            total[k] += stack.outlines[k][place[0], place[1]] & inside
        total[k] /= len(images)
    return total
