"""Random particles of compounds as a family: bodies over the template lattices of crystal types, with elements and lengths of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.compound_origins import centred_occupation
from deepstruc_hpc.structures.compound_types import ANION, CATION, COMPOUND_TYPES, bond_of_type, compound_template_names, type_of
from deepstruc_hpc.structures.family import Candidates, Family
from deepstruc_hpc.structures.random_family import packed, unpacked
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.sites import canonical_permutation
from deepstruc_hpc.structures.template_lattices import TemplateLattice, template_lattice

COMPOUND_RADIUS = 7.0
"""Reach of the template lattices' sites, in bonds: 400 atoms as an ellipsoid of aspect 1.8 lie within, also in open types (zincblende)."""
CUBIC = frozenset(("rock_salt", "zincblende", "fluorite", "bixbyite", "spinel", "cuprite"))
"""Types whose axes are equal: they are not stretched."""

SAMPLES: dict[str, tuple[str, ...]] = {
    "rock_salt": ("Ni-O", "Mg-O", "Co-O", "Mn-O", "Fe-O", "Cd-O", "Pb-S", "Pb-Se", "Pb-Te", "Ti-N", "Mn-S"),
    "zincblende": ("Zn-S", "Zn-Se", "Cd-S", "Cd-Se", "Cd-Te", "Hg-Te", "Ga-As", "In-P", "In-As", "Ga-P"),
    "wurtzite": ("Zn-O", "Zn-S", "Cd-S", "Cd-Se", "Ga-N", "In-N", "Al-N"),
    "nickel_arsenide": ("Fe-S", "Co-S", "Ni-S", "Fe-Se", "Ni-Se", "Co-Te"),
    "tenorite": ("Cu-O",),
    "fluorite": ("Ce-O", "Zr-O", "Hf-O", "Th-O", "U-O", "Pr-O", "Ca-F", "Sr-F", "Ba-F", "Ce-Zr-O"),
    "tetragonal_zirconia": ("Zr-O", "Hf-O", "Ce-Zr-O"),
    "baddeleyite": ("Zr-O", "Hf-O"),
    "rutile": ("Ti-O", "Sn-O", "Ru-O", "Ir-O", "Mn-O", "V-O", "Pb-O", "Mg-F", "Ir-Ru-O"),
    "anatase": ("Ti-O", "Sn-O"),
    "brookite": ("Ti-O",),
    "corundum": ("Al-O", "Fe-O", "Cr-O", "V-O", "Rh-O", "Ga-O"),
    "bixbyite": ("In-O", "Y-O", "Mn-O", "Gd-O", "Er-O", "Lu-O"),
    "spinel": ("Fe-O", "Co-O", "Mn-O", "Co-Fe-Fe-O", "Mn-Fe-Fe-O", "Zn-Fe-Fe-O", "Ni-Co-Co-O"),
    "cuprite": ("Cu-O", "Ag-O"),
}
"""Compounds that have each type, or are near to it: elements with the anion last; cations share their sites in the shares in which they are named."""


