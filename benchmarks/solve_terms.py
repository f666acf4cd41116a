"""``solve`` on simulated curves of metal particles with ligands, a solvent or amorphous carbon beside them, and on such without.

    python benchmarks/solve_terms.py [--curves 24] [--seed 1] [--out terms] [--workers 0]

The particles are those of ``solve_unseen.py``: in no list, 30 to 300 atoms, contracted surfaces, noise. Six cases in turn:

- ``plain``: nothing beside the particle;
- ``shell``: S, P, N or O over bridges of the surface at the sum of the covalent radii less up to 5 %, on 30 to 60 % of its atoms, each with a chain
  of 2 to 6 carbon atoms;
- ``solvent``: a halo at 1.3 to 1.6 Å⁻¹, standard deviation 0.2 to 0.3 Å⁻¹, with 8 to 25 % of the RMS of G;
- ``carbon``: flakes of graphene of 24 to 54 atoms, U 0.02 Å², with 8 to 25 % of the RMS of G;
- ``both``: shell and solvent;
- ``rough``: nothing beside particles that no rigid candidate explains. The surface is drawn in by 2 to 5 %, its atoms are displaced by 0.1 to 0.2 Å
  (RMS along each axis), and a fifth of the scattering is of smaller particles.

About half of the curves name the ligands or the carbon in the header. The files are solved twice by the command itself: with its defaults, and with
``--set terms=false``. Printed: how often a term is kept, type and size right without and with it, and Rw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from solve_unseen import KINDS, particle

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.cli.app import run
from deepstruc_hpc.physics.term_library import bond_length
from deepstruc_hpc.physics.transform import fq_to_gr, quadrature
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of

Array = NDArray[np.float64]
CASES = ("plain", "shell", "solvent", "carbon", "both", "rough")
LIGANDS = ("S", "P", "N", "O")
METALS = ("Au", "Pt", "Ag", "Pd")


def shell(metal: Array, length: float, element: str, rng: np.random.Generator) -> tuple[list[str], Array]:
    """Symbols and positions, Å, of ligands over bridges of a particle's surface."""
    tree = cKDTree(metal)
    unit = float(np.median(tree.query(metal, k=2)[0][:, 1]))
    near = [np.setdiff1d(tree.query_ball_point(x, 1.2 * unit), [i]) for i, x in enumerate(metal)]
    outer = [i for i, found in enumerate(near) if len(found) < 10]
    bond, first = float(length * rng.uniform(0.95, 1.01)), []
    bridges = [(one, other) for one in outer for other in near[one] if other > one and len(near[other]) < 10]
    for i, j in rng.permutation(bridges):
        away = 2 * metal[[i, j]].mean(axis=0) - metal[near[i]].mean(axis=0) - metal[near[j]].mean(axis=0)
        along = metal[j] - metal[i]
        away -= along * (away @ along) / (along @ along)
        out = away / np.linalg.norm(away)
        place = metal[[i, j]].mean(axis=0) + out * np.sqrt(bond**2 - along @ along / 4)
        if tree.query(place)[0] > 0.97 * bond and all(np.linalg.norm(place - other) > 3.4 for other, _ in first):
            first.append((place, out))
        if len(first) >= rng.uniform(0.3, 0.6) * len(outer):
            break
    symbols, positions = [], []
    for start, out in first:
        place = start
        symbols.append(element)
        positions.append(place)
        side = np.cross(out, rng.normal(size=3))
        side /= np.linalg.norm(side)
        for number in range(int(rng.integers(2, 7))):
            place = place + (1.8 if number == 0 and element in "SP" else 1.53) * (0.82 * out + (0.57 if number % 2 else -0.57) * side)
            symbols.append("C")
            positions.append(place)
    return symbols, np.array(positions).reshape(-1, 3)


