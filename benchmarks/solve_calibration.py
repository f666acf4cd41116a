"""How far the stated probabilities of solve can be trusted: simulated particles that no list holds, solved with the shipped shapes.

    python benchmarks/solve_calibration.py [--curves 77] [--seed 20261123]

Each curve is a random body of 20 to 220 atoms (sphere, ellipsoid, facets; vacancies) with a relaxed surface, static disorder, random Qmin, Qmax,
Qdamp, U, delta2 and noise; Qdamp is not told to the fit. fcc and octahedral count as one type. Prints a reliability table.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from deepstruc_hpc import Catalog, simulate_pdf
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import Measurement, describe
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import Ranking, rank
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates

EDGES = (0.0, 0.5, 0.7, 0.9, 0.99, 1.0001)


def simulated(shapes: RandomShapes, rng: np.random.Generator) -> tuple[str, PdfCurve]:
    """A structure type and a measured-like curve of a particle of that type."""
    shape = shapes.sample(rng)
    structure = shapes.templates[shape.template].structure(shape.mask, "Au", 2.88 * rng.uniform(0.98, 1.02)).centred()
    radius = np.linalg.norm(structure.positions, axis=1)
    relaxed = structure.positions * (1 - 0.02 * rng.random() * (radius / radius.max()) ** 4)[:, None]
    positions = relaxed + rng.normal(0, 0.06 * rng.random(), relaxed.shape)
    r = np.arange(0, rng.uniform(18, 30), 0.01)
    qmin, qmax = rng.uniform(0.5, 1.4), rng.uniform(18, 28)
    damping = {"qdamp": rng.uniform(0.02, 0.05), "uiso": rng.uniform(0.004, 0.015), "delta2": rng.uniform(0, 4)}
    g = simulate_pdf(structure.symbols, positions, r, qmin=qmin, qmax=qmax, **damping)
    grid = np.arange(0, 31, np.pi / qmax)
    noise = np.interp(r, grid, rng.normal(size=len(grid))) * rng.uniform(0.01, 0.1) * g[r > 2].std()
    return structure.structure_type, PdfCurve(r, g + noise, header={"qmin": qmin, "qmax": qmax}, source="simulated")


def ranked(curve: PdfCurve, shapes: CatalogSource, settings: SolveSettings) -> tuple[Ranking, Measurement]:
    """The shapes of a catalog in the order in which they explain a curve: no model, no search."""
    measurement = describe(curve, settings)
    candidates = fit(shapes.candidates(measurement, Budget(0, settings.sigma, settings.most_atoms)), measurement).fitted()
    return rank(candidates, Posterior.of(candidates, measurement, settings.rank)), measurement


def solve_one(curve: PdfCurve, shapes: CatalogSource, settings: SolveSettings) -> dict[str, float]:
    """Lattice → stated probability."""
    types = ranked(curve, shapes, settings)[0].types
    stated: dict[str, float] = defaultdict(float)
    for lattice, probability in zip(types["lattice"], types["probability"], strict=True):
        stated[lattice] += probability
    return stated


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=77)
    parser.add_argument("--seed", type=int, default=20261123)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    source = RandomShapes(standard_templates(), RandomShapeSettings(min_atoms=20, max_atoms=220), canonical=False)
    stated, right, first_three = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "shapes.zarr"
        build_catalog(load_recipe("shapes"), store, workers=0, progress=False)
        shapes = CatalogSource(Catalog.open(store))
        for _ in range(options.curves):
            kind, curve = simulated(source, rng)
            answer = solve_one(curve, shapes, SolveSettings(elements=("Au",)))
            order = sorted(answer, key=lambda name: -answer[name])
            stated.append(answer[order[0]])
            right.append(order[0] == lattice_of(kind))
            first_three += lattice_of(kind) in order[:3]
    probability, hit = np.array(stated), np.array(right)
    print(
        f"{len(hit)} curves: first type right {hit.mean():.3f}, in the first three {first_three / len(hit):.3f}, mean stated {probability.mean():.3f}"
    )
    print("stated           curves  mean stated  right")
    for low, high in pairwise(EDGES):
        inside = (probability >= low) & (probability < high)
        if inside.any():
            print(f"{low:4.2f} to {min(high, 1):4.2f}  {inside.sum():9d}  {probability[inside].mean():11.3f}  {hit[inside].mean():.3f}")


if __name__ == "__main__":
    main()
