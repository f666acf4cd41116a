"""Settings of a scan over solving settings: which are varied, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from deepstruc_hpc.core.config import Config, load_config
from deepstruc_hpc.core.ranges import Range, with_settings
from deepstruc_hpc.solve.config import SolveSettings

BASE, SEVERAL = "base", "several"

DEFAULT_SPACE: dict[str, Any] = {
    "sigma": {"choice": [[3, 5, 7], [1, 2, 3], [5, 10]]},
    "samples": {"choice": [300, 1000]},
    "rmin": {"choice": [1.5, 2.0, 2.5]},
    "rmax": {"choice": [12, 16, 20, 25]},
    "qdamp": {"choice": [0.02, 0.03, 0.04, 0.05]},
}
"""What is varied where nobody says: the choices that a user makes by hand."""


@dataclass(frozen=True)
class Point:
    """One set of settings to solve the folder with.

    Attributes:
        settings: all of them.
        varied: the setting that differs from the base, ``base``, or ``several``.
        values: the settings that are varied, as they are here.
    """

    settings: SolveSettings
    varied: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the point's folder: equal settings give equal names."""
        return self.settings.fingerprint()


class SolveSweepConfig(Config):
    """One scan. Units are those of the settings."""

    base: SolveSettings = Field(SolveSettings(), description="settings of the first point; the others differ from it")
    space: dict[str, Range] = Field(
        default_factory=lambda: {key: Range.model_validate(values) for key, values in DEFAULT_SPACE.items()},
        min_length=1,
        description="settings that are varied, by their dotted key",
    )
    design: Literal["one_at_a_time", "grid", "random"] = Field(
        "one_at_a_time", description="one_at_a_time: each setting alone, from the base; grid: all combinations; random: all at once, drawn"
    )
    points: int = Field(5, ge=2, description="values of a range between two numbers, for one_at_a_time and grid")
    trials: int = Field(24, ge=1, description="points of the random design")
    concurrent: int | None = Field(None, ge=1, description="points at a time; default: one a core")
    seed: int = Field(0, ge=0, description="of the random design")

    def all_points(self) -> list[Point]:
        """The base and every other point, each once, always in the same order."""
        found: dict[str, Point] = {}
        for varied, values in ((BASE, {}), *self._changes()):
            settings = with_settings(self.base, values, source=f"space of the sweep, {varied}", command="solve")
            point = Point(settings, varied, self._values(settings))
            found.setdefault(point.id, point)
        return list(found.values())

    def _changes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.design == "random":
            rng = np.random.default_rng(self.seed)
            for _ in range(self.trials):
                yield SEVERAL, {key: values.at(float(rng.random())) for key, values in self.space.items()}
        elif self.design == "grid":
            for combination in product(*(values.evenly(self.points) for values in self.space.values())):
                yield SEVERAL, dict(zip(self.space, combination, strict=True))
        else:
            for key, values in self.space.items():
                for value in values.evenly(self.points):
                    yield key, {key: value}

    def _values(self, settings: SolveSettings) -> dict[str, Any]:
        tree = settings.model_dump(mode="json")
        return {key: _at(tree, key) for key in self.space}


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def load_solve_sweep(path: Path | None, overrides: Mapping[str, Any] | None = None) -> SolveSweepConfig:
    """Read a scan's settings; every key and value of its space is tried on the base settings.

    Args:
        path: a YAML file, or None for the default scan.
        overrides: base settings that win over those of the file.

    Raises:
        ConfigError: a key or value does not fit.
    """
    config = load_config(SolveSweepConfig, path)
    if overrides:
        config = config.updated(base=with_settings(config.base, overrides, source="options", command="solve").model_dump())
    config.all_points()
    return config
