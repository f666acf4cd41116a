"""``index.html`` of a scan over settings: how stable each answer is, in two tables and a picture a PDF. One file that opens with no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepstruc_hpc.core.errors import ConfigError, OutputError
from deepstruc_hpc.core.files import shown_name, write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.report.figures import STYLE, save_figure
from deepstruc_hpc.report.page import asset
from deepstruc_hpc.report.palette import type_colours
from deepstruc_hpc.report.results import clean_row, read_table

PAGE, PICTURES = "index.html", "pictures"
NEEDED = ("file", "varied", "status", "structure_type", "n_atoms", "rw", "probability", "point")
UNITS = {"rmin": "Å", "rmax": "Å", "qmin": "Å⁻¹", "qmax": "Å⁻¹", "qdamp": "Å⁻¹", "qbroad": "Å⁻¹"}
MOST_LABELS = 14

Column = tuple[str, str, Callable[[Any], str]]


def write_sweep_report(directory: str | Path) -> Path:
    """Draw a picture for each PDF and write the page.

    Args:
        directory: the ``--out`` of sweep solve; only its tables are read.

    Returns:
        The path of ``index.html``.

    Raises:
        ConfigError: not such a directory. OutputError: it cannot be written.
    """
    base = Path(directory)
    rows = read_table(base / "sweep.csv", NEEDED)
    by_file, by_setting = read_table(base / "stability.csv", ("file",)), read_table(base / "sensitivity.csv", ("file", "setting"))
    if rows is None or by_file is None or by_setting is None:
        raise ConfigError(f"{base}: holds no sweep.csv, stability.csv and sensitivity.csv. Give the directory that sweep solve --out wrote.")
    settings = list(dict.fromkeys(by_setting["setting"]))
    parts = [_table("Stability", by_file, _FILE_COLUMNS)]
    try:
        (base / PICTURES).mkdir(exist_ok=True)
        for number, (file, group) in enumerate(rows.groupby("file", sort=True)):
            picture = base / PICTURES / f"{number + 1:03d}-{Path(str(file)).stem}.png"
            save_figure(answer_figure(group, settings, title=shown_name(str(file))), picture)
            parts.append(_section(str(file), picture, by_setting[by_setting["file"] == file]))
        text = Template(asset("sweep.html")).substitute(
            title=html.escape(f"{base.resolve().name}: stability"), css=asset("page.css"), words=html.escape(_words(rows)), body="\n".join(parts),
            version=__version__,
        )  # fmt: skip
    except OSError as failed:
        raise OutputError(f"{base}: cannot be written ({failed.strerror or failed}). Free space or check the permissions.") from failed
    return write_atomically(base / PAGE, text)


def answer_figure(rows: pd.DataFrame, settings: Sequence[str], *, title: str = "") -> Figure:
    """The answer against each setting: number of atoms above, Rw below, the type as colour, the probability as size; the base is ringed.

    Args:
        rows: of one PDF, as in ``sweep.csv``.
        settings: one column of the figure each.
        title: one line.
    """
    solved = rows[rows["status"] == "ok"]
    colours = type_colours(solved["structure_type"].astype(str))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(5.4, 2.3 * len(settings) + 0.9), 4.3), layout="constrained")
        panels = figure.subplots(2, len(settings), squeeze=False, sharex="col", sharey="row")
        for column, setting in enumerate(settings):
            tried = rows[rows["varied"].isin(("base", setting))] if (rows["varied"] == setting).any() else rows
            everywhere, labels = _places(tried[setting])
            answered = (tried["status"] == "ok").to_numpy()
            own, place = tried[answered], everywhere[answered]
            for axes, quantity in zip(panels[:, column], ("n_atoms", "rw"), strict=True):
                _points(axes, own, place, quantity, colours)
            panels[1, column].plot(everywhere[~answered], tried["rw"].to_numpy(dtype=float)[~answered], "x", ms=6, color="#9aa1ab")
            panels[1, column].set_xlabel(f"{setting} ({UNITS[setting]})" if setting in UNITS else setting)
            if labels is not None:
                panels[1, column].set_xticks(range(len(labels)), labels, rotation=30 if max(map(len, labels)) > 4 else 0)
        panels[0, 0].set_ylabel("atoms")
        panels[1, 0].set_ylabel("Rw")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        handles = [Line2D([], [], marker="o", ls="", color=colour, label=name.replace("_", " ")) for name, colour in colours.items()]
        handles.append(Line2D([], [], marker="o", ls="", color="none", markeredgecolor="#1f2937", label="base settings"))
        if (rows["status"] != "ok").any():
            handles.append(Line2D([], [], marker="x", ls="", color="#9aa1ab", label="no answer"))
        figure.legend(handles=handles, loc="outside right upper", fontsize=8, handletextpad=0.3)
    return figure


def _points(axes: Axes, rows: pd.DataFrame, place: np.ndarray, quantity: str, colours: dict[str, str]) -> None:
    values = rows[quantity].to_numpy(dtype=float)
    order = np.argsort(place, kind="stable")
    if not (rows["varied"] == "several").any():
        axes.plot(place[order], values[order], lw=0.7, color="#c9d0d8", zorder=1)
    size = 14 + 46 * rows["probability"].fillna(0).to_numpy(dtype=float)
    axes.scatter(place, values, s=size, c=[colours[str(name)] for name in rows["structure_type"]], zorder=2, linewidths=0)
    base = (rows["varied"] == "base").to_numpy()
    axes.scatter(place[base], values[base], s=110, facecolors="none", edgecolors="#1f2937", linewidths=0.9, zorder=3)
    axes.margins(x=0.12, y=0.15)


def _places(values: pd.Series) -> tuple[np.ndarray, list[str] | None]:
    """Where each row stands on the axis: its number, or the place of its word in a list of words."""
    numbers = pd.to_numeric(values, errors="coerce")
    if len(values) and numbers.notna().all():
        return numbers.to_numpy(dtype=float), None
    words = [str(value) for value in values]
    labels = list(dict.fromkeys(sorted(words)))
    return np.array([labels.index(word) for word in words], dtype=float), [label[:MOST_LABELS] for label in labels]


def _share(value: Any) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _number(digits: int) -> Callable[[Any], str]:
    return lambda value: "" if value is None else f"{value:.{digits}f}"


def _atoms(row: dict[str, Any]) -> str:
    if row.get("n_atoms_min") is None:
        return ""
    return f"{row['n_atoms_median']:.0f} ({row['n_atoms_min']:.0f} to {row['n_atoms_max']:.0f})"


def _name(value: Any) -> str:
    return Path(str(value)).name


_ANSWER: tuple[Column, ...] = (
    ("settings", "settings tried", _number(0)),
    ("solved", "solved", _number(0)),
    ("structure_type", "type most often", lambda value: "" if value is None else str(value).replace("_", " ")),
    ("same_type", "share with this type", _share),
    ("same_lattice", "fcc and octahedral as one", _share),
    ("other_types", "other types", lambda value: "" if value is None else str(value).replace("_", " ")),
    ("atoms", "atoms: median (range)", str),
    ("rw_min", "lowest Rw", _number(3)),
    ("rw_max", "highest Rw", _number(3)),
)
_FILE_COLUMNS: tuple[Column, ...] = (("file", "file", _name), *_ANSWER)
_SETTING_COLUMNS: tuple[Column, ...] = (("setting", "varied", str), *_ANSWER)


def _table(title: str, table: pd.DataFrame, columns: Sequence[Column]) -> str:
    rows = [(row := clean_row(line)) | {"atoms": _atoms(row)} for _, line in table.iterrows()]
    head = "".join(f"<th>{html.escape(words)}</th>" for _, words, _ in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(show(row.get(key)))}</td>" for key, _, show in columns) + "</tr>" for row in rows)
    heading = f"<h2>{html.escape(title)}</h2>" if title else ""
    return f'{heading}<div class="scroll"><table class="candidates"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(file: str, picture: Path, by_setting: pd.DataFrame) -> str:
    image = base64.b64encode(picture.read_bytes()).decode("ascii")
    name = html.escape(shown_name(file))
    return (
        f'<section class="scan"><h2>{name}</h2><img alt="The answer for {name} against each setting" src="data:image/png;base64,{image}">'
        f"{_table('', by_setting, _SETTING_COLUMNS)}</section>"
    )


def _words(rows: pd.DataFrame) -> str:
    tried, files = rows["point"].nunique(), rows["file"].nunique()
    return f"{files} pair distribution function{'s' if files != 1 else ''}, {tried} sets of settings"
