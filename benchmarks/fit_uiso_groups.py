"""When data carry a U for cations and one for anions: ``fit_candidates(uiso_groups="auto")`` on simulated curves of CeO2.

    python benchmarks/fit_uiso_groups.py [--curves 30]

First table: how often the second U is kept, by the truth, the radiation and the noise (band-limited, as part of the curve's norm). Second table:
300 spheres fitted to the noise-free curve of one of them, with one U and with two. No measured data.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from deepstruc_hpc import PdfCurve, Structure, fit_candidates, simulate_pdf

CONDITIONS = {"qmin": 0.8, "qmax": 25.0, "qdamp": 0.03}
RANGE = {"rmin": 2.0, "rmax": 20.0}
GRID = np.arange(0.0, 22.0, 0.02)


def sphere(radius: float, a: float = 5.411) -> Structure:
    """CeO2 within a radius (Å) about a generic point."""
    cells = np.array([(i, j, k) for i in range(-4, 5) for j in range(-4, 5) for k in range(-4, 5)], dtype=float)
    metal = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    oxygen = [(x, y, z) for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)]
    parts = [((cells[:, None] + np.array(sites)) * a).reshape(-1, 3) - np.array([0.3, 0.2, 0.1]) for sites in (metal, oxygen)]
    inside = [part[np.linalg.norm(part, axis=1) < radius] for part in parts]
    return Structure(("Ce",) * len(inside[0]) + ("O",) * len(inside[1]), np.concatenate(inside))


def curve(truth: Structure, u_cation: float, u_anion: float, radiation: str) -> np.ndarray:
    """G(r) with U in Å²."""
    uiso = np.where(np.array(truth.symbols) == "Ce", u_cation, u_anion)
    return 0.7 * simulate_pdf(truth.symbols, truth.positions * 1.012, GRID, uiso=uiso, delta2=1.5, radiation=radiation, **CONDITIONS)


def how_often(count: int) -> None:
    """The first table."""
    truth, rng = sphere(9.0), np.random.default_rng(0)
    waves = np.sin(np.outer(np.linspace(0.8, 25.0, 400), GRID))
    print(f"{truth.formula}\n| U of Ce, O (Å²) | radiation | noise | two U kept |\n|---|---|---|---|")
    for pair in ((0.006, 0.006), (0.005, 0.007), (0.003, 0.012)):
        for radiation in ("xray", "neutron"):
            g = curve(truth, *pair, radiation)
            for level in (0.02, 0.1, 0.3):
                kept = 0
                for _ in range(count):
                    noise = rng.normal(size=400) @ waves
                    noisy = PdfCurve(GRID, g + level * noise * np.linalg.norm(g) / np.linalg.norm(noise))
                    table = fit_candidates([truth], noisy, **RANGE, **CONDITIONS, radiation=radiation, uiso_groups="auto")
                    kept += bool(table.uiso_by_element[0])
                print(f"| {pair[0]}, {pair[1]} | {radiation} | {level:.0%} | {kept} of {count} |", flush=True)


def what_one_u_hides() -> None:
    """The second table."""
    spheres = [sphere(radius) for radius in np.linspace(6.0, 11.0, 300)]
    right = 150
    data = PdfCurve(GRID, curve(spheres[right], 0.003, 0.012, "xray"))
    print(f"\nthe truth: {spheres[right].formula}")
    print("| uiso_groups | s | lowest Rw | of | Rw of the right one | with several U |\n|---|---|---|---|---|---|")
    for groups in (None, "auto", {}):
        start = time.process_time()
        table = fit_candidates(spheres, data, **RANGE, **CONDITIONS, uiso_groups=groups, threads=1)
        seconds, best = time.process_time() - start, int(table.order()[0])
        several = sum(map(bool, table.uiso_by_element))
        print(f"| {groups} | {seconds:.2f} | {table.rw[best]:.4f} | {spheres[best].formula} | {table.rw[right]:.4f} | {several} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=30)
    how_often(parser.parse_args().curves)
    what_one_u_hides()
