"""The registry of shape families: what a recipe can name, list and build.

A family lists shapes (parameters with a name and a number of atoms) and builds one of them as a Structure. Listing is deterministic, drops shapes
that are equal up to rotation, reflection and order, and keeps the first in the family's order of parameters.
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points

from deepstruc_hpc.core.errors import RecipeError, StructureError
from deepstruc_hpc.structures.bodies import BODY_FAMILIES
from deepstruc_hpc.structures.compound_family import RANDOM_COMPOUNDS
from deepstruc_hpc.structures.crystal_cut import CRYSTAL_FAMILIES
from deepstruc_hpc.structures.derived_families import alloy_family, disordered_family
from deepstruc_hpc.structures.family import Family, Shape
from deepstruc_hpc.structures.open_families import PROTOTYPE_CUT, multicomponent_family
from deepstruc_hpc.structures.paper_families import ANTI_MACKAY, PAPER_FAMILIES
from deepstruc_hpc.structures.random_family import RANDOM_FAMILIES

__all__ = ["ENTRY_POINT_GROUP", "FAMILIES", "Family", "Shape", "family_named"]

ENTRY_POINT_GROUP = "deepstruc_hpc.structures"

FAMILIES: dict[str, Family] = {family.name: family for family in (*PAPER_FAMILIES, ANTI_MACKAY, *BODY_FAMILIES, *CRYSTAL_FAMILIES, *RANDOM_FAMILIES)}
"""Built-in families by name."""

FAMILIES |= {
    family.name: family
    for family in (alloy_family(FAMILIES), disordered_family(FAMILIES), multicomponent_family(FAMILIES), PROTOTYPE_CUT, RANDOM_COMPOUNDS)
}


def family_named(name: str) -> Family:
    """A built-in family, or one that an installed package offers under the entry point group ``deepstruc_hpc.structures``.

    Raises:
        RecipeError: no such family, or an entry point that is not a Family.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    offered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in offered:
        loaded = offered[name].load()
        if not isinstance(loaded, Family):
            raise StructureError(f"entry point {name!r} of {ENTRY_POINT_GROUP}: {type(loaded).__name__} found, a Family is needed.")
        return loaded
    known = [*FAMILIES, *offered]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise RecipeError(f"family {name!r}: there is none of that name.{hint} Known: {', '.join(sorted(known))}.")
