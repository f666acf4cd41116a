"""What follows the first fit: searches in the latent space and about the best candidates, all by the engine that fits everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.solve.candidates import Candidate
from deepstruc_hpc.solve.conditions import Conditions
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.judge import judge
from deepstruc_hpc.solve.latent_search import search_latent
from deepstruc_hpc.solve.neighbours import search_neighbours
from deepstruc_hpc.solve.next_sites import cut_elsewhere, last_step
from deepstruc_hpc.solve.propose import Proposals
from deepstruc_hpc.solve.refine import refine, refined_structure
from deepstruc_hpc.structures.fingerprint import fingerprint


def improve(
    proposals: Proposals,
    fits: pd.DataFrame,
    curve: PdfCurve,
    conditions: Conditions,
    settings: SolveSettings,
    *,
    model: Any | None,
    start: float,
    item_id: str,
) -> tuple[Proposals, pd.DataFrame]:
    """Proposals and their fits with what searching adds.

    A curve that is refused with the candidates it has is left so: searching would only fit what is no particle of these kinds a little better.

    Args:
        proposals: from :func:`deepstruc_hpc.solve.propose.propose`.
        fits: one row a candidate.
        curve: the data.
        conditions: range and instrument.
        settings: budgets ``latent_search`` and ``neighbours``.
        model: from ``load_model``, or None.
        start: expansion before the fit.
        item_id: names the random numbers of this curve.
    """
    if _refused(proposals, fits, curve, conditions, settings):
        return proposals, fits
    if model is not None and proposals.prior is not None:
        rng = item_rng(settings.seed, f"{item_id}:latent")
        proposals, fits = _with_model(proposals, fits, curve, conditions, settings, model=model, start=start, rng=rng)
    rng = item_rng(settings.seed, f"{item_id}:neighbours")
    candidates, table, counts = search_neighbours(
        proposals.candidates, fits, curve, conditions, settings, start=start, type_prior=proposals.type_prior, rng=rng
    )
    notes = ("the search for neighbours ran out of time: another run may end elsewhere",) if counts.get("neighbours_out_of_time") else ()
    return replace(proposals, candidates=candidates, counts={**proposals.counts, **counts}, notes=(*proposals.notes, *notes)), table


def _refused(proposals: Proposals, fits: pd.DataFrame, curve: PdfCurve, conditions: Conditions, settings: SolveSettings) -> bool:
    rw = fits["rw"].to_numpy(dtype=float)
    if not np.isfinite(rw).any():
        return True
    row = fits.iloc[int(np.argmin(rw))]
    best = refined_structure(proposals.candidates[int(row["index"])], row)
    return judge(curve, best, row, conditions, settings.refusal)[0] == "refused"


def _with_model(
    proposals: Proposals,
    fits: pd.DataFrame,
    curve: PdfCurve,
    conditions: Conditions,
    settings: SolveSettings,
    *,
    model: Any,
    start: float,
    rng: np.random.Generator,
) -> tuple[Proposals, pd.DataFrame]:
    """With better latent points, with the best samples cut at other sizes, and with their sites as the curve asks for them."""
    symbol = proposals.elements[0]
    try:
        if settings.latent_search:
            found, table = search_latent(model, curve, conditions, symbol=symbol, budget=settings.latent_search, start=start, rng=rng)
            proposals, fits = _with(proposals, fits, found, table, "latent_search")
        if settings.neighbours:
            cuts = cut_elsewhere(model, proposals.candidates, fits, symbol)
            proposals, fits = _with(proposals, fits, cuts, refine(cuts, curve, conditions, start=start), "next_sites")
            ends = last_step(model, proposals.candidates, fits, curve, conditions, symbol=symbol)
            proposals, fits = _with(proposals, fits, ends, refine(ends, curve, conditions, start=start), "last_step")
    except DeepstrucError as unusable:
        proposals = replace(proposals, notes=(*proposals.notes, f"no search with the model: {unusable}"))
    return proposals, fits


def _with(proposals: Proposals, fits: pd.DataFrame, found: Sequence[Candidate], table: pd.DataFrame, name: str) -> tuple[Proposals, pd.DataFrame]:
    """Proposals and fits with further ones added, those that are new."""
    marks = {candidate.invariants for candidate in found}
    alike = (candidate.structure for candidate in proposals.candidates if candidate.invariants in marks)
    known = {fingerprint(structure, scale_free=True) for structure in alike}
    fresh = []
    for place, candidate in enumerate(found):
        mark = fingerprint(candidate.structure, scale_free=True)
        if mark not in known:
            known.add(mark)
            fresh.append(place)
    if not fresh:
        return proposals, fits
    added = table.iloc[fresh].reset_index(drop=True)
    added["index"] = range(len(proposals.candidates), len(proposals.candidates) + len(added))
    counts = {**proposals.counts, name: len(found), f"{name}_new": len(fresh)}
    candidates = [*proposals.candidates, *(found[place] for place in fresh)]
    return replace(proposals, candidates=candidates, counts=counts), pd.concat([fits, added], ignore_index=True)
