"""Every dialect of G(r) files → :class:`~deepstruc_hpc.core.curve.PdfCurve`.

PDFgetX2, PDFgetX3, xPDFsuite, PDFgetXgui, PDFgetN, GSAS-II, Mantid, PDFgui and pdffit2 exports, and tables without a header. Units of r other than
Å are recognised and converted; every guess is a note of the curve, every fault an error with the file, the line, what was found and what to do.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_header import Columns, announced_rmax, parse_header, read_columns
from deepstruc_hpc.data.pdf_text import DataBlock, find_data, read_text

MIN_RANGE = 6.0
"""Å of r that a curve must span: two shells of neighbours and something beyond."""
MIN_POINTS = 20
USUAL_QMAX = 25.0
LARGEST_STEP = 0.4
"""Å; without a Qmax in the header, a step above this cannot come from a measured PDF (it would mean Qmax < 8 Å⁻¹)."""
LARGEST_G = 1e9
_TO_ANGSTROM = {"angstrom": 1.0, "nm": 10.0, "pm": 0.01}
_NAMES = {"angstrom": "Å", "nm": "nm", "pm": "pm"}
_OTHER_FUNCTIONS = {".fq": "F(Q)", ".sq": "S(Q)", ".iq": "I(Q)", ".chi": "I(Q)", ".xye": "a powder pattern"}


def file_hash(path: Path) -> str:
    """A hash of a file's bytes, 24 hexadecimal digits."""
    return blake2b(path.read_bytes(), digest_size=12).hexdigest()


def read_pdf(path: str | Path) -> PdfCurve:
    """Read one G(r) file.

    Args:
        path: a text file with at least the columns r and G(r).

    Returns:
        The curve: r in Å, strictly increasing; G in Å⁻² (in the file's own scale); dG where the file has one; header values under normalised
        keys; notes about every guess.

    Raises:
        PdfFileError: the file is missing, empty, not text, has no table, or its table is not a usable G(r).
    """
    where = Path(path)
    text = read_text(where)
    block = find_data(text)
    header, header_notes = parse_header(block.header)
    before = text.lines[: int(block.line_numbers[0]) - 1]
    columns = read_columns(before, block.values.shape[1])
    notes = [*text.notes, *block.notes, *columns.notes, *header_notes]
    _refuse_other_functions(where, columns)
    r, g = block.values[:, columns.r], block.values[:, columns.g]
    _check_numbers(where, block, r, g, columns)
    r, g, factor = _in_angstrom(r, g, columns, notes)
    dg = _uncertainty(block, columns, factor, notes)
    _check_range(where, r, header.get("qmax"))
    _check_grid(where, block, r, header.get("qmax"), notes)
    _note_oddities(block, r, g, header.get("qmax"), notes)
    _note_early_end(block, r, notes)
    if where.suffix.lower() in {".cgr", ".fgr"} and not any("calculated curve" in note for note in notes):
        notes.append(f"The ending {where.suffix} stands for a calculated curve; it was read like a measured one.")
    return PdfCurve(r=r, g=g, dg=dg, header=header, source=str(path), notes=tuple(notes))


def _refuse_other_functions(path: Path, columns: Columns) -> None:
    if columns.first_name.startswith(("q", "2theta", "twotheta", "tth", "two")):
        raise PdfFileError(f"{path}: its first column is labelled '{columns.first_name}', so this is not G(r). Export G(r) (.gr) and solve that.")
    other = _OTHER_FUNCTIONS.get(path.suffix.lower())
    if other and not columns.first_name:
        raise PdfFileError(
            f"{path}: the ending {path.suffix} stands for {other}, not G(r). Export G(r) (.gr), or rename the file if it does hold G(r)."
        )


