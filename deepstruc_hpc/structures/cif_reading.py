"""One CIF file → the conventional cells of its crystals, in a compact form that can be kept.

What valid programs write and readers stumble over is passed on as notes; a file that cannot be read says why, and is never a stop.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.cell_symmetry import CellSymmetry, cell_symmetry
from deepstruc_hpc.structures.prototype_table import MOST_SITES, net_words
from deepstruc_hpc.structures.prototypes import ANIONS
from deepstruc_hpc.structures.topology import coordination_sequences, neighbours

_SYMMETRY = 0.01
_MOST_NOTE = 200


def read_cif(path: Path) -> dict[str, Any]:
    """The structures of a CIF file in compact form.

    Returns:
        ``crystals``: the conventional cell of each, plain numbers and texts (cell vectors in Å); ``notes``: what had to be assumed; ``failure``: why
        there is none, or empty.
    """
    from pymatgen.io.cif import CifParser

    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            parser = CifParser(str(path), occupancy_tolerance=1.05)
            structures = parser.parse_structures(primitive=False, on_error="ignore")
            rows = [row for row in (_compact(structure) for structure in structures) if row is not None]
            failure = "" if rows else "no crystal structure in it"
        except Exception as broken:  # noqa: BLE001 - whatever a broken file makes the parser raise is a note
            failure = f"not readable as CIF ({type(broken).__name__}: {' '.join(str(broken).split())[:_MOST_NOTE]})"
    notes = [" ".join(str(warning.message).split())[:_MOST_NOTE] for warning in heard if not issubclass(warning.category, DeprecationWarning)]
    return {"crystals": rows, "notes": list(dict.fromkeys(notes)), "failure": failure}


def _compact(structure: Any) -> dict[str, Any] | None:
    """The conventional cell of a structure; None where a site is no element or the symmetry cannot be found."""
    species: list[list[tuple[str, float]]] = []
    for site in structure:
        shares: dict[str, float] = {}
        for kind, amount in site.species.items():
            symbol = getattr(kind, "symbol", None)
            if symbol is None or not getattr(kind, "Z", 0):
                return None
            name = "H" if symbol == "D" else str(symbol)
            shares[name] = shares.get(name, 0.0) + float(amount)
        species.append(sorted(shares.items()))
    words = [json.dumps([(symbol, round(amount, 6)) for symbol, amount in site]) for site in species]
    names = sorted(set(words))
    types = np.array([names.index(word) for word in words], dtype=np.intp)
    found = cell_symmetry(np.array(structure.lattice.matrix), np.array(structure.frac_coords), types, precision=_SYMMETRY)
    again = found and cell_symmetry(found.lattice, found.fractions, found.types, precision=_SYMMETRY)
    if found is None or again is None:
        return None
    return {
        "lattice": found.lattice.tolist(),
        "fractions": found.fractions.tolist(),
        "types": found.types.tolist(),
        "species": [json.loads(name) for name in names],
        "orbits": again.orbits.tolist(),
        "space_group": found.number,
        "rotations": np.unique(again.rotations.reshape(-1, 9), axis=0).tolist(),
        "nets": _nets(found, again.orbits, [{symbol for symbol, _ in json.loads(name)} for name in names]),
    }


def _nets(cell: CellSymmetry, orbits: NDArray[np.intp], elements: list[set[str]]) -> list[str]:
    """The nets of the cations and of the anions; an empty list for a crystal without an anion, or one so large that it has no common name."""
    anion = next((symbol for symbol in ANIONS if symbol in set().union(*elements)), "")
    is_anion = np.array([int(anion in elements[kind]) for kind in cell.types], dtype=np.intp)
    if len(is_anion) > MOST_SITES or len(np.unique(is_anion)) < 2:
        return []
    reach = 1.9 * float(np.cbrt(abs(np.linalg.det(cell.lattice)) / len(is_anion))) + 1.0
    first = np.unique(orbits)
    sequences = coordination_sequences(neighbours(cell.lattice, cell.fractions, reach), is_anion, first)
    return [net_words(sequences[int(site)] for site in first if is_anion[site] == kind) for kind in (0, 1)]
