"""What a calibrant tells about the instrument: how its file is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from deepstruc_hpc.core.errors import ConfigError, PdfFileError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.pdf_files import file_hash, read_pdf
from deepstruc_hpc.physics.bulk import bulk_distances, needed_reach
from deepstruc_hpc.physics.calibration import CalibrationFit, fit_calibrant
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.solve.config import USUAL
from deepstruc_hpc.solve.instrument_file import Calibration, InstrumentFile
from deepstruc_hpc.structures.calibrants import CALIBRANTS, calibrant_crystal
from deepstruc_hpc.structures.crystals import Crystal, cif_crystal

DEFAULT_RMAX = 50.0
"""Å: a calibrant's peaks fade by Qdamp of 0.03 to 0.05 Å⁻¹ to less than half before it."""
SURE_REACH = 20.0
"""Å: a curve that ends before says little about Qdamp."""
MOST_RW = 0.3
"""A calibrant that fits worse than this is another substance, or the units or Qmax are wrong."""


@dataclass(frozen=True)
class CalibrationRequest:
    """What to calibrate.

    Attributes:
        path: measured G(r) of the calibrant.
        calibrant: name of a built-in one; None: the header's composition.
        cif: of another crystal.
        rmin: Å; None: 1.5, or less where the nearest neighbours need it.
        rmax: Å; None: the end of the data, at most 50.
        qmin, qmax: Å⁻¹; None: from the header, else the defaults of solve.
        radiation: None: from the header, else xray.
    """

    path: Path
    calibrant: str | None = None
    cif: Path | None = None
    rmin: float | None = None
    rmax: float | None = None
    qmin: float | None = None
    qmax: float | None = None
    radiation: Literal["xray", "neutron"] | None = None


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """The instrument, its fit, and the columns r, g_obs, g_calc, difference."""

    instrument: InstrumentFile
    fit: CalibrationFit
    table: pd.DataFrame


def calibrate(request: CalibrationRequest, *, on_step: Callable[[int, float], None] | None = None) -> CalibrationResult:
    """Fit the measured curve of a calibrant.

    Args:
        request: what to fit and how.
        on_step: called with the number of evaluations and the Rw of the last one.

    Raises:
        PdfFileError: the curve cannot be used, or the calibrant does not explain it.
        ConfigError: nobody says which calibrant it is. StructureError: the crystal is wrong.
    """
    curve = read_pdf(request.path)
    notes = list(curve.notes)
    crystal = _crystal_of(request, str(curve.header.get("composition") or ""))
    instrument = _instrument_of(request, curve.header, notes)
    nearest = bulk_distances(crystal.lattice, crystal.fractions, crystal.species, 1.5 * crystal.bond_length).shortest
    rmin = max(min(1.5, 0.65 * nearest) if request.rmin is None else request.rmin, float(curve.r[0]))
    rmax = min(DEFAULT_RMAX if request.rmax is None else request.rmax, float(curve.r[-1]))
    data = curve.between(rmin, rmax)
    rmax = float(data.r[-1])
    distances = bulk_distances(crystal.lattice, crystal.fractions, crystal.species, needed_reach(rmax))
    fit = fit_calibrant(distances, data, instrument, on_step=on_step)
    if not fit.rw <= MOST_RW:
        raise PdfFileError(
            f"{request.path}: {crystal.name} does not explain the curve (Rw {fit.rw:.2f}; calibrants reach 0.05 to 0.15). "
            f"Check the calibrant, the radiation ({instrument.radiation}), Qmax ({instrument.qmax:g} Å⁻¹), that r is in Å, and its range."
        )
    notes += _doubts(fit, rmax)
    if not _is_cubic(crystal):
        notes.append("The cell is not cubic; one factor stretched all its lengths, and a is the first of them.")
    table = pd.DataFrame({"r": data.r, "g_obs": data.g, "g_calc": fit.calculated, "difference": data.g - fit.calculated})
    a = float(np.linalg.norm(crystal.lattice[0]))
    made = InstrumentFile(
        qdamp=_rounded(fit.values["qdamp"]),
        qbroad=_rounded(fit.values["qbroad"]),
        qmin=instrument.qmin,
        qmax=instrument.qmax,
        radiation=instrument.radiation,
        calibration=Calibration(
            calibrant=crystal.name,
            file=str(request.path),
            file_hash=file_hash(request.path),
            rmin=round(rmin, 6),
            rmax=round(rmax, 6),
            rw=_rounded(fit.rw),
            values=_with_lattice(fit.values, a),
            errors=_with_lattice(fit.errors, a),
            n_independent=round(fit.n_independent, 1),
            notes=tuple(notes),
            program=f"deepstruc_hpc {__version__}",
            date=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        ),
    )
    return CalibrationResult(made, fit, table)


