"""Pages that are written from the program before Sphinx reads: commands, settings, stored arrays.

They lie in docs/reference/generated, which git ignores. A page is only written where its text has changed, so that a second build reads it no more.
"""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.main import get_command

from deepstruc_hpc.cli.app import build_app
from deepstruc_hpc.data.schema import schema_table

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx

FOLDER = Path("reference") / "generated"
SETTINGS = (
    ("solve", "deepstruc_hpc.solve.config", "SolveSettings", "`deepstruc-hpc solve --config FILE`, `--set key=value`, `--print-config`"),
    ("sweep-solve", "deepstruc_hpc.solve.scan.sweep_config", "SolveSweepConfig", "`deepstruc-hpc sweep solve --config FILE`"),
    ("instrument", "deepstruc_hpc.solve.instrument_file", "InstrumentValues", "`deepstruc-hpc solve --instrument FILE`; `calibrate` writes it"),
    ("recipe", "deepstruc_hpc.catalog.recipe", "Recipe", "`deepstruc-hpc catalog build FILE`"),
    ("train", "deepstruc_hpc.training.config", "TrainConfig", "`deepstruc-hpc train --config FILE`, `--set key=value`, `--print-config`"),
    ("sweep-train", "deepstruc_hpc.training.sweep_config", "SweepConfig", "`deepstruc-hpc sweep train --config FILE`"),
    ("cluster", "deepstruc_hpc.runtime.profile", "ClusterProfile", "`deepstruc-hpc slurm submit --cluster FILE`; `slurm init` writes a first one"),
)
"""Files of settings: name of the page, module and class that reads the file, and who takes it."""
NESTED = {"SolveSweepConfig": {"SolveSettings"}, "SweepConfig": {"TrainConfig"}}
"""Classes of a field that have a page of their own."""
BOUNDS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


def pages() -> dict[str, str]:
    """Every generated page: its path below the folder, and its Markdown."""
    return {**command_pages(), **settings_pages(), "stored-arrays.md": stored_arrays_page()}


