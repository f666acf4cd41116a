"""Structures a second in training: this model in its two kinds beside the paper's network, PDFs made on the fly beside stored ones, 1 and 2 workers.

    python benchmarks/bench_training.py [--catalog demo.zarr] [--threads 1,2] [--batch-size 64] [--device cpu] [--stages step,workers]

A step is the making of the batch, forward, backward and optimiser; batches are made ahead in a thread, as in a training, for all alike. The paper's
network (paper_network.py) gets stored PDFs, which cost nothing. Of our batches only a share passes the graph encoder, `loss.posterior_share`: so the
presets train, and a row of its own shows the cost where all do. Contenders take turns in short rounds and the median round counts, so that other
programs on the machine slow all of them alike; the time of the processor, all threads together, stands beside.

"workers" are trainings by Ray Train (gloo) on the CPU, one thread a worker, the batch divided among them: structures a second of the median epoch
after the first, validation included. Ray's workers take all that they get here (RAY_worker_niceness is 0 unless it is set).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WARM_STEPS, FEWEST_STEPS = 2, 3
MADE, STORED = "PDFs made on the fly", "stored PDFs"
KINDS = {
    MADE: ["data.pdfs=measured_like"],
    STORED: ["data.pdfs=stored"],
    f"{MADE}, every structure encoded": ["data.pdfs=measured_like", "loss.posterior_share=1.0"],
}


def main() -> None:
    """Run the steps once a number of threads, each in a process of its own (BLAS reads it at start), then the workers."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="example: python benchmarks/bench_training.py --catalog demo.zarr --threads 1,2"
    )
    parser.add_argument("--catalog", default="", help="a catalog of clusters of at most 200 atoms; by default `demo` is built")
    parser.add_argument("--presets", default="sites,coordinates", help="which of our models")
    parser.add_argument("--batch-size", type=int, default=64, help="structures in a step, for all contenders")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", default="1", help="of torch and of the making of batches each")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a contender's round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", default="1,2", help="numbers of workers to compare")
    parser.add_argument("--epochs", type=int, default=6, help="of the trainings with workers")
    parser.add_argument("--samples", type=int, default=8192, help="structures in an epoch of theirs")
    parser.add_argument("--stages", default="step,workers")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        measure_steps(options)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        options.catalog = options.catalog or built_catalog(Path(scratch))
        stages = options.stages.split(",")
        for threads in options.threads.split(",") if "step" in stages else ():
            given = {"catalog": options.catalog, "presets": options.presets, "device": options.device, "threads": threads}
            given |= {"batch-size": options.batch_size, "seconds": options.seconds, "rounds": options.rounds}
            words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
            subprocess.run([sys.executable, __file__, "--inside", *words], env=one_thread(threads), check=True)
        if "workers" in stages:
            measure_workers(options, Path(scratch))


def one_thread(threads: str = "1") -> dict[str, str]:
    """The environment of a process with so many threads, whose Ray workers do not yield to other programs, as they do by default."""
    return {"RAY_worker_niceness": "0", **os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}


def command(*words: str) -> None:
    """Run ``deepstruc-hpc``."""
    done = subprocess.run([sys.executable, "-m", "deepstruc_hpc.cli", *words], capture_output=True, text=True, env=one_thread(), check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr[-2000:]}")


def built_catalog(work: Path) -> str:
    """The recipe `demo`: a thousand gold clusters of 5 to 200 atoms."""
    store = work / "demo.zarr"
    command("catalog", "build", "demo", "--out", str(store), "--workers", "0")
    return str(store)


