"""Structures to and from XYZ and CIF files.

XYZ is written in the extended form: any program reads it as plain XYZ, ASE and OVITO find structure type and label in the comment. A cluster has no
cell, so its CIF is a P1 box with a vacuum of :data:`VACUUM` on every side; positions are kept up to the shift that centres the cluster in the box.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.structure import Structure

VACUUM = 10.0
"""Å between the outermost atoms and the faces of the box in a CIF."""
_KEY = re.compile(r'(\w+)=(?:"([^"]*)"|(\S+))')


def write_xyz(structure: Structure, path: str | Path, comment: str = "") -> None:
    """Write extended XYZ, positions in Å with 6 decimals.

    Args:
        structure: what to write.
        path: the file; replaced where it exists.
        comment: what else the second line should say; line breaks and double quotes become blanks and single quotes.

    Raises:
        OutputError: the file cannot be written.
    """
    fields = ["Properties=species:S:1:pos:R:3", 'pbc="F F F"', f'structure_type="{_one_line(structure.structure_type)}"']
    if structure.label:
        fields.append(f'label="{_one_line(structure.label)}"')
    if comment:
        fields.append(f'comment="{_one_line(comment)}"')
    rows = [f"{s:<2s} {x:14.6f} {y:14.6f} {z:14.6f}" for s, (x, y, z) in zip(structure.symbols, structure.positions, strict=True)]
    _write(path, "\n".join([str(structure.n_atoms), " ".join(fields), *rows]) + "\n")


def write_cif(structure: Structure, path: str | Path) -> None:
    """Write a CIF with the cluster centred in a cubic P1 box.

    Raises:
        OutputError: the file cannot be written.
    """
    low, high = structure.positions.min(axis=0), structure.positions.max(axis=0)
    edge = math.ceil(float((high - low).max()) + 2 * VACUUM)
    fractional = (structure.positions - 0.5 * (low + high)) / edge + 0.5
    name = re.sub(r"\W+", "_", structure.label or structure.formula).strip("_") or "cluster"
    head = [
        f"data_{name}",
        f"_chemical_formula_sum '{' '.join(re.findall(r'[A-Z][a-z]?[0-9]*', structure.formula))}'",
        f"_chemical_name_common '{_one_line(structure.structure_type)} cluster of {structure.n_atoms} atoms'",
        *(f"_cell_length_{axis} {edge:.4f}" for axis in "abc"),
        *(f"_cell_angle_{angle} 90.0000" for angle in ("alpha", "beta", "gamma")),
        f"_cell_volume {edge**3:.4f}",
        "_space_group_name_H-M_alt 'P 1'",
        "_space_group_IT_number 1",
        "loop_",
        "_space_group_symop_operation_xyz",
        "'x, y, z'",
        "loop_",
        *(f"_atom_site_{field}" for field in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")),
    ]
    rows = [f"{s}{i} {s} {x:.8f} {y:.8f} {z:.8f} 1" for i, (s, (x, y, z)) in enumerate(zip(structure.symbols, fractional, strict=True), start=1)]
    _write(path, "\n".join([*head, *rows]) + "\n")


def read_structure(path: str | Path) -> Structure:
    """Read an XYZ file (plain or extended, the first frame) or a CIF (the content of one cell, Cartesian).

    Raises:
        StructureError: the file is missing, of another kind, or broken; the message names the line where there is one.
    """
    where = Path(path)
    ending = where.suffix.lower()
    if ending not in {".xyz", ".cif"}:
        raise StructureError(f"{where}: the ending '{ending}' is not known. Structures are read from .xyz and .cif files.")
    try:
        text = where.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError as missing:
        raise StructureError(f"{where}: no such file. Check the path.") from missing
    except OSError as unreadable:
        raise StructureError(f"{where}: cannot be read ({unreadable}).") from unreadable
    return _parse_xyz(where, text) if ending == ".xyz" else _parse_cif(where, text)


def _parse_xyz(path: Path, text: str) -> Structure:
    lines = text.splitlines()
    try:
        count = int(lines[0])
    except (IndexError, ValueError) as wrong:
        raise StructureError(f"{path}:1: found '{lines[0][:40] if lines else ''}', but an XYZ file starts with its number of atoms.") from wrong
    if count < 1 or len(lines) < count + 2:
        raise StructureError(
            f"{path}: its first line announces {count} atoms, but {max(0, len(lines) - 2)} lines of atoms follow. Is the file whole?"
        )
    symbols: list[str] = []
    positions = np.empty((count, 3))
    for i, line in enumerate(lines[2 : count + 2]):
        words = line.split()
        try:
            positions[i] = [float(word) for word in words[1:4]]
        except ValueError as wrong:
            raise StructureError(f"{path}:{i + 3}: found '{line[:60]}', but a symbol and three coordinates in Å are needed.") from wrong
        if not re.fullmatch(r"[A-Z][a-z]?", words[0]):
            raise StructureError(f"{path}:{i + 3}: '{words[0]}' is not an element symbol.")
        symbols.append(words[0])
    known = {key: quoted or plain for key, quoted, plain in _KEY.findall(lines[1])}
    return Structure(tuple(symbols), positions, known.get("structure_type", "unknown"), known.get("label", path.stem))


def read_cell(path: str | Path) -> tuple[Structure, NDArray[np.float64]]:
    """The content of one cell of a CIF and the cell's vectors, (3, 3) Å.

    Raises:
        StructureError: the file is missing or broken.
    """
    where = Path(path)
    try:
        text = where.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as unreadable:
        raise StructureError(f"{where}: cannot be read ({unreadable}).") from unreadable
    return _parse_cell(where, text)


def _parse_cif(path: Path, text: str) -> Structure:
    return _parse_cell(path, text)[0]


def _parse_cell(path: Path, text: str) -> tuple[Structure, NDArray[np.float64]]:
    from pymatgen.io.cif import CifParser  # slow to import, and only CIF needs it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters in them comes back as an error below
            cell = CifParser.from_str(text, frac_tolerance=0.0).parse_structures(primitive=False)[0]
    except (ValueError, IndexError, KeyError, AttributeError, TypeError, AssertionError) as broken:
        raise StructureError(f"{path}: not a CIF with one ordered structure ({' '.join(str(broken).split())[:200]}).") from broken
    if not cell.is_ordered:
        raise StructureError(f"{path}: some sites are partly occupied. Give an ordered structure, or a crystal as a recipe of the catalog.")
    positions: NDArray[np.float64] = np.asarray(cell.cart_coords, dtype=np.float64)
    structure = Structure(tuple(site.specie.symbol for site in cell), positions, "unknown", path.stem)
    return structure, np.asarray(cell.lattice.matrix, dtype=np.float64)


def _one_line(text: str) -> str:
    return " ".join(text.replace('"', "'").split())


def _write(path: str | Path, text: str) -> None:
    write_atomically(path, text, remedy="Choose another --out, or make room there.")
