"""Many items over a few actors: bounded in flight, repeated when an actor or its node dies, with a progress bar."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from deepstruc_hpc.core.errors import EngineError
from deepstruc_hpc.runtime.placement_groups import StartNotice
from deepstruc_hpc.runtime.progress import Progress, progress_bar
from deepstruc_hpc.runtime.ray_session import quiet_ray, share_of_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")


FAILED_STARTS = 3
"""Actors that may end while they start, beyond one a worker, before the work is given up."""

CHEAP_LOOK_SECONDS = 0.5e-3
"""Of the processor: to look which calls have been answered costs so much with about 1,000 of them; below, nobody need save it."""

SHARE_OF_LOOKS = 0.02
"""Of a core that looks take at most; with 5,000 calls an answer then lies for about 0.1 s."""

LONGEST_PAUSE = 0.25
"""Seconds between two looks at most."""


class Worker(Protocol):
    """A plain class that holds costly state and works on one item at a time; it knows nothing of Ray."""

    def __call__(self, item: Any) -> Any:
        """The result of one item."""
        ...


@dataclass(frozen=True)
class ItemFailure:
    """Stands in the place of a result.

    Attributes:
        error: what the worker raised, or what Ray said of a dead actor.
        attempts: how often the item was tried.
        died: True when the actor or its node ended, False when the worker raised.
    """

    error: BaseException
    attempts: int
    died: bool

    def __str__(self) -> str:
        if self.died:
            return f"the worker process ended {self.attempts} times while it worked on this ({type(self.error).__name__})"
        return f"{type(self.error).__name__}: {self.error}"


@dataclass
class _Task(Generic[Item]):
    item: Item
    attempts: int = 0


@dataclass
class _Actor(Generic[Item]):
    """One actor: its process runs once ``arrival`` has answered, and it takes items once its worker is made, ``ready``."""

    handle: Any
    arrival: Any
    arrived: bool = False
    ready: bool = False
    running: dict[Any, _Task[Item]] = field(default_factory=dict)


class _Host:
    """What runs in the actor's process: makes the worker once and hands it the items.

    The worker is made in a method, not in the constructor: Ray hands on what a method raises, but of a failed constructor only the text.
    """

    def arrive(self) -> None:
        """Says that the process runs."""

    def ready(self, make_worker: Callable[[], Worker]) -> bool:
        self._worker = make_worker()
        return True

    def run(self, item: Any) -> Any:
        return self._worker(item)


def map_over_actors(
    make_worker: Callable[[], Worker],
    items: Iterable[Item],
    *,
    workers: int,
    max_in_flight: int | None = None,
    retries: int = 3,
    on_result: Callable[[Item, Any], None] | None = None,
    progress_label: str = "",
    total: int | None = None,
    cpus_per_worker: float | None = None,
    gpus_per_worker: float = 0.0,
) -> Iterator[tuple[Item, Any]]:
    """Work on items in actors and yield ``(item, result or ItemFailure)`` as they finish, in any order.

    Needs an open Ray session. Items are taken from the iterable only when there is room, so it may be endless. An iterator that has ended is asked
    again after each result, as long as others are being worked on: what takes the results may give it more.

    Args:
        make_worker: makes the worker inside the actor's process; any picklable callable, a class too.
        items: what to work on.
        workers: number of actors.
        max_in_flight: most items handed out at a time (default: one an actor).
        retries: how often an item is tried again when its actor dies. An exception of the worker itself is final: it would only come again.
        on_result: called in this process with each item and its result before it is yielded.
        progress_label: a text shows a progress bar on stderr, empty shows none.
        total: number of items for the bar, where ``items`` has no length.
        cpus_per_worker: cores that Ray reserves an actor (default: such that all of them run).
        gpus_per_worker: devices that Ray reserves an actor.
    """
    ray = quiet_ray()
    cpus = share_of_cpus(float(ray.cluster_resources().get("CPU", 1.0)), workers) if cpus_per_worker is None else cpus_per_worker
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus_per_worker, max_restarts=0, max_task_retries=0)(_Host)
    notice = StartNotice({"CPU": cpus, **({"GPU": gpus_per_worker} if gpus_per_worker else {})}, workers)
    pool: _Pool[Item] = _Pool(remote.remote, make_worker, workers, max(1, -(-(max_in_flight or workers) // workers)), retries, notice=notice)
    length = total if total is not None else len(items) if isinstance(items, Sized) else None
    with progress_bar(progress_label, length) if progress_label else nullcontext(Progress()) as bar:
        try:
            for item, result in pool.run(items):
                bar.advance()
                if on_result is not None:
                    on_result(item, result)
                yield item, result
        finally:
            pool.close()


class _Pool(Generic[Item]):
    def __init__(
        self, start: Callable[[], Any], make_worker: Callable[[], Worker], workers: int, depth: int, retries: int, *, notice: StartNotice
    ) -> None:
        self._start, self._make_worker, self._notice = start, make_worker, notice
        self._workers, self._depth, self._retries = workers, depth, retries
        self._failed_starts, self._look_s = 0, 0.0
        self._actors: list[_Actor[Item]] = []
        self._waiting: dict[Any, _Actor[Item]] = {}
        self._open: dict[int, _Actor[Item]] = {}  # actors that take an item now: with thousands of them nobody goes through all for each item
        self._again: deque[_Task[Item]] = deque()

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Any]]:
        source = iter(items)
        while True:
            exhausted = False
            while not exhausted or self._again:
                actor = self._with_room()
                if actor is None:
                    break
                task = self._next_task(source)
                if task is None:
                    exhausted = True
                    break
                reference = actor.handle.run.remote(task.item)
                actor.running[reference] = task
                self._waiting[reference] = actor
                if len(actor.running) >= self._depth:
                    self._open.pop(id(actor), None)
            if exhausted and not self._again and not any(actor.running for actor in self._actors):
                return
            self._fill(needed=not exhausted or bool(self._again))
            finished = self._finished()
            if not finished:
                self._notice.tell(arrived=any(actor.arrived for actor in self._actors))
            for outcome in map(self._collect, finished):
                if outcome is not None:
                    yield outcome

    def close(self) -> None:
        ray = quiet_ray()
        if ray.is_initialized():
            for actor in self._actors:
                ray.kill(actor.handle)
        self._actors.clear()
        self._waiting.clear()
        self._open.clear()

    def _finished(self) -> list[Any]:
        """What has an answer by now; waits for the first one, but not for ever. A look goes through all calls: thousands are looked at seldom."""
        ray = quiet_ray()
        if self._look_s > CHEAP_LOOK_SECONDS:
            time.sleep(min(LONGEST_PAUSE, self._look_s / SHARE_OF_LOOKS))
        began = time.thread_time()
        finished, _ = ray.wait(list(self._waiting), num_returns=len(self._waiting), timeout=0)
        self._look_s = time.thread_time() - began
        if not finished:
            patience = self._notice.patience(any(actor.ready for actor in self._actors))
            finished, _ = ray.wait(list(self._waiting), num_returns=1, timeout=patience)
        return list(finished)

    def _with_room(self) -> _Actor[Item] | None:
        self._fill(needed=True)
        return (
            min(self._open.values(), key=lambda actor: len(actor.running), default=None) if self._depth > 1 else next(iter(self._open.values()), None)
        )

    def _fill(self, *, needed: bool) -> None:
        """Starts actors up to the number asked for. An actor gets items only once it runs: on a lost node none waits for ever."""
        while needed and len(self._actors) < self._workers:
            handle = self._start()
            actor: _Actor[Item] = _Actor(handle, handle.arrive.remote())
            self._actors.append(actor)
            self._waiting[actor.arrival] = actor
            self._waiting[handle.ready.remote(self._make_worker)] = actor

    def _next_task(self, source: Iterator[Item]) -> _Task[Item] | None:
        if self._again:
            return self._again.popleft()
        for item in source:
            return _Task(item)
        return None

    def _collect(self, reference: Any) -> tuple[Item, Any] | None:
        ray = quiet_ray()
        actor = self._waiting.pop(reference)
        task = actor.running.pop(reference, None)
        if task is not None:
            self._open[id(actor)] = actor
        try:
            result = ray.get(reference)
        except ray.exceptions.RayTaskError as raised:
            if task is None:
                raise _cause(raised) from raised
            return task.item, ItemFailure(_cause(raised), task.attempts + 1, died=False)
        except ray.exceptions.RayActorError as dead:
            return self._bury(actor, task, dead)
        if task is not None:
            return task.item, result
        if reference == actor.arrival:
            actor.arrived = True
        else:
            actor.ready, self._failed_starts = True, 0
            self._open[id(actor)] = actor
        return None

    def _bury(self, actor: _Actor[Item], task: _Task[Item] | None, dead: BaseException) -> tuple[Item, Any] | None:
        self._open.pop(id(actor), None)
        first = actor in self._actors  # what else it was asked for fails, too
        if first:
            self._actors.remove(actor)
        if task is None:
            self._failed_starts += first
            if self._failed_starts > self._workers + FAILED_STARTS:
                raise EngineError(
                    f"{self._failed_starts} workers in a row ended while they started ({dead}). Look at memory and at Ray's logs."
                ) from dead
            return None
        task.attempts += 1
        if task.attempts > self._retries:
            return task.item, ItemFailure(dead, task.attempts, died=True)
        self._again.append(task)
        return None


def _cause(error: Any) -> BaseException:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error
