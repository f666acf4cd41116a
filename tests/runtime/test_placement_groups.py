"""What a training waits for is said, and room that nobody uses is given back."""

from __future__ import annotations

import time

import pytest

from deepstruc_hpc.runtime import placement_groups
from deepstruc_hpc.runtime.placement_groups import Group, IdleGroups, StartNotice, WaitNotice, groups, in_words, remove_groups, remove_late_groups
from tests.waiting import wait_until


def test_the_words_name_what_is_wanted_what_is_free_and_who_holds_the_rest():
    held = [Group("a", waits=False, bundles=({"CPU": 1.0},)), Group("b", waits=False, bundles=({"CPU": 0.5, "GPU": 1.0},))]
    notices = in_words([{"CPU": 1.0, "GPU": 1.0}] * 2, {"CPU": 0.5}, {"CPU": 4.0, "GPU": 2.0}, held)
    assert notices == (
        "2 workers of 1 CPU and 1 GPU are wanted; of 4 CPU 0.5 are free, of 2 GPU 0 are free; "
        "1.5 CPU, 1 GPU held by other placement groups of this Ray session"
    )


def test_what_can_never_start_is_said_so():
    notices = in_words([{"CPU": 1.0, "GPU": 1.0}] * 4, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, [])
    assert "not so much GPU at all" in notices
    assert "CPU at all" not in notices


@pytest.fixture
def watched(monkeypatch):
    """A notice over a Ray of two cores whose groups the test writes: (notice, groups, what was told)."""

    class Ray:
        @staticmethod
        def available_resources():
            return {"CPU": 0.0}

        @staticmethod
        def cluster_resources():
            return {"CPU": 2.0}

    there: list[Group] = []
    monkeypatch.setattr(placement_groups, "quiet_ray", Ray)
    monkeypatch.setattr(placement_groups, "groups", lambda of_this_job=True: [group for group in there if not of_this_job or group.id != "others"])
    notices: list[str] = []
    return WaitNotice("the training", notices.append), there, notices


OTHERS = Group("others", waits=False, bundles=({"CPU": 2.0},))
OURS = Group("ours", waits=True, bundles=({"CPU": 1.0},))


def test_a_wait_is_told_after_ten_seconds_and_then_ever_more_rarely(watched):
    notice, there, notices = watched
    there[:] = [OTHERS, OURS]
    heard_at = []
    for second in range(100, 700):
        before = len(notices)
        notice.look(float(second))
        heard_at += [second - 100] if len(notices) > before else []
    assert heard_at[0] in range(10, 14)
    assert 4 <= len(heard_at) <= 7
    assert "1 worker of 1 CPU is wanted; of 2 CPU 0 are free; 2 CPU held by other placement groups" in notices[0]


def test_neither_a_short_wait_nor_that_of_somebody_else_is_told(watched):
    notice, there, notices = watched
    there[:] = [OURS]
    notice.look(100.0)
    there[:] = [Group("others", waits=True, bundles=({"CPU": 9.0},))]
    for second in range(105, 200):
        notice.look(float(second))
    there[:] = [OURS]
    notice.look(200.0)
    notice.look(208.0)
    assert notices == []


@pytest.fixture
def starting(monkeypatch):
    """Begins a notice of two workers of one core with so many cores free, and says what it tells while others or they themselves hold all."""
    free = {"CPU": 0.0}

    class Ray:
        available_resources = staticmethod(lambda: dict(free))
        cluster_resources = staticmethod(lambda: {"CPU": 2.0})

    monkeypatch.setattr(placement_groups, "quiet_ray", Ray)
    monkeypatch.setattr(placement_groups, "groups", lambda **_: [])

    def tell(free_at_first, arrived_after):
        free["CPU"] = free_at_first
        notices, waited = [], 0.0
        notice = StartNotice({"CPU": 1.0}, 2, lambda text: notices.append((waited, text)))
        free["CPU"] = 0.0
        while waited < 100.0:
            waited += notice.patience(started=False)
            notice.tell(arrived=waited >= arrived_after)
        return notices

    return tell


def test_workers_that_find_no_room_are_told_at_once(starting):
    notices = starting(free_at_first=0.5, arrived_after=1e9)
    assert [waited for waited, _ in notices] == [10.0, 30.0, 70.0, 150.0]
    assert notices[0][1] == "no worker has started after 10 s: 2 workers of 1 CPU are wanted; of 2 CPU 0 are free."


