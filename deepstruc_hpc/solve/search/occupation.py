"""Samples that fit best, changed in their sites: cut at other sizes by the model's own order of sites, or occupied as the curve asks for."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.model.layer_refinement import refine
from deepstruc_hpc.model.occupation_refinement import Filled, Fitted
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.generator import Generator, SearchSpace, as_metal
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.moves import FEWEST_ATOMS, SIZES
from deepstruc_hpc.structures.lattices import FAULTED
from deepstruc_hpc.structures.occupation import Occupation
from deepstruc_hpc.structures.parents import Parent
from deepstruc_hpc.structures.random_shapes import without_dangling

SAMPLES_A_TYPE = 2
"""Best samples of a type that are refined; a limit of time."""
TYPES = 3
"""Types that are refined; a limit of time."""
LAYERED = 1
"""Refined samples that are changed by whole layers, by one change in a row; a limit of time, since the local search follows."""
LAYERED_KINDS = frozenset({"hcp", "stacking_fault"})
"""Types of which this is tried; a limit of time: fcc has layers in four directions, and the local search puts faults into it."""


def other_sizes(space: SearchSpace, candidates: CandidateSet) -> CandidateSet:
    """Nested families of the best samples: their latent points' sites in order of probability, cut at other numbers of atoms.

    Args:
        space: of the generator for this curve.
        candidates: fitted.

    Returns:
        Candidates to fit.
    """
    found = []
    for place in _best_samples(candidates):
        candidate = candidates.candidates[place]
        lattice = _held(candidate).lattice
        if lattice.name not in space.names:
            continue
        order = space.site_order(np.array(candidate.latent), list(space.names).index(lattice.name))
        for size in SIZES:
            wanted = round(size * len(candidate.structure))
            if not FEWEST_ATOMS <= wanted < len(lattice):
                continue
            mask = np.zeros(len(lattice), dtype=bool)
            mask[order[:wanted]] = True
            mask = without_dangling(lattice, mask)
            if np.count_nonzero(mask) >= FEWEST_ATOMS:
                found.append(_on(lattice, mask, candidate, "next sites"))
    return CandidateSet(tuple(found))


def refine_occupations(generator: Generator, space: SearchSpace, candidates: CandidateSet, measurement: Measurement, *, symbol: str) -> CandidateSet:
    """The best samples with the sites that the curve asks for, beside what the model says of them.

    Here all independent points of the curve count, so that enough is tried; the ranking, which counts fewer, decides whether it was worth it.

    Args:
        generator: whose samples they are.
        space: its search space for this curve.
        candidates: fitted.
        measurement: the data.
        symbol: metal.

    Returns:
        Candidates to fit.
    """
    odds_of = lru_cache(generator.site_odds(measurement.curve, symbol=symbol, instrument=measurement.instrument))
    origins, starts = [], []
    for place in _best_samples(candidates):
        candidate, row = candidates.candidates[place], candidates.row(place)
        held = _held(candidate)
        if odds_of(held.lattice.name) is not None:
            origins.append(candidate)
            starts.append(Filled(held.lattice, held.mask, candidate.structure, Fitted.of(row)))
    ends = refine(
        starts,
        measurement.data,
        measurement.instrument,
        odds_of=odds_of,
        most_atoms=space.most_atoms,
        low_q=measurement.low_q,
        layered=LAYERED,
        depth=1,
        tries=1,
        kinds=LAYERED_KINDS,
    )
    found = []
    for number, end in ends:
        held = _held(origins[number])
        if end.parent is not held.lattice or not np.array_equal(end.mask, held.mask):
            found.append(_on(end.parent, end.mask, origins[number], "occupation refined"))
    return CandidateSet(tuple(found))


def _on(lattice: Parent, mask: NDArray[np.bool_], origin: Candidate, how: str) -> Candidate:
    """Another occupation of a sample's lattice."""
    held = _held(origin)
    structure = lattice.structure(mask, held.symbol, held.length, f"{held.symbol} {how} on {lattice.name} {int(mask.sum())} atoms")
    occupation = Occupation(lattice, mask, structure.structure_type, held.symbol, held.length)
    complexity = float(structure.structure_type in FAULTED)
    made = Candidate(structure, "neighbour", listed=False, complexity=complexity, occupation=occupation)
    return as_metal(made, held.symbol, held.length, origin.zoom)


def _held(candidate: Candidate) -> Occupation:
    if candidate.occupation is None:
        raise ValueError(f"{candidate.structure.label}: no occupation of a lattice is known.")
    return candidate.occupation


def _best_samples(candidates: CandidateSet) -> list[int]:
    """Places of the best few samples of the types that fit best."""
    chosen: dict[str, list[int]] = defaultdict(list)
    rw = candidates.rw
    for place in np.argsort(rw, kind="stable"):
        candidate = candidates.candidates[int(place)]
        if not np.isfinite(rw[place]) or candidate.occupation is None or not candidate.latent:
            continue
        kind = candidate.structure.structure_type
        if len(chosen[kind]) < SAMPLES_A_TYPE and (chosen[kind] or sum(map(bool, chosen.values())) < TYPES):
            chosen[kind].append(int(place))
    return [place for group in chosen.values() for place in group]
