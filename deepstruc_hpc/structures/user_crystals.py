"""A user's CIF files as candidate crystals, read once and remembered.

What valid programs write and readers stumble over is passed on as notes; a file that cannot be read is a note too, never a stop. The index lies in
the cache folder under a hash of the folder's path; a file counts as known while its size and time stay. It is written as it grows, so that reading
a large folder can be interrupted and goes on.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.cell_symmetry import CellSymmetry, cell_symmetry
from deepstruc_hpc.core.errors import OutputError, StructureError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.structures.crystals import Crystal
from deepstruc_hpc.structures.plausibility import CLOSEST, DENSEST
from deepstruc_hpc.structures.prototype_table import MOST_SITES, net_words, prototype_table
from deepstruc_hpc.structures.prototypes import ANIONS, CrystalCandidate, formula_of, group_of_nets
from deepstruc_hpc.structures.topology import coordination_sequences, neighbours

REVISION = 2
_WRITE_EVERY = 50
_SYMMETRY = 0.01
_MOST_NOTE = 200


def crystal_files(place: Path) -> list[Path]:
    """A CIF file, or all of a folder and of those below it, in the order of their paths.

    Raises:
        StructureError: no such folder, or no CIF file in it.
    """
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.suffix.lower() == ".cif" and path.is_file())
    if not files:
        missing = "no .cif files in this folder" if place.is_dir() else "no such folder or file"
        raise StructureError(f"{place}: {missing}. Give a folder of CIF files.")
    return files


def user_crystals(folder: str | Path, *, notes: list[str] | None = None) -> list[CrystalCandidate]:
    """The crystals of all CIF files of a folder (and below).

    Args:
        folder: where they are; one file is fine too.
        notes: gets a sentence for every file that could not be read.

    Returns:
        One candidate a structure, in the order of the paths; its notes say what the reader had to assume.

    Raises:
        StructureError: no such folder, or no CIF file in it.
    """
    place = Path(folder)
    files = crystal_files(place)
    key = blake2b(str(place.resolve()).encode(), digest_size=8).hexdigest()
    index_file = cache_dir() / f"user-crystals-{REVISION}-{key}.json"
    index = _read_index(index_file)
    fresh = 0
    for path in files:
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns]
        if index.get(str(path), {}).get("mark") != mark:
            index[str(path)] = {"mark": mark, **_read_cif(path)}
            fresh += 1
            if fresh % _WRITE_EVERY == 0:
                _write_index(index_file, index)
    if fresh:
        _write_index(index_file, index)
    found: list[CrystalCandidate] = []
    for path in files:
        entry = index[str(path)]
        if notes is not None and entry["failure"]:
            notes.append(f"{path.name}: {entry['failure']}")
        found += [_candidate(row, path, tuple(entry["notes"])) for row in entry["crystals"]]
    return found


def _read_index(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write_index(path: Path, index: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(index))


def _read_cif(path: Path) -> dict[str, Any]:
    """The structures of a file in compact form, with notes, or why there is none."""
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
    said = [" ".join(str(warning.message).split())[:_MOST_NOTE] for warning in heard if not issubclass(warning.category, DeprecationWarning)]
    return {"crystals": rows, "notes": list(dict.fromkeys(said)), "failure": failure}


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


def _candidate(row: dict[str, Any], path: Path, notes: tuple[str, ...]) -> CrystalCandidate:
    lattice = np.array(row["lattice"])
    kinds = np.array(row["types"], dtype=np.intp)
    sites = [tuple((str(symbol), float(amount)) for symbol, amount in site) for site in row["species"]]
    change = np.linalg.inv(lattice)
    rotations = np.array(row["rotations"], dtype=np.float64).reshape(-1, 3, 3)
    operations = np.array([(change @ rotation.T @ lattice).T for rotation in rotations])
    crystal = Crystal(path.stem, lattice, np.array(row["fractions"]), tuple(sites[kind] for kind in kinds), operations)
    elements = prototype_table().elements
    radii = np.array([sum(amount * elements[symbol].covalent for symbol, amount in site) / sum(a for _, a in site) for site in sites])
    name = path.stem.lower().replace(" ", "_")
    return CrystalCandidate(
        crystal,
        name,
        (group_of_nets(*row["nets"]) if row["nets"] else "") or name,
        formula_of(crystal.composition),
        str(path),
        int(row["space_group"]),
        np.array(row["orbits"], dtype=np.intp),
        kinds,
        0.5 * CLOSEST * np.add.outer(radii, radii),
        DENSEST * abs(float(np.linalg.det(lattice))),
        next((symbol for symbol in ANIONS if symbol in crystal.composition), "") if len(crystal.composition) > 1 else "",
        notes,
    )
