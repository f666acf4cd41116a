"""How good a model is on structures that it was not trained on, beside a nearest neighbour in PDF space."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.errors import CheckpointError, StoreError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.splits import Split, SplitName
from deepstruc_hpc.model.checkpoint import CheckpointInfo, find_checkpoint, load_network
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.physics.agreement import aligned_matched_error
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.step import to_tensors, validation_batches
from deepstruc_hpc.training.view import load_split, load_view

Array = NDArray[np.float64]


class EvaluateSettings(Config):
    """What is measured."""

    split: SplitName = "random"
    pdfs: Literal["stored", "measured_like"] = "stored"
    limit: int = Field(500, ge=1, description="most structures of the test set")
    seed: int = Field(0, ge=0, description="of the division and of the conditions")
    alignment_starts: int = Field(12, ge=1, description="orientations from which the alignment is begun")


@dataclass(frozen=True)
class Scores:
    """Figures of one method over a test set; lengths in Å.

    Attributes:
        mae: mean over structures of the mean distance of an atom from its place, in the model's order of atoms.
        mae_per_coordinate: the same of |Δx|, |Δy|, |Δz|.
        mae_median: median over structures.
        mae_std: standard deviation over structures.
        mae_aligned: after best rotation and matching of atoms, over the structures with the right number of atoms.
        n_exact: share with the right number of atoms.
        n_within_5_percent: share with a number of atoms within 5 %.
        type_exact: share with the right structure type.
    """

    mae: float
    mae_per_coordinate: float
    mae_median: float
    mae_std: float
    mae_aligned: float
    n_exact: float
    n_within_5_percent: float
    type_exact: float


@dataclass(frozen=True)
class EvaluationReport:
    """Scores of the model and of the baseline on the same structures and PDFs.

    Attributes:
        checkpoint: directory.
        store: catalog.
        split: how it was divided.
        pdfs: which PDFs were asked.
        n_train: structures that the baseline chooses from.
        n_test: structures asked.
        seen_in_training: whether this test set may hold structures that the model was trained on: another catalog, split or seed.
        model: the model's scores, decoded from the mean of the prior.
        nearest_neighbour: the training structure whose PDF is nearest, scaled to the NN distance of the one asked.
    """

    checkpoint: str
    store: str
    split: str
    pdfs: str
    n_train: int
    n_test: int
    seen_in_training: bool
    model: Scores
    nearest_neighbour: Scores

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A table for people."""
        rows = [
            ("MAE, in order (Å)", "mae", ".3f"),
            ("  median", "mae_median", ".3f"),
            ("  standard deviation", "mae_std", ".3f"),
            ("  per coordinate", "mae_per_coordinate", ".3f"),
            ("MAE, aligned and matched (Å)", "mae_aligned", ".3f"),
            ("N exact", "n_exact", ".1%"),
            ("N within 5 %", "n_within_5_percent", ".1%"),
            ("type right", "type_exact", ".1%"),
        ]
        lines = [
            f"{self.n_test} test structures, {self.split} split, {self.pdfs} PDFs; {self.n_train} to choose from",
            f"{'':30}{'model':>10}{'nearest PDF':>14}",
        ]
        lines += [f"{title:30}{getattr(self.model, key):>10{form}}{getattr(self.nearest_neighbour, key):>14{form}}" for title, key, form in rows]
        if self.seen_in_training:
            lines.append("note: the model was trained on another catalog, split or seed; it may have seen some of these structures.")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says of one PDF: positions (max_atoms, 3) in NN units, the number of atoms, the type's index."""

    positions: Array
    n_atoms: int
    structure_type: int


def evaluate(checkpoint: str | os.PathLike[str], store: str | os.PathLike[str], settings: EvaluateSettings) -> EvaluationReport:
    """Measure a checkpoint on the test set of a catalog.

    Raises:
        CheckpointError: there is none, it does not fit, or its training cannot be told from it.
        StoreError: the catalog is missing or its test set is empty.
    """
    directory = find_checkpoint(os.fspath(checkpoint))
    network, info = load_network(directory)
    catalog = Catalog.open(store)
    config = _training_settings(info, str(directory)).updated(seed=settings.seed)
    _check_types(catalog, info, str(directory))
    same_split = config.data.split == settings.split and info.settings.get("seed") == settings.seed and info.catalog_hash == catalog.content_hash
    config = config.updated(data=config.data.updated(split=settings.split).model_dump())
    split = load_split(catalog, config.data, settings.seed)
    rows = spread(split.test, settings.limit)
    if len(rows) == 0:
        raise StoreError(f"{catalog!r}: the {settings.split} split leaves no test structures. Use a larger catalog.")
    view = load_view(catalog, config, stored_pdfs=settings.pdfs == "stored")
    answers = model_answers(network.eval(), view, rows, settings.seed)
    neighbours = neighbour_answers(view, split, rows, settings.seed)
    return EvaluationReport(
        checkpoint=str(directory),
        store=os.fspath(store),
        split=settings.split,
        pdfs=settings.pdfs,
        n_train=len(split.train),
        n_test=len(rows),
        seen_in_training=not same_split,
        model=scores(answers, view, rows, settings.alignment_starts),
        nearest_neighbour=scores(neighbours, view, rows, settings.alignment_starts),
    )


