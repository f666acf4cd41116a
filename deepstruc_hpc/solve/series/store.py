"""Work files of a series: what is finished is found again by a second call."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.solve.run.output import ItemRecord
from deepstruc_hpc.solve.series.results import Curve, FrameResult

HEAD = "series.json"
OTHER = "~"
"""Between the place of a frame in its task and the name of a state whose curve is kept beside that of the answer."""

Floats = NDArray[np.float64]


def open_work(work: Path, head: dict[str, Any]) -> bool:
    """The directory of what is not finished, emptied where it belongs to other settings; whether it was there with these."""
    known = read_json(work / HEAD)
    if known == head:
        return True
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_atomically(work / HEAD, json.dumps(head))
    return False


def read_json(path: Path) -> Any:
    """What a JSON file holds, or None where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_results(path: Path) -> tuple[list[FrameResult], list[ItemRecord]] | None:
    """Results and folders' rows of a finished task, or None."""
    found = read_json(path)
    try:
        results = [FrameResult(**one) for one in found["results"]]
        return results, [ItemRecord(**one) for one in found["records"]]
    except (TypeError, KeyError):
        return None


def finished(work: Path) -> Iterator[tuple[str, list[FrameResult], list[ItemRecord]]]:
    """The tasks that were finished, by name, the oldest first."""
    for path in sorted([*work.glob("full-*.json"), *work.glob("warm-*.json")], key=lambda path: path.stat().st_mtime_ns):
        found = read_results(path)
        if found is not None and path.with_suffix(".npz").is_file():
            yield path.stem, *found


def write_curves(path: Path, grid: Floats, curves: Sequence[dict[str, Curve]]) -> None:
    """The curves of a task: measured and calculated (n, R), NaN where there is none, and those of other states by place and name."""
    empty = np.full(len(grid), np.nan, dtype=np.float32)
    whole: dict[str, Any] = {name: np.stack([one.get(name, empty) for one in curves]) for name in ("g", "calculated")}
    for place, one in enumerate(curves):
        whole |= {f"{place}{OTHER}{name}": values for name, values in one.items() if name not in ("g", "calculated")}
    buffer = io.BytesIO()
    np.savez(buffer, **whole)
    write_atomically(path, buffer.getvalue())


def read_curves(path: Path) -> tuple[Curve, Curve]:
    """Measured and calculated curves (n, R) of a task."""
    with np.load(path) as held:
        return held["g"], held["calculated"]


def other_curve(path: Path, place: int, state: str) -> Curve | None:
    """The calculated curve of the answer with another state to the frame at a place of a task."""
    with np.load(path) as held:
        name = f"{place}{OTHER}{state}"
        return np.asarray(held[name]) if name in held.files else None
