"""What comes out when a model's samples, or listed shapes, are fitted to curves of structures that nobody told them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

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
from deepstruc_hpc.runtime.progress import Progress

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
class CurveFit:
    """The candidate of the best Rw for one curve, beside the truth; lengths in Å.

    Attributes:
        n_atoms: of the true structure.
        candidates: fitted.
        seconds: proposals and fits.
        rw: the best; NaN where there was no candidate, as are the next two.
        excess: the best Rw minus that of the true structure, fitted in the same way.
        mae: mean absolute error a coordinate after fit, alignment and matching; NaN where the number of atoms is another.
        n_exact: the number of atoms is right.
        n_within_5_percent: it is within 5 %.
        type_exact: the type is right, lattices with outlines of their own counted as the lattice.
        sites_exact: every atom is in its place (0.05 Å a coordinate after alignment and matching).
    """

    n_atoms: int
    candidates: int
    seconds: float
    rw: float = float("nan")
    excess: float = float("nan")
    mae: float = float("nan")
    n_exact: bool = False
    n_within_5_percent: bool = False
    type_exact: bool = False
    sites_exact: bool = False


@dataclass(frozen=True)
class FitScores:
    """The candidate of the best Rw, over a test set; lengths in Å.

    Attributes:
        n_exact: share with the right number of atoms.
        n_within_5_percent: share with a number of atoms within 5 %.
        type_exact: share with the right type.
        sites_exact: share with every atom in its place.
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

    @classmethod
    def of(cls, fits: Sequence[CurveFit]) -> FitScores:
        """Over one or more curves."""
        table = {field.name: np.array([float(getattr(fit, field.name)) for fit in fits]) for field in fields(CurveFit)}
        return cls(
            n_exact=float(table["n_exact"].mean()),
            n_within_5_percent=float(table["n_within_5_percent"].mean()),
            type_exact=float(table["type_exact"].mean()),
            sites_exact=float(table["sites_exact"].mean()),
            mae_aligned=_known(np.mean, table["mae"]),
            rw_median=_known(np.median, table["rw"]),
            excess_median=_known(np.median, table["excess"]),
            candidates=float(table["candidates"].mean()),
            seconds=float(table["seconds"].mean()),
        )


def _known(figure: Callable[[NDArray[np.float64]], Any], values: NDArray[np.float64]) -> float:
    """A figure over the values that are finite; NaN where none is."""
    finite = values[np.isfinite(values)]
    return float(figure(finite)) if len(finite) else float("nan")


def model_fits(
    model: StructureModel, questions: Sequence[Question], *, samples: int, sigma: float, seed: int, starts: int, progress: Progress | None = None
) -> list[CurveFit]:
    """The best of a model's samples for each curve; a model that decodes elements is told which there are."""

    def propose(number: int, question: Question) -> list[Structure]:
        rng, truth = item_rng(seed, f"evaluate/{number}"), question.truth
        choice = {"elements": truth.elements} if model.decodes_elements else {}
        try:
            found = model.propose(
                question.curve, symbol=truth.symbols[0], n_samples=samples, sigma=sigma, rng=rng, instrument=question.instrument, **choice
            )
        except DeepstrucError:
            return []
        return [proposal.structure for proposal in found]

    return _each(questions, propose, starts, progress)


def listed_fits(
    shapes: Sequence[Structure], units: NDArray[np.floating], questions: Sequence[Question], *, starts: int, progress: Progress | None = None
) -> list[CurveFit]:
    """The best of a list of shapes for each curve, every one fitted: what a model has to beat.

    Args:
        shapes: of any metal; of several elements, those that hold the truth's alone are fitted.
        units: (S,) their nearest-neighbour distances, Å.
        questions: the test set.
        starts: random orientations of the alignment.
        progress: told of every curve.
    """

    def propose(_: int, question: Question) -> list[Structure]:
        truth = question.truth
        return [
            shape.scaled(question.nn_distance / float(unit)).with_symbols(
                truth.symbols[:1] * len(shape) if len(shape.elements) == 1 else shape.symbols
            )
            for shape, unit in zip(shapes, units, strict=True)
            if len(shape.elements) == len(truth.elements) == 1 or shape.elements == truth.elements
        ]

    return _each(questions, propose, starts, progress)


def _in_metal(shape: Structure, symbol: str) -> Structure:
    """A shape of one element as that of another; one of several stays what it is."""
    return shape.with_symbols((symbol,) * len(shape)) if len(shape.elements) == 1 else shape


def _each(
    questions: Sequence[Question], propose: Callable[[int, Question], list[Structure]], starts: int, progress: Progress | None
) -> list[CurveFit]:
    fits = []
    for number, question in enumerate(questions):
        fits.append(_one(number, question, propose, starts))
        (progress or Progress()).advance()
    return fits


def _one(number: int, question: Question, propose: Callable[[int, Question], list[Structure]], starts: int) -> CurveFit:
    began = time.perf_counter()
    candidates: list[Structure] = propose(number, question)
    best, rw = _best(candidates, question)
    tried = CurveFit(n_atoms=len(question.truth), candidates=len(candidates), seconds=time.perf_counter() - began)
    if best is None:
        return tried
    wanted = len(question.truth)
    same_size = len(best) == wanted
    mae = aligned_matched_error(best.positions, question.truth.positions, starts=starts)[0] if same_size else float("nan")
    return replace(
        tried,
        rw=rw,
        excess=rw - _best([question.truth], question)[1],
        mae=mae,
        n_exact=same_size,
        n_within_5_percent=abs(len(best) - wanted) <= 0.05 * wanted,
        type_exact=_lattice(best) == _lattice(question.truth),
        sites_exact=mae < SAME_SITES,
    )


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
