"""``deepstruc-hpc solve --series``: frames that belong together, and what is said of them in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.cli.solve_ending import closing_lines

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.solve.run.batch import Batch


def solve_series(batch: Batch, *, order: str, all_frames: bool, report: bool, figures: bool, as_json: bool) -> None:
    """Solve a series, write its page, and print what changes in it."""
    from deepstruc_hpc.solve.series.run import SeriesOptions, SeriesRun

    options = SeriesOptions(order=order, all_frames=all_frames)
    run = SeriesRun(batch, options)
    if batch.options.watch:
        from deepstruc_hpc.solve.series.watch import watch_series

        table = watch_series(run, lambda: _page(batch.out, figures=figures) if report else None)
    else:
        table = run.run()
    page = _page(batch.out, figures=figures) if report else None
    summary = _summary(batch.out, table, page)
    if as_json:
        print_document(json.dumps(summary, indent=1))
    else:
        typer.echo("\n".join([*_in_words(summary), *closing_lines(batch.out, table["status"], run.guessed_qdamp, page)]))
    if summary["failed"]:
        raise typer.Exit(1)


def _page(out: Path, *, figures: bool) -> Path:
    from deepstruc_hpc.report.series_page import write_series_page

    return write_series_page(out, figures=figures)


def _summary(out: Path, table: pd.DataFrame, page: Path | None) -> dict[str, Any]:
    from deepstruc_hpc.data.series_file import read_series

    changes = read_series(out).change_points
    counts = table["status"].value_counts()
    return {
        "out": str(out),
        "page": None if page is None else str(page),
        "frames": len(table),
        **{name: int(counts.get(name, 0)) for name in ("ok", "refused", "failed")},
        "solved_fully": int(table["how"].eq("full").sum()),
        "changes": changes.to_dict("records"),
    }


def _in_words(summary: dict[str, Any]) -> list[str]:
    lines = [f"{summary['frames']} frames, {summary['solved_fully']} of them solved fully, the others from these (series.csv)."]
    return lines + [f"frame {one['frame']}: {one['text']} (probability {one['probability']:.2f})" for one in summary["changes"]]
