"""Clusters cut from template lattices by bodies: spheres, ellipsoids, prisms, facets (Wulff shapes), at every size that differs.

A body grows from the template lattice's origin; each size at which it takes up atoms is one shape. Atoms that dangle are taken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.close_packed import distinct_sequences, stacking_word
from deepstruc_hpc.structures.family import Candidates, Family, Listed
from deepstruc_hpc.structures.random_shapes import without_dangling, without_dangling_sites
from deepstruc_hpc.structures.sites import EmptyShapeError, to_structure
from deepstruc_hpc.structures.template_lattices import CUBIC_ORIGINS, FAULTS, HCP_ORIGINS, TemplateLattice, template_lattice

AXES: dict[str, tuple[float, float, float]] = {"001": (0, 0, 1), "110": (1, 1, 0), "111": (1, 1, 1)}
"""Long or short axes of ellipsoids, in the template lattice's frame (z is the hexagonal and five-fold axis)."""

CRYSTAL_TEMPLATES = (
    *(f"{lattice} {origin}" for lattice, origins in CUBIC_ORIGINS.items() for origin in origins),
    *(f"hcp {origin}" for origin in HCP_ORIGINS),
)
TWINNED_TEMPLATES = ("decahedral atom", "decahedral bond", "icosahedral", *(f"fcc {fault}" for fault in FAULTS))

_LEVEL_DIGITS = 5
_RIM = 1.0


def body_levels(
    template: TemplateLattice, body: str, *, axis: str = "001", aspect: float = 1.0, facets: Sequence[float] = ()
) -> Float64[NDArray[np.float64], " sites"]:
    """How far a body must grow to hold each site; (S,), nearest-neighbour distances.

    Args:
        template: the sites.
        body: ``sphere``; ``ellipsoid`` (aspect: length along the axis over width); ``round`` or ``hexagonal`` prism along z; ``facetted``.
        axis: of the ellipsoid, a key of :data:`AXES`.
        aspect: see body.
        facets: relative distance of each of the template lattice's families of facets; 0 leaves a family out.

    Raises:
        StructureError: no such body, or facets that leave it open.
    """
    x = template.sites
    if body == "sphere":
        return template.distance
    if body == "ellipsoid":
        along = x @ (np.array(AXES[axis]) / np.linalg.norm(AXES[axis]))
        level: NDArray[np.float64] = np.sqrt(template.distance**2 - along**2 + (along / aspect) ** 2)
        return level
    if body == "round":
        return np.asarray(np.hypot(x[:, 0], x[:, 1]))
    if body == "hexagonal":
        return np.asarray((x @ template.facets[0].T).max(axis=1))
    if body == "facetted" and len(facets) == len(template.facets) and any(facets):
        return np.asarray(
            np.max([(x @ normals.T).max(axis=1) / reach for normals, reach in zip(template.facets, facets, strict=True) if reach], axis=0)
        )
    raise StructureError(f"body {body!r} with facets {list(facets)} on template lattice {template.name}: "
                         f"needs sphere, ellipsoid, round, hexagonal, or facetted with {len(template.facets)} distances.")  # fmt: skip


def build_body(symbol: str, nn_distance: float, *, parent: str, body: str, level: float, reach: float, **details: Any) -> Structure:
    """A body grown to a level on a template lattice.

    Args:
        symbol: element.
        nn_distance: Å.
        parent: name of the template lattice, as in catalogs: :func:`~deepstruc_hpc.structures.template_lattices.template_lattice` takes it.
        body: see :func:`body_levels`, and there the details.
        level: how far the body has grown, nearest-neighbour distances.
        reach: radius of a ball that holds the body.
        **details: of the body.

    Raises:
        StructureError: nothing is left, or a layer of a stack is empty.
    """
    chosen = template_lattice(parent, reach)
    mask = without_dangling(chosen, body_levels(chosen, body, **details) <= level + 2 * 10**-_LEVEL_DIGITS)
    if not _complete(chosen, np.flatnonzero(mask)):
        raise EmptyShapeError(f"{body} of level {level} on {parent}: a layer has no atoms; ask for a larger one.")
    return to_structure(chosen.sites[mask], symbol, nn_distance, _type_on(chosen, parent), f"{symbol} {_name(parent, body, level, details)}")


def _type_on(chosen: TemplateLattice, template: str) -> str:
    """Structure type of what is cut from a template lattice; a stack's is that of its sequence."""
    if chosen.layer is None:
        return chosen.structure_type
    letters = set(stacking_word(template.split()[1]))
    return {"c": "fcc", "h": "hcp"}.get("".join(letters), "stacking_fault")


def _name(template: str, body: str, level: float, details: Mapping[str, Any]) -> str:
    extras = [f"{key} {'/'.join(f'{v:g}' for v in value) if isinstance(value, (list, tuple)) else value}" for key, value in details.items()]
    return " ".join([template, body, *extras, f"{level:.{_LEVEL_DIGITS}g}"])


