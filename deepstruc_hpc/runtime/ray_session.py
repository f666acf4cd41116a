"""Join the Ray cluster that is there, or start a quiet local one and end it again."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from deepstruc_hpc.core.errors import EngineError

OBJECT_STORE_BYTES = 512 * 2**20
"""Upper limit of a local session's object store: blocks and batches are small, and Ray's default of 30 % of memory is not ours to take."""

SMALLEST_OBJECT_STORE_BYTES = 80 * 2**20


@dataclass(frozen=True)
class RaySession:
    """What the session offers.

    Attributes:
        cpus: logical cores of all nodes.
        gpus: devices of all nodes.
        nodes: number of nodes alive.
        started_here: False when the session was there before and stays when we leave.
    """

    cpus: float
    gpus: float
    nodes: int
    started_here: bool

    def cpus_per_worker(self, workers: int) -> float:
        """The share of a core that lets this many workers run at the same time; never more than one core each."""
        return share_of_cpus(self.cpus, workers)


def share_of_cpus(cpus: float, workers: int) -> float:
    """min(1, cpus / workers), rounded down to hundredths so that all workers fit."""
    return min(1.0, max(0.01, int(100 * cpus / max(workers, 1)) / 100))


@contextmanager
def ray_session(num_cpus: int | None = None, *, quiet: bool = True) -> Iterator[RaySession]:
    """Use Ray inside a ``with``.

    A session that this process has open already is used and left open. Otherwise the cluster named by ``RAY_ADDRESS`` is joined, else a local one is
    started with ``num_cpus`` (default: the cores that this process may use) on the loopback address, without dashboard and usage statistics,
    and ended at the end of the block. On a machine so busy that Ray gives up its start, it is started a second time.

    Raises:
        EngineError: Ray did not start, or the cluster cannot be reached.
    """
    ray = quiet_ray()
    started_here = not ray.is_initialized()
    if started_here:
        _start(ray, _init_options(num_cpus, quiet=quiet))
    try:
        resources = ray.cluster_resources()
        alive = sum(bool(node["Alive"]) for node in ray.nodes())
        yield RaySession(float(resources.get("CPU", 1.0)), float(resources.get("GPU", 0.0)), alive, started_here)
    finally:
        if started_here:
            ray.shutdown()


def _start(ray: Any, options: dict[str, Any]) -> None:
    for last in (False, True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(**options)
        except Exception as refused:
            ray.shutdown()
            where = os.environ.get("RAY_ADDRESS")
            if where or last:
                what = f"the Ray cluster at RAY_ADDRESS={where} cannot be joined" if where else "Ray did not start on this machine"
                mend = "Free memory and processor, or try --workers 0"
                if where:
                    mend = "Unset RAY_ADDRESS to work alone, or start the cluster; one that `ray start` began asks for its token: RAY_AUTH_MODE=token"
                raise EngineError(f"{what} ({str(refused).strip().splitlines()[0]}). {mend}.") from refused
        else:
            return


def quiet_ray() -> Any:
    """The ray module, imported with the settings that keep it from calling outside.

    Ray would start workers at niceness 15: beside any ordinary process they would hardly run. Here they have the niceness of the command, unless the
    user sets ``RAY_worker_niceness``, a number that is added to it.
    """
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE", "1")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    import ray

    return ray


def usable_cores() -> int:
    """Cores that this process may run on (its affinity), at least one."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _init_options(num_cpus: int | None, *, quiet: bool) -> dict[str, Any]:
    common: dict[str, Any] = {"log_to_driver": not quiet, "logging_level": logging.ERROR if quiet else logging.INFO, "configure_logging": True}
    if os.environ.get("RAY_ADDRESS"):
        return {**common, "ignore_reinit_error": True}
    store = int(min(OBJECT_STORE_BYTES, max(SMALLEST_OBJECT_STORE_BYTES, 0.1 * psutil.virtual_memory().available)))
    return {
        **common,
        "address": "local",  # else Ray joins any cluster that it finds on this machine, another user's too
        "num_cpus": num_cpus or usable_cores(),
        "include_dashboard": False,
        "object_store_memory": store,
        "_node_ip_address": "127.0.0.1",
    }
