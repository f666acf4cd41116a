"""``deepstruc-hpc cite``: what to cite for the program, or for the results of a directory."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path

import typer

from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.references import ALL, Reference, citation_file, references_for

SUMMARY = "summary.json"


class Form(StrEnum):
    """How references are printed."""

    text = "text"
    bibtex = "bibtex"
    cff = "cff"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def cite(
        out: Path | None = typer.Argument(None, help="The output directory of solve; only what these results used is listed."),
        form: Form = typer.Option(Form.text, "--format", help="text, bibtex, or cff (of the program alone)."),
        as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
    ) -> None:
        """Say what to cite: the program, the paper it builds on, and the libraries that the results came through.

        Example: deepstruc-hpc cite solved/ --format bibtex > references.bib
        """
        found = list(ALL) if out is None else used_in(out)
        if as_json:
            print_document(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
        elif form is Form.cff:
            print_document(citation_file().rstrip())
        elif form is Form.bibtex:
            print_document("\n".join(one.bibtex() for one in found))
        else:
            print_document("\n".join(f"{one.role}:\n  {one.text()}" for one in found))


def used_in(out: Path) -> list[Reference]:
    """What the results of a directory used.

    Raises:
        ConfigError: the directory holds no results.
    """
    try:
        summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        settings, items = summary["run"]["settings"], summary["items"]
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise ConfigError(f"{out}: holds no results of solve ({SUMMARY}). Give the directory that solve --out wrote.") from broken
    tried = [row.get("details", {}).get("sources", {}) for row in items if row.get("status") == "ok"]
    sources = {name for one in tried for name, counted in one.items() if counted.get("candidates")}
    return references_for(sorted(sources), verified=bool(settings.get("verify")))
