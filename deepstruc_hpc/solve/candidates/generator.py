"""Samples of a generator as candidates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from deepstruc_hpc.core.errors import DeepstrucError, EngineError, PdfFileError, TimeLimitError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.contract import CLOSEST_CONTACT, Generator, Proposal, SearchSpace
from deepstruc_hpc.solve.candidates.candidate import Belief, Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.source import Budget, metal_of, metal_zoom
from deepstruc_hpc.solve.measurement.decay import decay_of, has_more_atoms
from deepstruc_hpc.structures.elements import nn_distance
from deepstruc_hpc.structures.lattices import FAULTED, lattice_of, metal_atomic_volume
from deepstruc_hpc.structures.occupation import Occupation
from deepstruc_hpc.structures.sites import nearest_distances, shortest_distance

if TYPE_CHECKING:
    from deepstruc_hpc.solve.measurement.describe import Measurement

BEYOND_MODEL, FEWER = 800, 10
"""Models that come with the package are trained on up to 400 atoms. Where a curve tells a metal particle of surely more than 800, a tenth of the
samples is drawn, and no search follows them: they can only miss."""

LARGEST_COMPOUND, ORDER = 30.0, 0.2
"""Å, and RMS of G there over RMS from 2 to 10 Å. Where a compound shows so much order up to there, the model of compounds is not asked: its own
particles of at most 400 atoms are 20 Å across, 27 Å in CdTe. Noise is some 0.05."""
MOST_OF_COMPOUND, LONGER = 400, 1.1
"""Atoms of the largest particle that the model of compounds was trained on; and the part of the diameter of the sphere of its volume by which a
particle may look larger: an ellipsoid of aspect 1.5, or a relaxed surface."""


class GeneratorSource:
    """Samples of a generator.

    Args:
        generator: a trained model, or one of a user's own.
        compounds: asked about compounds in its place; it decodes elements.

    Attributes:
        name: of the generator.
    """

    def __init__(self, generator: Generator, compounds: Generator | None = None) -> None:
        self.generator, self.compounds = generator, compounds
        self.name = generator.name

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:
        """Samples of every width, without those whose atoms clash; nothing for a sample of other matter than the generator was trained on.

        Raises:
            EngineError: the generator failed.
        """
        sample = measurement.sample
        generator = self.compounds if self.compounds is not None and sample.kind == "compound" else self.generator
        if generator is self.compounds and not _of_compounds_model(measurement):
            return CandidateSet()
        symbol = sample.elements[0] if generator.decodes_elements else metal_of(sample)
        if symbol is None:
            return CandidateSet()
        try:
            drawn = self._drawn(generator, measurement, budget, symbol)
            belief = None if generator is self.compounds else self._belief(measurement, symbol)
        except PdfFileError as uncovered:
            return CandidateSet(notes=(f"the model was not asked: {uncovered}",))
        except (DeepstrucError, TimeLimitError):
            raise
        except Exception as broken:
            raise EngineError(
                f"the generator {self.name} failed: {type(broken).__name__}: {broken}. deepstruc_hpc.testing.check_generator says what it must do."
            ) from broken
        if generator is self.compounds and _beyond_compounds(drawn, measurement):
            drawn = []
        drawn = [one for one in drawn if one.shows_its_crystal]
        usable = tuple(scaled for one in drawn if (scaled := _at_own_scale(one, measurement, symbol)) is not None)
        return CandidateSet(usable, belief=belief, counts={"samples": len(drawn), "clashing": len(drawn) - len(usable)})

    def _drawn(self, generator: Generator, measurement: Measurement, budget: Budget, symbol: str) -> list[Candidate]:
        large = metal_of(measurement.sample) is not None and has_more_atoms(measurement, symbol, BEYOND_MODEL, surely=True)
        samples = budget.samples // FEWER if large else budget.samples
        shares = [len(part) for part in np.array_split(np.arange(samples), len(budget.sigma))]
        elements = measurement.sample.elements if generator.decodes_elements else ()
        rng = measurement.rng("samples")
        drawn: list[Candidate] = []
        for sigma, count in zip(budget.sigma, shares, strict=True):
            if count:
                found = generator.propose(
                    measurement.curve, symbol=symbol, n_samples=count, sigma=sigma, rng=rng, instrument=measurement.instrument, elements=elements
                )
                drawn += [_candidate(proposal, self.name) for proposal in found]
        return drawn

    def _belief(self, measurement: Measurement, symbol: str) -> Belief:
        mean, std = self.generator.prior(measurement.curve, symbol=symbol, instrument=measurement.instrument)
        types = self.generator.type_probabilities(measurement.curve, symbol=symbol, instrument=measurement.instrument)
        return Belief(types, np.ravel(mean), np.ravel(std))


def _beyond_compounds(drawn: list[Candidate], measurement: Measurement) -> bool:
    """Whether the decay of a curve surely tells a larger particle than the model of compounds has: its agreement on a size would mislead.

    The particle's end must be seen in the curve: of a curve that does not fade out the decay says little.
    """
    decay = decay_of(measurement)
    volumes = [one.atomic_volume for one in drawn if one.atomic_volume]
    if decay is None or not volumes or decay.high > float(measurement.curve.r[-1]):
        return False
    return decay.low > LONGER * float(np.cbrt(6.0 / np.pi * MOST_OF_COMPOUND * max(volumes)))


def _of_compounds_model(measurement: Measurement) -> bool:
    """Whether a curve is of the kind that the model of compounds was trained on: X-rays, and no particle beyond its own."""
    large = float(measurement.curve.r[-1]) >= LARGEST_COMPOUND and measurement.order_at_end > ORDER
    return measurement.instrument.radiation == "xray" and not large


def _candidate(proposal: Proposal, source: str) -> Candidate:
    latent = tuple(float(value) for value in np.ravel(proposal.latent))
    structure = proposal.structure
    occupation = None
    length = 0.0 if proposal.crystal is None else shortest_distance(structure.positions)
    if proposal.occupation is not None and (len(structure.elements) == 1 or proposal.occupation[0].species):
        template, mask = proposal.occupation
        length = template.length
        occupation = Occupation(template, mask, structure.structure_type, "" if template.species else structure.symbols[0], length)
    known, volume = proposal.crystal, None
    if known is not None:  # named, and taken for one lattice, as the crystals that are found from elements alone
        structure = Structure(structure.symbols, structure.positions, known.group, structure.label)
        occupation = None if occupation is None else replace(occupation, kind=known.group)
        volume = abs(float(np.linalg.det(known.crystal.lattice))) / len(known.orbits) * (length / known.crystal.bond_length) ** 3
    complexity = float(structure.structure_type in FAULTED)
    return Candidate(
        structure,
        source,
        listed=False,
        length=length,
        atomic_volume=volume,
        crystal=known,
        latent=latent,
        log_prior=float(proposal.log_prior),
        complexity=complexity,
        occupation=occupation,
    )


def _at_own_scale(sample: Candidate, measurement: Measurement, symbol: str) -> Candidate | None:
    """A sample at the length from which its fit begins, or None where atoms clash; clusters of several elements bring their own, the curve's."""
    nearest = np.sort(nearest_distances(sample.structure.positions)) if len(sample.structure) > 1 else np.zeros(1)
    typical = float(nearest[(len(nearest) - 1) // 2] + nearest[len(nearest) // 2]) / 2.0  # the median
    if not nearest[0] > CLOSEST_CONTACT * typical:
        return None
    if len(sample.structure.elements) > 1:
        return sample
    distance = nn_distance(symbol, "twelve")
    return as_metal(replace(sample, structure=sample.structure.scaled(distance / typical)), symbol, distance, metal_zoom(measurement, symbol))


def as_metal(candidate: Candidate, symbol: str, distance: float, zoom: tuple[float, float]) -> Candidate:
    """A cluster of one metal with the scale that it is known by.

    Args:
        candidate: Å.
        symbol: of the metal.
        distance: Å, its bulk nearest-neighbour distance.
        zoom: bounds for the fit.
    """
    volume = metal_atomic_volume(lattice_of(candidate.structure.structure_type), distance)
    held = candidate.occupation
    occupation = None if held is None else replace(held, symbol=symbol, length=distance)
    return replace(candidate, zoom=zoom, length=distance, atomic_volume=volume, occupation=occupation)


__all__ = ["BEYOND_MODEL", "Generator", "GeneratorSource", "SearchSpace", "as_metal"]
