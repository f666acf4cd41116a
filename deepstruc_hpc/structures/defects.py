"""Disorder: vacancies, surface relaxation, thermal displacements and strain, as seeded transformations of any cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.coordination import coordination_numbers, outward_directions
from deepstruc_hpc.structures.sites import shortest_distance

Where = Literal["anywhere", "surface", "vertices"]


def with_vacancies(structure: Structure, fraction: float, rng: np.random.Generator, where: Where = "anywhere") -> Structure:
    """A cluster with some atoms taken out.

    Args:
        structure: any cluster.
        fraction: share of all atoms to take out; rounded to whole atoms.
        rng: which ones.
        where: ``anywhere``; ``surface`` (fewer neighbours than the most that occur); ``vertices`` (fewest neighbours first).

    Raises:
        StructureError: a fraction below 0 or of 1 and more, or an unknown place.
    """
    if not 0.0 <= fraction < 1.0 or where not in {"anywhere", "surface", "vertices"}:
        raise StructureError(f"vacancies: {fraction} of the atoms {where}; a share of 0 to below 1, and anywhere, surface or vertices are needed.")
    count = round(fraction * len(structure))
    ties = rng.permutation(len(structure))
    neighbours = coordination_numbers(structure.positions)
    if where == "anywhere":
        order = ties
    elif where == "surface":
        order = np.lexsort((ties, neighbours == neighbours.max(initial=0)))
    else:
        order = np.lexsort((ties, neighbours))
    kept = np.sort(order[count:])
    symbols = tuple(structure.symbols[index] for index in kept)
    positions = structure.positions[kept]
    return Structure(symbols, positions - positions.mean(axis=0), structure.structure_type, structure.label)


def with_surface_relaxation(structure: Structure, contraction: float) -> Structure:
    """A cluster whose surface atoms have moved inwards, the more so the fewer neighbours they have.

    An atom with n neighbours of the most that occur, m, moves by contraction · (1 − n/m) shortest distances away from the vacuum.

    Args:
        structure: any cluster.
        contraction: 0.03 pulls a (100) atom of fcc (8 of 12 neighbours) in by 1 %; negative numbers push outwards.

    Raises:
        StructureError: more than 0.5 either way.
    """
    if abs(contraction) > 0.5:
        raise StructureError(f"surface relaxation of {contraction}: at most 0.5 of the shortest distance either way.")
    neighbours = coordination_numbers(structure.positions)
    missing = 1.0 - neighbours / max(1, int(neighbours.max(initial=1)))
    shift = contraction * shortest_distance(structure.positions) * missing[:, None] * outward_directions(structure.positions)
    return _moved(structure, structure.positions - shift)


def with_displacements(structure: Structure, uiso: float, rng: np.random.Generator) -> Structure:
    """A cluster with each atom displaced at random, normally distributed with a mean square of uiso along each axis.

    Args:
        structure: any cluster.
        uiso: Å², not negative.
        rng: the displacements.

    Raises:
        StructureError: a negative uiso.
    """
    if uiso < 0:
        raise StructureError(f"thermal displacements with Uiso = {uiso} Å²: a number of at least 0 is needed.")
    return _moved(structure, structure.positions + rng.normal(0.0, np.sqrt(uiso), size=structure.positions.shape))


def with_strain(structure: Structure, strain: float, axis: Sequence[float] = (0.0, 0.0, 1.0), poisson: float = 0.3) -> Structure:
    """A cluster stretched along an axis and thinner across it.

    Args:
        structure: any cluster.
        strain: relative change of length along the axis, for example 0.02.
        axis: direction.
        poisson: contraction across over strain along; 0.5 keeps the volume to first order, −1 makes it isotropic.

    Raises:
        StructureError: a strain of 0.5 and more either way.
    """
    if abs(strain) >= 0.5:
        raise StructureError(f"strain of {strain}: less than 0.5 either way is needed.")
    direction = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    along = np.outer(direction, direction)
    transform = (1.0 + strain) * along + (1.0 - poisson * strain) * (np.eye(3) - along)
    return _moved(structure, structure.positions @ transform)


def _moved(structure: Structure, positions: NDArray[np.float64]) -> Structure:
    return Structure(structure.symbols, positions - positions.mean(axis=0), structure.structure_type, structure.label)
