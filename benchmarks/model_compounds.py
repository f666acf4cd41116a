"""Crystal type, number of atoms and sites that a model of compounds says of particles that it never saw, beside what it has to beat.

    deepstruc-hpc catalog build held_out_compounds --out held_out_compounds.zarr
    deepstruc-hpc catalog build random_compounds --out compounds.zarr      # for the nearest PDF and the trees
    python benchmarks/model_compounds.py held_out_compounds.zarr [--model compounds] [--trained compounds.zarr] [--limit 600] [--fitted 60]
                                         [--solved 0]

Particles whose shape is in the catalog of the training (``--trained``) are left out.

Every method is given the elements, and may say the types in which their charges balance. Particles of 20 to 400 atoms (recipe
``held_out_compounds``), measured-like as in the model's training, and clean. One line a method and kind of curve: type right, number of atoms within
5 % and exact, and all sites right, which is: the same particle, up to rotation and size.

- as generated: the most probable sites of the most probable template lattice at the prior's mean;
- the best Rw of 200 samples after the fit of scale, zoom, U and delta2, of ``--fitted`` particles; and the best twelve of them after occupation
  refinement, of which the most probable goes on by 40 random changes of a few sites;
- nearest PDF: of 6,000 structures of the training, those of types that the elements can have;
- trees: scikit-learn's gradient boosting on the same PDFs and what was given;
- ``--solved``: so many particles solved by ``solve`` with the crystals that it makes from the elements, and with the model beside them; tetragonal
  zirconia is named fluorite, distorted, there, and counts as right.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.training_pdfs import MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import find_checkpoint, load_network
from deepstruc_hpc.model.compound_model import CompoundModel, GivenCurve
from deepstruc_hpc.model.occupation_refinement import Filled, Fitted, improve_sites
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.structures.compound_types import ANION, candidate_of_type, cations_and_anion
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.random_family import unpacked
from deepstruc_hpc.structures.sites import shortest_distance
from deepstruc_hpc.structures.template_lattices import template_lattice
from deepstruc_hpc.training.held_out import clean, spread, training_settings

LISTED = 6000
SAMPLES = 200
SIGMA = 2.0
REFINED = 12
HOPS = 40
MOST_ATOMS = 420

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TestCases:
    """Particles of a catalog: what is true of them, and their sample's elements."""

    structures: list[Structure]
    ideal: list[Structure]
    elements: list[tuple[str, ...]]
    units: Array

    @classmethod
    def of(cls, path: Path, limit: int, seen: frozenset[str] = frozenset()) -> TestCases:
        """At most ``limit`` of a catalog, evenly over all, without those whose marks are ``seen``."""
        catalog = Catalog.open(path)
        rows = spread(np.arange(len(catalog)), limit)
        every = ideal_particles(catalog.columns.iloc[rows])
        kept = [place for place, one in enumerate(every) if mark(one) not in seen]
        rows, ideal = rows[kept], [every[place] for place in kept]
        columns = catalog.columns.iloc[rows]
        elements = [tuple(str(sample).split("-")) for sample in columns["sample"]]
        return cls(catalog.structures(rows), ideal, elements, columns["length"].to_numpy(dtype=np.float64))

    def pdfs(self, model: CompoundModel, conditions: str, seed: int) -> NDArray[np.float32]:
        """(S, 2, R + 3) PDFs as the model's training makes them."""
        ranges = training_settings(model.info, "model").data.conditions
        names = [str(number) for number in range(len(self.structures))]
        made = MeasuredLikePdfs.of(
            self.structures, self.units, names, model.grid, clean(ranges) if conditions == "clean" else ranges, given_elements=True
        )
        return made(np.arange(len(self.structures)), np.random.default_rng(seed))


