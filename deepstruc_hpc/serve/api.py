"""The API: jobs, their files, their progress."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.serve.files import keep_upload
from deepstruc_hpc.serve.jobs import Job
from deepstruc_hpc.serve.names import shown_text
from deepstruc_hpc.serve.queue import input_dir
from deepstruc_hpc.serve.schemas import JobDetail, JobId, JobIn, JobOut, Problem, TokenIn, UploadOut, UserOut, describe
from deepstruc_hpc.serve.security import COOKIE, CurrentUser, ThisServer, known_user
from deepstruc_hpc.serve.server import Server
from deepstruc_hpc.serve.settings import NotAllowedError

COOKIE_DAYS = 30
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request cannot be read"},
    401: {"model": Problem, "description": "No token, or nobody's"},
    403: {"model": Problem, "description": "A cookie without the page's own header"},
    404: {"model": Problem, "description": "No such job of yours"},
    408: {"model": Problem, "description": "An upload stopped coming"},
    409: {"model": Problem, "description": "The job is not in the state for this, or a limit is reached"},
    413: {"model": Problem, "description": "Too many bytes"},
    422: {"model": Problem, "description": "A value is wrong"},
    429: {"model": Problem, "description": "Too many requests"},
}
BYTES_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}

router = APIRouter(prefix="/api", responses=REFUSALS)


@router.post("/session", status_code=204, tags=["session"])
def open_session(body: TokenIn, request: Request, response: Response, server: ThisServer) -> None:
    """Keep a token in the browser's cookie, for pages and downloads. Programs send it with each request instead."""
    known_user(server, request, body.token)
    response.set_cookie(
        COOKIE, body.token, max_age=COOKIE_DAYS * 86400, path=f"{request.scope.get('root_path', '')}/", httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip


@router.delete("/session", status_code=204, tags=["session"])
def close_session(request: Request, response: Response) -> None:
    """Forget the token in this browser."""
    response.delete_cookie(COOKIE, path=f"{request.scope.get('root_path', '')}/")


@router.get("/me", tags=["session"])
def me(user: CurrentUser, server: ThisServer) -> UserOut:
    """Who asks, what the server allows, and whether it can solve."""
    dispatcher = server.dispatcher
    return UserOut(
        name=user.name,
        limits=server.settings.limits,
        workers=server.settings.workers,
        ready=dispatcher.ready,
        problem=dispatcher.problem,
        version=__version__,
    )


@router.get("/jobs", tags=["jobs"])
def list_jobs(
    user: CurrentUser, server: ThisServer, limit: Annotated[int, Query(ge=1, le=200)] = 50, offset: Annotated[int, Query(ge=0, le=10**6)] = 0
) -> list[JobOut]:
    """Your jobs, the newest first."""
    return [_job_out(server, job) for job in server.jobs.of_user(user.id, limit=limit, offset=offset)]


@router.post("/jobs", status_code=201, tags=["jobs"])
def create_job(body: JobIn, user: CurrentUser, server: ThisServer) -> JobOut:
    """A new job. Send its files, then start it."""
    settings = body.settings.solve_settings().model_dump(mode="json", exclude_defaults=True)
    title = shown_text(body.title) or time.strftime("%Y-%m-%d %H:%M")
    return _job_out(server, server.jobs.create(user.id, title, settings))


@router.get("/jobs/{job_id}", tags=["jobs"])
def get_job(job_id: JobId, user: CurrentUser, server: ThisServer, since: Annotated[int, Query(ge=0, le=2**62)] = 0) -> JobDetail:
    """A job and its curves, or those that changed after a revision."""
    job = server.jobs.get(job_id, user.id)
    return JobDetail(**describe(job, server.jobs.ahead(job)), curves=server.jobs.curves(job.id, since=since))


@router.post("/jobs/{job_id}/files", status_code=201, tags=["jobs"], openapi_extra=BYTES_BODY)
async def upload(
    job_id: JobId, request: Request, user: CurrentUser, server: ThisServer, name: Annotated[str, Query(min_length=1, max_length=1000)]
) -> UploadOut:
    """Send one file: its bytes are the body, its name is text to show. What it is, the program's reader of PDFs decides."""
    most = server.settings.limits.file_bytes
    stated = request.headers.get("content-length", "")
    declared = int(stated) if re.fullmatch(r"\d{1,18}", stated) else most
    if declared > most and stated:
        raise NotAllowedError(f"the file has {declared} bytes; {most} are allowed", 413)
    number, shown, stored = await run_in_threadpool(server.jobs.add_upload, job_id, user.id, name, declared)
    path, whole = input_dir(server.settings.data, job_id) / stored, False
    try:
        size = await keep_upload(request.stream(), path, most)
        await run_in_threadpool(server.jobs.uploaded, job_id, number, size)
        whole = True
    finally:
        if not whole:
            path.unlink(missing_ok=True)
            await run_in_threadpool(server.jobs.forget_upload, job_id, number)
    server.dispatcher.wake()
    return UploadOut(number=number, name=shown, bytes=size)


@router.post("/jobs/{job_id}/start", tags=["jobs"])
def start_job(job_id: JobId, user: CurrentUser, server: ThisServer) -> JobOut:
    """Put a job into the queue."""
    job = server.jobs.start(job_id, user.id)
    server.dispatcher.wake()
    return _job_out(server, job)


@router.post("/jobs/{job_id}/cancel", tags=["jobs"])
def cancel_job(job_id: JobId, user: CurrentUser, server: ThisServer) -> JobOut:
    """Stop a job. Curves that are solved stay; the one that is being solved is left."""
    job = server.jobs.cancel(job_id, user.id)
    server.dispatcher.wake()
    return _job_out(server, job)


@router.delete("/jobs/{job_id}", status_code=204, tags=["jobs"])
def delete_job(job_id: JobId, user: CurrentUser, server: ThisServer) -> None:
    """Remove a job, its files and its results for good."""
    server.jobs.delete(job_id, user.id)
    server.dispatcher.wake()


@router.post("/jobs/{job_id}/share", tags=["jobs"])
def share_job(job_id: JobId, user: CurrentUser, server: ThisServer) -> JobOut:
    """Make a link that shows the results to whoever has it, without a token."""
    return _job_out(server, server.jobs.share(job_id, user.id, wanted=True))


@router.delete("/jobs/{job_id}/share", tags=["jobs"])
def unshare_job(job_id: JobId, user: CurrentUser, server: ThisServer) -> JobOut:
    """Withdraw the link."""
    return _job_out(server, server.jobs.share(job_id, user.id, wanted=False))


def _job_out(server: Server, job: Job) -> JobOut:
    return JobOut(**describe(job, server.jobs.ahead(job)))
