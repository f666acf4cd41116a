"""What all tests share: quiet settings, one Ray session, and property tests without a deadline."""

from __future__ import annotations

import os
from contextlib import ExitStack

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")
os.environ.pop("RAY_ADDRESS", None)

import pytest
from hypothesis import HealthCheck, settings

from tests import processes, shape_checks

shape_checks.install()

settings.register_profile("deepstruc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("deepstruc")
FAILED = pytest.StashKey[bool]()


class SharedRay:
    """One local Ray session of two cores for all tests that need one. It is made anew when it has ended or a test that used it has failed.

    A test that times out leaves actors that hold both cores, or a Ray that answers nobody: without a new session all later tests would fail with it.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._session = None

    def get(self):
        """The session, alive."""
        from deepstruc_hpc.runtime.ray_session import ray_session

        if self._session is not None and not self.lives():
            self.end()
        if self._session is None:
            self._session = self._open.enter_context(ray_session(2))
        return self._session

    @staticmethod
    def lives():
        """Whether Ray is there and its node is up."""
        import ray

        try:
            return ray.is_initialized() and any(node["Alive"] for node in ray.nodes())
        except Exception:  # noqa: BLE001 - whatever a broken Ray raises
            return False

    def end(self):
        """End the session and all that runs in it."""
        self._open.close()
        self._session = None


@pytest.fixture(scope="session")
def shared_ray():
    """For fixtures that outlive a test: ``shared_ray.get()`` gives the session."""
    shared = SharedRay()
    yield shared
    shared.end()


@pytest.fixture
def ray_session_2cpu(request, shared_ray):
    """The shared Ray session of two cores; after a failed test the next one gets a new one."""
    yield shared_ray.get()
    if request.node.stash.get(FAILED, False):
        shared_ray.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Notes on the test whether a phase of it failed, for the fixtures that clean up behind it."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """What ``-n auto`` means."""
    return processes.how_many()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``-n`` tests go to processes in groups, unless ``--dist`` asks for another way."""
    return processes.scheduler(config, log) if config.option.dist == "load" else None


def pytest_collection_modifyitems(config, items):
    """All processes of ``-n`` bring the tests into the same order."""
    if hasattr(config, "workerinput"):
        processes.in_order(items)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory):
    """What the program keeps for the next call goes to a directory of this run."""
    before = os.environ.get("DEEPSTRUC_HPC_CACHE")
    os.environ["DEEPSTRUC_HPC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        os.environ.pop("DEEPSTRUC_HPC_CACHE", None)
    else:
        os.environ["DEEPSTRUC_HPC_CACHE"] = before
