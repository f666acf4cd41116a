"""The paper's network (Kjær et al., Digital Discovery 2 (2023) 69), rebuilt from its description with torch-geometric: the peer of bench_training.py.

Graph attention of widths 1024, 512, 256, 128, 64 with attention pooling; the PDF passes gated 1×1 convolutions; posterior from both, prior from the
PDF, two latent dimensions; a multilayer perceptron writes 200 × 3 padded coordinates. Where the description leaves a choice, the cheap one is taken:
one attention head, bonds to nearest neighbours only, the points of the PDF as channels of one position and few layers for it, the encoder's widths in
reverse as the decoder's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv
from torch_geometric.nn.aggr import AttentionalAggregation

from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import ordered_positions
from deepstruc_hpc.data.graphs import structure_graph

WIDTHS = (1024, 512, 256, 128, 64)
PDF_WIDTHS = (256, 64)
MAX_ATOMS = 200
LATENT = 2


class GatedPointwise(nn.Module):
    """A 1×1 convolution whose other half of channels gates it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, 2 * outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, L) to (B, outputs, L)."""
        return nn.functional.glu(self.convolution(x), dim=1)


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers = [part for before, after in pairwise(widths) for part in (nn.Linear(before, after), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def gated(*widths: int) -> nn.Sequential:
    """Gated 1×1 convolutions one after another."""
    return nn.Sequential(*(GatedPointwise(before, after) for before, after in pairwise(widths)))


class PaperNetwork(nn.Module):
    """Encoder, prior and decoder of the paper."""

    def __init__(self, pdf_points: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList(GATConv(before, after) for before, after in pairwise((3, *WIDTHS)))
        self.pool = AttentionalAggregation(nn.Linear(WIDTHS[-1], 1))
        self.condition = gated(pdf_points, *PDF_WIDTHS)
        self.prior_pdf = gated(pdf_points, *PDF_WIDTHS)
        self.posterior = perceptron(WIDTHS[-1] + PDF_WIDTHS[-1], WIDTHS[-1], 2 * LATENT)
        self.prior = perceptron(PDF_WIDTHS[-1], WIDTHS[-1], 2 * LATENT)
        self.decoder = perceptron(LATENT, *reversed(WIDTHS), 3 * MAX_ATOMS)

    def forward(self, batch: Batch) -> Tensor:
        """Loss of a batch: mean square error of the padded coordinates and the divergence."""
        x = batch.pos
        for layer in self.attention:
            x = layer(x, batch.edge_index).relu()
        pdf = batch.pdf[:, :, None]
        pooled = self.pool(x, batch.batch, dim_size=batch.num_graphs)
        q_mean, q_log_std = self.posterior(torch.cat([pooled, self.condition(pdf)[:, :, 0]], dim=1)).chunk(2, dim=1)
        p_mean, p_log_std = self.prior(self.prior_pdf(pdf)[:, :, 0]).chunk(2, dim=1)
        z = q_mean + torch.randn_like(q_mean) * q_log_std.exp()
        q = torch.distributions.Normal(q_mean, q_log_std.exp())
        p = torch.distributions.Normal(p_mean, p_log_std.exp())
        divergence = torch.distributions.kl_divergence(q, p).sum(dim=1).mean()
        return nn.functional.mse_loss(self.decoder(z), batch.target) + 1e-3 * divergence


def paper_data(catalog: Catalog, rows: NDArray[np.int64]) -> list[Data]:
    """Structures as the paper's network takes them: coordinates as the atoms' features, the stored PDF over its maximum, padded coordinates."""
    pdf = np.asarray(catalog.pdf, dtype=np.float32)[rows]
    units = catalog.columns["nn_distance"].to_numpy(dtype=np.float64)[rows]
    made = []
    for structure, unit, g in zip(catalog.structures(rows.tolist()), units, pdf, strict=True):
        positions = ordered_positions(structure, 1.0, "builder").astype(np.float32)
        target = np.zeros((1, 3 * MAX_ATOMS), dtype=np.float32)
        target[0, : positions.size] = positions.ravel()
        edges = torch.from_numpy(structure_graph(structure, float(unit)).edges)
        pdf_row = torch.from_numpy(g / g.max())[None]
        made.append(Data(pos=torch.from_numpy(positions), edge_index=edges, pdf=pdf_row, target=torch.from_numpy(target)))
    return made


class PaperTraining:
    """The paper's network with its data, ready to take steps."""

    def __init__(self, catalog: Catalog, rows: NDArray[np.int64], *, batch_size: int, device: str) -> None:
        torch.manual_seed(0)
        self.data, self.batch_size, self.device = paper_data(catalog, rows), batch_size, device
        self.network = PaperNetwork(self.data[0].pdf.shape[1]).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)

    def batches(self) -> Iterator[Batch]:
        """Random batches without end, on the host."""
        rng = np.random.default_rng(0)
        while True:
            yield Batch.from_data_list([self.data[row] for row in rng.integers(len(self.data), size=self.batch_size)])

    def step(self, batch: Batch) -> None:
        """Forward, backward, optimiser; the loss is read, as a training does."""
        loss = self.network(batch.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        loss.item()
