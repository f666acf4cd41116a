"""What the names of structure types say about the lattice: written here, once."""

from __future__ import annotations

import math
from collections.abc import Mapping

OUTLINES: Mapping[str, str] = {"octahedral": "fcc"}
"""Types that name an outline, and the lattice that they are cut from: a (truncated) octahedron is an fcc crystal."""
CLOSE_PACKED = frozenset({"fcc", "octahedral", "hcp", "stacking_fault"})
"""Types whose atoms lie in close-packed layers."""
FAULTED = frozenset({"stacking_fault"})
"""Types that have at least one fault by their name."""


def lattice_of(structure_type: str) -> str:
    """The lattice of a structure type: ``fcc`` for ``octahedral``, the type itself for all others."""
    return OUTLINES.get(structure_type, structure_type)


_SPHERES: Mapping[str, float] = {"sc": 1.0, "bcc": 4.0 / (3.0 * math.sqrt(3.0))}
_CLOSE_PACKED_VOLUME = math.sqrt(0.5)


def metal_atomic_volume(lattice: str, nn_distance: float) -> float:
    """Å³ that an atom takes in a metal: d³ in sc, 4d³/3√3 in bcc, d³/√2 in close-packed lattices and, within 3 %, in multiply twinned particles.

    Args:
        lattice: structure type, as :func:`lattice_of` gives it.
        nn_distance: d, Å.
    """
    return _SPHERES.get(lattice, _CLOSE_PACKED_VOLUME) * nn_distance**3
