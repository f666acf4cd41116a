"""What ``--help`` prints: usage, what the command does, and its options by purpose, one line an option where the terminal is wide enough.

The help of an option is its first paragraph here; the reference on the site (``make docs``) has the others, too.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMES_COLUMN = 32
"""Characters that names of options take at most: half of a terminal of 80 is left to say what they do. A longer name has a line of its own."""
VALUES = {int: "N", float: "X", Path: "PATH"}
"""What stands for a value after its option; else TEXT."""
ARGUMENTS, OPTIONS, COMMANDS = "Arguments", "Options", "Commands"
EXAMPLE = "Example:"
"""With which the paragraph of a help begins that shows one."""


class Command(TyperCommand):
    """A command with such a help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        del formatter
        _print_help(self, ctx)


class Group(TyperGroup):
    """A group of commands with such a help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        del formatter
        _print_help(self, ctx)


def with_short_help(app: typer.Typer) -> None:
    """Give every command and group of an application this help."""
    app.info.cls = Group
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.cls = Group
            with_short_help(group.typer_instance)


def short(text: str | None) -> str:
    """The first paragraph of the help of an option, in one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def _print_help(command: Any, ctx: Any) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble(("Usage: ", "bold"), _usage(command, ctx)))
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        line = " ".join(paragraph.split())
        console.print()
        if line.startswith(EXAMPLE):  # on a line of its own: it can be copied
            console.print(Text(f"  {EXAMPLE}"))
            console.print(Padding(Text(line.removeprefix(EXAMPLE).strip()), (0, 0, 0, 4)))
        else:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
    for title, rows in _panels(command, ctx).items():
        console.print()
        console.print(Text(title, style="bold"))
        console.print(_table(rows, console.width))


def _usage(command: Any, ctx: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    words = [name_of(param) if param.required else f"[{name_of(param)}]" for param in arguments]
    return " ".join([ctx.command_path, "[OPTIONS]", *words, *(["COMMAND …"] if getattr(command, "commands", None) else [])])


def _panels(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Title → name and meaning of each parameter or command, in the order in which they were declared; arguments first."""
    panels: dict[str, list[tuple[str, str]]] = {}
    title = OPTIONS
    for param in sorted(command.get_params(ctx), key=lambda one: one.param_type_name != "argument"):
        if not getattr(param, "hidden", False):
            argument, of_help = param.param_type_name == "argument", "--help" in param.opts  # which comes last
            own = getattr(param, "rich_help_panel", None)
            title = own or (ARGUMENTS if argument else title if of_help and title != ARGUMENTS else OPTIONS)
            panels.setdefault(title, []).append((name_of(param), _meaning(param)))
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            panels.setdefault(COMMANDS, []).append((name, short(child.short_help or child.help)))
    return panels


def _table(rows: Sequence[tuple[str, str]], width: int) -> Any:
    """Two columns; a name that is too long for the first one has a line of its own."""
    from rich.table import Table
    from rich.text import Text

    longest = min(max(len(name) for name, _ in rows), NAMES_COLUMN)
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(width=longest + 2, no_wrap=True)
    table.add_column(width=max(width - longest - 4, 20))
    for name, meaning in rows:
        for first, second in [(name, meaning)] if len(name) <= longest else [(name, ""), ("", meaning)]:
            table.add_row(Text(f"  {first}", style="cyan"), Text(second))
    return table


def name_of(param: Any) -> str:
    """``--rmax X``, ``--out, -o PATH``, ``--[no-]figures``; of an argument what stands for it."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    names = ", ".join(sorted(param.opts, key=len, reverse=True))
    if param.secondary_opts:
        return names.replace("--", "--[no-]", 1)
    return names if getattr(param, "is_flag", False) else f"{names} {_value(param)}"


def _value(param: Any) -> str:
    if param.metavar:
        return str(param.metavar)
    kind = param.type_descriptor.annotation
    kind = get_args(kind)[0] if get_origin(kind) is list else kind
    return VALUES.get(kind, "TEXT")


def _meaning(param: Any) -> str:
    return " ".join(_parts_of(param))


def _parts_of(param: Any) -> Iterator[str]:
    yield short(param.help)
    if param.required:
        yield "[needed]"
    elif param.default not in (None, "", [], ()) and not isinstance(param.default, bool) and "default" not in (param.help or ""):
        yield f"[default: {param.default:g}]" if isinstance(param.default, float) else f"[default: {param.default}]"
