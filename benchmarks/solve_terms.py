"""``solve`` on simulated curves of metal particles with a ligand shell, a solvent or an amorphous carbon beside them, and on such without.

    python benchmarks/solve_terms.py [--shapes 60] [--seed 1] [--out terms] [--workers 2]

The particles are those of ``solve_unseen.py``: in no list, 30 to 300 atoms, contracted surfaces, noise. Six cases in turn:

- ``plain``: nothing beside the particle;
- ``shell``: S, P, N or O over bridges of the surface at the sum of the covalent radii less up to 5 %, on 30 to 60 % of it, each with a chain of 2 to 6 carbon atoms;
- ``solvent``: a halo at 1.3 to 1.6 Å⁻¹, standard deviation 0.2 to 0.3 Å⁻¹, with 8 to 25 % of the RMS of G;
- ``carbon``: flakes of graphene of 24 to 54 atoms, U 0.02 Å², with 8 to 25 % of the RMS of G;
- ``both``: shell and solvent;
- ``rough``: nothing beside particles that no rigid candidate explains: the surface drawn in by 2 to 5 %, its atoms displaced by 0.1 to 0.2 Å (RMS along
  each axis), and a fifth of the particles of another size.

Half of the curves name the ligand's elements in the header. Printed: how often a term is kept, type and size right with the term and without it (the
same files solved with ``terms=false``), and Rw.
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
    for i, j in rng.permutation([(i, j) for i in outer for j in near[i] if j > i and len(near[j]) < 10]):
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
    for place, out in first:
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


def curve(case: str, kind: str, rng: np.random.Generator) -> tuple[Array, Array, dict[str, object], dict[str, object]]:
    """r, G, header and truth of one simulated measurement."""
    sites = None
    while sites is None:
        sites = particle(kind, rng)
    symbol, element = str(rng.choice(METALS)), str(rng.choice(LIGANDS, p=(0.55, 0.15, 0.15, 0.15)))
    metal = sites * nn_distance(symbol, "twelve") * rng.uniform(0.98, 1.02)
    radius = np.linalg.norm(metal, axis=1)
    rough = case == "rough"
    metal = metal * (1 - (rng.uniform(0.02, 0.05) if rough else rng.uniform(0, 0.015)) * (radius / radius.max()) ** 4)[:, None]
    metal = metal + rng.normal(0, rng.uniform(0, 0.03), metal.shape)
    if rough:
        metal = metal + rng.normal(0, rng.uniform(0.1, 0.2), metal.shape) * (radius > 0.75 * radius.max())[:, None]
    with_shell = case in ("shell", "both")
    more, places = shell(metal, bond_length(symbol, element), element, rng) if with_shell else ([], np.zeros((0, 3)))
    qmin, qmax, qdamp = rng.uniform(0.5, 1.4), rng.uniform(18, 28), rng.uniform(0.015, 0.05)
    r = np.arange(0.0, rng.uniform(20, 30), 0.01)
    u = rng.uniform(0.004, 0.015)
    each = np.concatenate([np.full(len(metal), u), np.where(np.array(more) == "C", rng.uniform(0.02, 0.06), 0.5 * u + 0.008) if more else []])
    ranges = {"qmin": qmin, "qmax": qmax, "qdamp": qdamp}
    g = simulate_pdf([*[symbol] * len(metal), *more], np.concatenate([metal, places]), r, **ranges, uiso=each, delta2=0.0 if more else rng.uniform(0, 4))
    if rough:
        inner = np.argsort(radius)[: int(rng.uniform(0.3, 0.7) * len(metal))]
        g = 0.8 * g + 0.2 * simulate_pdf([symbol] * len(inner), metal[inner], r, **ranges, uiso=u)
    strength = g[r > 2].std()
    q, weights = quadrature(qmin, qmax, 2 * r[-1])
    if case in ("solvent", "both"):
        halo = fq_to_gr(np.exp(-0.5 * ((q - rng.uniform(1.3, 1.6)) / rng.uniform(0.2, 0.3)) ** 2), q, weights, r, qdamp)
        g = g + halo / halo[r > 2].std() * strength * rng.uniform(0.08, 0.25)
    if case == "carbon":
        piece = flake(rng)
        own = simulate_pdf(["C"] * len(piece), piece, r, **ranges, uiso=0.02)
        g = g + own / own[r > 2].std() * strength * rng.uniform(0.08, 0.25)
    counts = np.arange(qmin, qmax, 0.02)
    counting = np.sin(np.outer(r, counts)) @ (counts * rng.normal(size=len(counts)))
    ripple = np.sin(2 * np.pi * r / rng.uniform(4, 12) + rng.uniform(0, 2 * np.pi)) * np.exp(-r / 10)
    g = g + counting / counting.std() * strength * rng.uniform(0.01, 0.06) + ripple * strength * rng.uniform(0, 0.02)
    named = rng.random() < 0.5
    composition = symbol
    if named and with_shell:
        composition = f"{symbol}{len(metal)} {element}{more.count(element)} C{more.count('C')} H{2 * more.count('C')}"
    elif named and case == "carbon":
        composition = f"{symbol} C"
    header = {"mode": "xray", "composition": composition, "qmin": round(qmin, 3), "qmax": round(qmax, 3)}
    truth = {"case": case, "structure_type": kind, "n_atoms": len(metal), "symbol": symbol, "ligand": element if with_shell else ""}
    return r, rng.uniform(0.2, 3.0) * g, header, {**truth, "qdamp": round(abs(qdamp + rng.normal(0, 0.002)), 5)}
