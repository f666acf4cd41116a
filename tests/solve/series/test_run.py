"""A series from files to files: no frame is lost, nothing is solved twice, and frames that arrive are rows at once."""

import signal
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pandas as pd
import pytest

from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.data.series_file import read_series
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.run.artefacts import NamedArtefacts
from deepstruc_hpc.solve.run.batch import Batch, BatchOptions
from deepstruc_hpc.solve.series.results import ROW_COLUMNS
from deepstruc_hpc.solve.series.run import WORK, SeriesOptions, SeriesRun
from deepstruc_hpc.solve.series.watch import watch_series
from deepstruc_hpc.solve.series.worker import SeriesWorker
from tests.solve.conftest import write_gr

SETTINGS = SolveSettings(sources=("catalog",), qdamp=0.03, local_shapes=30)
BROKEN = {"f4.gr": "", "f6.gr": "no table\nat all\n", "f8.gr": "0 nan\n" * 60}


def _run(folder, out, store, *, all_frames=False, **options):
    batch = Batch(folder, out, SETTINGS, BatchOptions(workers=0, **options), NamedArtefacts(catalog=store))
    return SeriesRun(batch, SeriesOptions(all_frames=all_frames))


@pytest.fixture(scope="module")
def film(tmp_path_factory, shape_of):
    """Sixteen frames: decahedra, then fcc particles from frame 9 on; three files are broken, one is of zeros."""
    folder = tmp_path_factory.mktemp("film")
    for number in range(16):
        write_gr(folder / f"f{number}.gr", shape_of("decahedral" if number < 9 else "fcc"), seed=number)
    for name, text in BROKEN.items():
        (folder / name).write_text(text)
    (folder / "f12.gr").write_text("".join(f"{0.02 * k:.2f} 0.0\n" for k in range(1100)))
    return folder


@pytest.fixture(scope="module")
def solved(film, shapes_store, tmp_path_factory):
    out = tmp_path_factory.mktemp("series")
    return out, _run(film, out, shapes_store).run()


def test_every_frame_is_a_row_in_order_and_broken_ones_say_why(solved):
    _, table = solved
    assert list(table.columns) == list(ROW_COLUMNS)
    assert [name.rsplit("/", 1)[-1] for name in table["file"]] == [f"f{number}.gr" for number in range(16)]
    broken = table["file"].str.rsplit("/", n=1).str[-1].isin([*BROKEN, "f12.gr"])
    assert (table.loc[broken, "how"] == "failed").all()
    assert table.loc[broken, "message"].str.len().gt(20).all()
    assert table.loc[~broken, "status"].eq("ok").all()
    assert set(table.loc[~broken, "how"]) == {"full", "warm"}


def test_types_follow_the_truth_and_the_change_is_told_where_it_is(solved):
    out, table = solved
    known = table[table["status"].eq("ok")]
    assert (known["structure_type"] == np.where(known["frame"] < 9, "decahedral", "fcc")).all()
    changes = read_series(out).change_points
    assert changes["frame"].tolist() == [9]
    assert changes["text"].tolist() == ["decahedral becomes fcc"]
    assert table["change_point"].between(0, 1).all()
    assert table.loc[table["frame"].eq(9), "how"].item() == "full"


def test_the_files_hold_curves_and_folders(solved):
    out, table = solved
    with h5py.File(out / "series.h5") as handle:
        g, calculated = handle["entry/data/g"][:], handle["entry/fit/calculated"][:]
        inside = (handle["entry/data/r"][:] > 2.1) & (handle["entry/data/r"][:] < 20)
    ok = table["status"].eq("ok").to_numpy()
    left = np.linalg.norm((g - calculated)[ok][:, inside], axis=1) / np.linalg.norm(g[ok][:, inside], axis=1)
    assert (left < 0.1).all()
    assert np.isnan(calculated[~ok]).all()
    for row in table[table["how"].eq("full")].itertuples():
        assert (out / row.file.rsplit("/", 1)[-1].removesuffix(".gr") / "result.json").is_file()
    assert len(pd.read_csv(out / "summary.csv")) >= table["how"].eq("full").sum()


def test_a_second_call_solves_nothing_and_a_killed_one_what_was_left(film, solved, shapes_store, monkeypatch):
    out, table = solved
    evaluated = []
    call = SeriesWorker.__call__

    def counted(self, task):
        evaluated.extend([] if task is None else [frame.item.path.name for frame in task.frames])
        return call(self, task)

    monkeypatch.setattr(SeriesWorker, "__call__", counted)
    again = _run(film, out, shapes_store).run()
    broken = {*BROKEN, "f12.gr"}
    assert set(evaluated) <= broken  # they may have been mended
    pd.testing.assert_frame_equal(again[["structure_type", "rw", "how"]], table[["structure_type", "rw", "how"]])
    lost = max((out / WORK).glob("warm-*.json"), key=lambda path: path.stat().st_size)  # not that of the broken ones
    lost.unlink()
    evaluated.clear()
    again = _run(film, out, shapes_store).run()
    assert set(evaluated) - broken
    assert again["structure_type"].tolist() == table["structure_type"].tolist()


def test_a_changed_file_is_solved_again(film, shapes_store, tmp_path, shape_of):
    folder = tmp_path / "few"
    for number in range(3):
        write_gr(folder / f"f{number}.gr", shape_of("fcc"), seed=number)
    _run(folder, tmp_path / "out", shapes_store).run()
    write_gr(folder / "f1.gr", shape_of("decahedral"), seed=9)
    again = _run(folder, tmp_path / "out", shapes_store).run()
    assert again.loc[1, "structure_type"] == "decahedral" or "alone it would be decahedral" in again.loc[1, "note"]


