"""``solve --series`` on simulated films, beside each frame alone, and on the measured reduction of NiO on alumina.

    python benchmarks/solve_series.py growth [--frames 1000] [--sample 30] [--workers 2] [--out series]
    python benchmarks/solve_series.py changes [--films 10] [--frames 120] [--seed 1]
    python benchmarks/solve_series.py measured
    python benchmarks/solve_series.py memory [--frames 1000 4000]

``growth``: a gold particle cut as a sphere from fcc, 55 to 800 atoms, its lattice constant growing by 0.4 % with them, noise of counting (white in
S(Q)) of 3 % of G. Told: seconds until the full solutions are there, seconds of the warm frames, seconds in all with the page, how many types are
right and how many diameters lie within 5 % (of atoms times the volume of an atom), how often the type changes; and the same for a random sample of
frames, in the series and each alone.

``changes``: films with one true change each: fcc to hcp, to a decahedron, to an icosahedron (other elements), growth that begins, nickel that
appears beside NiO, a lattice constant that begins to grow. A change is found where one of that kind is told within three frames.

``memory``: resident memory of the driver and of each worker, by the number of frames of a film in one HDF5 file.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import h5py
import numpy as np
import pandas as pd
import psutil
from numpy.typing import NDArray

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.series_file import read_series
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.run.artefacts import NamedArtefacts
from deepstruc_hpc.solve.run.batch import Batch, BatchOptions, solve
from deepstruc_hpc.solve.series.run import SeriesOptions, SeriesRun
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.template_lattices import template_lattice

Array = NDArray[np.float64]
QMIN, QMAX, QDAMP = 0.8, 24.0, 0.03
R = np.arange(0.0, 30.001, 0.02)
NEAR = 3
MEASURED = Path(__file__).resolve().parents[2] / "shared/data/measured/ni_on_alumina_series"


def sphere(kind: str, count: int, *, off: float = 0.21, symbol: str = "Au", strain: float = 1.0) -> Structure:
    """The ``count`` sites of a lattice that are nearest to a point off the origin, Å."""
    sites = template_lattice(f"{kind} atom" if kind in ("fcc", "hcp", "bcc", "decahedral") else kind, 6.5 if count < 400 else 9.0).sites
    middle = np.array([off, 0.6 * off, 0.3 * off]) if kind in ("fcc", "hcp", "bcc") else np.zeros(3)
    nearest = np.argsort(np.linalg.norm(sites - middle, axis=1), kind="stable")[:count]
    return Structure.of_element(symbol, sites[nearest] * nn_distance(symbol, "twelve") * strain, kind)


def curve_of(structure: Structure, rng: np.random.Generator, noise: float = 0.03, uiso: float = 0.008, r: Array = R) -> Array:
    """G(r) with the noise of counting."""
    g = simulate_pdf(structure.symbols, structure.positions, r, qmin=QMIN, qmax=QMAX, qdamp=QDAMP, uiso=uiso, delta2=2.0)
    return noisy(np.asarray(g), rng, noise, r)


def noisy(g: Array, rng: np.random.Generator, noise: float, r: Array = R) -> Array:
    """With noise that is white in S(Q), ``noise`` of the strength of G."""
    q = np.arange(QMIN, QMAX, 0.02)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    return g + counting / counting.std() * g[r > 2].std() * noise


def write_gr(path: Path, g: Array, composition: str, r: Array = R) -> None:
    """A file as PDFgetX3 writes it."""
    head = f"[DEFAULT]\nversion = pdfgetx3-2.1.2\nmode = xray\ncomposition = {composition}\nqmin = {QMIN}\nqmax = {QMAX}\n#### start data\n"
    np.savetxt(path, np.column_stack([r, g]), fmt="%.5g", header=head + "#L r($\\AA$)  G($\\AA^{-2}$)", comments="")


def growth(frames: int, folder: Path) -> pd.DataFrame:
    """Files of a growing particle, and what is true of each."""
    rows = []
    sizes = np.round(np.linspace(55, 800, frames)).astype(int)
    clean: dict[int, Structure] = {}
    for number, count in enumerate(sizes):
        shape = clean.setdefault(int(count), sphere("fcc", int(count)))
        strained = shape.scaled(1.0 + 0.004 * number / max(frames - 1, 1))
        path = folder / f"frame_{number}.gr"
        write_gr(path, curve_of(strained, np.random.default_rng(number)), "Au")
        rows.append({"file": str(path), "type": "fcc", "diameter": diameter(strained)})
    return pd.DataFrame(rows)


def diameter(structure: Structure) -> float:
    """Å, of the sphere with the volume of an fcc or hcp particle's atoms."""
    distance = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=2)
    nearest = float(np.median(np.where(distance > 0.1, distance, np.inf).min(axis=1)))
    return float(2.0 * np.cbrt(3.0 * len(structure) * nearest**3 / np.sqrt(2.0) / (4.0 * np.pi)))


