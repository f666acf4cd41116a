"""Commands join the Ray session that RAY_ADDRESS names, one after the other, and leave it as it was."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

RAY = Path(sys.executable).with_name("ray")


@pytest.fixture
def session(tmp_path):
    """The address of a Ray of two cores, started by Ray's own command as docs/hpc.md says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.gettempdir()) / f"ray-named-{port}"  # sockets lie below it: a short path
    options = [f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=100000000"]
    command = [str(RAY), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}", *options]
    with (tmp_path / "ray.log").open("w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            head.terminate()  # not `ray stop`, which would end the sessions of other tests
            head.wait(60)
            shutil.rmtree(folder, ignore_errors=True)


def _command(address, *words):
    environment = {**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.run([sys.executable, "-m", "deepstruc_hpc.cli", *words], env=environment, capture_output=True, text=True, timeout=300)


def _status(address):
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    return subprocess.run([str(RAY), "status", f"--address={address}"], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.ray
def test_commands_join_the_session_that_is_named_and_leave_it_alive(session, tmp_path):
    deadline = time.monotonic() + 120
    while (state := _status(session)).returncode:
        assert time.monotonic() < deadline, state.stderr
    for name in ("first", "second"):
        built = _command(session, "catalog", "build", "smoke", "--out", str(tmp_path / name), "--workers", "2", "--json")
        assert built.returncode == 0, built.stderr
        assert json.loads(built.stdout)["n_structures"] > 0
    after = _status(session)
    assert after.returncode == 0
    assert "/2.0 CPU" in after.stdout
