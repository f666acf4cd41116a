"""A folder of many CIF files: its index, built cold and found warm, and the search of a curve among all of its crystals.

The files are made of the project's own candidate crystals: types of many chemistries with cell, ratios of axes and positions drawn at random, written
with symmetry operations or in P 1, some with their symmetry broken or doubled along c, some with partly filled sites; one in fifty is broken. A share
of them holds the sample's elements. The curve is that of a particle of explicit atoms, cut from one of these crystals, with 3 % of noise; only its
elements are given, so known types are tried, too. ``place`` is that of the file that the particle was cut from among the refined crystals, ``alike``
whether the first of them has its formula and net of bonds.

Usage: python benchmarks/screen_cifs.py [--files 10000] [--matching 0.3333] [--curves 2] [--workers 2] [--folder FOLDER] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from deepstruc_hpc.core.cell_symmetry import cell_symmetry
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.physics.crystal_motions import cell_basis, shift_basis
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.solve.candidates.crystals import CrystalSource
from deepstruc_hpc.solve.candidates.source import Budget
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import describe
from deepstruc_hpc.solve.run.cif_folders import read_folder
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystal_listing import crystal_cif
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.prototypes import CrystalCandidate, candidate_crystals
from deepstruc_hpc.structures.user_crystals import user_crystals

SAMPLE = "Ni,Fe,O"
OTHERS = (
    *("Ti,O", "Ce,O", "Zr,Y,O", "Al,O", "Sr,Ti,O", "La,Mn,O", "W,O", "Cu,O", "In,Sn,O", "Co,O", "Li,Co,O", "Zn,O", "Ir,Ru,O", "V,O", "Mg,Si,O"),
    *("Mo,S", "Cd,Se", "Pb,S", "Fe,S", "Ga,N", "In,P", "Bi,Te", "Ti,C", "Cs,Pb,Br", "Na,Cl", "Ca,F", "Pt,Co", "Cu,Au", "Ni,Al", "Fe,Cr"),
)
BROKEN = ("", "data_x\n_cell_length_a what\nloop_\n_atom_site_label\n", "<html>404</html>", "data_x\n_cell_length_a 4\n_cell_length_b 4\n")
NOISE = 0.03
BUDGET = Budget(samples=0, sigma=(3.0,), most_atoms=5000)
ONE_BROKEN_IN = 50


def varied(candidate: CrystalCandidate, rng: np.random.Generator) -> tuple[Crystal, str]:
    """A crystal of the same type with other lengths and positions, and how it is written: ``symmetric``, ``p1``, ``displaced`` or ``doubled``."""
    crystal = candidate.crystal
    how = str(rng.choice(["symmetric", "p1", "displaced", "doubled"], p=[0.55, 0.25, 0.1, 0.1]))
    basis = cell_basis(candidate.space_group)
    lattice = crystal.lattice * np.exp(0.05 * rng.uniform(-1, 1) + 0.012 * rng.normal(size=len(basis)) @ basis)[:, None]
    shifts = shift_basis(crystal.lattice, crystal.fractions, candidate.kinds, np.ones(len(crystal.fractions)))
    places = crystal.fractions + np.tensordot(0.04 * rng.normal(size=len(shifts)), shifts, axes=1)
    species = crystal.species
    if rng.random() < 0.15:
        share = float(rng.uniform(0.8, 0.98))
        species = tuple(tuple((s, a * share) for s, a in site) if kind == 0 else site for site, kind in zip(species, candidate.kinds, strict=True))
    if how == "doubled" and len(places) <= 60:
        lattice = lattice * np.array([[1.0], [1.0], [2.0]])
        places = np.concatenate([places * [1, 1, 0.5], places * [1, 1, 0.5] + [0, 0, 0.5]])
        species = (*species, *species)
    if how in {"displaced", "doubled"} and len(places) <= 120:
        places = places + rng.normal(size=places.shape) * 0.04 @ np.linalg.inv(lattice)
    return replace(crystal, lattice=lattice, fractions=np.mod(places, 1.0), species=species), how


def symmetric_cif(crystal: Crystal, title: str) -> str:
    """A CIF with the operations of its space group and one site of each orbit."""
    words = [str(site) for site in crystal.species]
    names = sorted(set(words))
    found = cell_symmetry(crystal.lattice, crystal.fractions, np.array([names.index(word) for word in words]), precision=1e-3)
    if found is None:
        return crystal_cif(crystal, title)
    head = crystal_cif(crystal, title).split("_symmetry_space_group_name_H-M")[0]
    operations = [
        ", ".join(_row(*row) for row in zip(turn, move, strict=True)) for turn, move in zip(found.rotations, found.translations, strict=True)
    ]
    lines = ["loop_", " _symmetry_equiv_pos_as_xyz", *(f" '{operation}'" for operation in operations)]
    lines += ["loop_", *(f" _atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"))]
    for number in np.unique(found.orbits):
        x, y, z = crystal.fractions[number]
        lines += [f" {symbol}{number} {symbol} {x:.6f} {y:.6f} {z:.6f} {amount:.6g}" for symbol, amount in crystal.species[number]]
    return head + "\n".join(lines) + "\n"


def _row(turn: Sequence[int], move: float) -> str:
    text = "".join(f"{'+' if n > 0 else '-'}{axis}" for n, axis in zip(turn, "xyz", strict=True) if n)
    part = Fraction(move % 1.0).limit_denominator(24)
    return text + (f"+{part}" if part else "")


def make_folder(folder: Path, count: int, matching: float, seed: int) -> dict[Path, Crystal]:
    """Write the files; those of the sample's elements that are whole and keep their symmetry, with their crystals."""
    rng = np.random.default_rng(seed)
    own = candidate_crystals(SAMPLE.split(","))
    others = [candidate for elements in OTHERS for candidate in candidate_crystals(elements.split(","))]
    others = [candidate for candidate in others if not set(candidate.crystal.composition) <= set(SAMPLE.split(","))]
    truths: dict[Path, Crystal] = {}
    for number in range(count):
        ours = (number * 0.6180339887) % 1.0 < matching
        pool = own if ours else others
        candidate = pool[int(rng.integers(len(pool)))]
        path = folder / f"{number // 1000:03d}" / f"{number:05d}_{candidate.formula}_{candidate.prototype}.cif".replace("/", "_")
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % ONE_BROKEN_IN == ONE_BROKEN_IN - 1:
            path.write_text(BROKEN[number // ONE_BROKEN_IN % len(BROKEN)])
            continue
        crystal, how = varied(candidate, rng)
        path.write_text(symmetric_cif(crystal, path.stem) if how == "symmetric" else crystal_cif(crystal, path.stem))
        if ours and how == "symmetric" and candidate.anion:
            truths[path] = crystal
    return truths


def curves(truths: dict[Path, Crystal], count: int, seed: int) -> Iterator[tuple[Path, PdfCurve, Instrument]]:
    """Particles of some of the crystals, 22 to 30 Å across, with white noise."""
    r = np.arange(0.5, 35.0, 0.01)
    instrument = Instrument(qmin=0.8, qmax=22.0, qdamp=0.03)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        path = list(truths)[int(rng.integers(len(truths)))]
        particle = cut_crystal(truths[path], radius=float(rng.uniform(11.0, 15.0)), centre="cell", seed=number, surface="as_cut")
        g = simulate_pdf(particle.symbols, particle.positions, r, uiso=0.008, delta2=1.5, **instrument.model_dump())
        noise = rng.normal(size=len(r)) * NOISE * np.abs(g).max()
        yield path, PdfCurve(r, g + noise, header=instrument.model_dump(include={"qmin", "qmax"}), source=path.name), instrument


def measure(folder: Path, matching: float, options: argparse.Namespace) -> None:
    """Print the rows of one folder."""
    begin = time.perf_counter()
    truths = make_folder(folder, options.files, matching, options.seed)
    say(f"files written, {matching:.0%} of the sample's elements", begin, f"{options.files} files")
    begin = time.perf_counter()
    own = read_folder(folder, workers=options.workers)
    say("index, cold", begin, f"{len(own.failures())} files cannot be read")
    begin = time.perf_counter()
    read_folder(folder, workers=options.workers)
    say("index, warm", begin, f"{sum(path.stat().st_size for path in cache_dir().rglob('*.lines')) / 2**20:.0f} MB in the cache")
    begin = time.perf_counter()
    source = CrystalSource([str(folder)])
    say("opened by a worker", begin, f"{len(source.notes)} notes")
    for path, curve, instrument in curves(truths, options.curves, options.seed):
        measurement = describe(curve, SolveSettings(elements=SAMPLE, qdamp=instrument.qdamp))
        begin, cpu = time.perf_counter(), time.process_time()
        found = source.candidates(measurement, BUDGET)
        fits = [candidate.crystal_fit for candidate in found if candidate.crystal_fit is not None]
        place = next((number for number, fit in enumerate(fits, 1) if fit.candidate.origin == str(path)), 0)
        (truth,) = user_crystals(path)
        first = fits[0].candidate
        alike = (first.group, first.formula) == (truth.group, truth.formula)
        words = f"{path.stem} -> {first.crystal.name}"
        seconds = f"{time.process_time() - cpu:.1f} s of all cores, {found.counts['crystals_screened']} crystals"
        say(
            "curve",
            begin,
            f"{seconds}; Rw {fits[0].rw:.3f}, place {place or '-'}, alike {'yes' if alike else 'no'}: {words}",
        )


def say(what: str, begin: float, more: str) -> None:
    """Print a row with the seconds since it began."""
    print(f"{what:48} {time.perf_counter() - begin:8.2f} s  {more}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--matching", type=float, nargs="+", default=[1 / 3, 1.0], help="shares of files that hold the sample's elements")
    parser.add_argument("--curves", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--folder", type=Path, help="where the files are kept; default: a temporary folder")
    parser.add_argument("--profile", action="store_true", help="where the time of the last folder goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["DEEPSTRUC_HPC_CACHE"] = f"{temporary}/cache"
        candidate_crystals(["Ti", "O"])  # the table of prototypes is made before the clock runs
        profile = cProfile.Profile()
        for number, matching in enumerate(options.matching):
            folder = (options.folder or Path(temporary) / "cifs") / f"{matching:.2f}"
            if options.profile and number == len(options.matching) - 1:
                profile.runcall(measure, folder, matching, options)
            else:
                measure(folder, matching, options)
        if options.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
