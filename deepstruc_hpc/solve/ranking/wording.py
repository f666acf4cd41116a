"""What a person should read: types and sizes that the data do not resolve, and what a name means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepstruc_hpc.solve.config import RankSettings
from deepstruc_hpc.solve.ranking.ranking import Ranking
from deepstruc_hpc.structures.lattices import OUTLINES

MOST_NAMED = 2
"""Orderings that an alloy's phase names; where the data leave more, it says that the ordering is open."""
SAME = 0.1
"""Of the best fit's likelihood: a candidate that reaches it cannot be distinguished from the best."""
_PLACES = {"core_shell": "{inner} inside, {outer} outside", "segregated": "{outer} where neighbours are fewest"}
NINETY = 1.645
"""Standard deviations on either side that hold 90 % of a normal distribution."""

NEARLY = 1.1
"""Other phases with an Rw within this factor are named beside those of rank 1."""


def in_words(ranking: Ranking, settings: RankSettings, data_end: float = np.inf) -> str:
    """Sentences, joined by semicolons; empty where nothing is in doubt.

    Args:
        ranking: of all candidates.
        settings: which probabilities are worth a word.
        data_end: Å, where the curve ends; particles that are larger have no largest size.
    """
    types = ranking.types
    first, lattice = str(types["structure_type"].iloc[0]), str(types["lattice"].iloc[0])
    plausible = types["probability"].ge(settings.indistinguishable) & (types.index > 0)
    same = types["lattice"].eq(lattice)
    sentences = []
    alloy = bool(ranking.first.lattice)
    if first in OUTLINES:
        sentences.append("a truncated octahedron is an fcc crystal: the lattice is fcc, the outline octahedral")
    elif not alloy and types["structure_type"][plausible & same].isin(OUTLINES).any():
        sentences.append("the lattice is fcc; an octahedral outline (also an fcc crystal) fits about as well")
    orderings = types[plausible & same & ~types["structure_type"].isin({lattice, *OUTLINES})]
    rivals = types[plausible & ~same]
    means = types[plausible & same & types["structure_type"].isin({lattice, *OUTLINES})] if alloy else types.iloc[:0]
    if alloy and len(orderings) + len(means):
        named = [f"{row.structure_type} (Rw {row.best_rw:.3f})" for row in orderings.itertuples()]
        others = " or ".join([*named, *(["mean atoms (Rw {:.3f})".format(means["best_rw"].min())] if len(means) else [])])
        sentences.append(f"the lattice is {lattice}; the data cannot tell {first} (Rw {types['best_rw'].iloc[0]:.3f}) from {others} apart")
    sentences += _places_in_words(ranking)
    if len(rivals):
        others = " or ".join(f"{row.structure_type} (Rw {row.best_rw:.3f})" for row in rivals.itertuples())
        sentences.append(f"the data cannot tell {first} (Rw {types['best_rw'].iloc[0]:.3f}) from {others} apart")
    return "; ".join([*sentences, *_sizes_in_words(ranking, first, data_end)])


def orderings(ranking: Ranking, settings: RankSettings) -> list[str]:
    """Orderings of an alloy that the data leave, the likeliest first (``random``, ``L1_2`` …).

    None where mean atoms explain the data as well, and none of what is no alloy.
    """
    types = ranking.types
    left = types[types["lattice"].eq(types["lattice"].iloc[0]) & (types["probability"].ge(settings.indistinguishable) | (types.index == 0))]
    names = [str(kind).partition(" alloy on ")[0] if " alloy on " in str(kind) else "" for kind in left["structure_type"]]
    return names if all(names) else []


def named_orderings(left: Sequence[str]) -> tuple[str, ...]:
    """The orderings that an answer may name: one, or two of which none is random.

    Who tries many random draws and shares finds one that fits about as well as any order that hardly shows, so random beside others is no finding.
    """
    return tuple(left) if len(left) == 1 or (len(left) == MOST_NAMED and "random" not in left) else ()


