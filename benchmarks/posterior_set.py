"""The versioned sets of simulated measurements that the constants of the posterior come from, and that they are judged by.

Two parts: ``calibration``, and ``unseen`` with another seed and other outlines. Of 20 curves 14 are metals, 1 an alloy, 4 compounds, 1 two phases.

- Metals: seven lattices, nine elements, 13 to 10,000 atoms (log-uniform from 13 to 400 for three of four, to 2,000 for 15 %, to 10,000 for 10 %); one
  or two twin planes or random sequences of layers for faulted ones. Outlines of ``calibration``: superellipsoids and rough polyhedra about any
  point; of ``unseen``: two intersecting spheres, capped cylinders, bodies of facets at distances of their own.
- Alloys: those of ``solve_alloys.py``. Compounds: crystals of ``compounds.yaml`` (every second row, the same ones in both parts) as
  spheroids of explicit atoms, every second one a lognormal distribution of spheres. Two phases: those of ``solve_mixtures.py``.

Nothing is ideal, by a hardness h that is drawn evenly from 0 to 1 for each curve, so that the best fits have Rw from 0.02 to 0.2.
A particle: its surface is drawn in by up to 5 h % of the radius (fourth power), all atoms are displaced by up to 0.06 h Å, those of the surface by up
to 0.2 h Å (RMS along each axis), up to 4 % of the surface atoms are missing. Of metals up to 0.3 h of the scattering is of smaller particles of any
other lattice; a third are a mean over three sizes, 6 to 20 % apart in diameter; a fifth have ligands (an element over bridges of the surface, with
chains of carbon), a tenth a halo of solvent or flakes of carbon. The header names ligands in half of the cases. A measurement: Qmax 15 to 28 Å⁻¹,
Qmin 0.5 to 1.4, Qdamp 0.015 to 0.05 Å⁻¹, told with an error of 0.002 (7 of 10) or not at all; counting noise 1 to 1 + 20 h % of G, white in S(Q); a
slow ripple and a slope of the baseline up to 10 h % each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from solve_alloys import particles as alloy_particles
from solve_compounds import TABLE, U_ANION, U_CATION, anion_of, particle, read_back
from solve_large import twin
from solve_mixtures import sphere_curve
from solve_terms import LIGANDS, added, shell
from solve_unseen import FEWEST_BONDS, KINDS, METALS, body, close_packed, is_faulted

from deepstruc_hpc import simulate_pdf
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.term_library import bond_length
from deepstruc_hpc.structures.crystal_cut import cut_crystal
from deepstruc_hpc.structures.crystals import Crystal, prototype_crystal
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import lattice_of, metal_atomic_volume
from deepstruc_hpc.structures.prototypes import candidate_crystals
from deepstruc_hpc.structures.template_lattices import template_lattice

VERSION = 1
"""Of the sets: whatever changes a curve changes this number."""
SEEDS = {"calibration": 20261129, "unseen": 77003}
_ORDER = "mmcmammcmmmmmcmmxmmc"
CLASSES = tuple({"m": "metal", "a": "alloy", "c": "compound", "x": "mixture"}[letter] for letter in _ORDER)
FEWEST = {"stacking_fault": 30, "decahedral": 20}
"""Atoms below which a faulted particle or a decahedron is not one."""
SIZES = ((13, 400), (400, 2000), (2000, 10000))
SIZE_SHARES = (0.75, 0.15, 0.1)
PHASES = (("NiO", "Al2O3"), ("Ni", "Al2O3"), ("Ni", "NiO"), ("TiO2 anatase", "TiO2 rutile"))

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """One measurement and its truth.

    Attributes:
        curve: as a file holds it.
        given: settings beside the header (elements, Qdamp).
        kind: class of the sample.
        truth: what is right; ``lattice`` of metals and alloys, ``entry`` of compounds, ``phases`` of two; lengths in Å.
    """

    curve: PdfCurve
    given: dict[str, Any]
    kind: str
    truth: dict[str, Any] = field(default_factory=dict)


def simulated(part: str, number: int) -> Simulated:
    """Curve ``number`` of a part; the same for the same number, whatever else is made."""
    rng = np.random.default_rng([SEEDS[part], VERSION, number])
    kind = CLASSES[number % len(CLASSES)]
    makers: dict[str, Callable[[str, np.random.Generator], Simulated]] = {
        "metal": metal,
        "alloy": alloy,
        "compound": compound,
        "mixture": mixture,
    }
    return makers[kind](part, rng)


@dataclass(frozen=True)
class Disorder:
    """How far a particle is from ideal: contraction of the surface, and displacements of all atoms and of those of the surface, Å."""

    drawn_in: float
    everywhere: float
    outside: float

    @classmethod
    def drawn(cls, hardness: float, rng: np.random.Generator) -> Disorder:
        """As the module's head says."""
        return cls(*(hardness * float(rng.uniform(0.0, most)) for most in (0.05, 0.06, 0.2)))

    def of(self, positions: Array, rng: np.random.Generator) -> Array:
        """Positions about their middle, Å, as they are in the sample."""
        centred = positions - positions.mean(axis=0)
        radius = np.linalg.norm(centred, axis=1) / max(float(np.linalg.norm(centred, axis=1).max()), 1e-9)
        width = np.where(radius > 0.75, np.hypot(self.everywhere, self.outside), self.everywhere)
        return np.asarray(centred * (1.0 - self.drawn_in * radius**4)[:, None] + rng.normal(size=centred.shape) * width[:, None])


