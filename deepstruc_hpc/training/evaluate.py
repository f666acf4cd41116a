"""How good a model is on structures that it was not trained on, beside what it has to beat."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.measured_curve import measured_curve
from deepstruc_hpc.data.splits import SplitName, shape_ids
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.parts import DecodedArrays
from deepstruc_hpc.model.size_reading import SizeReader
from deepstruc_hpc.runtime.progress import Bars, no_bar
from deepstruc_hpc.structures.lattices import OUTLINES
from deepstruc_hpc.training.baselines import TreeScores, neighbour_answers, tree_scores
from deepstruc_hpc.training.element_scores import ElementScores, element_scores
from deepstruc_hpc.training.evaluate_fits import CurveFit, FitCase, FitScores, SampleFits, listed_fits, model_fits
from deepstruc_hpc.training.held_out import HeldOut, PdfKind, spread
from deepstruc_hpc.training.latent_scores import Coverage, FaultOrder, LatentAnswers, coverage, fault_order, latent_answers
from deepstruc_hpc.training.scores import Answer, Scores, TypeScores, merged_types, scores, without_nan
from deepstruc_hpc.training.size_scores import SizeAnswers, SizeScores, size_scores
from deepstruc_hpc.training.step import to_tensors, validation_batches

MOST_LISTED = 4000


class EvaluateSettings(Config):
    """What is measured."""

    split: SplitName = "random"
    pdfs: PdfKind = "stored"
    limit: int = Field(500, ge=1, description="most structures of the test set")
    seed: int = Field(0, ge=0, description="of the division and of the conditions")
    alignment_starts: int = Field(12, ge=1, description="orientations from which the alignment is begun")
    fits: int = Field(0, ge=0, description="curves whose samples, and whose list of training shapes, are fitted; 0: none")
    samples: int = Field(1000, ge=1, description="of the model, for each of these curves")
    sigma: float = Field(3.0, gt=0, description="width of the sampling in standard deviations of the prior as trained")
    test_share: float | None = Field(None, gt=0, lt=0.5, description="share of the test set; that of the training where not given")
    trees: bool = Field(False, description="train gradient-boosted trees on the same data as a baseline")


@dataclass(frozen=True)
class EvaluationReport:
    """Scores of the model and of the baselines on the same structures and PDFs.

    Structures that are a piece of no template lattice of a decoder over sites count in ``sizes`` alone.

    Attributes:
        checkpoint: directory.
        store: catalog.
        split: how it was divided.
        pdfs: which PDFs were evaluated.
        n_train: structures that the baselines choose from.
        n_test: structures evaluated.
        n_left_out: of the structures evaluated, a piece of no template lattice.
        max_atoms: largest structure that the model was trained on.
        n_beyond: larger structures among those evaluated.
        in_order: whether the decoder writes atoms in the order of the catalog, so that errors in that order mean something.
        seen_in_training: whether this test set may hold structures that the model was trained on: another catalog, split or seed.
        model: the model's scores, decoded from the mean of the prior.
        nearest_neighbour: the training structure whose PDF is nearest, scaled to the NN distance of the one evaluated.
        types: of the model, averaged over its prior.
        coverage: stated probabilities against true ones.
        calibrated: whether the widths of the stated prior were adjusted on a validation set.
        sizes: the model's scores by size of the true structure.
        faults: where faulted structures lie in the latent space, where the test set holds fcc, hcp and faulted ones.
        trees: gradient-boosted trees, where they were asked for.
        fitted: the model's samples after the fit of scale, expansion, U and delta2, where fits were asked for.
        finished: the same after occupation refinement, which asks the curve which sites of a template lattice are filled; of a model of one element.
        listed: every training shape after the same fit.
        n_fitted: curves of the two.
        elements: which element lies where, of a model that decodes them.
    """

    checkpoint: str
    store: str
    split: str
    pdfs: str
    n_train: int
    n_test: int
    n_left_out: int
    max_atoms: int
    n_beyond: int
    in_order: bool
    seen_in_training: bool
    model: Scores
    nearest_neighbour: Scores
    types: TypeScores
    coverage: list[Coverage]
    calibrated: bool
    sizes: list[SizeScores] = field(default_factory=list)
    faults: FaultOrder | None = None
    trees: TreeScores | None = None
    fitted: FitScores | None = None
    finished: FitScores | None = None
    listed: FitScores | None = None
    n_fitted: int = 0
    elements: list[ElementScores] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; None for a figure that could not be had."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found


def evaluate(
    checkpoint: str | os.PathLike[str], store: str | os.PathLike[str], settings: EvaluateSettings, *, bars: Bars = no_bar
) -> EvaluationReport:
    """Measure a checkpoint on the test set of a catalog.

    A decoder over sites says the lattice, not the outline: octahedral counts as fcc for every method then.

    Args:
        checkpoint: directory, run or name.
        store: catalog.
        settings: what is measured.
        bars: show how far it is.

    Raises:
        CheckpointError: there is none, it does not fit, or its training cannot be told from it.
        StoreError: the catalog is missing or its test set is empty.
    """
    return measured(read_held_out(checkpoint, store, settings, bars), store, settings, bars)


def read_held_out(checkpoint: str | os.PathLike[str], store: str | os.PathLike[str], settings: EvaluateSettings, bars: Bars) -> HeldOut:
    """The model and the structures that settings name."""
    with bars("reading the catalog", None):
        return HeldOut.of(
            checkpoint,
            store,
            split=settings.split,
            pdfs=settings.pdfs,
            limit=settings.limit,
            seed=settings.seed,
            test_share=settings.test_share,
        )


def measured(held: HeldOut, store: str | os.PathLike[str], settings: EvaluateSettings, bars: Bars) -> EvaluationReport:
    """All scores of a model on structures that were read."""
    info, tested, seed = held.info, held.tested, settings.seed
    counted = np.flatnonzero(held.on_template)
    merged = merged_types(tested.types, OUTLINES if info.model.decoder == "sites" else {})
    with bars("asking the model and what it has to beat", None):
        answers = model_answers(held.network, tested, seed, held.sizes)
        nearest = neighbour_answers(held.listed, tested, seed)
        latent = latent_answers(held.network, tested, np.arange(len(tested)), seed).take(counted)
        trees = tree_scores(held.listed, tested, counted, seed, merged) if settings.trees else None

    def scored(given: list[Answer]) -> Scores:
        return scores([given[row] for row in counted], tested, counted, settings.alignment_starts, merged)

    kinds = merged[tested.structure_type[counted]]
    by_model, by_list, places = _fits(held, settings, bars) if settings.fits else (SampleFits([], []), [], np.zeros(0, dtype=np.int64))
    fitted = np.flatnonzero(held.on_template[places])
    return EvaluationReport(
        checkpoint=held.directory,
        store=os.fspath(store),
        split=settings.split,
        pdfs=settings.pdfs,
        n_train=len(held.listed),
        n_test=len(tested),
        n_left_out=len(tested) - len(counted),
        max_atoms=info.model.max_atoms,
        n_beyond=int((tested.n_atoms > info.model.max_atoms).sum()),
        in_order=info.model.decoder != "sites",
        seen_in_training=held.seen_in_training,
        model=scored(answers),
        nearest_neighbour=scored(nearest),
        types=TypeScores.of(latent.types, kinds),
        coverage=coverage(latent.widened(info.stated_widths()), kinds),
        calibrated=bool(info.latent_widths),
        sizes=size_scores(_size_answers(answers, held, merged), info.model.max_atoms, by_model.best),
        faults=_faults(latent, held, counted),
        trees=trees,
        fitted=FitScores.over(by_model.best, fitted),
        finished=FitScores.over(by_model.finished, fitted) if not info.model.elements else None,
        listed=FitScores.over(by_list, fitted),
        n_fitted=len(fitted),
        elements=element_scores(held.network, tested, held.catalog.structures(held.tested_rows), seed),
    )


@torch.inference_mode()
def model_answers(network: Cvae, view: TrainingView, seed: int, sizes: SizeReader | None = None) -> list[Answer]:
    """Decoded from the mean of the prior, for every structure of a view; in as many atoms as a size head says, where there is one."""
    answers = []
    for arrays in validation_batches(view, np.arange(len(view)), seed):
        if sizes is not None:
            decoded: Sequence[DecodedArrays] = sizes.structures(arrays.pdf)
        else:
            decoded = network.structures(network.prior(to_tensors(arrays).pdf).mean)
        for structure in decoded:
            positions = np.zeros((max(view.positions.shape[1], len(structure.positions)), 3))
            positions[: len(structure.positions)] = structure.positions
            answers.append(Answer(positions, len(structure.positions), int(structure.type_probabilities.argmax())))
    return answers


def _size_answers(answers: list[Answer], held: HeldOut, merged: NDArray[np.int64]) -> SizeAnswers:
    kinds = np.array([answer.structure_type for answer in answers], dtype=np.int64)
    predicted = np.array([answer.n_atoms for answer in answers], dtype=np.int64)
    return SizeAnswers(held.tested.n_atoms, predicted, merged[kinds] == merged[held.tested.structure_type], held.on_template)


def _fits(held: HeldOut, settings: EvaluateSettings, bars: Bars) -> tuple[SampleFits, list[CurveFit], NDArray[np.int64]]:
    """The model's samples and the list of training shapes, fitted to the same curves, and which of the structures evaluated these are of."""
    places = spread(np.arange(len(held.tested), dtype=np.int64), settings.fits)
    cases = _fit_cases(held, held.tested_rows[places], settings.seed)
    columns, starts = held.catalog.columns, settings.alignment_starts
    names = np.array(shape_ids(columns))[held.listed_rows]
    listed = spread(held.listed_rows[np.unique(names, return_index=True)[1]], MOST_LISTED)
    shapes, units = held.catalog.structures(listed), columns["nn_distance"].to_numpy(dtype=np.float64)[listed]
    model = StructureModel(held.network, held.info)
    with bars("fitting the model's samples", len(cases), unit="curves") as progress:
        by_model = model_fits(model, cases, samples=settings.samples, sigma=settings.sigma, seed=settings.seed, starts=starts, progress=progress)
    with bars("fitting every listed shape", len(cases), unit="curves") as progress:
        return by_model, listed_fits(shapes, units, cases, starts=starts, progress=progress), places


def _fit_cases(held: HeldOut, rows: NDArray[np.int64], seed: int) -> list[FitCase]:
    """Curves in Å of some rows of the catalog."""
    catalog, columns = held.catalog, held.catalog.columns
    cases = []
    for row, truth in zip(rows.tolist(), catalog.structures(rows), strict=True):
        if held.stored:
            curve, instrument = PdfCurve(np.asarray(catalog.r), np.asarray(catalog.pdf[row], dtype=np.float64)), catalog.instrument
        else:
            curve, instrument = measured_curve(truth, held.conditions, item_rng(seed, f"evaluate/curve/{columns['id'].iloc[row]}"))
        cases.append(FitCase(curve, instrument, truth, float(columns["nn_distance"].iloc[row])))
    return cases


def _faults(latent: LatentAnswers, held: HeldOut, counted: NDArray[np.integer]) -> FaultOrder | None:
    if held.info.model.decoder != "sites":
        return None
    templates = [held.info.model.sites.template_lattices[index] for index in held.template[counted]]
    return fault_order(latent.mean, [held.tested.types[index] for index in held.tested.structure_type[counted]], templates)
