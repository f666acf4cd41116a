"""What each Ray Train worker runs: the training's job, with Ray's reports, checkpoints and sums over the workers."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist

from deepstruc_hpc.training.job import Job, run_job
from deepstruc_hpc.training.session import Sums, WorkerPlace


def train_worker(job: Job) -> None:
    """Train until the schedule, the clock or the patience ends; go on from Ray's latest checkpoint where that is the newest."""
    latest = ray.train.get_checkpoint()
    with nullcontext(None) if latest is None else latest.as_directory() as directory:
        run_job(job, _place(), _report, newer=None if directory is None else Path(directory))


def _report(metrics: dict[str, Any], checkpoint: Path | None) -> None:
    ray.train.report(metrics, checkpoint=None if checkpoint is None else ray.train.Checkpoint.from_directory(str(checkpoint)))


def _place() -> WorkerPlace:
    context = ray.train.get_context()
    size = context.get_world_size()
    return WorkerPlace(
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
