"""Crystal types of two kinds of sites, cations and anions, as template lattices that any elements may be laid on.

A template of a type is told by the type and its origin, ``type rutile about bond``: its sites are the type's for TiO2, SnO2 and IrO2 alike, in units
of the shortest bond. Which elements they are, and how long the bond is, comes with the sample. Origins are the different sites of the cell and the
middle of the shortest bond, those with the same surroundings once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.structures.crystal_cut import centre_of, crystal_sites
from deepstruc_hpc.structures.crystal_templates import template_of_crystal
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.plausibility import Anion, Mixture
from deepstruc_hpc.structures.prototype_table import Pattern, prototype_table
from deepstruc_hpc.structures.prototypes import ANIONS, CrystalCandidate, candidate_of_pattern
from deepstruc_hpc.structures.template_lattices import TemplateLattice

PREFIX = "type "
CATION, ANION = 0, 1
"""Numbers of the two kinds of sites."""

COMPOUND_TYPES = {
    "rock_salt": "NiO",
    "zincblende": "ZnS",
    "wurtzite": "ZnO",
    "nickel_arsenide": "FeS",
    "tenorite": "CuO",
    "fluorite": "CeO2",
    "tetragonal_zirconia": "ZrO2",
    "baddeleyite": "ZrO2",
    "rutile": "TiO2",
    "anatase": "TiO2",
    "brookite": "TiO2",
    "corundum": "Fe2O3",
    "bixbyite": "In2O3",
    "spinel": "Fe3O4",
    "cuprite": "Cu2O",
}
"""Types of which template lattices are made, each with a compound that has it. All cations share one kind of site."""


SURROUNDINGS = 2.2
"""Bonds. Two points of a crystal with sites of the same kinds at the same distances up to there are taken as one origin."""
MOST_ORIGINS = 5
"""Of a type."""

Point = NDArray[np.float64]


def compound_template_names(types: Sequence[str] = tuple(COMPOUND_TYPES)) -> tuple[str, ...]:
    """The names of the template lattices of some types: ``type rutile about cation`` and so on."""
    return tuple(f"{PREFIX}{name} about {origin}" for name in types for origin in origins_of(name))


def type_of(name: str) -> str:
    """The type that a template lattice is of, by its name."""
    return name.removeprefix(PREFIX).rpartition(" about ")[0]


@lru_cache(maxsize=64)
def origins_of(name: str) -> dict[str, Point]:
    """Points of a type about which its template lattices are laid, by name, (3,) each, in the lengths of the table of types."""
    crystal, pattern = plain_crystal(name), _pattern(name)
    found: dict[str, Point] = {}
    seen: list[NDArray[np.float64]] = []
    for kind, what in ((1 - pattern.anion, "cation"), (pattern.anion, "anion")):
        for site in dict.fromkeys(pattern.orbits[pattern.kinds == kind].tolist()):
            _add(found, seen, crystal, what, crystal.fractions[site] @ crystal.lattice)
    _add(found, seen, crystal, "bond", centre_of(crystal, "bond"))
    return dict(list(found.items())[:MOST_ORIGINS])


def _add(found: dict[str, Point], seen: list[NDArray[np.float64]], crystal: Crystal, what: str, point: Point) -> None:
    sites, cell_site = crystal_sites(crystal, SURROUNDINGS * crystal.bond_length, point)
    kinds = [crystal.main_element[site] == "X" for site in cell_site]
    around = np.array(sorted(zip(kinds, np.linalg.norm(sites, axis=1) / crystal.bond_length, strict=True)))
    if any(len(other) == len(around) and np.allclose(other, around, atol=1e-3) for other in seen):
        return
    seen.append(around)
    number = sum(1 for name in found if name.split()[0] == what) + 1
    found[what if number == 1 else f"{what} {number}"] = point


def compound_template(name: str, radius: float) -> TemplateLattice:
    """A template lattice by the name that :func:`compound_template_names` gave it; ``species`` says ``M`` and ``X``.

    Args:
        name: of the template lattice.
        radius: within which its sites are complete, in units of the shortest bond between cation and anion.

    Raises:
        StructureError: no such type or origin.
    """
    kind = type_of(name)
    origin = origins_of(kind).get(name.rpartition(" about ")[2])
    if origin is None:
        raise StructureError(f"template lattice {name!r}: a name such as 'type rutile about cation' is needed.")
    return template_of_crystal(plain_crystal(kind), origin, radius, name)


KEPT = ("distance", "bonds", "unlike_bonds", "permutations", "invariants")
"""What a template lattice has worked out and elements do not change."""


def with_elements(
    template: TemplateLattice, cations: Sequence[str], anion: str, length: float, rng: np.random.Generator | None = None
) -> TemplateLattice:
    """A template lattice of a type with elements on its sites.

    Args:
        template: from :func:`compound_template`.
        cations: elements, as often as their share asks; several lie on their sites at random.
        anion: element.
        length: of the shortest bond, Å.
        rng: where several cations lie; the same every time where not given.
    """
    drawn = (rng or np.random.default_rng(0)).integers(0, len(cations), len(template)).tolist()
    species = tuple(anion if kind == ANION else cations[number] for kind, number in zip(template.site_class, drawn, strict=True))
    laid = replace(template, species=species, classes={**dict.fromkeys(cations, CATION), anion: ANION}, length=length)
    vars(laid).update({name: vars(template)[name] for name in KEPT if name in vars(template)})
    return laid


def candidate_of_type(name: str, elements: Sequence[str]) -> CrystalCandidate | None:
    """The crystal of a type with given elements, with lengths from radii; cations share their sites.

    Args:
        name: of the type.
        elements: cations and one anion, in any order; what is named twice has two shares.

    Returns:
        None where the type is none of these elements: charges do not balance, atoms touch, or there is no anion among them.
    """
    return _candidate_of_type(name, tuple(elements))


@lru_cache(maxsize=1024)
def _candidate_of_type(name: str, elements: tuple[str, ...]) -> CrystalCandidate | None:
    roles = cations_and_anion(elements)
    if roles is None:
        return None
    cations, anion = roles
    pattern = _pattern(name)
    mixed: Mixture = {symbol: cations.count(symbol) / len(cations) for symbol in dict.fromkeys(cations)}
    kinds = [mixed, mixed]
    kinds[pattern.anion] = {anion: 1.0}
    return candidate_of_pattern(pattern, kinds, Anion(anion, pattern.anion))


def cations_and_anion(elements: Sequence[str]) -> tuple[tuple[str, ...], str] | None:
    """The cations of some elements, as often as they are named, and their anion, the most electronegative; None where there are not both."""
    anion = next((symbol for symbol in ANIONS if symbol in elements), "")
    cations = tuple(symbol for symbol in elements if symbol != anion)
    return (cations, anion) if anion and cations and not set(cations) & set(ANIONS) else None


def bond_of_type(name: str, elements: Sequence[str]) -> float | None:
    """The shortest bond of a type with given elements, Å, by radii; None where :func:`candidate_of_type` knows none."""
    found = candidate_of_type(name, elements)
    return None if found is None else found.crystal.bond_length


@lru_cache(maxsize=64)
def _pattern(name: str) -> Pattern:
    """The type with all cations on one kind of site: as it is tabulated, or with the kinds of its cations put together (spinel)."""
    found = [one for one in prototype_table().patterns if one.name == name and one.n_kinds == 2 and one.anion >= 0]
    whole = [one for one in found if not one.merged] or found
    if not whole:
        raise StructureError(f"crystal type {name!r}: no such type of two kinds of sites. Known: {', '.join(COMPOUND_TYPES)}.")
    return min(whole, key=lambda one: one.counts[one.anion])


@lru_cache(maxsize=64)
def plain_crystal(name: str) -> Crystal:
    """The type with M and X on its sites, in the lengths of the table of types."""
    pattern = _pattern(name)
    species = tuple((("X" if kind == pattern.anion else "M", 1.0),) for kind in pattern.kinds)
    change = np.linalg.inv(pattern.lattice)
    operations = np.array([(change @ rotation.T @ pattern.lattice).T for rotation in pattern.rotations.astype(np.float64)])
    return Crystal(name, pattern.lattice, pattern.fractions, species, operations)
