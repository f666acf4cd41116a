"""The trials of a search in parallel coordinates: a line a trial through its settings to what it reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepstruc_hpc.report.figures import STYLE

_LOGARITHMIC = 20.0
"""Positive numbers that span at least this ratio are drawn on a logarithmic axis."""


def trials_figure(trials: pd.DataFrame, settings: Sequence[str], metric: str) -> Figure:
    """Parallel coordinates of a search (Inselberg 1985); the best trials are dark and on top.

    Args:
        trials: a row a trial.
        settings: columns that were searched.
        metric: column by which trials were compared, less is better; the last axis.
    """
    columns = [*settings, metric]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(6.0, 1.7 * len(columns)), 4.2), layout="constrained")
        axes: Axes = figure.add_subplot()
        places = np.column_stack([_rescaled(trials[column]) for column in columns])
        order = trials[metric].rank(ascending=False, method="first").to_numpy(dtype=np.int64) - 1
        shade = mpl.colormaps["viridis_r"]
        for row in np.argsort(order):
            place = order[row] / max(len(trials) - 1, 1)
            axes.plot(np.arange(len(columns)), places[row], lw=0.8 + 1.4 * place**3, color=shade(0.1 + 0.85 * place), alpha=0.85)
        for number, column in enumerate(columns):
            axes.axvline(number, lw=0.8, color="#9aa1ac", zorder=0)
            _ticks(axes, number, trials[column])
        names = [column.replace("optimiser.", "").replace("model.", "") for column in columns]
        axes.set(xticks=np.arange(len(columns)), xlim=(-0.3, len(columns) - 0.45), ylim=(-0.05, 1.08), yticks=[])
        axes.set_xticklabels(names, fontsize=8)
        axes.set_title(f"{len(trials)} trials, the best dark", loc="left", fontsize=10)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
    return figure


def _scale(values: pd.Series) -> tuple[NDArray[np.float64], list[str] | None]:
    """Numbers of a column on its axis, and the names of its steps where it is a choice of words."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        names = sorted({str(value) for value in values})
        return np.array([names.index(str(value)) for value in values], dtype=np.float64), names
    numbers = values.to_numpy(dtype=np.float64)
    spread = numbers.min() > 0 and numbers.max() / numbers.min() >= _LOGARITHMIC
    return np.log(numbers) if spread else numbers, None


def _rescaled(values: pd.Series) -> NDArray[np.float64]:
    numbers, _ = _scale(values)
    width = float(np.ptp(numbers))
    return np.full(len(numbers), 0.5) if width == 0 else (numbers - numbers.min()) / width


def _ticks(axes: Axes, at: int, values: pd.Series) -> None:
    numbers, names = _scale(values)
    heights = _rescaled(values)
    words: list[Any] = [names[int(number)] for number in numbers] if names else [f"{value:.3g}" for value in values]
    marks = dict(zip(np.round(heights, 6).tolist(), words, strict=True))
    if len(marks) > 6:
        marks = {place: marks[place] for place in (min(marks), max(marks))}
    for place, word in marks.items():
        axes.text(at + 0.03, place + 0.012, word, fontsize=7, color="#374151")
