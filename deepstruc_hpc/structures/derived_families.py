"""Families made from other families: alloys and disordered clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from deepstruc_hpc.core.errors import RecipeError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.decoration import alloy_name, compositions_of, decorate
from deepstruc_hpc.structures.defects import with_displacements, with_strain, with_surface_relaxation, with_vacancies
from deepstruc_hpc.structures.family import Candidates, Family, Shape
from deepstruc_hpc.structures.ordering import ORDERED, variants_of


def alloy_family(families: Mapping[str, Family]) -> Family:
    """Two-element alloys on the shapes of other families."""

    def build(
        _symbol: str, _nn_distance: float, *, base: str, base_parameters: Mapping[str, Any], structure_type: str = "", **details: Any
    ) -> Structure:
        made = decorate(families[base].builder(details["elements"][0], 1.0, **base_parameters), **details)
        return Structure(made.symbols, made.positions, structure_type or made.structure_type, alloy_name(details, made.label))

    def candidates(
        max_atoms: int,
        *,
        systems: Iterable[Sequence[str]],
        bases: Iterable[str],
        base_options: Mapping[str, Mapping[str, Any]],
        min_base_atoms: int,
        orderings: Iterable[str],
        compositions: Iterable[float],
        replicas: int,
        seed: int,
        radius_kind: str,
        distance: float | None,
        structure_type: str,
    ) -> Candidates:
        common: dict[str, Any] = {"radius_kind": radius_kind} | ({"distance": distance} if distance is not None else {})
        common |= {"structure_type": structure_type} if structure_type else {}
        shapes = [shape for base in bases for shape in _base(families, base).enumerate(min_base_atoms, max_atoms, **base_options.get(base, {}))]
        for system in systems:
            for ordering in orderings:
                for shape in shapes:
                    for fraction in compositions_of(ordering, compositions):
                        for number in _numbers(ordering, shape, replicas):
                            details = {"elements": list(system), "ordering": ordering, "fraction": fraction}
                            details |= {"variant": number} if ordering in ORDERED else {"seed": seed + number}
                            parameters = {"base": shape.family, "base_parameters": dict(shape.parameters), **details, **common}
                            yield alloy_name(details, shape.name), parameters

    return Family(
        "alloy",
        "alloy",
        candidates,
        build,
        {
            "systems": (("Cu", "Au"),),
            "bases": ("octahedral", "fcc", "icosahedral", "decahedral", "bcc"),
            "base_options": {},
            "min_base_atoms": 13,
            "orderings": ("random", "L1_0", "L1_2", "B2", "core_shell", "janus", "segregated"),
            "compositions": (0.25, 0.5, 0.75),
            "replicas": 1,
            "seed": 0,
            "radius_kind": "single",
            "distance": None,
            "structure_type": "",
        },
        takes_metal=False,
        description="two-element alloys, random, ordered or segregated, on the shapes of other families; distances by Vegard's law",
        divided=lambda options: [{"systems": [system]} for system in options["systems"]],
    )


_UNORDERED = {"anti_mackay": ("icosahedral",), "random": ("decahedral", "icosahedral")}
"""Shapes that are no lattice throughout (the overlayer of anti-Mackay icosahedra), or whose five-fold axes do not pass through the centroid."""


def _numbers(ordering: str, shape: Shape, replicas: int) -> Sequence[int]:
    """Variants of an ordered alloy, replicas of a random one, else one."""
    if ordering not in ORDERED:
        return range(replicas if ordering == "random" else 1)
    return () if shape.structure_type in _UNORDERED.get(shape.family, ()) else variants_of(ordering, shape.structure_type)


def _base(families: Mapping[str, Family], name: str) -> Family:
    if name not in families:
        raise RecipeError(f"base family {name!r}: not known. Use one of {', '.join(families)}.")
    return families[name]


def disordered_family(families: Mapping[str, Family]) -> Family:
    """Clusters of another family with vacancies, a relaxed surface, strain and displaced atoms, in this order."""

    def build(
        symbol: str,
        nn_distance: float,
        *,
        base: str,
        base_parameters: Mapping[str, Any],
        vacancies: float = 0.0,
        where: str = "anywhere",
        relaxation: float = 0.0,
        strain: float = 0.0,
        axis: Sequence[float] = (0.0, 0.0, 1.0),
        displacement: float = 0.0,
        seed: int = 0,
    ) -> Structure:
        ideal = families[base].builder(symbol, 1.0, **base_parameters)
        rng = item_rng(seed, ideal.label.removeprefix(symbol))
        steps: list[tuple[bool, Callable[[Structure], Structure]]] = [
            (vacancies > 0, lambda s: with_vacancies(s, vacancies, rng, where)),  # type: ignore[arg-type]
            (relaxation != 0, lambda s: with_surface_relaxation(s, relaxation)),
            (strain != 0, lambda s: with_strain(s, strain, axis)),
            (displacement > 0, lambda s: with_displacements(s, displacement**2, rng)),
        ]
        made = ideal
        for wanted, step in steps:
            made = step(made) if wanted else made
        return made.scaled(nn_distance)

    def candidates(
        max_atoms: int,
        *,
        base: str,
        base_options: Mapping[str, Any],
        min_base_atoms: int,
        vacancies: Iterable[float],
        where: str,
        relaxation: Iterable[float],
        strain: Iterable[float],
        axis: Sequence[float],
        displacement: Iterable[float],
        replicas: int,
        seed: int,
    ) -> Candidates:
        amounts = [(v, r, s, d) for v in vacancies for r in relaxation for s in strain for d in displacement]
        for shape in _base(families, base).enumerate(min_base_atoms, max_atoms, **base_options):
            for v, r, s, d in amounts:
                for number in range(replicas if v or d else 1):
                    details: dict[str, Any] = {"vacancies": v, "relaxation": r, "strain": s, "displacement": d}
                    details = {key: float(value) for key, value in details.items() if value}
                    words = " ".join(f"{key} {value:g}" for key, value in details.items()) or "ideal"
                    details |= {"where": where} if v else {}
                    details |= {"axis": list(axis)} if s else {}
                    name = f"{shape.name} {words}" + (f" seed {seed + number}" if v or d else "")
                    yield name, {"base": base, "base_parameters": dict(shape.parameters), "seed": seed + number, **details}

    return Family(
        "disordered",
        "unknown",
        candidates,
        build,
        {
            "base": "fcc",
            "base_options": {},
            "min_base_atoms": 13,
            "vacancies": (0.0, 0.03),
            "where": "anywhere",
            "relaxation": (0.0, 0.05),
            "strain": (0.0,),
            "axis": (0.0, 0.0, 1.0),
            "displacement": (0.0, 0.03),
            "replicas": 1,
            "seed": 0,
        },
        strained=True,
        description="shapes of another family with vacancies, surface relaxation, strain, displacements (lengths in nearest-neighbour distances)",
    )