def _places_in_words(ranking: Ranking) -> list[str]:
    """Which element of an alloy lies outside, on the other side, or on the sublattice; whether that shows."""
    first = ranking.first
    rule = first.decoration[1] if first.decoration is not None else None
    if rule is None or rule.ordering not in _PLACES or (rule.apart and len(rule.elements) > 2):
        return []
    ours = np.flatnonzero(ranking.candidates.types == first.kind)
    rules = {place: found[1] for place in ours if (found := ranking.candidates.candidates[place].decoration) is not None}
    if any(other.elements != rule.elements and ranking.alike[place] >= SAME for place, other in rules.items()):
        return [f"which of {', '.join(sorted(rule.elements))} lies outside does not show"]
    return [f"{first.structure.structure_type}: {_PLACES[rule.ordering].format(inner=', then '.join(rule.elements[:-1]), outer=rule.elements[-1])}"]


def _sizes_in_words(ranking: Ranking, name: str, data_end: float) -> list[str]:
    """The sizes that fit equally well: of crystals as diameters, of metal shapes as numbers of atoms; nothing for a crystal without an end."""
    first = ranking.first
    if first.crystal_fit is not None and (first.crystal_fit.bulk or first.diameter > data_end):  # what is said of the end of the data stands for it
        return []
    if first.diameter * float(ranking.candidates.zoom[0]) > data_end:
        return [f"within {name}, all diameters from {diameter_range(ranking)[0]:.0f} Å on fit equally well"]
    if first.cut is not None:
        low, high = diameter_range(ranking)
        return [f"within {name}, diameters from {low:.0f} to {high:.0f} Å fit equally well"] if round(low) < round(high) else []
    smallest, largest = size_range(ranking)
    return [f"within {name}, sizes from {smallest} to {largest} atoms fit equally well"] if smallest < largest else []


def phases_in_words(ranking: Ranking) -> str:
    """The phases of rank 1, what the best single one would reach, and other phases that fit about as well; empty where it is one phase."""
    first = ranking.first.phases
    if first is None:
        return ""
    candidates = ranking.candidates
    alone = [float(candidates.rw[place]) for place, one in enumerate(candidates) if one.phases is None]
    words = first.words(min(alone, default=np.inf))
    near = [(one.phases, float(candidates.rw[place])) for place, one in enumerate(candidates) if one.phases is not None and one.phases is not first]
    close = [f"{other.names()} (Rw {rw:.3f})" for other, rw in near if rw < NEARLY * first.fit.rw]
    return f"{words}; {' or '.join(close)} would fit about as well" if close else words


def size_range(ranking: Ranking, share: float = 0.9) -> tuple[int, int]:
    """Smallest and largest number of atoms of rank 1's type: the best candidates that hold the share of what the fits alone would give."""
    sizes = ranking.candidates.n_atoms[_alike(ranking, share)]
    return int(sizes.min()), int(sizes.max())


def diameter_range(ranking: Ranking, share: float = 0.9) -> tuple[float, float]:
    """The same for the diameter, Å, of the sphere with the particle's volume."""
    places = _alike(ranking, share)
    diameters: list[float] = []
    for place in places:
        candidate = ranking.candidates.candidates[place]
        middle = candidate.diameter * float(ranking.candidates.zoom[place])
        fit = candidate.crystal_fit
        spread = NINETY * fit.diameter_error if fit is not None and fit.diameter_error else 0.0
        diameters += [middle - spread, middle + spread]
    return min(diameters), max(diameters)


def _alike(ranking: Ranking, share: float) -> np.ndarray:
    """Places of the candidates of rank 1's type that together hold the share, best first."""
    ours = np.flatnonzero(ranking.candidates.types == ranking.first.kind)
    order = ours[np.argsort(-ranking.alike[ours], kind="stable")]
    weights = ranking.alike[order]
    return np.asarray(order[: int(np.searchsorted(np.cumsum(weights) / weights.sum(), share)) + 1])
