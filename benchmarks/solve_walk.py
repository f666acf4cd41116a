"""The way of one PDF through ``deepstruc_hpc.solve``: which modules it enters, in which order, and how often it comes back to one.

A reader who follows the calls reads a function where it is called first. So the walk is the order of first calls from ``Solver._solve``, and a return
is a step to a module that was left before. Counted for public functions (private helpers, and the methods of the value objects that travel along the
line, are read with their modules) and for everything. Usage: python benchmarks/solve_walk.py [FILE] [--elements Au]
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from deepstruc_hpc.core.steps import Steps
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.run.artefacts import NamedArtefacts, resolve_sources
from deepstruc_hpc.solve.run.inputs import make_items
from deepstruc_hpc.solve.run.output import ItemRecord
from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "pdfs" / "sample-02-Pt.gr"
PACKAGE = "deepstruc_hpc."


def walk(path: Path, settings: SolveSettings) -> list[tuple[str, str]]:
    """(module, function) in the order of their first calls."""
    found = resolve_sources(NamedArtefacts(), settings.sources)
    solver = Solver(WorkerPlan(Path("walk"), settings, found.model, found.catalog))
    item = make_items([path.resolve()], {}, {})[0]
    seen: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.startswith(PACKAGE) and not frame.f_code.co_name.startswith("<"):
            seen.setdefault((name.removeprefix(PACKAGE), frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        solver._solve(item, ItemRecord(file=str(item.path), folder=item.folder), Steps("read"))  # noqa: SLF001 - the line that is followed
    finally:
        sys.setprofile(None)
    return list(seen)


def main() -> None:
    """Print the walk through solve/ and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=EXAMPLE)
    parser.add_argument("--elements", default="")
    options = parser.parse_args()
    calls = walk(options.path, SolveSettings(elements=options.elements))
    solving = [(name.removeprefix("solve."), function) for name, function in calls if name.startswith("solve.")]
    public = [(name, function) for name, function in solving if "." not in function and not function.startswith("_")]
    for words, part in (("public functions of solve", public), ("all of solve", solving), ("all of the package", calls)):
        print(f"{words}: {_counted([name for name, _ in part])}")
    for name, function in public:
        print(f"  {name:28} {function}")


def _counted(names: list[str]) -> str:
    steps = [names[0], *(after for before, after in pairwise(names) if after != before)]
    returns = sum(step in steps[:place] for place, step in enumerate(steps))
    return f"{len(set(steps))} modules, {returns} returns to one that was left before"


if __name__ == "__main__":
    main()
