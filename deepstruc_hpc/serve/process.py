"""One worker process as the dispatcher sees it: started, given a task, asked to stop a task, ended."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

from deepstruc_hpc.serve.tasks import Broken, Outcome, ReadTask, Ready, SolveTask, Start, Task
from deepstruc_hpc.serve.worker import CANCEL, work

PATIENCE_S = 10.0
"""After the signal that stops a curve. Compiled code is never longer on its way than a second or two; a process that does not answer is ended."""
END_S = 5.0
"""For a process that was told to end, before it is killed."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A worker uses one core, so that as many run as cores are given."""


class WorkerProcess:
    """A process of its own, started fresh (not forked: the server has threads)."""

    def __init__(self, start: Start) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, start), daemon=True, name="deepstruc-hpc worker")
        kept = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)
        try:
            self.process.start()
        finally:
            for name, value in kept.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        theirs.close()
        self.ready = False
        self.task: Task | None = None
        self._stopped_at: float | None = None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid or 0

    @property
    def free(self) -> bool:
        """Whether it can take a task."""
        return self.ready and self.task is None

    def give(self, task: Task) -> None:
        """Hand a task over.

        Raises:
            OSError: the process has ended.
        """
        self.task, self._stopped_at = task, None
        self.pipe.send(task)

    def take(self) -> tuple[Task | None, Outcome | Ready | Broken]:
        """What has come: an outcome with its task, or the word that the worker is ready or cannot work.

        Raises:
            EOFError, OSError: the process has ended.
        """
        message: Any = self.pipe.recv()
        if isinstance(message, Ready | Broken):
            self.ready = isinstance(message, Ready)
            return None, message
        task, self.task = self.task, None
        return task, message

    def stop_task(self) -> None:
        """Ask it to leave the curve it works on; end it where it does not answer in time. Called again and again until it has answered."""
        if not isinstance(self.task, SolveTask | ReadTask):
            return
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            if CANCEL is not None:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, CANCEL)
        if CANCEL is None or time.monotonic() - self._stopped_at > PATIENCE_S:
            self.process.kill()

    def end(self) -> None:
        """Close the pipe, end the process and wait for it."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(END_S)
