"""What a running server is made of, without the web: database, queue, workers, limits. One server a data directory."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import IO

from deepstruc_hpc.core.errors import ConfigError, OutputError
from deepstruc_hpc.serve.database import Database
from deepstruc_hpc.serve.dispatcher import Dispatcher
from deepstruc_hpc.serve.jobs import Jobs
from deepstruc_hpc.serve.limiter import Limiter
from deepstruc_hpc.serve.queue import Queue
from deepstruc_hpc.serve.settings import ServeSettings
from deepstruc_hpc.serve.tasks import Start

DATABASE = "history.sqlite"
LOCK = "server.lock"


@dataclass(frozen=True)
class Server:
    """The parts, and the lock that keeps a second server away."""

    settings: ServeSettings
    database: Database
    jobs: Jobs
    queue: Queue
    dispatcher: Dispatcher
    limiter: Limiter
    lock: IO[str]

    def close(self) -> None:
        """Give the data directory free."""
        self.lock.close()


def open_database(settings: ServeSettings) -> Database:
    """The history of a data directory, which is made where it is not there, for its owner alone.

    Raises:
        OutputError: it cannot be made. ConfigError: it holds another program's file.
    """
    try:
        (settings.data / "jobs").mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.data.chmod(0o700)
    except OSError as refused:
        raise OutputError(f"{settings.data}: cannot be made or used ({refused.strerror}). Choose another --data.") from refused
    return Database(settings.data / DATABASE)


def open_server(settings: ServeSettings) -> Server:
    """Everything that a server needs; no process is started yet.

    Raises:
        ConfigError: another server uses the data directory. OutputError: the directory cannot be used.
    """
    database = open_database(settings)
    lock = (settings.data / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as held:
        lock.close()
        raise ConfigError(f"{settings.data}: another server uses this directory. Stop it, or choose another --data.") from held
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    jobs = Jobs(database, settings.limits)
    queue = Queue(database, jobs, settings.data)
    start = Start(settings.model, settings.catalog, settings.time_limit_s, settings.niceness)
    dispatcher = Dispatcher(queue, start, settings.workers)
    return Server(settings, database, jobs, queue, dispatcher, Limiter(settings.limits), lock)
