"""Alloy particles of explicit atoms, simulated with noise and solved from the file alone: with their composition, and with ``--elements`` alone.

    python benchmarks/solve_alloys.py [--particles 2] [--seed 1] [--out alloys] [--only Cu-Au,Pt-Cu] [--modes ab]

The systems of the recipe ``alloys`` and five that no recipe lists: Pt–Cu, Fe–Rh (strong contrast; fcc, bcc), Rh–Pd (none), Ru–Co (hcp), Au–Ag–Cu.
Superellipsoids and rough polyhedra of 15 to 30 Å about any point, turned in any way (``solve_unseen``), so in no list; elements at random, ordered
(L1_0, L1_2, B2), core and shell, one side each (along any direction), segregated to the sites with the fewest neighbours; a lattice within 1 %
of Vegard's; one U; 5 % of noise. All sources, no catalog of alloys. (a) the header holds the composition; (b) it does not, elements are given.

Judged are the lattice; the share of each element, right within 0.15 (and within 15 % of itself) or said to be open; the ordering, right, or said to
be open (the phase says so, or names the true one beside another), or wrong with confidence.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from solve_unseen import FEWEST_BONDS, body, is_faulted

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.composition import parse_composition
from deepstruc_hpc.core.errors import CompositionError, StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.coordination import coordination_numbers
from deepstruc_hpc.structures.decoration import vegard_distance
from deepstruc_hpc.structures.lattices import lattice_of, metal_atomic_volume
from deepstruc_hpc.structures.ordering import ORDERED, ORDERED_FRACTION, ordered_sites, variants_of
from deepstruc_hpc.structures.template_lattices import template_lattice

CONDITIONS = {"qmin": 0.8, "qmax": 23.0, "qdamp": 0.03}
NOISE = 0.05
FCC = ("fcc", "fcc", "decahedral", "icosahedral", "stacking_fault")
OF_FCC = ("random", "L1_2", "core-shell", "janus", "L1_0", "segregated")
SYSTEMS: Mapping[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys((("Cu", "Au"), ("Pt", "Ni"), ("Pt", "Co"), ("Ag", "Au"), ("Pd", "Au"), ("Fe", "Pt")), (FCC, OF_FCC)),
    **dict.fromkeys((("Fe", "Co"), ("Ni", "Al")), (("bcc",), ("B2", "random", "core-shell", "janus", "segregated"))),
    ("Ni", "Pd"): (("stacking_fault", "fcc", "hcp"), OF_FCC),
    ("Pt", "Cu"): (FCC, OF_FCC),
    ("Rh", "Pd"): (FCC, OF_FCC),
    ("Ru", "Co"): (("hcp",), ("random", "core-shell", "janus", "segregated")),
    ("Fe", "Rh"): (("bcc",), ("B2", "core-shell", "random", "janus")),
    ("Au", "Ag", "Cu"): (("fcc", "icosahedral"), ("random", "core-shell", "janus")),
}
LISTED = 9
"""The systems after these are in no recipe."""
OF_CRYSTALS = {
    "l1_0": ("L1_0", "fcc"),
    "l1_2": ("L1_2", "fcc"),
    "b2": ("B2", "bcc"),
    "cscl": ("B2", "bcc"),
    "d0_22": ("", "fcc"),
    "d0_19": ("", "hcp"),
}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What was simulated."""

    name: str
    structure: Structure
    shares: Mapping[str, float]
    ordering: str
    lattice: str
    diameter: float


@dataclass
class Answer:
    """What the program says of it: an empty ordering is one that is said to be open."""

    lattice: str
    shares: Mapping[str, float] | None
    ordering: str
    rivals: tuple[str, ...]
    row: Any = field(default=None)


def shape(kind: str, unit: float, diameter: float, rng: np.random.Generator) -> Structure:
    """Sites of a convex or rough body on a lattice, in nearest-neighbour distances."""
    volume = metal_atomic_volume(lattice_of(kind), unit)
    if volume is None:
        raise ValueError(kind)
    wanted = round(np.pi / 6.0 * diameter**3 / volume)
    while True:
        template = template_lattice(_template(kind, rng), 1.6 * diameter / (2.0 * unit))
        sites = np.asarray(template.sites)
        kept = np.argsort(body(kind, rng)(sites * 6.5 / template.radius), kind="stable")[:wanted]
        loose = coordination_numbers(sites[kept]) < FEWEST_BONDS.get(kind, 3)
        kept = kept[~loose]
        inside = np.linalg.norm(sites[kept], axis=1).max() < template.radius - 0.3
        if len(kept) >= 0.9 * wanted and inside and (kind != "stacking_fault" or is_faulted(sites[kept], np.asarray(template.layer)[kept])):
            return Structure.of_element("Au", sites[kept], kind, kind)


def _template(kind: str, rng: np.random.Generator) -> str:
    if kind == "stacking_fault":
        return f"close-packed {rng.choice(['ABCABACB', 'ABCACBAC', 'ABCBACBA', 'ABCABCBA'])}"
    return {"icosahedral": "icosahedral", "decahedral": str(rng.choice(["decahedral atom", "decahedral bond"]))}.get(kind, f"{kind} atom")


