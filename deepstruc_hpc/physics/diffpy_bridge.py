"""The same curves and fits through diffpy: srfit always, srreal where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from diffpy.srfit.fitbase import FitContribution, FitRecipe, Profile, ProfileGenerator
from numpy.typing import NDArray
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.diffpy_engine import (
    START,
    Engine,
    UisoChoice,
    cluster_generator,
    require_srreal,
    simulate_with,
    srreal_available,
    uiso_names,
)
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.physics.target import low_q_part

NAMES = tuple(START)
"""The variables of a cluster, for fits with one U; with one U an element ``uiso`` stands for all of them."""
TOLERANCE = 1.5e-8
"""Relative change of χ² or of the parameters at which a search ends; the default of scipy's leastsq."""
NOT_NEGATIVE = ("uiso", "diameter")
"""Variables with the lower bound 0: a curve does not change with a U below 0, and a search that came there would not find back."""
__all__ = [
    "NAMES",
    "ClusterGenerator",
    "Engine",
    "SrfitResult",
    "UisoChoice",
    "contribution_of",
    "recipe_of",
    "refine_with_srfit",
    "require_srreal",
    "simulate_with",
    "srfit_recipe",
    "srreal_available",
]


class ClusterGenerator(ProfileGenerator):  # type: ignore[misc]
    """Our curve as a ProfileGenerator of srfit, with the parameters scale, zoom, U and delta2.

    Args:
        structure: the cluster.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        name: of the generator.
        uiso: ``shared`` makes one parameter ``uiso``, ``element`` one ``uiso_<symbol>`` an element.
    """

    def __init__(self, structure: Structure, instrument: Instrument, name: str = "cluster", *, uiso: UisoChoice = "shared") -> None:
        super().__init__(name)
        self.structure = structure
        self.conditions = instrument.model_dump()
        self.uiso_names = uiso_names(structure.symbols, uiso)
        self._which = np.array([self.uiso_names.index(uiso_names([symbol], uiso)[0]) for symbol in structure.symbols], dtype=np.int64)
        for parameter in ("scale", "zoom", *self.uiso_names, "delta2"):
            self.newParameter(parameter, START[parameter.partition("_")[0]])

    def __call__(self, r: Float64[NDArray[np.float64], " r"]) -> Float64[NDArray[np.float64], " r"]:
        """G(r) at the present values of the parameters, Å⁻²; a negative U counts as 0."""
        scale, zoom, delta2 = (float(getattr(self, name).getValue()) for name in ("scale", "zoom", "delta2"))
        each = np.maximum([float(getattr(self, name).getValue()) for name in self.uiso_names], 0.0)[self._which]
        curve = simulate_pdf(self.structure.symbols, self.structure.positions * zoom, r, uiso=each, delta2=delta2, **self.conditions)
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
    start: Mapping[str, Any] | None = None,
    free: Sequence[str] = NAMES,
    engine: Engine = "native",
    uiso: UisoChoice = "shared",
    low_q: float = 0.0,
) -> Any:
    """A diffpy.srfit FitRecipe of one candidate, ready to be refined or changed by its user.

    Args:
        structure: the candidate.
        curve: the data; its points between rmin and rmax, weighted by 1/dG² where it has dG.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        rmin: Å.
        rmax: Å.
        start: values by name (a row of a fit's table will do); ``uiso`` is that of every element that has none of its own, as ``uiso_<symbol>`` or
            in a mapping ``uiso_by_element``.
        free: names of the variables; ``uiso`` means those of all elements.
        engine: ``native`` takes our curve as the generator; ``diffpy`` takes srreal's DebyePDFGenerator, with a, b and c of the cluster's cell
            constrained to zoom and every Uiso to its variable.
        uiso: one U for all atoms (``shared``), one an element (``element``, variables ``uiso_<symbol>``) or one a group of elements (a mapping).
        low_q: Å⁻¹, below which nothing of data and model counts, as in our fit (:mod:`deepstruc_hpc.physics.target`); 0: all counts.

    Returns:
        The recipe; its contribution is called ``pdf``. Without dG its residual is Gobs − Gcalc, so √(Σ residual² / ΣGobs²) is Rw.

    Raises:
        EngineError: diffpy asked for and srreal not installed.
        ConfigError: ``free`` names no variable.
    """
    native = engine == "native"
    generator = ClusterGenerator(structure, instrument, uiso=uiso) if native else cluster_generator(structure, instrument, uiso=uiso)
    names = ("scale", "zoom", *uiso_names(structure.symbols, uiso), "delta2")
    contribution = contribution_of(generator, curve, instrument, rmin=rmin, rmax=rmax, low_q=low_q)
    return recipe_of(contribution, {name: getattr(generator, name) for name in names}, start=start, free=free)


