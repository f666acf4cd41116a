"""Solving as a user does it: one PDF with 1,000 samples and the shipped catalog, a directory, one and two workers; beside srfit.

    python benchmarks/bench_solve.py [--files 200] [--samples 1000] [--scaling 24] [--peers 3] [--out FOLDER]

- One PDF: wall time on all cores of a call in a process that solved another PDF before (model, catalog and compiled functions are there), the best
  of three. The first call of that process is given beside it.
- Directory: files of examples/make_example_pdfs.py, each with other noise, solved by the command line with a worker a core, start of Ray and report
  included.
- Workers: the same files with one worker and with two, from the first result to the last, so that the start of Ray does not count.
- srfit: scipy's least_squares over diffpy.srfit with our curve as its generator, timed on a few candidates of the one PDF, extrapolated to all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ONE = "sample-01-Au.gr"


def main() -> None:
    """Print one line a claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200, help="PDFs of the directory")
    parser.add_argument("--samples", type=int, default=1000, help="CVAE samples a PDF")
    parser.add_argument("--scaling", type=int, default=24, help="PDFs of the comparison of one and two workers; 0 leaves it out")
    parser.add_argument("--peers", type=int, default=3, help="candidates that srfit is timed on")
    parser.add_argument("--out", type=Path, help="keep inputs and results there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = options.out or Path(scratch)
        one_pdf(place / "one", options.samples, options.peers)
        if options.files:
            directory(place, options.files, options.samples)
        if options.scaling:
            scaling(place, options.scaling, options.samples)


def one_pdf(out: Path, samples: int, n_peers: int) -> None:
    """The time of one PDF, cold and warm, and srfit beside it."""
    from deepstruc_hpc.solve.config import SolveSettings
    from deepstruc_hpc.solve.run.batch import Batch, BatchOptions
    from deepstruc_hpc.solve.run.inputs import PdfItem
    from deepstruc_hpc.solve.run.worker import Solver

    batch = Batch(EXAMPLES / "pdfs" / ONE, out, SolveSettings(samples=samples), BatchOptions(workers=0))
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    solver = Solver(batch.plan)
    opened = time.perf_counter() - started
    others = ["sample-05-Au.gr", ONE, ONE, ONE]
    times = []
    for number, name in enumerate(others):
        started = time.perf_counter()
        record = solver(PdfItem(EXAMPLES / "pdfs" / name, f"{number}"))
        times.append(time.perf_counter() - started)
    print(
        f"one PDF, {samples} samples, {record.n_candidates} candidates fitted: {min(times[1:]):.2f} s warm, {times[0]:.2f} s the first one, "
        f"{opened:.2f} s to open model and catalog",
        flush=True,
    )
    beside_srfit(out / f"{len(others) - 1}", record, min(times[1:]), n_peers)


def beside_srfit(folder: Path, record: Any, ours: float, n_peers: int) -> None:
    """Refine some of the best candidates with srfit and say how long all of them would take."""
    from deepstruc_hpc import read_pdf
    from deepstruc_hpc.data.structure_files import read_structure
    from deepstruc_hpc.physics.diffpy_bridge import refine_with_srfit, srfit_recipe
    from deepstruc_hpc.physics.instrument import Instrument

    used = record.conditions
    instrument = Instrument(**{name: used[name] for name in ("radiation", "qmin", "qmax", "qdamp", "qbroad")})
    curve = read_pdf(record.file)
    seconds = []
    for path in sorted(folder.glob("rank-*.xyz"))[:n_peers]:
        start = {"scale": 1.0, "zoom": 1.0, "uiso": 0.005, "delta2": 1.0}
        started = time.perf_counter()
        refine_with_srfit(srfit_recipe(read_structure(path), curve, instrument, rmin=used["rmin"], rmax=used["rmax"], start=start, engine="native"))
        seconds.append(time.perf_counter() - started)
    if seconds:
        total = sum(seconds) / len(seconds) * record.n_candidates
        print(
            f"srfit on {len(seconds)} of these candidates: {sum(seconds) / len(seconds):.2f} s each; for all {record.n_candidates} that is "
            f"{total:.0f} s (extrapolated), {total / ours:.0f} times as long as ours with samples, ranking and files",
            flush=True,
        )


def directory(place: Path, count: int, samples: int) -> None:
    """The rate of the command line over a directory."""
    inputs, out = place / "pdfs", place / "solved"
    make_pdfs(inputs, count)
    seconds, items = solve(inputs, out, "--samples", str(samples))
    done = sum(item["status"] != "failed" for item in items)
    print(f"directory of {count}: {seconds:.0f} s with start and report, {done / seconds:.2f} PDF/s; {done} solved or refused", flush=True)


def scaling(place: Path, count: int, samples: int) -> None:
    """The rate of one and of two workers, from the first result to the last."""
    inputs = place / "scaling"
    make_pdfs(inputs, count)
    rates = []
    for workers in (1, 2):
        out = place / f"workers-{workers}"
        solve(inputs, out, "--samples", str(samples), "--workers", str(workers), "--no-report", "--no-figures")
        ends = sorted(path.stat().st_mtime for path in out.glob("*/result.json"))
        rates.append((len(ends) - workers) / (ends[-1] - ends[workers - 1]))
    print(f"1 worker {rates[0]:.2f} PDF/s, 2 workers {rates[1]:.2f} PDF/s: {rates[1] / rates[0]:.2f} times ({count} PDFs)", flush=True)


def solve(inputs: Path, out: Path, *options: str) -> tuple[float, list[dict[str, Any]]]:
    """Wall seconds of the command and its rows."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "deepstruc_hpc.cli", "solve", str(inputs), "--out", str(out), "--json", *options]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return seconds, json.loads(done.stdout)["items"]


def make_pdfs(folder: Path, count: int) -> None:
    """PDFs of the examples' structures, each with noise of its own."""
    spec = importlib.util.spec_from_file_location("make_example_pdfs", EXAMPLES / "make_example_pdfs.py")
    if spec is None or spec.loader is None:
        raise SystemExit("examples/make_example_pdfs.py is not there")
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    script.write_series(folder, count)


if __name__ == "__main__":
    main()
