"""The line of epochs between those who train and the driver, which shows and tracks it: ``RUN/epochs.jsonl``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = "epochs.jsonl"


def append_epoch(path: Path, metrics: Mapping[str, Any], checkpoint: str | None) -> None:
    """Add a line for an epoch whose checkpoint is stored, and before it those of earlier epochs that are missing here.

    Args:
        path: the file.
        metrics: of the epoch; under ``past`` those of earlier ones.
        checkpoint: where it is stored.
    """
    newest = dict(metrics)
    missing = list(newest.pop("past", []))
    there = {int(line["epoch"]) for line in read_epochs(path)}
    with path.open("a", encoding="utf-8") as file:
        for line in [*missing, newest]:
            if int(line["epoch"]) not in there:
                place = {"checkpoint": checkpoint} if checkpoint is not None and line is newest else {}
                file.write(json.dumps({**line, "time": time.time(), **place}) + "\n")


def latest_checkpoint(run: Path) -> Path | None:
    """The checkpoint of the newest epoch that still has one, in a training's directory, wherever that was moved to."""
    places = [Path(line["checkpoint"]).parts[-2:] for line in read_epochs(run / FILE) if "checkpoint" in line]
    return next((run.joinpath(*place) for place in reversed(places) if run.joinpath(*place).is_dir()), None)


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole, in order."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(_whole_lines(text))


def _whole_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