def coordinated(template: TemplateLattice, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The filled cations with all of their anions, and no other anions."""
    cations = mask & (template.site_class == CATION)
    return np.asarray(cations | ((template.site_class == ANION) & (template.unlike_bonds @ cations.astype(np.int32) > 0)))


def bonded(template: TemplateLattice, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The filled sites that have a filled neighbour of the other kind."""
    return np.asarray(mask & (template.unlike_bonds @ mask.astype(np.int32) > 0))


def build_compound(
    _symbol: str, _nn_distance: float, *, parent: str, filled: str, radius: float, sample: str, length: float, stretch: float, seed: int
) -> Structure:
    """The particle that fills some sites of a type's template lattice.

    Args:
        parent: name of the template lattice, as the column ``parent`` of catalogs has it.
        filled: from :func:`~deepstruc_hpc.structures.random_family.packed`.
        radius: within which the template lattice's set of sites is complete.
        sample: elements with the anion last, ``Co-Fe-O``.
        length: of the shortest bond, Å.
        stretch: lengths along z over those across it; the volume stays.
        seed: by which cations that share their sites lie on them.
    """
    template = template_lattice(parent, radius)
    mask = unpacked(filled, len(template))
    kinds, elements = template.site_class[mask], sample.split("-")
    cations, anion = elements[:-1], elements[-1]
    drawn = item_rng(int(seed), sample).integers(0, len(cations), len(kinds))
    symbols = [anion if kind == ANION else cations[number] for kind, number in zip(kinds, drawn.tolist(), strict=True)]
    positions = template.sites[mask] * length * stretch ** np.array([-1 / 3, -1 / 3, 2 / 3])
    positions -= positions.mean(axis=0)
    order = canonical_permutation(positions)
    return Structure(tuple(symbols[place] for place in order), positions[order], type_of(parent), f"{sample} {parent} {len(kinds)} atoms")


def _particles(
    max_atoms: int,
    *,
    count: int,
    seed: int,
    fewest: int,
    radius: float,
    samples: Mapping[str, Sequence[str]],
    any_sample: float,
    full_shells: float,
    stretch: float,
    shapes: Mapping[str, float],
) -> Candidates:
    """``count`` particles; the same for the same options on any machine.

    A share ``any_sample`` of each type is of any of the samples whose charges balance in it: a model trained on the particles then cannot tell the
    type by the elements alone.
    """
    chosen = {kind: list(named) for kind, named in (samples or SAMPLES).items()}
    unknown = sorted(set(chosen) - set(COMPOUND_TYPES))
    if unknown:
        raise RecipeError(f"family random_compounds: samples: no type {unknown[0]!r}. Known: {', '.join(COMPOUND_TYPES)}.")
    every = sorted({sample for named in chosen.values() for sample in named})
    bonds = {(kind, sample): bond_of_type(kind, sample.split("-")) for kind in chosen for sample in every}
    impossible = sorted(f"{sample} as {kind}" for kind, named in chosen.items() for sample in named if bonds[kind, sample] is None)
    if impossible:
        raise RecipeError(f"family random_compounds: samples: {impossible[0]}: charges do not balance or atoms touch.")
    possible = {kind: [sample for sample in every if bonds[kind, sample] is not None] for kind in chosen}
    templates = [template_lattice(name, radius) for name in compound_template_names(tuple(chosen))]
    settings = RandomShapeSettings.model_validate({**shapes, "min_atoms": fewest, "max_atoms": max_atoms})
    source = RandomShapes(templates, settings, canonical=False)
    made = 0
    for number in range(100 * count):
        if made == count:
            return
        rng = item_rng(seed, f"compound-{number}")
        shape = source.sample(rng)
        template = templates[shape.template]
        mask = (coordinated if rng.random() < full_shells else bonded)(template, shape.mask)
        named = (possible if rng.random() < any_sample else chosen)[template.structure_type]
        sample = named[int(rng.integers(len(named)))]
        change = 1.0 if template.structure_type in CUBIC else float(np.exp(rng.uniform(-stretch, stretch)))
        if not fewest <= np.count_nonzero(mask) <= max_atoms:
            continue
        described = centred_occupation(template, mask)
        if described is None:
            continue
        template, mask = described
        made += 1
        yield (
            f"{sample} {template.name} {shape.kind} {number}",
            {
                "parent": template.name,
                "filled": packed(mask),
                "radius": radius,
                "sample": sample,
                "length": round(float(bonds[template.structure_type, sample] or 0.0), 6),
                "stretch": round(change, 6),
                "seed": number,
            },
        )


RANDOM_COMPOUNDS = Family(
    "random_compounds",
    "unknown",
    _particles,
    build_compound,
    {
        "count": 1000,
        "seed": 0,
        "fewest": 13,
        "radius": COMPOUND_RADIUS,
        "samples": {},
        "any_sample": 0.0,
        "full_shells": 0.5,
        "stretch": 0.015,
        "shapes": {},
    },
    takes_metal=False,
    description="random spheres, ellipsoids and facetted bodies of oxides and other compounds: samples: {rutile: [Ti-O, Sn-O]}",
)