def test_workers_that_are_starting_in_their_own_cores_are_not_told_as_waiting(starting):
    """They hold both cores: "0 are free" says nothing then. A start that takes minutes is told, with its cause."""
    notices = starting(free_at_first=2.0, arrived_after=1e9)
    assert [waited for waited, _ in notices] == [70.0, 150.0]
    assert "There was room for them: this machine is busy" in notices[0][1]


def test_workers_that_import_are_not_told_as_waiting(starting):
    notices = starting(free_at_first=0.5, arrived_after=5.0)
    assert [waited for waited, _ in notices] == [70.0, 150.0]
    assert "none is ready after 70 s" in notices[0][1]
    assert "wanted" not in notices[0][1]


@pytest.mark.ray
def test_a_group_that_waits_is_told_from_one_that_has_room_and_both_can_be_removed(ray_session_2cpu):
    """Fails if Ray's table, the form of its ids, or the id of the job within them is not what is read here."""
    from ray.util import placement_group

    assert groups() == []
    first = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert first.wait(120)
    second = placement_group([{"CPU": 1}])
    (has_room, waits) = sorted(groups(), key=lambda group: group.waits)
    assert (has_room.id, has_room.waits, has_room.bundles) == (first.id.hex(), False, ({"CPU": 1.0}, {"CPU": 1.0}))
    assert (waits.id, waits.waits) == (second.id.hex(), True)
    assert remove_groups([first.id.hex(), "00"]) == [first.id.hex()]
    assert second.wait(120)
    remove_groups([second.id.hex()])
    wait_until(lambda: not groups())


@pytest.mark.ray
def test_a_group_is_given_back_when_its_workers_have_gone_and_not_before(ray_session_2cpu):
    """Before they came and while one works it stays. Fails if Ray no longer offers a group's room under the names that are read here."""
    import ray
    from ray.util import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    class Worker:
        def ready(self):
            return True

    group = placement_group([{"CPU": 0.5}, {"CPU": 0.5}])
    assert group.wait(120)
    idle = IdleGroups()
    assert [idle.look(float(second)) for second in range(100, 110)] == [[]] * 10
    remote = ray.remote(num_cpus=0.5)(Worker)
    workers = [remote.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, index)).remote() for index in range(2)]
    ray.get([worker.ready.remote() for worker in workers])
    wait_until(lambda: not groups()[0].is_idle(ray.available_resources()))
    assert [idle.look(float(second)) for second in range(110, 120)] == [[]] * 10
    ray.kill(workers[0])
    time.sleep(2)
    assert [idle.look(float(second)) for second in range(120, 130)] == [[]] * 10, "one worker is at work yet"
    ray.kill(workers[1])
    wait_until(lambda: groups()[0].is_idle(ray.available_resources()))
    assert [idle.look(second) for second in (130.0, 131.0)] == [[], []]
    assert idle.look(132.5) == [group.id.hex()]
    wait_until(lambda: not groups())


@pytest.mark.ray
def test_a_group_that_nobody_ever_uses_is_given_back_after_a_minute(ray_session_2cpu):
    """Fails if the trial that waits for the room of a trainer that died before its workers came waits for ever."""
    import ray
    from ray.util import placement_group

    group = placement_group([{"CPU": 0.5}])
    assert group.wait(120)
    idle = IdleGroups()
    assert idle.look(99.0) == [], "Ray may not have reported its room yet"
    wait_until(lambda: groups()[0].is_idle(ray.available_resources()))
    assert [idle.look(float(second)) for second in range(100, 160)] == [[]] * 60
    assert idle.look(162.0) == [group.id.hex()]
    wait_until(lambda: not groups())


@pytest.mark.ray
def test_a_group_that_a_dying_actor_still_makes_is_removed_with_the_others(ray_session_2cpu, monkeypatch):
    """Another one is made as soon as the first has been removed. Fails if what is there at one moment is removed and nothing after it."""
    from ray.util import placement_group

    before = placement_group([{"CPU": 0.1}])
    assert before.wait(120)
    there = placement_group([{"CPU": 0.1}])
    late = []

    def remove_and_make(ids):
        removed = remove_groups(ids)
        if removed and not late:
            late.append(placement_group([{"CPU": 0.1}]))
        return removed

    monkeypatch.setattr(placement_groups, "remove_groups", remove_and_make)
    removed = remove_late_groups({before.id.hex()}, quiet=2.0)
    assert removed == [there.id.hex(), late[0].id.hex()]
    assert [group.id for group in groups()] == [before.id.hex()]
    remove_groups([before.id.hex()])
    wait_until(lambda: not groups())
