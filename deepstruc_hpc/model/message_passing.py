"""The graph operations of the encoder in plain torch: to import torch-geometric takes seconds, and a trained model needs two sums and a maximum.

A training builds its network with torch-geometric's own layer (see :class:`~deepstruc_hpc.model.encoder.GraphEncoder`); parameters have the same
names and shapes in both, so a checkpoint fits both. A test holds the two equal.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class GineConvolution(nn.Module):
    """h'ᵢ = network((1 + ε) hᵢ + Σⱼ relu(hⱼ + W eᵢⱼ + b)), the sum over the bonds j → i.

    Source: Hu et al., ICLR 2020; ε is 0 and is not learned, as in ``torch_geometric.nn.GINEConv``.

    Args:
        nn: applied to the sum of every node; its first layer is a ``torch.nn.Linear``.
        edge_dim: number of features of a bond.
    """

    eps: Tensor

    def __init__(self, nn: nn.Sequential, edge_dim: int) -> None:
        super().__init__()
        self.nn = nn
        self.lin = torch.nn.Linear(edge_dim, cast("torch.nn.Linear", nn[0]).in_features)
        self.register_buffer("eps", torch.zeros(1))
        for layer in (*nn, self.lin):  # drawn a second time, as torch-geometric does: a seed gives the same network in both
            if isinstance(layer, torch.nn.Linear):
                layer.reset_parameters()

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """(N, width) nodes, (2, E) bonds j → i, (E, edge_dim) features of the bonds to (N, width)."""
        start, end = edge_index
        messages = (x[start] + self.lin(edge_attr)).relu()
        out: Tensor = self.nn(torch.zeros_like(x).index_add_(0, end, messages) + (1 + self.eps) * x)
        return out


def mean_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    """Mean of the rows of (N, width) that belong to each of ``size`` owners, (size, width); 0 for an owner of none."""
    count = torch.bincount(owner, minlength=size).clamp(min=1).to(x.dtype)
    return x.new_zeros(size, x.shape[1]).index_add_(0, owner, x) / count[:, None]


def maximum_by_owner(x: Tensor, owner: Tensor, size: int) -> Tensor:
    """Maximum of the rows of (N, width) that belong to each of ``size`` owners, (size, width); 0 for an owner of none."""
    index = owner[:, None].expand_as(x)
    return x.new_zeros(size, x.shape[1]).scatter_reduce_(0, index, x, reduce="amax", include_self=False)
