"""The web application over a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.serve import api, views
from deepstruc_hpc.serve.names import shown_text
from deepstruc_hpc.serve.security import Guard, answer
from deepstruc_hpc.serve.server import Server
from deepstruc_hpc.serve.settings import NotAllowedError

DESCRIPTION = """From measured pair distribution functions to structures. Each request sends `Authorization: Bearer TOKEN`.
A job is made, takes files, is started, and is then watched until its state is `done`; its report and a zip archive of all results are at the
addresses that the job names."""


def create_app(server: Server) -> FastAPI:
    """The application; its workers start and end with it."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        server.dispatcher.start()
        try:
            yield
        finally:
            await run_in_threadpool(server.dispatcher.stop)

    app = FastAPI(
        title="deepstruc-hpc", version=__version__, description=DESCRIPTION, lifespan=lifespan, openapi_url="/api/openapi.json", docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.state.server = server
    app.include_router(api.router)
    app.include_router(views.router)
    app.add_middleware(Guard, server=server)
    app.add_exception_handler(NotAllowedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, NotAllowedError):
        raise error
    response = answer(error)
    return response if isinstance(response, Response) else JSONResponse({"detail": str(error)}, error.status)


async def _invalid(request: Request, error: Exception) -> Response:
    """Which value is wrong and why, in one line; what was sent is not sent back."""
    del request
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [f"{'.'.join(str(part) for part in fault['loc'][1:]) or fault['loc'][0]}: {fault['msg']}" for fault in error.errors()]
    return JSONResponse({"detail": shown_text("; ".join(faults), 2000)}, 422)
