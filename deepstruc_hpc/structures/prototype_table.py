"""The table of crystal types: AFLOW's prototypes as pymatgen carries them, and our additions, as compact arrays.

pymatgen takes seconds to import and to parse its list, and the symmetry of every type costs more. So the table is made once and kept in the cache
folder under a name with the version of pymatgen and of this module.

Source: Mehl et al., Comput. Mater. Sci. 136 (2017) S1; Hicks et al., Comput. Mater. Sci. 161 (2019) S1.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.cell_symmetry import cell_symmetry
from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.resources import cache_dir
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.structures.element_facts import ElementFacts, element_facts
from deepstruc_hpc.structures.prototype_additions import ADDITIONS
from deepstruc_hpc.structures.prototype_names import OWN_GROUP, common_name, well_known
from deepstruc_hpc.structures.topology import coordination_sequences, neighbours, shell_table

Float = NDArray[np.float64]
REVISION = 16
"""Of what the table holds; a cached one of another revision is made anew."""
MOST_SITES = 120
"""Sites of a primitive cell; larger prototypes (boron, Hittorf's phosphorus, tridymite) are left out: with so many free lengths they fit anything."""
_SYMMETRY = 1e-3
_ANIONS = ("F", "O", "Cl", "N", "Br", "I", "S", "Se", "C", "As", "Te", "P", "H", "Sb", "B", "Si", "Ge")


@dataclass(frozen=True, eq=False)
class Pattern:
    """A crystal type with its sites sorted into kinds; which elements they are is left open.

    Attributes:
        name: common name in lower case.
        label: AFLOW's, or ``own``.
        group: name of the type of highest symmetry with the same net of bonds between unlike kinds.
        frame: the same for all sites alike (the lattice of an alloy).
        lattice: (3, 3) Å, the conventional cell.
        fractions: (M, 3).
        kinds: (M,) numbers 0 … K−1.
        occupancy: (M,).
        orbits: (M,) number of the first equivalent site.
        space_group: number.
        rotations: (G, 3, 3) point operations in fractions.
        contact: (K, K) shortest distances, Å.
        bond: (K, K) mean bond lengths from kind to kind, Å.
        neighbours: (K, K) mean numbers of these bonds.
        anion: kind that is the anion in the crystal that named the type, −1 where there is none.
        nets: for each kind the sorted coordination sequences of its sites.
        protons: hydrogen atoms an anion that are not among the sites.
        merged: whether kinds of the prototype were put together.
    """

    name: str
    label: str
    group: str
    frame: str
    lattice: Float
    fractions: Float
    kinds: NDArray[np.intp]
    occupancy: Float
    orbits: NDArray[np.intp]
    space_group: int
    rotations: NDArray[np.intp]
    contact: Float
    bond: Float
    neighbours: Float
    anion: int
    nets: tuple[str, ...]
    protons: float = 0.0
    merged: bool = False

    @property
    def n_kinds(self) -> int:
        """K."""
        return len(self.nets)

    @property
    def counts(self) -> Float64[Float, " kinds"]:
        """(K,) atoms of each kind in the cell, occupancies counted."""
        return np.asarray(np.bincount(self.kinds, weights=self.occupancy, minlength=self.n_kinds), dtype=np.float64)

    @property
    def volume(self) -> float:
        """Å³ of the cell as tabulated."""
        return abs(float(np.linalg.det(self.lattice)))


@dataclass(frozen=True, eq=False)
class PrototypeTable:
    """All patterns, the simplest first, and facts on the elements."""

    patterns: tuple[Pattern, ...]
    elements: dict[str, ElementFacts]


@lru_cache(maxsize=1)
def prototype_table() -> PrototypeTable:
    """The table, from the cache folder where it was made before."""
    place = cache_dir() / f"prototypes-{REVISION}-pymatgen-{version('pymatgen')}.json"
    try:
        document = json.loads(place.read_text())
        if document["revision"] == REVISION:
            return _from_document(document)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    document = {"revision": REVISION, "patterns": _grouped(list(_patterns())), "elements": element_facts()}
    _write(place, document)
    return _from_document(document)


def _write(place: Path, document: dict[str, Any]) -> None:
    """Put the file in its place whole, or not at all; without a writable folder the table is made anew each time."""
    with contextlib.suppress(OSError, OutputError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, json.dumps(document))


def _from_document(document: dict[str, Any]) -> PrototypeTable:
    patterns = []
    for row in document["patterns"]:
        fields: dict[str, Any] = {name: row[name] for name in ("name", "label", "group", "frame", "space_group", "anion", "protons", "merged")}
        fields |= {name: np.array(row[name], dtype=np.intp) for name in ("kinds", "orbits", "rotations")}
        fields |= {name: np.array(row[name], dtype=np.float64) for name in ("lattice", "fractions", "occupancy", "neighbours", "contact", "bond")}
        fields |= {name: np.where(np.isnan(fields[name]), np.inf, fields[name]) for name in ("contact", "bond")}
        patterns.append(Pattern(**fields, nets=tuple(row["nets"])))
    elements = {
        symbol: ElementFacts(tuple(charges), {int(charge): radius for charge, radius in ionic.items()}, covalent, volume)
        for symbol, (charges, ionic, covalent, volume) in document["elements"].items()
    }
    return PrototypeTable(tuple(patterns), elements)


@dataclass(frozen=True, eq=False)
class _Source:
    """A prototype as it is written down: cell, positions, symbols and occupancies of all sites."""

    name: str
    label: str
    lattice: Float
    fractions: Float
    symbols: list[str]
    occupancy: Float
    protons: float = 0.0


def _sources() -> Iterator[_Source]:
    from pymatgen.core import Lattice, Structure

    own = {addition.name for addition in ADDITIONS}
    for entry in _aflow_entries():
        tags = {name: str(value) if value and str(value) != "None" else "" for name, value in entry["tags"].items()}
        sites = entry["snl"]["sites"]
        name = common_name(tags["aflow"], tags["strukturbericht"], tags["mineral"])
        if len(sites) <= MOST_SITES and name not in own:
            symbols = [str(site["species"][0]["element"]) for site in sites]
            shares = np.array([sum(float(part["occu"]) for part in site["species"]) for site in sites])
            places = np.array([site["abc"] for site in sites], dtype=np.float64)
            yield _Source(name, tags["aflow"], np.array(entry["snl"]["lattice"]["matrix"], dtype=np.float64), places, symbols, shares)
    for addition in ADDITIONS:
        cell = addition.prototype
        kinds, places_of = [dict(site[0]) for site in cell.sites], [list(site[1]) for site in cell.sites]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = Structure.from_spacegroup(cell.space_group, Lattice.from_parameters(*cell.cell), kinds, places_of)
        symbols = [max(site.species, key=lambda kind: site.species[kind]).symbol for site in structure]
        shares = np.array([float(sum(site.species.values())) for site in structure])
        yield _Source(addition.name, "own", np.array(structure.lattice.matrix), np.array(structure.frac_coords), symbols, shares, addition.protons)


def _aflow_entries() -> list[dict[str, Any]]:
    """The list of pymatgen as plain data.

    Its own reader parses every reference, which takes ten times as long; it serves where the file is not found.
    """
    spec = find_spec("pymatgen.analysis")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in (Path(place) / "prototypes" / "aflow_prototypes.json.gz", Path(place) / "aflow_prototypes.json"):
            if path.is_file():
                text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
                return list(json.loads(text))
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY

    return [{"tags": entry["tags"], "snl": entry["snl"].structure.as_dict()} for entry in AFLOW_PROTOTYPE_LIBRARY]


def _patterns() -> Iterator[dict[str, Any]]:
    for source in _sources():
        present = set(source.symbols)
        order = sorted(present, key=lambda symbol: (_ANIONS.index(symbol) if symbol in _ANIONS else -1, symbol))
        strongest = min((symbol for symbol in order if symbol in _ANIONS), key=_ANIONS.index, default="") if len(order) > 1 else ""
        for number, sorting in enumerate(_sortings(order, strongest) if source.label == "own" else _all_sortings(len(order))):
            kinds = np.array([sorting[order.index(symbol)] for symbol in source.symbols])
            anion = sorting[order.index(strongest)] if strongest else -1
            row = _described(source.lattice, source.fractions, kinds, source.occupancy)
            if row is not None:
                about = {"name": source.name, "label": source.label, "anion": int(anion), "protons": source.protons, "merged": number > 0}
                yield {**about, **row}


def _all_sortings(n: int) -> list[tuple[int, ...]]:
    """All kinds apart, then every way to make two kinds of more than two."""
    apart = tuple(range(n))
    return [apart] + [split for split in product((0, 1), repeat=n) if n > 2 and split[0] == 0 and len(set(split)) == 2]


def _sortings(order: list[str], anion: str) -> list[tuple[int, ...]]:
    """All kinds apart; metals as one kind where there are several and no other non-metal."""
    apart = tuple(range(len(order)))
    metals = [symbol for symbol in order if symbol not in _ANIONS[:13]]
    return [apart, tuple(int(symbol == anion) for symbol in order)] if len(metals) + 1 == len(order) > 2 else [apart]


def _described(lattice: Float, fractions: Float, kinds: NDArray[np.intp], occupancy: Float) -> dict[str, Any] | None:
    """The conventional cell with its symmetry, contacts, bonds and nets; None where the symmetry cannot be found."""
    types, numbers = np.unique(np.column_stack([kinds, np.round(occupancy, 6)]), axis=0, return_inverse=True)
    found = cell_symmetry(lattice, fractions, numbers.ravel(), precision=_SYMMETRY)
    again = found and cell_symmetry(found.lattice, found.fractions, found.types, precision=_SYMMETRY)
    if found is None or again is None:
        return None
    cell, places, orbits = found.lattice, found.fractions, again.orbits
    kind, share = types[found.types, 0].astype(np.intp), types[found.types, 1]
    first = np.unique(orbits)
    n_kinds = int(kind.max()) + 1
    reach = 1.9 * float(np.cbrt(abs(np.linalg.det(cell)) / len(places))) + 1.0
    around = neighbours(cell, places, reach)
    contact, bond, number = shell_table(around, kind, first, n_kinds)
    nets = coordination_sequences(around, kind, first)
    frame = coordination_sequences(around, np.zeros_like(kind), first)
    rotations = np.unique(again.rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    return {
        "lattice": np.round(cell, 6).tolist(),
        "fractions": places.tolist(),
        "kinds": kind.tolist(),
        "occupancy": share.tolist(),
        "orbits": orbits.tolist(),
        "space_group": found.number,
        "rotations": rotations.tolist(),
        "contact": [[float(x) if np.isfinite(x) else None for x in row] for row in np.round(contact, 5)],
        "bond": [[float(x) if np.isfinite(x) else None for x in row] for row in np.round(bond, 5)],
        "neighbours": np.round(number, 3).tolist(),
        "nets": [net_words(nets[int(i)] for i in first if kind[i] == k) for k in range(n_kinds)],
        "frame": net_words(frame[int(i)] for i in first),
    }


def net_words(sequences: Iterable[tuple[int, ...]]) -> str:
    """The different coordination sequences of some sites, sorted, as one word each."""
    return " ".join(sorted({"-".join(map(str, sequence)) for sequence in sequences}))


def _grouped(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, the simplest first, each with the name of the simplest known one that has the same net; the same crystal only once."""
    rows.sort(key=lambda row: (len(set(row["orbits"])), -row["space_group"], row["merged"], len(row["kinds"])))
    rows = _without_repeats(rows)
    nets: dict[tuple[str, ...], str] = {}
    frames: dict[str, str] = {}
    for known in (True, False):
        for row in rows:
            if well_known(row["name"]) is known and row["name"] not in OWN_GROUP:
                nets.setdefault(tuple(sorted(row["nets"])), row["name"])
    for unary in (True, False):
        for row in rows:
            if (len(row["nets"]) == 1) is unary and not row["merged"]:
                frames.setdefault(row["frame"], row["name"])
    for row in rows:
        known = nets.get(tuple(sorted(row["nets"])), row["name"])
        row["group"] = known if row["merged"] else OWN_GROUP.get(row["name"], known)
        row["frame"] = OWN_GROUP.get(row["name"], frames.get(row["frame"], row["name"]))
    return rows


def _without_repeats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    seen: dict[tuple[Any, ...], list[Float]] = {}
    for row in rows:
        filled = tuple(sorted(np.round(np.bincount(row["orbits"], weights=row["occupancy"]), 2)))
        key = (row["space_group"], filled, tuple(sorted(row["nets"])), row["label"] == "own")
        lengths = np.sort([np.linalg.norm(edge) for edge in row["lattice"]])
        contact = np.sort([x or 99.0 for x in np.ravel(row["contact"])])
        shape = np.concatenate([lengths, contact]) / lengths[0]
        if any(len(shape) == len(other) and np.abs(shape / other - 1.0).max() < 0.003 for other in seen.get(key, [])):
            continue
        seen.setdefault(key, []).append(shape)
        kept.append(row)
    return kept
