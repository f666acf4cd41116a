"""Candidates of explicit atoms against one curve after another: what does not depend on the curve is made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit_problem import FitProblem
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.histogram import extent
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.screening import fit_groups, impossible_distances
from deepstruc_hpc.physics.separable import Spectra
from deepstruc_hpc.physics.uiso_groups import CLOSE_TO_BEST, automatic_groups
from deepstruc_hpc.solve.measurement.describe import Measurement

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Block:
    """Candidates of the same elements and about the same size: their numbers (C,) and their separable form."""

    rows: Rows
    spectra: Spectra


class Refitter:
    """Keeps the separable form of structures for one instrument.

    Args:
        instrument: whose radiation and range of Q the curves have.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.structures: list[Structure] = []
        self.zoom = np.zeros((0, 2))
        self.usable = np.zeros(0, dtype=bool)
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        return len(self.structures)

    def add(self, structures: Sequence[Structure], zoom: Floats, measurement: Measurement) -> None:
        """Take further structures in; they get the next numbers.

        Args:
            structures: S of them, Å.
            zoom: (S, 2) bounds of the zoom of each.
            measurement: any with this instrument.
        """
        first, problem = len(self.structures), _problem(measurement)
        self.structures += structures
        self.zoom = np.concatenate([self.zoom, zoom])
        table = FitTable.empty(len(structures), 0, 0.0)
        sizes = np.array([extent(structure.positions) for structure in structures])
        usable = np.zeros(len(structures), dtype=bool)
        for group in fit_groups(structures, sizes, self.instrument.radiation, table):
            places = np.array(group)
            spectra = problem.spectra([structures[place] for place in group], zoom[places])
            usable[places] = impossible_distances(spectra) == ""
            self._blocks.append(_Block(first + places, spectra))
        self.usable = np.concatenate([self.usable, usable])

    def keep(self, rows: Rows) -> None:
        """Forget all structures but these, which keep their order and are numbered anew."""
        number = np.full(len(self.structures), -1)
        number[rows] = np.arange(len(rows))
        blocks = []
        for block in self._blocks:
            left = np.flatnonzero(number[block.rows] >= 0)
            if len(left):
                blocks.append(_Block(number[block.rows[left]], _some(block.spectra, left)))
        self._blocks = blocks
        self.structures = [self.structures[row] for row in rows]
        self.zoom, self.usable = self.zoom[rows], self.usable[rows]

    def agreement(self, measurement: Measurement, rows: Rows, p: Floats) -> Floats:
        """(C,) Rw of structures at zoom, U and delta2 (C, 3), with the best scale and nothing else refined."""
        problem, found = _problem(measurement), np.full(len(rows), np.inf)
        for block, inside, places in self._parts(rows):
            found[inside] = problem.agreement(block.spectra, places, self.zoom[rows[inside]], p[inside])
        return found

    def fit(self, measurement: Measurement, rows: Rows, begin: Floats) -> FitTable:
        """A row of a fit each, refined from ``begin`` (C, 3) without a scan of the zoom; several U where the data carry them, as in a full fit."""
        problem = _problem(measurement)
        table = FitTable.empty(len(rows), len(measurement.data), problem.n_independent)
        for block, inside, places in self._parts(rows):
            table.put(inside, problem.refit(block.spectra, places, self.zoom[rows[inside]], begin[inside]))
        close = table.rw <= CLOSE_TO_BEST * table.rw.min(initial=np.inf)
        for block, inside, places in self._parts(rows):
            chosen = np.flatnonzero(close[inside])
            if len(chosen) and len(automatic_groups(block.spectra.elements)) > 1:
                problem.more_uiso(_some(block.spectra, places[chosen]), self.zoom[rows[inside[chosen]]], inside[chosen], table)
        return table

    def _parts(self, rows: Rows) -> list[tuple[_Block, Rows, Rows]]:
        """For each block the places in ``rows`` that it holds, and their places in the block."""
        where = np.full(len(self.structures), -1)
        parts = []
        for block in self._blocks:
            where[:] = -1
            where[block.rows] = np.arange(len(block.rows))
            inside = np.flatnonzero((where[rows] >= 0) & self.usable[rows])
            if len(inside):
                parts.append((block, inside, where[rows[inside]]))
        return parts


def _problem(measurement: Measurement) -> FitProblem:
    return FitProblem(measurement.data, measurement.instrument, low_q=measurement.low_q)


def _some(spectra: Spectra, rows: NDArray[np.intp]) -> Spectra:
    """The separable form of some of the structures."""
    columns = {name: getattr(spectra, name)[rows] for name in ("values", "fractions", "n_atoms", "shortest", "longest", "lengths")}
    return replace(spectra, **columns)
