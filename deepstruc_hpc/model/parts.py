"""What a model is made of: the tensors that pass between its parts and what a decoder must offer.

A CVAE is an encoder, a prior and a decoder. The first two end in a :class:`Gaussian`; the decoder begins with a latent point. A new decoder
satisfies :class:`Decoder` and is named in ``decoder.DECODERS``; nothing else has to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """A dataclass of tensors that moves between devices as one."""

    def to(self, device: torch.device | str) -> Self:
        """The same record on a device."""
        moved = {field.name: _moved(getattr(self, field.name), device) for field in fields(self)}
        return type(self)(**moved)


def _moved(value: Any, device: torch.device | str) -> Any:
    return value.to(device) if isinstance(value, Tensor | TensorRecord) else value


@dataclass(frozen=True, eq=False)
class Gaussian(TensorRecord):
    """A normal distribution with independent coordinates.

    Attributes:
        mean: (B, latent).
        log_std: (B, latent), natural logarithm.
    """

    mean: Tensor
    log_std: Tensor

    def first(self, count: int) -> Gaussian:
        """The first rows."""
        return Gaussian(self.mean[:count], self.log_std[:count])

    def detached(self) -> Gaussian:
        """The same distribution, which no gradient moves."""
        return Gaussian(self.mean.detach(), self.log_std.detach())

    def sample(self, noise: Tensor) -> Tensor:
        """The point that standard normal noise (B, latent) stands for."""
        return self.mean + noise * self.log_std.exp()


@dataclass(frozen=True, eq=False)
class GraphBatch(TensorRecord):
    """The graphs of a batch, laid end to end.

    Attributes:
        nodes: (ΣN, 3) features.
        edges: (2, ΣE) int64.
        bonds: (ΣE, 2) features.
        owner: (ΣN,) int64, the structure of each node.
        size: number of structures.
    """

    nodes: Tensor
    edges: Tensor
    bonds: Tensor
    owner: Tensor
    size: int


@dataclass(frozen=True, eq=False)
class SiteTargets(TensorRecord):
    """What a decoder over sites should give; see :class:`~deepstruc_hpc.data.site_targets.SiteArrays`.

    Attributes:
        template: (B,) int64, number of the template lattice.
        site: (B, K) int64, the sites evaluated.
        filled: (B, K), 1 where such a site is filled.
        mask: (B, ⌈S/8⌉) uint8, all sites of the template lattice as bits.
        element: (B, S) uint8, the element on every site, or none where elements are not decoded.
    """

    template: Tensor
    site: Tensor
    filled: Tensor
    mask: Tensor
    element: Tensor | None = None

    def first(self, count: int) -> SiteTargets:
        """The targets of the first structures."""
        element = None if self.element is None else self.element[:count]
        return SiteTargets(self.template[:count], self.site[:count], self.filled[:count], self.mask[:count], element)


@dataclass(frozen=True, eq=False)
class Targets(TensorRecord):
    """What the decoder should give.

    Attributes:
        positions: (B, max_atoms, 3) in units of the NN distance, centred; zero and meaningless beyond the structure's own atoms.
        n_atoms: (B,) int64.
        structure_type: (B,) int64, index into the model's types.
        sites: for a decoder over sites.
    """

    positions: Tensor
    n_atoms: Tensor
    structure_type: Tensor
    sites: SiteTargets | None = None

    def first(self, count: int) -> Targets:
        """The targets of the first structures."""
        sites = None if self.sites is None else self.sites.first(count)
        return Targets(self.positions[:count], self.n_atoms[:count], self.structure_type[:count], sites)

    def mask(self) -> Tensor:
        """(B, max_atoms): 1 for real atoms, 0 beyond them."""
        slots = torch.arange(self.positions.shape[1], device=self.positions.device)
        return (slots[None, :] < self.n_atoms[:, None]).to(self.positions.dtype)


@dataclass(frozen=True, eq=False)
class TrainingBatch(TensorRecord):
    """What one step of training sees.

    Attributes:
        pdf: (B, 2, R) standardised G and its mask.
        graphs: the first K ≤ B structures: those that the posterior sees.
        targets: what to decode, B.
        nn_distance: (B,) Å, for errors in Å.
    """

    pdf: Tensor
    graphs: GraphBatch
    targets: Targets
    nn_distance: Tensor


@dataclass(frozen=True, eq=False)
class DecodedArrays:
    """A decoded structure without scale, and without elements unless the model decodes them.

    Attributes:
        positions: (N, 3) in units of the NN distance.
        type_probabilities: (T,).
        symbols: (N,) elements, where the model decodes them.
    """

    positions: NDArray[np.float64]
    type_probabilities: NDArray[np.float64]
    symbols: tuple[str, ...] | None = None


class Decoder(Protocol):
    """From a latent point to structures."""

    def __call__(self, z: Tensor) -> Any:
        """The decoder's own output record for (B, latent) points."""

    def losses(self, output: Any, targets: Targets) -> dict[str, Tensor]:
        """Scalar terms of the reconstruction loss by name, unweighted: ``positions``, ``n_atoms``, ``structure_type``."""

    def errors(self, output: Any, targets: Targets) -> dict[str, Tensor]:
        """(B,) figures of merit: ``mae`` (mean distance of atoms in the targets' order, NN units), ``n_exact``, ``type_exact``."""

    def structures(self, output: Any) -> Sequence[DecodedArrays]:
        """The structures that an output stands for."""

    def mean_type_shares(self, points: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
        """(T,) probabilities of the types, averaged over (B, latent) points."""

    def assignments(self, z: Tensor, allowed: Sequence[Sequence[str]]) -> list[tuple[int, NDArray[np.int64]]]:
        """For (B, latent) points: template lattice and element of each of its sites; none for a decoder without sites."""
