"""From a latent point to coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.layers import ResidualNetwork, fourier_features
from deepstruc_hpc.model.parts import DecodedArrays, Decoder, Targets, TensorRecord
from deepstruc_hpc.model.sites import SitesDecoder


@dataclass(frozen=True, eq=False)
class CoordinatesOutput(TensorRecord):
    """What the coordinate decoder says.

    Attributes:
        positions: (B, max_atoms, 3) in units of the NN distance.
        n_atoms_logits: (B, max_atoms): entry k is for k + 1 atoms.
        type_logits: (B, T).
    """

    positions: Tensor
    n_atoms_logits: Tensor
    type_logits: Tensor

    def n_atoms(self) -> Tensor:
        """(B,) the most probable number of atoms."""
        return self.n_atoms_logits.argmax(dim=1) + 1


class CoordinatesDecoder(nn.Module):
    """The paper's decoder, with the number of atoms said outright: no padded atom is ever a target."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        options = config.coordinates
        self.frequencies = options.frequencies
        self.max_atoms = config.max_atoms
        self.trunk = ResidualNetwork(config.latent_dim * (1 + 2 * options.frequencies), options.hidden, options.layers)
        self.positions = nn.Linear(options.hidden, 3 * config.max_atoms)
        self.n_atoms = nn.Linear(options.hidden, config.max_atoms)
        self.structure_type = nn.Linear(options.hidden, len(config.structure_types))

    def forward(self, z: Tensor) -> CoordinatesOutput:
        """(B, latent) points to coordinates, number of atoms and type."""
        x = self.trunk(fourier_features(z, self.frequencies))
        return CoordinatesOutput(self.positions(x).unflatten(1, (self.max_atoms, 3)), self.n_atoms(x), self.structure_type(x))

    def losses(self, output: CoordinatesOutput, targets: Targets) -> dict[str, Tensor]:
        """Smooth absolute error over real atoms (each structure weighs the same), cross-entropies of size and type."""
        mask = targets.mask()
        error = smooth_l1_loss(output.positions, targets.positions, beta=0.1, reduction="none").sum(dim=2)
        per_structure = (error * mask).sum(dim=1) / targets.n_atoms
        return {
            "positions": per_structure.mean(),
            "n_atoms": cross_entropy(output.n_atoms_logits, targets.n_atoms - 1),
            "structure_type": cross_entropy(output.type_logits, targets.structure_type),
        }

    def errors(self, output: CoordinatesOutput, targets: Targets) -> dict[str, Tensor]:
        """Mean distance from the target over its real atoms (NN units), and whether size and type are right."""
        distance = torch.linalg.vector_norm(output.positions - targets.positions, dim=2)
        return {
            "mae": (distance * targets.mask()).sum(dim=1) / targets.n_atoms,
            "n_exact": (output.n_atoms() == targets.n_atoms).to(distance.dtype),
            "type_exact": (output.type_logits.argmax(dim=1) == targets.structure_type).to(distance.dtype),
        }

    def structures(self, output: CoordinatesOutput) -> list[DecodedArrays]:
        """The first n atoms of each row, n the most probable number."""
        positions = output.positions.double().cpu().numpy()
        probabilities = output.type_logits.double().softmax(dim=1).cpu().numpy()
        return [DecodedArrays(positions[row, :count], probabilities[row]) for row, count in enumerate(output.n_atoms().tolist())]

    @torch.inference_mode()
    def mean_type_shares(self, points: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
        """(T,) probabilities of the types, averaged over (B, latent) points."""
        decoded = self.structures(self(torch.from_numpy(points.astype(np.float32)).to(device)))
        return np.asarray(np.mean([structure.type_probabilities for structure in decoded], axis=0))

    def assignments(self, z: Tensor, allowed: Sequence[Sequence[str]]) -> list[tuple[int, NDArray[np.int64]]]:
        """None: coordinates lie on no sites."""
        del z, allowed
        return []


DECODERS: dict[str, Callable[[ModelConfig], nn.Module]] = {"coordinates": CoordinatesDecoder, "sites": SitesDecoder}


def make_decoder(config: ModelConfig) -> nn.Module:
    """The decoder that the settings name; it satisfies :class:`~deepstruc_hpc.model.parts.Decoder`.

    Raises:
        ConfigError: when the model has no size or no types yet.
    """
    if config.max_atoms < 1 or not config.structure_types:
        raise ConfigError("model: max_atoms and structure_types are not set; they come from the catalog when a training starts.")
    return DECODERS[config.decoder](config)


__all__ = ["DECODERS", "CoordinatesDecoder", "CoordinatesOutput", "Decoder", "make_decoder"]
