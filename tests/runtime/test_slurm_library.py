"""What ray_on_slurm.sh makes of a command's end and of SLURM's signals, with stand-ins for SLURM and Ray: runs wherever bash does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepstruc_hpc.core.resources import share_dir

LIBRARY = share_dir("slurm") / "ray_on_slurm.sh"

pytestmark = pytest.mark.skipif(sys.platform != "linux" or shutil.which("bash") is None, reason="needs Linux and bash")

STAND_INS = {
    "scontrol": 'case "$*" in *hostnames*) echo node1 ;; requeue*) echo "$*" >> requeued; [ ! -e refuse ] ;; esac',
    "srun": 'echo $$ >> steps; while [ "$1" != bash ]; do shift; done; exec "$@"',
    "scancel": "kill -TERM $(cat steps) 2> /dev/null; true",
    "hostname": 'if [ "$1" = -I ]; then echo "127.0.0.1 10.9.8.7"; else echo node1; fi',
    "getent": 'echo "127.0.1.1 STREAM node1"',
}
RAY = """#!{python}
import os, socket, sys, time
if os.path.exists("slow"):
    os.remove("slow")
    sys.exit("Exception: The current node timed out during startup. This could happen because ...")
given = dict(word.split("=", 1) for word in sys.argv if "=" in word)
open("ray-arguments", "w").write(" ".join(sys.argv[1:]))
open("ray-niceness", "w").write(os.environ.get("RAY_worker_niceness", "none"))
listener = socket.create_server(("127.0.0.1", int(given["--port"])))
time.sleep(float(open("ray-lives").read()) if os.path.exists("ray-lives") else 60)
"""


@pytest.fixture
def job(tmp_path):
    """Runs a command through the library as a job of one node; returns a starter."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, body in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
    (programs / "ray").write_text(RAY.format(python=sys.executable))
    (programs / "python").write_text('#!/bin/bash\ncase "$*" in *ray_ready*) echo "1 nodes" ;; *grpc*) exit 1 ;; esac\n')
    for path in programs.iterdir():
        path.chmod(0o755)
    # The head's address must be one that this machine has.
    (programs / "ip").write_text('#!/bin/bash\necho "2: eth0 inet 127.0.0.1/8 scope"\n')
    (programs / "ip").chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(10_000 + os.getpid()),
        "SLURM_JOB_NODELIST": "node1",
        "SLURMD_NODENAME": "node1",
        "SLURM_CPUS_PER_TASK": "2",
        "DSH_JOB_DIR": str(tmp_path),
        "DSH_SCRATCH": str(tmp_path / "s"),
        "DSH_INTERFACE": "eth0",
        "DSH_MEMORY_MB": "1000",
        "DSH_STOP_SECONDS": "3",
    }

    def start(command: str, **settings: str) -> subprocess.Popen[bytes]:
        words = ["bash", "-c", f"source {LIBRARY}; run_on_ray {command}"]
        with (tmp_path / "log").open("w") as log:
            return subprocess.Popen(words, cwd=tmp_path, env={**environment, **settings}, stdout=log, stderr=log)

    return start


def events(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("events-*.txt"))


def wait_for_event(folder: Path, text: str) -> None:
    end = time.monotonic() + 120
    while text not in events(folder):
        assert time.monotonic() < end, events(folder)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("command", "accept", "code", "message"),
    [
        ("true", "0", 0, "done after"),
        ("bash -c 'exit 1'", "0", 1, "failed: the command ended with exit code 1"),
        ("bash -c 'exit 1'", "1", 0, "done after"),
        ("bash -c 'exit 2'", "1", 2, "refused its input"),
        ("bash -c 'kill -9 $$'", "0", 137, "exit code 137"),
    ],
)
def test_the_jobs_exit_code_is_the_commands(job, tmp_path, *, command, accept, code, message):
    """A job that is COMPLETED with its work undone is the worst that can happen here."""
    started = job(command, DSH_ACCEPT_FAILED_ITEMS=accept)
    started.wait(240)
    assert started.returncode == code, (tmp_path / "log").read_text()
    assert message in events(tmp_path)
    assert list((tmp_path / "s").iterdir()) == [], "the temporary folder stays"
    assert list(tmp_path.glob(".ray-token*")) == [], "the token stays"


