"""A server without worker processes, its clients, and a real server process."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

TOKENS = {"anna": "token-of-anna-123456", "bert": "token-of-bert-123456"}
LOCAL_TOKEN = "token-of-the-local-user"  # noqa: S105 - of tests
QUICK = {"samples": 0, "latent_search": 0, "local_shapes": 0, "sources": ["catalog"], "rmax": 16.0}
"""What makes a real solve as cheap as it can be: a few shapes of a catalog, fitted once."""
RECIPE = """
name: serve-tests
elements: [Pt]
min_atoms: 55
max_atoms: 150
families:
  - icosahedral
  - {family: fcc, limit: 4}
  - {family: octahedral}
pdf: {qmin: 0.7, qmax: 25.0, qdamp: 0.04, uiso: 0.0038, delta2: 2.0, rmin: 2.0, rmax: 20.0, rstep: 0.05}
"""
ROOT = Path(__file__).resolve().parents[2]
PDFS = ROOT / "examples" / "pdfs"


@pytest.fixture(scope="session")
def small_catalog(tmp_path_factory):
    """A dozen shapes of platinum."""
    from deepstruc_hpc.catalog.build import build_catalog
    from deepstruc_hpc.catalog.recipe import load_recipe

    folder = tmp_path_factory.mktemp("serve-shapes")
    (folder / "recipe.yaml").write_text(RECIPE)
    build_catalog(load_recipe(folder / "recipe.yaml"), folder / "shapes.zarr", workers=0, progress=False)
    return str(folder / "shapes.zarr")


@pytest.fixture
def make_app(tmp_path):
    """Makes an application, not started, whose server has no workers; limits as named."""
    from deepstruc_hpc.serve.app import create_app
    from deepstruc_hpc.serve.server import open_server
    from deepstruc_hpc.serve.settings import Limits, ServeSettings

    with contextlib.ExitStack() as stack:

        def make(**limits):
            server = open_server(ServeSettings(data=tmp_path / "data", workers=0, limits=Limits(**limits)))
            stack.callback(server.close)
            for name, token in TOKENS.items():
                server.database.set_token(name, token)
            return create_app(server)

        yield make


@pytest.fixture
def make_client(make_app):
    """Makes a client of such an application, started."""
    from fastapi.testclient import TestClient

    with contextlib.ExitStack() as stack:

        def make(root_path="", **limits):
            app = make_app(**limits)
            client = stack.enter_context(TestClient(app, base_url="http://127.0.0.1", root_path=root_path))
            client.server = app.state.server
            return client

        yield make


@pytest.fixture
def client(make_client):
    return make_client()


def as_user(name):
    return {"Authorization": f"Bearer {TOKENS[name]}"}


class Api:
    """A user of a real server."""

    def __init__(self, address, token):
        self.host, self.port = re.match(r"http://([^:/]+):(\d+)/", address).groups()
        self.token, self.connection = token, None

    def __call__(self, method, path, body=None, headers=()):
        """Status and what was answered, JSON or bytes."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        for attempt in (0, 1):
            if self.connection is None:
                self.connection = HTTPConnection(self.host, int(self.port), timeout=120)
            try:
                self.connection.request(method, path, data, {"Authorization": f"Bearer {self.token}", "Content-Type": kind, **dict(headers)})
                answer = self.connection.getresponse()
                content = answer.read()
                break
            except (ConnectionError, OSError):  # a connection that was kept open and has ended meanwhile
                self.connection.close()
                self.connection = None
                if attempt:
                    raise
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json and content else content

    def solve(self, files, settings=QUICK, title=""):
        """A started job of files: (name, bytes) each."""
        status, job = self("POST", "/api/jobs", {"title": title, "settings": settings})
        assert status == 201, job
        for name, content in files:
            status, answer = self("POST", f"/api/jobs/{job['id']}/files?name={name}", content)
            assert status == 201, answer
        status, job = self("POST", f"/api/jobs/{job['id']}/start")
        assert status == 200, job
        return job["id"]

    def job(self, job_id):
        return self("GET", f"/api/jobs/{job_id}")[1]

    def until(self, job_id, condition, seconds=300.0):
        """The job once the condition holds of it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.job(job_id)
            if condition(job):
                return job
            time.sleep(0.1)
        raise TimeoutError(f"not within {seconds:g} s: {job}")


class RealServer:
    """``deepstruc-hpc serve`` as a process of its own, in a group that can be ended."""

    def __init__(self, data, *options, token=LOCAL_TOKEN):
        command = [
            sys.executable,
            "-m",
            "deepstruc_hpc",
            "serve",
            "--port",
            "0",
            "--data",
            str(data),
            "--workers",
            "1",
            "--set",
            "niceness=0",
            *options,
        ]
        environment = {**os.environ, "DEEPSTRUC_HPC_TOKEN": token, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        line = self.process.stdout.readline()
        assert line.startswith("Open "), line + self.process.stderr.read()
        self.link = line.split()[1]
        self.api = Api(self.link, token)

    def workers(self):
        """Process ids of its worker processes."""
        import psutil

        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self):
        """As Ctrl-C does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self._close()
        return code

    def _close(self):
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture(scope="package")
def real_server(tmp_path_factory, small_catalog):
    """One server for the tests that need real workers and leave it whole."""
    server = RealServer(tmp_path_factory.mktemp("served") / "data", "--catalog", small_catalog)
    yield server
    server.stop()
