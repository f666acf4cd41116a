"""The best candidates refined again by diffpy.srfit: its own minimisation of the same residual, from a start that is not our minimum."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.errors import TimeLimitError
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.ranking import Ranking

PARAMETERS = ("scale", "zoom", "uiso", "delta2")
COUNT = 10
_AWAY: Mapping[str, float] = {"scale": 0.9, "zoom": 1.002, "uiso": 1.2}
"""Factors by which the start lies away from our minimum, so that agreement is not given."""


def verify_with_srfit(ranking: Ranking, measurement: Measurement, *, count: int = COUNT) -> pd.DataFrame:
    """Refine the best candidates again by srfit.

    Args:
        ranking: candidates in order of rank, with our parameters.
        measurement: data, range and instrument.
        count: how many, from rank 1.

    Returns:
        One row a candidate: rank, structure_type, n_atoms, rw, rw_srfit; each parameter with ``<name>_err``, ``<name>_srfit``, ``<name>_srfit_err``;
        seconds; message, which is empty or says why srfit gave no answer. A failure of srfit is such a message and never an error.
    """
    best = [(place, one) for place, one in enumerate(ranking.candidates) if one.crystal_fit is None][:count]
    return pd.DataFrame([{"rank": place + 1, **_verify_one(candidate, ranking.candidates.row(place), measurement)} for place, candidate in best])


def _verify_one(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> dict[str, Any]:
    known = {"structure_type": candidate.structure.structure_type, "n_atoms": len(candidate.structure)}
    found: dict[str, Any] = {**known, "rw": row["rw"], "rw_srfit": np.nan}
    for name in PARAMETERS:
        found |= {name: row[name], f"{name}_err": row.get(f"{name}_err", np.nan), f"{name}_srfit": np.nan, f"{name}_srfit_err": np.nan}
    started, message = time.monotonic(), ""
    try:
        from deepstruc_hpc.physics.diffpy_bridge import refine_with_srfit, srfit_recipe

        start = {name: float(row[name]) * _AWAY.get(name, 1.0) for name in PARAMETERS}
        recipe = srfit_recipe(
            candidate.structure, measurement.curve, measurement.instrument, rmin=measurement.rmin, rmax=measurement.rmax, start=start
        )
        result = refine_with_srfit(recipe)
        found["rw_srfit"] = result.rw
        for name in PARAMETERS:
            found |= {f"{name}_srfit": result.values[name], f"{name}_srfit_err": result.errors[name]}
    except TimeLimitError:
        raise
    except Exception as failed:  # noqa: BLE001 - the word of another program is worth less than the answer it speaks about
        message = f"srfit gave no answer: {type(failed).__name__}: {failed}"
    return {**found, "seconds": round(time.monotonic() - started, 3), "message": message}


def verify_in_words(table: pd.DataFrame) -> str:
    """One sentence on how srfit and the engine compare."""
    done = table[np.isfinite(table["rw_srfit"].to_numpy(dtype=float))]
    if done.empty:
        return f"srfit verified none of {len(table)} candidates ({table['message'].iloc[0]})" if len(table) else ""
    apart = float((done["rw_srfit"] - done["rw"]).abs().max())
    same = bool(done["rw_srfit"].idxmin() == done["rw"].idxmin())
    order = "and the same one fits best" if same else f"but rank {int(done.loc[done['rw_srfit'].idxmin(), 'rank'])} fits best there"
    return f"srfit refined {len(done)} of {len(table)} candidates again: Rw within {apart:.4f} of ours, {order}"
