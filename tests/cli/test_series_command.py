"""``solve --series`` from the command line: one page, the changes in words, exit codes."""

import json
import subprocess
import sys

import pytest

from deepstruc_hpc.cli.app import run
from tests.solve.conftest import shape_of, shapes_store, write_gr  # noqa: F401


def _run(*words):
    return subprocess.run([sys.executable, "-m", "deepstruc_hpc.cli", "solve", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def film(tmp_path_factory, shape_of):  # noqa: F811
    folder = tmp_path_factory.mktemp("film")
    for number in range(7):
        write_gr(folder / f"f{number}_T{300 + 10 * number}K.gr", shape_of("fcc"), seed=number)
    return folder


def test_a_series_has_a_page_and_says_what_it_found(film, shapes_store, tmp_path, capsys):  # noqa: F811
    (film / "f3_T330K.gr").write_text("")
    options = ["--series", "--order", "temperature", "--catalog", shapes_store, "--sources", "catalog", "--workers", "0", "--set", "local_shapes=30"]
    done = _run(film, "--out", tmp_path / "out", *options, "--json")
    assert done.returncode == 1, done.stderr  # one frame is broken
    report = json.loads(done.stdout)
    assert (report["frames"], report["ok"], report["failed"]) == (7, 6, 1)
    assert (tmp_path / "out" / "series.html").is_file()
    assert "f3_T330K" in (tmp_path / "out" / "series.csv").read_text()
    assert run(["solve", str(film), "--out", str(tmp_path / "out"), *options, "--no-report"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("7 frames, ")
    assert lines[-2] == "Qdamp 0.03 Å⁻¹ was taken for 6 files whose headers say none: --qdamp or --instrument is better."
    assert lines[-1] == f"6 ok, 1 failed. Results: {tmp_path / 'out'}"


def test_an_order_that_no_frame_says_is_wrong_usage(film, shapes_store, tmp_path, capsys):  # noqa: F811
    options = ["--series", "--order", "dose", "--catalog", shapes_store, "--sources", "catalog", "--workers", "0"]
    assert run(["solve", str(film), "--out", str(tmp_path / "out"), *options]) == 2
    assert "nothing says its dose" in capsys.readouterr().err
