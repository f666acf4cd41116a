"""Jobs and their curves in the database: what clients do with them, and what becomes of each curve."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Any

from deepstruc_hpc.serve.database import Database
from deepstruc_hpc.serve.names import file_name, new_id, new_token, stored_ending, stored_name
from deepstruc_hpc.serve.settings import Limits, NotAllowedError

OPEN, QUEUED, DONE, CANCELLED = "open", "queued", "done", "cancelled"
"""States of a job: files come in, it was started, all its curves are ended, somebody stopped it."""
ARRIVING, UPLOADED, READING, READY, RUNNING = "arriving", "uploaded", "reading", "ready", "running"
"""States of a curve before its end: its file is being sent, is whole, is being read; it waits, it is being solved. Its end is that of solve (ok,
refused, failed), or cancelled."""
UNENDED = (ARRIVING, UPLOADED, READING, READY, RUNNING)
FAILED = "failed"
_UNKNOWN = "no such job"


@dataclass(frozen=True)
class Job:
    """One row of ``jobs`` and how many of its curves are in which state."""

    id: str
    user_id: int
    title: str
    settings: Mapping[str, Any]
    state: str
    created: float
    started: float | None
    ended: float | None
    share: str | None
    revision: int
    page_revision: int
    page_mark: str
    counts: Mapping[str, int]

    @property
    def ended_curves(self) -> int:
        """Curves with an end of their own."""
        return sum(count for state, count in self.counts.items() if state not in UNENDED)


class Jobs:
    """What may be done with jobs. A job of another user is not there: the same error as for one that never was."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self.database, self.limits = database, limits

    def create(self, user_id: int, title: str, settings: Mapping[str, Any]) -> Job:
        """A new job that takes files.

        Raises:
            NotAllowedError: the user has as many as the limits allow.
        """
        job_id = new_id()
        with self.database.write() as connection:
            count = connection.execute("SELECT count(*) FROM jobs WHERE user_id = ?", (user_id,)).fetchone()[0]
            if count >= self.limits.jobs_per_user:
                raise NotAllowedError(f"you have {count} jobs, which is the limit. Delete one.", 409)
            values = (job_id, user_id, title, json.dumps(settings), OPEN, time.time())
            connection.execute("INSERT INTO jobs (id, user_id, title, settings, state, created) VALUES (?, ?, ?, ?, ?, ?)", values)
        return self.get(job_id, user_id)

    def get(self, job_id: str, user_id: int | None = None) -> Job:
        """A job; with a user only one of that user's.

        Raises:
            NotAllowedError: there is none.
        """
        row = self.database.connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None or (user_id is not None and row["user_id"] != user_id):
            raise NotAllowedError(_UNKNOWN, 404)
        return self._job(row)

    def shared(self, key: str) -> Job:
        """The job of a shared link.

        Raises:
            NotAllowedError: there is none, or no longer.
        """
        row = self.database.connection.execute("SELECT * FROM jobs WHERE share = ?", (key,)).fetchone()
        if row is None:
            raise NotAllowedError("no such link, or it was withdrawn", 404)
        return self._job(row)

    def of_user(self, user_id: int, *, limit: int, offset: int) -> list[Job]:
        """The user's jobs, the newest first."""
        rows = self.database.connection.execute(
            "SELECT * FROM jobs WHERE user_id = ? ORDER BY created DESC, id LIMIT ? OFFSET ?", (user_id, limit, offset)
        ).fetchall()
        return [self._job(row) for row in rows]

    def _job(self, row: Row) -> Job:
        counts = self.database.connection.execute("SELECT state, count(*) FROM curves WHERE job_id = ? GROUP BY state", (row["id"],))
        return Job(**{**dict(row), "settings": json.loads(row["settings"]), "counts": dict(tuple(pair) for pair in counts)})

    def add_upload(self, job_id: str, user_id: int, name: str, size: int) -> tuple[int, str, str]:
        """Make room for a file that is being sent: number, shown name, stored name. It is read once :meth:`uploaded` says that it is whole.

        Raises:
            NotAllowedError: the job takes no more files, or the user has no room left.
        """
        with self.database.write() as connection:
            if self.get(job_id, user_id).state != OPEN:
                raise NotAllowedError("the job was started or ended; it takes no more files", 409)
            rows = connection.execute("SELECT number, name FROM curves WHERE job_id = ?", (job_id,)).fetchall()
            if len(rows) >= self.limits.files_per_job:
                raise NotAllowedError(f"a job takes {self.limits.files_per_job} files", 409)
            self._check_room(connection, user_id, size)
            number = max((row["number"] for row in rows), default=0) + 1
            shown, stored = file_name(name, {row["name"] for row in rows}), stored_name(number, stored_ending(name))
            revision = revise(connection, job_id)
            values = (job_id, number, shown, stored, "", size, ARRIVING, revision)
            connection.execute(
                "INSERT INTO curves (job_id, number, name, stored, inside, bytes, state, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values
            )
        return number, shown, stored

    def _check_room(self, connection: Connection, user_id: int, size: int) -> None:
        used = connection.execute(
            "SELECT coalesce(sum(c.bytes), 0) FROM curves c JOIN jobs j ON j.id = c.job_id WHERE j.user_id = ?", (user_id,)
        ).fetchone()[0]
        if used + size > self.limits.bytes_per_user:
            raise NotAllowedError(f"your files have {used} of {self.limits.bytes_per_user} bytes; this one has no room. Delete a job.", 413)

    def uploaded(self, job_id: str, number: int, size: int) -> None:
        """The file is whole."""
        with self.database.write() as connection:
            if self.get(job_id).state != OPEN:
                raise NotAllowedError("the job was started or ended while the file came", 409)
            revision = revise(connection, job_id)
            connection.execute(
                "UPDATE curves SET state = ?, bytes = ?, changed = ? WHERE job_id = ? AND number = ?", (UPLOADED, size, revision, job_id, number)
            )

    def forget_upload(self, job_id: str, number: int) -> None:
        """The file did not come whole, or is too large."""
        with self.database.write() as connection:
            connection.execute("DELETE FROM curves WHERE job_id = ? AND number = ?", (job_id, number))

    def start(self, job_id: str, user_id: int) -> Job:
        """Put the job into the queue.

        Raises:
            NotAllowedError: it holds no file, or was started before.
        """
        with self.database.write() as connection:
            job = self.get(job_id, user_id)
            if job.state != OPEN:
                raise NotAllowedError("the job was started before", 409)
            connection.execute("DELETE FROM curves WHERE job_id = ? AND state = ?", (job_id, ARRIVING))
            if not sum(count for state, count in job.counts.items() if state != ARRIVING):
                raise NotAllowedError("the job holds no file", 409)
            revise(connection, job_id)
            connection.execute("UPDATE jobs SET state = ?, started = ? WHERE id = ?", (QUEUED, time.time(), job_id))
        return self.get(job_id)

    def cancel(self, job_id: str, user_id: int) -> Job:
        """End a job; what is finished stays."""
        with self.database.write() as connection:
            if self.get(job_id, user_id).state in (OPEN, QUEUED):
                revision = revise(connection, job_id)
                connection.execute(
                    f"UPDATE curves SET state = ?, changed = ? WHERE job_id = ? AND state IN {UNENDED}",  # noqa: S608 - our own words
                    (CANCELLED, revision, job_id),
                )
                connection.execute("UPDATE jobs SET state = ?, ended = ? WHERE id = ?", (CANCELLED, time.time(), job_id))
        return self.get(job_id)

    def delete(self, job_id: str, user_id: int) -> None:
        """Take the job out of the history; the dispatcher removes its files once nobody writes there."""
        with self.database.write() as connection:
            self.get(job_id, user_id)
            connection.execute("INSERT INTO deleted (job_id) VALUES (?)", (job_id,))
            connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def share(self, job_id: str, user_id: int, *, wanted: bool) -> Job:
        """Give the job a link that shows it to whoever has it, or withdraw it."""
        with self.database.write() as connection:
            job = self.get(job_id, user_id)
            if wanted != (job.share is not None):
                connection.execute("UPDATE jobs SET share = ? WHERE id = ?", (new_token() if wanted else None, job_id))
        return self.get(job_id)

    def curves(self, job_id: str, *, since: int = 0, limit: int = 5000) -> list[dict[str, Any]]:
        """The rows that changed after a revision of the job, in order of their numbers."""
        rows = self.database.connection.execute(
            "SELECT number, name, state, message, result, seconds FROM curves WHERE job_id = ? AND changed > ? ORDER BY number LIMIT ?",
            (job_id, since, limit),
        )
        return [{**dict(row), "result": json.loads(row["result"])} for row in rows]

    def ahead(self, job: Job) -> int:
        """How many curves of earlier jobs wait; those of other users take turns with this one's."""
        if job.state != QUEUED or job.started is None:
            return 0
        query = "SELECT count(*) FROM curves c JOIN jobs j ON j.id = c.job_id WHERE j.state = ? AND j.started < ? AND c.state IN (?, ?)"
        return int(self.database.connection.execute(query, (QUEUED, job.started, READY, RUNNING)).fetchone()[0])


def revise(connection: Connection, job_id: str) -> int:
    """Count the job's revision up; a row that changes now notes it, so that a client is sent what is new alone."""
    connection.execute("UPDATE jobs SET revision = revision + 1 WHERE id = ?", (job_id,))
    row = connection.execute("SELECT revision FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return 0 if row is None else int(row[0])
