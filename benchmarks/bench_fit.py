"""Fits of many different candidates against one curve: this engine beside scipy's least_squares over diffpy.srfit, in one run.

    python benchmarks/bench_fit.py [--threads 1,2] [--candidates 1000] [--peers 3]

Candidates of 50 to 200 atoms, all different; scale, zoom, U and delta2 of each; 2 to 20 Å in steps of 0.01 Å, Qmax 25 Å⁻¹. Spectra are made anew in
each round and counted. srfit takes our curve as its generator (and DebyePDFGenerator too where diffpy.srreal is installed). With one thread the time
is the processor's, so that other programs on the machine do not count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

CONDITIONS = {"qmin": 0.8, "qmax": 25.0, "qdamp": 0.03}
RANGE = {"rmin": 2.0, "rmax": 20.0}


def main() -> None:
    """Run once a number of threads, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--peers", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        measure(int(options.threads), options.candidates, options.peers)
        return
    for threads in options.threads.split(","):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, __file__, "--inside", "--threads", threads, "--candidates", str(options.candidates), "--peers", str(options.peers)]
        subprocess.run(command, env=environment, check=True)


def measure(threads: int, n_candidates: int, n_peers: int) -> None:
    """Print one table."""
    from deepstruc_hpc.physics.diffpy_bridge import refine_with_srfit, srfit_recipe, srreal_available
    from deepstruc_hpc.physics.fit import fit_candidates
    from deepstruc_hpc.physics.instrument import Instrument

    candidates, curve = problem(n_candidates)
    clock = time.process_time if threads == 1 else time.perf_counter
    fit_candidates(candidates[:20], curve, **RANGE, **CONDITIONS, threads=threads)
    times = []
    for _ in range(3):
        start = clock()
        table = fit_candidates(candidates, curve, **RANGE, **CONDITIONS, threads=threads)
        times.append(clock() - start)
    print(f"\n{threads} thread(s), {n_candidates} candidates, spectra included; {table.converged.mean():.1%} converged")
    print(f"ours: {min(times):.2f} s, {n_candidates / min(times):.0f} fits/s")
    print("| candidate | N | ours Rw | srfit Rw | zoom differs by (its uncertainty) | U differs by (its uncertainty) | srfit, s | times ours |")
    print("|---|---|---|---|---|---|---|---|")
    engines = ["native", "diffpy"] if srreal_available() else ["native"]
    for index in table.order()[:: max(1, n_candidates // n_peers)][:n_peers]:
        row = table.row(int(index))
        for engine in engines:
            begin = {"scale": row["scale"], "zoom": 1.0, "uiso": 0.005, "delta2": 1.0}
            start = clock()
            found = refine_with_srfit(srfit_recipe(candidates[index], curve, Instrument(**CONDITIONS), **RANGE, start=begin, engine=engine))
            seconds = clock() - start
            shifts = [f"{abs(found.values[name] - row[name]):.1e} ({row[name + '_err']:.1e})" for name in ("zoom", "uiso")]
            cells = [f"{index} ({engine})", str(len(candidates[index])), f"{row['rw']:.5f}", f"{found.rw:.5f}", *shifts]
            print("| " + " | ".join([*cells, f"{seconds:.2f}", f"{seconds / (min(times) / n_candidates):.0f}"]) + " |", flush=True)


def problem(n_candidates: int) -> tuple[list[Any], Any]:
    """Candidates and a curve with 2 % of noise, of a cluster that is among them, expanded by 1.3 %."""
    import numpy as np

    from deepstruc_hpc.core.curve import PdfCurve
    from deepstruc_hpc.core.structure import Structure
    from deepstruc_hpc.physics.simulate import simulate_pdf

    rng = np.random.default_rng(1)
    grid = np.array([(i, j, k) for i in range(-8, 9) for j in range(-8, 9) for k in range(-8, 9) if (i + j + k) % 2 == 0]) * 2.04
    candidates = []
    for size in rng.integers(50, 201, n_candidates):
        sites = grid + rng.normal(size=3) * 0.3
        chosen = sites[np.argsort((sites**2).sum(axis=1))[:size]]
        candidates.append(Structure.of_element("Au", chosen + rng.normal(size=chosen.shape) * 0.02))
    truth = candidates[n_candidates // 3]
    r = np.arange(0.0, 25.0, 0.01)
    g = 0.7 * simulate_pdf(truth.symbols, truth.positions * 1.013, r, uiso=0.0075, delta2=2.5, **CONDITIONS)
    noise = rng.normal(size=400) @ np.sin(np.outer(np.linspace(0.8, 25.0, 400), r))
    return candidates, PdfCurve(r, g + 0.02 * noise * np.linalg.norm(g) / np.linalg.norm(noise))


if __name__ == "__main__":
    main()
