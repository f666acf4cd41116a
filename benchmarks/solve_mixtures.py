"""How often ``solve --mixtures`` recognises a mixture, how far its shares are off, and how often it calls one particle a mixture.

    python benchmarks/solve_mixtures.py [--curves 20] [--seed 20261124]
    python benchmarks/solve_mixtures.py --crystals [--curves 4]

Gold, shapes of ``catalog/shapes.yaml``. Mixtures are two listed shapes of different lattice, the first 40 to 130 % of the second in size, with
shares between 25 and 75 %, own strain, the same U. Listed particles are one such shape. Unlisted ones are those of ``solve_calibration.py``: random
bodies with relaxed surfaces that no list holds, where a mixture of listed shapes may well fit better. Qmin 0.8, Qmax 22, r to 25 Å, noise of 3 %
within the range of Q.

With ``--crystals``: spheres of atoms of two crystals, 20 to 36 Å, with shares of the weight between 15 and 85 %, solved from the elements alone;
each of these crystals alone; and each where its own type is taken out of what is tried, so that nothing fits: there a second phase is a false alarm.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from solve_calibration import ranked, simulated

from deepstruc_hpc import Catalog, simulate_fq, simulate_pdf
from deepstruc_hpc.catalog.build import build_catalog
from deepstruc_hpc.catalog.recipe import load_recipe
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.form_factors import atomic_mass, scattering_factors
from deepstruc_hpc.solve.candidates import crystals as crystals_source
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.crystals import CrystalSource
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.checks.checks import Answer
from deepstruc_hpc.solve.checks.phases import Mixture, find_mixture
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.pipeline import Sources, solve_curve
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import Crystal, prototype_crystal
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.prototypes import CrystalCandidate, candidate_crystals
from deepstruc_hpc.structures.random_shapes import RandomShapes, RandomShapeSettings
from deepstruc_hpc.structures.template_lattices import standard_templates

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


def sphere_curve(parts: list[tuple[Crystal, float, float]], rng: np.random.Generator) -> PdfCurve:
    """Spheres of atoms (crystal, diameter, share of the weight), each with its part of ⟨f⟩² at every Q, and noise of 3 %."""
    r, q = np.arange(0.5, 30.0, 0.02), np.linspace(QMIN, QMAX, 900)
    spectra, means, atoms, uiso = [], [], [], rng.uniform(0.005, 0.009)
    for crystal, diameter, share in parts:
        cut = cut_crystal(crystal, radius=diameter / 2, centre="cell", surface="as_cut")
        elements = tuple(sorted(set(cut.symbols)))
        amounts = np.array([cut.symbols.count(symbol) for symbol in elements]) / len(cut.symbols)
        means.append(amounts @ scattering_factors(elements, q, "xray"))
        atoms.append(share / float(amounts @ [atomic_mass(symbol) for symbol in elements]))
        spectra.append(simulate_fq(cut.symbols, cut.positions, q, uiso=uiso, delta2=1.5))
    x = np.array(atoms) / sum(atoms)
    ratios = (x[:, None] * (np.array(means) / (x @ np.array(means))) ** 2 * np.array(spectra)).sum(axis=0)
    sines = np.sin(np.outer(q, r))
    g = 2 / np.pi * (q[1] - q[0]) * ratios @ sines * np.exp(-0.5 * (0.03 * r) ** 2)
    noise = rng.normal(size=len(q)) @ sines
    return PdfCurve(r, g + 0.03 * g[r > 2].std() * noise / noise.std(), header={"qmin": QMIN, "qmax": QMAX, "qdamp": 0.03}, source="simulated")


@contextmanager
def without(group: str) -> Iterator[None]:
    """As long as it lasts no crystal with this net is known."""
    known = crystals_source.candidate_crystals

    def others(elements: Sequence[str], *, amounts: Mapping[str, float] | None = None) -> list[CrystalCandidate]:
        return [one for one in known(elements, amounts=amounts) if one.group != group]

    crystals_source.candidate_crystals = others
    try:
        yield
    finally:
        crystals_source.candidate_crystals = known


def crystalline(many: int, seed: int) -> None:
    """Print what is said of mixtures of crystals, of single crystals, and of crystals whose type is taken out."""
    rng = np.random.default_rng(seed)
    kinds = {(one.formula, one.prototype): one for one in candidate_crystals(["Ni", "Al", "O"])}
    crystals = {name: prototype_crystal(name) for name in ("NiO", "TiO2 anatase", "TiO2 rutile", "TiO2 brookite", "CeO2", "Fe3O4", "ZnO")}
    crystals |= {"Ni": kinds["Ni", "fcc"].crystal, "Al2O3": kinds["Al2O3", "gamma_alumina"].crystal}
    pairs = [("NiO", "Al2O3"), ("Ni", "Al2O3"), ("Ni", "NiO"), ("TiO2 anatase", "TiO2 rutile")]

    def answered(names: tuple[str, ...], shares: tuple[float, ...]) -> tuple[Answer, float]:
        sizes = rng.uniform(20.0, 36.0, len(names))
        parts = [(crystals[name], size, share) for name, size, share in zip(names, sizes, shares, strict=True)]
        elements = tuple(sorted({symbol for name in names for symbol in crystals[name].composition}))
        started = time.perf_counter()
        answer = solve_curve(
            sphere_curve(parts, rng), SolveSettings(elements=elements, sources=("crystals",), local_shapes=0), Sources([CrystalSource()])
        )
        return answer, time.perf_counter() - started

    for pair in pairs:
        called, right, errors, seconds, alone = 0, 0, [], [], 0
        for _ in range(many):
            share = rng.uniform(0.15, 0.85)
            answer, took = answered(pair, (share, 1 - share))
            seconds.append(took)
            found = answer.ranking.first.phases
            called += found is not None
            alone += found is None and answer.ranking.candidates.rw[0] <= answer_limit(answer)
            names = {one.rsplit(" ", 1)[0]: float(one.rsplit(" ", 1)[1]) for one in found.shares().split("; ")} if found else {}
            if found and set(names) != set(pair):
                print(f"    {share:.2f} {pair[0]}: {described(answer)}")
            if set(names) == set(pair):
                right += 1
                errors.append(abs(names[pair[0]] - share))
        off = f"share off by {100 * np.median(errors):.0f} points (median), {100 * max(errors):.0f} at most" if errors else ""
        print(f"{' + '.join(pair):28} {many} curves: {called} called, {right} right, {alone} explained by one; {np.median(seconds):.0f} s; {off}")
    for name in GROUPS:
        rows = []
        for missing in ("", GROUPS[name]):
            with without(missing):
                answer, _ = answered((name,), (1.0,))
            found, rw = answer.ranking.first.phases, answer.ranking.candidates.rw.min()
            rows.append(f"{'FALSE ALARM ' + described(answer) if found else 'one'} ({answer.verdict.status}, Rw {rw:.2f})")
        print(f"{name:28} alone: {rows[0]}; its type taken out: {rows[1]}")


def described(answer: Answer) -> str:
    """Shares, the joint Rw, and the Rw of each phase on what the others leave."""
    found = answer.ranking.first.phases
    return f"{found.shares()}, Rw {found.fit.rw:.2f}, of the rest {' '.join(f'{part.rw:.2f}' for part in found.fit.parts)}" if found else ""


def answer_limit(answer: Answer) -> float:
    """Rw up to which one phase is enough and no second is asked for."""
    return SolveSettings(elements=tuple(answer.measurement.sample.elements)).refusal.rw_warn


GROUPS = {
    "NiO": "rock_salt",
    "TiO2 anatase": "anatase",
    "TiO2 rutile": "rutile",
    "TiO2 brookite": "brookite",
    "CeO2": "fluorite",
    "Fe3O4": "spinel",
    "ZnO": "wurtzite",
    "Al2O3": "spinel",
}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--crystals", action="store_true", help="mixtures of crystals found from the elements")
    options = parser.parse_args()
    if options.crystals:
        crystalline(options.curves, options.seed)
        return
    rng = np.random.default_rng(options.seed)
    source = RandomShapes(standard_templates(), RandomShapeSettings(min_atoms=20, max_atoms=220), canonical=False)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "shapes.zarr"
        build_catalog(load_recipe("shapes"), store, workers=0, progress=False)
        shapes = CatalogSource(Catalog.open(store))
        anything = describe(simulated(source, np.random.default_rng(0))[1], SolveSettings(elements=("Au",)))
        listed = [entry.structure for entry in shapes.candidates(anything, Budget(0, (1.0,), 0)) if 40 <= len(entry.structure) <= 250]
        cases: dict[str, list[tuple[Mixture | None, float]]] = {"mixture": [], "listed particle": [], "unlisted particle": []}
        errors, types, kinds = [], 0, {"phases": 0, "sizes": 0}
        for _ in range(options.curves):
            (first, second), share = two_shapes(listed, rng), rng.uniform(0.25, 0.75)
            found, seconds = ask(curve_of([(first, share), (second, 1 - share)], rng), shapes)
            cases["mixture"].append((found, seconds))
            if found and found.kept and set(found.rows["structure_type"]) == {first.structure_type, second.structure_type}:
                types += 1
                ours = dict(zip(found.rows["structure_type"], found.fit.weights, strict=True))
                errors.append(abs(ours[first.structure_type] - share))
            found, seconds = ask(curve_of([(first, 1.0)], rng), shapes)
            cases["listed particle"].append((found, seconds))
            found, seconds = ask(simulated(source, rng)[1], shapes)
            cases["unlisted particle"].append((found, seconds))
            if found and found.kept:
                kinds[found.kind] += 1
    for what, answers in cases.items():
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
