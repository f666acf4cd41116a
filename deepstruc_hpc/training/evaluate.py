"""How good a model is on structures that it was not trained on, beside what it has to beat."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CheckpointError, StoreError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.measured_curve import measured_curve
from deepstruc_hpc.data.splits import Split, SplitName, shape_ids
from deepstruc_hpc.model.checkpoint import CheckpointInfo, find_checkpoint, load_network
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.sites import SAME_LATTICE
from deepstruc_hpc.training.baselines import TreeScores, neighbour_answers, tree_scores
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.evaluate_fits import FitScores, Question, listed_fits, model_fits
from deepstruc_hpc.training.latent_scores import Coverage, FaultOrder, LatentAnswers, coverage, fault_order, latent_answers
from deepstruc_hpc.training.scores import Answer, Scores, TypeScores, merged_types, scores
from deepstruc_hpc.training.step import to_tensors, validation_batches
from deepstruc_hpc.training.view import load_split, load_view

Rows = NDArray[np.int64]
MOST_LISTED = 4000


class EvaluateSettings(Config):
    """What is measured."""

    split: SplitName = "random"
    pdfs: Literal["stored", "measured_like"] = "stored"
    limit: int = Field(500, ge=1, description="most structures of the test set")
    seed: int = Field(0, ge=0, description="of the division and of the conditions")
    alignment_starts: int = Field(12, ge=1, description="orientations from which the alignment is begun")
    fits: int = Field(0, ge=0, description="curves whose samples, and whose list of training shapes, are fitted; 0: none")
    samples: int = Field(1000, ge=1, description="of the model, for each of these curves")
    sigma: float = Field(3.0, gt=0, description="width of the sampling in standard deviations of the prior")
    test_share: float | None = Field(None, gt=0, lt=0.5, description="share of the test set; that of the training where not given")
    trees: bool = Field(False, description="train gradient-boosted trees on the same data as a baseline")


@dataclass(frozen=True)
class EvaluationReport:
    """Scores of the model and of the baselines on the same structures and PDFs.

    Attributes:
        checkpoint: directory.
        store: catalog.
        split: how it was divided.
        pdfs: which PDFs were asked.
        n_train: structures that the baselines choose from.
        n_test: structures asked.
        n_left_out: of the test set, a piece of no parent of a decoder over sites; they count nowhere.
        in_order: whether the decoder writes atoms in the order of the catalog, so that errors in that order mean something.
        seen_in_training: whether this test set may hold structures that the model was trained on: another catalog, split or seed.
        model: the model's scores, decoded from the mean of the prior.
        nearest_neighbour: the training structure whose PDF is nearest, scaled to the NN distance of the one asked.
        types: of the model, averaged over its prior.
        coverage: stated probabilities against true ones.
        faults: where faulted structures lie in the latent space, where the test set holds fcc, hcp and faulted ones.
        trees: gradient-boosted trees, where they were asked for.
        fitted: the model's samples after the fit of scale, expansion, U and delta2, where fits were asked for.
        listed: every training shape after the same fit.
        n_fitted: curves of the two.
    """

    checkpoint: str
    store: str
    split: str
    pdfs: str
    n_train: int
    n_test: int
    n_left_out: int
    in_order: bool
    seen_in_training: bool
    model: Scores
    nearest_neighbour: Scores
    types: TypeScores
    coverage: list[Coverage]
    faults: FaultOrder | None = None
    trees: TreeScores | None = None
    fitted: FitScores | None = None
    listed: FitScores | None = None
    n_fitted: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def evaluate(checkpoint: str | os.PathLike[str], store: str | os.PathLike[str], settings: EvaluateSettings) -> EvaluationReport:
    """Measure a checkpoint on the test set of a catalog.

    A decoder over sites says the lattice, not the outline: octahedral counts as fcc for every method then.

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
    same_split = same_split and settings.test_share is None
    shares = {} if settings.test_share is None else {"test": settings.test_share}
    config = config.updated(data=config.data.updated(split=settings.split, **shares).model_dump())
    view = load_view(catalog, config, stored_pdfs=settings.pdfs == "stored")
    whole = split = load_split(catalog, config.data, settings.seed)
    if view.sites is not None:
        split = split.within(view.sites.table.parent >= 0)
    rows = spread(split.test, settings.limit)
    if len(rows) == 0:
        raise StoreError(f"{catalog!r}: the {settings.split} split leaves no test structures. Use a larger catalog.")
    network.eval()
    merged = merged_types(view.types, SAME_LATTICE if info.model.decoder == "sites" else {})
    latent = latent_answers(network, view, rows, settings.seed)
    kinds = merged[view.structure_type[rows]]
    fitted, listed, n_fitted = _fits(StructureModel(network, info), catalog, config, split, settings) if settings.fits else (None, None, 0)
    return EvaluationReport(
        checkpoint=str(directory),
        store=os.fspath(store),
        split=settings.split,
        pdfs=settings.pdfs,
        n_train=len(split.train),
        n_test=len(rows),
        n_left_out=len(whole.test) - len(split.test),
        in_order=info.model.decoder != "sites",
        seen_in_training=not same_split,
        model=scores(model_answers(network, view, rows, settings.seed), view, rows, settings.alignment_starts, merged),
        nearest_neighbour=scores(neighbour_answers(view, split, rows, settings.seed), view, rows, settings.alignment_starts, merged),
        types=TypeScores.of(latent.types, kinds),
        coverage=coverage(latent, kinds),
        faults=_faults(latent, view, rows, info),
        trees=tree_scores(view, split, rows, settings.seed, merged) if settings.trees else None,
        fitted=fitted,
        listed=listed,
        n_fitted=n_fitted,
    )