def commands(command: Any, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command that is not hidden, with its words; a group that does something by itself is one, too."""
    children = getattr(command, "commands", None)
    if not children:
        return [(words, command)]
    own = [(words, command)] if words and command.invoke_without_command else []
    return own + [found for name, child in children.items() if not child.hidden for found in commands(child, (*words, name))]


def command_pages() -> dict[str, str]:
    """A page a command or group of commands, and an overview."""
    app = get_command(build_app())
    by_page: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
    for words, command in commands(app):
        by_page.setdefault(words[0], []).append((words, command))
    found = {f"cli/{name}.md": _command_page(name, entries, app.commands[name]) for name, entries in by_page.items()}
    lines = [
        "# Commands",
        "",
        "Every command has `--help` with an example. `deepstruc-hpc --version` prints the version, and `--debug`, anywhere on a line, shows the",
        "traceback of an error. Exit codes: 0 all done; 1 finished, but some items failed; 2 wrong usage or input; 130 interrupted by Ctrl-C.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    for name, entries in by_page.items():
        for words, command in entries:
            title = " ".join(("deepstruc-hpc", *words))
            lines.append(f"| [`{title}`]({name}.md#{title.replace(' ', '-')}) | {_cell(_first_sentence(command))} |")
    lines += ["", "```{toctree}", ":hidden:", "", *by_page, "```", ""]
    return {**found, "cli/index.md": "\n".join(lines)}


def _command_page(name: str, entries: list[tuple[tuple[str, ...], Any]], group: Any) -> str:
    lines = [f"# {name}", ""]
    if len(entries) > 1 or len(entries[0][0]) > 1:
        lines += [_cell(group.help or ""), ""]
    for words, command in entries:
        lines += [f"## deepstruc-hpc {' '.join(words)}", "", *_help(command.help or ""), *_usage(words, command), *_parameters(command)]
    return "\n".join(lines)


def _first_sentence(command: Any) -> str:
    paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]


def _help(text: str) -> list[str]:
    """The help of a command; its example as a block of code."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("Example"):
            words, _, code = " ".join(paragraph.split()).partition(": ")
            lines += [f"{words}:", "", "```bash", *code.split(", then "), "```", ""]
        else:
            lines += [_escaped(paragraph), ""]
    return lines


def _usage(words: tuple[str, ...], command: Any) -> list[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    shown = [_name(param) if param.required else f"[{_name(param)}]" for param in arguments]
    return ["Usage:", "", "```bash", " ".join(["deepstruc-hpc", *words, "[OPTIONS]", *shown]), "```", ""]


def _parameters(command: Any) -> list[str]:
    rows = [f"| {_name_cell(param)} | {_value(param)} | {_meaning(param)} |" for param in command.params if not getattr(param, "hidden", False)]
    return ["| option | value | meaning |", "|---|---|---|", *rows, ""] if rows else []


def _name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _name_cell(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{_name(param)}`"
    return ", ".join(f"`{option}`" for option in (*param.opts, *param.secondary_opts))


def _value(param: Any) -> str:
    if getattr(param, "is_flag", False):
        return ""
    kind = _type_words(param.type_descriptor.annotation).replace("list of ", "")
    return kind if param.min is None else f"{kind} ≥ {param.min:g}"


def _meaning(param: Any) -> str:
    parts = [_cell(param.help or "")]
    if param.required:
        parts.append("Needed.")
    elif param.default not in (None, False, (), [], "", True) and "default" not in (param.help or ""):
        parts.append(f"Default: `{param.default}`.")
    return " ".join(part for part in parts if part)


def settings_pages() -> dict[str, str]:
    """A page a file of settings, and an overview."""
    found: dict[str, str] = {}
    lines = [
        "# Settings",
        "",
        "Files in YAML. An unknown key is an error that names the nearest known one. A key of a group is written with a dot on the command line",
        "(`--set rank.model_error=0.03`), and below its group in a file.",
        "",
        "| settings | read by |",
        "|---|---|",
    ]
    for name, module, class_name, reader in SETTINGS:
        config = getattr(import_module(module), class_name)
        found[f"settings/{name}.md"] = _settings_page(name, config, reader)
        lines.append(f"| [{name}]({name}.md) | {reader} |")
    lines += ["", "```{toctree}", ":hidden:", "", *(name for name, *_ in SETTINGS), "```", ""]
    return {**found, "settings/index.md": "\n".join(lines)}


def _settings_page(name: str, config: type[BaseModel], reader: str) -> str:
    lines = [f"# Settings: {name}", "", f"Read by {reader}.", ""]
    for prefix, group in _groups(config):
        lines += [f"## {prefix.rstrip('.') or 'Top level'}", "", *_doc(group), "| key | value | default | meaning and unit |", "|---|---|---|---|"]
        for key, field in group.model_fields.items():
            inner = _model(field)
            if inner is None or inner.__name__ in NESTED.get(config.__name__, set()):
                lines.append(f"| `{prefix}{field.alias or key}` | {_cell(_type(field))} | {_default(field)} | {_cell(field.description or '')} |")
        lines.append("")
    return "\n".join(lines)


def _groups(config: type[BaseModel], prefix: str = "") -> list[tuple[str, type[BaseModel]]]:
    """The class and the classes of its fields, each with the prefix of its keys."""
    found = [(prefix, config)]
    for key, field in config.model_fields.items():
        inner = _model(field)
        if inner is not None and inner.__name__ not in NESTED.get(config.__name__, set()):
            found += _groups(inner, f"{prefix}{field.alias or key}.")
        item = _item(field)
        if item is not None:
            found.append((f"{prefix}{field.alias or key}[].", item))
    return found


def _item(field: FieldInfo) -> type[BaseModel] | None:
    """The class of the items of a list or table."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) in {tuple, list, dict} else ()
    kinds = tuple(get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *get_args(field.annotation)] if get_origin(field.annotation) not in {tuple, list, dict} else []
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _doc(config: type[BaseModel]) -> list[str]:
    paragraphs = (config.__doc__ or "").split("\n\n")
    return [_escaped(" ".join(paragraphs[0].split()).replace("``", "`")), ""]


def _type(field: FieldInfo) -> str:
    limits = [f"{sign} {getattr(bound, sign_name):g}" for bound in field.metadata for kind, sign in BOUNDS.items() if isinstance(bound, kind)
              for sign_name in [kind.__name__.lower()]]  # fmt: skip
    return ", ".join([_type_words(field.annotation), *limits])


def _type_words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _plain_words(annotation)
    if origin is Annotated:
        return _type_words(inner[0])
    if origin is Literal:
        return ", ".join(str(value) for value in inner)
    if origin is dict:
        return f"table: {_type_words(inner[0])} → {_type_words(inner[1])}"
    if origin in {tuple, list}:
        kinds = [kind for kind in inner if kind is not Ellipsis]
        return f"list of {_type_words(kinds[0])}" if len(kinds) == 1 else f"[{', '.join(map(_type_words, kinds))}]"
    return " or ".join(_type_words(kind) for kind in inner if kind is not type(None))


def _plain_words(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "group"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", Any: "any"}
    return names.get(annotation, str(getattr(annotation, "__name__", annotation)).lower())


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "needed"
    if value is PydanticUndefined or value in (None, (), "") or isinstance(value, BaseModel):
        return ""
    return f"`{list(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value}`"


def stored_arrays_page() -> str:
    """The arrays of a catalog."""
    return "\n".join(["# Stored arrays of a catalog", "", "What [a store](../../catalog.md) holds, in Zarr v3.", "", schema_table(), ""])


def _escaped(text: str) -> str:
    return text.replace("<", "\\<").replace("*", "\\*")


def _cell(text: str) -> str:
    return " ".join(_escaped(text).replace("|", "\\|").split())


def write(app: Sphinx) -> None:
    """Write the pages that changed, and remove those that are no more."""
    folder = Path(app.srcdir) / FOLDER
    found = {folder / name: text for name, text in pages().items()}
    for old in folder.rglob("*.md") if folder.exists() else ():
        if old not in found:
            old.unlink()
    for path, text in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def clean(folder: Path) -> None:
    """Remove all generated pages."""
    shutil.rmtree(folder, ignore_errors=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("builder-inited", write)
    return {"version": "1", "parallel_read_safe": True}
