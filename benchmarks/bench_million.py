"""One catalog of many small structures, 10⁵ to 10⁷: time, bytes, memory and processor share of the driver while it grows, and how long commands take.

Run: python benchmarks/bench_million.py [--structures 1000000] [--workers 1] [--keep STORE]

With --keep a run that was stopped goes on with the same line: what is stored stays, also blocks that the manifest does not name yet, and the
figures are those of the rest. Random clusters repeat: of 10.6 million that are asked for 6.9 million are different. --append adds clusters of other
sizes to the store kept, by ``catalog append``, and then times the commands:

    python benchmarks/bench_million.py --structures 10600000 --workers 2 --keep /scratch/ten-million.zarr
    python benchmarks/bench_million.py --structures 3700000 --workers 2 --keep /scratch/ten-million.zarr --append --radius 5.4 --seed 105
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.manifest import Manifest
from deepstruc_hpc.data.store_files import StoreFiles

RECIPE = {
    "name": "million",
    "description": "random clusters in the paper's 28 metals, on a short and coarse grid",
    "elements": "paper",
    "nn_distance": "metallic_radius",
    "pdf": {"qmin": 0.7, "qmax": 20.0, "qdamp": 0.04, "uiso": 0.0038, "delta2": 2.0, "rmin": 1.5, "rmax": 12.0, "rstep": 0.1},
}
ELEMENTS = 28
STREAMS = 8
"""Lists of random shapes, each with a seed of its own: they are listed side by side."""

SAMPLES = 12
CLI = [sys.executable, "-m", "deepstruc_hpc.cli"]


def main() -> None:
    """Build, then time the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="where to leave the store; by default it is removed")
    parser.add_argument("--append", action="store_true", help="add to the store that --keep names")
    parser.add_argument("--radius", type=float, default=4.5, help="of the lattices that clusters are cut from, nearest-neighbour distances")
    parser.add_argument("--atoms", type=int, nargs=2, default=(13, 60), help="fewest and most")
    parser.add_argument("--seed", type=int, default=5, help="of the first list of shapes; the others follow")
    given = parser.parse_args()
    if given.append and given.keep is None:
        parser.error("--append needs --keep STORE, the store to add to")
    with tempfile.TemporaryDirectory() as folder:
        store = given.keep or Path(folder) / "million.zarr"
        recipe = Path(folder) / "million.yaml"
        recipe.write_text(yaml.safe_dump(recipe_of(given.structures, given.radius, given.atoms, given.seed)))
        build(recipe, store, given.workers, append=given.append)
        commands(store)


