"""How the blocks of a plan are handed out: as many at a time as take a worker some seconds, fewer towards the end, one at a time after a death."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from deepstruc_hpc.catalog.blocks import BlockBuilder
from deepstruc_hpc.catalog.plan import Plan, PlannedBlock, Ticket, TicketReader
from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import BlockEntry
from deepstruc_hpc.data.manifest_writer import ManifestWriter
from deepstruc_hpc.runtime.pool import ItemFailure

SHORTEST_TICKET, LONGEST_TICKET = 10.0, 120.0
"""A worker makes no further block of a ticket after so many seconds. Few report often, for who watches; of many none works unheard for long."""

REPORTS_A_SECOND = 40.0
"""In between, tickets are so long that all workers together report so often. A ticket costs the driver 1 to 1.7 ms of the processor, whatever it
carries (docs/hpc.md), so that reports take 4 to 7 % of a core."""

TICKETS_A_WORKER = 2
"""Towards the end a ticket is at most the worker's share of what is left, divided by this: all workers end within a block or two of each other."""

DEATHS = 3
"""How often a block is handed out again because the process that had it ended."""


@dataclass(frozen=True)
class TicketReport:
    """What a worker did of a ticket.

    Attributes:
        entries: of the blocks that were made, for the manifest.
        failed: number of each block that could not be made, with the reason.
        seconds: that it took.
    """

    entries: tuple[BlockEntry, ...]
    failed: Mapping[int, str]
    seconds: float

    @property
    def n_blocks(self) -> int:
        """Blocks that are dealt with: the first ones of the ticket."""
        return len(self.entries) + len(self.failed)


class TicketBuilder:
    """What an actor holds. Makes the blocks of a ticket, as many as the time allows.

    Args:
        store: path or URL.
        conditions: of the PDFs.
        reader: of the shapes.
        seconds: of a ticket.
    """

    def __init__(self, store: str, conditions: PdfConditions, reader: TicketReader, seconds: float) -> None:
        self._reader, self._build, self._seconds = reader, BlockBuilder(store, conditions), seconds

    def __call__(self, item: Ticket) -> TicketReport:
        """Build and write the blocks, at least one.

        Raises:
            OutputError: the store cannot be written.
        """
        return work_through(item, self._reader.blocks(item), self._build, self._seconds)


def ticket_seconds(workers: int) -> float:
    """For how long a worker builds blocks before it reports, s.

    Args:
        workers: that share the blocks.
    """
    return min(LONGEST_TICKET, max(SHORTEST_TICKET, workers / REPORTS_A_SECOND))


def work_through(
    ticket: Ticket,
    blocks: Iterable[PlannedBlock],
    build: Callable[[PlannedBlock], BlockEntry],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> TicketReport:
    """Build one block after the other until ``seconds`` have passed.

    Args:
        ticket: of the blocks.
        blocks: of the ticket, in order.
        build: makes one and returns its entry.
        seconds: after which no further block is begun.
        clock: seconds.

    Raises:
        OutputError: what ``build`` raises so; any other error of a block stands in the report, because it would only come again.
    """
    began = clock()
    entries: list[BlockEntry] = []
    failed: dict[int, str] = {}
    for number, block in zip(ticket.numbers, blocks, strict=True):
        try:
            entries.append(build(block))
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001  (told block by block)
            failed[number] = str(ItemFailure(error, 1, died=False))
        if clock() - began > seconds:
            break
    return TicketReport(tuple(entries), failed, clock() - began)


class TicketQueue:
    """The missing blocks of a plan as tickets, each made when it is asked for. What a worker returns undone is handed out again.

    It is an iterator that has something again after :meth:`take` gave blocks back, as
    :func:`deepstruc_hpc.runtime.pool.map_over_actors` allows.

    Args:
        plan: of all blocks.
        finished: ids of those that are there.
        workers: that share them.
        seconds: of a ticket.
    """

    def __init__(self, plan: Plan, finished: Iterable[str], workers: int, seconds: float) -> None:
        self._plan, self._workers, self._seconds = plan, workers, seconds
        self._runs = deque(plan.missing(finished))
        self._left = sum(len(run) for run in self._runs)
        self._block_seconds = self._seconds
        self._deaths: Counter[int] = Counter()

    @property
    def n_left(self) -> int:
        """Blocks that are not handed out."""
        return self._left

    def __iter__(self) -> TicketQueue:
        return self

    def __next__(self) -> Ticket:
        if not self._runs:
            raise StopIteration
        run = self._runs.popleft()
        length = min(len(run), self._length())
        if length < len(run):
            self._runs.appendleft(run[length:])
        self._left -= length
        return self._plan.ticket(run[0], length)

    def take(self, ticket: Ticket, outcome: TicketReport | ItemFailure, writer: ManifestWriter, failed: dict[str, str]) -> int:
        """Take a ticket back: its blocks are noted, and what was not made of it is handed out again, block by block where its worker's process ended.

        Args:
            ticket: as it was handed out.
            outcome: of it.
            writer: takes the entries of the blocks that were made.
            failed: takes id and reason of those that were not, and are not tried again.

        Returns:
            How many blocks are dealt with.

        Raises:
            OutputError: the worker could not write.
        """
        if not isinstance(outcome, ItemFailure):
            for entry in outcome.entries:
                writer.add(entry)
            failed.update({self._plan.block_id(number): reason for number, reason in outcome.failed.items()})
            self._block_seconds = outcome.seconds / max(1, outcome.n_blocks)
            self._give_back(ticket.numbers[outcome.n_blocks :])
            return outcome.n_blocks
        if isinstance(outcome.error, OutputError):
            raise outcome.error
        self._deaths.update(ticket.numbers)
        lost = [number for number in ticket.numbers if not outcome.died or self._deaths[number] > DEATHS]
        failed.update({self._plan.block_id(number): str(replace(outcome, attempts=self._deaths[number])) for number in lost})
        for number in ticket.numbers:
            if number not in lost:
                self._give_back(range(number, number + 1))
        return len(lost)

    def _give_back(self, numbers: range) -> None:
        if numbers:
            self._runs.append(numbers)
            self._left += len(numbers)

    def _length(self) -> int:
        """Blocks of the next ticket."""
        share = -(-self._left // (TICKETS_A_WORKER * self._workers))
        return max(1, min(share, int(self._seconds / max(self._block_seconds, 1e-9))))
