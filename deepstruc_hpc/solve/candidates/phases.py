"""Two or three crystalline phases, asked for where one candidate does not explain the curve.

The crystals that were fitted alone are the start; :func:`~deepstruc_hpc.physics.phase_search.find_phases` says which further ones are believed. Each
set of phases becomes a candidate like others, with the curve and the Rw of all its phases, named after its main one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from deepstruc_hpc.physics.phase_search import find_phases
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.crystals import CrystalSource, extended
from deepstruc_hpc.solve.candidates.fitting import fit
from deepstruc_hpc.solve.candidates.phase_set import PhaseSet
from deepstruc_hpc.solve.candidates.source import Source
from deepstruc_hpc.solve.measurement.describe import Measurement

SOURCE = "phases"
"""What a candidate of several phases names as its source."""
A_CRITERION = 1.0 / 32.0
"""Complexity of one unit of the criterion: half a nat, of which every eighth counts as in the posterior, at two nats a unit of complexity."""


def with_phases(candidates: CandidateSet, measurement: Measurement, sources: Sequence[Source]) -> CandidateSet:
    """The candidates with sets of phases, where such are believed.

    Args:
        candidates: fitted; without crystals among them nothing is tried.
        measurement: the data.
        sources: of which the crystals say what a further phase may be.
    """
    crystals = next((source for source in sources if isinstance(source, CrystalSource)), None)
    singles = [candidate.crystal_fit for candidate in candidates if candidate.crystal_fit is not None]
    if crystals is None or not singles:
        return candidates
    started, sample = time.perf_counter(), measurement.sample
    found = find_phases(
        measurement.curve,
        measurement.instrument,
        singles,
        crystals.pool(measurement),
        rmin=measurement.rmin,
        rmax=float(measurement.curve.r[-1]),
        reference=sample.amounts if sample.stoichiometric else None,
        qdamp_known=measurement.origin["qdamp"] != "default",
    )
    best = found[0].criterion if found else 0.0
    made = tuple(one for phases in found if (one := _candidate(PhaseSet.of(phases, sample), phases.criterion - best)) is not None)
    sets = CandidateSet(made, seconds={SOURCE: time.perf_counter() - started})
    return candidates.joined(fit(sets, measurement) if made else sets)


def _candidate(phases: PhaseSet, behind: float) -> Candidate | None:
    """A set of phases. What it costs beside a single crystal was asked already; what counts is how far its criterion is behind the best set's."""
    made = extended(phases.crystal_fit, phases.crystal_fit.n_parameters)
    price = behind * A_CRITERION
    return None if made is None else replace(made, source=SOURCE, phases=phases, complexity=price, type_complexity=price)
