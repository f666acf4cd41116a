"""The frames of a series in their order, and what was noted with each: temperature, time, place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.files import natural_order, shown_name, split_inside
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.run.inputs import PdfItem

METADATA = ("temperature", "time", "x", "y")
"""What a frame may be noted with: kelvin, seconds, and the two coordinates of a map in the unit of whoever noted them."""
HEAD_BYTES = 8192
"""So much of a text file is searched for a temperature or a time: headers of PDF programs are shorter."""

_NUMBER = r"[-+]?\d+(?:[.,p]\d+)?(?:e[-+]?\d+)?(?![.,p]?\d)"
_KELVIN, _SECONDS = r"K|°C|degC|mK", r"s|sec|min|h|ms"
_UNITS: Mapping[str, tuple[float, float]] = {
    "k": (1.0, 0.0),
    "mk": (1e-3, 0.0),
    **dict.fromkeys(("c", "°c", "degc"), (1.0, 273.15)),
    **dict.fromkeys(("s", "sec"), (1.0, 0.0)),
    "ms": (1e-3, 0.0),
    "min": (60.0, 0.0),
    "h": (3600.0, 0.0),
}
"""Factor and offset to kelvin and seconds, by the unit in small letters. A bare C counts only beside the word for a
temperature: elsewhere it may be carbon."""
_BETWEEN = r"(?:^|(?<=[_\-@ .,(]))"
_END = r"(?=$|[_\-@ .,)])"
_NAMES: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "temperature": (
        re.compile(rf"{_BETWEEN}(?:T|temp(?:erature)?)[=_]?({_NUMBER})[ _]?({_KELVIN}|C)?{_END}", re.I),
        re.compile(rf"{_BETWEEN}({_NUMBER})({_KELVIN}){_END}"),
    ),
    "time": (
        re.compile(rf"{_BETWEEN}(?:t|time)[=_]?({_NUMBER})({_SECONDS}){_END}"),
        re.compile(rf"{_BETWEEN}time[=_]?({_NUMBER}){_END}", re.I),
        re.compile(rf"{_BETWEEN}({_NUMBER})({_SECONDS}){_END}"),
    ),
    "x": (re.compile(rf"{_BETWEEN}x[=_]?({_NUMBER})(?=$|[_\-@ .,)y])", re.I),),
    "y": (re.compile(rf"(?:^|(?<=[_\-@ .,(0-9]))y[=_]?({_NUMBER}){_END}", re.I),),
}
_HEADER: Mapping[str, re.Pattern[str]] = {
    "temperature": re.compile(rf"^[#\s]*(?:sample[_ ])?temperature(?:\s*\(K\)|_K)?\s*[=:]\s*({_NUMBER})\s*({_KELVIN}|C)?(?![a-z])", re.I | re.M),
    "time": re.compile(
        r"^[#\s]*(?:(?:acquisition|elapsed|start)[_ ])?(?:time|timestamp|datetime|date)(?:\s*\(s\))?\s*[=:]\s*(\S[^\n]*)", re.I | re.M
    ),
    "x": re.compile(rf"^[#\s]*(?:motor_|sample_|stage_)?x\s*[=:]\s*({_NUMBER})", re.I | re.M),
    "y": re.compile(rf"^[#\s]*(?:motor_|sample_|stage_)?y\s*[=:]\s*({_NUMBER})", re.I | re.M),
}


@dataclass(frozen=True)
class Frame:
    """One frame of a series.

    Attributes:
        number: 0-based place in the series.
        item: what is solved.
        order: what the frames are ordered by; the number where that is the name.
        noted: of :data:`METADATA` what is known.
    """

    number: int
    item: PdfItem
    order: float
    noted: Mapping[str, float]


def list_frames(items: Sequence[PdfItem], *, by: str = "name") -> list[Frame]:
    """The frames in order.

    Args:
        items: to solve; their ``values`` may hold columns of :data:`METADATA` and the column that orders them. Curves of one HDF5 file stay in its
            order.
        by: ``name`` for the natural order of the names, else what to order by: ``time``, ``temperature``, ``x``, ``y``, or a column of the values.

    Raises:
        ConfigError: a frame does not say what the frames are to be ordered by.
    """
    stands = {id(item): place for place, item in enumerate(items)}
    named = sorted(items, key=lambda item: (natural_order(split_inside(item.path)[0]), stands[id(item)]))
    noted = [noted_with(item) for item in named]
    if by == "name":
        return [Frame(number, _plain(item, by), float(number), known) for number, (item, known) in enumerate(zip(named, noted, strict=True))]
    orders = [_order(item, known, by) for item, known in zip(named, noted, strict=True)]
    ranked = sorted(range(len(named)), key=lambda place: orders[place])
    return [Frame(number, _plain(named[place], by), orders[place], noted[place]) for number, place in enumerate(ranked)]


def noted_with(item: PdfItem) -> dict[str, float]:
    """What is known of one frame: its row of the table of values, else its header, else its name."""
    known: dict[str, float] = {}
    head = _head(item.path)
    stem = shown_name(item.path).rsplit(".", 1)[0]
    for name in METADATA:
        found = _number(item.values.get(name)) if name in item.values else None
        if found is None and (match := _HEADER[name].search(head)):
            found = _measured(match)
        if found is None:
            found = next((_measured(match) for pattern in _NAMES[name] if (match := pattern.search(stem))), None)
        if found is not None:
            known[name] = found
    return known


def _head(path: Path) -> str:
    """The beginning of a text file; empty for one that cannot be read, and for HDF5, whose curves carry their header with them."""
    file, inside = split_inside(path)
    if inside:
        return ""
    try:
        with file.open("rb") as handle:
            start = handle.read(HEAD_BYTES)
    except OSError:
        return ""
    return "" if b"\0" in start else start.decode("utf-8", "replace")


def _order(item: PdfItem, known: Mapping[str, float], by: str) -> float:
    found = known.get(by) if by in METADATA else _number(item.values.get(by))
    if found is None:
        raise ConfigError(
            f"{shown_name(item.path)}: nothing says its {by}, by which the frames are to be ordered. Give a table (--values) with the columns "
            f"file and {by}, or leave --order out for the order of the names."
        )
    return found


def _plain(item: PdfItem, by: str) -> PdfItem:
    """Without the columns that are no settings."""
    own = {name: value for name, value in item.values.items() if name not in METADATA and (name != by or name in SolveSettings.model_fields)}
    return replace(item, values=own) if len(own) != len(item.values) else item


def _measured(match: re.Match[str]) -> float | None:
    """A number with its unit, where one stands behind it."""
    found, unit = _number(match[1]), match[2] if match.re.groups > 1 else None
    if found is None or unit is None:
        return found
    factor, offset = _UNITS[unit.casefold()]
    return found * factor + offset


def _number(text: object) -> float | None:
    """A number, with ``p`` or a comma for the point as in file names, or a date in seconds since 1970."""
    value = str(text).strip() if text is not None else ""
    try:
        return float(re.sub(r"(?<=\d)[p,](?=\d)", ".", value))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None
