"""The process that reads and solves: it keeps the model, the catalog and the crystals open, and does one task after the other.

The server sends tasks through a pipe. A closed pipe ends the process, so that no worker outlives its server for longer than a curve takes.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.files import split_inside, write_atomically
from deepstruc_hpc.serve.tasks import (
    Broken,
    Outcome,
    PageOutcome,
    PageTask,
    ReadOutcome,
    ReadTask,
    Ready,
    SolveOutcome,
    SolveTask,
    Start,
    Task,
)

if TYPE_CHECKING:
    from deepstruc_hpc.solve.run.inputs import PdfItem
    from deepstruc_hpc.solve.run.output import ItemRecord

CANCEL = getattr(signal, "SIGUSR2", None)
"""What stops the curve that is being solved; None on systems without it, where the process is ended instead."""


class Cancelled(BaseException):
    """Raised within the work on a curve that nobody wants any more. Like KeyboardInterrupt: nothing on the way may take it for a fault."""


def work(pipe: Connection, start: Start) -> None:
    """Serve one pipe until it is closed.

    Args:
        pipe: tasks come, :class:`Ready` (or :class:`Broken`) and outcomes go.
        start: what the worker is made with.
    """
    interruptible = _Interruptible()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the server, which ends this process in order
    if CANCEL is not None:
        signal.signal(CANCEL, interruptible.ring)
    os.nice(start.niceness)
    with suppress(EOFError, OSError):
        try:
            runner = TaskRunner(start)
        except DeepstrucError as wrong:
            pipe.send(Broken(str(wrong)))
            return
        pipe.send(Ready(runner.ids))
        while True:
            pipe.send(interruptible.run(runner, pipe.recv()))


class _Interruptible:
    """Lets the signal through while a task is worked on, and at no other time."""

    def __init__(self) -> None:
        self.working = False

    def ring(self, _signal: int, _frame: FrameType | None) -> None:
        if self.working:
            self.working = False
            raise Cancelled

    def run(self, runner: TaskRunner, task: Task) -> Outcome:
        try:
            self.working = True
            outcome = runner(task)
            self.working = False
        except Cancelled:
            return SolveOutcome("cancelled") if isinstance(task, SolveTask) else ReadOutcome(message="cancelled")
        return outcome


class TaskRunner:
    """Does tasks: a plain class that knows nothing of the pipe.

    Raises:
        DeepstrucError: the model or the catalog cannot be opened.
    """

    def __init__(self, start: Start) -> None:
        from deepstruc_hpc.solve.config import SOURCES, SolveSettings
        from deepstruc_hpc.solve.run.artefacts import NamedArtefacts, resolve_sources
        from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan, ids_of

        found = resolve_sources(NamedArtefacts(start.model, start.catalog), SOURCES)
        self.ids = dict(found.ids)
        plan = WorkerPlan(
            out=Path(os.devnull),
            settings=SolveSettings(),
            model=found.model,
            catalog=found.catalog,
            ids=ids_of(found.ids),
            own_elements=found.own_elements,
            time_limit=start.time_limit_s,
        )
        self.solver = Solver(plan)
        self.notes = found.notes

    def __call__(self, task: Task) -> Outcome:
        """The outcome of one task; whatever a file holds, it is an outcome and no exception."""
        if isinstance(task, ReadTask):
            return self.read(task)
        return self.solve(task) if isinstance(task, SolveTask) else self.page(task)

    def read(self, task: ReadTask) -> ReadOutcome:
        """Ask the program's own reader, which alone decides what a file is."""
        from deepstruc_hpc.data.pdf_files import read_pdf
        from deepstruc_hpc.serve.reach import refuse_other_files
        from deepstruc_hpc.solve.run.inputs import find_pdfs
        from deepstruc_hpc.solve.run.limits import time_limit

        try:
            with time_limit(self.solver.plan.time_limit):
                refuse_other_files(task.path)
                found = find_pdfs([task.path])
                if len(found) == 1:
                    read_pdf(found[0])
        except Exception as wrong:  # noqa: BLE001 - an uploaded file: no fault in it may stop the worker
            return ReadOutcome(message=without_path(str(wrong) or type(wrong).__name__, task.path))
        return ReadOutcome(tuple(split_inside(path)[1] for path in found) if len(found) > 1 else ("",))

    def solve(self, task: SolveTask) -> SolveOutcome:
        """Solve, unless a worker that was interrupted before it could say so has done it; then give the results the client's name for the file."""
        from deepstruc_hpc.solve.config import SolveSettings
        from deepstruc_hpc.solve.run.inputs import PdfItem

        path = Path(f"{task.path}#{task.inside}") if task.inside else task.path
        item = PdfItem(path, task.folder)
        self.solver.plan = replace(self.solver.plan, out=task.out, settings=SolveSettings(**task.settings))
        task.out.mkdir(parents=True, exist_ok=True)
        record = self._finished(task, item)
        if record is None:
            record = self.solver(item)
            if record is None:
                raise TypeError("a curve gives a record")
            record.file, record.message = task.name, without_path(record.message, task.path, task.name)
            record.details = _public(record.details, task)
            record.conditions = _public(record.conditions, task)
            self._rename(task, record)
        return SolveOutcome(record.status, record.message, shown(record), record.seconds)

    def _finished(self, task: SolveTask, item: PdfItem) -> ItemRecord | None:
        from deepstruc_hpc.data.pdf_files import file_hash
        from deepstruc_hpc.solve.run.output import read_record

        record = read_record(task.out / task.folder)
        if record is None or record.file != task.name or record.status == "failed" or record.settings_id != self.solver.plan.settings_id(item):
            return None
        return record if record.file_hash == file_hash(item.path) else None

    def _rename(self, task: SolveTask, record: ItemRecord) -> None:
        from deepstruc_hpc.report.figures import draw_folder
        from deepstruc_hpc.solve.run.output import RESULT_FILE

        folder = task.out / task.folder
        if record.status == "failed" or not folder.is_dir():
            return
        write_atomically(folder / RESULT_FILE, json.dumps(asdict(record), indent=1))
        with suppress(OSError, ValueError):  # a figure is worth less than the result it shows; the report draws what is missing
            draw_folder(folder, sigma=self.solver.plan.settings.sigma)

    def page(self, task: PageTask) -> PageOutcome:
        """Write summary.csv, summary.json and index.html as the command does."""
        from deepstruc_hpc.report.page import script_mark, write_report
        from deepstruc_hpc.solve.run.output import ItemRecord, read_record
        from deepstruc_hpc.solve.run.summary import Summary

        started = time.monotonic()
        try:
            summary = Summary(task.out, self._head(task))
            summary.rows = {}
            for row in task.rows:
                kept = read_record(task.out / row.folder)
                summary.rows[row.name] = kept if kept is not None else ItemRecord(row.name, row.folder, "failed", row.message, seconds=row.seconds)
            summary.save()
            write_report(task.out, figures=task.last, chemiscope=task.last, title=task.title)
        except DeepstrucError as refused:
            return PageOutcome(time.monotonic() - started, message=str(refused))
        return PageOutcome(time.monotonic() - started, script_mark())

    def _head(self, task: PageTask) -> dict[str, Any]:
        """The head of summary.json, without paths of the server."""
        from deepstruc_hpc.solve.config import SolveSettings
        from deepstruc_hpc.solve.run.batch import versions

        settings = SolveSettings(**task.settings)
        return {
            "title": task.title,
            "settings": settings.model_dump(mode="json"),
            "settings_id": settings.fingerprint(*self.solver.plan.ids),
            "seed": settings.seed,
            "ids": self.ids,
            "notes": list(self.notes),
            "versions": versions(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(task.started)),
        }


