"""Divide a catalog: into the sets of a training, or by a column; as lists of ids, or as catalogs of their own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepstruc_hpc.catalog.copying import CopiedBlock, Piece, copied_block, copy_into, require_complete
from deepstruc_hpc.catalog.plan import LARGEST_BLOCK
from deepstruc_hpc.catalog.recipe import recipe_hash
from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.manifest import Manifest
from deepstruc_hpc.data.splits import SplitName, split_rows
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import building

SetFormat = Literal["lists", "stores"]
MOST_SETS = 100
"""A column with more values than this (a number, an id) makes no sets that anybody wants."""
LIST_COLUMNS = ("id", "structure_type", "formula", "n_atoms", "fingerprint")
_KINDS: tuple[SplitName, ...] = ("random", "shape")


@dataclass(frozen=True)
class SplitReport:
    """What a division did.

    Attributes:
        store: path or URL of the catalog.
        by: ``random``, ``shape`` or the column.
        sets: structures of each set.
        made: list or store of each set.
        content_hashes: of each store; empty for lists.
        seconds: of this call.
    """

    store: str
    by: str
    sets: Mapping[str, int]
    made: Mapping[str, str]
    content_hashes: Mapping[str, str]
    seconds: float

    def facts(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


def split_catalog(
    store: str | PathLike[str],
    out: str | PathLike[str],
    *,
    by: str = "shape",
    kind: SetFormat = "lists",
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> SplitReport:
    """Divide a catalog into sets.

    Args:
        store: path or URL.
        out: directory or URL under which ``SET.csv`` or ``SET.zarr`` is made. Stores of an interrupted call are completed by the same call.
        by: ``random`` or ``shape``: train, validation and test as a training divides them, with the same shares and seed; or a column: a set a value.
        kind: ``lists`` of ids with some columns, or ``stores``.
        validation: share, see :func:`deepstruc_hpc.data.splits.split_rows`.
        test: share.
        seed: of the division.
        workers: see :func:`deepstruc_hpc.catalog.over_blocks.over_blocks`.
        progress: show a bar on stderr.

    Raises:
        ConfigError: no such column, or too many values in it.
        StoreError: the catalog is not complete, or another catalog is in the place of a set.
    """
    started = time.perf_counter()
    catalog = Catalog.open(store)
    require_complete(catalog)
    sets = {name: rows for name, rows in _sets(catalog, by, validation, test, seed).items() if len(rows)}
    division = {"by": by, **({"validation": validation, "test": test, "seed": seed} if by in _KINDS else {})}
    made, hashes = {}, {}
    root = str(out).rstrip("/")
    if kind == "lists":
        made = _write_lists(catalog, sets, StoreFiles(root))
    else:
        for name, rows in sets.items():
            made[name] = f"{root}/{_file_name(name)}.zarr"
            hashes[name] = _write_store(catalog, name, rows, division, made[name], workers=workers, progress=progress)
    counts = {name: len(rows) for name, rows in sets.items()}
    return SplitReport(catalog.files.url, by, counts, made, hashes, round(time.perf_counter() - started, 3))


def _sets(catalog: Catalog, by: str, validation: float, test: float, seed: int) -> dict[str, NDArray[np.int64]]:
    """Rows of each set, ascending."""
    if by in _KINDS:
        rows = split_rows(
            catalog.query("", ["id", "fingerprint"]), "random" if by == "random" else "shape", validation=validation, test=test, seed=seed
        )
        return {"train": rows.train, "validation": rows.validation, "test": rows.test}
    if by not in catalog.column_names:
        raise ConfigError(f"--by {by}: neither random, shape nor a column. Columns: {', '.join(catalog.column_names)}.")
    values = catalog.query("", [by])[by]
    groups = {str(value): np.asarray(rows, dtype=np.int64) for value, rows in values.groupby(values, dropna=False).indices.items()}
    if len(groups) > MOST_SETS:
        raise ConfigError(
            f"--by {by}: {len(groups)} different values, which would be as many sets; at most {MOST_SETS}. Choose a column of few values."
        )
    names = [_file_name(name) for name in groups]
    if len(set(names)) < len(names):
        raise ConfigError(f"--by {by}: two values have the same file name ({max(names, key=names.count)}). Choose another column.")
    return groups


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", name) or "empty"


def _write_lists(catalog: Catalog, sets: Mapping[str, NDArray[np.int64]], out: StoreFiles) -> dict[str, str]:
    """One CSV a set."""
    frame: pd.DataFrame = catalog.query("", list(LIST_COLUMNS))
    keys = {name: f"{_file_name(name)}.csv" for name in sets}
    out.write({keys[name]: frame.iloc[rows].to_csv(index=False).encode() for name, rows in sets.items()})
    return {name: f"{out.url}/{key}" for name, key in keys.items()}


def _write_store(
    catalog: Catalog, name: str, rows: NDArray[np.int64], division: Mapping[str, Any], place: str, *, workers: int | None, progress: bool
) -> str:
    """A catalog of some rows; its recipes say of which catalog it is a part, and which. Returns its content hash."""
    of = {"catalog": catalog.id, "content": catalog.content_hash, "set": name, **division}
    recipes = tuple({**recipe, "name": f"{recipe.get('name')}, {name}", "part_of": of} for recipe in catalog.manifest.recipes)
    blocks = list(_blocks(catalog, rows))
    planned = Manifest(recipes, recipe_hash(list(recipes)), catalog.conditions, __version__, len(rows), len(blocks), n_settled=len(recipes))
    files = StoreFiles(place)
    with ExitStack() as stack:
        stack.enter_context(building(files))
        report = copy_into(files, planned, [catalog], blocks, workers=workers, label=f"writing {name}", progress=progress)
    return report.content_hash


def _blocks(catalog: Catalog, rows: NDArray[np.int64]) -> Iterator[CopiedBlock]:
    """The rows in blocks of about the size of the catalog's, in its order."""
    most = min(LARGEST_BLOCK, max(block.n_structures for block in catalog.blocks))
    ids = catalog.query("", ["id"])["id"].to_numpy()
    pieces: list[Piece] = []
    first = last = number = 0
    for block, places in catalog.by_block(rows):
        if pieces and last - first + len(places) > most:
            yield copied_block(f"00-{number:06d}", pieces, ids[rows[first:last]])
            pieces, first, number = [], last, number + 1
        pieces.append(Piece(0, block, rows[places] - catalog.starts[block]))
        last += len(places)
    yield copied_block(f"00-{number:06d}", pieces, ids[rows[first:last]])
