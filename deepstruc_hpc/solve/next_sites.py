"""Samples that fit best, cut elsewhere: the next sites by the model's own probability filled, the last ones emptied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.solve.candidates import FAULTED, Candidate
from deepstruc_hpc.solve.moves import FEWEST_ATOMS, SIZES
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.random_shapes import without_dangling

SAMPLES_A_TYPE = 2
TYPES = 3


def cut_elsewhere(model: Any, candidates: Sequence[Candidate], table: pd.DataFrame, symbol: str) -> list[Candidate]:
    """Nested families of the best samples: their latent points' sites in order of probability, cut at other numbers of atoms.

    Args:
        model: from ``load_model``.
        candidates: that were fitted.
        table: their fits.
        symbol: metal.

    Returns:
        Candidates to fit; none for a model whose decoder writes coordinates.
    """
    from deepstruc_hpc.model.site_proposals import site_order
    from deepstruc_hpc.model.sites import SitesDecoder

    decoder = model.network.decoder_network
    if not isinstance(decoder, SitesDecoder):
        return []
    distance = nn_distance(symbol, "twelve")
    found = []
    for candidate in _best_samples(candidates, table):
        parent_index = decoder.book.names.index(candidate.parent)
        parent = decoder.book.parent(parent_index)
        order = site_order(decoder, np.array([candidate.latent]), parent_index, model.device)[0]
        for size in SIZES:
            wanted = round(size * len(candidate.structure))
            if not FEWEST_ATOMS <= wanted < len(parent):
                continue
            mask = np.zeros(len(parent), dtype=bool)
            mask[order[:wanted]] = True
            mask = without_dangling(parent, mask)
            if np.count_nonzero(mask) >= FEWEST_ATOMS:
                label = f"{symbol} next sites on {parent.name} {int(mask.sum())} atoms"
                structure = parent.structure(mask, symbol, distance, label)
                faulted = float(structure.structure_type in FAULTED)
                found.append(Candidate(structure, "neighbour", complexity=faulted, filling=(parent, mask)))
    return found


def _best_samples(candidates: Sequence[Candidate], table: pd.DataFrame) -> list[Candidate]:
    """The best few samples of the types that fit best."""
    chosen: dict[str, list[Candidate]] = defaultdict(list)
    for index in table[np.isfinite(table["rw"])].sort_values("rw", kind="stable")["index"]:
        candidate = candidates[int(index)]
        kind = candidate.structure.structure_type
        if candidate.parent and len(chosen[kind]) < SAMPLES_A_TYPE and (chosen[kind] or sum(map(bool, chosen.values())) < TYPES):
            chosen[kind].append(candidate)
    return [candidate for group in chosen.values() for candidate in group]
