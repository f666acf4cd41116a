"""Close-packed layers: hcp blocks."""

from __future__ import annotations

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.sites import Sites, to_structure

PAPER_C_OVER_A = 1.633


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


def build_hcp_block(symbol: str, nn_distance: float, *, a: int, b: int, c: int, c_over_a: float = PAPER_C_OVER_A) -> Structure:
    """A block of a × b × c hexagonal cells; ``nn_distance`` (Å) is the distance within a layer.

    Raises:
        StructureError: fewer than one cell along an axis.
    """
    if min(a, b, c) < 1:
        raise StructureError(f"hcp {a}x{b}x{c}: at least one cell along each axis is needed.")
    return to_structure(hcp_block_sites(a, b, c, c_over_a), symbol, nn_distance, "hcp", f"{symbol} hcp {a}x{b}x{c}")
