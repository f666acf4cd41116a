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
from deepstruc_hpc.solve.series.results import FrameResult, Measures, table_of
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
    measures: list[Mapping[str, Measures]] = []
    for place, result in enumerate(results):
        row, notes = dict(result.row), list(result.notes)
        own: Mapping[str, Measures] = result.measures
        if result.state:
            chosen = smoothed.state(place)
            if chosen != result.state:
                row, own = _another(result, chosen, row, notes)
                if chosen in result.others:
                    replaced[place] = chosen
            row["type_smoothed_probability"] = float(smoothed.probability[place, smoothed.path[place]])
        if provisional:
            notes.append(PROVISIONAL)
        measures.append(own)
        rows.append({**row, "how": result.how, "note": "; ".join(notes)})
    probability, changes = _changes(smoothed, measures)
    for row, value in zip(rows, probability, strict=True):
        row["change_point"] = float(value)
    table = pd.DataFrame([vars(change) for change in changes], columns=["frame", "probability", "kind", "text"])
    return Finished(table_of(list(frames), rows), table.astype({"frame": int, "probability": float}), smoothed, replaced)


def _another(result: FrameResult, state: str, row: dict[str, Any], notes: list[str]) -> tuple[dict[str, Any], Mapping[str, Measures]]:
    """The row with the state that the frames around ask for, where the frame has an answer with it."""
    alone = np.exp(result.evidence[result.state])
    if state not in result.others:
        notes.append(f"the frames before and after are {state}; no answer with it was found here that comes near")
        return row, result.measures
    other = dict(result.others[state])
    measures = other.pop("measures")
    words = f"alone it would be {result.state} (probability {alone:.2f}, Rw {result.row.get('rw') or np.nan:.3f})"
    notes.append(f"{words}; the frames before and after make it {state}")
    return {**row, **other}, measures


def _changes(smoothed: Smoothed, measures: Sequence[Mapping[str, Measures]]) -> tuple[Floats, list[Change]]:
    """Probability of a change at each frame, and the changes that are told, in order; each phase is followed by itself."""
    none = 1.0 - smoothed.changed
    changes = state_changes(smoothed)
    for first, last in _runs(smoothed.path):
        part = measures[first:last]
        for name in dict.fromkeys(name for one in part for name in one):
            of = f" of {name}" if name else ""
            for kind, rise, fall in (("size", "growth", "shrinkage"), ("lattice", "expansion", "contraction")):
                course, errors = _course(part, name, kind)
                own, found = course_changes(course, errors, kind, (rise + of, fall + of))
                none[first:last] *= 1.0 - own
                changes += [Change(one.frame + first, one.probability, one.kind, one.text) for one in found]
    return np.clip(1.0 - none, 0.0, 1.0), sorted(changes, key=lambda one: one.frame)


def _course(measures: Sequence[Mapping[str, Measures]], name: str, kind: str) -> tuple[Floats, Floats]:
    """(F,) ln of the diameter or of the lattice constant of a phase, and its standard uncertainty; NaN where there is none."""
    known = [one[name]["size" if kind == "size" else "lattice"] if name in one else None for one in measures]
    values = np.array([one or (np.nan, np.nan) for one in known], dtype=np.float64)
    return (values[:, 0], values[:, 1]) if kind == "size" else (np.log(values[:, 0]), values[:, 1] / values[:, 0])


def _runs(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First frame and end of each stretch of one state."""
    ends = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    return [(first, last) for first, last in pairwise(ends) if last - first >= LEAST_RUN]
