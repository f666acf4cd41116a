"""Random clusters over parents as a family, so that a recipe can hold them: each shape names its parent and says which of its sites are filled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.core.shapes import Bool
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.family import Candidates, Family, Listed
from deepstruc_hpc.structures.parents import DEFAULT_RADIUS, Parent, parent_of, standard_parents
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.sites import to_structure

MOST_REPEATS = 1000
"""Random shapes may be drawn so many times in a row without a new one before the list ends."""


def packed(mask: Bool[NDArray[np.bool_], " sites"]) -> str:
    """An occupation as hexadecimal digits, up to the last filled site."""
    last = int(np.flatnonzero(mask)[-1]) + 1 if mask.any() else 0
    return np.packbits(mask[:last]).tobytes().hex()


def unpacked(filled: str, n_sites: int) -> Bool[NDArray[np.bool_], " sites"]:
    """The occupation that :func:`packed` wrote down, (n_sites,).

    Raises:
        StructureError: no hexadecimal digits, or sites beyond the parent's.
    """
    try:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(filled), dtype=np.uint8)).astype(bool)
    except ValueError as wrong:
        raise StructureError(f"filled sites {filled[:20]!r}…: hexadecimal digits are needed ({wrong}).") from wrong
    if bits[n_sites:].any():
        raise StructureError(
            f"filled sites: site {int(np.flatnonzero(bits)[-1])} is filled, but the parent has {n_sites}. Take the radius it was made with."
        )
    mask = np.zeros(n_sites, dtype=bool)
    mask[: len(bits)] = bits[:n_sites]
    return mask


@lru_cache(maxsize=512)
def _parent(name: str, radius: float) -> Parent:
    return parent_of(name, radius)


def build_occupation(symbol: str, nn_distance: float, *, parent: str, filled: str, radius: float = DEFAULT_RADIUS) -> Structure:
    """The cluster that fills some sites of a parent.

    Args:
        symbol: element.
        nn_distance: Å.
        parent: its name.
        filled: from :func:`packed`.
        radius: within which the parent's set of sites is complete.

    Raises:
        StructureError: the occupation is not one of this parent.
    """
    chosen = _parent(parent, radius)
    mask = unpacked(filled, len(chosen))
    return to_structure(chosen.sites[mask], symbol, nn_distance, chosen.structure_type, f"{symbol} {parent} {int(mask.sum())} atoms")


def _occupations(
    max_atoms: int,
    *,
    count: int,
    seed: int,
    min_atoms: int,
    max_layers: int,
    radius: float,
    types: tuple[str, ...],
    type_weights: Mapping[str, float],
    shapes: Mapping[str, float],
) -> Candidates:
    """``count`` different occupations, numbered; the same for the same options on any machine."""
    parents = [parent for parent in standard_parents(radius, max_layers) if not types or parent.structure_type in types]
    if not parents:
        raise RecipeError(f"family random: types {list(types)}: no parent is of these. Leave types out for all.")
    settings = RandomShapeSettings.model_validate({**shapes, "min_atoms": min_atoms, "max_atoms": max_atoms})
    source = RandomShapes(parents, settings, type_weights=dict(type_weights))
    seen: set[tuple[int, bytes]] = set()
    misses = 0
    for number, shape in enumerate(source.stream(seed)):
        key = (shape.parent, np.packbits(shape.mask).tobytes())
        misses = misses + 1 if key in seen else 0
        if len(seen) == count or misses > MOST_REPEATS:
            return
        if key in seen:
            continue
        seen.add(key)
        parent = parents[shape.parent]
        parameters = {"parent": parent.name, "filled": packed(shape.mask), "radius": radius}
        yield Listed(f"{parent.name} {shape.kind} {number}", parameters, parent.sites[shape.mask], parent.structure_type)


RANDOM_FAMILIES = (
    Family(
        "random",
        "unknown",
        _occupations,
        build_occupation,
        {"count": 1000, "seed": 0, "min_atoms": 13, "max_layers": 8, "radius": DEFAULT_RADIUS, "types": (), "type_weights": {}, "shapes": {}},
        description="random spheres, ellipsoids and facetted bodies over all parents, off-centre, with vacancies and unfinished layers",
    ),
)
