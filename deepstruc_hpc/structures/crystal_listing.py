"""Tables and CIF files of candidate crystals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import OutputError, StructureError
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.prototypes import CrystalCandidate

_FORMULA = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")


def amounts_of(formula: str) -> dict[str, float]:
    """Elements and numbers of a formula without brackets: ``IrO2``, ``Cu0.5Fe2.5O4``.

    Raises:
        StructureError: it is none.
    """
    parts = _FORMULA.findall(formula.replace(" ", ""))
    if not parts or "".join(symbol + number for symbol, number in parts) != formula.replace(" ", ""):
        raise StructureError(f"formula {formula!r}: element symbols with numbers are needed, such as IrO2 or Cu0.5Fe2.5O4 (no brackets).")
    amounts: dict[str, float] = {}
    for symbol, number in parts:
        amounts[symbol] = amounts.get(symbol, 0.0) + (float(number) if number else 1.0)
    return amounts


def crystal_row(candidate: CrystalCandidate) -> dict[str, Any]:
    """What a table says of a candidate: lengths in Å, angles in degrees, volume in Å³ for each atom."""
    crystal = candidate.crystal
    a, b, c = candidate.cell
    return {
        "formula": candidate.formula,
        "prototype": candidate.prototype,
        "group": candidate.group,
        "space_group": candidate.space_group,
        "a": round(a, 4),
        "b": round(b, 4),
        "c": round(c, 4),
        "angles": [round(angle, 2) for angle in angles_of(crystal)],
        "sites": len(crystal.fractions),
        "different_sites": len(np.unique(candidate.orbits)),
        "volume_per_atom": round(abs(float(np.linalg.det(crystal.lattice))) / sum(crystal.composition.values()), 2),
        "origin": candidate.origin,
        "notes": list(candidate.notes),
    }


def angles_of(crystal: Crystal) -> tuple[float, float, float]:
    """α, β, γ of a cell, degrees."""
    a, b, c = (row / np.linalg.norm(row) for row in crystal.lattice)
    alpha, beta, gamma = (float(np.degrees(np.arccos(np.clip(u @ v, -1.0, 1.0)))) for u, v in ((b, c), (a, c), (a, b)))
    return alpha, beta, gamma


def crystal_cif(crystal: Crystal, title: str) -> str:
    """A CIF of a crystal with all sites of the cell written out (P 1); occupancies kept.

    Args:
        crystal: what to write.
        title: name of the data block; what a block name cannot hold becomes an underscore.
    """
    lengths, angles = np.linalg.norm(crystal.lattice, axis=1), angles_of(crystal)
    lines = [f"data_{re.sub(r'[^A-Za-z0-9_.+-]', '_', title)}"]
    lines += [f"_cell_length_{name} {value:.6f}" for name, value in zip("abc", lengths, strict=True)]
    lines += [f"_cell_angle_{name} {value:.4f}" for name, value in zip(("alpha", "beta", "gamma"), angles, strict=True)]
    lines += ["_symmetry_space_group_name_H-M 'P 1'", "_symmetry_Int_Tables_number 1", "loop_", " _symmetry_equiv_pos_as_xyz", " 'x, y, z'"]
    lines += ["loop_", *(f" _atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy"))]
    for number, (place, site) in enumerate(zip(crystal.fractions, crystal.species, strict=True)):
        x, y, z = place
        lines += [f" {symbol}{number} {symbol} {x:.6f} {y:.6f} {z:.6f} {amount:.6g}" for symbol, amount in site]
    return "\n".join(lines) + "\n"


def export_cifs(candidates: Sequence[CrystalCandidate], folder: Path) -> list[Path]:
    """Write each candidate as a CIF file; equal names get numbers.

    Raises:
        OutputError: the folder cannot be written to.
    """
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for candidate in candidates:
            stem = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{candidate.formula}_{candidate.prototype}")
            twins = sum(path.stem == stem or path.stem.startswith(f"{stem}-") for path in written)
            path = folder / f"{stem}{f'-{twins + 1}' if twins else ''}.cif"
            path.write_text(crystal_cif(candidate.crystal, path.stem))
            written.append(path)
    except OSError as failed:
        raise OutputError(f"{folder}: CIF files cannot be written ({failed.strerror}). Choose another --export folder.") from failed
    return written
