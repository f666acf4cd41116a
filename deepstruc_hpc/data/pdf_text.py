"""From the bytes of a file to its rows of numbers: encodings, separators, number formats, and which rows are the data.

A header may hold numbers too. The data are the rows after the last ``start data`` line or, without one, the longest run of rows with a constant
number of columns. What interrupts the data is an error that names its line: nothing is dropped or mended without a note.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import PdfFileError

INTENSITIES = (".iq", ".chi")
"""Endings of scattered intensities over Q."""
MAX_BYTES = 64 * 1024 * 1024
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eEdD][+-]?\d{1,4})?\Z", re.ASCII)
_PLAIN_ROW = re.compile(r"(?:\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?(?=\s|\Z)){2,}\s*\Z", re.ASCII)
"""What nearly every row is: numbers and blanks."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eEdD][+-]?\d{1,4})?\Z", re.ASCII)
_NOT_A_NUMBER = re.compile(r"(?:[+-]?nan(?:\(\w*\))?|[+-]?1\.#(?:ind|q?s?nan)\w*|n/a|null|none)\Z", re.IGNORECASE)
_OVERFLOW = re.compile(r"(?:[+-]?inf(?:inity)?|[+-]?1\.#inf\w*|\*{3,})\Z", re.IGNORECASE)
_WHOLE_AND_COMMAS = re.compile(r"\s*[+-]?\d+(?:,[+-]?\d+){2,}\s*\Z", re.ASCII)
"""Decimal commas or separators: nobody can tell."""
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive (a PDFgui project or an office document); unpack it and give the .gr file inside"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"II*\0", "a detector image (TIFF)"),
    (b"MM\0*", "a detector image (TIFF)"),
    (b"%PDF-", "a document in Adobe's PDF format"),
    (b"CDF\x01", "a NetCDF file; export its G(r) as text"),
)
MARKER = re.compile(r"^\W*start\s+data\W*$", re.IGNORECASE)
_COMMENT = ("#", "!", "%", "//", ";", "'", '"')
_FEW_ROWS = 3
_EDGE = 0.1
"""Relative: how near the last edge must come to one more step; steps may widen, and printed numbers are rounded."""
_NEWLINE = re.compile(r"\r\n|\n|\r")
Rows = dict[int, tuple[tuple[float, ...] | None, bool]]


@dataclass(frozen=True)
class TextFile:
    """Decoded lines of a file (the first has number 1) and what had to be guessed to read them."""

    path: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def rows(self) -> Rows:
        """Line → its numbers and whether they have decimal commas, for the lines that are rows (see :func:`parse_row`)."""
        return {i: row for i, line in enumerate(self.lines) if (row := parse_row(line))[0] is not None}


@dataclass(frozen=True)
class DataBlock:
    """The rows that hold the curve.

    Attributes:
        values: (R, columns) the numbers, finite or not.
        line_numbers: the line of each row, counted from 1.
        header: every line that is not part of the data, in order.
        notes: what was left out and why.
    """

    values: NDArray[np.float64]
    line_numbers: NDArray[np.int64]
    header: tuple[str, ...]
    notes: tuple[str, ...]


def read_text(path: Path) -> TextFile:
    """Read a text file in UTF-8, UTF-16 or, failing these, Latin-1.

    Raises:
        PdfFileError: no such file, a folder, empty, too large, or not text.
    """
    data = _read_bytes(path)
    if path.suffix.lower() in INTENSITIES:
        raise PdfFileError(f"{path}: its ending stands for I(Q), an intensity, not G(r). Export G(r) (.gr), or rename the file if it does hold G(r).")
    other = next((what for magic, what in _OTHER_FILES if data.startswith(magic)), None)
    if other:
        raise PdfFileError(f"{path}: not a text file but {other}. A table of r and G(r) as text is needed.")
    notes: list[str] = []
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _decode(path, data, "utf-16")
    elif data.startswith(codecs.BOM_UTF8):
        text = _decode(path, data, "utf-8-sig")
    elif b"\0" in data:
        encoding = _utf16_without_mark(path, data)
        text = _decode(path, data, encoding)
        notes.append(f"The file carries no byte order mark; it was read as {encoding.upper()}.")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
            notes.append("The file is not UTF-8; its header was read as Latin-1.")
    head = text[:100_000].translate(_BLANKS)
    strange = 0 if head.isprintable() else sum(not c.isprintable() for c in head)
    if strange > 0.01 * min(len(text), 100_000):
        raise PdfFileError(f"{path}: not a text file (found {strange} unprintable characters). A table of r and G(r) as text is needed.")
    lines = _NEWLINE.split(text.replace("\u2212", "-").replace("\ufeff", ""))
    if not any(line.strip() for line in lines):
        raise PdfFileError(f"{path}: the file holds only blank lines. A table of r and G(r) is needed; was the export interrupted?")
    return TextFile(str(path), tuple(lines), tuple(notes))


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PdfFileError(f"{path}: is a directory. One G(r) file is needed here.")
        if not path.exists():
            raise PdfFileError(f"{path}: no such file. Check the path.")
        if not path.is_file():
            raise PdfFileError(f"{path}: is not a regular file. One G(r) file is needed here.")
        size = path.stat().st_size
        if size == 0:
            raise PdfFileError(f"{path}: the file is empty (0 bytes). A table of r and G(r) is needed; was the copy or export interrupted?")
        if size > MAX_BYTES:
            raise PdfFileError(
                f"{path}: {size / 1e6:.0f} MB is too large for a G(r) file (at most {MAX_BYTES / 1e6:.0f} MB). Is it the image or the scan?"
            )
        return path.read_bytes()
    except (OSError, ValueError) as unreadable:
        raise PdfFileError(f"{path}: cannot be read ({unreadable}). Check the path and its permissions.") from unreadable


