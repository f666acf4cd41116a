"""Whether a curve belongs to the world of the candidates: particles of the elements named, in Å, with something measured on them.

The rules, in their order; the first that applies is the answer. All limits are settings (``refusal.…``); docs/ranking.md explains them.

1. Units: four fifths of the power of G(r) lie at 2 to 40 Å⁻¹ for matter. Far from that, with a poor fit, r is not in Å: refused. (White noise from
   point to point has its power spread up to the highest Q that the steps resolve; that is for the next rule.)
2. Noise: F(Q) of matter fades with Q (thermal motion), that of noise does not. About as strong in the upper third of Q as in the lower one, with a
   poor fit: refused.
3. Explicit atoms. Bulk: G(r) that goes on beyond the best candidate, which fits poorly, or where no candidate comes near but the first peak is right,
   on to the end of the data: refused; with a fair fit: a warning. Nothing fits: the best Rw above ``rw_refuse``: refused, with the elements as the
   likely reason where the first peak is no bond of theirs.
4. Crystals found from elements alone: a poor fit of a tiny one, or one hardly better than that of another net; Rw above ``crystal_refuse``: refused.
5. Warnings: a poor fit; a scale far from the candidate's own (a geometry alone fits any metal); a high peak shorter than any of its distances;
   elements of a compound that the answer lacks; data whose errors show where no atoms are, or that hold much that is broader than any structure;
   an answer at the edge of what was tried, or of the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepstruc_hpc.core.composition import reduced_formula
from deepstruc_hpc.solve.candidates.candidate import Candidate, CandidateSet
from deepstruc_hpc.solve.config import RefusalSettings
from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.measurement.sample import Sample
from deepstruc_hpc.solve.ranking.curve_signs import RIPPLES, USUAL_Q, ripples, short_peak, spectrum, tail_ratio
from deepstruc_hpc.structures.decoration import vegard_distance
from deepstruc_hpc.structures.elements import is_metal
from deepstruc_hpc.structures.sites import shortest_distance

WHITE = 0.7
"""Four fifths of the power of white noise lie below this share of the highest Q, and more."""
LARGEST = 0.97
"""A candidate of at least this share of the most atoms that were tried on its lattice is among the largest."""
METALS = frozenset({"fcc", "bcc", "hcp", "sc"})
"""Types that say no more than a lattice: their formula stands before them only where it is no element."""
SHORTER = 0.87
"""Of a candidate's shortest distance: a peak below it is none of the candidate's, whatever its width."""
RESOLVED = 50.0
"""Å. Above it the end of a particle and an unknown Qdamp look alike: with 0.016 to 0.045 Å⁻¹ one curve fits as 52 to 91 Å, another as 47 to 67."""
BELOW_BOND = 0.7
"""Of a candidate's shortest distance: below it its first peak has not begun."""


