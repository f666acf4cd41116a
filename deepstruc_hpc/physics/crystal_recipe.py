"""Recipes of diffpy.srfit for a crystal times the shape function of a sphere.

G(r) = γ(r) · G_crystal(r), γ(r) = 1 − (3/2)(r/d) + (1/2)(r/d)³ below the diameter d and 0 beyond it: what a round piece without defects shows.

Source: Kodama et al., Acta Cryst. A62 (2006) 444; Howell et al., Phys. Rev. B 73 (2006) 094107.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from diffpy.srfit.fitbase import ProfileGenerator
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.bulk import MOST_ZOOM, BulkCurve, bulk_distances, needed_reach
from deepstruc_hpc.physics.crystal_lattice import FreeCell, PeriodicCrystal, cell_vectors, free_cell
from deepstruc_hpc.physics.diffpy_bridge import contribution_of, recipe_of
from deepstruc_hpc.physics.diffpy_engine import (
    START,
    Engine,
    FinePDFGenerator,
    UisoChoice,
    diffpy_crystal,
    require_srreal,
    set_instrument,
    tie,
    tie_uiso,
    uiso_names,
)
from deepstruc_hpc.physics.instrument import Instrument


def crystal_recipe(
    crystal: PeriodicCrystal,
    curve: PdfCurve,
    instrument: Instrument,
    *,
    rmin: float,
    rmax: float,
    diameter: float | None = None,
    start: Mapping[str, Any] | None = None,
    free: Sequence[str] | None = None,
    engine: Engine = "native",
    uiso: UisoChoice = "element",
    low_q: float = 0.0,
) -> Any:
    """A diffpy.srfit FitRecipe of a crystal, cut by a sphere or without end.

    Args:
        crystal: in its conventional cell. The positions in the cell stay as they are.
        curve: the data; its points between rmin and rmax, weighted by 1/dG² where it has dG.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        rmin: Å.
        rmax: Å.
        diameter: of the sphere to start from, Å; None for a crystal without end.
        start: values by name; ``uiso`` is that of every element that has none of its own.
        free: names of the variables; ``uiso`` means those of all elements. All by default: scale, the parameters of the cell that the crystal
            system leaves free (a of a cubic cell; a and c of a tetragonal, hexagonal or trigonal one; a and alpha of a rhombohedral one; …), U,
            delta2, diameter.
        engine: ``native`` takes our G(r) of a crystal (scattering factors that depend on Q); ``diffpy`` takes srreal's PDFGenerator (scattering
            factors at Q = 0), with the cell tied by crystal system and every Uiso to its variable.
        uiso: one U an element (``element``, variables ``uiso_<symbol>``), one for all atoms (``shared``) or one a group of elements (a mapping).
        low_q: Å⁻¹, below which nothing of data and model counts; 0: all counts.

    Returns:
        The recipe; its contribution is called ``pdf``.

    Raises:
        EngineError: diffpy asked for and srreal not installed.
        StructureError: an impossible crystal, or not in its conventional cell.
        ConfigError: ``free`` names no variable.
    """
    cell = free_cell(crystal)
    native = engine == "native"
    generator = CrystalGenerator(crystal, cell, instrument, uiso=uiso) if native else _srreal_crystal(crystal, cell, instrument, uiso)
    contribution = contribution_of(generator, curve, instrument, rmin=rmin, rmax=rmax, low_q=low_q, diameter=diameter)
    names = ("scale", *cell.groups, *uiso_names(_symbols(crystal), uiso), "delta2")
    parameters = {name: getattr(generator, name) for name in names}
    if diameter is not None:
        parameters["diameter"] = contribution.diameter
    return recipe_of(contribution, parameters, start=start, free=tuple(parameters) if free is None else free)


class CrystalGenerator(ProfileGenerator):  # type: ignore[misc]
    """Our G(r) of a crystal as a ProfileGenerator of srfit.

    Args:
        crystal: what.
        cell: its free parameters, each a parameter of the generator.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: ``shared`` or ``element``.
    """

    def __init__(self, crystal: PeriodicCrystal, cell: FreeCell, instrument: Instrument, *, uiso: UisoChoice = "element") -> None:
        super().__init__("crystal")
        self.crystal, self.free_cell, self.instrument = crystal, cell, instrument
        self.conditions = instrument.model_dump()
        self.uiso_names = uiso_names(_symbols(crystal), uiso)
        symbols = sorted(_symbols(crystal))  # the order of the distances' elements
        self._which = [self.uiso_names.index(uiso_names([symbol], uiso)[0]) for symbol in symbols]
        for name in ("scale", *cell.groups, *self.uiso_names, "delta2"):
            self.newParameter(name, START.get(name.partition("_")[0], cell.start.get(name)))
        self._known: tuple[tuple[float, ...], NDArray[np.float64], BulkCurve] | None = None

    def __call__(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """G(r) at the present values of the parameters, Å⁻²; a negative U counts as 0."""
        value = {name: float(getattr(self, name).getValue()) for name in ("scale", *self.free_cell.groups, *self.uiso_names, "delta2")}
        uiso = np.maximum([value[name] for name in self.uiso_names], 0.0)[self._which]
        curve, zoom = self._bulk(self.free_cell.cell(value), r)
        return np.asarray(value["scale"] * curve(uiso=uiso, zoom=zoom, delta2=value["delta2"]))

    def _bulk(self, cell: tuple[float, ...], r: NDArray[np.float64]) -> tuple[BulkCurve, float]:
        """A curve to expand, and the expansion: that of before where the cell differs from it by an expansion of less than 5 % alone."""
        if self._known is not None and np.array_equal(self._known[1], r):
            ratio = np.array(cell) / np.array(self._known[0])
            zoom = float(ratio[0])
            if np.allclose(ratio, [zoom] * 3 + [1.0] * 3, rtol=1e-12, atol=0) and 1 / MOST_ZOOM < zoom < MOST_ZOOM:
                return self._known[2], zoom
        distances = bulk_distances(cell_vectors(cell), self.crystal.fractions, self.crystal.species, needed_reach(float(np.max(r))))
        self._known = (cell, np.array(r), BulkCurve(distances, r, self.instrument))
        return self._known[2], 1.0


def _srreal_crystal(crystal: PeriodicCrystal, cell: FreeCell, instrument: Instrument, uiso: UisoChoice) -> Any:
    """The periodic calculator of srreal with the lattice tied by crystal system and U by element."""
    require_srreal()
    generator = FinePDFGenerator("crystal")
    generator.setStructure(diffpy_crystal(crystal), periodic=True)
    set_instrument(generator, instrument)
    phase = generator.phase
    lattice = phase.getLattice()
    for name, members in cell.groups.items():
        tie(generator, name, cell.start[name], [getattr(lattice, member) for member in members])
    tie_uiso(generator, phase.getScatterers(), uiso)
    generator.delta2.value = START["delta2"]
    return generator


def _symbols(crystal: PeriodicCrystal) -> set[str]:
    return {symbol for site in crystal.species for symbol, _ in site}
