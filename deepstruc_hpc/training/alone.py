"""A training by one worker on the CPU, in the command's own process: Ray's start and the imports of its processes are not paid for.

Files are those of a training by Ray Train, and either goes on where the other stopped.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepstruc_hpc.model.checkpoint import replace_directory
from deepstruc_hpc.training.epoch_log import FILE, append_epoch
from deepstruc_hpc.training.job import Job, run_job
from deepstruc_hpc.training.run_files import LOCAL_FOLDER, RunFiles
from deepstruc_hpc.training.session import WorkerPlace


def works_alone(workers: int | None, gpus_per_worker: float) -> bool:
    """Whether a training needs no Ray: one worker on the CPU, and no Ray session that is there to be used."""
    ray: Any = sys.modules.get("ray")
    joined = bool(os.environ.get("RAY_ADDRESS")) or (ray is not None and ray.is_initialized())
    return workers == 1 and gpus_per_worker <= 0 and not joined


def train_alone(job: Job, files: RunFiles, on_epoch: Callable[[], None]) -> None:
    """Do the job here.

    Args:
        job: what to do.
        files: of the training; the newest checkpoint with all that it takes to go on lies in its folder ``local``.
        on_epoch: called when an epoch and its checkpoint are written.
    """
    folder = files.root / LOCAL_FOLDER

    def report(metrics: dict[str, Any], checkpoint: Path | None) -> None:
        if checkpoint is None:
            return  # of any but the first worker, and there is one alone
        kept = folder / f"epoch-{int(metrics['epoch']):05d}"
        part = folder / f".{kept.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        shutil.move(checkpoint, part)
        replace_directory(part, kept)
        append_epoch(files.root / FILE, metrics, str(kept))
        on_epoch()
        for old in folder.iterdir():
            if old != kept:
                shutil.rmtree(old, ignore_errors=True)

    run_job(job, WorkerPlace(), report)