@dataclass(frozen=True)
class Evidence:
    """What the rules look at.

    Attributes:
        rw: of the candidate that is checked.
        size: Å, its largest distance.
        tail: RMS of G beyond it over RMS within it; None where nothing was measured.
        end: RMS of G at the end of the data (at 30 Å where they go further) over RMS from 2 to 10 Å.
        noise: power of F(Q) in the upper third of Q over that in the lower third.
        edge: Å⁻¹, four fifths of the power of G(r) lie below.
        resolved: Å⁻¹, the highest Q that the steps of r resolve.
        scale: lengths in the curve over the candidate's own, tabulated ones; None where either is unknown.
        matter: what the candidate is of: ``Au``, ``CeO2 fluorite``.
        largest: it is among the largest candidates of its lattice that were tried.
        crystal: it is a crystal that was found from elements alone.
        endless: the curve shows no end of it.
        margin: Rw of the best candidate of another lattice less its own; None where there is no other.
        short_peak: Å, a high peak of the curve that is shorter than any distance of the candidate; None where there is none.
        missing: elements of the sample that the candidate lacks.
        ripples: RMS of G less a straight line below the shortest bond, over RMS from 2 to 10 Å; None where nothing was measured there.
        broad: RMS of what was taken out of the data below ``low_q`` over RMS of the data; 0 where nothing was.
        data_end: Å, where the curve ends; None where it goes on beyond the candidate.
        damped: nobody says Qdamp, and the candidate is of explicit atoms and larger than what can be told from it.
    """

    rw: float
    size: float
    tail: float | None
    end: float
    noise: float
    edge: float
    resolved: float
    scale: float | None
    matter: str
    largest: bool = False
    crystal: bool = False
    endless: bool = False
    margin: float | None = None
    short_peak: float | None = None
    missing: tuple[str, ...] = ()
    ripples: float | None = None
    broad: float = 0.0
    data_end: float | None = None
    damped: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether there is an answer: ``ok`` or ``refused``, a message (a reason, a warning, or nothing) and words of a fixed list."""

    status: str
    message: str = ""
    flags: tuple[str, ...] = ()


def applies(candidates: CandidateSet, measurement: Measurement, settings: RefusalSettings, place: int | None = None) -> Verdict:
    """The verdict on one curve by one of its fitted candidates.

    Args:
        candidates: fitted.
        measurement: the curve, its range, instrument and sample.
        settings: the limits.
        place: of the candidate; the one with the lowest Rw where not given.
    """
    if not np.isfinite(candidates.rw).any():
        return Verdict("refused", "no candidate could be fitted")
    chosen = candidates.best if place is None else place
    candidate, rw, zoom = candidates.candidates[chosen], float(candidates.rw[chosen]), float(candidates.zoom[chosen])
    curve = measurement.curve
    size = max(candidate.extent * zoom, 4.0)
    endless = candidate.crystal_fit is not None and candidate.crystal_fit.bulk
    doubtful = rw > settings.rw_warn
    noise, edge, resolved = spectrum(curve, measurement.instrument.qmin, measurement.instrument.qmax) if doubtful else (0.0, *USUAL_Q)
    phases = candidate.phases
    shortest = shortest_distance(candidate.structure.positions) if phases is None else phases.shortest
    same = candidates.lattices == candidate.on_lattice
    most = max(int(candidates.n_atoms[same].max()), candidates.largest.get(candidate.on_lattice, 0))
    others = candidates.rw[~same & np.isfinite(candidates.rw)]
    seen = Evidence(
        rw,
        size,
        None if endless else tail_ratio(measurement.levelled, size if phases is None else max(size, phases.reach)),
        measurement.order_at_end,
        noise,
        edge,
        resolved,
        _scale(candidate, measurement, None if doubtful else zoom),
        matter(candidate, measurement.sample),
        _is_largest(candidate, most, int(same.sum())),
        candidate.crystal_fit is not None or candidate.crystal is not None,
        endless,
        float(others.min()) - rw if len(others) else None,
        short_peak(curve, SHORTER * zoom * shortest, settings.unexplained_peak),
        missing(candidate, measurement),
        ripples(curve, min(RIPPLES[1], BELOW_BOND * zoom * shortest)),
        measurement.broad_part,
        float(curve.r[-1]) if not endless and float(curve.r[-1]) < candidate.diameter * zoom else None,
        measurement.origin["qdamp"] == "default" and not endless and candidate.diameter * zoom > RESOLVED,
    )
    return verdict(seen, settings)


def errors_hide(candidates: CandidateSet, measurement: Measurement, settings: RefusalSettings) -> bool:
    """Whether errors, seen below the shortest bond of the best candidate, are so strong that small differences of fits mean nothing."""
    best = candidates.candidates[candidates.best]
    shortest = shortest_distance(best.structure.positions) * float(candidates.zoom[candidates.best])
    found = ripples(measurement.curve, min(RIPPLES[1], BELOW_BOND * shortest))
    return found is not None and found > settings.ripples


def _is_largest(candidate: Candidate, most: int, tried: int) -> bool:
    """Whether a particle is among the largest that were tried on its lattice; a crystal × sphere and a molecule have the size that they have.

    Args:
        candidate: a particle or a crystal.
        most: atoms of the largest that was fitted on its lattice. A larger one that a search fitted and left out, since it fits worse, was tried.
        tried: candidates on its lattice.
    """
    return candidate.crystal_fit is None and candidate.length > 0 and tried > 1 and len(candidate.structure) >= LARGEST * most


def verdict(seen: Evidence, settings: RefusalSettings) -> Verdict:
    """The rules of this module's head."""
    reason = _refusal(seen, settings)
    if reason:
        return Verdict("refused", reason)
    warnings = list(_warnings(seen, settings))
    flags = [flag for flag, _ in warnings if flag] + (["lower_bound"] if seen.endless else [])
    return Verdict("ok", "; ".join(word for _, word in warnings), tuple(dict.fromkeys(flags)))


def matter(candidate: Candidate, sample: Sample) -> str:
    """What a candidate is of, for people: the metal, the elements of an alloy, or formula and type of a crystal.

    Of a sample of one metal the lattice alone is named: ``fcc``; of nickel found in a sample of nickel and oxygen ``Ni fcc``.
    """
    known = candidate.crystal_fit.candidate if candidate.crystal_fit is not None else candidate.crystal
    if known is not None:
        name = known.group.replace("_", " ")
        own = f" ({Path(known.origin).stem})" if known.origin.endswith(".cif") else ""
        plain = name if name in METALS and len(known.crystal.composition) == len(sample.elements) == 1 else f"{known.formula} {name}"
        return (plain if known.prototype == known.group else f"{plain}, distorted") + own
    if candidate.cut is not None:
        return f"{reduced_formula(candidate.cut.crystal.composition)} {candidate.structure.structure_type}"
    return "–".join(candidate.structure.elements)


