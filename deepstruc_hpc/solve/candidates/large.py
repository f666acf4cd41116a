"""Metal particles beyond the shipped lists, as explicit atoms: decahedra, icosahedra, twinned and faulted ones, and crystals to compete with them.

Asked only where the curve's own decay (:mod:`~deepstruc_hpc.solve.measurement.decay`) says that the particle has more atoms than the lists. The
sizes that are tried follow from the same decay. All bodies at all these sizes are compared with the curve at the bond length and widths that one
particle of their lattice was fitted with, which costs a matrix product; the best few of each type are built at the sizes where their Rw is lowest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.large_screen import LargeScreen, Widths
from deepstruc_hpc.solve.candidates.large_shapes import LARGEST, large_shapes, pairs_of
from deepstruc_hpc.solve.candidates.source import Budget, metal_of, metal_zoom
from deepstruc_hpc.solve.measurement.decay import LISTED, Decay, decay_of, has_more_atoms
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.large_bodies import LargeBody, atoms_in_sphere, large_structure
from deepstruc_hpc.structures.lattices import metal_atomic_volume

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
"""Atoms of a particle of another type that is built, over those of the best: at a third more in diameter it is no rival of its size."""
BODIES = 3
"""Bodies of a contender that are built; of the other types the best one."""
FINER = 0.02 * np.arange(-6, 7)
"""Of ln N, about the size of the list that fits best: sizes 0.7 % of the diameter apart, of which the best is built."""
BESIDE = (-0.06, 0.06, 0.12)
"""Of ln N, from that size to those built beside it: 2 and 4 % of the diameter."""
MOST_PAIRS = 2.5e8
"""Of all particles together, about: what their fits cost. Some 20 of 5,000 atoms. Each type's best is built whatever it costs."""
ROOM = 0.01
"""How far the zoom of a fit may lie from that of its lattice."""
A_CHOICE = 0.25
"""Complexity of ln(number of bodies of a type), of which the best few are built: at two nats a unit half a nat, as the mean over a whole list
with the power 2 takes off where one in so many fits (:mod:`deepstruc_hpc.solve.ranking.posterior`)."""
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
        symbol, decay = metal_of(measurement.sample), decay_of(measurement)
        if symbol is None or decay is None or not has_more_atoms(measurement, symbol, LISTED):
            return CandidateSet()
        return _Search(measurement, symbol, decay).best()


def sizes_of(decay: Decay, bond: float) -> tuple[int, int]:
    """Fewest and most atoms that a curve's decay allows; most are 15,000 where it shows no end."""
    low, high = SMALLER * decay.low / bond, LARGER * decay.high / bond
    return atoms_in_sphere("fcc", min(low, LARGEST / LARGER)), min(atoms_in_sphere("fcc", high), MOST_ATOMS)


