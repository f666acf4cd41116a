"""``series.html``: one file that shows a series and opens with no network.

Every number of the table is in it, and the curves as 16-bit steps; of a long series every n-th frame's, which the page says.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.core.files import shown_name, write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.series_file import read_series
from deepstruc_hpc.report.encode import pack, to_json
from deepstruc_hpc.report.page import PAGE as INDEX
from deepstruc_hpc.report.page import asset, plotly_script
from deepstruc_hpc.report.palette import PHASE_COLOURS, type_colours
from deepstruc_hpc.report.series_figures import draw_series
from deepstruc_hpc.report.series_quantities import (
    UNIT_WORDS,
    Quantity,
    abscissa_label,
    abscissae,
    band,
    is_map,
    known_quantities,
    lower_bounds,
    numbers,
    phase_shares,
    rises,
)
from deepstruc_hpc.report.series_view import SeriesView, colour_range, view_of
from deepstruc_hpc.report.words import FLAGS, STATUS, count_words, diameter_words, message_words, phase_words, size_words

PAGE, FIGURES = "series.html", "series"
DIGITS = 7
"""Significant digits of a number on the page."""


def write_series_page(out: str | Path, *, figures: bool = True) -> Path:
    """Write the page of a series and its figures.

    Args:
        out: the directory with ``series.csv`` and ``series.h5``.
        figures: also draw the PNG figures in ``out/series``.

    Returns:
        The path of ``series.html``.

    Raises:
        ConfigError: no such directory. PdfFileError: ``series.h5`` cannot be read. OutputError: the page cannot be written.
    """
    base = Path(out)
    series = read_series(base)
    view = view_of(series)
    if figures:
        _draw(view, base / FIGURES)
    drawn = {path.stem: f"{FIGURES}/{path.name}" for path in sorted((base / FIGURES).glob("*.png"))}
    return write_atomically(base / PAGE, _page_text(view, drawn))


def _draw(view: SeriesView, folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        draw_series(view, folder)
    except OSError as failed:
        raise OutputError(f"{folder}: cannot be written ({failed.strerror or failed}). Free space or check the permissions.") from failed


def _page_text(view: SeriesView, drawn: dict[str, str]) -> str:
    series = view.series
    name = series.directory.resolve().name
    return Template(asset("series.html")).substitute(
        title=html.escape(f"deepstruc-hpc: series {name}"),
        css=asset("page.css") + asset("series.css"),
        plotly=plotly_script(),
        series=_script("series", to_json(series_document(view, drawn))),
        curves=_script("curves", to_json(_curves(view))),
        script="\n".join(asset(file) for file in ("elements.js", "plots.js", "series_plots.js", "series.js")),
    )


def series_document(view: SeriesView, drawn: dict[str, str]) -> dict[str, Any]:
    """Everything of the page but the curves: the table by columns, what is drawn of it, change points, words, names of figures."""
    series, table = view.series, view.series.table
    types = table["structure_type"] if "structure_type" in table else pd.Series([""] * len(table))
    shares = phase_shares(table)
    against = abscissae(table)
    return {
        "directory": series.directory.resolve().name,
        "frames": len(table),
        "step": view.step,
        "embedded": len(view.frames),
        "counts": count_words(table["status"], {"ok": "solved"}) if "status" in table else "",
        "columns": {name: _column(table[name]) for name in map(str, table)},
        "words": _words(table),
        "flags": {flag: words for flag, words in FLAGS.items() if "flags" in table and table["flags"].str.contains(flag, regex=False).any()},
        "abscissae": [{"key": key, "label": abscissa_label(key, series.units), "rises": rises(numbers(table, key))} for key in against],
        "quantities": [_quantity(table, one) for one in known_quantities(table)],
        "shares": {name: _numbers(values) for name, values in shares.items()},
        "map": is_map(table),
        "places": {key: abscissa_label(key, series.units) for key in ("x", "y")},
        "units": {key: UNIT_WORDS.get(unit, unit) for key, unit in series.units.items()},
        "changes": [
            {"frame": int(row["frame"]), "probability": round(float(row["probability"]), 4), "kind": row["kind"], "text": row["text"]}
            for _, row in series.change_points.sort_values("frame").iterrows()
            if 0 <= row["frame"] < len(table)
        ],
        "colours": type_colours(str(name) for name in types.unique()),
        "phase_colours": dict(zip(shares, PHASE_COLOURS, strict=False)),
        "ranges": {"data": colour_range(view.data), "residual": colour_range(view.residual)},
        "figures": drawn,
        "index": (series.directory / INDEX).is_file(),
        "process": dict(series.process),
        "version": __version__,
    }


def _quantity(table: pd.DataFrame, one: Quantity) -> dict[str, Any]:
    """How a quantity is drawn, with the ends of its band and its lower bounds where there are any."""
    low, high = band(table, one)
    ends = {"low": low, "high": high, "least": lower_bounds(table, one)}
    known = {name: _numbers(values) if np.isfinite(values).any() else None for name, values in ends.items()}
    return {"key": one.key, "title": one.title, "unit": one.unit, "label": one.label, "second": one.second, "digits": one.digits, **known}


def _words(table: pd.DataFrame) -> dict[str, Any]:
    """What the page says about each frame, beside its numbers."""
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    spoken = {
        "name": [shown_name(str(row["file"])) for row in rows],
        "status": [STATUS.get(str(row.get("status", "")), str(row.get("status", ""))) for row in rows],
        "phase": [phase_words(row) for row in rows],
        "diameter": [diameter_words(row) for row in rows],
        "size": [size_words(row) for row in rows],
        "message": [message_words(row) for row in rows],
    }
    return {name: _texts(values) for name, values in spoken.items()}


def _column(values: pd.Series) -> dict[str, Any]:
    return {"n": _numbers(values.to_numpy(dtype=np.float64))} if pd.api.types.is_numeric_dtype(values) else _texts([str(value) for value in values])


def _numbers(values: Any) -> list[float | int | None]:
    """Numbers in few characters, None for NaN."""
    return [None if not np.isfinite(value) else int(value) if value == int(value) else float(f"{value:.{DIGITS}g}") for value in map(float, values)]


def _texts(values: Sequence[str]) -> dict[str, Any]:
    """Texts once each, and which of them stands where."""
    codes, known = pd.factorize(np.array(values, dtype=object))
    return {"t": [str(text) for text in known], "c": codes.tolist()}


def _curves(view: SeriesView) -> dict[str, Any]:
    return {
        "r": pack(view.r),
        "frames": view.frames.tolist(),
        "data": [_packed(row) for row in view.data],
        "fit": [_packed(row) for row in view.fit],
    }


def _packed(row: Any) -> dict[str, Any] | None:
    return pack(row) if np.isfinite(row).any() else None


def _script(name: str, text: str) -> str:
    return f'<script type="application/json" id="{name}">{text}</script>'
