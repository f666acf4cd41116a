"""Make two example PDFs of compounds in ``examples/compounds``, with the true structures and ``truth.csv`` beside them.

A particle of CeO2 (fluorite) and one of TiO2 (anatase), cut from crystals whose cells differ a little from the tabulated ones. Cations and oxygen
have displacements of their own. Noise and header are those of ``make_example_pdfs.py``; every number is drawn from a fixed seed.

    python examples/make_compound_pdfs.py [--out examples/compounds]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from make_example_pdfs import HEADER, Array, q_weighted_noise

from deepstruc_hpc import Structure, simulate_pdf
from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.structures.crystals import prototype_crystal
from deepstruc_hpc.structures.particle_cut import ParticleCut

STEP = 0.04
"""Å. Coarser than usual to keep the files small, and still a third of π/Qmax."""


@dataclass(frozen=True)
class Compound:
    """One PDF to be made.

    Attributes:
        name: of the file.
        composition: as the header says it.
        crystal: name of a built-in crystal.
        structure_type: of the crystal.
        words: the shape.
        radius, centre, aspect: of the cut, Å.
        stretch: cell over the tabulated one.
        uiso: element → Å².
        qmin, qmax, qdamp: Å⁻¹; delta2: Å²; scale: factor on G; noise: RMS over that of G; rmin, rmax: Å.
    """

    name: str
    composition: str
    crystal: str
    structure_type: str
    words: str
    radius: float
    centre: str
    aspect: float
    stretch: float
    uiso: dict[str, float]
    qmin: float
    qmax: float
    qdamp: float
    delta2: float
    scale: float
    noise: float
    rmin: float
    rmax: float


COMPOUNDS = (
    Compound(
        *("ceria", "CeO2", "CeO2", "fluorite", "sphere about a cerium atom", 12.5, "Ce", 1.0, 1.003),
        *({"Ce": 0.0045, "O": 0.0120}, 0.8, 24.0, 0.035, 2.0, 0.70, 0.05, 0.0, 30.0),
    ),
    Compound(
        *("titania", "TiO2", "TiO2 anatase", "anatase", "ellipsoid about a bond, longer along c", 11.5, "bond", 1.3, 0.998),
        *({"Ti": 0.0060, "O": 0.0090}, 1.0, 23.0, 0.030, 1.8, 0.45, 0.06, 0.0, 32.0),
    ),
)


def build(compound: Compound) -> Structure:
    """The true structure, Å."""
    cut = ParticleCut(prototype_crystal(compound.crystal), compound.radius, compound.centre, compound.aspect, structure_type=compound.structure_type)
    return replace(cut.structure().scaled(compound.stretch), label=f"{compound.composition} {compound.words}").centred()


def clean_pdf(compound: Compound, structure: Structure, r: Array) -> Array:
    """G(r) without noise, Å⁻²."""
    motion = np.array([compound.uiso[symbol] for symbol in structure.symbols])
    instrument = {"qmin": compound.qmin, "qmax": compound.qmax, "qdamp": compound.qdamp}
    return compound.scale * simulate_pdf(structure.symbols, structure.positions, r, uiso=motion, delta2=compound.delta2, **instrument)


def measure(compound: Compound, structure: Structure) -> tuple[Array, Array]:
    """Distances (Å) and a noisy G(r) (Å⁻²) as a measurement would give it."""
    r = np.round(np.arange(compound.rmin, compound.rmax + 0.5 * STEP, STEP), 2)
    clean = clean_pdf(compound, structure, r)
    noise = q_weighted_noise(compound.name, r, compound.qmin, compound.qmax)
    signal = r > 1.5
    return r, clean + noise * compound.noise * np.sqrt((clean[signal] ** 2).mean() / (noise[signal] ** 2).mean())


def write_pdf(folder: Path, compound: Compound, structure: Structure) -> None:
    """Write one measured-like PDF."""
    r, g = measure(compound, structure)
    fields = {key: getattr(compound, key) for key in ("name", "composition", "qmin", "qmax", "rmin", "rmax")}
    head = HEADER.format(**fields, qmaxinst=compound.qmax + 2, rstep=STEP)
    table = "".join(f"{x:g} {y:.4g}\n" for x, y in zip(r, g, strict=True))
    (folder / f"{compound.name}.gr").write_text(head + table, encoding="utf-8")


def main() -> None:
    """Write the PDFs, the true structures and the table of what is true."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "compounds", help="folder for the files")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for compound in COMPOUNDS:
        structure = build(compound)
        write_pdf(out, compound, structure)
        write_xyz(structure, out / f"{compound.name}.xyz")
        rows.append(truth(compound, structure))
        print(f"{compound.name}: {structure.formula}, {compound.structure_type}, {compound.words}")
    pd.DataFrame(rows).to_csv(out / "truth.csv", index=False)


def truth(compound: Compound, structure: Structure) -> dict[str, float | str]:
    """The row of ``truth.csv``; ``diameter`` (Å) is that of the sphere with the particle's volume."""
    crystal = prototype_crystal(compound.crystal)
    volume = ParticleCut(crystal, compound.radius).atomic_volume * compound.stretch**3 * len(structure)
    cell = {name: round(float(length) * compound.stretch, 4) for name, length in zip("abc", np.linalg.norm(crystal.lattice, axis=1), strict=True)}
    return {
        "file": f"{compound.name}.gr",
        "structure_type": compound.structure_type,
        "n_atoms": len(structure),
        "formula": structure.formula,
        "shape": compound.words,
        "diameter": round(float(2.0 * np.cbrt(3.0 * volume / (4.0 * np.pi))), 2),
        **cell,
        **{f"uiso_{symbol}": value for symbol, value in compound.uiso.items()},
        **{key: getattr(compound, key) for key in ("qmin", "qmax", "qdamp", "delta2", "scale", "noise", "rmin", "rmax")},
    }


if __name__ == "__main__":
    main()
