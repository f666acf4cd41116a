"""What a row of the summary says to people: the same words on the page and in the terminal. The files keep the machine's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from deepstruc_hpc.core.files import shown_name
from deepstruc_hpc.report.results import plain

Row = Mapping[str, Any]

STATUS = {"ok": "ok", "refused": "not applicable", "failed": "failed"}
"""Status of the files → what is shown."""
FLAGS = {
    "poor_fit": ("poor fit", "Even the best candidate fits poorly, or the data have errors. The sample may hold something else."),
    "other_elements": (
        "other elements?",
        "The nearest neighbours are closer or farther than in the named elements, or the answer lacks one of them. Check the composition.",
    ),
    "tail": ("structure beyond", "The curve goes on beyond the best candidate: a second phase, or a larger particle."),
    "largest_tried": ("largest tried", "This is about the largest size of its kind that was tried. The particle may be larger."),
    "bulk": ("bulk", "A crystal whose end the curve does not show. There is no number of atoms, and the diameter is the least coherent length."),
    "lower_bound": ("lower bound", "The data end before the particle does. The diameter is at least the value shown."),
    "ligand_term": ("ligand term", "A term of ligands, solvent or amorphous carbon was fitted beside the particle; the message names it."),
    "support": ("support", "The support was fitted beside the particle."),
    "amorphous": (
        "amorphous?",
        "Order over a few distances only, or a curve with a part that is broader than any crystal's. Amorphous matter or a background.",
    ),
}
"""Flag → its words, and one or two plain sentences."""
DOUBTS = frozenset({"poor_fit", "other_elements", "amorphous"})
"""Flags by which the sample may be something else: pages show them, and the status beside them, in the colour of doubt."""


def status_words(status: object) -> str:
    """``refused`` is shown as ``not applicable``; a status that is not known stays as it is."""
    return STATUS.get(str(status), str(status))


def count_words(statuses: Iterable[object], named: Mapping[str, str] | None = None) -> str:
    """``2 ok, 1 not applicable``; the words of ``named`` (status → words) instead, where given."""
    found = [str(status) for status in statuses]
    order = [*STATUS, *sorted(set(found) - set(STATUS))]
    return ", ".join(f"{found.count(name)} {(named or {}).get(name) or status_words(name)}" for name in order if name in found)


def phase_words(row: Row) -> str:
    """The formula and the name of rank 1: ``CeO2 fluorite``, ``Pt fcc``. Empty where there is no answer."""
    name = _text(row, "phase") or _text(row, "structure_type").replace("_", " ")
    formula = _text(row, "formula")
    return f"{formula} {name}" if name and formula and not name.startswith(formula) else name


def atoms_words(row: Row) -> str:
    """Number of atoms, ``bulk`` for a crystal without an end, else empty."""
    number = _number(row, "n_atoms")
    return f"{number:.0f}" if number is not None else "bulk" if "bulk" in flags_of(row) else ""


def diameter_words(row: Row) -> str:
    """Å: ``25.3 (23.9–25.3)``, one number where the range is that number, ``> 45`` where the data give a lower bound, else empty."""
    diameter, low, high = (_number(row, name) for name in ("diameter", "diameter_low", "diameter_high"))
    if low is not None and high is None and (diameter is None or "lower_bound" in flags_of(row)):
        return f"> {low:.0f}"
    if diameter is None:
        return ""
    middle, first, last = (f"{value:.1f}" for value in (diameter, diameter if low is None else low, diameter if high is None else high))
    return middle if first == last else f"{middle} ({first}–{last})"


def size_words(row: Row) -> str:
    """One line about the size: atoms, diameter, and what the range means. Empty where there is no answer."""
    diameter, low = diameter_words(row), _number(row, "diameter_low")
    atoms = f"{atoms_words(row)} atoms" if _number(row, "n_atoms") is not None else ""
    if diameter.startswith(">"):
        size = f"more than {low:.0f} Å across: the data end before the {'crystal' if 'bulk' in flags_of(row) else 'particle'} does"
    elif "(" in diameter:
        middle, span = diameter.rstrip(")").split(" (")
        size = f"diameter {middle} Å; {span.replace('–', ' to ')} Å with 90 %"
    else:
        size = f"diameter {diameter} Å" if diameter else ""
    return ", ".join(part for part in (atoms, size) if part)


def flags_of(row: Row) -> list[str]:
    """The flags of a row, in their order."""
    return [flag for part in _text(row, "flags").split(";") if (flag := part.strip())]


def flag_words(row: Row) -> list[tuple[str, str]]:
    """Each flag in words with its explanation; a flag that is not known as it stands."""
    return [FLAGS.get(flag, (flag.replace("_", " "), "")) for flag in flags_of(row)]


def message_words(row: Row) -> str:
    """The message without the path of the file, which stands beside it: ``/data/a.gr:24: r goes back`` becomes ``line 24: r goes back``."""
    message, file = _text(row, "message"), _text(row, "file")
    if not file:
        return message
    name = shown_name(file)
    start = re.match(rf"(?:{re.escape(file)}|{re.escape(name)})(?::(\d+))?: ", message)
    if start:
        message = (f"line {start[1]}: " if start[1] else "") + message[start.end() :]
    return message.replace(file, name)


def taken_for(details: Row) -> str:
    """One line: what the sample is taken for, from the details of ``summary.json``; empty where that is not known."""
    sample = _group(_group(details, "conditions"), "sample")
    return _text(sample, "taken_for")


def notes_of(details: Row, message: str) -> list[str]:
    """Notes of reading and of the choice of values, each once, without those that the message says already."""
    known = [*_texts(_group(details, "details").get("notes")), *_texts(_group(details, "conditions").get("notes"))]
    return [note for note in dict.fromkeys(known) if note.rstrip(".") not in message]


def words_of(row: Row, details: Row) -> dict[str, Any]:
    """Everything that is said about one file, for the page."""
    return {
        "status": status_words(row.get("status")),
        "phase": phase_words(row),
        "atoms": atoms_words(row),
        "diameter": diameter_words(row),
        "size": size_words(row),
        "flags": [(label, meaning, flag in DOUBTS) for flag, (label, meaning) in zip(flags_of(row), flag_words(row), strict=True)],
        "message": message_words(row),
        "taken_for": taken_for(details),
        "notes": notes_of(details, message_words(row)),
    }


def _text(row: Row, key: str) -> str:
    value = plain(row.get(key))
    return "" if value is None else str(value).strip()


def _number(row: Row, key: str) -> float | None:
    value = plain(row.get(key))
    return float(value) if isinstance(value, int | float) else None


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _group(mapping: Row, key: str) -> Row:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}
