"""What makes a table of r and G(r) usable: finite numbers in order on a grid that is fine and long enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_header import announced_rmax

Array = NDArray[np.float64]
Lines = NDArray[np.int64]

MIN_RANGE = 6.0
"""Å of r that a curve must span: two shells of neighbours and something beyond."""
MIN_POINTS = 20
USUAL_QMAX = 25.0
LARGEST_STEP = 0.4
"""Å; without a Qmax in the header, a step above this cannot come from a measured PDF (it would mean Qmax < 8 Å⁻¹)."""
LARGEST_G = 1e9
MOST_MISSING = 0.05
"""Of the rows: more missing ones among the others are damage, not gaps."""
WIDEST_GAP = 0.5
"""Å: a gap as wide as a peak and its flanks may hold one."""


def rows_to_keep(path: Path, lines: Lines, r: Array, g: Array, notes: list[str]) -> NDArray[np.bool_]:
    """Rows with a distance that is not negative and a number for G. Those left out are noted.

    Missing numbers (``nan``) before and after the others, and in small gaps among them, are left out; infinite ones (``inf``, ``****``) are not:
    where a number did not fit its field the curve is damaged at its highest.

    Raises:
        PdfFileError: many or wide gaps, or mostly negative r.
    """
    missing = np.isnan(g) | np.isnan(r)
    negative = r < 0
    if negative.sum() > 0.5 * len(r):
        raise PdfFileError(
            f"{path}:{lines[int(np.argmax(negative))]}: r is {r[negative][0]:g}; so in {int(negative.sum())} of {len(r)} rows. "
            "A distance cannot be negative; is the first column r?"
        )
    if negative.any():
        notes.append(f"{int(negative.sum())} rows with negative r (down to {r[negative].min():g}) were left out.")
    keep: NDArray[np.bool_] = ~(missing | negative)
    present = np.flatnonzero(keep)
    if not (missing & ~negative).any() or not len(present):
        return keep if len(present) else ~negative
    first, last = int(present[0]), int(present[-1])
    _note_ends(r, missing & ~negative, first, last, notes)
    inside = np.flatnonzero(missing[first : last + 1]) + first
    if len(inside):
        notes.append(_gaps(f"{path}:{lines[inside[0]]}", r, present, inside))
    return keep


def _note_ends(r: Array, missing: NDArray[np.bool_], first: int, last: int, notes: list[str]) -> None:
    if missing[:first].any():
        notes.append(f"G(r) is missing in the first {int(missing[:first].sum())} rows; the curve was taken from {r[first]:g} on.")
    if missing[last + 1 :].any():
        notes.append(f"G(r) is missing in the last {int(missing[last + 1 :].sum())} rows; the curve was taken up to {r[last]:g}.")


def _gaps(where: str, r: Array, present: NDArray[np.int64], inside: NDArray[np.int64]) -> str:
    """A note about rows left out among the others."""
    steps = np.diff(r[present])
    widest = int(np.argmax(steps))
    if len(inside) > MOST_MISSING * len(r) or steps[widest] > WIDEST_GAP:
        raise PdfFileError(
            f"{where}: G(r) is not a finite number (nan); so in {len(inside)} rows among the others, with a gap of {steps[widest]:g} Å. "
            "Export again; a gap that wide may hold a peak."
        )
    line = where.rsplit(":", 1)[1]
    return f"G(r) is missing in {len(inside)} rows among the others (first in line {line}); they were left out."


def check_numbers(path: Path, lines: Lines, r: Array, g: Array, unit: str) -> None:
    """Finite numbers, r in order, G of a believable size and not constant.

    Raises:
        PdfFileError: with the line.
    """
    for name, values in (("r", r), ("G(r)", g)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise PdfFileError(
                f"{path}:{lines[bad[0]]}: {name} is not a finite number ({values[bad[0]]}); so in {len(bad)} of {len(values)} rows. "
                "Export again, or delete these rows if they lie at an end of the range."
            )
    back = np.flatnonzero(np.diff(r) <= 0)
    if len(back):
        i = int(back[0])
        word = "stays at" if r[i + 1] == r[i] else f"goes back from {r[i]:g} to"
        raise PdfFileError(
            f"{path}:{lines[i + 1]}: r {word} {r[i + 1]:g} {unit}. G(r) must be sorted in r; "
            "check for two appended scans (read_pdfs reads these) or a header number among the data."
        )
    huge = np.flatnonzero(np.abs(g) > LARGEST_G)
    if len(huge):
        raise PdfFileError(f"{path}:{lines[huge[0]]}: G(r) is {g[huge[0]]:g}. No pair distribution function is that large; the line is damaged.")
    if len(g) > 1 and np.ptp(g) <= 1e-12 * max(1.0, float(np.abs(g).max())):
        raise PdfFileError(
            f"{path}: G(r) is {g[0]:g} in all {len(g)} rows. A curve with structure is needed; did the export or the background go wrong?"
        )


def check_range(path: Path, r: Array, qmax: float | str | None) -> None:
    """A range long enough and a step fine enough.

    Raises:
        PdfFileError: with both numbers.
    """
    span = float(r[-1] - r[0])
    if span < MIN_RANGE or len(r) < MIN_POINTS:
        raise PdfFileError(
            f"{path}: G(r) runs from {r[0]:g} to {r[-1]:g} Å in {len(r)} points. At least {MIN_RANGE:g} Å and {MIN_POINTS} points are needed "
            "to resolve structures; export a longer range (if r is in nm, write r(nm) in the column label)."
        )
    step = float(np.median(np.diff(r)))
    limit = np.pi / qmax * 1.02 if isinstance(qmax, float) else LARGEST_STEP
    if step > limit:
        reason = f"π/Qmax = {np.pi / qmax:.3f} Å" if isinstance(qmax, float) else f"{LARGEST_STEP:g} Å"
        raise PdfFileError(
            f"{path}: the step of r is {step:g} Å, above {reason}: peaks are lost between the points. Export with a finer step, 0.01 Å is usual."
        )


def check_grid(path: Path, lines: Lines, r: Array, qmax: float | str | None, notes: list[str]) -> None:
    """A regular grid must be regular throughout: a point off it is damage, missing points are noted.

    Raises:
        PdfFileError: with the line that is off.
    """
    steps = np.diff(r)
    step = float(np.median(steps))
    regular = np.abs(steps - step) <= 0.2 * step
    if regular.all():
        return
    if regular.mean() < 0.9:
        notes.append(f"The steps of r are uneven ({steps.min():.3g} to {steps.max():.3g} Å); the points were kept as they are.")
        return
    multiple = np.round(steps / step)
    off = np.flatnonzero(~regular & ((multiple < 2) | (np.abs(steps - multiple * step) > 0.2 * step)))
    if len(off):
        i = int(off[0])
        raise PdfFileError(
            f"{path}:{lines[i + 1]}: r goes from {r[i]:g} to {r[i + 1]:g} Å in a table whose step is {step:g} Å. "
            "The line is damaged or rows of another curve follow; export again."
        )
    gaps = np.flatnonzero(~regular)
    widest = int(gaps[np.argmax(steps[gaps])])
    limit = np.pi / (qmax if isinstance(qmax, float) else USUAL_QMAX)
    words = "Peaks may be lost there." if steps[widest] > limit else "No peak is lost by that."
    notes.append(f"Rows are missing in {len(gaps)} places; the widest gap is {r[widest]:g} to {r[widest + 1]:g} Å. {words}")


def note_oddities(lines: Lines, r: Array, g: Array, qmax: float | str | None, notes: list[str]) -> None:
    """A late start and a point that sticks out."""
    if r[0] > 5.0:
        notes.append(f"The curve starts at {r[0]:g} Å: the nearest neighbours are not in it.")
    limit = np.pi / (qmax if isinstance(qmax, float) else USUAL_QMAX)
    if len(g) > 10 and float(np.median(np.diff(r))) < 0.3 * limit:
        between = (4.0 * (g[1:-3] + g[3:-1]) - g[:-4] - g[4:]) / 6.0
        away = np.abs(g[2:-2] - between)
        worst = int(np.argmax(away))
        if away[worst] > max(30.0 * float(np.median(away)), 0.5 * float(g.std())):
            line = lines[worst + 2]
            notes.append(f"Line {line}: G({r[worst + 2]:g} Å) = {g[worst + 2]:g} sticks out of its neighbours; check that the line is not damaged.")


def note_early_end(header: Sequence[str], r: Array, notes: list[str]) -> None:
    """Compare the end of the data with the ``rmax`` that the header announces."""
    announced = announced_rmax(header)
    if announced is not None and r[-1] < announced - max(2.5 * float(np.median(np.diff(r))), 0.002 * announced):
        notes.append(f"The header announces r up to {announced:g} Å, the data end at {r[-1]:g} Å. Is the file whole?")
