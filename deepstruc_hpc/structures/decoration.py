"""Alloys: which element sits on which site of a cluster.

The lattice follows Vegard's law (L. Vegard, Z. Phys. 5 (1921) 17): the nearest-neighbour distance is the mean of the metals' own, weighted by
composition, unless it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.coordination import coordination_numbers
from deepstruc_hpc.structures.elements import RadiusKind, nn_distance
from deepstruc_hpc.structures.ordering import ORDERED, ORDERED_FRACTION, ordered_sites
from deepstruc_hpc.structures.sites import shortest_distance

ORDERINGS = ("random", "L1_0", "L1_2", "B2", "core_shell", "janus", "segregated")


def vegard_distance(fractions: Mapping[str, float], kind: RadiusKind = "single") -> float:
    """Nearest-neighbour distance of an alloy, Å: the mean over its atoms.

    Args:
        fractions: element → number or share of atoms.
        kind: of the metallic radius.
    """
    total = sum(fractions.values())
    return sum(share * nn_distance(symbol, kind) for symbol, share in fractions.items()) / total


def second_element(
    positions: NDArray[np.float64],
    ordering: str,
    fraction: float,
    rng: np.random.Generator,
    *,
    variant: int = 0,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
    structure_type: str = "",
) -> NDArray[np.bool_]:
    """Which atoms are of the second element.

    Args:
        positions: (N, 3); for ordered alloys see :func:`deepstruc_hpc.structures.ordering.ordered_sites`.
        ordering: one of :data:`ORDERINGS`. ``core_shell``: the second element outside; ``janus``: on one side; ``segregated``: where neighbours
            are fewest (vertices, then edges, then facets).
        fraction: share of the second element, 0 to 1; ordered alloys have their own.
        rng: for random places and for ties.
        variant: which sublattice of an ordered alloy holds the second element.
        axis: normal to the plane between the halves of a Janus particle.
        structure_type: of the cluster, for ordered alloys.

    Raises:
        StructureError: unknown ordering, a fraction outside 0 to 1, or an ordered alloy on sites that are not of its lattice.
    """
    if ordering not in ORDERINGS or not 0.0 <= fraction <= 1.0:
        raise StructureError(f"alloy {ordering!r} with a fraction of {fraction}: needs one of {', '.join(ORDERINGS)}, and a fraction from 0 to 1.")
    if ordering in ORDERED:
        return ordered_sites(positions, structure_type, ordering, variant)
    count = round(fraction * len(positions))
    centred = positions - positions.mean(axis=0)
    ties = rng.permutation(len(positions))
    if ordering == "random":
        order = ties
    elif ordering == "core_shell":
        order = np.lexsort((ties, -np.round(np.linalg.norm(centred, axis=1), 6)))
    elif ordering == "janus":
        order = np.lexsort((ties, -np.round(centred @ (np.asarray(axis) / np.linalg.norm(axis)), 6)))
    else:
        order = np.lexsort((ties, -np.round(np.linalg.norm(centred, axis=1), 6), coordination_numbers(positions)))
    chosen = np.zeros(len(positions), dtype=bool)
    chosen[order[:count]] = True
    return chosen


def decorate(
    structure: Structure,
    elements: Sequence[str],
    ordering: str,
    *,
    fraction: float = 0.5,
    seed: int = 0,
    variant: int = 0,
    axis: Sequence[float] = (0.0, 0.0, 1.0),
    distance: float | None = None,
    radius_kind: RadiusKind = "single",
) -> Structure:
    """A two-element alloy on the sites of a cluster.

    Args:
        structure: any one-element cluster; its size does not matter.
        elements: the first and the second element.
        ordering: see :func:`second_element`, as for fraction, variant and axis.
        fraction: share of the second element.
        seed: of random places and of ties; together with the structure's label it decides.
        variant: of ordered alloys.
        axis: of Janus particles.
        distance: nearest-neighbour distance, Å; by Vegard's law from the atoms there are, where not given.
        radius_kind: of the metallic radius for Vegard's law.

    Raises:
        StructureError: not two elements, or what :func:`second_element` refuses.
    """
    if len(elements) != 2 or elements[0] == elements[1]:
        raise StructureError(f"alloy of {list(elements)}: two different elements are needed.")
    rng = item_rng(seed, f"{ordering} {fraction} {len(structure)} {variant}")
    second = second_element(structure.positions, ordering, fraction, rng, variant=variant, axis=axis, structure_type=structure.structure_type)
    counts = {elements[0]: int((~second).sum()), elements[1]: int(second.sum())}
    length = distance if distance is not None else vegard_distance(counts, radius_kind)
    symbols = tuple(elements[int(is_second)] for is_second in second)
    scale = length / shortest_distance(structure.positions)
    names = {"core_shell": "core-shell"}
    return Structure(symbols, structure.positions * scale, f"{names.get(ordering, ordering)} alloy", structure.label)


def compositions_of(ordering: str, compositions: Iterable[float]) -> list[float]:
    """The fractions to try: those asked for, or the ideal one of an ordered alloy."""
    return [ORDERED_FRACTION[ordering]] if ordering in ORDERED else [float(fraction) for fraction in compositions]


def alloy_name(details: Mapping[str, Any], base: str) -> str:
    """What an alloy is called in a catalog."""
    first, second = details["elements"]
    parts = [f"{first}-{second}", details["ordering"], base]
    if details["ordering"] not in ORDERED:
        parts.insert(2, f"{100 * details['fraction']:g}% {second}")
    if details.get("variant"):
        parts.append(f"variant {details['variant']}")
    if details.get("seed"):
        parts.append(f"seed {details['seed']}")
    return " ".join(parts)