def symbols_of(sites: Structure, elements: tuple[str, ...], ordering: str, shares: Array, rng: np.random.Generator) -> list[str]:
    """An element for each site: in the order of a property of the sites that the ordering means, the first element outermost."""
    x = sites.positions - sites.positions.mean(axis=0)
    count = len(x)
    if ordering in ORDERED:
        variant = int(rng.choice(variants_of(ordering, sites.structure_type)))
        second = ordered_sites(sites.positions, sites.structure_type, ordering, variant)
        return [elements[int(one)] for one in second]
    direction = rng.normal(size=3)
    key = {
        "random": rng.random(count),
        "core-shell": -np.linalg.norm(x, axis=1) + 0.1 * rng.normal(size=count),
        "janus": x @ direction / np.linalg.norm(direction),
        "segregated": coordination_numbers(sites.positions) + 0.5 * rng.random(count),
    }[ordering]
    ends = np.round(np.cumsum(shares) * count).astype(int)
    return [elements[int(np.searchsorted(ends, place, side="right"))] for place in np.argsort(np.argsort(key))]


def particles(count: int, seed: int, only: tuple[str, ...]) -> list[Truth]:
    """So many of each system; orderings and lattices take turns."""
    made = []
    for number, (system, (kinds, orderings)) in enumerate(SYSTEMS.items()):
        for turn in range(count):
            rng = np.random.default_rng([seed, number, turn])
            place = number + turn + seed * count
            ordering = orderings[place % len(orderings)]
            kind = kinds[int(rng.integers(len(kinds)))]
            if ordering in ORDERED and not variants_of(ordering, kind):
                kind = kinds[0] if ordering != "L1_0" else "fcc"
            elements = tuple(str(one) for one in rng.permutation(system))
            shares = rng.dirichlet(np.full(len(system), 6.0))
            if ordering in ORDERED:
                shares = np.array([1.0 - ORDERED_FRACTION[ordering], ORDERED_FRACTION[ordering]])
            elif shares.min() < 0.15:
                shares = np.full(len(system), 1.0 / len(system))
            diameter = float(rng.uniform(15.0, 30.0))
            unit = vegard_distance(dict(zip(elements, shares, strict=True)), "twelve")
            sites = shape(kind, unit, diameter, rng)
            symbols = symbols_of(sites, elements, ordering, shares, rng)
            known = {symbol: symbols.count(symbol) / len(symbols) for symbol in elements}
            length = vegard_distance(known, "twelve") * float(rng.uniform(0.99, 1.01))
            structure = Structure(tuple(symbols), sites.positions * length, kind, kind)
            volume = metal_atomic_volume(lattice_of(kind), length) or np.nan
            across = float(2.0 * np.cbrt(3.0 * len(symbols) * volume / (4.0 * np.pi)))
            if not only or "-".join(system) in only:
                made.append(Truth("-".join(system), structure, known, ordering, lattice_of(kind), across))
    return made


def write(truth: Truth, path: Path, rng: np.random.Generator, *, named: bool) -> None:
    """A G(r) file with a header as PDFgetX3 writes it; the composition to two digits, or none."""
    r = np.arange(0.0, 40.0 if truth.diameter > 26 else 30.0, 0.02)
    g = 0.7 * simulate_pdf(truth.structure.symbols, truth.structure.positions, r, uiso=0.005, delta2=1.5, **CONDITIONS)
    g += NOISE * np.sqrt(np.mean(g[(r > 2.0) & (r < truth.diameter)] ** 2)) * rng.normal(size=len(r))
    head = ["[DEFAULT]", "version = pdfgetx3-2.1.2", "mode = xray"]
    head += [f"composition = {' '.join(f'{symbol}{share:.2f}' for symbol, share in truth.shares.items())}"] if named else []
    head += [f"qmin = {CONDITIONS['qmin']}", f"qmax = {CONDITIONS['qmax']}", "#### start data", "#L r($\\AA$)  G($\\AA^{-2}$)"]
    path.write_text("\n".join([*head, *(f"{a:.3f} {b:.6f}" for a, b in zip(r, g, strict=True))]) + "\n", encoding="utf-8")


