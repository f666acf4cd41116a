"""What is drawn of a series: its quantities with their uncertainties, the shares of its phases, and what the frames are drawn against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.report.words import phase_words

Array = NDArray[np.float64]
ABSCISSAE = ("frame", "order", "time", "temperature")
UNIT_WORDS = {"angstrom": "Å", "angstrom^2": "Å²", "K": "K", "kelvin": "K", "degC": "°C", "celsius": "°C"}
"""Units of the file as they are shown; others as they stand."""
MOST_PHASES = 6
"""Phases that are drawn one by one, the largest ones; what remains is drawn as one."""
OTHERS = "other phases"
_SHARE = re.compile(r"^(.+?)\s+([0-9.eE+-]+)$")


@dataclass(frozen=True)
class Quantity:
    """A number of every frame that is drawn.

    Attributes:
        key: column of ``series.csv``.
        title: in words; unit: as it is shown, empty for a pure number.
        error: column of its standard uncertainty; low, high: columns of its interval. A column may be missing.
        second: a column drawn beside it, with its words; both empty for none.
        digits: shown after the point.
        optional: not drawn where all frames have the same.
    """

    key: str
    title: str
    unit: str = ""
    error: str = ""
    low: str = ""
    high: str = ""
    second: tuple[str, str] = ("", "")
    digits: int = 3
    optional: bool = False

    @property
    def label(self) -> str:
        """Title with unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


QUANTITIES = (
    Quantity("diameter", "Diameter", "Å", "size_err", "diameter_low", "diameter_high", digits=1),
    Quantity("lattice", "Lattice parameter", "Å", "lattice_err", digits=4),
    Quantity("uiso", "U", "Å²", "uiso_err", digits=5),
    Quantity("rw", "Rw", digits=4),
    Quantity("probability", "Probability of the type", second=("type_smoothed_probability", "from all frames"), digits=2),
    Quantity("change_point", "Probability of a change", digits=2),
    Quantity("scale", "Scale", error="scale_err", optional=True),
    Quantity("size_spread", "Spread of sizes", optional=True),
)


def numbers(table: pd.DataFrame, name: str) -> Array:
    """(F,) a column as numbers, NaN where it is missing or no number."""
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def known_quantities(table: pd.DataFrame) -> list[Quantity]:
    """Those that at least one frame has; a diameter may be known by its lower bound alone; a quantity that is optional must differ between frames."""
    return [
        one
        for one in QUANTITIES
        if (len(known := np.unique(numbers(table, one.key)[np.isfinite(numbers(table, one.key))])) and (len(known) > 1 or not one.optional))
        or (one.low and np.isfinite(numbers(table, one.low)).any())
    ]


def band(table: pd.DataFrame, quantity: Quantity) -> tuple[Array, Array]:
    """(F,) lower and upper end of the interval, else value ± standard uncertainty; NaN where neither is known, or no more than a lower bound."""
    value, error = numbers(table, quantity.key), numbers(table, quantity.error)
    low, high = numbers(table, quantity.low), numbers(table, quantity.high)
    whole = np.isfinite(low) & np.isfinite(high) & np.isfinite(value)
    bounded = np.isfinite(lower_bounds(table, quantity))
    ends = np.where(whole, low, value - error), np.where(whole, high, value + error)
    return np.where(bounded, np.nan, ends[0]), np.where(bounded, np.nan, ends[1])


def lower_bounds(table: pd.DataFrame, quantity: Quantity) -> Array:
    """(F,) the least value of frames that have no more than that, else NaN; they may have a best value, which the data do not bound from above."""
    low, high = numbers(table, quantity.low), numbers(table, quantity.high)
    flagged = table["flags"].str.contains("lower_bound", regex=False).to_numpy(dtype=bool) if "flags" in table else np.zeros(len(table), dtype=bool)
    return np.where(np.isnan(high) & (np.isnan(numbers(table, quantity.key)) | flagged), low, np.nan)


