"""From a latent point to the filled sites of a parent: an occupancy field on a lattice.

A latent point says which parent is meant, p(parent | z), and, given a parent, how likely each of its sites is filled, p(site | z, parent). Sites
are exact, the number of atoms follows, and cuts of the sites in order of probability give a nested family of sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, silu

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.layers import ResidualNetwork, fourier_features
from deepstruc_hpc.model.parts import DecodedArrays, SiteTargets, Targets, TensorRecord
from deepstruc_hpc.model.site_features import FEATURES, SiteBook
from deepstruc_hpc.structures.sites import centred_and_ordered

FEWEST_ATOMS = 4
SAME_LATTICE = {"octahedral": "fcc"}
"""Types that are another type's lattice with an outline of their own."""


@dataclass(frozen=True, eq=False)
class SitesOutput(TensorRecord):
    """What the decoder says before it is asked about sites.

    Attributes:
        z: (B, latent).
        parent_logits: (B, P).
    """

    z: Tensor
    parent_logits: Tensor


class SiteField(nn.Module):
    """p(site filled | z, parent): a small network on site features, each layer scaled and shifted by z and the parent.

    Such modulation is FiLM (Perez et al., AAAI 2018). The features also enter the logit directly: a sphere or an ellipsoid is linear in them.
    """

    def __init__(self, config: ModelConfig, n_parents: int) -> None:
        super().__init__()
        options = config.sites
        self.frequencies, self.hidden, self.layers = options.frequencies, options.hidden, options.layers
        self.embedding = nn.Embedding(n_parents, options.embedding)
        inputs = config.latent_dim * (1 + 2 * options.frequencies) + options.embedding
        self.trunk = ResidualNetwork(inputs, options.trunk, options.blocks)
        self.film = nn.Linear(options.trunk, 2 * options.hidden * options.layers)
        self.readout = nn.Linear(options.trunk, options.hidden + FEATURES + 1)
        self.first = nn.Linear(FEATURES, options.hidden)
        self.inner = nn.ModuleList(nn.Linear(options.hidden, options.hidden) for _ in range(options.layers - 1))

    def forward(self, z: Tensor, parent: Tensor, features: Tensor) -> Tensor:
        """Logits (B, K) for (B, latent) points, (B,) parents and (B, K, FEATURES) or (K, FEATURES) sites."""
        condition = self.trunk(torch.cat([fourier_features(z, self.frequencies), self.embedding(parent)], dim=1))
        film = self.film(condition).unflatten(1, (self.layers, 2, 1, self.hidden))
        weights = self.readout(condition)
        asked = not torch.is_grad_enabled()  # then nothing needs to be kept, and half of the memory traffic is saved
        scales = 1.0 + film[:, :, 0]
        x = silu(torch.addcmul(film[:, 0, 1], self.first(features), scales[:, 0]), inplace=asked)
        for number, layer in enumerate(self.inner, start=1):
            more = silu(torch.addcmul(film[:, number, 1], layer(x), scales[:, number]), inplace=asked)
            x = more.add_(x) if asked else x + more
        deep, direct, bias = weights.split([self.hidden, FEATURES, 1], dim=1)
        linear = direct @ features.T if features.ndim == 2 else torch.einsum("bkf,bf->bk", features, direct)
        logits: Tensor = torch.bmm(x, deep.unsqueeze(2)).squeeze(2) / self.hidden**0.5 + linear + bias
        return logits


