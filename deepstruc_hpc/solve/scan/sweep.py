"""How stable an answer is: the same folder solved under many settings, one Ray Tune trial a set of settings.

The points are known beforehand, so a second call is a set difference: what a point's folder holds already is not solved again. A trial is one actor
that solves its point's files one after the other and starts no actors of its own, so two trials on two cores never wait for each other; model and
catalog stay in the actor from one point to the next.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.runtime.progress import Progress, progress_bar
from deepstruc_hpc.runtime.ray_session import RaySession, ray_session
from deepstruc_hpc.solve.run.artefacts import NamedArtefacts
from deepstruc_hpc.solve.run.batch import Batch, BatchOptions
from deepstruc_hpc.solve.run.output import writing
from deepstruc_hpc.solve.run.summary import Summary
from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan
from deepstruc_hpc.solve.scan.stability import Stability, answers, stability
from deepstruc_hpc.solve.scan.sweep_config import Point, SolveSweepConfig

POINTS_FOLDER, TUNE_FOLDER, SETTINGS = "points", "tune", "sweep.yaml"
SWEEP_CSV, STABILITY_CSV, SENSITIVITY_CSV = "sweep.csv", "stability.csv", "sensitivity.csv"


@dataclass(frozen=True)
class SweepOrder:
    """What every point shares; small and picklable.

    Attributes:
        names: files, directories, globs or lists, absolute or as given.
        out: directory of the scan, absolute.
        model: as for solve.
        catalog: likewise.
        recursive: look below the directories named.
        time_limit_s: seconds that a file may take at a point, or None.
    """

    names: tuple[str, ...]
    out: Path
    model: str | None = None
    catalog: str | None = None
    recursive: bool = False
    time_limit_s: float | None = 600.0

    def batch(self, point: Point) -> Batch:
        """The solving of all files with the settings of a point, in this process."""
        options = BatchOptions(workers=0, recursive=self.recursive, time_limit_s=self.time_limit_s)
        return Batch(self.names, self.folder(point), point.settings, options, NamedArtefacts(self.model, self.catalog))

    def folder(self, point: Point) -> Path:
        """Where a point's results lie."""
        return self.out / POINTS_FOLDER / point.id

    def missing(self, point: Point) -> int:
        """How many files are not solved at a point yet."""
        batch = self.batch(point)
        summary = Summary(batch.out, batch.head())
        pending = len(batch.pending(summary, batch.found))
        summary.save()
        return pending


@dataclass(frozen=True)
class SolveSweepReport:
    """What a scan found.

    Attributes:
        out: its directory.
        rows: one a PDF and point.
        stability: tables derived from the rows.
        failed: varied setting and reason of each point that could not be tried.
    """

    out: Path
    rows: pd.DataFrame
    stability: Stability
    failed: dict[str, str]

    @property
    def any_failed(self) -> bool:
        """Whether a point or a file of a point failed."""
        return bool(self.failed) or bool(self.rows["status"].eq("failed").any())


@dataclass
class PointRunner:
    """What an actor holds: the order, and the solver of the last point with its model and catalog."""

    order: SweepOrder
    solver: Solver | None = field(default=None, repr=False)

    def __call__(self, point: Point) -> dict[str, float]:
        """Solve the files of a point that are not solved yet, and say how it went in numbers."""
        batch = self.order.batch(point)
        batch.make_solver = self._solver
        frame = batch.run()
        return {"solved": float(frame["status"].eq("ok").sum()), "mean_rw": float(frame["rw"].mean()) if frame["rw"].notna().any() else 1.0}

    def _solver(self, plan: WorkerPlan) -> Solver:
        if self.solver is None or (self.solver.plan.model, self.solver.plan.catalog) != (plan.model, plan.catalog):
            self.solver = Solver(plan)
        self.solver.plan = plan
        return self.solver


