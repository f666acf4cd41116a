"""Every dialect of G(r) files → :class:`~deepstruc_hpc.core.curve.PdfCurve`.

PDFgetX2, PDFgetX3, xPDFsuite, PDFgetXgui, PDFgetN, GSAS-II, Mantid, PDFgui and pdffit2 exports, RMCProfile, Gudrun, and tables without a header;
files of F(Q) and S(Q) are transformed; HDF5 files go to :mod:`~deepstruc_hpc.data.hdf5_curves`. Units other than Å and functions other than G(r) are
recognised and converted; every guess is a note of the curve, every fault an error with the file, the line, what was found and what to do.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.files import split_inside
from deepstruc_hpc.data.hdf5_tree import is_hdf5
from deepstruc_hpc.data.pdf_blocks import split_curves
from deepstruc_hpc.data.pdf_checks import (
    LARGEST_G,
    MIN_POINTS,
    MIN_RANGE,
    check_grid,
    check_numbers,
    check_range,
    note_early_end,
    note_oddities,
    rows_to_keep,
)
from deepstruc_hpc.data.pdf_functions import WEIGHTED, function_by_shape, is_upside_down, named_function, to_reduced, weight_of
from deepstruc_hpc.data.pdf_header import Columns, parse_header, read_columns
from deepstruc_hpc.data.pdf_range import settle_q
from deepstruc_hpc.data.pdf_reciprocal import is_reciprocal, read_reciprocal, refuse_other_abscissa
from deepstruc_hpc.data.pdf_text import DataBlock, TextFile, find_data, read_text

Array = NDArray[np.float64]

_TO_ANGSTROM = {"angstrom": 1.0, "nm": 10.0, "pm": 0.01}
_NAMES = {"angstrom": "Å", "nm": "nm", "pm": "pm"}
DG_ABSURD = 3.0
"""Times the spread of G(r): larger uncertainties leave nothing measured."""
PLACEHOLDERS = (0.0, 1.0)
"""What a column of uncertainties holds in every row where a program had none: PDFgui and Mantid write 0, diffpy.srfit 1."""
DG_MISSING_BELOW = 0.5
"""Å: uncertainties may be 0 or missing up to here, where G(r) is 0 by definition and nothing is fitted."""


def file_hash(path: Path) -> str:
    """A hash of a file's bytes, 24 hexadecimal digits; for a curve inside an HDF5 file (``a.h5#/entry/pdf[12]``) a hash of that curve."""
    container, inside = split_inside(path)
    if inside and is_hdf5(container):
        from deepstruc_hpc.data.hdf5_curves import Hdf5Curves

        return Hdf5Curves(path).digest(0)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, partial(hashlib.blake2b, digest_size=12)).hexdigest()


@dataclass(frozen=True)
class _Table:
    """One curve's numbers as they stand in the file.

    Attributes:
        lines: (R,) line numbers.
        r: (R,) in the file's unit.
        g: (R,).
        dg: (R,) or None.
    """

    lines: NDArray[np.int64]
    r: Array
    g: Array
    dg: Array | None


def read_pdf(path: str | Path, *, density: float | None = None, lorch: bool = False) -> PdfCurve:
    """Read one G(r) file.

    Args:
        path: a text file with at least the columns r and G(r), or g(r), D(r), T(r), a radial distribution function, F(Q) or S(Q); or an HDF5 file of
            these (NeXus and others), with a place inside where it holds several: ``a.h5::/entry/pdf/gr``, ``a.h5::/entry/pdf/gr[12]``.
        density: number density, atoms Å⁻³, for the scale of functions that need it; the header's where None.
        lorch: end F(Q) or S(Q) with Lorch's window.

    Returns:
        The curve: r in Å, strictly increasing; G in Å⁻² (in the file's own scale); dG where the file has one; header values under normalised
        keys; notes about every guess.

    Raises:
        PdfFileError: the file is missing, empty, not text, has no table, holds several curves (:func:`read_pdfs` reads these), or its table is not a
            usable G(r).
    """
    where = Path(path)
    if is_hdf5(split_inside(where)[0]):
        from deepstruc_hpc.data.hdf5_curves import read_hdf5

        return read_hdf5(where, density=density, lorch=lorch)
    text = read_text(where)
    tables = split_curves(text)
    if len(tables) > 1 and tables[0][0].startswith("S "):
        raise _several(where, [name for name, _ in tables])
    block, columns = _block_of(where, text)
    if columns.others:
        raise _several(where, [columns.g_label, *(label for _, label in columns.others)])
    return curve_of_table(where, text, block, columns, density=density, lorch=lorch)


