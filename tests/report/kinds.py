"""A directory with the kinds of answers that solve gives: a compound, a bulk crystal, a refused file that was fitted, and one that failed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.structure_files import write_xyz
from deepstruc_hpc.solve.run.output import SUMMARY_COLUMNS, ItemRecord
from tests.report.synthetic import sphere

REASON = "no crystal of these elements explains the curve: the best, W5O14 bronze, fits poorly (Rw 0.62) and is 9 Å across"
NOTE = "what lies below Q = 1.2 Å⁻¹ is taken out of data and model: Qmin 0.1 Å⁻¹ (header)"
TAKEN = "taken for a compound, CeO2 (header Ce O2)"
PATHS = "/data/2026 may"


def records() -> list[ItemRecord]:
    """One row of each kind."""
    ceria = ItemRecord(
        file=f"{PATHS}/ceria.gr", folder="ceria", status="ok", message="within fluorite, diameters from 24 to 26 Å fit equally well",
        structure_type="fluorite", n_atoms=633, rw=0.0501, probability=0.97, formula="CeO2", phase="CeO2 fluorite",
        diameter=25.25, diameter_low=23.94, diameter_high=25.61,
        flags="largest_tried", conditions={"rmin": 2.0, "sample": {"kind": "compound", "taken_for": TAKEN}}, details={"notes": [NOTE, NOTE]},
    )  # fmt: skip
    bulk = ItemRecord(
        file=f"{PATHS}/pt.gr", folder="pt", status="ok", message="a bulk crystal: coherent over more than 50 Å", structure_type="fcc", rw=0.113,
        probability=1.0, formula="Pt", phase="fcc", diameter_low=50.0, flags="bulk;lower_bound",
    )  # fmt: skip
    refused = ItemRecord(file=f"{PATHS}/w.gr", folder="w", status="refused", message=REASON, rw=0.62, n_candidates=12)
    failed = ItemRecord(file=f"{PATHS}/bad.dat", folder="bad", message=f"{PATHS}/bad.dat:24: r goes back from 1.927 to 1.9255 Å.")
    return [failed, ceria, bulk, refused]


def summary_frame() -> pd.DataFrame:
    """The frame that a run returns: NaN and NA where nothing is known."""
    rows = [{name: getattr(row, name) for name in [*SUMMARY_COLUMNS, "folder"]} for row in records()]
    numbers = ("rw", "probability", "diameter", "diameter_low", "diameter_high", "size_spread")
    return pd.DataFrame(rows).astype({"n_atoms": "Int64", **dict.fromkeys(numbers, float)})


def write_kinds(out: Path) -> Path:
    """Fill a directory and return it. The bulk crystal is all candidates of one file, and some of another."""
    out.mkdir(exist_ok=True)
    summary_frame().to_csv(out / "summary.csv", index=False)
    items = [{**vars(row)} for row in records()]
    (out / "summary.json").write_text(json.dumps({"schema": 1, "run": {"settings": {"samples": 0}}, "items": items}))
    _write(out / "ceria", "fluorite", [633, None, 581], [_crystal(633), sphere(459, "Ce", "cubic"), _crystal(5000)])
    _phases().to_csv(out / "ceria" / "phases.csv", index=False)
    d = np.geomspace(6.0, 60.0, 12)
    share = np.exp(-0.5 * (np.log(d / 25.0) / 0.2) ** 2)
    pd.DataFrame({"diameter": d, "share_by_volume": share / share.sum(), "share_err": 0.01}).to_csv(out / "ceria" / "sizes.csv", index=False)
    _write(out / "pt", "fcc", [None, None], [sphere(459, "Pt"), sphere(300, "Pt")])
    _write(out / "w", "rutile", [91, 93], [sphere(91, "W", "rutile"), sphere(93, "W", "rutile")])
    return out


def _phases() -> pd.DataFrame:
    cell = {"a": 5.41, "b": 5.41, "c": 5.41, "a_err": 0.002, "b_err": 0.002, "c_err": 0.002}
    main = {"formula": "CeO2", "structure_type": "fluorite", "role": "main", "weight_fraction": 0.62, "weight_fraction_err": 0.02, **cell}
    rest = {**main, "formula": "Al2O3", "structure_type": "spinel", "role": "support", "weight_fraction": 0.38}
    return pd.DataFrame([{**main, "diameter": 25.25, "diameter_err": 0.8, "diameter_low": 23.0, "rw_of_rest": 0.31},
                         {**rest, "diameter": None, "diameter_err": None, "diameter_low": 45.339, "rw_of_rest": 0.42}])  # fmt: skip


def _crystal(n_atoms: int) -> Structure:
    grid = np.array([(i, j, k) for i in range(-10, 11) for j in range(-10, 11) for k in range(-10, 11)]) * 2.3
    order = np.argsort((grid**2).sum(axis=1), kind="stable")[:n_atoms]
    symbols = tuple("Ce" if sum(divmod(int(i), 21)) % 3 == 0 else "O" for i in order)
    return Structure(symbols, grid[order].astype(float), "fluorite", "CeO2 fluorite")


def _write(folder: Path, kind: str, atoms: list[int | None], structures: list[Structure]) -> None:
    folder.mkdir(exist_ok=True)
    r = np.arange(2.0, 30.0, 0.02)
    g = np.exp(-((r / 14) ** 2)) * np.sin(2.7 * r)
    pd.DataFrame({"r": r, "g_obs": g, "g_calc": 0.9 * g, "difference": 0.1 * g}).to_csv(folder / "fit.csv", index=False)
    rows = []
    for place, (count, structure) in enumerate(zip(atoms, structures, strict=True), 1):
        name = f"rank-{place:03d}.xyz"
        write_xyz(structure, folder / name)
        known = {"source": "crystals", "structure_type": kind, "formula": structure.formula, "scale": 0.9, "zoom": 1.0, "uiso": 0.006}
        rows.append({"rank": place, "n_atoms": count, "rw": 0.1 * place, "probability": 0.9 / place, **known, "file": name})
    pd.DataFrame(rows).to_csv(folder / "candidates.csv", index=False)
    pd.DataFrame({"structure_type": [kind, "random alloy on fcc"], "probability": [0.9, 0.1], "best_rw": [0.1, 0.3]}).to_csv(
        folder / "types.csv", index=False
    )
    points = pd.DataFrame({"kind": "catalog", "z1": [1.0, 2.0], "z2": [0.0, 1.0], "structure_type": "fcc", "rw": np.nan})
    points.to_csv(folder / "latent.csv", index=False)
