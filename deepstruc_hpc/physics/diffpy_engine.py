"""diffpy.srreal as the engine of a curve, where it is installed, and what it needs: structures, a fine grid, tied parameters.

srreal interpolates its G(r) linearly: with a step of 0.05 Å it is off by 2 % of max|G|, with 0.1 Å by 9 %. The bound is h²Q²/8 of a wave of
wave number Q at a step h. So everything here calculates on a fine grid and takes the values at the r that are wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from diffpy.srfit.pdf import DebyePDFGenerator, PDFGenerator
from diffpy.srfit.pdf.characteristicfunctions import sphericalCF
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.core.shapes import Float64, Numbers, PerAtom, Real
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.crystal_lattice import PeriodicCrystal, cell_parameters
from deepstruc_hpc.physics.form_factors import element_of
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf

Engine = Literal["native", "diffpy"]
UisoChoice = Literal["shared", "element"] | Mapping[str, str]
"""One U for all atoms, one an element, or element → group: one for each group; elements that are not named make groups of their own."""
ENVIRONMENT = "clusters/environment-diffpy.yaml"
START = {"scale": 1.0, "zoom": 1.0, "uiso": 0.008, "delta2": 2.0}
"""Values of a recipe's parameters where none are given; Uiso in Å², delta2 in Å²."""
COARSEST_STEP = 0.002
"""Å: the widest step of a grid that srreal is asked for; the linear interpolation is then off by at most 3e-4 of a wave of 25 Å⁻¹."""
LARGEST_PHASE = 0.05
"""Qmax·h of that grid where Qmax is above 25 Å⁻¹: the same 3e-4."""


def srreal_available() -> bool:
    """Whether diffpy.srreal (and with it libdiffpy) can be imported."""
    return find_spec("diffpy.srreal") is not None


def require_srreal(wanted: str = "engine diffpy", instead: str = "use engine native, whose F(Q) agrees with it to 1e-12") -> None:
    """Say clearly how to get srreal.

    Args:
        wanted: what needs it.
        instead: what can be done without it.

    Raises:
        EngineError: when it is not installed.
    """
    if not srreal_available():
        raise EngineError(
            f"{wanted}: diffpy.srreal is not installed. It has no wheels: create the conda environment of {ENVIRONMENT} (conda-forge), or {instead}."
        )


def simulate_with(
    engine: Engine,
    structure: Structure,
    r: Real[Numbers, " r"],
    instrument: Instrument,
    *,
    uiso: PerAtom = 0.005,
    delta1: float = 0.0,
    delta2: float = 0.0,
) -> Float64[NDArray[np.float64], " r"]:
    """G(r) of a cluster by an engine of choice; diffpy means srreal's DebyePDFCalculator.

    Args:
        engine: ``native`` or ``diffpy``.
        structure: the cluster.
        r: (R,) Å, any grid.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: Å², of all atoms or (N,) of each.
        delta1: Å.
        delta2: Å².

    Returns:
        (R,) Å⁻² on ``r``. srreal is asked for a grid of at most 0.002 Å and its curve is interpolated from there.

    Raises:
        EngineError: diffpy asked for and not installed.
    """
    grid = np.atleast_1d(np.asarray(r, dtype=np.float64))
    if engine == "native":
        atoms, conditions = (structure.symbols, structure.positions), instrument.model_dump()
        return simulate_pdf(*atoms, grid, uiso=uiso, delta1=delta1, delta2=delta2, **conditions)
    require_srreal()
    from diffpy.srreal.pdfcalculator import DebyePDFCalculator

    return _calculated(DebyePDFCalculator, diffpy_structure(structure, uiso), grid, instrument, delta1=delta1, delta2=delta2)


