"""The thread behind the pages: gives tasks to worker processes, keeps what they answer, and replaces those that end."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait

from deepstruc_hpc.serve.jobs import QUEUED, Job
from deepstruc_hpc.serve.process import WorkerProcess
from deepstruc_hpc.serve.queue import Queue
from deepstruc_hpc.serve.tasks import Broken, PageOutcome, PageTask, ReadOutcome, ReadTask, Ready, SolveOutcome, SolveTask, Start, Task

LOOK_EVERY_S = 1.0
"""How long the thread waits for something to happen before it looks by itself."""
PAGE_EVERY_S = 3.0
PAGE_TIMES_ITS_COST = 10.0
"""The page of a job that runs is written at most so often, so that it costs a tenth of a worker's time at most."""
FAILED_STARTS = 3
PAUSE_S = 30.0
"""After so many workers in a row that ended before they were ready, the next is started after a pause: a loop of starts would take the machine."""
LOG = logging.getLogger(__name__)


class Dispatcher:
    """Start it, wake it when something has changed, stop it.

    Args:
        queue: what is to be done.
        start: what a worker is made with.
        workers: number of processes.
    """

    def __init__(self, queue: Queue, start: Start, workers: int) -> None:
        self.queue, self._start, self._wanted = queue, start, workers
        self.problem = ""
        self._workers: list[WorkerProcess] = []
        self._bell, self._ear = Pipe()
        self._ringing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pages: dict[str, float] = {}
        self._failed_starts, self._next_start = 0, 0.0

    def start(self) -> None:
        """Take up what an earlier server left, and go on."""
        self.queue.recover()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something is to be done: an upload, a start, a cancel, a deletion."""
        with self._ringing, suppress(OSError):
            if not self._ear.poll():
                self._bell.send(None)

    def stop(self) -> None:
        """End the workers; what they have not finished begins again with the next start."""
        self._stopping.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def pids(self) -> list[int]:
        """Of the worker processes."""
        return [worker.pid for worker in self._workers]

    @property
    def ready(self) -> bool:
        """Whether a worker can take tasks."""
        return any(worker.ready for worker in self._workers)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._step()
                except Exception as failed:  # a full disk, a lock that is held for long: the next look may do, and a dead thread would do nothing
                    self.problem = f"the queue stands still: {type(failed).__name__}: {failed}"
                    LOG.exception("the queue stands still")
                    self._stopping.wait(LOOK_EVERY_S)
        finally:
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    def _step(self) -> None:
        self._fill()
        self._stop_unwanted()
        self._assign()
        self.queue.clear({worker.task.job_id for worker in self._workers if worker.task is not None})
        for source in wait([self._ear, *(worker.pipe for worker in self._workers)], timeout=LOOK_EVERY_S):
            if source is self._ear:
                with self._ringing:
                    self._ear.recv()
            else:
                self._hear(next(worker for worker in self._workers if worker.pipe is source))

    def _fill(self) -> None:
        while len(self._workers) < self._wanted and time.monotonic() >= self._next_start:
            self._workers.append(WorkerProcess(self._start))

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            task, message = worker.take()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if isinstance(message, Broken):
            self.problem = message.message
            LOG.error("a worker cannot work: %s", message.message)
            self._failed_starts = FAILED_STARTS
        elif isinstance(message, Ready):
            self._failed_starts, self.problem = 0, ""
        elif task is not None:
            self._keep(task, message)

    def _keep(self, task: Task, outcome: ReadOutcome | SolveOutcome | PageOutcome) -> None:
        if isinstance(task, ReadTask) and isinstance(outcome, ReadOutcome):
            self.queue.was_read(task, outcome)
        elif isinstance(task, SolveTask) and isinstance(outcome, SolveOutcome):
            self.queue.was_solved(task, outcome)
        elif isinstance(task, PageTask) and isinstance(outcome, PageOutcome):
            self._pages[task.job_id] = time.monotonic() + max(PAGE_EVERY_S, PAGE_TIMES_ITS_COST * outcome.seconds)
            if outcome.message:
                LOG.error("page of job %s: %s", task.job_id, outcome.message)
            self.queue.page_written(task, outcome)

    def _bury(self, worker: WorkerProcess) -> None:
        """A process ended by itself: killed, out of memory, a fault in compiled code."""
        self._workers.remove(worker)
        task = worker.task
        worker.end()
        LOG.warning("worker %d ended (exit code %s)", worker.pid, worker.process.exitcode)
        if isinstance(task, ReadTask | SolveTask):
            self.queue.worker_ended(task)
        elif task is not None:
            self._keep(task, PageOutcome(PAGE_EVERY_S, message="the worker process ended while it wrote the page"))
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                self._next_start = time.monotonic() + PAUSE_S
                self.problem = self.problem or "the worker processes end while they start; look at the memory of the machine and at the server's log"

    def _stop_unwanted(self) -> None:
        for worker in self._workers:
            if isinstance(worker.task, ReadTask | SolveTask) and not self.queue.wanted(worker.task):
                worker.stop_task()

    def _assign(self) -> None:
        for worker in self._workers:
            if worker.free:
                task = self._next()
                if task is None:
                    return
                with suppress(OSError):  # an ended process: its pipe says so at the next look, and the task is taken up again
                    worker.give(task)

    def _next(self) -> Task | None:
        return self.queue.next_read() or self._next_page() or self.queue.next_solve()

    def _next_page(self) -> PageTask | None:
        busy = {worker.task.job_id for worker in self._workers if isinstance(worker.task, PageTask)}
        for job in self.queue.unfinished():
            if job.id in busy or not self._page_is_due(job):
                continue
            task = self.queue.page_task(job)
            if task.rows:
                return task
            if task.last:
                self.queue.page_written(task, PageOutcome(0.0))
        return None

    def _page_is_due(self, job: Job) -> bool:
        if job.state != QUEUED or job.ended_curves == sum(job.counts.values()):
            return True
        return job.ended_curves > 0 and job.revision > job.page_revision and time.monotonic() >= self._pages.get(job.id, 0.0)
