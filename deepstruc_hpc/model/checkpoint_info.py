"""What a checkpoint says of itself: ``config.json``."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.model.config import ModelConfig

SCHEMA_VERSION = 2


class CheckpointInfo(Config):
    """What a checkpoint says of itself."""

    schema_version: int = SCHEMA_VERSION
    code_version: str = __version__
    model: ModelConfig
    catalog_id: str = Field("", description="hash of the recipe of the catalog it was trained on")
    catalog_hash: str = Field("", description="hash of that catalog's content")
    epoch: int = Field(0, ge=0, description="finished epochs")
    metrics: dict[str, float] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict, description="of the training")
    latent_widths: tuple[float, ...] = Field(
        (), description="factors of the prior's standard deviations that make stated probabilities come true, one a coordinate; empty: not calibrated"
    )

    @model_validator(mode="after")
    def _one_width_a_coordinate(self) -> Self:
        if self.latent_widths and len(self.latent_widths) != self.model.latent_dim:
            raise ValueError(f"latent_widths: {len(self.latent_widths)} factors for {self.model.latent_dim} latent coordinates")
        if any(width <= 0 for width in self.latent_widths):
            raise ValueError("latent_widths: a factor is not positive")
        return self

    def stated_widths(self) -> NDArray[np.float64]:
        """(latent,) factors from the standard deviations as trained to those that are stated; 1 where nothing was calibrated."""
        return np.array(self.latent_widths or (1.0,) * self.model.latent_dim, dtype=np.float64)

    @property
    def name(self) -> str:
        """A short identity: catalog and epoch."""
        return f"{self.catalog_id[:12] or 'no-catalog'}@{self.epoch}"
