"""Whose curve is next: users take turns, a user's jobs come one after the other, and what was interrupted is taken up again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Set
from pathlib import Path
from sqlite3 import Row

from deepstruc_hpc.serve.database import Database
from deepstruc_hpc.serve.jobs import ARRIVING, CANCELLED, DONE, FAILED, OPEN, QUEUED, READING, READY, RUNNING, UNENDED, UPLOADED, Job, Jobs, revise
from deepstruc_hpc.serve.names import curve_name, folder_name
from deepstruc_hpc.serve.tasks import PageOutcome, PageRow, PageTask, ReadOutcome, ReadTask, SolveOutcome, SolveTask

MOST_ATTEMPTS = 2
"""A curve during which a worker process ended so often is left: it may be the reason."""


def input_dir(data: Path, job_id: str) -> Path:
    """Where the uploads of a job lie."""
    return data / "jobs" / job_id / "uploads"


def result_dir(data: Path, job_id: str) -> Path:
    """Where the results of a job lie: what solve's --out is to the command."""
    return data / "jobs" / job_id / "results"


class Queue:
    """The dispatcher's view of the database. Every step is one transaction, so a server that is killed knows after it where it stood.

    Args:
        database: of the jobs.
        jobs: what clients see of it.
        data: directory of the server.
    """

    def __init__(self, database: Database, jobs: Jobs, data: Path) -> None:
        self.database, self.jobs, self.data = database, jobs, data

    def recover(self) -> None:
        """After a restart: what was on its way begins again; a file that did not arrive whole is forgotten."""
        with self.database.write() as connection:
            connection.execute("DELETE FROM curves WHERE state = ?", (ARRIVING,))
            for before, after in ((READING, UPLOADED), (RUNNING, READY)):
                connection.execute("UPDATE curves SET state = ?, attempts = max(0, attempts - 1) WHERE state = ?", (after, before))

    def next_read(self) -> ReadTask | None:
        """An upload to be read, or None."""
        row = self._take(UPLOADED, READING, (OPEN, QUEUED))
        return None if row is None else ReadTask(row["job_id"], row["number"], input_dir(self.data, row["job_id"]) / row["stored"], row["name"])

    def next_solve(self) -> SolveTask | None:
        """A curve to be solved, or None."""
        row = self._take(READY, RUNNING, (QUEUED,))
        if row is None:
            return None
        path = input_dir(self.data, row["job_id"]) / row["stored"]
        out, folder = result_dir(self.data, row["job_id"]), folder_name(row["number"])
        return SolveTask(row["job_id"], row["number"], path, row["inside"], row["name"], out, folder, json.loads(row["settings"]))

    def _take(self, state: str, taken: str, job_states: tuple[str, ...]) -> Row | None:
        """The next curve in a state, of the user with the fewest curves at work and then of the one who waited longest, put into another state."""
        with self.database.write() as connection:
            places = ", ".join("?" * len(job_states))
            waiting = connection.execute(
                f"""SELECT j.id, j.user_id, (SELECT count(*) FROM curves r JOIN jobs k ON k.id = r.job_id
                        WHERE r.state IN (?, ?) AND k.user_id = j.user_id) AS busy
                    FROM jobs j JOIN users u ON u.id = j.user_id WHERE j.state IN ({places})
                    AND EXISTS (SELECT 1 FROM curves c WHERE c.state = ? AND c.job_id = j.id)
                    ORDER BY busy, u.served, coalesce(j.started, j.created), j.id LIMIT 1""",  # noqa: S608 - places are question marks
                (READING, RUNNING, *job_states, state),
            ).fetchone()
            if waiting is None:
                return None
            row: Row = connection.execute(
                """SELECT c.*, j.settings FROM curves c JOIN jobs j ON j.id = c.job_id WHERE c.job_id = ? AND c.state = ?
                   ORDER BY c.number LIMIT 1""",
                (waiting["id"], state),
            ).fetchone()
            values = (taken, revise(connection, row["job_id"]), row["job_id"], row["number"])
            connection.execute("UPDATE curves SET state = ?, changed = ?, attempts = attempts + 1 WHERE job_id = ? AND number = ?", values)
            connection.execute("UPDATE users SET served = ? WHERE id = ?", (time.time(), waiting["user_id"]))
        return row

    def wanted(self, task: ReadTask | SolveTask) -> bool:
        """Whether the curve is still to be read or solved: nobody cancelled or deleted it meanwhile."""
        row = self.database.connection.execute("SELECT state FROM curves WHERE job_id = ? AND number = ?", (task.job_id, task.number)).fetchone()
        return row is not None and row["state"] == (READING if isinstance(task, ReadTask) else RUNNING)

    def was_read(self, task: ReadTask, outcome: ReadOutcome) -> None:
        """The upload waits to be solved; an HDF5 file becomes one row for each of its curves. Or it failed."""
        with self.database.write() as connection:
            if not self.wanted(task):
                return
            revision, place = revise(connection, task.job_id), (task.job_id, task.number)
            count = connection.execute("SELECT count(*) FROM curves WHERE job_id = ?", (task.job_id,)).fetchone()[0]
            message = outcome.message
            if not message and count - 1 + len(outcome.places) > self.jobs.limits.curves_per_job:
                message = f"holds {len(outcome.places)} curves; a job takes {self.jobs.limits.curves_per_job} in all"
            if message:
                update = "UPDATE curves SET state = ?, message = ?, changed = ? WHERE job_id = ? AND number = ?"
                connection.execute(update, (FAILED, message, revision, *place))
                return
            several = len(outcome.places) > 1
            first = curve_name(task.name, outcome.places[0]) if several else task.name
            update = "UPDATE curves SET state = ?, name = ?, inside = ?, attempts = 0, changed = ? WHERE job_id = ? AND number = ?"
            connection.execute(update, (READY, first, outcome.places[0], revision, *place))
            if several:
                number = connection.execute("SELECT max(number) FROM curves WHERE job_id = ?", (task.job_id,)).fetchone()[0]
                insert = "INSERT INTO curves (job_id, number, name, stored, inside, bytes, state, changed) VALUES (?, ?, ?, ?, ?, 0, ?, ?)"
                rows = enumerate(outcome.places[1:], number + 1)
                connection.executemany(
                    insert, [(task.job_id, at, curve_name(task.name, inside), task.path.name, inside, READY, revision) for at, inside in rows]
                )

    def was_solved(self, task: SolveTask, outcome: SolveOutcome) -> None:
        """Keep the end of a curve that is still wanted."""
        with self.database.write() as connection:
            if self.wanted(task):
                connection.execute(
                    "UPDATE curves SET state = ?, message = ?, result = ?, seconds = ?, changed = ? WHERE job_id = ? AND number = ?",
                    (outcome.state, outcome.message, json.dumps(outcome.result), outcome.seconds, revise(connection, task.job_id), task.job_id,
                     task.number),
                )  # fmt: skip

    def worker_ended(self, task: ReadTask | SolveTask) -> None:
        """The process ended while it worked on this: once more, or it failed."""
        with self.database.write() as connection:
            if not self.wanted(task):
                return
            place, revision = (task.job_id, task.number), revise(connection, task.job_id)
            attempts = connection.execute("SELECT attempts FROM curves WHERE job_id = ? AND number = ?", place).fetchone()[0]
            message = f"the worker process ended {attempts} times while it worked on this curve" if attempts >= MOST_ATTEMPTS else ""
            again = UPLOADED if isinstance(task, ReadTask) else READY
            update = "UPDATE curves SET state = ?, message = ?, changed = ? WHERE job_id = ? AND number = ?"
            connection.execute(update, (FAILED if message else again, message, revision, *place))

    def unfinished(self) -> list[Job]:
        """Jobs whose page is behind: those that run, and those that were cancelled after something had ended."""
        query = "SELECT id FROM jobs WHERE state = ? OR (state IN (?, ?) AND page_revision < revision) ORDER BY started"
        return [self.jobs.get(row["id"]) for row in self.database.connection.execute(query, (QUEUED, CANCELLED, DONE)).fetchall()]

    def page_task(self, job: Job) -> PageTask:
        """What the page of a job is written from now."""
        rows = self.jobs.curves(job.id, limit=self.jobs.limits.curves_per_job)
        ended = (row for row in rows if row["state"] not in (*UNENDED, CANCELLED))
        listed = tuple(PageRow(row["name"], folder_name(row["number"]), row["message"], row["seconds"]) for row in ended)
        last = job.state != QUEUED or not any(job.counts.get(state) for state in UNENDED)
        out = result_dir(self.data, job.id)
        return PageTask(job.id, job.title, out, job.settings, listed, job.revision, last, job.started or job.created)

    def page_written(self, task: PageTask, outcome: PageOutcome) -> None:
        """The page shows the job as it was; the job is done where no curve comes any more."""
        with self.database.write() as connection:
            update = "UPDATE jobs SET page_revision = max(page_revision, ?), page_mark = ? WHERE id = ?"
            connection.execute(update, (task.revision, outcome.mark, task.job_id))
            if task.last:
                connection.execute("UPDATE jobs SET state = ?, ended = ? WHERE id = ? AND state = ?", (DONE, time.time(), task.job_id, QUEUED))

    def page_is_old(self, job_id: str) -> None:
        """Ask for the page once more, because another version of the program wrote it."""
        with self.database.write() as connection:
            revise(connection, job_id)

    def clear(self, busy: Set[str] = frozenset()) -> None:
        """Remove the files of deleted jobs, but of those that a worker still writes for; what cannot be removed is tried again later."""
        rows = self.database.connection.execute("SELECT job_id FROM deleted").fetchall()
        for job_id in [row["job_id"] for row in rows if row["job_id"] not in busy]:
            directory = self.data / "jobs" / job_id
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                with self.database.write() as connection:
                    connection.execute("DELETE FROM deleted WHERE job_id = ?", (job_id,))
