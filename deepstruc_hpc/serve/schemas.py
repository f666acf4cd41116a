"""What the API takes and gives, as its OpenAPI document describes it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path as InPath
from pydantic import BaseModel, Field

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.serve.jobs import QUEUED, Job
from deepstruc_hpc.serve.settings import JobSettings, Limits

JobId = Annotated[str, InPath(pattern=r"^[0-9a-f]{24}$", description="id of a job of yours")]


class TokenIn(Config):
    """A token to be kept in the browser's cookie."""

    token: str = Field(min_length=1, max_length=200)


class JobIn(Config):
    """A new job."""

    title: str = Field("", max_length=200, description="for people; empty: the time of its start")
    settings: JobSettings = JobSettings()


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


class UserOut(BaseModel):
    """Who asks, and what the server allows."""

    name: str
    limits: Limits
    workers: int = Field(description="curves solved at a time")
    ready: bool = Field(description="whether a worker has opened the model and the catalog")
    problem: str = Field(description="why nothing is solved; empty where all is well")
    version: str


class UploadOut(BaseModel):
    """A file that came whole. Whether it is a G(r) its row says, once it was read."""

    number: int
    name: str = Field(description="as it is shown")
    bytes: int


class CurveOut(BaseModel):
    """One curve of a job."""

    number: int
    name: str
    state: str = Field(description="arriving, uploaded, reading, ready, running; at its end ok, refused, failed or cancelled")
    message: str
    seconds: float
    result: dict[str, Any] = Field(description="phase, atoms, diameter (Å), rw, probability, flags; empty before its end")


class JobOut(BaseModel):
    """A job and how far it is."""

    id: str
    title: str
    state: str = Field(description="open (takes files), queued (started), done or cancelled")
    created: float = Field(description="seconds since 1970")
    started: float | None
    ended: float | None
    settings: dict[str, Any]
    counts: dict[str, int] = Field(description="number of curves in each state")
    total: int
    ended_curves: int
    ahead: int = Field(description="curves of jobs that were started earlier; other users' take turns with this job's")
    page: str | None = Field(description="address of the report, relative to the application's; null before the first curve is on it")
    zip: str | None = Field(description="address of all results as a zip archive")
    shared: str | None = Field(description="address of the report for whoever has it; null where the job is not shared")
    revision: int = Field(description="give it as since to be sent the rows that changed after it")


class JobDetail(JobOut):
    """A job with the rows that changed."""

    curves: list[CurveOut]


def describe(job: Job, ahead: int) -> dict[str, Any]:
    """A job as the API gives it."""
    written = job.page_revision > 0 and job.ended_curves > 0
    return {
        "id": job.id,
        "title": job.title,
        "state": job.state,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "settings": dict(job.settings),
        "counts": dict(job.counts),
        "total": sum(job.counts.values()),
        "ended_curves": job.ended_curves,
        "ahead": ahead if job.state == QUEUED else 0,
        "page": f"jobs/{job.id}/page/" if written else None,
        "zip": f"jobs/{job.id}/results.zip" if written else None,
        "shared": f"shared/{job.share}/" if job.share else None,
        "revision": job.revision,
    }
