"""Simulated particles of real compounds, solved with the public ``solve`` from their elements alone: how often phase and diameter are right.

    python benchmarks/solve_compounds.py [--seed 1] [--only SnO2 "FeS2 pyrite"] [--quick]
    python benchmarks/solve_compounds.py --list

``compounds.yaml`` beside this script holds cells and positions as the literature prints them, none of them taken from the package. Each becomes a CIF
file that is read back; a spheroid of explicit atoms (15 to 45 Å across, aspect 0.8 to 1.25 along any direction, about any point of the cell, lengths
off by up to 1 %) is cut from it. G(r) is the Debye sum with U of cations 0.005 and of anions 0.009 Å², any delta2, Qmax 18 to 26, Qdamp 0.03 to 0.04
(not told), r to 30 or 40 Å, any scale, and noise that is white in Q, 5 % of the RMS of G. The header says Qmin and Qmax, no composition.

An answer is the right phase where its ratio of cations to anions is that of the truth and one of these holds, all cations taken for one: the
StructureMatcher of pymatgen brings both crystals into agreement; their sites have the same coordination sequences, and like atoms are as near to one
another; both are stacks of tetrahedra, whose polytypes are one family (marked ``family``). No name decides. ``new`` marks crystals that the package
did not try when the list was made, because it lacked the type or ruled it out.
``--quick`` asks the search for crystals alone, without particles: phases and fitted diameters in a third of the time.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.physics.crystal_fit import CrystalFit, mine_crystals
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.crystal_cut import crystal_sites
from deepstruc_hpc.structures.crystals import Crystal, cif_crystal
from deepstruc_hpc.structures.prototypes import ANIONS, candidate_crystals
from deepstruc_hpc.structures.topology import coordination_sequences, neighbours

Array = NDArray[np.float64]
TABLE = Path(__file__).with_name("compounds.yaml")
NOISE = 0.05
U_CATION, U_ANION = 0.005, 0.009
TETRAHEDRAL = ((4, 12, 24), (4, 12, 25))
"""Begins of the coordination sequences of every stack of tetrahedra, cubic, hexagonal or mixed."""
ROOM = 1.5
"""Factor of volume an atom in units of the cubed bond from which on one net is not one crystal: cuprite is two nets of cristobalite in one."""
LIKE = 0.25
"""Relative difference of shortest contacts of like atoms, in bond lengths, from which on it is not either: GaS has bonds Ga–Ga, SnS none."""


@dataclass(frozen=True)
class Answer:
    """What was found: formula and type of the first three phases with Rw, the diameter, seconds, the whole line."""

    phases: tuple[str, ...]
    rw: float
    diameter: float
    seconds: float
    words: str


@dataclass(frozen=True)
class Truth:
    """A simulated particle."""

    name: str
    crystal: Crystal
    elements: tuple[str, ...]
    diameter: float
    n_atoms: int
    new: bool


def structure_of(entry: Mapping[str, Any]) -> Any:
    """The crystal of a row of the table as a pymatgen structure."""
    from pymatgen.core import Lattice, Structure
    from pymatgen.symmetry.groups import SpaceGroup

    cell = [float(value) for value in entry["cell"]]
    hexagonal = 143 <= SpaceGroup(entry["group"]).int_number < 195
    full = {
        1: (cell[0], cell[0], cell[0], 90, 90, 90),
        2: (cell[0], cell[0], cell[-1], 90, 90, 120 if hexagonal else 90),
        3: (*cell, 90, 90, 90),
        4: (*cell[:3], 90, cell[-1], 90),
        6: tuple(cell),
    }[len(cell)]
    species, places = [], []
    for site in entry["sites"]:
        kind, *place = site.split()
        parts = [part.split(":") for part in kind.split(",")]
        species.append({symbol: float(share[0]) if share else 1.0 for symbol, *share in parts})
        places.append(np.array([float(Fraction(value)) for value in place]) + np.array(entry.get("shift", (0, 0, 0))))
    return Structure.from_spacegroup(entry["group"], Lattice.from_parameters(*full), species, places)


def read_back(name: str, entry: Mapping[str, Any], folder: Path) -> Crystal:
    """The crystal through a CIF file."""
    from pymatgen.io.cif import CifWriter

    path = folder / f"{''.join(letter if letter.isalnum() else '_' for letter in name)}.cif"
    CifWriter(structure_of(entry)).write_file(path)
    return cif_crystal(str(path))


def particle(crystal: Crystal, rng: np.random.Generator) -> tuple[tuple[str, ...], Array]:
    """Atoms of a spheroid about any point of the cell; those without an unlike neighbour are left out."""
    radius, aspect = float(rng.uniform(7.5, 22.5)), float(rng.uniform(0.8, 1.25))
    across, along = radius * aspect ** (-1 / 3), radius * aspect ** (2 / 3)
    positions, origin = crystal_sites(crystal, max(across, along), rng.random(3) @ crystal.lattice)
    direction = rng.normal(size=3)
    height = positions @ direction / np.linalg.norm(direction)
    inside = (np.sum(positions**2, axis=1) - height**2) / across**2 + height**2 / along**2 <= 1.0
    symbols = []
    for site, draw in zip(origin[inside], rng.random(int(inside.sum())), strict=True):
        edges = np.cumsum([share for _, share in crystal.species[int(site)]])
        number = int(np.searchsorted(edges, draw + 1e-9))
        symbols.append(crystal.species[int(site)][number][0] if number < len(edges) else "")
    there = np.array(symbols) != ""
    positions, names = positions[inside][there], np.array(symbols)[there]
    sites = origin[inside][there]
    around = neighbours(crystal.lattice, crystal.fractions, 4.5)
    unlike = np.array([crystal.main_element[i] != crystal.main_element[j] for i, j in zip(around.first, around.second, strict=True)])
    reach = np.array([1.2 * around.distance[unlike & (around.first == site)].min(initial=4.5) for site in range(len(crystal.fractions))])
    pairs = cKDTree(positions).query_pairs(float(reach.max()), output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    near = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1) <= reach[sites[pairs[:, 0]]]
    bonded = np.unique(pairs[near & (names[pairs[:, 0]] != names[pairs[:, 1]]), 0])
    return tuple(names[bonded].tolist()), positions[bonded]


def write(crystal: Crystal, path: Path, rng: np.random.Generator) -> tuple[float, int, float]:
    """A G(r) file of one particle; returns its diameter, that of the sphere with its volume, its number of atoms, and the factor of its lengths."""
    symbols, positions = particle(crystal, rng)
    zoom = float(rng.uniform(0.99, 1.01))
    r = np.arange(0.0, float(rng.choice([30.0, 40.0])) + 1e-9, 0.01)
    conditions = {"qmin": 0.8, "qmax": round(float(rng.uniform(18.0, 26.0)), 2), "qdamp": float(rng.uniform(0.03, 0.04))}
    anion = anion_of(crystal)
    uiso = np.array([U_ANION if symbol == anion else U_CATION for symbol in symbols])
    g = simulate_pdf(symbols, positions * zoom, r, uiso=uiso, delta2=float(rng.uniform(0.5, 2.5)), **conditions)
    q = np.linspace(conditions["qmin"], conditions["qmax"], 1200)
    noise = np.sin(np.outer(r, q)) @ rng.normal(size=len(q))
    g = float(rng.uniform(0.3, 1.2)) * (g + NOISE * np.sqrt(np.mean(g[r > 1.5] ** 2)) * noise / noise.std())
    head = [
        "[DEFAULT]",
        "mode = xray",
        f"qmin = {conditions['qmin']}",
        f"qmax = {conditions['qmax']}",
        "#### start data",
        "#L r($\\AA$)  G($\\AA^{-2}$)",
    ]
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n")
    volume = abs(float(np.linalg.det(crystal.lattice))) / sum(crystal.composition.values())
    return zoom * float(np.cbrt(6.0 / np.pi * len(symbols) * volume)), len(symbols), zoom


def anion_of(crystal: Crystal) -> str:
    """The most electronegative non-metal."""
    return next((symbol for symbol in ANIONS if symbol in crystal.composition and len(crystal.composition) > 1), "")


def ratios(crystal: Crystal) -> tuple[float, float]:
    """Part of all atoms that are the anion, and part of all sites."""
    anion = anion_of(crystal)
    sites = [symbol == anion for symbol in crystal.main_element]
    return crystal.composition.get(anion, 0.0) / sum(crystal.composition.values()), sum(sites) / len(sites)


def _merged(crystal: Crystal) -> Any:
    """The crystal with all cations as one element, as a pymatgen structure."""
    from pymatgen.core import Structure

    anion = anion_of(crystal)
    return Structure(
        crystal.lattice, ["O" if symbol == anion else "Fe" for symbol in crystal.main_element], crystal.fractions
    ).get_primitive_structure()


def _nets(crystal: Crystal) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The coordination sequences of cations and of anions."""
    kinds = np.array([symbol == anion_of(crystal) for symbol in crystal.main_element], dtype=np.intp)
    reach = 1.9 * float(np.cbrt(abs(np.linalg.det(crystal.lattice)) / len(kinds))) + 1.0
    found = coordination_sequences(neighbours(crystal.lattice, crystal.fractions, reach), kinds, np.arange(len(kinds)))
    return tuple(tuple(sorted({found[int(site)] for site in np.flatnonzero(kinds == kind)})) for kind in (0, 1))


