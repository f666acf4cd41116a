"""Batches made in a thread while the network learns from the one before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.2


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The items in their order, up to ``depth`` of them made ahead in one thread; whatever making them raises is raised here.

    One thread makes all, so random numbers are drawn in the same order as without it. NumPy leaves the interpreter free while it computes.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def offer(entry: tuple[T | None, BaseException | None, bool]) -> None:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for item in items:
                offer((item, None, False))
                if stop.is_set():
                    return
        except BaseException as failed:  # noqa: BLE001  (handed to the reader, who raises it)
            offer((None, failed, True))
        else:
            offer((None, None, True))

    worker = threading.Thread(target=make, name="batches", daemon=True)
    worker.start()
    try:
        while True:
            item, failed, ended = ready.get()
            if failed is not None:
                raise failed
            if ended:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        worker.join()
