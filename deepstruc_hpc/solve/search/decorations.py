"""Alloys on the fly: the best metal shapes with the sample's own elements on their sites, in several orderings.

Metal shapes stand for the mean atom of an alloy. Here the best of each plausible lattice are decorated: random, ordered (L1_0, L1_2, B2), core–shell,
Janus and segregated, with the sample's composition where it is known. The ranking decides whether an ordering shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.local import MOST_TYPES, PLAUSIBLE, Scorer
from deepstruc_hpc.structures.decoration import decorate, vegard_distance
from deepstruc_hpc.structures.ordering import ORDERED, ORDERED_FRACTION, variants_of

SHAPES_A_LATTICE = 3
SEEDS = 2
"""Draws of a random alloy: they differ by less than the noise for all but the smallest particles."""
AXES = ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0))
SHARES = (0.25, 0.5, 0.75)
"""Of the second element, where nobody says the composition."""
ORDERED_WITHIN = 0.1
"""An ordered alloy is tried where its ideal share of the second element is within this of the sample's."""
STRAIN = 0.03
"""How far the zoom of a decorated shape may lie from that of the shape; elements on other sites move peaks a little."""


def decorations(candidates: CandidateSet, measurement: Measurement, scorer: Scorer) -> CandidateSet:
    """Decorated shapes, not fitted; none for a sample that is no alloy.

    Args:
        candidates: fitted.
        measurement: whose sample names the elements.
        scorer: of the ranking.
    """
    sample = measurement.sample
    if sample.kind != "alloy" or len(sample.elements) < 2:
        return CandidateSet()
    amounts = {symbol: sample.amounts[symbol] for symbol in sample.elements} if sample.stoichiometric else {}
    found = []
    for place in _best_shapes(candidates, scorer):
        origin, zoom = candidates.candidates[place], float(candidates.zoom[place])
        found += [_candidate(structure, origin, zoom) for structure in _decorated(origin.structure, sample.elements, amounts)]
    return CandidateSet(tuple(found))


def _best_shapes(candidates: CandidateSet, scorer: Scorer) -> list[int]:
    """Places of the best few one-element shapes of each plausible lattice."""
    one_element = np.array([len(candidate.structure.elements) == 1 and bool(candidate.length) for candidate in candidates], dtype=bool)
    usable = np.flatnonzero(one_element & np.isfinite(candidates.rw))
    if not len(usable):
        return []
    part = candidates.take(usable)
    score = scorer.score(part.rw, part.complexity, list(part.types))
    chosen: dict[str, list[int]] = defaultdict(list)
    for row in np.argsort(-score, kind="stable"):
        if score[row] < score.max() - PLAUSIBLE:
            break
        group = chosen[str(part.lattices[row])]
        if len(group) < SHAPES_A_LATTICE:
            group.append(int(usable[row]))
    return [place for group in list(chosen.values())[:MOST_TYPES] for place in group]


def _candidate(structure: Structure, origin: Candidate, zoom: float) -> Candidate:
    length = vegard_distance({symbol: structure.symbols.count(symbol) for symbol in structure.elements}, "twelve")
    middle = zoom * origin.length / length
    return Candidate(
        structure,
        "alloys",
        zoom=(middle * (1.0 - STRAIN), middle * (1.0 + STRAIN)),
        lattice=origin.on_lattice,
        length=length,
        atomic_volume=None if origin.atomic_volume is None else origin.atomic_volume * (length / origin.length) ** 3,
        complexity=origin.complexity,
    )


def _decorated(shape: Structure, elements: tuple[str, ...], amounts: Mapping[str, float]) -> Iterator[Structure]:
    """A shape in every ordering that suits it; of three and more elements, one is set apart and the others are mixed at random."""
    for ordering in ("random", *ORDERED, "core_shell", "janus", "segregated"):
        for second in elements if ordering in {"core_shell", "segregated", "L1_2"} or len(elements) > 2 else elements[-1:]:
            others = [symbol for symbol in elements if symbol != second]
            for share in _shares(ordering, second, amounts):
                for choice in _choices(ordering, shape.structure_type):
                    try:
                        made = decorate(shape, [others[0], second], ordering, fraction=share, radius_kind="twelve", **choice)
                    except StructureError:
                        continue
                    yield _mixed(made, others, amounts, second) if len(others) > 1 else made


def _shares(ordering: str, second: str, amounts: Mapping[str, float]) -> tuple[float, ...]:
    if not amounts:
        return (ORDERED_FRACTION[ordering],) if ordering in ORDERED else SHARES
    share = amounts[second] / sum(amounts.values())
    if ordering in ORDERED:
        return (share,) if abs(share - ORDERED_FRACTION[ordering]) <= ORDERED_WITHIN else ()
    return (share,)


def _choices(ordering: str, structure_type: str) -> list[dict[str, Any]]:
    if ordering in ORDERED:
        return [{"variant": variant} for variant in variants_of(ordering, structure_type)]
    if ordering == "random":
        return [{"seed": seed} for seed in range(SEEDS)]
    return [{"axis": axis} for axis in AXES] if ordering == "janus" else [{}]


def _mixed(made: Structure, others: list[str], amounts: Mapping[str, float], second: str) -> Structure:
    """The sites of the first element shared among all but the second, at random."""
    sites = np.flatnonzero(np.array(made.symbols) != second)
    weight = np.array([amounts.get(symbol, 1.0) for symbol in others])
    counts = np.floor(np.cumsum(weight) / weight.sum() * len(sites) + 0.5).astype(int)
    order = np.random.default_rng(len(made)).permutation(sites)
    symbols = np.array(made.symbols, dtype=object)
    for symbol, part in zip(others, np.split(order, counts[:-1]), strict=True):
        symbols[part] = symbol
    return replace(made, symbols=tuple(symbols.tolist()))
