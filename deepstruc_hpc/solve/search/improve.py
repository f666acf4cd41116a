"""What follows the first fit: searches in the latent space and about the best candidates, all by the engine that fits everything."""

from __future__ import annotations

from collections.abc import Callable

from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.generator import BEYOND_MODEL, Generator
from deepstruc_hpc.solve.candidates.source import metal_of
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.decay import has_more_atoms
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.search.decorations import decorations
from deepstruc_hpc.solve.search.latent_space import search_latent
from deepstruc_hpc.solve.search.local import Scorer, assess, search_locally
from deepstruc_hpc.solve.search.occupation import other_sizes, refine_crystal_occupations, refine_occupations
from deepstruc_hpc.solve.search.rearranged import rearrange


def improve(
    candidates: CandidateSet,
    measurement: Measurement,
    settings: SolveSettings,
    *,
    generator: Generator | None,
    scorer: Callable[[CandidateSet], Scorer],
) -> CandidateSet:
    """The candidates with what searching adds.

    Args:
        candidates: fitted.
        measurement: the data.
        settings: budgets ``latent_search`` and ``neighbours``.
        generator: that proposed samples, or None.
        scorer: of the ranking, for a set of candidates.
    """
    if generator is not None:
        try:
            if generator.decodes_elements and settings.local_shapes:
                found = refine_crystal_occupations(generator, candidates, measurement)
                candidates = _with(candidates, found, measurement, "occupations_refined") if len(found) else candidates
            elif candidates.belief is not None:
                candidates = _with_generator(candidates, measurement, settings, generator)
        except DeepstrucError as unusable:
            candidates = candidates.with_notes(f"no search with the model: {unusable}")
    score = scorer(candidates)  # sizes and types are scored by what was proposed, before complexities are counted
    candidates = search_locally(assess(candidates), measurement, score, budget=settings.local_shapes, rng=measurement.rng("neighbours"))
    if "alloys" in settings.sources:
        candidates = _with(candidates, decorations(candidates, measurement, score), measurement, "alloys")
        candidates = rearrange(candidates, measurement, score, budget=settings.local_shapes, rng=measurement.rng("alloys"))
    return candidates


def _with_generator(candidates: CandidateSet, measurement: Measurement, settings: SolveSettings, generator: Generator) -> CandidateSet:
    """With better latent points, with the best samples cut at other sizes, and with their sites as the curve asks for them."""
    symbol = metal_of(measurement.sample)
    if symbol is None or has_more_atoms(measurement, symbol, BEYOND_MODEL, surely=True):
        return candidates
    rng = measurement.rng("latent")
    space = generator.search_space(measurement.curve, symbol=symbol, instrument=measurement.instrument, rng=rng)
    if space is None:
        return candidates
    if settings.latent_search:
        found = search_latent(space, measurement, symbol=symbol, budget=settings.latent_search, rng=rng, source=generator.name)
        candidates = _with(candidates, found, measurement, "latent_search")
    if settings.local_shapes:
        candidates = _with(candidates, other_sizes(space, candidates), measurement, "next_sites")
        refined = refine_occupations(generator, space, candidates, measurement, symbol=symbol)
        candidates = _with(candidates, refined, measurement, "occupations_refined")
    return candidates


def _with(candidates: CandidateSet, found: CandidateSet, measurement: Measurement, name: str) -> CandidateSet:
    """Candidates with further ones added, fitted, those that are new."""
    fresh = fit(found.new_beside(candidates), measurement)
    return candidates.joined(fresh).counted(**{name: len(found), f"{name}_new": len(fresh)})
