"""Batches made in a thread while the network learns from the one before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.2
Entry = tuple[list[T], BaseException | None]
"""One item; or none, at the end, with what was raised."""


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The items in their order, up to ``depth`` of them made ahead in one thread; whatever making them raises is raised here.

    One thread makes all, so random numbers are drawn in the same order as without it. NumPy leaves the interpreter free while it computes.
    """
    ready: queue.Queue[Entry[T]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def offer(entry: Entry[T]) -> bool:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    worker = threading.Thread(target=_make, args=(items, offer), name="batches", daemon=True)
    worker.start()
    try:
        while (entry := ready.get())[0]:
            yield entry[0][0]
        if entry[1] is not None:
            raise entry[1]
    finally:
        stop.set()
        worker.join()


def _make(items: Iterable[T], offer: Callable[[Entry[T]], bool]) -> None:
    """Offer every item, then the end; stop where nobody takes them any more."""
    failed: BaseException | None = None
    try:
        for item in items:
            if not offer(([item], None)):
                return
    except BaseException as raised:  # noqa: BLE001  (handed to the reader, who raises it)
        failed = raised
    offer(([], failed))
