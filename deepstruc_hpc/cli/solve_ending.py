"""What ``deepstruc-hpc solve`` prints when it is done: the table, doubts, and the lines with which a series ends, too."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.files import shown_name

if TYPE_CHECKING:
    import pandas as pd


def print_summary(out: Path, frame: pd.DataFrame, page: Path | None, as_json: bool) -> None:
    """The rows as a table and what is said of them, or as one JSON document.

    Args:
        out: the output directory.
        frame: rows of ``summary.csv``.
        page: the report, or None.
        as_json: the document alone.
    """
    if as_json:
        rows = json.loads(frame.to_json(orient="records"))
        print_document(json.dumps({"out": str(out), "report": str(page) if page else None, "items": rows}, indent=1))
        return
    from deepstruc_hpc.report import words

    rows = [dict(zip(frame.columns, values, strict=True)) for values in frame.itertuples(index=False, name=None)]
    if rows:
        typer.echo(_table([_summary_cells(row) for row in rows]))
    for row in rows:
        if message := words.message_words(row):
            typer.echo(f"{shown_name(str(row['file']))}: {message}")
    typer.echo("\n".join(closing_lines(out, frame["status"], _guessed_qdamp(out) if rows else [], page)))


def closing_lines(out: Path, statuses: Iterable[object], guessed_qdamp: Sequence[float], page: Path | None) -> list[str]:
    """The last lines of a call.

    Args:
        out: the output directory.
        statuses: of all files or frames.
        guessed_qdamp: Å⁻¹, of each file of which neither an option nor the header said it. Qdamp sets how fast G(r) decays, and so the size.
        page: the report, or None.
    """
    from deepstruc_hpc.report import words

    lines = []
    for value, count in Counter(guessed_qdamp).items():
        whose = "1 file whose header says none" if count == 1 else f"{count} files whose headers say none"
        lines.append(f"Qdamp {value:g} Å⁻¹ was taken for {whose}: --qdamp or --instrument is better.")
    counts = words.count_words(statuses)
    return [*lines, f"{counts or 'nothing solved'}. Results: {out}" + (f"  Report: {page}" if page else "")]


def _guessed_qdamp(out: Path) -> list[float]:
    """Qdamp of the files of ``summary.json`` for which it was guessed."""
    from deepstruc_hpc.solve.run.summary import SUMMARY_JSON

    place = out / SUMMARY_JSON
    items = json.loads(place.read_text(encoding="utf-8"))["items"] if place.is_file() else []
    return [item["conditions"]["qdamp"] for item in items if item["conditions"].get("origin", {}).get("qdamp") == "default"]


def _summary_cells(row: dict[str, Any]) -> dict[str, str]:
    """A row of the table: head → text."""
    from deepstruc_hpc.report import words
    from deepstruc_hpc.report.results import plain

    rw, probability = plain(row["rw"]), plain(row["probability"])
    return {
        "file": shown_name(str(row["file"])),
        "phase": words.phase_words(row),
        "atoms": words.atoms_words(row),
        "diameter (Å)": words.diameter_words(row),
        "Rw": "" if rw is None else f"{rw:.3f}",
        "probability": "" if probability is None else f"{probability:.2f}",
        "status": words.status_words(row["status"]),
        "flags": ", ".join(label for label, _ in words.flag_words(row)),
    }


def _table(rows: list[dict[str, str]]) -> str:
    """Columns of text, ``-`` for empty cells; the columns with numbers are aligned to the right."""
    lines = [list(rows[0]), *([cell or "-" for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [name in {"atoms", "diameter (Å)", "Rw", "probability"} for name in rows[0]]
    aligned = ([cell.rjust(width) if last else cell.ljust(width) for cell, width, last in zip(line, widths, right, strict=True)] for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in aligned)
