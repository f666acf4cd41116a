"""A candidate, and the immutable set of candidates that every step of solving takes and gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.structures.fingerprint import fingerprint
from deepstruc_hpc.structures.lattices import lattice_of

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.physics.crystal_fit import CrystalFit
    from deepstruc_hpc.solve.candidates.phase_set import PhaseSet
    from deepstruc_hpc.structures.decoration import Rule
    from deepstruc_hpc.structures.occupation import Occupation
    from deepstruc_hpc.structures.particle_cut import ParticleCut
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

Floats = NDArray[np.float64]
FEWEST_OF_CRYSTAL = 20
"""Atoms of the smallest particle that the model of compounds was trained on (recipe ``random_compounds``). Fewer are a polyhedron of anions or two,
which many crystal types have."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A structure to fit, and where it comes from.

    Attributes:
        structure: Å, at its own scale: a metal shape at the metal's nearest-neighbour distance, a crystal's cut at the crystal's cell, a molecule
            as it is.
        source: ``cvae``, ``catalog``, ``crystals``, ``structures``, ``neighbour`` (found by a search), or a user's.
        zoom: lowest and highest expansion of the structure that a fit may try.
        listed: it is an entry of a list; False for what was sampled or found by a search.
        lattice: of an alloy, whose type names an ordering; empty where the type says it.
        length: Å, the unit of its own scale (nearest-neighbour distance, shortest bond of a crystal); 0 where it has none.
        atomic_volume: Å³ an atom takes at its own scale; None where it is not known.
        catalog_id: of the catalog's entry that has this shape, else empty.
        latent: the latent point it was decoded from, else empty.
        log_prior: ln of the model's prior density at the latent point.
        complexity: faults and defects that a perfect convex crystal or multiply twinned particle does not have.
        type_complexity: the part of it that belongs to a crystal type: lengths and positions that were refined beyond those of the simplest.
        occupation: which sites of a template lattice it holds, where that is known.
        crystal: the crystal type that it was cut from, where that was found from elements alone.
        crystal_fit: for a crystal × sphere, whose structure is but a piece of it: the fit that it came with.
        phases: several crystals × spheres together, of which this is the main one; ``crystal_fit`` then holds the curve of all.
        cut: how it was cut from a crystal, where it was; where its sites were changed afterwards, ``occupation`` holds them.
        decoration: of an alloy that was made here: the shape of one element, and the rule that put the elements on its sites.
        size_spread: relative standard deviation of the diameters that it stands for; 0 for one size.
    """

    structure: Structure
    source: str
    zoom: tuple[float, float] = (0.9, 1.1)
    listed: bool = True
    lattice: str = ""
    length: float = 0.0
    atomic_volume: float | None = None
    catalog_id: str = ""
    latent: tuple[float, ...] = ()
    log_prior: float = 0.0
    complexity: float = 0.0
    type_complexity: float = 0.0
    occupation: Occupation | None = None
    cut: ParticleCut | None = None
    crystal: CrystalCandidate | None = None
    crystal_fit: CrystalFit | None = None
    decoration: tuple[Structure, Rule] | None = None
    size_spread: float = 0.0
    phases: PhaseSet | None = None

    @cached_property
    def invariants(self) -> tuple[object, ...]:
        """What is equal for structures equal up to rotation, reflection, order and size; most others differ in it."""
        from deepstruc_hpc.structures.kernels import moment_ratios

        if self.crystal_fit is not None:
            return ("crystal", self.crystal_fit.candidate.crystal.name, self.crystal_fit.rw)
        quartic, second = moment_ratios(self.structure.positions)
        return len(self.structure), self.structure.elements, round(quartic, 4), round(second, 4)

    @cached_property
    def fingerprint(self) -> str:
        """The same for structures equal up to rotation, reflection, order and size, and for no others."""
        mark = fingerprint(self.structure, scale_free=True)
        return mark if self.crystal_fit is None else f"crystal {self.crystal_fit.candidate.crystal.name} {mark}"

    @property
    def kind(self) -> str:
        """The structure type by which candidates are compared: ``fcc``, ``rutile``, ``random alloy on fcc``."""
        return f"{self.structure.structure_type} on {self.lattice}" if self.lattice else self.structure.structure_type

    @property
    def on_lattice(self) -> str:
        """The lattice: fcc for every outline of it, an alloy's for every ordering, the type itself for all others."""
        return self.lattice or lattice_of(self.structure.structure_type)

    @property
    def shows_its_crystal(self) -> bool:
        """Whether it has atoms enough to be told from a piece of another crystal; False for less than :data:`FEWEST_OF_CRYSTAL` of a compound."""
        return self.crystal is None or self.crystal_fit is not None or len(self.structure) >= FEWEST_OF_CRYSTAL

    @property
    def extent(self) -> float:
        """Å, the largest distance between two of its atoms, at its own scale; of a crystal × sphere its diameter."""
        return largest_distance(self.structure) if self.crystal_fit is None else self.diameter

    @property
    def n_atoms(self) -> int | None:
        """Atoms of the particle; None for a crystal whose end the curve does not show."""
        if self.crystal_fit is None:
            return len(self.structure)
        if self.crystal_fit.diameter is None or not self.atomic_volume:
            return None
        return round(np.pi / 6.0 * self.crystal_fit.diameter**3 / self.atomic_volume)

    @property
    def diameter(self) -> float:
        """Å, of the sphere with the particle's volume, at the candidate's own scale; for a crystal without an end what it is at least.

        The volume is atoms times atomic volume; where that is not known it is that of the homogeneous sphere with the same radius of gyration.
        """
        if self.crystal_fit is not None:
            return self.crystal_fit.diameter or self.crystal_fit.at_least
        if self.atomic_volume is not None:
            return float(2.0 * np.cbrt(3.0 * len(self.structure) * self.atomic_volume / (4.0 * np.pi)))
        x = self.structure.positions - self.structure.positions.mean(axis=0)
        return float(2.0 * np.sqrt(5.0 / 3.0 * np.mean((x**2).sum(axis=1))))