def simulate_crystal_with(
    engine: Engine,
    crystal: PeriodicCrystal,
    r: Real[Numbers, " r"],
    instrument: Instrument,
    *,
    uiso: float | Mapping[str, float] = 0.005,
    delta1: float = 0.0,
    delta2: float = 0.0,
    diameter: float | None = None,
) -> Float64[NDArray[np.float64], " r"]:
    """G(r) of a crystal, times the shape function of a sphere where a diameter is given; diffpy means srreal's PDFCalculator.

    Args:
        engine: ``native`` (scattering factors that depend on Q) or ``diffpy`` (scattering factors at Q = 0).
        crystal: what.
        r: (R,) Å, any grid.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: Å², of all atoms or by element.
        delta1: Å.
        delta2: Å².
        diameter: Å; None for a crystal without end.

    Returns:
        (R,) Å⁻² on ``r``, from a grid as in :func:`simulate_with`.

    Raises:
        EngineError: diffpy asked for and not installed.
    """
    grid = np.atleast_1d(np.asarray(r, dtype=np.float64))
    shape = 1.0 if diameter is None else sphericalCF(grid, float(diameter))
    if engine == "native":
        widths: dict[str, Any] = {"uiso": uiso, "delta1": delta1, "delta2": delta2}
        return np.asarray(shape * simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, grid, instrument, **widths))
    require_srreal()
    from diffpy.srreal.pdfcalculator import PDFCalculator

    return np.asarray(shape * _calculated(PDFCalculator, diffpy_crystal(crystal, uiso), grid, instrument, delta1=delta1, delta2=delta2))


def _calculated(kind: Any, structure: Any, grid: NDArray[np.float64], instrument: Instrument, *, delta1: float, delta2: float) -> NDArray[np.float64]:
    """The curve of one of srreal's calculators at the points of a grid."""
    calculator = kind(**calculation_grid(grid, instrument.qmax), qmin=instrument.qmin, qmax=instrument.qmax)
    calculator.qdamp, calculator.qbroad = instrument.qdamp, instrument.qbroad
    calculator.delta1, calculator.delta2 = delta1, delta2
    calculator.scatteringfactortable = _radiation(instrument)
    found_r, found_g = calculator(structure)
    return np.asarray(np.interp(grid, found_r, found_g))


def calculation_grid(r: Real[Numbers, " r"], qmax: float) -> dict[str, float]:
    """rmin, rmax and rstep (Å) for srreal, fine enough that its linear interpolation does not matter.

    The step divides that of a uniform grid, so that points of such a grid that lie on its multiples are calculated and not interpolated.
    """
    grid = np.atleast_1d(np.asarray(r, dtype=np.float64))
    finest = min(COARSEST_STEP, LARGEST_PHASE / qmax)
    apart = np.diff(np.sort(grid))
    given = float(apart.max(initial=0.0))
    step = given / np.ceil(given / finest * (1 - 1e-9)) if given > 0 and np.allclose(apart, given, rtol=1e-6) else finest
    return {"rmin": float(grid.min()), "rmax": float(grid.max()) + 2 * step, "rstep": float(step)}


def diffpy_structure(structure: Structure, uiso: PerAtom = 0.005) -> Any:
    """The cluster as a diffpy.structure Structure in a unit cell of 1 Å, as srreal takes isolated clusters; that cell's length is the zoom."""
    from diffpy.structure import Atom
    from diffpy.structure import Structure as DiffpyStructure

    each = np.broadcast_to(np.asarray(uiso, dtype=np.float64), len(structure)).tolist()
    atoms = [Atom(symbol, xyz=place, Uisoequiv=u) for symbol, place, u in zip(structure.symbols, structure.positions, each, strict=True)]
    return DiffpyStructure(atoms)


def diffpy_crystal(crystal: PeriodicCrystal, uiso: float | Mapping[str, float] = 0.005) -> Any:
    """The crystal as a diffpy.structure Structure, one atom an element of each site, with its occupancy and the U (Å²) of its element."""
    from diffpy.structure import Atom, Lattice
    from diffpy.structure import Structure as DiffpyStructure

    atoms = [
        Atom(symbol, xyz=place, Uisoequiv=uiso[symbol] if isinstance(uiso, Mapping) else uiso, occupancy=amount)
        for place, site in zip(crystal.fractions, crystal.species, strict=True)
        for symbol, amount in site
    ]
    return DiffpyStructure(atoms, lattice=Lattice(*cell_parameters(crystal.lattice)))


