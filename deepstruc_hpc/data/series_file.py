"""``series.h5`` and ``series.csv``: curves, fits, parameters and change points of a series, in NeXus form, written stretch by stretch.

All space of ``series.h5`` is set aside when it is made, so that a stretch changes numbers alone and never the file's structure: a program that is
killed leaves a file that opens. What changes the structure (more frames, the final tables) is made in a copy, which then takes the file's name.
h5py is imported when a file is opened.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from deepstruc_hpc.core.errors import ConfigError, OutputError, PdfFileError
from deepstruc_hpc.core.files import REMEDY, write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.hdf5_tree import opened
from deepstruc_hpc.data.series_nexus import (
    CHANGE_COLUMNS,
    COMPATIBLE,
    CURVES,
    TEXTS,
    UNITS,
    WRITTEN,
    is_numeric,
    lay_out,
    note_settings,
    texts_of,
    to_json,
    write_tables,
)

H5_FILE, CSV_FILE = "series.h5", "series.csv"
_STRETCH_BYTES = 1 << 24
Array = NDArray[np.float64]


class SeriesFile:
    """The writer of ``series.h5``; use as a context manager, or call :meth:`close`."""

    def __init__(self, path: Path, handle: Any) -> None:
        self.path, self._handle = path, handle

    @classmethod
    def create(cls, path: str | Path, r: ArrayLike, n_frames: int, settings: Mapping[str, Any]) -> SeriesFile:
        """Make the file with room for all frames, every number NaN; an earlier file of that name is replaced.

        Args:
            path: of ``series.h5``; its directory is there.
            r: (R,) Å, the grid that all curves share.
            n_frames: number of frames; :meth:`grow` adds more.
            settings: how the series is solved, kept as JSON.

        Raises:
            ValueError: no frame, or fewer than two points. OutputError: the file cannot be written.
        """
        import h5py

        target, grid = Path(path), np.asarray(r, dtype=np.float64).ravel()
        if n_frames < 1 or len(grid) < 2:
            raise ValueError(f"a series of {n_frames} frames of {len(grid)} points")
        with _replacing(target) as partial, h5py.File(partial, "w", libver=COMPATIBLE) as handle:
            lay_out(handle, grid, n_frames)
            note_settings(handle, settings)
        return cls(target, _opened_to_write(target))

    @classmethod
    def resume(cls, path: str | Path, r: ArrayLike, n_frames: int, settings: Mapping[str, Any]) -> SeriesFile:
        """Go on with the file of an earlier run with the same r and settings, grown to ``n_frames``; anything else is made anew.

        Raises:
            OutputError: the file cannot be written.
        """
        target = Path(path)
        if not _same(target, np.asarray(r, dtype=np.float64).ravel(), n_frames, settings):
            return cls.create(target, r, n_frames, settings)
        series = cls(target, _opened_to_write(target))
        series.grow(n_frames)
        return series

    @property
    def n_frames(self) -> int:
        """Frames that the file has room for."""
        return int(self._handle["entry/data/g"].shape[0])

    @property
    def written(self) -> NDArray[np.bool_]:
        """(F,) which frames were put."""
        return np.asarray(self._handle[WRITTEN][:], dtype=bool)

    def put(self, first: int, g: ArrayLike, calculated: ArrayLike) -> None:
        """Write the frames ``first``, ``first`` + 1 … and bring them to the disk.

        Args:
            first: 0-based number of the first one.
            g: (n, R) Å⁻², measured; NaN where a frame is broken.
            calculated: (n, R) Å⁻²; NaN where a frame has no fit.

        Raises:
            ValueError: the arrays do not fit the file. OutputError: the disk is full.
        """
        data, fit = (np.atleast_2d(np.asarray(values, dtype=np.float32)) for values in (g, calculated))
        frames, points = self._handle["entry/data/g"].shape
        if data.shape != fit.shape or data.shape[1] != points or first < 0 or first + len(data) > frames:
            raise ValueError(
                f"frames {first} to {first + len(data) - 1}: shapes {data.shape} and {fit.shape} in a file of {frames} frames of {points}"
            )
        rows = slice(first, first + len(data))
        with _disk(self.path), np.errstate(invalid="ignore"):
            for name, values in zip(CURVES, (data, fit, data - fit), strict=True):
                self._handle[f"entry/{name}"][rows] = values
            self._handle.flush()
            self._handle[WRITTEN][rows] = 1
            self._handle.flush()

    def grow(self, n_frames: int) -> None:
        """Make room for frames that arrived since; the file never becomes shorter.

        Raises:
            OutputError: the disk is full.
        """
        old = self.n_frames
        if n_frames <= old:
            return
        import h5py

        with _replacing(self.path) as partial, h5py.File(partial, "w", libver=COMPATIBLE) as handle:
            lay_out(handle, self._handle["entry/data/r"][:], n_frames)
            step = max(1, _STRETCH_BYTES // (4 * self._handle["entry/data/g"].shape[1]))
            for name in (*(f"entry/{curve}" for curve in CURVES), WRITTEN):
                for first in range(0, old, step):
                    handle[name][first : min(first + step, old)] = self._handle[name][first : min(first + step, old)]
            note_settings(handle, json.loads(self._handle["entry/process/settings/data"].asstr()[()]))
            for name in ("parameters", "change_points"):
                if name in self._handle["entry"]:
                    self._handle.copy(f"entry/{name}", handle["entry"])
        self._reopen()

    def finish(self, table: pd.DataFrame, change_points: pd.DataFrame, *, units: Mapping[str, str] | None = None) -> None:
        """Write the tables into the file, and ``series.csv`` beside it, which is whole or not there; may be called again when frames were added.

        Args:
            table: one row a frame, in order, columns as in ``series.csv``; needs ``frame`` (0, 1 …) and ``file``.
            change_points: columns frame, probability, kind, text.
            units: of further columns, for example ``{"temperature": "K"}``.

        Raises:
            ValueError: a table lacks a column, or has not one row a frame. OutputError: the disk is full.
        """
        missing = [name for name in ("frame", "file") if name not in table] + [name for name in CHANGE_COLUMNS if name not in change_points]
        if missing or not np.array_equal(table["frame"], np.arange(self.n_frames)):
            raise ValueError(f"the tables lack {', '.join(missing)}" if missing else f"the column 'frame' is not 0 to {self.n_frames - 1}")
        table = table.assign(**{name: texts_of(table[name]) for name in map(str, table) if name in TEXTS or not is_numeric(table[name])})
        self.close()
        import h5py

        with _replacing(self.path) as partial:
            shutil.copyfile(self.path, partial)
            with h5py.File(partial, "r+", libver=COMPATIBLE) as handle:
                write_tables(handle["entry"], table, change_points.reset_index(drop=True), {**UNITS, **(units or {})})
        write_atomically(self.path.with_name(CSV_FILE), table.to_csv(index=False))
        self._handle = _opened_to_write(self.path)

    def close(self) -> None:
        """Close the file; what was put is on the disk already."""
        with _disk(self.path):
            self._handle.close()

    def _reopen(self) -> None:
        self.close()
        self._handle = _opened_to_write(self.path)

    def __enter__(self) -> SeriesFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Series:
    """A finished series; curves are read when they are asked for.

    Attributes:
        directory: where its files lie.
        table: ``series.csv``, one row a frame; texts are never NaN, numbers are NaN where unknown.
        change_points: frame, probability, kind, text.
        r: (R,) Å.
        units: of the columns whose unit is known, as NeXus writes them.
        process: program, version, date, and settings as a mapping.
    """

    directory: Path
    table: pd.DataFrame
    change_points: pd.DataFrame
    r: Array
    units: Mapping[str, str]
    process: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    def curves(self, frames: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Measured and calculated curves, (n, R) Å⁻² each, of the frames of a slice, which may have a step; NaN where there is none."""
        rows = range(*frames.indices(len(self)))
        whole = slice(rows.start, rows.stop, rows.step)
        with opened(self.directory / H5_FILE) as handle:
            return handle["entry/data/g"][whole], handle["entry/fit/calculated"][whole]


