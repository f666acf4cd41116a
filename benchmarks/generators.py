"""Generators side by side on simulated measured-like PDFs of particles in no catalog and no training: what each says, and what its proposals fit.

    python benchmarks/generators.py [--curves 42] [--seed 3] [--proposals 100] default examples/nearest_pdf.py:NearestPdf

The particles and curves of benchmarks/solve_unseen.py. ``says`` is before any fit: the most probable type, the number of atoms of the first proposal.
``fits`` is the proposal of the lowest Rw. fcc and octahedral are one lattice. Seconds are of the processor, one thread, without the fit.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from solve_unseen import KINDS, METALS, measured, particle

from deepstruc_hpc import PdfCurve, fit_candidates
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.contract import Generator
from deepstruc_hpc.model.loading import load_generator
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of


@dataclass(frozen=True)
class TestCase:
    """A curve and its truth."""

    curve: PdfCurve
    symbol: str
    instrument: Instrument
    kind: str
    n_atoms: int


def curves(count: int, seed: int) -> list[TestCase]:
    """As benchmarks/solve_unseen.py makes them."""
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind, symbol, sites = KINDS[number % len(KINDS)], str(rng.choice(METALS)), None
        while sites is None:
            sites = particle(kind, rng)
        structure = Structure.of_element(symbol, sites * nn_distance(symbol, "twelve") * rng.uniform(0.98, 1.02), kind).centred()
        r, g, header, qdamp = measured(structure, rng)
        instrument = Instrument(qmin=header["qmin"], qmax=header["qmax"], qdamp=qdamp)
        made.append(TestCase(PdfCurve(r, g, source=f"p{number:04d}"), symbol, instrument, kind, len(structure)))
    return made


def scored(generator: Generator, cases: list[TestCase], proposals: int) -> dict[str, float]:
    """Shares and medians over the curves."""
    rows: dict[str, list[float]] = {name: [] for name in ("says type", "says N within 5 %", "fits type", "fits N within 5 %", "Rw", "s")}
    for one in cases:
        begin = time.process_time()
        predicted = generator.type_probabilities(one.curve, symbol=one.symbol, instrument=one.instrument)
        found = generator.propose(
            one.curve, symbol=one.symbol, n_samples=proposals, sigma=3.0, rng=np.random.default_rng(0), instrument=one.instrument
        )
        rows["s"].append(time.process_time() - begin)
        rows["says type"].append(float(bool(predicted) and lattice_of(max(predicted, key=lambda kind: predicted[kind])) == one.kind))
        rows["says N within 5 %"].append(float(_near(len(found[0].structure), one.n_atoms)))
        structures = [proposal.structure for proposal in found]
        values = one.instrument.model_dump(include={"qmin", "qmax", "qdamp"})
        table = fit_candidates(structures, one.curve, rmin=2.0, rmax=min(30.0, float(one.curve.r[-1])), **values)
        best = int(np.nanargmin(table.rw))
        rows["fits type"].append(float(lattice_of(structures[best].structure_type) == one.kind))
        rows["fits N within 5 %"].append(float(_near(len(structures[best]), one.n_atoms)))
        rows["Rw"].append(float(table.rw[best]))
    return {name: float(np.median(values) if name in ("Rw", "s") else np.mean(values)) for name, values in rows.items()}


def _near(found: int, true: int) -> bool:
    return abs(found - true) <= 0.05 * true


def main() -> None:
    """Ask every generator about the same curves and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generators", nargs="+", help="names as for solve --model")
    parser.add_argument("--curves", type=int, default=42)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--proposals", type=int, default=100)
    options = parser.parse_args()
    cases = curves(options.curves, options.seed)
    print(f"{len(cases)} curves, seed {options.seed}, {options.proposals} proposals\n")
    print("| generator | says type | says N within 5 % | fits type | fits N within 5 % | median Rw | s a curve |\n|---|---|---|---|---|---|---|")
    for name in options.generators:
        found = scored(load_generator(name), cases, options.proposals)
        shares = " | ".join(f"{found[key]:.0%}" for key in ("says type", "says N within 5 %", "fits type", "fits N within 5 %"))
        print(f"| {name} | {shares} | {found['Rw']:.3f} | {found['s']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
