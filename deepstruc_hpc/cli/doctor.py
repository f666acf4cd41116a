"""``deepstruc-hpc doctor``: what is installed, what is missing, what that costs and how to mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from deepstruc_hpc.cli.document import print_document

if TYPE_CHECKING:
    from deepstruc_hpc.runtime.diagnosis import Diagnosis


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def doctor(as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
        """Say what is installed, what is missing, what that costs and how to mend it, and what to do next.

        Example: deepstruc-hpc doctor
        """
        from deepstruc_hpc.runtime.diagnosis import diagnose

        diagnosis = diagnose()
        print_document(json.dumps(diagnosis.as_dict(), indent=2) if as_json else _as_text(diagnosis))
        if diagnosis.broken:
            raise typer.Exit(1)


def _as_text(diagnosis: Diagnosis) -> str:
    width = max(len(finding.name) for finding in diagnosis.findings)
    marks = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}
    lines = []
    for finding in diagnosis.findings:
        lines.append(f"{marks[finding.state]}  {finding.name:<{width}}  {finding.found}")
        if finding.state != "ok":
            lines.append(f"{'':9}{'':{width}}  costs: {finding.cost}")
            lines.append(f"{'':9}{'':{width}}  mend:  {finding.remedy}")
    broken, missing = len(diagnosis.broken), len(diagnosis.missing)
    verdict = "Ready." if not broken else f"Not ready: {broken} needed part{'s are' if broken > 1 else ' is'} broken."
    lines.append(f"{verdict} {missing} optional part{'s' if missing != 1 else ''} missing.")
    lines.append(f"Next: {diagnosis.next_step}")
    return "\n".join(lines)
