"""What the header of a G(r) file says: program, Q range, resolution, composition, radiation, the names and units of its columns."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

_VALUE = r"\s*(?:[(\[][^)\]]{0,20}[)\]])?\s*[=:\s]\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d{1,4})?)(?![\w.])\s*(nm|Å|A\b|ang)?"
_NUMBERS = {
    key: re.compile(rf"(?<![\w.]){key}(?!\w){_VALUE}", re.IGNORECASE)
    for key in ("qmin", "qmax", "qdamp", "qbroad", "rpoly", "wavelength", "temperature", "uiso", "biso")
}
_DENSITY = re.compile(r"(?<![\w.])(?:rho_?0|ρ0|ρ₀|number[ _]?density)(?!\w)" + _VALUE, re.IGNORECASE)
_LIMITS = {
    "qmin": (0.0, 500.0),
    "qmax": (0.0, 1000.0),
    "qdamp": (0.0, 1.0),
    "qbroad": (0.0, 1.0),
    "rpoly": (0.0, 10.0),
    "wavelength": (0.005, 10.0),
    "temperature": (0.0, 5000.0),
    "uiso": (0.0, 0.2),
    "biso": (0.0, 16.0),
}
_RMAX = re.compile(r"(?<![\w.])(?:rmax|maxR)\s*=\s*(\d+\.?\d*)(?![\w.])", re.IGNORECASE)
_TEXTS = {
    "composition": re.compile(r"^\W*composition\s*[=:]\s*(\S.*?)\s*$", re.IGNORECASE),
    "mode": re.compile(r"^\W*(?:mode|radiation)\s*[=:]\s*(\S+)", re.IGNORECASE),
    "stype": re.compile(r"\bstype\s*=\s*(\w)", re.IGNORECASE),
}
_PROGRAMS = (
    ("xPDFsuite", r"xpdfsuite"),
    ("PDFgetXgui", r"pdfgetxgui"),
    ("GSAS-II", r"gsas-?ii|^#T\s+G\(R\) for"),
    ("PDFgetX3", r"pdfgetx3"),
    ("PDFgetS3", r"pdfgets3"),
    ("PDFgetX2", r"get_xpdf|pdfgetx2"),
    ("PDFgetN", r"pdfgetn|##### prepgsas"),
    ("Mantid", r"mantid"),
    ("PDFgui", r"#+\s*pdfgui|pdfgui"),
    ("pdffit2", r"pdffit"),
    ("DiffPy-CMI", r"diffpy|srfit"),
)
_NEUTRON = re.compile(r"\bneutrons?\b", re.IGNORECASE)
_UNIT = re.compile(r"(?<![a-z0-9])(nm|nanomet\w*|pm|picomet\w*|å|ångstr\w*|a|ang|angstr\w*|\\aa)(?![a-z])", re.IGNORECASE)
_ABSCISSAS = frozenset(
    (
        "r",
        "q",
        "x",
        "distance",
        "radius",
        "2theta",
        "twotheta",
        "tth",
        "two",
        "s",
        "time",
        "date",
        "datetime",
        "timestamp",
        "temperature",
        "temp",
        "frame",
    )
)
_G_NAMES = ("g", "gobs", "gr", "gexp", "gdata", "gmeas", "gofr", "g(r)")


@dataclass(frozen=True)
class Columns:
    """Where r, G and its uncertainty stand, and in which unit r is.

    Attributes:
        r, g, dg: column indices; dg is None where there is none.
        diff: the column of a fit's difference from the data, to be added to ``g``; None where there is none.
        others: further columns that are G(r) too, with their labels.
        g_label: the label of ``g`` as written, '' where there is none.
        r_unit: ``angstrom``, ``nm``, ``pm`` or '' where the file does not say.
        g_unit: the same for the length in G's unit.
        first_name: the label of the first column in lower case, '' where there is none.
        notes: what was guessed.
    """

    r: int
    g: int
    dg: int | None
    r_unit: str
    g_unit: str
    first_name: str
    notes: tuple[str, ...]
    diff: int | None = None
    others: tuple[tuple[int, str], ...] = ()
    g_label: str = ""


def parse_header(lines: Sequence[str]) -> tuple[dict[str, float | str], list[str]]:
    """Header values under the names of :class:`~deepstruc_hpc.core.curve.PdfCurve`, and notes about what could not be used.

    Qmin and Qmax are as written: the curve itself has a say in them (:mod:`~deepstruc_hpc.data.pdf_range`).
    """
    header: dict[str, float | str] = {}
    notes: list[str] = []
    for key, pattern in _NUMBERS.items():
        found = [match for line in lines for match in pattern.finditer(line)]
        if found:
            _take_number(key, found, header, notes)
    if "biso" in header:
        header["uiso"] = float(header.pop("biso")) / (8 * math.pi**2)
        notes.append(f"The header gives B = 8π²U; U = {header['uiso']:.4g} Å² was used.")
    densities = [match for line in lines for match in _DENSITY.finditer(line)]
    if densities and 0.0 < float(densities[-1][1]) < 1.0:
        header["density"] = float(densities[-1][1])
    joined = "\n".join(lines)
    program = next((name for name, pattern in _PROGRAMS if re.search(pattern, joined, re.IGNORECASE | re.MULTILINE)), None)
    if program:
        header["program"] = program
    composition = _text(lines, "composition") or _composition_table(lines)
    if composition:
        header["composition"] = composition
    radiation = _radiation(lines, program, notes)
    if radiation:
        header["radiation"] = radiation
    return header, notes


def announced_rmax(lines: Sequence[str]) -> float | None:
    """The end of r that the writing program was asked for, Å; None where the header does not say."""
    found = [match for line in lines for match in _RMAX.finditer(line)]
    return float(found[-1][1]) if found else None


def _take_number(key: str, found: list[re.Match[str]], header: dict[str, float | str], notes: list[str]) -> None:
    values = [float(match[1].replace("D", "e").replace("d", "e")) for match in found]
    value = values[-1]
    if len(set(values)) > 1:
        notes.append(f"The header gives {key} {len(set(values))} times with different values; the last one, {value:g}, was used.")
    if key in {"qmin", "qmax"} and (found[-1][2] or "").lower() == "nm":
        value /= 10.0
        notes.append(f"The header gives {key} in nm⁻¹; {value:g} Å⁻¹ was used.")
    low, high = _LIMITS[key]
    if key == "uiso" and high < value <= _LIMITS["biso"][1]:
        value /= 8 * math.pi**2
        notes.append(f"The header's uiso = {values[-1]:g} is too large for U in Å²; it was taken as B = 8π²U, so U = {value:.4g} Å².")
    if low <= value <= high:
        header[key] = value
    elif not (key == "qmax" and value == 0):  # PDFgui writes qmax=0 for "no correction"
        notes.append(f"The header's {key} = {value:g} lies outside {low:g} to {high:g} and was not used.")


def _text(lines: Sequence[str], key: str) -> str:
    for line in reversed(lines):
        match = _TEXTS[key].search(line)
        if match:
            return match[1]
    return ""


def _composition_table(lines: Sequence[str]) -> str:
    """Elements and fractions from the tables that PDFgetX2 and PDFgetN write."""
    for i, line in enumerate(lines):
        words = line.lower().replace("#", " ").split()
        column = 2 if {"symbol", "fractions"} <= set(words) else 1 if {"element", "relatomnum"} <= set(words) else 0
        if not column:
            continue
        parts: list[str] = []
        for row in lines[i + 1 : i + 30]:
            cells = row.replace("#", " ").split()
            if len(cells) <= column or not re.fullmatch(r"[A-Z][a-z]?", cells[0]) or not re.fullmatch(r"\d*\.?\d+(?:[eE][+-]?\d+)?", cells[column]):
                break
            amount = float(cells[column])
            parts.append(cells[0] if amount == 1.0 else f"{cells[0]}{amount:g}")
        if parts:
            return " ".join(parts)
    return ""


def _radiation(lines: Sequence[str], program: str | None, notes: list[str]) -> str:
    mode = (_text(lines, "mode") or _text(lines, "stype")).lower().replace("-", "").replace("_", "").strip(",;")
    if mode in {"xray", "x", "xrays", "synchrotron"}:
        return "xray"
    if mode in {"neutron", "neutrons", "n"}:
        return "neutron"
    if mode:
        notes.append(f"The header's mode '{mode}' is neither xray nor neutron; choose the radiation yourself.")
        return ""
    if program in {"PDFgetX2", "PDFgetX3", "xPDFsuite", "PDFgetXgui"}:
        return "xray"
    if program == "PDFgetN" or any(_NEUTRON.search(line) for line in lines):
        return "neutron"
    return ""


def read_columns(lines_before: Sequence[str], n_columns: int) -> Columns:
    """The meaning of the columns from the last line of labels before the data, else by their number: r G, r G dG, r G dr dG."""
    labels, text = _labels(lines_before, n_columns)
    names = [_plain(label) for label in labels]
    first = names[0] if names else ""
    if len(names) != n_columns:
        dg, notes = _unlabelled(n_columns, labelled=bool(labels))
        label = labels[1] if len(labels) > 1 else ""
        return Columns(0, 1, dg, *_units(text, labels), first, tuple(notes), g_label=label)
    notes = []
    r = next((i for i, name in enumerate(names) if name in _R_NAMES), 0)
    if r:
        notes.append(f"r was taken from column {r + 1}, labelled '{labels[r]}'.")
    g, diff, more = _measured(names, labels, r)
    notes += more
    curves = [i for i, name in enumerate(names) if i not in {r, g} and _is_curve(name)] if diff is None and _is_curve(names[g]) else []
    if not any(name in _G_NAMES or name in _ROLES for i, name in enumerate(names) if i != r) and n_columns > 2:
        curves = [i for i in range(n_columns) if i not in {r, g}]
    errors = [i for i, name in enumerate(names) if i not in {r, g} and name in _ERRORS]
    if n_columns > 2 and not errors and not curves:
        notes.append("No column is labelled as the uncertainty of G(r); none was used.")
    units = _unit(labels[r]), _unit(labels[g])
    others = tuple((i, labels[i]) for i in curves)
    return Columns(r, g, errors[0] if errors else None, *units, names[r] if r else first, tuple(notes), diff, others, labels[g])


_R_NAMES = ("r", "distance", "radius")
_ERRORS = ("dg", "dgr", "gerr", "sigma", "error", "err", "esd", "e", "dgofr", "dgobs", "dy")
_OBSERVED = ("gobs", "gexp", "gdata", "gmeas", "yobs", "y")
_CALCULATED = ("gcalc", "gfit", "gsim", "gmodel", "ycalc", "yfit")
_DIFFERENCE = ("gdiff", "diff", "difference", "ydiff")
_ROLES = frozenset((*_ERRORS, *_CALCULATED, *_DIFFERENCE, "dr", "dx", "rerr", "weight", "w", "y", "yobs"))


def _is_curve(name: str) -> bool:
    """Whether a label is one of several G(r): ``G1``, ``G 300K``."""
    return name.startswith("g") and name not in _ROLES


def _measured(names: list[str], labels: list[str], r: int) -> tuple[int, int | None, list[str]]:
    """The column of the measured G(r), that of a difference to add to it, and notes."""
    observed = next((i for i, name in enumerate(names) if name in _OBSERVED and i != r), None)
    calculated = next((i for i, name in enumerate(names) if name in _CALCULATED), None)
    named = next((i for i, name in enumerate(names) if i != r and name in _G_NAMES), None)
    diff = next((i for i, name in enumerate(names) if name in _DIFFERENCE), None)
    if observed is not None and (calculated is not None or named is None):
        beside = f" The file holds a fit; its calculated curve, column {calculated + 1}, was not read." if calculated is not None else ""
        moved = (
            [f"G(r) was taken from column {observed + 1}, labelled '{labels[observed]}'.{beside}"]
            if beside or observed != (1 if r != 1 else 0)
            else []
        )
        return observed, None, moved
    model = calculated if named is None else named
    if diff is not None and model is not None:
        how = f"the measured G(r) is column {model + 1} ('{labels[model]}') plus column {diff + 1} ('{labels[diff]}')"
        return model, diff, [f"The file holds a fit with its difference from the data: {how}."]
    if calculated is not None and named is None:
        return calculated, None, [f"The file holds a calculated curve, '{labels[calculated]}', and no measured one; it was read like a measured one."]
    usual = 1 if r != 1 else 0
    g = usual if named is None else named
    return g, None, [f"G(r) was taken from column {g + 1}, labelled '{labels[g]}'."] if g != usual else []


def _unlabelled(n_columns: int, *, labelled: bool) -> tuple[int | None, list[str]]:
    """The column of uncertainties by the number of columns alone."""
    if n_columns == 3:
        return 2, ["Three columns without labels were taken as r, G(r) and the uncertainty of G(r)."]
    if n_columns == 4:
        words = "Four columns without labels were taken as r, G(r), the uncertainty of r and that of G(r)."
        return 3, [] if labelled else [words]
    if n_columns > 4:
        return None, [f"Of {n_columns} columns without labels the first two were taken as r and G(r)."]
    return None, []


def _labels(lines_before: Sequence[str], n_columns: int) -> tuple[list[str], str]:
    """Labels of the line nearest to the data that names r (or another abscissa) first; and that line."""
    for line in list(reversed(lines_before))[:6]:
        text = re.sub(r"^\s*(?:#+\s*L\b|#L\b|[#!%;'\"]+|//)\s*", "", line).strip()
        if not text or len(text) > 200 or "=" in text:
            continue
        first = re.split(r"[\s,;(\[/_]+", text.strip("\"'"))[0].lower()
        words = re.split(r"[\s,;\t]+", text.strip("\"'"))
        if first not in _ABSCISSAS and not (len(words) == n_columns and _plain(words[0]) in _G_NAMES and any(_plain(word) == "r" for word in words)):
            continue
        separator = r"\s*[,;\t]\s*" if re.search(r"[,;\t]", text) else r"\s{2,}"
        split = [part for part in re.split(separator, text) if part]
        if len(split) != n_columns:
            split = re.sub(r"\s+(?=[(\[])", "", text).replace(",", " ").split()
        return [part.strip("\"' ") for part in split], text
    return [], ""


def _plain(label: str) -> str:
    """A label without unit and decoration: ``G(1/A^2)`` → g, ``d_Gr`` → dgr, ``dG(r)`` → dg."""
    return re.sub(r"[^a-z0-9]", "", re.split(r"[(\[/]", label)[0].lower())


def _units(text: str, labels: Sequence[str]) -> tuple[str, str]:
    first = labels[0] if labels else text
    second = labels[1] if len(labels) > 1 else ""
    return _unit(first), _unit(second)


def _unit(label: str) -> str:
    inside = re.split(r"[(\[/,_\s]", label, maxsplit=1)
    match = _UNIT.search(inside[1]) if len(inside) > 1 else None
    if match is None:
        return ""
    word = match[1].lower()
    return "nm" if word.startswith("n") else "pm" if word.startswith("p") else "angstrom"