def spread(rows: Rows, limit: int) -> Rows:
    """At most ``limit`` rows, evenly over all."""
    return rows if len(rows) <= limit else rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]


@torch.inference_mode()
def model_answers(network: Cvae, view: TrainingView, rows: Rows, seed: int) -> list[Answer]:
    """Decoded from the mean of the prior."""
    answers = []
    for arrays in validation_batches(view, rows, seed):
        decoded = network.decoder.structures(network.decode(network.prior(to_tensors(arrays).pdf).mean))
        for structure in decoded:
            positions = np.zeros((max(view.positions.shape[1], len(structure.positions)), 3))
            positions[: len(structure.positions)] = structure.positions
            answers.append(Answer(positions, len(structure.positions), int(structure.type_probabilities.argmax())))
    return answers


def _fits(model: StructureModel, catalog: Catalog, config: TrainConfig, split: Split, settings: EvaluateSettings) -> tuple[FitScores, FitScores, int]:
    """The model's samples and the list of training shapes, fitted to the same curves."""
    columns = catalog.columns
    units = columns["nn_distance"].to_numpy(dtype=np.float64)
    rows = spread(split.test, settings.fits)
    questions = []
    for row, truth in zip(rows.tolist(), catalog.structures(rows), strict=True):
        rng = item_rng(settings.seed, f"evaluate/curve/{columns['id'].iloc[row]}")
        if settings.pdfs == "stored":
            curve, instrument = PdfCurve(np.asarray(catalog.r), np.asarray(catalog.pdf[row], dtype=np.float64)), catalog.instrument
        else:
            curve, instrument = measured_curve(truth, config.data.conditions, rng)
        questions.append(Question(curve, instrument, truth, float(units[row])))
    names = np.array(shape_ids(columns))[split.train]
    listed = spread(split.train[np.unique(names, return_index=True)[1]], MOST_LISTED)
    starts = settings.alignment_starts
    by_model = model_fits(model, questions, samples=settings.samples, sigma=settings.sigma, seed=settings.seed, starts=starts)
    return by_model, listed_fits(catalog.structures(listed), units[listed], questions, starts=starts), len(questions)


def _faults(latent: LatentAnswers, view: TrainingView, rows: Rows, info: CheckpointInfo) -> FaultOrder | None:
    if view.sites is None:
        return None
    parents = [info.model.sites.parents[index] for index in view.sites.table.parent[rows]]
    return fault_order(latent.mean, [view.types[index] for index in view.structure_type[rows]], parents)


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
