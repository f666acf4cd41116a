"""Fit candidates to a measurement, all at once, and the curve that a fit means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
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
    zoom = np.array([candidate.zoom for candidate in candidates])
    one_range = bool((zoom == zoom[0]).all())
    table = fit_candidates(
        [candidate.structure for candidate in candidates],
        measurement.curve,
        rmin=measurement.rmin,
        rmax=measurement.rmax,
        bounds={"zoom": (float(zoom[0, 0]), float(zoom[0, 1]))} if one_range else None,
        zoom_bounds=None if one_range else zoom,
        uiso_groups="auto",
        low_q=measurement.low_q,
        **measurement.instrument.model_dump(),
    )
    return candidates.with_fits(table)


def fit_curve_table(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> pd.DataFrame:
    """r, g_obs, g_calc and difference on the measured points between rmin and rmax.

    The calculated curve has what the data hold below the measurement's ``low_q``, so that the difference is what the fit made small.
    """
    data = measurement.data
    calculated = fitted_curve(candidate.structure, row, data, low_q=measurement.low_q, **measurement.instrument.model_dump())
    return pd.DataFrame({"r": data.r, "g_obs": data.g, "g_calc": calculated, "difference": data.g - calculated})
