"""The entries of a catalog as candidates: metal shapes for any metal, and entries of several elements or of a crystal at their own scale."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.preselection import Screen
from deepstruc_hpc.solve.candidates.source import Budget, metal_of, metal_zoom, start_scale
from deepstruc_hpc.structures.crystals import PROTOTYPES, crystal_type
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of, metal_atomic_volume
from deepstruc_hpc.structures.occupation import faults_of
from deepstruc_hpc.structures.particle_cut import ParticleCut

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.solve.measurement.describe import Measurement

KEEP, SHARE = 600, 16
"""A list of more entries is preselected for every curve: so many of them are fitted, and of a very long one the sixteenth part."""
IN_MEMORY = 10_000
"""Of a longer list only the chosen shapes are read, for every curve."""
READ_AT_A_TIME = 2048
"""Shapes a block: bounds memory, changes no answer."""
CRYSTAL_FAMILY = "crystal_cut"
OWN_ZOOM = (0.94, 1.06)
"""Entries at their own scale: lattice constants of nanocrystals and alloys differ from tabulated or Vegard's ones by a few per cent at most."""


class CatalogSource:
    """The entries of one catalog, its columns read once.

    Entries of one metal differ between metals by scale alone, so one entry a shape stands for all of them, in units of its nearest-neighbour
    distance. Entries of several elements, and those cut from crystals, keep their own scale and are proposed for samples that hold their elements.

    Args:
        catalog: an open catalog.

    Attributes:
        shapes: number in the catalog of each metal shape.
        elements: all that occur in the catalog.
    """

    name = "catalog"

    def __init__(self, catalog: Catalog) -> None:
        columns = catalog.columns.reset_index(drop=True)
        self._elements = [frozenset(_symbols(text)) for text in columns["elements"]]
        crystal = columns["family"].eq(CRYSTAL_FAMILY).to_numpy() if "family" in columns else np.zeros(len(columns), dtype=bool)
        metal = np.array([len(symbols) == 1 for symbols in self._elements], dtype=bool) & ~crystal
        keys = ["structure_type", "fingerprint"] if "fingerprint" in columns else ["structure_type", "family", "shape"]
        first = ~columns.duplicated(keys).to_numpy()
        self._catalog, self._columns = catalog, columns
        self.shapes = np.flatnonzero(metal & first)
        self._own_scale = np.flatnonzero(~metal & ~columns.duplicated(["elements", *keys]).to_numpy())
        self._screens: dict[frozenset[str], Screen] = {}
        self._shape_screen = _screen(catalog, self.shapes, columns, own_scale=False) if len(self.shapes) > KEEP else None
        self._unit_shapes = self._read(self.shapes, unit=True) if len(self.shapes) <= IN_MEMORY else None
        self.elements = tuple(sorted(set().union(*self._elements)))

    def __len__(self) -> int:
        return len(self.shapes) + len(self._own_scale)

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:  # noqa: ARG002 - a list has no budget but KEEP
        """Metal shapes as clusters of the sample's strongest scatterer, and the entries whose elements the sample holds."""
        symbol = metal_of(measurement.sample)
        found = [] if symbol is None else self._metal_shapes(measurement, symbol)
        found += self._entries(measurement, frozenset(measurement.sample.elements))
        return CandidateSet(tuple(found), counts={"listed": len(self)})

    def entry(self, number: int) -> Candidate:
        """One entry of the catalog at its own scale, by its number there."""
        return _entry(self._columns.iloc[number], self._catalog[number])

    def _metal_shapes(self, measurement: Measurement, symbol: str) -> list[Candidate]:
        distance, zoom = nn_distance(symbol, "twelve"), metal_zoom(measurement, symbol)
        chosen = np.arange(len(self.shapes))
        if self._shape_screen is not None:
            unit = start_scale(measurement, symbol) * distance
            chosen = self._shape_screen.best(measurement.curve, unit, measurement.rmin, float(measurement.curve.r[-1]), _most(len(self.shapes)))
        shapes = [self._unit_shapes[place] for place in chosen] if self._unit_shapes is not None else self._read(self.shapes[chosen], unit=True)
        return [_as_metal(shape, symbol, distance, zoom) for shape in shapes]

    def _entries(self, measurement: Measurement, elements: frozenset[str]) -> list[Candidate]:
        rows = np.array([row for row in self._own_scale if self._elements[row] <= elements], dtype=np.intp)
        if len(rows) > KEEP:
            if elements not in self._screens:
                self._screens[elements] = _screen(self._catalog, rows, self._columns, own_scale=True)
            chosen = self._screens[elements].best(measurement.curve, 1.0, measurement.rmin, float(measurement.curve.r[-1]), _most(len(rows)))
            rows = rows[chosen]
        return self._read(rows, unit=False)

    def _read(self, rows: NDArray[np.intp], *, unit: bool) -> list[Candidate]:
        found = []
        for start in range(0, len(rows), READ_AT_A_TIME):
            part = rows[start : start + READ_AT_A_TIME]
            for number, structure in zip(part, self._catalog.structures(part.tolist()), strict=True):
                row = self._columns.iloc[int(number)]
                found.append(_unit_shape(row, structure) if unit else _entry(row, structure))
        return found