def contribution_of(
    generator: Any,
    curve: PdfCurve,
    instrument: Instrument,
    *,
    rmin: float,
    rmax: float,
    low_q: float = 0.0,
    shape: tuple[Callable[..., Any], Mapping[str, float]] | None = None,
) -> Any:
    """A FitContribution ``pdf`` of one generator and the points of a curve, weighted by 1/dG² where the curve has dG.

    Args:
        generator: of the model.
        curve: the data; its points between rmin and rmax (Å) count.
        instrument: Qmin and Qdamp of the low-Q part.
        rmin: Å.
        rmax: Å.
        low_q: Å⁻¹. Above 0 the observed profile is without its part below max(Qmin, low_q), and the equation takes that of the model out.
        shape: a function of r (Å) and of parameters that multiplies the generator, and their values by name; None for none.
    """
    data = curve.between(rmin, rmax)
    part = partial(low_q_part, data.r, qmin=instrument.qmin, qdamp=instrument.qdamp, low_q=low_q)
    profile = Profile()
    profile.setObservedProfile(data.r, data.g - part(data.g) if low_q > 0 else data.g, np.ones(len(data)) if data.dg is None else data.dg)
    profile.meta["qcut"] = max(instrument.qmin, low_q)
    contribution = FitContribution("pdf")
    contribution.addProfileGenerator(generator)
    contribution.setProfile(profile, xname="r")
    equation = str(generator.name)
    if shape is not None:
        function, values = shape
        contribution.registerFunction(function, name="envelope", argnames=["r", *values])
        for name, value in values.items():
            getattr(contribution, name).setValue(float(value))
        equation += " * envelope"
    if low_q > 0:
        contribution.registerFunction(lambda whole: whole - part(np.broadcast_to(whole, len(data))), name="above_low_q", argnames=["whole"])
        equation = f"above_low_q({equation})"
    contribution.setEquation(equation)
    return contribution


def recipe_of(contribution: Any, parameters: Mapping[str, Any], *, start: Mapping[str, Any] | None, free: Iterable[str]) -> Any:
    """A quiet FitRecipe of one contribution, with the bound U ≥ 0.

    Args:
        contribution: see :func:`contribution_of`.
        parameters: what can be refined, by the names of the variables.
        start: values by name; others keep the parameter's own.
        free: names that become variables.

    Raises:
        ConfigError: ``free`` names no parameter.
    """
    values, wanted = dict(start or {}), tuple(free)
    values |= {f"uiso_{symbol}": value for symbol, value in (values.get("uiso_by_element") or {}).items()}
    known = {*parameters, *(name.partition("_")[0] for name in parameters)}
    for name in wanted:
        if name not in known:
            raise ConfigError(f"free: {name!r} is no variable of this recipe. It has {', '.join(parameters)}.")
    recipe = FitRecipe()
    recipe.clearFitHooks()
    recipe.addContribution(contribution)
    for name, parameter in parameters.items():
        value = values.get(name, values.get(name.partition("_")[0]))
        if value is not None:
            parameter.setValue(float(value))
        if name in wanted or name.partition("_")[0] in wanted:
            variable = recipe.addVar(parameter, name=name)
            if name.partition("_")[0] in NOT_NEGATIVE:
                variable.boundRange(lb=0.0)
    return recipe


def refine_with_srfit(recipe: Any) -> SrfitResult:
    """Refine a recipe of this module with scipy's least_squares within the recipe's bounds, derivatives by differences, as srfit is used.

    The matrices are small, and threads of a linear-algebra library would wait for each other longer than they work: one thread is used.

    Returns:
        Rw over all points with equal weight, values, and uncertainties scaled to independent points.
    """
    names = list(recipe.getNames())
    low, high = recipe.getBounds2()
    begin = np.clip(np.array(recipe.getValues(), dtype=np.float64), low, high)
    with threadpool_limits(1):
        found = least_squares(recipe.residual, begin, bounds=(low, high), x_scale="jac", xtol=TOLERANCE, ftol=TOLERANCE, gtol=None)
        residual = recipe.residual(found.x)
    profile = recipe.pdf.profile
    generator = next(iter(recipe.pdf._generators.values()))  # noqa: SLF001 - srfit has no public way to its generators
    qmax = getattr(generator, "conditions", {"qmax": np.pi / (profile.x[1] - profile.x[0])})["qmax"]
    independent = independent_points(float(profile.x[0]), float(profile.x[-1]), profile.meta.get("qcut", 0.0), qmax)
    freedom = independent - len(names)
    variance = np.full(len(names), np.nan)
    jacobian = np.asarray(found.jac, dtype=np.float64)
    size = np.linalg.norm(jacobian, axis=0)
    if freedom > 0 and (size > 0).all():
        normal = (jacobian / size).T @ (jacobian / size)
        if np.linalg.cond(normal) < 1e12:
            variance = np.diag(np.linalg.inv(normal)) / size**2 * float(residual @ residual) / freedom
    errors = {name: float(value) for name, value in zip(names, np.sqrt(variance), strict=True)}
    fitted = {name: float(value) for name, value in zip(names, found.x, strict=True)}
    return SrfitResult(rw(profile.y, profile.ycalc), fitted, errors, recipe)
