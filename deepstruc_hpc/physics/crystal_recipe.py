"""Recipes of diffpy.srfit for a crystal times a shape function.

G(r) = γ₀(r) · G_crystal(r), with γ₀ of a sphere, of a lognormal distribution of spheres, of a spheroid or of a facetted body
(:mod:`deepstruc_hpc.physics.shape_functions`).

Source: Kodama et al., Acta Cryst. A62 (2006) 444; Howell et al., Phys. Rev. B 73 (2006) 094107.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from diffpy.srfit.fitbase import ProfileGenerator
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Float64
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
from deepstruc_hpc.physics.shape_functions import FACETTED, shape_function

START_SHAPE = {"spread": 0.15, "aspect": 1.2}
"""A width of many syntheses, and a spheroid that is nearly a sphere: at 0 and at 1 the curve does not change to first order. An oblate
spheroid needs a start below 1, as there is a minimum on either side."""


def crystal_recipe(
    crystal: PeriodicCrystal,
    curve: PdfCurve,
    instrument: Instrument,
    *,
    rmin: float,
    rmax: float,
    diameter: float | None = None,
    shape: str = "sphere",
    start: Mapping[str, Any] | None = None,
    free: Sequence[str] | None = None,
    engine: Engine = "native",
    uiso: UisoChoice = "element",
    low_q: float = 0.0,
) -> Any:
    """A diffpy.srfit FitRecipe of a crystal, cut by a sphere or another body or without end.

    Args:
        crystal: in its conventional cell. The positions in the cell stay as they are.
        curve: the data; its points between rmin and rmax, weighted by 1/dG² where it has dG.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        rmin: Å.
        rmax: Å.
        diameter: to start from, of the sphere of the body's volume (of a distribution the mean by volume), Å; None for a crystal without end.
        shape: ``sphere``, ``lognormal`` (variable ``spread``, the relative standard deviation of the diameters), ``spheroid`` (variable ``aspect``,
            length over width), or a facetted body of :data:`~deepstruc_hpc.physics.shape_functions.FACETTED`.
        start: values by name; ``uiso`` is that of every element that has none of its own.
        free: names of the variables; ``uiso`` means those of all elements. All by default: scale, the parameters of the cell that the crystal
            system leaves free (a of a cubic cell; a and c of a tetragonal, hexagonal or trigonal one; a and alpha of a rhombohedral one; …), U,
            delta2, diameter, spread or aspect.
        engine: ``native`` takes our G(r) of a crystal (scattering factors that depend on Q); ``diffpy`` takes srreal's PDFGenerator (scattering
            factors at Q = 0), with the cell tied by crystal system and every Uiso to its variable.
        uiso: one U an element (``element``, variables ``uiso_<symbol>``), one for all atoms (``shared``) or one a group of elements (a mapping).
        low_q: Å⁻¹, below which nothing of data and model counts; 0: all counts.

    Returns:
        The recipe; its contribution is called ``pdf``.

    Raises:
        EngineError: diffpy asked for and srreal not installed.
        StructureError: an impossible crystal, or not in its conventional cell.
        ConfigError: ``free`` names no variable, or there is no such shape.
    """
    cell = free_cell(crystal)
    native = engine == "native"
    generator = CrystalGenerator(crystal, cell, instrument, uiso=uiso) if native else _srreal_crystal(crystal, cell, instrument, uiso)
    body = None if diameter is None else _envelope(shape, diameter)
    contribution = contribution_of(generator, curve, instrument, rmin=rmin, rmax=rmax, low_q=low_q, shape=body)
    names = ("scale", *cell.groups, *uiso_names(_symbols(crystal), uiso), "delta2")
    parameters = {name: getattr(generator, name) for name in names}
    if body is not None:
        parameters |= {name: getattr(contribution, name) for name in body[1]}
    return recipe_of(contribution, parameters, start=start, free=tuple(parameters) if free is None else free)


def _envelope(shape: str, diameter: float) -> tuple[Callable[..., Any], dict[str, float]]:
    """γ₀ as a function of r and its variables, and the values of those to start from."""
    own = {"lognormal": "spread", "spheroid": "aspect"}.get(shape)
    if own is None and shape != "sphere" and shape not in FACETTED:
        raise ConfigError(f"no shape {shape!r}. Known: sphere, lognormal, spheroid, {', '.join(FACETTED)}.")

    def gamma(r: NDArray[np.float64], diameter: float, *value: float) -> NDArray[np.float64]:
        parameter = np.log(value[0]) if shape == "spheroid" else value[0] if value else 0.0
        return shape_function(shape, float(parameter))(r, 1.0 / float(diameter))

    return gamma, {"diameter": float(diameter), **({own: START_SHAPE[own]} if own else {})}


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

    def __call__(self, r: Float64[NDArray[np.float64], " r"]) -> Float64[NDArray[np.float64], " r"]:
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
