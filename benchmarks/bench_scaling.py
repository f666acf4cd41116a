"""How the engine's cost grows: with atoms (50 to 20,000) and with candidates (10 to 100,000), and how far it is from the floor.

    python benchmarks/bench_scaling.py [--largest 20000] [--candidates 10,100,1000,10000]

The floor of a large cluster: every pair needs one distance (8 operations and a square root) and six additions to a histogram that stays in the first
cache, about 50 operations, none of which can use more than one lane for the additions; memory traffic is N² / 512 · 24 bytes. At one addition a cycle
that is 6 cycles a pair; the table gives the measured time a pair.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.physics.threads import thread_count

CONDITIONS = {"qmin": 0.8, "qmax": 25.0, "qdamp": 0.03}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=20000)
    parser.add_argument("--candidates", default="10,100,1000,10000")
    options = parser.parse_args()
    atoms(options.largest)
    candidates([int(count) for count in options.candidates.split(",")])


def atoms(largest: int) -> None:
    """G(r) of one cluster, float64."""
    r = np.arange(0.0, 30.0, 0.01)
    simulate_pdf(["Au"] * 20, sphere(20), r, **CONDITIONS)
    print(f"{thread_count()} thread(s)\n|  atoms | s | ns a pair | peak memory of the process, MB |\n|---|---|---|---|")
    for size in [50, 200, 1000, 5000, 20000, 100000]:
        if size <= largest:
            positions = sphere(size)
            start = time.perf_counter()
            simulate_pdf(["Au"] * size, positions, r, **CONDITIONS)
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"| {size} | {seconds:.3f} | {seconds / (size * (size - 1) / 2) * 1e9:.1f} | {peak:.0f} |", flush=True)


def candidates(counts: list[int]) -> None:
    """Fits of four parameters; clusters of 50 to 200 atoms."""
    rng = np.random.default_rng(0)
    base = [sphere(int(size)) for size in rng.integers(50, 201, 200)]
    r = np.arange(0.0, 25.0, 0.01)
    curve = PdfCurve(r, simulate_pdf(["Au"] * len(base[0]), base[0] * 1.01, r, delta2=2.0, **CONDITIONS))
    fit_candidates([Structure.of_element("Au", base[0])], curve, rmin=2.0, rmax=20.0, **CONDITIONS)
    print("\n| candidates | s | fits/s | peak memory of the process, MB |\n|---|---|---|---|")
    for count in counts:
        chosen = [Structure.of_element("Au", base[i % 200] + rng.normal(size=base[i % 200].shape) * 0.02) for i in range(count)]
        start = time.perf_counter()
        fit_candidates(chosen, curve, rmin=2.0, rmax=20.0, **CONDITIONS)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {count} | {seconds:.3f} | {count / seconds:.0f} | {peak:.0f} |", flush=True)


def sphere(size: int) -> np.ndarray:
    """Positions of the atoms of an fcc crystal of gold nearest to a point, Å."""
    half = int((size / 4 * 3 / 4 / np.pi) ** (1 / 3) * 2) + 4
    axis = np.arange(-half, half + 1)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = grid[grid.sum(axis=1) % 2 == 0] * 2.04
    return sites[np.argsort(((sites - [0.3, 0.5, 0.2]) ** 2).sum(axis=1), kind="stable")[:size]]


if __name__ == "__main__":
    main()
