"""``deepstruc-hpc serve``: the web application, and who may use it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.catalog_store import existing_or_named

if TYPE_CHECKING:
    from deepstruc_hpc.serve.database import Database
    from deepstruc_hpc.serve.settings import ServeSettings

DATA = typer.Option(Path("~/.local/share/deepstruc_hpc/serve"), "--data", help="Directory of the history, the uploads and the results.")
NAME = typer.Argument(..., metavar="NAME", help="Of the user: letters, digits, . _ @ -")
TOKEN = typer.Option(None, "--token", envvar="DEEPSTRUC_HPC_TOKEN", help="Token of the link, 16 characters or more. [default: a new one]")


def register(app: typer.Typer) -> None:
    """Add the command and its group to the application."""
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False)
    group.callback(invoke_without_command=True)(serve)
    tokens = typer.Typer(no_args_is_help=True, help="Who may use the server. A running server knows of a change at once.")
    tokens.command("add")(add)
    tokens.command("revoke")(revoke)
    tokens.command("list")(list_users)
    group.add_typer(tokens, name="tokens")
    app.add_typer(group, name="serve")


def serve(
    context: typer.Context,
    *,
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on. Others than this machine's need a proxy with TLS in front."),
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="Port; 0: any that is free."),
    data: Path = DATA,
    token: str | None = TOKEN,
    users_only: bool = typer.Option(False, "--users-only", help="No link for the person at this machine: named users alone (serve tokens add)."),
    root_path: str = typer.Option("", "--root-path", help="Path under which a proxy shows the application, e.g. /pdf."),
    trusted_proxies: str = typer.Option("127.0.0.1", "--trusted-proxies", help="Addresses whose X-Forwarded headers are believed."),
    workers: int | None = typer.Option(None, "--workers", min=0, help="Curves solved at a time. [default: cores of this machine less one]"),
    time_limit: float = typer.Option(600.0, "--time-limit", min=1.0, help="Seconds that one curve may take."),
    model: str | None = typer.Option(None, "--model", help="Checkpoint or name; default: the model that comes with the program."),
    catalog: str | None = typer.Option(
        None, "--catalog", callback=existing_or_named, help="Catalog store; default: the one that comes with the program."
    ),
    overrides: list[str] = typer.Option(None, "--set", help="A limit as key=value, e.g. limits.file_bytes=5000000. Repeatable."),
    print_config: bool = typer.Option(False, "--print-config", help="Print the resolved settings as YAML and stop."),
) -> None:
    """A web page to drop PDF files on: solved here, shown in the browser, kept as a history (docs/serve.md).

    Example: deepstruc-hpc serve --port 8000
    """
    if context.invoked_subcommand is not None:
        return
    _need_packages()
    options = {"host": host, "port": port, "root_path": root_path, "trusted_proxies": trusted_proxies, "workers": workers}
    options |= {"time_limit_s": time_limit, "model": model, "catalog": catalog, "data": data.expanduser().resolve()}
    settings = _settings(options, overrides or [])
    if print_config:
        typer.echo(settings.to_yaml(), nl=False)
        return
    from deepstruc_hpc.serve.run import run

    if model is not None or catalog is not None:
        _check_sources(model, catalog)
    run(settings, local_token="" if users_only else _token(token), say=typer.echo)


def add(name: str = NAME, data: Path = DATA) -> None:
    """Make a user, or give one a new token, and print it: it is shown this once.

    Example: deepstruc-hpc serve tokens add maria --data /srv/deepstruc
    """
    from deepstruc_hpc.core.errors import ConfigError
    from deepstruc_hpc.serve.database import LOCAL_USER
    from deepstruc_hpc.serve.names import new_token

    if not re.fullmatch(r"[\w.@-]{1,64}", name) or name == LOCAL_USER:
        raise ConfigError(f"{name!r} is no name for a user. Use 1 to 64 letters, digits, . _ @ or -, and not {LOCAL_USER!r}.")
    token = new_token()
    _database(data).set_token(name, token)
    typer.echo(token)
    typer.echo(f"{name} opens the server's address with #token={token} behind it.", err=True)


def revoke(name: str = NAME, data: Path = DATA) -> None:
    """End a user's token. The jobs stay; a new token (serve tokens add) gives access to them again.

    Example: deepstruc-hpc serve tokens revoke maria --data /srv/deepstruc
    """
    from deepstruc_hpc.core.errors import ConfigError

    if not _database(data).revoke(name):
        raise ConfigError(f"{name}: no user of this name has a token. See deepstruc-hpc serve tokens list.")
    typer.echo(f"{name} can no longer use the server.")


def list_users(data: Path = DATA) -> None:
    """Print the users, whether they have a token, and how many jobs they keep.

    Example: deepstruc-hpc serve tokens list --data /srv/deepstruc
    """
    for name, active, jobs in _database(data).users():
        typer.echo(f"{name:24} {'token' if active else 'no token':8} {jobs} jobs")


def _settings(options: dict[str, Any], overrides: list[str]) -> ServeSettings:
    from deepstruc_hpc.core.config import load_config, validate_config
    from deepstruc_hpc.serve.settings import ServeSettings

    given = {name: value for name, value in options.items() if value is not None}
    loaded = load_config(ServeSettings, None, [f"data={given['data']}", *overrides])
    return validate_config(ServeSettings, {**loaded.model_dump(), **given}, source="options")


def _check_sources(model: str | None, catalog: str | None) -> None:
    """Say at once what is wrong with a model or a catalog, and build a catalog that is known by its name and is not there yet."""
    from deepstruc_hpc.cli.solve import prepare_catalog
    from deepstruc_hpc.solve.config import SOURCES
    from deepstruc_hpc.solve.run.artefacts import NamedArtefacts, resolve_sources

    prepare_catalog(catalog, None)
    resolve_sources(NamedArtefacts(model, catalog), SOURCES)


def _database(data: Path) -> Database:
    from deepstruc_hpc.serve.server import open_database

    _need_packages()
    return open_database(_settings({"data": data.expanduser().resolve()}, []))


def _token(given: str | None) -> str:
    from deepstruc_hpc.core.errors import ConfigError
    from deepstruc_hpc.serve.names import SHORTEST_TOKEN, new_token

    if given is None:
        return new_token()
    if not re.fullmatch(rf"[\w.~-]{{{SHORTEST_TOKEN},200}}", given, re.ASCII):
        raise ConfigError(f"--token needs {SHORTEST_TOKEN} to 200 letters, digits, . _ ~ or -; best leave it out and take the one that is made.")
    return given


def _need_packages() -> None:
    from importlib.util import find_spec

    from deepstruc_hpc.core.errors import EngineError

    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise EngineError(f"serve needs {' and '.join(missing)}. Install them: pip install 'deepstruc_hpc[serve]'.")
