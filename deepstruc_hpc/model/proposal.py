"""A structure that a model proposes for a curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.structures.parents import Parent

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A structure that the model proposes for a curve.

    Attributes:
        structure: positions in Å, with the most probable type. Nothing is repaired: atoms may lie impossibly close.
        latent: (latent,) the point it was decoded from.
        log_prior: logarithm of the prior density p(z | PDF), as calibrated, at that point, nats.
        type_probability: of the structure's type, says the decoder.
        parent: name of the parent whose sites it fills; empty for a decoder that writes coordinates.
        filling: that parent and (S,) which of its sites are filled, or None.
    """

    structure: Structure
    latent: Array
    log_prior: float
    type_probability: float
    parent: str = ""
    filling: tuple[Parent, NDArray[np.bool_]] | None = None
