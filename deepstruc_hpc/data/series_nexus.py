"""The form of ``series.h5``: its groups, datasets and attributes as NeXus names them. h5py is imported when a file is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.version import __version__

TEXTS = ("file", "status", "message", "structure_type", "formula", "phase", "phases", "flags", "how", "note")
"""Columns of the table that hold text even where every frame's is empty."""
CHANGE_COLUMNS = ("frame", "probability", "kind", "text")
UNITS = {
    "diameter": "angstrom", "diameter_low": "angstrom", "diameter_high": "angstrom", "size_err": "angstrom", "lattice": "angstrom",
    "lattice_err": "angstrom", "uiso": "angstrom^2", "uiso_err": "angstrom^2", "delta2": "angstrom^2", "seconds": "s",
}  # fmt: skip
"""Units of columns as NeXus writes them; of temperature, time, x and y only the one who measured knows them."""
CHUNK_BYTES = 1 << 17
"""Of a chunk: rows are read and written some dozens at a time; a viewer that wants one frame reads no more than this."""
CURVES = ("data/g", "fit/calculated", "fit/difference")
WRITTEN = "entry/process/written"
COMPATIBLE = ("earliest", "v108")
"""File format of HDF5 1.8: every viewer reads it, and it has no mark of a writer that a killed program leaves behind."""

Array = NDArray[np.float64]


def lay_out(handle: Any, r: Array, n_frames: int) -> None:
    """Groups, attributes and empty curves."""
    handle.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": f"deepstruc_hpc {__version__}"})
    entry = _group(handle, "entry", "NXentry", default="data")
    entry["title"] = "A series of pair distribution functions and the structures fitted to them"
    chunk = (max(1, min(n_frames, CHUNK_BYTES // (4 * len(r)))), len(r))
    data = _group(entry, "data", "NXdata", signal="g", axes=["order", "r"], order_indices=0, r_indices=1)
    _describe(data.create_dataset("r", data=r), "r", "angstrom")
    _describe(data.create_dataset("order", data=np.arange(n_frames, dtype=np.float64)), "frame")
    fit = _group(entry, "fit", "NXdata", signal="calculated", auxiliary_signals=["difference"], axes=["order", "r"], order_indices=0, r_indices=1)
    words = ("G(r), measured", "G(r), calculated", "G(r), measured minus calculated")
    for place, text in zip(CURVES, words, strict=True):
        _describe(_reserved(entry, place, (n_frames, len(r)), chunk), text, "angstrom^-2")
    for name in ("r", "order"):
        data[name].attrs["target"] = f"/entry/data/{name}"
        fit[name] = data[name]
    process = _group(entry, "process", "NXprocess")
    process["program"], process["version"], process["date"] = "deepstruc_hpc", __version__, datetime.now(UTC).isoformat(timespec="seconds")
    _describe(_reserved(process, "written", (n_frames,), (n_frames,)), "1 where the frame was solved")


def _reserved(group: Any, name: str, shape: tuple[int, ...], chunk: tuple[int, ...]) -> Any:
    """A dataset whose chunks all have their place in the file from the start: curves of NaN, or marks of 0 for one dimension."""
    from h5py import h5d, h5p

    early = h5p.create(h5p.DATASET_CREATE)
    early.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    dtype, empty = (np.float32, np.nan) if len(shape) > 1 else (np.uint8, 0)
    return group.create_dataset(name, shape, dtype, fillvalue=empty, chunks=chunk, dcpl=early)


def note_settings(handle: Any, settings: Mapping[str, Any]) -> None:
    """The settings of the run as an NXnote of the process."""
    note = _group(handle["entry/process"], "settings", "NXnote")
    note["type"], note["data"] = "application/json", to_json(settings)
    note["description"] = "settings of the run"


def to_json(settings: Mapping[str, Any]) -> str:
    """Settings as one text, the same for the same settings."""
    return json.dumps(settings, ensure_ascii=False, sort_keys=True, default=str)


def write_tables(entry: Any, table: pd.DataFrame, change_points: pd.DataFrame, units: Mapping[str, str]) -> None:
    """The collections ``parameters`` and ``change_points`` in place of earlier ones, the axis ``order`` and the date."""
    for name in ("parameters", "change_points"):
        if name in entry:
            del entry[name]
    parameters = _group(entry, "parameters", "NXcollection")
    for name in map(str, table):
        place = name.replace("/", "_").strip(".") or "column"
        while place in parameters:
            place += "_"
        _describe(_store(parameters, place, table[name]), name, units.get(name, ""))
    changes = _group(entry, "change_points", "NXcollection")
    for name in CHANGE_COLUMNS:
        _store(changes, name, pd.Series(texts_of(change_points[name]), dtype=object) if name in {"kind", "text"} else change_points[name])
    if "order" in table and is_numeric(table["order"]) and np.isfinite(order := table["order"].to_numpy(dtype=np.float64, na_value=np.nan)).all():
        entry["data/order"][:] = order
        _describe(entry["data/order"], "order", units.get("order", ""))
    del entry["process/date"]
    entry["process/date"] = datetime.now(UTC).isoformat(timespec="seconds")


def _store(group: Any, name: str, values: pd.Series) -> Any:
    """Frames as int64, other numbers as float64, everything else as UTF-8."""
    if name == "frame":
        return group.create_dataset(name, data=values.to_numpy(dtype=np.int64))
    if is_numeric(values):
        return group.create_dataset(name, data=values.to_numpy(dtype=np.float64, na_value=np.nan))
    from h5py import string_dtype

    return group.create_dataset(name, data=values.to_numpy(dtype=object), dtype=string_dtype())


def is_numeric(values: pd.Series) -> bool:
    """Whether a column is one of numbers; one whose values are all missing is."""
    return bool(pd.api.types.is_numeric_dtype(values) or (len(values) and values.isna().all()))


def texts_of(values: pd.Series) -> list[str]:
    """Words that UTF-8 and HDF5 can hold: a file's name may be any bytes."""
    return ["" if pd.isna(value) else str(value).replace("\0", "").encode("utf-8", "backslashreplace").decode() for value in values]


def _group(parent: Any, name: str, kind: str, **attributes: Any) -> Any:
    group = parent.create_group(name)
    group.attrs.update({"NX_class": kind, **attributes})
    return group


def _describe(dataset: Any, long_name: str, units: str = "") -> None:
    dataset.attrs["long_name"] = long_name
    if units:
        dataset.attrs["units"] = units
