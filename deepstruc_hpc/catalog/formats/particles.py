"""From atoms of any origin to a finite particle with columns, or a reason why not."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.blocks import smallest_distance
from deepstruc_hpc.catalog.recipe import NN_LIMITS
from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.schema import COLUMN_NAMES
from deepstruc_hpc.structures.fingerprint import fingerprint

EMPTY_LAYER = 6.0
"""Å: a cell that is empty over such a layer holds a particle, else a crystal. No element has nearest neighbours so far apart (caesium 5.3 Å)."""

CENTRED = 1e-4
"""Å: a structure whose centroid lies this near to the origin is left where it is, so that what was exported comes back bit for bit."""

FAMILY = "imported"
_WORDS = ("structure_type", "family", "shape", "label")


@dataclass(frozen=True)
class Particle:
    """A structure with what its source says of it.

    Attributes:
        structure: centred, Å.
        columns: of the schema, and the source's own.
    """

    structure: Structure
    columns: Mapping[str, Any]


def particle(atoms: Any, name: str, *, structure_type: str, max_atoms: int, conditions: PdfConditions) -> Particle:
    """A particle from an ``ase.Atoms``.

    Args:
        atoms: with ``info``.
        name: where it comes from.
        structure_type: of a particle whose ``info`` names none.
        max_atoms: most atoms.
        conditions: of the PDF: their radiation must know all elements.

    Raises:
        StructureError: a crystal, no element, atoms on top of each other, too many atoms, a length that is none in Å.
    """
    positions = finite_positions(np.asarray(atoms.positions, dtype=np.float64), np.asarray(atoms.cell.complete()), atoms.pbc & atoms.cell.any(axis=1))
    if not 1 <= len(positions) <= max_atoms:
        raise StructureError(f"{len(positions)} atoms; from 1 to {max_atoms} are taken (--max-atoms)")
    centre = positions.mean(axis=0)
    if np.abs(centre).max() > CENTRED:
        positions = positions - centre
    info = _plain({**(atoms.calc.results if atoms.calc is not None else {}), **atoms.info})
    words = {key: str(info[key]) for key in _WORDS if isinstance(info.get(key), str) and info[key].strip()}
    structure = Structure(tuple(atoms.symbols), positions, words.get("structure_type", structure_type), words.get("label", name))
    _check_elements(structure, conditions)
    nearest = smallest_distance(structure)
    if not (len(structure) == 1 or NN_LIMITS[0] <= nearest <= NN_LIMITS[1]):
        raise StructureError(f"the nearest two atoms are {nearest:.4g} Å apart, which is no distance of atoms; lengths are in Å here")
    own = {(f"source_{key}" if key == "id" else key): value for key, value in info.items() if key == "id" or key not in COLUMN_NAMES}
    return Particle(structure, {**_facts(structure, name, nearest, words), **own, "source": name})


def finite_positions(positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 3) Å of one whole particle: along each periodic direction the cell is cut where it is empty.

    Raises:
        StructureError: the atoms fill the cell, or a position is no number.
    """
    if not np.isfinite(positions).all():
        raise StructureError("a position is no finite number")
    axes = [axis for axis in range(3) if periodic[axis]]
    if not axes:
        return positions
    reciprocal = np.linalg.inv(cell)
    fractions = positions @ reciprocal
    for axis in axes:
        spacing = 1.0 / float(np.linalg.norm(reciprocal[:, axis]))
        inside = fractions[:, axis] % 1.0
        order = np.sort(inside)
        gaps = np.diff(np.append(order, order[0] + 1.0))
        widest = int(np.argmax(gaps))
        if gaps[widest] * spacing < EMPTY_LAYER:
            raise StructureError(
                f"periodic, with an empty layer of {gaps[widest] * spacing:.1f} Å at most along axis {axis + 1}: a crystal, not a particle in a box "
                f"({EMPTY_LAYER:g} Å are needed). Cut particles from it with a recipe (family crystal_cut)"
            )
        first = order[(widest + 1) % len(order)]
        fractions[:, axis] = np.where(inside < first - 1e-12, inside + 1.0, inside)
    return np.asarray(fractions @ cell, dtype=np.float64)


def _check_elements(structure: Structure, conditions: PdfConditions) -> None:
    from deepstruc_hpc.physics.form_factors import scattering_factors

    try:
        factors = scattering_factors(structure.elements, np.array([1.0]), conditions.radiation)
    except Exception as unknown:
        raise StructureError(f"no scattering factors for {', '.join(structure.elements)} ({' '.join(str(unknown).split())})") from unknown
    if not np.isfinite(factors).all():
        raise StructureError(f"no scattering factors of {conditions.radiation} for one of {', '.join(structure.elements)}")


def _facts(structure: Structure, name: str, nearest: float, words: Mapping[str, str]) -> dict[str, Any]:
    content = blake2b(f"{name} {' '.join(structure.symbols)}".encode(), digest_size=8)
    content.update(np.ascontiguousarray(structure.positions, dtype=np.float32).tobytes())
    elements = structure.elements
    return {
        "id": content.hexdigest(),
        "structure_type": structure.structure_type,
        "family": words.get("family", FAMILY),
        "shape": words.get("shape", name),
        "label": structure.label,
        "formula": structure.formula,
        "elements": "-".join(elements),
        "n_atoms": structure.n_atoms,
        "nn_distance": nearest,
        "diameter": 2.0 * float(np.sqrt((structure.positions**2).sum(axis=1).max())),
        "fingerprint": fingerprint(structure, scale_free=len(elements) == 1),
    }


def _plain(info: Mapping[Any, Any]) -> dict[str, Any]:
    """Numbers, truth values and texts of ``info``, under names that an expression can use."""
    kept: dict[str, Any] = {}
    for key, value in info.items():
        name = re.sub(r"\W", "_", str(key), flags=re.ASCII)
        name = f"_{name}" if name[:1].isdigit() else name
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, numbers.Real):
            kept[name] = float(plain)
        elif isinstance(plain, str) and plain:
            kept[name] = plain
    return kept


def columns_of(particles: Sequence[Particle]) -> dict[str, NDArray[Any]]:
    """One array a column over all particles: numbers as float64, NaN where one has none; text where any of them is text."""
    names = dict.fromkeys(name for one in particles for name in one.columns)
    return {name: _column(name, [one.columns.get(name) for one in particles]) for name in [*COLUMN_NAMES, *sorted(set(names) - set(COLUMN_NAMES))]}


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    if name == "n_atoms":
        return np.array(values, dtype=np.int32)
    if any(isinstance(value, str) for value in values):
        array = np.empty(len(values), dtype=object)
        array[:] = ["" if value is None else str(value) for value in values]
        return array
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