def outline(part: str, kind: str, rng: np.random.Generator) -> Callable[[Array], Array]:
    """A level of points that is 1 on the surface of a body of size about 1; the bodies of the two parts have nothing in common."""
    if part == "calibration":
        return body(kind, rng)
    turn, shift = Rotation.random(rng=rng).as_matrix(), rng.uniform(-0.3, 0.3, 3) * (0.4 if kind in ("icosahedral", "decahedral") else 1.0)
    choice = int(rng.integers(3))
    if choice == 0:
        apart, other = rng.uniform(0.2, 0.8), rng.uniform(0.85, 1.1)
        second = np.array([0.0, 0.0, apart])
        return lambda points: np.minimum(
            np.linalg.norm((points - shift) @ turn, axis=1), np.linalg.norm((points - shift) @ turn - second, axis=1) / other
        )
    if choice == 1:
        longer = rng.uniform(0.1, 0.6)

        def capped(points: Array) -> Array:
            turned = (points - shift) @ turn
            beyond = np.maximum(np.abs(turned[:, 2]) - longer, 0.0)
            return np.asarray(np.hypot(np.hypot(turned[:, 0], turned[:, 1]), beyond))

        return capped
    signs = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)]) / np.sqrt(3.0)
    normals = np.concatenate([signs, np.eye(3), -np.eye(3)]) @ turn
    distances = np.repeat([1.0, rng.uniform(0.9, 1.3)], [8, 6]) * np.exp(rng.normal(0.0, 0.06, 14))
    return lambda points: ((points - shift) @ (normals / distances[:, None]).T).max(axis=1)


def metal_sites(part: str, kind: str, wanted: int, rng: np.random.Generator) -> Array | None:
    """Sites of a particle in nearest-neighbour distances; None where this try made another kind, or too little."""
    lattice = "fcc" if kind == "stacking_fault" else kind
    radius = float(np.cbrt(3.0 / (4.0 * np.pi) * wanted * metal_atomic_volume(lattice, 1.0)))
    reach, layer = 1.75 * radius + 1.5, None
    if kind == "stacking_fault" and wanted <= 300:
        sites, layer = close_packed(rng)
    elif kind == "stacking_fault":
        sites, _ = twin(reach, radius, rng)
    else:
        named = {"icosahedral": "icosahedral", "decahedral": str(rng.choice(["decahedral atom", "decahedral bond"]))}.get(kind, f"{kind} atom")
        sites = np.asarray(template_lattice(named, reach).sites)
    if wanted >= len(sites):
        return None
    level = outline(part, kind, rng)(np.asarray(sites) / max(radius, 1.0))
    kept = _firm(sites, np.argsort(level, kind="stable")[:wanted], kind)
    ragged = kept[np.argsort(level[kept], kind="stable")]
    outer = ragged[int(0.7 * len(ragged)) :]
    missing = rng.random(len(outer)) < rng.uniform(0.0, 0.04)
    kept = _firm(sites, np.setdiff1d(kept, outer[missing]), kind)
    if len(kept) < max(FEWEST.get(kind, 13), 0.85 * wanted):
        return None
    if layer is not None and not is_faulted(sites[kept], layer[kept]):
        return None
    if layer is None and np.linalg.norm(sites[kept], axis=1).max() > reach - 0.3:
        return None
    return np.asarray(sites[kept])


