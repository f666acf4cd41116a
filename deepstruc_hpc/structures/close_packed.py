"""Close-packed layers: hcp blocks, and stacks of any sequence of layers."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.sites import Sites, to_structure

PAPER_C_OVER_A = 1.633
LAYER_SPACING = float(np.sqrt(2.0 / 3.0))
"""Distance between close-packed layers in units of the nearest-neighbour distance."""

COLUMNS = {"A": (0.0, 0.0), "B": (0.5, np.sqrt(3.0) / 6.0), "C": (0.0, np.sqrt(3.0) / 3.0), "bond": (0.5, 0.0)}
"""Where in the plane the columns of atoms stand, and the middle of a bond of an A layer."""


def hcp_block_sites(size_a: int, size_b: int, size_c: int, c_over_a: float = PAPER_C_OVER_A) -> Sites:
    """Sites of size_a × size_b × size_c hexagonal cells, two atoms each, a = 1.

    The cell is a (1, 0, 0), b (−1/2, √3/2, 0), c (0, 0, c/a) with atoms at (0, 0, 0) and (1/3, 2/3, 1/2), as in
    ``ase.lattice.hexagonal.HexagonalClosedPacked``.
    """
    cell = np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(3.0) / 2.0, 0.0], [0.0, 0.0, c_over_a]])
    basis = np.array([[0.0, 0.0, 0.0], [1 / 3, 2 / 3, 0.5]])
    steps = np.stack(np.meshgrid(*(np.arange(n) for n in (size_a, size_b, size_c)), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites: Sites = (steps + basis).reshape(-1, 3) @ cell
    return sites


def stacked_sites(sequence: str, lateral_radius: float, column: str = "A") -> Sites:
    """Close-packed layers of a sequence, each a disc, about the middle of the stack.

    Args:
        sequence: letters A, B, C, lowest layer first, for example ``ABCACB``; neighbours must differ.
        lateral_radius: of the disc, in units of the nearest-neighbour distance.
        column: what stands on the axis: the A, B or C column, or ``bond``.

    Returns:
        (N, 3), the close-packed direction along z.

    Raises:
        StructureError: a sequence that is no stack of close-packed layers.
    """
    if not sequence or set(sequence) - set("ABC") or any(a == b for a, b in pairwise(sequence)):
        raise StructureError(f"layer sequence {sequence!r}: letters A, B and C are needed, and neighbours that differ, for example ABCACB.")
    reach = int(np.ceil(lateral_radius * 2.0 / np.sqrt(3.0))) + 2
    steps = np.arange(-reach, reach + 1)
    net = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2) @ np.array([[1.0, 0.0], [0.5, np.sqrt(3.0) / 2.0]])
    layers = []
    for index, letter in enumerate(sequence):
        lateral = net + np.array(COLUMNS[letter]) - np.array(COLUMNS[column])
        lateral = lateral[(lateral**2).sum(axis=1) <= lateral_radius**2 + 1e-9]
        height = (index - (len(sequence) - 1) / 2.0) * LAYER_SPACING
        layers.append(np.column_stack([lateral, np.full(len(lateral), height)]))
    return np.concatenate(layers)


def stacking_word(sequence: str) -> str:
    """Which inner layers lie as in fcc (c: neighbours differ) and which as in hcp (h: neighbours alike): ``ABCAC`` is ``cch``."""
    return "".join("h" if below == above else "c" for below, above in zip(sequence, sequence[2:], strict=False))


def sequence_of(word: str) -> str:
    """The sequence of layers, starting AB, whose inner layers are the word's c and h."""
    sequence = "AB"
    for letter in word:
        sequence += sequence[-2] if letter == "h" else next(x for x in "ABC" if x not in sequence[-2:])
    return sequence


def distinct_sequences(n_layers: int, *, pure: bool = True) -> list[str]:
    """All stacks of n layers that differ by more than turning them over or shifting them, in a fixed order.

    Args:
        n_layers: at least 2.
        pure: include fcc (ABCABC…) and hcp (ABAB…); they come first and second.
    """
    if n_layers < 3:
        return [sequence_of("")][: 1 if pure else 0]
    words = {min(word, word[::-1]) for word in map("".join, product("ch", repeat=n_layers - 2))}
    limits = ["c" * (n_layers - 2), "h" * (n_layers - 2)]
    return [sequence_of(word) for word in (limits if pure else []) + sorted(words - set(limits))]


def build_hcp_block(symbol: str, nn_distance: float, *, a: int, b: int, c: int, c_over_a: float = PAPER_C_OVER_A) -> Structure:
    """A block of a × b × c hexagonal cells; ``nn_distance`` (Å) is the distance within a layer.

    Raises:
        StructureError: fewer than one cell along an axis.
    """
    if min(a, b, c) < 1:
        raise StructureError(f"hcp {a}x{b}x{c}: at least one cell along each axis is needed.")
    return to_structure(hcp_block_sites(a, b, c, c_over_a), symbol, nn_distance, "hcp", f"{symbol} hcp {a}x{b}x{c}")
