"""Train a model on a catalog: Ray Train, or one worker in this process, does the work; this process watches, tracks and keeps the best."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepstruc_hpc.core.errors import CheckpointError, ConfigError, DeepstrucError, EngineError, OutputError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model.checkpoint import PRETRAINED_DIR, find_checkpoint, read_info
from deepstruc_hpc.runtime.placement_groups import WaitNotice
from deepstruc_hpc.runtime.ray_session import RaySession, ray_session, usable_cores
from deepstruc_hpc.training.alone import train_alone, works_alone
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.epoch_log import FILE, latest_checkpoint, read_epochs
from deepstruc_hpc.training.run_files import RAY_FOLDER, RunFiles
from deepstruc_hpc.training.tracking import ARTIFACTS, Tracker, flattened, tracking_uri
from deepstruc_hpc.training.view import resolved_model

if TYPE_CHECKING:
    from deepstruc_hpc.training.job import Job

POLL_SECONDS = 0.2
TRACKING_AFTER_SECONDS = 30.0
"""After which a training whose first epoch is not through is written to an MLflow file of its own: making one takes seconds of the processor, which
the workers' start needs. A server is asked at once, so that a wrong address is an error before any work."""
Epoch = dict[str, Any]
Watch = Callable[[Epoch], None]


@dataclass(frozen=True)
class TrainReport:
    """What a call of :func:`train` did.

    Attributes:
        run: directory of the training.
        checkpoint: the best epoch's.
        epochs: finished, all calls together.
        epochs_now: finished in this call.
        best: metrics of the best epoch.
        seconds: of this call.
        first_epoch_after: seconds from the call to the end of the first epoch.
        workers: number of Ray Train workers.
        tracking_uri: of MLflow.
        mlflow_run: its id there.
    """

    run: Path
    checkpoint: Path
    epochs: int
    epochs_now: int
    best: dict[str, float]
    seconds: float
    first_epoch_after: float
    workers: int
    tracking_uri: str
    mlflow_run: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def train(
    store: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: TrainConfig,
    *,
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
    resume: bool = False,
    watch: Watch | None = None,
    parent_run: str | None = None,
) -> TrainReport:
    """Train, or go on with a training.

    Args:
        store: catalog, path or URL.
        out: directory of the training; see :class:`~deepstruc_hpc.training.run_files.RunFiles`. On several nodes it must be on a shared file system.
        config: settings; size and types of the model are taken from the catalog where they are left open.
        workers: Ray Train workers, one process each; default: the GPUs of the session where ``gpus_per_worker`` is given, else its cores. One on the
            CPU works in this process, without Ray, where no Ray session is open or named by ``RAY_ADDRESS``.
        gpus_per_worker: GPUs of each worker; 0: CPU and gloo, else nccl.
        resume: go on with the training in ``out`` where there is one.
        watch: called with the metrics of every epoch, once each.
        parent_run: MLflow run of a sweep that this one belongs to.

    Raises:
        ConfigError: settings that do not fit, or ``out`` is taken.
        CheckpointError: ``out`` was begun on another catalog.
        EngineError: MLflow cannot be reached, or workers were lost more often than ``max_failures``.
    """
    began = time.time()
    catalog = Catalog.open(store)
    config = config.updated(model=resolved_model(config.model, catalog).model_dump())
    config = config.updated(start_from=_weights_to_begin_with(config)) if config.start_from else config
    files = RunFiles(Path(out).resolve())
    location = store_location(store)
    files.begin(config, catalog, location, resume=resume)
    known = read_epochs(files.root / FILE)
    observer = _Observer(files, config, catalog, watch, parent_run, seen={int(line["epoch"]) for line in known})
    finished = max((int(line["epoch"]) for line in known), default=0)
    job: Job = {
        "store": location,
        "config": config.model_dump(mode="json"),
        "stop_at": finished + config.stop_after if config.stop_after else None,
        "seconds": 60 * config.max_minutes or None,
        "call": began,
        "latest": None if (latest := latest_checkpoint(files.root)) is None else str(latest),
    }
    if works_alone(workers, gpus_per_worker):
        if known and latest is None:
            raise CheckpointError(f"{files.root}: {finished} epochs are done, but no checkpoint to go on from is left. Choose another --out.")
        _fit_alone(job, files, observer)
        return observer.report(began)
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # Ray Train starts processes of its own: nobody would use those made in advance
    with ray_session(max(usable_cores(), workers or 1)) as session:
        count = workers or default_workers(session, gpus_per_worker)
        observer.workers = count
        _fit(job, files, config, WorkerGroup(count, session.cpus_per_worker(count), gpus_per_worker), observer)
    return observer.report(began)


