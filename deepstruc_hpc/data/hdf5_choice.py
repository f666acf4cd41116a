"""Which datasets of an HDF5 file are taken as its curves: by name, by ``default``, by the user's path, else by shape; and what the errors say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import NoCurveError, PdfFileError
from deepstruc_hpc.data.hdf5_find import ORDER, SURE, Found, all_found, default_groups
from deepstruc_hpc.data.hdf5_tree import Node, Tree, opened
from deepstruc_hpc.data.pdf_checks import MIN_POINTS

_MOST_LOOKED_AT = 60
_LONGEST = 200_000
_KINDS = {
    "I(Q)": "I(Q), an intensity",
    "angle": "a powder pattern over an angle",
    "image": "images",
    "other": "curves over something that is neither r nor Q",
}
_EXPORT = "Export G(r) and solve that"
_ROW = re.compile(r"^(.*?)\[(\d+(?:\s*,\s*\d+)*)\]$")


def split_row(place: str) -> tuple[str, tuple[int, ...] | None]:
    """A dataset's path and the numbers of a curve in it: ``/entry/pdf[12]`` → ``/entry/pdf``, (12,)."""
    match = _ROW.match(place)
    return (match[1], tuple(int(number) for number in match[2].split(","))) if match else (place, None)


def chosen(path: Path, tree: Tree, place: str) -> list[Found]:
    """The datasets that hold the file's curves, or those at the user's path.

    Args:
        path: of the file.
        tree: of it.
        place: the path of a group or dataset inside; '' for the whole file.

    Raises:
        NoCurveError: nothing in it can be G(r).
        PdfFileError: nothing is at the path, or several things might be G(r).
    """
    every = all_found(tree)
    if place:
        every = _below(path, tree, every, place)
    usable = [one for one in every if one.function in ORDER and _has_axis(one)]
    if not usable:
        usable = _by_shape(path, tree, every, place)
    best = min((ORDER.index(one.function) for one in usable), default=0)
    same = [one for one in usable if ORDER.index(one.function) == best]
    if ORDER[best] in SURE or len(same) == 1:
        return same
    named = [one for one in same if one.signal.rsplit("/", 1)[0] in default_groups(tree)]
    if len(named) == 1:
        return named
    listed = ", ".join(f"{one.signal} {_size(one.shape)}" for one in same[:8]) + (" …" if len(same) > 8 else "")
    raise PdfFileError(f"{path}: {len(same)} datasets may be G(r), and no name says which: {listed}. Choose one: {path}::{same[0].signal}")


def _has_axis(one: Found) -> bool:
    return bool(one.axis or one.grid or one.field or one.column is not None)


def _below(path: Path, tree: Tree, every: list[Found], place: str) -> list[Found]:
    """What was found at or below a path that the user gave."""
    node = tree.nodes.get(place.rstrip("/") or "/")
    if node is None:
        raise PdfFileError(f"{path}: holds no dataset or group {place}. {_what_is_there(tree)}")
    if node.shape is None:
        return [one for one in every if one.signal.startswith(f"{node.path.rstrip('/')}/")]
    mine = [one for one in every if tree.same(one.signal) == tree.same(node.path)]
    taken = [
        replace(one, function="", note=f"'{node.path}' was taken as G(r) because it was chosen.") if one.function == "other" else one for one in mine
    ]
    if not mine and not (node.kind in ("number", "table") and node.shape):
        raise PdfFileError(f"{path}: {node.path} is not an array of numbers. {_what_is_there(tree)}")
    return taken


