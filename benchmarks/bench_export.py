"""How fast a catalog leaves its store as extended XYZ and as Parquet, beside ase.io.write frame by frame.

    python benchmarks/bench_export.py --store big.zarr --limits 10000,100000     # or a catalog of random clusters, made first

Each way runs in a process of its own; its processor time, its largest memory and its bytes are printed, and what 10⁶ such structures would take. With
two limits the second line of a way shows whether its memory grows with the number of structures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAYS = ("extxyz", "parquet", "ase.io.write")


def main() -> None:
    """Print one line a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a catalog; by default one of random clusters is made")
    parser.add_argument("--limits", default="10000", help="structures; several numbers are so many runs")
    parser.add_argument("--plain", type=int, default=500, help="structures that ase.io.write writes")
    parser.add_argument("--max-atoms", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        limits = [int(limit) for limit in arguments.limits.split(",")]
        store = arguments.store or make_store(Path(folder) / "store", max(limits), arguments.max_atoms)
        titles = ("structures", "CPU s / 10⁴", "wall s / 10⁴", "a CPU second", "MB of memory", "bytes each", "CPU min / 10⁶")
        print(f"{'way':14}" + "".join(f"{title:>15}" for title in titles))
        for way, count in [(way, count) for way in WAYS[:-1] for count in limits] + [(WAYS[-1], arguments.plain)]:
            cpu, wall, memory, n_bytes, done = apart(export, store, Path(folder), way, count)
            numbers = (done, cpu / done * 1e4, wall / done * 1e4, done / cpu, memory, n_bytes / done, cpu / done * 1e6 / 60)
            print(f"{way:14}" + "".join(f"{number:15,.2f}" if number < 100 else f"{number:15,.0f}" for number in numbers), flush=True)


def make_store(place: Path, count: int, max_atoms: int) -> Path:
    """A catalog of random clusters at 2,801 points."""
    from deepstruc_hpc.catalog.build import build_catalog
    from deepstruc_hpc.catalog.recipe import Recipe

    family = {"family": "random", "options": {"count": count, "seed": 1}}
    build_catalog(Recipe(name="export", elements=("Au",), min_atoms=13, max_atoms=max_atoms, families=(family,)), place, workers=0, progress=False)
    return place


def export(store: Path, folder: Path, way: str, count: int) -> tuple[float, float, float, int, int]:
    """CPU seconds, wall seconds, MB of memory at most, bytes and number of structures of one way."""
    from deepstruc_hpc.catalog.formats.export import export_catalog
    from deepstruc_hpc.data.catalog_store import Catalog

    catalog = Catalog.open(store)
    target = folder / f"{way}-{count}.extxyz" if way != "parquet" else folder / f"{way}-{count}"
    export_catalog(catalog, folder / "warm.extxyz", "extxyz", limit=1)  # libraries are loaded
    cpu, wall = time.process_time(), time.perf_counter()
    done = plain(catalog, target, count) if way == "ase.io.write" else export_catalog(catalog, target, way, limit=count).structures
    taken = time.process_time() - cpu, time.perf_counter() - wall
    paths = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
    return *taken, most_memory(), sum(path.stat().st_size for path in paths), done


def most_memory() -> float:
    """MB that this process held at most; ``ru_maxrss`` would count what its parent held before it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return float(line.split()[1]) / 1e3


def plain(catalog: Any, target: Path, count: int) -> int:
    """What one would write without the export: each structure as Atoms, appended by ase.io.write."""
    from ase import Atoms
    from ase.io import write

    table = catalog.columns
    done = min(count, len(catalog))
    for number in range(done):
        structure = catalog[number]
        atoms = Atoms(structure.symbols, structure.positions)
        atoms.info = {name: value for name, value in table.iloc[number].items() if value not in ("", None)}
        write(target, atoms, format="extxyz", append=True)
    return done


def apart(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> tuple[Any, ...]:
    """The answer of a function that runs in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


if __name__ == "__main__":
    main()