def _most(count: int) -> int:
    return max(KEEP, count // SHARE)


def _unit_shape(row: pd.Series, structure: Structure) -> Candidate:
    """A metal shape in units of its nearest-neighbour distance."""
    label = str(row["shape"]) if "shape" in row.index else structure.label
    scaled = replace(structure.scaled(1.0 / float(row["nn_distance"])), label=label, structure_type=str(row["structure_type"]))
    return Candidate(scaled, "catalog", catalog_id=str(row["id"]), complexity=_complexity(row, scaled))


def _as_metal(shape: Candidate, symbol: str, distance: float, zoom: tuple[float, float]) -> Candidate:
    bare = shape.structure
    structure = Structure.of_element(symbol, bare.positions * distance, bare.structure_type, bare.label)
    volume = metal_atomic_volume(lattice_of(bare.structure_type), distance)
    return replace(shape, structure=structure, zoom=zoom, length=distance, atomic_volume=volume)


def _entry(row: pd.Series, structure: Structure) -> Candidate:
    """An entry at its own scale."""
    label = str(row["shape"]) if "shape" in row.index else structure.label
    named_structure = replace(structure, label=label, structure_type=crystal_type(str(row["structure_type"])))
    cut, lattice = _cut_of(row), _lattice_of_alloy(row)
    if cut is not None:
        volume: float | None = cut.atomic_volume
    else:
        volume = metal_atomic_volume(lattice, float(row["nn_distance"])) if lattice else None
    return Candidate(
        named_structure,
        "catalog",
        zoom=OWN_ZOOM,
        lattice=lattice,
        length=float(row["nn_distance"]),
        atomic_volume=volume,
        catalog_id=str(row["id"]),
        complexity=_complexity(row, named_structure),
        cut=cut,
    )


def _cut_of(row: pd.Series) -> ParticleCut | None:
    """How an entry was cut from its crystal, or None where it was not, or the crystal's file is not here any more."""
    name = row.get("crystal")
    if not isinstance(name, str) or not name or row.get("family") != CRYSTAL_FAMILY:
        return None
    from deepstruc_hpc.structures.crystal_cut import crystal_named

    try:
        crystal = crystal_named(name, str(row.get("digest") or "") if name not in PROTOTYPES else "")
    except StructureError:
        return None
    facets = ast.literal_eval(row["facets"]) if _given(row, "facets") else {}
    return ParticleCut(
        crystal,
        radius=float(row["radius"]),
        centre=str(row["centre"]),
        aspect=float(row["aspect"]) if _given(row, "aspect") else 1.0,
        axis=_axis(str(row["axis"])) if _given(row, "axis") else (0, 0, 1),
        facets={str(miller): float(reach) for miller, reach in facets.items()},
        surface=row["surface"],
        seed=int(row["seed"]) if _given(row, "seed") else 0,
        structure_type=crystal_type(str(row["structure_type"])),
    )


def _axis(text: str) -> tuple[int, int, int]:
    """``0-0-1`` as the catalog joins the numbers of a list; a negative one follows two hyphens."""
    a, b, c = (int(part) for part in re.findall(r"(?:^|(?<=-))-?\d+", text))
    return a, b, c


_BASES: Mapping[str, str] = {"octahedral": "fcc", "anti_mackay": "icosahedral"}


def _lattice_of_alloy(row: pd.Series) -> str:
    """The lattice that an alloy is decorated on: its base family's, or that of the lattice which the base names."""
    base = row.get("base")
    if not isinstance(base, str) or not base:
        return ""
    named = ast.literal_eval(row["base_parameters"]).get("parent", "") if _given(row, "base_parameters") else ""
    if named:
        kind = str(named).split()[0]
        return "stacking_fault" if any(word in str(named) for word in ("twin", "fault")) else kind
    return _BASES.get(base, base)


def _given(row: pd.Series, name: str) -> bool:
    value: Any = row.get(name)
    return value is not None and value == value and value != ""  # noqa: PLR0124 - NaN


def _screen(catalog: Catalog, indices: NDArray[np.intp], columns: pd.DataFrame, *, own_scale: bool) -> Screen:
    parts = np.array_split(indices, max(1, -(-len(indices) // READ_AT_A_TIME)))
    chosen = columns.iloc[indices]
    types = chosen["structure_type"].to_numpy(dtype=object)
    distance = np.ones(len(indices)) if own_scale else chosen["nn_distance"].to_numpy(dtype=float)
    return Screen((catalog.pdf[part] for part in parts), catalog.r, distance, types)


def _complexity(row: pd.Series, structure: Structure) -> int:
    """Faults and vacancies where the catalog has a column of that name, else the faults that the layers of a faulted type show."""
    counted = [row[name] for name in ("n_faults", "n_vacancies") if name in row.index and np.isfinite(row[name])]
    return int(sum(counted)) if counted else faults_of(structure)


def _symbols(text: object) -> Sequence[str]:
    return tuple(sorted(set(re.findall(r"[A-Z][a-z]?", str(text)))))