@dataclass
class Contender:
    """Something that is trained.

    Attributes:
        name: in the table.
        batches: makes batches of the given rows of the catalog without end, on the host.
        step: takes one.
        rates: structures a second of each round.
        costs: seconds of the processor that a structure took in each round, all threads together.
    """

    name: str
    batches: Callable[[Any], Iterator[Any]]
    step: Callable[[Any], object]
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Structures a second of the median round."""
        return statistics.median(self.rates)

    @property
    def cost(self) -> float:
        """Seconds of the processor of the median round."""
        return statistics.median(self.costs)


def measure_steps(options: argparse.Namespace) -> None:
    """Print the tables of one number of threads."""
    import numpy as np
    import torch
    from paper_network import MAX_ATOMS, PaperTraining

    from deepstruc_hpc.data.catalog_store import Catalog

    torch.set_num_threads(int(options.threads))
    catalog = Catalog.open(options.catalog)
    sizes = catalog.columns["n_atoms"]
    if sizes.max() > MAX_ATOMS:
        raise SystemExit(f"{options.catalog} holds clusters of {sizes.max()} atoms; the paper's network has room for {MAX_ATOMS}")
    presets = options.presets.split(",")
    ours, rows = {}, np.arange(len(sizes))
    for preset in presets:
        for kind, settings in KINDS.items():
            ours[preset, kind], train = our_training(catalog, preset, settings, f"ours, {preset}, {kind}", options)
            rows = np.intersect1d(rows, train)  # what all of them can be trained on
    paper = PaperTraining(catalog, rows, batch_size=options.batch_size, device=options.device)
    peer = Contender("the paper's network, stored PDFs", lambda _: paper.batches(), paper.step)
    print(f"\n{options.device}, {options.threads} thread(s), batches of {options.batch_size}, {sizes[rows].mean():.0f} atoms on average{busy()}")
    contenders = [peer, *ours.values()]
    for _ in range(options.rounds):
        for contender in contenders:
            run_round(contender, rows, options)
    print("| training | structures/s | slowest to fastest round | times the paper's network | ms of the processor a structure | less by |")
    print("|---|---|---|---|---|---|")
    for one in contenders:
        wall = f"{one.rate:.0f} | {min(one.rates):.0f} to {max(one.rates):.0f} | {one.rate / peer.rate:.1f}"
        print(f"| {one.name} | {wall} | {1e3 * one.cost:.2f} | {peer.cost / one.cost:.1f} |", flush=True)
    for preset in presets:
        made, stored = ours[preset, MADE], ours[preset, STORED]
        rate = statistics.median(a / b for a, b in zip(made.rates, stored.rates, strict=True))
        cost = statistics.median(a / b for a, b in zip(made.costs, stored.costs, strict=True))
        print(f"{preset}: PDFs made on the fly give {rate:.2f} times the structures a second of stored ones, for {cost:.2f} times the processor")


def our_training(catalog: Any, preset: str, settings: Sequence[str], name: str, options: argparse.Namespace) -> tuple[Contender, Any]:
    """Our training by hand, from the parts of :class:`~deepstruc_hpc.training.session.TrainingSession`, and the rows that it may draw."""
    import numpy as np
    import torch

    from deepstruc_hpc.training.config import load_train_config
    from deepstruc_hpc.training.session import TrainingSession, WorkerPlace
    from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step
    from deepstruc_hpc.training.view import load_split, load_view, resolved_model

    config = load_train_config(preset, [f"batch_size={options.batch_size}", "max_minutes=0", *settings])
    config = config.updated(model=resolved_model(config.model, catalog).model_dump())
    session = TrainingSession(
        config, load_view(catalog, config), load_split(catalog, config.data, config.seed), place=WorkerPlace(device=options.device)
    )
    n_graphs = max(1, round(config.batch_size * config.loss.posterior_share))
    schedule = StepSchedule(1e-4, config.loss.kl)
    generator = torch.Generator().manual_seed(0)

    def batches(rows: Any) -> Iterator[Any]:
        rng = np.random.default_rng(0)
        while True:
            yield session.view.batch(rows[rng.integers(len(rows), size=config.batch_size)], rng, n_graphs=n_graphs)

    def step(arrays: Any) -> None:
        terms = train_step(
            session.objective,
            session.optimizer,
            to_tensors(arrays, options.device),
            schedule=schedule,
            latent_dim=config.model.latent_dim,
            clip_norm=config.optimiser.clip_norm,
            generator=generator,
        )
        for term in terms.values():
            float(term)

    return Contender(name, batches, step), session.split.train


def run_round(contender: Contender, rows: Any, options: argparse.Namespace) -> None:
    """Train for some seconds and note the rate; as many batches are ready at the end as at the beginning."""
    import torch

    from deepstruc_hpc.training.prefetch import ahead

    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    source, taken, began, spent = ahead(contender.batches(rows)), -WARM_STEPS, 0.0, 0.0
    for batch in source:
        if taken == 0:
            wait()
            began, spent = time.perf_counter(), time.process_time()
        contender.step(batch)
        taken += 1
        if taken >= FEWEST_STEPS and time.perf_counter() - began > options.seconds:
            break
    wait()
    count = taken * options.batch_size
    contender.rates.append(count / (time.perf_counter() - began))
    contender.costs.append((time.process_time() - spent) / count)
    source.close()


def busy() -> str:
    """A remark where something else keeps the machine busy."""
    import psutil

    cores = psutil.cpu_percent(1.0) / 100 * (os.cpu_count() or 1)
    return f"; {cores:.1f} of {os.cpu_count()} cores were busy before it began" if cores > 0.15 else ""


def measure_workers(options: argparse.Namespace, work: Path) -> None:
    """Print how a training by Ray Train grows with its workers."""
    numbers = [int(number) for number in options.workers.split(",")]
    print(f"\nRay Train (gloo), batches of {options.batch_size} in all, epochs of {options.samples} structures{busy()}")
    print("| preset | workers | median epoch, s | structures/s | efficiency |")
    print("|---|---|---|---|---|")
    for preset in options.presets.split(","):
        alone = 0.0
        for workers in numbers:
            run = work / f"{preset}-{workers}"
            given = {"epochs": options.epochs, "samples_per_epoch": options.samples, "batch_size": options.batch_size, "max_minutes": 0}
            settings = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
            command("train", options.catalog, "--out", str(run), "--config", preset, *settings, "--workers", str(workers))
            epochs = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
            seconds = statistics.median(epoch["seconds"] for epoch in epochs[1:] or epochs)
            rate = epochs[-1]["samples"] / seconds
            alone = alone or rate / workers
            print(f"| {preset} | {workers} | {seconds:.2f} | {rate:.0f} | {rate / (workers * alone):.2f} |", flush=True)


if __name__ == "__main__":
    main()