def _crystal_of(request: CalibrationRequest, composition: str) -> Crystal:
    if request.cif is not None and request.calibrant is not None:
        raise ConfigError("--cif and --element name two crystals. Give one of them.")
    if request.cif is not None:
        return cif_crystal(str(request.cif))
    if request.calibrant is not None:
        return calibrant_crystal(request.calibrant)
    formula = composition.replace(" ", "")
    if formula not in CALIBRANTS:
        reason = f"the header's composition {composition!r} is no built-in calibrant" if composition else "the header names no composition"
        raise ConfigError(f"{request.path}: {reason}. Say what was measured with --element ({', '.join(CALIBRANTS)}) or --cif FILE.")
    return calibrant_crystal(formula)


def _instrument_of(request: CalibrationRequest, header: Mapping[str, float | str], notes: list[str]) -> Instrument:
    found: dict[str, float] = {}
    for name, default in (("qmin", USUAL.qmin), ("qmax", USUAL.qmax)):
        option, value = getattr(request, name), header.get(name)
        found[name] = float(option if option is not None else value if isinstance(value, float) else default)
        if option is None and not isinstance(value, float):
            notes.append(f"The header does not say {name}; {default:g} Å⁻¹ was used. Give --{name}.")
    if found["qmax"] <= found["qmin"]:
        raise PdfFileError(f"{request.path}: Qmin {found['qmin']:g} is not below Qmax {found['qmax']:g} Å⁻¹. Give both.")
    radiation = request.radiation or str(header.get("radiation") or "xray")
    return Instrument.model_validate({**found, "radiation": radiation, "qdamp": 0.0, "qbroad": 0.0})


def _doubts(fit: CalibrationFit, rmax: float) -> list[str]:
    """What makes the values less sure than their uncertainties say."""
    notes = []
    if rmax < SURE_REACH:
        notes.append(f"The curve was fitted to {rmax:g} Å only; Qdamp and Qbroad show at {SURE_REACH:g} Å and beyond.")
    if "qdamp" in fit.at_bounds:
        notes.append("Qdamp ended at its bound: the curve does not fade as a calibrant does. Is it smoothed, or a simulation?")
    if "qbroad" in fit.at_bounds and fit.values["qbroad"] <= 0.0 + 1e-5:
        notes.append("Qbroad is 0 within the data.")
    if not fit.converged:
        notes.append("The fit stopped before it reached its minimum; narrow the range of r.")
    error = fit.errors["qdamp"]
    if np.isfinite(error) and error > 0.3 * fit.values["qdamp"]:
        notes.append(f"Qdamp is uncertain by {100 * error / max(fit.values['qdamp'], 1e-9):.0f} %: fit a longer range of r.")
    return notes


def _with_lattice(values: Mapping[str, float], a: float) -> dict[str, Any]:
    """The fit's values with the length of the first cell vector in place of the zoom; None where a value is not defined."""
    lengths = {("a" if name == "zoom" else name): value * a if name == "zoom" else value for name, value in values.items()}
    return {name: _rounded(value) if np.isfinite(value) else None for name, value in lengths.items()}


def _is_cubic(crystal: Crystal) -> bool:
    metric = crystal.lattice @ crystal.lattice.T
    return bool(np.allclose(metric, metric[0, 0] * np.eye(3), atol=1e-4 * metric[0, 0]))


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")
