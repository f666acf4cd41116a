"""The command line ``deepstruc-hpc``: finds the command groups, runs one, and turns what a user can mend into one line.

Exit codes: 0 all done; 1 finished, but some items failed; 2 wrong usage or input; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import typer
from typer.exceptions import TyperException

from deepstruc_hpc.cli.document import stdout_for_the_document
from deepstruc_hpc.cli.help import with_short_help
from deepstruc_hpc.core.errors import DeepstrucError, RenamedKeyWarning
from deepstruc_hpc.core.version import __version__

COMMAND_MODULES = ("doctor", "catalog", "train", "calibrate", "crystals", "solve", "sweep", "report", "serve", "slurm", "cite")
INTERRUPTED = 130
DISK_ERRORS = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota is used up", errno.EROFS: "the file system is read-only"}

HELP = """From measured pair distribution functions (PDFs) of nanoparticles to their atomic structures.

The line of work: catalog build → train → solve. Each command says what it does and gives an example: deepstruc-hpc solve --help
"""


def build_app() -> typer.Typer:
    """The application with every command registered."""
    app = typer.Typer(
        name="deepstruc-hpc", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
    )

    @app.callback()
    def options(
        debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error (may stand anywhere on the line)."),
        version: bool = typer.Option(False, "--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ) -> None:
        del debug, version  # read by main() and by the callback

    for name in COMMAND_MODULES:
        import_module(f"deepstruc_hpc.cli.{name}").register(app)
    with_short_help(app)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``deepstruc-hpc`` script."""
    if hasattr(signal, "SIGUSR1"):  # a batch system's warning before the time limit: stop as after Ctrl-C, which nothing that is finished is lost by
        signal.signal(signal.SIGUSR1, signal.default_int_handler)
    os.environ["MPLBACKEND"] = "Agg"  # figures are files; a notebook names its own backend here, which this environment may not have
    words = list(sys.argv[1:] if arguments is None else arguments)
    options_end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:options_end]
    words = [word for index, word in enumerate(words) if word != "--debug" or index >= options_end]
    sys.exit(run(words, debug=debug))


def run(words: Sequence[str], *, debug: bool = False) -> int:
    """Run one command line and return its exit code; nothing but a defect of the program leaves a traceback."""
    try:
        with stdout_for_the_document("--json" in words), earlier_names_as_notes():
            code = build_app()(args=list(words), prog_name="deepstruc-hpc", standalone_mode=False)
    except DeepstrucError as error:
        if debug:
            raise
        return _fail(str(error))
    except TyperException as error:
        if not hasattr(error, "format_message"):
            return INTERRUPTED
        message = str(error.format_message())
        example, page = _example_of(error), f"deepstruc-hpc {_command_of(words)}--help"
        return _fail(f"{message} " + (f"Example: {example} (all options: {page})." if example else f"See {page}.")) if message else 2
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if debug or error.errno not in (*DISK_ERRORS, errno.EACCES):
            raise
        reason = DISK_ERRORS.get(error.errno or 0, "permission denied")
        return _fail(f"{error.filename or 'output'}: {reason}. Free space or choose another output directory; the same command then goes on.")
    if code == INTERRUPTED:
        sys.stderr.write("interrupted: what was finished is kept; the same command goes on from there (train: with --resume).\n")
    return int(code or 0)


@contextmanager
def earlier_names_as_notes() -> Iterator[None]:
    """Print on stderr, each once, that a setting was given under its earlier name; other warnings go their usual way."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedKeyWarning)
        usual = warnings.showwarning
        shown: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, RenamedKeyWarning):
                usual(message, category, *place, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                sys.stderr.write(f"note: {message}\n")

        warnings.showwarning = show
        yield


def _example_of(error: TyperException) -> str:
    """The example in the help of the command whose argument or option is missing."""
    if not hasattr(error, "param_type"):  # which only a missing parameter has
        return ""
    command = getattr(getattr(error, "ctx", None), "command", None)
    _, _, example = (getattr(command, "help", None) or "").partition("Example: ")
    return example.partition("\n\n")[0].strip()


def _fail(message: str) -> int:
    sys.stderr.write("error: " + " ".join(message.split()) + "\n")
    return 2


def _command_of(words: Sequence[str]) -> str:
    """The words of the command itself, for the hint at its help: ``catalog build``."""
    names = []
    for word in words[:2]:
        if not word.isalpha():
            break
        names.append(word)
    groups = {"catalog", "crystals", "sweep", "slurm"}
    kept = names if names and names[0] in groups else names[:1]
    return " ".join([*kept, ""])


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepstruc-hpc {__version__}")
        raise typer.Exit
