"""How much of each element an alloy holds, and whether the data say it.

A curve's scale is free, so a composition shows in two ways only: in the nearest-neighbour distance by Vegard's law, as far as the metals differ in
size, and in an ordering, as far as they differ in scattering (how thick a shell is; which superlattice). p(composition) is Vegard's weight, times
what the fits of an ordering say where the data tell it from all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.ranking import Ranking
from deepstruc_hpc.structures.decoration import vegard_distance
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.vegard import simplex, spread_of, vegard_log_weight

OPEN_ABOVE = 0.15
"""Standard deviation of a share, above which a composition is said to be open."""
DOUBT = 3.0
"""Standard deviations from Vegard's law of a composition that was given, from which it is doubted."""
_STEPS = {2: 50, 3: 20}
"""Parts of the whole in which shares are tried, for two and three elements: steps of 2 and 5 %; in ten parts for more."""
_KERNEL = 0.05
"""Shares that a search tries are about so far apart: between them the fits are taken to change smoothly."""
NO_ORDER = frozenset({"random"})
"""A draw of a random alloy fits the better the more it is like mean atoms, that is the less there is of one element: it says nothing of shares."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlloyComposition:
    """Shares of the elements of an alloy.

    Attributes:
        shares: element → share of the atoms; where it is open the mean of what is possible.
        errors: element → standard deviation; empty where the shares were given.
        given: somebody said it.
        open: the data do not say it.
        words: for people; empty where there is nothing to say.
        doubtful: it was given, and the distance is another composition's.
    """

    shares: Mapping[str, float]
    errors: Mapping[str, float]
    given: bool
    open: bool
    words: str
    doubtful: bool = False

    @property
    def formula(self) -> str:
        """``Au0.4Cu0.6``; the elements joined by hyphens where it is open."""
        if self.open:
            return "-".join(self.shares)
        return "".join(f"{symbol}{share:.2g}" for symbol, share in self.shares.items())

    def details(self) -> dict[str, Any]:
        """For result.json."""
        rounded = {name: {symbol: round(value, 3) for symbol, value in getattr(self, name).items()} for name in ("shares", "errors")}
        return {**rounded, "given": self.given, "open": self.open}


def alloy_composition(ranking: Ranking, measurement: Measurement, ordering: str | None = None) -> AlloyComposition | None:
    """Of rank 1; None for a sample that is no alloy, or whose elements have no radii.

    Args:
        ranking: of all candidates.
        measurement: whose sample names the elements.
        ordering: the one ordering that the data tell from all others; beside others, fits say nothing of the composition.
    """
    sample, first = measurement.sample, ranking.first
    if sample.kind != "alloy" or len(sample.elements) < 2 or not first.length:
        return None
    elements = tuple(sorted(sample.elements))
    distance = float(ranking.candidates.zoom[0]) * first.length
    try:
        if sample.stoichiometric:
            return _given({symbol: sample.amounts[symbol] for symbol in elements}, distance, first.on_lattice)
        return _found(ranking, elements, distance, ordering)
    except StructureError:
        return None


def _given(amounts: Mapping[str, float], distance: float, lattice: str) -> AlloyComposition:
    """The composition that was given, held against the distance."""
    total = sum(amounts.values())
    shares = {symbol: amount / total for symbol, amount in amounts.items()}
    away = distance / vegard_distance(shares, "twelve") - 1.0
    doubtful = abs(away) > DOUBT * spread_of(lattice)
    words = ""
    if doubtful:
        grid = np.concatenate([simplex(len(amounts), _STEPS.get(len(amounts), 10)), np.eye(len(amounts))])
        likely = grid[int(np.argmax(vegard_log_weight(grid, tuple(amounts), distance, lattice)))]
        suits = "".join(symbol if share == 1.0 else f"{symbol}{share:.2g}" for symbol, share in zip(amounts, likely, strict=True) if share > 0)
        words = (
            f"warning: nearest neighbours are {100 * abs(away):.0f} % {'farther' if away > 0 else 'nearer'} than Vegard's law says of the "
            f"composition given; {suits} would be nearest: is the composition right?"
        )
    return AlloyComposition(shares, {}, given=True, open=False, words=words, doubtful=doubtful)


def _found(ranking: Ranking, elements: tuple[str, ...], distance: float, ordering: str | None) -> AlloyComposition:
    """What distance and orderings say together."""
    grid = simplex(len(elements), _STEPS.get(len(elements), 10))
    lattice = ranking.first.on_lattice
    vegard = vegard_log_weight(grid, elements, distance, lattice)
    ordered = ordering is not None and ordering not in NO_ORDER
    if ordered:
        places = np.flatnonzero(ranking.candidates.types == f"{ordering} alloy on {lattice}")
        vegard = vegard + _profile([ranking.candidates.candidates[place] for place in places], ranking.alike[places], elements, grid)
    total = np.exp(vegard - vegard.max())
    total /= total.sum()
    mean = total @ grid
    errors = np.sqrt(total @ (grid - mean) ** 2)
    shares = dict(zip(elements, mean.tolist(), strict=True))
    opened = bool(errors.max() > OPEN_ABOVE)
    lengths = ", ".join(f"{nn_distance(symbol, 'twelve'):.2f} Å in {symbol}" for symbol in elements)
    spread = 100 * spread_of(lattice)
    if opened:
        words = (
            f"the composition is open: nearest neighbours are {lengths}, here {distance:.2f} Å, and Vegard's law holds to {spread:.1f} %; "
            "give --composition"
        )
    else:
        source = "nearest-neighbour distance and ordering" if ordered else "nearest-neighbour distance"
        about = "".join(f"{symbol}{share:.2g}" for symbol, share in shares.items())
        words = f"composition about {about} (±{max(errors.max(), 0.01):.2f}), from the {source} ({distance:.2f} Å; {lengths}; Vegard's law)"
    return AlloyComposition(shares, dict(zip(elements, errors.tolist(), strict=True)), given=False, open=opened, words=words)


def _profile(candidates: Sequence[Candidate], alike: Floats, elements: tuple[str, ...], grid: Floats) -> Floats:
    """(P,) ln of how well the candidates of one ordering fit at each composition, smoothed."""
    counts = np.array([[one.structure.symbols.count(symbol) for symbol in elements] for one in candidates], dtype=np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True)
    away = ((grid[:, None, :] - shares[None]) ** 2).mean(axis=2) / _KERNEL**2
    return np.asarray((np.log(np.maximum(alike, 1e-30))[None] - 0.5 * away).max(axis=1))