def answered(table: pd.DataFrame) -> NDArray[np.bool_]:
    """(F,) which frames have an answer."""
    return (table["status"] == "ok").to_numpy(dtype=bool) if "status" in table else np.ones(len(table), dtype=bool)


def phase_shares(table: pd.DataFrame) -> dict[str, Array]:
    """Phase → (F,) its share of the weight, NaN where a frame has no answer; a frame of one phase has that one alone.

    Empty where no frame has more than one phase and all have the same.
    """
    solved = answered(table)
    texts = [str(value) for value in table["phases"]] if "phases" in table else [""] * len(table)
    parts = [_parts(text) if good else {} for text, good in zip(texts, solved, strict=True)]
    named = {name for part in parts for name in part}
    rows = table[[name for name in ("formula", "phase", "structure_type") if name in table]].to_dict("records")
    for number, row in enumerate(rows):
        if solved[number] and not parts[number] and (name := _only_phase(row, named)):
            parts[number] = {name: 1.0}
    sums: dict[str, float] = {}
    for part in parts:
        for name, share in part.items():
            sums[name] = sums.get(name, 0.0) + share
    if len(sums) < 2:
        return {}
    ranked = sorted(sums, key=lambda name: (-sums[name], name))
    shares = {name: np.array([part.get(name, 0.0) if part else np.nan for part in parts]) for name in ranked[:MOST_PHASES]}
    if len(ranked) > MOST_PHASES:
        shares[OTHERS] = np.array([sum(part.get(name, 0.0) for name in ranked[MOST_PHASES:]) if part else np.nan for part in parts])
    return shares


def _parts(text: str) -> dict[str, float]:
    """``NiO 0.62; Ni 0.38`` as a mapping; two phases of one name are added."""
    found: dict[str, float] = {}
    for piece in text.split(";"):
        match = _SHARE.match(piece.strip())
        try:
            share = float(match[2]) if match else np.nan
        except ValueError:
            continue
        if match and np.isfinite(share):
            found[match[1]] = found.get(match[1], 0.0) + share
    return found


def _only_phase(row: Mapping[Any, Any], named: set[str]) -> str:
    """The one phase of a frame, by the name that other frames use for it where they do."""
    names = [text for key in ("formula", "phase") if (text := str(row.get(key) or "").strip())]
    return next((name for name in names if name in named), names[0] if names else phase_words(row))


def abscissae(table: pd.DataFrame) -> list[str]:
    """What the frames can be drawn against: the frame, and what is known of most frames and differs between them and from the frame.

    What orders the frames comes first, by its own name where it is a time or a temperature.
    """
    found = ["frame"]
    for name in ABSCISSAE[1:]:
        values = numbers(table, name)
        known = np.isfinite(values)
        new = all(not np.array_equal(values[known], numbers(table, other)[known]) for other in found)
        if 2 * known.sum() > len(values) and np.ptp(values[known]) > 0 and new:
            found.append(next((other for other in ABSCISSAE[1:] if other != name and np.array_equal(values, numbers(table, other))), name))
    return found


def abscissa_label(name: str, units: Mapping[str, str]) -> str:
    """``temperature (K)``, without a unit where it is not known."""
    unit = units.get(name, "")
    return f"{name} ({UNIT_WORDS.get(unit, unit)})" if unit else name


def rises(values: Array) -> bool:
    """Whether the known values go up, or down, all the way: then a picture can be drawn against them."""
    steps = np.diff(values[np.isfinite(values)])
    return bool(not len(steps) or (steps > 0).all() or (steps < 0).all())


def is_map(table: pd.DataFrame) -> bool:
    """Whether the frames have two coordinates that both differ."""
    x, y = numbers(table, "x"), numbers(table, "y")
    known = np.isfinite(x) & np.isfinite(y)
    return bool(known.sum() > 3 and np.ptp(x[known]) > 0 and np.ptp(y[known]) > 0)
