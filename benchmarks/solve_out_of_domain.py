"""What ``solve`` says about curves that do not belong to isolated particles of the elements named, and about some that do.

    python benchmarks/solve_out_of_domain.py [--measured DIR]

Solved with the shapes of ``catalog/shapes.yaml`` and no model, r from 2 Å. Simulated: Qmin 0.8, Qmax 22, Qdamp 0.03, r to 30 Å, U 0.006 Å².
``--measured`` adds the ``.gr`` files of a folder, with the elements of their headers (Au where they name none). Prints a table in Markdown: the
curve, the verdict, the numbers behind it, the message.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

from deepstruc_hpc import Catalog, read_pdf, simulate_pdf
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.bulk import simulate_bulk
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.solve.candidates.candidate import largest_distance
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.ranking.applicability import applies
from deepstruc_hpc.solve.ranking.curve_signs import spectrum, tail_ratio
from deepstruc_hpc.structures.calibrants import calibrant_crystal
from deepstruc_hpc.structures.crystal_cut import crystal_named, cut_crystal

SEEN = Instrument(qmin=0.8, qmax=22.0, qdamp=0.03)
R = np.arange(0.5, 30.0, 0.02)


def curve(g: np.ndarray, r: np.ndarray = R) -> PdfCurve:
    """With the header that the simulation deserves."""
    return PdfCurve(r, g, header={"qmin": SEEN.qmin, "qmax": SEEN.qmax}, source="simulated")


def fullerene() -> Structure:
    """C60, bonds of 1.42 Å."""
    phi = (1 + 5**0.5) / 2
    corners = {
        tuple(np.roll([a * x, b * y, c * z], turn).round(9))
        for x, y, z in ((0, 1, 3 * phi), (1, 2 + phi, 2 * phi), (phi, 2, 2 * phi + 1))
        for a, b, c in product((1, -1), repeat=3)
        for turn in range(3)
    }
    return Structure.of_element("C", 0.71 * np.array(sorted(corners)))


def cluster(structure: Structure) -> PdfCurve:
    """An isolated particle or molecule."""
    return curve(simulate_pdf(structure.symbols, structure.positions, R, uiso=0.006, delta2=1.0, **SEEN.model_dump()))


def out_of_domain(particle: Structure) -> list[tuple[str, str, PdfCurve]]:
    """What it is, the element that the user names, and the curve."""
    found = []
    for name, element in (("Ni", "Ni"), ("Au", "Au"), ("W", "W"), ("MgO", "Mg"), ("Si", "Ni")):
        crystal = calibrant_crystal(name)
        bulk = simulate_bulk(crystal.lattice, crystal.fractions, crystal.species, R, SEEN, uiso=0.006)
        found.append((f"bulk {name}", element, curve(bulk)))
    q = np.linspace(SEEN.qmin, SEEN.qmax, 2000)
    for power, words in ((0, "flat in Q"), (1, "rising with Q"), (-1, "falling with Q")):
        draw = np.random.default_rng(power + 1).normal(size=len(q))
        found.append((f"noise, {words}", "Au", curve(np.sin(np.outer(R, q)) @ (q**power * draw))))
    found.append(("noise, each point its own", "Au", curve(np.random.default_rng(5).normal(size=len(R)))))
    found.append(("molecule C60", "Au", cluster(fullerene())))
    for name, element in (("TiO2 anatase", "Ti"), ("Fe3O4", "Fe"), ("CdSe zincblende", "Cd")):
        found.append((f"particle of {name}, 20 Å", element, cluster(cut_crystal(crystal_named(name), radius=10.0))))
    found += [(f"gold particle, named {element}", element, cluster(particle)) for element in ("Au", "Pt", "Ag", "W", "Fe", "Ni")]
    return found


def line(what: str, element: str, seen: PdfCurve, shapes: CatalogSource) -> str:
    """One row of the table."""
    try:
        settings = SolveSettings(elements=(element,) if element else ())
        measurement = describe(seen, settings)
        candidates = fit(shapes.candidates(measurement, Budget(0, settings.sigma, settings.most_atoms)), measurement)
        if not len(candidates):
            return f"| {what} | {element} | failed | – | – | – | – | – | – | no shape stands for it: {measurement.sample.sentence} |"
        first, best = candidates.row(candidates.best), candidates.refined_structure(candidates.best)
        found = applies(candidates, measurement, settings.refusal)
        noise, edge, _ = spectrum(seen, measurement.instrument.qmin, measurement.instrument.qmax)
        tail = tail_ratio(seen, max(largest_distance(best), 4.0))
        end = measurement.order_at_end
        numbers = f"{first['rw']:.2f} | {'–' if tail is None else f'{tail:.2f}'} | {end:.2f} | {noise:.2f} | {edge:.0f} | {first['zoom']:.2f}"
        return f"| {what} | {measurement.sample.elements[0]} | {found.status} | {numbers} | {found.message or '–'} |"
    except DeepstrucError as refused:
        return f"| {what} | {element} | failed | – | – | – | – | – | – | {refused} |"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "shapes.zarr"
        build_catalog(load_recipe("shapes"), store, workers=0, progress=False)
        shapes = CatalogSource(Catalog.open(store))
        anything = describe(curve(np.sin(8.0 * R)), SolveSettings(elements=("Au",)))
        gold = [entry.structure for entry in shapes.candidates(anything, Budget(0, (1.0,), 0)) if entry.structure.structure_type == "fcc"]
        particle = min(gold, key=lambda one: abs(len(one) - 120))
        print("| curve | named | verdict | Rw | tail | end | noise | edge (Å⁻¹) | zoom | message |\n|---|---|---|---|---|---|---|---|---|---|")
        for path in sorted(options.measured.glob("*.gr")) if options.measured else []:
            try:
                seen = read_pdf(path)
            except DeepstrucError as refused:
                print(f"| {path.name} | | failed | – | – | – | – | – | – | {refused} |")
                continue
            print(line(path.name, "" if seen.header.get("composition") else "Au", seen, shapes), flush=True)
        for what, element, seen in out_of_domain(particle):
            print(line(what, element, seen, shapes), flush=True)


if __name__ == "__main__":
    main()
