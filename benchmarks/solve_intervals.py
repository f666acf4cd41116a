"""How often the intervals of ``solve`` hold the truth, and by which factors the doubt that fits tell is off.

    python benchmarks/solve_intervals.py [--curves 300] [--seed 5] [--out intervals] [--workers 2] [--kinds metal compound mixture]

Simulated measurements, a third each: metal particles that no list holds (``solve_unseen.py``: surfaces drawn in, disorder, noise, a Qdamp that is a
little wrong), particles of real compounds (``solve_compounds.py``), of which every second is a lognormal distribution of spheres with a relative
width of 8 to 25 %, and mixtures of two crystals (``solve_mixtures.py``). They are solved from files by the command's own function with its
defaults; a second call goes on.

Asked are answers of the right type (another type is counted apart; what it is worth is its probability): the diameter (of a distribution its
volume-weighted mean), the nearest-neighbour distance of metals, the lengths of the cell of crystals, the shares of the weight. The true
nearest-neighbour distance of a particle with a relaxed surface is that of the ideal sites fitted to the curve without noise. For every quantity the
table says how many intervals of 68 and 95 % hold the truth, and the 68 % quantile of |ln(found/true)| over the standard uncertainty, which is 1 where
that is right. ``--keep`` puts found and true values into
``interval_values.csv`` beside this script, from which ``calibrate_posterior.py`` takes the doubts: it fits them to the curves of seed 7 (75) and
shows how far they hold on those of seed 5.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from solve_compounds import TABLE, U_ANION, U_CATION, Answer, Truth, anion_of, first_phases, judge, read_back, write
from solve_mixtures import sphere_curve
from solve_unseen import KINDS, METALS, measured, particle

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.solve.run.batch import solve
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import Crystal, prototype_crystal
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.prototypes import candidate_crystals

Array = NDArray[np.float64]
VALUES = Path(__file__).with_name("interval_values.csv")
SPHERES = 9
"""Diameters that stand for a lognormal distribution."""


def metal(path: Path, number: int, rng: np.random.Generator) -> dict[str, Any]:
    """One metal particle: its file and its truth."""
    kind, symbol, sites = KINDS[number % len(KINDS)], str(rng.choice(METALS)), None
    while sites is None:
        sites = particle(kind, rng)
    unit = nn_distance(symbol, "twelve") * rng.uniform(0.98, 1.02)
    structure = Structure.of_element(symbol, sites * unit, kind).centred()
    state = rng.bit_generator.state
    r, g, header, qdamp = measured(structure, rng)
    rng.bit_generator.state = state
    _, clean, _, _ = measured(structure, rng, noise=False)
    given = {"qmin": header["qmin"], "qmax": header["qmax"]}
    ideal = fit_candidates([structure], PdfCurve(r, clean), rmin=2.0, rmax=float(r[-1]), qdamp=qdamp, low_q=1.2, **given)
    put(path, r, g, {"composition": symbol, **header})
    diameter = structure_diameter(structure, kind, unit)
    return {"type": lattice_of(kind), "diameter": diameter, "nearest_neighbours": unit * float(ideal.zoom[0]), "qdamp": round(qdamp, 5)}


def structure_diameter(structure: Structure, kind: str, unit: float) -> float:
    """Å, of the sphere with the volume of the atoms."""
    from deepstruc_hpc.structures.lattices import metal_atomic_volume

    return float(np.cbrt(6.0 / np.pi * len(structure) * metal_atomic_volume(lattice_of(kind), unit)))


def compound(path: Path, number: int, rng: np.random.Generator, entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One compound, a particle or a distribution of spheres."""
    names = sorted(entries)
    name = names[7 * number % len(names)]
    with tempfile.TemporaryDirectory() as folder:
        crystal = read_back(name, entries[name], Path(folder))
    elements = sorted(set(crystal.composition))
    if number % 2:
        return {"name": name, "elements": ",".join(elements), **spheres(path, crystal, rng)}
    diameter, n_atoms, zoom = write(crystal, path, rng)
    return {"name": name, "elements": ",".join(elements), "diameter": diameter, "n_atoms": n_atoms, **cell_of(crystal, zoom)}


