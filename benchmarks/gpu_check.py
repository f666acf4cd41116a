"""What has to be known on a CUDA device, in one run of under eight minutes; without a device it runs on the CPU and says what stays untried.

    python benchmarks/gpu_check.py [--out docs/gpu.md] [--seconds 450] [--device cuda|cpu]

Tests marked ``gpu``; NCCL with one and with two processes; the fit's engine and the training step on the device beside the CPU; bfloat16 against
float32; peak memory. Each part runs in a process of its own with what is left of the time, so that a part that fails or hangs costs its row alone.
Figures are of one run: a busy machine makes them worse.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 180.0
"""Longest part, s: NCCL that cannot connect waits for ever otherwise."""
N_FITTED = 300
BATCH, WARM_STEPS, STEPS = {"cuda": 256, "cpu": 64}, 2, {"cuda": 40, "cpu": 4}
"""A device wants large batches; a CPU is as fast with small ones, and a busy one must be done in time."""
N_CURVES = 48
"""Curves that bfloat16 and float32 are compared on."""

Row = tuple[str, str, str]
Rows = list[Row]


def main() -> None:
    """Run every part, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="example: python benchmarks/gpu_check.py --out docs/gpu.md")
    parser.add_argument("--out", type=Path, help="Markdown file to write; default: print it")
    parser.add_argument("--seconds", type=float, default=450.0, help="of all parts together")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds of one part; a busy machine needs more")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda where there is one")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, joined by commas")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--meet", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = options.device or found_device()
    if options.rank is not None:
        one_rank(device, options.rank, options.ranks, options.meet)
    elif options.part:
        print("ROWS" + json.dumps(PARTS[options.part](device)))
    else:
        text = page(device, run_parts(device, options.parts.split(","), options.seconds, options.limit))
        if options.out:
            options.out.write_text(text, encoding="utf-8")
        print(text)


def found_device() -> str:
    """Cuda where torch finds one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def run_parts(device: str, names: list[str], seconds: float, longest: float) -> dict[str, tuple[Rows, float]]:
    """The rows of every part and what it took, s; a part that fails gives a row that says why."""
    end, found = time.monotonic() + seconds, {}
    for name in names:
        began, left = time.monotonic(), end - time.monotonic()
        if left < 5.0:
            found[name] = [(name, "untried", "no time was left")], 0.0
            continue
        words = [sys.executable, __file__, "--part", name, "--device", device]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        try:
            limit = min(left, longest)
            done = subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False, env=environment, cwd=ROOT)
            lines = [line for line in done.stdout.splitlines() if line.startswith("ROWS")]
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            rows = [tuple(row) for row in json.loads(lines[-1][4:])] if lines else [(name, "failed", last)]
        except subprocess.TimeoutExpired:
            rows = [(name, "failed", f"not done after {time.monotonic() - began:.0f} s")]
        found[name] = rows, time.monotonic() - began
    return found


def page(device: str, parts: dict[str, tuple[Rows, float]]) -> str:
    """The Markdown page."""
    import torch

    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        reported = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {torch.cuda.device_count()} of them; CUDA {torch.version.cuda}"
    else:
        reported = "**no CUDA device was at hand. All of this ran on the CPU: the CUDA paths, NCCL and the tests marked `gpu` are untried**"
    lines = [
        "# On a CUDA device",
        "",
        f"Written by `python benchmarks/gpu_check.py {' '.join(sys.argv[1:])}` on {datetime.now(UTC):%Y-%m-%d}: {reported}. "
        f"torch {torch.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores. One run; other programs on the machine make the figures worse.",
        "",
        "| part | what | result | note |",
        "|---|---|---|---|",
    ]
    for name, (rows, seconds) in parts.items():
        for number, (what, result, note) in enumerate(rows):
            lines.append(f"| {f'{name} ({seconds:.0f} s)' if number == 0 else ''} | {what} | {result} | {note.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def gpu_tests(device: str) -> Rows:
    """The suite's tests marked ``gpu``."""
    words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/test_gpu.py", "-p", "no:cacheprovider"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    last = (done.stdout.strip().splitlines() or ["no word"])[-1]
    return [("pytest -m gpu", "passed" if done.returncode == 0 and device == "cuda" else "untried" if device == "cpu" else "failed", last)]