def _weights_to_begin_with(config: TrainConfig) -> str:
    """The model that a training begins with, as any process finds it: a name that comes with the program, or a whole path.

    Raises:
        CheckpointError: there is none.
        ConfigError: its network is another one.
    """
    place = find_checkpoint(config.start_from)
    theirs, ours = (flattened(model.model_dump(mode="json")) for model in (read_info(place).model, config.model))
    if differing := sorted(key for key in ours if theirs.get(key) != ours[key]):
        first = differing[0]
        raise ConfigError(
            f"start_from: the model {config.start_from} has model.{first} = {theirs.get(first)}, and this training {ours[first]}. Its weights fit "
            "a network of the same settings alone: begin with the settings that it was trained with, in config.yaml of its run or its preset."
        )
    return config.start_from if place.parent == PRETRAINED_DIR else str(place.resolve())


def store_location(store: str | os.PathLike[str]) -> str:
    """A catalog's address that holds in any working directory: workers run in another one."""
    text = os.fspath(store)
    return text if "://" in text else str(Path(text).resolve())


def default_workers(session: RaySession, gpus_per_worker: float) -> int:
    """As many as the session has room for.

    Raises:
        ConfigError: GPUs are asked for and there are none.
    """
    if gpus_per_worker <= 0:
        return max(1, int(session.cpus))
    if session.gpus < gpus_per_worker:
        raise ConfigError(
            f"--gpus-per-worker {gpus_per_worker:g}: this Ray session has {session.gpus:g} GPUs. Leave the option out to train on CPUs."
        )
    return int(session.gpus / gpus_per_worker)


@dataclass(frozen=True)
class WorkerGroup:
    """Workers of a training and what each of them holds.

    Attributes:
        workers: how many.
        cpus: of each.
        gpus: of each; 0 for gloo on CPUs, else nccl.
    """

    workers: int
    cpus: float
    gpus: float = 0.0


def _fit_alone(job: Job, files: RunFiles, observer: _Observer) -> None:
    """Train in this process."""
    status = "KILLED"
    try:
        observer.open_early()
        train_alone(job, files, observer.look)
        status = "FINISHED"
    except Exception as failure:
        status = "FAILED"
        raise _readable(failure, files) from failure
    finally:
        observer.close(status)


def _fit(job: Job, files: RunFiles, config: TrainConfig, group: WorkerGroup, observer: _Observer) -> None:
    """Run Ray Train in a thread, so that this one can watch and Ctrl-C stays Python's own."""
    trainer = make_trainer(job, files, config, group)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # noqa: BLE001 - handed over to the main thread
            failure.append(error)

    thread = threading.Thread(target=run, name="ray-train", daemon=True)
    thread.start()
    status = "KILLED"
    notice = WaitNotice(f"{files.root.name}: the training")
    try:
        observer.open_early()
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            observer.look()
            notice.look()
        status = "FAILED" if failure else "FINISHED"
        observer.look()
    finally:
        observer.close(status)
    if failure:
        raise _readable(failure[0], files) from failure[0]


