"""Candidates, and the shapes of a catalog held ready to become candidates of any metal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.placement import faults_of
from deepstruc_hpc.solve.screening import Screen
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.fingerprint import fingerprint

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from deepstruc_hpc.core.curve import PdfCurve
    from deepstruc_hpc.data.catalog_store import Catalog
    from deepstruc_hpc.structures.parents import Parent

KEEP, SHARE = 600, 16
"""A list of more shapes is screened for every curve: so many of them are fitted, and of a very long one the sixteenth part."""
IN_MEMORY = 10_000
"""Of a longer list only the chosen shapes are read, for every curve."""
FAULTED = frozenset({"stacking_fault"})
READ_AT_A_TIME = 2048


@dataclass(frozen=True, eq=False)
class Candidate:
    """A structure to fit.

    Attributes:
        structure: Å, one element at the metal's bulk nearest-neighbour distance where the shape has no scale of its own.
        source: ``cvae``, ``catalog`` or ``neighbour``.
        catalog_id: of the catalog's entry that has this shape, else empty.
        latent: the latent point it was decoded from, else empty.
        log_prior: ln of the model's prior density at the latent point.
        parent: name of the parent whose sites the model filled, else empty.
        filling: that parent and which of its sites are filled, or None.
        complexity: faults and defects that a perfect convex crystal or multiply twinned particle does not have.
    """

    structure: Structure
    source: str
    catalog_id: str = ""
    latent: tuple[float, ...] = ()
    log_prior: float = 0.0
    parent: str = ""
    complexity: float = 0.0
    filling: tuple[Parent, NDArray[np.bool_]] | None = None

    @cached_property
    def invariants(self) -> tuple[object, ...]:
        """See :func:`cheap_invariants`."""
        return cheap_invariants(self.structure)


class CatalogShapes:
    """The different shapes of a catalog, read once.

    Entries of one element differ between elements by scale alone, so one entry a shape stands for all of them, in units of its nearest-neighbour
    distance. Entries of several elements keep their scale.

    Args:
        catalog: an open catalog.

    Attributes:
        indices: number in the catalog of each one-element shape.
        elements: all that occur in the catalog.
    """

    def __init__(self, catalog: Catalog) -> None:
        columns = catalog.columns.reset_index(drop=True)
        one_element = np.array([len(_symbols(text)) == 1 for text in columns["elements"]], dtype=bool)
        keys = ["structure_type", "fingerprint"] if "fingerprint" in columns else ["structure_type", "family", "shape"]
        first = ~columns.duplicated(keys).to_numpy()
        self.indices = np.flatnonzero(one_element & first)
        self._catalog, self._columns = catalog, columns
        self._screen = _screen(catalog, self.indices, columns) if len(self.indices) > KEEP else None
        self._metal = _read(catalog, self.indices, columns, unit=True) if len(self.indices) <= IN_MEMORY else None
        self._fixed = _read(catalog, np.flatnonzero(~one_element), columns, unit=False)
        self.elements = tuple(sorted({symbol for text in columns["elements"].unique() for symbol in _symbols(text)}))

    def __len__(self) -> int:
        return len(self.indices) + len(self._fixed)

    @property
    def screened(self) -> bool:
        """Whether the list is so long that each curve gets a choice of it."""
        return self._screen is not None

    def candidates(self, elements: Sequence[str], curve: PdfCurve | None = None, *, unit: float = 0.0, rmin: float = 2.0) -> list[Candidate]:
        """The one-element shapes as clusters of the first element, then the entries of several elements that the sample holds.

        Args:
            elements: of the sample.
            curve: the data, by which a list of more than :data:`KEEP` shapes is screened.
            unit: Å, nearest-neighbour distance of the data where it is known better than from the element.
            rmin: Å, where the data begins to count.
        """
        symbol, distance = elements[0], nn_distance(elements[0], "twelve")
        chosen = np.arange(len(self.indices))
        if self._screen is not None and curve is not None:
            chosen = self._screen.best(curve, unit or distance, rmin, float(curve.r[-1]), max(KEEP, len(self.indices) // SHARE))
        if self._metal is not None:
            shapes = [self._metal[place] for place in chosen]
        else:
            shapes = _read(self._catalog, self.indices[chosen], self._columns, unit=True)
        found = []
        for shape in shapes:
            bare = shape.structure
            structure = Structure.of_element(symbol, bare.positions * distance, bare.structure_type, bare.label)
            found.append(replace(shape, structure=structure))
        return found + [entry for entry in self._fixed if set(entry.structure.symbols) <= set(elements)]


def without_duplicates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Drop candidates equal up to rotation, reflection, order and size; a sample that is a shape of the catalog keeps both names.

    Only candidates that share cheap invariants (number of atoms, moments about the centroid) are compared by fingerprint.
    """
    groups: dict[tuple[object, ...], list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.invariants, []).append(candidate)
    kept: list[Candidate] = []
    for group in groups.values():
        if len(group) == 1:
            kept += group
            continue
        distinct: dict[str, Candidate] = {}
        for candidate in group:
            mark = fingerprint(candidate.structure, scale_free=True)
            distinct[mark] = _merged(distinct[mark], candidate) if mark in distinct else candidate
        kept += distinct.values()
    return kept


def _merged(first: Candidate, second: Candidate) -> Candidate:
    """Two candidates of one shape: the sample's latent point, the catalog's id and type."""
    if first.source == second.source:
        return first
    sample, listed = (first, second) if first.source == "cvae" else (second, first)
    return replace(listed, source=sample.source, latent=sample.latent, log_prior=sample.log_prior)


def cheap_invariants(structure: Structure) -> tuple[object, ...]:
    """What is equal for structures equal up to rotation, reflection, order and size: size, elements, two ratios of moments; most others differ."""
    from deepstruc_hpc.structures.kernels import moment_ratios

    quartic, second = moment_ratios(structure.positions)
    return len(structure), structure.elements, round(quartic, 4), round(second, 4)


def _screen(catalog: Catalog, indices: np.ndarray, columns: pd.DataFrame) -> Screen:
    parts = np.array_split(indices, max(1, -(-len(indices) // READ_AT_A_TIME)))
    chosen = columns.iloc[indices]
    types = chosen["structure_type"].to_numpy(dtype=object)
    return Screen((catalog.pdf[part] for part in parts), catalog.r, chosen["nn_distance"].to_numpy(dtype=float), types)


def _read(catalog: Catalog, indices: np.ndarray, columns: pd.DataFrame, *, unit: bool) -> list[Candidate]:
    found = []
    for start in range(0, len(indices), READ_AT_A_TIME):
        chosen = indices[start : start + READ_AT_A_TIME]
        for index, structure in zip(chosen, catalog.structures(chosen.tolist()), strict=True):
            row = columns.iloc[int(index)]
            label = str(row["shape"]) if "shape" in columns else structure.label
            placed = structure.scaled(1.0 / float(row["nn_distance"])) if unit else structure
            placed = replace(placed, label=label, structure_type=str(row["structure_type"]))
            found.append(Candidate(placed, "catalog", catalog_id=str(row["id"]), complexity=_complexity(row, placed)))
    return found


def _complexity(row: pd.Series, structure: Structure) -> int:
    """Faults and vacancies where the catalog has a column of that name, else the faults that the layers of a faulted type show."""
    counted = [row[name] for name in ("n_faults", "n_vacancies") if name in row.index and np.isfinite(row[name])]
    return int(sum(counted)) if counted else faults_of(structure)


def _symbols(text: object) -> tuple[str, ...]:
    return tuple(sorted(set(re.findall(r"[A-Z][a-z]?", str(text)))))
