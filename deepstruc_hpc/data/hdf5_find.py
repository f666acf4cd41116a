"""Where the curves of an HDF5 file are: NXdata groups, datasets with plain names, tables, and what is none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from deepstruc_hpc.data.hdf5_tree import Node, Tree
from deepstruc_hpc.data.hdf5_words import ERROR_ENDINGS, ERROR_NAMES, axis_of, density_unit, function_of, is_neutral, plain
from deepstruc_hpc.data.pdf_checks import MIN_POINTS

ORDER = ("G(r)", "D(r)", "T(r)", "g(r) − 1", "RDF", "", "calculated", "F(Q)", "S(Q)", "?(Q)")
"""What is taken where a file holds several functions: '' is a function of r that has no name, ``?(Q)`` one of Q."""
SURE = ("G(r)", "D(r)", "T(r)", "g(r) − 1", "RDF", "F(Q)", "S(Q)")
_LARGEST_TABLE = 8


@dataclass(frozen=True)
class Found:
    """One dataset with one or more curves.

    Attributes:
        signal: its path.
        field: of a table, '' elsewhere.
        column: of a dataset of columns (R, 2 …) or rows (2 …, R) with r first, None elsewhere.
        function: one of :data:`ORDER`, or ``I(Q)``, ``angle``, ``image``.
        label: the name that said so, as written.
        axis: path of r or Q; '' where it is in the dataset itself or given by ``grid``.
        axis_field: of a table.
        grid: first value and step of r, from attributes, else None.
        along: the dimension of r or Q.
        shape: of the signal.
        errors: path (or field) of the uncertainties, '' where there are none.
        axis_kind, axis_unit, unit: ``r`` or ``q``, its unit of length, the unit of length in the signal's.
        note: what was guessed.
    """

    signal: str
    function: str
    shape: tuple[int, ...]
    field: str = ""
    column: int | None = None
    label: str = ""
    axis: str = ""
    axis_field: str = ""
    grid: tuple[float, float] | None = None
    along: int = 0
    errors: str = ""
    axis_kind: str = "r"
    axis_unit: str = ""
    unit: str = ""
    note: str = ""

    @property
    def others(self) -> tuple[int, ...]:
        """The lengths of the dimensions that count curves; empty where the dataset is one curve."""
        if self.field or self.column is not None:
            return ()
        return tuple(length for number, length in enumerate(self.shape) if number != self.along)

    @property
    def count(self) -> int:
        """How many curves it holds."""
        return math.prod(self.others)


def all_found(tree: Tree) -> list[Found]:
    """Every dataset that is, or might be taken for, a curve: NXdata first; each dataset once."""
    found: dict[tuple[str, str], Found] = {}
    for one in (*_of_nxdata(tree), *_of_names(tree)):
        found.setdefault((tree.same(one.signal), one.field), one)
    return list(found.values())


def default_groups(tree: Tree) -> set[str]:
    """The NXdata groups that the attributes ``default`` lead to, from the root and from each entry."""
    starts = ["/"] if tree.nodes["/"].text("default") else [node.path for node in tree.children("/") if node.text("default")]
    found = set()
    for start in starts:
        place = start
        for _ in range(12):
            name = tree.nodes[place].text("default") if place in tree.nodes else ""
            if not name:
                break
            place = name if name.startswith("/") else f"{place.rstrip('/')}/{name}"
        found.add(place)
    return found


def _of_nxdata(tree: Tree) -> Iterator[Found]:
    for group in [node for node in tree.nodes.values() if node.shape is None]:
        below = {node.name: node for node in tree.children(group.path) if node.shape is not None}
        marked = [name for name, node in below.items() if str(node.attributes.get("signal", "")) in {"1", "1.0"}]
        signal = group.text("signal") or (marked[0] if marked else "")
        if not signal and group.text("NX_class") == "NXdata":
            signal = next((name for name in ("data", group.name) if name in below), "")
        more = group.attributes.get("auxiliary_signals") or []
        for name in (signal, *([more] if isinstance(more, str) else more)):
            if name in below and below[name].kind == "number" and below[name].shape:
                yield _signal(tree, group, below, below[name])


def _signal(tree: Tree, group: Node, below: dict[str, Node], signal: Node) -> Found:
    """One signal of an NXdata group with its axis."""
    shape = signal.shape or ()
    axis, along = _declared_axis(group, below, signal)
    names = [signal.text("long_name"), signal.name, group.name, group.text("title"), _title(below)]
    found = Found(signal.path, "", shape, along=along, errors=_errors(below, signal), unit=density_unit(signal.text("units", "unit")))
    found = found if axis is None else _with_axis(found, axis)
    if axis is None:
        found = _near_axis(tree, signal, found, "")
    return _named(found, names, interpretation=signal.text("interpretation"))


def _title(below: dict[str, Node]) -> str:
    node = below.get("title")
    return node.value if node is not None and isinstance(node.value, str) else ""


def _declared_axis(group: Node, below: dict[str, Node], signal: Node) -> tuple[Node | None, int]:
    """The dataset of r or Q among the axes that the group or the signal names, and its dimension in the signal."""
    shape = signal.shape or ()
    named = group.attributes.get("axes") or signal.attributes.get("axes") or [name for name, node in below.items() if "axis" in node.attributes]
    names = re.split(r"[:,\s]+", named.strip("[]() ")) if isinstance(named, str) else [str(name) for name in named]
    choices = []
    for number, name in enumerate(names):
        node = below.get(name.strip("\"'"))
        if node is None or not node.shape or node.path == signal.path:
            continue
        named = group.attributes.get(f"{node.name}_indices")
        place = named if isinstance(named, int) else number if len(names) == len(shape) else len(shape) - 1
        length = node.shape[-1]
        if not (0 <= place < len(shape) and abs(length - shape[place]) <= 1):
            place = next((d for d in reversed(range(len(shape))) if shape[d] == length), -1)
        if place >= 0:
            choices.append((axis_of(node.name, node.text("units", "unit"))[0] not in {"r", "q"}, -place, node))
    if not choices:
        return None, max(len(shape) - 1, 0)
    _, place, node = min(choices, key=lambda choice: choice[:2])
    return node, -place


def _with_axis(found: Found, axis: Node) -> Found:
    kind, unit = axis_of(axis.name, axis.text("units", "unit"))
    if not kind:
        kind, unit = axis_of(plain(axis.text("long_name")) and re.split(r"[\s(\[/,]", axis.text("long_name"))[0], axis.text("units", "unit"))
    return replace(found, axis=axis.path, axis_kind=kind or "unknown", axis_unit=unit)


def _named(found: Found, names: list[str], interpretation: str = "") -> Found:
    """The function of a dataset from names and from the kind of its axis."""
    function, label = function_of(name for name in names if name)
    of_q = function in {"F(Q)", "S(Q)", "I(Q)"}
    if found.axis_kind == "angle":
        function = "angle"
    elif (interpretation == "image" and not function) or _is_image(found, function):
        function = "image"
    elif found.axis_kind == "other":
        function = "other"
    elif found.axis_kind == "q" and not of_q:
        function, label = "?(Q)", ""
    elif found.axis_kind == "r" and of_q:
        function, label = "", ""
    elif found.axis_kind == "unknown" and not function:
        function = "other"
    return replace(found, function=function, label=label)


def _is_image(found: Found, function: str) -> bool:
    no_axis = not (found.axis or found.grid)
    return no_axis and not function and len(found.shape) >= 2 and min(found.shape[-2:]) > 64


def _errors(below: dict[str, Node], signal: Node) -> str:
    """The path of the uncertainties of a signal: the same shape, or its last dimension."""
    names = [f"{signal.name}{ending}" for ending in ERROR_ENDINGS] + [signal.text("uncertainties"), f"d{signal.name}", f"d_{signal.name}"]
    named = [below[name] for name in names if name in below]
    known = {plain(name) for name in ERROR_NAMES}
    for node in (*named, *(node for node in below.values() if plain(node.name) in known)):
        if node.kind == "number" and node.path != signal.path and node.shape in (signal.shape, (signal.shape or (0,))[-1:]):
            return node.path
    return ""


def _of_names(tree: Tree) -> Iterator[Found]:
    """Datasets outside NXdata, by their own names or those of their groups; tables with fields; columns."""
    for node in tree.numeric():
        if node.kind == "table":
            yield from _fields(node)
            continue
        function, _ = function_of(_names_of(node))
        shape = node.shape or ()
        if not function:
            if len(shape) >= 2 and min(shape[-2:]) > 64:
                yield Found(node.path, "image", shape, axis_kind="")
            continue
        below = {child.name: child for child in tree.children(node.parent) if child.shape is not None}
        found = Found(node.path, "", shape, errors=_errors(below, node), unit=density_unit(node.text("units", "unit")), along=len(shape) - 1)
        found = _near_axis(tree, node, found, function)
        if found.axis or found.grid is not None or found.column is not None or function in {"G(r)", "I(Q)"}:
            yield _named(found, _names_of(node))


def _names_of(node: Node) -> list[str]:
    group = node.parent.rsplit("/", 1)[-1]
    return [node.text("long_name"), node.name, *([group] if is_neutral(node.name) else [])]


def _near_axis(tree: Tree, node: Node, found: Found, function: str) -> Found:
    """The axis (r or Q): a dataset of that name and length beside the signal, else in the groups above; from attributes; the first column."""
    wanted = "q" if function in {"F(Q)", "S(Q)", "I(Q)"} else "r"
    shape, place = node.shape or (), node.parent
    while True:
        near = [one for one in tree.children(place) if one.kind == "number" and one.shape and one.path != node.path]
        for kind in (wanted, "q" if wanted == "r" else "r"):
            for axis in (one for one in near if axis_of(one.name, one.text("units", "unit"))[0] == kind):
                along = next((d for d in reversed(range(len(shape))) if axis.shape in ((shape[d],), (shape[d] + 1,), shape)), None)
                if along is not None:
                    return _with_axis(replace(found, along=len(shape) - 1 if axis.shape == shape else along), axis)
        if place == "/":
            break
        place = place.rsplit("/", 1)[0] or "/"
    for owner in (node, tree.nodes.get(node.parent, node)):
        numbers = {plain(key): value for key, value in owner.attributes.items() if isinstance(value, int | float)}
        step, first = numbers.get("rstep", numbers.get("dr")), numbers.get("rmin", numbers.get("r0"))
        if step and first is not None:
            return replace(found, grid=(float(first), float(step)), axis_kind="r")
    if len(shape) == 2 and 2 <= min(shape) <= _LARGEST_TABLE and max(shape) >= MIN_POINTS:
        return replace(found, column=1, along=int(shape[1] > shape[0]), axis_kind=wanted, errors="")
    return replace(found, axis_kind="unknown")


def _fields(node: Node) -> Iterator[Found]:
    """Curves of a table with named fields: r (or Q) and each function."""
    axis = next((name for name in node.fields if axis_of(name, "")[0] in {"r", "q"}), "")
    if not axis:
        return
    kind, unit = axis_of(axis, "")
    error = next((name for name in node.fields if plain(name) in {plain(word) for word in ERROR_NAMES}), "")
    for name in node.fields:
        if name not in {axis, error} and function_of([name])[0]:
            own = Found(node.path, "", node.shape or (), field=name, axis_field=axis, errors=error, axis_kind=kind, axis_unit=unit)
            yield _named(own, [name])
