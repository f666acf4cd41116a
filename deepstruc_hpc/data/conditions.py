"""The conditions under which every PDF of a catalog is simulated."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from deepstruc_hpc.core.config import Config


class PdfConditions(Config):
    """Instrument, r grid and thermal motion. Lengths in Å, Q in Å⁻¹, Uiso in Å². The defaults are the paper's."""

    engine: Literal["native", "diffpy"] = Field(
        default="native",
        description="what makes the curves: this program, or diffpy.srreal's DebyePDFCalculator; in the recipe's hash where not native",
    )
    radiation: Literal["xray", "neutron"] = Field(default="xray", description="which scattering factors")
    qmin: float = Field(default=0.7, ge=0.0, le=20.0, description="Å⁻¹")
    qmax: float = Field(default=25.0, gt=1.0, le=100.0, description="Å⁻¹")
    qdamp: float = Field(default=0.04, ge=0.0, le=1.0, description="Å⁻¹")
    qbroad: float = Field(default=0.0, ge=0.0, le=1.0, description="Å⁻¹")
    uiso: float = Field(default=0.0038, gt=0.0, le=0.2, description="Å²; Biso = 8π² Uiso, 0.3 Å² in the paper")
    delta1: float = Field(default=0.0, ge=0.0, le=5.0, description="Å")
    delta2: float = Field(default=2.0, ge=0.0, le=25.0, description="Å²")
    rmin: float = Field(default=2.0, ge=0.0, description="Å")
    rmax: float = Field(default=30.0, le=1000.0, description="Å")
    rstep: float = Field(default=0.01, gt=0.0, le=1.0, description="Å")

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> Self:
        if self.qmax <= self.qmin:
            raise ValueError(f"qmax = {self.qmax:g} Å⁻¹ must be larger than qmin = {self.qmin:g} Å⁻¹")
        if self.rmax - self.rmin < 2.0:
            raise ValueError(f"r runs from {self.rmin:g} to {self.rmax:g} Å: at least 2 Å are needed; were the numbers meant in nm?")
        return self

    @model_serializer(mode="wrap")
    def _engine_where_not_native(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves the engine out where it is this program: recipes, hashes and stores from before the choice stay what they are."""
        values: dict[str, Any] = plain(self)
        if self.engine == "native":
            values.pop("engine", None)
        return values

    @property
    def r(self) -> NDArray[np.float64]:
        """(R,) Å: rmin, rmin + rstep, … up to rmax."""
        count = int(np.floor((self.rmax - self.rmin) / self.rstep + 1e-6)) + 1
        return np.asarray(self.rmin + self.rstep * np.arange(count), dtype=np.float64)


def changed_conditions(first: PdfConditions, second: PdfConditions) -> dict[str, tuple[Any, Any]]:
    """The keys in which two sets of conditions differ, with both values; a serialised set may lack a key that has its default."""
    pairs = {key: (getattr(first, key), getattr(second, key)) for key in PdfConditions.model_fields}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