def _decode(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as broken:
        raise PdfFileError(
            f"{path}: not a text file (its start says {encoding.upper()}, but byte {broken.start} does not fit). Export it again."
        ) from broken


def _utf16_without_mark(path: Path, data: bytes) -> str:
    head = np.frombuffer(data[:20_000], dtype=np.uint8)
    even, odd = (head[0::2] == 0).sum() / len(head) * 2, (head[1::2] == 0).sum() / len(head) * 2
    if len(data) % 2 == 0 and odd > 0.9 and even < 0.1:
        return "utf-16-le"
    if len(data) % 2 == 0 and even > 0.9 and odd < 0.1:
        return "utf-16-be"
    raise PdfFileError(f"{path}: not a text file (it holds zero bytes). A table of r and G(r) as text is needed.")


_BLANKS = dict.fromkeys(map(ord, "\t\r\n\f\v\x1a"))
"""Characters that text files hold although they cannot be printed."""


def parse_row(line: str) -> tuple[tuple[float, ...] | None, bool]:
    """The numbers of a line, and whether they were written with decimal commas; (None, False) where it is not a row of two or more numbers.

    Separators: blanks, tabs, commas, semicolons. Exponents with e, E, d, D and one to four digits. NaN and ``1.#IND`` count as
    missing numbers, inf and ``****`` as infinite ones.
    """
    if _PLAIN_ROW.match(line):
        return tuple(map(float, line.split())), False
    stripped = line.strip().strip("\x1a")
    if not stripped or (stripped[0].isalpha() and stripped[0] not in "nNiI"):
        return None, False
    tokens = [token.strip() for token in stripped.rstrip(";").split(";")] if ";" in stripped else stripped.split()
    comma = all(_DECIMAL_COMMA.match(token) or _NUMBER.match(token) for token in tokens) and any("," in token for token in tokens)
    if comma and len(tokens) > 1:
        tokens = [token.replace(",", ".") for token in tokens]
    elif ";" not in stripped and "," in stripped:
        tokens = [token.strip() for token in stripped.rstrip(",").split(",")]
        comma = False
    if len(tokens) < 2:
        return None, False
    values = [_number(token) for token in tokens]
    if any(value is None for value in values):
        return None, False
    return tuple(value for value in values if value is not None), comma


def _number(token: str) -> float | None:
    if _NUMBER.match(token):
        return float(token.replace("D", "e").replace("d", "e"))
    if _OVERFLOW.match(token):
        return float("inf")
    return float("nan") if _NOT_A_NUMBER.match(token) else None


def is_comment(line: str) -> bool:
    """Blank, or marked as a comment."""
    stripped = line.strip().strip("\x1a")
    return not stripped or stripped.startswith(_COMMENT)


def find_data(text: TextFile) -> DataBlock:
    """The rows of the curve among everything that the file holds.

    Raises:
        PdfFileError: no rows of numbers, rows interrupted by something else, a changing number of columns, two curves in one file.
    """
    markers = [i for i, line in enumerate(text.lines) if MARKER.match(line)]
    first = markers[-1] + 1 if markers else 0
    rows = {i: row for i, row in text.rows.items() if i >= first}
    runs = _runs(text, rows, first)
    unclear = [i for i in rows if _WHOLE_AND_COMMAS.match(text.lines[i])]
    if len(unclear) > 0.5 * len(rows):
        raise PdfFileError(
            f"{text.path}:{unclear[0] + 1}: '{_short(text.lines[unclear[0]])}' can be read in several ways: commas may be decimal signs or stand "
            "between columns. Export with decimal points, or with semicolons or tabs between the columns."
        )
    if not runs:
        where = f"after line {first} ('{text.lines[first - 1].strip()}')" if markers else "in it"
        raise PdfFileError(f"{text.path}: found no rows of two or more numbers {where}. Two columns, r in Å and G(r), are needed.")
    best = max(runs, key=len)
    best, notes = _without_leading_counts(text, best, rows)
    values = np.array([rows[i][0] for i in best], dtype=np.float64)
    edge = _last_edge(text, best[-1], values)
    if edge is None:
        notes += _check_interruptions(text, best, rows, runs, started=bool(markers))
    else:
        values[:, 0] = 0.5 * (values[:, 0] + np.append(values[1:, 0], edge))
        notes.append(f"The first column goes on by one number, {edge:g}, after the last row: it holds the edges of bins. Their centres were taken.")
    if any(rows[i][1] for i in best):
        notes.append("Numbers are written with decimal commas; they were read as such.")
    if len(markers) > 1:
        notes.append(f"The file holds {len(markers)} 'start data' lines; the last one, line {first}, was used.")
    inside = set(best)
    header = tuple(line for i, line in enumerate(text.lines) if i not in inside)
    return DataBlock(values, np.array(best, dtype=np.int64) + 1, header, tuple(notes))


def _columns(rows: Rows, index: int) -> int:
    return len(rows[index][0] or ())


def _runs(text: TextFile, rows: Rows, first: int) -> list[list[int]]:
    """Runs of rows with one number of columns; blank lines and comments do not end a run, text does."""
    runs: list[list[int]] = []
    current: list[int] = []
    for i in range(first, len(text.lines)):
        if i in rows:
            if current and _columns(rows, current[-1]) != _columns(rows, i):
                runs.append(current)
                current = []
            current.append(i)
        elif current and not is_comment(text.lines[i]):
            runs.append(current)
            current = []
    return [*runs, current] if current else runs


def _without_leading_counts(text: TextFile, run: list[int], rows: Rows) -> tuple[list[int], list[str]]:
    """Leave out one to three rows at the start, after which r falls once and for all: a count of points, limits, a scan number."""
    r = np.array([rows[i][0][0] for i in run])  # type: ignore[index]
    falls = np.flatnonzero(~(np.diff(r) > 0)) + 1
    if len(falls) and falls[-1] <= _FEW_ROWS and len(run) - falls[-1] > 10 * _FEW_ROWS:
        cut = int(falls[-1])
        lines = ", ".join(f"{i + 1} ('{text.lines[i].strip()}')" for i in run[:cut])
        return run[cut:], [f"Line {lines} before the data was taken as header: r starts anew after it."]
    return run, []


def _check_interruptions(text: TextFile, best: list[int], rows: Rows, runs: list[list[int]], *, started: bool) -> list[str]:
    """Errors for whatever breaks the data in two; notes for what stands behind them."""
    begin, end = best[0], best[-1]
    last_line = max(i for i, line in enumerate(text.lines) if line.strip())
    after = [i for i in range(end + 1, len(text.lines)) if not is_comment(text.lines[i])]
    if after == [last_line] and (rows.get(last_line) is None or _columns(rows, last_line) < _columns(rows, end)):
        return [f"Line {last_line + 1} ('{_short(text.lines[last_line])}') at the end of the file is not a whole row and was left out."]
    numeric_after = [i for i in after if i in rows]
    if numeric_after:
        found = f"'{_short(text.lines[after[0]])}'"
        columns = _columns(rows, end)
        raise PdfFileError(
            f"{text.path}:{after[0] + 1}: found {found} inside the table, where {columns} numbers as in line {end + 1} are needed, "
            "and more rows follow. Mend the line, or keep one curve a file."
        )
    before = [run for run in runs if run[-1] < begin and (_is_curve_like(run, rows, _columns(rows, begin)) or _leads_to(run, best, rows))]
    if started and any(run[-1] < begin for run in runs):
        before = [run for run in runs if run[-1] < begin]
    if before:
        line = next(i for i in range(before[-1][-1] + 1, begin + 1) if i == begin or not is_comment(text.lines[i]))
        raise PdfFileError(
            f"{text.path}:{line + 1}: '{_short(text.lines[line])}' breaks the table in two: {len(before[-1])} rows stand before it, "
            f"{len(best)} after it. Mend the line, or keep one curve a file."
        )
    return [f"{len(after)} lines after the data (from line {after[0] + 1}) are not numbers and were left out."] if after else []


def _last_edge(text: TextFile, end: int, values: NDArray[np.float64]) -> float | None:
    """The number that stands alone in the file's last line and continues the first column, as the last of n + 1 edges of bins; None elsewhere.

    A file that is cut off does not end with the end of a line.
    """
    after = [i for i in range(end + 1, len(text.lines)) if text.lines[i].strip()]
    if len(after) != 1 or after[0] == len(text.lines) - 1 or len(values) < _FEW_ROWS:
        return None
    edge, steps = _number(text.lines[after[0]].strip().replace(",", ".")), np.diff(values[-3:, 0])
    continues = edge is not None and bool((steps > 0).all()) and abs(edge - values[-1, 0] - steps[-1]) <= _EDGE * steps[-1]
    return edge if continues else None


def _is_curve_like(run: list[int], rows: Rows, columns: int) -> bool:
    if _columns(rows, run[0]) != columns or len(run) < 5:
        return False
    r = np.array([rows[i][0][0] for i in run])  # type: ignore[index]
    return bool((np.diff(r) > 0).all())


def _leads_to(run: list[int], best: list[int], rows: Rows) -> bool:
    """Whether the last row of a run stands where a row before the data should stand: at most three steps of r before it."""
    last, begin, second = (rows[i][0][0] for i in (run[-1], best[0], best[min(1, len(best) - 1)]))  # type: ignore[index]
    return 0 < begin - last <= 3.5 * (second - begin)


def _short(line: str) -> str:
    words = " ".join(line.split())
    return words if len(words) <= 40 else words[:37] + "…"