def run_series(paths: Any, out: Path, workers: int | None, **settings: Any) -> tuple[pd.DataFrame, SeriesRun, float]:
    """The table, the run with its times, and the seconds that the page took."""
    science = SolveSettings(qdamp=QDAMP, **settings) if "qdamp" not in settings else SolveSettings(**settings)
    batch = Batch(paths, out.resolve(), science, BatchOptions(workers=workers), NamedArtefacts())
    run = SeriesRun(batch, SeriesOptions())
    table = run.run()
    started = time.monotonic()
    try:
        from deepstruc_hpc.report.series_page import write_series_page

        write_series_page(out.resolve())
    except ImportError:
        print("no page in this installation")
    return table, run, time.monotonic() - started


def judged(table: pd.DataFrame, truth: pd.DataFrame) -> str:
    """Types and diameters right."""
    joined = truth.merge(table, on="file", suffixes=("_true", ""))
    right = joined["structure_type"].fillna("").map(lattice_of) == joined["type"]
    near = (joined["diameter"] / joined["diameter_true"] - 1.0).abs() < 0.05
    return f"{int(right.sum())} of {len(joined)} types right, {int(near.sum())} diameters within 5 %, median Rw {joined['rw'].median():.4f}"


def do_growth(args: argparse.Namespace) -> None:
    """A thousand frames of a growing particle."""
    folder = Path(mkdtemp(prefix="growth-"))
    truth = growth(args.frames[0], folder)
    out = Path(args.out) if args.out else folder / "solved"
    begun, cpu = time.monotonic(), time.process_time()
    table, run, page = run_series(folder, out, args.workers)
    whole = time.monotonic() - begun
    full, warm = (int(table["how"].eq(how).sum()) for how in ("full", "warm"))
    print(f"{len(table)} frames, {full} of them solved fully; load {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores")
    times = run.timing
    print(f"first full solutions {times.full:.1f} s, then {times.solved - times.full:.1f} s, page {page:.1f} s, in all {whole:.1f} s")
    print(
        f"CPU: full tasks {times.cpu[True]:.1f} s, warm stretches {times.cpu[False]:.1f} s ({1e3 * times.cpu[False] / max(warm, 1):.0f} ms a frame)"
    )
    print(f"driver with the page: {time.process_time() - cpu:.1f} s of CPU", flush=True)
    print("series:", judged(table, truth))
    kinds = table["structure_type"].map(lattice_of)
    print(f"type changes between neighbours: {int((kinds != kinds.shift()).iloc[1:].sum())}")
    print(read_series(out).change_points.to_string())
    chosen = np.sort(np.random.default_rng(1).choice(len(truth), min(args.sample, len(truth)), replace=False))
    if len(chosen):
        sample = truth.iloc[chosen]
        alone = solve([str(path) for path in sample["file"]], folder / "alone", settings=SolveSettings(qdamp=QDAMP), workers=args.workers)
        print("sample in the series:", judged(table, sample))
        print("sample alone:        ", judged(alone, sample))


def films() -> dict[str, tuple[str, str, Callable[[int, int, np.random.Generator], Array], dict[str, Any]]]:
    """Films with one change at frame c of n: kind of change, formula, G of frame t, settings."""
    rock_salt = _crystal(4.178, [("Ni", (0, 0, 0)), ("O", (0.5, 0, 0))])
    nickel = _crystal(3.524, [("Ni", (0, 0, 0))])

    def becomes(kind: str, count: int) -> Callable[[int, int, np.random.Generator], Array]:
        shapes = sphere("fcc", count), sphere(kind, count)
        return lambda t, c, rng: curve_of(shapes[int(t >= c)], rng)

    def grows(t: int, c: int, rng: np.random.Generator) -> Array:
        return curve_of(sphere("fcc", round(120 * (1.0 + 0.02 * max(t - c, 0)))), rng)

    def expands(t: int, c: int, rng: np.random.Generator) -> Array:
        return curve_of(sphere("fcc", 150, strain=1.0 + 2e-4 * max(t - c, 0)), rng)

    def jumps(t: int, c: int, rng: np.random.Generator) -> Array:
        return curve_of(sphere("fcc", 100 if t < c else 130), rng)

    def appears(t: int, c: int, rng: np.random.Generator) -> Array:
        share = min(max(0.12 + 0.02 * (t - c), 0.0), 0.7) if t >= c else 0.0
        return noisy((1.0 - share) * rock_salt + share * nickel, rng, 0.02)

    return {
        "fcc to hcp": ("type", "Au", becomes("hcp", 150), {}),
        "fcc to decahedral": ("type", "Au", becomes("decahedral", 150), {}),
        "fcc to icosahedral": ("type", "Au", becomes("icosahedral", 147), {}),
        "growth begins": ("size", "Au", grows, {}),
        "size jumps": ("size", "Au", jumps, {}),
        "expansion begins": ("lattice", "Au", expands, {}),
        "nickel appears": ("type", "NiO", appears, {"elements": ("Ni", "O")}),
    }


