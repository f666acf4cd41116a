"""series.h5 and series.csv: what NeXus viewers look for is there, and no kill and no odd name spoils them."""

import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.errors import ConfigError, OutputError, PdfFileError
from deepstruc_hpc.data.hdf5_curves import Hdf5Curves
from deepstruc_hpc.data.series_file import SeriesFile, read_series

R = np.arange(2.0, 20.0, 0.05)
SETTINGS = {"qmax": 25.0, "sources": ["crystals"], "name": "Å"}


def curves(n, seed=0):
    frame = np.arange(n)[:, None]
    g = np.sin(2.5 * R + 0.01 * frame) * np.exp(-R / 9) + 0.01 * np.random.default_rng(seed).normal(size=(n, len(R)))
    return g, np.sin(2.5 * R + 0.01 * frame) * np.exp(-R / 9)


def table(n, **columns):
    return pd.DataFrame({"frame": range(n), "file": [f"frame_{i}.gr" for i in range(n)], "order": np.arange(n) * 0.5, **columns})


def changes(*rows):
    return pd.DataFrame(rows, columns=["frame", "probability", "kind", "text"])


def write(path, n=7, **columns):
    g, calculated = curves(n)
    with SeriesFile.create(path / "series.h5", R, n, SETTINGS) as series:
        series.put(0, g[:4], calculated[:4])
        series.put(4, g[4:], calculated[4:])
        series.finish(table(n, **columns), changes((3, 0.97, "phase", "Ni appears")), units={"temperature": "K", "order": "min"})
    return g, calculated


def test_what_was_written_is_read_back(tmp_path):
    g, calculated = write(
        tmp_path, rw=[0.1, np.nan, *[0.2] * 5], status=["ok", "failed", *["ok"] * 5], message=["", 'NaN in row 3, "all"\nof it', *[""] * 5]
    )
    series = read_series(tmp_path)
    assert len(series) == 7
    data, fit = series.curves(slice(1, 7, 2))
    assert data == pytest.approx(g[1::2], abs=1e-6)
    assert fit == pytest.approx(calculated[1::2], abs=1e-6)
    assert series.r.tolist() == R.tolist()
    assert series.table["message"][1] == 'NaN in row 3, "all"\nof it'
    assert series.table["rw"].isna().tolist() == [False, True, *[False] * 5]
    assert series.table["status"].tolist()[:2] == ["ok", "failed"]
    assert series.change_points.to_dict("records") == [{"frame": 3, "probability": 0.97, "kind": "phase", "text": "Ni appears"}]
    assert series.process["settings"] == SETTINGS
    assert series.process["program"] == "deepstruc_hpc"


def test_nexus_viewers_find_the_plot_and_its_axes(tmp_path):
    """Each attribute is one that silx, h5web or NeXpy reads; without it they show a bare list of datasets."""
    write(tmp_path, temperature=np.linspace(300, 900, 7), uiso=0.005)
    with h5py.File(tmp_path / "series.h5") as handle:
        assert handle.attrs["default"] == "entry"
        entry = handle["entry"]
        classes = {"data": "NXdata", "fit": "NXdata", "parameters": "NXcollection", "change_points": "NXcollection", "process": "NXprocess"}
        assert {name: entry[name].attrs["NX_class"] for name in classes} == classes
        assert entry.attrs["NX_class"] == "NXentry"
        assert entry[entry.attrs["default"]].attrs["signal"] == "g"
        for group, signals in ((entry["data"], ["g"]), (entry["fit"], ["calculated", "difference"])):
            assert [group.attrs["signal"], *group.attrs.get("auxiliary_signals", [])] == signals
            for signal_name in signals:
                signal_ = group[signal_name]
                assert list(signal_.shape) == [len(group[axis]) for axis in group.attrs["axes"]]
                assert signal_.dtype == np.float32
                assert signal_.attrs["units"] == "angstrom^-2"
            for number, axis in enumerate(group.attrs["axes"]):
                assert group.attrs[f"{axis}_indices"] == number
        assert entry["data/r"].attrs["units"] == "angstrom"
        assert entry["data/order"].attrs["units"] == "min"
        assert entry["data/order"][:].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
        assert entry["parameters/temperature"].attrs["units"] == "K"
        assert entry["parameters/uiso"].attrs["units"] == "angstrom^2"
        assert entry["parameters/temperature"].dtype == np.float64
        assert entry["parameters/file"].asstr()[2] == "frame_2.gr"
        assert entry["process/settings"].attrs["NX_class"] == "NXnote"
        assert entry["process/settings/type"].asstr()[()] == "application/json"


def test_every_column_of_the_csv_is_a_dataset_and_odd_names_survive(tmp_path):
    odd = {"T/K": np.arange(7.0), "T_K": np.arange(7.0) + 1, ".": "x", "note": None, "lattice": [None] * 7, "ok": [True] * 7}
    write(tmp_path, **odd)
    series = read_series(tmp_path)
    with h5py.File(tmp_path / "series.h5") as handle:
        named = {item.attrs["long_name"]: item for item in handle["entry/parameters"].values()}
        assert set(named) == set(series.table)
        assert named["T/K"][3] == 3.0
        assert named["T_K"][3] == 4.0
        assert np.isnan(named["lattice"][:]).all()
        assert named["note"].asstr()[:].tolist() == [""] * 7


def test_a_file_name_of_any_bytes_is_kept_readable(tmp_path):
    names = ["a\udcff.gr", "=1+1.gr", "NA", "</script>.gr", "r\r\n.gr", "nan", "7"]
    write(tmp_path, message=pd.Series(names, dtype=object))
    assert read_series(tmp_path).table["message"].tolist() == ["a\\udcff.gr", *names[1:]]


