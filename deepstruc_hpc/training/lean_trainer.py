"""Ray's TorchTrainer without two helper processes that this program has no use for, and its line of epochs.

One would hand out Ray datasets: batches come from the catalog here. The other removes the workers' placement group if the controller is killed, but
asks Ray's dashboard whether it lives, and without a dashboard it waits for ever, detached, one for every trial of a search that was stopped early.
What it is for is done in :mod:`deepstruc_hpc.runtime.placement_groups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray.train import Checkpoint, UserCallback
from ray.train.torch import TorchTrainer

from deepstruc_hpc.training.epoch_log import append_epoch

TRIED_WITH = "2.60"
"""Version of Ray whose inside this module knows; tests/training/test_lean_trainer.py fails with another."""
SPARE = frozenset({"DatasetsCallback", "PlacementGroupCleanerCallback"})


class LeanTorchTrainer(TorchTrainer):  # type: ignore[misc]  # ray is untyped
    """A TorchTrainer that starts its controller, its workers and what they meet at, and nothing else."""

    def _create_default_callbacks(self) -> list[Any]:
        return [callback for callback in super()._create_default_callbacks() if type(callback).__name__ not in SPARE]


class EpochLog(UserCallback):  # type: ignore[misc]  # ray is untyped
    """Appends a line for every epoch whose checkpoint is stored. Ray runs it in the controller, on the driver's machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def after_report(self, run_context: Any, metrics: Sequence[dict[str, Any]], checkpoint: Checkpoint | None) -> None:  # noqa: ARG002
        """Write the first worker's metrics."""
        append_epoch(self.path, metrics[0], None if checkpoint is None else str(checkpoint.path))