def ideal_particles(columns: pd.DataFrame) -> list[Structure]:
    """Particles of a catalog by their filled sites, as cations and anions alone."""
    found = []
    for name, filled, radius in zip(columns["parent"], columns["filled"], columns["radius"], strict=True):
        template = template_lattice(str(name), float(radius))
        found.append(two_kinds(template.site_class, template.sites, unpacked(str(filled), len(template)), template.structure_type))
    return found


def two_kinds(site_class: Array, sites: Array, mask: NDArray[np.bool_], kind: str) -> Structure:
    """A particle as cations and anions alone, in bonds, for comparing."""
    return Structure(tuple("O" if one == ANION else "Fe" for one in site_class[mask]), sites[mask] - sites[mask].mean(axis=0), kind)


def as_given(model: CompoundModel, pdf: NDArray[np.float32], elements: Sequence[str]) -> GivenCurve:
    """A PDF on the model's axis with what is known of its elements."""
    roles = cations_and_anion(elements)
    if roles is None:
        raise SystemExit(f"{elements}: no compound.")
    return GivenCurve(pdf, 2.1 * float(np.exp(pdf[0, -3])), model.possible(elements), *roles)


@dataclass
class Score:
    """Counts of right answers."""

    name: str
    count: int = 0
    types: int = 0
    within: int = 0
    exact: int = 0
    sites: int = 0

    def add(self, truth: Structure, predicted: Structure | None, kind: str = "", n_atoms: int = 0) -> None:
        """One answer: a structure of two kinds of atoms, or a type and a number."""
        kind, count = (predicted.structure_type, len(predicted)) if predicted is not None else (kind, n_atoms)
        self.count += 1
        self.types += kind == truth.structure_type
        self.within += abs(count - len(truth)) <= 0.05 * len(truth)
        self.exact += count == len(truth)
        self.sites += predicted is not None and count == len(truth) and mark(predicted) == mark(truth)

    def line(self) -> str:
        """Shares in percent."""
        shares = [100.0 * value / max(self.count, 1) for value in (self.types, self.within, self.exact, self.sites)]
        return f"| {self.name} | {self.count} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |"


def mark(structure: Structure) -> str:
    """Equal for equal particles of two kinds of atoms, whatever their size and orientation."""
    return fingerprint(structure, scale_free=True)


def measured(structure: Structure, rng: np.random.Generator, noisy: bool) -> tuple[PdfCurve, Instrument]:
    """A curve in Å as a diffractometer gives it: noise white in Q and a larger U of anions, or neither."""
    instrument = Instrument(qmin=round(float(rng.uniform(0.5, 1.5)), 2), qmax=round(float(rng.uniform(18.0, 26.0)), 2), qdamp=0.03)
    r = np.arange(1.0, float(rng.uniform(18.0, 30.0)), 0.02)
    anion = (cations_and_anion(structure.symbols) or ((), ""))[1]
    uiso = np.array([0.008 if symbol == anion and noisy else 0.005 for symbol in structure.symbols])
    g = simulate_pdf(structure.symbols, structure.positions * float(rng.uniform(0.99, 1.01)), r, uiso=uiso, delta2=1.5, **instrument.model_dump())
    if noisy:
        q = np.linspace(instrument.qmin, instrument.qmax, 1000)
        noise = np.sin(np.outer(r, q)) @ rng.normal(size=len(q))
        g = g + float(rng.uniform(0.0, 0.06)) * float(np.sqrt(np.mean(g**2))) * noise / noise.std()
    return PdfCurve(r, g, source="simulated"), instrument


