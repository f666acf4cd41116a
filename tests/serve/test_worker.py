"""What a worker process does with a task, here in this process."""

import json
import os
import signal
import threading

import h5py
import numpy as np
import pytest

from deepstruc_hpc import read_pdf
from deepstruc_hpc.serve import worker
from deepstruc_hpc.serve.tasks import PageRow, PageTask, ReadTask, SolveOutcome, SolveTask, Start
from tests.serve.conftest import PDFS, QUICK

NAME = "Gold (<b>one</b>).gr"


@pytest.fixture(scope="module")
def runner(small_catalog):
    return worker.TaskRunner(Start(None, small_catalog, 300.0, 0))


@pytest.fixture(scope="module")
def solved(runner, tmp_path_factory):
    """A stored file, solved, and the page of its job."""
    data = tmp_path_factory.mktemp("server-data")
    path = data / "f00001.gr"
    path.write_bytes((PDFS / "sample-02-Pt.gr").read_bytes())
    task = SolveTask("job", 1, path, "", NAME, data / "results", "c00001", QUICK)
    outcome = runner(task)
    rows = (PageRow(NAME, "c00001", "", 1.0), PageRow("bad.txt", "c00002", "line 3: is no number", 0.0))
    page = runner(PageTask("job", "A <i>title</i>", data / "results", QUICK, rows, 7, last=True, started=0.0))
    return data, task, outcome, page


def test_a_curve_is_solved_and_told_in_the_words_of_the_report(solved):
    _, _, outcome, page = solved
    assert (outcome.state, outcome.result["phase"]) == ("ok", "Pt fcc")
    assert outcome.result["rw"] < 0.2
    assert page.mark


def test_no_result_names_a_place_on_the_server(solved):
    """Fails when a table, a message or the settings of the page hold a path: whoever gets the archive would learn it."""
    data, _, _, _ = solved
    files = [path for path in (data / "results").rglob("*") if path.suffix in (".csv", ".json", ".html", ".xyz", ".cif")]
    assert len(files) > 20
    assert [path.name for path in files if str(data) in path.read_text() or "f00001" in path.read_text()] == []
    assert json.loads((data / "results" / "c00001" / "result.json").read_text())["file"] == NAME


def test_the_page_is_the_report_of_solve_with_every_file_in_it(solved):
    data, _, _, _ = solved
    summary = json.loads((data / "results" / "summary.json").read_text())
    assert [(item["file"], item["status"]) for item in summary["items"]] == [("bad.txt", "failed"), (NAME, "ok")]
    text = (data / "results" / "index.html").read_text()
    assert "<title>deepstruc-hpc: A &lt;i&gt;title" in text


def test_what_is_finished_is_not_solved_again(solved, runner, monkeypatch):
    """A server that was killed after the result was written, and before it was noted."""
    _, task, outcome, _ = solved
    monkeypatch.setattr(runner, "solver", _Unused(runner.solver.plan))
    assert runner(task) == outcome


class _Unused:
    def __init__(self, plan):
        self.plan = plan

    def __call__(self, _item):
        raise AssertionError("solved again")


def test_other_settings_are_another_answer(solved, runner, monkeypatch):
    _, task, _, _ = solved
    monkeypatch.setattr(runner, "solver", _Unused(runner.solver.plan))
    with pytest.raises(AssertionError, match="solved again"):
        runner(SolveTask(**{**vars(task), "settings": {**QUICK, "composition": "Au"}}))


def _stack(path):
    curve = read_pdf(PDFS / "sample-02-Pt.gr")
    with h5py.File(path, "w") as handle:
        group = handle.create_group("entry/pdf")
        group["r"], group["gr"] = curve.r, np.stack([curve.g, 0.9 * curve.g])
        group["r"].attrs["units"] = "angstrom"


BYTES = {
    "image": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "nothing": b"",
    "text": b"a,b\n",
    "broken HDF5": b"\x89HDF\r\n\x1a\n" + b"\0" * 500,
    "bytes": b"\x00\x01\x02" * 99,
    "another PDF": b"%PDF-1.7 ...",
    "markup": b"<script>alert(1)</script>",
    "list of files": b"/etc/passwd\n",
}


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("ending", [".gr", ".txt", ".h5"])
def test_the_reader_alone_decides_what_a_file_is(runner, tmp_path, kind, ending):
    path = tmp_path / f"f00001{ending}"
    path.write_bytes(BYTES[kind])
    outcome = runner(ReadTask("job", 1, path, "x"))
    assert outcome.places == ()
    assert outcome.message
    assert str(tmp_path) not in outcome.message
    assert "f00001" not in outcome.message


def test_a_file_of_one_curve_and_one_of_two(runner, tmp_path):
    one, two = tmp_path / "f00001.txt", tmp_path / "f00002.h5"
    one.write_bytes((PDFS / "sample-02-Pt.gr").read_bytes())
    _stack(two)
    assert runner(ReadTask("job", 1, one, "x")).places == ("",)
    assert [len(runner(ReadTask("job", 1, two, "x")).places), runner(ReadTask("job", 1, two, "x")).message] == [2, ""]


def test_a_curve_inside_a_file_is_solved(runner, tmp_path):
    path = tmp_path / "f00001.h5"
    _stack(path)
    place = runner(ReadTask("job", 1, path, "x.h5")).places[1]
    outcome = runner(SolveTask("job", 2, path, place, f"x.h5#{place}", tmp_path / "results", "c00002", {**QUICK, "composition": "Pt"}))
    assert (outcome.state, outcome.result["phase"]) == ("ok", "Pt fcc")


def test_a_signal_stops_the_curve_that_is_worked_on_and_nothing_else():
    interruptible = worker._Interruptible()
    before = signal.signal(signal.SIGUSR2, interruptible.ring)
    try:
        os.kill(os.getpid(), signal.SIGUSR2)  # between two tasks: nothing happens
        task = SolveTask("job", 1, PDFS, "", "", PDFS, "", {})

        def endless(_task):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR2)).start()
            while True:
                try:
                    threading.Event().wait(0.01)
                except Exception:  # noqa: BLE001, S112 - what solve does with every fault of a file
                    continue

        assert interruptible.run(endless, task) == SolveOutcome("cancelled")
        assert interruptible.run(lambda _task: SolveOutcome("ok"), task) == SolveOutcome("ok")
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_message_names_the_file_as_the_client_does(tmp_path):
    path = tmp_path / "f00007.gr"
    assert worker.without_path(f"{path}:24: r goes back", path, "a.gr") == "line 24: r goes back"
    assert worker.without_path(f"{path}: no numbers", path, "a.gr") == "no numbers"
    assert worker.without_path(f"cannot read {path} at all", path, "a.gr") == "cannot read a.gr at all"
