"""The solve command: options, exit codes, output."""

import json
import signal
import subprocess
import sys
import time

import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.cli.solve_ending import print_summary
from deepstruc_hpc.solve.run.output import ItemRecord
from deepstruc_hpc.solve.run.summary import Summary
from tests.solve.conftest import measured, shape_of, shapes_store  # noqa: F401


def _run(*words):
    return subprocess.run([sys.executable, "-m", "deepstruc_hpc.cli", "solve", *map(str, words)], capture_output=True, text=True, check=False)


def test_failed_files_make_exit_code_one_and_json_is_alone_on_stdout(measured, shapes_store, tmp_path, capsys):  # noqa: F811
    options = ["--catalog", shapes_store, "--sources", "catalog", "--workers", "0", "--qdamp", "0.04", "--set", "local_shapes=60", "--json"]
    done = _run(measured, "--out", tmp_path / "out", *options)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert sorted(item["status"] for item in document["items"]) == ["failed", "ok", "ok", "ok"]
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "fcc" / "fit.png").is_file()
    used = json.loads((tmp_path / "out" / "fcc" / "result.json").read_text())["conditions"]
    assert (used["qdamp"], used["origin"]["qdamp"]) == (0.04, "option")
    again = run(["solve", str(measured / "fcc.gr"), "--out", str(tmp_path / "out"), *options[:-1]])
    assert again == 0  # the file that failed is not of this call
    assert "fcc.gr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("origins", "message"),
    [
        (["option", "header"], ""),
        (["default", "header"], "Qdamp 0.03 Å⁻¹ was taken for 1 file whose header says none: --qdamp or --instrument is better."),
        (["default", "default"], "Qdamp 0.03 Å⁻¹ was taken for 2 files whose headers say none: --qdamp or --instrument is better."),
    ],
)
def test_a_qdamp_that_nobody_named_is_said_after_the_table_and_not_in_the_document(origins, message, tmp_path, capsys):
    summary = Summary(tmp_path, {})
    for number, origin in enumerate(origins):
        summary.add(ItemRecord(f"{number}.gr", str(number), status="ok", conditions={"qdamp": 0.03, "origin": {"qdamp": origin}}))
    summary.add(ItemRecord("broken.gr", "broken", message="no curve"))
    summary.save()
    print_summary(tmp_path, summary.frame(), None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("Qdamp")] == ([message] if message else [])
    print_summary(tmp_path, summary.frame(), None, as_json=True)
    assert "Qdamp" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-directory", "--out", "out"], "no-such-directory"),
        (["--out", "out"], "no input"),
        (["x.gr", "--out", "out", "--qmin", "9", "--qmax", "4"], "qmax"),
        (["x.gr", "--out", "out", "--set", "sampels=5"], "samples"),
        (["x.gr", "--out", "out", "--rmin", "10", "--rmax", "5"], "error: options: rmax (5 Å) must be larger than rmin (10 Å)"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_two(words, message, capsys):
    assert run(["solve", *words]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert len(printed.strip().splitlines()) == 1
    assert message in printed


def test_the_resolved_settings_are_printed_and_can_be_given_back(tmp_path, capsys):
    assert run(["solve", "--print-config", "--sigma", "2,4", "--elements", "Pt"]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "settings.yaml").write_text(printed)
    assert run(["solve", "--print-config", "--config", str(tmp_path / "settings.yaml"), "--rmax", "18"]) == 0
    assert capsys.readouterr().out == printed.replace("rmax: null", "rmax: 18.0")


def _listen_to_ctrl_c() -> None:
    """A shell that starts the tests in the background has its children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_watching_keeps_the_page_current_and_ctrl_c_leaves_it_whole(measured, shapes_store, tmp_path):  # noqa: F811
    """The page is there while the command still watches; after Ctrl-C it holds what was solved last, too."""
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    words = [inbox, "--out", out, "--catalog", shapes_store, "--sources", "catalog", "--workers", "0", "--watch", "--no-figures"]
    command = [sys.executable, "-m", "deepstruc_hpc.cli", "solve", *map(str, words)]
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, preexec_fn=_listen_to_ctrl_c, **quiet) as watching:  # noqa: PLW1509 - no threads here
        for name, shown in (("fcc", out / "index.html"), ("decahedral", out / "decahedral" / "result.json")):
            (inbox / f"{name}.gr").write_bytes((measured / f"{name}.gr").read_bytes())
            end = time.monotonic() + 240
            while not shown.exists():
                assert watching.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        assert "fcc.gr" in (out / "index.html").read_text()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(120) == 130
    assert "decahedral.gr" in (out / "index.html").read_text()