def best_of_samples(model: CompoundModel, cases: TestCases, rows: Sequence[int], seed: int, noisy: bool) -> tuple[Score, Score, float]:
    """The sample with the lowest Rw after the fit, the most probable after occupation refinement, and seconds of the processor for each particle."""
    began = time.process_time()
    best, refined = Score(f"best Rw of {SAMPLES} samples, fitted"), Score(f"{REFINED} of them, sites refined")
    for row in rows:
        rng = np.random.default_rng([seed, row])
        elements = cases.elements[row]
        curve, instrument = measured(cases.structures[row], rng, noisy)
        found = model.propose(curve, symbol="", n_samples=SAMPLES, sigma=SIGMA, rng=rng, instrument=instrument, elements=elements)
        structures = [one.structure for one in found]
        rmin, rmax = float(curve.r[0]), float(curve.r[-1])
        table = fit_candidates(structures, curve, rmin=rmin, rmax=rmax, **instrument.model_dump(), bounds={"zoom": (0.94, 1.06)})
        order = np.argsort(table.rw, kind="stable")
        unit = shortest_distance(structures[order[0]].positions)
        best.add(cases.ideal[row], plain(structures[order[0]], elements[-1], unit))
        odds = model.site_odds(curve, elements=elements, instrument=instrument)
        ends_found = []
        for place in order[:REFINED]:
            assignment = found[place].occupation
            if assignment is None:
                continue
            start = Filled(assignment[0], assignment[1], structures[place], Fitted.of(table.row(int(place))))
            ends_found.append(improve_sites(start, curve, instrument, log_odds=odds(assignment[0].name), most_atoms=MOST_ATOMS))
        if ends_found:
            best_end = min(ends_found, key=lambda one: one.objective)
            end = improve_sites(best_end, curve, instrument, log_odds=odds(best_end.template.name), most_atoms=MOST_ATOMS, hops=HOPS)
            refined.add(cases.ideal[row], two_kinds(end.template.site_class, end.template.sites, end.mask, end.template.structure_type))
    return best, refined, (time.process_time() - began) / max(len(rows), 1)


def plain(structure: Structure, anion: str, unit: float) -> Structure:
    """A particle as cations and anions alone, in units of its shortest distance."""
    return Structure(tuple("O" if one == anion else "Fe" for one in structure.symbols), structure.positions / unit, structure.structure_type)


def solved(cases: TestCases, rows: Sequence[int], sources: str, name: str, *, seed: int, noisy: bool) -> tuple[Score, float]:
    """What ``solve`` says with some sources."""
    from deepstruc_hpc.solve.run.batch import solve

    score, began = Score(name), time.process_time()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lines = ["file,elements"]
        for row in rows:
            curve, instrument = measured(cases.structures[row], np.random.default_rng([seed, row]), noisy)
            head = [f"{key} = {getattr(instrument, key)}" for key in ("qmin", "qmax", "qdamp")]
            text = "\n".join(
                ["[DEFAULT]", "mode = xray", *head, "#### start data", "#L r G", *(f"{a:.3f} {b:.6f}" for a, b in zip(curve.r, curve.g, strict=True))]
            )
            (folder / f"{row:05d}.gr").write_text(text + "\n")
            lines.append(f'{row:05d}.gr,"{",".join(dict.fromkeys(cases.elements[row]))}"')
        (folder / "values.csv").write_text("\n".join(lines) + "\n")
        frame = solve(sorted(folder.glob("*.gr")), folder / "out", workers=0, values=folder / "values.csv", sources=sources.split(","))
        answers = frame.sort_values("file").to_dict("records")
        for row, line in zip(rows, answers, strict=True):
            known = candidate_of_type(cases.ideal[row].structure_type, cases.elements[row])
            same = known is not None and str(line["structure_type"]) == known.group
            kind = cases.ideal[row].structure_type if same else str(line["structure_type"])
            score.add(cases.ideal[row], None, kind, int(line["n_atoms"]) if line["n_atoms"] and line["n_atoms"] > 0 else 0)
    return score, (time.process_time() - began) / max(len(rows), 1)