def test_ray_gets_the_jobs_share_of_the_node_and_not_the_node(job, tmp_path):
    job("true", DSH_GPUS="3", DSH_OBJECT_STORE_MB="200").wait(240)
    words = (tmp_path / "ray-arguments").read_text().split()
    assert {"--head", "--num-cpus=2", "--num-gpus=3", "--node-ip-address=127.0.0.1", "--include-dashboard=false"} <= set(words)
    assert f"--memory={800 * 2**20}" in words
    assert f"--object-store-memory={200 * 2**20}" in words


@pytest.mark.parametrize(("settings", "niceness"), [({}, "0"), ({"RAY_worker_niceness": "7"}, "7")])
def test_workers_do_not_yield_the_jobs_own_cores(job, tmp_path, *, settings, niceness):
    """Ray's own choice is 15, which leaves next to nothing beside an ordinary process."""
    job("true", **settings).wait(240)
    assert (tmp_path / "ray-niceness").read_text() == niceness


def test_a_ray_that_was_too_slow_for_its_own_limit_is_started_again(job, tmp_path):
    """Ray gives itself 30 s on a node: too little on a slow file system, or when a thousand nodes greet one head."""
    (tmp_path / "slow").touch()
    started = job("true")
    started.wait(240)
    assert started.returncode == 0, events(tmp_path)
    assert not (tmp_path / "slow").exists()
    assert "2 more attempts" in next(tmp_path.glob("ray-*-node1.log")).read_text()


def test_a_warned_command_is_stopped_and_the_job_requeued(job, tmp_path):
    started = job("sleep 60")
    wait_for_event(tmp_path, "running: sleep 60")
    started.send_signal(signal.SIGUSR1)
    wait_for_event(tmp_path, "requeued: stopped before the time limit")
    started.terminate()  # SLURM ends the job then
    started.wait(240)
    assert (tmp_path / "requeued").read_text().count("requeue") == 1


def test_a_warned_command_that_does_not_stop_is_ended_in_time(job, tmp_path):
    started = job("bash -c 'trap \"\" USR1; while true; do sleep 0.1; done'")
    wait_for_event(tmp_path, "running:")
    started.send_signal(signal.SIGUSR1)
    wait_for_event(tmp_path, "requeued:")
    started.terminate()
    started.wait(240)
    assert (tmp_path / "requeued").read_text().count("requeue") == 1


def test_a_command_that_ends_well_after_the_warning_is_done_and_not_requeued(job, tmp_path):
    started = job("bash -c 'trap \"exit 0\" USR1; while true; do sleep 0.1; done'")
    wait_for_event(tmp_path, "running:")
    started.send_signal(signal.SIGUSR1)
    started.wait(240)
    assert started.returncode == 0
    assert not (tmp_path / "requeued").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"DSH_REQUEUE": "0"}, "the profile says not to requeue"),
        ({"SLURM_RESTART_COUNT": "20"}, "already requeued 20 times"),
        ({"refuse": "1"}, "SLURM refused to requeue"),
    ],
)
def test_a_warned_job_that_cannot_be_requeued_fails_and_says_what_to_do(job, tmp_path, settings, message):
    if "refuse" in settings:
        (tmp_path / "refuse").touch()
    started = job("sleep 60", **settings)
    wait_for_event(tmp_path, "running:")
    started.send_signal(signal.SIGUSR1)
    started.wait(240)
    assert started.returncode == 70
    assert message in events(tmp_path)
    assert "ubmit again" in events(tmp_path)


def test_when_ray_itself_dies_the_command_is_stopped_and_the_job_requeued(job, tmp_path):
    (tmp_path / "ray-lives").write_text("3")
    started = job("sleep 60")
    wait_for_event(tmp_path, "requeued: node node1 was lost")
    started.terminate()
    started.wait(240)
    assert (tmp_path / f"ray-logs-{10_000 + os.getpid()}-0" / "node1").is_dir()


def test_a_cancelled_job_stops_its_command_and_cleans_up(job, tmp_path):
    started = job("sleep 61")
    wait_for_event(tmp_path, "running: sleep 61")
    started.terminate()
    started.wait(240)
    assert started.returncode == 143
    assert list((tmp_path / "s").iterdir()) == []
    assert not (tmp_path / "requeued").exists()


def test_without_memory_for_ray_the_job_fails_with_that_reason(job, tmp_path):
    started = job("true", DSH_MEMORY_MB="120")
    started.wait(240)
    assert started.returncode == 70
    assert "120 MB on node1 is too little for Ray" in events(tmp_path)
