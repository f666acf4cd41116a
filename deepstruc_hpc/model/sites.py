"""From a latent point to the filled sites of a template lattice: an occupancy field on a lattice.

A latent point says which template lattice is meant, p(template | z), and, given one, how likely each of its sites is filled, p(site | z, template).
Sites are exact, the number of atoms follows, and cuts of the sites in order of probability give a nested family of sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, silu

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.data.site_targets import EMPTY, composition_error
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.layers import ResidualNetwork, fourier_features
from deepstruc_hpc.model.parts import DecodedArrays, SiteTargets, Targets, TensorRecord
from deepstruc_hpc.model.site_elements import ElementHead, element_loss
from deepstruc_hpc.model.site_features import FEATURES, SiteBook
from deepstruc_hpc.structures.lattices import lattice_of
from deepstruc_hpc.structures.sites import canonical_permutation, centred_and_ordered

FEWEST_ATOMS = 4
SURE_SPREAD = 1.0
"""Standard deviation of the number of filled sites among those in doubt, in atoms, below which that number is an exact reading and no estimate."""
NO_DOUBT = 0.02
"""Sites with probabilities below it, or as near to 1, are not in doubt."""


@dataclass(frozen=True, eq=False)
class SitesOutput(TensorRecord):
    """What the decoder predicts before sites are evaluated.

    Attributes:
        z: (B, latent).
        template_logits: (B, P).
        type_logits: (B, T), where template lattices do not tell the types (the order of an alloy).
    """

    z: Tensor
    template_logits: Tensor
    type_logits: Tensor | None = None


class SiteField(nn.Module):
    """p(site filled | z, template lattice): a small network on site features, each layer scaled and shifted by z and the template lattice.

    Such modulation is FiLM (Perez et al., AAAI 2018). The features also enter the logit directly: a sphere or an ellipsoid is linear in them.
    """

    def __init__(self, config: ModelConfig, n_templates: int) -> None:
        super().__init__()
        options = config.sites
        self.frequencies, self.hidden, self.layers = options.frequencies, options.hidden, options.layers
        self.embedding = nn.Embedding(n_templates, options.embedding)
        inputs = config.latent_dim * (1 + 2 * options.frequencies) + options.embedding
        self.trunk = ResidualNetwork(inputs, options.trunk, options.blocks)
        self.film = nn.Linear(options.trunk, 2 * options.hidden * options.layers)
        self.readout = nn.Linear(options.trunk, options.hidden + FEATURES + 1)
        self.first = nn.Linear(FEATURES, options.hidden)
        self.inner = nn.ModuleList(nn.Linear(options.hidden, options.hidden) for _ in range(options.layers - 1))
        self.elements = ElementHead(options.hidden, options.trunk, len(config.elements)) if config.elements else None

    def forward(self, z: Tensor, template: Tensor, features: Tensor) -> Tensor:
        """Logits (B, K) for (B, latent) points, (B,) template lattices and (B, K, FEATURES) or (K, FEATURES) sites."""
        return self._evaluated(z, template, features)[0]

    def with_elements(self, z: Tensor, template: Tensor, features: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and logits of the elements, (B, K, E); ``own`` as :meth:`ElementHead.forward` takes it."""
        if self.elements is None:
            raise ValueError("this model decodes no elements.")
        logits, x, condition = self._evaluated(z, template, features)
        return logits, self.elements(x, condition, own)

    def _evaluated(self, z: Tensor, template: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        condition = self.trunk(torch.cat([fourier_features(z, self.frequencies), self.embedding(template)], dim=1))
        film = self.film(condition).unflatten(1, (self.layers, 2, 1, self.hidden))
        weights = self.readout(condition)
        inference = not torch.is_grad_enabled()  # then nothing needs to be kept, and half of the memory traffic is saved
        scales = 1.0 + film[:, :, 0]
        x = silu(torch.addcmul(film[:, 0, 1], self.first(features), scales[:, 0]), inplace=inference)
        for number, layer in enumerate(self.inner, start=1):
            more = silu(torch.addcmul(film[:, number, 1], layer(x), scales[:, number]), inplace=inference)
            x = more.add_(x) if inference else x + more
        deep, direct, bias = weights.split([self.hidden, FEATURES, 1], dim=1)
        linear = direct @ features.T if features.ndim == 2 else torch.einsum("bkf,bf->bk", features, direct)
        logits: Tensor = torch.bmm(x, deep.unsqueeze(2)).squeeze(2) / self.hidden**0.5 + linear + bias
        return logits, x, condition


class SitesDecoder(nn.Module):
    """Template lattice from the latent point, then the field over its sites.

    ``parent`` is the stored name of the template lattice: of the tensors of ``parent_head``, and of the figures ``parent`` and ``parent_exact``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if not config.sites.template_lattices:
            raise ConfigError("model.sites.template_lattices: none are named; they are filled in when a training starts.")
        self.config = config
        self.book = SiteBook(config.sites.template_lattices, config.sites.radius)
        self.frequencies = config.sites.frequencies
        self.field = SiteField(config, len(self.book))
        inputs = config.latent_dim * (1 + 2 * config.sites.frequencies)
        self.parent_head = nn.Sequential(ResidualNetwork(inputs, config.sites.trunk // 2, 1), nn.Linear(config.sites.trunk // 2, len(self.book)))
        kinds = {name: index for index, name in enumerate(config.structure_types)}
        named = [lattice_of(kind) for kind in config.structure_types]
        of_templates = [self.book.type_of(number) for number in range(len(self.book))]
        self.type_of_template = np.array([kinds.get(kind, -1) for kind in of_templates])
        self.type_head = None
        if not set(named) <= set(of_templates):
            head = nn.Linear(config.sites.trunk // 2, len(config.structure_types))
            self.type_head = nn.Sequential(ResidualNetwork(inputs, config.sites.trunk // 2, 1), head)

    def forward(self, z: Tensor) -> SitesOutput:
        """(B, latent) points to template lattices; the sites are evaluated afterwards."""
        features = fourier_features(z, self.frequencies)
        return SitesOutput(z, self.parent_head(features), None if self.type_head is None else self.type_head(features))

    def site_logits(self, z: Tensor, template: int, first: int | None = None) -> Tensor:
        """(B, S) logits of all sites of one template lattice, or of the ``first`` ones, those nearest to its origin."""
        owner = torch.full((len(z),), template, dtype=torch.int64, device=z.device)
        logits: Tensor = self.field(z, owner, self.book.features(template, z.device)[:first])
        return logits

    def losses(self, output: SitesOutput, targets: Targets) -> dict[str, Tensor]:
        """Cross-entropies of the sites that the batch asks for, given the true template lattice, and of the template lattice."""
        sites = _sites(targets)
        table, starts = self.book.table(output.z.device)
        rows = starts[sites.template][:, None] + sites.site
        terms = {}
        if sites.element is None:
            logits = self.field(output.z, sites.template, table[rows])
        else:
            own = self.book.own_table(self.config.elements, output.z.device)
            logits, elements = self.field.with_elements(output.z, sites.template, table[rows], own[rows])
            terms["elements"] = element_loss(elements, sites.element.gather(1, sites.site))
        if output.type_logits is not None:
            terms["structure_type"] = cross_entropy(output.type_logits, targets.structure_type)
        return {
            "sites": binary_cross_entropy_with_logits(logits, sites.filled),
            "parent": cross_entropy(output.template_logits, sites.template),
            **terms,
        }

    def errors(self, output: SitesOutput, targets: Targets) -> dict[str, Tensor]:
        """Figures of merit of the most probable template lattice's most probable sites.

        ``mae`` is the mean distance from an atom to the nearest of the other structure, both ways, both about their centroids (NN units): 0 where all
        sites are right. Orientation is the templates' own: a structure on another template counts as far off. ``element_exact`` is the share of
        atoms whose site bears their element, ``composition_error`` as :func:`~deepstruc_hpc.model.site_elements.composition_error` has it.
        """
        truth = _sites(targets)
        chosen = output.template_logits.argmax(dim=1)
        says = None if output.type_logits is None else output.type_logits.argmax(dim=1)
        rows = []
        for row, (index, template) in enumerate(zip(truth.template.tolist(), chosen.tolist(), strict=True)):
            true = self._unpacked(truth.mask[row], index)
            mask, kinds = self.assignment(output.z[row : row + 1], template)
            same_type = self.type_of_template[index] == self.type_of_template[template]
            if says is not None:
                same_type = bool(says[row] == targets.structure_type[row])
            exact = index == template and bool((true == mask).all())
            away = 0.0 if exact else _mutual_distance(self.book.template(index).sites[true], self.book.template(template).sites[mask])
            n, wanted = int(mask.sum()), int(true.sum())
            shared = int((true & mask).sum()) / max(int((true | mask).sum()), 1) if index == template else 0.0
            scores = {
                "mae": away,
                "n_exact": n == wanted,
                "type_exact": same_type,
                "parent_exact": index == template,
                "sites_exact": exact,
                "n_within_5_percent": abs(n - wanted) <= 0.05 * wanted,
                "overlap": shared,
            }
            if kinds is not None and truth.element is not None:
                wanted_kinds = truth.element[row, : len(true)].cpu().numpy().astype(np.int64)
                wanted_kinds[wanted_kinds == EMPTY] = -1
                scores["composition_error"] = composition_error(kinds, wanted_kinds, len(self.config.elements))
                scores["element_exact"] = float((kinds[true] == wanted_kinds[true]).mean()) if index == template else 0.0
            rows.append(scores)
        return {name: torch.tensor([float(scores[name]) for scores in rows], device=output.z.device) for name in rows[0]}

    @torch.no_grad()
    def assignment(self, z: Tensor, template: int, allowed: Sequence[str] = ()) -> tuple[NDArray[np.bool_], NDArray[np.int64] | None]:
        """The most probable assignment of one template lattice at a (1, latent) point, of any elements or of the ``allowed`` ones.

        Returns:
            (S,) sites filled rather than empty; (S,) number of the element on each, −1 where it is empty, or none where no elements are decoded.
        """
        if not self.config.elements:
            return filled_sites(self.site_logits(z, template)[0].cpu().numpy()), None
        owner = torch.full((1,), template, dtype=torch.int64, device=z.device)
        own = self.book.own(template, self.config.elements).to(z.device)
        logits, elements = self.field.with_elements(z, owner, self.book.features(template, z.device), own)
        mask = filled_sites(logits[0].cpu().numpy())
        known = self._known(allowed)
        return mask, np.where(mask, known[elements[0][:, known].argmax(dim=1).cpu().numpy()], -1)

    def assignments(self, z: Tensor, allowed: Sequence[Sequence[str]]) -> list[tuple[int, NDArray[np.int64]]]:
        """The number of each point's most probable template lattice, and (S,) the number of the element on each of its sites, −1 where it is empty.

        Args:
            z: (B, latent).
            allowed: B lists of elements to choose from; all of the model's where a list is empty.
        """
        found = []
        for row, template in enumerate(self(z).template_logits.argmax(dim=1).tolist()):
            mask, kinds = self.assignment(z[row : row + 1], template, allowed[row])
            found.append((template, np.where(mask, 0, -1) if kinds is None else kinds))
        return found

    def _known(self, allowed: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of the allowed elements; of all where none of them is known."""
        names = self.config.elements
        return np.array([number for number, symbol in enumerate(names) if symbol in allowed] or range(len(names)), dtype=np.int64)

    @torch.no_grad()
    def elements_on(self, z: Tensor, template: int, mask: NDArray[np.bool_], allowed: Sequence[str] = ()) -> tuple[str, ...]:
        """The most probable element of each filled site, in the order of the sites.

        Args:
            z: (1, latent).
            template: its number.
            mask: (S,) filled sites.
            allowed: elements to choose from; all of the model's where none of them is.
        """
        site = np.flatnonzero(mask)
        features, own = self.book.features(template, z.device)[site], self.book.own(template, self.config.elements).to(z.device)[site]
        _, logits = self.field.with_elements(z, torch.full((1,), template, dtype=torch.int64, device=z.device), features, own)
        known = self._known(allowed)
        return tuple(self.config.elements[number] for number in known[logits[0][:, known].argmax(dim=1).cpu().numpy()])

    def structures(self, output: SitesOutput) -> list[DecodedArrays]:
        """The most probable sites of each point's most probable template lattice."""
        types = self.type_shares(output)
        decoded = []
        for row, template in enumerate(output.template_logits.argmax(dim=1).tolist()):
            mask, kinds = self.assignment(output.z[row : row + 1], template)
            sites = self.book.template(template).sites[mask]
            if kinds is None:
                decoded.append(DecodedArrays(centred_and_ordered(sites), types[row]))
                continue
            centred = sites - sites.mean(axis=0)
            order = canonical_permutation(centred)
            symbols = tuple(self.config.elements[kind] for kind in kinds[mask][order])
            decoded.append(DecodedArrays(centred[order], types[row], symbols))
        return decoded

    def type_shares(self, output: SitesOutput) -> NDArray[np.float64]:
        """(B, T) probabilities of the types: predicted outright, or those of their template lattices."""
        if output.type_logits is not None:
            predicted: NDArray[np.float64] = output.type_logits.double().softmax(dim=1).cpu().numpy()
            return predicted
        return np.array([self.type_probabilities(row) for row in output.template_logits.double().softmax(dim=1).cpu().numpy()])

    @torch.inference_mode()
    def mean_type_shares(self, points: NDArray[np.float64], device: torch.device) -> NDArray[np.float64]:
        """(T,) probabilities of the types, averaged over (B, latent) points."""
        shares: NDArray[np.float64] = self.type_shares(self(torch.from_numpy(points.astype(np.float32)).to(device))).mean(axis=0)
        return shares

    def type_probabilities(self, templates: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T,) from (P,) probabilities of template lattices; those of types that the model does not name are left out."""
        known = self.type_of_template >= 0
        total = np.bincount(self.type_of_template[known], weights=templates[known], minlength=len(self.config.structure_types))
        return np.asarray(total / max(total.sum(), 1e-300))

    def _unpacked(self, mask: Tensor, template: int) -> NDArray[np.bool_]:
        return np.unpackbits(mask.cpu().numpy(), count=len(self.book.template(template))).astype(bool)


def filled_sites(logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The most probable sites, as many as :func:`predicted_atoms` says."""
    mask = np.zeros(len(logits), dtype=bool)
    mask[np.argsort(-logits, kind="stable")[: predicted_atoms(logits)]] = True
    return mask


def predicted_atoms(logits: NDArray[np.float32]) -> int:
    """How many sites are filled: those more probably filled than empty where the number is known to an atom, as of clean data, else the mean number.

    Over thousands of sites that nobody doubts, the small probabilities add up to atoms: the mean number is then not the right one any more.
    """
    share = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    doubted = share[(share > NO_DOUBT) & (share < 1.0 - NO_DOUBT)]
    if float((doubted * (1.0 - doubted)).sum()) >= SURE_SPREAD**2:
        return expected_atoms(logits)
    return max(int(np.count_nonzero(logits > 0)), FEWEST_ATOMS)


def expected_atoms(logits: NDArray[np.float32]) -> int:
    """The mean number of filled sites, Σp, in whole atoms, but no fewer than the most probable few.

    Where several equal corners of a particle may be the missing one, each is more probably filled than empty, and counting those says too many.
    """
    share = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return max(round(float(share.sum())), FEWEST_ATOMS)


def _sites(targets: Targets) -> SiteTargets:
    if targets.sites is None:
        raise ValueError("the batch holds no sites: make the training view with model.decoder=sites.")
    return targets.sites


def _mutual_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    return float(0.5 * (distance.min(axis=0).mean() + distance.min(axis=1).mean()))
