"""How the tests are shared between several processes (``pytest -n``, pytest-xdist); without ``-n`` nothing of this does anything.

A module stays whole in one process, so that what it builds once is built once. All modules that need Ray or SLURM, of which the machine has
one, go to the same process, one after the other; so do those of the web application, which share a server.

``--dist loadgroup`` would do the same by marks, but pytest-xdist 3.8 loses them with pytest 9.2 (its issue 1386), and it writes the group
into the names of the tests.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import pytest

MOST = 4
"""Processes at most: of those that hold torch, numba and curves each needs 1 to 2 GB, and the longest group bounds what more of them would gain."""
RAY = "ray"
RAY_MARKS = ("ray", "slurm")
RAY_FIXTURES = ("shared_ray", "ray_session_2cpu")
TOGETHER = ("tests/serve/",)
"""Folders of which all modules go to one process."""
LONG = (
    "tests/solve/test_recipes.py",
    "tests/solve/checks/test_crystal_phases.py",
    "tests/solve/test_examples.py",
    "tests/docs/test_site.py",
    "tests/examples/test_compound_pdfs.py",
    "tests/solve/series/test_run.py",
    "tests/cli/test_solve_command.py",
)
"""Modules of more than 20 s of one core, the longest first: late ones of them would leave the other processes idle at the end."""
_RAY_IN_TEXT = re.compile(rf"\bmark\.({'|'.join(RAY_MARKS)})\b|\b({'|'.join(RAY_FIXTURES)})\b")
_ROOT = Path(__file__).resolve().parents[1]


def how_many():
    """How many processes ``-n auto`` means: the cores that this process may use, four at most."""
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def scheduler(config, log):
    """Hands out whole groups, in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class InGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(module_of(nodeid))

        def remove_node(self, node):
            """A test that ends its process has failed, and is not run again to end the next one; the others of its group are."""
            running = ((unit, name) for unit in self.assigned_work[node].values() for name, completed in unit.items() if not completed)
            unit, crashed = next(running, ({}, None))
            if crashed:
                unit[crashed] = True
            super().remove_node(node)
            return crashed

    config.option.loadscopereorder = False
    return InGroups(config, log)


def module_of(nodeid):
    """The file of a test, from the root."""
    return nodeid.partition("::")[0]


@functools.cache
def group_of(module):
    """What goes to one process."""
    text = (_ROOT / module).read_text(encoding="utf-8")
    return RAY if _RAY_IN_TEXT.search(text) else next((folder for folder in TOGETHER if module.startswith(folder)), module)


def in_order(items):
    """Bring the groups that take longest to the front, in place, so that none begins when the other processes have ended. Modules keep their order.

    Raises:
        UsageError: a test needs Ray, and its module does not say so.
    """
    hidden = [item.nodeid for item in items if _needs_ray(item) and group_of(module_of(item.nodeid)) != RAY]
    if hidden:
        raise pytest.UsageError(f"a test needs Ray, but no mark of its module says so: {hidden[0]}. Mark it with pytest.mark.ray.")
    items.sort(key=lambda item: _rank(group_of(module_of(item.nodeid))))


def _needs_ray(item):
    return any(item.get_closest_marker(name) for name in RAY_MARKS) or not set(RAY_FIXTURES).isdisjoint(getattr(item, "fixturenames", ()))


def _rank(group):
    first = (RAY, *TOGETHER, *LONG)
    return first.index(group) if group in first else len(first)