def read_series(directory: str | Path) -> Series:
    """The series of a directory, without its curves.

    Raises:
        ConfigError: the directory holds no whole series. PdfFileError: ``series.h5`` cannot be read.
    """
    base = Path(directory)
    if not (base / CSV_FILE).is_file() or not (base / H5_FILE).is_file():
        raise ConfigError(f"{base}: holds no {CSV_FILE} and {H5_FILE}. Give the directory that solve --series --out wrote.")
    table = read_table_of_series(base / CSV_FILE)
    with opened(base / H5_FILE) as handle:
        try:
            entry = handle["entry"]
            grid, frames = np.asarray(entry["data/r"][:], dtype=np.float64), int(entry["data/g"].shape[0])
            changes = _read_changes(entry["change_points"])
            units = {str(one.attrs["long_name"]): str(one.attrs["units"]) for one in entry["parameters"].values() if "units" in one.attrs}
            process = {name: entry[f"process/{name}"].asstr()[()] for name in ("program", "version", "date")}
            process["settings"] = json.loads(entry["process/settings/data"].asstr()[()])
        except (KeyError, ValueError, AttributeError) as broken:
            raise PdfFileError(f"{base / H5_FILE}: not a series that solve wrote ({broken}). Solve the series again.") from broken
    if len(table) > frames:
        raise PdfFileError(f"{base}: {CSV_FILE} has {len(table)} frames, {H5_FILE} has {frames}. They belong to two runs; solve the series again.")
    return Series(base, table, changes, grid, units, process)


