"""Families of catalogs that cover much: alloys of any number of metals on any shape, and crystal types with many elements on their sites.

Their recipes name elements and rules, not lists: which metals go together follows from their radii, which compounds exist from the charges that are
known of their cations, and the lengths of both from radii.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.crystal_cut import Surface, cut_crystal
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.decoration import Rule
from deepstruc_hpc.structures.elements import metallic_radius
from deepstruc_hpc.structures.family import Candidates, Family, Shape
from deepstruc_hpc.structures.ordering import ORDERED, variants_of
from deepstruc_hpc.structures.oxidation import rarity
from deepstruc_hpc.structures.prototype_names import well_known
from deepstruc_hpc.structures.prototypes import CrystalCandidate, candidate_crystals
from deepstruc_hpc.structures.sites import EmptyShapeError

MISMATCH = 0.15
"""Metals whose radii differ by more rarely mix on one lattice: Hume-Rothery's rule (W. Hume-Rothery et al., J. Inst. Metals 53 (1934) 115)."""

RAREST = math.log(10.0)
"""Nats: a compound counts as known in its charges where these occur at least a tenth as often as the cation's most usual one."""


def systems_of(metals: Iterable[str], count: int, mismatch: float = MISMATCH) -> list[tuple[str, ...]]:
    """Every choice of so many metals whose radii for twelve neighbours differ by no more than a share.

    Args:
        metals: symbols.
        count: metals of a system.
        mismatch: largest radius over the smallest, less one.
    """
    radii = {symbol: metallic_radius(symbol, "twelve") for symbol in metals}
    chosen = combinations(radii, count)
    return [one for one in chosen if max(radii[symbol] for symbol in one) <= (1 + mismatch) * min(radii[symbol] for symbol in one) + 1e-9]


def multicomponent_family(families: Mapping[str, Family]) -> Family:
    """Alloys of two or more metals on the shapes of other families."""

    def build(_symbol: str, _nn_distance: float, *, base: str, base_parameters: Mapping[str, Any], **details: Any) -> Structure:
        rule = Rule(
            details["ordering"],
            tuple(details["elements"]),
            tuple(details["shares"]),
            apart=True,
            variant=details.get("variant", 0),
            seed=details.get("seed", 0),
        )
        shape = families[base].builder(details["elements"][0], 1.0, **base_parameters)
        try:
            made = rule.on(shape)
        except StructureError as impossible:
            raise EmptyShapeError(str(impossible)) from impossible
        return Structure(made.symbols, made.positions, made.structure_type, _alloy_name(details, details["base_shape"]))

    def candidates(
        max_atoms: int,
        *,
        metals: Iterable[str],
        count: int,
        mismatch: float,
        systems: Iterable[Sequence[str]],
        bases: Iterable[str],
        base_options: Mapping[str, Mapping[str, Any]],
        base_shapes: int,
        min_base_atoms: int,
        orderings: Iterable[str],
        shares: Iterable[Sequence[float]],
        seed: int,
    ) -> Candidates:
        listed = [list(families[base].enumerate(min_base_atoms, max_atoms, **base_options.get(base, {}))) for base in bases]
        shapes = [shape for one in listed for shape in _evenly(one, base_shapes)]
        for system in [tuple(one) for one in systems] or systems_of(metals, count, mismatch):
            for ordering in orderings:
                for shape in shapes:
                    for share in _shares(ordering, [tuple(map(float, one)) for one in shares], len(system)):
                        for elements in _orders(system, ordering, share):
                            for number in _numbers(ordering, shape):
                                details: dict[str, Any] = {"elements": list(elements), "ordering": ordering, "shares": list(share)}
                                details |= {"variant": number} if ordering in ORDERED else {"seed": seed}
                                own = {"base": shape.family, "base_parameters": dict(shape.parameters), "base_shape": shape.name}
                                yield _alloy_name(details, shape.name), own | details

    return Family(
        "multicomponent_alloy",
        "alloy",
        candidates,
        build,
        {
            "metals": ("Ni", "Cu", "Pd", "Pt", "Au"),
            "count": 2,
            "mismatch": MISMATCH,
            "systems": (),
            "bases": ("octahedral", "fcc", "icosahedral", "decahedral"),
            "base_options": {},
            "base_shapes": 5,
            "min_base_atoms": 13,
            "orderings": ("random", "core_shell", "janus", "segregated"),
            "shares": ((0.5, 0.5),),
            "seed": 0,
        },
        takes_metal=False,
        description="alloys of all systems of two, three or more metals of like radius, on the shapes of other families; distances by Vegard's law",
        divided=lambda options: [
            {"systems": [system]} for system in (options["systems"] or systems_of(tuple(options["metals"]), options["count"], options["mismatch"]))
        ],
    )


