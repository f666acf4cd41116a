"""Grow a catalog by a recipe, and put catalogs together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.blocks import check_engine
from deepstruc_hpc.catalog.build import BuildReport, build_missing, check_found, report_of
from deepstruc_hpc.catalog.copying import CopiedBlock, Piece, copied_block, copy_into, require_complete
from deepstruc_hpc.catalog.plan import identity, make_plan
from deepstruc_hpc.catalog.recipe import Recipe, recipe_hash
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_block import read_block
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import id_numbers
from deepstruc_hpc.data.conditions import changed_conditions
from deepstruc_hpc.data.manifest import ROOT, Manifest
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import building

_NAMING = ("id", "fingerprint", "elements", "nn_distance")


def append_recipe(recipe: Recipe, store: str | PathLike[str], *, workers: int | None = None, progress: bool = True) -> BuildReport:
    """Add to a catalog what a second recipe asks for and the catalog does not hold yet. What is there keeps its place.

    Raises:
        StoreError: the store is incomplete, or its PDFs have other conditions.
        EngineError: the recipe's engine is not installed.
    """
    check_engine(recipe)
    files = StoreFiles(store)
    Manifest.read(files)  # before the lock, which would make a folder where there is none
    with ExitStack() as session, building(files):
        manifest = Manifest.read(files)
        if manifest.conditions != recipe.pdf:
            raise StoreError(
                f"{files.url}: its PDFs have other conditions than the recipe ({_differing(manifest, recipe)}). Give the recipe the same pdf: lines."
            )
        begun = len(manifest.recipes) > max(1, manifest.n_settled) and recipe_hash([manifest.recipes[-1]]) == recipe.id
        part = len(manifest.recipes) - begun
        earlier = manifest.without({block_id for block_id in manifest.blocks if int(block_id.split("-")[0]) >= part})
        if not begun and not manifest.complete:
            raise StoreError(f"{files.url}: not complete. Finish it first: deepstruc-hpc catalog build RECIPE --out {files.url}")
        plan = make_plan(recipe, part=part, excluded=_held(Catalog(files, earlier)), workers=workers, session=session, progress=progress)
        if not (begun or len(plan)):
            return report_of(files, manifest, frozenset(manifest.blocks), {}, 0.0)
        if not begun:
            recipes = (*manifest.recipes, {**recipe.content(), "name": recipe.name, "description": recipe.description})
            manifest = replace(
                manifest,
                recipes=recipes,
                recipe_hash=recipe_hash(list(recipes)),
                n_planned=manifest.n_planned + len(plan),
                n_blocks_planned=manifest.n_blocks_planned + plan.n_blocks,
            )
            files.write({ROOT: manifest.to_bytes()})
        check_found(files, manifest, plan)
        return build_missing(files, manifest, plan, workers=workers, progress=progress)


def merge_catalogs(
    stores: Sequence[str | PathLike[str]], out: str | PathLike[str], *, workers: int | None = None, progress: bool = True
) -> BuildReport:
    """Put catalogs with the same conditions into a new one; of a structure that several hold, the first is kept.

    Args:
        stores: paths or URLs.
        out: of the new catalog. A merge of the same catalogs that was interrupted goes on.
        workers: see :func:`deepstruc_hpc.catalog.over_blocks.over_blocks`.
        progress: show a bar on stderr.

    Raises:
        StoreError: other conditions, an incomplete catalog, or another catalog at ``out``.
    """
    catalogs = [Catalog.open(store) for store in stores]
    for catalog in catalogs:
        require_complete(catalog)
        if catalog.conditions != catalogs[0].conditions:
            raise StoreError(f"{catalog.files.url}: its PDFs have other conditions than those of {catalogs[0].files.url}. Build them under the same.")
    files = StoreFiles(out)
    with building(files):
        chosen = list(_first_of_each(catalogs))
        recipes = tuple(recipe for catalog in catalogs for recipe in catalog.manifest.recipes)
        total = sum(count for _, count in chosen)
        planned = Manifest(recipes, recipe_hash(list(recipes)), catalogs[0].conditions, __version__, total, len(chosen), n_settled=len(recipes))
        blocks = [block for block, _ in chosen]
        return copy_into(files, planned, catalogs, blocks, workers=workers, label="merging blocks", progress=progress)


def _held(catalog: Catalog) -> frozenset[str]:
    """All names by which the store's structures can be known again; a deleted one counts as held until its row is dropped."""
    deleted = []
    for number, block in enumerate(catalog.blocks):
        if block.n_deleted:
            columns = read_block(catalog.group(number), pdf=False, columns=_NAMING).taking(block.deleted_rows()).columns
            deleted += _named(*(columns[name] for name in _NAMING))
    return frozenset(name for names in [*_names(catalog), *deleted] for name in names)


def _names(catalog: Catalog) -> list[tuple[str, str]]:
    """Id and identity of each structure: see :func:`deepstruc_hpc.catalog.plan.identities`."""
    frame = catalog.query("", list(_NAMING))
    return _named(*(frame[name] for name in _NAMING))


def _named(ids: Iterable[str], marks: Iterable[str], elements: Iterable[str], distances: Iterable[float]) -> list[tuple[str, str]]:
    return [
        (name, identity(mark, "" if "-" in joined else joined, distance))
        for name, mark, joined, distance in zip(ids, marks, elements, distances, strict=True)
    ]


def _first_of_each(catalogs: Sequence[Catalog]) -> Iterator[tuple[CopiedBlock, int]]:
    """Block by block the rows of structures that no earlier catalog holds, and how many they are."""
    seen: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
    for part, catalog in enumerate(catalogs):
        names = _names(catalog)
        ids = np.array([name for name, _ in names], dtype=object)
        hashes = id_numbers([word for pair in names for word in pair])
        known: NDArray[np.bool_] = np.isin(hashes, seen).reshape(-1, 2)
        fresh = ~known[:, 0] & ~known[:, 1]
        for number, place in enumerate(catalog.block_slices()):
            rows = np.flatnonzero(fresh[place])
            if len(rows):
                yield copied_block(f"{part:02d}-{number:06d}", [Piece(part, number, rows)], ids[place][rows]), len(rows)
        seen = np.union1d(seen, hashes)


def _differing(manifest: Manifest, recipe: Recipe) -> str:
    return ", ".join(
        f"{key}: {stored} there, {given} in the recipe" for key, (stored, given) in changed_conditions(manifest.conditions, recipe.pdf).items()
    )
