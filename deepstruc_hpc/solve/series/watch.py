"""A series that is still being measured: each frame is solved as it arrives, warm from those before it.

Frames keep the order in which they arrive (those that are there at one look in their natural order). What the smoothing says of them is provisional
until watching ends: it then has all frames before and after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.files import split_inside
from deepstruc_hpc.data.pdf_files import file_hash
from deepstruc_hpc.data.series_file import H5_FILE, SeriesFile
from deepstruc_hpc.solve.run.batch import LOOK_EVERY_S
from deepstruc_hpc.solve.run.inputs import is_whole
from deepstruc_hpc.solve.run.output import ItemRecord
from deepstruc_hpc.solve.run.summary import Summary
from deepstruc_hpc.solve.series.frames import Frame
from deepstruc_hpc.solve.series.results import FrameResult
from deepstruc_hpc.solve.series.run import SeriesRun, first_grid, unchanged
from deepstruc_hpc.solve.series.schedule import INTERVAL, Schedule
from deepstruc_hpc.solve.series.store import finished
from deepstruc_hpc.solve.series.worker import SeriesWorker, Task

LEAST_SECONDS, TIMES_ITS_COST = 5.0, 10.0
"""The tables and the page are written at most so often, and in at most so much of the time."""
TOGETHER = 10
"""Frames that are solved as one stretch where more have arrived."""


class Watched:
    """One call with ``--series --watch``.

    Args:
        run: the series.
        on_page: writes the page.
    """

    def __init__(self, run: SeriesRun, on_page: Callable[[], object]) -> None:
        self.run, self.on_page = run, on_page
        self.summary = Summary(run.out, run.batch.head())
        self.schedule = Schedule([], run.work)
        self.table = pd.DataFrame()
        self._worker: SeriesWorker | None = None
        self._file: SeriesFile | None = None
        self._next = 0.0
        self._finished: list[tuple[str, list[FrameResult]]] = []
        self._since_full = 0
        self._broken: dict[Path, str] = {}
        self._earlier: list[tuple[str, list[FrameResult], list[ItemRecord]]] = []

    def go(self) -> pd.DataFrame:
        """Until nothing arrives for ``watch_idle_s``, or the user ends it."""
        try:
            for paths in self._arriving():
                self._take(paths)
                if time.monotonic() >= self._next:
                    self._write(provisional=True)
            self._settle()
        finally:
            self._write(provisional=False)
            if self._file is not None:
                self._file.close()
        return self.table

    def _arriving(self) -> Iterator[list[Path]]:
        """Files that became whole since the last look, in the order of the series."""
        options, sizes, handed = self.run.batch.options, dict[Path, int](), dict[Path, int]()
        last = time.monotonic()
        while options.watch_idle_s is None or time.monotonic() - last < options.watch_idle_s:
            here = self.run.batch.look(allow_empty=True)
            whole = [path for path in here if (path not in handed or self._mended(path, handed)) and is_whole(path, sizes)]
            handed.update({path: _changed_at(path) for path in whole})
            if whole:
                last = time.monotonic()
                yield whole
                last = time.monotonic()
            time.sleep(LOOK_EVERY_S)

    def _mended(self, path: Path, handed: dict[Path, int]) -> bool:
        """Whether a frame that failed has other bytes since: a file written anew, or room that was set aside in a file of many."""
        changed = _changed_at(path)
        if path not in self._broken or changed == handed[path]:
            return False
        if _digest(path) == self._broken[path]:
            handed[path] = changed
            return False
        return True

    def _take(self, paths: list[Path]) -> None:
        """Solve frames that are new, and those once more that were broken and are not any longer."""
        again = [frame for frame in self.schedule.frames if frame.item.path in self._broken and frame.item.path in paths]
        fresh = [path for path in paths if path not in self._broken]
        if again:
            self._solve(again, self._open(again))
        if fresh:
            self._take_fresh(fresh)
        failed = {number for number, result in self.schedule.results.items() if result.row.get("status") == "failed"}
        self._broken = {frame.item.path: self._broken.get(frame.item.path, "") for frame in self.schedule.frames if frame.number in failed}
        self._broken.update({path: _digest(path) for path in paths if path in self._broken})

    def _take_fresh(self, paths: list[Path]) -> None:
        first = len(self.schedule.frames)
        taken = {str(frame.item.path): frame.item.folder for frame in self.schedule.frames}
        fresh = self.run.frames(paths, {**self.summary.folders(), **taken})
        frames = [Frame(first + place, frame.item, frame.order if self.run.options.order != "name" else float(first + place), frame.noted)
                  for place, frame in enumerate(fresh)]  # fmt: skip
        self.schedule.frames += frames
        worker = self._open(frames)
        self._go_on_from(frames)
        left = [frame for frame in frames if frame.number not in self.schedule.results]
        for start in range(0, len(left), TOGETHER):
            self._solve(left[start : start + TOGETHER], worker)

    def _go_on_from(self, frames: list[Frame]) -> None:
        """Take in what an earlier call finished of these frames."""
        numbers = {str(frame.item.path): frame.number for frame in frames}
        for name, results, records in self._earlier:
            own = [numbers.get(result.file) if result.file in numbers and unchanged(result) else None for result in results]
            if any(number is not None for number in own):
                self.schedule.known(name, results, records, own)
                self._finished.append((name, [result for result, number in zip(results, own, strict=True) if number is not None]))

    def _settle(self) -> None:
        """The frames of the changes, fully."""
        worker, frames = self._worker, self.schedule.frames
        if worker is None or not self.schedule.results:
            return
        for number in self.run.changed(self.schedule):
            if self.schedule.results[number].how != "full" and (done := worker(Task((frames[number],), full=True))) is not None:
                self.schedule.add(done, full=True)
                self._finished.append((done.name, done.results))

    def _solve(self, frames: list[Frame], worker: SeriesWorker) -> None:
        """The first fully, and one in every some hundred; the others warm from the latest that were."""
        anchors = sorted(self.schedule.anchors)
        if not anchors or self._since_full >= INTERVAL:
            tasks = [Task((frames[0],), full=True), *([Task(tuple(frames[1:]), full=False)] if len(frames) > 1 else [])]
            self._since_full = 0
        else:
            tasks = [Task(tuple(frames), full=False)]
        self._since_full += len(frames)
        for task in tasks:
            known = sorted(self.schedule.anchors)[-2:]
            expected = max((float(self.schedule.results[place].row.get("rw") or 0.0) for place in known), default=0.0)
            ready = task if task.full else Task(task.frames, False, tuple(self.schedule.frames[place] for place in known), expected)
            done = worker(ready)
            if done is not None:
                self.schedule.add(done, full=task.full)
                self._finished.append((done.name, done.results))

    def _open(self, frames: list[Frame]) -> SeriesWorker:
        if self._worker is None:
            grid = first_grid(frames)
            self.run.open(grid)
            self._earlier = list(finished(self.run.work))
            self._worker = SeriesWorker(self.run.plan(grid))
            self._file = SeriesFile.create(self.run.out / H5_FILE, grid, len(frames), self.run.head(grid))
        return self._worker

    def _write(self, *, provisional: bool) -> None:
        """Tables and page as far as the frames are solved."""
        if self._file is None or not self.schedule.results:
            return
        begun = time.monotonic()
        self._file.grow(len(self.schedule.frames))
        for name, results in self._finished:
            self.run.put(self._file, self.schedule, name, results)
        self._finished.clear()
        self.table = self.run.write(self.schedule, self._file, self.summary, provisional=provisional)
        self.on_page()
        self._next = time.monotonic() + max(LEAST_SECONDS, TIMES_ITS_COST * (time.monotonic() - begun))


def _changed_at(path: Path) -> int:
    """Nanoseconds since 1970; 0 for a file that is gone."""
    try:
        return split_inside(path)[0].stat().st_mtime_ns
    except OSError:
        return 0


def _digest(path: Path) -> str:
    """Of the bytes of a frame; empty where it cannot be read."""
    try:
        return file_hash(path)
    except (OSError, DeepstrucError):
        return ""


def watch_series(run: SeriesRun, on_page: Callable[[], object]) -> pd.DataFrame:
    """Solve frames as they arrive.

    Args:
        run: the series.
        on_page: writes the page; called again and again.

    Returns:
        The table of all frames that arrived.
    """
    return Watched(run, on_page).go()
