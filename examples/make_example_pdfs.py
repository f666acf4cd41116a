"""Make the example PDFs in ``examples/pdfs`` and the truth beside them in ``examples/truth``.

Every structure is one that the catalogs ``compact``, ``demo`` and ``monometallic`` do not hold: spherical and off-centre cuts, clusters that lack a
few of their outermost atoms, a twin. Each PDF has its own range of Q, damping, thermal motion, scale and noise; the noise is white in the detector's
counts, so it grows with Q in F(Q) and passes through the same Fourier transform as the signal. The header is that of PDFgetX3 and, like a real one,
says nothing about Qdamp.

    python examples/make_example_pdfs.py [--out examples]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc import Structure, simulate_pdf
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.structures.close_packed import stacked_sites
from deepstruc_hpc.structures.cubic import facetted_sites, lattice_sites
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.multiply_twinned import decahedron_sites, icosahedron_sites
from deepstruc_hpc.structures.octahedral import octahedron_sites
from deepstruc_hpc.structures.sites import to_structure

SEED = 20230069
STEP = 0.01
Array = NDArray[np.float64]
HOLE, QUARTER = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

HEADER = """[DEFAULT]

version = pdfgetx3-2.1.2

# input and output specifications
dataformat = QA
inputfile = {name}.chi
backgroundfile = capillary.chi
outputtype = gr

# PDF calculation setup
mode = xray
composition = {composition}
bgscale = 1
rpoly = 0.9
qmaxinst = {qmaxinst:.1f}
qmin = {qmin:.2f}
qmax = {qmax:.1f}
rmin = {rmin:g}
rmax = {rmax:g}
rstep = {rstep:g}

# End of config --------------------------------------------------------------