def test_a_frame_that_was_not_put_is_nan_and_not_zero(tmp_path):
    g, calculated = curves(5)
    with SeriesFile.create(tmp_path / "series.h5", R, 5, {}) as series:
        series.put(1, g[1:2], calculated[1:2])
        assert series.written.tolist() == [False, True, False, False, False]
        series.finish(table(5), changes())
    data, fit = read_series(tmp_path).curves(slice(0, 5))
    assert np.isnan(data).all(axis=1).tolist() == [True, False, True, True, True]
    assert np.isnan(fit).all(axis=1).tolist() == [True, False, True, True, True]


def test_a_series_goes_on_where_it_stopped_and_grows(tmp_path):
    path = tmp_path / "series.h5"
    g, calculated = curves(9)
    write(tmp_path)
    with SeriesFile.resume(path, R, 9, SETTINGS) as series:
        assert series.written.tolist() == [True] * 7 + [False] * 2
        assert read_series(tmp_path).change_points["frame"].tolist() == [3], "a reader finds the earlier tables until the new ones are there"
        series.put(7, g[7:], calculated[7:])
        series.finish(table(9), changes())
    data, _ = read_series(tmp_path).curves(slice(0, 9))
    assert data == pytest.approx(np.vstack([curves(7)[0], g[7:]]), abs=1e-6)


@pytest.mark.parametrize("other", [{"r": R + 0.01}, {"settings": {"qmax": 24.0}}, {"n_frames": 3}])
def test_another_grid_other_settings_or_fewer_frames_start_anew(tmp_path, other):
    write(tmp_path)
    options = {"r": R, "n_frames": 7, "settings": SETTINGS, **other}
    with SeriesFile.resume(tmp_path / "series.h5", **options) as series:
        assert not series.written.any()


def test_a_damaged_file_starts_anew(tmp_path):
    write(tmp_path)
    path = tmp_path / "series.h5"
    path.write_bytes(path.read_bytes()[:3000])
    with SeriesFile.resume(path, R, 7, SETTINGS) as series:
        assert not series.written.any()


WRITER = """
import sys, numpy as np
from deepstruc_hpc.data.series_file import SeriesFile
r = np.arange(2.0, 20.0, 0.05)
with SeriesFile.create(sys.argv[1], r, 4000, {}) as series:
    print("made", flush=True)
    for first in range(0, 4000, 3):
        series.put(first, np.full((3, len(r)), first)[: 4000 - first], np.zeros((3, len(r)))[: 4000 - first])
"""


@pytest.mark.parametrize("wait", [0.0, 0.03, 0.1, 0.25])
def test_a_killed_writer_leaves_a_file_whose_finished_frames_are_whole(tmp_path, wait):
    """Fails if a stretch changes the file's structure: then a kill in the middle leaves a file that does not open."""
    path = tmp_path / "series.h5"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    writer.stdout.readline()
    time.sleep(wait)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    with SeriesFile.resume(path, R, 4000, {}) as series:
        written = series.written
    with h5py.File(path) as handle:
        g = handle["entry/data/g"][:]
    expected = 3.0 * (np.arange(4000) // 3)
    assert (g[written] == expected[written, None]).all()
    assert not written.all()


def test_a_viewer_reads_while_the_series_is_written(tmp_path):
    g, calculated = curves(6)
    with SeriesFile.create(tmp_path / "series.h5", R, 6, {}) as series:
        with h5py.File(tmp_path / "series.h5", "r", locking=False) as seen:
            assert np.isnan(seen["entry/data/g"][0]).all()
            series.put(0, g, calculated)
        series.finish(table(6), changes())
    assert read_series(tmp_path).curves(slice(0, 1))[0][0] == pytest.approx(g[0], abs=1e-6)


def test_the_curves_can_be_solved_again_from_the_file(tmp_path):
    g, _ = write(tmp_path)
    read = Hdf5Curves(f"{tmp_path / 'series.h5'}::/entry/data")
    assert len(read) == 7
    assert read[5].g == pytest.approx(g[5], abs=1e-6)
    assert read[5].r == pytest.approx(R)


def test_wrong_arrays_and_tables_are_refused(tmp_path):
    g, calculated = curves(5)
    with SeriesFile.create(tmp_path / "series.h5", R, 5, {}) as series:
        with pytest.raises(ValueError, match="frames 3 to 7"):
            series.put(3, g, calculated)
        with pytest.raises(ValueError, match="shapes"):
            series.put(0, g, calculated[:, 1:])
        with pytest.raises(ValueError, match="'frame' is not 0 to 4"):
            series.finish(table(4), changes())
        with pytest.raises(ValueError, match="lack text"):
            series.finish(table(5), changes().drop(columns="text"))
    with pytest.raises(ValueError, match="0 frames"):
        SeriesFile.create(tmp_path / "series.h5", R, 0, {})


def test_a_directory_that_is_no_series_and_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match="holds no series"):
        read_series(tmp_path)
    write(tmp_path)
    (tmp_path / "series.csv").write_text("frame,file\n1,a\n0,b\n")
    with pytest.raises(ConfigError, match="does not run from 0"):
        read_series(tmp_path)
    table(30).to_csv(tmp_path / "series.csv", index=False)
    with pytest.raises(PdfFileError, match="30 frames"):
        read_series(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        SeriesFile.create(tmp_path / "nowhere" / "series.h5", R, 5, {})
