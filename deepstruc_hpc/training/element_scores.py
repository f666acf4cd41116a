"""How well a model that decodes elements says which element lies where: of all that it knows, and of those that the sample is known to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.dataset import TrainingView
from deepstruc_hpc.data.site_targets import EMPTY, SiteTable, composition_error
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.training.step import to_tensors, validation_batches

Kinds = NDArray[np.int64]


@dataclass(frozen=True)
class ElementScores:
    """Of the structures on a template lattice, decoded from the mean of the prior.

    Attributes:
        known: whether the model was given the elements.
        elements_exact: share of structures with exactly the right elements in them.
        composition_error: mean of ½ Σ |fraction predicted − true fraction| over the elements.
        atoms_right: share of atoms whose site bears their element; 0 for a structure predicted on another template lattice.
        atoms_right_in_place: the same over the structures with all sites right.
        sites_exact: share of structures with all sites right.
        all_right: share of structures with all sites and all elements right.
    """

    known: bool
    elements_exact: float
    composition_error: float
    atoms_right: float
    atoms_right_in_place: float
    sites_exact: float
    all_right: float


def element_scores(network: Cvae, view: TrainingView, structures: Sequence[Structure], seed: int) -> list[ElementScores]:
    """Figures of a view, with the elements unknown and known; none for a model that decodes no elements.

    Args:
        network: in evaluation mode.
        view: of the structures.
        structures: in its order.
        seed: of the PDFs' conditions.
    """
    elements = network.config.elements
    if not elements or network.config.decoder != "sites":
        return []
    table = SiteTable.of(structures, network.config.sites.templates(), elements)
    given: list[tuple[str, ...]] = [structure.elements for structure in structures]
    return [
        _scored(_predicted(network, view, seed, [()] * len(given)), table, len(elements), known=False),
        _scored(_predicted(network, view, seed, given), table, len(elements), known=True),
    ]


def _scored(predicted: list[tuple[int, Kinds]], table: SiteTable, n_elements: int, *, known: bool) -> ElementScores:
    rows = [_row(predicted[row], table, row, n_elements) for row in np.flatnonzero(table.template >= 0).tolist()]
    exact, composition, right, in_place, everything = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return ElementScores(
        known=known,
        elements_exact=float(exact.mean()),
        composition_error=float(composition.mean()),
        atoms_right=float(right.mean()),
        atoms_right_in_place=float(right[in_place > 0].mean()) if in_place.any() else float("nan"),
        sites_exact=float(in_place.mean()),
        all_right=float(everything.mean()),
    )


@torch.inference_mode()
def _predicted(network: Cvae, view: TrainingView, seed: int, allowed: Sequence[Sequence[str]]) -> list[tuple[int, Kinds]]:
    """The template lattice of every structure, and the numbers of the elements on its sites, −1 where empty."""
    found: list[tuple[int, Kinds]] = []
    for arrays in validation_batches(view, np.arange(len(view)), seed):
        mean = network.prior(to_tensors(arrays).pdf).mean
        found += network.assignments(mean, allowed[len(found) : len(found) + len(mean)])
    return found


def _row(predicted: tuple[int, Kinds], table: SiteTable, row: int, n_elements: int) -> tuple[float, float, float, float, float]:
    template, kinds = predicted
    stored = table.element[row].astype(np.int64) if table.element is not None else np.zeros(0, dtype=np.int64)
    true = np.where(stored == EMPTY, -1, stored)[: table.size[row]]
    exact = set(kinds[kinds >= 0].tolist()) == set(true[true >= 0].tolist())
    composition = composition_error(kinds, true, n_elements)
    if template != table.template[row]:
        return float(exact), composition, 0.0, 0.0, 0.0
    atoms = true >= 0
    in_place = bool(((kinds >= 0) == atoms).all())
    return float(exact), composition, float((kinds[atoms] == true[atoms]).mean()), float(in_place), float((kinds == true).all())
