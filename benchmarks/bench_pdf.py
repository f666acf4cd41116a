"""G(r) of distinct structures: this engine beside DebyeCalculator (and diffpy.srreal where it is installed), in one run.

    python benchmarks/bench_pdf.py [--threads 1,2] [--sizes 55,147,309,561,923]

r 0 to 30 Å in steps of 0.01 Å, Qmin 0.7, Qmax 26 Å⁻¹, X-rays, gold. Every structure is different (random displacements of 0.02 Å), so that no program
gains by remembering. Errors are against the plain double sum over pairs and an exact transform, as part of max|G|; peers are first scaled to it by
least squares, since DebyeCalculator's absolute scale is half of the definition's. The best of three rounds counts; with one thread it is the
processor time, so that other programs on the machine do not. The peer is the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

R_STEP, R_MAX, QMIN, QMAX, UISO = 0.01, 30.0, 0.7, 26.0, 0.005


def main() -> None:
    """Run once a number of threads, each in a process of its own (BLAS reads it at start)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--sizes", default="55,147,309,561,923")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        measure(int(options.threads), [int(size) for size in options.sizes.split(",")])
        return
    for threads in options.threads.split(","):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        subprocess.run([sys.executable, __file__, "--inside", "--threads", threads, "--sizes", options.sizes], env=environment, check=True)


def measure(threads: int, sizes: list[int]) -> None:
    """Print one table."""
    import numpy as np

    from deepstruc_hpc.core.structure import Structure
    from deepstruc_hpc.physics.debye import Atoms
    from deepstruc_hpc.physics.form_factors import scattering_factors
    from deepstruc_hpc.physics.instrument import Instrument
    from deepstruc_hpc.physics.simulate import simulate_pdf, simulate_pdf_batch
    from deepstruc_hpc.physics.transform import fq_to_gr, quadrature

    r = np.arange(0.0, R_MAX, R_STEP)
    peer = debye_calculator(threads)
    print(f"\n{threads} thread(s); ms a structure (error as part of max|G|)")
    print("|   N | ours, batch | ours, one by one, float64 | DebyeCalculator | ours faster by | error smaller by |")
    print("|---|---|---|---|---|---|")
    for size in sizes:
        clusters = [sphere(size, seed) for seed in range(max(4, 4000 // size))]
        structures = [Structure.of_element("Au", positions) for positions in clusters]
        batch, batch_s = best(lambda s=structures: simulate_pdf_batch(s, r, Instrument(qmin=QMIN, qmax=QMAX, qdamp=0.0), uiso=UISO))
        few = clusters[:8]
        single, single_s = best(lambda c=few: [simulate_pdf(["Au"] * len(x), x, r, qmin=QMIN, qmax=QMAX, uiso=UISO) for x in c])
        atoms = Atoms.of(["Au"] * size, clusters[0], UISO)
        q, w = quadrature(QMIN, QMAX, R_MAX + 2 * np.abs(clusters[0]).max() * 1.8)
        exact = fq_to_gr(atoms.fq_exact(q, scattering_factors(("Au",), q, "xray")), q, w, r)
        cells = [f"{size:4d}", cell(batch_s, len(clusters), error(batch[0], exact)), cell(single_s, len(few), error(single[0], exact))]
        if peer is None:
            cells += ["not installed", "", ""]
        else:
            theirs, peer_s = best(lambda c=clusters: [peer(x) for x in c])
            gain = peer_s / batch_s
            cells += [cell(peer_s, len(clusters), error(theirs[0], exact)), f"{gain:.1f}", f"{error(theirs[0], exact) / error(batch[0], exact):.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def sphere(size: int, seed: int) -> Any:
    """Positions of the atoms of an fcc crystal of gold nearest to a point, slightly displaced, Å."""
    import numpy as np

    grid = np.array([(i, j, k) for i in range(-8, 9) for j in range(-8, 9) for k in range(-8, 9) if (i + j + k) % 2 == 0]) * 2.04
    sites = grid[np.argsort(((grid - [0.3, 0.5, 0.2]) ** 2).sum(axis=1), kind="stable")[:size]]
    return sites + np.random.default_rng(seed).normal(size=sites.shape) * 0.02


def debye_calculator(threads: int) -> Callable[[Any], Any] | None:
    """The peer as a function of positions, or None."""
    try:
        import torch
        from debyecalculator import DebyeCalculator
    except ImportError:
        return None
    import math

    torch.set_num_threads(threads)
    ranges = {"qmin": QMIN, "qmax": QMAX, "rmin": 0.0, "rmax": R_MAX, "rstep": R_STEP}
    calculator = DebyeCalculator(**ranges, qdamp=0.0, biso=8 * math.pi**2 * UISO, device="cpu", radiation_type="xray")
    return lambda positions: calculator.gr((["Au"] * len(positions), positions))[1]


def best(work: Callable[[], Any], rounds: int = 3) -> tuple[Any, float]:
    """What a call returns, and the shortest time of some rounds after one to warm up, s."""
    clock = time.process_time if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
    result, times = work(), []
    for _ in range(rounds):
        start = clock()
        result = work()
        times.append(clock() - start)
    return result, min(times)


def error(curve: Any, exact: Any) -> float:
    """Largest difference as part of max|G| after scaling by least squares."""
    import numpy as np

    found = np.asarray(curve, dtype=np.float64)[: len(exact)]
    reference = exact[: len(found)]
    return float(np.abs(found * (found @ reference) / (found @ found) - reference).max() / np.abs(reference).max())


def cell(seconds: float, count: int, deviation: float) -> str:
    """Milliseconds a structure, and the error."""
    return f"{1000 * seconds / count:.3f} ({deviation:.0e})"


if __name__ == "__main__":
    main()
