"""Clusters cut from any crystal: spheres, ellipsoids and facetted bodies about several centres, with rules for the surface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import reduce
from math import gcd
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.shapes import Float64, Int64, Positions
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.crystals import PROTOTYPES, Crystal, cif_crystal, cif_digest, cif_files, prototype_crystal
from deepstruc_hpc.structures.family import Candidates, Family
from deepstruc_hpc.structures.sites import EmptyShapeError, canonical_permutation

Surface = Literal["as_cut", "bonded", "coordinated", "formula_units"]
_BOND_STRETCH = 1.3
_MOST_SITES = 400_000


def crystal_sites(crystal: Crystal, radius: float, centre: Float64[NDArray[np.float64], " 3"]) -> tuple[Positions, Int64[NDArray[np.intp], " atoms"]]:
    """All sites of a crystal within a radius of a centre.

    Args:
        crystal: what to repeat.
        radius: Å.
        centre: (3,) Å.

    Returns:
        (N, 3) Å about the centre in the builder's order, and (N,) the site of the cell that each comes from.

    Raises:
        StructureError: so many that the radius must be a mistake.
    """
    inverse = np.linalg.inv(crystal.lattice)
    spread = radius * np.linalg.norm(inverse, axis=0)
    middle = centre @ inverse
    ranges = [np.arange(int(np.floor(m - s)) - 1, int(np.ceil(m + s)) + 1) for m, s in zip(middle, spread, strict=True)]
    if len(crystal.fractions) * np.prod([len(axis) for axis in ranges]) > 20 * _MOST_SITES:
        raise StructureError(f"{crystal.name}: a cut of {2 * radius:g} Å across holds too many atoms. Lengths are in Å (1 nm = 10 Å).")
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (cells + crystal.fractions).reshape(-1, 3) @ crystal.lattice - centre
    origin = np.tile(np.arange(len(crystal.fractions)), len(cells))
    inside = (sites**2).sum(axis=1) <= radius**2 + 1e-9
    sites, origin = np.round(sites[inside], 10) + 0.0, origin[inside]
    order = canonical_permutation(sites)
    return sites[order], origin[order]


def centre_of(crystal: Crystal, centre: str) -> Float64[NDArray[np.float64], " 3"]:
    """Where a named centre lies in the crystal, Å.

    Args:
        crystal: the crystal.
        centre: ``origin``, ``cell`` (middle of the cell), ``bond`` (middle of the shortest bond), or an element (its first site).

    Raises:
        StructureError: no such element in the crystal.
    """
    if centre == "origin":
        return np.zeros(3)
    if centre == "cell":
        return np.asarray(crystal.lattice.sum(axis=0) / 2.0)
    if centre == "bond":
        first = crystal.fractions[0] @ crystal.lattice
        sites, origin = crystal_sites(crystal, 1.6 * crystal.bond_length + 2.0, first)
        unlike = np.array([crystal.main_element[i] != crystal.main_element[0] for i in origin]) & (np.linalg.norm(sites, axis=1) > 1e-3)
        partner = sites[unlike][0] if unlike.any() else sites[1]
        return np.asarray(first + partner / 2.0)
    for fraction, symbol in zip(crystal.fractions, crystal.main_element, strict=True):
        if symbol == centre:
            return np.asarray(fraction @ crystal.lattice)
    raise StructureError(
        f"{crystal.name}: centre {centre!r} is neither origin, cell, bond nor one of its elements ({', '.join(crystal.composition)})."
    )


def parse_miller(text: str) -> tuple[int, int, int]:
    """Miller indices from ``101``, ``1-10`` or ``1 0 -1``.

    Raises:
        StructureError: not three indices.
    """
    parts = text.split() if " " in text.strip() else _digits(text.strip())
    try:
        h, k, l = (int(part) for part in parts)  # noqa: E741
    except ValueError as wrong:
        raise StructureError(f"facet {text!r}: three Miller indices are needed, such as 101, 1-10 or '1 0 -1'.") from wrong
    if (h, k, l) == (0, 0, 0):
        raise StructureError(f"facet {text!r}: at least one index must not be 0.")
    return h, k, l


def _digits(text: str) -> list[str]:
    parts: list[str] = []
    sign = ""
    for letter in text:
        if letter == "-":
            sign = "-"
        else:
            parts.append(sign + letter)
            sign = ""
    return parts


def cut_crystal(
    crystal: Crystal,
    *,
    radius: float,
    centre: str = "origin",
    aspect: float = 1.0,
    axis: tuple[int, int, int] = (0, 0, 1),
    facets: Mapping[str, float] | None = None,
    surface: Surface = "bonded",
    seed: int = 0,
) -> Structure:
    """A cluster cut from a crystal.

    Args:
        crystal: what to cut.
        radius: Å; of a sphere, of an ellipsoid across its axis, or to a facet at relative distance 1.
        centre: see :func:`centre_of`.
        aspect: length along the axis over width; 1 for a sphere.
        axis: direction [u v w] of the crystal.
        facets: Miller indices → relative distance; each stands for all equivalent ones. The body is also kept inside 2 radii.
        surface: ``as_cut``; ``bonded`` (atoms without an unlike neighbour are taken off); ``coordinated`` (cations inside the body with all their
            anions, none else); ``formula_units`` (bonded, then the least bound atoms in excess are taken off until whole formula units are left).
        seed: of the draw for sites with partial occupancy.

    Returns:
        A structure about its centroid, in the builder's order.

    Raises:
        StructureError: nothing is left, or an option that makes no sense.
    """
    if not radius > 0 or not aspect > 0:
        raise StructureError(f"{crystal.name}: radius {radius} Å and aspect {aspect}; positive numbers are needed.")
    shell = crystal.bond_length * _BOND_STRETCH
    reach = radius * (2.0 if facets else max(1.0, aspect))
    positions, origin = crystal_sites(crystal, reach + shell, centre_of(crystal, centre))
    level = _level(crystal, positions, aspect, axis, facets)
    symbols = _draw_symbols(crystal, origin, item_rng(seed, crystal.name))
    occupied = symbols != ""
    positions, level, symbols = positions[occupied], level[occupied], symbols[occupied]
    inside = level <= radius + 1e-6
    if surface == "coordinated":
        inside = _coordinated(crystal, positions, symbols, inside, shell)
    positions, symbols = positions[inside], symbols[inside]
    if surface in {"bonded", "formula_units"}:
        kept = _bonded(positions, symbols, shell)
        positions, symbols = positions[kept], symbols[kept]
    if surface == "formula_units" and len(positions):
        kept = _formula_units(crystal, positions, symbols, shell)
        positions, symbols = positions[kept], symbols[kept]
    if len(positions) == 0:
        raise EmptyShapeError(f"{crystal.name}: no atoms within {radius:g} Å of {centre}; ask for a larger radius.")
    positions = positions - positions.mean(axis=0)
    order = canonical_permutation(positions)
    return Structure(tuple(symbols[order].tolist()), positions[order], crystal.name, f"{crystal.name} {radius:g} Å about {centre}")


def _level(
    crystal: Crystal, positions: NDArray[np.float64], aspect: float, axis: tuple[int, int, int], facets: Mapping[str, float] | None
) -> NDArray[np.float64]:
    distance = np.linalg.norm(positions, axis=1)
    if facets:
        levels = [(positions @ crystal.facet_normals(parse_miller(name)).T).max(axis=1) / reach for name, reach in facets.items()]
        return np.asarray(np.maximum(np.max(levels, axis=0), distance / 2.0))
    direction = np.array(axis, dtype=np.float64) @ crystal.lattice
    along = positions @ (direction / np.linalg.norm(direction))
    return np.asarray(np.sqrt(np.maximum(distance**2 - along**2, 0.0) + (along / aspect) ** 2))


def _draw_symbols(crystal: Crystal, origin: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.str_]:
    """An element for each site, an empty string where it stays empty; the same for the same seed, however large the body."""
    symbols = np.array(crystal.main_element, dtype="U3")[origin]
    disordered = np.array([len(site) > 1 or abs(site[0][1] - 1.0) > 1e-6 for site in crystal.species])[origin]
    if disordered.any():
        draws = rng.random(len(origin))
        for number in np.flatnonzero(disordered):
            choices = crystal.species[int(origin[number])]
            edges = np.cumsum([occupancy for _, occupancy in choices])
            chosen = int(np.searchsorted(edges, draws[number] + 1e-12))
            symbols[number] = choices[chosen][0] if chosen < len(choices) else ""
    return symbols


def _unlike_neighbours(positions: NDArray[np.float64], symbols: NDArray[np.str_], cutoff: float) -> NDArray[np.intp]:
    """(P, 2) pairs of bonded atoms; of unlike elements where there are several."""
    pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray")
    if len(np.unique(symbols)) > 1:
        pairs = pairs[symbols[pairs[:, 0]] != symbols[pairs[:, 1]]]
    return np.asarray(pairs, dtype=np.intp)


def _counts(pairs: NDArray[np.intp], kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    alive = pairs[kept[pairs[:, 0]] & kept[pairs[:, 1]]]
    return np.asarray(np.bincount(alive.ravel(), minlength=len(kept)), dtype=np.intp)


def _bonded(positions: NDArray[np.float64], symbols: NDArray[np.str_], cutoff: float) -> NDArray[np.bool_]:
    pairs = _unlike_neighbours(positions, symbols, cutoff)
    return _counts(pairs, np.ones(len(positions), dtype=bool)) > 0


def _coordinated(
    crystal: Crystal, positions: NDArray[np.float64], symbols: NDArray[np.str_], inside: NDArray[np.bool_], cutoff: float
) -> NDArray[np.bool_]:
    anion = max(crystal.composition, key=lambda symbol: (crystal.composition[symbol], symbol in {"O", "S", "Se", "Te", "F", "Cl", "N"}))
    cation: NDArray[np.bool_] = inside & (symbols != anion)
    if not cation.any():
        return cation
    near = cKDTree(positions[cation]).query(positions, k=1)[0]
    return np.asarray(cation | ((symbols == anion) & (np.asarray(near) <= cutoff)))


def _formula_units(crystal: Crystal, positions: NDArray[np.float64], symbols: NDArray[np.str_], cutoff: float) -> NDArray[np.bool_]:
    """Which atoms stay so that elements are in the crystal's ratio: the least bound go first, then the farthest out, then the last in order."""
    formula = _formula(crystal)
    present = Counter(symbols.tolist())
    units = min(present.get(symbol, 0) // count for symbol, count in formula.items())
    kept = np.ones(len(symbols), dtype=bool)
    pairs = _unlike_neighbours(positions, symbols, cutoff)
    distance = np.round(np.linalg.norm(positions - positions.mean(axis=0), axis=1), 6)
    excess = {symbol: present[symbol] - units * formula.get(symbol, 0) for symbol in sorted(present)}
    while any(excess.values()):
        bonds = _counts(pairs, kept)
        for symbol in [name for name, count in excess.items() if count > 0]:
            members = np.flatnonzero(kept & (symbols == symbol))
            kept[members[np.lexsort((-members, -distance[members], bonds[members]))[0]]] = False
            excess[symbol] -= 1
    return kept


def _formula(crystal: Crystal) -> dict[str, int]:
    """Smallest whole numbers of atoms in the crystal's ratio (sixths are resolved, for spinels with vacancies)."""
    counts = {symbol: round(amount * 6) for symbol, amount in crystal.composition.items()}
    divisor = reduce(gcd, counts.values())
    return {symbol: count // divisor for symbol, count in counts.items()}


def crystal_named(crystal: str, digest: str = "") -> Crystal:
    """A built-in crystal by name, or the one of a CIF file by path."""
    return prototype_crystal(crystal) if crystal in PROTOTYPES else cif_crystal(crystal, digest)


def build_cut(_symbol: str, _nn_distance: float, *, crystal: str, digest: str = "", structure_type: str = "", **cut: Any) -> Structure:
    """A cut of a built-in crystal or a CIF file; ``cut`` as for :func:`cut_crystal`. It brings its own elements and lengths."""
    if "axis" in cut:
        cut["axis"] = tuple(cut["axis"])
    made = cut_crystal(crystal_named(crystal, digest), **cut)
    return Structure(made.symbols, made.positions, structure_type or made.structure_type, made.label)


def _cuts(
    max_atoms: int,
    *,
    crystals: Iterable[str],
    centres: Iterable[str],
    step: float,
    min_radius: float,
    aspects: Iterable[float],
    axis: Iterable[int],
    facets: Iterable[Mapping[str, float]],
    surface: str,
    seed: int,
    structure_type: str,
) -> Candidates:
    names: list[tuple[str, str]] = []
    for entry in [crystals] if isinstance(crystals, str) else crystals:
        names += [(entry, "")] if entry in PROTOTYPES else [(str(path), cif_digest(path)) for path in cif_files(entry)]
    bodies: list[dict[str, Any]] = [{"aspect": float(aspect), "axis": list(axis)} if aspect != 1 else {} for aspect in aspects]
    bodies += [{"facets": {name: float(reach) for name, reach in combination.items()}} for combination in facets]
    for name, digest in names:
        loaded = crystal_named(name, digest)
        density = sum(loaded.composition.values()) / abs(float(np.linalg.det(loaded.lattice)))
        largest = float(np.cbrt(max_atoms * 1.6 / density * 3 / (4 * np.pi)))
        for centre in centres:
            for body in bodies:
                for number in range(int(max(0.0, largest - min_radius) / step) + 1):
                    radius = round(min_radius + number * step, 6)
                    extra = {"digest": digest} if digest else {}
                    extra |= {"structure_type": structure_type} if structure_type else {}
                    words = " ".join(f"{key} {_words(value)}" for key, value in body.items())
                    yield (
                        " ".join(f"{loaded.name} {radius:g} Å about {centre} {words} {surface}".split()),
                        {"crystal": name, "radius": radius, "centre": centre, "surface": surface, "seed": seed, **body, **extra},
                    )


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "/".join(f"{key}:{reach:g}" for key, reach in value.items())
    return "".join(map(str, value)) if isinstance(value, list) else f"{value:g}"


CRYSTAL_FAMILIES = (
    Family(
        "crystal_cut",
        "crystal",
        _cuts,
        build_cut,
        {
            "crystals": tuple(PROTOTYPES),
            "centres": ("origin", "cell", "bond"),
            "step": 0.5,
            "min_radius": 2.5,
            "aspects": (1.0, 0.7, 1.4),
            "axis": (0, 0, 1),
            "facets": (),
            "surface": "bonded",
            "seed": 0,
            "structure_type": "",
        },
        takes_metal=False,
        description="cuts of built-in oxides and compounds, or of CIF files and folders of them: crystals: [CeO2, my/structures]",
        divided=lambda options: [
            {"crystals": [crystal]} for crystal in ([options["crystals"]] if isinstance(options["crystals"], str) else options["crystals"])
        ],
    ),
)
