"""Where candidates come from: the contract of a source, and the sources that installed packages add."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

import numpy as np

from deepstruc_hpc.core.errors import ConfigError, TimeLimitError
from deepstruc_hpc.solve.candidates.candidate import CandidateSet
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.measurement.sample import Sample
from deepstruc_hpc.structures.decoration import vegard_distance
from deepstruc_hpc.structures.elements import METALLIC_RADII_PM, is_metal, nn_distance

ENTRY_POINT_GROUP = "deepstruc_hpc.sources"
BUILT_IN = ("cvae", "catalog", "large", "crystals", "alloys", "structures")
"""``alloys`` is asked once the best lattices are known: :mod:`deepstruc_hpc.solve.search.decorations`."""
METAL_ZOOM = (0.92, 1.08)
"""Metal shapes are brought to the first peak of the curve before the fit, so this is room for strain, not for the lattice."""
PEAK_WITHIN = 0.12
"""A first peak farther from the metal's bulk distance than this share is none of its bonds, and no start for the fit."""


@dataclass(frozen=True)
class Budget:
    """How much a source may propose: counts, never seconds.

    Attributes:
        samples: points of a generator's latent space.
        sigma: widths of the sampling, in standard deviations of the prior.
        most_atoms: of a particle that is cut on the fly.
    """

    samples: int
    sigma: tuple[float, ...]
    most_atoms: int


@runtime_checkable
class Source(Protocol):
    """Proposes candidates for a measurement.

    An installed package adds one as an entry point of the group ``deepstruc_hpc.sources``: a callable without arguments that returns the source. It
    is asked where ``--sources`` names it.
    """

    name: str

    def candidates(self, measurement: Measurement, budget: Budget) -> CandidateSet:
        """Candidates that are not fitted yet; an empty set where the source has none for this sample."""
        ...


def propose(measurement: Measurement, sources: Sequence[Source], budget: Budget) -> CandidateSet:
    """The candidates of all sources, each different structure once."""
    found = CandidateSet()
    for source in sources:
        begin = time.perf_counter()
        offered = source.candidates(measurement, budget)
        took = {source.name: time.perf_counter() - begin}
        found = found.joined(replace(offered.counted(**{source.name: len(offered)}), seconds=took))
    distinct = found.distinct()
    return distinct.counted(distinct=len(distinct))


def metal_of(sample: Sample) -> str | None:
    """The metal whose shapes stand for the sample: its strongest scatterer, the metal on a support; None for compounds and molecules."""
    if sample.kind in {"compound", "cluster"} or not sample.elements:
        return None
    first = (*sample.on_support, *sample.elements)[0]
    return first if is_metal(first) else None


def metal_zoom(measurement: Measurement, symbol: str) -> tuple[float, float]:
    """Bounds of the zoom of a metal shape at its bulk distance: about the first peak of the curve where that is a bond of the metal, else about 1."""
    start = start_scale(measurement, symbol)
    return METAL_ZOOM[0] * start, METAL_ZOOM[1] * start


def start_scale(measurement: Measurement, symbol: str) -> float:
    """The first peak over the metal's bulk distance where it is a bond: within 12 % of a distance of the sample's metals, else their own.

    Bonds of an alloy lie between those of its metals, of which the strongest scatterer has but one. Where the first peak is none, Vegard's distance
    counts; of a metal that is its own, and the scale is 1.
    """
    own, sample = nn_distance(symbol, "twelve"), measurement.sample
    metals = {one: sample.amounts[one] for one in sample.elements if one in METALLIC_RADII_PM} if sample.kind == "alloy" else {}
    lengths = [own, *(nn_distance(one, "twelve") for one in metals)]
    peak = measurement.first_peak
    if peak is not None and abs(peak / float(np.clip(peak, min(lengths), max(lengths))) - 1.0) < PEAK_WITHIN:
        return peak / own
    return vegard_distance(metals, "twelve") / own if metals else 1.0


def added_sources() -> dict[str, Source]:
    """The sources that installed packages offer, by name.

    Raises:
        ConfigError: an entry point that cannot be loaded, or is no source.
    """
    found: dict[str, Source] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            made = point.load()()
        except TimeLimitError:
            raise
        except Exception as broken:
            raise ConfigError(
                f"entry point {point.name!r} of {ENTRY_POINT_GROUP}: {type(broken).__name__}: {broken}. Update or remove the package that offers it."
            ) from broken
        if not isinstance(made, Source):
            raise ConfigError(f"entry point {point.name!r} of {ENTRY_POINT_GROUP}: {type(made).__name__} has no name and candidates(…).")
        found[point.name] = made
    return found
