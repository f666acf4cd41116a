"""Figures of a series as PNG: pictures of data and residual, each quantity against the frames, shares of phases, maps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from deepstruc_hpc.report.figures import STYLE, save_figure
from deepstruc_hpc.report.palette import PHASE_COLOURS, type_colours
from deepstruc_hpc.report.series_quantities import (
    Quantity,
    abscissa_label,
    abscissae,
    answered,
    band,
    is_map,
    known_quantities,
    lower_bounds,
    numbers,
    phase_shares,
    rises,
)
from deepstruc_hpc.report.series_view import SeriesView, colour_range, picture

COLOUR, BAD, SOFT, CHANGE = "#2a6fb0", "#b3382e", "#5b6472", "#7a4fa3"
MOST_WORDS = 8
"""Change points whose words are written beside their lines; more would cover each other."""
MOST_LETTERS = 34
_WIDE, _TALL = (8.6, 3.4), (8.6, 2.5)

Array = NDArray[np.float64]


def draw_series(view: SeriesView, folder: Path) -> dict[str, Path]:
    """Draw every figure that the series has numbers for.

    Returns:
        Name of the figure → its file: ``data``, ``residual``, ``phases``, the columns of the quantities, ``map-`` and a column.

    Raises:
        OutputError: a file cannot be written.
    """
    table = view.series.table
    figures: dict[str, Callable[[], Figure]] = {
        "data": partial(heat_figure, view, view.data, "Data: G(r)"),
        "residual": partial(heat_figure, view, view.residual, "Residual: data minus fit"),
    }
    quantities, shares = known_quantities(table), phase_shares(table)
    figures |= {one.key: partial(trend_figure, view, one) for one in quantities}
    if shares:
        figures["phases"] = partial(shares_figure, view)
    if is_map(table):
        figures |= {f"map-{one.key}": partial(map_figure, view, numbers(table, one.key), one.label) for one in quantities}
        figures |= {f"map-phase-{place}": partial(map_figure, view, one, f"Share of {name}") for place, (name, one) in enumerate(shares.items())}
        if "structure_type" in table and table["structure_type"].ne("").any():
            figures["map-type"] = partial(map_of_types, view)
    paths = {name: folder / f"{name}.png" for name in figures}
    for name, draw in figures.items():
        save_figure(draw(), paths[name])
    return paths


def heat_figure(view: SeriesView, values: NDArray[np.float32], title: str) -> Figure:
    """Curves side by side, one a column, colours symmetric about zero; frames without a curve grey, failed frames crossed at the bottom.

    Args:
        view: the curves' frames and r.
        values: (n, P) Å⁻².
        title: one line.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _canvas(_WIDE, title)
        x, label = _abscissa(view)
        limit = colour_range(values)
        axes.set_facecolor("#d5d9de")
        frames, r, shown = picture(view, values)
        at = x[frames]
        backwards = slice(None, None, -1 if len(at) > 1 and at[0] > at[-1] else 1)
        if len(at) > 1:
            image = axes.pcolormesh(at[backwards], r, shown[backwards].T, cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest", rasterized=True)
            figure.colorbar(image, ax=axes, label="Å⁻²", pad=0.01, extend="both")
        _mark(axes, view, x)
        axes.set(xlabel=label, ylabel="r (Å)", ylim=(view.r[0], view.r[-1]))
    return figure


def trend_figure(view: SeriesView, quantity: Quantity) -> Figure:
    """A quantity against the frames with the band of its uncertainty; a lower bound alone is an arrow's head; probabilities coloured by type."""
    table = view.series.table
    with mpl.rc_context(STYLE):
        figure, axes = _canvas(_TALL, quantity.title)
        x, label = _abscissa(view)
        value = numbers(table, quantity.key)
        low, high = band(table, quantity)
        axes.fill_between(x, low, high, color=COLOUR, alpha=0.22, lw=0)
        if quantity.key == "probability" and "structure_type" in table:
            _coloured_by_type(axes, view, x, value)
        else:
            axes.plot(x, value, ".-", color=COLOUR, lw=0.9, ms=2.4)
        column, words = quantity.second
        if column in table and np.isfinite(numbers(table, column)).any():
            axes.plot(x, numbers(table, column), lw=0.9, color="#1f2937", label=words)
            axes.legend(loc="lower left", fontsize=8)
        axes.plot(x, lower_bounds(table, quantity), "^", color=COLOUR, ms=3.2)
        _mark(axes, view, x)
        axes.set(xlabel=label, ylabel=quantity.label)
    return figure


def shares_figure(view: SeriesView) -> Figure:
    """The phases' shares of the weight, one above the other."""
    with mpl.rc_context(STYLE):
        figure, axes = _canvas(_TALL, "Phases")
        x, label = _abscissa(view)
        shares = phase_shares(view.series.table)
        if rises(x):
            axes.stackplot(x, list(shares.values()), labels=list(shares), colors=PHASE_COLOURS, alpha=0.8, lw=0, step="mid")
        else:
            for (name, values), colour in zip(shares.items(), PHASE_COLOURS, strict=False):
                axes.plot(x, values, ".", color=colour, ms=3, label=name)
        _mark(axes, view, x)
        axes.set(xlabel=label, ylabel="share of the weight", ylim=(0, 1))
        axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.02), fontsize=8)
    return figure


