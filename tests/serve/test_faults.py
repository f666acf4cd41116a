"""Real processes: workers and servers that are killed lose nothing that is finished, and a cancelled curve frees its worker."""

import os
import signal
import time
from http.client import HTTPConnection

import psutil
import pytest

from tests.serve.conftest import PDFS, QUICK, Api, RealServer

PT = (PDFS / "sample-02-Pt.gr").read_bytes()
LONG = {"samples": 5000, "latent_search": 1000, "local_shapes": 2000, "mixtures": True}
"""A solve of minutes."""


def _wait(condition, seconds=240.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.05)
    return value


def _running(job):
    return job["counts"].get("running") == 1


def test_a_killed_worker_is_replaced_and_its_curve_solved_again(real_server):
    api = real_server.api
    first = api.solve([("done.gr", PT)])
    before = api.until(first, lambda job: job["state"] == "done")
    job = api.solve([("long.gr", PT)], LONG)
    api.until(job, _running)
    (pid,) = real_server.workers()
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: not psutil.pid_exists(pid))
    api.until(job, lambda seen: _running(seen) and seen["revision"] > 0)
    assert _wait(lambda: [new for new in real_server.workers() if new != pid])
    assert api.job(first) == before
    api("POST", f"/api/jobs/{job}/cancel")


def test_a_cancelled_curve_frees_its_worker_which_goes_on(real_server):
    """Fails when a cancel waits for the curve's end, or ends the process and with it the model it has loaded."""
    api = real_server.api
    job = api.solve([("long.gr", PT), ("longer.gr", PT)], LONG)
    api.until(job, _running)
    pids = real_server.workers()
    used = psutil.Process(pids[0]).cpu_times().user
    assert api("POST", f"/api/jobs/{job}/cancel")[1]["counts"] == {"cancelled": 2}
    after = api.solve([("next.gr", PT)])
    assert api.until(after, lambda seen: seen["state"] == "done")["counts"] == {"ok": 1}
    assert real_server.workers() == pids
    assert psutil.Process(pids[0]).cpu_times().user - used < 20, "the cancelled curves were solved to their ends"


@pytest.mark.slow
def test_a_killed_server_goes_on_where_it_stood(tmp_path, small_catalog):
    """kill -9: the finished curve is not solved again, the one at work is, the rest follows, and the page is that of all."""
    server = RealServer(tmp_path, "--catalog", small_catalog)
    job = server.api.solve([("first.gr", PT), ("second.gr", PT), ("bad.gr", b"no table\n")])
    seen = server.api.until(job, lambda seen: seen["counts"].get("ok", 0) >= 1)
    first = seen["curves"][0]
    result = tmp_path / "jobs" / job / "results" / "c00001" / "result.json"
    written = result.stat().st_mtime_ns
    workers = server.workers()
    server.kill()
    _wait(lambda: not any(psutil.pid_exists(pid) for pid in workers))  # they end by themselves when the server is gone
    again = RealServer(tmp_path, "--catalog", small_catalog)
    try:
        done = again.api.until(job, lambda seen: seen["state"] == "done")
        assert done["counts"] == {"ok": 2, "failed": 1}
        assert done["curves"][0] == first
        assert result.stat().st_mtime_ns == written
        status, page = again.api("GET", f"/jobs/{job}/page/")
        assert status == 200
        assert all(name in page for name in (b"first.gr", b"second.gr", b"bad.gr"))
    finally:
        assert again.stop() == 130, "as every command that Ctrl-C ends"
    assert (tmp_path / "history.sqlite").exists()


@pytest.mark.parametrize(
    "path",
    ["/jobs/{}/page/../../../../history.sqlite", "/jobs/{}/page/%2e%2e/%2e%2e/uploads/f00001.gr", "/jobs/{}/page/c00001/../../uploads/f00001.gr"],
)
def test_a_raw_path_is_looked_up_and_not_followed(real_server, path):
    """Clients of libraries tidy a path before they send it; an attacker's does not."""
    api = real_server.api
    job = api.solve([("a.gr", b"no table")])
    api.until(job, lambda seen: seen["state"] == "done")
    connection = HTTPConnection(api.host, int(api.port), timeout=60)
    connection.putrequest("GET", path.format(job), skip_accept_encoding=True)
    connection.putheader("Authorization", f"Bearer {api.token}")
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()


def test_a_connection_that_breaks_leaves_no_half_file(real_server):
    api = real_server.api
    job = api("POST", "/api/jobs", {"settings": QUICK})[1]["id"]
    connection = HTTPConnection(api.host, int(api.port), timeout=60)
    connection.putrequest("POST", f"/api/jobs/{job}/files?name=half.gr")
    for name, value in (("Authorization", f"Bearer {api.token}"), ("Content-Length", "100000")):
        connection.putheader(name, value)
    connection.endheaders(b"half of it")
    _wait(lambda: api.job(job)["counts"].get("arriving") == 1)
    connection.close()
    assert _wait(lambda: api.job(job)["total"] == 0)
    assert api("POST", f"/api/jobs/{job}/start")[0] == 409


def test_the_link_of_another_server_does_not_open_this_one(real_server):
    assert Api(real_server.link, "token-of-somebody-else")("GET", "/api/jobs")[0] == 401
