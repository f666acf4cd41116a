"""What is assumed about one measurement, and where each value comes from: an option, an instrument profile, the file's header, or a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.peaks import first_peak
from deepstruc_hpc.core.seeds import item_rng
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.extra_terms import Term
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.target import low_q_part
from deepstruc_hpc.solve.config import DEFAULT_LOW_Q, DEFAULT_RMAX, LEAST_MEASURED_Q, USUAL, SolveSettings
from deepstruc_hpc.solve.measurement.sample import Sample, describe_sample
from deepstruc_hpc.structures.elements import is_metal, nn_distance
from deepstruc_hpc.structures.suggestions import suggest_elements

MIN_INDEPENDENT_POINTS = 12
"""A curve with fewer decides nothing: a fit alone has four parameters."""
LEVELLED_TO = 60.0
"""Å: twice the range of a usual fit; farther out a curve holds little but noise."""
_WORDS = {"header": "header", "instrument": "instrument profile"}


@dataclass(frozen=True, eq=False)
class Measurement:
    """One curve and what is assumed about it.

    Attributes:
        curve: the whole measured curve.
        sample: what it is taken for.
        instrument: radiation, range of Q, resolution.
        rmin, rmax: Å, the range of the fit, inside the measured one.
        origin: for ``rmax``, ``qmin``, ``qmax``, ``qdamp``, ``qbroad``, ``radiation``, ``elements`` one of ``option``, ``instrument``, ``header``,
            ``default``, ``data``.
        seed: of the run.
        low_q: Å⁻¹, below which nothing of the curve is trusted: taken out of data and model in every fit; 0: all is trusted.
        notes: what a person should know about the choice, one sentence each.
        terms: of ligands, solvent or support, whose amplitudes are eliminated in every fit.
    """

    curve: PdfCurve
    sample: Sample
    instrument: Instrument
    rmin: float
    rmax: float
    origin: Mapping[str, str]
    seed: int = 0
    low_q: float = 0.0
    notes: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()

    @cached_property
    def data(self) -> PdfCurve:
        """The points that are fitted."""
        return self.curve.between(self.rmin, self.rmax)

    @cached_property
    def first_peak(self) -> float | None:
        """Å, where the first peak of G(r) lies, or None where there is none."""
        return first_peak(self.curve)

    @cached_property
    def levelled(self) -> PdfCurve:
        """The curve without the straight line that fits it best from 2 Å to its end or 60 Å: a slope or an offset of the data is no structure."""
        r, g = self.curve.r, self.curve.g
        inside = (r >= 2.0) & (r <= LEVELLED_TO)
        if inside.sum() < 10:
            return self.curve
        return replace(self.curve, g=g - np.polyval(np.polyfit(r[inside], g[inside], 1), r))

    @cached_property
    def order_at_end(self) -> float:
        """RMS of G in the last 15 % of the range (up to 30 Å, before Qdamp has its way) over RMS from 2 to 10 Å, or to 60 % of a shorter range."""
        r, g = self.levelled.r, self.levelled.g
        end = min(float(r[-1]), 30.0)
        inner, last = g[(r >= 2.0) & (r <= min(10.0, 0.6 * end))], g[(r >= 0.85 * end) & (r <= end)]
        if len(inner) < 10 or not len(last) or not inner.any():
            return 0.0
        return float(np.sqrt(np.mean(last**2) / np.mean(inner**2)))

    @cached_property
    def broad_part(self) -> float:
        """RMS of what the data hold below ``low_q`` over RMS of the data, from rmin to rmax; 0 where ``low_q`` is off."""
        data = self.data
        if self.low_q == 0.0 or not data.g.any():
            return 0.0
        part = low_q_part(data.r, data.g, qmin=self.instrument.qmin, qdamp=self.instrument.qdamp, low_q=self.low_q)
        return float(np.sqrt(np.mean(part**2) / np.mean(data.g**2)))

    def independent_points(self, end: float | None = None) -> float:
        """How many independent numbers the curve holds, up to ``end`` (Å) where that is given."""
        last = self.rmax if end is None else min(end, self.rmax)
        return independent_points(self.rmin, last, max(self.instrument.qmin, self.low_q), self.instrument.qmax)

    def points_of_particle(self, extent: float) -> float:
        """Independent points of the curve up to where a particle of that extent (Å, largest distance) ends; beyond it every candidate is flat."""
        return self.independent_points(1.1 * extent + 2.0)

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers that depend on the run's seed and the data alone: the same for the same bytes under any name."""
        mark = blake2b(self.curve.r.tobytes() + self.curve.g.tobytes(), digest_size=16).hexdigest()
        return item_rng(self.seed, f"{mark}:{purpose}")

    def record(self) -> dict[str, Any]:
        """For result.json: the values used and where each comes from."""
        values = {name: getattr(self.instrument, name) for name in ("qmin", "qmax", "qdamp", "qbroad", "radiation")}
        sample = {"kind": self.sample.kind, "taken_for": self.sample.sentence, "amounts": dict(self.sample.amounts)}
        known = {"rmin": self.rmin, "rmax": self.rmax, "low_q": self.low_q, **values, "elements": list(self.sample.elements)}
        return {**known, "sample": sample, "origin": dict(self.origin), "notes": list(self.notes)}