def sweep_solve(
    paths: str | Path | Iterable[str | Path],
    out: str | Path,
    config: SolveSweepConfig | None = None,
    *,
    model: str | Path | None = None,
    catalog: str | Path | None = None,
    recursive: bool = False,
    time_limit_s: float | None = 600.0,
    progress: bool = False,
) -> SolveSweepReport:
    """Solve a folder under many settings, or go on with what an interrupted call left.

    Args:
        paths: files, directories, globs, or lists of files (``@NAME``).
        out: directory; ``sweep.csv`` (a row a PDF and point), ``stability.csv`` (a row a PDF), ``sensitivity.csv`` (a row a PDF and setting), and a
            folder a point under ``points``.
        config: base settings and what is varied; default: :data:`deepstruc_hpc.solve.scan.sweep_config.DEFAULT_SPACE`.
        model: as for :func:`deepstruc_hpc.solve.run.batch.solve`.
        catalog: likewise.
        recursive: look below the directories named.
        time_limit_s: seconds that a file may take at a point.
        progress: show a bar on stderr.

    Raises:
        PdfFileError: nothing to solve. ConfigError: a setting is wrong. OutputError: ``out`` cannot be written.
        EngineError: no point could be tried.
    """
    config = config or SolveSweepConfig()
    names = [paths] if isinstance(paths, str | Path) else list(paths)
    root = Path(out).expanduser().resolve()
    order = SweepOrder(tuple(_absolute(str(name)) for name in names), root, _text(model), _text(catalog), recursive, time_limit_s)
    points = config.all_points()
    order.batch(points[0])  # refuses wrong inputs and sources before anything is written
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        write_atomically(root / SETTINGS, config.to_yaml())
    pending = [number for number, point in enumerate(points) if order.missing(point)]
    failed = _run(order, points, pending, config.concurrent, progress=progress) if pending else {}
    rows = answers([(point, order.folder(point)) for point in points], config)
    if rows.empty:
        raise EngineError(f"{root}: no point of the scan gave a result ({'; '.join(failed.values()) or 'no reason known'}). Try deepstruc-hpc solve.")
    tables = stability(rows, list(config.space))
    with writing(root):
        for name, table in ((SWEEP_CSV, rows), (STABILITY_CSV, tables.by_file), (SENSITIVITY_CSV, tables.by_setting)):
            write_atomically(root / name, table.to_csv(index=False, float_format="%.6g"))
    return SolveSweepReport(root, rows, tables, failed)


def _run(order: SweepOrder, points: list[Point], pending: list[int], concurrent: int | None, *, progress: bool) -> dict[str, str]:
    """Let Ray Tune try the points; the reasons of those that failed, by what was varied."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # Ctrl-C ends this command as any other: what is solved is kept
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    bar_or_nothing = progress_bar("settings", len(pending)) if progress else nullcontext(Progress())
    with ray_session() as session, bar_or_nothing as bar, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = _tuner(order, points, pending, at_once(session, concurrent, len(pending)), bar.advance).fit()
    shutil.rmtree(order.out / TUNE_FOLDER, ignore_errors=True)
    reasons = {}
    for trial in grid:
        if trial.error is not None:
            point = points[int(trial.config["point"])]
            reasons[f"{point.varied} {dict(point.values)}"] = " ".join(str(trial.error).split())[-300:]
    return reasons


def at_once(session: RaySession, wanted: int | None, pending: int) -> int:
    """Trials at a time: one a core, so that each holds all that it will ever ask for."""
    return max(1, min(wanted or int(session.cpus), int(session.cpus), pending))


def _tuner(order: SweepOrder, points: list[Point], pending: list[int], concurrent: int, on_trial: Callable[[], None]) -> Any:
    from ray import tune

    class Trial(tune.Trainable):  # type: ignore[misc]
        """One point; the actor is used again for the next one."""

        def setup(self, config: dict[str, Any], order: SweepOrder, points: list[Point]) -> None:
            self.runner, self.points, self.number = PointRunner(order), points, int(config["point"])

        def step(self) -> dict[str, Any]:
            return {**self.runner(self.points[self.number]), "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.number = int(new_config["point"])
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:  # what is solved lies in the point's folder
            del checkpoint_dir

        def load_checkpoint(self, checkpoint: Any) -> None:
            del checkpoint

    class Advance(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, *_: Any, **__: Any) -> None:
            on_trial()

        def __reduce__(self) -> tuple[Any, ...]:  # Tune writes its callbacks to disk; a bar has locks, which cannot be written
            return tune.Callback, ()

    trainable = tune.with_resources(tune.with_parameters(Trial, order=order, points=points), {"CPU": 1})
    return tune.Tuner(
        trainable,
        param_space={"point": tune.grid_search(pending)},
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrent, reuse_actors=True),
        run_config=tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=str(order.out),
            verbose=0,
            callbacks=[Advance()],
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _absolute(name: str) -> str:
    """The same name from any working directory: a trial runs in another one."""
    if name.startswith("@"):
        return f"@{Path(name[1:]).expanduser().absolute()}"
    return str(Path(name).expanduser().absolute())


def _text(given: str | Path | None) -> str | None:
    if given is None:
        return None
    return str(Path(given).resolve()) if Path(given).exists() else str(given)
