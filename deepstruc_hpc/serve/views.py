"""Pages and downloads: the application, its API page, the report of a job and its files, for the owner and for whoever has a shared link."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from deepstruc_hpc.report.page import asset as report_asset
from deepstruc_hpc.report.page import script_mark
from deepstruc_hpc.serve.files import PAGE, TYPES, listing, zipped
from deepstruc_hpc.serve.jobs import QUEUED, Job
from deepstruc_hpc.serve.queue import result_dir
from deepstruc_hpc.serve.schemas import JobId
from deepstruc_hpc.serve.security import CurrentUser, ThisServer, report_policy
from deepstruc_hpc.serve.server import Server
from deepstruc_hpc.serve.settings import NotAllowedError

ASSETS = {"app.js": "text/javascript", "dom.js": "text/javascript", "api.js": "text/javascript", "app.css": "text/css", "icon.svg": "image/svg+xml"}
WAITING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>deepstruc-hpc</title><p>The report is being written. This page opens it as soon as it is there.</p></html>"""
RELOAD_S = 2
ShareKey = Annotated[str, InPath(pattern=r"^[\w-]{16,64}$", description="the last part of a shared link")]

router = APIRouter(include_in_schema=False)


@router.get("/")
def application() -> HTMLResponse:
    """The page of the application."""
    return HTMLResponse(asset("index.html"))


@router.get("/api")
def api_page() -> HTMLResponse:
    """The API in words, from its OpenAPI document."""
    return HTMLResponse(asset("api.html"))


@router.get("/assets/{name}")
def own_file(name: str) -> Response:
    """A script or a style of the application."""
    if name not in ASSETS:
        raise NotAllowedError("no such file", 404)
    text = report_asset("elements.js") if name == "dom.js" else asset(name)  # one helper that makes elements of texts, for both
    return Response(text, media_type=ASSETS[name], headers={"Cache-Control": "no-cache"})


@router.get("/healthz")
def health(server: ThisServer) -> Response:
    """200 where the server can solve, or will as soon as its workers have started; 503 with the reason where it cannot."""
    problem = server.dispatcher.problem
    return Response(problem or "ok", 503 if problem else 200, media_type="text/plain")


@router.get("/jobs/{job_id}/page/{name:path}")
def report(job_id: JobId, name: str, user: CurrentUser, server: ThisServer) -> Response:
    """The report of a job of yours, and the files beside it."""
    return _result(server, server.jobs.get(job_id, user.id), name or PAGE)


@router.get("/jobs/{job_id}/results.zip")
def archive(job_id: JobId, user: CurrentUser, server: ThisServer) -> StreamingResponse:
    """All results of a job of yours."""
    return _archive(server, server.jobs.get(job_id, user.id))


@router.get("/shared/{key}/results.zip")
def shared_archive(key: ShareKey, server: ThisServer) -> StreamingResponse:
    """All results of a shared job."""
    return _archive(server, server.jobs.shared(key))


@router.get("/shared/{key}/{name:path}")
def shared_report(key: ShareKey, name: str, server: ThisServer) -> Response:
    """The report of a shared job, and the files beside it."""
    return _result(server, server.jobs.shared(key), name or PAGE)


def asset(name: str) -> str:
    """The text of a file of ``assets``."""
    return files("deepstruc_hpc.serve").joinpath("assets", name).read_text(encoding="utf-8")


def _result(server: Server, job: Job, name: str) -> Response:
    """A file that the listing of the results holds; the client's name is looked up there and goes nowhere else."""
    found = listing(result_dir(server.settings.data, job.id)).get(name)
    if name == PAGE:
        current = found is not None and job.page_mark == script_mark()
        if not current and job.ended_curves:
            if job.state != QUEUED and job.page_revision >= job.revision:
                server.queue.page_is_old(job.id)
                server.dispatcher.wake()
            return HTMLResponse(WAITING, 503, {"Refresh": str(RELOAD_S), "Retry-After": str(RELOAD_S)})
        if found is not None:
            return FileResponse(found, media_type="text/html", headers={"Content-Security-Policy": report_policy()})
    if found is None:
        raise NotAllowedError("no such file of this job", 404)
    kind = TYPES.get(found.suffix, "application/octet-stream")
    if found.suffix == ".png":
        return FileResponse(found, media_type=kind)
    return FileResponse(found, media_type=kind, filename=found.name)


def _archive(server: Server, job: Job) -> StreamingResponse:
    found = listing(result_dir(server.settings.data, job.id))
    if not found:
        raise NotAllowedError("the job has no results yet", 404)
    folder = f"deepstruc-{job.id[:8]}"
    return StreamingResponse(
        zipped(found, folder), media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{folder}.zip"'}
    )
