"""What kind of matter a curve is taken for, and which elements candidates are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from deepstruc_hpc.core.composition import Composition, check_symbol, parse_composition, reduced_formula
from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import CompositionError, ConfigError, StructureError
from deepstruc_hpc.physics.form_factors import neutron_length, xray_form_factor
from deepstruc_hpc.structures.elements import is_metal
from deepstruc_hpc.structures.matter import classify, free_metals

Kind = Literal["metal", "alloy", "compound", "cluster", "ligands", "support", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_METALLIC = frozenset(("metal", "alloy", "ligands"))
LEAST_SHARE = 0.1
"""Of the strongest metal's share, amount × amplitude²: beside ligands, candidates are not made of a metal below it."""
LEAST_PAIRS = 0.05
"""Of the strongest metal's amount × amplitude: below it, pairs of an alloy's two metals weigh less than a tenth of the strongest metal's own."""
_WORDS = {
    "metal": "a metal",
    "alloy": "an alloy",
    "compound": "a compound",
    "cluster": "a cluster or molecule",
    "ligands": "a metal with ligands",
    "support": "particles on a support",
}


@dataclass(frozen=True)
class Sample:
    """What a curve is taken for.

    Attributes:
        amounts: element → atoms, as named; equal amounts where only elements were named; empty where nobody names any.
        stoichiometric: whether the amounts mean something.
        kind: ``metal``, ``alloy``, ``compound`` (and elemental crystals that are no metals, such as Si), ``cluster`` (a molecule: metal-oxo
            cluster, C60, SF6), ``ligands`` (a metal with ligands), ``support`` (metal or oxide on a support), ``unknown``.
        elements: those candidates are made of, the strongest scatterer first.
        left_out: the others.
        origin: ``option``, ``header`` or ``unknown``.
        sentence: one line for people.
        notes: what they should know beside it, one sentence each.
        on_support: the metals that stand on a support; empty for other kinds.
    """

    amounts: Mapping[str, float]
    stoichiometric: bool
    kind: Kind
    elements: tuple[str, ...]
    left_out: tuple[str, ...]
    origin: Literal["option", "header", "unknown"]
    sentence: str
    notes: tuple[str, ...] = ()
    on_support: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """Reduced where the amounts mean something, whole for molecules and metals with ligands; else the elements joined with ``-``."""
        if not self.stoichiometric:
            return "-".join(self.amounts)
        if self.kind in {"ligands", "cluster"}:
            return "".join(symbol if amount == 1.0 else f"{symbol}{amount:g}" for symbol, amount in self.amounts.items())
        return reduced_formula(self.amounts)


