"""Fit candidates to a measurement, all at once, and the curve that a fit means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.agreement import rw
from deepstruc_hpc.physics.crystal_fit import CrystalFit
from deepstruc_hpc.physics.extra_terms import TermFit, fit_terms
from deepstruc_hpc.physics.fit import fit_candidates, fitted_curve
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.measurement.describe import Measurement


def fit(candidates: CandidateSet, measurement: Measurement) -> CandidateSet:
    """Fit every candidate that is not fitted: scale, zoom within the candidate's own bounds, U (one an element where the data carry it), delta2.

    Args:
        candidates: Å, at their own scales; a set that is fitted comes back as it is.
        measurement: data, range and instrument.
    """
    if candidates.fits is not None:
        return candidates
    if not len(candidates):
        return candidates.with_fits(FitTable.empty(0, len(measurement.data), measurement.independent_points()))
    extended = np.array([candidate.crystal_fit is not None for candidate in candidates], dtype=bool)
    if not extended.any():
        return candidates.with_fits(_fit_atoms(candidates, measurement))
    explicit = candidates.take(~extended)
    tables = [_fit_atoms(explicit, measurement)] if len(explicit) else []
    tables += [_fit_of_crystal(candidate, measurement) for candidate in candidates.take(extended)]
    order = np.concatenate([np.flatnonzero(~extended), np.flatnonzero(extended)])
    return candidates.with_fits(FitTable.concatenated(tables).take(np.argsort(order)))


def _fit_atoms(candidates: CandidateSet, measurement: Measurement) -> FitTable:
    """Fits of explicit atoms, all at once."""
    zoom = np.array([candidate.zoom for candidate in candidates])
    one_range = bool((zoom == zoom[0]).all())
    return fit_candidates(
        [candidate.structure for candidate in candidates],
        measurement.curve,
        rmin=measurement.rmin,
        rmax=measurement.rmax,
        bounds={"zoom": (float(zoom[0, 0]), float(zoom[0, 1]))} if one_range else None,
        zoom_bounds=None if one_range else zoom,
        uiso_groups="auto",
        low_q=measurement.low_q,
        terms=measurement.terms,
        **measurement.instrument.model_dump(),
    )


def _fit_of_crystal(candidate: Candidate, measurement: Measurement) -> FitTable:
    """The row of a crystal × sphere, whose fit came with it; Rw on the points that all candidates are fitted to, as far as that fit goes."""
    fit = candidate.crystal_fit
    if fit is None:
        raise ValueError(f"{candidate.structure.label}: no fit of a crystal.")
    data = _within(fit, measurement)
    residual = data.g - np.interp(data.r, fit.r, fit.calculated)
    residual = residual - _terms(data.r, data.g, data.g - residual, measurement).curve
    left, seen = residual - _low_part(data.r, residual, measurement), data.g - _low_part(data.r, data.g, measurement)
    table = FitTable.empty(1, len(data), measurement.independent_points())
    share = candidate.structure.symbols
    mean = float(np.mean([fit.uiso[symbol] for symbol in share]))
    values = {"rw": rw(seen, seen - left), "scale": fit.scale, "zoom": 1.0, "uiso": mean, "delta2": fit.delta2, "converged": True}
    table.put(np.array([0]), values)
    if len(set(fit.uiso.values())) > 1:
        table.uiso_by_element[0] = dict(fit.uiso)
    return table


def _within(fit: CrystalFit, measurement: Measurement) -> PdfCurve:
    """The fitted points that a crystal × sphere was fitted to as well: its fit ends at 40 Å, whatever rmax is."""
    return measurement.curve.between(measurement.rmin, min(measurement.rmax, fit.rmax))


def _low_part(r: NDArray[np.float64], curve: NDArray[np.float64], measurement: Measurement) -> NDArray[np.float64]:
    """What of a curve on points r lies below the measurement's ``low_q``; nothing where that is off."""
    if measurement.low_q == 0.0:
        return np.zeros_like(curve)
    instrument = measurement.instrument
    return low_q_part(r, curve, qmin=instrument.qmin, qdamp=instrument.qdamp, low_q=measurement.low_q)


def _terms(r: NDArray[np.float64], observed: NDArray[np.float64], model: NDArray[np.float64], measurement: Measurement) -> TermFit:
    """The measurement's terms beside a model, on points r."""
    return fit_terms(measurement.terms, r, observed, model, measurement.instrument, low_q=measurement.low_q)


def _alone(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> tuple[PdfCurve, NDArray[np.float64]]:
    """The fitted points, of a crystal × sphere as far as its fit goes, and the candidate's own curve there."""
    if candidate.crystal_fit is not None:
        data = _within(candidate.crystal_fit, measurement)
        return data, np.interp(data.r, candidate.crystal_fit.r, candidate.crystal_fit.calculated)
    return measurement.data, fitted_curve(candidate.structure, row, measurement.data, **measurement.instrument.model_dump())


def fitted_terms(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> TermFit:
    """The amplitudes of the measurement's terms beside a fitted candidate, and the power that they take."""
    data, alone = _alone(candidate, row, measurement)
    return _terms(data.r, data.g, alone, measurement)


def fit_curve_table(candidate: Candidate, row: Mapping[str, Any], measurement: Measurement) -> pd.DataFrame:
    """r, g_obs, g_calc and difference on the measured points between rmin and rmax; of a crystal × sphere as far as its fit goes.

    The calculated curve has what the data hold below the measurement's ``low_q``, so that the difference is what the fit made small. Where the
    measurement has terms, they are part of it, and ``g_term`` is their sum alone.
    """
    data, calculated = _alone(candidate, row, measurement)
    term = _terms(data.r, data.g, calculated, measurement).curve
    calculated = calculated + term
    calculated = calculated + _low_part(data.r, data.g - calculated, measurement)
    table = pd.DataFrame({"r": data.r, "g_obs": data.g, "g_calc": calculated, "difference": data.g - calculated})
    return table.assign(g_term=term) if measurement.terms else table
