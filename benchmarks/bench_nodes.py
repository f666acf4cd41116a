"""How build, solve and train scale over Ray nodes, what an item costs the driver, and where the time goes.

    python benchmarks/bench_nodes.py [--nodes 1,2] [--elements 20] [--files 40] [--epochs 4] [--stages machine,overhead,build,solve,train]
    python benchmarks/bench_nodes.py --nodes 8 --stages feed [--actors 16] [--blocks 40000] [--cores 5120]

Every node is a Ray node of its own (raylet, object store) with one core, but all are on this machine: the network is not measured, and more
nodes than idle cores say nothing. As in a job, Ray is up and at rest before a command begins.

Build and solve are scaled weakly: n nodes get n times the items, of the same sizes; efficiency is t(1) / t(n), and the time is that of the whole
command, from imports to the last file. Train is scaled strongly: the same epochs; efficiency is t(1) / (n t(n)) of the median epoch. "machine" is
the work of a build in n plain processes, without Ray and without a driver: what two cores cost each other here, and so the most that can be had.

"feed" builds with actors that only pretend to compute: they answer a ticket with entries for the manifest, and say that each block took as long as
4,096 structures of 1.3 ms do. At first they answer at once. That shows what a block costs the driver, from the plan to the manifest, and from that
how many cores it keeps busy. Then they answer only as fast as --cores would for two minutes: each actor stands for many cores, and as many tickets
are out as there are cores. That shows the share of one core that the driver takes, and whether it keeps up.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

LIGHTEST = 12  # from the thirteenth element on: 86 of them
RECIPE = {
    "name": "scaling",
    "description": "Clusters of one shape list for the scaling benchmark; more elements are more of the same work",
    "length_unit": "angstrom",
    "min_atoms": 40,
    "max_atoms": 400,
    "families": ["fcc", "hcp", "bcc", "sc", "decahedral", "icosahedral", "octahedral"],
    "block_size": 50,
    "pdf": {"qmin": 0.7, "qmax": 25.0, "qdamp": 0.04, "uiso": 0.0038, "delta2": 2.0, "rmin": 2.0, "rmax": 30.0, "rstep": 0.01},
}


def command(*words: str, address: str = "") -> tuple[str, float]:
    """Run ``deepstruc-hpc`` on the Ray at an address; returns what it printed and its wall time (s)."""
    environment = {**os.environ, **({"RAY_ADDRESS": address} if address else {}), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "deepstruc_hpc.cli", *words], capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout, time.perf_counter() - began


def measured_files(folder: Path, count: int) -> Path:
    """Curves of small gold cuboids, each of its own lattice constant."""
    from deepstruc_hpc import simulate_pdf

    folder.mkdir()
    r = np.arange(2.0, 30.0, 0.01)
    corners = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
    cells = np.array([(i, j, k) for i in range(3) for j in range(3) for k in range(3)])
    positions = (cells[:, None, :] + corners[None]).reshape(-1, 3)
    for number in range(count):
        g = simulate_pdf(["Au"] * len(positions), positions * (4.05 + 0.002 * number), r, qdamp=0.04)
        (folder / f"au-{number:03d}.gr").write_text("#qmax = 25.0\n" + "".join(f"{a:.3f} {b:.6f}\n" for a, b in zip(r, g, strict=True)))
    return folder


def recipe(nodes: int, elements: int) -> dict[str, Any]:
    """The recipe of a build: so many elements for every node, each with a lattice of its own, all with the same shapes."""
    from deepstruc_hpc.data.species import SYMBOLS

    chosen = SYMBOLS[LIGHTEST : LIGHTEST + nodes * elements]
    if len(chosen) < nodes * elements:
        raise SystemExit(f"{nodes} nodes of {elements} elements are more than there are; give fewer --elements")
    return {**RECIPE, "elements": list(chosen), "nn_distance": {symbol: round(2.4 + 0.005 * number, 3) for number, symbol in enumerate(chosen)}}


def build(nodes: int, address: str, work: Path, options: argparse.Namespace) -> tuple[float, str]:
    """Wall time of a build of n times the structures; beside it the workers' own rate."""
    path = work / f"scaling-{nodes}.yaml"
    path.write_text(yaml.safe_dump(recipe(nodes, options.elements)))
    words = ["catalog", "build", str(path), "--out", str(work / f"{nodes}.zarr"), "--workers", str(nodes), "--json"]
    printed, seconds = command(*words, address=address)
    report = json.loads(printed)
    found = f"{report['n_structures']} structures, {report['structures_a_second']:g}/s"
    return seconds, f"{found}; imports, plan, joining Ray {seconds - report['seconds']:.1f} s, workers {report['seconds']:.1f} s"


