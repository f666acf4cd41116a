"""Random clusters over template lattices as a family, so that a recipe can hold them: each names one and the sites that are filled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.core.shapes import Bool
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.family import Candidates, Family, Listed
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.sites import to_structure
from deepstruc_hpc.structures.template_lattices import DEFAULT_RADIUS, TemplateLattice, standard_templates, template_lattice

MOST_REPEATS = 1000
"""Random shapes may be drawn so many times in a row without a new one before the list ends."""


def packed(mask: Bool[NDArray[np.bool_], " sites"]) -> str:
    """An occupation as hexadecimal digits, up to the last filled site."""
    last = int(np.flatnonzero(mask)[-1]) + 1 if mask.any() else 0
    return np.packbits(mask[:last]).tobytes().hex()


def unpacked(filled: str, n_sites: int) -> Bool[NDArray[np.bool_], " sites"]:
    """The occupation that :func:`packed` wrote down, (n_sites,).

    Raises:
        StructureError: no hexadecimal digits, or sites beyond the template lattice's.
    """
    try:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(filled), dtype=np.uint8)).astype(bool)
    except ValueError as wrong:
        raise StructureError(f"filled sites {filled[:20]!r}…: hexadecimal digits are needed ({wrong}).") from wrong
    if bits[n_sites:].any():
        raise StructureError(
            f"filled sites: site {int(np.flatnonzero(bits)[-1])} is filled, but the template lattice has {n_sites}. Take the radius it was made with."
        )
    mask = np.zeros(n_sites, dtype=bool)
    mask[: len(bits)] = bits[:n_sites]
    return mask


@lru_cache(maxsize=512)
def _template(name: str, radius: float) -> TemplateLattice:
    return template_lattice(name, radius)


def build_occupation(symbol: str, nn_distance: float, *, parent: str, filled: str, radius: float = DEFAULT_RADIUS) -> Structure:
    """The cluster that fills some sites of a template lattice.

    Args:
        symbol: element.
        nn_distance: Å.
        parent: the stored name of the template lattice: the column ``parent`` of catalogs.
        filled: from :func:`packed`.
        radius: within which the template lattice's set of sites is complete.

    Raises:
        StructureError: the occupation is not one of this template lattice.
    """
    chosen = _template(parent, radius)
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
    templates = [template for template in standard_templates(radius, max_layers) if not types or template.structure_type in types]
    if not templates:
        raise RecipeError(f"family random: types {list(types)}: no template lattice is of these. Leave types out for all.")
    settings = RandomShapeSettings.model_validate({**shapes, "min_atoms": min_atoms, "max_atoms": max_atoms})
    source = RandomShapes(templates, settings, type_weights=dict(type_weights))
    seen: set[tuple[int, bytes]] = set()
    misses = 0
    for number, shape in enumerate(source.stream(seed)):
        key = (shape.template, np.packbits(shape.mask).tobytes())
        misses = misses + 1 if key in seen else 0
        if len(seen) == count or misses > MOST_REPEATS:
            return
        if key in seen:
            continue
        seen.add(key)
        template = templates[shape.template]
        parameters = {"parent": template.name, "filled": packed(shape.mask), "radius": radius}
        yield Listed(f"{template.name} {shape.kind} {number}", parameters, template.sites[shape.mask], template.structure_type)


RANDOM_FAMILIES = (
    Family(
        "random",
        "unknown",
        _occupations,
        build_occupation,
        {"count": 1000, "seed": 0, "min_atoms": 13, "max_layers": 8, "radius": DEFAULT_RADIUS, "types": (), "type_weights": {}, "shapes": {}},
        description="random spheres, ellipsoids and facetted bodies over all template lattices, off-centre, with vacancies and unfinished layers",
    ),
)