class FineGrid:
    """Makes a generator of srfit ask srreal for a fine grid, whatever the step of the data."""

    def _prepare(self, r: NDArray[np.float64]) -> None:
        super()._prepare(r)  # type: ignore[misc]
        calculator = self._calc  # type: ignore[attr-defined]
        grid = calculation_grid(r, float(calculator.qmax))
        calculator.rstep, calculator.rmin, calculator.rmax = grid["rstep"], grid["rmin"], grid["rmax"]


class FineDebyePDFGenerator(FineGrid, DebyePDFGenerator):  # type: ignore[misc]
    """srfit's DebyePDFGenerator on a fine grid."""


class FinePDFGenerator(FineGrid, PDFGenerator):  # type: ignore[misc]
    """srfit's PDFGenerator on a fine grid."""


def cluster_generator(structure: Structure, instrument: Instrument, *, uiso: UisoChoice = "shared") -> Any:
    """The Debye sum of srreal as a generator of srfit, with the parameters scale, zoom, U and delta2.

    Args:
        structure: the cluster.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: ``shared`` makes one parameter ``uiso`` for all atoms, ``element`` one ``uiso_<symbol>`` an element, groups ``uiso_<group>`` each.

    Returns:
        The generator. a, b and c of its phase are constrained to ``zoom``, Uiso of every atom to its U.

    Raises:
        EngineError: srreal is not installed.
    """
    require_srreal()
    generator = FineDebyePDFGenerator("cluster")
    generator.setStructure(diffpy_structure(structure), periodic=False)
    set_instrument(generator, instrument)
    phase = generator.phase
    lattice = phase.getLattice()
    tie(generator, "zoom", START["zoom"], (lattice.a, lattice.b, lattice.c))
    tie_uiso(generator, phase.getScatterers(), uiso)
    generator.delta2.value = START["delta2"]
    return generator


def set_instrument(generator: Any, instrument: Instrument) -> None:
    """Give a generator of srreal the conditions of an instrument; they stay readable as ``generator.conditions``."""
    generator.setQmin(instrument.qmin)
    generator.setQmax(instrument.qmax)
    generator.qdamp.value, generator.qbroad.value = instrument.qdamp, instrument.qbroad
    generator.setScatteringType(_radiation(instrument))
    generator.conditions = instrument.model_dump()


def tie(organizer: Any, name: str, value: float, parameters: Iterable[Any]) -> Any:
    """A new parameter of a ParameterSet or generator to which all the given ones are constrained.

    Args:
        organizer: that owns the new parameter and the constraints.
        name: of the new parameter.
        value: of the new parameter.
        parameters: what follows it in every fit.
    """
    shared = organizer.newParameter(name, value)
    for parameter in parameters:
        parameter.setValue(value)
        organizer.constrain(parameter, shared)
    return shared


def tie_uiso(organizer: Any, atoms: Sequence[Any], choice: UisoChoice, value: float = START["uiso"]) -> tuple[str, ...]:
    """Constrain Uiso of all atoms to one parameter, or of each element or group to one of its own; returns their names."""
    names = uiso_names((atom.element for atom in atoms), choice)
    for name in names:
        tie(organizer, name, value, [atom.Uiso for atom in atoms if name in uiso_names([atom.element], choice)])
    return names


def uiso_names(symbols: Iterable[str], choice: UisoChoice) -> tuple[str, ...]:
    """``uiso``, or ``uiso_<symbol>`` of each element (``uiso_<group>`` of each group) in alphabetical order; ions count to their element."""
    if choice == "shared":
        return ("uiso",)
    elements = {element_of(symbol) for symbol in symbols}
    return tuple(f"uiso_{name}" for name in sorted(elements if choice == "element" else {dict(choice).get(one, one) for one in elements}))


def _radiation(instrument: Instrument) -> str:
    return "N" if instrument.radiation == "neutron" else "X"
