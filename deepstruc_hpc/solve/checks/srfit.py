"""The best candidates refined again by diffpy.srfit: its own minimisation of the same residual, from a start that is not our minimum."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.errors import TimeLimitError
from deepstruc_hpc.physics.form_factors import element_of
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.ranking import Ranking

if TYPE_CHECKING:
    from deepstruc_hpc.core.curve import PdfCurve
    from deepstruc_hpc.physics.crystal_fit import CrystalFit
    from deepstruc_hpc.physics.diffpy_engine import Engine, UisoChoice

PARAMETERS = ("scale", "zoom", "uiso", "delta2")
COUNT = 10
"""Best candidates that are refined again; a limit of time."""
_AWAY: Mapping[str, float] = {"scale": 0.9, "zoom": 1.002, "a": 1.002, "b": 1.002, "c": 1.002, "uiso": 1.2, "diameter": 1.1}
"""Factors by which the start lies away from our minimum, so that agreement is not given."""
SEVERAL_PHASES = "several phases together are not verified"


def verify_with_srfit(ranking: Ranking, measurement: Measurement, *, count: int = COUNT) -> pd.DataFrame:
    """Refine the best candidates again by srfit: clusters by the Debye sum, crystals × spheres by a crystal times a shape function.

    The same data count as in our fits: all points with equal weight, without what lies below the measurement's ``low_q``. Elements that share a U in
    our fit share it there. Of a crystal the lengths of the cell that its system leaves free are refined, the positions stay.

    Args:
        ranking: candidates in order of rank, with our parameters.
        measurement: data, range and instrument.
        count: how many, from rank 1.

    Returns:
        One row a candidate: rank, structure_type, n_atoms, rw, rw_srfit, engine (what made the curves); each parameter with ``<name>_err``,
        ``<name>_srfit``, ``<name>_srfit_err`` (of several U also ``uiso_<elements>``, where ``uiso`` is their mean over the atoms; of crystals also
        those of the cell and ``diameter``); seconds; message, which is empty or says why srfit gave no answer. A failure of srfit is such a message
        and never an error.
    """
    best = list(enumerate(ranking.candidates))[:count]
    return pd.DataFrame([{"rank": place + 1, **_verify_one(candidate, ranking.candidates.row(place), measurement)} for place, candidate in best])


def _verify_one(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> dict[str, Any]:
    known = {"structure_type": candidate.structure.structure_type, "n_atoms": candidate.n_atoms}
    found: dict[str, Any] = {**known, "rw": row["rw"], "rw_srfit": np.nan, "engine": ""}
    for name in PARAMETERS:
        found |= {name: row[name], f"{name}_err": row.get(f"{name}_err", np.nan), f"{name}_srfit": np.nan, f"{name}_srfit_err": np.nan}
    if candidate.phases is not None:
        return {**found, "seconds": 0.0, "message": SEVERAL_PHASES}
    started, message = time.monotonic(), ""
    try:
        from deepstruc_hpc.physics.diffpy_bridge import refine_with_srfit

        job = _of_cluster(candidate, row, measurement) if candidate.crystal_fit is None else _of_crystal(candidate.crystal_fit, measurement)
        found["engine"] = job.engine
        result = refine_with_srfit(job.recipe)
        found["rw_srfit"] = result.rw
        for name, value in job.ours.items():
            found |= {name: value, f"{name}_srfit": result.values[name], f"{name}_srfit_err": result.errors[name]}
        if len(set(job.uiso.values())) > 1:
            found["uiso_srfit"] = float(np.mean([result.values[job.uiso[element_of(symbol)]] for symbol in candidate.structure.symbols]))
        cell = [result.values[name] / job.ours[name] for name in job.lengths]
        if cell:
            found["zoom_srfit"] = float(np.prod(cell) ** (1.0 / 3.0))
    except TimeLimitError:
        raise
    except Exception as failed:  # noqa: BLE001 - the word of another program is worth less than the answer it speaks about
        message = f"srfit gave no answer: {type(failed).__name__}: {failed}"
    return {**found, "seconds": round(time.monotonic() - started, 3), "message": message}


@dataclass(frozen=True, eq=False)
class _Job:
    """A recipe that starts away from our minimum.

    Attributes:
        recipe: of srfit.
        engine: what makes its curves.
        ours: our values by the names of its variables.
        uiso: the variable of each element's U.
        lengths: the variables of a, b and c of a crystal; empty for a cluster.
    """

    recipe: Any
    engine: str
    ours: Mapping[str, float]
    uiso: Mapping[str, str]
    lengths: tuple[str, ...] = ()


def _of_cluster(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> _Job:
    from deepstruc_hpc.physics.diffpy_bridge import srfit_recipe

    choice, variables = _shared(row.get("uiso_by_element") or dict.fromkeys(candidate.structure.elements, row["uiso"]))
    values = row.get("uiso_by_element") or {}
    ours = {name: float(row[name]) for name in ("scale", "zoom", "delta2")}
    ours |= {variable: float(values.get(element, row["uiso"])) for element, variable in variables.items()}
    recipe = srfit_recipe(
        candidate.structure,
        _evenly_weighted(measurement.curve),
        measurement.instrument,
        rmin=measurement.rmin,
        rmax=measurement.rmax,
        start=_away(ours),
        uiso=choice,
        low_q=measurement.low_q,
    )
    return _Job(recipe, "Debye sum of this program", ours, variables)


def _of_crystal(fit: CrystalFit, measurement: Measurement) -> _Job:
    from deepstruc_hpc.physics.crystal_lattice import CELL, cell_parameters, free_cell
    from deepstruc_hpc.physics.crystal_recipe import crystal_recipe
    from deepstruc_hpc.physics.diffpy_engine import srreal_available

    engine: Engine = "diffpy" if srreal_available() else "native"
    choice, variables = _shared(fit.uiso)
    cell, groups = dict(zip(CELL, cell_parameters(fit.crystal.lattice), strict=True)), free_cell(fit.crystal).groups
    ours = {"scale": fit.scale, "delta2": fit.delta2, **{name: cell[name] for name in groups if name in CELL[:3]}}
    ours |= {variable: fit.uiso[element] for element, variable in variables.items()}
    if fit.diameter is not None:
        ours["diameter"] = fit.diameter
        ours |= {"lognormal": {"spread": fit.size_spread}, "spheroid": {"aspect": fit.aspect}}.get(fit.shape, {})
    recipe = crystal_recipe(
        fit.crystal,
        _evenly_weighted(measurement.curve),
        measurement.instrument.model_copy(update={"qdamp": fit.qdamp, "qbroad": fit.qbroad}),
        rmin=measurement.rmin,
        rmax=min(measurement.rmax, fit.rmax),
        diameter=fit.diameter,
        shape=fit.shape,
        start=_away(ours),
        free=tuple(ours),
        engine=engine,
        uiso=choice,
        low_q=measurement.low_q,
    )
    named = {member: name for name, members in groups.items() for member in members}
    shape = "" if fit.diameter is None else f" × {fit.shape}"
    made = "PDFGenerator of diffpy" if engine == "diffpy" else "crystal of this program"
    return _Job(recipe, made + shape, ours, variables, tuple(named[length] for length in CELL[:3]))


def _evenly_weighted(curve: PdfCurve) -> PdfCurve:
    """The curve without uncertainties: all points count alike, as in our fits."""
    return replace(curve, dg=None)


def _away(ours: Mapping[str, float]) -> dict[str, float]:
    return {name: value * _AWAY.get(name.partition("_")[0], 1.0) for name, value in ours.items()}


def _shared(uiso: Mapping[str, float]) -> tuple[UisoChoice, dict[str, str]]:
    """Which elements share a U in a fit of ours, and the name of each element's variable."""
    if len(set(uiso.values())) == 1:
        return "shared", {element_of(symbol): "uiso" for symbol in uiso}
    groups = {element_of(symbol): "".join(sorted({element_of(other) for other, u in uiso.items() if u == value})) for symbol, value in uiso.items()}
    return groups, {element: f"uiso_{group}" for element, group in groups.items()}


def verify_in_words(table: pd.DataFrame, program: str = "srfit") -> str:
    """One sentence on how another program and the engine compare.

    Args:
        table: of :func:`verify_with_srfit`, or of ``verify_with_srreal``.
        program: ``srfit`` or ``srreal``, whose Rw is the column ``rw_<program>``.
    """
    column, done_what = f"rw_{program}", "refined" if program == "srfit" else "calculated"
    done = table[np.isfinite(table[column].to_numpy(dtype=float))]
    if done.empty:
        return f"{program} verified none of {len(table)} candidates ({table['message'].iloc[0]})" if len(table) else ""
    apart = float((done[column] - done["rw"]).abs().max())
    same = bool(done[column].idxmin() == done["rw"].idxmin())
    order = "and the same one fits best" if same else f"but rank {int(done.loc[done[column].idxmin(), 'rank'])} fits best there"
    engines = ", ".join(dict.fromkeys(done["engine"]))
    return f"{program} {done_what} {len(done)} of {len(table)} candidates again ({engines}): Rw within {apart:.4f} of ours, {order}"
