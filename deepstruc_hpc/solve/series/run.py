"""Solve a series: a few frames fully, the others warm, then all of them together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import DeepstrucError, PdfFileError
from deepstruc_hpc.data.pdf_files import file_hash, read_pdf
from deepstruc_hpc.data.series_file import H5_FILE, SeriesFile
from deepstruc_hpc.solve.run.batch import Batch
from deepstruc_hpc.solve.run.inputs import make_items
from deepstruc_hpc.solve.run.summary import Summary
from deepstruc_hpc.solve.series.finish import Finished, finish
from deepstruc_hpc.solve.series.frames import Frame, list_frames
from deepstruc_hpc.solve.series.results import FrameResult
from deepstruc_hpc.solve.series.schedule import Schedule
from deepstruc_hpc.solve.series.store import finished, open_work, other_curve, read_curves
from deepstruc_hpc.solve.series.worker import SeriesPlan, SeriesWorker, Task, TaskResult

if TYPE_CHECKING:
    from deepstruc_hpc.runtime.pool import Worker

WORK = "work"
"""Directory of what each worker finished; a second call goes on from there."""
MOST_CHANGES = 12
"""Changes of which the frame is solved fully in the end, the most probable first."""
WAIT_S = 0.02
"""Between two looks for finished tasks while none can be handed out."""
UNITS = {"temperature": "K", "time": "s"}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeriesOptions:
    """What a series is asked for beside what single curves are.

    Attributes:
        order: ``name``, or what the frames are ordered by: ``time``, ``temperature``, ``x``, ``y``, a column of the table of values.
        all_frames: write the folder of each frame.
    """

    order: str = "name"
    all_frames: bool = False


@dataclass
class Timing:
    """Seconds of a run.

    Attributes:
        started: on the monotonic clock.
        full: until the full solutions that the warm ones start from were there.
        solved: until the last frame was solved.
        cpu: of a processor, for full solutions and for warm stretches.
    """

    started: float = field(default_factory=time.monotonic)
    full: float = 0.0
    solved: float = 0.0
    cpu: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})


class SeriesRun:
    """One call of solve with ``--series``.

    Args:
        batch: the inputs and sources of the call.
        options: of the series.
    """

    def __init__(self, batch: Batch, options: SeriesOptions) -> None:
        self.batch, self.options, self.out = batch, options, batch.out
        self.work = batch.out / WORK
        self.timing = Timing()

    def run(self) -> pd.DataFrame:
        """Solve what is not solved yet, write ``series.csv`` and ``series.h5``, and return the table.

        Raises:
            PdfFileError: no frame can be read. ConfigError: a frame does not say what orders it. OutputError: ``out`` cannot be written.
        """
        self.timing = Timing()
        summary = Summary(self.out, self.batch.head())
        frames = self.frames(self.batch.found, summary.folders())
        grid = first_grid(frames)
        self.open(grid)
        summary.run["notes"] = [*summary.run["notes"], *self.batch.read_crystals()]
        schedule = Schedule(frames, self.work)
        with SeriesFile.resume(self.out / H5_FILE, grid, len(frames), self.head(grid)) as file:
            self._go_on_from(schedule, file)
            schedule.start()
            for task, result in self._results(self._tasks(schedule), self.plan(grid), len(frames)):
                if task is None:
                    continue
                if isinstance(result, TaskResult):
                    schedule.take(task, result)
                    self.timing.cpu[task.full] += result.cpu_seconds
                    self.put(file, schedule, result.name, result.results)
                else:
                    schedule.failed(task, str(result))
                self.timing.solved = time.monotonic() - self.timing.started
                if task.full and not self.timing.full:
                    self.timing.full = self.timing.solved if not schedule.wants_fully else 0.0
            return self.write(schedule, file, summary)

    def frames(self, paths: Sequence[Path], taken: Mapping[str, str]) -> list[Frame]:
        """The frames in order; ``taken``: file → folder of earlier ones."""
        limit = self.batch.options.limit
        return list_frames(make_items(paths, taken, self.batch.values), by=self.options.order)[:limit]

    def head(self, grid: Floats) -> dict[str, Any]:
        """What decides whether an earlier call can be gone on from."""
        head = self.batch.head()
        kept = ("settings", "settings_id", "ids", "versions")
        return {**{name: head[name] for name in kept}, "r": [float(grid[0]), float(grid[-1]), len(grid)], "all_frames": self.options.all_frames}

    def open(self, grid: Floats) -> None:
        """The work directory, emptied where it belongs to other settings or ``force`` asks for it."""
        head = self.head(grid)
        open_work(self.work, {**head, "force": time.time()} if self.batch.options.force else head)
        if self.batch.options.force:
            open_work(self.work, head)

    def plan(self, grid: Floats) -> SeriesPlan:
        """What workers need."""
        return SeriesPlan(self.batch.plan, self.work, grid, every=self.options.all_frames)

    def _go_on_from(self, schedule: Schedule, file: SeriesFile) -> None:
        """Take in what an earlier call finished of files that are still the same."""
        numbers = {str(frame.item.path): frame.number for frame in schedule.frames}
        for name, results, records in finished(self.work):
            own = [numbers.get(result.file) if unchanged(result) else None for result in results]
            schedule.known(name, results, records, own)
            self.put(file, schedule, name, [result for result, number in zip(results, own, strict=True) if number is not None])

    def put(self, file: SeriesFile, schedule: Schedule, name: str, results: Sequence[FrameResult]) -> None:
        """Curves of a task into the file, neighbours together."""
        ours = [(result.number, schedule.places[result.number][1]) for result in results if schedule.places[result.number][0] == name]
        if not ours:
            return
        g, calculated = read_curves(self.work / f"{name}.npz")
        first = 0
        for end in range(1, len(ours) + 1):
            if end == len(ours) or ours[end][0] != ours[end - 1][0] + 1:
                places = [place for _, place in ours[first:end]]
                file.put(ours[first][0], g[places], calculated[places])
                first = end

    def _tasks(self, schedule: Schedule) -> Iterator[Task | None]:
        """All tasks; once all frames are solved, the frames of the changes that were found, fully."""
        for changes in (False, True):
            if changes:
                schedule.ask_again(self.changed(schedule))
            for task in schedule.tasks():
                if task is None:
                    time.sleep(WAIT_S)
                yield task

    def changed(self, schedule: Schedule) -> list[int]:
        """Frames of the changes, the most probable first, at most so many as are solved fully in the end."""
        self.timing.full = self.timing.full or self.timing.solved
        found = self.finished(schedule).changes.sort_values("probability", ascending=False, kind="stable")
        return [int(frame) for frame in found["frame"].drop_duplicates()[:MOST_CHANGES]]

    @staticmethod
    def finished(schedule: Schedule, *, provisional: bool = False) -> Finished:
        """The series as far as it is solved."""
        return finish(schedule.frames, [schedule.results[frame.number] for frame in schedule.frames], provisional=provisional)

    def _results(self, tasks: Iterator[Task | None], plan: SeriesPlan, count: int) -> Iterator[tuple[Task | None, Any]]:
        """Each task with its result."""
        options = self.batch.options
        if options.workers == 0 or count <= 2:
            worker = SeriesWorker(plan)
            for task in tasks:
                yield task, worker(task)
            return
        from deepstruc_hpc.runtime.pool import map_over_actors
        from deepstruc_hpc.runtime.ray_session import ray_session

        with ray_session() as session:
            workers = options.workers or max(1, int(session.cpus))
            yield from map_over_actors(partial(_worker, plan), tasks, workers=workers, retries=1)

    def write(self, schedule: Schedule, file: SeriesFile, summary: Summary, *, provisional: bool = False) -> pd.DataFrame:
        """The tables, and the curves of answers that the smoothing chose."""
        finished = self.finished(schedule, provisional=provisional)
        for number, state in finished.replaced.items():
            name, place = schedule.places[number]
            calculated = other_curve(self.work / f"{name}.npz", place, state)
            if calculated is not None:
                g, _ = read_curves(self.work / f"{name}.npz")
                file.put(number, g[place][None], calculated[None])
        file.finish(finished.table, finished.changes, units=UNITS)
        for record in schedule.records.values():
            summary.rows[record.file] = record
        summary.save()
        return finished.table


def _worker(plan: SeriesPlan) -> Worker:
    return SeriesWorker(plan)


def first_grid(frames: Sequence[Frame]) -> Floats:
    """(R,) Å, the points of the first frame that can be read.

    Raises:
        PdfFileError: none can be.
    """
    first_error = ""
    for frame in frames:
        try:
            return read_pdf(frame.item.path).r
        except (DeepstrucError, OSError) as broken:
            first_error = first_error or str(broken)
    raise PdfFileError(f"none of the {len(frames)} frames can be read. The first: {first_error}")


def unchanged(result: FrameResult) -> bool:
    """Whether a file is what it was, and was solved."""
    if result.how == "failed" or not result.file_hash:
        return False
    try:
        return file_hash(Path(result.file)) == result.file_hash
    except (OSError, DeepstrucError):
        return False
