"""One particle of each crystal of ``oxides`` and of each system of ``alloys``, simulated with noise and solved with the recipe's own catalog.

Particles are drawn beside the recipe's lists: any radius, a lattice up to 1 % off, U apart for cations and anions, noise white in G(r). Usage:

    python benchmarks/solve_recipes.py --recipe oxides --seed 1
    python benchmarks/solve_recipes.py --recipe alloys --seed 1
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepstruc_hpc import Catalog, simulate_pdf
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.composition import reduced_formula
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.crystals import PROTOTYPES, crystal_type, prototype_crystal
from deepstruc_hpc.structures.particle_cut import ParticleCut

CONDITIONS = {"qmin": 0.8, "qmax": 23.0, "qdamp": 0.03}
NOISE = 0.05
ANIONS = frozenset({"O", "S", "Se", "Te", "N", "P", "F", "Cl"})


@dataclass(frozen=True)
class Truth:
    """What was simulated: its composition as a header would say it, and what a right answer says."""

    name: str
    structure: Structure
    composition: str
    structure_type: str
    lattice: str
    diameter: float


def oxides(rng: np.random.Generator) -> Iterator[Truth]:
    """A sphere of any radius about one of three centres of each built-in crystal."""
    for name in PROTOTYPES:
        crystal = prototype_crystal(name)
        cut = ParticleCut(
            crystal,
            float(rng.uniform(5.5, 8.5)),
            centre=str(rng.choice(["origin", "cell", "bond"])),
            surface=str(rng.choice(["bonded", "formula_units"])),
        )
        structure = cut.structure()
        diameter = Candidate(structure, "", atomic_volume=cut.atomic_volume).diameter
        kind = crystal_type(name)
        yield Truth(name, structure, reduced_formula(crystal.composition), kind, kind, diameter)


def alloys(rng: np.random.Generator, catalog: Catalog) -> Iterator[Truth]:
    """An entry of each system, of any ordering and lattice, with at least 50 atoms."""
    columns = catalog.columns.reset_index(drop=True)
    source = CatalogSource(catalog)
    for system in sorted(set(columns["elements"])):
        rows = np.flatnonzero(columns["elements"].eq(system) & columns["n_atoms"].ge(50))
        row = int(rng.choice(rows))
        entry = source.entry(row)
        counts = Counter(entry.structure.symbols)
        composition = " ".join(f"{symbol}{count}" for symbol, count in counts.items())
        yield Truth(str(columns["shape"][row]), entry.structure, composition, entry.structure.structure_type, entry.on_lattice, entry.diameter)


def write(truth: Truth, path: Path, rng: np.random.Generator) -> None:
    """A G(r) file with a header as PDFgetX3 writes it."""
    r = np.arange(0.0, 30.0, 0.02)
    zoom = float(rng.uniform(0.99, 1.01))
    uiso = np.array([0.009 if symbol in ANIONS else 0.005 for symbol in truth.structure.symbols])
    g = 0.7 * simulate_pdf(truth.structure.symbols, truth.structure.positions * zoom, r, uiso=uiso, delta2=1.5, **CONDITIONS)
    g += NOISE * np.sqrt(np.mean(g[r > 2.0] ** 2)) * rng.normal(size=len(r))
    head = ["[DEFAULT]", "version = pdfgetx3-2.1.2", "mode = xray", f"composition = {truth.composition}"]
    head += [f"qmin = {CONDITIONS['qmin']}", f"qmax = {CONDITIONS['qmax']}", "#### start data", "#L r($\\AA$)  G($\\AA^{-2}$)"]
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n")


def stored(recipe: str) -> Catalog:
    """The recipe's catalog, built once into the cache."""
    store = cache_dir() / f"bench-{recipe}.zarr"
    if not (store.exists() and Catalog.open(store).complete):
        build_catalog(load_recipe(recipe), store, workers=0)
    return Catalog.open(store)


def main() -> None:
    """Print a row a particle and the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=["oxides", "alloys"], default="oxides")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    catalog = stored(options.recipe)
    truths = list(oxides(rng) if options.recipe == "oxides" else alloys(rng, catalog))
    with tempfile.TemporaryDirectory() as folder:
        for number, truth in enumerate(truths):
            write(truth, Path(folder) / f"{number:02d}.gr", rng)
        frame = solve(folder, Path(folder) / "out", catalog=cache_dir() / f"bench-{options.recipe}.zarr", workers=options.workers)
    rights: dict[str, list[bool]] = {"phase": [], "diameter": [], "composition": []}
    for truth, row in zip(truths, frame.itertuples(), strict=True):
        words = str(row.phase or "").split(",", maxsplit=1)[0].split() or [""]
        found = {words[-1], "_".join(words[1:])}  # NiO rock salt and NiO rock_salt are one
        phase = truth.lattice in found or (truth.lattice == "octahedral" and "fcc" in found)
        named = row.structure_type == truth.structure_type or truth.structure_type in str(row.message) or "do not resolve" in str(row.message)
        size = bool(abs(float(row.diameter or 0) / truth.diameter - 1) <= 0.10)
        rights["phase"].append(phase and named)
        rights["diameter"].append(size)
        print(
            f"{truth.name[:60]:60} D {truth.diameter:5.1f} | {row.status:8}{str(row.phase)[:38]:38} D {row.diameter or 0:5.1f} Rw {row.rw or 0:.3f} "
            f"{'' if phase else 'PHASE '}{'' if named else 'NAME '}{'' if size else 'SIZE '}{row.seconds:.1f} s {row.message[:90]}"
        )
    print(f"{len(truths)} particles: phase {100 * np.mean(rights['phase']):.0f} %, diameter within 10 % {100 * np.mean(rights['diameter']):.0f} %")


if __name__ == "__main__":
    main()
