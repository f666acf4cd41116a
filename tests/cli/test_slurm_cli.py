"""The slurm commands as typed: what they print, what they leave alone, how they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.resources import share_dir


def test_a_dry_run_prints_the_script_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        run(["slurm", "submit", "train", "--cluster", "cpu", "--nodes", "3", "--time", "00:30:00", "--dry-run", "--", "a.zarr", "--out", "run"]) == 0
    )
    script = capsys.readouterr().out
    assert script.startswith("#!/bin/bash\n")
    assert "#SBATCH --nodes=3\n" in script
    assert "#SBATCH --time=00:30:00\n" in script
    assert "run_on_ray deepstruc-hpc train a.zarr --out run $RESUME\n" in script
    assert list(tmp_path.iterdir()) == []


def test_a_scan_over_settings_is_a_stage_like_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["submit", "sweep", "--cluster", "cpu", "--dry-run", "--", "solve", "measured", "--out", "stability", "--config", "scan.yaml"]
    assert run(["slurm", *words]) == 0
    assert "run_on_ray deepstruc-hpc sweep solve measured --out stability --config scan.yaml\n" in capsys.readouterr().out


def test_a_dry_pipeline_prints_the_stages_in_their_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--solve", "data --out solved", "--build", "demo --out a.zarr", "--train", "a.zarr --out run"]
    assert run(["slurm", "pipeline", "--cluster", "gpu", "--dry-run", *words]) == 0
    script = capsys.readouterr().out
    places = [script.index(f"run_on_ray deepstruc-hpc {stage}") for stage in ("catalog build", "train", "solve")]
    assert places == sorted(places)
    assert script.count("#SBATCH --partition=gpu") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["submit", "fit", "--cluster", "cpu", "--", "--out", "x"], "unknown stage"),
        (["submit", "build", "--cluster", "cpu", "--", "demo"], "no --out"),
        (["submit", "build", "--cluster", "nowhere", "--", "demo", "--out", "x"], "laptop"),
        (["submit", "build", "--cluster", "cpu", "--", "demo", "--out", "s3://bucket/x"], "--job-dir"),
        (["submit", "build", "--cluster", "cpu", "--nodes", "0", "--", "demo", "--out", "x"], "nodes"),
        (["pipeline", "--cluster", "cpu"], "no stage was given"),
        (["status", "empty"], "no job was submitted from here"),
        (["logs", "empty"], "no job was submitted from here"),
        (["cancel", "empty"], "no job was submitted from here"),
    ],
)
def test_what_cannot_work_is_one_line_on_stderr_and_exit_code_two(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["slurm", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_a_job_on_a_laptop_from_submit_to_logs(tmp_path, monkeypatch, capfd):
    """The whole way without SLURM: submit, follow, status."""
    command = tmp_path / "bin" / "deepstruc-hpc"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nsleep 0.3\necho built $4\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert run(["slurm", "submit", "build", "--cluster", "laptop", "--", "demo", "--out", "a.zarr"]) == 0
    job = capfd.readouterr().out.strip()
    assert job.startswith("local-")
    assert run(["slurm", "logs", "-f", "a.zarr"]) == 0
    assert capfd.readouterr().out == "built --out\n"
    assert run(["slurm", "status", ".", "--json"]) == 0
    (state,) = json.loads(capfd.readouterr().out)
    assert (state["job_id"], state["state"]) == (job, "ENDED")


def test_the_library_is_printed_for_scripts_by_hand(capsys):
    assert run(["slurm", "library"]) == 0
    assert Path(capsys.readouterr().out.strip()) == share_dir("slurm") / "ray_on_slurm.sh"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no SIGUSR1 on this system")
def test_a_batch_systems_warning_stops_a_command_as_ctrl_c_does(tmp_path):
    """SLURM sends USR1 before the time limit. Python would die of it at once; MLflow's run would stay open and the lock of a store held."""
    code = "import sys, time, deepstruc_hpc.cli.app as app\napp.run = lambda *a, **k: (print('up', flush=True), time.sleep(30))\n"
    code += "try:\n    app.main([])\nexcept KeyboardInterrupt:\n    sys.exit(130)\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout.readline() == "up\n"
        time.sleep(0.1)
        command.send_signal(signal.SIGUSR1)
        assert command.wait(20) == 130
