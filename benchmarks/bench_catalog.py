"""Speed of catalogs: listing, building with 1 and 2 workers, reading, querying; beside them the paper's way, one structure at a time.

The paper's way is ase's cluster builders and DebyeCalculator 1.1.1 (pip install ase DebyeCalculator==1.1.1) on the same shapes.

Run: python benchmarks/bench_catalog.py [--recipes monometallic,extended] [--most 3000] [--workers 1,2] [--peer 60]
"""

from __future__ import annotations

import argparse
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
from deepstruc_hpc.catalog.build import BuildReport, build_missing, open_or_create
from deepstruc_hpc.catalog.plan import Plan, make_plan
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.data import manifest
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.pdf_stream import pdf_batches
from deepstruc_hpc.data.splits import split_rows
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.physics.simulate import simulate_pdf_batch
from deepstruc_hpc.runtime.ray_session import ray_session


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="monometallic,extended")
    parser.add_argument("--most", type=int, default=3000, help="structures that are built of a larger recipe, evenly from its list")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--peer", type=int, default=60, help="structures of the first recipe for the peer; 0: none")
    given = parser.parse_args()
    workers = [int(number) for number in given.workers.split(",")]
    with ExitStack() as session:
        for number, name in enumerate(given.recipes.split(",")):
            plan = listed(name, max(workers), session, given.most)
            with tempfile.TemporaryDirectory() as folder:
                alone = stages(plan, Path(folder) / "stages")
                session.enter_context(ray_session(max(workers)))
                for count in workers:
                    with_actors(plan, Path(folder) / f"workers-{count}", count, alone)
                reads(Catalog.open(Path(folder) / "stages"))
            if not number and given.peer:
                peer(plan, given.peer)


def listed(name: str, workers: int, session: ExitStack, most: int) -> Plan:
    """The recipe's structures, cut to what is built here."""
    recipe = load_recipe(name)
    started = time.perf_counter()
    plan = make_plan(recipe, workers=workers, session=session)
    seconds = time.perf_counter() - started
    print(f"\n== {name}: {len(plan.shapes)} shapes listed in {seconds:.1f} s (up to {workers} actors), {len(plan)} structures", flush=True)
    return plan if len(plan) <= max(most, 4000) else Plan(recipe.updated(limit=most), plan.shapes)


def build(plan: Plan, store: Path, workers: int) -> BuildReport:
    """The plan into a new store."""
    files = StoreFiles(store)
    return build_missing(files, open_or_create(files, plan), plan, workers=workers, progress=False)


def stages(plan: Plan, store: Path) -> BuildReport:
    """Share of each stage in a build without Ray."""
    clock: Counter[str] = Counter()
    parts = (
        (blocks, "_build", "build structures"),
        (blocks, "simulate_pdf_batch", "simulate PDFs"),
        (manifest, "encode_block", "encode"),
        (manifest, "pack", "encode"),
        (manifest.StoreFiles, "write", "write and sync"),
    )
    with ExitStack() as stack:
        for owner, name, label in parts:
            stack.enter_context(timed(owner, name, label, clock))
        report = build(plan, store, 0)
    clock["hashes, columns, index"] = max(0.0, report.seconds - sum(clock.values()))  # type: ignore[assignment]
    size, atoms = report.n_bytes / report.n_structures, plan.n_atoms() / len(plan)
    print(f"{len(plan)} structures of {atoms:.0f} atoms on average, {len(plan.recipe.pdf.r)} points, {size:.0f} bytes each")
    print(f"{'stage':24} {'seconds':>8} {'share':>7}   (one process, no Ray)")
    for name, seconds in clock.most_common():
        print(f"{name:24} {seconds:>8.2f} {seconds / report.seconds:>7.0%}")
    print(f"\n{'workers':>8} {'seconds':>8} {'structures/s':>13} {'content hash':>14} {'driver MB':>10}")
    line(report, 0)
    return report


def with_actors(plan: Plan, store: Path, workers: int, alone: BuildReport) -> None:
    """A build by actors, Ray being up; starting the actors and importing their modules counts."""
    report = build(plan, store, workers)
    line(report, workers)
    if report.content_hash != alone.content_hash:
        raise SystemExit(f"{workers} workers made other content than one process")


def line(report: BuildReport, workers: int) -> None:
    """One row of the table of builds."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{workers:>8} {report.seconds:>8.1f} {report.n_new / report.seconds:>13.0f} {report.content_hash[:12]:>14} {peak:>10.0f}", flush=True)


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


def reads(catalog: Catalog) -> None:
    """Reading back."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(catalog), min(500, len(catalog)), replace=False)
    train = split_rows(catalog.columns, "shape").train
    print()
    measure("all PDFs, block by block", len(catalog), lambda: [np.array(catalog.block_pdf(number)) for number in range(len(catalog.blocks))])
    measure("random PDFs, one at a time", len(chosen), lambda: [catalog.pdf[int(number)] for number in chosen])
    measure("all structures", len(catalog), lambda: list(catalog))
    measure("list --where", len(catalog), lambda: catalog.query('structure_type == "fcc" and n_atoms < 100', ["id", "n_atoms"]))
    for readers in (1, 2, 4):
        measure(f"shuffled batches, {readers} reader(s)", len(train), lambda count=readers: stream(catalog, train, count))  # type: ignore[misc]


