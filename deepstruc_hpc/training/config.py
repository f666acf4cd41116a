"""Settings of a training, and the presets that come with the program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from deepstruc_hpc.core.config import Config, load_config
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.dataset import AtomOrder
from deepstruc_hpc.data.splits import SplitName
from deepstruc_hpc.data.training_pdfs import MeasuredLike
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.losses import LossConfig

PRESETS_DIR = Path(__file__).resolve().parent / "presets"


class OptimiserConfig(Config):
    """AdamW under a warm-up and a cosine."""

    learning_rate: float = Field(2e-3, gt=0, description="highest rate")
    final_rate: float = Field(1e-5, ge=0, description="rate at the end")
    warmup: float = Field(0.02, ge=0, lt=1, description="share of the training in which the rate rises")
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW, a step, times the rate")
    clip_norm: float = Field(1.0, gt=0, description="gradients longer than this are shortened to it")


class DataConfig(Config):
    """What is trained on."""

    split: SplitName = Field("random", description="random: the paper's; shape: no shape on two sides")
    validation: float = Field(0.2, gt=0, lt=0.5, description="share of structures, or of shapes")
    test: float = Field(0.2, ge=0, lt=0.5, description="share of structures, or of shapes, that training never sees")
    pdfs: Literal["measured_like", "stored"] = Field(
        "measured_like", description="new PDFs in every batch, or the catalog's own as the paper's protocol has it"
    )
    conditions: MeasuredLike = MeasuredLike()
    balance: float = Field(0.5, ge=0, le=1, description="0: every structure equally often; 1: every type equally often")
    atom_order: AtomOrder = Field("radial", description="order of atoms that the coordinate decoder learns: builder or radial")


class TrainConfig(Config):
    """One training."""

    printed_by: ClassVar[str] = "deepstruc-hpc train --print-config"

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    start_from: str = Field("", description="model whose weights the training begins with: a directory, a run or a name; empty: random ones")
    epochs: int = Field(100, ge=1, description="length of the schedule")
    samples_per_epoch: int = Field(0, ge=0, description="structures drawn in an epoch; 0: as many as the training set holds")
    batch_size: int = Field(128, ge=1, description="structures in a step, all workers together")
    stop_after: int = Field(0, ge=0, description="epochs after which this call ends, to go on with --resume; 0: none")
    max_minutes: float = Field(
        0.0, ge=0, description="wall time of this call from its first step; the schedules then shrink to end with it; 0: no limit"
    )
    patience: int = Field(0, ge=0, description="epochs without a better validation loss before the training ends; 0: never")
    seed: int = Field(0, ge=0, description="of weights, batches and noise")
    torch_threads: int = Field(1, ge=1, description="threads of each CPU worker")
    max_failures: int = Field(3, ge=0, description="lost workers after which the training gives up")
    experiment: str = Field("deepstruc_hpc", min_length=1, description="name of the MLflow experiment")


MAY_CHANGE_ON_RESUME = frozenset({"epochs", "stop_after", "max_minutes", "patience", "torch_threads", "max_failures", "experiment"})
"""What a resumed training may set anew; all else must be as it was."""


def preset_names() -> list[str]:
    """Names that ``--config`` takes instead of a path."""
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def load_train_config(name_or_path: str | None = None, overrides: Sequence[str] = ()) -> TrainConfig:
    """Settings from a file or a preset, with ``key=value`` overrides.

    Raises:
        ConfigError: no such file or preset, or a key or value that does not fit.
    """
    if name_or_path is None:
        return load_config(TrainConfig, None, overrides)
    given = Path(name_or_path)
    if not given.exists():
        given = PRESETS_DIR / f"{name_or_path}.yaml"
    if not given.is_file():
        raise ConfigError(f"--config {name_or_path}: no such file, and not one of the presets {', '.join(preset_names())}.")
    return load_config(TrainConfig, given, overrides)


def learning_rate(config: OptimiserConfig, progress: float) -> float:
    """Linear warm-up, then a cosine down to ``final_rate``; progress runs from 0 to 1."""
    if progress < config.warmup:
        return config.learning_rate * (progress / config.warmup * 0.99 + 0.01)
    share = min((progress - config.warmup) / (1.0 - config.warmup), 1.0)
    return config.final_rate + (config.learning_rate - config.final_rate) * (0.5 + 0.5 * math.cos(math.pi * share))