def processes(device: str) -> Rows:
    """One and two processes that sum a tensor: NCCL on CUDA, gloo on the CPU."""
    import torch

    backend = "nccl" if device == "cuda" else "gloo"
    rows = []
    for ranks in (1, 2):
        shared = device == "cuda" and ranks > torch.cuda.device_count()
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, __file__, "--device", device, "--ranks", str(ranks), "--meet", f"file://{folder}/meet"]
            running = [subprocess.Popen([*words, "--rank", str(rank)], stderr=subprocess.PIPE, text=True) for rank in range(ranks)]
            try:
                errors = [one.communicate(timeout=60)[1] for one in running]
            except subprocess.TimeoutExpired:
                errors = ["not connected after 60 s"]
            for one in running:
                one.kill()
            good = all(one.wait() == 0 for one in running)
        why = next((line for text in errors for line in reversed(text.strip().splitlines()) if line.strip()), "") if not good else ""
        where = "both on one device, which NCCL may refuse" if shared else ""
        rows.append(
            (f"{backend}, {ranks} process{'es' * (ranks > 1)}", "sums right" if good else "failed", "; ".join(filter(None, (where, why[:150]))))
        )
    if device == "cpu":
        rows.append(("nccl", "untried", "needs a CUDA device"))
    return rows


def one_rank(device: str, rank: int, ranks: int, meet: str) -> None:
    """One process of :func:`processes`; ends with an error where the sum is wrong."""
    import torch
    import torch.distributed as dist

    if device == "cuda":
        torch.cuda.set_device(rank % torch.cuda.device_count())
    dist.init_process_group("nccl" if device == "cuda" else "gloo", init_method=meet, rank=rank, world_size=ranks)
    values = torch.full((1000,), float(rank + 1), device=device)
    dist.all_reduce(values)
    right = bool((values == ranks * (ranks + 1) / 2).all())
    dist.destroy_process_group()
    if not right:
        raise SystemExit("the sum is wrong")


def engine(device: str) -> Rows:
    """Fits of catalog shapes to one curve: compiled code on the CPU, torch on the device; seconds, and how far Rw differs."""
    from deepstruc_hpc import Catalog, PdfCurve, fit_candidates, simulate_pdf
    from deepstruc_hpc.core.resources import share_dir

    catalog = Catalog.open(share_dir("catalog") / "compact.zarr")
    structures = list(catalog.structures(np.arange(min(N_FITTED, len(catalog)))))
    r = np.arange(0.0, 30.0, 0.01)
    truth = structures[len(structures) // 2]
    curve = PdfCurve(r, simulate_pdf(truth.symbols, truth.positions, r, qmax=22.0, qdamp=0.03, uiso=0.007), source="simulated")
    fit_settings = {"rmin": 2.0, "rmax": 30.0, "qmin": 0.7, "qmax": 22.0, "qdamp": 0.03}

    def timed(**where: Any) -> tuple[float, Any]:
        fit_candidates(structures[:20], curve, **fit_settings, **where)  # compiles, allocates
        begin = time.perf_counter()
        table = fit_candidates(structures, curve, **fit_settings, **where)
        return time.perf_counter() - begin, np.asarray(table.rw, dtype=float)

    base, rw = timed()
    seconds, other = timed(device=device) if device == "cuda" else timed(device="cpu:0")
    name = "torch on the device" if device == "cuda" else "torch on the CPU, the device's code"
    return [
        (f"compiled code, CPU, {len(structures)} shapes", f"{len(structures) / base:.0f} fits/s", f"{base:.2f} s"),
        (name, f"{len(structures) / seconds:.0f} fits/s", f"{seconds:.2f} s, {base / seconds:.2f} times as fast"),
        ("largest difference of Rw", f"{np.nanmax(np.abs(rw - other)):.1e}", "float32 sums in another order"),
        *memory(device),
    ]


def training(device: str) -> Rows:
    """Steps of the preset ``sites`` on batches that are made: structures a second on the CPU, on the device, and there in bfloat16."""
    import torch

    batches, make = _training_batches()
    rows, rates, losses = [], {}, {}
    ways = [("cpu", False), ("cpu", True)] if device == "cpu" else [("cpu", False), ("cuda", False), ("cuda", True)]
    for where, half in ways:
        step = make(where, half=half)
        steps, on_device = STEPS[where], [batch.to(where) for batch in batches[where]]
        for number in range(WARM_STEPS):
            step(on_device[number % len(on_device)])
        if where == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        for number in range(steps):
            loss = step(on_device[number % len(on_device)])
        losses[where, half] = float(loss)
        rates[where, half] = steps * BATCH[where] / (time.perf_counter() - begin)
        name = f"{where}, {'bfloat16 (autocast)' if half else 'float32'}, batches of {BATCH[where]}"
        rows.append((name, f"{rates[where, half]:.0f} structures/s", f"{rates[where, half] / rates['cpu', False]:.2f} times the CPU in float32"))
    first, last = ways[-2], ways[-1]
    rows.append(
        (
            "loss after the same steps",
            f"{losses[first]:.4f} float32, {losses[last]:.4f} bfloat16",
            f"{WARM_STEPS + STEPS[last[0]]} from equal weights",
        )
    )
    return [*rows, *memory(device)]


def _training_batches() -> tuple[dict[str, list[Any]], Callable[..., Callable[[Any], float]]]:
    """Batches on the host, and a maker of steps from equal weights."""
    import torch

    from deepstruc_hpc import Catalog
    from deepstruc_hpc.core.resources import share_dir
    from deepstruc_hpc.model.cvae import Cvae
    from deepstruc_hpc.model.losses import CvaeObjective
    from deepstruc_hpc.training.config import load_train_config
    from deepstruc_hpc.training.session import INITIAL_SAMPLE
    from deepstruc_hpc.training.step import StepSchedule, to_tensors, train_step
    from deepstruc_hpc.training.view import load_view, resolved_model

    catalog = Catalog.open(share_dir("catalog") / "compact.zarr")
    config = load_train_config("sites")
    config = config.updated(model=resolved_model(config.model, catalog).model_dump())
    view = load_view(catalog, config)
    rng = np.random.default_rng(0)
    usable = np.flatnonzero(view.sites.table.template >= 0) if view.sites is not None else np.arange(len(view))
    batches = {
        where: [to_tensors(view.batch(rng.choice(usable, size), rng, n_graphs=max(1, round(size * config.loss.posterior_share)))) for _ in range(3)]
        for where, size in BATCH.items()
    }

    sample = to_tensors(view.batch(rng.choice(usable, INITIAL_SAMPLE), rng))

    def make(where: str, *, half: bool) -> Callable[[Any], float]:
        torch.manual_seed(0)
        model = Cvae(config.model)
        model.initialise(sample.graphs, sample.pdf)
        objective = CvaeObjective(model.to(where), config.loss)
        optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-3)
        generator = torch.Generator().manual_seed(0)

        def step(batch: Any) -> float:
            with torch.autocast(where, dtype=torch.bfloat16, enabled=half):
                terms = train_step(
                    objective,
                    optimizer,
                    batch,
                    schedule=StepSchedule(1e-3, 1e-3),
                    latent_dim=config.model.latent_dim,
                    clip_norm=config.optimiser.clip_norm,
                    generator=generator,
                )
            return float(terms["loss"])

        return step

    return batches, make


