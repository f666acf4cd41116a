"""Samples that fit best, changed in their sites: cut at other sizes by the model's own order of sites, or occupied as the curve asks for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.model.layer_refinement import refine
from deepstruc_hpc.model.occupation_refinement import Filled, Fitted, Improved, improve_sites
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import A_PARAMETER
from deepstruc_hpc.solve.candidates.generator import MOST_OF_COMPOUND, Generator, SearchSpace, as_metal
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.moves import FEWEST_ATOMS, SIZES
from deepstruc_hpc.structures.lattice_strain import strained_lattice, strains_of
from deepstruc_hpc.structures.lattices import FAULTED
from deepstruc_hpc.structures.occupation import Occupation
from deepstruc_hpc.structures.random_shapes import without_dangling
from deepstruc_hpc.structures.template_lattices import TemplateLattice

SAMPLES_A_TYPE = 2
"""Best samples of a type that are refined; a limit of time."""
TYPES = 3
"""Types that are refined; a limit of time."""
CRYSTAL_SAMPLES, CRYSTAL_TYPES = 4, 2
"""The same of crystals. Their samples end in different minima more often; limits of time."""
HOPPED_ATOMS, MOST_HOPS = 6000, 60
"""Random changes after each fit of the best of them, times its atoms, and at most; limits of time: each takes as long as atoms squared."""
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
        template = _held(candidate).template
        if template.name not in space.names:
            continue
        order = space.site_order(np.array(candidate.latent), list(space.names).index(template.name))
        for size in SIZES:
            wanted = round(size * len(candidate.structure))
            if not FEWEST_ATOMS <= wanted < len(template):
                continue
            mask = np.zeros(len(template), dtype=bool)
            mask[order[:wanted]] = True
            mask = without_dangling(template, mask)
            if np.count_nonzero(mask) >= FEWEST_ATOMS:
                found.append(_on(template, mask, candidate, "next sites"))
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
        if odds_of(held.template.name) is not None:
            origins.append(candidate)
            starts.append(Filled(held.template, held.mask, candidate.structure, Fitted.of(row)))
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
        if end.template is not held.template or not np.array_equal(end.mask, held.mask):
            found.append(_on(end.template, end.mask, origins[number], "occupation refined"))
    return CandidateSet(tuple(found))


def refine_crystal_occupations(generator: Generator, candidates: CandidateSet, measurement: Measurement) -> CandidateSet:
    """The best samples of crystals with the sites and the strains that the curve asks for, beside what the generator says of the sites.

    The most probable of them goes on by random changes of a few sites: on crystals of several kinds of sites descents end early.

    Args:
        generator: whose samples they are; it decodes elements.
        candidates: fitted.
        measurement: the data.

    Returns:
        Candidates to fit.
    """
    starts = []
    for place in _best_samples(candidates, CRYSTAL_SAMPLES, CRYSTAL_TYPES):
        candidate = candidates.candidates[place]
        held = _held(candidate)
        if held.template.species:
            starts.append((candidate, Filled(held.template, held.mask, candidate.structure, Fitted.of(candidates.row(place)))))
    if not starts:
        return CandidateSet()
    elements, instrument = measurement.sample.elements, measurement.instrument
    odds_of = lru_cache(generator.site_odds(measurement.curve, symbol=elements[0], instrument=instrument, elements=elements))

    def refined(start: Filled, hops: int = 0) -> Improved:
        odds = odds_of(start.template.name)
        return improve_sites(start, measurement.data, instrument, log_odds=odds, most_atoms=MOST_OF_COMPOUND, low_q=measurement.low_q, hops=hops)

    ends = [(origin, refined(start)) for origin, start in starts]
    origin, best = min(ends, key=lambda end: end[1].objective)
    hops = int(np.clip(HOPPED_ATOMS / len(best.structure), 1, MOST_HOPS))
    found = (_on_crystal(end, of) for of, end in [*ends, (origin, refined(best, hops))])
    return CandidateSet(tuple(one for one in found if one.shows_its_crystal))


def _on_crystal(end: Improved, origin: Candidate) -> Candidate:
    """A refined sample as a candidate, on its lattice as it is strained."""
    held = _held(origin)
    template, strains = held.template, strains_of(held.template.name)
    template = strained_lattice(template, end.deformation) if len(strains) else template
    occupation = replace(held, template=template, mask=end.mask)
    of = origin.structure.structure_type if origin.crystal is None else origin.crystal.crystal.name
    structure = occupation.structure(f"{of} occupation refined on {template.name} {int(end.mask.sum())} atoms")
    price = A_PARAMETER * len(strains)
    return replace(
        origin, structure=structure, source="neighbour", latent=(), log_prior=0.0, complexity=price, type_complexity=price, occupation=occupation
    )


def _on(template: TemplateLattice, mask: NDArray[np.bool_], origin: Candidate, how: str) -> Candidate:
    """Another occupation of a sample's lattice."""
    held = _held(origin)
    structure = template.structure(mask, held.symbol, held.length, f"{held.symbol} {how} on {template.name} {int(mask.sum())} atoms")
    occupation = Occupation(template, mask, structure.structure_type, held.symbol, held.length)
    complexity = float(structure.structure_type in FAULTED)
    made = Candidate(structure, "neighbour", listed=False, complexity=complexity, occupation=occupation)
    return as_metal(made, held.symbol, held.length, origin.zoom)


def _held(candidate: Candidate) -> Occupation:
    if candidate.occupation is None:
        raise ValueError(f"{candidate.structure.label}: no occupation of a lattice is known.")
    return candidate.occupation


def _best_samples(candidates: CandidateSet, samples: int = SAMPLES_A_TYPE, types: int = TYPES) -> list[int]:
    """Places of the best few samples of the types that fit best."""
    chosen: dict[str, list[int]] = defaultdict(list)
    rw = candidates.rw
    for place in np.argsort(rw, kind="stable"):
        candidate = candidates.candidates[int(place)]
        if not np.isfinite(rw[place]) or candidate.occupation is None or not candidate.latent:
            continue
        kind = candidate.structure.structure_type
        if len(chosen[kind]) < samples and (chosen[kind] or sum(map(bool, chosen.values())) < types):
            chosen[kind].append(int(place))
    return [place for group in chosen.values() for place in group]
