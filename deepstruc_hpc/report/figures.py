"""Figures as PNG: the fit, the latent map, the waterfall of a series. Drawn with matplotlib's Agg canvas, without pyplot: safe in any worker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.report.palette import CALCULATED, DATA, DIFFERENCE, TERM, type_colours
from deepstruc_hpc.report.results import NEEDED, PARAMETERS, clean_row, read_table, used_map

LABELS = {"rw": ("Rw", ""), "scale": ("scale", ""), "zoom": ("zoom", ""), "uiso": ("Uiso", " Å²"), "delta2": ("δ₂", " Å²")}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.dpi": 150,
}
_MOST_WATERFALL = 40
_FIT_AXES, _MAP_AXES = (0.1, 0.125, 0.885, 0.8), (0.11, 0.11, 0.64, 0.82)
"""Places in the figures of every PDF; a computed layout would take a third of the drawing."""
_QUICK_PNG = {"compress_level": 1}


def fit_figure(fit: pd.DataFrame, *, title: str = "", parameters: Mapping[str, Any] | None = None) -> Figure:
    """Data, fit and difference (shifted below) over r.

    Args:
        fit: columns r (Å), g_obs, g_calc (Å⁻²); a column ``difference`` is not needed. ``g_term``, where there is one, is drawn
            too: the part of the fit that is no particle.
        title: one line.
        parameters: rw, scale, zoom, uiso, delta2 with ``<name>_err`` where known.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.9))
        axes = figure.add_axes(_FIT_AXES)
        r, observed, calculated = (fit[name].to_numpy(dtype=np.float64) for name in ("r", "g_obs", "g_calc"))
        difference = observed - calculated
        low = min(observed.min(), calculated.min())
        shift = low - 0.12 * np.ptp(observed) - difference.max()
        axes.plot(r, observed, ".", ms=2.2, color=DATA, label="data")
        axes.plot(r, calculated, lw=1.1, color=CALCULATED, label="fit")
        if "g_term" in fit:
            axes.plot(r, fit["g_term"], lw=1.0, color=TERM, label="beside the particle")
        axes.axhline(shift, lw=0.6, color="#b8bec8")
        axes.plot(r, difference + shift, lw=0.8, color=DIFFERENCE, label="difference")
        axes.set(xlabel="r (Å)", ylabel="G(r) (Å⁻²)", xlim=(r[0], r[-1]))
        axes.legend(loc="upper right", ncols=4)
        if title:
            axes.set_title(title, loc="left", fontsize=10)
        words = parameter_words(parameters or {})
        if words:
            axes.text(0.99, 0.87, "\n".join(words), transform=axes.transAxes, ha="right", va="top", fontsize=8, color="#4b5563")
    return figure


def parameter_words(parameters: Mapping[str, Any]) -> list[str]:
    """``zoom = 1.0123 ± 0.0004`` and so on, for the parameters that are there."""
    words = []
    for key in PARAMETERS:
        value, error = parameters.get(key), parameters.get(f"{key}_err")
        if value is None:
            continue
        name, unit = LABELS[key]
        digits, spread = 3 if key in {"rw", "delta2", "scale"} else 4, ""
        if error is not None and np.isfinite(error) and error > 0:
            digits = min(max(-math.floor(math.log10(error)), 0), 6)  # one digit of the uncertainty, and the value as far
            spread = f" ± {error:.{digits}f}"
        words.append(f"{name} = {value:.{digits}f}{spread}{unit}")
    return words