def flake(rng: np.random.Generator) -> Array:
    """A round piece of graphene, Å."""
    cells = np.stack(np.meshgrid(np.arange(-6, 7), np.arange(-6, 7)), axis=-1).reshape(-1, 2) @ (2.46 * np.array([[1.0, 0.0], [0.5, 0.75**0.5]]))
    sites = np.concatenate([cells, cells + np.array([0.0, 1.42])]) - rng.uniform(0, 2, 2)
    kept = sites[np.argsort((sites**2).sum(axis=1))[: int(rng.integers(24, 55))]]
    return np.column_stack([kept, np.zeros(len(kept))])


def particle_of(case: str, kind: str, symbol: str, rng: np.random.Generator) -> Array:
    """Positions, Å, of one metal particle as it is in the sample: contracted, disordered, rough where the case says so."""
    sites = None
    while sites is None:
        sites = particle(kind, rng)
    metal = sites * nn_distance(symbol, "twelve") * rng.uniform(0.98, 1.02)
    radius = np.linalg.norm(metal, axis=1)
    rough = case == "rough"
    metal = metal * (1 - (rng.uniform(0.02, 0.05) if rough else rng.uniform(0, 0.015)) * (radius / radius.max()) ** 4)[:, None]
    metal = metal + rng.normal(0, rng.uniform(0, 0.03), metal.shape)
    if rough:
        metal = metal + rng.normal(0, rng.uniform(0.1, 0.2), metal.shape) * (radius > 0.75 * radius.max())[:, None]
    return np.asarray(metal)


def added(case: str, strength: float, r: Array, ranges: dict[str, float], rng: np.random.Generator) -> Array:
    """G of solvent or carbon, with a random part of the RMS ``strength``; 0 in the other cases."""
    if case in ("solvent", "both"):
        q, weights = quadrature(ranges["qmin"], ranges["qmax"], 2 * r[-1])
        fq = np.exp(-0.5 * ((q - rng.uniform(1.3, 1.6)) / rng.uniform(0.2, 0.3)) ** 2)
        own = fq_to_gr(fq, q, weights, r, ranges["qdamp"])
    elif case == "carbon":
        piece = flake(rng)
        own = simulate_pdf(["C"] * len(piece), piece, r, **ranges, uiso=0.02)
    else:
        return np.zeros(len(r))
    return np.asarray(own / own[r > 2].std() * strength * rng.uniform(0.08, 0.25))


def curve(case: str, kind: str, rng: np.random.Generator) -> tuple[Array, Array, dict[str, object], dict[str, object]]:
    """r, G, header and truth of one simulated measurement."""
    symbol, element = str(rng.choice(METALS)), str(rng.choice(LIGANDS, p=(0.55, 0.15, 0.15, 0.15)))
    metal = particle_of(case, kind, symbol, rng)
    more, places = shell(metal, bond_length(symbol, element), element, rng) if case in ("shell", "both") else ([], np.zeros((0, 3)))
    ranges = {"qmin": rng.uniform(0.5, 1.4), "qmax": rng.uniform(18, 28), "qdamp": rng.uniform(0.015, 0.05)}
    r = np.arange(0.0, rng.uniform(20, 30), 0.01)
    u, loose = rng.uniform(0.004, 0.015), rng.uniform(0.02, 0.06)
    each = np.array([u] * len(metal) + [loose if symbol == "C" else 0.5 * u + 0.008 for symbol in more])
    g = simulate_pdf([symbol] * len(metal) + more, np.concatenate([metal, places]), r, **ranges, uiso=each, delta2=0.0 if more else rng.uniform(0, 4))
    if case == "rough":
        inner = np.argsort(np.linalg.norm(metal, axis=1))[: int(rng.uniform(0.3, 0.7) * len(metal))]
        g = 0.8 * g + 0.2 * simulate_pdf([symbol] * len(inner), metal[inner], r, **ranges, uiso=u)
    strength = float(g[r > 2].std())
    q = np.arange(ranges["qmin"], ranges["qmax"], 0.02)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    ripple = np.sin(2 * np.pi * r / rng.uniform(4, 12) + rng.uniform(0, 2 * np.pi)) * np.exp(-r / 10)
    g = g + added(case, strength, r, ranges, rng)
    g = g + counting / counting.std() * strength * rng.uniform(0.01, 0.06) + ripple * strength * rng.uniform(0, 0.02)
    composition = symbol
    if rng.random() < 0.5 and (more or case == "carbon"):
        counts = f"{len(metal)} {element}{more.count(element)} C{more.count('C')} H{2 * more.count('C')}" if more else " C"
        composition = f"{symbol}{counts}"
    header = {"mode": "xray", "composition": composition, "qmin": round(ranges["qmin"], 3), "qmax": round(ranges["qmax"], 3)}
    truth = {"case": case, "structure_type": kind, "n_atoms": len(metal), "symbol": symbol, "ligand": element if more else ""}
    return r, rng.uniform(0.2, 3.0) * g, header, {**truth, "qdamp": round(abs(ranges["qdamp"] + rng.normal(0, 0.002)), 5)}