def plain_blocks(content: dict[str, Any], numbers: Sequence[int]) -> float:
    """Seconds that some blocks of a recipe take in this process."""
    from deepstruc_hpc.catalog.blocks import make_block, single_threaded
    from deepstruc_hpc.catalog.plan import make_plan
    from deepstruc_hpc.catalog.recipe import Recipe

    wanted = Recipe.model_validate(content)
    plan = make_plan(wanted)
    with single_threaded():
        make_block(plan.block(numbers[0]), wanted.pdf)
        began = time.perf_counter()
        for number in numbers:
            make_block(plan.block(number), wanted.pdf)
        return time.perf_counter() - began


def machine(nodes: int, options: argparse.Namespace) -> tuple[float, str]:
    """The same blocks in so many plain processes at once."""
    content, numbers = recipe(1, options.elements), list(range(0, 5 * options.elements, 5))
    with ProcessPoolExecutor(nodes, mp_context=multiprocessing.get_context("spawn")) as pool:
        seconds = list(pool.map(plain_blocks, [content] * nodes, [numbers] * nodes))
    return max(seconds), f"{len(numbers)} blocks of {RECIPE['block_size']} structures in each of {nodes} processes"


def settle(limit: float = 30.0) -> str:
    """Wait until Ray's own processes have started and rest; returns a remark when something else keeps the machine busy."""
    import psutil

    end = time.monotonic() + limit
    while (busy := psutil.cpu_percent(1.0) / 100 * (os.cpu_count() or 1)) > 0.15:
        if time.monotonic() > end:
            return f"{busy:.1f} cores were busy before it began"
    return ""


def small_catalog(work: Path) -> Path:
    """The shapes in one element, built once."""
    store, path = work / "shapes.zarr", work / "shapes.yaml"
    if not store.exists():
        path.write_text(yaml.safe_dump(recipe(1, 1)))
        command("catalog", "build", str(path), "--out", str(store), "--workers", "0")
    return store


def solve(nodes: int, address: str, work: Path, options: argparse.Namespace) -> tuple[float, str]:
    """Wall time of solving n times the files against a catalog of 250 shapes."""
    store, out = small_catalog(work), work / f"solved-{nodes}"
    files = measured_files(work / f"measured-{nodes}", options.files * nodes)
    fixed = ["--catalog", str(store), "--sources", "catalog", "--elements", "Au", "--no-figures", "--no-report"]
    _, seconds = command("solve", str(files), "--out", str(out), *fixed, "--workers", str(nodes), address=address)
    rows = list(csv.DictReader((out / "summary.csv").open()))
    busy = sum(float(row["seconds"]) for row in rows) / nodes
    return seconds, f"{sum(row['status'] == 'ok' for row in rows)} files ok; in the files {busy:.1f} s a worker, else {seconds - busy:.1f} s"


