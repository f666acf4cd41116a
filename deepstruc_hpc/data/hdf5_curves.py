"""Curves of HDF5 files (NeXus and others), each read when it is asked for: a stack of ten thousand costs the memory of one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import NoCurveError, PdfFileError
from deepstruc_hpc.core.files import split_inside
from deepstruc_hpc.data.hdf5_choice import chosen, split_row
from deepstruc_hpc.data.hdf5_find import Found, all_found
from deepstruc_hpc.data.hdf5_header import header_lines, holders_of
from deepstruc_hpc.data.hdf5_tree import Tree, opened, read_tree
from deepstruc_hpc.data.pdf_files import curve_of_table
from deepstruc_hpc.data.pdf_header import Columns
from deepstruc_hpc.data.pdf_reciprocal import refuse_other_abscissa
from deepstruc_hpc.data.pdf_text import DataBlock, TextFile

Array = NDArray[np.float64]
Place = tuple[int, ...]

_LABELS = {"calculated": "", "?(Q)": "", "g(r) − 1": "g(r)-1"}
_MOST_LISTED = 6


@dataclass(frozen=True)
class _Numbers:
    """One curve as it stands in the file: abscissa, values, uncertainties or None."""

    x: Array
    y: Array
    dy: Array | None


class Hdf5Curves(Sequence[PdfCurve]):
    """The curves of an HDF5 file in its order; ``curves[3]`` reads the fourth alone.

    Args:
        path: ``a.h5``, or ``a.h5::/entry/pdf`` for what is at that path, or ``a.h5::/entry/pdf[12]`` for one curve of a stack.
        density: number density, atoms Å⁻³, for functions that need it.
        lorch: end F(Q) or S(Q) with Lorch's window.

    Raises:
        PdfFileError: the file cannot be read, or holds no curve; later, when a curve is asked for that is damaged.
    """

    def __init__(self, path: str | Path, *, density: float | None = None, lorch: bool = False) -> None:
        self.path, place = split_inside(path)
        self._place = place
        self.density, self.lorch = density, lorch
        dataset, row = split_row(place)
        self._tree = read_tree(self.path)
        if row is not None and place in self._tree.nodes:
            dataset, row = place, None
        self._found = _chosen(self.path, self._tree, dataset)
        self._row = row
        if row is not None:
            self._check_row(row)
        self._ends = list(accumulate(one.count for one in self._found))

    def _check_row(self, row: Place) -> None:
        others = self._found[0].others
        if len(self._found) > 1 or len(row) != len(others) or any(number >= length for number, length in zip(row, others, strict=True)):
            counted = " × ".join(str(length) for length in others) or "1"
            raise PdfFileError(f"{self.path}: there is no curve {list(row)} in {self._found[0].signal}, which holds {counted}, counted from 0.")

    def __len__(self) -> int:
        return 1 if self._row is not None else self._ends[-1]

    def name(self, number: int) -> str:
        """The path of a curve's dataset and, in a stack, its numbers there: ``/entry/pdf[12]``."""
        found, place = self._at(number)
        field = f"/{found.field}" if found.field else ""
        return f"{found.signal}{field}" + (f"[{','.join(str(part) for part in place)}]" if place else "")

    @property
    def names(self) -> list[str]:
        """All names, in order."""
        return [self.name(number) for number in range(len(self))]

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[at] for at in range(*number.indices(len(self)))]
        found, place = self._at(number)
        name = self.name(number)
        with opened(self.path) as handle:
            numbers, notes = _numbers(handle, found, place)
        return self._curve(name, found, numbers, notes)

    def __iter__(self) -> Iterator[PdfCurve]:
        return (self[number] for number in range(len(self)))

    def digest(self, number: int) -> str:
        """A hash of one curve's numbers and of what the file says of it, 24 hexadecimal digits: the same while these are, whatever else changes."""
        found, place = self._at(number)
        with opened(self.path) as handle:
            numbers, _ = _numbers(handle, found, place)
        mark = blake2b(digest_size=12)
        for values in (numbers.x, numbers.y, numbers.dy):
            mark.update(b"-" if values is None else values.tobytes())
        mark.update(repr((found.function, found.axis_unit, found.unit, self._header(found))).encode())
        return mark.hexdigest()

    def _at(self, number: int) -> tuple[Found, Place]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"{self.path} holds {len(self)} curves")
        if self._row is not None:
            return self._found[0], self._row
        number %= len(self)
        which = bisect_right(self._ends, number)
        found = self._found[which]
        row = number - (self._ends[which - 1] if which else 0)
        return found, tuple(int(part) for part in np.unravel_index(row, found.others)) if found.others else ()

    def _header(self, found: Found) -> tuple[str, ...]:
        return _header(self._tree, found.signal, found.function)

    def _curve(self, name: str, found: Found, numbers: _Numbers, notes: list[str]) -> PdfCurve:
        alone = self._ends[-1] == 1 and not self._place
        where = self.path if alone else Path(f"{self.path}#{name}")
        columns_of = [numbers.x, numbers.y] + ([numbers.dy] if numbers.dy is not None else [])
        header = self._header(found)
        block = DataBlock(np.stack(columns_of, axis=1), np.arange(1, len(numbers.x) + 1), header, ())
        label = _LABELS.get(found.function, found.function)
        first = "q" if found.axis_kind == "q" else "r"
        unit = "" if found.axis_unit == "m" else found.axis_unit
        dg = None if numbers.dy is None else 2
        columns = Columns(0, 1, dg, unit, found.unit, first, (*_notes(name, found), *notes), g_label=label)
        refuse_other_abscissa(where, columns.first_name, header)
        text = TextFile(str(where), (), ())
        return curve_of_table(where, text, block, columns, density=self.density, lorch=self.lorch, name="" if alone else name)