def without_path(text: str, path: Path, name: str = "") -> str:
    """A message without the place of the file on the server: ``/data/…/f00001.gr:24: r goes back`` becomes ``line 24: r goes back``."""
    for start in (f"{path}", path.name):
        if text.startswith(f"{start}:"):
            number, _, rest = text[len(start) + 1 :].partition(": ")
            text = f"line {number}: {rest}" if number.isdigit() else text[len(start) + 1 :].strip()
    return text.replace(str(path), name or "the file").replace(path.name, name or "the file").replace(f"{path.parent}{os.sep}", "")


def _public(value: Any, task: SolveTask) -> Any:
    """The same with texts that name the file as the client does."""
    if isinstance(value, str):
        return value.replace(str(task.path), task.name).replace(task.path.name, task.name)
    if isinstance(value, dict):
        return {key: _public(item, task) for key, item in value.items()}
    return [_public(item, task) for item in value] if isinstance(value, list | tuple) else value


def shown(record: ItemRecord) -> dict[str, Any]:
    """What the application's table shows of a curve, in the words of the report."""
    from deepstruc_hpc.report import words

    row = asdict(record)
    answered = record.status == "ok"
    return {
        "phase": words.phase_words(row) if answered else "",
        "atoms": words.atoms_words(row) if answered else "",
        "diameter": words.diameter_words(row) if answered else "",
        "rw": record.rw,
        "probability": record.probability,
        "flags": [label for label, _ in words.flag_words(row)],
        "folder": record.folder,
    }
