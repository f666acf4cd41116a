"""Metal particles beyond the shipped lists, as explicit atoms: decahedra, icosahedra, twinned and faulted ones, and crystals to compete with them.

Asked only where the curve's own decay (:mod:`~deepstruc_hpc.solve.measurement.decay`) says that the particle has more atoms than the lists. The sizes
that are tried follow from the same decay. All bodies at all these sizes are compared with the curve at the bond length and widths that one particle of
their lattice was fitted with, which costs a matrix product; the best few of each type are built at the sizes where their Rw is lowest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.large_screen import LargeScreen, Widths
from deepstruc_hpc.solve.candidates.large_shapes import LARGEST, LargeShapes, large_shapes
from deepstruc_hpc.solve.candidates.source import Budget, metal_of, metal_zoom
from deepstruc_hpc.solve.measurement.decay import Decay, decay_of, has_more_atoms
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.large_bodies import LargeBody, atoms_in_sphere, large_structure
from deepstruc_hpc.structures.lattices import metal_atomic_volume

LISTED = 400
"""Atoms of the largest particle of the shipped list. Of curves whose decay tells fewer, nothing of this module is asked."""
MOST_ATOMS = 15_000
"""Of the largest particle built as explicit atoms: 8 nm of gold. A fit visits all pairs, 112 million here."""
SMALLER, LARGER = 0.7, 1.9
"""Diameters tried, over the lowest and highest that the decay tells. A crystal lies within 15 % of it; the order of decahedra and icosahedra ends
before the particle does, at 0.58 to 1.1 of their diameter (21 and 72 simulated curves of 350 to 15,000 atoms)."""
ANCHOR = 11.0
"""Nearest-neighbour distances: the diameter of the particles that tell a lattice's bond length and widths, some 1,000 atoms."""
CONTENDER = 1.25
"""A type whose lowest Rw is within this factor of the best one's is listed with several bodies and sizes."""
AS_LARGE = 2.2
"""Atoms of a particle of another type that is built, over those of the best: what fits as well at a third more in diameter is no rival of its size."""
BODIES = 3
"""Bodies of a contender that are built; of the other types the best one."""
BESIDE = 0.06
"""Of ln N, from the size of lowest Rw to those built beside it: 2 % of the diameter."""
MOST_PAIRS = 2.5e8
"""Of all particles together, about: what their fits cost. Some 20 of 5,000 atoms. Each type's best is built whatever it costs."""
ROOM = 0.01
"""How far the zoom of a fit may lie from that of its lattice."""
_ANCHORS: Mapping[str, str] = {
    "close-packed": "fcc sphere",
    "bcc": "bcc sphere",
    "decahedral": "decahedral Marks 1 1.05",
    "icosahedral": "icosahedral sphere",
}


@dataclass(frozen=True)
class _Wanted:
    """A particle to build: its body, about how many atoms, and the Rw that made it wanted."""

    body: LargeBody
    n_atoms: int
    rw: float


class LargeSource:
    """Large particles of the sample's metal."""

    name = "large"

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:  # noqa: ARG002 - the data decide how far the list goes
        """The best few of each type; none where the sample is no metal or the curve tells that its particles are small."""
        symbol = metal_of(measurement.sample)
        if symbol is None:
            return CandidateSet()
        decay = decay_of(measurement)
        if decay is None or not has_more_atoms(measurement, symbol, LISTED):
            return CandidateSet()
        bond = nn_distance(symbol, "twelve")
        shapes = large_shapes()
        sizes = sizes_of(decay, bond)
        rows = np.array([sizes[0] <= count <= sizes[1] for count in shapes.n_atoms], dtype=bool)
        shared = _anchors(measurement, symbol, decay)
        screen = LargeScreen(measurement)
        rw = np.full(len(shapes), np.inf)
        for lattice, widths in shared.items():
            ours = np.flatnonzero(rows & _on(shapes, lattice))
            rw[ours] = screen.rw(screen.curves(shapes.pairs[ours], widths))
        wanted = list(_affordable(sorted(_wanted(shapes, rw), key=lambda one: one.rw)))
        return CandidateSet(
            tuple(_candidate(one, symbol, bond, shared[one.body.lattice]) for one in wanted),
            counts={"large_screened": int(rows.sum())},
        )


