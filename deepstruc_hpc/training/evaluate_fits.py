"""What comes out when a model's samples, or listed shapes, are fitted to curves of structures that nobody told them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import DeepstrucError
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.model.generator import FIRST_PEAKS, StructureModel
from deepstruc_hpc.model.layer_refinement import refine
from deepstruc_hpc.model.occupation_refinement import Filled, Fitted, fitted, snapped
from deepstruc_hpc.model.proposal import Proposal
from deepstruc_hpc.physics.agreement import aligned_matched_error
from deepstruc_hpc.physics.fit import fit_candidates
from deepstruc_hpc.physics.fit_table import FitTable
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.runtime.progress import Progress
from deepstruc_hpc.structures.lattices import lattice_of

SAME_SITES = 0.05
"""Å a coordinate: a structure nearer to the truth than this after alignment has all sites right."""
AGAIN = 12
"""Times that an alignment is tried, each from other orientations, where two particles have the same distances; a limit of time."""
ALIKE = 1e-6
"""Of Rw: what fits the same."""
FINISHED = 5
"""Samples of the lowest Rw that occupation refinement begins from."""
FIT_FROM = 2.0


@dataclass(frozen=True, eq=False)
class FitCase:
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
        beats_truth: it is another structure, and fits better than the true one.
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
    beats_truth: bool = False


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
        beats_truth: share of curves where it is another structure that fits better than the true one: what no method can know from the curve.
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
    beats_truth: float
    candidates: float
    seconds: float

    @classmethod
    def over(cls, fits: Sequence[CurveFit], places: NDArray[np.integer]) -> FitScores | None:
        """Over some of the curves; None where there are none."""
        return cls.of([fits[place] for place in places]) if len(places) else None

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
            beats_truth=float(table["beats_truth"].mean()),
            candidates=float(table["candidates"].mean()),
            seconds=float(table["seconds"].mean()),
        )


def _known(figure: Callable[[NDArray[np.float64]], Any], values: NDArray[np.float64]) -> float:
    """A figure over the values that are finite; NaN where none is."""
    finite = values[np.isfinite(values)]
    return float(figure(finite)) if len(finite) else float("nan")


@dataclass(frozen=True)
class SampleFits:
    """What a model's samples come to, a curve at a time.

    Attributes:
        best: the sample of the best Rw.
        finished: what occupation refinement makes of the first few and the best few samples, the most probable of them; the best sample itself where
            none lies on a template lattice.
    """

    best: list[CurveFit]
    finished: list[CurveFit]


def model_fits(
    model: StructureModel, cases: Sequence[FitCase], *, samples: int, sigma: float, seed: int, starts: int, progress: Progress | None = None
) -> SampleFits:
    """The best of a model's samples for each curve, and the same after occupation refinement; a model that decodes elements is told which there are.

    Args:
        model: to ask.
        cases: the test set.
        samples: for each curve.
        sigma: width of the sampling in standard deviations of the prior as trained.
        seed: of the sampling.
        starts: random orientations of the alignment.
        progress: told of every curve.
    """
    found = SampleFits([], [])
    for number, case in enumerate(cases):
        began = time.perf_counter()
        proposals = _proposals(model, case, samples, sigma, item_rng(seed, f"evaluate/{number}"))
        structures = [proposal.structure for proposal in proposals]
        table = _table(structures, case)
        sampled = time.perf_counter() - began
        ending = _finish(model, proposals, table, case)
        seconds = time.perf_counter() - began
        true_rw = _least(_table([case.truth], case))[1]
        best = _refined(structures, table)
        found.best.append(_scored(best, case, true_rw, candidates=len(structures), seconds=sampled, starts=starts))
        found.finished.append(_scored(ending or best, case, true_rw, candidates=len(structures), seconds=seconds, starts=starts))
        (progress or Progress()).advance()
    return found


def _proposals(model: StructureModel, case: FitCase, samples: int, sigma: float, rng: np.random.Generator) -> list[Proposal]:
    truth = case.truth
    choice = {"elements": truth.elements} if model.decodes_elements else {}
    try:
        return model.propose(case.curve, symbol=truth.symbols[0], n_samples=samples, sigma=sigma, rng=rng, instrument=case.instrument, **choice)
    except DeepstrucError:
        return []


def _finish(model: StructureModel, proposals: Sequence[Proposal], table: FitTable | None, case: FitCase) -> tuple[Structure, float] | None:
    """The most probable of the first and best few samples after occupation refinement; None where none lies on a lattice, or for several elements."""
    if table is None or model.decodes_elements:
        return None
    order = [int(row) for row in np.argsort(np.where(np.isfinite(table.rw), table.rw, np.inf)) if np.isfinite(table.rw[row])]
    curve = case.curve.between(FIT_FROM, float(case.curve.r[-1]))
    rows = dict.fromkeys([*order[:FINISHED], *range(min(len(FIRST_PEAKS), len(proposals)))])
    starts = [start for row in rows if (start := _beginning(proposals[row], table, row, curve, case.instrument)) is not None]
    odds = lru_cache(model.site_odds(case.curve, symbol=case.truth.symbols[0], instrument=case.instrument))
    ends = refine(starts, curve, case.instrument, odds_of=odds, most_atoms=model.info.model.max_atoms)
    if not ends:
        return None
    best = min((end for _, end in ends), key=lambda end: end.objective)
    return best.structure.scaled(best.fit.zoom), best.fit.rw


def _beginning(proposal: Proposal, table: FitTable, row: int, curve: PdfCurve, instrument: Instrument) -> Filled | None:
    """A sample as an assignment; atoms written by coordinates are taken to the sites that they mean."""
    if proposal.occupation is not None:
        if not np.isfinite(table.rw[row]):
            return None
        fit = Fitted.of(table.row(row))
        return Filled(*proposal.occupation, proposal.structure, fit)
    found = snapped(proposal.structure)
    return None if found is None else Filled(*found, fitted(found[2], curve, instrument))


def listed_fits(
    shapes: Sequence[Structure], units: NDArray[np.floating], cases: Sequence[FitCase], *, starts: int, progress: Progress | None = None
) -> list[CurveFit]:
    """The best of a list of shapes for each curve, every one fitted: what a model has to beat.

    Args:
        shapes: of any metal; of several elements, those that hold the truth's alone are fitted.
        units: (S,) their nearest-neighbour distances, Å.
        cases: the test set.
        starts: random orientations of the alignment.
        progress: told of every curve.
    """

    def propose(_: int, case: FitCase) -> list[Structure]:
        truth = case.truth
        return [
            shape.scaled(case.nn_distance / float(unit)).with_symbols(truth.symbols[:1] * len(shape) if len(shape.elements) == 1 else shape.symbols)
            for shape, unit in zip(shapes, units, strict=True)
            if len(shape.elements) == len(truth.elements) == 1 or shape.elements == truth.elements
        ]

    return _each(cases, propose, starts, progress)


def _each(cases: Sequence[FitCase], propose: Callable[[int, FitCase], list[Structure]], starts: int, progress: Progress | None) -> list[CurveFit]:
    fits = []
    for number, case in enumerate(cases):
        began = time.perf_counter()
        structures = propose(number, case)
        best = _refined(structures, _table(structures, case))
        seconds = time.perf_counter() - began
        true_rw = _least(_table([case.truth], case))[1]
        fits.append(_scored(best, case, true_rw, candidates=len(structures), seconds=seconds, starts=starts))
        (progress or Progress()).advance()
    return fits


def _scored(best: tuple[Structure, float] | None, case: FitCase, true_rw: float, *, candidates: int, seconds: float, starts: int) -> CurveFit:
    """A refined structure and its Rw beside the truth and the truth's Rw."""
    wanted = len(case.truth)
    tried = CurveFit(n_atoms=wanted, candidates=candidates, seconds=seconds)
    if best is None:
        return tried
    structure, rw = best
    same_size = len(structure) == wanted
    mae = _aligned_error(structure, case.truth, starts) if same_size else float("nan")
    return replace(
        tried,
        rw=rw,
        excess=rw - true_rw,
        mae=mae,
        n_exact=same_size,
        n_within_5_percent=abs(len(structure) - wanted) <= 0.05 * wanted,
        type_exact=_lattice(structure) == _lattice(case.truth),
        sites_exact=mae < SAME_SITES,
        beats_truth=rw < true_rw - ALIKE and not mae < SAME_SITES,
    )


