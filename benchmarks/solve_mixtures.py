"""How often ``solve --mixtures`` recognises a mixture, how far its shares are off, and how often it calls one particle a mixture.

    python benchmarks/solve_mixtures.py [--curves 20] [--seed 20261124]

Gold, shapes of ``catalog/shapes.yaml``. Mixtures are two listed shapes of different lattice, the first 40 to 130 % of the second in size, with
shares between 25 and 75 %, own strain, the same U. Listed particles are one such shape. Unlisted ones are those of ``solve_calibration.py``: random
bodies with relaxed surfaces that no list holds, where a mixture of listed shapes may well fit better. Qmin 0.8, Qmax 22, r to 25 Å, noise of 3 %
within the range of Q.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from solve_calibration import ranked, simulated

from deepstruc_hpc import Catalog, simulate_pdf
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.checks.phases import Mixture, find_mixture
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.parents import standard_parents
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings

QMIN, QMAX = 0.8, 22.0


def curve_of(parts: list[tuple[Structure, float]], rng: np.random.Generator) -> PdfCurve:
    """A noisy curve of shapes with their shares."""
    r = np.arange(0.0, 25.0, 0.02)
    uiso = rng.uniform(0.005, 0.011)
    g = np.zeros(len(r))
    for structure, share in parts:
        moved = structure.positions * rng.uniform(0.985, 1.01)
        g += share * simulate_pdf(structure.symbols, moved, r, qmin=QMIN, qmax=QMAX, qdamp=0.03, uiso=uiso, delta2=2.0)
    q = np.linspace(QMIN, QMAX, 900)
    noise = np.sin(np.outer(r, q)) @ rng.normal(size=len(q))
    return PdfCurve(r, 0.5 * (g + 0.03 * g[r > 2].std() * noise / noise.std()), header={"qmin": QMIN, "qmax": QMAX}, source="simulated")


def ask(curve: PdfCurve, shapes: CatalogSource) -> tuple[Mixture | None, float]:
    """What is said about a curve, and the seconds that the question took."""
    ranking, measurement = ranked(curve, shapes, SolveSettings(elements=("Au",)))
    started = time.perf_counter()
    found = find_mixture(ranking, measurement)
    return found, time.perf_counter() - started


def two_shapes(listed: list[Structure], rng: np.random.Generator) -> tuple[Structure, Structure]:
    """Two listed shapes of different lattice and comparable size."""
    while True:
        first, second = (listed[int(number)] for number in rng.integers(len(listed), size=2))
        lattices = {lattice_of(one.structure_type) for one in (first, second)}
        if len(lattices) == 2 and 0.4 < len(first) / len(second) < 1.3:
            return first, second


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=20261124)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    source = RandomShapes(standard_parents(), RandomShapeSettings(min_atoms=20, max_atoms=220), canonical=False)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "shapes.zarr"
        build_catalog(load_recipe("shapes"), store, workers=0, progress=False)
        shapes = CatalogSource(Catalog.open(store))
        anything = describe(simulated(source, np.random.default_rng(0))[1], SolveSettings(elements=("Au",)))
        listed = [entry.structure for entry in shapes.candidates(anything, Budget(0, (1.0,), 0)) if 40 <= len(entry.structure) <= 250]
        asked: dict[str, list[tuple[Mixture | None, float]]] = {"mixture": [], "listed particle": [], "unlisted particle": []}
        errors, types, kinds = [], 0, {"phases": 0, "sizes": 0}
        for _ in range(options.curves):
            (first, second), share = two_shapes(listed, rng), rng.uniform(0.25, 0.75)
            found, seconds = ask(curve_of([(first, share), (second, 1 - share)], rng), shapes)
            asked["mixture"].append((found, seconds))
            if found and found.kept and set(found.rows["structure_type"]) == {first.structure_type, second.structure_type}:
                types += 1
                ours = dict(zip(found.rows["structure_type"], found.fit.weights, strict=True))
                errors.append(abs(ours[first.structure_type] - share))
            found, seconds = ask(curve_of([(first, 1.0)], rng), shapes)
            asked["listed particle"].append((found, seconds))
            found, seconds = ask(simulated(source, rng)[1], shapes)
            asked["unlisted particle"].append((found, seconds))
            if found and found.kept:
                kinds[found.kind] += 1
    for what, answers in asked.items():
        kept = sum(bool(answer and answer.kept) for answer, _ in answers)
        each = np.median([seconds for _, seconds in answers])
        gains = sorted(answer.gain for answer, _ in answers if answer)
        print(f"{what:18} {len(answers)} curves, called a mixture {kept}, {each:.2f} s each (median)")
        print("    gains in nats: " + " ".join(f"{gain:.1f}" for gain in gains))
    middle, most = (100 * measure(errors or [np.nan]) for measure in (np.median, np.max))
    print(f"mixtures with both types right: {types}; share off by {middle:.1f} points (median), {most:.1f} at most")
    print(f"unlisted particles: {kinds['phases']} called two phases, {kinds['sizes']} several sizes")


if __name__ == "__main__":
    main()