class _Search:
    """The search for one curve."""

    def __init__(self, measurement: Measurement, symbol: str, decay: Decay) -> None:
        self.measurement, self.symbol = measurement, symbol
        self.bond, self.screen, self.shapes = nn_distance(symbol, "twelve"), LargeScreen(measurement), large_shapes()
        fewest, most = sizes_of(decay, self.bond)
        self.tried = (self.shapes.n_atoms >= fewest) & (self.shapes.n_atoms <= most)
        self.lattice = np.array([body.lattice for body in self.shapes.bodies])[self.shapes.body]
        self.shared = self._anchored(atoms_in_sphere("fcc", min(decay.best / self.bond, ANCHOR)))

    def best(self) -> CandidateSet:
        """The candidates, not fitted yet."""
        rw = self._rw(self.shared)
        self.shared |= self._widths_again(rw)
        rw = self._rw(self.shared)
        rw = np.where(self.shapes.n_atoms <= AS_LARGE * self.shapes.n_atoms[np.argmin(rw)], rw, np.inf)
        wanted = sorted(self._wanted(rw), key=lambda one: one.rw)
        return CandidateSet(tuple(map(self._candidate, _affordable(wanted))), counts={"large_screened": int(self.tried.sum())})

    def _rw(self, shared: Mapping[str, Widths]) -> NDArray[np.float64]:
        """(S,) of every particle at its lattice's bond length and widths; infinite for sizes that are not tried."""
        rw = np.full(len(self.shapes), np.inf)
        for lattice, widths in shared.items():
            ours = np.flatnonzero(self.tried & (self.lattice == lattice))
            rw[ours] = self.screen.rw(self.screen.curves(self.shapes.pairs[ours], widths))
        return rw

    def _anchored(self, n_atoms: int) -> dict[str, Widths]:
        """Bond length and widths of each lattice, as one particle of it is fitted."""
        bodies = {body.name: body for body in self.shapes.bodies}
        structures = [large_structure(bodies[name], n_atoms, self.symbol, self.bond) for name in _ANCHORS.values()]
        return dict(zip(_ANCHORS, self._fitted(structures, metal_zoom(self.measurement, self.symbol)), strict=True))

    def _widths_again(self, rw: NDArray[np.float64]) -> dict[str, Widths]:
        """The same by the best particle of each lattice that fits about as well as any: a particle of the wrong size has the wrong widths."""
        again = {}
        for lattice, widths in self.shared.items():
            ours = np.where(self.lattice == lattice, rw, np.inf)
            row = int(np.argmin(ours))
            if ours[row] <= CONTENDER * rw.min():
                structure = large_structure(self.shapes.bodies[self.shapes.body[row]], int(self.shapes.n_atoms[row]), self.symbol, self.bond)
                again[lattice] = self._fitted([structure], self._zoom(widths))[0]
        return again

    def _fitted(self, structures: list[Structure], zoom: tuple[float, float]) -> list[Widths]:
        measurement = self.measurement
        table = fit_candidates(
            structures,
            measurement.curve,
            rmin=measurement.rmin,
            rmax=measurement.rmax,
            bounds={"zoom": zoom},
            low_q=measurement.low_q,
            **measurement.instrument.model_dump(),
        )
        return [Widths(self.bond * float(z), float(u), float(d)) for z, u, d in zip(table.zoom, table.uiso, table.delta2, strict=True)]

    def _zoom(self, widths: Widths) -> tuple[float, float]:
        """Bounds of the zoom about a lattice's bond length."""
        zoom = widths.bond / self.bond
        return zoom * (1.0 - ROOM), zoom * (1.0 + ROOM)

    def _wanted(self, rw: NDArray[np.float64]) -> Iterator[_Wanted]:
        """Of each type the best bodies, each at the size where its Rw is lowest and at sizes beside it."""
        bodies = self.shapes.bodies
        kinds = np.array([body.structure_type for body in bodies])
        lowest = np.array([rw[self.shapes.body == number].min(initial=np.inf) for number in range(len(bodies))])
        for kind in dict.fromkeys(kinds.tolist()):
            members = np.flatnonzero((kinds == kind) & np.isfinite(lowest))
            contends = lowest[members].min(initial=np.inf) <= CONTENDER * lowest.min()
            for place in members[np.argsort(lowest[members], kind="stable")][: BODIES if contends else 1].tolist():
                rows = np.flatnonzero(self.shapes.body == place)
                count = int(self.shapes.n_atoms[rows[np.argmin(rw[rows])]])
                if not contends:
                    yield _Wanted(bodies[place], count, float(lowest[place]))
                    continue
                count, reached = self._finer(bodies[place], count)
                _, beside = bodies[place].nested(np.rint(count * np.exp(BESIDE)).astype(np.int64))
                yield from (_Wanted(bodies[place], one, reached) for one in (count, *np.unique(beside[beside != count]).tolist()))

    def _finer(self, body: LargeBody, n_atoms: int) -> tuple[int, float]:
        """The number of atoms about that of the list at which a body fits best, and its Rw."""
        counts, pairs = pairs_of(body, np.rint(n_atoms * np.exp(FINER)).astype(np.int64))
        rw = self.screen.rw(self.screen.curves(pairs, self.shared[body.lattice]))
        return int(counts[np.argmin(rw)]), float(rw.min())

    def _candidate(self, one: _Wanted) -> Candidate:
        choice = A_CHOICE * math.log(sum(body.structure_type == one.body.structure_type for body in self.shapes.bodies))
        return Candidate(
            large_structure(one.body, one.n_atoms, self.symbol, self.bond),
            "large",
            zoom=self._zoom(self.shared[one.body.lattice]),
            length=self.bond,
            atomic_volume=metal_atomic_volume(one.body.structure_type, self.bond),
            complexity=float(one.body.complexity) + choice,
            type_complexity=choice,
        )


def _affordable(wanted: list[_Wanted]) -> Iterator[_Wanted]:
    """The particles in order until their pairs are spent, and the first of each type."""
    seen: set[str] = set()
    spent = 0.0
    for one in wanted:
        spent += 0.5 * one.n_atoms**2
        if spent <= MOST_PAIRS or one.body.structure_type not in seen:
            seen.add(one.body.structure_type)
            yield one
