"""From a ranking to an answer: what the settings ask for beside it, in words, tables and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.candidates.fitting import fit_curve_table
from deepstruc_hpc.solve.checks.extra_terms import KeptTerms
from deepstruc_hpc.solve.checks.phases import find_mixture
from deepstruc_hpc.solve.checks.positions import refine_positions
from deepstruc_hpc.solve.checks.srfit import verify_in_words, verify_with_srfit
from deepstruc_hpc.solve.checks.srreal import verify_with_srreal
from deepstruc_hpc.solve.checks.strain import strain_details, strain_of, strain_words
from deepstruc_hpc.solve.checks.uncertainties import chi_square_in_words, reduced_chi_square
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.measurement.sample import Sample
from deepstruc_hpc.solve.ranking.applicability import Verdict, applies, matter
from deepstruc_hpc.solve.ranking.composition import AlloyComposition, alloy_composition
from deepstruc_hpc.solve.ranking.crystal_words import crystal_details, crystal_words
from deepstruc_hpc.solve.ranking.intervals import Interval, intervals
from deepstruc_hpc.solve.ranking.ranking import Ranking
from deepstruc_hpc.solve.ranking.wording import in_words, named_orderings, orderings, phases_in_words
from deepstruc_hpc.solve.search.decorations import MOST_DECORATED

GUESSED_UNIT = "taken from its range"
"""In the note of a reader that guessed the unit of r: a refusal may come from that guess."""
EXACT = 0.03
"""Standard deviation of a share, up to which the formula of an alloy is that of rank 1."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Everything that is said about one curve.

    Attributes:
        measurement: what was assumed.
        ranking: candidates in order of rank.
        verdict: whether there is an answer.
        row: columns of the summary for it: empty where there is none.
        message: warnings and doubts.
        fit: r, g_obs, g_calc, difference of rank 1; g_term where a term lies beside the particle.
        tables: further ones by the name of their file (``verify``, ``mixture``, ``phases``, ``sizes``).
        details: for result.json.
        relaxed: rank 1 with its atoms moved under the data, or None.
    """

    measurement: Measurement
    ranking: Ranking
    verdict: Verdict
    row: Mapping[str, Any]
    message: str
    fit: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    relaxed: Structure | None = None


def check(ranking: Ranking, measurement: Measurement, settings: SolveSettings, *, terms: KeptTerms | None = None) -> Answer:
    """Whether rank 1 is an answer, and what the settings ask for beside it (``verify``, ``mixtures``, ``refine_positions``).

    Args:
        ranking: of all candidates.
        measurement: the data.
        settings: of this curve.
        terms: beside the particle, where such were kept.
    """
    candidates = ranking.candidates
    verdict = applies(candidates, measurement, settings.refusal, place=0)
    fit = fit_curve_table(ranking.first, candidates.row(0), measurement)
    notes = [*measurement.curve.notes, *measurement.notes, *candidates.notes]
    details: dict[str, Any] = {"counts": dict(candidates.counts), "sources": _by_source(candidates), "notes": notes}
    guessed = measurement.sample.sentence if measurement.sample.origin == "unknown" else ""
    message = [verdict.message, guessed]
    chi_square = reduced_chi_square(fit, measurement)
    if chi_square is not None:
        details["chi_square"] = round(chi_square, 3)
        notes.append(chi_square_in_words(chi_square))
    details |= {} if terms is None else {"terms": terms.details()}
    if verdict.status != "ok":
        message += [note for note in measurement.curve.notes if GUESSED_UNIT in note]
        return Answer(measurement, ranking, verdict, {}, _sentence([*message, *candidates.notes]), fit, details=details)
    findings = _Findings(details, message)
    left, composition = _doubts(ranking, measurement, settings, findings)
    findings.message.append(terms.words() if terms else "")
    phases = _phases(ranking, measurement, settings, findings)
    if settings.verify is not None:
        findings.tables["verify"] = (verify_with_srfit if settings.verify == "srfit" else verify_with_srreal)(ranking, measurement)
        details["verify"] = verify_in_words(findings.tables["verify"], settings.verify)
    message += _strain(ranking, measurement, settings, details)
    relaxed = None
    if settings.refine_positions:
        relaxed, details["relaxed"] = refine_positions(ranking.first, candidates.row(0), measurement)
    doubt = intervals(ranking, open_above="lower_bound" in verdict.flags)
    details["intervals"] = {name: one.record() for name, one in doubt.items()}
    row = _row(ranking, measurement, verdict, left=left, composition=composition, phases=phases, diameter=doubt.get("diameter"))
    return Answer(measurement, ranking, verdict, row, _sentence([*message, *candidates.notes]), fit, findings.tables, details, relaxed)


@dataclass(eq=False)
class _Findings:
    """What has been said of an answer so far: for result.json, in words, as tables."""

    details: dict[str, Any]
    message: list[str]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def _doubts(ranking: Ranking, measurement: Measurement, settings: SolveSettings, findings: _Findings) -> tuple[list[str], AlloyComposition | None]:
    """Types, sizes, orderings and compositions that the data leave; the orderings, and the composition of an alloy."""
    left = orderings(ranking, settings.rank)
    composition = alloy_composition(ranking, measurement, left[0] if len(left) == 1 else None)
    findings.message += [in_words(ranking, settings.rank, float(measurement.curve.r[-1])), _open_ordering(ranking, measurement)]
    if composition is not None:
        findings.details["composition"] = composition.details()
        findings.message.append(composition.words)
    return left, composition


def _phases(ranking: Ranking, measurement: Measurement, settings: SolveSettings, findings: _Findings) -> str:
    """What a crystal says of itself, and several phases or sizes; the shares of the weight for the summary."""
    first, phases = ranking.first, ""
    if first.crystal_fit is not None:
        findings.details["crystal"] = crystal_details(first.crystal_fit)
        findings.message += crystal_words(first.crystal_fit) if first.phases is None else []
        if first.crystal_fit.sizes is not None:
            findings.tables["sizes"] = first.crystal_fit.sizes.table()
    if first.phases is not None:
        findings.tables["phases"], findings.details["phases"], phases = first.phases.table(), first.phases.details(), first.phases.shares()
        findings.message.append(phases_in_words(ranking))
    if settings.mixtures:
        mixture = find_mixture(ranking, measurement)
        findings.details["mixture"] = mixture.details() if mixture else {"kept": False}
        if mixture is not None:
            findings.tables["mixture"] = mixture.table()
            findings.message.append(mixture.words())
            phases = mixture.shares()
    return phases


def _strain(ranking: Ranking, measurement: Measurement, settings: SolveSettings, details: dict[str, Any]) -> list[str]:
    """A sentence on surface contraction and radial strain where they pay, with their numbers in the details."""
    found = strain_of(ranking.first, ranking.candidates.row(0), measurement) if settings.strain else None
    if found is None:
        return []
    details["strain"] = strain_details(found)
    return [strain_words(found)]


def _by_source(candidates: CandidateSet) -> dict[str, dict[str, float]]:
    """What each source gave: fitted candidates and the lowest Rw of them, and the seconds that proposing (or searching) them took."""
    places: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        places.setdefault(candidate.source, []).append(place)
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys((*candidates.seconds, *places)):
        rows = places.get(name, [])
        found[name] = {"candidates": len(rows)}
        if rows:
            found[name]["best_rw"] = round(float(candidates.rw[rows].min()), 4)
        if name in candidates.seconds:
            found[name]["seconds"] = round(candidates.seconds[name], 3)
    return found


def _row(
    ranking: Ranking,
    measurement: Measurement,
    verdict: Verdict,
    *,
    left: list[str],
    composition: AlloyComposition | None,
    phases: str,
    diameter: Interval | None,
) -> dict[str, Any]:
    """The columns of the summary that an answer has; ``left`` are the orderings of an alloy that the data leave."""
    first = ranking.first
    low, high = diameter.at(0.9) if diameter is not None else (first.crystal_fit.at_least if first.crystal_fit is not None else None, None)
    formula = _formula(ranking, measurement, composition)
    flags = [*verdict.flags, *(["other_elements"] if composition is not None and composition.doubtful else [])]
    if first.phases is not None and any(first.phases.supports):
        flags.append("support")
    if measurement.terms:
        flags.append("ligand_term")
    return {
        "structure_type": first.structure.structure_type,
        "n_atoms": first.n_atoms,
        "probability": ranking.lattice_probability,
        "formula": formula,
        "phase": _phase(first, formula, left, measurement.sample, alloy=composition is not None),
        "diameter": None if diameter is None else round(diameter.value, 2),
        "diameter_low": None if low is None else round(low, 2),
        "diameter_high": None if high is None else round(high, 2),
        "size_spread": round(first.size_spread, 3),
        "phases": phases,
        "flags": ";".join(dict.fromkeys(flags)),
    }


def _open_ordering(ranking: Ranking, measurement: Measurement) -> str:
    """A sentence where an alloy's rank 1 is a shape of mean atoms."""
    first, sample = ranking.first, measurement.sample
    if sample.kind != "alloy" or len(first.structure.elements) > 1 or not first.length:
        return ""
    written = first.structure.elements[0]
    sentence = f"fitted with mean atoms (written as {written}): the data do not resolve how {' and '.join(sample.elements)} are ordered"
    ordered = [place for place, one in enumerate(ranking.candidates) if one.lattice == first.on_lattice]
    if not ordered and (first.n_atoms is None or first.n_atoms > MOST_DECORATED):
        return f"fitted with mean atoms (written as {written}): surfaces and orders of {' and '.join(sample.elements)} are tried on smaller particles"
    if not ordered:
        return sentence
    best = min(ordered, key=lambda place: float(ranking.candidates.rw[place]))
    kind = ranking.candidates.candidates[best].structure.structure_type
    return f"{sentence} (of those tried, {kind} fits best, Rw {ranking.candidates.rw[best]:.3f} beside {ranking.candidates.rw[0]:.3f})"


