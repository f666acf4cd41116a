"""Several curves in one file: tables that follow each other, each as a text of its own with the line numbers kept."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from deepstruc_hpc.data.pdf_text import MARKER, Rows, TextFile

_SCAN = re.compile(r"^\s*#\s*S\s*(\d+)\b\s*-?\s*(.*)$")
_LEAST_ROWS = 20


def split_curves(text: TextFile) -> list[tuple[str, TextFile]]:
    """The tables of a file with their names: after each ``start data`` line or ``#S`` line, or where r starts anew.

    Each comes as the whole file with the other tables blanked, so that lines keep their numbers and all share the header before the first one.

    Returns:
        One table under the name '' where the file holds one.
    """
    rows = text.rows
    for starts in (_after(text, rows, MARKER), _after(text, rows, _SCAN), _anew(rows)):
        if len(starts) > 1:
            begins = [_with_head(rows, start, starts[i - 1]) if i else start for i, start in enumerate(starts)]
            return [_part(text, starts, begins, number) for number in range(len(starts))]
    return [("", text)]


def _after(text: TextFile, rows: Rows, pattern: re.Pattern[str]) -> list[int]:
    """Lines that match a pattern and are followed by a table of their own."""
    marks = [i for i, line in enumerate(text.lines) if pattern.match(line)]
    at = np.array(list(rows))
    ends = [*marks[1:], len(text.lines)] if marks else []
    return [mark for mark, end in zip(marks, ends, strict=True) if ((at > mark) & (at < end)).sum() >= _LEAST_ROWS]


def _anew(rows: Rows) -> list[int]:
    """First lines of tables of equal width in which r runs from the same start, one after the other."""
    places_of, values = list(rows), [row[0] or () for row in rows.values()]
    if len(rows) < 2 * _LEAST_ROWS or len({len(value) for value in values[-2 * _LEAST_ROWS :]}) != 1:
        return []
    r = np.array([value[0] for value in values])
    falls = np.flatnonzero(np.diff(r) < 0) + 1
    begin = int(falls[0]) if len(falls) and falls[0] < _LEAST_ROWS else 0  # what stands before the first table, such as a count of points
    places = [begin, *(int(fall) for fall in falls if fall > begin)]
    lengths = np.diff([*places, len(r)])
    step = float(np.median(np.diff(r)))
    same = all(abs(r[place] - r[begin]) <= 2.0 * step for place in places)
    return [places_of[place] for place in places] if len(places) > 1 and same and lengths.min() >= _LEAST_ROWS else []


def _part(text: TextFile, starts: list[int], begins: list[int], number: int) -> tuple[str, TextFile]:
    """One table: the header before the first, and the lines from its own start on (and the comments right before it)."""
    begin, end = begins[number], begins[number + 1] if number + 1 < len(starts) else len(text.lines)
    lines = tuple(line if i < begins[0] or begin <= i < end else "" for i, line in enumerate(text.lines))
    scan = _SCAN.match(text.lines[starts[number]])
    name = f"S {scan[1]} {scan[2]}".strip() if scan else f"table {number + 1}, from line {starts[number] + 1}"
    return name, replace(text, lines=lines)


def _with_head(rows: Rows, start: int, previous: int) -> int:
    """Go up from a start to the line after the last row before it: the lines between are this table's header."""
    at = start
    while at > previous + 1 and at - 1 not in rows:
        at -= 1
    return at
