"""Files of functions of Q, and tables of other things: F(Q) and S(Q) are transformed to G(r), the others are refused by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_header import Columns, announced_rmax
from deepstruc_hpc.data.pdf_spectrum import transformed
from deepstruc_hpc.data.pdf_text import DataBlock

Array = NDArray[np.float64]

LEAST_QMAX = 8.0
"""Å⁻¹: a pattern that ends before shows no distances between atoms apart (peaks 0.5 Å wide)."""
LARGEST_QMIN = 3.0
"""Å⁻¹: what begins later lacks the strongest peaks."""
_FUNCTIONS = {".fq": "F(Q)", ".sq": "S(Q)", ".soq": "S(Q)"}
_ANGLES = {"2theta", "twotheta", "tth", "two"}
_OTHERS = {"time", "date", "datetime", "timestamp", "temperature", "temp", "frame"}
_EXPORT = "Export G(r) (.gr) and solve that."


def refuse_other_abscissa(path: Path, first_name: str, header: Sequence[str]) -> None:
    """Refuse tables over an angle, a time or a temperature, and patterns of intensity over Q that say so.

    Raises:
        PdfFileError: names what the table is.
    """
    suffix = path.suffix.lower()
    if first_name in _ANGLES or suffix == ".xye":
        raise PdfFileError(f"{path}: is a powder pattern over an angle ('{first_name or suffix}'), so this is not G(r). {_EXPORT}")
    if first_name in _OTHERS:
        raise PdfFileError(f"{path}: its first column is labelled '{first_name}', so this is a log, not G(r). {_EXPORT}")
    text = "\n".join(header)
    says_q = re.search(r"^\W*Q\s*\((?:inverse|nm|1/|Å|A\^)", text, re.IGNORECASE | re.MULTILINE)
    if says_q and not first_name.startswith("q") and suffix not in _FUNCTIONS:
        raise PdfFileError(f"{path}: holds I(Q), an intensity, not G(r). {_EXPORT}")


def is_reciprocal(path: Path, first_name: str) -> bool:
    """Whether a table is over Q: by its first label, or by its ending where it has none."""
    return first_name.startswith("q") or (not first_name and path.suffix.lower() in _FUNCTIONS)


def read_reciprocal(path: Path, block: DataBlock, columns: Columns, header: dict[str, float | str], notes: list[str], *, lorch: bool) -> PdfCurve:
    """G(r) from a table of F(Q) or S(Q).

    Qmin and Qmax are the header's where the data reach so far. Notes say what was transformed and how.

    Raises:
        PdfFileError: it is I(Q), or its range of Q is too small.
    """
    q, y = block.values[:, columns.r].copy(), block.values[:, columns.g]
    if not (np.isfinite(q).all() and np.isfinite(y).all() and (np.diff(q) > 0).all() and q[0] >= 0):
        raise PdfFileError(f"{path}:{block.line_numbers[0]}: Q and its function must be finite and Q must rise from 0 on. Export again.")
    if columns.r_unit == "nm" or q[-1] > 70.0:
        how = "says its label" if columns.r_unit == "nm" else f"taken from its end at {q[-1]:g}"
        q /= 10.0
        notes.append(f"Q is in nm⁻¹ ({how}); it was divided by 10.")
    function = _function(path, columns.g_label, q, y)
    fq = y if function == "F(Q)" else q * (y - 1.0) if function == "S(Q)" else q * y
    low, high = max(_limit(header, "qmin", 0.0), float(q[0])), min(_limit(header, "qmax", np.inf), float(q[-1]))
    if high < LEAST_QMAX or low > LARGEST_QMIN:
        raise PdfFileError(
            f"{path}: {function} runs from {low:g} to {high:g} Å⁻¹. At least {LARGEST_QMIN:g} to {LEAST_QMAX:g} Å⁻¹ is needed to see atoms."
        )
    r, g = transformed(q, fq, qmin=low, qmax=high, rmax=announced_rmax(block.header), lorch=lorch)
    window = ", with Lorch's window" if lorch else ""
    notes.append(f"The file holds {function}; it was transformed to G(r) from Q {low:.3g} to {high:.4g} Å⁻¹{window}.")
    return PdfCurve(r, g, None, {**header, "qmin": low, "qmax": high}, str(path), tuple(notes))


def _limit(header: dict[str, float | str], key: str, otherwise: float) -> float:
    value = header.get(key)
    return float(value) if isinstance(value, float) and value > 0 else otherwise


def _function(path: Path, label: str, q: Array, y: Array) -> str:
    """F(Q), S(Q) or S(Q) − 1 by label or ending, else by the numbers.

    Raises:
        PdfFileError: it is I(Q).
    """
    named = label.strip()[:1].lower()
    kind = {"f": "F(Q)", "s": "S(Q)", "i": "I(Q)"}.get(named) or _FUNCTIONS.get(path.suffix.lower(), "")
    tail = y[q > 0.7 * q[-1]]
    level = float(tail.mean()) if len(tail) else 0.0
    if not kind:
        kind = "S(Q)" if 0.8 < level < 1.2 and y.min() > -0.5 else "I(Q)" if y.min() >= 0.0 else "F(Q)"
    if kind == "I(Q)":
        raise PdfFileError(f"{path}: holds I(Q), an intensity, not G(r). {_EXPORT}")
    return "S(Q) − 1" if kind == "S(Q)" and abs(level) < 0.5 else kind
