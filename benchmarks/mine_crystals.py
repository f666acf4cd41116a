"""Crystals found from the elements alone: simulated particles, whose truth is known, and measured files, which are reported and never tuned on.

Simulated are spheres of the built-in crystals, and spheres of many other types with their cell, ratio of axes, positions, centre and size drawn at
random. All are explicit atoms with the Debye sum and 3 % of white noise.

Usage: python benchmarks/mine_crystals.py [--measured FOLDER] [--only simulated|varied|measured] [NAME …]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.physics.crystal_fit import margin, mine_crystals
from deepstruc_hpc.physics.crystal_motions import cell_basis, shift_basis
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import PROTOTYPES, Crystal, prototype_crystal
from deepstruc_hpc.structures.prototypes import CrystalCandidate, candidate_crystals

MEASURED = {
    "ceo2_2nm.gr": ("Ce,O", "xray", 18.0, None),
    "ceo2_noisy.gr": ("Ce,O", "xray", 18.0, None),
    "ceo2_ligand.gr": ("Ce,O", "xray", 24.0, None),
    "iro2_3nm.gr": ("Ir,O", "xray", 21.0, None),
    "iro2_rods_9nm.gr": ("Ir,O", "xray", 21.0, None),
    "irox_no_header.gr": ("Ir,O", "xray", 25.0, None),
    "tio2_bronze_ligand.gr": ("Ti,O", "xray", 22.0, 0.04),
    "tio2_film_difference.gr": ("Ti,O", "xray", 20.0, None),
    "au_10nm.gr": ("Au", "xray", 28.0, None),
    "ptru_electrode_3nm.gr": ("Pt,Ru", "xray", 24.0, 0.0452),
    "si_nanosphere.gr": ("Si", "xray", 25.0, None),
    "ni_spheroid_simulated.cgr": ("Ni", "xray", 25.0, None),
    "ni3fe_ycalc_first.fgr": ("Ni,Fe", "xray", 25.0, None),
    "spinel_high_entropy_bulk.gr": ("Cu,Ni,Cr,Mn,Fe,O", "xray", 25.0, None),
    "pt_bulk_pdfgetx2.gr": ("Pt", "xray", 25.0, None),
    "mno_bulk_neutron.gr": ("Mn,O", "neutron", 25.0, None),
    "tb3ni@10K_neutron.gr": ("Tb,Ni", "neutron", 25.0, None),
    "boehmite.gr": ("Al,O,H", "xray", 24.0, None),
    "nife_oxide_film.gr": ("Ni,Fe,O", "xray", 20.0, None),
    "ni_on_alumina_series/frame_0001.gr": ("Ni,O", "xray", 24.7, None),
    "ni_on_alumina_series/frame_0041.gr": ("Ni,O", "xray", 24.7, None),
}
"""File → elements, radiation, Qmax where the header has none (Å⁻¹), Qdamp where it is published (Å⁻¹)."""
SIMULATED = {
    "CeO2": 10.0, "TiO2 rutile": 12.0, "TiO2 anatase": 12.0, "TiO2 brookite": 14.0, "ZrO2 monoclinic": 13.0, "ZnO": 12.0,
    "Fe3O4": 13.0, "gamma-Fe2O3": 13.0, "NiO": 11.0, "MgO": 11.0, "CdSe zincblende": 13.0, "CdSe wurtzite": 14.0,
}  # fmt: skip
"""Built-in crystal → radius of the sphere, Å."""
NOISE = 0.03
USUAL_QDAMP = 0.04


def simulated(names: Sequence[str]) -> Iterator[tuple[str, PdfCurve, Instrument, str, float]]:
    """Spheres of built-in crystals with white noise."""
    r = np.arange(0.0, 40.0, 0.01)
    for name, radius in SIMULATED.items():
        if names and name not in names:
            continue
        instrument = Instrument(qmin=0.7, qmax=22.0, qdamp=0.03)
        structure = cut_crystal(prototype_crystal(name), radius=radius, centre="cell", seed=1, surface="as_cut")
        g = simulate_pdf(structure.symbols, structure.positions, r, uiso=0.008, delta2=2.0, **instrument.model_dump())
        noise = np.random.default_rng(1).normal(size=len(r)) * NOISE * np.abs(g).max()
        elements = ",".join(sorted({symbol for site in PROTOTYPES[name].sites for symbol in site[0]}))
        yield f"{name} {2 * radius:g}", PdfCurve(r, g + noise, source=name), instrument, elements, 30.0


VARIED = (
    *("Sr,Ti,O perovskite", "Al,O corundum", "Ti,O bronze_titania", "Fe,S pyrite", "Fe,Pt l1_0", "Pt,Ru fcc", "Cu,O cuprite", "Cu,O tenorite"),
    *("In,O bixbyite", "Zr,O tetragonal_zirconia", "Mo,S molybdenite", "Cd,S zincblende", "Pb,S rock_salt", "Co,O spinel", "Co hcp", "Fe bcc"),
    *("Si diamond", "Mn,O hollandite", "Mn,O rutile neutron", "La,O lanthanum_oxide", "Ti,N rock_salt", "W,C tungsten_carbide", "Ni,P c22"),
    *("V,O corundum", "Sn,O rutile", "W,O monoclinic_tungsten_trioxide", "Ga,N wurtzite", "Cs,Pb,Br perovskite", "Fe,O,H goethite"),
    *("Ce,Zr,O fluorite", "Ni,Fe,Co,Mn,O spinel", "Bi,Te tetradymite", "Ti,C rock_salt", "Au,Cu l1_2"),
)
"""Elements, type, and the radiation where it is not X-rays."""


def varied(names: Sequence[str]) -> Iterator[tuple[str, PdfCurve, Instrument, str, float]]:
    """Spheres of 18 to 30 Å of crystals whose lengths differ by up to 6 % from those predicted, with sites shifted by 0.04 Å."""
    r = np.arange(0.5, 35.0, 0.01)
    for number, words in enumerate(VARIED):
        if names and words not in names:
            continue
        rng = np.random.default_rng([5, number])
        elements, prototype, *rest = words.split()
        instrument = Instrument(radiation="neutron" if rest else "xray", qmin=0.8, qmax=22.0, qdamp=0.03)
        same = [candidate for candidate in candidate_crystals(elements.split(",")) if candidate.prototype == prototype]
        chosen = max(same, key=lambda candidate: len(candidate.crystal.composition))
        crystal, diameter = _changed(chosen, rng), float(rng.uniform(18.0, 30.0))
        structure = cut_crystal(crystal, radius=diameter / 2, centre=str(rng.choice(["origin", "cell", "bond"])), seed=number, surface="as_cut")
        g = simulate_pdf(structure.symbols, structure.positions, r, uiso=0.008, delta2=1.5, **instrument.model_dump())
        noise = rng.normal(size=len(r)) * NOISE * np.abs(g).max()
        yield f"{chosen.formula} {prototype} {diameter:.1f}", PdfCurve(r, g + noise, source=words), instrument, elements, 30.0


def _changed(candidate: CrystalCandidate, rng: np.random.Generator) -> Crystal:
    crystal = candidate.crystal
    basis = cell_basis(candidate.space_group)
    shifts = shift_basis(crystal.lattice, crystal.fractions, candidate.kinds, np.ones(len(crystal.fractions)))
    stretch = np.exp(0.06 * rng.uniform(-1, 1) + 0.015 * rng.normal(size=len(basis)) @ basis)
    moved = crystal.fractions + np.tensordot(0.04 * rng.normal(size=len(shifts)), shifts, axes=1)
    return replace(crystal, lattice=crystal.lattice * stretch[:, None], fractions=np.mod(moved, 1.0))


def measured(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, PdfCurve, Instrument, str, float]]:
    """The measured files that are there."""
    for name, (elements, radiation, qmax, qdamp) in MEASURED.items():
        if not (folder / name).is_file() or (names and name not in names):
            continue
        curve = read_pdf(folder / name)
        values = {"qmin": min(curve.value("qmin") or 0.8, 1.0), "qmax": min(curve.value("qmax") or qmax, 30.0)}
        instrument = Instrument(radiation="neutron" if radiation == "neutron" else "xray", qdamp=qdamp or USUAL_QDAMP, **values)
        yield name, curve, instrument, elements, 30.0


def row(name: str, curve: PdfCurve, instrument: Instrument, elements: str, rmax: float) -> str:
    """One line of the table."""
    begin = time.perf_counter()
    candidates = candidate_crystals(elements.split(","))
    try:
        fits = mine_crystals(curve, instrument, candidates, rmin=1.6, rmax=min(rmax, float(curve.r[-1])))
    except DeepstrucError as refused:
        return f"{name:34} {refused}"
    seconds = time.perf_counter() - begin
    first, (lead, other) = fits[0], margin(fits)
    size = f"{first.diameter:.1f}" if first.diameter else f"≥{first.at_least:.0f}"
    cell = "/".join(f"{length:.3f}" for length in dict.fromkeys(round(x, 3) for x in first.cell))
    second = f"{other.candidate.crystal.name} {other.rw:.3f}" if other else "–"
    words = f"{first.candidate.formula} {first.candidate.words}"
    return f"{name:34} {words:58} {first.rw:.3f}  {cell:22} D {size:6} {second:44} {lead:+.3f} {len(candidates):4} {seconds:5.1f} s"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--measured", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "measured")
    parser.add_argument("--only", choices=["simulated", "varied", "measured"])
    options = parser.parse_args()
    candidate_crystals(["Ti", "O"])  # the table of prototypes is made before the clock runs
    sources = {"simulated": simulated(options.names), "varied": varied(options.names), "measured": measured(options.measured, options.names)}
    cases = [case for kind, source in sources.items() if options.only in {None, kind} for case in source]
    for case in cases:
        print(row(*case), flush=True)


if __name__ == "__main__":
    main()
