"""What an instrument does to a pair distribution function."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.physics.form_factors import Q_LIMIT, Radiation


class Instrument(Config):
    """Radiation, the range of Q that was transformed, and the resolution of the instrument."""

    radiation: Radiation = Field("xray", description="xray or neutron")
    qmin: float = Field(0.7, ge=0, description="Å⁻¹: lower end of the sine transform")
    qmax: float = Field(25.0, gt=0, le=Q_LIMIT, description="Å⁻¹: upper end of the sine transform")
    qdamp: float = Field(0.03, ge=0, description="Å⁻¹: G(r) is multiplied by exp(−(Qdamp r)²/2)")
    qbroad: float = Field(0.0, ge=0, description="Å⁻¹: widths grow with distance, σ² by the factor 1 + Qbroad² d² − …")

    @model_validator(mode="after")
    def _range_not_empty(self) -> Self:
        if self.qmax <= self.qmin:
            raise ValueError(f"qmax = {self.qmax:g} must be larger than qmin = {self.qmin:g} Å⁻¹")
        return self
