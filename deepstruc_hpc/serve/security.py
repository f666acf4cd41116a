"""Who asks, and what a browser is told about every answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepstruc_hpc.serve.database import User
from deepstruc_hpc.serve.limiter import TooOftenError
from deepstruc_hpc.serve.server import Server
from deepstruc_hpc.serve.settings import NotAllowedError

COOKIE = "deepstruc_hpc_token"
OWN_HEADER = "x-deepstruc-hpc"
"""A page of another site cannot send it, so with it a cookie is as good as a token: no forged requests."""
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
MOST_JSON_BYTES = 64 * 1024
"""Of a request that is no upload: settings have a few hundred."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of the application: its own files alone; nothing that stands in a page is run."""
HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


def report_policy() -> str:
    """Of the report: its two scripts by their hashes, made from the program's files; no connection to anywhere, no frames, no forms.

    Plotly and the page set styles on elements, so styles may be inline; texts of a page are never markup, so no style comes from data.
    """
    from deepstruc_hpc.report.page import script_hashes

    scripts = " ".join(f"'{each}'" for each in script_hashes())
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


class Guard:
    """ASGI middleware: headers on every answer, a limit on addresses and on the size of requests that are no uploads.

    Args:
        app: what answers.
        server: whose limits count.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self.app, self.server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        received = 0

        async def receive_at_most() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MOST_JSON_BYTES:
                raise HTTPException(413, f"more than {MOST_JSON_BYTES} bytes")
            return message

        upload = scope["method"] == "POST" and scope["path"].endswith("/files")  # counts its bytes itself
        try:
            self.server.limiter.addresses.take((scope.get("client") or ("",))[0])
        except TooOftenError as often:
            await answer(often)(scope, receive, send_with_headers)
            return
        await self.app(scope, receive if upload else receive_at_most, send_with_headers)


def answer(error: NotAllowedError) -> ASGIApp:
    """The error as JSON with its status."""
    from starlette.responses import JSONResponse

    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooOftenError) else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"detail": str(error)}, error.status, headers)


def server_of(request: Request) -> Server:
    """The server behind a request."""
    server: Server = request.app.state.server
    return server


def current_user(request: Request) -> User:
    """Whose token came with the request, in the header ``Authorization: Bearer`` or in the cookie of the page.

    Raises:
        NotAllowedError: 401 nobody's, 403 a cookie without the page's own header, 429 too often.
    """
    server = server_of(request)
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else ""
    by_cookie = not token and bool(request.cookies.get(COOKIE))
    user = known_user(server, request, token or request.cookies.get(COOKIE, ""))
    if by_cookie and request.method not in SAFE and OWN_HEADER not in request.headers:
        raise NotAllowedError(f"a request with a cookie needs the header {OWN_HEADER}; programs send Authorization: Bearer TOKEN", 403)
    server.limiter.users.take(user.id)
    return user


def known_user(server: Server, request: Request, token: str) -> User:
    """Whose token it is.

    Raises:
        NotAllowedError: nobody's; 429 where that came often from one address.
    """
    user = server.database.user_of(token) if token else None
    if user is None:
        if token:
            server.limiter.wrong_tokens.take(request.client.host if request.client else "")
        raise NotAllowedError("a token is needed: open the link that the server printed, or send Authorization: Bearer TOKEN", 401)
    return user


CurrentUser = Annotated[User, Depends(current_user)]
ThisServer = Annotated[Server, Depends(server_of)]