def sizes_of(template: str, body: str, max_atoms: int, *, seen: set[bytes] | None = None, **details: Any) -> Candidates:
    """Every size of a body on a template lattice up to max_atoms atoms, smallest first.

    Args:
        template: its name.
        body: see :func:`body_levels`, and there the details.
        max_atoms: of the largest.
        seen: assignments to leave out; the new ones are added. Share it only between bodies on one template lattice and with one max_atoms.
        **details: of the body.
    """
    seen = set() if seen is None else seen
    flat = body in {"round", "hexagonal"}
    chosen = template_lattice(template, _even(np.sqrt(max_atoms / 3.0) + 2.0 if flat else np.cbrt(max_atoms / 2.0) * 1.35 + 2.0))
    levels = np.round(body_levels(chosen, body, **details), _LEVEL_DIGITS)
    away = np.hypot(chosen.sites[:, 0], chosen.sites[:, 1]) if chosen.layer is not None else chosen.distance
    open_from = levels[away > chosen.radius - _RIM].min()
    values, counts = np.unique(levels, return_counts=True)
    values = values[(np.cumsum(counts) <= 1.15 * max_atoms + 8) & (values < open_from)]
    inside = np.flatnonzero(levels <= (values[-1] if len(values) else 0.0) + 10**-_LEVEL_DIGITS)
    level_inside = levels[inside]
    for value in values:
        within = inside[level_inside <= value + 10**-_LEVEL_DIGITS]
        filled = without_dangling_sites(chosen, within)
        if not 0 < len(filled) <= max_atoms or not _complete(chosen, filled):
            continue
        key = blake2b(filled.tobytes(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            shape = {"parent": template, "body": body, "level": float(value), "reach": _even(float(away[within].max()) + 0.5), **details}
            yield Listed(_name(template, body, float(value), details), shape, chosen.sites[filled], _type_on(chosen, template))


def _complete(template: TemplateLattice, filled: NDArray[np.int64]) -> bool:
    """Whether every layer of a stack holds an atom."""
    return template.layer is None or len(np.unique(template.layer[filled])) > int(template.layer.max())


def _even(radius: float) -> float:
    """A radius in steps of 2, so that few sets of sites are made."""
    return float(2 * np.ceil(radius / 2))


def _stacks(
    max_atoms: int, *, min_layers: int, max_layers: int, pure: bool, cross_sections: Iterable[str], columns: Iterable[str], sequences: Iterable[str]
) -> Candidates:
    for sequence in sequences or _sequences(min_layers, max_layers, pure=pure):
        for column in columns:
            for section in cross_sections:
                details: dict[str, Any] = {"facets": [0.0, 1.0, 1.0, 0.0, 0.0]} if section == "facetted" else {}
                yield from sizes_of(f"close-packed {sequence}" + (f" on {column}" if column != "A" else ""), section, max_atoms, **details)


def _sequences(min_layers: int, max_layers: int, *, pure: bool) -> list[str]:
    return [sequence for n in range(min_layers, max_layers + 1) for sequence in distinct_sequences(n, pure=pure)]


def _by_sequence(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    chosen = options["sequences"] or _sequences(options["min_layers"], options["max_layers"], pure=options["pure"])
    return [{"sequences": [sequence]} for sequence in chosen]


def _by_template(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"parents": [template]} for template in options["parents"]]


def _round_bodies(max_atoms: int, *, parents: Iterable[str], axes: Iterable[str], aspects: Iterable[float]) -> Candidates:
    for parent in parents:
        seen: set[bytes] = set()
        yield from sizes_of(parent, "sphere", max_atoms, seen=seen)
        for axis in axes if aspects else ():
            if axis != "001" and not parent.startswith(("sc", "bcc", "fcc")):
                continue
            for aspect in aspects:
                yield from sizes_of(parent, "ellipsoid", max_atoms, seen=seen, axis=axis, aspect=float(aspect))


def _wulff(max_atoms: int, *, parents: Iterable[str], ratios: Sequence[float]) -> Candidates:
    for parent in parents:
        families = len(template_lattice(parent, 2.0).facets)
        seen: set[bytes] = set()
        for combination in _facet_combinations(families, [float(ratio) for ratio in ratios]):
            yield from sizes_of(parent, "facetted", max_atoms, seen=seen, facets=combination)


def _facet_combinations(families: int, ratios: Sequence[float]) -> list[list[float]]:
    """Relative distances with the first named family at 1, one, two or three families at a time."""
    combinations = [[1.0 if i == j else 0.0 for i in range(families)] for j in range(families)]
    for first in range(families):
        for second in range(families):
            if second != first:
                combinations += [[1.0 if i == first else ratio if i == second else 0.0 for i in range(families)] for ratio in ratios]
    for one in ratios:
        for two in ratios:
            combinations.append([1.0, one, two, *[0.0] * (families - 3)] if families >= 3 else [1.0, one][:families])
    unique = {tuple(round(value, 6) for value in combination): combination for combination in combinations}
    return list(unique.values())


BODY_FAMILIES = (
    Family(
        "stacking_fault",
        "stacking_fault",
        _stacks,
        build_body,
        {
            "min_layers": 4,
            "max_layers": 6,
            "pure": False,
            "cross_sections": ("round", "hexagonal", "facetted"),
            "columns": ("A", "B", "C"),
            "sequences": (),
        },
        description="close-packed stacks of 4 to max_layers layers, every faulted sequence; pure: true adds fcc (ABC…) and hcp (AB…)",
        divided=_by_sequence,
    ),
    Family(
        "round",
        "unknown",
        _round_bodies,
        build_body,
        {"parents": CRYSTAL_TEMPLATES, "axes": ("001", "111"), "aspects": (0.6, 0.75, 1.35, 1.7)},
        description="spherical and ellipsoidal cuts of sc, bcc, fcc and hcp about atoms, bonds and holes",
        divided=_by_template,
    ),
    Family(
        "wulff",
        "unknown",
        _wulff,
        build_body,
        {"parents": CRYSTAL_TEMPLATES, "ratios": (0.8, 0.9, 1.1)},
        description="facetted bodies of sc, bcc, fcc and hcp at ratios of facet distances, about atoms, bonds and holes",
        divided=_by_template,
    ),
    Family(
        "twinned",
        "unknown",
        _wulff,
        build_body,
        {"parents": TWINNED_TEMPLATES, "ratios": (0.8, 1.1)},
        description="facetted bodies of decahedra, icosahedra, and fcc with a twin plane or a stacking fault",
        divided=_by_template,
    ),
)
