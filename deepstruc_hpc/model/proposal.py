"""A structure that a model proposes for a curve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.prototypes import CrystalCandidate
from deepstruc_hpc.structures.template_lattices import TemplateLattice

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A structure that a generator proposes for a curve.

    Attributes:
        structure: positions in Å, with the most probable type. Nothing is repaired: atoms may lie impossibly close.
        latent: (latent,) the point it was decoded from; of length 0 without a latent space.
        log_prior: logarithm of the prior density p(z | PDF), as calibrated, at that point, nats; 0 without a latent space.
        type_probability: of the structure's type, says the generator; 1 where it does not say.
        template: name of the template lattice whose sites it fills; empty where it fills none.
        occupation: that template lattice and (S,) which of its sites are occupied, or None. Searches over sizes and sites begin from it.
        crystal: of a compound, the crystal type that it is cut from, with lengths from radii; else None.
    """

    structure: Structure
    latent: Array = field(default_factory=lambda: np.zeros(0))
    log_prior: float = 0.0
    type_probability: float = 1.0
    template: str = ""
    occupation: tuple[TemplateLattice, NDArray[np.bool_]] | None = None
    crystal: CrystalCandidate | None = None
