"""What an HDF5 file says of a curve: composition, radiation, range of Q, resolution; as header lines like those of text files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from deepstruc_hpc.data.hdf5_tree import Node, Tree
from deepstruc_hpc.data.hdf5_words import length_unit, plain

_KEYS = {
    **{name: name for name in ("qmin", "qmax", "qdamp", "qbroad", "rpoly", "uiso", "temperature", "rho0", "composition")},
    **dict.fromkeys(("numberdensity", "atomicnumberdensity"), "rho0"),
    **dict.fromkeys(("chemicalformula", "formula", "samplecomposition"), "composition"),
    **dict.fromkeys(("probe", "radiation", "mode", "scatteringtype", "type"), "mode"),
}
_SETTINGS = re.compile(r"(?i)\b(?:qmax|qmin|composition)\b[\"']?\s*[=:]")


def header_lines(tree: Tree, signal: str, holders: frozenset[str]) -> list[str]:
    """Lines ``key = value`` for the curves of a dataset; of several values the nearest one counts.

    Values of another curve are not borrowed: a branch of the file that holds a curve of its own speaks for that curve alone.

    Args:
        tree: of the file.
        signal: path of the dataset.
        holders: from :func:`holders_of`.
    """
    nearest: dict[str, tuple[int, list[str]]] = {}
    settings: list[tuple[int, list[str]]] = []
    for place, key, value, unit in _values(tree):
        common = _common(place, signal)
        branch = _branch(place, common)
        if branch and branch in holders and not _within(signal, branch):
            continue
        depth = common.count("/") if common != "/" else 0
        if isinstance(value, str) and _SETTINGS.search(value) and len(value) > 12:
            settings.append((depth, _settings_lines(value)))
            continue
        line = _line(key, value, unit)
        if line:
            name = line.split(" = ", 1)[0]
            best, lines = nearest.get(name, (-1, []))
            if depth >= best:
                nearest[name] = depth, [*(lines if depth == best else []), line]
    texts = [line for _, lines in sorted(settings, key=lambda one: one[0]) for line in lines]
    return [*texts, *(line for _, lines in nearest.values() for line in lines)]


def holders_of(signals: Iterable[str]) -> frozenset[str]:
    """Every group that holds one of these datasets, at any depth, and the datasets themselves."""
    found: set[str] = set()
    for signal in signals:
        parts = signal.strip("/").split("/")
        found.update("/" + "/".join(parts[:number]) for number in range(1, len(parts) + 1))
    return frozenset(found)


def _values(tree: Tree) -> Iterator[tuple[str, str, Any, str]]:
    """(path of what it belongs to, name, value, unit) of every number or text in datasets and attributes."""
    for node in tree.nodes.values():
        if node.value is not None:
            key = _key(node, tree)
            yield node.parent, key, node.value, node.text("units", "unit")
        for name, value in node.attributes.items():
            if isinstance(value, str | int | float) and name not in {"units", "NX_class", "default", "signal", "axes", "type"}:
                yield node.path, plain(name), value, ""


def _key(node: Node, tree: Tree) -> str:
    """The plain name of a dataset; ``type`` counts in an NXsource alone."""
    name = plain(node.name)
    group = tree.nodes.get(node.parent)
    if name == "type" and (group is None or group.text("NX_class") != "NXsource"):
        return ""
    return name


def _line(key: str, value: Any, unit: str) -> str:
    name = _KEYS.get(key, "")
    if not name:
        return ""
    if name == "mode":
        word = _radiation(str(value))
        return f"mode = {word}" if word else ""
    if name == "composition":
        return f"composition = {value.strip()}" if isinstance(value, str) and value.strip() else ""
    number = _number(value)
    if number is None or (name == "temperature" and unit not in {"", "K", "kelvin"}):
        return ""
    _, length = length_unit(unit)
    return f"{name} = {number!r}" + (" nm" if length == "nm" and name in {"qmin", "qmax"} else "")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _radiation(text: str) -> str:
    low = text.lower()
    if re.search(r"x[\s_-]?ray|synchrotron", low):
        return "xray"
    return next((word for word in ("neutron", "electron") if word in low), "")


def _settings_lines(text: str) -> list[str]:
    """A program's settings kept as one text (INI or JSON) as lines."""
    parts = re.split(r"[\r\n]+", text) if not text.lstrip().startswith("{") else re.split(r"[\r\n{},]+", text)
    return [re.sub(r"[\"']", "", part).strip() for part in parts if part.strip()]


def _common(place: str, signal: str) -> str:
    """The deepest group that both paths are in."""
    shared = []
    for a, b in zip(place.strip("/").split("/"), signal.strip("/").split("/"), strict=False):
        if a != b or not a:
            break
        shared.append(a)
    return "/" + "/".join(shared)


def _branch(place: str, common: str) -> str:
    """The part of a path one step below the common group; '' where it ends there."""
    rest = place[len(common.rstrip("/")) :].strip("/")
    return f"{common.rstrip('/')}/{rest.split('/')[0]}" if rest else ""


def _within(path: str, group: str) -> bool:
    return path == group or path.startswith(f"{group}/")
