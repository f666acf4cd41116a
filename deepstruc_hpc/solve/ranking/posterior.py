"""The posterior of the candidates of one curve: likelihood, price and prior of :mod:`deepstruc_hpc.physics.evidence`.

A candidate's score is a log posterior:

  score = −(n − k)/2 · ln(Rw² + e²)  +  ln prior(structure type)  −  penalty · complexity

- n is the number of independent points, (rmax − rmin)(Qmax − Qmin)/π, counted up to where the best candidate ends (beyond it every candidate
  predicts nothing) and divided by ``points_per_datum``: what a rigid cluster misses (relaxed surfaces, ligands, a size distribution) it misses at
  many neighbouring points at once. e (``model_error``) is the part of the residual that no candidate is expected to avoid.
- k is the number of fitted parameters, the same for all, so it cancels unless a candidate has free parameters of its own. A second U
  has paid for itself in the fit (``uiso_groups="auto"``) and is not priced again.
- Where even the best candidate fits worse than nearly all curves of the calibration, the data count less
  (:func:`~deepstruc_hpc.physics.evidence.within_calibration`).
- The prior over types is uniform, or mixed with what the model says about this curve.
- Complexity counts what a perfect convex crystal or multiply twinned particle does not have: each stacking fault, and ln(1 + orbits of empty sites
  within the outline) (:func:`deepstruc_hpc.structures.occupation.complexity_of`). An outline of its own costs nothing: the list is no law of nature.

The evidence of a type is the mean over its listed shapes of exp(p·score), to the power 1/p, p = ``sharpness``: between its average and its best
shape. Who tries a thousand shapes of one type finds a good fit by chance, and pays for that; a hundred sizes that fit equally well count like one.
Structures that were found by searching (samples) are averaged in the same way, apart from the list, and the better of the two counts: samples that
miss speak neither for nor against a listed shape. Within a type the probability is shared in proportion to exp(score + size term). A part of the
probability, ``doubt``, is spread evenly over the types, whatever the fits say: that often the right answer was not among what was tried.

Probabilities of candidates add up to those of types. fcc crystals of any outline are one lattice: the order is that of (probability of the lattice) ×
(fit relative to the best of the lattice), so the first candidate belongs to the most probable lattice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.evidence import (
    SizePrior,
    constants,
    correlated,
    log_likelihood,
    pooled,
    prior_of_types,
    shares,
    size_terms,
    within_calibration,
)
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.config import RankSettings
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.lattices import lattice_of

FITTED_PARAMETERS = 4
"""Scale, zoom, U, delta2."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """What makes a score of a fit, for one curve.

    Attributes:
        points: independent points of the curve up to where the particle ends.
        log_prior: ln of the prior of each structure type.
        settings: model error, widths and prices.
        weight: of the data; below 1 where the best candidate fits worse than the curves that the constants come from.
    """

    points: float
    log_prior: Mapping[str, float]
    settings: RankSettings
    weight: float = 1.0

    @classmethod
    def of(cls, candidates: CandidateSet, measurement: Measurement, settings: RankSettings) -> Posterior:
        """For fitted candidates: the curve counts up to where the best of them ends, and their types share the prior."""
        types = sorted(set(candidates.types))
        lattices = dict(zip(candidates.types.tolist(), candidates.lattices.tolist(), strict=True))
        prior = mixed_prior(types, candidates.belief.types if candidates.belief else None, settings.prior_weight, lattices)
        log_prior = {kind: float(np.log(max(share, 1e-300))) for kind, share in prior.items()}
        best = float(np.min(candidates.rw, initial=np.inf, where=np.isfinite(candidates.rw)))
        weight = float(within_calibration(best)) if np.isfinite(best) else 1.0
        return cls(measurement.points_of_particle(candidates.extent), log_prior, settings, weight)

    @property
    def penalty(self) -> float:
        """Nats that one unit of complexity takes off."""
        return self.settings.complexity_penalty

    def data(self, n_parameters: int = FITTED_PARAMETERS) -> float:
        """Degrees of freedom that count: independent points, correlated as residuals are, less the fitted parameters."""
        return self.weight * correlated(self.points, self.settings.points_per_datum, n_parameters)

    def fit_score(self, rw: Floats | float, complexity: Floats | float, n_parameters: int = FITTED_PARAMETERS) -> Floats:
        """What a fit and its complexity are worth, nats, without the prior of the type."""
        return np.asarray(log_likelihood(rw, self.data(n_parameters), model_error=self.settings.model_error) - self.penalty * np.asarray(complexity))

    def score(self, rw: Floats, complexity: Floats, types: Sequence[str]) -> Floats:
        """(C,) nats: fit, complexity and prior; a type that was not among the candidates has the least prior of those that were."""
        least = min(self.log_prior.values(), default=0.0)
        return np.asarray(self.fit_score(rw, complexity) + np.array([self.log_prior.get(kind, least) for kind in types]))

    def size_terms(self, n_atoms: Floats, rw: Floats, score: Floats, lattices: NDArray[np.str_]) -> Floats:
        """(C,) nats that a candidate loses for lying away from the size that the candidates of its lattice (an alloy's of its ordering) agree on."""
        known = SizePrior(self.settings.size_temper, self.settings.size_width, constants().least_size_width)
        return size_terms(n_atoms, rw, score, lattices, known)

    def shares(self, types: NDArray[np.str_], listed: NDArray[np.bool_], score: Floats) -> dict[str, float]:
        """The probability of each structure type.

        Args:
            types: (C,) of each candidate.
            listed: (C,) whether it is a shape of the catalog; the others were found by searching.
            score: (C,) nats.
        """
        evidence = {}
        for kind in dict.fromkeys(types.tolist()):
            groups = [score[(types == kind) & chosen] for chosen in (listed, ~listed)]
            evidence[str(kind)] = max(pooled(group, self.settings.sharpness) for group in groups if len(group))
        return shares(evidence, self.settings.doubt)


def mixed_prior(
    types: Sequence[str], model: Mapping[str, float] | None, weight: float, lattice_by_type: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Uniform over the types, mixed with the model's probabilities; types of one lattice share what the model says of it.

    They are outlines (fcc, octahedral) and the orderings of an alloy, whose lattice ``lattice_by_type`` names: a model of metals says nothing of
    orderings.
    """
    lattices = {kind: (lattice_by_type or {}).get(kind) or lattice_of(kind) for kind in types}
    stated: dict[str, float] = {}
    for kind, probability in (model or {}).items():
        stated[lattice_of(kind)] = stated.get(lattice_of(kind), 0.0) + probability
    return prior_of_types(lattices, stated, weight)