def _formula(ranking: Ranking, measurement: Measurement, composition: AlloyComposition | None) -> str:
    """Of rank 1, reduced; of a metal shape that stands for an alloy, the sample's own; of an alloy that nobody says, what the data say of it."""
    from deepstruc_hpc.core.composition import reduced_formula

    first, sample = ranking.first, measurement.sample
    known = first.crystal_fit.candidate if first.crystal_fit is not None else first.crystal
    if known is not None:
        return known.formula
    if first.cut is not None:
        return reduced_formula(first.cut.crystal.composition)
    elements = first.structure.elements
    if composition is not None and not composition.given and (composition.open or max(composition.errors.values()) > EXACT):
        return composition.formula
    if composition is not None and composition.given and first.decoration is not None:
        return sample.formula
    if len(elements) > 1:
        counts = {symbol: first.structure.symbols.count(symbol) for symbol in sorted(elements)}
        return _simple_ratio(counts)
    return sample.formula if sample.kind == "alloy" and first.length else elements[0]


def _simple_ratio(counts: Mapping[str, int], most: int = 6) -> str:
    """Counts as the smallest whole numbers that give every share within 2 %, else shares with two digits."""
    total = sum(counts.values())
    for units in range(len(counts), most * len(counts) + 1):
        whole = {symbol: round(count / total * units) for symbol, count in counts.items()}
        if min(whole.values()) > 0 and all(abs(whole[name] / sum(whole.values()) - count / total) < 0.02 for name, count in counts.items()):
            return "".join(f"{symbol}{number if number > 1 else ''}" for symbol, number in whole.items())
    return "".join(f"{symbol}{np.round(count / total, 2):g}" for symbol, count in counts.items())


def _phase(first: Candidate, formula: str, left: list[str], sample: Sample, *, alloy: bool) -> str:
    """Formula, lattice and ordering of an alloy, as far as the data tell orderings apart; else formula and type."""
    if first.cut is not None or first.crystal is not None or first.crystal_fit is not None:
        return matter(first, sample)
    if not first.lattice and not alloy:
        return first.structure.structure_type
    known = named_orderings(left)
    named = " or ".join(known) + " alloy" if known else "ordering open" if alloy else first.structure.structure_type
    return f"{formula} {first.on_lattice}, {named}"


def _sentence(parts: list[str]) -> str:
    return "; ".join(part for part in parts if part)