def _firm(sites: Array, kept: NDArray[np.intp], kind: str) -> NDArray[np.intp]:
    """The largest piece of the sites kept, without those that hang by a bond or two."""
    fewest = FEWEST_BONDS.get(kind, 3)
    for _ in range(8):
        tree = cKDTree(sites[kept])
        bonds = tree.sparse_distance_matrix(tree, 1.06 if kind != "icosahedral" else 1.1, output_type="coo_matrix")
        degree = np.bincount(bonds.row[bonds.row != bonds.col], minlength=len(kept))
        _, piece = connected_components(bonds)
        firm = (degree >= fewest) & (piece == np.bincount(piece).argmax())
        if firm.all():
            break
        kept = kept[firm]
    return kept


def _found(part: str, kind: str, size: int, rng: np.random.Generator) -> Array:
    """Sites of about so many atoms, a little more where the outline does not let so few hold together."""
    sites, tries = None, 0
    while sites is None:
        sites, tries = metal_sites(part, kind, size + tries // 4, rng), tries + 1
    return sites


def _another(part: str, kind: str, wanted: int, rng: np.random.Generator) -> Array:
    """Sites of a smaller particle of another lattice."""
    other, sites = str(rng.choice([one for one in KINDS if one != kind])), None
    while sites is None:
        sites = metal_sites(part, other, max(round(rng.uniform(0.2, 0.6) * min(wanted, 400)), FEWEST.get(other, 13)), rng)
    return sites


def metal(part: str, rng: np.random.Generator) -> Simulated:
    """A metal particle, or a few sizes of one kind."""
    kind, symbol = KINDS[int(rng.integers(len(KINDS)))], str(rng.choice(METALS))
    low, high = SIZES[int(rng.choice(3, p=SIZE_SHARES))]
    wanted = max(int(np.exp(rng.uniform(np.log(low), np.log(high)))), FEWEST.get(kind, 13))
    spread = rng.uniform(0.06, 0.2) if rng.random() < 1.0 / 3.0 and wanted > 40 else 0.0
    factors = np.array([1.0]) if spread == 0.0 else np.array([1.0 - 1.2 * spread, 1.0, 1.0 + 1.2 * spread])
    unit = nn_distance(symbol, "twelve") * rng.uniform(0.98, 1.02)
    h, uiso = rng.random(), rng.uniform(0.004, 0.015)
    state, ranges = Disorder.drawn(h, rng), _ranges(rng)
    largest = 1.3 * 2.0 * unit * float(np.cbrt(3.0 / (4.0 * np.pi) * wanted * metal_atomic_volume(lattice_of(kind), 1.0)))
    r = np.arange(0.0, float(np.clip(largest, 20.0, 40.0) if rng.random() < 0.5 else rng.uniform(20.0, 30.0)), 0.01)
    ligands, beside = rng.random() < 0.2 and wanted < 600, rng.random() < 0.1
    element = str(rng.choice(LIGANDS, p=(0.55, 0.15, 0.15, 0.15)))
    delta2, given_all = 0.0 if ligands else float(rng.uniform(0.0, 4.0)), rng.random() < 0.5
    g, ideal, atoms, volume, count = np.zeros(len(r)), [], [], [], 0
    for factor in factors:
        sites = _found(part, kind, max(round(wanted * factor**3), FEWEST.get(kind, 13)), rng)
        perfect = (sites - sites.mean(axis=0)) * unit
        moved = state.of(perfect, rng)
        more, places = shell(moved, bond_length(symbol, element), element, rng) if ligands else ([], np.zeros((0, 3)))
        each = np.array([uiso] * len(moved) + [0.5 * uiso + 0.008 if name != "C" else 0.04 for name in more])
        own = simulate_pdf([symbol] * len(moved) + more, np.concatenate([moved, places]), r, uiso=each, delta2=delta2, **ranges)
        g += len(moved) * own
        ideal.append(Structure.of_element(symbol, perfect, kind))
        atoms.append(len(moved))
        volume.append(len(moved) * metal_atomic_volume(lattice_of(kind), unit))
        count += len(moved)
    g /= count
    clean = g
    share = rng.uniform(0.0, 0.3) * h
    sites = _another(part, kind, wanted, rng)
    beyond = simulate_pdf([symbol] * len(sites), state.of(sites * unit, rng), r, uiso=1.5 * uiso, delta2=delta2, **ranges)
    g = (1.0 - share) * g + share * beyond
    g = g + added(str(rng.choice(["solvent", "carbon"])), float(g[r > 2].std()), r, ranges, rng) if beside else g
    weights = np.array(volume) / sum(volume)
    fit = fit_candidates([ideal[len(ideal) // 2]], PdfCurve(r, clean), rmin=2.0, rmax=min(float(r[-1]), 30.0), low_q=1.2, **ranges)
    composition = f"{symbol}{atoms[0]} {element}{max(atoms[0] // 4, 1)}" if ligands and given_all else symbol
    truth = {
        "lattice": lattice_of(kind),
        "n_atoms": float(weights @ np.array(atoms)),
        "diameter": float(weights @ np.cbrt(6.0 / np.pi * np.array(volume))),
        "spread": float(spread),
        "nearest_neighbours": unit * float(fit.zoom[0]),
        "truth_rw": float(fit.rw[0]),
        "hardness": h,
        "other_share": share,
        "ligands": bool(ligands),
        "beside": bool(beside),
    }
    return _measured("metal", (r, g), ranges, truth, rng, hardness=h, composition=composition, elements=None)


def alloy(_part: str, rng: np.random.Generator) -> Simulated:
    """An alloy of any ordering; half of the headers say its composition."""
    made = alloy_particles(1, int(rng.integers(1, 2**31)), ())
    one = made[int(rng.integers(len(made)))]
    positions = one.structure.positions - one.structure.positions.mean(axis=0)
    h = rng.random()
    moved = Disorder.drawn(h, rng).of(positions, rng)
    ranges = _ranges(rng)
    r = np.arange(0.0, 40.0 if one.diameter > 26 else 30.0, 0.01)
    g = simulate_pdf(one.structure.symbols, moved, r, uiso=rng.uniform(0.004, 0.012), delta2=rng.uniform(0, 4), **ranges)
    named = rng.random() < 0.5
    composition = " ".join(f"{symbol}{share:.2f}" for symbol, share in one.shares.items()) if named else None
    elements = None if named else tuple(one.shares)
    truth = {"lattice": one.lattice, "n_atoms": len(moved), "diameter": one.diameter, "spread": 0.0, "ordering": one.ordering}
    return _measured("alloy", (r, g), ranges, truth, rng, hardness=h, composition=composition, elements=elements)


def compound(_part: str, rng: np.random.Generator) -> Simulated:
    """A compound: one particle of explicit atoms, or a lognormal distribution of spheres."""
    entries = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    names = sorted(entries)[1::2]
    name = names[int(rng.integers(len(names)))]
    crystal = crystal_of(name, entries)
    ranges, delta2, zoom, anion = _ranges(rng), float(rng.uniform(0.5, 2.5)), float(rng.uniform(0.99, 1.01)), anion_of(crystal)
    volume = abs(float(np.linalg.det(crystal.lattice))) / sum(crystal.composition.values()) * zoom**3
    r = np.arange(0.0, float(rng.choice([30.0, 40.0])), 0.01)
    truth: dict[str, Any] = {"entry": name, "cell": [zoom * float(one) for one in np.linalg.norm(crystal.lattice, axis=1)], "spread": 0.0}
    h = rng.random()
    state = Disorder.drawn(0.6 * h, rng)  # bonds of compounds are stiffer

    def pdf(symbols: Any, positions: Array) -> Array:
        moved = state.of((positions - positions.mean(axis=0)) * zoom, rng)
        uiso = np.array([U_ANION if symbol == anion else U_CATION for symbol in symbols])
        return np.asarray(simulate_pdf(symbols, moved, r, uiso=uiso, delta2=delta2, **ranges))

    if rng.random() < 0.5:
        symbols, positions = particle(crystal, rng)
        g = pdf(symbols, positions)
        truth |= {"n_atoms": len(symbols), "diameter": float(np.cbrt(6.0 / np.pi * len(symbols) * volume))}
    else:
        mean, width = rng.uniform(18.0, 40.0), rng.uniform(0.08, 0.25)
        spread, steps = np.sqrt(np.log1p(width**2)), np.linspace(-2.2, 2.2, 6)
        shares = np.exp(-0.5 * steps**2) / np.exp(-0.5 * steps**2).sum()
        g, moment = np.zeros(len(r)), 0.0
        for share, diameter in zip(shares, mean * np.exp(spread * steps - 0.5 * spread**2), strict=True):
            cut = cut_crystal(crystal, radius=diameter / 2, centre="cell", surface="as_cut")
            g = g + share * pdf(cut.symbols, cut.positions)
            moment += share * float(np.cbrt(6.0 / np.pi * len(cut) * volume))
        truth |= {"n_atoms": np.pi / 6.0 * moment**3 / volume, "diameter": moment, "spread": width}
    elements = tuple(str(entries[name]["elements"]).split(",")) if "elements" in entries[name] else tuple(sorted(set(crystal.composition)))
    return _measured("compound", (r, g), ranges, truth, rng, hardness=h, composition=None, elements=elements)


def crystal_of(name: str, entries: dict[str, Any] | None = None) -> Crystal:
    """A crystal of ``compounds.yaml``."""
    known = entries if entries is not None else yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        return read_back(name, known[name], Path(folder))


def mixture(_part: str, rng: np.random.Generator) -> Simulated:
    """Two crystals."""
    known = {(one.formula, one.prototype): one for one in candidate_crystals(["Ni", "Al", "O"])}
    metals = {"Ni": known["Ni", "fcc"].crystal, "Al2O3": known["Al2O3", "gamma_alumina"].crystal}
    pair = PHASES[int(rng.integers(len(PHASES)))]
    crystals = [metals[name] if name in metals else prototype_crystal(name) for name in pair]
    share = float(rng.uniform(0.2, 0.8))
    curve = sphere_curve([(one, float(rng.uniform(20, 36)), piece) for one, piece in zip(crystals, (share, 1 - share), strict=True)], rng)
    elements = tuple(sorted({symbol for one in crystals for symbol in one.composition}))
    return Simulated(curve, {"elements": elements}, "mixture", {"phases": {pair[0]: share, pair[1]: 1.0 - share}})


def _ranges(rng: np.random.Generator) -> dict[str, float]:
    return {"qmin": float(rng.uniform(0.5, 1.4)), "qmax": float(rng.uniform(15.0, 28.0)), "qdamp": float(rng.uniform(0.015, 0.05))}


def _measured(
    kind: str,
    curve: tuple[Array, Array],
    ranges: dict[str, float],
    truth: dict[str, Any],
    rng: np.random.Generator,
    *,
    hardness: float,
    composition: str | None,
    elements: tuple[str, ...] | None,
) -> Simulated:
    """With noise, what is left of the background, a scale, and a header."""
    r, g = curve
    strength = float(g[r > 2].std())
    q = np.arange(ranges["qmin"], ranges["qmax"], 0.02)
    counting = np.sin(np.outer(r, q)) @ (q * rng.normal(size=len(q)))
    noise = 0.01 + float(rng.uniform(0.0, 0.2)) * hardness
    ripple = np.sin(2 * np.pi * r / rng.uniform(4, 12) + rng.uniform(0, 2 * np.pi)) * np.exp(-r / 10)
    slope = r * np.exp(-r / 6) / (6 / np.e) * rng.choice([-1.0, 1.0])
    g = g + strength * (noise * counting / counting.std() + hardness * (rng.uniform(0, 0.1) * ripple + rng.uniform(0, 0.1) * slope))
    header: dict[str, Any] = {"mode": "xray", "qmin": round(ranges["qmin"], 3), "qmax": round(ranges["qmax"], 3)}
    if composition is not None:
        header["composition"] = composition
    given: dict[str, Any] = {} if elements is None else {"elements": elements}
    if rng.random() < 0.7:
        given["qdamp"] = round(abs(ranges["qdamp"] + float(rng.normal(0, 0.002))), 5)
    return Simulated(PdfCurve(r, rng.uniform(0.2, 3.0) * g, header=header, source=f"{kind} curve"), given, kind, {**truth, "noise": noise})