def _refusal(seen: Evidence, settings: RefusalSettings) -> str:
    rules = (_refusal_of_curve, _refusal_of_crystal if seen.crystal else _refusal_of_particle)
    return next((reason for rule in rules if (reason := rule(seen, settings))), "")


def _refusal_of_curve(seen: Evidence, settings: RefusalSettings) -> str:
    """Why the curve is no G(r) of matter."""
    poor = seen.rw > settings.rw_warn
    if poor and not USUAL_Q[0] <= seen.edge <= USUAL_Q[1] and seen.edge < WHITE * seen.resolved:
        return f"r does not look like Å: most of G(r) oscillates at {seen.edge:.3g} Å⁻¹. Check the unit; write r(nm) in the column label"
    if poor and seen.noise > settings.noise_ratio:
        return (
            f"no structure in the curve (best Rw {seen.rw:.2f}): F(Q) is {seen.noise:.1f} times as strong at high Q as at low Q, as noise is. "
            "An empty can, a background taken off twice, or a Qmax beyond the data"
        )
    return ""


def _refusal_of_particle(seen: Evidence, settings: RefusalSettings) -> str:
    """Why particles of explicit atoms are no answer: a bulk crystal, or a fit of nothing."""
    poor = seen.rw > settings.rw_warn
    if seen.rw > settings.rw_refuse and seen.end > settings.tail_ratio and _away(seen) <= settings.bond_refuse:
        return (
            f"G(r) goes on oscillating to the end of the data with {100 * seen.end:.0f} % of its amplitude, and nothing fits (Rw {seen.rw:.2f}): "
            "a bulk crystal, or a particle larger than every candidate. A catalog with larger structures is needed"
        )
    if poor and seen.rw <= settings.rw_refuse and seen.tail is not None and seen.tail > settings.tail_ratio:
        return (
            f"G(r) goes on oscillating beyond the best candidate ({seen.size:.0f} Å across, Rw {seen.rw:.2f}) with {100 * seen.tail:.0f} % of its "
            "amplitude: a bulk crystal, or a particle larger than every candidate. A catalog with larger structures is needed"
        )
    if seen.rw > settings.rw_refuse:
        why = _elements_words(seen) if _away(seen) > settings.bond_refuse else "another kind of sample, other elements or other units"
        return f"no candidate comes near the curve (best Rw {seen.rw:.2f}): {why}"
    return ""


def _refusal_of_crystal(seen: Evidence, settings: RefusalSettings) -> str:
    """Why a crystal that was found from elements alone is no answer: a poor fit of a tiny or a hardly better one, or a fit of nothing."""
    tiny = seen.size < settings.least_crystal
    close = seen.margin is not None and seen.margin < settings.least_margin
    unclear = seen.ripples is not None and seen.ripples > settings.ripples
    if tiny and unclear and seen.rw <= settings.rw_warn:
        return (
            f"no crystal of these elements is sure: the best, {seen.matter}, is {seen.size:.0f} Å across, and errors of the data as large as "
            f"{100 * (seen.ripples or 0.0):.0f} % of their peaks hide what so few distances tell. A cluster or molecule (give it with --structures), "
            "an amorphous sample, or a curve to be normalised again"
        )
    if seen.rw > settings.rw_warn and (tiny or close):
        other = f"another net (Rw {seen.rw + (seen.margin or 0.0):.2f})"
        why = f"is {seen.size:.0f} Å across" if tiny else f"is hardly better than {other}" if (seen.margin or 0.0) > 0 else f"no better than {other}"
        return (
            f"no crystal of these elements explains the curve: the best, {seen.matter}, fits poorly (Rw {seen.rw:.2f}) and {why}. "
            "A cluster or molecule (give it with --structures), an amorphous sample, or another composition"
        )
    if seen.rw > settings.crystal_refuse:
        return f"no crystal of these elements comes near the curve: the best, {seen.matter}, has Rw {seen.rw:.2f}"
    return ""


