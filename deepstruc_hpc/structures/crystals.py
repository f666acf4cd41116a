"""Crystals to cut clusters from: built-in prototypes of oxides and compounds, and any CIF file.

Sources of the cells (Å): Inorganic structures as compiled in R. W. G. Wyckoff, Crystal Structures (1963), and the American Mineralogist Crystal
Structure Database; rutile and anatase Howard et al., Acta Cryst. B47 (1991) 462; brookite Meagher & Lager, Can. Mineral. 17 (1979) 77; monoclinic
ZrO2 Howard et al., Acta Cryst. B44 (1988) 116; magnetite Fleet, Acta Cryst. B37 (1981) 917; maghemite as a spinel with one sixth of the
octahedral sites empty.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64

Species = tuple[tuple[str, float], ...]
"""Elements of one site with their occupancies; together at most 1."""


@dataclass(frozen=True)
class Prototype:
    """A crystal by space group: cell (a, b, c in Å, angles in degrees) and one position for each kind of site."""

    space_group: str
    cell: tuple[float, float, float, float, float, float]
    sites: tuple[tuple[Mapping[str, float], tuple[float, float, float]], ...]

    @property
    def elements(self) -> frozenset[str]:
        """Of all sites."""
        return frozenset(symbol for species, _ in self.sites for symbol in species)


def _cubic(space_group: str, a: float, *sites: tuple[Mapping[str, float], tuple[float, float, float]]) -> Prototype:
    return Prototype(space_group, (a, a, a, 90.0, 90.0, 90.0), sites)


def _site(species: str | Mapping[str, float], x: float, y: float, z: float) -> tuple[Mapping[str, float], tuple[float, float, float]]:
    return ({species: 1.0} if isinstance(species, str) else species, (x, y, z))


def _fluorite(cation: str, anion: str, a: float) -> Prototype:
    return _cubic("Fm-3m", a, _site(cation, 0, 0, 0), _site(anion, 0.25, 0.25, 0.25))


def _rocksalt(cation: str, anion: str, a: float) -> Prototype:
    return _cubic("Fm-3m", a, _site(cation, 0, 0, 0), _site(anion, 0.5, 0.5, 0.5))


def _spinel(tetrahedral: str | Mapping[str, float], octahedral: str | Mapping[str, float], a: float, u: float) -> Prototype:
    # Origin at the centre of symmetry: tetrahedral sites 1/8, octahedral sites 1/2.
    return _cubic("Fd-3m:2", a, _site(tetrahedral, 0.125, 0.125, 0.125), _site(octahedral, 0.5, 0.5, 0.5), _site("O", u, u, u))


def _wurtzite(cation: str, anion: str, a: float, c: float, u: float) -> Prototype:
    return Prototype("P6_3mc", (a, a, c, 90.0, 90.0, 120.0), (_site(cation, 1 / 3, 2 / 3, 0), _site(anion, 1 / 3, 2 / 3, u)))


PROTOTYPES: dict[str, Prototype] = {
    "TiO2 rutile": Prototype("P4_2/mnm", (4.5937, 4.5937, 2.9587, 90, 90, 90), (_site("Ti", 0, 0, 0), _site("O", 0.3048, 0.3048, 0))),
    "TiO2 anatase": Prototype("I4_1/amd", (3.7845, 3.7845, 9.5143, 90, 90, 90), (_site("Ti", 0, 0, 0), _site("O", 0, 0, 0.2081))),
    "TiO2 brookite": Prototype(
        "Pbca",
        (9.174, 5.449, 5.138, 90, 90, 90),
        (_site("Ti", 0.1289, 0.0972, 0.8628), _site("O", 0.0095, 0.1491, 0.1835), _site("O", 0.2314, 0.1110, 0.5366)),
    ),
    "CeO2": _fluorite("Ce", "O", 5.411),
    "UO2": _fluorite("U", "O", 5.471),
    "ZrO2 cubic": _fluorite("Zr", "O", 5.09),
    "ZrO2 tetragonal": Prototype("P4_2/nmc", (3.596, 3.596, 5.184, 90, 90, 90), (_site("Zr", 0, 0, 0), _site("O", 0, 0.5, 0.2044))),
    "ZrO2 monoclinic": Prototype(
        "P2_1/c",
        (5.1505, 5.2116, 5.3173, 90, 99.23, 90),
        (_site("Zr", 0.2754, 0.0395, 0.2083), _site("O", 0.0700, 0.3317, 0.3447), _site("O", 0.4496, 0.7569, 0.4792)),
    ),
    "ZnO": _wurtzite("Zn", "O", 3.2498, 5.2066, 0.3821),
    "Fe3O4": _spinel("Fe", "Fe", 8.3941, 0.2549),
    "gamma-Fe2O3": _spinel("Fe", {"Fe": 5 / 6}, 8.3457, 0.2546),
    "Co3O4": _spinel("Co", "Co", 8.0835, 0.2642),
    "CoFe2O4": _spinel("Fe", {"Fe": 0.5, "Co": 0.5}, 8.3919, 0.2555),
    "NiO": _rocksalt("Ni", "O", 4.1769),
    "MgO": _rocksalt("Mg", "O", 4.2117),
    "CdSe zincblende": _cubic("F-43m", 6.077, _site("Cd", 0, 0, 0), _site("Se", 0.25, 0.25, 0.25)),
    "CdSe wurtzite": _wurtzite("Cd", "Se", 4.2985, 7.0150, 0.3767),
}
"""Built-in crystals by name."""

COMMON_NAMES: dict[str, str] = {
    "TiO2 rutile": "rutile",
    "TiO2 anatase": "anatase",
    "TiO2 brookite": "brookite",
    "CeO2": "fluorite",
    "UO2": "fluorite",
    "ZrO2 cubic": "fluorite",
    "ZrO2 tetragonal": "tetragonal_zirconia",
    "ZrO2 monoclinic": "baddeleyite",
    "ZnO": "wurtzite",
    "CdSe wurtzite": "wurtzite",
    "CdSe zincblende": "zincblende",
    "NiO": "rock_salt",
    "MgO": "rock_salt",
    "Fe3O4": "spinel",
    "gamma-Fe2O3": "spinel",
    "Co3O4": "spinel",
    "CoFe2O4": "spinel",
}
"""The prototype's common name of each built-in crystal."""


