"""``solve`` on simulated measured-like PDFs of particles that are in no shipped catalog and no training set, from files to the table of goals.

    python benchmarks/solve_unseen.py [--shapes 500] [--seed 1] [--out unseen] [--workers 2]

A generator of its own: superellipsoids and rough polyhedra of 30 to 300 atoms, about any point of the cell and turned in any way, cut from the seven
lattices (random close-packed sequences of 5 to 9 layers for the faulted ones); surfaces drawn in by up to 1.5 %, static disorder up to 0.03 Å.
Noise is that of counting: white in S(Q), so it grows with Q, 1 to 6 % of G; a slow ripple of up to 2 % stays of the background. Qmin 0.5–1.4, Qmax
18–28, U 0.004–0.015 Å², delta2 0–4 Å², r to 20–30 Å, Qdamp 0.015–0.05 Å⁻¹, told to the program with an error of 0.002 as after a calibration.

The files are solved by the command itself with its defaults; a second call goes on. ``truth Rw`` is that of the ideal sites of the true structure,
fitted under the same settings. fcc and octahedral are one lattice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from deepstruc_hpc import read_pdf, simulate_pdf
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import read_structure, write_xyz
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.source import metal_zoom
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.template_lattices import template_lattice

Array = NDArray[np.float64]
KINDS = ("fcc", "hcp", "bcc", "sc", "decahedral", "icosahedral", "stacking_fault")
METALS = ("Au", "Pt", "Ag", "Pd", "Cu", "Ni", "Co", "Fe", "Ru")
EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0001)
RADIUS = 6.5
FEWEST_BONDS = {"sc": 2, "bcc": 2}


def sites_of(kind: str, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Sites of a lattice in nearest-neighbour distances, and the close-packed layer of each (0 throughout where there are none)."""
    if kind in ("fcc", "bcc", "sc", "hcp"):
        sites = template_lattice(f"{kind} atom", RADIUS).sites
    elif kind == "stacking_fault":
        return close_packed(rng)
    else:
        names = {"icosahedral": ("icosahedral",), "decahedral": ("decahedral atom", "decahedral bond")}[kind]
        sites = template_lattice(str(rng.choice(names)), RADIUS).sites
    return np.asarray(sites), np.zeros(len(sites), dtype=np.int64)


def close_packed(rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """A random sequence of close-packed layers, neighbours never alike."""
    count = int(rng.integers(5, 10))
    word = [0]
    for _ in range(count - 1):
        word.append(int((word[-1] + rng.integers(1, 3)) % 3))
    across = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), axis=-1).reshape(-1, 2) @ np.array([[1.0, 0.0], [0.5, 0.75**0.5]])
    step = np.array([0.5, 0.75**0.5 / 3])
    layers = [np.column_stack([across + place * step, np.full(len(across), (n - (count - 1) / 2) * (2 / 3) ** 0.5)]) for n, place in enumerate(word)]
    sites = np.concatenate(layers)
    owner = np.repeat(np.arange(count), len(across))
    near = np.linalg.norm(sites, axis=1) < RADIUS
    return sites[near], owner[near]


def body(kind: str, rng: np.random.Generator) -> Callable[[Array], Array]:
    """A level of points that is 1 on the surface of a body of size 1: a superellipsoid or a rough polyhedron."""
    turn = Rotation.random(rng=rng).as_matrix()
    axes = rng.uniform(0.8, 1.25, 3)
    shift = rng.uniform(-0.5, 0.5, 3) * (0.4 if kind in ("icosahedral", "decahedral") else 1.0)
    if rng.random() < 0.5:
        power = rng.uniform(1.4, 6.0)
        return lambda points: (np.abs((points - shift) @ turn / axes) ** power).sum(axis=1) ** (1 / power)
    normals = rng.normal(size=(int(rng.integers(8, 19)), 3))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    distances = rng.uniform(0.85, 1.15, len(normals))
    return lambda points: np.maximum(((points - shift) @ normals.T / distances).max(axis=1), np.linalg.norm((points - shift) / axes, axis=1) / 1.2)


