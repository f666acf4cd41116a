"""Items over actors: each is done once, failures are rows, dead actors are replaced, and never more is handed out than allowed."""

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.runtime.pool import ItemFailure, map_over_actors
from deepstruc_hpc.runtime.ray_session import ray_session, share_of_cpus
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.ray


class Square:
    def __call__(self, item):
        return item * item


class Niceness:
    def __call__(self, _item):
        return os.nice(0)


class Picky:
    """Refuses odd numbers and counts how often it was asked."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, item):
        (self.folder / f"{item}-{len(list(self.folder.glob(f'{item}-*')))}").touch()
        if item % 2:
            raise PdfFileError(f"{item} is odd")
        return item


class Mortal:
    """Its process is killed by item 3, once or always."""

    def __init__(self, folder, *, always):
        self.folder, self.always = Path(folder), always

    def __call__(self, item):
        mark = self.folder / "died"
        if item == 3 and (self.always or not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item


class Slow:
    """Takes long to make: it goes on once a file is there."""

    def __init__(self, release):
        while not Path(release).exists():
            time.sleep(0.02)

    def __call__(self, item):
        return item


class Unmakeable:
    def __init__(self):
        raise PdfFileError("no model there")

    def __call__(self, item):
        return item


def test_every_item_comes_back_once_with_its_result(ray_session_2cpu):
    heard = []
    results = dict(map_over_actors(Square, range(20), workers=2, on_result=lambda item, result: heard.append((item, result))))
    assert results == {number: number * number for number in range(20)}
    assert sorted(heard) == sorted(results.items())


@pytest.mark.skipif("RAY_worker_niceness" in os.environ, reason="the user has chosen a niceness")
def test_workers_are_as_nice_as_the_command(ray_session_2cpu):
    """Ray's own choice is 15 more: beside two ordinary processes on two cores a minute's work took ten."""
    assert dict(map_over_actors(Niceness, range(2), workers=1)) == dict.fromkeys(range(2), os.nice(0))


def test_an_error_of_the_worker_is_a_row_and_is_not_tried_again(ray_session_2cpu, tmp_path):
    results = dict(map_over_actors(partial(Picky, tmp_path), range(6), workers=1, retries=3))
    assert [results[number] for number in (0, 2, 4)] == [0, 2, 4]
    for number in (1, 3, 5):
        failure = results[number]
        assert isinstance(failure, ItemFailure)
        assert isinstance(failure.error, PdfFileError)
        assert (failure.attempts, failure.died, str(failure)) == (1, False, f"PdfFileError: {number} is odd")
        assert len(list(tmp_path.glob(f"{number}-*"))) == 1


def test_an_item_whose_actor_was_killed_is_done_by_another(ray_session_2cpu, tmp_path):
    results = dict(map_over_actors(partial(Mortal, tmp_path, always=False), range(8), workers=2, retries=1))
    assert results == {number: number for number in range(8)}


def test_an_item_that_always_kills_its_actor_fails_alone(ray_session_2cpu, tmp_path):
    results = dict(map_over_actors(partial(Mortal, tmp_path, always=True), range(6), workers=1, retries=1))
    failure = results.pop(3)
    assert isinstance(failure, ItemFailure)
    assert (failure.died, failure.attempts) == (True, 2)
    assert results == {number: number for number in (0, 1, 2, 4, 5)}


def test_a_worker_that_cannot_be_made_says_why(ray_session_2cpu):
    with pytest.raises(PdfFileError, match="no model there"):
        list(map_over_actors(Unmakeable, range(3), workers=1))


def test_items_are_taken_only_when_there_is_room(ray_session_2cpu):
    """An endless or costly list of items must not be read ahead."""
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    for done, _ in enumerate(map_over_actors(Square, items(), workers=1, max_in_flight=3), start=1):
        assert len(taken) - done <= 3
    assert done == 50


def test_leaving_early_ends_the_actors(ray_session_2cpu):
    import ray

    results = map_over_actors(Square, range(100), workers=1)
    next(results)
    results.close()
    assert dict(map_over_actors(Square, range(3), workers=2)) == {0: 0, 1: 1, 2: 4}
    assert ray.is_initialized()


def test_a_session_that_is_open_is_used_and_left_open(ray_session_2cpu):
    import ray

    with ray_session(7) as inner:
        assert not inner.started_here
        assert inner.cpus == ray_session_2cpu.cpus == 2
    assert ray.is_initialized()


@pytest.mark.parametrize(("cpus", "workers"), [(2, 1), (2, 2), (2, 5), (64, 64), (3, 7), (1, 16)])
def test_all_workers_fit_at_the_same_time(cpus, workers):
    share = share_of_cpus(cpus, workers)
    assert 0 < share <= 1
    assert share * workers <= cpus + 1e-9


def test_a_pool_that_finds_no_room_says_what_it_waits_for_and_begins_when_there_is_some(ray_session_2cpu, monkeypatch, caplog):
    """Somebody else holds both cores of the session for a while. Fails if a build or a solve waits without a word."""
    import ray
    from ray.util import placement_group, remove_placement_group

    from deepstruc_hpc.runtime import placement_groups

    monkeypatch.setattr(placement_groups, "FIRST_NOTICE_SECONDS", 0.5)
    others = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert others.wait(PATIENCE_S)
    wait_until(lambda: not ray.available_resources().get("CPU"))

    def leave_once_it_was_said():
        try:
            wait_until(lambda: "no worker has started" in caplog.text)
        finally:
            remove_placement_group(others)

    leaving = threading.Thread(target=leave_once_it_was_said)
    leaving.start()
    assert dict(map_over_actors(Square, range(4), workers=2)) == {0: 0, 1: 1, 2: 4, 3: 9}
    leaving.join()
    assert "no worker has started" in caplog.text
    assert "2 workers of 1 CPU are wanted; of 2 CPU 0 are free; 2 CPU held by other placement groups" in caplog.text


def test_workers_that_are_being_made_are_not_told_as_waiting_for_room(ray_session_2cpu, monkeypatch, caplog, tmp_path):
    """They hold both cores themselves. Fails if "0 are free" is said while they import."""
    import ray

    from deepstruc_hpc.runtime import placement_groups

    wait_until(lambda: ray.available_resources().get("CPU") == 2)  # the workers of the test before are still leaving
    monkeypatch.setattr(placement_groups, "FIRST_NOTICE_SECONDS", 0.05)
    notices = []
    tell = placement_groups.StartNotice.tell

    def counted(notice, *, arrived):
        notices.append(arrived)
        tell(notice, arrived=arrived)
        if arrived:
            (tmp_path / "release").touch()

    monkeypatch.setattr(placement_groups.StartNotice, "tell", counted)
    assert dict(map_over_actors(partial(Slow, tmp_path / "release"), range(2), workers=2)) == {0: 0, 1: 1}
    assert notices[-1]
    assert "are free" not in caplog.text