def describe(curve: PdfCurve, settings: SolveSettings, *, fallback_elements: tuple[str, ...] = ()) -> Measurement:
    """Options before what an instrument profile and the header say, before defaults.

    Resolution and radiation belong to the instrument, so there its profile wins over the header. Qmin and Qmax belong to the transform of one curve,
    so there the header wins, and a note says so where the two differ.

    Args:
        curve: as read.
        settings: of this curve.
        fallback_elements: what the user's own catalog is of; where nobody names the sample, the metal of them that the first peak says is taken.

    Raises:
        PdfFileError: when the range holds too little to decide anything, Qmin and Qmax contradict each other, or nobody names the sample.
    """
    origin: dict[str, str] = {}

    def pick(name: str, default: float) -> float:
        given = {"option": getattr(settings, name), "instrument": getattr(settings.instrument, name, None), "header": curve.value(name)}
        order = ("option", "header", "instrument") if name in {"qmin", "qmax"} else ("option", "instrument", "header")
        origin[name] = next((source for source in order if given[source] is not None), "default")
        value = given.get(origin[name])
        return float(default if value is None else value)

    qmin, qmax = pick("qmin", USUAL.qmin), pick("qmax", USUAL.qmax)
    if qmax <= qmin:
        raise PdfFileError(f"{curve.source}: Qmin {qmin:g} ({origin['qmin']}) is not below Qmax {qmax:g} Å⁻¹ ({origin['qmax']}). Give both.")
    low_q = settings.low_q if settings.low_q is not None else DEFAULT_LOW_Q
    if qmax <= low_q:
        raise PdfFileError(
            f"{curve.source}: Qmax {qmax:g} Å⁻¹ ({origin['qmax']}) is not above low_q {low_q:g} Å⁻¹, below which nothing is trusted. "
            "Check Qmax, or set low_q=0."
        )
    qdamp, qbroad = pick("qdamp", USUAL.qdamp), pick("qbroad", USUAL.qbroad)
    instrument = Instrument(radiation=_radiation(curve, settings, origin), qmin=qmin, qmax=qmax, qdamp=qdamp, qbroad=qbroad)
    end = float(curve.r[-1])
    rmax = min(end, settings.rmax if settings.rmax is not None else DEFAULT_RMAX)
    origin["rmax"] = "option" if settings.rmax is not None else "data"
    rmin = max(settings.rmin, float(curve.r[0]))
    sample = _sample(curve, settings, instrument.radiation, fallback_elements)
    origin["elements"] = "default" if sample.origin == "unknown" else sample.origin
    notes = (*sample.notes, *_instrument_notes(curve, settings, origin), *_low_q_notes(qmin, low_q, origin))
    measurement = Measurement(curve, sample, instrument, rmin, rmax, origin, settings.seed, low_q, notes)
    if rmax <= rmin or measurement.independent_points() < MIN_INDEPENDENT_POINTS:
        raise PdfFileError(
            f"{curve.source}: G(r) runs from {curve.r[0]:g} to {end:g} Å; between rmin {rmin:g} and rmax {rmax:g} Å that is "
            f"{measurement.independent_points():.0f} independent points, and at least {MIN_INDEPENDENT_POINTS} are needed. "
            "Measure or export a longer range, or change --rmin and --rmax."
        )
    return measurement


