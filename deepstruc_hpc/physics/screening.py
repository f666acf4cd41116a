"""Which candidates can be fitted at all, and in which groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.form_factors import Radiation, covalent_radius, element_of, scattering_factors
from deepstruc_hpc.physics.histogram import class_pairs
from deepstruc_hpc.physics.separable import Spectra

CLOSEST = 0.6
"""Atoms nearer than this part of the sum of their covalent radii are refused."""
_GROUP = 2048
_GROUP_BYTES = 400_000_000


def fit_groups(
    structures: Sequence[Structure], sizes: Float64[NDArray[np.float64], " structures"], radiation: Radiation, table: FitTable
) -> list[list[int]]:
    """Rows of the same elements and nearly the same size, in blocks of bounded memory.

    Single atoms and elements without a scattering factor are refused here.

    Args:
        structures: the candidates.
        sizes: (S,) upper bounds of their largest distances, Å.
        radiation: ``xray`` or ``neutron``.
        table: its column ``refused`` is written.
    """
    by_elements: dict[tuple[str, ...], list[int]] = {}
    for row, structure in enumerate(structures):
        if structure.n_atoms < 2:
            table.refused[row] = f"{structure.n_atoms} atoms: a pair distribution needs at least two."
        else:
            by_elements.setdefault(structure.elements, []).append(row)
    groups: list[list[int]] = []
    for elements, rows in by_elements.items():
        reason = _unknown(elements, radiation)
        if reason:
            table.refused[rows] = reason
        else:
            rows.sort(key=lambda row: sizes[row])
            groups += _blocks(rows, sizes, len(class_pairs(len(elements))))
    return groups


def _blocks(rows: list[int], sizes: NDArray[np.float64], n_pairs: int) -> list[list[int]]:
    blocks: list[list[int]] = [[]]
    for row in rows:
        current = blocks[-1]
        limit = min(_GROUP_BYTES / (max(sizes[row], 5.0) * 3000 * n_pairs), _GROUP)
        if current and (sizes[row] > 1.3 * max(sizes[current[0]], 6.0) or len(current) >= limit):
            blocks.append([row])
        else:
            current.append(row)
    return blocks


def _unknown(elements: tuple[str, ...], radiation: Radiation) -> str:
    try:
        for symbol in elements:
            covalent_radius(symbol)
        if len(elements) > 1:
            scattering_factors(elements, np.zeros(1), radiation)
    except StructureError as unknown:
        return str(unknown)
    return ""


def impossible_distances(spectra: Spectra) -> NDArray[np.object_]:
    """(S,) why a cluster cannot be real, or an empty string."""
    reasons = np.full(len(spectra), "", dtype=object)
    for pair, (a, b) in enumerate(class_pairs(len(spectra.elements))):
        first, second = spectra.elements[a], spectra.elements[b]
        needed = CLOSEST * (covalent_radius(first) + covalent_radius(second))
        for row in np.flatnonzero(spectra.shortest[:, pair] < needed):
            reasons[row] = (
                f"{element_of(first)} and {element_of(second)} atoms {spectra.shortest[row, pair]:.2f} Å apart; "
                f"at least {needed:.2f} Å is needed. Are the positions in Å?"
            )
    return reasons
