"""Which frames are solved fully, and which stretches between them warm, in which order."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from deepstruc_hpc.solve.run.output import ItemRecord
from deepstruc_hpc.solve.series.frames import Frame
from deepstruc_hpc.solve.series.results import FrameResult
from deepstruc_hpc.solve.series.worker import Task, TaskResult, known_name

INTERVAL = 125
"""Frames from one full solution to the next: whatever the warm ones miss is seen within as many."""
LONGEST = 64
"""Frames of a stretch: short enough that all workers end about together, and that little is lost where one is killed."""
FEW = 4
"""Series of so many frames are solved fully."""
SIZES_APART = 0.14
"""ln of the ratio of two diameters, beyond which a frame between them is solved fully: local searches reach ±30 % in atoms, 0.09 on either side."""
STATES_APART, LEAST_APART = 32, 8
"""Frames between two full solutions with different states, or sizes, below which none between them is solved fully."""


class Schedule:
    """Hands out tasks and takes results.

    Args:
        frames: of the series.
        work: directory where fully solved frames leave what they hand on.
    """

    def __init__(self, frames: Sequence[Frame], work: Path) -> None:
        self.frames, self.work = list(frames), work
        self.results: dict[int, FrameResult] = {}
        self.places: dict[int, tuple[str, int]] = {}
        self.records: dict[str, ItemRecord] = {}
        self.anchors: set[int] = set()
        self._tried: set[int] = set()
        self._handed: set[int] = set()
        self._queue: deque[Task] = deque()
        self._running: set[str] = set()

    def start(self) -> None:
        """Ask for the first full solutions."""
        count = len(self.frames)
        many = count if count <= FEW else max(2, math.ceil((count - 1) / INTERVAL) + 1)
        for place in np.unique(np.round(np.linspace(0, count - 1, many)).astype(int)).tolist():
            self._ask_fully(place)
        self._go_on()

    def tasks(self) -> Iterator[Task | None]:
        """Tasks while there are any; None while some are running and none is ready."""
        while self._queue or self._running:
            if self._queue:
                task = self._queue.popleft()
                self._running.add(task.name)
                yield task
            else:
                yield None

    @property
    def wants_fully(self) -> bool:
        """Whether full solutions are asked for that are not there yet."""
        return any(place not in self.results for place in self._tried)

    def ask_again(self, places: Sequence[int]) -> None:
        """Ask for full solutions of frames that were solved warm."""
        for place in places:
            if place not in self._tried and self.results[place].how != "full":
                self._tried.add(place)
                self._queue.append(Task((self.frames[place],), full=True))

    def known(self, name: str, results: Sequence[FrameResult], records: Sequence[ItemRecord], numbers: Sequence[int | None]) -> None:
        """Take in what an earlier call finished; of frames without a number nothing is taken."""
        for place, (result, number) in enumerate(zip(results, numbers, strict=True)):
            if number is not None and not (number in self.results and self.results[number].how == "full"):
                result.number = number
                self.results[number], self.places[number] = result, (name, place)
                self._handed.add(number)
                if name.startswith("full-"):
                    self._tried.add(number)
                    if (self.work / known_name(self.frames[number])).is_file():
                        self.anchors.add(number)
        files = {str(self.frames[number].item.path) for number in numbers if number is not None}
        self.records.update({record.file: record for record in records if record.file in files})

    def take(self, task: Task, done: TaskResult) -> None:
        """Take the results of a task, and ask for what follows from them."""
        self._running.discard(task.name)
        self.add(done, full=task.full)
        for result in done.results if task.full else ():
            if not result.state:
                self._instead(result.number)
        self._go_on()

    def add(self, done: TaskResult, *, full: bool) -> None:
        """Keep the results of a task."""
        for place, result in enumerate(done.results):
            self.results[result.number], self.places[result.number] = result, (done.name, place)
        self.records.update({record.file: record for record in done.records})
        if full:
            self.anchors.update(result.number for result in done.results if result.state)

    def failed(self, task: Task, why: str) -> None:
        """A worker ended: its frames are tried in halves, and one that was alone has failed."""
        self._running.discard(task.name)
        if len(task.frames) > 1:
            half = len(task.frames) // 2
            self._queue.extend(Task(part, task.full, task.known, task.expected) for part in (task.frames[:half], task.frames[half:]))
        else:
            frame = task.frames[0]
            message = f"{frame.item.path}: {why}"
            self.results[frame.number] = FrameResult(frame.number, str(frame.item.path), row={"status": "failed", "message": message})
            if task.full:
                self._instead(frame.number)
        self._go_on()

    def _ask_fully(self, place: int) -> None:
        if place not in self._tried and (place not in self.results or self.results[place].how != "full"):
            self._tried.add(place)
            self._handed.add(place)
            self._queue.appendleft(Task((self.frames[place],), full=True))

    def _instead(self, place: int) -> None:
        """The next frame, where one that was to be solved fully has no answer."""
        after = next((one for one in range(place + 1, min(place + LEAST_APART, len(self.frames))) if one not in self._handed), None)
        if after is not None and not any(place < anchor <= after for anchor in self.anchors):
            self._ask_fully(after)

    def _go_on(self) -> None:
        """Ask for full solutions between those that differ, and for the stretches between those that do not."""
        waiting = {place for place in self._tried if place not in self.results}
        anchors = sorted(self.anchors)
        if not anchors and waiting:
            return
        ends = [-1, *anchors, len(self.frames)]
        for left, right in pairwise(ends):
            if any(left < place < right for place in waiting):
                continue
            if left >= 0 and right < len(self.frames) and self._apart(left, right):
                self._ask_fully((left + right) // 2)
                if (left + right) // 2 not in self.results:
                    continue
            self._stretch(left, right)

    def _apart(self, left: int, right: int) -> bool:
        """Whether a frame between two fully solved ones is to be solved fully."""
        a, b = self.results[left], self.results[right]
        gap, middle = right - left, (left + right) // 2
        if middle in self._tried or gap <= LEAST_APART:
            return False
        if a.state != b.state:
            return gap > STATES_APART
        sizes = [(a.measures[name]["size"], b.measures[name]["size"]) for name in a.measures if name in b.measures]
        return any(one is not None and other is not None and abs(one[0] - other[0]) > SIZES_APART for one, other in sizes)

    def _stretch(self, left: int, right: int) -> None:
        """The frames between two fully solved ones, in pieces."""
        inside = [place for place in range(left + 1, right) if place not in self._handed]
        if not inside:
            return
        known = [place for place in (left, right) if place in self.anchors]
        expected = max((float(self.results[place].row.get("rw") or 0.0) for place in known), default=0.0)
        pieces = math.ceil(len(inside) / LONGEST)
        for part in np.array_split(np.array(inside), pieces):
            self._handed.update(part.tolist())
            frames = tuple(self.frames[place] for place in part.tolist())
            self._queue.append(Task(frames, full=False, known=tuple(self.frames[place] for place in known), expected=expected))
