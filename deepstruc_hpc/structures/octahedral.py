"""Octahedra of the fcc lattice, whole or with their corners cut."""

from __future__ import annotations

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.cubic import layered_sites
from deepstruc_hpc.structures.sites import Sites, to_structure


def octahedron_sites(length: int, cutoff: int = 0) -> Sites:
    """Sites of an octahedron with ``length`` atoms along an edge and ``cutoff`` layers taken from each corner.

    cutoff = (length − 1)/2 is a cuboctahedron; length = 3·cutoff + 1 a regular truncated octahedron.
    """
    centre = (0.0, 0.0, 0.0) if length % 2 else (0.5, 0.5, 0.5)
    planes = (length - 1) / 2 if length % 2 else length / 2
    return layered_sites("fcc", {(1, 1, 1): planes, (1, 0, 0): length - 1 - cutoff}, centre)


def build_octahedron(symbol: str, nn_distance: float, *, length: int, cutoff: int = 0) -> Structure:
    """An octahedron, or a truncated one; ``nn_distance`` in Å.

    Raises:
        StructureError: length below 1, or a cutoff that leaves nothing of the faces (0 ≤ cutoff ≤ (length − 1)/2 is needed).
    """
    if length < 1 or not 0 <= 2 * cutoff <= length - 1:
        raise StructureError(f"octahedron length {length} cutoff {cutoff}: length of at least 1 and 0 ≤ cutoff ≤ (length − 1)/2 are needed.")
    name = f"octahedral length {length}" + (f" cut {cutoff}" if cutoff else "")
    return to_structure(octahedron_sites(length, cutoff), symbol, nn_distance, "octahedral", f"{symbol} {name}")
