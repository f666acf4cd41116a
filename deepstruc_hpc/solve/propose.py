"""Candidates for one curve: samples of the CVAE and shapes of the catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.solve.candidates import FAULTED, Candidate, CatalogShapes, without_duplicates
from deepstruc_hpc.solve.conditions import Conditions, first_peak
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.structures.elements import METALLIC_RADII_PM, nn_distance
from deepstruc_hpc.structures.sites import nearest_distances

CLOSEST_CONTACT = 0.6
"""Decoded structures with two atoms nearer than this share of the nearest-neighbour distance are no structures."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """What is going to be fitted.

    Attributes:
        candidates: without duplicates, all of ``elements``.
        elements: of the sample, the first is the metal of one-element shapes.
        type_prior: the model's probability of each structure type for this curve, or None without a model.
        prior: mean and standard deviation, (D,) each, of the model's prior over latent points, or None without a model.
        counts: how many samples were drawn, how many were dropped and why.
        notes: one sentence each.
    """

    candidates: list[Candidate]
    elements: tuple[str, ...]
    type_prior: Mapping[str, float] | None = None
    prior: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def propose(
    curve: PdfCurve,
    conditions: Conditions,
    settings: SolveSettings,
    *,
    shapes: CatalogShapes | None,
    model: Any | None,
    item_id: str,
    own_elements: bool = False,
) -> Proposals:
    """Gather candidates.

    Args:
        curve: the measured PDF.
        conditions: from :func:`deepstruc_hpc.solve.conditions.resolve_conditions`.
        settings: number of samples, levels of sigma, seed.
        shapes: of the catalog, or None.
        model: from ``load_model``, or None.
        item_id: names the random numbers of this curve.
        own_elements: where neither option nor header names a metal, take the catalog's own element nearest to the first peak.

    Raises:
        PdfFileError: when nobody says of what the sample is made.
    """
    notes: list[str] = []
    elements = conditions.elements
    if not elements:
        if shapes is None or not own_elements or not shapes.elements:
            raise PdfFileError(f"{curve.source}: neither the header nor an option names the sample's elements. Say them, for example --elements Au.")
        elements = (_nearest_metal(curve, shapes.elements),)
        notes.append(f"no element is named: {elements[0]} of the catalog has the nearest-neighbour distance nearest to the first peak")
    unit = start_scale(curve, elements[0]) * nn_distance(elements[0], "twelve")
    found: list[Candidate] = shapes.candidates(elements, curve, unit=unit, rmin=conditions.rmin) if shapes is not None else []
    listed = {"listed": len(shapes), "catalog": len(found)} if shapes is not None else {"catalog": 0}
    if model is None:
        return Proposals(found, elements, counts=listed, notes=tuple(notes))
    try:
        center, std = model.prior(curve, symbol=elements[0], instrument=conditions.instrument)
        samples, prior = _sample(curve, conditions, settings, model, symbol=elements[0], rng=item_rng(settings.seed, item_id))
    except PdfFileError as uncovered:
        notes.append(f"the model was not asked: {uncovered}")
        return Proposals(found, elements, counts=listed, notes=tuple(notes))
    usable = [placed for sample in samples if (placed := at_bulk_distance(sample, elements[0])) is not None]
    distinct = without_duplicates([*usable, *found])
    counts = {"samples": len(samples), "clashing": len(samples) - len(usable), **listed, "distinct": len(distinct)}
    return Proposals(distinct, elements, prior, (np.ravel(center), np.ravel(std)), counts, tuple(notes))


def _sample(
    curve: PdfCurve, conditions: Conditions, settings: SolveSettings, model: Any, *, symbol: str, rng: np.random.Generator
) -> tuple[list[Candidate], dict[str, float] | None]:
    """Samples of every level of sigma, and the types' shares under the prior itself (sigma 1)."""
    shares = [len(part) for part in np.array_split(np.arange(settings.samples), len(settings.sigma))]
    drawn: list[Candidate] = []
    for sigma, count in zip(settings.sigma, shares, strict=True):
        if count:
            found = model.propose(curve, symbol=symbol, n_samples=count, sigma=sigma, rng=rng, instrument=conditions.instrument)
            drawn += [_candidate(proposal) for proposal in found]
    if hasattr(model, "type_probabilities"):
        return drawn, model.type_probabilities(curve, symbol=symbol, instrument=conditions.instrument)
    typical = model.propose(curve, symbol=symbol, n_samples=64, sigma=1.0, rng=rng, instrument=conditions.instrument)
    kinds = Counter(proposal.structure.structure_type for proposal in typical)
    total = sum(kinds.values())
    return drawn, {kind: count / total for kind, count in kinds.items()} if total else None


def _candidate(proposal: Any) -> Candidate:
    latent = tuple(float(value) for value in np.ravel(proposal.latent))
    faulted = int(proposal.structure.structure_type in FAULTED)
    drawn = Candidate(proposal.structure, "cvae", latent=latent, log_prior=float(proposal.log_prior), parent=proposal.parent, complexity=1 + faulted)
    return replace(drawn, filling=getattr(proposal, "filling", None))


def at_bulk_distance(candidate: Candidate, symbol: str) -> Candidate | None:
    """The candidate with its median nearest-neighbour distance at the metal's, or None where atoms clash or there is but one."""
    positions = candidate.structure.positions
    if len(positions) < 2:
        return None
    nearest = np.sort(nearest_distances(positions))
    typical = float(nearest[(len(nearest) - 1) // 2] + nearest[len(nearest) // 2]) / 2  # the median
    if not nearest[0] > CLOSEST_CONTACT * typical:
        return None
    return scaled(candidate, nn_distance(symbol, "twelve") / typical)


def _nearest_metal(curve: PdfCurve, symbols: tuple[str, ...]) -> str:
    peak = first_peak(curve)
    known = [symbol for symbol in symbols if symbol in METALLIC_RADII_PM]
    if peak is None or not known:
        raise PdfFileError(f"{curve.source}: no element is named, and G(r) has no first peak between 1.8 and 4.5 Å. Give --elements, for example Au.")
    position = peak
    return min(known, key=lambda symbol: abs(nn_distance(symbol, "twelve") - position))


def start_scale(curve: PdfCurve, symbol: str) -> float:
    """By how much to expand candidates before the fit: the first peak over the metal's bulk distance, where the two are within 12 %, else 1."""
    peak = first_peak(curve)
    if peak is None:
        return 1.0
    scale = peak / nn_distance(symbol, "twelve")
    return scale if abs(scale - 1.0) < 0.12 else 1.0


def scaled(candidate: Candidate, factor: float) -> Candidate:
    """The candidate expanded by a factor."""
    return replace(candidate, structure=candidate.structure.scaled(factor))