def check_sample_options(settings: SolveSettings) -> None:
    """Read the options that name the sample before any file is read.

    Raises:
        ConfigError: one that names no element, no formula, or what does not scatter.
    """
    if settings.elements or settings.composition is not None:
        nothing = PdfCurve(np.zeros(0), np.zeros(0))
        radiation = settings.radiation or "xray"
        describe_sample(nothing, elements=settings.elements, composition=settings.composition, kind=settings.sample, radiation=radiation)


def _sample(curve: PdfCurve, settings: SolveSettings, radiation: str, fallback: tuple[str, ...]) -> Sample:
    """What the sample is taken for.

    Raises:
        PdfFileError: nobody names it; the message says what the first distances would fit.
    """
    sample = describe_sample(curve, elements=settings.elements, composition=settings.composition, kind=settings.sample, radiation=radiation)
    if sample.elements:
        return sample
    chosen = _nearest_metal(curve, fallback)
    if chosen:
        found = describe_sample(curve, elements=chosen, composition=None, kind=settings.sample, radiation=radiation)
        reason = f"no element is named: {', '.join(chosen)} of the catalog has the nearest-neighbour distance nearest to the first peak"
        return replace(found, origin="unknown", sentence=reason if len(fallback) > 1 else f"no element is named: {chosen[0]} of the catalog is taken")
    text = " ".join((*sample.notes, suggest_elements(curve))).strip()
    raise PdfFileError(
        f"{curve.source}: neither the header nor an option names the sample's elements. "
        f"Say them, for example --composition CeO2 or --elements Au. {text}"
    )


def _nearest_metal(curve: PdfCurve, elements: tuple[str, ...]) -> tuple[str, ...]:
    """Of a catalog's metals the one whose bulk nearest-neighbour distance is nearest to the first peak; empty where no metal or no peak says one."""
    peak = first_peak(curve)
    metals = [symbol for symbol in elements if is_metal(symbol)]
    return () if peak is None or not metals else (min(metals, key=lambda symbol: abs(nn_distance(symbol, "twelve") - peak)),)


def _radiation(curve: PdfCurve, settings: SolveSettings, origin: dict[str, str]) -> Any:
    known = {
        "option": settings.radiation,
        "instrument": settings.instrument.radiation if settings.instrument else None,
        "header": curve.header.get("radiation"),
    }
    origin["radiation"] = next((source for source, value in known.items() if value), "default")
    radiation = str(known.get(origin["radiation"]) or "xray")
    if radiation not in ("xray", "neutron"):
        raise PdfFileError(f"{curve.source}: the header names the radiation {radiation!r}. Give --radiation xray or --radiation neutron.")
    return radiation


def _low_q_notes(qmin: float, low_q: float, origin: Mapping[str, str]) -> list[str]:
    if not low_q or (origin["qmin"] != "default" and qmin >= LEAST_MEASURED_Q):
        return []
    text = "nobody says where the data begin in Q" if origin["qmin"] == "default" else f"Qmin {qmin:g} Å⁻¹ ({origin['qmin']})"
    return [f"what lies below Q = {low_q:g} Å⁻¹ is taken out of data and model: {text}"]


def _instrument_notes(curve: PdfCurve, settings: SolveSettings, origin: Mapping[str, str]) -> list[str]:
    """Where the header and the instrument profile say different things."""
    notes = []
    for name in ("qmin", "qmax", "qdamp", "qbroad"):
        header, file = curve.value(name), getattr(settings.instrument, name, None)
        if header is not None and file is not None and origin[name] in {"header", "instrument"} and abs(header - file) > 0.01 * max(header, file):
            notes.append(f"the header says {name} {header:g}, the instrument profile {file:g} Å⁻¹: the {_WORDS[origin[name]]} was used")
    named = settings.instrument.radiation if settings.instrument else None
    if origin["radiation"] == "instrument" and curve.header.get("radiation", named) != named:
        notes.append(f"the header says {curve.header['radiation']}, the instrument profile {named}: the instrument profile was used")
    return notes
