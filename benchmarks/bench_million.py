"""One catalog of a million small structures: time, bytes, memory of the driver while it grows, and how long the commands take on it.

Run: python benchmarks/bench_million.py [--structures 1000000] [--workers 1] [--keep STORE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.manifest import Manifest
from deepstruc_hpc.data.store_files import StoreFiles

RECIPE = {
    "name": "million",
    "description": "random clusters of 13 to 60 atoms in the paper's 28 metals, on a short and coarse grid",
    "elements": "paper",
    "nn_distance": "metallic_radius",
    "min_atoms": 13,
    "max_atoms": 60,
    "families": [{"family": "random", "options": {"count": 40000, "seed": 5, "radius": 4.5, "max_layers": 6}}],
    "pdf": {"qmin": 0.7, "qmax": 20.0, "qdamp": 0.04, "uiso": 0.0038, "delta2": 2.0, "rmin": 1.5, "rmax": 12.0, "rstep": 0.1},
}
SAMPLES = 12
CLI = [sys.executable, "-m", "deepstruc_hpc.cli"]


def main() -> None:
    """Build, then time the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="where to leave the store; by default it is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.keep or Path(folder) / "million.zarr"
        recipe = Path(folder) / "million.yaml"
        recipe.write_text(yaml.safe_dump({**RECIPE, "limit": given.structures}))
        build(recipe, store, given.workers)
        commands(store)


def build(recipe: Path, store: Path, workers: int) -> None:
    """Build in a process of its own, which is the driver, and look at its memory as the catalog grows."""
    started = time.perf_counter()
    command = [*CLI, "catalog", "build", str(recipe), "--out", str(store), "--workers", str(workers), "--json"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    samples: list[tuple[float, int, float]] = []
    while driver.poll() is None:
        time.sleep(1.0)
        stored = stored_structures(store)
        if stored and (not samples or stored > samples[-1][1]):
            samples.append((time.perf_counter() - started, stored, memory(driver.pid)))
    report = json.loads(driver.stdout.read()) if driver.stdout else {}
    seconds = time.perf_counter() - started
    count, rate = report["n_structures"], report["structures_a_second"]
    print(f"{count} structures in {seconds:.0f} s with {workers} worker(s), {rate:.0f}/s while blocks are made")
    print(f"{report['n_bytes'] / 1e9:.2f} GB, {report['n_bytes'] / report['n_structures']:.0f} bytes a structure, {report['n_blocks']} blocks")
    print(f"content hash {report['content_hash']}")
    files = [path for path in store.rglob("*") if path.is_file()]
    index = next(store.glob("columns-*.parquet"))
    print(f"{len(files)} files; manifest {(store / 'zarr.json').stat().st_size / 1e6:.2f} MB, index of columns {index.stat().st_size / 1e6:.0f} MB")
    print(f"\n{'structures':>12} {'seconds':>8} {'driver MB':>10}")
    step = max(1, len(samples) // SAMPLES)
    for elapsed, stored, rss in [*samples[:-1:step], samples[-1]]:
        print(f"{stored:>12} {elapsed:>8.0f} {rss:>10.0f}")


def stored_structures(store: Path) -> int:
    """How many structures the manifest names by now."""
    try:
        return sum(block.n_structures for block in Manifest.read(StoreFiles(store)).blocks.values())
    except StoreError:
        return 0


def memory(pid: int) -> float:
    """Resident memory of a process, MB; 0 where it has just ended."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def commands(store: Path) -> None:
    """Each command as a process of its own, its start included."""
    print(f"\n{'command':70} {'seconds':>8}")
    where = 'structure_type == "fcc" and n_atoms < 40 and elements == "Au"'
    for words in (
        ["list", str(store), "--where", where, "--columns", "id,n_atoms,diameter", "--limit", "5"],
        ["list", str(store), "--where", "n_atoms == 55", "--columns", "id,formula", "--format", "csv"],
        ["info", str(store)],
        ["verify", str(store)],
    ):
        started = time.perf_counter()
        done = subprocess.run([*CLI, "catalog", *words], capture_output=True, text=True, check=False)
        shown = " ".join(word if " " not in word else repr(word) for word in ["catalog", *words]).replace(str(store), "STORE")
        print(f"{shown[:70]:70} {time.perf_counter() - started:>8.2f}  (exit {done.returncode}, {len(done.stdout.splitlines())} lines)")


if __name__ == "__main__":
    main()