def baselines(model: CompoundModel, cases: TestCases, pdf: NDArray[np.float32], *, trained: Path, conditions: str, seed: int) -> list[Score]:
    """Nearest PDF and trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    listed = TestCases.of(trained, LISTED)
    references = listed.pdfs(model, conditions, seed + 1)
    kinds = np.array([one.structure_type for one in listed.ideal])
    atoms = np.array([len(one) for one in listed.ideal])
    nearest, trees = Score(f"nearest PDF of {LISTED}"), Score(f"trees, trained on {LISTED}")
    points = len(model.grid)
    features = np.concatenate([np.where(references[:, 1, :points] > 0, references[:, 0, :points], np.nan), references[:, 0, points:]], axis=1)
    settings = {"max_iter": 100, "learning_rate": 0.12, "early_stopping": True, "random_state": seed}
    classifier = HistGradientBoostingClassifier(**settings).fit(features, kinds)
    regressor = HistGradientBoostingRegressor(**settings).fit(features, np.log(atoms))
    for row, (one, elements) in enumerate(zip(pdf, cases.elements, strict=True)):
        possible = as_given(model, one, elements).crystals
        may = np.array([kind in possible for kind in kinds])
        both = references[:, 1, :points] * one[1, :points]
        distance = (((references[:, 0, :points] - one[0, :points]) ** 2) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1.0)
        nearest.add(cases.ideal[row], listed.ideal[int(np.where(may, distance, np.inf).argmin())])
        question = np.concatenate([np.where(one[1, :points] > 0, one[0, :points], np.nan), one[0, points:]])[None]
        odds = np.where([kind in possible for kind in classifier.classes_], classifier.predict_proba(question)[0], 0.0)
        trees.add(cases.ideal[row], None, str(classifier.classes_[int(odds.argmax())]), round(float(np.exp(regressor.predict(question)[0]))))
    return [nearest, trees]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--model", default="compounds")
    parser.add_argument("--trained", type=Path)
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--fitted", type=int, default=60)
    parser.add_argument("--solved", type=int, default=0)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = CompoundModel(*load_network(find_checkpoint(options.model)))
    seen = frozenset() if options.trained is None else frozenset(map(mark, ideal_particles(Catalog.open(options.trained).columns)))
    cases = TestCases.of(options.catalog, options.limit, seen)
    print(f"{len(cases.ideal)} particles of {min(map(len, cases.ideal))} to {max(map(len, cases.ideal))} atoms")
    print("| | particles | type right | N within 5 % | N exact | all sites right |\n|---|---|---|---|---|---|")
    for conditions in ("measured", "clean"):
        pdf, noisy = cases.pdfs(model, conditions, options.seed), conditions == "measured"
        generated = Score(f"{conditions}: as generated")
        by_type: dict[str, Score] = {}
        for one, elements, truth in zip(pdf, cases.elements, cases.ideal, strict=True):
            template, mask = model.most_probable(as_given(model, one, elements))
            template = model.decoder.book.template(template)
            predicted = two_kinds(template.site_class, template.sites, mask, template.structure_type)
            generated.add(truth, predicted)
            by_type.setdefault(truth.structure_type, Score(f"{conditions}: {truth.structure_type}")).add(truth, predicted)
        print(generated.line(), flush=True)
        for kind in sorted(by_type):
            print(by_type[kind].line())
        rows = np.linspace(0, len(cases.ideal) - 1, options.fitted).round().astype(int).tolist()
        if options.fitted:
            best, refined, seconds = best_of_samples(model, cases, rows, options.seed, noisy)
            print(best.line(), refined.line(), f"{seconds:.2f} s of the processor a particle", sep="\n", flush=True)
        if options.trained is not None:
            for score in baselines(model, cases, pdf, trained=options.trained, conditions=conditions, seed=options.seed):
                print(score.line(), flush=True)
        for sources, name in (("crystals", "solve, crystals alone"), ("crystals,cvae", "solve, crystals and the model")) if options.solved else ():
            score, seconds = solved(cases, rows[: options.solved], sources, name, seed=options.seed, noisy=noisy)
            print(score.line(), f"{seconds:.2f} s of the processor a particle", flush=True)


if __name__ == "__main__":
    main()