def _room(crystal: Crystal) -> float:
    return abs(float(np.linalg.det(crystal.lattice))) / len(crystal.fractions) / crystal.bond_length**3


def _like(crystal: Crystal) -> Array:
    """Shortest distances of cations and of anions, in bond lengths."""
    kinds = np.array([symbol == anion_of(crystal) for symbol in crystal.main_element])
    around = neighbours(crystal.lattice, crystal.fractions, 3.0 * crystal.bond_length)
    alike = kinds[around.first] == kinds[around.second]
    return np.array([around.distance[alike & (kinds[around.first] == kind)].min(initial=9.0) for kind in (False, True)]) / crystal.bond_length


def same_phase(found: Crystal, truth: Crystal) -> str:
    """How two crystals are one phase: ``match``, ``net``, ``family``; empty where they are not."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    formula = min(abs(a - b) for a, b in zip(ratios(found), ratios(truth), strict=True)) < 0.02
    if anion_of(found) != anion_of(truth) or not formula:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if StructureMatcher(ltol=0.2, stol=0.3, angle_tol=6).fit(_merged(found), _merged(truth)):
            return "match"
    ours, theirs = _nets(found), _nets(truth)
    if ours == theirs and 1.0 / ROOM < _room(found) / _room(truth) < ROOM and np.abs(_like(found) / _like(truth) - 1.0).max() < LIKE:
        return "net"
    stacks = all(sequence[:3] in TETRAHEDRAL for sequences in (*ours, *theirs) for sequence in sequences)
    return "family" if stacks else ""


def judge(truth: Truth, answer: Answer) -> tuple[int, str]:
    """Which of the first three phases is right (0 where none), and how."""
    known: dict[str, list[Crystal]] = {}
    for candidate in candidate_crystals(truth.elements):
        known.setdefault(candidate.crystal.name, []).append(candidate.crystal)
    for number, phase in enumerate(answer.phases, start=1):
        how = next((how for crystal in known.get(phase, []) if (how := same_phase(crystal, truth.crystal))), "")
        if how:
            return number, how
    return 0, ""


def first_phases(folder: Path) -> tuple[str, ...]:
    """Formula and type of the first three phases of an answer's folder; none where there is no list of candidates."""
    listed = folder / "candidates.csv"
    if not listed.is_file():
        return ()
    first = pd.read_csv(listed).drop_duplicates("structure_type").head(3)
    return tuple(" ".join(str(label).removeprefix("neighbour on ").removeprefix("crystal ").split()[:2]) for label in first["label"])