def _aligned_error(structure: Structure, truth: Structure, starts: int) -> float:
    """Mean absolute error a coordinate after alignment and matching, Å; from more orientations where the distances allow a better one.

    An alignment ends at the nearest minimum, and symmetric particles have many. That two particles are the same is then missed, though their
    distances tell that they may be.
    """
    a, b = structure.positions, truth.positions
    error = aligned_matched_error(a, b, starts=starts)[0]
    if error >= SAME_SITES and np.abs(np.sort(pdist(a)) - np.sort(pdist(b))).mean() < SAME_SITES:
        seeds = iter(range(1, AGAIN))
        while error >= SAME_SITES and (seed := next(seeds, None)) is not None:
            error = min(error, aligned_matched_error(a, b, starts=starts, seed=seed)[0])
    return error


def _table(structures: Sequence[Structure], case: FitCase) -> FitTable | None:
    """Fits of structures to a curve; None where there are none."""
    if not structures:
        return None
    return fit_candidates(structures, case.curve, rmin=FIT_FROM, rmax=float(case.curve.r[-1]), **case.instrument.model_dump())


def _least(table: FitTable | None) -> tuple[int, float]:
    """Row and value of the lowest Rw; infinity where nothing was fitted."""
    if table is None:
        return 0, np.inf
    values = np.where(np.isfinite(table.rw), table.rw, np.inf)
    return int(values.argmin()), float(values.min())


def _refined(structures: Sequence[Structure], table: FitTable | None) -> tuple[Structure, float] | None:
    """The structure of lowest Rw as refined, and its Rw."""
    first, rw = _least(table)
    return (structures[first].scaled(float(table.zoom[first])), rw) if table is not None and np.isfinite(rw) else None


def _lattice(structure: Structure) -> str:
    return lattice_of(structure.structure_type)