def read_hdf5(path: Path, *, density: float | None, lorch: bool) -> PdfCurve:
    """The one curve of a file, or at a place in it.

    Raises:
        PdfFileError: as :class:`Hdf5Curves`; or there are several, which are listed.
    """
    curves = Hdf5Curves(path, density=density, lorch=lorch)
    if len(curves) > 1:
        names = [f"'{curves.name(number)}'" for number in range(min(len(curves), _MOST_LISTED))]
        more = f" and {len(curves) - _MOST_LISTED} more" if len(curves) > _MOST_LISTED else ""
        raise PdfFileError(
            f"{path}: holds {len(curves)} curves: {', '.join(names)}{more}. Choose one, '{curves.path}::{curves.name(0)}'; "
            "solve takes all, and so do read_pdfs and Hdf5Curves in Python."
        )
    curve: PdfCurve = curves[0]
    return curve


def curve_paths(path: Path, *, strict: bool = False) -> list[Path]:
    """The names of the curves of a file (or at a place in it) as paths: ``a.h5#/entry/pdf[12]``; the file's own where it holds one.

    A file that cannot be read gives its own path, so that whoever reads it says why.

    Raises:
        NoCurveError: with ``strict``, where the file can be read and holds no curve.
    """
    try:
        curves = Hdf5Curves(path)
    except NoCurveError:
        if strict:
            raise
        return [path]
    except PdfFileError:
        return [path]
    if len(curves) == 1:
        inside = split_inside(path)[1]
        return [Path(f"{curves.path}#{curves.name(0)}") if inside else curves.path]
    return [Path(f"{curves.path}#{name}") for name in curves.names]


@lru_cache(maxsize=16)
def _chosen(path: Path, tree: Tree, place: str) -> tuple[Found, ...]:
    """What is taken at a place; found once for all the curves of a file that are read one by one."""
    return tuple(chosen(path, tree, place))


@lru_cache(maxsize=8)
def _holders(tree: Tree, function: str) -> frozenset[str]:
    return holders_of(one.signal for one in all_found(tree) if one.function == function)


@lru_cache(maxsize=1024)
def _header(tree: Tree, signal: str, function: str) -> tuple[str, ...]:
    return tuple(header_lines(tree, signal, _holders(tree, function)))


def _notes(name: str, found: Found) -> list[str]:
    notes = [f"The curve was read from '{name}'."]
    if found.note:
        notes.append(found.note)
    elif found.function == "":
        notes.append(f"The name of '{found.signal}' says no function; over its axis '{found.axis}' it was taken as G(r).")
    if found.function == "calculated":
        notes.append("The file holds a calculated curve and no measured one; it was read like a measured one.")
    return notes


def _numbers(handle: Any, found: Found, place: Place) -> tuple[_Numbers, list[str]]:
    """The numbers of one curve, and notes."""
    signal = handle[found.signal]
    if found.field or found.column is not None:
        return _columns(signal[()], found), []
    choice = list(place)
    choice.insert(found.along, slice(None))  # type: ignore[arg-type]

    def part(dataset: Any) -> Array:
        whole = dataset.shape == signal.shape and dataset.ndim > 1
        return np.asarray(dataset[tuple(choice)] if whole else dataset[()], dtype=np.float64)

    y = np.asarray(signal[tuple(choice)], dtype=np.float64)
    first, step = found.grid or (0.0, 1.0)
    x = part(handle[found.axis]) if found.axis else first + step * np.arange(len(y), dtype=np.float64)
    notes = []
    if len(x) == len(y) + 1:
        x = 0.5 * (x[1:] + x[:-1])
        notes.append(f"'{found.axis}' holds the edges of bins; r was taken at their centres.")
    if len(x) != len(y):
        raise PdfFileError(f"{handle.filename}: {found.signal} has {len(y)} points and {found.axis} has {len(x)}. They must agree.")
    if found.axis_unit == "m":
        x = x * 1e10 if found.axis_kind == "r" else x * 1e-10
        notes.append("r is in metres (says its unit); it was converted to Å.")
    dy = part(handle[found.errors]) if found.errors else None
    return _Numbers(x, y, dy if dy is not None and dy.shape == y.shape else None), notes


def _columns(values: Any, found: Found) -> _Numbers:
    """Distances and G of a table with named fields, or of a dataset of columns."""
    if found.field:
        x, y = (np.asarray(values[name], dtype=np.float64).reshape(-1) for name in (found.axis_field, found.field))
        return _Numbers(x, y, np.asarray(values[found.errors], dtype=np.float64).reshape(-1) if found.errors else None)
    table = np.asarray(values, dtype=np.float64)
    table = table if found.along == 0 else table.T
    return _Numbers(table[:, 0], table[:, 1], table[:, 2] if table.shape[1] == 3 else None)
