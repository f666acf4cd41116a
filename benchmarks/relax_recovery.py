"""How far `relax` brings displaced atoms back to where they belong, and that it leaves a perfect cluster alone.

    python benchmarks/relax_recovery.py

Data of perfect gold clusters (Qmin 0.8, Qmax 25, Qdamp 0.03, r 2 to 20 Å). Every atom of the start is displaced at random by 0.1 Å a coordinate.
Errors are root mean squares over the atoms after the best rotation, Å.
"""

from __future__ import annotations

import time

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.relax import relax
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.multiply_twinned import icosahedron_sites

CONDITIONS = {"qmin": 0.8, "qmax": 25.0, "qdamp": 0.03}
RANGE = {"rmin": 2.0, "rmax": 20.0}


def main() -> None:
    """Print the table."""
    clusters = {"icosahedron": icosahedron_sites(3) * 2.78, "fcc": sphere(38), "fcc, larger": sphere(147)}
    print("| cluster | atoms | displaced by, Å | noise in G | restraint | error before, Å | after, Å | Rw before | after | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, positions in clusters.items():
        for displaced, noise, restraint in ((0.0, 0.0, 1e-3), (0.0, 0.05, 1e-3), (0.1, 0.0, 1e-4), (0.1, 0.05, 1e-4)):
            cells = one(positions, displaced, noise, restraint)
            print(f"| {name} | {len(positions)} | {displaced} | {100 * noise:.0f} % | {restraint:g} | " + " | ".join(cells) + " |", flush=True)


def one(positions: np.ndarray, displaced: float, noise: float, restraint: float) -> list[str]:
    """One row: errors and Rw before and after, and the time."""
    rng = np.random.default_rng(7)
    start = Structure.of_element("Au", positions + rng.normal(size=positions.shape) * displaced)
    curve = measured(positions, noise, rng)
    row = fit_candidates([start], curve, **RANGE, **CONDITIONS).row(0)
    began = time.perf_counter()
    result = relax(start, row, curve, Instrument(**CONDITIONS), **RANGE, restraint=restraint)
    seconds = time.perf_counter() - began
    before, after = error(start.positions, positions), error(result.structure.positions, positions)
    return [f"{before:.3f}", f"{after:.3f}", f"{result.rw_before:.3f}", f"{result.rw_after:.3f}", f"{seconds:.1f}"]


def measured(positions: np.ndarray, noise: float, rng: np.random.Generator) -> PdfCurve:
    """G(r) of the perfect cluster, with noise that is white in F(Q), as part of the RMS of G."""
    r = np.arange(0.0, 22.0, 0.02)
    g = simulate_pdf(["Au"] * len(positions), positions, r, uiso=0.006, delta2=2.0, **CONDITIONS)
    q = np.linspace(CONDITIONS["qmin"], CONDITIONS["qmax"], 400)
    ripple = rng.normal(size=len(q)) @ np.sin(np.outer(q, r))
    return PdfCurve(r, g + noise * ripple * np.linalg.norm(g) / np.linalg.norm(ripple))


def error(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square distance of atoms in the same order after the best rotation (Kabsch 1976), Å."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    left, _, right = np.linalg.svd(a.T @ b)
    return float(np.sqrt(((a @ (left @ right) - b) ** 2).sum(axis=1).mean()))


def sphere(size: int) -> np.ndarray:
    """Positions of the atoms of an fcc crystal of gold nearest to a point, Å."""
    axis = np.arange(-8, 9)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = grid[grid.sum(axis=1) % 2 == 0] * 2.04
    return sites[np.argsort(((sites - [0.3, 0.5, 0.2]) ** 2).sum(axis=1), kind="stable")[:size]]


if __name__ == "__main__":
    main()