def make_trainer(job: Job, files: RunFiles, config: TrainConfig, group: WorkerGroup) -> Any:
    """The TorchTrainer of a training."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # one process less: a batch system warns the driver, it does not drain Ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig

    from deepstruc_hpc.training.lean_trainer import EpochLog, LeanTorchTrainer
    from deepstruc_hpc.training.worker import train_worker

    on_gpu = group.gpus > 0
    resources = {"CPU": group.cpus, **({"GPU": group.gpus} if on_gpu else {})}
    return LeanTorchTrainer(
        train_worker,
        train_loop_config=job,
        torch_config=TorchConfig(backend="nccl" if on_gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=group.workers, use_gpu=on_gpu, resources_per_worker=resources),
        run_config=RunConfig(
            name=RAY_FOLDER,
            storage_path=str(files.root),
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2, checkpoint_score_attribute="val_loss", checkpoint_score_order="min"),
            callbacks=[EpochLog(files.root / FILE)],
        ),
    )


def _readable(failure: BaseException, files: RunFiles) -> BaseException:
    """What the user can mend, as such; the error of a worker with its own words."""
    causes: list[BaseException] = [failure, *getattr(failure, "worker_failures", {}).values()]
    for cause in causes:
        inner = getattr(cause, "cause", None) or cause.__cause__ or cause
        if isinstance(inner, DeepstrucError):
            return inner
    last = causes[-1]
    lines = [line for line in str(last).splitlines() if line.strip()]
    return EngineError(
        f"{files.root}: training stopped: {lines[-1].strip() if lines else type(last).__name__}. What was finished is kept; --resume goes on."
    )


@dataclass
class _Observer:
    """Follows ``epochs.jsonl``: shows every epoch once, writes it to MLflow once, keeps the best checkpoint."""

    files: RunFiles
    config: TrainConfig
    catalog: Catalog
    watch: Watch | None
    parent_run: str | None
    seen: set[int] = field(default_factory=set)
    workers: int = 1
    epochs_now: int = 0
    first_epoch_at: float = 0.0
    tracker: Tracker | None = None
    kept: float = float("inf")
    began: float = field(default_factory=time.monotonic)

    def open_early(self) -> None:
        """Begin MLflow's run at once where a server keeps it."""
        if self.files.checkpoint.is_dir():
            from deepstruc_hpc.model.checkpoint import read_info

            self.kept = read_info(self.files.checkpoint).metrics.get("val_loss", float("inf"))
        if not tracking_uri(self.files.root).startswith("sqlite:"):
            self._open()

    def _open(self) -> None:
        """Begin MLflow's run or go on with it."""
        identity = self.files.read_identity()
        name = self.files.root.name
        tags = {
            "catalog_id": self.catalog.id,
            "catalog_hash": self.catalog.content_hash,
            "code_version": __version__,
            "store": str(identity.get("store", "")),
        }
        if self.parent_run:
            tags["mlflow.parentRunId"] = self.parent_run
        uri = tracking_uri(self.files.root)
        tracker = Tracker(uri, self.config.experiment, artifacts=self.files.root / ARTIFACTS, run_id=identity.get("mlflow_run"), name=name, tags=tags)
        self.files.update_identity(mlflow_run=tracker.run_id, tracking_uri=uri)
        tracker.log_parameters({**self.config.model_dump(mode="json"), "workers": self.workers})
        self.tracker = tracker

    def look(self) -> None:
        """Take in the epochs that are new, and of MLflow those that an interrupted call left out."""
        lines = read_epochs(self.files.root / FILE)
        for line in lines:
            metrics = {key: value for key, value in line.items() if isinstance(value, float | int)}
            if line["val_loss"] < self.kept and line.get("checkpoint") and self.files.keep_best(Path(line["checkpoint"])):
                self.kept = line["val_loss"]
            if int(line["epoch"]) not in self.seen:
                self.seen.add(int(line["epoch"]))
                self.epochs_now += 1
                self.first_epoch_at = self.first_epoch_at or time.time()
                if self.watch is not None:
                    self.watch({**metrics, "epochs": float(self.config.epochs)})
        if self.tracker is None and (self.epochs_now or time.monotonic() > self.began + TRACKING_AFTER_SECONDS):
            self._open()
        if self.tracker is not None:
            for line in lines:
                self.tracker.log_epoch({key: value for key, value in line.items() if isinstance(value, float | int)})

    def close(self, status: Any) -> None:
        """End MLflow's run; a finished one with its checkpoint."""
        if self.tracker is None and status == "FINISHED":
            self._open()
        if self.tracker is None:
            return
        if status == "FINISHED" and self.files.checkpoint.is_dir():
            self.tracker.log_directory(self.files.checkpoint, "checkpoint")
            self.tracker.register(self.config.experiment, "checkpoint")
        self.tracker.finish(status)

    def report(self, began: float) -> TrainReport:
        """The summary.

        Raises:
            OutputError: no epoch was ever finished.
        """
        lines = read_epochs(self.files.root / FILE)
        if not lines:
            raise OutputError(
                f"{self.files.root}: the training ended before its first epoch. Give it more than --set max_minutes={self.config.max_minutes:g}."
            )
        best = min(lines, key=lambda line: line["val_loss"])
        return TrainReport(
            run=self.files.root,
            checkpoint=self.files.checkpoint,
            epochs=max(int(line["epoch"]) for line in lines),
            epochs_now=self.epochs_now,
            best={key: value for key, value in best.items() if isinstance(value, float | int) and key != "time"},
            seconds=time.time() - began,
            first_epoch_after=max(self.first_epoch_at - began, 0.0),
            workers=self.workers,
            tracking_uri=tracking_uri(self.files.root),
            mlflow_run=self.tracker.run_id if self.tracker else "",
        )