def particle(kind: str, rng: np.random.Generator) -> Array | None:
    """Sites of one particle of this kind, or None where this try made another kind or too little."""
    sites, layer = sites_of(kind, rng)
    level = body(kind, rng)(sites)
    wanted = int(rng.integers(30, 301))
    if wanted >= len(sites):
        return None
    kept = np.argsort(level, kind="stable")[:wanted]
    for _ in range(8):
        bonds = cKDTree(sites[kept]).sparse_distance_matrix(cKDTree(sites[kept]), 1.06 if kind != "icosahedral" else 1.1, output_type="coo_matrix")
        degree = np.bincount(bonds.row[bonds.row != bonds.col], minlength=len(kept))
        _, piece = connected_components(bonds)
        firm = (degree >= FEWEST_BONDS.get(kind, 3)) & (piece == np.bincount(piece).argmax())
        if firm.all():
            break
        kept = kept[firm]
    edge = np.linalg.norm(sites, axis=1).max() - 0.3
    if len(kept) < 30 or np.linalg.norm(sites[kept], axis=1).max() > edge:
        return None
    if kind == "stacking_fault" and not is_faulted(sites[kept], layer[kept]):
        return None
    return np.asarray(sites[kept])


def is_faulted(sites: Array, layer: NDArray[np.int64]) -> bool:
    """Whether the layers that are there hold both cubic and hexagonal ones, or cannot be either crystal."""
    there = [number for number in np.unique(layer) if (layer == number).sum() >= 5]
    if len(there) < 4:
        return False
    step = np.array([0.5, 0.75**0.5 / 3])
    places = []
    for number in there:
        first = sites[layer == number][0, :2]
        fits = [np.abs(_in_cell(first - place * step)).sum() for place in range(3)]
        places.append(int(np.argmin(fits)))
    hexagonal = [a == c for a, c in zip(places, places[2:], strict=False)]
    return any(hexagonal) and not all(hexagonal)


def _in_cell(point: Array) -> Array:
    inverse = np.linalg.inv(np.array([[1.0, 0.0], [0.5, 0.75**0.5]]))
    along = point @ inverse
    return np.asarray(along - np.round(along))


def measured(structure: Structure, rng: np.random.Generator, *, noise: bool = True) -> tuple[Array, Array, dict[str, float], float]:
    """r, G, what the header says, and the Qdamp that a calibration found (without noise the true one)."""
    radius = np.linalg.norm(structure.positions, axis=1)
    drawn_in = structure.positions * (1 - rng.uniform(0, 0.015) * (radius / radius.max()) ** 4)[:, None]
    positions = drawn_in + rng.normal(0, rng.uniform(0, 0.03), drawn_in.shape)
    qmin, qmax, qdamp = rng.uniform(0.5, 1.4), rng.uniform(18, 28), rng.uniform(0.015, 0.05)
    r = np.arange(0.0, rng.uniform(20, 30), 0.01)
    ideal = simulate_pdf(structure.symbols, positions, r, qmin=qmin, qmax=qmax, qdamp=qdamp, uiso=rng.uniform(0.004, 0.015), delta2=rng.uniform(0, 4))
    if not noise:
        return r, ideal, {"qmin": round(qmin, 3), "qmax": round(qmax, 3)}, qdamp
    strength = ideal[r > 2].std()
    q = np.arange(qmin, qmax, 0.02)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    ripple = np.sin(2 * np.pi * r / rng.uniform(4, 12) + rng.uniform(0, 2 * np.pi)) * np.exp(-r / 10)
    g = ideal + counting / counting.std() * strength * rng.uniform(0.01, 0.06) + ripple * strength * rng.uniform(0, 0.02)
    return r, rng.uniform(0.2, 3.0) * g, {"qmin": round(qmin, 3), "qmax": round(qmax, 3)}, abs(qdamp + rng.normal(0, 0.002))


def make(out: Path, count: int, seed: int) -> pd.DataFrame:
    """Write the curves, the values for ``solve --values`` and the truth; what is there already is kept."""
    for part in ("measured", "truth"):
        (out / part).mkdir(parents=True, exist_ok=True)
    truth, values = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind, symbol, name = KINDS[number % len(KINDS)], str(rng.choice(METALS)), f"p{number:04d}"
        sites = None
        while sites is None:
            sites = particle(kind, rng)
        unit = nn_distance(symbol, "twelve") * rng.uniform(0.98, 1.02)
        structure = Structure.of_element(symbol, sites * unit, kind).centred()
        r, g, header, qdamp = measured(structure, rng)
        lines = ["[DEFAULT]", "mode = xray", f"composition = {symbol}", *(f"{key} = {value}" for key, value in header.items()), "#### start data"]
        np.savetxt(out / "measured" / f"{name}.gr", np.column_stack([r, g]), fmt="%.6g", header="\n".join(lines), comments="")
        write_xyz(structure, out / "truth" / f"{name}.xyz")
        truth.append({"file": f"{name}.gr", "structure_type": kind, "n_atoms": len(structure), "symbol": symbol, "qdamp": qdamp})
        values.append({"file": f"{name}.gr", "qdamp": round(qdamp, 5)})
    table = pd.DataFrame(truth)
    table.to_csv(out / "truth.csv", index=False)
    pd.DataFrame(values).to_csv(out / "values.csv", index=False)
    return table


