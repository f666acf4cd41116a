"""What all tests share: quiet settings, one Ray session, and property tests without a deadline."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")
os.environ.pop("RAY_ADDRESS", None)

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("deepstruc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("deepstruc")


@pytest.fixture(scope="session")
def ray_session_2cpu():
    """One local Ray session of two cores for all tests that need one."""
    from deepstruc_hpc.runtime.ray_session import ray_session

    with ray_session(2) as session:
        yield session


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