def spread(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """At most ``limit`` rows, evenly over all."""
    return rows if len(rows) <= limit else rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]


@torch.inference_mode()
def model_answers(network: Cvae, view: TrainingView, rows: NDArray[np.int64], seed: int) -> list[Answer]:
    """Decoded from the mean of the prior."""
    answers = []
    for arrays in validation_batches(view, rows, seed):
        decoded = network.decoder.structures(network.decode(network.prior(to_tensors(arrays).pdf).mean))
        for structure in decoded:
            positions = np.zeros((view.positions.shape[1], 3))
            positions[: len(structure.positions)] = structure.positions
            answers.append(Answer(positions, len(structure.positions), int(structure.type_probabilities.argmax())))
    return answers


def neighbour_answers(view: TrainingView, split: Split, rows: NDArray[np.int64], seed: int) -> list[Answer]:
    """The training structure whose standardised PDF is nearest, over the points that both know."""
    references = np.concatenate([arrays.pdf for arrays in validation_batches(view, split.train, seed)])
    answers = []
    for arrays in validation_batches(view, rows, seed):
        for pdf in arrays.pdf:
            both = references[:, 1] * pdf[1]
            distance = (((references[:, 0] - pdf[0]) ** 2) * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1.0)
            nearest = split.train[int(distance.argmin())]
            answers.append(Answer(view.positions[nearest].astype(np.float64), int(view.n_atoms[nearest]), int(view.structure_type[nearest])))
    return answers


def scores(answers: list[Answer], view: TrainingView, rows: NDArray[np.int64], starts: int) -> Scores:
    """Figures of merit of answers to some rows. An atom that is not said counts from the centre."""
    per_atom, per_coordinate, aligned = [], [], []
    for answer, row in zip(answers, rows, strict=True):
        count, unit = int(view.n_atoms[row]), float(view.nn_distance[row])
        true = view.positions[row, :count].astype(np.float64)
        delta = (answer.positions[:count] - true) * unit
        per_atom.append(float(np.linalg.norm(delta, axis=1).mean()))
        per_coordinate.append(float(np.abs(delta).mean()))
        if answer.n_atoms == count:
            aligned.append(aligned_matched_error(answer.positions[:count] * unit, true * unit, starts=starts)[0])
    said = np.array([answer.n_atoms for answer in answers])
    true_n = view.n_atoms[rows]
    return Scores(
        mae=float(np.mean(per_atom)),
        mae_per_coordinate=float(np.mean(per_coordinate)),
        mae_median=float(np.median(per_atom)),
        mae_std=float(np.std(per_atom)),
        mae_aligned=float(np.mean(aligned)) if aligned else float("nan"),
        n_exact=float(np.mean(said == true_n)),
        n_within_5_percent=float(np.mean(np.abs(said - true_n) <= 0.05 * true_n)),
        type_exact=float(np.mean(np.array([answer.structure_type for answer in answers]) == view.structure_type[rows])),
    )


def _training_settings(info: CheckpointInfo, where: str) -> TrainConfig:
    try:
        return TrainConfig.model_validate({**info.settings, "model": info.model.model_dump()})
    except ValueError as invalid:
        raise CheckpointError(f"{where}: its training settings cannot be read ({invalid}). Train again with this version.") from invalid


def _check_types(catalog: Catalog, info: CheckpointInfo, where: str) -> None:
    strange = sorted(set(catalog.columns["structure_type"].unique()) - set(info.model.structure_types))
    largest = int(catalog.columns["n_atoms"].max()) if len(catalog) else 0
    if strange or largest > info.model.max_atoms:
        what = f"structure types {', '.join(strange)}" if strange else f"structures of {largest} atoms"
        raise CheckpointError(
            f"{where}: the catalog holds {what}, which this model cannot say (its types: {', '.join(info.model.structure_types)}; at most "
            f"{info.model.max_atoms} atoms). Evaluate on a catalog like the one that it was trained on."
        )
