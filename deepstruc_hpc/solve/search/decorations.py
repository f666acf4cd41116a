"""Alloys on the fly: the best metal shapes with the sample's own elements on their sites, in several orderings.

Metal shapes stand for the mean atom of an alloy. Here the best of each plausible lattice are decorated: random, ordered (L1_0, L1_2, B2), core–shell,
Janus and segregated, with the sample's composition where it is known, else with those that the fitted distance allows
(:mod:`~deepstruc_hpc.structures.vegard`). Mean atoms fit a wrong shape to a particle with a heavy core or a heavy side: too small, or on one side.
So orderings are then tried on other shapes and sizes: :mod:`~deepstruc_hpc.solve.search.rearranged`. The ranking decides what shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.local import MOST_TYPES, PLAUSIBLE, Scorer
from deepstruc_hpc.structures.decoration import Rule, vegard_distance
from deepstruc_hpc.structures.ordering import ORDERED, ORDERED_FRACTION, variants_of
from deepstruc_hpc.structures.vegard import compositions_near, vegard_log_weight

SHAPES_A_LATTICE = 3
"""Best shapes of a lattice that get elements; a limit of time."""
SEEDS = 2
"""Draws of a random alloy: they differ by less than the noise for all but the smallest particles."""
AXES = ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0))
"""Directions of the border between two sides, those of low indices."""
ORDERED_WITHIN = 0.1
"""An ordered alloy is tried where its ideal share of the second element is within this of the sample's."""
ALLOWED = -4.5
"""ln of Vegard's weight above which an ordered alloy is tried where nobody says the composition: three standard deviations."""
MOST_DECORATED = 3000
"""Atoms of the largest shape that is decorated. On a larger one an order shows as it does in a crystal, and each of some forty decorations costs as
much as all other candidates together; what lies at the surface hardly counts."""
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
    elements = tuple(sorted(sample.elements))  # the order in which somebody names them means nothing
    found = []
    for place in best_shapes(candidates, scorer):
        origin, zoom = candidates.candidates[place], float(candidates.zoom[place])
        try:
            shares = shares_of(measurement, elements, zoom * origin.length, origin.on_lattice)
            ordered_too = [
                rule
                for rule in _rules(elements, shares, origin.structure.structure_type, stoichiometric=sample.stoichiometric)
                if sample.stoichiometric or _allowed(rule, zoom * origin.length, origin.on_lattice)
            ]
        except StructureError:  # an element without a radius
            continue
        found += [made for rule in ordered_too if (made := decorated(origin, origin.structure, rule, zoom)) is not None]
    return CandidateSet(tuple(found))


def shares_of(measurement: Measurement, elements: Sequence[str], distance: float, lattice: str) -> list[tuple[float, ...]]:
    """Compositions to try: the sample's own where somebody says it, else those that a distance (Å) allows.

    Raises:
        StructureError: nobody says it, and an element has no metallic radius.
    """
    sample = measurement.sample
    if sample.stoichiometric:
        total = sum(sample.amounts[symbol] for symbol in elements)
        return [tuple(sample.amounts[symbol] / total for symbol in elements)]
    return [tuple(row.tolist()) for row in compositions_near(elements, distance, lattice)]


def decorated(origin: Candidate, shape: Structure, rule: Rule, zoom: float, *, listed: bool = True) -> Candidate | None:
    """A shape with a rule's elements on its sites, about as large as its origin was fitted; None where the rule does not suit the shape.

    Args:
        origin: a metal shape, or an alloy of one.
        shape: one-element sites, of the origin's lattice.
        rule: of the elements.
        zoom: of the origin's fit.
        listed: False for what a search found.
    """
    try:
        structure = rule.on(shape)
    except StructureError:
        return None
    length = vegard_distance({symbol: structure.symbols.count(symbol) for symbol in structure.elements}, "twelve")
    middle = zoom * origin.length / length
    return Candidate(
        structure,
        "alloys",
        zoom=(middle * (1.0 - STRAIN), middle * (1.0 + STRAIN)),
        listed=listed,
        lattice=origin.on_lattice,
        length=length,
        atomic_volume=None if origin.atomic_volume is None else origin.atomic_volume * (length / origin.length) ** 3,
        complexity=origin.complexity,
        decoration=(shape, rule),
    )


def best_shapes(candidates: CandidateSet, scorer: Scorer) -> list[int]:
    """Places of the best few one-element shapes of each plausible lattice, none of more than 3,000 atoms."""
    one_element = np.array(
        [len(one.structure.elements) == 1 and bool(one.length) and len(one.structure) <= MOST_DECORATED for one in candidates], dtype=bool
    )
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


def _allowed(rule: Rule, distance: float, lattice: str) -> bool:
    """Whether a distance allows the composition of an ordered alloy."""
    return rule.ordering not in ORDERED or float(vegard_log_weight(np.array([rule.shares]), rule.elements, distance, lattice)[0]) > ALLOWED


def _rules(elements: tuple[str, ...], shares: list[tuple[float, ...]], structure_type: str, *, stoichiometric: bool) -> Iterator[Rule]:
    """Every ordering that suits a structure type, the same for every order in which the elements are named."""
    for share in shares:
        amounts = dict(zip(elements, share, strict=True))
        yield from (Rule("random", elements, share, seed=seed) for seed in range(SEEDS))
        for order in permutations(elements):
            inner_first = order, tuple(amounts[symbol] for symbol in order)
            yield Rule("core_shell", *inner_first)
            yield Rule("segregated", *inner_first)
            if order < order[::-1]:
                yield from (Rule("janus", *inner_first, axis=axis) for axis in AXES)
        if len(elements) > 2:
            yield from (Rule(ordering, *_last(amounts, symbol), apart=True) for symbol in elements for ordering in ("core_shell", "segregated"))
            yield from (Rule("janus", *_last(amounts, symbol), apart=True, axis=axis) for symbol in elements for axis in AXES)
    yield from _ordered(elements, shares, structure_type, stoichiometric=stoichiometric)


def _ordered(elements: tuple[str, ...], shares: list[tuple[float, ...]], structure_type: str, *, stoichiometric: bool) -> Iterator[Rule]:
    for ordering in ORDERED:
        ideal = ORDERED_FRACTION[ordering]
        for symbol in elements if ordering == "L1_2" or len(elements) > 2 else elements[-1:]:
            amounts = dict(zip(elements, shares[0], strict=True)) if stoichiometric else dict.fromkeys(elements, 1.0)
            if stoichiometric and abs(amounts[symbol] - ideal) > ORDERED_WITHIN:
                continue
            others = sum(amounts[one] for one in elements if one != symbol)
            order, _ = _last(amounts, symbol)
            share = (*((1.0 - ideal) * amounts[one] / others for one in order[:-1]), ideal)
            yield from (Rule(ordering, order, share, apart=True, variant=variant) for variant in variants_of(ordering, structure_type))


def _last(amounts: dict[str, float], symbol: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The elements with one of them last, and their shares."""
    order = (*(one for one in amounts if one != symbol), symbol)
    return order, tuple(amounts[one] for one in order)
