"""What is assumed about one measurement, and where each value comes from: an option, the file's header, or a default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import ConfigError, DeepstrucError, PdfFileError, StructureError
from deepstruc_hpc.physics.form_factors import neutron_length, xray_form_factor
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.solve.config import DEFAULT_QDAMP, DEFAULT_QMAX, DEFAULT_QMIN, DEFAULT_RMAX, SolveSettings
from deepstruc_hpc.structures.elements import nn_distance

MIN_INDEPENDENT_POINTS = 12
_WORDS = {"header": "header", "instrument": "instrument file"}
_NOT_METALS = frozenset(("H", "He", *"BCNOFPSI", "Ne", "Si", "Cl", "Ar", "Ge", "As", "Se", "Br", "Kr", "Te", "Xe", "At", "Rn"))


@dataclass(frozen=True)
class Conditions:
    """The values used for one curve.

    Attributes:
        rmin: Å; rmax: Å, inside the measured range.
        qmin: Å⁻¹; qmax: Å⁻¹; qdamp: Å⁻¹; qbroad: Å⁻¹.
        radiation: ``xray`` or ``neutron``.
        elements: of the sample, the strongest metal first; empty when nobody says.
        origin: for each of these names ``option``, ``instrument``, ``header``, ``default`` or ``data``.
        notes: what a person should know about the choice, one sentence each.
    """

    rmin: float
    rmax: float
    qmin: float
    qmax: float
    qdamp: float
    qbroad: float
    radiation: str
    elements: tuple[str, ...]
    origin: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def instrument(self) -> Instrument:
        """Radiation, range of Q and resolution, as the engine takes them."""
        return Instrument.model_validate({name: getattr(self, name) for name in Instrument.model_fields})

    def independent_points(self, rmax: float | None = None) -> float:
        """How many independent numbers the curve holds up to rmax: (rmax − rmin)(Qmax − Qmin)/π."""
        end = self.rmax if rmax is None else min(rmax, self.rmax)
        return max(end - self.rmin, 0.0) * (self.qmax - self.qmin) / np.pi


def resolve_conditions(curve: PdfCurve, settings: SolveSettings) -> Conditions:
    """Options before what an instrument file and the header say, before defaults.

    Resolution and radiation belong to the instrument, so there its file wins over the header. Qmin and Qmax belong to the transform of one curve, so
    there the header wins, and a note says so where the two differ.

    Raises:
        PdfFileError: when the range holds too little to decide anything, or Qmin and Qmax contradict each other.
    """
    origin: dict[str, str] = {}

    def pick(name: str, default: float) -> float:
        said = {"option": getattr(settings, name), "instrument": getattr(settings.instrument, name, None), "header": curve.value(name)}
        order = ("option", "header", "instrument") if name in {"qmin", "qmax"} else ("option", "instrument", "header")
        origin[name] = next((source for source in order if said[source] is not None), "default")
        value = said.get(origin[name])
        return float(default if value is None else value)

    qmin, qmax = pick("qmin", DEFAULT_QMIN), pick("qmax", DEFAULT_QMAX)
    if qmax <= qmin:
        raise PdfFileError(f"{curve.source}: Qmin {qmin:g} ({origin['qmin']}) is not below Qmax {qmax:g} Å⁻¹ ({origin['qmax']}). Give both.")
    qdamp, qbroad = pick("qdamp", DEFAULT_QDAMP), pick("qbroad", 0.0)
    known = {
        "option": settings.radiation,
        "instrument": settings.instrument.radiation if settings.instrument else None,
        "header": curve.header.get("radiation"),
    }
    origin["radiation"] = next((source for source, value in known.items() if value), "default")
    radiation = str(known.get(origin["radiation"]) or "xray")
    if radiation not in ("xray", "neutron"):
        raise PdfFileError(f"{curve.source}: the header names the radiation {radiation!r}. Give --radiation xray or --radiation neutron.")
    end = float(curve.r[-1])
    rmax = min(end, settings.rmax if settings.rmax is not None else DEFAULT_RMAX)
    origin["rmax"] = "option" if settings.rmax is not None else "data"
    rmin = max(settings.rmin, float(curve.r[0]))
    elements, notes = resolve_elements(curve, settings.elements, radiation)
    notes += _instrument_notes(curve, settings, origin)
    origin["elements"] = "option" if settings.elements else "header" if elements else "unknown"
    conditions = Conditions(rmin, rmax, qmin, qmax, qdamp, qbroad, radiation, elements, origin, tuple(notes))
    if rmax <= rmin or conditions.independent_points() < MIN_INDEPENDENT_POINTS:
        raise PdfFileError(
            f"{curve.source}: G(r) runs from {curve.r[0]:g} to {end:g} Å; between rmin {rmin:g} and rmax {rmax:g} Å that is "
            f"{conditions.independent_points():.0f} independent points, and at least {MIN_INDEPENDENT_POINTS} are needed. "
            "Measure or export a longer range, or change --rmin and --rmax."
        )
    return conditions


def _instrument_notes(curve: PdfCurve, settings: SolveSettings, origin: Mapping[str, str]) -> list[str]:
    """Where the header and the instrument file say different things."""
    notes = []
    for name in ("qmin", "qmax", "qdamp", "qbroad"):
        header, file = curve.value(name), getattr(settings.instrument, name, None)
        if header is not None and file is not None and origin[name] in {"header", "instrument"} and abs(header - file) > 0.01 * max(header, file):
            notes.append(f"the header says {name} {header:g}, the instrument file {file:g} Å⁻¹: the {_WORDS[origin[name]]} was used")
    named = settings.instrument.radiation if settings.instrument else None
    if origin["radiation"] == "instrument" and curve.header.get("radiation", named) != named:
        notes.append(f"the header says {curve.header['radiation']}, the instrument file {named}: the instrument file was used")
    return notes


def resolve_elements(curve: PdfCurve, given: tuple[str, ...], radiation: str) -> tuple[tuple[str, ...], list[str]]:
    """The elements to build candidates of.

    A header's composition names what was in the beam, ligands and all, and is often wrong. What a nanoparticle's curve shows is the metals that
    dominate the scattering: those with at least a tenth of the strongest metal's share (concentration × scattering amplitude squared).

    Returns:
        symbols, the strongest first (empty when neither option nor header names a metal), and notes.

    Raises:
        ConfigError: when an option names something that is not a metal of the table.
    """
    if given:
        check_elements(given, radiation)
        return given, []
    text = str(curve.header.get("composition") or "")
    parts = parse_composition(text)
    shares = {
        symbol: count * amplitude**2
        for symbol, count in parts.items()
        if symbol not in _NOT_METALS and (amplitude := _amplitude(symbol, radiation)) is not None
    }
    if not shares:
        return (), [f"the header's composition {text!r} names no metal"] if text else []
    ordered = sorted(shares, key=lambda symbol: -shares[symbol])
    kept = tuple(symbol for symbol in ordered if shares[symbol] >= 0.1 * shares[ordered[0]])
    left = [symbol for symbol in parts if symbol not in kept]
    return kept, [f"of the header's composition {text!r} {', '.join(left)} left out: {', '.join(kept)} dominates the scattering"] if left else []


def parse_composition(text: str) -> dict[str, float]:
    """Elements and amounts of a formula such as ``Au144 S60 C180``, ``AuCu3`` or ``Pt0.5 Pd0.5``; empty when it is none."""
    tokens = re.findall(r"([A-Z][a-z]?)\s*([0-9]*\.?[0-9]*)", text)
    if re.sub(r"[\s,;()\[\]0-9.A-Za-z+\-]", "", text):
        return {}
    amounts: dict[str, float] = {}
    for symbol, amount in tokens:
        amounts[symbol] = amounts.get(symbol, 0.0) + (float(amount) if amount.strip(".") else 1.0)
    return amounts


def first_peak(curve: PdfCurve) -> float | None:
    """Position (Å) of the first peak between 1.8 and 4.5 Å that reaches half the highest point there, or None where there is none."""
    inside = (curve.r >= 1.8) & (curve.r <= 4.5)
    r, g = curve.r[inside], curve.g[inside]
    if len(r) < 5 or g.max() <= 0:
        return None
    for index, (before, after) in enumerate(pairwise(np.diff(g)), start=1):
        if before > 0 >= after and g[index] >= 0.5 * g.max():
            return float(r[index])
    return None


def check_elements(symbols: tuple[str, ...], radiation: str) -> None:
    """Refuse what is no element, or none whose nearest-neighbour distance is known.

    Raises:
        ConfigError: naming the symbol.
    """
    for symbol in symbols:
        try:
            nn_distance(symbol)
        except StructureError as unknown:
            raise ConfigError(f"--elements {symbol}: {unknown}") from unknown
        if _amplitude(symbol, radiation) is None:
            raise ConfigError(f"--elements {symbol}: no scattering amplitude is tabulated for {radiation}. Check the symbol.")


def _amplitude(symbol: str, radiation: str) -> float | None:
    try:
        value = float(np.ravel(xray_form_factor(symbol, np.zeros(1)))[0]) if radiation == "xray" else float(neutron_length(symbol))
        nn_distance(symbol)
    except (DeepstrucError, KeyError, ValueError):
        return None
    return value
