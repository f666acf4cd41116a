"""Widths of the prior that mean what they say, found on structures that its training did not see."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import CheckpointError, StoreError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model.checkpoint import find_checkpoint, load_network, write_info
from deepstruc_hpc.runtime.progress import Bars, no_bar
from deepstruc_hpc.training.held_out import spread, training_settings
from deepstruc_hpc.training.latent_scores import LEVELS, Coverage, LatentAnswers, coverage, half_width, latent_answers
from deepstruc_hpc.training.view import load_split, load_view

MOST_STRUCTURES = 2000
FEWEST_STRUCTURES = 50
"""Fewer do not tell where 95 % lie."""


@dataclass(frozen=True)
class Calibration:
    """What was found and written into the checkpoint.

    Attributes:
        checkpoint: directory.
        n_structures: of the validation set.
        widths: (D,) factors of the prior's standard deviations.
        before: coverage of these structures with the widths as trained.
        after: with the new ones; another set has to confirm it.
    """

    checkpoint: str
    n_structures: int
    widths: tuple[float, ...]
    before: list[Coverage]
    after: list[Coverage]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def calibrate(checkpoint: str | os.PathLike[str], store: str | os.PathLike[str], *, bars: Bars = no_bar) -> Calibration:
    """Widen, or narrow, what a checkpoint states of its latent points until the validation set of its training lies where it says.

    The factors go into the checkpoint's ``config.json`` and into what :meth:`~deepstruc_hpc.model.generator.StructureModel.prior` says; samples are
    drawn as before. PDFs are those of the training, ``data.pdfs``.

    Args:
        checkpoint: directory, run or name.
        store: the catalog that it was trained on.
        bars: show how far it is.

    Raises:
        CheckpointError: there is none, or it was trained on another catalog.
        StoreError: the catalog is missing, or its validation set is too small.
    """
    directory = find_checkpoint(os.fspath(checkpoint))
    network, info = load_network(directory)
    catalog = Catalog.open(store)
    if catalog.content_hash != info.catalog_hash:
        raise CheckpointError(
            f"{directory}: trained on a catalog of content {info.catalog_hash or 'unknown'}, but {store} is {catalog.content_hash}. The validation "
            "set of the training is needed: name the catalog that it was trained on."
        )
    config = training_settings(info, str(directory))
    rows = spread(load_split(catalog, config.data, config.seed).validation, MOST_STRUCTURES)
    if len(rows) < FEWEST_STRUCTURES:
        raise StoreError(f"{store}: {len(rows)} structures for validation, but {FEWEST_STRUCTURES} are needed. Train with a larger data.validation.")
    with bars("asking the model about the validation set", None):
        view = load_view(catalog, config, rows=rows)
        found = latent_answers(network.eval(), view, np.arange(len(view)), config.seed)
    widths = tuple(round(float(width), 3) for width in matching_widths(found))
    write_info(directory, info.updated(latent_widths=widths))
    before, after = (coverage(answers, view.structure_type) for answers in (found, found.widened(np.array(widths))))
    return Calibration(str(directory), len(rows), widths, before, after)


def matching_widths(found: LatentAnswers) -> NDArray[np.float64]:
    """(D,) factors of the standard deviations with which as many structures lie within 50, 80 and 95 % as should.

    Every level has a factor of its own: the quantile of |μ_posterior − μ_prior| / σ over that of a normal distribution. Their geometric mean is
    taken, since one factor has to serve all; it is not below 0.05.
    """
    levels = np.quantile(found.away(), LEVELS, axis=0) / np.array([half_width(level) for level in LEVELS])[:, None]
    return np.asarray(np.exp(np.log(np.maximum(levels, 0.05)).mean(axis=0)))