def answered(truths: Sequence[Truth], folder: Path) -> list[Answer]:
    """The answers of ``solve``, all files in this process, a table naming the elements of each."""
    table = folder / "elements.csv"
    with table.open("w", newline="") as handle:
        csv.writer(handle).writerows([("file", "elements"), *((f"{n:03d}.gr", ",".join(truth.elements)) for n, truth in enumerate(truths))])
    frame = solve([folder / f"{n:03d}.gr" for n in range(len(truths))], folder / "out", workers=0, values=table)
    answers = []
    for row in frame.itertuples():
        phases = first_phases(folder / "out" / str(row.folder))
        words = f"{row.phase or row.status} {str(row.message)[:60] if row.status != 'ok' else row.flags}"
        answers.append(Answer(phases, float(row.rw or np.nan), float(row.diameter or row.diameter_low or 0.0), float(row.seconds), words))
    return answers


def mined(truths: Sequence[Truth], folder: Path) -> list[Answer]:
    """The answers of the search for crystals alone."""
    answers = []
    for number, truth in enumerate(truths):
        curve = read_pdf(folder / f"{number:03d}.gr")
        begin = time.perf_counter()
        instrument = Instrument(qmin=curve.value("qmin") or 0.8, qmax=curve.value("qmax") or 22.0, qdamp=0.03)
        fits = mine_crystals(curve, instrument, candidate_crystals(truth.elements), rmin=1.6, rmax=float(curve.r[-1]))
        first: dict[str, CrystalFit] = {}
        for fit in fits:
            first.setdefault(fit.candidate.group, fit)
        phases = tuple(fit.candidate.crystal.name for fit in first.values())[:3]
        words = ", ".join(f"{fit.candidate.crystal.name} {fit.rw:.3f}" for fit in list(first.values())[:3])
        answers.append(Answer(phases, fits[0].rw, fits[0].diameter or fits[0].at_least, time.perf_counter() - begin, words))
    return answers


