"""What names and units in HDF5 files mean: functions, axes, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deepstruc_hpc.data.pdf_functions import named_function

_G = r"(?:g|gr|gofr|g(?:r)?(?:obs|exp|data|meas|measured)|pdf|pdfgr|grpdf|gpdf|reducedpdf|(?:reduced)?pairdistributionfunction|atomicpdf)"
_NAMES = (
    ("calculated", re.compile(r"(?:g|gr|pdf)(?:calc|calculated|fit|model|sim)")),
    ("G(r)", re.compile(_G + r"(?:\d+k?|frames|stack|series|all|s)?")),
    ("RDF", re.compile(r"rdf|rofr|radialdistributionfunction")),
    ("T(r)", re.compile(r"tofr")),
    ("D(r)", re.compile(r"dofr")),
    ("F(Q)", re.compile(r"(?:f|fq|fofq|fqobs|reducedstructurefunction)\d*")),
    ("S(Q)", re.compile(r"(?:s|sq|soq|sofq|sqobs|structurefactor|structurefunction)\d*")),
    ("I(Q)", re.compile(r"(?:i|iq|iofq|intensity|intensities|counts|signalcounts)\d*")),
)
_NEUTRAL = {"data", "signal", "y", "value", "values", "curve", "curves", "result", "results", "frames", "stack"}
_R_NAMES = {"r", "distance", "radius", "rgrid", "rvalues", "rangstrom", "rang", "ra", "rnm", "rpm", "rlist", "raxis"}
_Q_NAMES = {"q", "qgrid", "qvalues", "qangstrom", "qnm", "qa", "scatteringvector", "momentumtransfer", "qaxis", "qlist"}
_ANGLES = {"2theta", "twotheta", "tth", "ttheta", "2th", "polarangle"}
_LENGTHS = {"nm": "nm", "pm": "pm", "m": "m", "mm": "far", "um": "far", "µm": "far", "px": "far", "pixel": "far", "pixels": "far"}
_UNIT_WORDS = re.compile(r"(?i)\\?(?:angstroms?|ångstr(?:ö|o)ms?|angstrøm|ang|aa)\b|å|\u212b|\$\\aa\$")
_INVERSE = re.compile(r"^(?:1/|q_)\s*([a-zµ]+)(?:\^?-1)?$|^([a-zµ]+)\s*\^?\{?-1\}?$|^([a-zµ]+)⁻¹$")
ERROR_NAMES = ("errors", "error", "err", "dg", "dgr", "sigma", "uncertainty", "uncertainties", "esd", "std", "stddev")
"""Normalised names of a dataset that holds uncertainties."""
ERROR_ENDINGS = ("_errors", "_error", "_err", "_std", "_sigma", "_uncertainty", "_uncertainties")


def plain(name: str) -> str:
    """A name in lower case without anything but letters and digits: ``G(r)`` → gr, ``g_of_r`` → gofr."""
    return re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower())


def function_of(names: Iterable[str]) -> tuple[str, str]:
    """The function that the first of several names says, and that name as written; ('', '') where none says one.

    Functions: ``G(r)``, ``g(r) − 1``, ``D(r)``, ``T(r)``, ``RDF``, ``calculated``, ``F(Q)``, ``S(Q)``, ``I(Q)``. ``g(r)`` counts as G(r): the numbers
    decide.
    """
    for name in names:
        label = name.strip()
        labelled = "" if re.fullmatch(r"[dtDT]|t_r", label) else named_function(label)
        head = re.match(r"\s*([A-Za-z]{1,3})\s*\(\s*([rRqQ])\s*\)", label)
        word = plain(head[0]) if head and not labelled else plain(label)
        found = labelled or next((function for function, pattern in _NAMES if pattern.fullmatch(word)), "")
        if found:
            return found, label
    return "", ""


def is_neutral(name: str) -> bool:
    """Whether a dataset's own name says nothing, so that its group's name speaks for it."""
    return plain(name) in _NEUTRAL


def axis_of(name: str, units: str) -> tuple[str, str]:
    """What an axis is (``r``, ``q``, ``angle``, ``other`` or '') and the unit of its length (``nm``, ``pm``, ``angstrom``, ``m`` or '')."""
    word, (kind, unit) = plain(name), length_unit(units)
    if unit == "far":
        return "other", ""
    if word in _ANGLES or re.match(r"(?i)\s*(?:2th_)?(?:deg|rad)", units):
        return "angle", ""
    if kind == "inverse" or word in _Q_NAMES:
        return "q", unit or ("nm" if word == "qnm" else "")
    if word in _R_NAMES:
        return "r", unit or {"rnm": "nm", "rpm": "pm"}.get(word, "")
    return ("r", unit) if kind == "length" and unit != "m" else ("", "")


def length_unit(units: str) -> tuple[str, str]:
    """``length`` or ``inverse`` (or '') and the unit of a length: ``1/nm`` → inverse, nm; ``Å`` → length, angstrom."""
    text = _UNIT_WORDS.sub("angstrom", units.strip().strip("$").strip("()[]")).replace("−", "-")
    text = re.sub(r"(?i)nanomet(?:er|re)s?", "nm", text)
    text = re.sub(r"(?i)picomet(?:er|re)s?", "pm", text)
    text = re.sub(r"(?i)(?<![a-z])A(?=$|\s|\^|-|⁻)", "angstrom", text).replace("1/A", "1/angstrom").lower().replace(" ", "")
    inverse = _INVERSE.match(text)
    word = next((part for part in inverse.groups() if part), "") if inverse else text
    unit = "angstrom" if word == "angstrom" else _LENGTHS.get(word, "")
    if not unit:
        return "", ""
    return ("inverse" if inverse else "length"), unit


def density_unit(units: str) -> str:
    """The length in the unit of G(r), ``1/nm^2`` → nm; '' where it says none."""
    text = _UNIT_WORDS.sub("angstrom", units).lower()
    if "nm" in text:
        return "nm"
    if "pm" in text:
        return "pm"
    return "angstrom" if "angstrom" in text or re.search(r"\ba\s*\^", text) else ""
