"""From the results of single frames to those of the series: states smoothed, changes found, rows written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.solve.series.changes import Change, course_changes, state_changes
from deepstruc_hpc.solve.series.frames import Frame
from deepstruc_hpc.solve.series.results import FrameResult, table_of
from deepstruc_hpc.solve.series.smoothing import Smoothed, smooth

LEAST_RUN = 3
"""Frames of one state in a row, below which the course of size and lattice is not asked whether it changes."""
PROVISIONAL = "provisional: frames that follow may change the smoothed type and the change points"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Finished:
    """A series as it is told.

    Attributes:
        table: ``series.csv``.
        changes: frame, probability, kind, text.
        smoothed: states of the frames.
        replaced: frames that got the answer with another state than their own.
    """

    table: pd.DataFrame
    changes: pd.DataFrame
    smoothed: Smoothed
    replaced: Mapping[int, str]


def finish(frames: Sequence[Frame], results: Sequence[FrameResult], *, provisional: bool = False) -> Finished:
    """Smooth a series and find its changes.

    Args:
        frames: in order.
        results: one a frame.
        provisional: more frames follow.
    """
    smoothed = smooth([result.evidence for result in results])
    replaced = {}
    rows: list[dict[str, Any]] = []
    sizes, lattices = np.full((len(frames), 2), np.nan), np.full((len(frames), 2), np.nan)
    for place, result in enumerate(results):
        row, notes = dict(result.row), list(result.notes)
        size, lattice = result.size, result.lattice
        if result.state:
            chosen = smoothed.state(place)
            if chosen != result.state:
                row, size, lattice = _another(result, chosen, row, notes, (size, lattice))
                if chosen in result.others:
                    replaced[place] = chosen
            row["type_smoothed_probability"] = float(smoothed.probability[place, smoothed.path[place]])
        if provisional:
            notes.append(PROVISIONAL)
        sizes[place], lattices[place] = size or (np.nan, np.nan), lattice or (np.nan, np.nan)
        rows.append({**row, "how": result.how, "note": "; ".join(notes)})
    probability, changes = _changes(smoothed, sizes, lattices)
    for row, value in zip(rows, probability, strict=True):
        row["change_point"] = float(value)
    told = pd.DataFrame([vars(change) for change in changes], columns=["frame", "probability", "kind", "text"])
    return Finished(table_of(list(frames), rows), told.astype({"frame": int, "probability": float}), smoothed, replaced)


def _another(result: FrameResult, state: str, row: dict[str, Any], notes: list[str], measures: tuple[Any, Any]) -> tuple[dict[str, Any], Any, Any]:
    """The row with the state that the frames around ask for, where the frame has an answer with it."""
    alone = np.exp(result.evidence[result.state])
    if state not in result.others:
        notes.append(f"the frames before and after are {state}; no answer with it was found here that comes near")
        return row, *measures
    other = dict(result.others[state])
    size, lattice = other.pop("size", None), other.pop("lattice_of", None)
    words = f"alone it would be {result.state} (probability {alone:.2f}, Rw {result.row.get('rw') or np.nan:.3f})"
    notes.append(f"{words}; the frames before and after make it {state}")
    return {**row, **other}, size, lattice


def _changes(smoothed: Smoothed, sizes: Floats, lattices: Floats) -> tuple[Floats, list[Change]]:
    """Probability of a change at each frame, and the changes that are told, in order."""
    none = 1.0 - smoothed.changed
    changes = state_changes(smoothed)
    for first, last in _runs(smoothed.path):
        for values, kind, words in ((sizes, "size", ("growth", "shrinkage")), (lattices, "lattice", ("expansion", "contraction"))):
            part = values[first:last]
            course, errors = (np.log(part[:, 0]), part[:, 1] / part[:, 0]) if kind == "lattice" else (part[:, 0], part[:, 1])
            own, found = course_changes(course, errors, kind, words)
            none[first:last] *= 1.0 - own
            changes += [Change(one.frame + first, one.probability, one.kind, one.text) for one in found]
    return np.clip(1.0 - none, 0.0, 1.0), sorted(changes, key=lambda one: one.frame)


def _runs(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First frame and end of each stretch of one state."""
    ends = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    return [(first, last) for first, last in pairwise(ends) if last - first >= LEAST_RUN]
