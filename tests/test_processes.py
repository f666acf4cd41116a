"""How tests are shared between processes: modules whole, all that need Ray in one place, and nothing that needs it elsewhere."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import processes

RAY_MODULES = ("tests/runtime/test_pool.py", "tests/runtime/test_slurm_real.py", "tests/training/test_train_ray.py")
OTHERS = ("tests/core/test_files.py", "tests/physics/test_fit.py")


def item(nodeid, *marks, fixtures=()):
    return SimpleNamespace(nodeid=nodeid, fixturenames=fixtures, get_closest_marker=lambda name: name in marks)


class Process:
    """Stands for one of xdist's, and notes which tests it is told to run."""

    shutting_down = False

    def __init__(self):
        self.sent, self.gateway = [], SimpleNamespace(id="process")
        self.send_runtest_some = self.sent.extend

    def shutdown(self):
        self.shutting_down = True


def test_modules_stay_whole_and_those_that_need_ray_or_share_a_server_go_together():
    assert {processes.group_of(module) for module in RAY_MODULES} == {processes.RAY}
    assert [processes.group_of(module) for module in OTHERS] == list(OTHERS)
    assert processes.group_of("tests/serve/test_api.py") == processes.group_of("tests/serve/test_faults.py") not in {processes.RAY, *OTHERS}


def test_long_modules_are_there():
    """Fails when one was renamed, and so goes last."""
    assert [name for name in (*processes.TOGETHER, *processes.LONG) if not (Path(__file__).parents[1] / name).exists()] == []


def test_the_longest_groups_come_first_and_modules_keep_their_order():
    names = [f"{module}::test_{number}" for module in (*OTHERS, "tests/serve/test_api.py", *RAY_MODULES) for number in (2, 1)]
    items = [item(name) for name in names]
    processes.in_order(items)
    assert [one.nodeid for one in items] == names[6:] + names[4:6] + names[:4]


@pytest.mark.parametrize(("marks", "fixtures"), [(processes.RAY_MARKS[:1], ()), ((), processes.RAY_FIXTURES[1:])])
def test_a_test_that_needs_ray_without_a_word_in_its_module_is_refused(marks, fixtures):
    """Fails when it would run beside the others: two Ray sessions at once."""
    hidden = item(f"{OTHERS[0]}::test_a", *marks, fixtures=fixtures)
    with pytest.raises(pytest.UsageError, match=f"{OTHERS[0]}::test_a"):
        processes.in_order([item(f"{OTHERS[1]}::test_b"), hidden])


def test_xdist_hands_out_by_these_groups():
    """Fails when a new pytest-xdist asks for the groups under another name: each test would be a group of its own."""
    pytest.importorskip("xdist")
    scheduler = processes.scheduler(SimpleNamespace(option=SimpleNamespace(), getvalue=lambda _: ["2*popen"]), None)
    nodes = [Process(), Process()]
    tests = [f"{module}::test_{number}" for module in (*RAY_MODULES, *OTHERS) for number in range(5)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    assert [node.sent for node in nodes] == [list(range(15)), list(range(15, 20))]
    for number in range(7):
        scheduler.mark_test_complete(nodes[0], number)
    assert scheduler.remove_node(nodes[0]) == tests[7], "the test that its process did not survive"
    scheduler.add_node(third := Process())
    scheduler.add_node_collection(third, tests)
    scheduler.schedule()
    for number in range(20, 25):
        scheduler.mark_test_complete(third, number)
    assert third.sent == [*range(20, 25), *range(8, 15)], "what waited, then what is left of the group, and not what ended the process"


def test_there_are_as_many_processes_as_cores_and_not_more_than_a_few(monkeypatch):
    for cores, wanted in ((1, 1), (2, 2), (4, 4), (128, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        assert processes.how_many() == wanted
