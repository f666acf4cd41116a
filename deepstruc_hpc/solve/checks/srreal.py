"""The curves of the best candidates by diffpy.srreal, at our parameters: the same physics by another program."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import TimeLimitError
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.candidates.fitting import fit_curve_table
from deepstruc_hpc.solve.checks.srfit import COUNT, SEVERAL_PHASES
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.ranking import Ranking

Float = NDArray[np.float64]


def check_srreal() -> None:
    """Raise where diffpy.srreal is not there, before any file is read.

    Raises:
        EngineError: with the way to install it.
    """
    from deepstruc_hpc.physics.diffpy_engine import require_srreal

    require_srreal("--verify srreal", "verify with --verify srfit, which needs no srreal")


def verify_with_srreal(ranking: Ranking, measurement: Measurement, *, count: int = COUNT) -> pd.DataFrame:
    """Calculate the curves of the best candidates again with srreal: clusters by its DebyePDFCalculator, crystals × spheres by its PDFCalculator.

    Nothing is refined but the scale, which is linear: PDFCalculator takes scattering factors at Q = 0 and has another one for compounds. What lies
    below the measurement's ``low_q`` is taken out of data and curves.

    Args:
        ranking: candidates in order of rank, with our parameters.
        measurement: data, range and instrument.
        count: how many, from rank 1.

    Returns:
        One row a candidate: rank, structure_type, n_atoms, rw, rw_srreal, scale, scale_srreal, apart (√(Σ(ours − srreal's)²/Σours²) of the two model
        curves), engine, seconds, message, which is empty or says why srreal gave no curve.
    """
    best = list(enumerate(ranking.candidates))[:count]
    return pd.DataFrame([{"rank": place + 1, **_verify_one(candidate, ranking.candidates.row(place), measurement)} for place, candidate in best])


def _verify_one(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = {"structure_type": candidate.structure.structure_type, "n_atoms": candidate.n_atoms, "rw": row["rw"], "rw_srreal": np.nan}
    found |= {"scale": row["scale"], "scale_srreal": np.nan, "apart": np.nan, "engine": ""}
    if candidate.phases is not None:
        return {**found, "seconds": 0.0, "message": SEVERAL_PHASES}
    started, message = time.monotonic(), ""
    try:
        ours = fit_curve_table(candidate, row, measurement)
        r, seen = ours["r"].to_numpy(), ours["g_obs"].to_numpy()
        found["engine"], whole = _by_srreal(candidate, row, measurement, r)
        data, theirs = (curve - _low_part(r, curve, measurement) for curve in (seen, whole))
        scale = float(theirs @ data) / max(float(theirs @ theirs), 1e-300)
        found |= {"rw_srreal": rw(data, scale * theirs), "scale_srreal": scale}
        found["apart"] = rw(data - ours["difference"].to_numpy(), scale * theirs)
    except TimeLimitError:
        raise
    except Exception as failed:  # noqa: BLE001 - the word of another program is worth less than the answer it speaks about
        message = f"srreal gave no curve: {type(failed).__name__}: {failed}"
    return {**found, "seconds": round(time.monotonic() - started, 3), "message": message}


def _by_srreal(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement, r: Float) -> tuple[str, Float]:
    """The name of srreal's calculator and its curve at our parameters and scale 1."""
    from deepstruc_hpc.physics.diffpy_engine import simulate_crystal_with, simulate_with
    from deepstruc_hpc.physics.uiso_groups import uiso_of_atoms

    fit = candidate.crystal_fit
    if fit is None:
        structure = candidate.structure.scaled(float(row["zoom"]))
        uiso = uiso_of_atoms(structure.symbols, row)
        return "DebyePDFCalculator", simulate_with("diffpy", structure, r, measurement.instrument, uiso=uiso, delta2=float(row["delta2"]))
    instrument = measurement.instrument.model_copy(update={"qdamp": fit.qdamp})
    curve = simulate_crystal_with("diffpy", fit.crystal, r, instrument, uiso=fit.uiso, delta2=fit.delta2, diameter=fit.diameter)
    return "PDFCalculator" if fit.diameter is None else "PDFCalculator × sphere", curve


def _low_part(r: Float, curve: Float, measurement: Measurement) -> Float:
    instrument = measurement.instrument
    return low_q_part(r, curve, qmin=instrument.qmin, qdamp=instrument.qdamp, low_q=measurement.low_q)