def _evenly(shapes: Sequence[Shape], most: int) -> list[Shape]:
    """At most so many shapes of a list, evenly apart in it."""
    if len(shapes) <= most:
        return list(shapes)
    return [shapes[(2 * number + 1) * len(shapes) // (2 * most)] for number in range(most)]


def _shares(ordering: str, shares: Sequence[tuple[float, ...]], count: int) -> list[tuple[float, ...]]:
    """The compositions to try; ordered alloys have their own, the other elements in equal parts."""
    if ordering not in ORDERED:
        return [tuple(part / sum(share) for part in share) for share in shares if len(share) == count]
    return [(1.0,) * count]


def _orders(system: Sequence[str], ordering: str, shares: tuple[float, ...]) -> list[tuple[str, ...]]:
    """Each element once as the last, which is the one that is set apart; one order where all are mixed alike."""
    turned = [(*(symbol for symbol in system if symbol != last), last) for last in system]
    equal = max(shares) - min(shares) < 1e-6
    return turned[-1:] if equal and (ordering == "random" or (ordering in {"janus", "L1_0", "B2"} and len(system) == 2)) else turned


def _numbers(ordering: str, shape: Shape) -> Sequence[int]:
    """Variants of an ordered alloy, else one. Five-fold shapes whose axes miss the centroid, and overlayers, have no order."""
    if ordering not in ORDERED:
        return (0,)
    unordered = shape.family == "anti_mackay" or (shape.family == "random" and shape.structure_type in {"decahedral", "icosahedral"})
    return () if unordered else variants_of(ordering, shape.structure_type)


def _alloy_name(details: Mapping[str, Any], base: str) -> str:
    total = sum(details["shares"])
    mixed = "" if details["ordering"] in ORDERED else ":".join(f"{100 * share / total:.0f}" for share in details["shares"])
    parts = ["-".join(details["elements"]), mixed, details["ordering"], base, f"variant {details['variant']}" if details.get("variant") else ""]
    return " ".join(part for part in parts if part)


def known_crystals(cation: str, anion: str, prototypes: Sequence[str] = (), rarest: float = RAREST) -> dict[str, Crystal]:
    """The crystals of two elements in known types and with known charges: name → crystal, lengths from radii.

    Args:
        cation: symbol.
        anion: symbol.
        prototypes: common names of crystal types; all well-known ones where empty.
        rarest: nats, see :func:`deepstruc_hpc.structures.oxidation.rarity`.
    """
    return {
        name: one.crystal
        for name, one in _crystals(cation, anion).items()
        if (one.prototype in prototypes if prototypes else well_known(one.prototype)) and rarity(one.crystal.composition) <= rarest
    }


@lru_cache(maxsize=16)
def _crystals(cation: str, anion: str) -> Mapping[str, CrystalCandidate]:
    """All crystals of both elements, the first of each name."""
    found: dict[str, CrystalCandidate] = {}
    for one in candidate_crystals((cation, anion)):
        if one.anion == anion and set(one.crystal.composition) == {cation, anion}:
            found.setdefault(one.crystal.name, one)
    return found


def _cut(_symbol: str, _nn_distance: float, *, crystal: str, elements: Sequence[str], radius: float, centre: str, surface: Surface) -> Structure:
    found = _crystals(*elements)[crystal]
    made = cut_crystal(found.crystal, radius=radius, centre=centre, surface=surface)
    return Structure(made.symbols, made.positions, found.prototype, made.label)


def _cuts(
    max_atoms: int,
    *,
    cations: Iterable[str],
    anions: Iterable[str],
    prototypes: Iterable[str],
    rarest: float,
    radii: Iterable[float],
    centres: Iterable[str],
    surface: str,
) -> Candidates:
    named = tuple(prototypes)
    for cation in cations:
        for anion in anions:
            for name, crystal in known_crystals(cation, anion, named, rarest).items():
                density = sum(crystal.composition.values()) / abs(float(np.linalg.det(crystal.lattice)))
                largest = float(np.cbrt(max_atoms * 1.6 / density * 3 / (4 * np.pi)))
                for radius in radii:
                    for centre in centres if radius <= largest else ():
                        parameters = {"crystal": name, "elements": [cation, anion], "radius": float(radius)}
                        yield f"{name} {radius:g} Å about {centre} {surface}", parameters | {"centre": centre, "surface": surface}


PROTOTYPE_CUT = Family(
    "prototype_cut",
    "crystal",
    _cuts,
    _cut,
    {
        "cations": ("Ti", "Zn", "Ce"),
        "anions": ("O", "S"),
        "prototypes": (),
        "rarest": RAREST,
        "radii": (5.0, 7.0, 10.0, 14.0, 20.0),
        "centres": ("origin",),
        "surface": "bonded",
    },
    takes_metal=False,
    description="round cuts of known crystal types with a cation and an anion on their sites, charges that are known, lengths from radii",
    divided=lambda options: [{"cations": [cation], "anions": [anion]} for cation in options["cations"] for anion in options["anions"]],
)