def shares(rows: Sequence[tuple[Truth, Answer, int]], words: str) -> None:
    """Print the shares over some rows."""
    if not rows:
        return
    first = np.mean([place == 1 for _, _, place in rows])
    three = np.mean([place > 0 for _, _, place in rows])
    sizes = [abs(answer.diameter / truth.diameter - 1.0) <= 0.10 for truth, answer, place in rows if place == 1]
    seconds = [answer.seconds for _, answer, _ in rows]
    print(
        f"{words} ({len(rows)}): phase first {100 * first:.0f} %, in the first three {100 * three:.0f} %, diameter within 10 % where first "
        f"{100 * np.mean(sizes or [False]):.0f} %; {np.median(seconds):.1f} s (median), {max(seconds):.1f} s at most"
    )


def main() -> None:
    """Print a row a compound and the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table: dict[str, dict[str, Any]] = yaml.safe_load(TABLE.read_text())
    if options.list:
        for name, entry in table.items():
            print(f"{name:22} {entry['group']:12} {'new  ' if entry.get('absent') else '     '} {entry['source']}")
        return
    truths: list[Truth] = []
    rows: list[tuple[Truth, Answer, int]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number, (name, entry) in enumerate(table.items()):
            if options.only and name not in options.only:
                continue
            crystal = read_back(name, entry, folder)
            diameter, n_atoms, _ = write(crystal, folder / f"{len(truths):03d}.gr", np.random.default_rng([options.seed, number]))
            elements = tuple(entry["elements"].split(",")) if "elements" in entry else tuple(crystal.composition)
            truths.append(Truth(name, crystal, elements, diameter, n_atoms, bool(entry.get("absent"))))
        candidate_crystals(["Ti", "O"])  # the table of prototypes is made before the clock runs
        answers = (mined if options.quick else answered)(truths, folder)
    for truth, answer in zip(truths, answers, strict=True):
        number, how = judge(truth, answer)
        rows.append((truth, answer, number))
        size = "" if abs(answer.diameter / truth.diameter - 1.0) <= 0.10 else "SIZE "
        verdict = {0: "WRONG ", 1: ""}.get(number, f"PLACE {number} ")
        print(
            f"{truth.name[:22]:22} {'new ' if truth.new else '    '}{truth.n_atoms:5} atoms D {truth.diameter:4.1f} {answer.diameter:5.1f} "
            f"Rw {answer.rw:.3f} {answer.seconds:5.1f} s {verdict}{size}{how:7} {answer.words[:110]} [{'; '.join(answer.phases)}]",
            flush=True,
        )
    shares(rows, "all")
    shares([row for row in rows if not row[0].new], "types known before")
    shares([row for row in rows if row[0].new], "new types")


if __name__ == "__main__":
    main()
