"""What a training has to do and how one worker does it: epochs, each with its report and its checkpoint. Ray and MLflow are not known here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import torch

from deepstruc_hpc.core.config import STORED
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model.checkpoint import CheckpointInfo, find_checkpoint, load_training_state, load_weights, save_checkpoint
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.session import Clock, TrainingSession, WorkerPlace
from deepstruc_hpc.training.view import load_split, load_view

Report = Callable[[dict[str, Any], Path | None], None]
"""Takes the metrics of an epoch and, from the first worker, the directory of its checkpoint, which is removed afterwards."""


class Job(TypedDict):
    """What the driver gives every worker.

    Attributes:
        store: address of the catalog.
        config: settings, as :class:`TrainConfig` writes them.
        stop_at: number of epochs at which this call ends, or None.
        seconds: that this call may take from its first step on, or None.
        call: names the call, see :class:`~deepstruc_hpc.training.session.Clock`.
        latest: checkpoint that the call goes on from, or None.
    """

    store: str
    config: dict[str, Any]
    stop_at: int | None
    seconds: float | None
    call: float
    latest: str | None


def run_job(job: Job, place: WorkerPlace, report: Report, *, newer: Path | None = None) -> None:
    """Train until the schedule, the clock or the patience ends.

    Args:
        job: what to do.
        place: the worker's place among its fellows.
        report: called after every epoch.
        newer: a checkpoint that this call has made already, before its worker was lost.
    """
    config = TrainConfig.model_validate(job["config"])
    torch.set_num_threads(config.torch_threads)
    catalog = Catalog.open(job["store"])
    clock = Clock(job["seconds"], job["call"])
    session = TrainingSession(config, load_view(catalog, config), load_split(catalog, config.data, config.seed), place=place, clock=clock)
    _restore(session, [path for path in (newer, Path(job["latest"]) if job["latest"] else None) if path is not None])
    past = list(session.history)
    while not session.why_stop(job["stop_at"]):
        metrics = {**session.run_epoch(), "past": past}
        with tempfile.TemporaryDirectory() as scratch:
            report(metrics, _saved(session, catalog, metrics, Path(scratch)) if place.rank == 0 else None)
        past = []


def _restore(session: TrainingSession, checkpoints: list[Path]) -> None:
    """Go on from the checkpoint with the most epochs; a training that has none begins with the weights of ``start_from``."""
    states = [(load_training_state(path), path) for path in checkpoints]
    if session.config.start_from and not states:
        load_weights(session.model, find_checkpoint(session.config.start_from))
    if states:
        state, path = max(states, key=lambda one: int(one[0]["epoch"]))
        load_weights(session.model, path)
        session.restore(state)


def _saved(session: TrainingSession, catalog: Catalog, metrics: dict[str, Any], scratch: Path) -> Path:
    info = CheckpointInfo(
        model=session.config.model,
        catalog_id=catalog.id,
        catalog_hash=catalog.content_hash,
        epoch=session.epoch,
        metrics={name: value for name, value in metrics.items() if isinstance(value, float)},
        settings=session.config.model_dump(mode="json", context=STORED),
    )
    return save_checkpoint(scratch / "checkpoint", session.model, info, session.state_dict())
