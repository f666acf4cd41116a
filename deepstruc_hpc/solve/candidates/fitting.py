"""Fit candidates to a measurement, all at once, and the curve that a fit means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.measurement.describe import Measurement


def fit(candidates: CandidateSet, measurement: Measurement) -> CandidateSet:
    """Fit every candidate that is not fitted: scale, zoom within the candidate's own bounds, U (one an element where the data carry it), delta2.

    Args:
        candidates: Å, at their own scales; a set that is fitted comes back as it is.
        measurement: data, range and instrument.
    """
    if candidates.fits is not None or not len(candidates):
        return candidates
    by_zoom: dict[tuple[float, float], list[int]] = defaultdict(list)
    for place, candidate in enumerate(candidates):
        by_zoom[candidate.zoom].append(place)
    tables, order = [], []
    for zoom, places in by_zoom.items():
        structures = [candidates.candidates[place].structure for place in places]
        tables.append(
            fit_candidates(
                structures,
                measurement.curve,
                rmin=measurement.rmin,
                rmax=measurement.rmax,
                bounds={"zoom": zoom},
                **measurement.instrument.model_dump(),
            )
        )
        order += places
    return candidates.with_fits(FitTable.concatenated(tables).take(np.argsort(order)))


def fit_curve_table(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> pd.DataFrame:
    """r, g_obs, g_calc and difference on the measured points between rmin and rmax."""
    data = measurement.data
    calculated = fitted_curve(candidate.structure, row, data, **measurement.instrument.model_dump())
    return pd.DataFrame({"r": data.r, "g_obs": data.g, "g_calc": calculated, "difference": data.g - calculated})