def _warnings(seen: Evidence, settings: RefusalSettings) -> Iterator[tuple[str, str]]:
    """Each warning with the word that stands for it in the summary, empty where none does."""
    other = _away(seen) > (settings.crystal_mismatch if seen.crystal else settings.bond_mismatch)
    if seen.rw > settings.rw_warn:
        why = _elements_words(seen) if other else "the sample may hold something else"
        yield "poor_fit", f"warning: even the best candidate fits poorly (Rw {seen.rw:.2f}); {why}"
    elif other:
        yield "other_elements", f"warning: {_elements_words(seen)}"
    elif seen.short_peak is not None:
        yield (
            "other_elements",
            f"warning: G(r) has a high peak at {seen.short_peak:.2f} Å, shorter than any distance in {seen.matter}: other elements, or a compound?",
        )
    elif seen.tail is not None and seen.tail > settings.tail_ratio:
        yield "tail", f"warning: the curve holds structure beyond the best candidate ({seen.size:.0f} Å across)"
    yield from _warnings_of_data(seen, settings)
    if seen.endless:
        yield "bulk", f"no end of the crystal shows: coherent over more than {seen.size:.0f} Å, bulk or a particle larger than that"
    if seen.largest:
        yield "largest_tried", f"warning: {seen.size:.0f} Å across is about the largest of its kind that was tried; the particle may be larger"


def _warnings_of_data(seen: Evidence, settings: RefusalSettings) -> Iterator[tuple[str, str]]:
    """What the candidate lacks, and errors and limits of the data."""
    if seen.missing:
        yield (
            "other_elements",
            f"warning: the answer, {seen.matter}, holds no {' and no '.join(seen.missing)}: a reduced or separated sample, other elements, "
            "or neutrons taken for X-rays?",
        )
    if seen.ripples is not None and seen.ripples > settings.ripples:
        yield (
            "poor_fit",
            f"warning: below the shortest bond G(r) has ripples {100 * seen.ripples:.0f} % as strong as its peaks, from errors of the normalisation "
            "or of a background taken off: small differences of Rw mean nothing",
        )
    if seen.crystal and seen.size < settings.least_crystal:
        yield (
            "amorphous",
            f"warning: order over {seen.size:.0f} Å only: a cluster or molecule (give it with --structures) or an amorphous sample may fit as well",
        )
    if seen.broad > settings.broad_part:
        yield (
            "amorphous",
            f"warning: {100 * seen.broad:.0f} % of the amplitude of G(r) is broader than any structure and was taken out (low_q): amorphous matter "
            "such as an oxide shell, a background, or a curve that was calculated",
        )
    if seen.data_end is not None:
        yield "lower_bound", f"the data end at {seen.data_end:.3g} Å, before the particle does: its size is a lower bound"
    elif seen.damped:
        yield "lower_bound", f"nobody says Qdamp, which ends a curve as a particle does: above {RESOLVED:g} Å the size is a lower bound"


def _away(seen: Evidence) -> float:
    return abs(seen.scale - 1.0) if seen.scale is not None else 0.0


def missing(candidate: Candidate, measurement: Measurement) -> tuple[str, ...]:
    """Elements of a compound that a candidate lacks; of other samples none, whose ligands and supports are no part of the particle."""
    sample = measurement.sample
    if sample.kind != "compound":
        return ()
    known = candidate.crystal_fit.candidate if candidate.crystal_fit is not None else candidate.crystal
    held = set(known.crystal.composition if known is not None else candidate.structure.symbols)
    if candidate.phases is not None:
        held = candidate.phases.elements
    return tuple(symbol for symbol in sample.elements if symbol not in held and symbol not in {"H", "D"})


def _scale(candidate: Candidate, measurement: Measurement, zoom: float | None) -> float | None:
    """Lengths in the curve over the candidate's own: of the fit where that is fair, else of a metal's first peak; None where neither says."""
    known = candidate.crystal_fit.candidate if candidate.crystal_fit is not None else candidate.crystal
    if known is not None and candidate.cut is not None:
        volumes = [abs(float(np.linalg.det(one.lattice))) for one in (candidate.cut.crystal, known.crystal)]
        return (zoom or 1.0) * float(np.cbrt(volumes[0] / volumes[1]))
    if not candidate.length or (zoom is None and (candidate.cut is not None or len(candidate.structure.elements) > 1)):
        return None
    sample = measurement.sample
    if sample.kind == "alloy" and len(candidate.structure.elements) == 1 and all(is_metal(symbol) for symbol in sample.elements):
        own = vegard_distance({symbol: sample.amounts[symbol] for symbol in sample.elements}, "twelve")
    else:
        own = candidate.length if known is None else known.crystal.bond_length
    if zoom is not None:
        return zoom * candidate.length / own
    peak = measurement.first_peak
    return None if peak is None else peak / own


def _elements_words(seen: Evidence) -> str:
    share = (seen.scale or 1.0) - 1.0
    return f"nearest neighbours are {100 * abs(share):.0f} % {'farther' if share > 0 else 'nearer'} than in {seen.matter}: are the elements right?"
