"""What the server tells a worker process to do, and what comes back: small, picklable, nothing heavy imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Start:
    """What a worker is made with.

    Attributes:
        model, catalog: as the owner named them, or None.
        time_limit_s: seconds that one curve may take.
        niceness: added to the process's own.
    """

    model: str | None
    catalog: str | None
    time_limit_s: float
    niceness: int


@dataclass(frozen=True)
class ReadTask:
    """Is this upload a G(r), and how many curves does it hold?"""

    job_id: str
    number: int
    path: Path
    name: str


@dataclass(frozen=True)
class SolveTask:
    """Solve one curve; its results go to ``out/folder``.

    Attributes:
        path: of the stored upload.
        inside: the curve's place in an HDF5 file, or ''.
        name: what the client calls it.
        settings: of solve, as plain values.
    """

    job_id: str
    number: int
    path: Path
    inside: str
    name: str
    out: Path
    folder: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class PageRow:
    """One ended curve of a page: where its results are, and what is said where there are none."""

    name: str
    folder: str
    message: str
    seconds: float


@dataclass(frozen=True)
class PageTask:
    """Write the summary and the report of a job.

    Attributes:
        revision: of the job when the rows were taken.
        last: no curve comes any more.
        started: of the job, in seconds since 1970.
    """

    job_id: str
    title: str
    out: Path
    settings: Mapping[str, Any]
    rows: tuple[PageRow, ...]
    revision: int
    last: bool
    started: float


Task = ReadTask | SolveTask | PageTask


@dataclass(frozen=True)
class Ready:
    """The worker has opened the model and the catalog."""

    ids: Mapping[str, str]


@dataclass(frozen=True)
class Broken:
    """The worker cannot work: the model or the catalog cannot be opened."""

    message: str


@dataclass(frozen=True)
class ReadOutcome:
    """The places of the curves ('' for a file of one), or why there is none."""

    places: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class SolveOutcome:
    """The end of a curve: ``ok``, ``refused``, ``failed`` or ``cancelled``, and what the tables of the application show of it."""

    state: str
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class PageOutcome:
    """The page was written in so many seconds, with scripts of this mark; or why it was not."""

    seconds: float
    mark: str = ""
    message: str = ""


Outcome = ReadOutcome | SolveOutcome | PageOutcome