def sizes_of(decay: Decay, bond: float) -> tuple[int, int]:
    """Fewest and most atoms that a curve's decay allows; most are 15,000 where it shows no end."""
    low, high = SMALLER * decay.low / bond, LARGER * decay.high / bond
    return atoms_in_sphere("fcc", min(low, LARGEST / LARGER)), min(atoms_in_sphere("fcc", high), MOST_ATOMS)


def _on(shapes: LargeShapes, lattice: str) -> NDArray[np.bool_]:
    return np.array([body.lattice == lattice for body in shapes.bodies], dtype=bool)[shapes.body]


def _anchors(measurement: Measurement, symbol: str, decay: Decay) -> dict[str, Widths]:
    """Bond length and widths of each lattice, as one particle of it is fitted."""
    bond, bodies = nn_distance(symbol, "twelve"), {body.name: body for body in large_shapes().bodies}
    count = atoms_in_sphere("fcc", min(decay.best / bond, ANCHOR))
    structures = [large_structure(bodies[name], count, symbol, bond) for name in _ANCHORS.values()]
    table = _fitted(structures, measurement, metal_zoom(measurement, symbol))
    return {
        lattice: Widths(bond * float(table.zoom[row]), float(table.uiso[row]), float(table.delta2[row])) for row, lattice in enumerate(_ANCHORS)
    }


def _fitted(structures: list[Structure], measurement: Measurement, zoom: tuple[float, float]) -> FitTable:
    return fit_candidates(
        structures,
        measurement.curve,
        rmin=measurement.rmin,
        rmax=measurement.rmax,
        bounds={"zoom": zoom},
        low_q=measurement.low_q,
        **measurement.instrument.model_dump(),
    )


def _wanted(shapes: LargeShapes, rw: NDArray[np.float64]) -> Iterator[_Wanted]:
    """Of each type the best bodies, each at the size where its Rw is lowest and at sizes beside it."""
    kinds = np.array([body.structure_type for body in shapes.bodies])
    rw = np.where(shapes.n_atoms <= AS_LARGE * shapes.n_atoms[np.argmin(rw)], rw, np.inf)
    lowest = np.array([rw[shapes.body == number].min(initial=np.inf) for number in range(len(shapes.bodies))])
    for kind in dict.fromkeys(kinds.tolist()):
        members = np.flatnonzero((kinds == kind) & np.isfinite(lowest))
        contends = lowest[members].min(initial=np.inf) <= CONTENDER * lowest.min()
        for place in members[np.argsort(lowest[members], kind="stable")][: BODIES if contends else 1]:
            rows = np.flatnonzero((shapes.body == place) & np.isfinite(rw))
            for n_atoms in _sizes(shapes.n_atoms[rows], rw[rows], beside=contends):
                yield _Wanted(shapes.bodies[place], n_atoms, float(lowest[place]))


def _sizes(n_atoms: NDArray[np.int64], rw: NDArray[np.float64], *, beside: bool) -> list[int]:
    """Where a parabola through the lowest Rw² over ln N and its neighbours is lowest, and the sizes next to it; the lowest itself at an end."""
    best = int(np.argmin(rw))
    middle = float(np.log(n_atoms[best]))
    if 0 < best < len(rw) - 1:
        x, y = np.log(n_atoms[best - 1 : best + 2]), rw[best - 1 : best + 2] ** 2
        curve = np.polyfit(x - middle, y, 2)
        middle += float(np.clip(-curve[1] / (2.0 * curve[0]), x[0] - middle, x[2] - middle)) if curve[0] > 0 else 0.0
    wanted = [round(float(np.exp(middle)))]
    if beside:
        wanted += [round(float(np.exp(middle + step))) for step in (-BESIDE, BESIDE)]
    return wanted


def _affordable(wanted: list[_Wanted]) -> Iterator[_Wanted]:
    """The particles in order until their pairs are spent, and the first of each type."""
    seen: set[str] = set()
    spent = 0.0
    for one in wanted:
        spent += 0.5 * one.n_atoms**2
        if spent <= MOST_PAIRS or one.body.structure_type not in seen:
            seen.add(one.body.structure_type)
            yield one


def _candidate(one: _Wanted, symbol: str, bond: float, shared: Widths) -> Candidate:
    zoom = shared.bond / bond
    return Candidate(
        large_structure(one.body, one.n_atoms, symbol, bond),
        "large",
        zoom=(zoom * (1.0 - ROOM), zoom * (1.0 + ROOM)),
        length=bond,
        atomic_volume=metal_atomic_volume(one.body.structure_type, bond),
        complexity=float(one.body.complexity),
    )
