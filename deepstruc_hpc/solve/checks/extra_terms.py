"""Ligands, solvent, an amorphous support: terms beside the particle, kept only where the evidence pays.

The best candidates of the leading lattices are asked which terms would make their fits better
(:func:`~deepstruc_hpc.physics.term_search.choose_terms`). Where one of them pays, all candidates are fitted again with its terms eliminated, and
ranked again. The terms are kept where that fit, too, pays for them, and leaves the particle its power. Where another lattice wins with them, each
lattice has the mean of its two probabilities, so that the answer is no surer than both rankings together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepstruc_hpc.physics.extra_terms import Term, TermFit
from deepstruc_hpc.physics.fit_problem import FitProblem
from deepstruc_hpc.physics.term_library import surface_terms, term_library
from deepstruc_hpc.physics.term_search import MOST_SHARE, TermChoice, amounts_possible, choose_terms, evidence, price
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit, fitted_terms
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.ranking import Ranking
from deepstruc_hpc.structures.elements import is_metal
from deepstruc_hpc.structures.sites import shortest_distance

LEADING, WITHIN = 3, 1.35
"""So many lattices are asked, and those whose best Rw is within this factor of the lowest."""
UNNAMED = 5.0
"""Nats that terms must gain beyond their price where the sample names nothing beside the metal. Particles with rough surfaces gain up to 3."""
NEAR = 0.02
"""Share by which lengths may change in the fits with terms: most zooms change by less than 0.005."""
LEAST_RW = 0.03
"""Below it nothing is missing: terms are not asked for."""
BETTER = 0.95
"""Of Rw²: terms that are chosen again after the first fit with terms replace them where they promise to leave less than this."""
SAMPLES = frozenset({"metal", "alloy", "ligands", "support", "unknown"})


@dataclass(frozen=True, eq=False)
class KeptTerms:
    """Terms that are kept.

    Attributes:
        terms: of which ``fit`` holds the amplitudes.
        fit: beside rank 1.
        rw, rw_without: of rank 1, and of rank 1 without terms.
        gain: nats beyond the price.
        lattice, lattice_without: of rank 1, and of rank 1 without terms.
        probability_without: of ``lattice_without`` without terms.
    """

    terms: tuple[Term, ...]
    fit: TermFit
    rw: float
    rw_without: float
    gain: float
    lattice: str
    lattice_without: str
    probability_without: float

    def words(self) -> str:
        """For the message."""
        named = ", ".join(_name(term) for term in self.terms)
        sentence = (
            f"beside the particle: {named}; {100 * self.fit.share_of_data:.1f} % of the data's power; "
            f"Rw {self.rw:.3f} with, {self.rw_without:.3f} without"
        )
        if self.lattice == self.lattice_without:
            return sentence
        return f"{sentence}; without it {self.lattice_without} is the answer (probability {self.probability_without:.2f}), not {self.lattice}"

    def details(self) -> dict[str, Any]:
        """For result.json."""
        terms = [
            {
                "name": term.name,
                "place": round(term.place, 3),
                "width": round(term.width, 3),
                "unit": "Å" if term.is_distance else "1/Å",
                "amplitude": round(amplitude, 5),
            }
            for term, amplitude in zip(self.terms, self.fit.amplitudes.tolist(), strict=True)
        ]
        numbers = {
            "share_of_data": self.fit.share_of_data,
            "share_of_model": self.fit.share_of_model,
            "rw": self.rw,
            "rw_without": self.rw_without,
            "gain": self.gain,
            "probability_without": self.probability_without,
        }
        rounded = {name: round(value, 4) for name, value in numbers.items()}
        return {"kept": True, "terms": terms, **rounded, "lattice_without": self.lattice_without}


def with_terms(
    ranking: Ranking, measurement: Measurement, ranked: Callable[[CandidateSet], Ranking], *, tried: bool = True
) -> tuple[Ranking, Measurement, KeptTerms | None]:
    """The ranking and the measurement with terms where such are kept; else as they came.

    Args:
        ranking: without terms.
        measurement: the data.
        ranked: ranks a set of fitted candidates.
        tried: False leaves all as it came.
    """
    nothing = ranking, measurement, None
    if not tried or measurement.sample.kind not in SAMPLES or float(ranking.candidates.rw.min()) < LEAST_RW:
        return nothing
    margin = 0.0 if any(not is_metal(symbol) for symbol in measurement.sample.amounts) else UNNAMED
    choices = [_choice(ranking, place, measurement) for place in _leading(ranking)]
    choice = min((found for found in choices if found.terms), key=lambda one: one.cost, default=None)
    if choice is None or choice.gain <= margin:
        return nothing
    seen = replace(measurement, terms=choice.terms)
    again = ranked(_refitted(ranking.candidates, seen))
    better = _choice(again, 0, measurement) if _is_metal(again.first) else choice  # at the parameters that the terms leave
    if better.terms and better.cost < BETTER * float(again.candidates.rw[0]) ** 2 * better.norm:
        choice, seen = better, replace(measurement, terms=better.terms)
        again = ranked(_refitted(again.candidates, seen))
    before, after, points = float(ranking.candidates.rw[0]), float(again.candidates.rw[0]), measurement.independent_points()
    gain = evidence(before**2, after**2, points) - price(choice.terms, points)
    found = fitted_terms(again.first, again.candidates.row(0), seen)
    scale = float(again.candidates.fits.scale[0]) if again.candidates.fits is not None else 1.0
    if gain <= margin or found.share_of_model > MOST_SHARE or not amounts_possible(choice.terms, found.amplitudes / max(scale, 1e-12)):
        return nothing
    lattices = again.first.on_lattice, ranking.first.on_lattice
    kept = KeptTerms(choice.terms, found, after, before, gain, *lattices, ranking.lattice_probability)
    return (again if lattices[0] == lattices[1] else _averaged(again, ranking)), seen, kept


def _refitted(candidates: CandidateSet, measurement: Measurement) -> CandidateSet:
    """All candidates fitted again with the measurement's terms, near the zooms that they have."""
    near = [
        replace(one, zoom=(max(one.zoom[0], (1 - NEAR) * zoom), min(one.zoom[1], (1 + NEAR) * zoom))) if np.isfinite(zoom) else one
        for one, zoom in zip(candidates, candidates.zoom.tolist(), strict=True)
    ]
    fits = fit(replace(candidates, candidates=tuple(near), fits=None), measurement).fits
    return candidates if fits is None else candidates.with_fits(fits)


