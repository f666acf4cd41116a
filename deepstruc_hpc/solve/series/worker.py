"""What solves frames in a worker's process: one of them fully, or a stretch of them warm."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError, NotApplicableError, TimeLimitError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.data.pdf_files import file_hash, read_pdf
from deepstruc_hpc.solve.checks.checks import Answer
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.run.limits import time_limit
from deepstruc_hpc.solve.run.output import ItemRecord, ItemTables, write_item
from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan
from deepstruc_hpc.solve.series.frames import Frame
from deepstruc_hpc.solve.series.results import Curve, FrameResult, on_grid, result_of
from deepstruc_hpc.solve.series.store import write_curves
from deepstruc_hpc.solve.series.vigilance import Vigilance
from deepstruc_hpc.solve.series.warm import Knowledge, WarmSolver

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeriesPlan:
    """Everything that a worker of a series needs; small and picklable.

    Attributes:
        solve: how one curve is solved.
        work: directory of what is not finished.
        grid: (R,) Å, of the curves that are kept.
        every: write the folder of each frame, solved fully or warm.
    """

    solve: WorkerPlan
    work: Path
    grid: Floats
    every: bool = False


@dataclass(frozen=True)
class Task:
    """Frames that are solved one after the other, and written together.

    Attributes:
        frames: of them.
        full: solve them fully; else warm.
        known: fully solved frames, of which what they hand on lies in the work directory.
        expected: Rw that frames like these were fitted with.
    """

    frames: tuple[Frame, ...]
    full: bool
    known: tuple[Frame, ...] = ()
    expected: float = 0.0

    @property
    def name(self) -> str:
        """Of its files; no two tasks with different frames have the same, since frames whose files changed are solved again by themselves."""
        folders = [frame.item.folder for frame in self.frames]
        if self.full:
            return f"full-{folders[0]}"
        return f"warm-{folders[0]}-{blake2b(chr(0).join(folders).encode(), digest_size=4).hexdigest()}"


@dataclass
class TaskResult:
    """What comes back: small, whatever the curves are; these lie in the work directory.

    Attributes:
        name: of the task.
        results: one a frame.
        records: rows of frames that have a folder.
        seconds: of the task; cpu_seconds: of a processor.
    """

    name: str
    results: list[FrameResult]
    records: list[ItemRecord] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class _FullSolver(Solver):
    """Solves as always, and keeps the answer."""

    answer: Answer | None = None

    def _tables(self, answer: Answer, record: ItemRecord, settings: SolveSettings) -> ItemTables:
        self.answer = answer
        return super()._tables(answer, record, settings)

    def tables(self, answer: Answer, record: ItemRecord, settings: SolveSettings) -> ItemTables:
        """Files of an answer that another than this solver found; the record is filled."""
        return self._tables(answer, record, settings)


class SeriesWorker:
    """Solves tasks; model, catalogs and crystals are opened once, when the first full solution is asked for."""

    def __init__(self, plan: SeriesPlan) -> None:
        self.plan = plan
        self._solver: _FullSolver | None = None

    def __call__(self, item: Task | None) -> TaskResult | None:
        """Solve, write curves and what is handed on, and say how it went. None is a heartbeat and gives None."""
        task = item
        if task is None:
            return None
        started, begun = time.monotonic(), time.process_time()
        done = TaskResult(task.name, [])
        curves: list[dict[str, Curve]] = []
        if task.full:
            for frame in task.frames:
                result, own, record = self.full(frame, save=True)
                done.results.append(result)
                done.records.append(record)
                curves.append(own)
        else:
            stretch = Stretch(self, task)
            for frame in task.frames:
                result, own = stretch.solve(frame)
                done.results.append(result)
                curves.append(own)
            done.records = stretch.records
        done.seconds, done.cpu_seconds = time.monotonic() - started, time.process_time() - begun
        write_curves(self.plan.work / f"{task.name}.npz", self.plan.grid, curves)
        text = json.dumps({"results": [asdict(one) for one in done.results], "records": [asdict(one) for one in done.records]})
        write_atomically(self.plan.work / f"{task.name}.json", text)
        return done

    @property
    def solver(self) -> _FullSolver:
        """That of single curves."""
        if self._solver is None:
            self._solver = _FullSolver(self.plan.solve)
        return self._solver

    def full(self, frame: Frame, *, save: bool = False) -> tuple[FrameResult, dict[str, Curve], ItemRecord]:
        """One frame as solve does it, with its folder; with ``save`` what it hands on goes to the work directory."""
        self.solver.answer = None
        record = self.solver(frame.item)
        if record is None:
            raise TypeError("a frame is no heartbeat")
        answer, settings = self.solver.answer, self.settings_of(frame)
        row = {"status": record.status, "message": record.message, "seconds": record.seconds, "n_candidates": record.n_candidates}
        if answer is None or settings is None:
            result, own = FrameResult(frame.number, record.file, record.file_hash, row=row), self.measured(frame)
            if record.status == "refused":
                result.how = "full"
            return result, own, record
        result, own = result_of(frame, answer, settings, self.plan.grid)
        result.how, result.file_hash, result.row = "full", record.file_hash, {**result.row, **row}
        if record.status == "failed":  # its folder could not be written
            result.how = "failed"
        if save:
            write_pickle(self.plan.work / known_name(frame), Knowledge.of(answer.ranking))
        return result, own, record

    def settings_of(self, frame: Frame) -> SolveSettings | None:
        """Of one frame; None where its own values are wrong."""
        try:
            return self.plan.solve.settings_of(frame.item)
        except DeepstrucError:
            return None

    def measured(self, frame: Frame) -> dict[str, Curve]:
        """The data of a frame without a fit, as far as they can be read."""
        try:
            curve = read_pdf(frame.item.path)
        except (DeepstrucError, OSError):
            return {}
        return {"g": on_grid(self.plan.grid, curve.r, curve.g)}

    def known(self, frames: Sequence[Frame]) -> list[Knowledge]:
        """What fully solved frames handed on."""
        return [read_pickle(self.plan.work / known_name(frame)) for frame in frames]

    def write_folder(self, frame: Frame, answer: Answer, result: FrameResult) -> ItemRecord:
        """The folder of a frame that was solved warm."""
        record = ItemRecord(file=str(frame.item.path), folder=frame.item.folder, file_hash=result.file_hash)
        record.settings_id = self.plan.solve.settings_id(frame.item)
        settings = self.plan.solve.settings_of(frame.item)
        tables = self.solver.tables(answer, record, settings)
        record.seconds = float(result.row.get("seconds", 0.0))
        record.details = {**record.details, "seconds": {"warm": record.seconds}}
        write_item(self.plan.solve.out, record, tables, self.plan.solve.draw)
        return record


class Stretch:
    """Frames that follow one another, solved warm, and fully where that does not do.

    Args:
        worker: that solves fully.
        task: the frames, and what is known of frames about them.
    """

    def __init__(self, worker: SeriesWorker, task: Task) -> None:
        self.worker = worker
        self.records: list[ItemRecord] = []
        self.settings = worker.plan.solve.settings
        self.warm = WarmSolver(self.settings)
        known = worker.known(task.known)
        self.warm.learn(*known)
        self.ready = any(len(one.candidates) for one in known)
        self.vigilance = Vigilance(task.expected, len(task.frames))
        self.names = " and ".join(str(frame.number) for frame in task.known)

    def solve(self, frame: Frame) -> tuple[FrameResult, dict[str, Curve]]:
        """One frame, whatever happens."""
        started = time.monotonic()
        try:
            with time_limit(self.worker.plan.solve.time_limit):
                mark = file_hash(frame.item.path)
                curve = read_pdf(frame.item.path)
                if not self.ready or self.worker.settings_of(frame) != self.settings:
                    return self._full(frame, "it has settings of its own" if self.ready else "no frame before it has an answer")
                return self._warm(frame, curve, mark, started)
        except (DeepstrucError, TimeLimitError) as mendable:
            message = str(mendable)
        except (OSError, MemoryError) as refused:
            message = f"{frame.item.path}: {refused}"
        except Exception as defect:  # noqa: BLE001 - one frame never stops the rest; the message says that this one is ours
            message = f"{frame.item.path}: unexpected {type(defect).__name__}: {defect} (a defect of the program)"
        row = {"status": "failed", "message": message, "seconds": round(time.monotonic() - started, 3)}
        return FrameResult(frame.number, str(frame.item.path), row=row), self.worker.measured(frame)

    def _warm(self, frame: Frame, curve: PdfCurve, mark: str, started: float) -> tuple[FrameResult, dict[str, Curve]]:
        changed = self.vigilance.differs(curve)
        measurement = describe(curve, self.settings)
        try:
            answer = self.warm.solve(measurement)
        except NotApplicableError as none:
            return self._full(frame, str(none))
        rw = float(answer.ranking.candidates.rw[0])
        why = self.vigilance.asks(rw, ok=answer.verdict.status == "ok", changed=changed)
        if why:
            fuller = self._full(frame, why)
            better = fuller[0].row.get("rw")
            self.vigilance.learn(rw, None if better is None else float(better))
            return fuller
        result, curves = result_of(frame, answer, self.settings, self.worker.plan.grid)
        result.file_hash = mark
        result.row["seconds"] = round(time.monotonic() - started, 3)
        result.notes.insert(0, f"solved with the candidates of frames {self.names} and of those between")
        if self.worker.plan.every:
            self.records.append(self.worker.write_folder(frame, answer, result))
        return result, curves

    def _full(self, frame: Frame, why: str) -> tuple[FrameResult, dict[str, Curve]]:
        result, own, record = self.worker.full(frame)
        self.records.append(record)
        result.notes.append(f"solved fully: {why}")
        answer = self.worker.solver.answer
        if answer is not None and answer.verdict.status == "ok":
            self.warm.learn(Knowledge.of(answer.ranking))
            self.ready = True
        return result, own


def known_name(frame: Frame) -> str:
    """File of what a fully solved frame hands on."""
    return f"known-{frame.item.folder}.pickle"


def write_pickle(path: Path, known: Knowledge) -> None:
    """Keep what a frame hands on."""
    write_atomically(path, pickle.dumps(known, protocol=pickle.HIGHEST_PROTOCOL))


def read_pickle(path: Path) -> Knowledge:
    """Read it again; the file is one of this program's own."""
    found = pickle.loads(path.read_bytes())  # noqa: S301 - written by this program into its own directory
    if not isinstance(found, Knowledge):
        raise TypeError(f"{path}: not what a frame hands on")
    return found