def describe_sample(curve: PdfCurve, *, elements: tuple[str, ...], composition: str | None, kind: str | None, radiation: str) -> Sample:
    """Options before the header; what the amounts say of the kind of matter; which elements scatter enough to build candidates of.

    Args:
        curve: its header may name a composition, which is often wrong.
        elements: of ``--elements``; empty where it was not given.
        composition: of ``--composition``, or None.
        kind: one of :data:`KINDS` where somebody says so, which wins; or None.
        radiation: ``xray`` or ``neutron``.

    Raises:
        ConfigError: an option names no element, no kind, or an element of which no scattering amplitude is known.
        CompositionError: the option's formula cannot be read.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"kind {kind!r}: choose one of {', '.join(KINDS)}.")
    header = str(curve.header.get("composition") or "").strip()
    chosen = tuple(dict.fromkeys(_one_element(text) for text in elements))
    _refuse_unscattering(chosen, "--elements", radiation)
    if composition is not None:
        given = parse_composition(composition)
        _refuse_unscattering(given.elements, f"--composition {composition}", radiation)
        missing = [symbol for symbol in chosen if symbol not in given.amounts]
        if missing:
            raise ConfigError(
                f"--elements {','.join(missing)}: not in --composition {composition}. Name the same elements in both, or give one of them."
            )
        found = _described(given, stoichiometric=True, kind=kind, radiation=radiation, restrict=chosen)
        return _with_sentence(found, "option", f"--composition {composition}", _disagreement(header, found))
    if chosen:
        named = Composition(dict.fromkeys(chosen, 1.0), ",".join(chosen), (dict.fromkeys(chosen, 1.0),))
        named_metals = chosen if all(is_metal(symbol) for symbol in chosen) else ()
        found = _described(named, stoichiometric=len(chosen) == 1, kind=kind, radiation=radiation, restrict=named_metals)
        return _with_sentence(found, "option", f"--elements {','.join(chosen)}", _disagreement(header, found))
    if not header:
        return _unknown(kind, "neither an option nor the file's header names any")
    try:
        given = parse_composition(header)
    except CompositionError as unreadable:
        return _unknown(kind, f"the header's composition, '{header}', cannot be read", str(unreadable))
    known = {symbol: amount for symbol, amount in given.amounts.items() if amplitude(symbol, radiation) is not None}
    if not known:
        return _unknown(kind, f"of the header's composition, '{header}', no scattering amplitude is known for {radiation}")
    dropped = [symbol for symbol in given.amounts if symbol not in known]
    notes = [f"No scattering amplitude of {', '.join(dropped)} is known for {radiation}: left out."] if dropped else []
    stoichiometric = len(given.amounts) == 1 or set(given.amounts.values()) != {1.0} or " " not in header
    found = _described(replace(given, amounts=known), stoichiometric=stoichiometric, kind=kind, radiation=radiation, restrict=())
    return _with_sentence(found, "header", f"header {header}", notes, dropped)


def amplitude(symbol: str, radiation: str) -> float | None:
    """Scattering amplitude of an element at Q = 0: electrons, or fm; None where none is tabulated."""
    try:
        return float(np.ravel(xray_form_factor(symbol, np.zeros(1)))[0]) if radiation == "xray" else neutron_length(symbol)
    except StructureError:
        return None


def _one_element(text: str) -> str:
    """An element of ``--elements``; an ion stands for its element."""
    try:
        given = parse_composition(text.strip())
    except CompositionError:
        check_symbol(text.strip(), f"--elements {text}")
        raise
    if len(given.amounts) != 1:
        raise ConfigError(
            f"--elements {text}: is a formula of {len(given.amounts)} elements. Separate them with commas, or give --composition {text}."
        )
    return given.elements[0]


def _refuse_unscattering(symbols: tuple[str, ...], where: str, radiation: str) -> None:
    for symbol in symbols:
        if amplitude(symbol, radiation) is None:
            raise ConfigError(f"{where}: no scattering amplitude of {symbol} is tabulated for {radiation}. Use another radiation, or leave it out.")


def _described(given: Composition, *, stoichiometric: bool, kind: str | None, radiation: str, restrict: tuple[str, ...]) -> Sample:
    """Kind and elements of a composition that was read."""
    amounts = given.amounts
    proposed, reason = classify(amounts, stoichiometric=stoichiometric, parts=given.parts)
    final: Kind = next(word for word in KINDS if word == (kind or proposed))
    share = {symbol: amount * (amplitude(symbol, radiation) or 0.0) ** 2 for symbol, amount in amounts.items()}
    ordered = sorted(amounts, key=lambda symbol: -share[symbol])
    notes = list(given.notes)
    kept = [symbol for symbol in ordered if restrict == () or symbol in restrict]
    if not restrict:
        kept, more = _kept(ordered, share, final, amounts, radiation)
        notes += more
    if reason and kind is None:
        notes.append(reason)
    left_out = tuple(symbol for symbol in amounts if symbol not in kept)
    on_support = tuple(symbol for symbol in ordered if symbol in free_metals(amounts, given.parts)) if final == "support" else ()
    return Sample(amounts, stoichiometric, final, tuple(kept), left_out, "unknown", "", tuple(notes), on_support)


def _kept(ordered: list[str], share: Mapping[str, float], kind: Kind, amounts: Mapping[str, float], radiation: str) -> tuple[list[str], list[str]]:
    """The elements candidates are made of, and a note where some are not."""
    if kind in _METALLIC:
        metals = [symbol for symbol in ordered if is_metal(symbol)] or ordered
        strongest = share[metals[0]]
        if kind == "alloy":  # √(amount · share) is amount × amplitude
            kept = [symbol for symbol in metals if amounts[symbol] * share[symbol] >= LEAST_PAIRS**2 * amounts[metals[0]] * strongest]
        else:
            kept = [symbol for symbol in metals if share[symbol] >= LEAST_SHARE * strongest]
        left = [symbol for symbol in amounts if symbol not in kept]
        return kept, [f"{', '.join(left)} left out: {', '.join(kept)} dominates the scattering."] if left and share[kept[0]] else []
    kept = [symbol for symbol in ordered if not (symbol in {"H", "D"} and radiation == "xray")]
    organic = kind == "compound" and {"C", "H"} <= set(amounts) and any(is_metal(symbol) for symbol in amounts)
    if organic:
        kept = [symbol for symbol in kept if symbol not in {"C", "H"} and not (symbol == "N" and amounts["N"] < amounts["C"])]
    return kept or ordered, ["C and H left out as ligands of the compound."] if organic else []


def _with_sentence(found: Sample, origin: Literal["option", "header"], where: str, notes: list[str], dropped: list[str] | None = None) -> Sample:
    """The sample with its sentence."""
    what = _WORDS.get(found.kind, "a sample of unknown kind")
    if found.kind == "compound" and len(found.amounts) == 1:
        what = "an elemental crystal"
    sentence = f"taken for {what}, {found.formula} ({where})"
    if found.kind == "ligands":
        sentence += f"; candidates are made of {', '.join(found.elements)}"
    elif found.on_support:
        sentence += f"; {', '.join(found.on_support)} on the support"
    return replace(found, origin=origin, sentence=sentence, notes=(*found.notes, *notes), left_out=(*found.left_out, *(dropped or ())))


def _disagreement(header: str, found: Sample) -> list[str]:
    """Where a header names other elements than the options."""
    if not header:
        return []
    try:
        other = set(parse_composition(header).amounts)
    except CompositionError:
        return []
    return [] if other == set(found.amounts) else [f"The header says {header}; the option was used."]


def _unknown(kind: str | None, reason: str, note: str = "") -> Sample:
    final: Kind = next(word for word in KINDS if word == (kind or "unknown"))
    return Sample({}, False, final, (), (), "unknown", f"composition unknown: {reason}; give --composition or --elements", (note,) if note else ())
