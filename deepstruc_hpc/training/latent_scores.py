"""Whether the widths of a model's prior mean something, and where faulted structures lie in its latent space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.structures.close_packed import stacking_word
from deepstruc_hpc.training.step import to_tensors

Array = NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.95)
SAMPLES = 64


@dataclass(frozen=True)
class Coverage:
    """How often the truth lies within what a model calls so probable.

    Attributes:
        level: stated.
        latent: share of coordinates of the posterior's mean within that central interval of the prior.
        types: share of structures whose type is in the smallest set of types with at least that probability.
        set_size: mean number of types in the set.
    """

    level: float
    latent: float
    types: float
    set_size: float


@dataclass(frozen=True)
class FaultOrder:
    """Where faulted structures lie between fcc and hcp.

    Attributes:
        spearman: rank correlation of the share of hexagonal layers with the place on the line from the centre of fcc to that of hcp.
        between: share of faulted structures whose place lies between the two centres.
        silhouette: of fcc, hcp and stacking_fault in the latent space (Rousseeuw 1987), −1 to 1.
        n_faulted: structures counted.
    """

    spearman: float
    between: float
    silhouette: float
    n_faulted: int


@dataclass(frozen=True, eq=False)
class LatentAnswers:
    """Of S test structures: prior, posterior and the probabilities of types.

    Attributes:
        mean: (S, D) of the prior.
        std: (S, D), as trained or as stated.
        posterior: (S, D) mean.
        types: (S, T) probabilities, averaged over samples of the prior as trained.
    """

    mean: Array
    std: Array
    posterior: Array
    types: Array

    def take(self, rows: NDArray[np.integer]) -> LatentAnswers:
        """Those of some structures."""
        return LatentAnswers(self.mean[rows], self.std[rows], self.posterior[rows], self.types[rows])

    def widened(self, widths: Array) -> LatentAnswers:
        """With standard deviations multiplied by (D,) factors."""
        return replace(self, std=self.std * widths)

    def away(self) -> Array:
        """(S, D) distance of the posterior's mean from the prior's, in standard deviations of the prior."""
        return np.abs(self.posterior - self.mean) / self.std


@torch.inference_mode()
def latent_answers(network: Cvae, view: TrainingView, rows: NDArray[np.int64], seed: int) -> LatentAnswers:
    """Ask prior, posterior and decoder about some rows."""
    means, stds, posteriors, kinds = [], [], [], []
    rng = np.random.default_rng([seed, 0xCA1])
    for start in range(0, len(rows), 128):
        batch = to_tensors(view.batch(rows[start : start + 128], np.random.default_rng([seed, int(rows[start]), 0xA11D])))
        prior, posterior = network.prior(batch.pdf), network.encode(batch.graphs, batch.pdf)
        mean, std = prior.mean.double().numpy(), prior.log_std.double().exp().numpy()
        means.append(mean)
        stds.append(std)
        posteriors.append(posterior.mean.double().numpy())
        kinds += [network.mean_type_shares(m + s * rng.standard_normal((SAMPLES, len(m)))) for m, s in zip(mean, std, strict=True)]
    return LatentAnswers(np.concatenate(means), np.concatenate(stds), np.concatenate(posteriors), np.array(kinds))


def half_width(level: float) -> float:
    """Standard deviations from the mean within which a normal distribution has so much probability."""
    return float(norm.ppf(0.5 + level / 2))


def coverage(found: LatentAnswers, truth: NDArray[np.int64]) -> list[Coverage]:
    """Stated against true at 50, 80 and 95 %.

    Args:
        found: of S structures.
        truth: (S,) their types, by index.
    """
    away = found.away()
    order = np.argsort(-found.types, axis=1, kind="stable")
    sums = np.take_along_axis(found.types, order, axis=1).cumsum(axis=1)
    place = (order == truth[:, None]).argmax(axis=1)
    rows = []
    for level in LEVELS:
        size = (sums < level - 1e-9).sum(axis=1) + 1
        rows.append(
            Coverage(level, float((away < half_width(level)).mean()), float((place < size).mean()), float(np.minimum(size, order.shape[1]).mean()))
        )
    return rows


def fault_order(points: Array, kinds: Sequence[str], templates: Sequence[str]) -> FaultOrder | None:
    """Order along the line from fcc to hcp; None where one of the three kinds is missing.

    Args:
        points: (S, D) means of the prior.
        kinds: S structure types.
        templates: S names of template lattices; the share of hexagonal layers is that of ``close-packed SEQUENCE``.
    """
    from sklearn.metrics import silhouette_score

    names = np.array(kinds)
    chosen = np.isin(names, ("fcc", "hcp", "stacking_fault"))
    stacks = np.array([name.startswith("close-packed ") for name in templates]) & (names == "stacking_fault")
    if not ((names == "fcc").any() and (names == "hcp").any() and stacks.sum() > 2):
        return None
    start, end = points[names == "fcc"].mean(axis=0), points[names == "hcp"].mean(axis=0)
    along = (points - start) @ (end - start) / float((end - start) @ (end - start))
    words = [stacking_word(templates[row].split()[1]) for row in np.flatnonzero(stacks).tolist()]
    hexagonal = np.array([word.count("h") / len(word) for word in words])
    return FaultOrder(
        spearman=float(spearmanr(hexagonal, along[stacks]).statistic),
        between=float(((along[stacks] > 0) & (along[stacks] < 1)).mean()),
        silhouette=float(silhouette_score(points[chosen], names[chosen])),
        n_faulted=int(stacks.sum()),
    )
