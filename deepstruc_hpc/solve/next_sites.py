"""Samples that fit best, changed in their sites: the next ones by the model's own probability filled, or those that the curve asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.model.last_step import Filled, Fitted, improve_sites
from deepstruc_hpc.solve.candidates import FAULTED, Candidate
from deepstruc_hpc.solve.conditions import Conditions
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
    for _, candidate in _best_samples(candidates, table):
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


def last_step(
    model: Any, candidates: Sequence[Candidate], table: pd.DataFrame, curve: PdfCurve, conditions: Conditions, *, symbol: str
) -> list[Candidate]:
    """The best samples with the sites that the curve asks for, beside what the model says of them.

    Here all independent points of the curve count, so that enough is tried; the ranking, which counts fewer, decides whether it was worth it.

    Args:
        model: from ``load_model``.
        candidates: that were fitted.
        table: their fits.
        curve: the data.
        conditions: range and instrument.
        symbol: metal.

    Returns:
        Candidates to fit; none for a model whose decoder writes coordinates.
    """
    instrument, data = conditions.instrument, curve.between(conditions.rmin, conditions.rmax)
    said = model.site_odds(curve, symbol=symbol, instrument=instrument)
    fits = {int(row["index"]): row for row in table.to_dict("records")}
    found = []
    for number, candidate in _best_samples(candidates, table):
        odds = said(candidate.parent)
        if odds is None or candidate.filling is None:
            continue
        parent, mask = candidate.filling
        row = fits[number]
        start = Filled(parent, mask, candidate.structure, Fitted(*(float(row[name]) for name in ("zoom", "uiso", "delta2", "rw"))))
        end = improve_sites(start, data, instrument, log_odds=odds, most_atoms=model.info.model.max_atoms)
        if not np.array_equal(end.mask, mask):
            label = f"{symbol} last step on {parent.name} {int(end.mask.sum())} atoms"
            structure = parent.structure(end.mask, symbol, nn_distance(symbol, "twelve"), label)
            faulted = float(structure.structure_type in FAULTED)
            found.append(Candidate(structure, "neighbour", complexity=faulted, filling=(parent, end.mask)))
    return found


def _best_samples(candidates: Sequence[Candidate], table: pd.DataFrame) -> list[tuple[int, Candidate]]:
    """The best few samples of the types that fit best, and their numbers."""
    chosen: dict[str, list[tuple[int, Candidate]]] = defaultdict(list)
    for index in table[np.isfinite(table["rw"])].sort_values("rw", kind="stable")["index"]:
        candidate = candidates[int(index)]
        kind = candidate.structure.structure_type
        if candidate.parent and len(chosen[kind]) < SAMPLES_A_TYPE and (chosen[kind] or sum(map(bool, chosen.values())) < TYPES):
            chosen[kind].append((int(index), candidate))
    return [one for group in chosen.values() for one in group]
