"""Listen: the application under uvicorn, with the address that a person opens."""

from __future__ import annotations

import socket
from collections.abc import Callable

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.serve.server import open_server
from deepstruc_hpc.serve.settings import ServeSettings

KEEP_ALIVE_S = 30
"""A page asks every second or two; its connection stays."""
MOST_CONNECTIONS = 500
"""At a time; more are told to come again (503)."""
BACKLOG = 2048


def run(settings: ServeSettings, *, local_token: str, say: Callable[[str], None]) -> None:
    """Serve until the process is told to end (Ctrl-C, SIGTERM).

    Args:
        settings: of the server.
        local_token: of the person at this machine; '' where only named users may come.
        say: takes the lines that the person reads.

    Raises:
        ConfigError: the port is taken, or another server uses the data directory.
    """
    import uvicorn

    from deepstruc_hpc.serve.app import create_app
    from deepstruc_hpc.serve.database import LOCAL_USER

    server = open_server(settings)
    try:
        if local_token:
            server.database.set_token(LOCAL_USER, local_token)
        else:
            server.database.revoke(LOCAL_USER)
        listening = _listen(settings.host, settings.port)
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        say(f"Open {address}{f'#token={local_token}' if local_token else ''}")
        say(f"Data: {settings.data}  Workers: {settings.workers}  Stop with Ctrl-C; what was not finished goes on with the next start.")
        config = uvicorn.Config(
            create_app(server), log_level="warning", root_path=settings.root_path, proxy_headers=True, forwarded_allow_ips=settings.trusted_proxies,
            server_header=False, timeout_keep_alive=KEEP_ALIVE_S, limit_concurrency=MOST_CONNECTIONS, backlog=BACKLOG, timeout_graceful_shutdown=5,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        server.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as refused:
        listening.close()
        raise ConfigError(f"{host}:{port}: cannot listen there ({refused.strerror}). Choose another --port; 0 takes any that is free.") from refused
    listening.listen(BACKLOG)
    return listening