def map_figure(view: SeriesView, values: Array, label: str) -> Figure:
    """A quantity at the places x, y of the frames; places without one are grey crosses."""
    table = view.series.table
    x, y = numbers(table, "x"), numbers(table, "y")
    with mpl.rc_context(STYLE):
        figure, axes = _map_canvas(view, label)
        known = np.isfinite(values)
        axes.plot(x[~known], y[~known], "x", color=SOFT, ms=4)
        points = axes.scatter(x[known], y[known], c=values[known], s=_marker(x, y), marker="s", cmap="viridis", linewidths=0)
        figure.colorbar(points, ax=axes, pad=0.02)
    return figure


def map_of_types(view: SeriesView) -> Figure:
    """The structure type at each place."""
    table = view.series.table
    x, y, types = numbers(table, "x"), numbers(table, "y"), table["structure_type"].astype(str).to_numpy()
    colours = type_colours(types)
    with mpl.rc_context(STYLE):
        figure, axes = _map_canvas(view, "Structure type")
        axes.plot(x[types == ""], y[types == ""], "x", color=SOFT, ms=4)
        for name, colour in colours.items():
            axes.scatter(x[types == name], y[types == name], s=_marker(x, y), marker="s", linewidths=0, color=colour)
        handles = [Line2D([], [], marker="s", ls="", color=colour, label=name.replace("_", " ")) for name, colour in colours.items()]
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8)
    return figure


def _canvas(size: tuple[float, float], title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure, figure.add_subplot()


def _map_canvas(view: SeriesView, title: str) -> tuple[Figure, Axes]:
    figure, axes = _canvas((4.6, 4.0), title)
    units = view.series.units
    axes.set(xlabel=abscissa_label("x", units), ylabel=abscissa_label("y", units))
    axes.set_aspect("equal", adjustable="datalim")
    return figure, axes


def _marker(x: Array, y: Array) -> float:
    """Area of a square in points², so that squares of a full grid about touch in a panel of three inches."""
    known = np.isfinite(x) & np.isfinite(y)
    spans = np.array([np.ptp(x[known]), np.ptp(y[known])])
    steps = [np.diff(np.unique(np.round(values[known] / span, 3))) * span for values, span in zip((x, y), spans, strict=True)]
    step = min((float(np.median(one)) for one in steps if len(one)), default=spans.max())
    return float(max(9.0, (0.92 * 216.0 / (spans.max() / step + 1)) ** 2))


def _abscissa(view: SeriesView) -> tuple[Array, str]:
    """The order of the frames where a picture can be drawn against it, else their numbers."""
    table, units = view.series.table, view.series.units
    known = [name for name in abscissae(table)[1:] if np.isfinite(numbers(table, name)).all() and rises(numbers(table, name))]
    chosen = known[0] if known else "frame"
    return numbers(table, chosen), abscissa_label(chosen, units)


def _coloured_by_type(axes: Axes, view: SeriesView, x: Array, value: Array) -> None:
    types = view.series.table["structure_type"].astype(str).to_numpy()
    axes.plot(x, value, color="#c9d0d8", lw=0.7, zorder=1)
    for name, colour in type_colours(types).items():
        axes.plot(x[types == name], value[types == name], ".", color=colour, ms=3.4, zorder=2)
        axes.plot([], [], "o", color=colour, ms=4, label=name.replace("_", " "))
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.04), fontsize=8)
    axes.add_artist(legend)


def _mark(axes: Axes, view: SeriesView, x: Array) -> None:
    """The axis from the first frame to the last, lines at the change points, with words where they are few, crosses at frames without an answer."""
    margin = 0.5 * (np.ptp(x) / max(1, len(x) - 1) or 1.0)
    axes.set_xlim(x.min() - margin, x.max() + margin)
    changes = view.series.change_points.sort_values("frame")
    changes = changes[(changes["frame"] >= 0) & (changes["frame"] < len(x))]
    for number, (frame, text) in enumerate(zip(changes["frame"], changes["text"], strict=True)):
        at = _before(x, int(frame))
        axes.axvline(at, color=CHANGE, lw=0.9, ls=(0, (4, 2)))
        if len(changes) <= MOST_WORDS:
            words = str(text) if len(str(text)) <= MOST_LETTERS else f"{str(text)[: MOST_LETTERS - 1]}…"
            words = words.replace("$", r"\$")
            axes.annotate(
                words, (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2 + 9 * (number % 3)), textcoords="offset points",
                ha="left" if at < x.min() + 0.75 * np.ptp(x) else "right", va="bottom", fontsize=7, color=CHANGE,
            )  # fmt: skip
    lost = ~answered(view.series.table)
    if lost.any():
        axes.plot(x[lost], np.full(lost.sum(), 0.02), "x", transform=axes.get_xaxis_transform(), color=BAD, ms=3.6, mew=0.9, clip_on=False, zorder=6)


def _before(x: Array, frame: int) -> float:
    """The place between a frame and the one before it."""
    return float(x[frame] if frame == 0 else 0.5 * (x[frame - 1] + x[frame]))
