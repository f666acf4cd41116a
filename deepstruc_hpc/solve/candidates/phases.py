"""Two or three crystalline phases, asked for where one candidate leaves more than noise.

The crystals that were fitted alone are the start; :func:`~deepstruc_hpc.physics.phase_search.find_phases` says which further ones are believed. Each
set of phases becomes a candidate like others, with the curve and the Rw of all its phases, named after its main one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from deepstruc_hpc.physics.crystal_phases import PhasesFit
from deepstruc_hpc.physics.evidence import correlated, parameter_price
from deepstruc_hpc.physics.phase_search import PhaseLimits, find_phases
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import CrystalSource, extended
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.phase_set import PhaseSet
from deepstruc_hpc.solve.candidates.source import Source
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.structures.oxidation import rarity

SOURCE = "phases"
"""What a candidate of several phases names as its source."""


def with_phases(candidates: CandidateSet, measurement: Measurement, sources: Sequence[Source], settings: SolveSettings) -> CandidateSet:
    """The candidates with sets of phases, where such are believed.

    Args:
        candidates: fitted; without crystals among them nothing is tried.
        measurement: the data.
        sources: of which the crystals say what a further phase may be.
        settings: how points count, and from which Rw on one phase is not enough.
    """
    crystals = next((source for source in sources if isinstance(source, CrystalSource)), None)
    singles = [candidate.crystal_fit for candidate in candidates if candidate.crystal_fit is not None]
    if crystals is None or not singles:
        return candidates
    started, sample, limits = time.perf_counter(), measurement.sample, limits_of(settings)
    found = find_phases(
        measurement.curve,
        measurement.instrument,
        singles,
        crystals.pool(measurement),
        rmin=measurement.rmin,
        rmax=float(measurement.curve.r[-1]),
        reference=sample.amounts if sample.stoichiometric else None,
        qdamp_known=measurement.origin["qdamp"] != "default",
        limits=limits,
        alone=float(candidates.rw.min()),
    )
    prices = prices_of(found, settings)
    made = tuple(one for phases, price in zip(found, prices, strict=True) if (one := _candidate(PhaseSet.of(phases, sample), price)) is not None)
    sets = CandidateSet(made, seconds={SOURCE: time.perf_counter() - started})
    return candidates.joined(fit(sets, measurement) if made else sets)


def limits_of(settings: SolveSettings) -> PhaseLimits:
    """When a further phase is believed."""
    return PhaseLimits(enough=settings.refusal.rw_warn, rarity=rarity)


def prices_of(sets: Sequence[PhasesFit], settings: SolveSettings) -> list[float]:
    """Complexity of each of some sets of phases beside the cheapest of them. What a set costs beside a single crystal was asked already."""
    costs = [_cost(phases, limits_of(settings)) / max(settings.rank.complexity_penalty, 1e-9) for phases in sets]
    return [cost - min(costs) for cost in costs]


def _cost(phases: PhasesFit, limits: PhaseLimits) -> float:
    """What a set costs beside its Rw, nats: its parameters, and charges that its cations rarely have."""
    data = correlated(phases.n_independent, limits.points_per_datum)
    rare = sum(limits.rarity(part.candidate.crystal.composition) for part in phases.parts)
    return parameter_price(phases.n_parameters + phases.ordered, data) + rare


def _candidate(phases: PhaseSet, price: float) -> Candidate | None:
    """A set of phases."""
    made = extended(phases.crystal_fit, phases.crystal_fit.n_parameters)
    return None if made is None else replace(made, source=SOURCE, phases=phases, complexity=price, type_complexity=price)