def make(out: Path, count: int, seed: int) -> pd.DataFrame:
    """Write the curves, with the calibrated Qdamp in the header, and the truth."""
    (out / "measured").mkdir(parents=True, exist_ok=True)
    truth = []
    for number in range(count):
        case, kind = CASES[number % len(CASES)], KINDS[number // len(CASES) % len(KINDS)]
        r, g, header, known = curve(case, kind, np.random.default_rng([seed, number]))
        lines = ["[DEFAULT]", *(f"{key} = {value}" for key, value in {**header, "qdamp": known["qdamp"]}.items()), "#### start data"]
        name = f"t{number:04d}.gr"
        np.savetxt(out / "measured" / name, np.column_stack([r, g]), fmt="%.6g", header="\n".join(lines), comments="")
        truth.append({"file": name, **known})
    table = pd.DataFrame(truth)
    table.to_csv(out / "truth.csv", index=False)
    return table


def solved(out: Path, folder: str, truth: pd.DataFrame, words: list[str]) -> pd.DataFrame:
    """One row a curve: what the command found beside what is true."""
    status = run(["solve", str(out / "measured"), "--out", str(out / folder), "--no-figures", "--no-report", *words])
    if status not in (0, 1):
        raise SystemExit(status)
    summary = pd.read_csv(out / folder / "summary.csv")
    summary["file"] = summary["file"].map(lambda path: Path(path).name)
    table = truth.merge(summary, on="file", suffixes=("", "_found"))
    table["right"] = [lattice_of(str(found)) == kind for kind, found in zip(table["structure_type"], table["structure_type_found"], strict=True)]
    table["size_right"] = (table["n_atoms_found"] - table["n_atoms"]).abs() <= 0.05 * table["n_atoms"]
    table["kept"] = table["flags"].astype(str).str.contains("ligand_term")
    return table


def main() -> None:
    """Make, solve twice, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("terms"))
    parser.add_argument("--workers", type=int, default=0)
    options, further = parser.parse_known_args()
    truth, words = make(options.out, options.curves, options.seed), ["--workers", str(options.workers), *further]
    without = solved(options.out, "without", truth, ["--set", "terms=false", *words])
    with_terms = solved(options.out, "with", truth, words)
    print("| case | curves | kept | type right without, with | N within 5 % without, with | median Rw without, with | s a PDF without, with |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        a, b = without[without["case"] == case], with_terms[with_terms["case"] == case]
        if len(b):
            numbers = f"{a['right'].sum()}, {b['right'].sum()} | {a['size_right'].sum()}, {b['size_right'].sum()}"
            medians = f"{a['rw'].median():.4f}, {b['rw'].median():.4f} | {a['seconds'].mean():.1f}, {b['seconds'].mean():.1f}"
            print(f"| {case} | {len(b)} | {b['kept'].sum()} | {numbers} | {medians} |")


if __name__ == "__main__":
    main()
