"""Search training settings with Ray Tune, Optuna and ASHA: every trial is a Ray Train run, and one MLflow run under a parent."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from deepstruc_hpc.core.config import load_config
from deepstruc_hpc.core.errors import ConfigError, EngineError
from deepstruc_hpc.core.ranges import Range, with_settings
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.runtime.placement_groups import IdleGroups, WaitNotice, groups, remove_late_groups
from deepstruc_hpc.runtime.ray_session import RaySession, quiet_ray, ray_session, usable_cores
from deepstruc_hpc.training.epoch_log import FILE, read_epochs
from deepstruc_hpc.training.loop import POLL_SECONDS, WorkerGroup, make_trainer, store_location
from deepstruc_hpc.training.run_files import RunFiles
from deepstruc_hpc.training.sweep_config import SweepConfig
from deepstruc_hpc.training.sweep_watch import ENDED, StallWatch
from deepstruc_hpc.training.tracking import ARTIFACTS, Tracker, tracking_uri
from deepstruc_hpc.training.view import resolved_model

if TYPE_CHECKING:
    from deepstruc_hpc.training.job import Job

TUNE_FOLDER, TRIALS_FOLDER, SETTINGS = "tune", "trials", "sweep.yaml"
TRIAL_CPUS = 0.01


@dataclass(frozen=True)
class SweepReport:
    """What a search found.

    Attributes:
        out: its directory.
        trials: one row a trial: id, epochs, the metric at its best, the settings searched; the best first.
        best_config: settings of the best trial, for ``train --config``.
        metric: by which trials were compared.
    """

    out: Path
    trials: pd.DataFrame
    best_config: Path
    metric: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = self.trials.astype(object).where(self.trials.notna(), None).to_dict(orient="records")
        return {"out": str(self.out), "best_config": str(self.best_config), "metric": self.metric, "trials": rows}

    def as_text(self) -> str:
        """A table for people."""
        return f"{self.trials.to_string(index=False)}\nbest settings {self.best_config}"


def sweep_train(store: str | os.PathLike[str], out: str | os.PathLike[str], config: SweepConfig) -> SweepReport:
    """Search, or go on with a search in the same directory.

    Args:
        store: catalog.
        out: directory; ``trials.csv``, ``best.yaml``, and a folder a trial under ``trials``.
        config: base settings, space, numbers.

    Raises:
        ConfigError: ``out`` holds a search with other settings.
        EngineError: no trial finished an epoch, or nothing happened for ``stall_minutes``.
    """
    root = Path(out).resolve()
    catalog = Catalog.open(store)
    config = config.updated(base=config.base.updated(model=resolved_model(config.base.model, catalog).model_dump()).model_dump())
    _begin(root, config)
    trial = _Trial(store_location(store), str(root), config.model_dump(mode="json"))
    with ray_session(usable_cores()) as session:
        trial.cpus_per_worker = cpus_per_worker(session, config)
        _search(root, config, trial, _Observer(root, config, catalog))
    table = trial_table(root, config)
    if table.empty:
        raise EngineError(
            f"{root}: no trial finished an epoch. Look at the errors under {root / TUNE_FOLDER}, or try the base settings with deepstruc-hpc train."
        )
    table.to_csv(root / "trials.csv", index=False)
    best = RunFiles(root / TRIALS_FOLDER / str(table.iloc[0]["trial"]))
    (root / "best.yaml").write_text(best.settings.read_text(encoding="utf-8"), encoding="utf-8")
    return SweepReport(root, table, root / "best.yaml", config.metric)


def cpus_per_worker(session: RaySession, config: SweepConfig) -> float:
    """The share of a core that lets all concurrent trials hold their workers at once: nothing can wait for what another holds."""
    room = session.cpus - TRIAL_CPUS * config.concurrent
    return min(1.0, max(0.01, int(100 * room / (config.concurrent * config.workers_per_trial)) / 100))


@dataclass
class _Trial:
    """What Ray Tune runs for each point of the space."""

    store: str
    root: str
    config: dict[str, Any]
    cpus_per_worker: float = 1.0

    def __call__(self, values: dict[str, Any]) -> None:
        """Train one trial; Ray Train finds its own checkpoints again after a restart."""
        import ray.tune

        config = SweepConfig.model_validate(self.config)
        name = ray.tune.get_context().get_trial_id()
        files = RunFiles(Path(self.root) / TRIALS_FOLDER / name)
        settings = with_settings(config.base, values)
        files.begin(settings, Catalog.open(self.store), self.store, resume=True)
        job: Job = {"store": self.store, "config": settings.model_dump(mode="json"), "stop_at": None, "seconds": None, "latest": None}
        group = WorkerGroup(config.workers_per_trial, self.cpus_per_worker, config.gpus_per_worker)
        ended = files.root / ENDED
        ended.unlink(missing_ok=True)
        try:
            run_reporting(make_trainer(job, files, settings, group).fit, files.root / FILE, ray.tune.report)
        finally:
            ended.touch()


def run_reporting(fit: Callable[[], Any], epochs: Path, report: Callable[[dict[str, float]], None]) -> None:
    """Run a training in a thread, and report every line of its ``epochs.jsonl`` once, in order, from this one.

    Ray's own way, ``TuneReportCallback``, makes Tune's thread in the trial both put a result into a queue of one and take it out. When the function
    ends before its last result is taken, the end is in that queue already, and the trial waits for itself for ever. Here Tune's thread only takes.

    Args:
        fit: runs the training to its end.
        epochs: the file. Lines of an earlier run of the same trial are reported again: Tune may have missed the last of them.
        report: of Ray Tune; it blocks until Tune asks for more, and ends this thread when the trial is stopped.

    Raises:
        Exception: what ``fit`` raised, after all epochs were reported.
    """
    failure: list[BaseException] = []

    def run() -> None:
        try:
            fit()
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, name="trial", daemon=True)
    thread.start()
    reported = 0
    going_on = True
    while going_on:
        thread.join(POLL_SECONDS)
        going_on = thread.is_alive()  # asked before the file is read: what is written until the end is reported
        lines = read_epochs(epochs)
        for line in lines[reported:]:
            report({key: float(value) for key, value in line.items() if isinstance(value, float | int)})
        reported = max(reported, len(lines))
    if failure:
        raise failure[0]


def _begin(root: Path, config: SweepConfig) -> None:
    root.mkdir(parents=True, exist_ok=True)
    path = root / SETTINGS
    if path.exists() and not _same_search(path, config):
        raise ConfigError(f"{root}: holds a search with other settings ({path}). Give the same --config and catalog to go on, or another --out.")
    path.write_text(config.to_yaml(), encoding="utf-8")


def _same_search(path: Path, config: SweepConfig) -> bool:
    """Whether a search was begun with the same settings; how long to wait may change."""
    try:
        before = load_config(SweepConfig, path)
    except ConfigError:
        return False
    return before.updated(stall_minutes=config.stall_minutes) == config


def _search(root: Path, config: SweepConfig, trial: _Trial, observer: _Observer) -> None:
    """Run Ray Tune in a thread; watch the trials' epochs in this one.

    A trial that is stopped leaves its workers' placement group behind, which Ray would keep until this process ends: the next trial would have no
    room. They are removed as they fall idle, and all that is left at the end.

    Raises:
        EngineError: Tune failed, or nothing happened for ``stall_minutes``.
    """
    before = {group.id for group in groups()}
    room, notice = IdleGroups(least=TRIAL_CPUS), WaitNotice(f"{root.name}: a trial")
    stall = StallWatch(root / TRIALS_FOLDER, 60.0 * config.stall_minutes)
    tuner = _tuner(root, config, trial)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tuner.fit()
        except BaseException as error:  # noqa: BLE001 - handed over to the main thread
            failure.append(error)

    thread = threading.Thread(target=run, name="ray-tune", daemon=True)
    thread.start()
    try:
        observer.open()
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            observer.look()
            room.look()
            notice.look()
            stall.look()
        observer.look()
    finally:
        observer.close("FAILED" if failure else "KILLED" if thread.is_alive() else "FINISHED")
        if quiet_ray().is_initialized():
            remove_late_groups(before)
    if failure:
        raise EngineError(f"{root}: the search stopped: {failure[0]}. A second call goes on.") from failure[0]


def _tuner(root: Path, config: SweepConfig, trial: _Trial) -> Any:
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    import optuna
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainable = tune.with_resources(_function(trial), {"CPU": TRIAL_CPUS})
    place = root / TUNE_FOLDER
    if tune.Tuner.can_restore(str(place)):
        return tune.Tuner.restore(str(place), trainable, resume_unfinished=True, restart_errored=True)
    search = OptunaSearch(metric=config.metric, mode="min", seed=config.seed)
    scheduler = ASHAScheduler(
        time_attr="epoch",
        max_t=config.base.epochs,
        grace_period=min(config.grace_epochs, config.base.epochs),
        reduction_factor=config.reduction_factor,
    )
    return tune.Tuner(
        trainable,
        param_space={key: _sampled(values) for key, values in config.space.items()},
        tune_config=tune.TuneConfig(
            metric=config.metric,
            mode="min",
            search_alg=ConcurrencyLimiter(search, max_concurrent=config.concurrent),
            scheduler=scheduler,
            num_samples=config.trials,
        ),
        run_config=tune.RunConfig(name=TUNE_FOLDER, storage_path=str(root), verbose=0),
    )


def _function(trial: _Trial) -> Any:
    """A plain function, the form that Ray Tune takes."""

    def run_trial(values: dict[str, Any]) -> None:
        trial(values)

    return run_trial


def _sampled(values: Range) -> Any:
    from ray import tune

    if values.choice is not None:
        return tune.choice(list(values.choice))
    if values.log_uniform is not None:
        return tune.loguniform(*values.log_uniform)
    return tune.uniform(*(values.uniform or (0.0, 1.0)))


def trial_table(root: Path, config: SweepConfig) -> pd.DataFrame:
    """Every trial that finished an epoch, the best first."""
    from deepstruc_hpc.training.config import TrainConfig
    from deepstruc_hpc.training.tracking import flattened

    rows = []
    for folder in sorted((root / TRIALS_FOLDER).glob("*")):
        lines = read_epochs(folder / FILE)
        if lines:
            best = min(lines, key=lambda line: line[config.metric])
            settings = flattened(load_config(TrainConfig, RunFiles(folder).settings).model_dump(mode="json"))
            searched = {key: settings[key] for key in config.space}
            rows.append({"trial": folder.name, "epochs": len(lines), config.metric: best[config.metric], "val_mae": best["val_mae"], **searched})
    return pd.DataFrame(rows).sort_values(config.metric, ignore_index=True) if rows else pd.DataFrame()


@dataclass
class _Observer:
    """Writes every trial's epochs to its own MLflow run, under one parent."""

    root: Path
    config: SweepConfig
    catalog: Catalog
    parent: Tracker | None = None
    trials: dict[str, Tracker] = field(default_factory=dict)

    def open(self) -> None:
        """Begin the parent run, or go on with it."""
        files = RunFiles(self.root)
        self.parent = self._tracker(files, name=self.root.name, tags={"catalog_id": self.catalog.id, "code_version": __version__})
        self.parent.log_parameters(self.config.model_dump(mode="json", exclude={"base"}))

    def look(self) -> None:
        """Take in the epochs that are new."""
        if self.parent is None:
            return
        for folder in sorted((self.root / TRIALS_FOLDER).glob("*")):
            lines = read_epochs(folder / FILE)
            if lines and folder.name not in self.trials:
                self.trials[folder.name] = self._tracker(RunFiles(folder), name=folder.name, tags={"mlflow.parentRunId": self.parent.run_id})
                self.trials[folder.name].log_parameters({"config": RunFiles(folder).settings.read_text(encoding="utf-8")})
            for line in lines:
                self.trials[folder.name].log_epoch({key: value for key, value in line.items() if isinstance(value, float | int)})

    def close(self, status: Any) -> None:
        """End all runs."""
        for tracker in [*self.trials.values(), *([self.parent] if self.parent else [])]:
            tracker.finish(status)

    def _tracker(self, files: RunFiles, *, name: str, tags: dict[str, str]) -> Tracker:
        uri = tracking_uri(self.root)
        known = files.read_identity().get("mlflow_run")
        tracker = Tracker(uri, self.config.base.experiment, artifacts=self.root / ARTIFACTS, run_id=known, name=name, tags=tags)
        files.update_identity(mlflow_run=tracker.run_id, tracking_uri=uri)
        return tracker