def latent_figure(latent: pd.DataFrame, *, title: str = "", sigma: Sequence[float] = ()) -> Figure:
    """The map of the latent space: shapes of the catalog, samples, the prior's mean and its sigma ellipses.

    Args:
        latent: columns kind (sample, catalog, mean), z1, z2, structure_type, rw; a row ``mean`` may carry std1, std2.
        title: one line.
        sigma: multiples of the standard deviation at which ellipses are drawn.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 4.4))
        axes = figure.add_axes(_MAP_AXES)
        catalog, samples = latent[latent["kind"] == "catalog"], latent[latent["kind"] == "sample"]
        colours = type_colours(latent["structure_type"].dropna().astype(str))
        for name, group in catalog.groupby("structure_type"):
            axes.scatter(group["z1"], group["z2"], s=9, alpha=0.55, color=colours[str(name)], linewidths=0, label=str(name))
        if len(samples):
            drawn = samples.sort_values("rw", ascending=False, na_position="first")
            face = [colours.get(str(name), "#6b7280") for name in drawn["structure_type"]]
            axes.scatter(drawn["z1"], drawn["z2"], s=9, marker="D", c=face, alpha=0.85, edgecolors="#1f2937", linewidths=0.3, label="samples")
        for _, row in latent[latent["kind"] == "mean"].iterrows():
            _mark_mean(axes, row, sigma)
        axes.set(xlabel="z₁", ylabel="z₂")
        if title:
            axes.set_title(title, loc="left", fontsize=10)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.01), borderaxespad=0.0, fontsize=8, handletextpad=0.3)
    return figure


def _mark_mean(axes: Axes, row: pd.Series, sigma: Sequence[float]) -> None:
    axes.plot(row["z1"], row["z2"], "+", ms=13, mew=2.0, color="black", label="prior mean")
    if pd.notna(row.get("std1")) and pd.notna(row.get("std2")):
        for level in sigma:
            axes.add_patch(
                Ellipse((row["z1"], row["z2"]), 2 * level * row["std1"], 2 * level * row["std2"], fill=False, lw=0.8, ls="--", ec="#374151")
            )


def waterfall_figure(curves: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]]) -> Figure:
    """A series of curves above one another, each divided by its largest value, data as points and the fit as a line.

    Args:
        curves: label, r (Å), data, fit or None; the first is drawn at the bottom; of more than 40 every n-th is shown.
    """
    shown = curves[:: max(1, -(-len(curves) // _MOST_WATERFALL))]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 1.2 + 0.42 * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        for level, (label, r, data, calculated) in enumerate(shown):
            size = float(np.abs(data).max()) or 1.0
            axes.plot(r, data / size + level, color=DATA, lw=0.7)
            if calculated is not None:
                axes.plot(r, calculated / size + level, color=CALCULATED, lw=0.7)
            axes.text(1.01, level, label, transform=axes.get_yaxis_transform(), fontsize=7, va="center", color="#374151")
        axes.set(xlabel="r (Å)", yticks=[], xlim=(min(c[1][0] for c in shown), max(c[1][-1] for c in shown)), ylim=(-0.9, len(shown) + 0.2))
        axes.spines["left"].set_visible(False)
        axes.set_title("data (dark) and fit (red), each divided by its largest value", loc="left", fontsize=9)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    FigureCanvasAgg(figure)
    try:
        figure.savefig(path, dpi=150, pil_kwargs=_QUICK_PNG)
    except OSError as failed:
        raise OutputError(f"{path}: cannot be written ({failed.strerror or failed}). Free space or choose another directory.") from failed


def draw_folder(folder: Path, sigma: Sequence[float] = (3.0, 5.0, 7.0)) -> None:
    """Draw ``fit.png`` and ``latent.png`` of one PDF from the tables in its folder; what has no table is not drawn."""
    fit, candidates, latent = (read_table(folder / f"{name}.csv", NEEDED[name]) for name in ("fit", "candidates", "latent"))
    best = clean_row(candidates.iloc[0]) if candidates is not None and len(candidates) else {}
    if fit is not None and len(fit) > 1:
        atoms = best.get("n_atoms")
        size = "crystal without an end" if atoms is None else f"{atoms:.0f} atoms"
        answer = f"{str(best.get('structure_type') or '').replace('_', ' ')}, {size}" if best else ""
        save_figure(fit_figure(fit, title=answer, parameters=best), folder / "fit.png")
    if (latent := used_map(latent)) is not None:
        save_figure(latent_figure(latent, title="latent map", sigma=sigma), folder / "latent.png")
