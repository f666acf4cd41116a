"""``solve`` on simulated measured-like PDFs of metal particles of 1,500 to 15,000 atoms: decahedra, icosahedra, twins and crystals.

    python benchmarks/solve_large.py [--curves 21] [--seed 1] [--out large] [--workers 0] [--most 15000] [--only decahedral]

A generator of its own: outlines with facets at distances of their own (3 % apart), superellipsoids, centres beside any site, decahedra with their
axis off the middle, icosahedra with an unfinished outer shell, one twin plane anywhere in the middle half or two at any distance, hcp with the c/a of
cobalt or ruthenium. Surface atoms are drawn in (a (100) face of fcc by 1 %), atoms displaced by 0.02 Å. Noise is that of counting, 1 to 4 % of G.
Qmin 0.6–1.1, Qmax 18–26, U 0.004–0.01 Å², delta2 0–4 Å², Qdamp 0.01–0.03 Å⁻¹ and told, r to 30–60 Å.

The command solves the files with its defaults; a second call goes on. A type is right where the lattice of rank 1 is the true one. Where fcc is
called for a twinned crystal or the other way round, and the message says that the data cannot tell the two apart, the curve is counted apart. The
diameter is that of the sphere with the particle's volume.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from deepstruc_hpc.cli.app import run
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf_batch
from deepstruc_hpc.structures.close_packed import LAYER_SPACING, sequence_of, stacked_sites
from deepstruc_hpc.structures.cubic import equivalent_planes, lattice_sites
from deepstruc_hpc.structures.defects import with_displacements, with_surface_relaxation
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of, metal_atomic_volume
from deepstruc_hpc.structures.multiply_twinned import decahedron_sites, icosahedron_sites

Array = NDArray[np.float64]
KINDS = ("decahedral", "icosahedral", "fcc sphere", "twin", "hcp", "bcc", "fcc facetted")
METALS = {"hcp": ("Co", "Ru"), "bcc": ("Fe", "W", "Mo")}
OTHERS = ("Au", "Pt", "Ag", "Pd", "Cu", "Ni")
C_OVER_A = {"Co": 1.623, "Ru": 1.582}
IDEAL = float(np.sqrt(8.0 / 3.0))
FIVE = np.pi / 2 + 2 * np.pi / 5 * np.arange(5)


def radius_of(n_atoms: int, kind: str) -> float:
    """Of the sphere of so many atoms, nearest-neighbour distances."""
    return float(np.cbrt(3.0 / (4.0 * np.pi) * n_atoms * metal_atomic_volume(kind, 1.0)))


def round_level(points: Array, rng: np.random.Generator, spread: float) -> Array:
    """A superellipsoid turned in any way: 2 is an ellipsoid, more is blunter."""
    turn, axes, power = Rotation.random(rng=rng).as_matrix(), np.exp(rng.normal(0.0, spread, 3)), rng.uniform(1.9, 3.0)
    return np.asarray((np.abs(points @ turn / axes) ** power).sum(axis=1) ** (1 / power))


def facet_level(points: Array, normals: Array, distance: Array, rng: np.random.Generator) -> Array:
    """Facets at distances of their own."""
    return np.asarray((points @ (normals / (distance * np.exp(rng.normal(0.0, 0.03, len(normals))))[:, None]).T).max(axis=1))


def decahedron(reach: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sites and level: caps, sides of five squares, and in half of them a re-entrance."""
    sites = decahedron_sites(int(reach / 0.7) + 2, int(2 * reach) + 2, 0)
    points = sites - rng.uniform(-0.5, 0.5, 3)
    tilt = np.arctan2(np.sqrt(0.75) * np.cos(np.pi / 5), 0.5)
    ring = np.column_stack([np.cos(FIVE + np.pi / 5), np.sin(FIVE + np.pi / 5)])
    caps = np.concatenate([np.column_stack([np.cos(tilt) * ring, np.full(5, side * np.sin(tilt))]) for side in (1, -1)])
    prism = rng.uniform(0.75, 1.45)
    level = facet_level(points, np.concatenate([caps, np.column_stack([ring, np.zeros(5)])]), np.repeat([1.0, prism], [10, 5]), rng)
    if rng.random() < 0.5:
        corners = np.column_stack([np.cos(FIVE), np.sin(FIVE)])
        along = points[:, :2] @ corners.T
        beside = np.abs(points[:, :2] @ np.column_stack([-np.sin(FIVE), np.cos(FIVE)]).T)
        beyond = (along - beside / np.tan(2 * np.pi / 5)).max(axis=1)
        level = np.maximum(level, beyond / (prism * rng.uniform(0.8, 1.15)))
    return sites, level


