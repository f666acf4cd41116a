"""The history in one SQLite file: users, jobs, curves. Write-ahead log, every transaction on disk before it counts."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.serve.names import token_hash

SCHEMA = 1
BUSY_S = 20.0
"""Seconds to wait for another process that writes (``serve tokens add`` beside a running server)."""
LOCAL_USER = "local"
"""The person at the machine where no users are named."""
_TABLES = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token_hash TEXT UNIQUE, created REAL NOT NULL, served REAL NOT NULL DEFAULT 0);
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), title TEXT NOT NULL, settings TEXT NOT NULL,
    state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    share TEXT UNIQUE, revision INTEGER NOT NULL DEFAULT 0, page_revision INTEGER NOT NULL DEFAULT 0, page_mark TEXT NOT NULL DEFAULT ''
);
CREATE TABLE curves (
    job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, number INTEGER NOT NULL,
    name TEXT NOT NULL, stored TEXT NOT NULL, inside TEXT NOT NULL,
    bytes INTEGER NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '{}',
    attempts INTEGER NOT NULL DEFAULT 0, changed INTEGER NOT NULL, seconds REAL NOT NULL DEFAULT 0, PRIMARY KEY (job_id, number)
);
CREATE TABLE deleted (job_id TEXT PRIMARY KEY);
CREATE INDEX jobs_of_user ON jobs (user_id, created);
CREATE INDEX jobs_by_state ON jobs (state, started);
CREATE INDEX curves_by_state ON curves (state, job_id, number);
"""


@dataclass(frozen=True)
class User:
    """Somebody with a token."""

    id: int
    name: str


class Database:
    """One connection a thread; writers one after the other.

    Args:
        path: of the file, made where it is not there, readable for its owner alone.

    Raises:
        ConfigError: a file of another program, or of a newer version of this one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._writing = threading.RLock()
        path.touch(mode=0o600)
        try:
            with self.write() as connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _TABLES.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {SCHEMA}")
        except sqlite3.DatabaseError as broken:
            raise ConfigError(f"{path}: is no database of this program ({broken}). Choose another --data, or move the file away.") from broken
        if version not in (0, SCHEMA):
            raise ConfigError(f"{path}: was written by another version (schema {version}, needed {SCHEMA}). Choose another --data.")

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of this thread."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA journal_mode = WAL")
            found.execute("PRAGMA synchronous = FULL")
            found.execute("PRAGMA foreign_keys = ON")
            self._local.connection = found
        return found

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing."""
        with self._writing:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def set_token(self, name: str, token: str) -> User:
        """Make the user where there is none of that name; an earlier token of the name ends."""
        with self.write() as connection:
            connection.execute(
                "INSERT INTO users (name, token_hash, created) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET token_hash = excluded.token_hash",
                (name, token_hash(token), time.time()),
            )
            row = connection.execute("SELECT id, name FROM users WHERE name = ?", (name,)).fetchone()
        return User(row["id"], row["name"])

    def revoke(self, name: str) -> bool:
        """End a user's token and keep the jobs; whether there was such a token."""
        with self.write() as connection:
            return connection.execute("UPDATE users SET token_hash = NULL WHERE name = ? AND token_hash IS NOT NULL", (name,)).rowcount > 0

    def user_of(self, token: str) -> User | None:
        """Whose token it is; None for nobody's."""
        row = self.connection.execute("SELECT id, name FROM users WHERE token_hash = ?", (token_hash(token),)).fetchone()
        return None if row is None else User(row["id"], row["name"])

    def users(self) -> list[tuple[str, bool, int]]:
        """Name, whether there is a token, number of jobs; by name."""
        rows = self.connection.execute(
            "SELECT name, token_hash IS NOT NULL AS active, (SELECT count(*) FROM jobs WHERE user_id = users.id) AS jobs FROM users ORDER BY name"
        )
        return [(row["name"], bool(row["active"]), row["jobs"]) for row in rows]