def read_pdfs(path: str | Path, *, density: float | None = None, lorch: bool = False) -> list[PdfCurve]:
    """Read all curves of a file: of each table in it, each column that is G(r). The name of a curve stands in its header as ``name``.

    Args and errors are those of :func:`read_pdf`; a file with one curve gives a list of one. Of large HDF5 files
    :class:`~deepstruc_hpc.data.hdf5_curves.Hdf5Curves` reads one curve at a time.
    """
    where = Path(path)
    if is_hdf5(split_inside(where)[0]):
        from deepstruc_hpc.data.hdf5_curves import Hdf5Curves

        return list(Hdf5Curves(where, density=density, lorch=lorch))
    curves = []
    for name, text in split_curves(read_text(where)):
        block, columns = _block_of(where, text)
        for index, label in ((columns.g, columns.g_label if columns.others else ""), *columns.others):
            own = Columns(columns.r, index, columns.dg, columns.r_unit, columns.g_unit, columns.first_name, columns.notes, columns.diff, (), label)
            called = " ".join(part for part in (name, label) if part)
            curves.append(curve_of_table(where, text, block, own, density=density, lorch=lorch, name=called))
    return curves


def _several(path: Path, names: list[str]) -> PdfFileError:
    listed = ", ".join(f"'{name}'" for name in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return PdfFileError(f"{path}: holds {len(names)} curves: {listed}. Keep one curve a file; in Python read_pdfs reads all of them.")


def _block_of(path: Path, text: TextFile) -> tuple[DataBlock, Columns]:
    block = find_data(text)
    before = text.lines[: int(block.line_numbers[0]) - 1]
    columns = read_columns(before, block.values.shape[1])
    refuse_other_abscissa(path, columns.first_name, [line for line in block.header if line.strip()])
    if not columns.first_name and not columns.others:
        curves = _curve_like(block.values)
        if len(curves) > 1:
            raise _several(path, [f"column {i + 1}" for i in curves])
    return block, columns


def _curve_like(values: Array) -> list[int]:
    """Columns that oscillate like the second beyond the first fifth of a table: curves, not uncertainties, weights or differences."""
    values = values[len(values) // 5 :]
    g = values[:, 1]
    chosen = [1]
    for i in range(2, values.shape[1]):
        other = values[:, i]
        if not (np.isfinite(other).all() and np.isfinite(g).all() and g.any()):
            continue
        swings = int((np.diff(other > 0) & (np.minimum(other[1:], other[:-1]) < 0)).sum())
        similar = 0.2 < float(np.std(other)) / max(float(np.std(g)), 1e-300) < 5.0
        if swings >= 10 and similar and abs(float(np.corrcoef(g, other)[0, 1])) < 0.9999:
            chosen.append(i)
    return chosen


def curve_of_table(path: Path, text: TextFile, block: DataBlock, columns: Columns, *, density: float | None, lorch: bool, name: str = "") -> PdfCurve:
    """One curve from one table of numbers and what is known of its columns: checked, in Å, with notes.

    Raises:
        PdfFileError: the table is not a usable curve; rows are named by ``block.line_numbers``.
    """
    header, header_notes = parse_header(block.header)
    notes = [*text.notes, *block.notes, *columns.notes, *header_notes]
    if name:
        header["name"] = name
    if is_reciprocal(path, columns.first_name):
        return read_reciprocal(path, block, columns, header, notes, lorch=lorch)
    table = _table(path, block, columns, notes)
    check_numbers(path, table.lines, table.r, table.g, _NAMES.get(columns.r_unit, "Å"))
    r, g, factor = _in_angstrom(path, table.r, table.g, columns, notes)
    dg = _uncertainty(table, columns, factor, notes)
    known = density if density is not None else header.get("density")
    function = _function(path, columns.g_label, r, g)
    lines = table.lines
    if function == "g(r) − 1":
        _note_neutrons(r, g, header, notes)
    if function:
        count = len(r)
        r, g, words = to_reduced(r, g, function, float(known) if isinstance(known, float) else None)
        lines = lines[count - len(r) :]
        notes.append(words if dg is None else f"{words} Its uncertainties were not used.")
        dg = None
    if is_upside_down(r, g, str(header.get("radiation") or "")):
        g = -g
        notes.append("The curve is upside down: its sharp features point down. −G was used; check the order of the subtraction.")
    if len(r) >= MIN_POINTS:
        unit_guessed = factor != 1.0 and not columns.r_unit
        settle_q(str(path), PdfCurve(r, g), header, notes, unit_guessed=unit_guessed)
    check_range(path, r, header.get("qmax"))
    check_grid(path, lines, r, header.get("qmax"), notes)
    note_oddities(lines, r, g, header.get("qmax"), notes)
    note_early_end(block.header, r, notes)
    if path.suffix.lower() == ".cgr" or (path.suffix.lower() == ".fgr" and not any("fit" in note for note in notes)):
        notes.append(f"The ending {path.suffix} stands for a calculated curve; it was read like a measured one.")
    return PdfCurve(r=r, g=g, dg=dg, header=header, source=str(path), notes=tuple(notes))


def _note_neutrons(r: np.ndarray, g: np.ndarray, header: dict[str, float | str], notes: list[str]) -> None:
    """A weighted g(r) − 1 is of neutrons, unless the header says otherwise."""
    weight = weight_of(r, g)
    if weight is not None and abs(weight - 1.0) > WEIGHTED and not header.get("radiation"):
        header["radiation"] = "neutron"
        notes.append(f"Nobody names the radiation. g(r) − 1 is weighted with {weight:.4g}, as with neutrons; give --radiation xray if this is wrong.")


def _table(path: Path, block: DataBlock, columns: Columns, notes: list[str]) -> _Table:
    """The columns, without the rows that no fit uses: each kind that is left out is a note."""
    r, g = block.values[:, columns.r], block.values[:, columns.g]
    if columns.diff is not None:
        measured = g + block.values[:, columns.diff]
        if np.abs(measured).max() > 1e-9 * max(np.abs(g).max(), 1e-300):
            g = measured
        else:
            notes.append("The difference is the whole calculated curve, so the fit had no data; the calculated curve was read.")
    keep = rows_to_keep(path, block.line_numbers, r, g, notes)
    dg = None if columns.dg is None else block.values[keep, columns.dg]
    return _Table(block.line_numbers[keep], r[keep], g[keep], dg)


def _function(path: Path, label: str, r: Array, g: Array) -> str:
    """The function of r that the table holds where it is not G(r): by its label, its numbers, or Gudrun's ending."""
    function = named_function(label) or (function_by_shape(r, g) if len(r) >= MIN_POINTS else "")
    return function or ("g(r) − 1" if path.suffix.lower() == ".gofr" else "")


def _in_angstrom(path: Path, r: Array, g: Array, columns: Columns, notes: list[str]) -> tuple[Array, Array, float]:
    """The curve in Å and Å⁻², and the factor that G was multiplied with.

    Raises:
        PdfFileError: the numbers say pm, and a curve in pm would be too short to be one.
    """
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
        else f"taken from its range (to {r[-1]:g}) and its oscillations; write the unit in the column label if this is wrong"
    )
    if not columns.r_unit and len(r) >= MIN_POINTS and to_angstrom * (r[-1] - r[0]) < MIN_RANGE:
        raise PdfFileError(
            f"{path}: r runs to {r[-1]:g}, and G(r) oscillates so slowly in it that r is not in Å; in {_NAMES[unit]} it would end at "
            f"{to_angstrom * r[-1]:g} Å. Export r in Å, or write its unit in the column label."
        )
    notes.append(f"r is in {_NAMES[unit]} ({how}): r was multiplied by {to_angstrom:g} and G(r) by {factor:g} to have Å and Å⁻².")
    return r * to_angstrom, g * factor, factor


def _unit_by_physics(r: Array, g: Array) -> str:
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


def _uncertainty(table: _Table, columns: Columns, factor: float, notes: list[str]) -> Array | None:
    """Uncertainties in Å⁻² where the column can be one."""
    r, g, dg = table.r, table.g, table.dg
    counted = np.zeros(0) if dg is None else dg[r > DG_MISSING_BELOW]
    if dg is None or not len(counted):
        return None
    name = f"Column {(columns.dg or 0) + 1}"
    if dg[-1] in PLACEHOLDERS and (counted == dg[-1]).all():
        notes.append(f"{name} is {dg[-1]:g} in every row, which a program writes where it has no uncertainties; it was not used.")
        return None
    if not np.isfinite(counted).all() or (counted < 0).any():
        notes.append(f"{name} holds values that are no uncertainties (negative or not finite); it was not used.")
        return None
    if not (counted > 0).all():
        notes.append(f"{name} is 0 in {int((counted == 0).sum())} rows, and no uncertainty is; it was not used.")
        return None
    if float(np.median(counted)) > DG_ABSURD * float(np.std(g)):
        notes.append(f"{name} is {np.median(counted) / np.std(g):.3g} times as large as G(r) itself, so it is no uncertainty; it was not used.")
        return None
    return dg * factor


__all__ = ["LARGEST_G", "MIN_POINTS", "read_pdf", "read_pdfs"]
