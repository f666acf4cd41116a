"""Every block is made once or told as failed, whatever workers do, and what an interrupted build had made is taken up."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepstruc_hpc.catalog import build, tickets
from deepstruc_hpc.catalog.blocks import BlockBuilder
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.tickets import DEATHS, LONGEST_TICKET, SHORTEST_TICKET, TicketQueue, TicketReport, ticket_seconds, work_through
from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.data.manifest import ROOT, BlockEntry
from deepstruc_hpc.runtime.pool import ItemFailure
from tests.catalog.recipes import small_recipe

PLAN = make_plan(small_recipe(block_size=1, max_atoms=60, elements=("Au", "Pt", "Pd", "Ag")))


class Entries(list):
    """Stands for the writer of the manifest."""

    def add(self, entry):
        self.append(entry.id)


def entry(number):
    return BlockEntry(str(number), "", 1, 1, "", "", 0)


def work(queue, workers, outcome_of, most=10_000):
    """Hand out to so many workers, take back in any order; ids of blocks that were made, the failed ones, and lengths of tickets as handed out."""
    rng, made, failed, running, lengths = random.Random(0), Entries(), {}, [], []
    for _ in range(most):
        while len(running) < workers and (ticket := next(queue, None)) is not None:
            running.append(ticket)
            lengths.append(len(ticket.numbers))
        if not running:
            return list(made), failed, lengths
        ticket = running.pop(rng.randrange(len(running)))
        queue.take(ticket, outcome_of(ticket), made, failed)
    raise AssertionError("no end")


def report(ticket, done, seconds):
    return TicketReport(tuple(entry(number) for number in ticket.numbers[:done]), {}, seconds)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([0.001, 1.3, 5.3, 200.0]))
def test_every_block_is_made_once_whatever_workers_return_undone_and_whoever_dies(workers, seed, block_seconds):
    """Fails if blocks of a ticket that was cut short or lost are forgotten or handed out twice."""
    rng = random.Random(seed)

    def outcome(ticket):
        if rng.random() < 0.2:
            return ItemFailure(RuntimeError("gone"), 1, died=True)
        return report(ticket, rng.randint(1, len(ticket.numbers)), block_seconds)

    done = PLAN.block_ids[3:5]
    made, failed, _ = work(TicketQueue(PLAN, done, workers, 10.0), workers, outcome)
    wanted = set(range(PLAN.n_blocks)) - {3, 4}
    lost = {int(name.split("-")[1]) for name in failed}
    assert sorted(int(name) for name in made) == sorted(wanted - lost)
    assert lost <= wanted
    assert all(f"ended {DEATHS + 1} times" in reason for reason in failed.values())


def test_a_block_that_always_ends_its_process_fails_alone():
    """Fails if the other blocks of its ticket fail with it."""

    def outcome(ticket):
        return ItemFailure(RuntimeError("gone"), 1, died=True) if 17 in ticket.numbers else report(ticket, len(ticket.numbers), 0.1)

    made, failed, _ = work(TicketQueue(PLAN, [], 2, 10.0), 2, outcome)
    assert list(failed) == [PLAN.block_id(17)]
    assert len(made) == PLAN.n_blocks - 1


@pytest.mark.parametrize(("block_seconds", "longest"), [(0.0, 10**6), (5.3, 11), (25.0, 2), (100.0, 1)])
def test_a_ticket_takes_its_seconds_and_less_towards_the_end(block_seconds, longest):
    """Fails if a slow block waits behind others for long, or if one worker is left with much when the others have nothing."""
    workers = 3
    _, _, lengths = work(
        TicketQueue(PLAN, [], workers, 60.0), workers, lambda ticket: report(ticket, len(ticket.numbers), block_seconds * len(ticket.numbers))
    )
    assert lengths[:workers] == [1] * workers  # nothing is known of the speed yet
    handed_out = 0
    for length in lengths:
        assert length <= max(1, longest)
        assert length <= -(-(PLAN.n_blocks - handed_out) // (2 * workers))
        handed_out += length
    assert handed_out == PLAN.n_blocks
    assert max(lengths) == min(longest, max(lengths[workers:]))


def test_few_workers_report_often_and_many_seldom_enough_for_one_driver():
    """Fails if a bar of two workers stands still for a minute, or if the reports of 5,000 workers grow with their number."""
    assert ticket_seconds(2) == SHORTEST_TICKET <= 10.0
    assert ticket_seconds(10**6) == LONGEST_TICKET
    assert all(workers / ticket_seconds(workers) <= 45.0 for workers in range(1, 5200, 100))


def test_a_worker_stops_after_its_time_and_tells_failures_block_by_block():
    ticket, now = PLAN.ticket(4, 20), [0.0]

    def make(number):
        now[0] += 11.0
        if number == 6:
            raise ValueError("no such shape")
        return entry(number)

    found = work_through(ticket, ticket.numbers, make, 60.0, lambda: now[0])
    assert [one.id for one in found.entries] == ["4", "5", "7", "8", "9"]
    assert found.failed == {6: "ValueError: no such shape"}
    assert found.seconds == 66.0
    with pytest.raises(OutputError):
        work_through(ticket, ticket.numbers, lambda _number: (_ for _ in ()).throw(OutputError("full")), 60.0, lambda: 0.0)


def test_blocks_that_an_interrupted_build_had_made_are_taken_up_and_damaged_ones_made_again(tmp_path, monkeypatch):
    """The driver ends after four blocks, with a manifest that names one of them, and one of the others is damaged."""
    whole = build_catalog(small_recipe(block_size=2), tmp_path / "reference", workers=0, progress=False)
    store, left, make = tmp_path / "store", [4], BlockBuilder.__call__

    def four(builder, block):
        if not left[0]:
            raise OutputError("the end")
        left[0] -= 1
        return make(builder, block)

    monkeypatch.setattr(BlockBuilder, "__call__", four)
    with pytest.raises(OutputError):
        build_catalog(small_recipe(block_size=2), store, workers=0, progress=False)
    monkeypatch.undo()
    manifest = Catalog.open(store).manifest
    names = sorted(manifest.blocks)
    assert len(names) == 4
    (store / ROOT).write_bytes(replace(manifest, blocks={names[0]: manifest.blocks[names[0]]}).to_bytes())
    damaged = store / manifest.blocks[names[2]].path
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    report = build_catalog(small_recipe(block_size=2), store, workers=0, progress=False)
    assert (report.n_found, report.n_built) == (3, whole.n_blocks - 3)
    assert report.content_hash == whole.content_hash
    assert verify(Catalog.open(store)) == []
    assert Catalog.open(store).manifest.blocks[names[1]].path == manifest.blocks[names[1]].path


@pytest.mark.ray
def test_tickets_of_many_blocks_give_the_content_of_one_process(ray_session_2cpu, tmp_path, monkeypatch):
    """Real actors, tickets longer than one block: they report them whole, and the hash is that of one process."""
    recipe = small_recipe(block_size=1)
    monkeypatch.setattr(tickets, "TICKETS_A_WORKER", 1)
    lengths, ticket_of = [], build.TicketQueue.__next__

    def counted(queue):
        ticket = ticket_of(queue)
        lengths.append(len(ticket.numbers))
        return ticket

    monkeypatch.setattr(build.TicketQueue, "__next__", counted)
    one = build_catalog(recipe, tmp_path / "one", workers=0, progress=False)
    two = build_catalog(recipe, tmp_path / "two", workers=2, progress=False)
    assert two.content_hash == one.content_hash
    assert sum(lengths) == one.n_blocks
    assert max(lengths) > 1