def test_a_worker_that_dies_costs_one_frame(film, shapes_store, tmp_path, monkeypatch):
    call = SeriesWorker.__call__

    def dies(self, task):
        if task is not None and any(frame.item.path.name == "f3.gr" for frame in task.frames):
            return RuntimeError("killed")
        return call(self, task)

    monkeypatch.setattr(SeriesWorker, "__call__", dies)
    table = _run(film, tmp_path / "out", shapes_store, all_frames=True).run()
    good = table["status"].eq("ok")
    assert "killed" in table.loc[3, "message"]
    assert good.sum() == 11
    folders = {path.parent.name for path in (tmp_path / "out").glob("*/result.json")}
    assert folders >= {f"f{number}" for number in table.loc[good, "frame"]}  # asked for with all_frames


def test_a_series_killed_from_outside_goes_on_with_what_was_finished(film, solved, shapes_store, tmp_path):
    out = tmp_path / "out"
    options = ["--series", "--workers", "0", "--sources", "catalog", "--qdamp", "0.03", "--set", "local_shapes=30", "--catalog", str(shapes_store)]
    running = subprocess.Popen([sys.executable, "-m", "deepstruc_hpc", "solve", str(film), "--out", str(out), *options], stderr=subprocess.DEVNULL)
    try:
        while running.poll() is None and not list((out / WORK).glob("*-*.json")):
            time.sleep(0.02)
    finally:
        running.kill()
    assert running.wait() == -signal.SIGKILL
    assert not (out / "series.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in (out / WORK).glob("*-*.json") if path.with_suffix(".npz").exists()}
    assert kept
    table = _run(film, out, shapes_store).run()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    pd.testing.assert_frame_equal(table[["structure_type", "n_atoms", "how"]], solved[1][["structure_type", "n_atoms", "how"]])


def test_nothing_to_read_is_an_error(shapes_store, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.gr").write_text("nothing\n")
    with pytest.raises(PdfFileError, match="none of the 1 frames can be read"):
        _run(tmp_path / "in", tmp_path / "out", shapes_store).run()


def test_frames_that_arrive_are_rows_and_are_settled_in_the_end(shapes_store, tmp_path, shape_of):
    folder, out = tmp_path / "in", tmp_path / "out"
    for number in range(2):
        write_gr(folder / f"f{number}.gr", shape_of("fcc"), seed=number)
    seen = []

    def page():
        table = pd.read_csv(out / "series.csv")
        seen.append((len(table), table["note"].fillna("").str.contains("provisional").all()))

    def arrive():
        for number in range(2, 5):
            time.sleep(0.5)
            write_gr(folder / f"f{number}.gr", shape_of("fcc"), seed=number)

    arriving = threading.Thread(target=arrive)
    arriving.start()
    table = watch_series(_run(folder, out, shapes_store, watch=True, watch_idle_s=4.0), page)
    arriving.join()
    assert len(table) == 5
    assert table["structure_type"].eq("fcc").all()
    assert table["how"].iloc[0] == "full"
    assert seen[0][1]
    assert seen[-1] == (5, False)
    finished = {path: path.stat().st_mtime_ns for path in (out / WORK).glob("*-*.json")}
    write_gr(folder / "f5.gr", shape_of("fcc"), seed=5)
    table = watch_series(_run(folder, out, shapes_store, watch=True, watch_idle_s=2.0), lambda: None)  # as after a kill
    assert len(table) == 6
    assert table["status"].eq("ok").all()
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    with h5py.File(out / "series.h5") as handle:
        assert np.isfinite(handle["entry/data/g"][:]).all()


def test_a_file_that_grows_is_followed(shapes_store, tmp_path, shape_of):
    """Frames of one HDF5 file, some of them set aside and not written yet when it is first seen."""
    path, out = tmp_path / "film.h5", tmp_path / "out"
    curves = [read_pdf(write_gr(tmp_path / "text" / f"f{number}.gr", shape_of("fcc"), seed=number)) for number in range(5)]

    def write(count, room):
        with h5py.File(path, "w") as handle:
            entry = handle.create_group("entry/pdf")
            entry["r"] = curves[0].r
            entry["g"] = np.stack([curve.g for curve in curves[:count]] + [np.full(len(curves[0].r), np.nan)] * (room - count))
            entry.attrs.update({"NX_class": "NXdata", "signal": "g", "axes": ["frame", "r"]})
            entry["r"].attrs["units"] = "angstrom"

    write(2, 3)
    settings = SETTINGS.model_copy(update={"elements": ("Pt",), "qmin": 0.8, "qmax": 22.0})
    run = SeriesRun(
        Batch(path, out, settings, BatchOptions(workers=0, watch=True, watch_idle_s=5.0), NamedArtefacts(catalog=shapes_store)), SeriesOptions()
    )
    seen = []
    watching = threading.Thread(target=lambda: seen.append(watch_series(run, lambda: None)))
    watching.start()
    while not (out / "series.csv").exists():
        time.sleep(0.05)
    write(5, 5)
    watching.join()
    assert seen[0]["status"].tolist() == ["ok"] * 5
    assert seen[0]["structure_type"].eq("fcc").all()