def _leading(ranking: Ranking) -> list[int]:
    """Places of the best explicit particle of a metal of each leading lattice."""
    candidates = ranking.candidates
    limit = WITHIN * float(candidates.rw.min())
    places: dict[str, int] = {}
    for place, candidate in enumerate(candidates):
        if candidates.rw[place] <= limit and _is_metal(candidate) and candidate.on_lattice not in places and len(places) < LEADING:
            places[candidate.on_lattice] = place
    return list(places.values())


def _is_metal(candidate: Candidate) -> bool:
    return candidate.crystal_fit is None and all(is_metal(symbol) for symbol in candidate.structure.elements)


def _choice(ranking: Ranking, place: int, measurement: Measurement) -> TermChoice:
    """The terms that one candidate asks for."""
    candidate, row = ranking.candidates.candidates[place], ranking.candidates.row(place)
    bounds = np.array([candidate.zoom])
    problem = FitProblem(measurement.data, measurement.instrument, zoom_bounds=bounds, low_q=measurement.low_q)
    metal = max(candidate.structure.elements, key=candidate.structure.symbols.count)
    nearest = shortest_distance(candidate.structure.positions) * float(row["zoom"])
    library = term_library(metal, tuple(measurement.sample.amounts), nearest=nearest, rmin=measurement.rmin)
    tangent = problem.tangent(candidate.structure, row)
    return choose_terms(library, tangent, measurement.instrument.radiation, rivals=surface_terms(metal, nearest))


def _averaged(with_term: Ranking, without: Ranking) -> Ranking:
    """The ranking with terms, each lattice with the mean of its probabilities in both."""
    lattices = with_term.candidates.lattices
    score, probability = with_term.score.copy(), with_term.probability.copy()
    for lattice in dict.fromkeys(lattices.tolist()):
        ours = lattices == lattice
        own = max(float(probability[ours].sum()), 1e-300)
        mean = max(0.5 * (own + float(without.probability[without.candidates.lattices == lattice].sum())), 1e-300)
        probability[ours] *= mean / own
        score[ours] += np.log(mean / own)
    order = np.lexsort((with_term.candidates.rw, -score))
    return with_term.reordered(order, score - score.max(initial=-np.inf), probability)


def _name(term: Term) -> str:
    """One term for people."""
    if not term.is_distance:
        kind = "solvent or chains of ligands" if term.place < 1.7 else "disordered matter"
        return f"a halo at {term.place:.1f} Å⁻¹ that fades within {1 / term.width:.1f} Å ({kind})"
    if term.name == "amorphous carbon":
        return "amorphous carbon (1.42, 2.46 Å …)"
    return f"a ligand shell, {term.name} at {term.place:.2f} Å"
