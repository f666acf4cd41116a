"""One curve from the file's numbers to an answer: the whole line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError, NotApplicableError
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.candidates.crystals import settled
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.generator import Generator
from deepstruc_hpc.solve.candidates.phases import with_phases
from deepstruc_hpc.solve.candidates.source import Budget, Source, propose
from deepstruc_hpc.solve.checks.checks import Answer, check
from deepstruc_hpc.solve.checks.extra_terms import with_terms
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import Measurement, describe
from deepstruc_hpc.solve.measurement.sample import Sample
from deepstruc_hpc.solve.ranking.applicability import applies, errors_hide
from deepstruc_hpc.solve.ranking.posterior import Posterior
from deepstruc_hpc.solve.ranking.ranking import Ranking, rank
from deepstruc_hpc.solve.search.improve import improve


@dataclass(frozen=True)
class Sources:
    """Where candidates come from.

    Attributes:
        sources: asked in this order.
        generator: whose latent space may be searched, or None.
        compounds: the generator that stands for it where the sample is a compound, or None.
        elements: of the user's own catalog, taken where nobody names the sample.
    """

    sources: Sequence[Source]
    generator: Generator | None = None
    compounds: Generator | None = None
    elements: tuple[str, ...] = ()

    def generator_for(self, sample: Sample) -> Generator | None:
        """The generator that was asked about a sample."""
        return self.compounds if self.compounds is not None and sample.kind == "compound" else self.generator


def solve_curve(curve: PdfCurve, settings: SolveSettings, sources: Sources) -> Answer:
    """The structures that explain a curve.

    Args:
        curve: as read.
        settings: of this curve.
        sources: of candidates.

    Raises:
        PdfFileError: the curve holds too little, or nobody names the sample.
        NotApplicableError: no source has a candidate.
        DeepstrucError: none could be fitted.
    """
    measurement = describe(curve, settings, fallback_elements=sources.elements)
    candidates = propose(measurement, sources.sources, Budget(settings.samples, settings.sigma, settings.most_atoms))
    candidates = _usable(fit(candidates, measurement), measurement)

    def scorer(found: CandidateSet) -> Posterior:
        return Posterior.of(found, measurement, settings.rank)

    searched = applies(candidates, measurement, settings.refusal).status == "ok"  # searching would only fit what is out of domain a little better
    if searched and not settled(candidates):
        candidates = improve(candidates, measurement, settings, generator=sources.generator_for(measurement.sample), scorer=scorer)
    if not errors_hide(candidates, measurement, settings.refusal):  # a further phase would explain the errors
        candidates = with_phases(candidates, measurement, sources.sources, settings)

    def ranked(found: CandidateSet) -> Ranking:
        return rank(found, scorer(found.fitted()))

    ranking, measurement, terms = with_terms(ranked(candidates), measurement, ranked, tried=settings.terms)
    return check(ranking, measurement, settings, terms=terms)


def _usable(candidates: CandidateSet, measurement: Measurement) -> CandidateSet:
    """The candidates, of which at least one is fitted.

    Raises:
        DeepstrucError: there is none.
    """
    sample = measurement.sample
    if not len(candidates) and sample.kind == "cluster":
        raise NotApplicableError(
            f"{measurement.curve.source}: {sample.sentence}. A molecule is not guessed: give its structure with --structures FOLDER, "
            "or say what the sample is with --sample compound."
        )
    if not len(candidates):
        raise NotApplicableError(
            f"{measurement.curve.source}: no candidate holds {', '.join(sample.elements)} ({sample.sentence}). Name a --catalog with them, "
            "give crystals (--crystals FOLDER of CIF files) or clusters (--structures FOLDER), or correct --composition."
        )
    if not np.isfinite(candidates.rw).any():
        reason = str(candidates.row(0)["refused"]) or "no finite Rw"
        raise DeepstrucError(f"{measurement.curve.source}: none of the {len(candidates)} candidates could be fitted: {reason}.")
    return candidates
