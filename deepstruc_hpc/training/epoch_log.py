"""The line of epochs between Ray's controller, which writes it, and the driver, which shows and tracks it: ``RUN/epochs.jsonl``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ray.train import Checkpoint, UserCallback

FILE = "epochs.jsonl"


class EpochLog(UserCallback):  # type: ignore[misc]  # ray is untyped
    """Appends a line for every epoch whose checkpoint is stored. Ray runs it in the controller, on the driver's machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def after_report(self, run_context: Any, metrics: Sequence[dict[str, Any]], checkpoint: Checkpoint | None) -> None:  # noqa: ARG002
        """Write the first worker's metrics, and before them those of earlier epochs that are missing here."""
        newest = dict(metrics[0])
        missing = list(newest.pop("past", []))
        there = {int(line["epoch"]) for line in read_epochs(self.path)}
        with self.path.open("a", encoding="utf-8") as file:
            for line in [*missing, newest]:
                if int(line["epoch"]) not in there:
                    place = {"checkpoint": checkpoint.path} if checkpoint is not None and line is newest else {}
                    file.write(json.dumps({**line, "time": time.time(), **place}) + "\n")


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