#### start data
#S 1
#L r($\\AA$)  G($\\AA^{{-2}}$)
"""


@dataclass(frozen=True)
class Example:
    """One PDF to be made.

    Attributes:
        name: of the file; it tells the metal and nothing of the shape.
        symbol, structure_type, words: what it is.
        sites: in units of the nearest-neighbour distance.
        stretch: nearest-neighbour distance over that of the bulk metal.
        qmin, qmax, qdamp: Å⁻¹; uiso, delta2: Å²; scale: factor on G; noise: RMS over that of G; rmin, rmax: Å.
    """

    name: str
    symbol: str
    structure_type: str
    words: str
    sites: Callable[[], Array]
    stretch: float
    qmin: float
    qmax: float
    qdamp: float
    uiso: float
    delta2: float
    scale: float
    noise: float
    rmin: float
    rmax: float


def sphere(sites: Array, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Array:
    """The sites within a radius of a centre."""
    kept: Array = sites[((sites - np.array(centre)) ** 2).sum(axis=1) <= radius**2]
    return kept


def without_outermost(sites: Array, count: int) -> Array:
    """The sites without the ``count`` that lie farthest from the origin: corners, tips, vertices."""
    kept: Array = sites[np.sort(np.argsort((sites**2).sum(axis=1), kind="stable")[: len(sites) - count])]
    return kept


def rounded_cube() -> Array:
    """A bcc cube about the middle of a face of the cell, with (111) facets."""
    return facetted_sites("bcc", {(1, 0, 0): 2.3, (1, 1, 1): 2.9}, (0.5, 0.5, 0.0))


def hexagonal(layers: int) -> Array:
    """A large hcp crystal of some layers."""
    return stacked_sites(("AB" * layers)[:layers], 6.0)


# Each: name, symbol, type, words, sites; then stretch, qmin, qmax, qdamp, uiso, delta2, scale, noise, rmin, rmax.
EXAMPLES = (
    Example("sample-01-Au", "Au", "fcc", "sphere about the octahedral hole", lambda: lattice_sites("fcc", 3.0, HOLE),
            0.990, 0.8, 25.0, 0.035, 0.0070, 2.4, 0.80, 0.06, 0, 30),
    Example("sample-02-Pt", "Pt", "fcc", "sphere about the tetrahedral hole less four atoms",
            lambda: without_outermost(lattice_sites("fcc", 2.6, QUARTER), 4),
            0.993, 1.0, 22.0, 0.040, 0.0060, 2.0, 0.55, 0.05, 0, 25),
    Example("sample-03-Pd", "Pd", "octahedral", "octahedron of edge 6 without its corners, three atoms less",
            lambda: without_outermost(octahedron_sites(6, 1), 3),
            1.000, 0.7, 26.0, 0.030, 0.0055, 2.2, 1.10, 0.05, 0, 30),
    Example("sample-04-Ni", "Ni", "octahedral", "octahedron of edge 7 less four corners", lambda: without_outermost(octahedron_sites(7), 4),
            0.995, 1.1, 24.0, 0.045, 0.0050, 1.8, 0.35, 0.07, 0, 25),
    Example("sample-05-Au", "Au", "decahedral", "Marks decahedron less three atoms", lambda: without_outermost(decahedron_sites(2, 3, 2), 3),
            0.985, 0.8, 28.0, 0.030, 0.0080, 2.6, 0.90, 0.05, 0, 30),
    Example("sample-06-Cu", "Cu", "decahedral", "off-centre cut of a decahedron", lambda: sphere(decahedron_sites(5, 4, 0), 2.4, (0.35, 0.2, 0.0)),
            0.995, 1.2, 23.0, 0.040, 0.0065, 2.1, 0.60, 0.06, 0, 22),
    Example("sample-07-Ag", "Ag", "icosahedral", "icosahedron of 147 less seven vertices", lambda: without_outermost(icosahedron_sites(4), 7),
            0.975, 0.9, 24.0, 0.035, 0.0075, 2.5, 0.75, 0.06, 0, 28),
    Example("sample-08-Au", "Au", "icosahedral", "icosahedron of five shells less six vertices", lambda: without_outermost(icosahedron_sites(5), 6),
            0.970, 0.7, 26.0, 0.025, 0.0080, 2.3, 1.20, 0.05, 0, 30),
    Example("sample-09-Co", "Co", "hcp", "sphere about an atom", lambda: sphere(hexagonal(9), 2.7),
            0.998, 1.0, 25.0, 0.040, 0.0060, 2.0, 0.45, 0.07, 0, 25),
    Example("sample-10-Ru", "Ru", "hcp", "off-centre sphere", lambda: sphere(hexagonal(8), 2.45, (0.35, 0.2, 0.1)),
            1.002, 0.9, 21.5, 0.030, 0.0045, 1.9, 0.95, 0.06, 2, 25),
    Example("sample-11-Fe", "Fe", "bcc", "sphere about the bond", lambda: lattice_sites("bcc", 2.75, QUARTER),
            1.000, 1.1, 24.0, 0.035, 0.0060, 2.0, 0.50, 0.07, 0, 25),
    Example("sample-12-Fe", "Fe", "bcc", "cube with rounded corners about a face", rounded_cube,
            1.004, 0.8, 27.0, 0.040, 0.0055, 2.2, 0.70, 0.06, 0, 28),
    Example("sample-13-Rh", "Rh", "sc", "sphere about the cube's middle less four atoms",
            lambda: without_outermost(lattice_sites("sc", 3.0, HOLE), 4),
            1.000, 0.7, 25.0, 0.030, 0.0060, 1.5, 0.85, 0.06, 0, 25),
    Example("sample-14-Ir", "Ir", "sc", "off-centre sphere", lambda: lattice_sites("sc", 2.9, (0.3, 0.2, 0.1)),
            1.005, 1.0, 22.0, 0.045, 0.0050, 1.7, 1.00, 0.05, 1.5, 20),
    Example("sample-15-Au", "Au", "stacking_fault", "sphere of a twin, ABCACBA", lambda: sphere(stacked_sites("ABCACBA", 5.0), 2.75),
            0.992, 0.9, 25.0, 0.035, 0.0070, 2.3, 0.65, 0.05, 0, 30),
)  # fmt: skip


def build(example: Example) -> Structure:
    """The true structure, Å."""
    distance = nn_distance(example.symbol, "twelve") * example.stretch
    structure = to_structure(example.sites(), example.symbol, distance, example.structure_type, f"{example.symbol} {example.words}")
    return structure.centred()


def measure(example: Example, structure: Structure) -> tuple[Array, Array]:
    """Distances (Å) and a noisy G(r) (Å⁻²) as a measurement would give it."""
    r = np.round(np.arange(example.rmin, example.rmax + 0.5 * STEP, STEP), 2)
    clean = simulate_pdf(
        structure.symbols, structure.positions, r, qmin=example.qmin, qmax=example.qmax, qdamp=example.qdamp, uiso=example.uiso, delta2=example.delta2
    )
    noise = q_weighted_noise(example.name, r, example.qmin, example.qmax)
    signal = r > 2.0
    noise *= example.noise * np.sqrt((clean[signal] ** 2).mean() / (noise[signal] ** 2).mean())
    return r, example.scale * (clean + noise)


def q_weighted_noise(name: str, r: Array, qmin: float, qmax: float) -> Array:
    """The Fourier transform of noise that is Q times white noise, on a grid of Q of the spacing π/100 Å; the name is its seed."""
    q = np.arange(qmin, qmax, np.pi / 100.0)
    values = q * item_rng(SEED, name).normal(size=len(q))
    return np.asarray(np.sin(np.outer(r, q)) @ values)


def write_pdf(folder: Path, example: Example, structure: Structure) -> None:
    """Write one measured-like PDF."""
    r, g = measure(example, structure)
    fields = {key: getattr(example, key) for key in ("name", "qmin", "qmax", "rmin", "rmax")}
    head = HEADER.format(**fields, composition=example.symbol, qmaxinst=example.qmax + 2, rstep=STEP)
    table = "".join(f"{x:g} {y:.6g}\n" for x, y in zip(r, g, strict=True))
    (folder / f"{example.name}.gr").write_text(head + table, encoding="utf-8")


def write_series(folder: Path, count: int) -> None:
    """Write so many PDFs of the examples in turn, each with a name and noise of its own: a large directory for timing."""
    folder.mkdir(parents=True, exist_ok=True)
    structures = [build(example) for example in EXAMPLES]
    for number in range(count):
        place = number % len(EXAMPLES)
        example = replace(EXAMPLES[place], name=f"{EXAMPLES[place].name}-{number:04d}")
        write_pdf(folder, example, structures[place])


def main() -> None:
    """Write the PDFs, the true structures and the table of what is true."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="holds the folders pdfs and truth")
    out = parser.parse_args().out
    (out / "pdfs").mkdir(parents=True, exist_ok=True)
    (out / "truth").mkdir(parents=True, exist_ok=True)
    rows = []
    for example in EXAMPLES:
        structure = build(example)
        write_pdf(out / "pdfs", example, structure)
        write_xyz(structure, out / "truth" / f"{example.name}.xyz")
        rows.append(_truth(example, structure))
        print(f"{example.name}: {structure.formula} {example.structure_type}, {example.words}")
    pd.DataFrame(rows).to_csv(out / "truth" / "truth.csv", index=False)


def _truth(example: Example, structure: Structure) -> dict[str, float | str]:
    numbers = ("qmin", "qmax", "qdamp", "uiso", "delta2", "scale", "noise", "rmin", "rmax")
    return {
        "file": f"{example.name}.gr",
        "structure_type": example.structure_type,
        "n_atoms": structure.n_atoms,
        "formula": structure.formula,
        "shape": example.words,
        "nn_distance": round(nn_distance(example.symbol, "twelve") * example.stretch, 4),
        **{key: getattr(example, key) for key in numbers},
    }


if __name__ == "__main__":
    main()
