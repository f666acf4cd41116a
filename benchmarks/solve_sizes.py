"""Simulated particles of 1,500 to 15,000 atoms, a third of them with many sizes, solved with the public ``solve``: type, diameter, width, seconds.

    python benchmarks/solve_sizes.py [--curves 24] [--seed 1] [--large] [--unknown-qdamp]

Explicit atoms of fcc, hcp and bcc metals, of fluorite, rutile, spinel, wurtzite and rock salt, whose cells stand below as the literature prints them
(Wyckoff, Crystal Structures (1963)), off by up to 1 %. One size: a sphere about any point of the cell, or, of every third cubic metal, a truncated
octahedron. Many sizes (every third curve): spheres at 13 points of a lognormal distribution, width 8 to 25 %, each about another point, weighted by
their shares. G(r) is the Debye sum of each; Qmax 18 to 26 Å⁻¹, Qdamp 0.02 to 0.04 Å⁻¹ (in the header), r to 30 to 80 Å, noise that is white in Q, 1
to 4 % of the RMS of G. The header names the elements. The true diameter is that of the sphere of N atomic volumes, of many sizes the mean by volume.

``--large`` adds a sphere of gold of 10 nm (30,883 atoms) to 30, 60 and 100 Å. ``--unknown-qdamp`` leaves Qdamp out of the headers.
Printed: type right and diameter within 5 %; of many sizes mean within 2 % and width within 40 %; widths that were claimed for one size; seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.physics.shape_functions import facet_planes
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.crystal_cut import crystal_sites
from deepstruc_hpc.structures.crystals import Crystal, Prototype, crystal_of_prototype

Array = NDArray[np.float64]
CUBIC = (90.0, 90.0, 90.0)
HEXAGONAL = (90.0, 90.0, 120.0)


def _prototype(
    group: str, lengths: tuple[float, float, float], angles: tuple[float, float, float], *sites: tuple[str, float, float, float]
) -> Prototype:
    return Prototype(group, (*lengths, *angles), tuple(({symbol: 1.0}, (x, y, z)) for symbol, x, y, z in sites))


def _metal(group: str, symbol: str, a: float) -> Prototype:
    return _prototype(group, (a, a, a), CUBIC, (symbol, 0, 0, 0))


def _close_packed(symbol: str, a: float, c: float) -> Prototype:
    return _prototype("P6_3/mmc", (a, a, c), HEXAGONAL, (symbol, 1 / 3, 2 / 3, 0.25))


CRYSTALS: dict[str, tuple[str, Prototype]] = {
    "Au": ("fcc", _metal("Fm-3m", "Au", 4.0782)),
    "CeO2": ("fluorite", _prototype("Fm-3m", (5.411,) * 3, CUBIC, ("Ce", 0, 0, 0), ("O", 0.25, 0.25, 0.25))),
    "Co": ("hcp", _close_packed("Co", 2.5071, 4.0695)),
    "TiO2": ("rutile", _prototype("P4_2/mnm", (4.5937, 4.5937, 2.9587), CUBIC, ("Ti", 0, 0, 0), ("O", 0.3048, 0.3048, 0))),
    "Pt": ("fcc", _metal("Fm-3m", "Pt", 3.9242)),
    "Fe": ("bcc", _metal("Im-3m", "Fe", 2.8665)),
    "ZnO": ("wurtzite", _prototype("P6_3mc", (3.2498, 3.2498, 5.2066), HEXAGONAL, ("Zn", 1 / 3, 2 / 3, 0), ("O", 1 / 3, 2 / 3, 0.3821))),
    "Ni": ("fcc", _metal("Fm-3m", "Ni", 3.5240)),
    "PbS": ("rock_salt", _prototype("Fm-3m", (5.936,) * 3, CUBIC, ("Pb", 0, 0, 0), ("S", 0.5, 0.5, 0.5))),
    "Ru": ("hcp", _close_packed("Ru", 2.7058, 4.2816)),
    "Co3O4": (
        "spinel",
        _prototype("Fd-3m:2", (8.0835,) * 3, CUBIC, ("Co", 0.125, 0.125, 0.125), ("Co", 0.5, 0.5, 0.5), ("O", 0.2642, 0.2642, 0.2642)),
    ),
    "W": ("bcc", _metal("Im-3m", "W", 3.1652)),
    "Pd": ("fcc", _metal("Fm-3m", "Pd", 3.8907)),
    "MgO": ("rock_salt", _prototype("Fm-3m", (4.2117,) * 3, CUBIC, ("Mg", 0, 0, 0), ("O", 0.5, 0.5, 0.5))),
}
POINTS = 13
"""Sizes of a distribution, from −2.5 to 2.5 widths."""


@dataclass(frozen=True)
class Truth:
    """What was simulated: diameter (Å, mean by volume) and width (relative standard deviation) of the particles as they are."""

    file: str
    name: str
    kind: str
    shape: str
    n_atoms: float
    diameter: float
    width: float
    rmax: float
    noise: float


def _cut(crystal: Crystal, diameter: float, shape: str, rng: np.random.Generator) -> tuple[list[str], Array]:
    """Atoms of a sphere, or of a truncated octahedron of its volume, about any point of the cell."""
    reach = 0.5 * diameter * (1.0 if shape == "sphere" else 1.3)
    positions, origin = crystal_sites(crystal, reach, rng.random(3) @ crystal.lattice)
    if shape != "sphere":
        normals, distances = facet_planes(shape)
        inside = (positions @ normals.T <= distances * diameter).all(axis=1)
        positions, origin = positions[inside], origin[inside]
    return [crystal.main_element[int(site)] for site in origin], positions


def _sizes(mean: float, width: float) -> tuple[Array, Array]:
    """Diameters and numbers of particles of a lognormal distribution, by its mean by volume."""
    log_width = np.sqrt(np.log1p(width**2))
    z = np.linspace(-2.5, 2.5, POINTS)
    diameters = np.exp(np.log(mean) - 0.5 * log_width**2 + log_width * z)
    return diameters, np.exp(-0.5 * z**2) / diameters**3


def simulate(name: str, number: int, rng: np.random.Generator, folder: Path, *, unknown_qdamp: bool) -> Truth:
    """Write one curve."""
    kind, prototype = CRYSTALS[name]
    crystal = crystal_of_prototype(prototype, name)
    volume = abs(float(np.linalg.det(crystal.lattice))) / len(crystal.fractions)
    many = number % 3 == 2
    mean = float(np.cbrt(6.0 / np.pi * volume * np.exp(rng.uniform(np.log(1500.0), np.log(15000.0)))))
    width = float(rng.uniform(0.08, 0.25)) if many else 0.0
    mean /= (1.0 + width**2) ** 1.5  # so that the mean number of atoms of a distribution stays in the range, too
    shape = "truncated octahedron" if not many and kind in {"fcc", "bcc"} and number % 2 else "sphere"
    sizes = _sizes(mean, width) if many else (np.array([mean]), np.ones(1))
    conditions = {"qmin": 0.8, "qmax": round(float(rng.uniform(18.0, 26.0)), 2), "qdamp": round(float(rng.uniform(0.02, 0.04)), 4)}
    rmax, noise = float(rng.choice([30.0, 40.0, 50.0, 60.0, 80.0])), float(rng.uniform(0.01, 0.04))
    path = folder / f"{number:03d}.gr"
    return _written(path, (name, kind, shape), sizes, conditions=conditions, data=(rmax, noise), rng=rng, qdamp_given=not unknown_qdamp)


def _written(
    path: Path,
    named: tuple[str, str, str],
    sizes: tuple[Array, Array],
    *,
    conditions: dict[str, float],
    data: tuple[float, float],
    rng: np.random.Generator,
    qdamp_given: bool,
) -> Truth:
    """Write the curve of particles of some diameters and numbers; ``data`` are the end of r and the noise."""
    name, kind, shape = named
    crystal = crystal_of_prototype(CRYSTALS[name][1], name)
    rmax, noise = data
    r = np.arange(0.0, rmax + 1e-9, 0.01)
    zoom, delta2 = float(rng.uniform(0.99, 1.01)), float(rng.uniform(0.5, 2.5))
    volume = zoom**3 * abs(float(np.linalg.det(crystal.lattice))) / len(crystal.fractions)
    g, counts, diameters = np.zeros(len(r)), [], []
    for diameter, amount in zip(*sizes, strict=True):
        symbols, positions = _cut(crystal, float(diameter), shape, rng)
        uiso = np.array([0.008 if symbol in {"O", "S"} else 0.005 for symbol in symbols])
        g += amount * len(symbols) * simulate_pdf(symbols, positions * zoom, r, uiso=uiso, delta2=delta2, **conditions)
        counts.append(amount * len(symbols))
        diameters.append(float(np.cbrt(6.0 / np.pi * len(symbols) * volume)))
    share, found = np.array(counts) / np.sum(counts), np.array(diameters)
    g /= np.sum(counts)
    q = np.linspace(conditions["qmin"], conditions["qmax"], int(rmax * conditions["qmax"]))
    error = rng.normal(size=len(q)) @ np.sin(np.outer(q, r))
    g = g + noise * np.sqrt(np.mean(g[r > 1.5] ** 2)) * error / error.std()
    header = [f"{key} = {value}" for key, value in conditions.items() if qdamp_given or key != "qdamp"]
    lines = ["[DEFAULT]", "mode = xray", *header, f"composition = {name}", "#### start data", "#L r($\\AA$)  G($\\AA^{-2}$)"]
    path.write_text("\n".join([*lines, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n")
    mean = float(share @ found)
    width = float(np.sqrt(max(share @ found**2 - mean**2, 0.0))) / mean
    return Truth(path.name, name, kind, shape, float(np.sum(counts) / np.sum(sizes[1])), mean, width, rmax, noise)


def _large(folder: Path) -> list[Truth]:
    """A sphere of gold of 10 nm to three ends of the data."""
    conditions, sizes, named = {"qmin": 0.8, "qmax": 22.0, "qdamp": 0.03}, (np.array([100.0]), np.ones(1)), ("Au", "fcc", "sphere")
    ends = (30.0, 60.0, 100.0)
    paths = [folder / f"large-{end:.0f}.gr" for end in ends]
    return [
        _written(path, named, sizes, conditions=conditions, data=(end, 0.02), rng=np.random.default_rng(0), qdamp_given=True)
        for path, end in zip(paths, ends, strict=True)
    ]


def _share(right: list[bool]) -> str:
    return f"{sum(right)} of {len(right)}"


def main() -> None:
    """Print a row a curve and the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--unknown-qdamp", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = list(CRYSTALS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        truths = [
            simulate(names[number % len(names)], number, np.random.default_rng([options.seed, number]), folder, unknown_qdamp=options.unknown_qdamp)
            for number in range(options.curves)
        ]
        truths += _large(folder) if options.large else []
        begin = time.perf_counter()
        frame = solve([folder / truth.file for truth in truths], folder / "out", workers=0)
        seconds = time.perf_counter() - begin
        answers = {Path(str(row.file)).name: row for row in frame.itertuples()}
    kinds, sizes, close, widths, claimed, covered = [], [], [], [], [], []
    for truth in truths:
        row = answers[truth.file]
        empty = {name: pd.isna(getattr(row, name)) for name in ("diameter", "diameter_low", "diameter_high", "size_spread")}
        diameter = np.nan if empty["diameter"] else float(row.diameter)
        spread = 0.0 if empty["size_spread"] else float(row.size_spread)
        kinds.append(row.status == "ok" and row.structure_type in {truth.kind, "octahedral" if truth.kind == "fcc" else truth.kind})
        sizes.append(bool(abs(diameter / truth.diameter - 1.0) <= 0.05))
        if truth.width:
            close.append(bool(abs(diameter / truth.diameter - 1.0) <= 0.02))
            widths.append(abs(spread / truth.width - 1.0) <= 0.4)
        else:
            claimed.append(spread > 0)
        if not empty["diameter_high"] and not empty["diameter"]:
            covered.append(float(row.diameter_low) <= truth.diameter <= float(row.diameter_high))
        marks = f"{'' if kinds[-1] else 'TYPE '}{'' if sizes[-1] else 'SIZE '}"
        what = f"{truth.name:6} {truth.shape[:9]:9} {truth.n_atoms:6.0f} atoms D {truth.diameter:5.1f} width {100 * truth.width:3.0f} %"
        data = f"to {truth.rmax:3.0f} Å noise {100 * truth.noise:.1f} %"
        found = f"Rw {row.rw:.3f} D {diameter:6.2f} ({row.diameter_low} to {row.diameter_high}) width {100 * spread:3.0f} %"
        print(f"{what} {data} | {row.status} {row.structure_type} {found} {row.seconds:5.1f} s {row.flags} {marks}", flush=True)
    print(f"type right {_share(kinds)}, diameter within 5 % {_share(sizes)}; truth within the 90 % interval, where it is closed, {_share(covered)}")
    print(f"many sizes: mean within 2 % {_share(close)}, width within 40 % {_share(widths)}; width claimed for one size {_share(claimed)}")
    print(f"{np.median([float(row.seconds) for row in answers.values()]):.1f} s a curve (median), {seconds:.0f} s in all")


if __name__ == "__main__":
    main()