def true_rw(out: Path, row: pd.Series, settings: SolveSettings) -> float:
    """Rw of the ideal sites, fitted as a candidate is with these settings."""
    curve = read_pdf(out / "measured" / row["file"])
    structure = read_structure(out / "truth" / row["file"].replace(".gr", ".xyz"))
    measurement = describe(curve, settings.model_copy(update={"elements": (row["symbol"],), "qdamp": row["qdamp"]}))
    return float(fit(CandidateSet((Candidate(structure, "catalog", zoom=metal_zoom(measurement, row["symbol"])),)), measurement).rw[0])


def scored(out: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """One row a curve: what was found beside what is true."""
    summary = pd.read_csv(out / "solved" / "summary.csv")
    summary["file"] = summary["file"].map(lambda path: Path(path).name)
    table = truth.merge(summary, on="file", suffixes=("", "_found"))
    lattices: list[list[str]] = []
    for folder in table["folder"]:
        path = out / "solved" / str(folder) / "types.csv"
        kinds = pd.read_csv(path).sort_values("probability", ascending=False, kind="stable")["structure_type"] if path.is_file() else []
        lattices.append(list(dict.fromkeys(lattice_of(kind) for kind in kinds)))
    first = [lattice_of(str(kind)) for kind in table["structure_type_found"]]
    table["right"] = [kind == found for kind, found in zip(table["structure_type"], first, strict=True)]
    table["in_three"] = [
        kind in [found, *others][:4] and kind in ([found] + [o for o in others if o != found])[:3]
        for kind, found, others in zip(table["structure_type"], first, lattices, strict=True)
    ]
    table["size_right"] = (table["n_atoms_found"] - table["n_atoms"]).abs() <= 0.05 * table["n_atoms"]
    settings = SolveSettings.model_validate(json.loads((out / "solved" / "summary.json").read_text(encoding="utf-8"))["run"]["settings"])
    table["truth_rw"] = [true_rw(out, row, settings) for _, row in table.iterrows()]
    table["excess"] = table["rw"] - table["truth_rw"]
    return table


def reliability(table: pd.DataFrame) -> str:
    """Stated probability of the first lattice against how often it is right."""
    lines = ["| stated | curves | mean stated | right |", "|---|---|---|---|"]
    for low, high in pairwise(EDGES):
        part = table[(table["probability"] >= low) & (table["probability"] < high)]
        if len(part):
            lines.append(f"| {low:.2f}–{min(high, 1.0):.2f} | {len(part)} | {part['probability'].mean():.3f} | {part['right'].mean():.3f} |")
    lines.append(f"| all | {len(table)} | {table['probability'].mean():.3f} | {table['right'].mean():.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Make, solve, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("unseen"))
    parser.add_argument("--workers", type=int, default=2)
    options, further = parser.parse_known_args()
    truth = make(options.out, options.shapes, options.seed)
    words = ["--values", str(options.out / "values.csv"), "--workers", str(options.workers), "--no-figures", "--no-report", *further]
    status = run(["solve", str(options.out / "measured"), "--out", str(options.out / "solved"), *words])
    if status not in (0, 1):
        raise SystemExit(status)
    table = scored(options.out, truth)
    table.to_csv(options.out / "scores.csv", index=False)
    figures = {
        "curves": len(table),
        "type right at rank 1": table["right"].mean(),
        "type among the first three": table["in_three"].mean(),
        "N within 5 %": table["size_right"].mean(),
        "median Rw": table["rw"].median(),
        "median Rw of the truth": table["truth_rw"].median(),
        "median of the difference": table["excess"].median(),
        "seconds a PDF of a worker": table["seconds"].mean(),
    }
    print("| | |\n|---|---|")
    print("\n".join(f"| {name} | {value if name == 'curves' else format(value, '.4f')} |" for name, value in figures.items()))
    print("\n| true type | curves | right | N within 5 % | median difference of Rw |\n|---|---|---|---|---|")
    for kind, part in table.groupby("structure_type"):
        print(f"| {kind} | {len(part)} | {part['right'].mean():.3f} | {part['size_right'].mean():.3f} | {part['excess'].median():+.4f} |")
    print("\n" + reliability(table))
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
