"""A model, the structures that it is evaluated on, and those that it has to beat: what an evaluation reads before it measures."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.config import STORED
from deepstruc_hpc.core.errors import CheckpointError, StoreError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.site_targets import assignment_of
from deepstruc_hpc.data.splits import SplitName
from deepstruc_hpc.data.training_pdfs import MeasuredLike, MeasuredLikePdfs
from deepstruc_hpc.model.checkpoint import CheckpointInfo, find_checkpoint, load_network
from deepstruc_hpc.model.config import ModelConfig
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.size_checkpoint import size_reader
from deepstruc_hpc.model.size_reading import SizeReader
from deepstruc_hpc.structures.assignment import LatticeLookup
from deepstruc_hpc.training.config import TrainConfig
from deepstruc_hpc.training.view import catalog_assignments, load_split, load_view

Rows = NDArray[np.int64]
PdfKind = Literal["stored", "measured_like", "clean"]
MOST_TRAINING_PDFS = 20_000
"""At most so many training structures are read for the baselines, evenly over all."""
ON_SOME_TEMPLATE = 0
"""Stands for a template lattice where the decoder writes coordinates and no structure needs one."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A model and a catalog's test set.

    Attributes:
        directory: of the checkpoint.
        network: in evaluation mode.
        info: what the checkpoint says of itself.
        catalog: of test and training structures.
        conditions: under which measured-like PDFs are made.
        stored: PDFs are the catalog's own.
        tested: the A test structures, on a template lattice or on none.
        tested_rows: (A,) their rows of the catalog.
        template: (A,) number of the template lattice that each is a piece of; −1 for none.
        listed: L training structures on a template lattice: what the baselines choose from.
        listed_rows: (L,) their rows of the catalog.
        seen_in_training: whether this test set may hold structures that the model was trained on: another catalog, split or seed.
        sizes: reads sizes for the model, where it has a size head.
    """

    directory: str
    network: Cvae
    info: CheckpointInfo
    catalog: Catalog
    conditions: MeasuredLike
    stored: bool
    tested: TrainingView
    tested_rows: Rows
    template: Rows
    listed: TrainingView
    listed_rows: Rows
    seen_in_training: bool
    sizes: SizeReader | None = None

    @classmethod
    def of(
        cls,
        checkpoint: str | os.PathLike[str],
        store: str | os.PathLike[str],
        *,
        split: SplitName,
        pdfs: PdfKind,
        limit: int,
        seed: int,
        test_share: float | None = None,
    ) -> HeldOut:
        """Read a checkpoint and divide a catalog.

        Args:
            checkpoint: directory, run or name.
            store: catalog.
            split: how it is divided.
            pdfs: which PDFs are tested.
            limit: most structures of the test set.
            seed: of the division.
            test_share: share of the test set; that of the training where not given.

        Raises:
            CheckpointError: there is none, it does not fit, or its training cannot be told from it.
            StoreError: the catalog is missing, or it leaves no structures to ask or to choose from.
        """
        directory = str(find_checkpoint(os.fspath(checkpoint)))
        network, info = load_network(find_checkpoint(directory))
        catalog = Catalog.open(store)
        _check_types(catalog, info, directory)
        trained = training_settings(info, directory)
        shares = {} if test_share is None else {"test": test_share}
        config = trained.updated(seed=seed, data=trained.data.updated(split=split, **shares).model_dump())
        same = trained.data == config.data and trained.seed == seed and info.catalog_hash == catalog.content_hash
        parts = load_split(catalog, config.data, seed)
        tested_rows, listed_rows = spread(parts.test, limit), spread(parts.train, MOST_TRAINING_PDFS)
        template = _templates(catalog, tested_rows, info.model)
        listed_rows = listed_rows[_templates(catalog, listed_rows, info.model) >= 0]
        if not ((template >= 0).any() and len(listed_rows)):
            raise StoreError(f"{catalog!r}: the {split} split leaves no test structures that this model could say, or none to train on. "
                             "Use a larger catalog.")  # fmt: skip
        return cls(
            directory=directory,
            network=network.eval(),
            info=info,
            catalog=catalog,
            conditions=config.data.conditions,
            stored=pdfs == "stored",
            tested=load_view(catalog, config, stored_pdfs=pdfs == "stored", rows=tested_rows),
            tested_rows=tested_rows,
            template=template,
            listed=load_view(catalog, config, stored_pdfs=pdfs == "stored", rows=listed_rows),
            listed_rows=listed_rows,
            seen_in_training=not same,
            sizes=size_reader(Path(directory), network.eval()),
        ).under(clean(config.data.conditions) if pdfs == "clean" else config.data.conditions)

    def under(self, conditions: MeasuredLike) -> HeldOut:
        """The same structures under other conditions; stored PDFs stay what they are."""
        return replace(self, conditions=conditions, tested=_under(self.tested, conditions), listed=_under(self.listed, conditions))

    @property
    def on_template(self) -> NDArray[np.bool_]:
        """(A,) which of the structures evaluated are a piece of a template lattice."""
        return self.template >= 0


def clean(ranges: MeasuredLike) -> MeasuredLike:
    """The same samples and instruments without what a measurement adds to them.

    No noise, no line, no strain; the damping and the nearest-neighbour distance are known exactly; the curve is as long as the ranges allow. Qmin,
    Qmax, Qdamp, U and delta2 are drawn as before, and with the same random numbers they are the same.
    """
    nothing, exact = (0.0, 0.0), (1.0, 1.0)
    longest = {"rmin": (ranges.rmin[0],) * 2, "rmax": (ranges.rmax[1],) * 2}
    return ranges.updated(noise=nothing, baseline=nothing, strain=nothing, qdamp_error=nothing, zoom=exact, expected=exact, **longest)


def spread(rows: Rows, limit: int) -> Rows:
    """At most ``limit`` rows, evenly over all."""
    return rows if len(rows) <= limit else rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]


def training_settings(info: CheckpointInfo, where: str) -> TrainConfig:
    """How a checkpoint was trained.

    Raises:
        CheckpointError: its settings are of another version.
    """
    try:
        return TrainConfig.model_validate({**info.settings, "model": info.model.model_dump()}, context=STORED)
    except ValueError as invalid:
        raise CheckpointError(f"{where}: its training settings cannot be read ({invalid}). Train again with this version.") from invalid


def _under(view: TrainingView, conditions: MeasuredLike) -> TrainingView:
    return replace(view, pdfs=replace(view.pdfs, ranges=conditions)) if isinstance(view.pdfs, MeasuredLikePdfs) else view


def _templates(catalog: Catalog, rows: Rows, config: ModelConfig) -> Rows:
    """(S,) number of the template lattice that each structure is a piece of; −1 for none, as where it reaches beyond ``model.sites.radius``."""
    if config.decoder != "sites":
        return np.full(len(rows), ON_SOME_TEMPLATE, dtype=np.int64)
    templates = config.sites.templates()
    if config.given_elements:
        found = list(catalog_assignments(catalog.columns.iloc[rows], templates))
    else:
        finder = LatticeLookup(templates)
        found = [assignment_of(finder, structure, config.elements) for structure in catalog.structures(rows)]
    return np.array([-1 if assignment is None else assignment.template for assignment in found], dtype=np.int64)


def _check_types(catalog: Catalog, info: CheckpointInfo, where: str) -> None:
    strange = sorted(set(catalog.columns["structure_type"].unique()) - set(info.model.structure_types))
    if strange:
        raise CheckpointError(
            f"{where}: the catalog holds structure types {', '.join(strange)}, which this model cannot say (its types: "
            f"{', '.join(info.model.structure_types)}). Evaluate on a catalog of the types that it was trained on."
        )