def _check_numbers(path: Path, block: DataBlock, r: NDArray[np.float64], g: NDArray[np.float64], columns: Columns) -> None:
    for name, values in (("r", r), ("G(r)", g)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise PdfFileError(
                f"{path}:{block.line_numbers[bad[0]]}: {name} is not a finite number ({values[bad[0]]}); so in {len(bad)} of {len(values)} rows. "
                "Export again, or delete these rows if they lie at an end of the range."
            )
    back = np.flatnonzero(np.diff(r) <= 0)
    unit = _NAMES.get(columns.r_unit, "Å")
    if len(back):
        i = int(back[0])
        word = "stays at" if r[i + 1] == r[i] else f"goes back from {r[i]:g} to"
        raise PdfFileError(
            f"{path}:{block.line_numbers[i + 1]}: r {word} {r[i + 1]:g} {unit}. G(r) must be sorted in r; "
            "check for two appended scans or a header number among the data."
        )
    if r[0] < 0:
        raise PdfFileError(f"{path}:{block.line_numbers[0]}: r is {r[0]:g} {unit}. A distance cannot be negative; is the first column r?")
    huge = np.flatnonzero(np.abs(g) > LARGEST_G)
    if len(huge):
        raise PdfFileError(
            f"{path}:{block.line_numbers[huge[0]]}: G(r) is {g[huge[0]]:g}. No pair distribution function is that large; the line is damaged."
        )
    if len(g) > 1 and np.ptp(g) <= 1e-12 * max(1.0, float(np.abs(g).max())):
        raise PdfFileError(
            f"{path}: G(r) is {g[0]:g} in all {len(g)} rows. A curve with structure is needed; did the export or the background go wrong?"
        )


def _in_angstrom(
    r: NDArray[np.float64], g: NDArray[np.float64], columns: Columns, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The curve in Å and Å⁻², and the factor that G was multiplied with."""
    seen = _unit_by_physics(r, g)
    unit = columns.r_unit or seen or "angstrom"
    if columns.r_unit and seen and seen != columns.r_unit:
        notes.append(f"The label says that r is in {_NAMES[columns.r_unit]}, but the curve looks like one in {_NAMES[seen]}; the label was followed.")
    if unit == "angstrom":
        return r, g, 1.0
    to_angstrom = _TO_ANGSTROM[unit]
    g_unit = columns.g_unit or unit
    factor = _TO_ANGSTROM[g_unit] ** -2
    how = (
        "says its label"
        if columns.r_unit
        else f"judged by its range (to {r[-1]:g}) and its oscillations; write the unit in the column label if this is wrong"
    )
    notes.append(f"r is in {_NAMES[unit]} ({how}): r was multiplied by {to_angstrom:g} and G(r) by {factor:g} to have Å and Å⁻².")
    return r * to_angstrom, g * factor, factor


def _unit_by_physics(r: NDArray[np.float64], g: NDArray[np.float64]) -> str:
    """``nm`` or ``pm`` where r can hardly be in Å, else ''.

    Four fifths of the power of G(r) lie below some Q, which is 3 to 25 Å⁻¹ for matter: ten times that says nm, a hundredth says pm. The range in
    r must agree: 0.6 to 12 for nm, above 150 for pm.
    """
    if len(r) < MIN_POINTS or not (r[-1] - r[0] >= 0.6 and (r[-1] <= 12.0 or r[-1] >= 150.0)):
        return ""
    count = min(len(r), 8192)
    even = np.linspace(r[0], r[-1], count)
    values = np.interp(even, r, g)
    power = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(count))) ** 2
    total = power.sum()
    if not total > 0:
        return ""
    q = 2 * np.pi * np.fft.rfftfreq(count, even[1] - even[0])
    edge = float(q[np.searchsorted(np.cumsum(power) / total, 0.8)])
    if edge > 40.0 and r[-1] <= 12.0:
        return "nm"
    if edge < 1.0 and r[-1] >= 150.0:
        return "pm"
    return ""


def _uncertainty(block: DataBlock, columns: Columns, factor: float, notes: list[str]) -> NDArray[np.float64] | None:
    if columns.dg is None:
        return None
    dg = block.values[:, columns.dg] * factor
    if not np.isfinite(dg).all() or (dg < 0).any() or not (dg > 0).any():
        if (dg != 0).any():
            notes.append(f"Column {columns.dg + 1} holds values that are no uncertainties (negative or not finite); it was not used.")
        return None
    return dg


def _check_range(path: Path, r: NDArray[np.float64], qmax: float | str | None) -> None:
    span = float(r[-1] - r[0])
    if span < MIN_RANGE or len(r) < MIN_POINTS:
        raise PdfFileError(
            f"{path}: G(r) runs from {r[0]:g} to {r[-1]:g} Å in {len(r)} points. At least {MIN_RANGE:g} Å and {MIN_POINTS} points are needed "
            "to tell structures apart; export a longer range (if r is in nm, write r(nm) in the column label)."
        )
    step = float(np.median(np.diff(r)))
    limit = np.pi / qmax * 1.02 if isinstance(qmax, float) else LARGEST_STEP
    if step > limit:
        reason = f"π/Qmax = {np.pi / qmax:.3f} Å" if isinstance(qmax, float) else f"{LARGEST_STEP:g} Å"
        raise PdfFileError(
            f"{path}: the step of r is {step:g} Å, above {reason}: peaks are lost between the points. Export with a finer step, 0.01 Å is usual."
        )


def _check_grid(path: Path, block: DataBlock, r: NDArray[np.float64], qmax: float | str | None, notes: list[str]) -> None:
    """A regular grid must be regular throughout: a point off it is damage, missing points are told."""
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
            f"{path}:{block.line_numbers[i + 1]}: r goes from {r[i]:g} to {r[i + 1]:g} Å in a table whose step is {step:g} Å. "
            "The line is damaged or rows of another curve follow; export again."
        )
    gaps = np.flatnonzero(~regular)
    widest = int(gaps[np.argmax(steps[gaps])])
    limit = np.pi / (qmax if isinstance(qmax, float) else USUAL_QMAX)
    words = "Peaks may be lost there." if steps[widest] > limit else "No peak is lost by that."
    notes.append(f"Rows are missing in {len(gaps)} places; the widest gap is {r[widest]:g} to {r[widest + 1]:g} Å. {words}")


def _note_oddities(block: DataBlock, r: NDArray[np.float64], g: NDArray[np.float64], qmax: float | str | None, notes: list[str]) -> None:
    if r[0] > 5.0:
        notes.append(f"The curve starts at {r[0]:g} Å: the nearest neighbours are not in it.")
    upper = g[r > 0.6 * r[-1]]
    if len(upper) > 10 and 0.8 < upper.mean() < 1.2 and upper.std() < 0.5:
        notes.append("The curve settles at 1 for large r, as g(r) does; G(r), which settles at 0, is needed. Check which function was exported.")
    limit = np.pi / (qmax if isinstance(qmax, float) else USUAL_QMAX)
    if len(g) > 10 and float(np.median(np.diff(r))) < 0.3 * limit:
        between = (4.0 * (g[1:-3] + g[3:-1]) - g[:-4] - g[4:]) / 6.0
        away = np.abs(g[2:-2] - between)
        worst = int(np.argmax(away))
        if away[worst] > max(30.0 * float(np.median(away)), 0.5 * float(g.std())):
            line = block.line_numbers[worst + 2]
            notes.append(f"Line {line}: G({r[worst + 2]:g} Å) = {g[worst + 2]:g} sticks out of its neighbours; check that the line is not damaged.")


def _note_early_end(block: DataBlock, r: NDArray[np.float64], notes: list[str]) -> None:
    """Compare the end of the data with the ``rmax`` that the header announces."""
    announced = announced_rmax(block.header)
    if announced is not None and r[-1] < announced - max(2.5 * float(np.median(np.diff(r))), 0.002 * announced):
        notes.append(f"The header announces r up to {announced:g} Å, the data end at {r[-1]:g} Å. Is the file whole?")
