"""How many threads the engine may use, and a way to run compiled functions on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def thread_count() -> int:
    """Threads to use: ``OMP_NUM_THREADS`` where it is set (Ray sets it to an actor's CPUs), else the cores this process may run on."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_blocks(work: Callable[[int, int], T], n_items: int, *, threads: int | None = None, smallest: int = 1) -> list[T]:
    """Call ``work(start, stop)`` on consecutive blocks that cover ``range(n_items)``, one block a thread.

    The compiled functions of this package release the interpreter, so the blocks truly run side by side. The blocks depend on the number of
    threads only, never on timing.

    Returns:
        What the calls returned, in order of the blocks.
    """
    count = max(1, min(threads or thread_count(), n_items // max(smallest, 1)))
    edges = [n_items * index // count for index in range(count + 1)]
    return run_ranges(work, list(pairwise(edges)))


def run_ranges(work: Callable[[int, int], T], ranges: Sequence[tuple[int, int]]) -> list[T]:
    """Call ``work(start, stop)`` for each range, side by side."""
    if len(ranges) == 1:
        return [work(*ranges[0])]
    return list(_pool(len(ranges), os.getpid()).map(lambda pair: work(*pair), ranges))


@lru_cache(maxsize=8)
def _pool(workers: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process has none of its parent's threads
    return ThreadPoolExecutor(workers, thread_name_prefix="deepstruc-physics")
