"""A progress bar on stderr that leaves stdout to results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


def _nothing(_count: int) -> None:
    return None


@dataclass(frozen=True)
class Progress:
    """Counts what is done; without a bar it does nothing."""

    on_advance: Callable[[int], None] = _nothing

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.on_advance(count)


class Bars(Protocol):
    """Where a library function shows how far it is: :func:`progress_bar` or :func:`no_bar`."""

    def __call__(self, label: str, total: int | None, *, unit: str = "") -> AbstractContextManager[Progress]:
        """For one stage of the work."""


@contextmanager
def no_bar(label: str, total: int | None, *, unit: str = "") -> Iterator[Progress]:  # noqa: ARG001  (the protocol of Bars)
    """Shows nothing."""
    yield Progress()


@contextmanager
def progress_bar(label: str, total: int | None, *, unit: str = "") -> Iterator[Progress]:
    """A bar with count, rate and time left; on a stderr that is no terminal only its last state is printed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(label, total=total)
        yield Progress(lambda count: bar.advance(task, count))
