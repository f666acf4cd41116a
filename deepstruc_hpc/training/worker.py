"""What each Ray Train worker runs: a :class:`TrainingSession`, a report and a checkpoint after every epoch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, TypedDict

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist

from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model.checkpoint import CheckpointInfo, load_training_state, load_weights, save_checkpoint
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.session import Clock, Crew, Sums, TrainingSession
from deepstruc_hpc.training.view import load_split, load_view


class Order(TypedDict):
    """What the driver tells every worker.

    Attributes:
        store: address of the catalog.
        config: settings, as :class:`TrainConfig` writes them.
        stop_at: number of epochs at which this call ends, or None.
        seconds: that this call may take from its first step on, or None.
        call: names the call, see :class:`~deepstruc_hpc.training.session.Clock`.
    """

    store: str
    config: dict[str, Any]
    stop_at: int | None
    seconds: float | None
    call: float


def train_worker(order: Order) -> None:
    """Train until the schedule, the clock or the patience ends; go on from Ray's latest checkpoint where there is one."""
    config = TrainConfig.model_validate(order["config"])
    torch.set_num_threads(config.torch_threads)
    catalog = Catalog.open(order["store"])
    clock = Clock(order["seconds"], order["call"])
    session = TrainingSession(config, load_view(catalog, config), load_split(catalog, config.data, config.seed), crew=_crew(), clock=clock)
    latest = ray.train.get_checkpoint()
    if latest is not None:
        with latest.as_directory() as directory:
            load_weights(session.model, Path(directory))
            session.restore(load_training_state(Path(directory)))
    past = list(session.history)
    while not session.why_stop(order["stop_at"]):
        metrics = session.run_epoch()
        with tempfile.TemporaryDirectory() as scratch:
            _report(session, catalog, {**metrics, "past": past}, Path(scratch))
        past = []


def _report(session: TrainingSession, catalog: Catalog, metrics: dict[str, Any], scratch: Path) -> None:
    checkpoint = None
    if session.crew.rank == 0:
        info = CheckpointInfo(
            model=session.config.model,
            catalog_id=catalog.id,
            catalog_hash=catalog.content_hash,
            epoch=session.epoch,
            metrics={name: value for name, value in metrics.items() if isinstance(value, float)},
            settings=session.config.model_dump(mode="json"),
        )
        directory = save_checkpoint(scratch / "checkpoint", session.model, info, session.state_dict())
        checkpoint = ray.train.Checkpoint.from_directory(str(directory))
    ray.train.report(metrics, checkpoint=checkpoint)


def _crew() -> Crew:
    context = ray.train.get_context()
    size = context.get_world_size()
    return Crew(
        rank=context.get_world_rank(),
        size=size,
        device=str(ray.train.torch.get_device()),
        total=_sum_over_workers if size > 1 else dict,
        wrap=ray.train.torch.prepare_model,
    )


def _sum_over_workers(sums: Sums) -> Sums:
    names = sorted(sums)
    values = torch.tensor([sums[name] for name in names], dtype=torch.float64, device=ray.train.torch.get_device())
    dist.all_reduce(values)
    return dict(zip(names, values.tolist(), strict=True))