def accuracy(device: str) -> Rows:
    """The shipped model in bfloat16 beside float32, on simulated curves of catalog shapes."""
    import torch

    from deepstruc_hpc import Catalog, load_model
    from deepstruc_hpc.core.resources import share_dir
    from deepstruc_hpc.data.standard_pdf import sample_rows, standardise

    catalog = Catalog.open(share_dir("catalog") / "compact.zarr")
    rows = np.unique(np.linspace(0, len(catalog) - 1, N_CURVES).astype(int))
    model = load_model("default", device=device)
    units = catalog.columns["nn_distance"].to_numpy(dtype=float)[rows]
    values, known = sample_rows(np.asarray(catalog.r), np.asarray(catalog.pdf[rows]), units[:, None] * model.grid)
    pdf = torch.from_numpy(standardise(values, known)).to(device)
    reported = {}
    for half in (False, True):
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            prior = model.network.prior(pdf)
        with torch.inference_mode():
            structures = model.network.structures(prior.mean.float())
        kinds = np.array([one.type_probabilities.argmax() for one in structures])
        reported[half] = (
            prior.mean.float().cpu().numpy(),
            prior.log_std.float().exp().cpu().numpy(),
            kinds,
            np.array([len(s.positions) for s in structures]),
        )
    (mean, std, kinds, atoms), (other, _, other_kinds, other_atoms) = reported[False], reported[True]
    away = np.abs(other - mean) / std
    return [
        (f"prior's mean, {len(rows)} curves", f"median {np.median(away):.3f}, largest {away.max():.2f}", "standard deviations of the prior"),
        ("same type", f"{(kinds == other_kinds).mean():.1%}", "decoded at the mean, in float32"),
        ("number of atoms within 5 %", f"{(np.abs(atoms - other_atoms) <= 0.05 * atoms).mean():.1%}", "of float32's"),
        *memory(device),
    ]


def memory(device: str) -> Rows:
    """The most that this process held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = [("peak memory of the process", f"{peak:.2f} GiB", "host")]
    if device == "cuda":
        import torch

        rows.append(("peak memory on the device", f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB", "tensors"))
    return rows


PARTS: dict[str, Callable[[str], Rows]] = {
    "tests": gpu_tests,
    "processes": processes,
    "engine": engine,
    "training": training,
    "accuracy": accuracy,
}

if __name__ == "__main__":
    main()
