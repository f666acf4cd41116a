"""A crystal × shape as it was fitted to a curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.evidence import criterion

if TYPE_CHECKING:
    from deepstruc_hpc.physics.size_family import SizeFamily
    from deepstruc_hpc.structures.crystals import Crystal
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

Float = NDArray[np.float64]
ORDER = 3
"""An ordered alloy counts as so many parameters more than a mixed one: its formula, and which sites and which element go together, were chosen."""
LACKING = 4
"""The same for each element of the sample that a crystal lacks: which it is was chosen. An oxide that was reduced differs by far more."""


@dataclass(frozen=True, eq=False)
class CrystalFit:
    """A crystal fitted to a curve.

    Attributes:
        candidate: as given.
        crystal: with cell and positions as fitted.
        rw: over the file's points between rmin and 40 Å (or rmax, where that is less): the range that all crystals are compared over.
        scale: of the curve.
        cell: a, b, c in Å.
        cell_error: their standard uncertainties, Å.
        uiso: element → Å².
        delta2: Å².
        diameter: of the sphere with the volume of what is coherent, of a distribution the mean by volume, Å; None for a crystal whose end the curve
            does not show.
        diameter_error: Å, or None.
        at_least: Å, what the diameter is at least (95 %).
        qdamp: Å⁻¹, as given, or refined where it is not known.
        n_parameters: refined, the scale included; n_extras: of these the ones of shape and resolution.
        shifted: whether positions were refined.
        rmin: Å; rmax: Å, of the points fitted.
        r: (R,) Å; calculated: (R,) Å⁻² there.
        n_independent: independent points of the range of ``rw``.
        uiso_error: element → standard uncertainty, Å².
        qdamp_error: Å⁻¹; 0 where it was known.
        qbroad: Å⁻¹, as given, or refined; qbroad_error: Å⁻¹, 0 where it was known.
        shape: ``sphere``, ``lognormal`` (spheres of many sizes), ``spheroid``, or a facetted body of :mod:`deepstruc_hpc.physics.shape_functions`.
        size_spread: relative standard deviation of the diameters of a lognormal, else 0; size_spread_error: of it.
        aspect: length over width of a spheroid, else 1; aspect_error: of it.
        rivals: other shapes that the curve does not exclude, in words.
        sizes: a free distribution of sizes, where it was asked for.
    """

    candidate: CrystalCandidate
    crystal: Crystal
    rw: float
    scale: float
    cell: tuple[float, float, float]
    cell_error: tuple[float, float, float]
    uiso: Mapping[str, float]
    delta2: float
    diameter: float | None
    diameter_error: float | None
    at_least: float
    qdamp: float
    n_parameters: int
    shifted: bool
    rmin: float
    rmax: float
    r: Float
    calculated: Float
    n_independent: float
    uiso_error: Mapping[str, float]
    qdamp_error: float = 0.0
    qbroad: float = 0.0
    qbroad_error: float = 0.0
    shape: str = "sphere"
    size_spread: float = 0.0
    size_spread_error: float = 0.0
    aspect: float = 1.0
    aspect_error: float = 0.0
    rivals: tuple[str, ...] = ()
    sizes: SizeFamily | None = None
    n_extras: int = 0

    @property
    def bulk(self) -> bool:
        """Whether the curve shows no end of the crystal."""
        return self.diameter is None

    @property
    def criterion(self) -> float:
        """N ln Rw² + k ln N with N independent points and k parameters (Bayesian information criterion); lower is better."""
        n = max(self.n_independent, self.n_parameters + 1.0)
        return criterion(max(self.rw, 1e-6) ** 2, n, self.n_parameters + self.choices)

    @property
    def choices(self) -> int:
        """What the choice of its elements and of their order counts, in parameters."""
        ordered = ORDER if self.candidate.origin == "prototype, ordered" and not self.candidate.anion else 0
        return ordered + LACKING * self.candidate.lacking
