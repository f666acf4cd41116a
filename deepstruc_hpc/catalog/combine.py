"""Grow a catalog by a recipe, and put catalogs together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.catalog.blocks import check_engine
from deepstruc_hpc.catalog.build import BuildReport, build_missing, check_found, report_of, shelf_of
from deepstruc_hpc.catalog.copying import CopiedBlock, Piece, copied_block, copy_into, require_complete
from deepstruc_hpc.catalog.held import NAMING, is_among, name_numbers, without_held
from deepstruc_hpc.catalog.plan import make_plan
from deepstruc_hpc.catalog.recipe import Recipe, recipe_hash
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_index import parts_of, read_part
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.conditions import changed_conditions
from deepstruc_hpc.data.manifest import ROOT, Manifest
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import building


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
        shelf = shelf_of(files, recipe)
        plan = make_plan(recipe, part=part, workers=workers, session=session, progress=progress, shelf=shelf)
        plan = without_held(files, earlier, plan, shelf, workers=workers, progress=progress)
        if not (begun or len(plan)):
            files.delete(shelf.folder)
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


def _first_of_each(catalogs: Sequence[Catalog]) -> Iterator[tuple[CopiedBlock, int]]:
    """Block by block the rows of structures that no earlier catalog holds, and how many they are. Names are held as numbers, 16 bytes a structure."""
    seen: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
    for place, catalog in enumerate(catalogs):
        own: list[NDArray[np.uint64]] = []
        number = 0
        for part in parts_of(catalog.manifest):
            table = read_part(catalog.files, part, NAMING)
            numbers, ids = name_numbers(table), np.array(table["id"].to_pylist(), dtype=object)
            known = np.logical_or.reduce(is_among(numbers, seen), axis=1)
            start = 0
            own.append(numbers.ravel())
            for block in part.blocks:
                rows = np.flatnonzero(~known[start : start + block.n_structures])
                if len(rows):
                    yield copied_block(f"{place:02d}-{number:06d}", [Piece(place, number, rows)], ids[start + rows]), len(rows)
                start, number = start + block.n_structures, number + 1
        seen = np.union1d(seen, np.concatenate(own)) if own else seen


def _differing(manifest: Manifest, recipe: Recipe) -> str:
    return ", ".join(
        f"{key}: {stored} there, {given} in the recipe" for key, (stored, given) in changed_conditions(manifest.conditions, recipe.pdf).items()
    )