class SitesDecoder(nn.Module):
    """Parent from the latent point, then the field over its sites."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if not config.sites.parents:
            raise ConfigError("model.sites.parents: none are named; they are filled in when a training starts.")
        self.config = config
        self.book = SiteBook(config.sites.parents, config.sites.radius)
        self.frequencies = config.sites.frequencies
        self.field = SiteField(config, len(self.book))
        inputs = config.latent_dim * (1 + 2 * config.sites.frequencies)
        self.parent_head = nn.Sequential(ResidualNetwork(inputs, config.sites.trunk // 2, 1), nn.Linear(config.sites.trunk // 2, len(self.book)))
        kinds = {name: index for index, name in enumerate(config.structure_types)}
        self.type_of_parent = np.array([kinds.get(type_of_parent(name), -1) for name in self.book.names])

    def forward(self, z: Tensor) -> SitesOutput:
        """(B, latent) points to parents; the sites are asked for afterwards."""
        return SitesOutput(z, self.parent_head(fourier_features(z, self.frequencies)))

    def site_logits(self, z: Tensor, parent: int, first: int | None = None) -> Tensor:
        """(B, S) logits of all sites of one parent, or of the ``first`` ones, those nearest to its origin."""
        owner = torch.full((len(z),), parent, dtype=torch.int64, device=z.device)
        logits: Tensor = self.field(z, owner, self.book.features(parent, z.device)[:first])
        return logits

    def losses(self, output: SitesOutput, targets: Targets) -> dict[str, Tensor]:
        """Cross-entropies of the sites that the batch asks for, given the true parent, and of the parent."""
        sites = _sites(targets)
        table, starts = self.book.table(output.z.device)
        logits = self.field(output.z, sites.parent, table[starts[sites.parent][:, None] + sites.site])
        return {
            "sites": binary_cross_entropy_with_logits(logits, sites.filled),
            "parent": cross_entropy(output.parent_logits, sites.parent),
        }

    def errors(self, output: SitesOutput, targets: Targets) -> dict[str, Tensor]:
        """Figures of merit of the most probable parent's sites above one half.

        ``mae`` is the mean distance from an atom to the nearest of the other structure, both ways, both about their centroids (NN units): 0 where all
        sites are right. Orientation is the parents' own, so a structure told on another parent counts as far off.
        """
        truth = _sites(targets)
        chosen = output.parent_logits.argmax(dim=1)
        rows = []
        for row, (index, parent) in enumerate(zip(truth.parent.tolist(), chosen.tolist(), strict=True)):
            true = self._unpacked(truth.mask[row], index)
            mask = filled_sites(self.site_logits(output.z[row : row + 1], parent)[0].cpu().numpy())
            same_type = self.type_of_parent[index] == self.type_of_parent[parent]
            exact = index == parent and bool((true == mask).all())
            away = 0.0 if exact else _mutual_distance(self.book.parent(index).sites[true], self.book.parent(parent).sites[mask])
            n, wanted = int(mask.sum()), int(true.sum())
            shared = int((true & mask).sum()) / max(int((true | mask).sum()), 1) if index == parent else 0.0
            rows.append((away, n == wanted, same_type, index == parent, exact, abs(n - wanted) <= 0.05 * wanted, shared))
        table = torch.tensor(rows, dtype=torch.float32, device=output.z.device)
        names = ("mae", "n_exact", "type_exact", "parent_exact", "sites_exact", "n_within_5_percent", "overlap")
        return {name: table[:, column] for column, name in enumerate(names)}

    def structures(self, output: SitesOutput) -> list[DecodedArrays]:
        """The sites above one half of each point's most probable parent."""
        probabilities = output.parent_logits.double().softmax(dim=1).cpu().numpy()
        decoded = []
        for row, parent in enumerate(output.parent_logits.argmax(dim=1).tolist()):
            mask = filled_sites(self.site_logits(output.z[row : row + 1], parent)[0].cpu().numpy())
            positions = centred_and_ordered(self.book.parent(parent).sites[mask])
            decoded.append(DecodedArrays(positions, self.type_probabilities(probabilities[row])))
        return decoded

    def type_probabilities(self, parents: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T,) from (P,) probabilities of parents; those of types that the model does not name are left out."""
        known = self.type_of_parent >= 0
        total = np.bincount(self.type_of_parent[known], weights=parents[known], minlength=len(self.config.structure_types))
        return np.asarray(total / max(total.sum(), 1e-300))

    def _unpacked(self, mask: Tensor, parent: int) -> NDArray[np.bool_]:
        return np.unpackbits(mask.cpu().numpy(), count=len(self.book.parent(parent))).astype(bool)


def type_of_parent(name: str) -> str:
    """The structure type of clusters on a parent, by its name."""
    first, _, rest = name.partition(" ")
    return "stacking_fault" if first == "close-packed" or "fault" in rest or "twin" in rest else first


def filled_sites(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Sites more probably filled than empty, but no fewer than the most probable few."""
    mask = logits > 0
    if mask.sum() < FEWEST_ATOMS:
        mask = np.zeros_like(mask)
        mask[np.argsort(-logits, kind="stable")[:FEWEST_ATOMS]] = True
    return mask


def _sites(targets: Targets) -> SiteTargets:
    if targets.sites is None:
        raise ValueError("the batch holds no sites: make the training view with model.decoder=sites.")
    return targets.sites


def _mutual_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    return float(0.5 * (distance.min(axis=0).mean() + distance.min(axis=1).mean()))
