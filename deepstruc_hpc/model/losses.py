"""The objective: reconstruction, Kullback–Leibler divergence and their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from deepstruc_hpc.core.config import StoredConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.parts import Gaussian, TrainingBatch


class LossConfig(StoredConfig):
    """Weights of the terms; ``parent`` is the stored name of ``template_lattice``, in files and in the metrics of epochs."""

    renamed: ClassVar[Mapping[str, str]] = {"parent": "template_lattice"}
    stored_names: ClassVar[Mapping[str, str]] = {"template_lattice": "parent"}

    positions: float = Field(1.0, ge=0, description="smooth absolute error of coordinates, NN units")
    n_atoms: float = Field(0.1, ge=0, description="cross-entropy of the number of atoms")
    structure_type: float = Field(0.1, ge=0, description="cross-entropy of the structure type")
    sites: float = Field(1.0, ge=0, description="cross-entropy of filled and empty sites")
    template_lattice: float = Field(0.2, ge=0, description="cross-entropy of the template lattice")
    elements: float = Field(0.3, ge=0, description="cross-entropy of the elements on filled sites, where a catalog mixes them")
    prior_share: float = Field(0.5, ge=0, le=1, description="share of the reconstruction that is evaluated at the prior's own sample")
    posterior_share: float = Field(0.25, gt=0, le=1, description="share of a batch that passes through the graph encoder, the costly part on a CPU")
    kl: float = Field(0.01, ge=0, description="weight of the divergence once the schedule is through")
    kl_balance: float = Field(0.9, ge=0, le=1, description="share of the divergence's pull that moves the prior; the rest moves the posterior")
    kl_start: float = Field(1e-4, ge=0, description="weight of the divergence at the start")
    kl_until: float = Field(0.3, gt=0, le=1, description="share of the training at which the full weight is reached")


def kl_weight(config: LossConfig, progress: float) -> float:
    """Half-cosine from ``kl_start`` to ``kl`` over the first ``kl_until`` of the training; progress runs from 0 to 1."""
    ramp = 0.5 - 0.5 * math.cos(math.pi * min(progress / config.kl_until, 1.0))
    return config.kl_start + (config.kl - config.kl_start) * ramp


def gaussian_kl(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q ‖ p) of independent normals, summed over the latent coordinates, (B,) nats.

    Σ log σp/σq + (σq² + (μq − μp)²) / 2σp² − ½ (Kingma & Welling 2014, appendix B, for a general prior).
    """
    ratio = (2.0 * (q.log_std - p.log_std)).exp()
    shift = (q.mean - p.mean).square() * (-2.0 * p.log_std).exp()
    return (p.log_std - q.log_std + 0.5 * (ratio + shift - 1.0)).sum(dim=1)


def balanced_kl(q: Gaussian, p: Gaussian, balance: float) -> Tensor:
    """KL(q ‖ p) whose gradient moves p with the share ``balance`` and q with the rest; its value is that of :func:`gaussian_kl`.

    A prior that is still to learn would otherwise pull all structures of the posterior together (Hafner et al., ICLR 2021, KL balancing).
    """
    return balance * gaussian_kl(q.detached(), p) + (1.0 - balance) * gaussian_kl(q, p.detached())


class CvaeObjective(nn.Module):
    """Loss of a batch; a module, so that data-parallel wrappers see one forward pass.

    Beside the evidence bound, a share of the reconstruction is evaluated at a sample of the prior: at use there is no posterior, and a prior that the
    divergence alone trained may point where the decoder was never evaluated (Sohn, Lee & Yan, NeurIPS 2015, the hybrid objective).
    """

    def __init__(self, model: Cvae, config: LossConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, batch: TrainingBatch, noise: Tensor, divergence_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and its terms.

        Args:
            batch: B structures and their PDFs.
            noise: (2, B, latent) standard normal: for the posterior and for the prior.
            divergence_weight: of the schedule.
        """
        config, seen = self.config, batch.graphs.size
        prior = self.model.prior(batch.pdf)
        posterior = self.model.encode(batch.graphs, batch.pdf[:seen])
        divergence = balanced_kl(posterior, prior.first(seen), config.kl_balance).mean()
        decoder = self.model.decoder
        by_posterior = decoder.losses(self.model.decode(posterior.sample(noise[0, :seen])), batch.targets.first(seen))
        by_prior = decoder.losses(self.model.decode(prior.sample(noise[1])), batch.targets)
        share = config.prior_share
        terms = {name: (1.0 - share) * by_posterior[name] + share * by_prior[name] for name in by_posterior}
        total = weighted(config, terms) + divergence_weight * divergence
        return total, {"loss": total.detach(), "kl": divergence.detach(), **{name: term.detach() for name, term in terms.items()}}


def weighted(config: LossConfig, terms: Mapping[str, Tensor]) -> Tensor:
    """The reconstruction terms of a decoder under their weights; a term is called as its weight is stored."""
    names = {config.stored_names.get(name, name): name for name in type(config).model_fields}
    return torch.stack([getattr(config, names[name]) * term for name, term in terms.items()]).sum()
