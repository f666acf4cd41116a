"""Search in the latent space for what fits: for each likely type its likeliest parents, for each parent an evolution of the latent point.

Samples about the prior's mean give most to the type that the model believes in. Here every type near the prediction gets its share, as a person
would move the mean to the next cluster of another type: the most probable parents of each type start side by side, a generation of all of them is
decoded and fitted in one batch, and what lags behind is given up, but never the last parent of a type that fits about as well as the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.candidates import FAULTED, Candidate
from deepstruc_hpc.solve.conditions import Conditions
from deepstruc_hpc.solve.evolution import EvolutionStrategy
from deepstruc_hpc.solve.refine import refine
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.fingerprint import fingerprint

POPULATION = 8
STEP = 1.0
NEAR = 0.003
"""Types of less probability, by the model, are searched only where fewer than :data:`FEWEST_TYPES` have more."""
FEWEST_TYPES = 4
PARENTS_A_TYPE = 2
RIVAL = 1.4
"""A type whose best Rw is within this factor of the best keeps a parent in the search."""

Floats = NDArray[np.float64]


@dataclass
class _Track:
    """The evolution on one parent.

    Attributes:
        parent: number in the decoder's book.
        kind: structure type.
        strategy: of the latent point.
        best: lowest Rw so far.
    """

    parent: int
    kind: str
    strategy: EvolutionStrategy
    best: float = np.inf


def search_latent(
    model: Any, curve: PdfCurve, conditions: Conditions, *, symbol: str, budget: int, start: float, rng: np.random.Generator
) -> tuple[list[Candidate], pd.DataFrame]:
    """Decode and fit about ``budget`` latent points where they fit ever better.

    Args:
        model: from ``load_model``.
        curve: the data.
        conditions: range and instrument.
        symbol: metal.
        budget: structures to decode.
        start: expansion before the fit.
        rng: random numbers.

    Returns:
        Candidates with different structures and one row each; none for a model whose decoder writes coordinates, which has no parents,
        or decodes elements: moving the lattice alone would leave them behind.
    """
    from deepstruc_hpc.model.sites import SitesDecoder

    decoder = model.network.decoder_network
    if not isinstance(decoder, SitesDecoder) or model.decodes_elements or budget <= 0:
        return [], pd.DataFrame()
    mean, std = (np.ravel(part) for part in model.prior_as_trained(curve, symbol=symbol, instrument=conditions.instrument))
    stated = std * model.info.stated_widths()
    tracks = _tracks(model, mean, std, rng)
    candidates: list[Candidate] = []
    tables: list[pd.DataFrame] = []
    seen: dict[str, float] = {}
    spent = 0
    while spent < budget and tracks:
        tracks = tracks[: max((budget - spent) // POPULATION, 1)]
        points = [track.strategy.ask() for track in tracks]
        made, owner = _decoded(model, tracks, points, symbol, (mean, stated))
        spent += len(made)
        marks = [fingerprint(candidate.structure, scale_free=True) for candidate in made]
        fresh = [place for place, mark in enumerate(marks) if mark not in seen and marks.index(mark) == place]
        fits = refine([made[place] for place in fresh], curve, conditions, start=start)
        if fresh:
            seen |= {marks[place]: float(rw) for place, rw in zip(fresh, fits["rw"], strict=True)}
            candidates += [made[place] for place in fresh]
            tables.append(fits)
        costs = np.array([seen[mark] for mark in marks])
        for number, (track, asked) in enumerate(zip(tracks, points, strict=True)):
            own = costs[owner == number]
            track.strategy.tell(asked, own)
            track.best = min(track.best, float(own.min()))
        tracks = _going_on(tracks)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if len(table):
        table["index"] = np.arange(len(table))
    return candidates, table


def _tracks(model: Any, mean: Floats, std: Floats, rng: np.random.Generator) -> list[_Track]:
    """The likeliest parents of every type near the prediction, the likeliest type's first."""
    from deepstruc_hpc.model.generator import PARENT_SAMPLES
    from deepstruc_hpc.model.site_features import type_of_parent
    from deepstruc_hpc.model.site_proposals import parent_probabilities

    decoder = model.network.decoder_network
    typical = mean + std * rng.standard_normal((PARENT_SAMPLES, len(mean)))
    probability = parent_probabilities(decoder, typical, model.device)
    kinds = np.array([type_of_parent(name) for name in decoder.book.names])
    total = {kind: float(probability[kinds == kind].sum()) for kind in dict.fromkeys(kinds)}
    ordered = sorted(total, key=lambda kind: -total[kind])
    near = [kind for place, kind in enumerate(ordered) if total[kind] >= NEAR or place < FEWEST_TYPES]
    tracks = []
    for turn in range(PARENTS_A_TYPE):
        for kind in near:
            members = np.flatnonzero(kinds == kind)
            members = members[np.argsort(-probability[members], kind="stable")]
            if turn < len(members):
                strategy = EvolutionStrategy(mean, std, step=STEP, population=POPULATION, rng=rng)
                tracks.append(_Track(int(members[turn]), str(kind), strategy))
    return tracks


def _decoded(
    model: Any, tracks: Sequence[_Track], points: Sequence[Floats], symbol: str, prior: tuple[Floats, Floats]
) -> tuple[list[Candidate], NDArray[np.intp]]:
    """One candidate a point, and which track it belongs to."""
    from deepstruc_hpc.model.site_proposals import most_probable_sites

    distance = nn_distance(symbol, "twelve")
    decoder = model.network.decoder_network
    made, owner = [], []
    for number, (track, asked) in enumerate(zip(tracks, points, strict=True)):
        parent = decoder.book.parent(track.parent)
        for point, mask in zip(asked, most_probable_sites(decoder, asked, track.parent, model.info.model.max_atoms, model.device), strict=True):
            label = f"{symbol} latent search {parent.name} {int(mask.sum())} atoms"
            density = -0.5 * float((((point - prior[0]) / prior[1]) ** 2).sum())
            structure = parent.structure(mask, symbol, distance, label)
            latent = tuple(float(value) for value in point)
            faulted = float(track.kind in FAULTED)
            filling = (parent, mask)
            made.append(Candidate(structure, "cvae", latent=latent, log_prior=density, parent=parent.name, complexity=faulted, filling=filling))
            owner.append(number)
    return made, np.array(owner, dtype=np.intp)


def _going_on(tracks: Sequence[_Track]) -> list[_Track]:
    """The better three quarters, and the best parent of each type that rivals the best."""
    ordered = sorted(tracks, key=lambda track: track.best)
    kept = ordered[: max(1, int(np.ceil(0.75 * len(ordered))))] if len(ordered) > 2 else ordered
    kinds = {track.kind for track in kept}
    for track in ordered[len(kept) :]:
        if track.kind not in kinds and track.best < RIVAL * ordered[0].best:
            kept.append(track)
            kinds.add(track.kind)
    return kept
