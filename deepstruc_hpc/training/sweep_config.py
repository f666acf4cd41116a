"""Settings of a search over training settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from deepstruc_hpc.core.config import Config, load_config
from deepstruc_hpc.core.ranges import Range, with_settings
from deepstruc_hpc.training.config import TrainConfig


class SweepConfig(Config):
    """One search."""

    base: TrainConfig = Field(TrainConfig(), description="settings of every trial")
    space: dict[str, Range] = Field(min_length=1, description="settings that are searched, by their dotted key")
    trials: int = Field(16, ge=1, description="trainings that are started")
    concurrent: int = Field(2, ge=1, description="trials at a time")
    workers_per_trial: int = Field(1, ge=1, description="Ray Train workers of each training")
    gpus_per_worker: float = Field(0.0, ge=0, description="0 trains on CPUs")
    metric: Literal["val_loss", "val_mae"] = Field("val_loss", description="smaller is better")
    grace_epochs: int = Field(5, ge=1, description="epochs that every trial gets before ASHA may stop it")
    reduction_factor: int = Field(3, ge=2, description="ASHA keeps one in so many at each rung")
    seed: int = Field(0, ge=0, description="of the choice of settings")
    stall_minutes: float = Field(
        60.0,
        ge=0,
        description="minutes in which a trial must begin, finish an epoch or end; else the search ends with an error. At least ten times the longest "
        "epoch counts; 0: wait for ever",
    )


def load_sweep_config(path: Path) -> SweepConfig:
    """Read a search's settings; every key of its space is tried on the base settings.

    Raises:
        ConfigError: a key or value does not fit.
    """
    config = load_config(SweepConfig, path)
    for key, values in config.space.items():
        with_settings(config.base, {key: values.evenly(2)[0]}, source=f"{path}: space")
    return config
