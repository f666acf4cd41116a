"""What comes out when a model's samples, or listed shapes, are fitted to curves of structures that nobody told them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.sites import SAME_LATTICE
from deepstruc_hpc.physics.agreement import aligned_matched_error
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.instrument import Instrument

SAME_SITES = 0.05
"""Å a coordinate: a structure nearer to the truth than this after alignment has all sites right."""
FIT_FROM = 2.0


@dataclass(frozen=True, eq=False)
class Question:
    """A curve and the structure that it is of."""

    curve: PdfCurve
    instrument: Instrument
    truth: Structure
    nn_distance: float


@dataclass(frozen=True)
class FitScores:
    """The candidate of the best Rw, over a test set; lengths in Å.

    Attributes:
        n_exact: share with the right number of atoms.
        n_within_5_percent: share with a number of atoms within 5 %.
        type_exact: share with the right type, lattices with outlines of their own counted as the lattice.
        sites_exact: share with every atom in its place (0.05 Å a coordinate after alignment and matching).
        mae_aligned: mean absolute error a coordinate after fit, alignment and matching, over the structures with the right number of atoms.
        rw_median: median of the best Rw.
        excess_median: median of the best Rw minus that of the true structure, fitted in the same way.
        candidates: fitted a curve, mean.
        seconds: a curve, mean, proposals and fits.
    """

    n_exact: float
    n_within_5_percent: float
    type_exact: float
    sites_exact: float
    mae_aligned: float
    rw_median: float
    excess_median: float
    candidates: float
    seconds: float


def model_fits(model: StructureModel, questions: Sequence[Question], *, samples: int, sigma: float, seed: int, starts: int) -> FitScores:
    """The best of a model's samples."""

    def propose(number: int, question: Question) -> list[Structure]:
        rng = item_rng(seed, f"evaluate/{number}")
        symbol = question.truth.symbols[0]
        try:
            found = model.propose(question.curve, symbol=symbol, n_samples=samples, sigma=sigma, rng=rng, instrument=question.instrument)
        except DeepstrucError:
            return []
        return [proposal.structure for proposal in found]

    return _scored([_one(number, question, propose, starts) for number, question in enumerate(questions)])


def listed_fits(shapes: Sequence[Structure], units: NDArray[np.floating], questions: Sequence[Question], *, starts: int) -> FitScores:
    """The best of a list of shapes, every one fitted: what a model has to beat.

    Args:
        shapes: of any metal.
        units: (S,) their nearest-neighbour distances, Å.
        questions: the test set.
        starts: random orientations of the alignment.
    """

    def propose(_: int, question: Question) -> list[Structure]:
        symbol = question.truth.symbols[0]
        return [
            Structure.of_element(symbol, shape.positions * (question.nn_distance / float(unit)), shape.structure_type, shape.label)
            for shape, unit in zip(shapes, units, strict=True)
        ]

    return _scored([_one(number, question, propose, starts) for number, question in enumerate(questions)])


def _one(number: int, question: Question, propose: Callable[[int, Question], list[Structure]], starts: int) -> dict[str, float]:
    began = time.perf_counter()
    candidates: list[Structure] = propose(number, question)
    fits = _best(candidates, question)
    seconds = time.perf_counter() - began
    true_rw = _best([question.truth], question)[1]
    row = {"candidates": float(len(candidates)), "seconds": seconds, "rw": np.nan, "excess": np.nan, "mae": np.nan}
    row |= dict.fromkeys(("n_exact", "n_within_5_percent", "type_exact", "sites_exact"), 0.0)
    if fits[0] is None:
        return row
    best, wanted = fits[0], len(question.truth)
    row |= {"rw": fits[1], "excess": fits[1] - true_rw}
    row["n_exact"] = float(len(best) == wanted)
    row["n_within_5_percent"] = float(abs(len(best) - wanted) <= 0.05 * wanted)
    row["type_exact"] = float(_lattice(best) == _lattice(question.truth))
    if len(best) == wanted:
        row["mae"] = aligned_matched_error(best.positions, question.truth.positions, starts=starts)[0]
        row["sites_exact"] = float(row["mae"] < SAME_SITES)
    return row


def _best(candidates: Sequence[Structure], question: Question) -> tuple[Structure | None, float]:
    """The candidate of lowest Rw as refined, and its Rw."""
    if not candidates:
        return None, np.inf
    rmax = float(question.curve.r[-1])
    table = fit_candidates(candidates, question.curve, rmin=FIT_FROM, rmax=rmax, **question.instrument.model_dump())
    values = np.where(np.isfinite(table.rw), table.rw, np.inf)
    first = int(values.argmin())
    if not np.isfinite(values[first]):
        return None, np.inf
    return candidates[first].scaled(float(table.zoom[first])), float(values[first])


def _lattice(structure: Structure) -> str:
    return SAME_LATTICE.get(structure.structure_type, structure.structure_type)


def _scored(rows: list[dict[str, float]]) -> FitScores:
    def column(name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in rows])

    def median(values: NDArray[np.float64]) -> float:
        return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")

    mae = column("mae")
    return FitScores(
        n_exact=float(column("n_exact").mean()),
        n_within_5_percent=float(column("n_within_5_percent").mean()),
        type_exact=float(column("type_exact").mean()),
        sites_exact=float(column("sites_exact").mean()),
        mae_aligned=float(np.nanmean(mae)) if np.isfinite(mae).any() else float("nan"),
        rw_median=median(column("rw")),
        excess_median=median(column("excess")),
        candidates=float(column("candidates").mean()),
        seconds=float(column("seconds").mean()),
    )
