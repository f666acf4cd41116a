"""Settings of a search over training settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from deepstruc_hpc.core.config import Config, load_config, validate_config
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.training.config import TrainConfig


class Range(Config):
    """Values of one setting: exactly one of the three kinds."""

    uniform: tuple[float, float] | None = Field(None, description="between two numbers")
    log_uniform: tuple[float, float] | None = Field(None, description="between two positive numbers, evenly in the logarithm")
    choice: tuple[Any, ...] | None = Field(None, min_length=1, description="one of a list")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in ("uniform", "log_uniform", "choice") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of uniform, log_uniform, choice; found {', '.join(given) or 'none'}")
        limits = self.uniform or self.log_uniform
        if limits is not None and (limits[0] >= limits[1] or (self.log_uniform is not None and limits[0] <= 0)):
            raise ValueError(
                f"{given[0]} from {limits[0]:g} to {limits[1]:g}: the first number must be below the second, and positive for log_uniform"
            )
        return self


class SweepConfig(Config):
    """One search."""

    base: TrainConfig = Field(TrainConfig(), description="settings of every trial")
    space: dict[str, Range] = Field(min_length=1, description="settings that are searched, by their dotted key")
    trials: int = Field(16, ge=1)
    concurrent: int = Field(2, ge=1, description="trials at a time")
    workers_per_trial: int = Field(1, ge=1)
    gpus_per_worker: float = Field(0.0, ge=0)
    metric: Literal["val_loss", "val_mae"] = Field("val_loss", description="smaller is better")
    grace_epochs: int = Field(5, ge=1, description="epochs that every trial gets before ASHA may stop it")
    reduction_factor: int = Field(3, ge=2, description="ASHA keeps one in so many at each rung")
    seed: int = Field(0, ge=0)


def load_sweep_config(path: Path) -> SweepConfig:
    """Read a search's settings; every key of its space is tried on the base settings.

    Raises:
        ConfigError: a key or value does not fit.
    """
    config = load_config(SweepConfig, path)
    for key, values in config.space.items():
        first = values.choice[0] if values.choice else (values.uniform or values.log_uniform or (0.0,))[0]
        with_settings(config.base, {key: first}, source=f"{path}: space")
    return config


def with_settings(base: TrainConfig, values: Mapping[str, Any], *, source: str = "trial") -> TrainConfig:
    """Settings with some dotted keys replaced.

    Raises:
        ConfigError: a key is not known or a value does not fit.
    """
    tree = base.model_dump(mode="json")
    for key, value in values.items():
        branch: Any = tree
        *groups, leaf = key.split(".")
        for group in groups:
            branch = branch.get(group)
            if not isinstance(branch, dict):
                raise ConfigError(f"{source}: {key}: there is no group of settings {group!r}. deepstruc-hpc train --print-config lists them.")
        branch[leaf] = value
    return validate_config(TrainConfig, tree, source=source)