def read_table_of_series(path: Path) -> pd.DataFrame:
    """``series.csv``: a column is of numbers where every cell is a number or empty, else of text.

    Raises:
        ConfigError: it is no such table.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as broken:  # EmptyDataError and ParserError are ValueErrors
        raise ConfigError(f"{path}: cannot be read ({broken}). Solve the series again.") from broken
    if "frame" not in table or "file" not in table:
        raise ConfigError(f"{path}: not a series of solve: the columns 'frame' and 'file' are needed.")
    for name in table:
        numbers = pd.to_numeric(table[name].replace("", np.nan), errors="coerce")
        if name not in TEXTS and not (numbers.isna() & table[name].ne("") & table[name].str.lower().ne("nan")).any():
            table[name] = numbers.astype(np.float64)
    if not np.array_equal(table["frame"], np.arange(len(table))):
        raise ConfigError(f"{path}: the column 'frame' does not run from 0 to {len(table) - 1}. Solve the series again.")
    table["frame"] = table["frame"].astype(np.int64)
    return table


def _read_changes(group: Any) -> pd.DataFrame:
    columns = {name: group[name].asstr()[:] if name in {"kind", "text"} else group[name][:] for name in CHANGE_COLUMNS}
    return pd.DataFrame(columns).astype({"frame": np.int64, "probability": np.float64, "kind": str, "text": str})


def _same(path: Path, r: Array, n_frames: int, settings: Mapping[str, Any]) -> bool:
    if not path.is_file():
        return False
    with suppress(PdfFileError, KeyError, ValueError, AttributeError), opened(path) as handle:
        old = handle["entry/data/r"][:]
        return (
            np.array_equal(old, r)
            and handle["entry/process/settings/data"].asstr()[()] == to_json(settings)
            and handle["entry/process/version"].asstr()[()] == __version__
            and handle[WRITTEN].shape[0] <= n_frames
        )
    return False


def _opened_to_write(path: Path) -> Any:
    import h5py

    with _disk(path):
        return h5py.File(path, "r+", libver=COMPATIBLE, locking=False)  # without a lock: a viewer that has the file open is no hindrance


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A file of its own name beside the target, which takes the target's name if all goes well and else is removed."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _disk(target):
            yield partial
            partial.replace(target)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as failed:
        raise OutputError(f"{path}: cannot be written ({failed}). {REMEDY}") from failed
