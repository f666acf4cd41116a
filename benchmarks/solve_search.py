"""What the search adds to lists and samples: simulated particles that no list holds, solved with and without neighbours of the best.

    python benchmarks/solve_search.py [--curves 30] [--seed 77012] [--neighbours 0 --neighbours 2000] [--sources catalog]

Each curve is a random body of 20 to 220 atoms (sphere, ellipsoid, facets; vacancies, unfinished layers) with a relaxed surface, static disorder,
random Qmin, Qmax, Qdamp, U, delta2 and noise; Qdamp is not told to the fit. Prints for each budget the share of curves whose type is right at rank 1
(fcc and octahedral counted as one) and in the first three, and whose number of atoms at rank 1 is within 5 %; the median of Rw of rank 1 minus Rw of
the true lattice under the same settings; and seconds a curve, with reading, ranking and writing, in one process.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepstruc_hpc import fit_candidates, read_pdf, simulate_pdf
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates

QDAMP_ASSUMED = 0.03


@dataclass(frozen=True, eq=False)
class Made:
    """A simulated measurement: the file, the cluster before relaxation and disorder, and the conditions that the fit is told."""

    path: Path
    truth: Structure
    qmin: float
    qmax: float


def simulated(path: Path, shapes: RandomShapes, rng: np.random.Generator) -> Made:
    """Write the measured-like curve of a random particle."""
    shape = shapes.sample(rng)
    structure = shapes.templates[shape.template].structure(shape.mask, "Au", 2.88 * rng.uniform(0.98, 1.02)).centred()
    radius = np.linalg.norm(structure.positions, axis=1)
    relaxed = structure.positions * (1 - 0.02 * rng.random() * (radius / radius.max()) ** 4)[:, None]
    positions = relaxed + rng.normal(0, 0.06 * rng.random(), relaxed.shape)
    r = np.arange(0, rng.uniform(18, 30), 0.01)
    qmin, qmax = round(rng.uniform(0.5, 1.4), 2), round(rng.uniform(18, 28), 1)
    damping = {"qdamp": rng.uniform(0.02, 0.05), "uiso": rng.uniform(0.004, 0.015), "delta2": rng.uniform(0, 4)}
    g = simulate_pdf(structure.symbols, positions, r, qmin=qmin, qmax=qmax, **damping)
    grid = np.arange(0, 31, np.pi / qmax)
    noise = np.interp(r, grid, rng.normal(size=len(grid))) * rng.uniform(0.01, 0.1) * g[r > 2].std()
    head = ["[DEFAULT]", "version = pdfgetx3-2.1.2", "mode = xray", "composition = Au", f"qmin = {qmin}", f"qmax = {qmax}", "#### start data"]
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g + noise, strict=True))]) + "\n", encoding="utf-8")
    return Made(path, structure, qmin, qmax)


def true_rw(made: Made) -> float:
    """Rw of the true lattice under the settings of the run."""
    curve = read_pdf(made.path)
    conditions = {"rmin": 2.0, "rmax": float(curve.r[-1]), "qmin": made.qmin, "qmax": made.qmax, "qdamp": QDAMP_ASSUMED}
    return float(fit_candidates([made.truth], curve, **conditions, bounds={"zoom": (0.92, 1.08)}).rw[0])


def judged(made: Made, row: pd.Series, folder: Path) -> dict[str, float]:
    """Type, size and fit of rank 1 against the truth."""
    kind = lattice_of(made.truth.structure_type)
    types = [lattice_of(name) for name in pd.read_csv(folder / "types.csv")["structure_type"]]
    first = pd.read_csv(folder / "candidates.csv", nrows=1).iloc[0]
    return {
        "type": float(types[0] == kind),
        "three": float(kind in list(dict.fromkeys(types))[:3]),
        "size": float(abs(int(first["n_atoms"]) - len(made.truth)) <= 0.05 * len(made.truth)),
        "rw": float(first["rw"]) - true_rw(made),
        "seconds": float(row["seconds"]),
        "n_true": len(made.truth),
        "n": int(first["n_atoms"]),
        "true_type": kind,
        "found_type": str(first["structure_type"]),
        "source": str(first["source"]),
        "complexity": float(first["complexity"]),
        "true_rw": true_rw(made),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=30)
    parser.add_argument("--seed", type=int, default=77012)
    parser.add_argument("--neighbours", type=int, action="append", help="budget; repeatable; default 0 and the settings' own")
    parser.add_argument("--sources", default="cvae,catalog")
    parser.add_argument("--each", action="store_true", help="a line a curve, too")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    source = RandomShapes(standard_templates(), RandomShapeSettings(min_atoms=20, max_atoms=220), canonical=False)
    print("neighbours  curves  type  in three  N within 5 %  median Rw - true  s a curve (median)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [simulated(folder / f"p{number:03d}.gr", source, rng) for number in range(options.curves)]
        for budget in options.neighbours if options.neighbours is not None else [0, None]:
            changes = {} if budget is None else {"local_shapes": budget}
            out = folder / f"out-{budget}"
            frame = solve([item.path for item in made], out, elements="Au", sources=options.sources, workers=0, **changes)
            rows = pd.DataFrame([judged(item, row, out / item.path.stem) for item, (_, row) in zip(made, frame.iterrows(), strict=True)])
            label = "default" if budget is None else str(budget)
            print(
                f"{label:>10s}  {len(rows):6d}  {rows['type'].mean():.3f}  {rows['three'].mean():8.3f}  {rows['size'].mean():12.3f}"
                f"  {rows['rw'].median():16.4f}  {rows['seconds'].median():10.2f}",
                flush=True,
            )
            if options.each:
                print(rows.round(4).to_string())


if __name__ == "__main__":
    main()