def _by_shape(path: Path, tree: Tree, every: list[Found], place: str) -> list[Found]:
    """The only pair of a rising dataset and a curve that swings about 0, where no name helps.

    Raises:
        NoCurveError: what the file holds instead.
        PdfFileError: several things might be G(r), or it has no r.
    """
    kinds = sorted({one.function for one in every if one.function in _KINDS and one.function != "other"}, key=list(_KINDS).index)
    if kinds:
        first = next(one for one in every if one.function == kinds[0])
        raise NoCurveError(f"{path}: holds {_KINDS[kinds[0]]} ({first.signal}, {_size(first.shape)}), not G(r). {_EXPORT}.")
    with opened(path) as handle:
        pairs = _pairs(handle, [node for node in tree.numeric() if node.kind == "number"], place)
    signals = {one.signal for one in pairs}
    if len(pairs) == 1:
        return pairs
    if len(signals) > 1 or len(pairs) > 1:
        listed = ", ".join(sorted(signals)[:8])
        raise PdfFileError(f"{path}: {len(pairs)} datasets may be G(r), and no name says which: {listed}. Choose one: {path}::{pairs[0].signal}")
    lonely = next((one for one in every if one.function in ORDER), None)
    if lonely is not None:
        raise PdfFileError(f"{path}: {lonely.signal} has no r: a dataset 'r' of its length is needed beside it. {_what_is_there(tree)}")
    raise NoCurveError(f"{path}: holds no G(r), F(Q) or S(Q). {_what_is_there(tree)}")


def _pairs(handle: Any, nodes: list[Node], place: str) -> list[Found]:
    """Datasets that may be curves with the rising dataset that may be their r."""
    nodes = [node for node in nodes if 1 <= len(node.shape or ()) <= 3][:_MOST_LOOKED_AT]
    rising = [node for node in nodes if len(node.shape or ()) == 1 and _rises(handle, node)]
    pairs = []
    for node in nodes:
        if node in rising or (place and node.path != place.rstrip("/") and not node.path.startswith(f"{place.rstrip('/')}/")):
            continue
        shape = node.shape or ()
        near = [axis for axis in rising if axis.parent == node.parent] or rising
        fitting = [(axis, d) for axis in near for d in reversed(range(len(shape))) if axis.shape == (shape[d],)]
        if len(fitting) >= 1 and _swings(handle[node.path], len(shape) - 1 - fitting[0][1]):
            note = f"No name says which dataset is G(r): '{node.path}' was taken, with '{fitting[0][0].path}' as r, by their shapes."
            pairs.append(Found(node.path, "", shape, axis=fitting[0][0].path, along=fitting[0][1], axis_kind="r", note=note))
        elif len(shape) == 2 and 2 <= min(shape) <= 4 and max(shape) >= MIN_POINTS:
            along = int(shape[1] > shape[0])
            table = np.asarray(handle[node.path][()], dtype=np.float64)
            columns = table if along == 0 else table.T
            if (np.diff(columns[:, 0]) > 0).all() and _both_signs(columns[:, 1]):
                note = f"No name says which dataset is G(r): the columns of '{node.path}' were taken as r and G(r)."
                pairs.append(Found(node.path, "", shape, column=1, along=along, axis_kind="r", note=note))
    return pairs


def _rises(handle: Any, node: Node) -> bool:
    length = (node.shape or (0,))[0]
    if not MIN_POINTS <= length <= _LONGEST:
        return False
    values = np.asarray(handle[node.path][()], dtype=np.float64)
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all() and values[0] >= 0)


def _swings(dataset: Any, from_last: int) -> bool:
    """Whether the first curve of a dataset has both signs, as a G(r) has and an intensity has not."""
    along = dataset.ndim - 1 - from_last
    first = tuple(slice(None) if number == along else 0 for number in range(dataset.ndim))
    return _both_signs(np.asarray(dataset[first], dtype=np.float64))


def _both_signs(values: np.ndarray) -> bool:
    values = values[np.isfinite(values)]
    return len(values) >= MIN_POINTS and min(float((values < 0).mean()), float((values > 0).mean())) > 0.1


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(length) for length in shape)


def _what_is_there(tree: Tree) -> str:
    found = [f"{node.path} ({_size(node.shape or ())})" for node in tree.numeric()]
    lost = f" Links that lead nowhere: {', '.join(tree.dangling[:4])}." if tree.dangling else ""
    if not found:
        return f"There are no arrays of numbers in it.{lost}"
    return f"Its arrays of numbers: {', '.join(found[:8])}{f' and {len(found) - 8} more' if len(found) > 8 else ''}.{lost}"
