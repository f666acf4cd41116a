"""Posterior q(z | structure, PDF) and prior p(z | PDF)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from deepstruc_hpc.data.graphs import EDGE_FEATURES, NODE_FEATURES
from deepstruc_hpc.model.config import EncoderConfig, PriorConfig
from deepstruc_hpc.model.layers import GaussianHead, ResidualNetwork
from deepstruc_hpc.model.message_passing import GineConvolution, maximum_by_owner, mean_by_owner
from deepstruc_hpc.model.parts import Gaussian, GraphBatch

Convolution = Callable[..., nn.Module]
"""Makes a graph convolution from its network and, by keyword, ``edge_dim``: :class:`GineConvolution` or ``torch_geometric.nn.GINEConv``."""


class PdfPrior(nn.Module):
    """p(z | PDF): a residual network over the standardised PDF and its mask."""

    def __init__(self, config: PriorConfig, grid_points: int, latent_dim: int, log_std_floor: float = -5.0) -> None:
        super().__init__()
        self.network = ResidualNetwork(2 * grid_points, config.hidden, config.layers)
        self.head = GaussianHead(config.hidden, latent_dim, log_std_floor)

    def features(self, pdf: Tensor) -> Tensor:
        """(B, 2, R) to what the head sees, (B, hidden)."""
        out: Tensor = self.network(pdf.flatten(1))
        return out

    def forward(self, pdf: Tensor) -> Gaussian:
        """(B, 2, R) to a distribution over (B, latent)."""
        out: Gaussian = self.head(self.features(pdf))
        return out


class GraphEncoder(nn.Module):
    """q(z | structure, PDF): graph convolutions with edge features, mean and maximum over the atoms, joined with the PDF.

    GINE (Hu et al., ICLR 2020) sums messages relu(x_j + W e_ij): as expressive as message passing over neighbours gets, and an order of magnitude
    cheaper on a CPU than graph attention.

    Args:
        config: widths.
        grid_points: numbers read off a PDF.
        latent_dim: of the latent space.
        log_std_floor: least logarithm of a standard deviation.
        node_features: numbers that describe an atom.
        convolution: the layer; torch-geometric's in a training, the same in plain torch where a model is used.
    """

    def __init__(
        self,
        config: EncoderConfig,
        grid_points: int,
        latent_dim: int,
        log_std_floor: float = -5.0,
        *,
        node_features: int = NODE_FEATURES,
        convolution: Convolution = GineConvolution,
    ) -> None:
        super().__init__()
        width = config.hidden
        self.embed = nn.Linear(node_features, width)
        self.convolutions = nn.ModuleList(
            convolution(nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)), edge_dim=EDGE_FEATURES)
            for _ in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers))
        conditions = nn.Linear(2 * width, 2 * width)
        self.pdf = nn.Sequential(nn.Linear(2 * grid_points, 2 * width), nn.SiLU(), conditions)
        nn.init.zeros_(conditions.weight)  # a fresh posterior tells structures apart, not the conditions of their PDFs
        self.join = ResidualNetwork(4 * width + 1, 2 * width, 1)
        self.head = GaussianHead(2 * width, latent_dim, log_std_floor)

    def features(self, graphs: GraphBatch, pdf: Tensor) -> Tensor:
        """Graphs of B structures and (B, 2, R) PDFs to what the head sees, (B, 2 hidden)."""
        x = self.embed(graphs.nodes)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = x + nn.functional.silu(convolution(norm(x), graphs.edges, graphs.bonds))
        mean = mean_by_owner(x, graphs.owner, graphs.size)
        largest = maximum_by_owner(x, graphs.owner, graphs.size)
        atoms = torch.bincount(graphs.owner, minlength=graphs.size).to(x.dtype)
        size = atoms[:, None].log1p() / 5.0
        out: Tensor = self.join(torch.cat([mean, largest, self.pdf(pdf.flatten(1)), size], dim=1))
        return out

    def forward(self, graphs: GraphBatch, pdf: Tensor) -> Gaussian:
        """Graphs of B structures and (B, 2, R) PDFs to a distribution over (B, latent)."""
        out: Gaussian = self.head(self.features(graphs, pdf))
        return out