def answer(row: Any, folder: Path, elements: tuple[str, ...]) -> Answer:
    """What a row of the summary and its folder say."""
    if row.status != "ok":  # no answer is none that is right
        return Answer("", None, "refused", (), row)
    kind, phase = str(row.structure_type), str(row.phase)
    ordering, lattice = OF_CRYSTALS.get(kind, ("", ""))
    if kind.endswith(" alloy"):
        ordering, lattice = kind.removesuffix(" alloy"), phase.split(",")[0].split()[-1]
    elif not lattice:
        lattice = lattice_of(kind)
        ordering = "random" if " " in phase else ""
    message = str(row.message)
    rivals: tuple[str, ...] = ()
    if "ordering open" in phase:
        ordering = ""
    elif ordering and "cannot tell" in message:
        types = pd.read_csv(folder / "types.csv")
        near = types[(types["probability"] >= 0.1) & types["lattice"].eq(types["lattice"].iloc[0])]["structure_type"]
        rivals = tuple(name.split(" alloy")[0] if " alloy on " in name else "mean atoms" for name in near) if len(near) > 1 else ()
    details = json.loads((folder / "result.json").read_text(encoding="utf-8"))["details"].get("composition")
    if details is not None:
        return Answer(lattice, None if details["open"] else details["shares"], ordering, rivals, row)
    try:
        amounts = dict(parse_composition(str(row.formula)).amounts)
    except (CompositionError, StructureError):
        amounts = {}
    shares = {symbol: amounts.get(symbol, 0.0) / sum(amounts.values()) for symbol in elements} if amounts and "-" not in str(row.formula) else None
    return Answer(lattice, shares, ordering, rivals, row)


def judged(truth: Truth, found: Answer) -> dict[str, bool]:
    """Each thing that may be right."""
    lattice = found.lattice == truth.lattice
    near = relative = named = found.shares is not None
    if found.shares is not None:
        away = {symbol: abs(found.shares.get(symbol, 0.0) - share) for symbol, share in truth.shares.items()}
        near = max(away.values()) <= 0.15
        relative = all(away[symbol] <= 0.15 * share for symbol, share in truth.shares.items())
    ordering = found.ordering == truth.ordering
    candid = not found.ordering or bool({truth.ordering, "mean atoms"} & set(found.rivals))
    composition = near or (found.row.status == "ok" and not named)
    return {
        "lattice": lattice,
        "composition named": named,
        "composition within 0.15": near,
        "composition within 15 %": relative,
        "composition right or open": composition,
        "ordering named right": ordering and not found.rivals,
        "ordering right or open": ordering or candid,
        "ordering wrong": not (ordering or candid),
        "composition wrong": named and not near,
        "all": lattice and composition and (ordering or candid),
        "all, composition named": lattice and near and (ordering or candid),
    }


def main() -> None:
    """Make, solve, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("alloys"))
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--modes", default="ab")
    options = parser.parse_args()
    truths = particles(options.particles, options.seed, tuple(part for part in options.only.split(",") if part))
    for mode in options.modes:
        folder = options.out / mode
        folder.mkdir(parents=True, exist_ok=True)
        values = []
        for number, truth in enumerate(truths):
            write(truth, folder / f"{number:03d}.gr", np.random.default_rng([options.seed, number]), named=mode == "a")
            values.append({"file": f"{number:03d}.gr", "elements": "" if mode == "a" else ",".join(sorted(truth.shares))})
        table = options.out / f"{mode}.csv"
        pd.DataFrame(values).to_csv(table, index=False)
        changes = {"values": table} if mode == "b" else {}
        frame = solve(folder, options.out / f"solved-{mode}", workers=options.workers, force=True, **changes)
        report(mode, truths, frame, options.out / f"solved-{mode}")


def report(mode: str, truths: list[Truth], frame: pd.DataFrame, out: Path) -> None:
    """A row a particle, and the shares."""
    print(f"\n({mode}) {'composition in the header' if mode == 'a' else 'elements alone'}")
    rows = []
    for truth, row in zip(truths, frame.itertuples(), strict=True):
        found = answer(row, out / str(row.folder), tuple(truth.shares))
        right = judged(truth, found)
        rows.append({"listed": list(SYSTEMS).index(tuple(truth.name.split("-"))) < LISTED, **right, "seconds": row.seconds})
        true = " ".join(f"{symbol}{share:.2f}" for symbol, share in truth.shares.items())
        shares = " ".join(f"{symbol}{share:.2f}" for symbol, share in found.shares.items()) if found.shares else "open"
        order = found.ordering + (f" ({'|'.join(found.rivals)})" if found.rivals else "") if found.ordering else "open"
        wrong = [name for name in ("lattice", "composition right or open", "ordering right or open") if not right[name]]
        print(
            f"{true:24}{truth.lattice:15}{truth.ordering:11}D {truth.diameter:4.1f} N {len(truth.structure):4} | "
            f"{row.status:8}{row.phase!s:36.36} {shares:24}"
            f"{order:40.40} D {row.diameter or 0:4.1f} Rw {row.rw or 0:.3f} p {row.probability or 0:.2f} "
            f"{row.seconds:5.1f} s"
            f"{' WRONG: ' + ', '.join(name.split()[0] for name in wrong) if wrong else ''}"
        )
    table = pd.DataFrame(rows)
    for name in table.columns.drop(["listed", "seconds"]):
        parts = [table[name], table[name][table["listed"]], table[name][~table["listed"]]]
        print(f"{name:28}" + "".join(f"{int(part.sum()):4} of {len(part):3}" for part in parts) + f"   {100 * table[name].mean():.0f} %")
    print(f"seconds a particle           {table['seconds'].mean():.1f}")


if __name__ == "__main__":
    main()
