"""Template lattices made from crystals of several elements: oxides and compounds, built-in ones and those of CIF files.

Lengths are in units of the crystal's shortest bond between unlike elements. The sites bring their elements with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Int64
from deepstruc_hpc.structures.crystal_cut import centre_of, crystal_named, crystal_sites
from deepstruc_hpc.structures.crystals import PROTOTYPES, Crystal
from deepstruc_hpc.structures.occupation import MARGIN, Occupation
from deepstruc_hpc.structures.sites import canonical_permutation
from deepstruc_hpc.structures.symmetry import Operations
from deepstruc_hpc.structures.template_lattices import SAME_SITE, TemplateLattice

if TYPE_CHECKING:
    from deepstruc_hpc.core.structure import Structure
    from deepstruc_hpc.structures.particle_cut import ParticleCut

PREFIX = "crystal "
CENTRES = ("origin", "cell", "bond")
"""About which a crystal's template lattices are laid, see :func:`~deepstruc_hpc.structures.crystal_cut.centre_of`."""
OFF_CENTRE = 1.0
"""Bond lengths by which the centroid of a particle may lie off the centre that it is cut about: atoms at the surface are not evenly spread."""
_FACETS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 0, 1))


def crystal_template_names(crystal: str) -> tuple[str, ...]:
    """The names of a crystal's template lattices: ``crystal CeO2 about origin`` and so on.

    Args:
        crystal: a built-in name, or the path of a CIF file.
    """
    return tuple(f"{PREFIX}{crystal} about {centre}" for centre in CENTRES)


def crystal_of_template(name: str) -> str:
    """The crystal that a template lattice is of, as :attr:`~deepstruc_hpc.structures.crystals.Crystal.name` has it."""
    of = name.removeprefix(PREFIX).rpartition(" about ")[0]
    return of if of in PROTOTYPES else Path(of).stem


def built_in_crystals(structure_types: Sequence[str]) -> list[str]:
    """Those of the built-in crystals that are among the structure types of a catalog."""
    return [name for name in PROTOTYPES if name in structure_types]


def crystal_template(name: str, radius: float) -> TemplateLattice:
    """A template lattice by the name that :func:`crystal_template_names` gave it.

    Args:
        name: of the template lattice.
        radius: within which its sites are complete, in bond lengths.

    Raises:
        StructureError: no such crystal or centre.
    """
    of, _, centre = name.removeprefix(PREFIX).rpartition(" about ")
    if centre not in CENTRES:
        raise StructureError(f"template lattice {name!r}: a name such as 'crystal CeO2 about origin' is needed.")
    return template_of_crystal(crystal_named(of), centre, radius, name)


def template_of_crystal(crystal: Crystal, centre: str | NDArray[np.float64], radius: float, name: str = "") -> TemplateLattice:
    """The sites of a crystal about a centre.

    Args:
        crystal: whose sites they are; the commonest element of each.
        centre: a name, see :func:`~deepstruc_hpc.structures.crystal_cut.centre_of`, or a point, (3,) Å.
        radius: within which they are complete, in bond lengths.
        name: of the lattice.
    """
    middle = centre_of(crystal, centre) if isinstance(centre, str) else centre
    sites, cell_site = crystal_sites(crystal, (radius + SAME_SITE) * crystal.bond_length, middle)
    unit = np.round(sites / crystal.bond_length, 12) + 0.0
    order = canonical_permutation(unit)
    unit, species = np.ascontiguousarray(unit[order]), np.array(crystal.main_element)[cell_site[order]]
    unit.setflags(write=False)
    classes = _element_classes(crystal)
    facets = tuple(crystal.facet_normals(miller) for miller in _FACETS)
    return TemplateLattice(
        name or f"{PREFIX}{crystal.name} about {centre if isinstance(centre, str) else 'a point'}",
        crystal.name,
        unit,
        radius,
        facets,
        "",
        min_neighbours=1,
        species=tuple(species.tolist()),
        classes=classes,
        length=crystal.bond_length,
        known_operations=_operations(crystal, unit, np.array([classes[symbol] for symbol in species])),
    )


def occupation_of_cut(cut: ParticleCut, structure: Structure) -> Occupation | None:
    """A particle as an occupation of its crystal's lattice, with room to grow.

    Args:
        cut: how it was cut.
        structure: the particle, Å, about its centroid.

    Returns:
        None for a crystal with sites that several elements share or that are partly empty: its sites do not say their element.
    """
    crystal = cut.crystal
    if any(len(site) > 1 or abs(site[0][1] - 1.0) > 1e-6 for site in crystal.species):
        return None
    reach = float(np.linalg.norm(structure.positions, axis=1).max()) / crystal.bond_length
    template = _cached_template(crystal, cut.centre, float(np.ceil(reach + OFF_CENTRE + MARGIN)))
    symbols = np.array(template.species or ())
    unit = structure.positions / crystal.bond_length
    tree = cKDTree(template.sites)
    possible = np.flatnonzero((template.distance <= OFF_CENTRE + float(np.linalg.norm(unit[0]))) & (symbols == structure.symbols[0]))
    for site in possible:
        distance, held = tree.query(unit - unit[0] + template.sites[site])
        if np.max(distance) < SAME_SITE and len(np.unique(held)) == len(unit) and (symbols[held] == np.array(structure.symbols)).all():
            mask = np.zeros(len(template), dtype=bool)
            mask[held] = True
            return Occupation(template, mask, structure.structure_type, "", crystal.bond_length)
    return None


@lru_cache(maxsize=32)
def _cached_template(crystal: Crystal, centre: str, radius: float) -> TemplateLattice:
    return template_of_crystal(crystal, centre, radius)


def own_elements(templates: Sequence[TemplateLattice], elements: Sequence[str]) -> list[Int64[NDArray[np.int64], " _"]]:
    """For each template lattice the number of the element that its crystal has on each site, len(elements) where there is none; (S,) each."""
    number = {symbol: place for place, symbol in enumerate(elements)}
    none = len(elements)
    return [
        np.array([number.get(symbol, none) for symbol in template.species], dtype=np.int64)
        if template.species
        else np.full(len(template), none, dtype=np.int64)
        for template in templates
    ]


def _operations(crystal: Crystal, sites: NDArray[np.float64], site_class: NDArray[np.intp]) -> Operations:
    """Those of the crystal's point operations that map all sites about this centre on sites of the same elements, the identity first."""
    marked = np.column_stack([sites, site_class])
    tree = cKDTree(marked)
    kept = [np.eye(3)]
    for operation in crystal.point_operations:
        moved = np.column_stack([sites @ operation.T, site_class])
        if np.abs(operation - np.eye(3)).max() > 1e-6 and np.max(tree.query(moved)[0]) < SAME_SITE:
            kept.append(operation)
    return np.array(kept)


def _element_classes(crystal: Crystal) -> dict[str, int]:
    """Elements that share sites with each other have one number."""
    classes = {symbol: number for number, symbol in enumerate(sorted(crystal.composition))}
    for site in crystal.species:
        together = [classes[symbol] for symbol, _ in site]
        classes = {symbol: min(together) if number in together else number for symbol, number in classes.items()}
    return classes
