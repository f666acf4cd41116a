"""The same curves and fits through diffpy: srfit always, srreal where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from diffpy.srfit.fitbase import FitContribution, FitRecipe, Profile, ProfileGenerator
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import leastsq

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.agreement import independent_points, rw
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf

Engine = Literal["native", "diffpy"]
NAMES = ("scale", "zoom", "uiso", "delta2")


def srreal_available() -> bool:
    """Whether diffpy.srreal (and with it libdiffpy) can be imported."""
    return find_spec("diffpy.srreal") is not None


def require_srreal() -> None:
    """Say clearly how to get srreal.

    Raises:
        EngineError: when it is not installed.
    """
    if not srreal_available():
        raise EngineError(
            "engine 'diffpy': diffpy.srreal is not installed. It has no wheels: create the conda environment of clusters/environment-diffpy.yaml "
            "(conda-forge), or use --engine native, whose F(Q) agrees with it to 1e-12."
        )


def simulate_with(engine: Engine, structure: Structure, r: ArrayLike, instrument: Instrument, *, uiso: float = 0.005, delta2: float = 0.0) -> Any:
    """G(r) by an engine of choice; diffpy means srreal's DebyePDFCalculator.

    Args:
        engine: ``native`` or ``diffpy``.
        structure: the cluster.
        r: (R,) Å; uniform for diffpy.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: Å².
        delta2: Å².

    Returns:
        (R,) Å⁻² on ``r``.

    Raises:
        EngineError: diffpy asked for and not installed.
    """
    grid = np.asarray(r, dtype=np.float64)
    if engine == "native":
        return simulate_pdf(structure.symbols, structure.positions, grid, uiso=uiso, delta2=delta2, **_instrument(instrument))
    require_srreal()
    from diffpy.srreal.pdfcalculator import DebyePDFCalculator

    step = float(grid[1] - grid[0])
    calculator = DebyePDFCalculator(rmin=grid[0], rmax=grid[-1] + step, rstep=step, qmin=instrument.qmin, qmax=instrument.qmax)
    calculator.qdamp, calculator.qbroad, calculator.delta2 = instrument.qdamp, instrument.qbroad, delta2
    calculator.scatteringfactortable = "N" if instrument.radiation == "neutron" else "X"
    found_r, found_g = calculator(diffpy_structure(structure, uiso))
    return np.interp(grid, found_r, found_g)


def diffpy_structure(structure: Structure, uiso: float = 0.005) -> Any:
    """The cluster as a diffpy.structure Structure without a lattice (unit cell of 1 Å, as srreal takes isolated clusters)."""
    from diffpy.structure import Atom
    from diffpy.structure import Structure as DiffpyStructure

    atoms = [Atom(symbol, xyz=position, Uisoequiv=uiso) for symbol, position in zip(structure.symbols, structure.positions, strict=True)]
    return DiffpyStructure(atoms)


class ClusterGenerator(ProfileGenerator):  # type: ignore[misc]
    """Our curve as a ProfileGenerator of srfit, with the parameters scale, zoom, uiso and delta2."""

    def __init__(self, structure: Structure, instrument: Instrument, name: str = "cluster") -> None:
        super().__init__(name)
        self.structure = structure
        self.conditions = _instrument(instrument)
        for parameter, value in zip(NAMES, (1.0, 1.0, 0.008, 2.0), strict=True):
            self.newParameter(parameter, value)

    def __call__(self, r: NDArray[np.float64]) -> NDArray[np.float64]:
        """G(r) at the present values of the parameters, Å⁻²."""
        scale, zoom, uiso, delta2 = (float(getattr(self, name).getValue()) for name in NAMES)
        uiso = max(uiso, 0.0)
        curve = simulate_pdf(self.structure.symbols, self.structure.positions * zoom, r, uiso=uiso, delta2=delta2, **self.conditions)
        return scale * curve


@dataclass(frozen=True, eq=False)
class SrfitResult:
    """A fit by srfit: Rw, values and uncertainties by name, and the recipe to go on with."""

    rw: float
    values: Mapping[str, float]
    errors: Mapping[str, float]
    recipe: Any


def srfit_recipe(
    structure: Structure,
    curve: PdfCurve,
    instrument: Instrument,
    *,
    rmin: float,
    rmax: float,
    start: Mapping[str, float] | None = None,
    free: Sequence[str] = NAMES,
    engine: Engine = "native",
) -> Any:
    """A diffpy.srfit FitRecipe of one candidate, ready to be refined or changed by its user.

    Args:
        structure: the candidate.
        curve: the data; its points between rmin and rmax.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        rmin: Å.
        rmax: Å.
        start: values by name (a row of a fit's table will do).
        free: names of the variables.
        engine: ``native`` takes our curve as the generator; ``diffpy`` takes srreal's DebyePDFGenerator.

    Returns:
        The recipe; its contribution is called ``pdf``.

    Raises:
        EngineError: diffpy asked for and srreal not installed.
    """
    data = curve.between(rmin, rmax)
    profile = Profile()
    profile.setObservedProfile(data.r, data.g, np.ones(len(data)) if data.dg is None else data.dg)
    generator = ClusterGenerator(structure, instrument) if engine == "native" else _srreal_generator(structure, instrument)
    contribution = FitContribution("pdf")
    contribution.addProfileGenerator(generator)
    contribution.setProfile(profile, xname="r")
    recipe = FitRecipe()
    recipe.clearFitHooks()
    recipe.addContribution(contribution)
    values = dict(start or {})
    for name in NAMES:
        parameter = getattr(generator, name)
        if name in values:
            parameter.setValue(float(values[name]))
        if name in free:
            recipe.addVar(parameter, name=name)
    return recipe


def refine_with_srfit(recipe: Any) -> SrfitResult:
    """Refine a recipe of :func:`srfit_recipe` with scipy's leastsq, the usual way of srfit.

    Returns:
        Rw over all points with equal weight, values, and uncertainties scaled to independent points.
    """
    names = list(recipe.getNames())
    begin = np.array(recipe.getValues(), dtype=np.float64)
    values, covariance, _, _, _ = leastsq(recipe.residual, begin, full_output=True, epsfcn=1e-10)
    profile = recipe.pdf.profile
    residual = recipe.residual(values)
    generator = next(iter(recipe.pdf._generators.values()))  # noqa: SLF001 - srfit has no public way to its generators
    conditions = getattr(generator, "conditions", {"qmin": 0.0, "qmax": np.pi / (profile.x[1] - profile.x[0])})
    independent = independent_points(float(profile.x[0]), float(profile.x[-1]), conditions["qmin"], conditions["qmax"])
    freedom = independent - len(names)
    variance = np.full(len(names), np.nan)
    if covariance is not None and freedom > 0:
        variance = np.diag(covariance) * float(residual @ residual) / freedom
    errors = dict(zip(names, np.sqrt(variance), strict=True))
    fitted = dict(zip(names, (float(value) for value in values), strict=True))
    return SrfitResult(rw(profile.y, profile.ycalc), fitted, errors, recipe)


def _instrument(instrument: Instrument) -> dict[str, Any]:
    return instrument.model_dump()


def _srreal_generator(structure: Structure, instrument: Instrument) -> Any:
    require_srreal()
    from diffpy.srfit.pdf import DebyePDFGenerator

    generator = DebyePDFGenerator("cluster")
    generator.setStructure(diffpy_structure(structure), periodic=False)
    generator.setQmin(instrument.qmin)
    generator.setQmax(instrument.qmax)
    generator.qdamp.value, generator.qbroad.value = instrument.qdamp, instrument.qbroad
    generator.setScatteringType("N" if instrument.radiation == "neutron" else "X")
    lattice = generator.phase.getLattice()
    generator.zoom = lattice.a
    atoms = generator.phase.getScatterers()
    generator.uiso = atoms[0].Uiso
    return generator