def recipe_of(structures: int, radius: float, atoms: Sequence[int], seed: int) -> dict[str, object]:
    """About so many structures: a few of the random shapes are equal, and are left out."""
    count = -(-structures // (ELEMENTS * STREAMS))
    options = {"count": count, "radius": radius, "max_layers": 6}
    families = [{"family": "random", "options": {**options, "seed": seed + number}} for number in range(STREAMS)]
    return {**RECIPE, "min_atoms": atoms[0], "max_atoms": atoms[1], "families": families}


def build(recipe: Path, store: Path, workers: int, *, append: bool) -> None:
    """Build, or add to what is there, in a process of its own, which is the driver, and look at its memory as the catalog grows."""
    started = time.perf_counter()
    words = ["append", str(recipe), str(store)] if append else ["build", str(recipe), "--out", str(store)]
    command = [*CLI, "catalog", *words, "--workers", str(workers), "--json"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    samples: list[tuple[float, int, float, float]] = []
    last_block, spent, largest = 0.0, (0.0, 0.0), 0.0
    while driver.poll() is None:
        time.sleep(1.0)
        stored, used = stored_structures(store), usage(driver.pid)
        if used is None:
            continue
        spent, largest = (used.cpu, used.wall), max(largest, used.megabytes)
        if stored and (not samples or stored > samples[-1][1]):
            last_block = time.perf_counter() - started
            samples.append((last_block, stored, used.megabytes, used.cpu))
    report = json.loads(driver.stdout.read()) if driver.stdout else {}
    seconds = time.perf_counter() - started
    count = report["n_structures"]
    print(f"{count} structures, {report['n_new']} of them made in {seconds:.0f} s with {workers} worker(s), load {os.getloadavg()[0]:.0f}")
    print(f"{report['n_bytes'] / 1e9:.2f} GB, {report['n_bytes'] / count:.0f} bytes a structure, {report['n_blocks']} blocks")
    print(f"content hash {report['content_hash']}; peak memory of the driver {largest:.0f} MB")
    made = max(1, report["n_built"])
    print(f"driver: {spent[0]:.1f} s of processor in {spent[1]:.0f} s, start, plan and index included")
    if len(samples) > 1:
        (first, before, _, cpu), (end, after, _, cpu_end) = samples[0], samples[-1]
        blocks = max(1.0, (after - before) / count * report["n_blocks"])
        share = (cpu_end - cpu) / max(1e-9, end - first)
        print(f"while blocks are made: {1000 * (cpu_end - cpu) / blocks:.1f} ms of the driver a block, {share:.1%} of one core ({made} blocks made)")
    print(f"after the last blocks were named, index and card: {seconds - last_block:.1f} s (asked for: 60 s at most)")
    if samples:
        print(f"memory of the driver: {samples[0][2]:.0f} MB at {samples[0][1]} structures, {samples[-1][2]:.0f} MB at {samples[-1][1]}")
    files = [path for path in store.rglob("*") if path.is_file()]
    index = sum(path.stat().st_size for path in files if path.parent.name == "index")
    print(f"{len(files)} files; manifest {(store / 'zarr.json').stat().st_size / 1e6:.2f} MB, index of columns {index / 1e6:.0f} MB")
    print(f"\n{'structures':>12} {'seconds':>8} {'driver MB':>10} {'its cpu s':>10}")
    step = max(1, len(samples) // SAMPLES)
    for elapsed, stored, rss, cpu in [*samples[:-1:step], *samples[-1:]]:
        print(f"{stored:>12} {elapsed:>8.0f} {rss:>10.0f} {cpu:>10.1f}")


@dataclass(frozen=True)
class Usage:
    """Of a process: seconds of processor, seconds since its start, resident memory."""

    cpu: float
    wall: float
    megabytes: float


def stored_structures(store: Path) -> int:
    """How many structures the manifest names by now."""
    try:
        return sum(block.n_structures for block in Manifest.read(StoreFiles(store)).blocks.values())
    except StoreError:
        return 0


def usage(pid: int) -> Usage | None:
    """What a process has used; nothing where it has just ended."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Usage(times.user + times.system, time.time() - process.create_time(), process.memory_info().rss / 1e6)
    except psutil.Error:
        return None


def commands(store: Path) -> None:
    """Each command as a process of its own, its start included."""
    print(f"\n{'command':82} {'wall s':>8} {'cpu s':>8}")
    where = 'structure_type == "fcc" and n_atoms < 40 and elements == "Au"'
    for words in (
        ["--help"],
        ["list", str(store), "--where", where, "--columns", "id,n_atoms,diameter", "--limit", "5"],
        ["list", str(store), "--where", "n_atoms == 55"],
        ["list", str(store), "--where", "n_atoms == 55", "--columns", "id,formula", "--format", "csv"],
        ["sql", str(store), "select structure_type, count(*) as n, avg(diameter) as d from catalog group by all order by n"],
        ["info", str(store)],
        ["verify", str(store)],
    ):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([*CLI, "catalog", *words], capture_output=True, text=True, check=False)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        shown = " ".join(word if " " not in word else repr(word) for word in ["catalog", *words]).replace(str(store), "STORE")
        print(f"{shown[:82]:82} {seconds:>8.2f} {cpu:>8.2f}  (exit {done.returncode}, {len(done.stdout.splitlines())} lines)", flush=True)


if __name__ == "__main__":
    main()
