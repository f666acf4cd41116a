"""Values of one setting in a search or a scan, and settings with some dotted keys replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import Field, model_validator

from deepstruc_hpc.core.config import Config, validate_config
from deepstruc_hpc.core.errors import ConfigError


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

    def evenly(self, count: int) -> tuple[Any, ...]:
        """All values of a list, else ``count`` values from end to end, evenly spaced (in the logarithm for ``log_uniform``)."""
        if self.choice is not None:
            return self.choice
        return tuple(self.at(0.5 if count == 1 else step / (count - 1)) for step in range(count))

    def at(self, share: float) -> Any:
        """The value at a share of the way, 0 to 1."""
        if self.choice is not None:
            return self.choice[min(int(share * len(self.choice)), len(self.choice) - 1)]
        if self.log_uniform is not None:
            low, high = self.log_uniform
            return float(f"{low * (high / low) ** share:.6g}")
        low, high = self.uniform or (0.0, 1.0)
        return float(f"{low + (high - low) * share:.6g}")


C = TypeVar("C", bound=Config)


def with_settings(base: C, values: Mapping[str, Any], *, source: str = "trial", command: str = "train") -> C:
    """Settings with some dotted keys replaced.

    Args:
        base: the settings.
        values: dotted key → value.
        source: where the values come from, for the error.
        command: whose ``--print-config`` lists the settings, for the error.

    Raises:
        ConfigError: a key is not known or a value does not fit.
    """
    tree = base.model_dump(mode="json")
    for key, value in values.items():
        branch: Any = tree
        settings: Any = base
        *groups, leaf = key.split(".")
        for group in groups:
            branch, settings = branch.get(group), getattr(settings, group, None)
            if not isinstance(branch, dict):
                raise ConfigError(f"{source}: {key}: there is no group of settings {group!r}. deepstruc-hpc {command} --print-config lists them.")
        branch.pop(getattr(settings, "renamed", {}).get(leaf), None)  # given under its earlier name, it replaces the present one
        branch[leaf] = value
    return validate_config(type(base), tree, source=source)