def icosahedron(reach: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sites and level: twenty faces, corners cut."""
    sites = icosahedron_sites(int(reach / 0.79) + 2)
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array([np.roll([0.0, s, t * golden], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)]) / np.sqrt(1.0 + golden**2)
    faces = np.array([np.roll([0.0, s / golden, t * golden], turn) for turn in range(3) for s in (1, -1) for t in (1, -1)])
    faces = np.concatenate([faces, [[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)]]) / np.sqrt(3.0)
    distance = np.repeat([1.0, rng.uniform(1.05, 1.26)], [20, 12])
    return sites, facet_level(sites - rng.uniform(-0.4, 0.4, 3), np.concatenate([faces, corners]), distance, rng)


def twin(reach: float, radius: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sites and level: one plane within the middle half, or two with at least three layers between them."""
    around = int(reach / LAYER_SPACING) + 3
    inner = 0.5 * radius / LAYER_SPACING
    offset, between = (int(rng.uniform(-inner, inner)), "") if rng.random() < 0.5 else (0, "c" * int(rng.uniform(3, max(2 * inner, 4))) + "h")
    sequence = sequence_of("c" * (around + inner.__ceil__()) + "h" + between + "c" * (around + inner.__ceil__()))
    sites = stacked_sites(sequence, reach, str(rng.choice(["A", "B", "C"])))
    return sites, round_level(sites - np.array([*rng.uniform(-0.5, 0.5, 2), offset * LAYER_SPACING]), rng, 0.05)


def particle(kind: str, n_atoms: int, rng: np.random.Generator) -> Array:
    """(N, 3) sites of one particle, nearest-neighbour distances."""
    lattice = {"twin": "fcc"}.get(kind, kind.partition(" ")[0])
    radius = radius_of(n_atoms, lattice)
    reach = 1.7 * radius + 1.0
    if kind == "decahedral":
        sites, level = decahedron(reach, rng)
    elif kind == "icosahedral":
        sites, level = icosahedron(reach, rng)
    elif kind == "twin":
        sites, level = twin(reach, radius, rng)
    elif kind == "hcp":
        sites = stacked_sites("AB" * (int(reach / LAYER_SPACING) + 1), reach)
        level = round_level(sites - rng.uniform(-0.5, 0.5, 3), rng, 0.06)
    else:
        sites = lattice_sites(lattice, reach)
        points = sites - rng.uniform(-0.5, 0.5, 3)
        if kind == "fcc facetted":
            normals = [equivalent_planes((1, 1, 1)), equivalent_planes((1, 0, 0))]
            level = facet_level(points, np.concatenate(normals), np.repeat([1.0, rng.uniform(0.95, 1.5)], [8, 6]), rng)
        else:
            level = round_level(points, rng, 0.04)
    chosen = np.argsort(level, kind="stable")[:n_atoms]
    if np.linalg.norm(sites[chosen], axis=1).max() > reach:
        raise RuntimeError(f"{kind} of {n_atoms} atoms reaches out of the sites that were laid out")
    return np.asarray(sites[chosen])


def measured(structure: Structure, rng: np.random.Generator) -> tuple[Array, Array, dict[str, float]]:
    """r, G, and what the header says."""
    drawn = with_displacements(with_surface_relaxation(structure, 0.03), 0.02**2, rng)
    qmin, qmax, qdamp = rng.uniform(0.6, 1.1), rng.uniform(18, 26), rng.uniform(0.01, 0.03)
    r = np.arange(0.0, rng.uniform(30, 60), 0.01)
    instrument = Instrument(qmin=qmin, qmax=qmax, qdamp=qdamp)
    ideal = simulate_pdf_batch([drawn], r, instrument, uiso=rng.uniform(0.004, 0.01), delta2=rng.uniform(0, 4))[0].astype(float)
    q = np.arange(qmin, qmax, 0.02)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    g = ideal + counting / counting.std() * ideal[r > 2].std() * rng.uniform(0.01, 0.04)
    return r, rng.uniform(0.2, 3.0) * g, {"qmin": round(qmin, 3), "qmax": round(qmax, 3), "qdamp": round(qdamp, 4)}


def make(out: Path, count: int, seed: int, most: int, only: str | None) -> pd.DataFrame:
    """Write the curves and the truth."""
    (out / "measured").mkdir(parents=True, exist_ok=True)
    (out / "truth").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind, name = KINDS[number % len(KINDS)], f"l{number:04d}"
        if only is not None and kind != only:
            continue
        symbol, wanted = str(rng.choice(METALS.get(kind, OTHERS))), round(float(np.exp(rng.uniform(np.log(1500), np.log(most)))))
        lattice = {"twin": "stacking_fault"}.get(kind, kind.partition(" ")[0])
        unit = nn_distance(symbol, "twelve") * rng.uniform(0.99, 1.01) * (0.97 if kind == "bcc" else 1.0)
        stretch = C_OVER_A[symbol] / IDEAL if kind == "hcp" else 1.0
        positions = particle(kind, wanted, rng) * unit * np.array([1.0, 1.0, stretch])
        structure = Structure.of_element(symbol, positions, lattice).centred()
        volume = len(structure) * metal_atomic_volume(lattice, unit) * stretch
        r, g, header = measured(structure, rng)
        lines = ["[DEFAULT]", "mode = xray", f"composition = {symbol}", *(f"{key} = {value}" for key, value in header.items()), "#### start data"]
        np.savetxt(out / "measured" / f"{name}.gr", np.column_stack([r, g]), fmt="%.6g", header="\n".join(lines), comments="")
        write_xyz(structure, out / "truth" / f"{name}.xyz")
        diameter = float(np.cbrt(6.0 / np.pi * volume))
        rows.append(
            {
                "file": f"{name}.gr",
                "kind": kind,
                "true_type": lattice,
                "true_atoms": len(structure),
                "symbol": symbol,
                "true_diameter": diameter,
                "rmax": r[-1],
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(out / "truth.csv", index=False)
    return table


def scored(out: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """One row a curve: what was found beside what is true."""
    summary = pd.read_csv(out / "solved" / "summary.csv")
    summary["file"] = summary["file"].map(lambda path: Path(path).name)
    table = truth.merge(summary, on="file")
    found = [lattice_of(str(kind)) for kind in table["structure_type"]]
    table["right"] = [one == true for one, true in zip(found, table["true_type"], strict=True)]
    twins = {"fcc", "stacking_fault"}
    table["open"] = [
        not right and {one, true} == twins and "cannot tell" in str(message)
        for right, one, true, message in zip(table["right"], found, table["true_type"], table["message"], strict=True)
    ]
    table["diameter_off"] = table["diameter"] / table["true_diameter"] - 1.0
    table["size_right"] = table["diameter_off"].abs() <= 0.05
    return table


def main() -> None:
    """Make, solve, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=21)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("large"))
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--most", type=int, default=15_000, help="atoms of the largest particle")
    parser.add_argument("--only", choices=KINDS)
    options, further = parser.parse_known_args()
    truth = make(options.out, options.curves, options.seed, options.most, options.only)
    words = ["--workers", str(options.workers), "--no-figures", "--no-report", *further]
    status = run(["solve", str(options.out / "measured"), "--out", str(options.out / "solved"), *words])
    if status not in (0, 1):
        raise SystemExit(status)
    table = scored(options.out, truth)
    table.to_csv(options.out / "scores.csv", index=False)
    shown = ["file", "kind", "symbol", "true_atoms", "rmax", "structure_type", "rw", "probability", "diameter_off", "open", "flags", "seconds"]
    print(table[shown].round(3).to_string(index=False))
    kinds = table.groupby("kind").agg(
        curves=("right", "size"), right=("right", "sum"), open=("open", "sum"), size=("size_right", "sum"), seconds=("seconds", "mean")
    )
    print("\n| true kind | curves | type right | fcc or twin, said open | diameter within 5 % | seconds |\n|---|---|---|---|---|---|")
    for kind, row in kinds.iterrows():
        print(f"| {kind} | {row['curves']:.0f} | {row['right']:.0f} | {row['open']:.0f} | {row['size']:.0f} | {row['seconds']:.1f} |")
    named_or_open = table["right"] | table["open"]
    print(
        f"| all | {len(table)} | {table['right'].sum()} ({100 * table['right'].mean():.0f} %, or open {100 * named_or_open.mean():.0f} %) "
        f"| {table['open'].sum()} | {table['size_right'].sum()} ({100 * table['size_right'].mean():.0f} %) "
        f"| {table['seconds'].mean():.1f}, most {table['seconds'].max():.1f} |"
    )


if __name__ == "__main__":
    main()
