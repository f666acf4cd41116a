"""What a person waits for: whole commands on a cold process, seconds by the clock and seconds of the processor.

    python benchmarks/bench_startup.py [--only help,train] [--repeat 1]

Every command runs in a process of its own with an empty cache folder, one after another. "First step" ends where the first epoch, of one step, its
validation and its checkpoint, is written; the note says when that epoch began. Seconds of the processor are those of the command and of all
processes that it started, read five times a second: on a busy machine they tell more than the clock. The goals are those for two idle cores.
The first run after an installation, or after a change of the code, also compiles Numba's functions; a small run before the table does that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "pdfs"
READ_SECONDS = 0.2


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        key: for ``--only``.
        title: of the row.
        goal: seconds by the clock on two idle cores.
        words: of the command.
        until: when the clock stops, where that is before the command's end; called with nothing.
    """

    key: str
    title: str
    goal: float
    words: tuple[str, ...]
    until: Callable[[], bool] | None = None


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="example: python benchmarks/bench_startup.py --only help,train")
    parser.add_argument("--only", default="", help="keys: help,demo,paper,train,train2,solve")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each")
    options = parser.parse_args()
    wanted = set(options.only.split(",")) - {""}
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, {options.repeat} run(s) of each"
    )
    print(f"{'command':<44}{'goal s':>8}{'clock s':>9}{'processor s':>13}  note")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        store = f"{scratch}/demo.zarr"
        subprocess.run(command(("catalog", "build", "demo", "--out", store, "--workers", "0")), check=True, capture_output=True)
        for number in range(options.repeat):
            for case in cases(Path(scratch), store, number):
                if not wanted or case.key in wanted:
                    clock, processor, note = measured(case, Path(scratch) / f"cache-{case.key}-{number}")
                    print(f"{case.title:<44}{case.goal:>8.1f}{clock:>9.1f}{processor:>13.1f}  {note}", flush=True)


def cases(scratch: Path, store: str, number: int) -> list[Case]:
    """The rows, with folders of their own."""
    train = ("--config", "demo", "--set", "stop_after=1", "--set", "samples_per_epoch=96")
    paper = f"{scratch}/paper-{number}.zarr"
    runs = {workers: scratch / f"run-{workers}-{number}" for workers in (1, 2)}
    return [
        Case("help", "--help", 0.3, ("--help",)),
        Case("demo", "catalog build demo", 8.0, ("catalog", "build", "demo", "--out", f"{scratch}/demo-{number}.zarr")),
        Case("paper", "catalog build monometallic (the paper's)", 12.0, ("catalog", "build", "monometallic", "--out", paper)),
        *(
            Case(
                "train" if workers == 1 else "train2",
                f"train --workers {workers}, first step",
                25.0,
                ("train", store, "--out", str(run), "--workers", str(workers), *train),
                until=(run / "epochs.jsonl").is_file,
            )
            for workers, run in runs.items()
        ),
        Case("solve", "solve, one PDF", 15.0, ("solve", str(first_example()), "--out", f"{scratch}/solved-{number}")),
    ]


def first_example() -> Path:
    """One of the example curves."""
    return min(EXAMPLE.glob("*.gr"))


def command(words: Sequence[str]) -> list[str]:
    """The program's command in this interpreter."""
    return [sys.executable, "-m", "deepstruc_hpc", *words]


def measured(case: Case, cache: Path) -> tuple[float, float, str]:
    """Seconds by the clock and of the processor until the case's end, and a note."""
    began, wall, before = time.monotonic(), time.time(), reaped()
    environment = {**os.environ, "DEEPSTRUC_HPC_CACHE": str(cache)}
    with subprocess.Popen(command(case.words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        seconds: dict[int, float] = {}
        parent = psutil.Process(process.pid)
        while process.poll() is None and not (case.until and case.until()):
            read_processor(parent, seconds)
            time.sleep(READ_SECONDS if case.goal > 1 else 0.01)
        clock = time.monotonic() - began
        if process.poll() is None:
            read_processor(parent, seconds)
        _, errors = process.communicate()
    if process.returncode:
        return clock, sum(seconds.values()), f"exit code {process.returncode}: {errors.decode().strip().splitlines()[-1]}"
    return clock, sum(seconds.values()) if case.until else max(sum(seconds.values()), reaped() - before), note_of(case, wall)


def reaped() -> float:
    """Processor's seconds of all processes below this one that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def note_of(case: Case, wall: float) -> str:
    """Of a training, when its first epoch began."""
    if not case.key.startswith("train"):
        return ""
    first = json.loads((Path(case.words[case.words.index("--out") + 1]) / "epochs.jsonl").read_text(encoding="utf-8").splitlines()[0])
    return f"the epoch began at {first['time'] - first['seconds'] - wall:.1f} s"


def read_processor(parent: psutil.Process, seconds: dict[int, float]) -> None:
    """Take in the processor's seconds of a process and of all below it; a process that ended keeps what was read last."""
    try:
        alive = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in alive:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds[process.pid] = times.user + times.system


if __name__ == "__main__":
    main()
