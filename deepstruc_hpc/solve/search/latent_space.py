"""Latent search: for each likely type its likeliest template lattices, for each an evolution of the latent point towards what fits.

Samples about the prior's mean give most to the type that the model believes in. Here every type near the prediction gets its share, as a person
would move the mean to the next cluster of another type: the most probable lattices of each type start side by side, a generation of all of them is
decoded and fitted in one batch, and what lags behind is given up, but never the last lattice of a type that fits about as well as the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.generator import SearchSpace, as_metal
from deepstruc_hpc.solve.candidates.source import metal_zoom
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.evolution import EvolutionStrategy
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import FAULTED
from deepstruc_hpc.structures.occupation import Occupation

POPULATION = 8
"""Points a generation; a limit of time."""
STEP = 1.0
"""First step, in standard deviations of the prior."""
NEAR = 0.003
"""Types of less probability, by the model, are searched only where fewer than :data:`FEWEST_TYPES` have more."""
FEWEST_TYPES = 4
"""Types that are searched at least; a limit of time."""
LATTICES_A_TYPE = 2
"""Starts a type; a limit of time."""
RIVAL = 1.4
"""A type whose best Rw is within this factor of the best keeps a lattice in the search."""

Floats = NDArray[np.float64]


@dataclass
class _Track:
    """The evolution on one template lattice.

    Attributes:
        template: number in the search space.
        kind: structure type.
        strategy: of the latent point.
        best: lowest Rw so far.
    """

    template: int
    kind: str
    strategy: EvolutionStrategy
    best: float = np.inf


def search_latent(
    space: SearchSpace, measurement: Measurement, *, symbol: str, budget: int, rng: np.random.Generator, source: str = "cvae"
) -> CandidateSet:
    """Decode and fit about ``budget`` latent points where they fit ever better.

    Args:
        space: of the generator for this curve.
        measurement: the data.
        symbol: metal.
        budget: structures to decode.
        rng: random numbers.
        source: name of the generator.

    Returns:
        Different structures, fitted.
    """
    tracks = _tracks(space, rng)
    found = CandidateSet()
    seen: dict[str, float] = {}
    spent = 0
    while spent < budget and tracks:
        tracks = tracks[: max((budget - spent) // POPULATION, 1)]
        points = [track.strategy.ask() for track in tracks]
        made = [_decoded(space, track, evaluated, measurement, symbol=symbol, source=source) for track, evaluated in zip(tracks, points, strict=True)]
        spent += sum(len(one) for one in made)
        fresh = {candidate.fingerprint: candidate for one in made for candidate in one if candidate.fingerprint not in seen}
        fitted = fit(CandidateSet(tuple(fresh.values())), measurement)
        if fresh:
            seen |= dict(zip(fresh, fitted.rw.tolist(), strict=True))
            found = found.joined(fitted)
        for track, evaluated, one in zip(tracks, points, made, strict=True):
            costs = np.array([seen[candidate.fingerprint] for candidate in one])
            track.strategy.tell(evaluated, costs)
            track.best = min(track.best, float(costs.min()))
        tracks = _going_on(tracks)
    return found


def _tracks(space: SearchSpace, rng: np.random.Generator) -> list[_Track]:
    """The likeliest template lattices of every type near the prediction, the likeliest type's first."""
    kinds, probability = np.array(space.kinds), space.probability
    total = {kind: float(probability[kinds == kind].sum()) for kind in dict.fromkeys(space.kinds)}
    ordered = sorted(total, key=lambda kind: -total[kind])
    near = [kind for place, kind in enumerate(ordered) if total[kind] >= NEAR or place < FEWEST_TYPES]
    tracks = []
    for turn in range(LATTICES_A_TYPE):
        for kind in near:
            members = np.flatnonzero(kinds == kind)
            members = members[np.argsort(-probability[members], kind="stable")]
            if turn < len(members):
                strategy = EvolutionStrategy(space.mean, space.std, step=STEP, population=POPULATION, rng=rng)
                tracks.append(_Track(int(members[turn]), str(kind), strategy))
    return tracks


def _decoded(space: SearchSpace, track: _Track, points: Floats, measurement: Measurement, *, symbol: str, source: str) -> list[Candidate]:
    """One candidate a latent point."""
    distance, zoom = nn_distance(symbol, "twelve"), metal_zoom(measurement, symbol)
    template = space.templates[track.template]
    made = []
    for point, mask in zip(points, space.occupations(points, track.template), strict=True):
        occupation = Occupation(template, mask, track.kind, symbol, distance)
        structure = template.structure(mask, symbol, distance, f"{symbol} latent search {template.name} {int(mask.sum())} atoms")
        candidate = Candidate(
            structure,
            source,
            listed=False,
            latent=tuple(float(value) for value in point),
            log_prior=-0.5 * float((((point - space.mean) / space.std) ** 2).sum()),
            complexity=float(track.kind in FAULTED),
            occupation=occupation,
        )
        made.append(as_metal(candidate, symbol, distance, zoom))
    return made


def _going_on(tracks: Sequence[_Track]) -> list[_Track]:
    """The better three quarters, and the best lattice of each type that rivals the best."""
    ordered = sorted(tracks, key=lambda track: track.best)
    kept = ordered[: max(1, int(np.ceil(0.75 * len(ordered))))] if len(ordered) > 2 else ordered
    kinds = {track.kind for track in kept}
    for track in ordered[len(kept) :]:
        if track.kind not in kinds and track.best < RIVAL * ordered[0].best:
            kept.append(track)
            kinds.add(track.kind)
    return kept