def crystal_type(name: str) -> str:
    """The structure type of a crystal: its prototype's common name in lower case, else the crystal's own name."""
    return COMMON_NAMES.get(name, name)


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic structure.

    Attributes:
        name: what it is.
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3) positions in the cell.
        species: the elements of each site.
        point_operations: (G, 3, 3) Cartesian point group, for equivalent facets.
    """

    name: str
    lattice: NDArray[np.float64]
    fractions: NDArray[np.float64]
    species: tuple[Species, ...]
    point_operations: NDArray[np.float64]

    @cached_property
    def main_element(self) -> tuple[str, ...]:
        """The most frequent element of each site."""
        return tuple(max(site, key=lambda entry: (entry[1], entry[0]))[0] for site in self.species)

    @cached_property
    def composition(self) -> dict[str, float]:
        """Atoms of each element in a cell, occupancies counted."""
        totals: dict[str, float] = {}
        for site in self.species:
            for symbol, occupancy in site:
                totals[symbol] = totals.get(symbol, 0.0) + occupancy
        return totals

    @cached_property
    def bond_length(self) -> float:
        """The shortest distance between sites of unlike elements (of any two where there is one element), Å."""
        steps = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        apart = np.linalg.norm((self.fractions[None, :, None] + steps[None, None] - self.fractions[:, None, None]) @ self.lattice, axis=-1)
        distance = apart.min(axis=-1, where=apart > 1e-3, initial=np.inf)
        unlike = np.array([[a != b for b in self.main_element] for a in self.main_element])
        chosen = distance[unlike] if unlike.any() else distance
        return float(chosen.min())

    def facet_normals(self, miller: tuple[int, int, int]) -> Float64[NDArray[np.float64], "planes 3"]:
        """Unit normals of all planes that the point group makes equal to (h k l); (F, 3)."""
        normal = np.linalg.inv(self.lattice) @ np.array(miller, dtype=np.float64)
        images = np.round(np.einsum("gij,j->gi", self.point_operations, normal / np.linalg.norm(normal)), 9) + 0.0
        return np.unique(images, axis=0)


def crystal_from_pymatgen(structure: Any, name: str) -> Crystal:
    """A crystal from a ``pymatgen.core.Structure``, disorder included.

    Raises:
        StructureError: a site that is not made of elements.
    """
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    species = []
    for site in structure:
        try:
            species.append(tuple(sorted((str(kind.symbol), float(amount)) for kind, amount in site.species.items())))
        except AttributeError as odd:
            raise StructureError(f"{name}: site {site.species_string!r} is no element; remove it from the file.") from odd
    operations = np.array([op.rotation_matrix for op in SpacegroupAnalyzer(structure, symprec=0.01).get_point_group_operations(cartesian=True)])
    return Crystal(name, np.array(structure.lattice.matrix), np.mod(np.round(structure.frac_coords, 9), 1.0), tuple(species), operations)


@lru_cache(maxsize=64)
def prototype_crystal(name: str) -> Crystal:
    """A built-in crystal.

    Raises:
        StructureError: none of that name.
    """
    if name not in PROTOTYPES:
        raise StructureError(f"crystal {name!r}: not built in. Known: {', '.join(PROTOTYPES)}; or give the path of a .cif file.")
    return crystal_of_prototype(PROTOTYPES[name], name)


def crystal_of_prototype(prototype: Prototype, name: str) -> Crystal:
    """The crystal that a space group, a cell and its different sites describe."""
    from pymatgen.core import Lattice, Structure

    kinds, places = [dict(site[0]) for site in prototype.sites], [list(site[1]) for site in prototype.sites]
    structure = Structure.from_spacegroup(prototype.space_group, Lattice.from_parameters(*prototype.cell), kinds, places)
    return crystal_from_pymatgen(structure, name)


def cif_digest(path: Path) -> str:
    """A hash of a CIF file's bytes, by which a shape knows that the file is still the same.

    Raises:
        StructureError: the file cannot be read.
    """
    try:
        return blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as missing:
        raise StructureError(f"{path}: cannot be read ({missing.strerror}). Check the path.") from missing


@lru_cache(maxsize=64)
def cif_crystal(path: str, digest: str = "") -> Crystal:
    """The crystal of a CIF file.

    Args:
        path: of the file.
        digest: what :func:`cif_digest` said when the shape was listed; not checked where empty.

    Raises:
        StructureError: no readable CIF, or a file that has changed since.
    """
    found = cif_digest(Path(path))
    if digest and digest != found:
        raise StructureError(f"{path}: has changed since the catalog was planned. Put the old file back, or build to a new store.")
    from pymatgen.io.cif import CifParser

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = CifParser(path, occupancy_tolerance=1.05).parse_structures(primitive=False)[0]
    except (ValueError, KeyError, IndexError, AssertionError, TypeError) as broken:
        raise StructureError(f"{path}: not a CIF with a crystal structure in it ({' '.join(str(broken).split())[:200]}).") from broken
    return crystal_from_pymatgen(structure, Path(path).stem)


def cif_files(place: str) -> list[Path]:
    """A CIF file, or all of a folder in alphabetical order.

    Raises:
        StructureError: no such file or folder, or a folder without CIF files.
    """
    path = Path(place)
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".cif")
        if not files:
            raise StructureError(f"{path}: no .cif files in this folder.")
        return files
    if not path.is_file():
        raise StructureError(f"crystal {place!r}: neither built in nor a file. Built in: {', '.join(PROTOTYPES)}.")
    return [path]
