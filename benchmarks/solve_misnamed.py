"""What ``solve`` says, with default settings, of samples that are not what was named: other elements, clusters, glasses, differences, mixtures.

    python benchmarks/solve_misnamed.py [WORD …]

Simulated: Qmin 0.8, Qmax 22, Qdamp 0.03 Å⁻¹, r to 30 Å, noise of 3 % of the RMS. Prints a table: the curve, the elements named, the verdict and its
words. No answer should come without a word on what is wrong; the last line
counts those that do.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import prototype_crystal

R = np.arange(0.0, 30.0, 0.02)
SEEN = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}
NOISE = 0.03
Array = NDArray[np.float64]


def particle(name: str, diameter: float) -> Array:
    """G(r) of a sphere of a built-in crystal."""
    return of(cut_crystal(prototype_crystal(name), radius=diameter / 2.0, centre="cell", seed=1, surface="bonded"))


def of(structure: Structure, uiso: float = 0.007) -> Array:
    """G(r) of explicit atoms."""
    return simulate_pdf(structure.symbols, structure.positions, R, uiso=uiso, delta2=1.5, **SEEN)


def glass(symbol: str, rng: np.random.Generator, atoms: int = 300, shortest: float = 2.4) -> Structure:
    """A sphere of a dense random packing: atoms pushed apart in a periodic box until none is nearer than the shortest distance (Å)."""
    length = (atoms * 12.0) ** (1 / 3)
    x = rng.random((atoms, 3)) * length
    for _ in range(3000):
        apart = x[:, None] - x[None]
        apart -= length * np.round(apart / length)
        distance = np.sqrt((apart**2).sum(-1)) + np.eye(atoms) * 1e3
        if distance.min() > 0.97 * shortest:
            break
        force = (np.maximum(1.02 * shortest - distance, 0.0) / distance)[..., None] * apart
        x = (x + 0.25 * force.sum(1)) % length
    centred = x - length / 2.0
    return Structure.of_element(symbol, centred[np.linalg.norm(centred, axis=1) < length / 2.0])


def lindqvist() -> Structure:
    """W6O19: an octahedron of W at 2.33 Å from the central O, O on its corners and edges."""
    axes = [sign * np.eye(3)[axis] for axis in range(3) for sign in (1, -1)]
    edges = [1.9 * (s * np.eye(3)[a] + t * np.eye(3)[b]) for a, b in combinations(range(3), 2) for s, t in product((1, -1), repeat=2)]
    positions = np.array([*(2.33 * axis for axis in axes), *(4.03 * axis for axis in axes), *edges, np.zeros(3)])
    return Structure(("W",) * 6 + ("O",) * 19, positions)


def cases(rng: np.random.Generator) -> Iterator[tuple[str, Array, str]]:
    """What it is, G(r), and the elements that are named."""
    ceria, rutile, anatase, magnesia = (particle(*one) for one in (("CeO2", 24.0), ("TiO2 rutile", 24.0), ("TiO2 anatase", 26.0), ("MgO", 30.0)))
    for named in ("Ti,O", "Zr,O", "Ce", "Ce,S"):
        yield "ceria", ceria, named
    yield "rutile", rutile, "Ce,O"
    yield "anatase", anatase, "Ti"
    packed = of(glass("Fe", rng), uiso=0.015)
    yield "iron glass", packed, "Fe"
    yield "iron glass", packed, "Fe,O"
    yield "W6O19", of(lindqvist(), uiso=0.004), "W,O"
    yield "anatase less magnesia", anatase / anatase.std() - 0.8 * magnesia / magnesia.std(), "Ti,O"
    yield "anatase damped within 4 Å", anatase * np.exp(-((R / 4.0) ** 2)), "Ti,O"
    yield "anatase and rutile", anatase / anatase.std() + rutile / rutile.std(), "Ti,O"


def main() -> None:
    """Solve and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="solve only cases whose name holds one of these")
    options = parser.parse_args()
    rng = np.random.default_rng(3)
    silent = 0
    print("| sample | named | verdict | phase | Rw | flags | message |\n|---|---|---|---|---|---|---|")
    for name, g, elements in cases(rng):
        noisy = g + NOISE * np.sqrt(np.mean(g[R > 2.0] ** 2)) * rng.normal(size=len(R))
        if options.words and not any(word in name for word in options.words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sample.gr"
            rows = "\n".join(f"{a:.3f} {b:.6g}" for a, b in zip(R, noisy, strict=True))
            path.write_text(f"mode = xray\nqmin = {SEEN['qmin']}\nqmax = {SEEN['qmax']}\n#### start data\n#L r G\n{rows}\n")
            row = solve(path, Path(folder) / "out", elements=elements.split(","), workers=0).iloc[0]
        silent += row["status"] == "ok" and not row["flags"] and "cannot tell" not in row["message"]
        message = str(row["message"]).split("; within")[0]
        print(f"| {name} | {elements} | {row['status']} | {row['phase']} | {row['rw']:.2f} | {row['flags']} | {message} |", flush=True)
    print(f"\nwrong answers without a word: {silent}")


if __name__ == "__main__":
    main()