def _crystal(edge: float, sites: list[tuple[str, tuple[float, float, float]]]) -> Array:
    """G of a sphere of 36 Å of an fcc crystal, at its own number of atoms."""
    cells = np.array(list(product(range(-6, 7), repeat=3)))
    faces = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    symbols, positions = [], []
    for symbol, place in sites:
        for face in faces:
            x = (cells + face + np.array(place)) * edge
            x = x[np.linalg.norm(x, axis=1) < 18.0]
            symbols += [symbol] * len(x)
            positions.append(x)
    return np.asarray(simulate_pdf(symbols, np.concatenate(positions), R, qmin=QMIN, qmax=QMAX, qdamp=QDAMP, uiso=0.006, delta2=1.5))


def do_changes(args: argparse.Namespace) -> None:
    """Films with true changes."""
    rng = np.random.default_rng(args.seed)
    known = films()
    found = 0
    wrong = 0
    for film in range(args.films):
        name = list(known)[film % len(known)]
        kind, formula, make, settings = known[name]
        count = args.frames[0]
        true = int(rng.integers(count // 4, 3 * count // 4))
        folder = Path(mkdtemp(prefix="film-"))
        for t in range(count):
            write_gr(folder / f"f{t}.gr", make(t, true, np.random.default_rng([args.seed, film, t])), formula)
        table, run, _ = run_series(folder, folder / "solved", args.workers, **settings)
        reported = read_series(folder / "solved").change_points
        near = reported[(reported["kind"] == kind) & ((reported["frame"] - true).abs() <= NEAR)]
        others = reported[(reported["frame"] - true).abs() > NEAR]
        found += bool(len(near))
        wrong += len(others)
        words = "; ".join(f"{row.frame} {row.text} ({row.probability:.2f})" for row in reported.itertuples())
        full = int(table["how"].eq("full").sum())
        print(f"{name}: true {true}, {'found' if len(near) else 'MISSED'}: {words} [{run.timing.solved:.0f} s, {full} full]", flush=True)
    print(f"{found} of {args.films} found within {NEAR} frames; {wrong} others told")


def do_measured(args: argparse.Namespace) -> None:
    """The reduction of NiO on alumina."""
    out = Path(mkdtemp(prefix="measured-"))
    table, run, _ = run_series(MEASURED, out, args.workers, qdamp=None)
    columns = ["file", "how", "phase", "diameter", "diameter_low", "phases", "rw", "lattice", "size_err"]
    print(table[columns].assign(file=table["file"].str[-8:]).to_string())
    print(read_series(out).change_points.to_string(), f"\n{run.timing.solved:.0f} s")


def do_memory(args: argparse.Namespace) -> None:
    """Memory by the number of frames."""
    shapes = [curve_of(sphere("fcc", count), np.random.default_rng(count)) for count in range(100, 140)]
    for count in args.frames:
        folder = Path(mkdtemp(prefix="memory-"))
        path = folder / "film.h5"
        with h5py.File(path, "w") as handle:
            entry = handle.create_group("entry/pdf")
            entry["r"], entry["g"] = R, np.stack([shapes[len(shapes) * t // count] for t in range(count)])
            entry.attrs.update({"NX_class": "NXdata", "signal": "g", "axes": ["frame", "r"]})
            entry["r"].attrs["units"] = "angstrom"
        watched = _Watched()
        table, run, page = run_series(path, folder / "solved", args.workers, elements=("Au",), qmin=QMIN, qmax=QMAX)
        memory = f"driver {watched.most('driver'):.0f} MB, largest worker {watched.most('worker'):.0f} MB"
        print(f"{count} frames: {memory}; {run.timing.solved:.0f} s, page {page:.0f} s", flush=True)
        print(f"  {int(table['status'].eq('ok').sum())} with an answer")


class _Watched:
    """Largest resident memory of this process and of its workers, looked at every half second."""

    def __init__(self) -> None:
        self.found = {"driver": 0.0, "worker": 0.0}
        threading.Thread(target=self._look, daemon=True).start()

    @staticmethod
    def _here() -> float:
        return psutil.Process().memory_info().rss / 1e6

    def _look(self) -> None:
        while True:
            self.found["driver"] = max(self.found["driver"], self._here())
            for process in psutil.process_iter(["cmdline", "name", "memory_info"]):
                if "_Host" in " ".join(process.info["cmdline"] or [process.info["name"] or ""]) and process.info["memory_info"]:
                    self.found["worker"] = max(self.found["worker"], process.info["memory_info"].rss / 1e6)
            time.sleep(0.5)

    def most(self, name: str) -> float:
        """MB."""
        return self.found[name]


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["growth", "changes", "measured", "memory"])
    parser.add_argument("--frames", type=int, nargs="+", default=None)
    parser.add_argument("--sample", type=int, default=30)
    parser.add_argument("--films", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out")
    args = parser.parse_args()
    usual = {"growth": [1000], "changes": [120], "measured": [9], "memory": [1000, 4000]}
    args.frames = args.frames or usual[args.what]
    {"growth": do_growth, "changes": do_changes, "measured": do_measured, "memory": do_memory}[args.what](args)


if __name__ == "__main__":
    main()
