"""Work that goes block by block: in this process while it is short, over actors when it is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from deepstruc_hpc.core.errors import DeepstrucError, EngineError
from deepstruc_hpc.runtime.pool import ItemFailure, Worker, map_over_actors
from deepstruc_hpc.runtime.progress import no_bar, progress_bar
from deepstruc_hpc.runtime.ray_session import ray_session, usable_cores

Item = TypeVar("Item")

SECONDS_ALONE = 5.0
"""Work that is not through after this is shared out: to start actors takes about as long."""


def over_blocks(
    make_worker: Callable[[], Worker], items: Sequence[Item], *, workers: int | None, label: str, progress: bool = True
) -> Iterator[tuple[Item, Any]]:
    """Work on items and yield each with its result, in any order.

    Args:
        make_worker: makes what works on an item, here or in an actor.
        items: what is to be done.
        workers: actors; None for one a core; 0 for this process alone.
        label: of the progress bar.
        progress: show the bar on stderr.

    Raises:
        EngineError: an actor's process ended again and again.
        Exception: whatever the worker raised.
    """
    count = usable_cores() if workers is None else workers
    bars = progress_bar if progress else no_bar
    with bars(label, len(items)) as bar:
        started, done, worker = time.monotonic(), 0, make_worker()
        while done < len(items) and (min(count, len(items) - done) < 2 or time.monotonic() - started < SECONDS_ALONE):
            yield items[done], worker(items[done])
            done += 1
            bar.advance()
        rest = items[done:]
        if not rest:
            return
        with ray_session(count):
            for item, outcome in map_over_actors(make_worker, rest, workers=min(count, len(rest))):
                if isinstance(outcome, ItemFailure):
                    raise outcome.error if isinstance(outcome.error, DeepstrucError) else EngineError(f"{label}: {outcome}") from outcome.error
                yield item, outcome
                bar.advance()
