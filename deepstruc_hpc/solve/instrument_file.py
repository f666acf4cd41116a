"""The instrument file: values that a calibrant told about an instrument, and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from deepstruc_hpc.core.config import Config, load_config
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.files import write_atomically


class InstrumentValues(Config):
    """What an instrument file says; a value that is left out stays as it would be without the file."""

    qdamp: float | None = Field(None, ge=0, description="Å⁻¹")
    qbroad: float | None = Field(None, ge=0, description="Å⁻¹")
    qmin: float | None = Field(None, ge=0, description="Å⁻¹")
    qmax: float | None = Field(None, gt=0, description="Å⁻¹")
    radiation: Literal["xray", "neutron"] | None = Field(None, description="which scattering factors")


class Calibration(Config):
    """Where an instrument's values come from."""

    calibrant: str = Field(description="built-in calibrant or name of the CIF")
    file: str = Field(description="the measured curve")
    file_hash: str = Field(description="of its bytes")
    rmin: float = Field(description="Å")
    rmax: float = Field(description="Å")
    rw: float = Field(description="agreement of the fit")
    values: dict[str, float] = Field(description="scale, a (Å), uiso of each element (Å²), delta2 (Å²), qdamp, qbroad (Å⁻¹)")
    errors: dict[str, float | None] = Field(description="standard uncertainties; none at a bound")
    n_independent: float = Field(description="independent points, Δr·ΔQ/π")
    notes: tuple[str, ...] = ()
    program: str = ""
    date: str = ""


class InstrumentFile(InstrumentValues):
    """The values that solve takes, and where they come from."""

    calibration: Calibration | None = None


def read_instrument(path: Path) -> InstrumentFile:
    """Read an instrument file.

    Raises:
        ConfigError: not there, not such a file, or without any value.
    """
    found = load_config(InstrumentFile, path)
    if found.model_dump(exclude={"calibration"}, exclude_none=True) == {}:
        raise ConfigError(f"{path}: no value in it. An instrument file holds qdamp, and may hold qbroad, qmin, qmax and radiation.")
    return found


def write_instrument(instrument: InstrumentFile, path: Path) -> None:
    """Write an instrument file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomically(path, instrument.to_yaml(), remedy="Choose another --out.")