def train(nodes: int, address: str, work: Path, options: argparse.Namespace) -> tuple[float, str]:
    """Median time of an epoch after the first, times n, so that the efficiency comes out as for the others."""
    run = work / f"run-{nodes}"
    settings = ["--set", f"epochs={options.epochs}", "--set", "samples_per_epoch=1024", "--workers", str(nodes)]
    _, seconds = command("train", str(small_catalog(work)), "--out", str(run), *settings, address=address)
    epochs = [json.loads(line)["seconds"] for line in (run / "epochs.jsonl").read_text().splitlines()]
    epoch = statistics.median(epochs[1:] or epochs)
    return epoch * nodes, f"epoch {epoch:.2f} s; all {seconds:.1f} s, of which epochs {sum(epochs):.1f} s"


STAGES: dict[str, Callable[[int, str, Path, argparse.Namespace], tuple[float, str]]] = {"build": build, "solve": solve, "train": train}


def nothing() -> Callable[[int], int]:
    """Makes a worker that hands back what it gets: what remains is the driver's cost."""
    return int


def overhead(address: str, items: int = 3000) -> float:
    """Milliseconds of an item that has nothing to do, through the pool that build and solve use."""
    os.environ["RAY_ADDRESS"] = address
    from deepstruc_hpc.runtime.pool import map_over_actors
    from deepstruc_hpc.runtime.ray_session import ray_session

    with ray_session():
        began = 0.0
        for count, _ in enumerate(map_over_actors(nothing, range(items), workers=1, max_in_flight=8)):
            began = began or (time.process_time() if count >= items // 10 else 0.0)
        spent = time.process_time() - began
    return 1000 * spent / (items - items // 10)


STRUCTURE_SECONDS = 1.3e-3
"""Of one core for a structure of 89 atoms at 2,801 points with everything, geometry to disk (docs/catalog.md, "Speed")."""


BLOCK = 4096
BLOCK_SECONDS = BLOCK * STRUCTURE_SECONDS
WARM_UP = 20.0
"""Seconds of the paced run that are not counted: the first tickets are of one block, because nothing is known of the speed."""

PACED = 120.0
"""Seconds of the paced run that are counted."""

ENDING = 120.0
"""Seconds of work that are left when the count ends: then tickets become shorter, so that all workers end together."""


class Pretender:
    """Answers a ticket as a worker would that has made its blocks, without making them.

    Args:
        cores: that it stands for; 0 to answer at once.
    """

    def __init__(self, cores: float = 0.0) -> None:
        self._cores, self._due = cores, time.monotonic()

    def __call__(self, item: Any) -> Any:
        """Entries for the manifest."""
        from deepstruc_hpc.catalog.tickets import TicketReport
        from deepstruc_hpc.data.manifest import BlockEntry

        seconds, kinds, entries = BLOCK_SECONDS * len(item.numbers), {"filled": "str", "parent": "str", "radius": "float64"}, []
        for number in item.numbers:
            name, digest = f"00-{number:06d}-{number:012x}", f"{number:032x}"
            entries.append(BlockEntry(name, f"blocks/{name}-00000000", BLOCK, 30 * BLOCK, digest, digest, 50_000_000, kinds))
        if self._cores:
            self._due = max(self._due, time.monotonic() - 1.0) + seconds / self._cores
            time.sleep(max(0.0, self._due - time.monotonic()))
        return TicketReport(tuple(entries), {}, seconds)


def made_up_plan(blocks: int, *, selected: bool) -> Any:
    """A plan of so many blocks in 86 elements, whose shapes are nothing but random fingerprints; ``selected`` looks for repetitions among them."""
    from deepstruc_hpc.catalog.plan import Plan
    from deepstruc_hpc.catalog.recipe import Recipe
    from deepstruc_hpc.catalog.selection import select
    from deepstruc_hpc.catalog.shapes import ListedPart, PlannedShapes
    from deepstruc_hpc.data.species import SYMBOLS

    elements = SYMBOLS[LIGHTEST : LIGHTEST + 86]
    count = -(-BLOCK * blocks // len(elements))
    rng = np.random.default_rng(0)
    marks = rng.integers(0, 256, (count, 16) if selected else (1, 16), dtype=np.uint8)
    part = ListedPart(
        "random", marks, np.full(count, 30, np.int32), rng.integers(0, 8, count).astype(np.int16), tuple("abcdefgh"), "made up", None, "none"
    )
    distances = {symbol: round(2.4 + 0.005 * number, 3) for number, symbol in enumerate(elements)}
    recipe = Recipe(name="made up", elements=elements, nn_distance=distances, families=("random",), block_size=BLOCK)  # type: ignore[arg-type]
    if selected:
        return Plan(recipe, *select(recipe, [part], [0]))
    return Plan(recipe, PlannedShapes([part], np.zeros(count, np.int32), np.arange(count, dtype=np.int32), np.zeros(count, np.int16), [elements]))


def feed(address: str, options: argparse.Namespace) -> Iterator[str]:
    """What a block costs the driver, and its share of a core while it feeds many."""
    os.environ["RAY_ADDRESS"] = address
    from deepstruc_hpc.runtime.ray_session import ray_session

    began = time.process_time()
    plan = made_up_plan(options.blocks, selected=True)
    planned = time.process_time() - began
    began = time.process_time()
    plan.missing()
    for number in range(0, plan.n_blocks, 22):
        plan.ticket(number, 22)
    tickets = time.process_time() - began
    with tempfile.TemporaryDirectory() as folder, ray_session():
        found = handed_out(plan, Path(folder) / "made", options.actors, workers=options.workers)
        yield (
            f"{plan.n_blocks} blocks of {BLOCK} structures, {len(plan.shapes)} shapes, {options.actors} actors that answer at once: plan from listed "
            f"shapes {planned:.2f} s; making tickets {1e3 * tickets / plan.n_blocks:.4f} ms a block; all of the driver {found}, so by processor time "
            f"it feeds {BLOCK_SECONDS * found.blocks / found.cpu:,.0f} cores of {1e3 * STRUCTURE_SECONDS:.1f} ms structures"
        )
        if options.cores:
            plan = made_up_plan(int((WARM_UP + PACED + ENDING) * options.cores / BLOCK_SECONDS), selected=False)
            found = handed_out(plan, Path(folder) / "paced", options.actors, workers=options.cores, cores=options.cores)
            busy = found.blocks * BLOCK_SECONDS / found.wall
            yield (
                f"{plan.n_blocks} blocks, {options.actors} actors that answer as fast as {options.cores} cores: {found.blocks} blocks in "
                f"{found.wall:.0f} s, {busy:,.0f} cores busy ({busy / options.cores:.1%}); driver {found.cpu:.1f} s of processor, "
                f"{found.cpu / found.wall:.1%} of a core, {found}"
            )


@dataclass(frozen=True)
class Fed:
    """Blocks and tickets that came back, and the driver's seconds of processor and of the clock meanwhile."""

    blocks: int
    tickets: int
    cpu: float
    wall: float

    def __sub__(self, before: Fed) -> Fed:
        return Fed(self.blocks - before.blocks, self.tickets - before.tickets, self.cpu - before.cpu, self.wall - before.wall)

    def __str__(self) -> str:
        each = f"{1e3 * self.cpu / self.blocks:.3f} ms a block (wall {1e3 * self.wall / self.blocks:.2f} ms"
        return f"{each}; {self.blocks / self.tickets:.1f} blocks and {1e3 * self.cpu / self.tickets:.2f} ms a ticket)"


def handed_out(plan: Any, place: Path, actors: int, *, workers: int, cores: int = 0) -> Fed:
    """Hand out all blocks of a plan to actors that answer at once, or as fast as so many cores; warm-up and end of a paced run do not count.

    Tickets are as long as those of so many workers.
    """
    from deepstruc_hpc.catalog.tickets import TicketQueue, ticket_seconds
    from deepstruc_hpc.data.manifest import Manifest, create_store
    from deepstruc_hpc.data.manifest_writer import ManifestWriter
    from deepstruc_hpc.data.store_files import StoreFiles
    from deepstruc_hpc.runtime.pool import map_over_actors

    files, failed = StoreFiles(place), dict[str, str]()
    manifest = Manifest(({"name": "made up"},), plan.recipe.id, plan.recipe.pdf, "0", len(plan), plan.n_blocks)
    create_store(files, manifest)
    writer, queue = ManifestWriter(files, manifest), TicketQueue(plan, [], cores or actors, ticket_seconds(workers))
    states: list[Fed] = []
    done = tickets = 0
    began = 0.0
    for ticket, outcome in map_over_actors(partial(Pretender, cores / actors), queue, workers=actors, max_in_flight=cores or None):
        began = began or time.perf_counter()
        done, tickets = done + queue.take(ticket, outcome, writer, failed), tickets + 1
        warm = time.perf_counter() - began > WARM_UP if cores else done >= plan.n_blocks // 10
        if warm and (not states or cores):
            states.append(Fed(done, tickets, time.process_time(), time.perf_counter()))
        if cores and queue.n_left < ENDING * cores / BLOCK_SECONDS:
            return states[-1] - states[0]
    writer.close()
    if failed or done != plan.n_blocks:
        raise SystemExit(f"{done} of {plan.n_blocks} blocks came back, {len(failed)} failed")
    return Fed(done, tickets, time.process_time(), time.perf_counter()) - states[0]


def measure(nodes: int, stages: Sequence[str], work: Path, options: argparse.Namespace) -> dict[str, tuple[float, str]]:
    """All stages on a fresh cluster of so many nodes of one core; the control before it is there."""
    os.environ.pop("RAY_ADDRESS", None)
    control = {"machine": machine(nodes, options)} if "machine" in stages else {}
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        cluster.wait_for_nodes()
        found = {}
        for stage in stages:
            if stage in STAGES:
                remark = settle()
                seconds, where = STAGES[stage](nodes, cluster.address, work, options)
                found[stage] = (seconds, f"{where}; {remark}" if remark else where)
        if "feed" in stages:
            for line in feed(cluster.address, options):
                print(f"{nodes} nodes: {line}", flush=True)
        if nodes == 1 and "overhead" in stages:
            cost = overhead(cluster.address)
            found["driver"] = (cost / 1000, f"{cost:.2f} ms of the driver's CPU an item")
        return control | found
    finally:
        cluster.shutdown()


def main() -> None:
    """Measure and print the table (Markdown)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1,2")
    parser.add_argument("--elements", type=int, default=20, help="of a build, for every node; about 250 structures each")
    parser.add_argument("--files", type=int, default=40, help="of a solve, for every node")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--actors", type=int, default=16, help="of feed")
    parser.add_argument("--blocks", type=int, default=40_000, help="of feed")
    parser.add_argument("--workers", type=int, default=5120, help="for whom the first part of feed makes tickets: more have longer ones")
    parser.add_argument("--cores", type=int, default=5120, help="that the actors of feed stand for in its second part; 0 leaves it out")
    parser.add_argument("--stages", default="machine,overhead,build,solve,train")
    options = parser.parse_args()
    stages = options.stages.split(",")
    counts = [int(count) for count in options.nodes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        found = {count: measure(count, stages, Path(folder), options) for count in counts}
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    print(f"{os.cpu_count()} cores, load {load} at the end\n\n| Stage | Nodes | Time (s) | Efficiency | Where |\n|---|---|---|---|---|")
    for stage in found[counts[0]]:  # feed prints its own line
        for count in counts:
            if stage in found[count]:
                seconds, where = found[count][stage]
                print(f"| {stage} | {count} | {seconds:.3g} | {found[counts[0]][stage][0] / seconds:.0%} | {where} |")


if __name__ == "__main__":
    main()