def spheres(path: Path, crystal: Crystal, rng: np.random.Generator) -> dict[str, Any]:
    """A lognormal distribution of spheres, by volume, as the sum of the curves of some diameters; the mean is weighted by volume."""
    mean, width, zoom = rng.uniform(20.0, 42.0), rng.uniform(0.08, 0.25), rng.uniform(0.99, 1.01)
    spread = np.sqrt(np.log1p(width**2))
    diameters = mean * np.exp(spread * np.linspace(-2.4, 2.4, SPHERES) - 0.5 * spread**2)
    r = np.arange(0.0, 40.0 + 1e-9, 0.01)
    given = {"qmin": 0.8, "qmax": round(float(rng.uniform(18.0, 26.0)), 2), "qdamp": round(float(rng.uniform(0.03, 0.04)), 4)}
    anion, delta2, total = anion_of(crystal), float(rng.uniform(0.5, 2.5)), 0.0
    g, moment = np.zeros(len(r)), 0.0
    for step, diameter in zip(np.linspace(-2.4, 2.4, SPHERES), diameters, strict=True):
        share = float(np.exp(-0.5 * step**2))
        cut = cut_crystal(crystal, radius=diameter / 2, centre="cell", surface="as_cut")
        uiso = np.array([U_ANION if symbol == anion else U_CATION for symbol in cut.symbols])
        g += share * simulate_pdf(cut.symbols, cut.positions * zoom, r, uiso=uiso, delta2=delta2, **given)
        volume = abs(float(np.linalg.det(crystal.lattice))) / sum(crystal.composition.values())
        moment += share * zoom * float(np.cbrt(6.0 / np.pi * len(cut) * volume))
        total += share
    put(path, r, noisy(r, g / total, given, 0.04, rng), given)
    return {"diameter": moment / total, "size_spread": width, **cell_of(crystal, zoom)}


def noisy(r: Array, g: Array, given: dict[str, float], share: float, rng: np.random.Generator) -> Array:
    """With noise that is white in Q, a share of the RMS of G."""
    q = np.linspace(given["qmin"], given["qmax"], 1200)
    noise = np.sin(np.outer(r, q)) @ rng.normal(size=len(q))
    return np.asarray(g + share * np.sqrt(np.mean(g[r > 1.5] ** 2)) * noise / noise.std())


def cell_of(crystal: Crystal, zoom: float) -> dict[str, list[float]]:
    """Lengths of the cell, Å, in any order."""
    return {"cell": [zoom * float(length) for length in np.linalg.norm(crystal.lattice, axis=1)]}


def true_value(quantity: str, found: float, true: dict[str, Any]) -> float | None:
    """The truth of a quantity; of a length of the cell the nearest one, since the order of axes is free; None where there is none within 3 %."""
    if quantity in "abc" and "cell" in true:
        nearest = min(true["cell"], key=lambda length: abs(found / length - 1.0))
        return nearest if abs(found / nearest - 1.0) < 0.03 else None
    return true.get(quantity)


def mixture(path: Path, number: int, rng: np.random.Generator) -> dict[str, Any]:
    """Two crystals."""
    known = {(one.formula, one.prototype): one for one in candidate_crystals(["Ni", "Al", "O"])}
    metals = {"Ni": known["Ni", "fcc"].crystal, "Al2O3": known["Al2O3", "gamma_alumina"].crystal}
    pairs = [("NiO", "Al2O3"), ("Ni", "Al2O3"), ("Ni", "NiO"), ("TiO2 anatase", "TiO2 rutile")]
    pair = pairs[number % len(pairs)]
    crystals = [metals[name] if name in metals else prototype_crystal(name) for name in pair]
    share = float(rng.uniform(0.2, 0.8))
    curve = sphere_curve([(one, float(rng.uniform(20, 36)), part) for one, part in zip(crystals, (share, 1 - share), strict=True)], rng)
    put(path, curve.r, curve.g, {name: curve.header[name] for name in ("qmin", "qmax", "qdamp")})
    elements = sorted({symbol for one in crystals for symbol in one.composition})
    return {"elements": ",".join(elements), f"share {pair[0]}": share, f"share {pair[1]}": 1 - share}


def put(path: Path, r: Array, g: Array, header: dict[str, Any]) -> None:
    """A file of G(r)."""
    lines = ["[DEFAULT]", "mode = xray", *(f"{name} = {value}" for name, value in header.items()), "#### start data"]
    np.savetxt(path, np.column_stack([r, g]), fmt="%.6g", header="\n".join(lines), comments="")


