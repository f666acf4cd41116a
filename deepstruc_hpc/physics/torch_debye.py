"""The Debye sum on torch tensors, differentiable with respect to the positions, batched over clusters of any sizes."""

from __future__ import annotations

import numpy as np
import torch

from deepstruc_hpc.core.shapes import Real
from deepstruc_hpc.physics.histogram import COINCIDENT


def pair_list(
    sizes: Real[torch.Tensor, " clusters"],
) -> tuple[Real[torch.Tensor, " pairs"], Real[torch.Tensor, " pairs"], Real[torch.Tensor, " pairs"]]:
    """All pairs i<j within each cluster of a flat list of atoms, without a loop.

    Args:
        sizes: (S,) number of atoms of each cluster.

    Returns:
        i (K,), j (K,) indices into the flat list, and the cluster (K,) of each pair.
    """
    ends = sizes.cumsum(0)
    cluster = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    atoms = torch.arange(int(ends[-1]), device=sizes.device)
    partners = ends[cluster] - atoms - 1
    i = torch.repeat_interleave(atoms, partners)
    first = partners.cumsum(0) - partners
    j = i + 1 + torch.arange(len(i), device=sizes.device) - first[i]
    return i, j, cluster[i]


def distances(
    positions: Real[torch.Tensor, "atoms 3"], i: Real[torch.Tensor, " pairs"], j: Real[torch.Tensor, " pairs"]
) -> Real[torch.Tensor, " pairs"]:
    """(K,) Å; the gradient of a pair of coincident atoms is 0."""
    squared = ((positions[i] - positions[j]) ** 2).sum(dim=1)
    apart = squared > COINCIDENT**2
    return torch.where(apart, torch.where(apart, squared, torch.ones_like(squared)).sqrt(), torch.zeros_like(squared))


def spread(
    d: Real[torch.Tensor, " pairs"], row: Real[torch.Tensor, " pairs"], *, rows: int, step: float, n_bins: int
) -> Real[torch.Tensor, "rows bins"]:
    """The histogram of :mod:`deepstruc_hpc.physics.histogram` with a gradient: (rows, B), each pair shared among six grid points.

    Args:
        d: (K,) Å.
        row: (K,) which histogram a pair belongs to.
        rows: number of histograms.
        step: h, Å.
        n_bins: B.
    """
    s = d / step
    first = (s.detach().floor().long() - 2).clamp(0, n_bins - 6)
    t = s - (first + 2)
    offsets = np.arange(-2, 4)
    weights = []
    for own in offsets:
        product = torch.ones_like(t)
        for other in offsets[offsets != own]:
            product = product * (t - float(other)) / float(own - other)
        weights.append(product)
    shares = torch.stack(weights, dim=1) * (d > COINCIDENT).to(d.dtype)[:, None]
    index = (row * n_bins + first)[:, None] + torch.arange(6, device=d.device)
    flat = torch.zeros(rows * n_bins, dtype=d.dtype, device=d.device)
    return flat.index_add(0, index.reshape(-1), shares.reshape(-1)).reshape(rows, n_bins)


class DistanceGrid:
    """Grid of distances and what F(Q) needs of it, fixed while positions and U move.

    F(Q) = Σ_p W_p(Q) Σ_b H_pb exp(−U s(d_b) Q²) sin(Q d_b)/d_b.
    """

    def __init__(self, q: torch.Tensor, *, step: float, reach: float, delta2: float = 0.0, qbroad: float = 0.0) -> None:
        self.step = step
        self.n_bins = int(reach / step) + 8
        d = torch.arange(1, self.n_bins, dtype=q.dtype, device=q.device) * step
        scale = torch.clamp(1.0 - delta2 / d**2 + (qbroad * d) ** 2, min=0.0)
        self.sines = torch.sin(d[:, None] * q) / d[:, None]
        self.damping = scale[:, None] * q**2

    def fq(
        self, hist: Real[torch.Tensor, "clusters pairs bins"], weights: Real[torch.Tensor, "... q"], uiso: Real[torch.Tensor, ""]
    ) -> Real[torch.Tensor, "clusters q"]:
        """F(Q) of clusters that share U.

        Args:
            hist: (S, P, B).
            weights: (S, P, Q) or (P, Q): 2 fₐf_b/(N⟨f⟩²).
            uiso: Å², a scalar tensor.

        Returns:
            (S, Q).
        """
        sums = hist[..., 1:] @ (torch.exp(-uiso * self.damping) * self.sines)
        return (weights * sums).sum(dim=-2)
