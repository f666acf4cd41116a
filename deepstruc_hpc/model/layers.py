"""Pieces of network that several parts share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepstruc_hpc.model.parts import Gaussian

LARGEST_LOG_STD = 2.0
INITIAL_LOG_STD = -2.0


class ResidualBlock(nn.Module):
    """x + W₂ SiLU(W₁ norm(x)); the identity at the start of training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        step: Tensor = self.outer(nn.functional.silu(self.inner(self.norm(x))))
        return x + step


class ResidualNetwork(nn.Module):
    """Linear, residual blocks, norm."""

    def __init__(self, inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), *(ResidualBlock(width) for _ in range(blocks)), nn.LayerNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, width)."""
        out: Tensor = self.network(x)
        return out


class GaussianHead(nn.Module):
    """Mean and bounded logarithm of the standard deviation."""

    def __init__(self, width: int, latent_dim: int, log_std_floor: float = -5.0) -> None:
        super().__init__()
        self.log_std_floor = log_std_floor
        self.mean = nn.Linear(width, latent_dim)
        self.log_std = nn.Linear(width, latent_dim)

    @torch.no_grad()
    def spread_means(self, x: Tensor) -> None:
        """Rescale the layer of the mean so that over a sample (B, width) the means have mean 0, variance 1 and no correlation.

        At random weights all inputs fall on nearly one latent point, far closer than the sampling noise, and a decoder learns nothing of them for a
        long time; spread out, it learns at once (data-dependent initialisation, Krähenbühl et al., ICLR 2016).
        """
        means = self.mean(x).double()
        centre = means.mean(dim=0)
        covariance = (means - centre).T @ (means - centre) / max(len(means) - 1, 1)
        variances, directions = torch.linalg.eigh(covariance)
        whitening = (directions / variances.clamp(min=1e-3 * float(variances.max()) + 1e-12).sqrt()).T
        self.mean.bias.copy_((whitening @ (self.mean.bias.double() - centre)).float())
        self.mean.weight.copy_((whitening @ self.mean.weight.double()).float())

    def forward(self, x: Tensor) -> Gaussian:
        """(B, width) to a distribution over (B, latent)."""
        low, high = self.log_std_floor, LARGEST_LOG_STD
        middle, half = (high + low) / 2, (high - low) / 2
        return Gaussian(self.mean(x), middle + half * torch.tanh((self.log_std(x) + INITIAL_LOG_STD - middle) / half))


def fourier_features(z: Tensor, octaves: int) -> Tensor:
    """[z, sin 2ᵏz, cos 2ᵏz …] for k = 0 … octaves − 1: (B, D) to (B, D (1 + 2 octaves)).

    Without them a network of this kind learns smooth maps only (Tancik et al., NeurIPS 2020), and shapes are anything but smooth in z.
    """
    if octaves == 0:
        return z
    phases = (z[:, :, None] * 2.0 ** torch.arange(octaves, device=z.device, dtype=z.dtype)).flatten(1)
    return torch.cat([z, phases.sin(), phases.cos()], dim=1)
