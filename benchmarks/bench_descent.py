"""All changes of one atom of a cluster against one curve: from matrix products (:mod:`deepstruc_hpc.physics.site_descent`), and by a fit of each.

    python benchmarks/bench_descent.py [--fits 300]

Each change is an atom put in, taken out or moved at the surface of a rounded particle. A sample of the changes is fitted by the engine with scale
alone, at the same parameters, in batches; the time for all is extrapolated from it. The processor's time of one thread; the last column is the
largest difference of Rw between the two ways over that sample.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.site_descent import SiteCurves, SiteDescent
from deepstruc_hpc.physics.target import target_of
from deepstruc_hpc.structures.template_lattices import template_lattice

UNIT = 2.77
RANGES = {"qmin": 0.8, "qmax": 24.0, "qdamp": 0.03}
WIDTHS = {"uiso": 0.007, "delta2": 2.0}
R = np.arange(2.0, 22.0, 0.01)


def main() -> None:
    """Print one row a particle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=300, help="changes that are fitted one by one")
    options = parser.parse_args()
    print("| template lattice | atoms | changes | ours, ms | by fits, s (extrapolated) | times ours | Rw differs by |")
    print("|---|---|---|---|---|---|---|")
    for name, size in (("fcc atom", 2.4), ("fcc atom", 3.5), ("decahedral atom", 3.0), ("icosahedral", 3.2)):
        row(name, size, options.fits)


def row(name: str, size: float, n_fits: int) -> None:
    """Measure one particle."""
    template = template_lattice(name, 6.5)
    near = np.flatnonzero(template.distance < size + 1.3)
    sites, mask = template.sites[near] * UNIT, template.distance[near] < size
    elongated = np.linalg.norm(template.sites[near] * [1.0, 1.05, 0.92], axis=1) < size
    curve = PdfCurve(R, simulate_pdf(("Pt",) * int(elongated.sum()), sites[elongated], R, **RANGES, **WIDTHS))
    target = target_of(curve.r, curve.g, **RANGES, largest_distance=2.0 * float(np.linalg.norm(sites, axis=1).max()))
    curves = SiteCurves.of(sites, target, **WIDTHS)
    bonds = template.bonds[near][:, near]
    descent = SiteDescent(curves, bonds, points=140.0, min_neighbours=template.min_neighbours, most_atoms=len(near))
    potential = curves.potential(mask)
    total = 0.5 * potential[mask].sum(axis=0)
    descent.best_change(mask, potential, total)
    began = time.process_time()
    for _ in range(20):
        descent.best_change(mask, potential, total)
    ours = (time.process_time() - began) / 20

    neighbours = np.asarray(bonds @ mask.astype(int))
    full = int(np.asarray(bonds.sum(axis=1)).max())
    out, put = np.flatnonzero(mask & (neighbours < full)), np.flatnonzero(~mask & (neighbours >= template.min_neighbours))
    changes = len(out) + len(put) + len(out) * len(put)
    rng = np.random.default_rng(0)
    masks = []
    for a, b in zip(rng.choice(out, n_fits), rng.choice(put, n_fits), strict=True):
        changed = mask.copy()
        changed[a], changed[b] = False, True
        masks.append(changed)
    full_masks = [np.isin(np.arange(len(template)), near[changed]) for changed in masks]
    structures = [template.structure(changed, "Pt", UNIT) for changed in full_masks]
    ask = {"rmin": R[0], "rmax": R[-1], **RANGES, "free": ("scale",), "start": WIDTHS, "threads": 1}
    fit_candidates(structures[:10], curve, **ask)
    began = time.process_time()
    table = fit_candidates(structures, curve, **ask)
    by_fits = (time.process_time() - began) / n_fits * changes
    away = max(abs(float(table.rw[place]) - curves.rw(changed)) for place, changed in enumerate(masks))
    print(f"| {name} | {mask.sum()} | {changes} | {1000 * ours:.1f} | {by_fits:.1f} | {by_fits / ours:.0f} | {away:.1e} |")


if __name__ == "__main__":
    main()
