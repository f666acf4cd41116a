"""One step and one validation: pure of Ray, MLflow and the clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepstruc_hpc.data.dataset import BatchArrays, TrainingView
from deepstruc_hpc.data.site_targets import SiteArrays
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.losses import LossConfig, weighted
from deepstruc_hpc.model.parts import GraphBatch, SiteTargets, Targets, TrainingBatch

VALIDATION_BATCH = 128


def to_tensors(arrays: BatchArrays, device: torch.device | str = "cpu") -> TrainingBatch:
    """A batch of arrays as tensors on a device."""
    graphs = GraphBatch(
        torch.from_numpy(arrays.graphs.nodes),
        torch.from_numpy(arrays.graphs.edges),
        torch.from_numpy(arrays.graphs.bonds),
        torch.from_numpy(arrays.owner),
        arrays.n_graphs,
    )
    sites = None if arrays.sites is None else _site_targets(arrays.sites)
    targets = Targets(torch.from_numpy(arrays.positions), torch.from_numpy(arrays.n_atoms), torch.from_numpy(arrays.structure_type), sites)
    return TrainingBatch(torch.from_numpy(arrays.pdf), graphs, targets, torch.from_numpy(arrays.nn_distance)).to(device)


def _site_targets(targets: SiteArrays) -> SiteTargets:
    template, site, filled, mask = (torch.from_numpy(part) for part in (targets.template, targets.site, targets.filled, targets.mask))
    return SiteTargets(template, site, filled, mask, None if targets.element is None else torch.from_numpy(targets.element))


@dataclass(frozen=True)
class StepSchedule:
    """What the schedules say at one step."""

    learning_rate: float
    kl_weight: float


def train_step(
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    *,
    schedule: StepSchedule,
    latent_dim: int,
    clip_norm: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """One gradient step.

    Args:
        objective: a :class:`~deepstruc_hpc.model.losses.CvaeObjective`, bare or wrapped for data parallelism.
        optimizer: over its parameters; its rate is set here.
        batch: on the objective's device.
        schedule: rate and divergence weight of this step.
        latent_dim: of the model.
        clip_norm: longest gradient.
        generator: of the reparametrisation noise, on the CPU.

    Returns:
        Detached scalar terms of the loss.
    """
    for group in optimizer.param_groups:
        group["lr"] = schedule.learning_rate
    noise = torch.randn(2, len(batch.nn_distance), latent_dim, generator=generator).to(batch.pdf.device)
    total, terms = objective(batch, noise, schedule.kl_weight)
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(objective.parameters(), clip_norm)
    optimizer.step()
    found: dict[str, Tensor] = terms
    return found


def validation_batches(view: TrainingView, rows: NDArray[np.int64], seed: int) -> Iterator[BatchArrays]:
    """Batches of some rows, with the same PDFs at every call."""
    for start in range(0, len(rows), VALIDATION_BATCH):
        part = rows[start : start + VALIDATION_BATCH]
        yield view.batch(part, np.random.default_rng([seed, int(part[0]), 0xA11D]), n_graphs=1)


@torch.no_grad()
def validation_sums(
    model: Cvae, loss: LossConfig, view: TrainingView, rows: NDArray[np.int64], *, seed: int, device: torch.device | str
) -> dict[str, float]:
    """Sums over structures decoded from the mean of the prior; divide by ``count``.

    Returns:
        ``loss`` (weighted reconstruction), the decoder's errors by name (``mae`` in Å), ``count``.
    """
    sums = dict.fromkeys(("loss", "mae", "n_exact", "type_exact", "count"), 0.0)
    model.eval()
    for arrays in validation_batches(view, rows, seed):
        batch = to_tensors(arrays, device)
        output = model.decode(model.prior(batch.pdf).mean)
        size = len(batch.nn_distance)
        sums["loss"] += float(weighted(loss, model.losses(output, batch.targets))) * size
        errors = model.errors(output, batch.targets)
        for name, values in errors.items():
            scale = batch.nn_distance if name == "mae" else torch.ones_like(values)
            sums[name] = sums.get(name, 0.0) + float((values * scale).sum())
        sums["count"] += size
    model.train()
    return sums
