"""Speed of catalog builds, reads and queries; beside them the paper's way, one structure at a time with ase and DebyeCalculator, where installed.

Run: python benchmarks/bench_catalog.py [--recipes monometallic,extended] [--limit N] [--workers 1,2] [--peer 40]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.catalog import blocks
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.recipe import Recipe, load_recipe
from deepstruc_hpc.data import manifest
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.runtime.ray_session import ray_session


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="monometallic")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--peer", type=int, default=40, help="structures for the peer; 0: none")
    given = parser.parse_args()
    for name in given.recipes.split(","):
        recipe = load_recipe(name, limit=given.limit)
        with tempfile.TemporaryDirectory() as folder:
            stages(recipe, Path(folder) / "stages")
            builds(recipe, Path(folder), [int(number) for number in given.workers.split(",")])
            reads(Catalog.open(Path(folder) / "stages"))
    if given.peer:
        peer(given.peer)


def stages(recipe: Recipe, store: Path) -> None:
    """Share of each stage in a build without Ray."""
    clock: Counter[str] = Counter()
    started = time.perf_counter()
    make_plan(recipe)
    clock["list shapes"] = time.perf_counter() - started
    parts = (
        (blocks, "_build", "build structures"),
        (blocks, "simulate_pdf_batch", "simulate PDFs"),
        (manifest, "encode_block", "encode"),
        (manifest.StoreFiles, "write", "write and sync"),
    )
    with ExitStack() as stack:
        for owner, name, label in parts:
            stack.enter_context(timed(owner, name, label, clock))
        report = build_catalog(recipe, store, workers=0, progress=False)
    clock["rest"] = max(0.0, report.seconds - sum(clock.values()) + clock["list shapes"])
    rate, size = report.n_structures / report.seconds, report.n_bytes / report.n_structures
    print(
        f"\n{recipe.name}: {report.n_structures} structures in one process without Ray: {report.seconds:.1f} s, {rate:.0f}/s, {size:.0f} bytes each"
    )
    for name, seconds in clock.most_common():
        print(f"  {name:18} {seconds:7.2f} s")


@contextmanager
def timed(owner: Any, name: str, label: str, clock: Counter[str]) -> Iterator[None]:
    """Adds the time spent in a function to the clock."""
    original: Callable[..., Any] = getattr(owner, name)

    def wrapper(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            clock[label] += time.perf_counter() - started  # type: ignore[assignment]

    setattr(owner, name, wrapper)
    try:
        yield
    finally:
        setattr(owner, name, original)


def builds(recipe: Recipe, folder: Path, workers: list[int]) -> None:
    """Builds with actors, Ray being up and the actors' modules imported anew in each."""
    print(f"\n{'workers':>8} {'seconds':>8} {'structures/s':>13} {'content hash':>14} {'driver MB':>10}")
    with ray_session(max(workers)):
        for count in workers:
            report = build_catalog(recipe, folder / f"workers-{count}", workers=count, progress=False)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{count:>8} {report.seconds:>8.1f} {report.n_new / report.seconds:>13.0f} {report.content_hash[:12]:>14} {peak:>10.0f}")


def reads(catalog: Catalog) -> None:
    """Reading back."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(catalog), min(200, len(catalog)), replace=False)
    print()
    measure("all PDFs, block by block", len(catalog), lambda: [catalog.block_pdf(number) for number in range(len(catalog.blocks))])
    measure("random PDFs, one at a time", len(chosen), lambda: [catalog.pdf[int(number)] for number in chosen])
    measure("all structures", len(catalog), lambda: list(catalog))
    measure("list --where", len(catalog), lambda: catalog.query('structure_type == "fcc" and n_atoms < 100', ["id", "n_atoms"]))


def measure(label: str, count: int, work: Callable[[], object]) -> None:
    """Print the rate of the second of two calls."""
    work()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    print(f"  {label:28} {seconds:8.3f} s {count / seconds:12.0f} a second")


def peer(count: int) -> None:
    """The paper's way: ase builds a cluster, DebyeCalculator makes its G(r), one after the other."""
    try:
        from ase.cluster import Icosahedron, Octahedron
        from debyecalculator import DebyeCalculator
    except ImportError as missing:
        print(f"\nthe peer is not installed ({missing.name}): pip install ase DebyeCalculator==1.1.1")
        return
    calculator = DebyeCalculator(qmin=0.7, qmax=25.0, qdamp=0.04, biso=0.3, rmin=2.0, rmax=30.0, rstep=0.01, device="cpu")
    metals = ("Au", "Pt", "Ag", "Pd", "Cu", "Ni")
    started, atoms = time.perf_counter(), 0
    for number in range(count):
        symbol = metals[number % len(metals)]
        cluster = Icosahedron(symbol, 2 + number % 3) if number % 2 else Octahedron(symbol, 3 + number % 4)
        atoms += len(cluster)
        calculator.gr((list(cluster.symbols), cluster.positions))
    seconds = time.perf_counter() - started
    print(
        "\n"
        + json.dumps(
            {"peer": "ase + DebyeCalculator", "structures": count, "mean_atoms": atoms / count, "structures_a_second": round(count / seconds, 1)}
        )
    )


if __name__ == "__main__":
    main()