def make(out: Path, count: int, seed: int, kinds: list[str]) -> dict[str, dict[str, Any]]:
    """Write the curves and their truth; what is there already is kept."""
    (out / "measured").mkdir(parents=True, exist_ok=True)
    place = out / "truth.json"
    truth: dict[str, dict[str, Any]] = json.loads(place.read_text()) if place.is_file() else {}
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    makers = {"metal": metal, "mixture": mixture, "compound": lambda path, number, rng: compound(path, number, rng, entries)}
    for number in range(count):
        kind = kinds[number % len(kinds)]
        name = f"{kind}{number:04d}"
        if name not in truth:
            rng = np.random.default_rng([seed, number])
            truth[name] = {"kind": kind, **makers[kind](out / "measured" / f"{name}.gr", number // len(kinds), rng)}
            place.write_text(json.dumps(truth, indent=1))
    values = [{"file": f"{name}.gr", "elements": one.get("elements", ""), "qdamp": one.get("qdamp", "")} for name, one in truth.items()]
    pd.DataFrame(values).to_csv(out / "values.csv", index=False)
    return truth


def right(found: pd.Series, true: dict[str, Any], folder: Path, entries: dict[str, dict[str, Any]]) -> bool:
    """Whether the answer is of the right type."""
    if true["kind"] == "metal":
        return bool(lattice_of(str(found["structure_type"])) == true["type"])
    if true["kind"] == "mixture":
        names = {part.rsplit(" ", 1)[0] for part in str(found["phases"]).split("; ")}
        return names == {name.removeprefix("share ") for name in true if name.startswith("share ")}
    with tempfile.TemporaryDirectory() as place:
        crystal = read_back(true["name"], entries[true["name"]], Path(place))
    whole = Truth(true["name"], crystal, tuple(true["elements"].split(",")), true["diameter"], 0, new=False)
    phases = first_phases(folder)[:1]
    return judge(whole, Answer(phases, 0.0, 0.0, 0.0, ""))[0] == 1


def kind_of(quantity: str, kind: str, found: pd.Series) -> str:
    """The doubt of posterior.json that a quantity has."""
    if quantity == "diameter":
        spread = float(found["size_spread"]) if pd.notna(found["size_spread"]) else 0.0
        return "particle_size" if kind == "metal" else "distribution_size" if spread > 0 else "crystal_size"
    return "share" if quantity.startswith("share") else "particle_length" if quantity == "nearest_neighbours" else "crystal_length"


def table(out: Path, truth: dict[str, dict[str, Any]], summary: pd.DataFrame) -> pd.DataFrame:
    """One row a quantity of an answer of the right type."""
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    rows, wrong = [], {}
    for _, found in summary.iterrows():
        name = Path(found["file"]).stem
        true = truth.get(name)
        if true is None:
            continue
        folder = out / "solved" / str(found["folder"])
        if found["status"] != "ok" or not right(found, true, folder, entries):
            wrong[true["kind"]] = wrong.get(true["kind"], 0) + 1
            continue
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        for quantity, interval in result["details"]["intervals"].items():
            value = true_value(quantity, interval["value"], true)
            if value is None:
                continue
            lengths = "cell" if quantity in "abc" else quantity.split()[0]
            sizes = " (distribution)" if quantity == "diameter" and "size_spread" in true else ""
            rows.append(
                {
                    "curve": name,
                    "group": f"{true['kind']} {lengths}{sizes}",
                    "found": interval["value"],
                    "true": value,
                    "off": float(np.log(interval["value"] / value)),
                    "doubt": interval["error"] / interval["value"],
                    "spread": interval["spread"],
                    "rw": float(found["rw"]) if true["kind"] == "metal" else np.nan,
                    "points": interval["points"] if true["kind"] == "metal" else np.nan,
                    "quantity": kind_of(quantity, true["kind"], found),
                    **{f"in_{level}": interval[level][0] <= value <= (interval[level][1] or np.inf) for level in ("68", "95")},
                }
            )
    print("answers of another type or none: " + ", ".join(f"{kind} {count}" for kind, count in wrong.items()))
    return pd.DataFrame(rows)


def keep(rows: pd.DataFrame, seed: int) -> None:
    """Put the values of a seed in the place of those that were there."""
    known = pd.read_csv(VALUES) if VALUES.is_file() else pd.DataFrame({"seed": []})
    ours = rows.assign(seed=seed)[["seed", "curve", "quantity", "off", "spread", "rw", "points"]]
    pd.concat([known[known["seed"] != seed], ours], ignore_index=True).to_csv(VALUES, index=False, float_format="%.4g")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=300)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("intervals"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="put the values into interval_values.csv")
    parser.add_argument("--kinds", nargs="+", default=["metal", "compound", "mixture"], choices=["metal", "compound", "mixture"])
    options = parser.parse_args()
    truth = make(options.out, options.curves, options.seed, options.kinds)
    summary = solve(options.out / "measured", options.out / "solved", values=options.out / "values.csv", workers=options.workers, progress=True)
    rows = table(options.out, truth, summary)
    rows.to_csv(options.out / "intervals.csv", index=False)
    if options.keep:
        keep(rows, options.seed)
    print(f"{'quantity':34} {'n':>4} {'68 %':>6} {'95 %':>6} {'off (68 %)':>11} {'factor 68 %':>12} {'factor 95 %':>12}")
    for group, part in [*rows.groupby("group"), ("all", rows)]:
        ratio = part["off"].abs() / part["doubt"]
        print(
            f"{group:34} {len(part):4d} {100 * part['in_68'].mean():6.1f} {100 * part['in_95'].mean():6.1f} "
            f"{100 * part['off'].abs().quantile(0.68):10.2f}% {ratio.quantile(0.68):12.2f} {ratio.quantile(0.95) / 1.96:12.2f}"
        )


if __name__ == "__main__":
    main()