@dataclass(frozen=True, eq=False)
class Belief:
    """What a generator says before anything is fitted.

    Attributes:
        types: probability of each structure type for this curve.
        mean, std: (D,) each, the generator's prior over its latent space.
    """

    types: Mapping[str, float]
    mean: Floats
    std: Floats


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates in an order, with their fits once they were fitted. Adding, choosing and sorting give a new set.

    Attributes:
        candidates: C of them.
        fits: C rows, or None before the fit.
        belief: of a generator, or None.
        counts: how many were listed, sampled, dropped and why.
        seconds: what each source took to propose them.
        notes: what a person should know, one sentence each.
        largest: most atoms of a particle that a search fitted, by lattice, whether it was kept or not.
    """

    candidates: tuple[Candidate, ...] = ()
    fits: FitTable | None = None
    belief: Belief | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    largest: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def take(self, rows: Iterable[int] | NDArray[np.intp] | NDArray[np.bool_]) -> CandidateSet:
        """Some of the candidates, in the order given; a boolean array keeps those where it is true."""
        chosen = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.intp)
        fits = None if self.fits is None else self.fits.take(index)
        return replace(self, candidates=tuple(self.candidates[place] for place in index), fits=fits)

    def joined(self, other: CandidateSet) -> CandidateSet:
        """The candidates of both sets; either both are fitted or neither. An empty set may be joined to any."""
        if len(self) and len(other) and (self.fits is None) != (other.fits is None):
            raise ValueError("one set is fitted and the other is not: fit before joining.")
        tables = [one.fits for one in (self, other) if one.fits is not None and len(one)]
        return CandidateSet(
            candidates=(*self.candidates, *other.candidates),
            fits=FitTable.concatenated(tables) if tables else None,
            belief=self.belief or other.belief,
            counts={**self.counts, **{name: self.counts.get(name, 0) + value for name, value in other.counts.items()}},
            seconds={**self.seconds, **other.seconds},
            notes=tuple(dict.fromkeys([*self.notes, *other.notes])),
            largest={**self.largest, **{name: max(self.largest.get(name, 0), count) for name, count in other.largest.items()}},
        )

    def with_fits(self, fits: FitTable) -> CandidateSet:
        """The same candidates with a row of a fit each."""
        return replace(self, fits=fits)

    def with_notes(self, *notes: str) -> CandidateSet:
        """The same set with further notes."""
        return replace(self, notes=tuple(dict.fromkeys([*self.notes, *notes])))

    def counted(self, **counts: int) -> CandidateSet:
        """The same set with further counts."""
        return replace(self, counts={**self.counts, **counts})

    def distinct(self) -> CandidateSet:
        """Without candidates equal up to rotation, reflection, order and size. If a sample equals a listed shape, the candidate records both origins.

        Only candidates that share cheap invariants are compared by fingerprint. For a set that is not fitted.
        """
        groups: dict[tuple[object, ...], list[Candidate]] = {}
        for candidate in self.candidates:
            groups.setdefault(candidate.invariants, []).append(candidate)
        kept: list[Candidate] = []
        for group in groups.values():
            different: dict[str, Candidate] = {}
            for candidate in group:
                mark = candidate.fingerprint if len(group) > 1 else ""
                different[mark] = _merged(different[mark], candidate) if mark in different else candidate
            kept += different.values()
        return replace(self, candidates=tuple(kept), fits=None)

    def new_beside(self, known: CandidateSet) -> CandidateSet:
        """Those whose shape the other set does not hold, each shape once."""
        possible = {candidate.invariants for candidate in self.candidates}
        seen = {candidate.fingerprint for candidate in known.candidates if candidate.invariants in possible}
        fresh = []
        for place, candidate in enumerate(self.candidates):
            if candidate.fingerprint not in seen:
                seen.add(candidate.fingerprint)
                fresh.append(place)
        return self.take(fresh)

    def fitted(self) -> CandidateSet:
        """Those whose fit gave a finite Rw."""
        return self.take(np.isfinite(self.rw))

    def ordered(self) -> CandidateSet:
        """From the lowest Rw to the highest; those that could not be fitted last."""
        return self.take(np.argsort(self.rw, kind="stable"))

    def row(self, place: int) -> dict[str, Any]:
        """The fit of one candidate: ``rw``, ``scale``, ``zoom``, ``uiso``, ``delta2`` and what else the table holds."""
        return self._fits.row(place)

    @property
    def _fits(self) -> FitTable:
        if self.fits is None:
            raise ValueError("the candidates are not fitted yet.")
        return self.fits

    @property
    def rw(self) -> Floats:
        """(C,) of each fit; infinite where there is none."""
        return self._fits.rw

    @property
    def zoom(self) -> Floats:
        """(C,) expansion of each candidate in its fit."""
        return self._fits.zoom

    @cached_property
    def types(self) -> NDArray[np.str_]:
        """(C,) structure type of each candidate; an alloy's names its ordering and its lattice."""
        return np.array([candidate.kind for candidate in self.candidates], dtype=str)

    @cached_property
    def lattices(self) -> NDArray[np.str_]:
        """(C,) lattice of each candidate: fcc for every outline of it, the lattice of an alloy for every ordering."""
        return np.array([candidate.on_lattice for candidate in self.candidates], dtype=str)

    @cached_property
    def n_atoms(self) -> NDArray[np.int64]:
        """(C,) of each candidate; of a crystal without an end those of the smallest sphere that it may be."""
        return np.array([_atoms(candidate) for candidate in self.candidates], dtype=np.int64)

    @cached_property
    def complexity(self) -> Floats:
        """(C,)."""
        return np.array([candidate.complexity for candidate in self.candidates], dtype=np.float64)

    @cached_property
    def listed(self) -> NDArray[np.bool_]:
        """(C,) whether each is an entry of a list."""
        return np.array([candidate.listed for candidate in self.candidates], dtype=bool)

    @property
    def best(self) -> int:
        """Place of the lowest Rw."""
        return int(np.argmin(self.rw))

    @property
    def extent(self) -> float:
        """Å, the largest distance between two atoms of the candidate that fits best, at its own scale."""
        return self.candidates[self.best].extent

    def refined_structure(self, place: int) -> Structure:
        """A candidate as refined: expanded by the fitted zoom and centred, Å."""
        return self.candidates[place].structure.scaled(float(self.zoom[place])).centred()

    def frame(self) -> pd.DataFrame:
        """One row a candidate: what it is, and its fit."""
        import pandas as pd

        described = {
            "source": [candidate.source for candidate in self.candidates],
            "structure_type": [candidate.structure.structure_type for candidate in self.candidates],
            "n_atoms": pd.array([candidate.n_atoms for candidate in self.candidates], dtype="Int64"),
            "formula": [candidate.structure.formula for candidate in self.candidates],
            "label": [candidate.structure.label for candidate in self.candidates],
            "catalog_id": [candidate.catalog_id for candidate in self.candidates],
            "latent": [" ".join(f"{value:.4g}" for value in candidate.latent) for candidate in self.candidates],
            "complexity": self.complexity,
        }
        return pd.concat([pd.DataFrame(described), self._fits.to_frame()], axis=1)


def _atoms(candidate: Candidate) -> int:
    if candidate.n_atoms is not None:
        return candidate.n_atoms
    return round(np.pi / 6.0 * candidate.diameter**3 / (candidate.atomic_volume or 15.0))


def largest_distance(structure: Structure) -> float:
    """Largest distance between two atoms, Å (within 1 % for particles: twice the largest distance from the centroid at most)."""
    radii = np.linalg.norm(structure.positions - structure.positions.mean(axis=0), axis=1)
    return float(2.0 * radii.max()) if len(radii) else 0.0


def _merged(first: Candidate, second: Candidate) -> Candidate:
    """Two candidates of one shape: the sample's latent point, the list's id, type and complexity."""
    if first.listed == second.listed:
        return first
    sample, entry = (second, first) if first.listed else (first, second)
    return replace(entry, source=sample.source, latent=sample.latent, log_prior=sample.log_prior)
