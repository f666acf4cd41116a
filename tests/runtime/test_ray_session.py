"""Starting Ray: a busy machine gets a second try, and a failure says what to do."""

from types import SimpleNamespace

import pytest

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.runtime import ray_session


def fake_ray(failures: int) -> SimpleNamespace:
    calls: list[str] = []

    def init(**_options: object) -> None:
        calls.append("init")
        if calls.count("init") <= failures:
            raise Exception("The current node timed out during startup.")  # noqa: TRY002 - this is what Ray raises

    return SimpleNamespace(init=init, shutdown=lambda: calls.append("shutdown"), calls=calls)


def test_ray_is_started_a_second_time(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = fake_ray(failures=1)
    ray_session._start(ray, {})
    assert ray.calls == ["init", "shutdown", "init"]


def test_a_second_failure_is_told_with_a_way_out(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(EngineError, match=r"timed out during startup.*--workers 0"):
        ray_session._start(fake_ray(failures=2), {})


def test_a_cluster_that_cannot_be_reached_is_not_tried_twice(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    ray = fake_ray(failures=2)
    with pytest.raises(EngineError, match=r"10\.0\.0\.1:6379"):
        ray_session._start(ray, {})
    assert ray.calls.count("init") == 1
