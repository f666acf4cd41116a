"""Pictures of a training: how it learned, where structures lie in its latent space, and what it makes of PDFs that it did not learn from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepstruc_hpc.core.config import STORED
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.model.checkpoint import load_network
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.report.figures import STYLE, latent_figure, save_figure
from deepstruc_hpc.report.palette import CALCULATED, DATA
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.epoch_log import FILE, read_epochs
from deepstruc_hpc.training.run_files import RunFiles
from deepstruc_hpc.training.step import to_tensors
from deepstruc_hpc.training.tracking import log_files
from deepstruc_hpc.training.view import load_split, load_view

MOST_POINTS = 1500
SHOWN = 8
BATCH = 128
SHARES = {"val_n_exact": "number of atoms", "val_type_exact": "type", "val_sites_exact": "all sites", "val_element_exact": "elements"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A structure of the validation set and what was decoded from its PDF alone, NN units, about their centroids.

    Attributes:
        kind: true type.
        decoded_kind: the type that the model says.
        true: (N, 3).
        decoded: (M, 3).
    """

    kind: str
    decoded_kind: str
    true: Floats
    decoded: Floats


def draw_training(run: Path, store: str | os.PathLike[str], *, tracking: tuple[str, str] | None = None) -> list[Path]:
    """Draw ``learning.png``, ``latent.png`` and ``reconstructions.png`` into the directory of a training.

    Args:
        run: directory of a training with a checkpoint.
        store: its catalog.
        tracking: URI of MLflow and the id of the run, to which the pictures are added.

    Returns:
        The files.
    """
    files = RunFiles(run)
    network, info = load_network(files.checkpoint)
    config = TrainConfig.model_validate({**info.settings, "model": info.model.model_dump()}, context=STORED)
    catalog = Catalog.open(store)
    validation = load_split(catalog, config.data, config.seed).validation
    rows = validation[np.unique(np.linspace(0, len(validation) - 1, MOST_POINTS).round().astype(np.int64))]
    view = load_view(catalog, config, rows=rows)
    network.eval()
    kinds = [view.types[number] for number in view.structure_type]
    pictures = {
        "learning.png": learning_figure(read_epochs(run / FILE)),
        "latent.png": latent_map_figure(prior_means(network, view, config.seed), kinds),
        "reconstructions.png": reconstructions_figure(reconstructions(network, view, config.seed)),
    }
    written = []
    for name, figure in pictures.items():
        save_figure(figure, run / name)
        written.append(run / name)
    if tracking is not None:
        log_files(*tracking, written, "figures")
    return written


@torch.inference_mode()
def prior_means(network: Cvae, view: TrainingView, seed: int) -> Floats:
    """(S, D) means of the prior of all structures of a view."""
    parts = (np.arange(start, min(start + BATCH, len(view))) for start in range(0, len(view), BATCH))
    batches = (to_tensors(view.batch(rows, np.random.default_rng([seed, int(rows[0])]), n_graphs=1)) for rows in parts)
    return np.concatenate([network.prior(batch.pdf).mean.double().numpy() for batch in batches])


@torch.inference_mode()
def reconstructions(network: Cvae, view: TrainingView, seed: int) -> list[Reconstruction]:
    """Some structures of a view, spread over it, beside what is decoded from the means of their priors."""
    rows = np.unique(np.linspace(0, len(view) - 1, SHOWN).round().astype(np.int64))
    batch = to_tensors(view.batch(rows, np.random.default_rng([seed, 0]), n_graphs=1))
    decoded = network.structures(network.prior(batch.pdf).mean)
    return [
        Reconstruction(
            view.types[int(view.structure_type[row])],
            view.types[int(structure.type_probabilities.argmax())],
            _centred(view.positions[row, : view.n_atoms[row]].astype(np.float64)),
            _centred(structure.positions),
        )
        for row, structure in zip(rows, decoded, strict=True)
    ]


def learning_figure(epochs: Sequence[dict[str, Any]]) -> Figure:
    """Loss, and the shares that are right on the validation set, by epoch."""
    table = pd.DataFrame(epochs)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        loss, shares = figure.subplots(1, 2)
        loss.plot(table["epoch"], table["train_loss"], lw=1.1, color=DATA, label="training")
        loss.plot(table["epoch"], table["val_loss"], lw=1.1, color=CALCULATED, label="validation")
        loss.set(xlabel="epoch", ylabel="loss", yscale="log" if (table[["train_loss", "val_loss"]] > 0).all(axis=None) else "linear")
        loss.legend()
        for name, words in SHARES.items():
            if name in table:
                shares.plot(table["epoch"], 100 * table[name], lw=1.1, label=words)
        shares.set(xlabel="epoch", ylabel="right, validation (%)", ylim=(0, 102))
        shares.legend(loc="center right")
    return figure


def latent_map_figure(points: Floats, kinds: Sequence[str]) -> Figure:
    """The means of the prior of (S, D) structures of S types: as they are in two dimensions, along the two longest axes in more."""
    centred = points - points.mean(axis=0)
    title = f"{len(points)} structures of the validation set"
    if points.shape[1] > 2:
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        shown = centred @ axes[:2].T
        title += f"; 2 of {points.shape[1]} dimensions, {100 * (lengths[:2] ** 2).sum() / (lengths**2).sum():.0f} % of the spread"
    else:
        shown = np.column_stack([points, np.zeros(len(points))])[:, :2]
    table = pd.DataFrame({"kind": "catalog", "z1": shown[:, 0], "z2": shown[:, 1], "structure_type": list(kinds), "rw": np.nan})
    return latent_figure(table, title=title)


def reconstructions_figure(samples: Sequence[Reconstruction]) -> Figure:
    """True atoms as rings, decoded ones as dots, seen along z, in nearest-neighbour distances; a decoder may turn a structure."""
    across = 4
    down = -(-max(len(samples), 1) // across)
    reach = 0.6 + max((float(np.abs(sample.true[:, :2]).max()) for sample in samples), default=1.0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * across, 2.55 * down), layout="constrained")
        for axes, sample in zip(figure.subplots(down, across, squeeze=False).flat, [*samples, *[None] * (across * down - len(samples))], strict=True):
            axes.set_axis_off()
            if sample is None:
                continue
            axes.scatter(*sample.true[:, :2].T, s=34, facecolors="none", edgecolors=DATA, linewidths=0.7)
            axes.scatter(*sample.decoded[:, :2].T, s=7, color=CALCULATED, linewidths=0)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            axes.set_title(f"{sample.kind}, {len(sample.true)} atoms\n{sample.decoded_kind}, {len(sample.decoded)} decoded", fontsize=8, color=DATA)
    return figure


def _centred(positions: Floats) -> Floats:
    return np.asarray(positions - positions.mean(axis=0))