def stream(catalog: Catalog, rows: np.ndarray[Any, Any], readers: int) -> None:
    """One epoch of the training rows, 256 at a time."""
    for _ in pdf_batches(catalog, rows, batch_size=256, seed=0, readers=readers):
        pass


def measure(label: str, count: int, work: Callable[[], object]) -> None:
    """Print the rate of the best of four calls."""
    taken = []
    for _ in range(4):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    print(f"{label:30} {min(taken):>8.3f} s {count / min(taken):>12.0f} a second", flush=True)


def peer(plan: Plan, count: int) -> None:
    """The paper's way on structures taken evenly from the plan, beside ours on the same ones."""
    try:
        import ase  # noqa: F401
        from debyecalculator import DebyeCalculator
    except ImportError as missing:
        print(f"\nthe paper's way is not installed ({missing.name}): pip install ase DebyeCalculator==1.1.1")
        return
    chosen = [plan.structure((2 * index + 1) * len(plan) // (2 * count)) for index in range(count)]
    given = plan.recipe.pdf
    calculator = DebyeCalculator(
        qmin=given.qmin,
        qmax=given.qmax,
        qdamp=given.qdamp,
        biso=8 * np.pi**2 * given.uiso,
        rmin=given.rmin,
        rmax=given.rmax,
        rstep=given.rstep,
        device="cpu",
    )
    clock: Counter[str] = Counter()
    for item in [chosen[0], *chosen]:  # the first one once more, for what is loaded on first use
        if item is chosen[0]:
            clock.clear()
        with watch("ase", clock):
            atoms = ase_cluster(item.symbol, item.nn_distance, item.shape.family, dict(item.shape.parameters))
        if len(atoms) != item.shape.n_atoms:
            raise SystemExit(f"{item.shape.name}: ase makes {len(atoms)} atoms")
        with watch("DebyeCalculator", clock):
            calculator.gr((list(atoms.symbols), atoms.positions))
    with watch("ours, geometry", clock):
        structures = [blocks.family_named(item.shape.family).build(item.shape, item.symbol, item.nn_distance) for item in chosen]
    instrument = blocks.Instrument(qmin=given.qmin, qmax=given.qmax, qdamp=given.qdamp)
    simulate_pdf_batch(structures, given.r, instrument, uiso=given.uiso, delta2=given.delta2)
    with watch("ours, PDFs", clock):
        simulate_pdf_batch(structures, given.r, instrument, uiso=given.uiso, delta2=given.delta2)
    mean = np.mean([structure.n_atoms for structure in structures])
    print(
        f"\n{count} structures of {plan.recipe.name} ({mean:.0f} atoms on average), geometry and PDF, one process; ours as one batch, nothing written"
    )
    print(f"{'':34} {'ms a structure':>15}")
    for name, seconds in clock.items():
        print(f"{name:34} {1e3 * seconds / count:>15.2f}")
    theirs, ours = clock["ase"] + clock["DebyeCalculator"], clock["ours, geometry"] + clock["ours, PDFs"]
    print(f"structures a second: paper's way {count / theirs:.0f}, ours {count / ours:.0f}", flush=True)


@contextmanager
def watch(label: str, clock: Counter[str]) -> Iterator[None]:
    """Adds the time inside a ``with`` to the clock."""
    started = time.perf_counter()
    yield
    clock[label] += time.perf_counter() - started  # type: ignore[assignment]


def ase_cluster(symbol: str, nn_distance: float, family: str, given: dict[str, Any]) -> Any:
    """The cluster as ase builds it."""
    from ase.cluster import Decahedron, Icosahedron, Octahedron
    from ase.cluster.cubic import BodyCenteredCubic, FaceCenteredCubic, SimpleCubic
    from ase.lattice.hexagonal import HexagonalClosedPacked

    edge = {"sc": 1.0, "bcc": 2 / np.sqrt(3), "fcc": np.sqrt(2)}.get(family, np.sqrt(2)) * nn_distance
    if family in ("sc", "bcc", "fcc"):
        builder = {"sc": SimpleCubic, "bcc": BodyCenteredCubic, "fcc": FaceCenteredCubic}[family]
        return builder(symbol, [(1, 0, 0), (1, 1, 0), (1, 1, 1)], [given["h"], given["k"], given["l"]], edge)
    if family == "hcp":
        return HexagonalClosedPacked(
            symbol, latticeconstant=(nn_distance, given["c_over_a"] * nn_distance), size=(given["a"], given["b"], given["c"])
        )
    if family == "decahedral":
        return Decahedron(symbol, given["p"], given["q"], given["r"], edge)
    if family == "icosahedral":
        return Icosahedron(symbol, given["shells"], edge)
    return Octahedron(symbol, given["length"], given.get("cutoff", 0), edge)


if __name__ == "__main__":
    main()
