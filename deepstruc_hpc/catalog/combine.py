"""Grow a catalog by a recipe, put catalogs together, and say how two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2b
from os import PathLike
from typing import Any

import numpy as np

from deepstruc_hpc.catalog.blocks import check_engine
from deepstruc_hpc.catalog.build import BuildReport, build_missing, building, check_found, finish, report_of
from deepstruc_hpc.catalog.plan import identity, make_plan
from deepstruc_hpc.catalog.recipe import Recipe, recipe_hash
from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_block import BlockContent
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_table import CatalogTable
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import ROOT, Manifest, create_store, write_block
from deepstruc_hpc.data.store_files import StoreFiles


def append_recipe(recipe: Recipe, store: str | PathLike[str], *, workers: int | None = None, progress: bool = True) -> BuildReport:
    """Add to a catalog what a second recipe asks for and the catalog does not hold yet. What is there keeps its place.

    Raises:
        StoreError: the store is incomplete, or its PDFs have other conditions.
        EngineError: the recipe's engine is not installed.
    """
    check_engine(recipe)
    files = StoreFiles(store)
    manifest = Manifest.read(files)
    with ExitStack() as session, building(files):
        if manifest.conditions != recipe.pdf:
            raise StoreError(
                f"{files.url}: its PDFs have other conditions than the recipe ({_differing(manifest, recipe)}). Give the recipe the same pdf: lines."
            )
        begun = len(manifest.recipes) > 1 and recipe_hash([manifest.recipes[-1]]) == recipe.id
        part = len(manifest.recipes) - begun
        earlier = manifest.without({block_id for block_id in manifest.blocks if int(block_id.split("-")[0]) >= part})
        if not begun and not manifest.complete:
            raise StoreError(f"{files.url}: not complete. Finish it first: deepstruc-hpc catalog build RECIPE --out {files.url}")
        plan = make_plan(recipe, part=part, excluded=_held(files, earlier), workers=workers, session=session, progress=progress)
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


def merge_catalogs(stores: Sequence[str | PathLike[str]], out: str | PathLike[str]) -> BuildReport:
    """Put catalogs with the same conditions into a new one; of a structure that several hold, the first is kept.

    Raises:
        StoreError: other conditions, an incomplete catalog, or another catalog at ``out``.
    """
    catalogs = [Catalog.open(store) for store in stores]
    for catalog in catalogs:
        if not catalog.complete:
            raise StoreError(f"{catalog.files.url}: not complete. Finish its build first.")
        if catalog.conditions != catalogs[0].conditions:
            raise StoreError(f"{catalog.files.url}: its PDFs have other conditions than those of {catalogs[0].files.url}. Build them under the same.")
    files = StoreFiles(out)
    with building(files):
        chosen = list(_first_of_each(catalogs))
        recipes = tuple(recipe for catalog in catalogs for recipe in catalog.manifest.recipes)
        planned = Manifest(
            recipes, recipe_hash(list(recipes)), catalogs[0].conditions, __version__, sum(len(rows) for *_, rows in chosen), len(chosen)
        )
        manifest = _existing(files, planned)
        found = frozenset(manifest.blocks)
        for block_id, catalog, number, rows in chosen:
            if block_id in manifest.blocks:
                continue
            content = take_rows(catalog.read_block(number), rows)
            entry = write_block(files, block_id, content, nonce="merged", parameters=catalog.blocks[number].parameters)
            manifest = manifest.with_block(entry)
            files.write({ROOT: manifest.to_bytes()})
        finish(files, manifest)
        return report_of(files, manifest, found, {}, 0.0)


def take_rows(content: BlockContent, rows: np.ndarray[Any, np.dtype[np.int64]]) -> BlockContent:
    """Some structures of a block."""
    if len(rows) == len(content):
        return content
    lengths = np.diff(content.offsets)[rows]
    atoms = np.concatenate([np.arange(content.offsets[row], content.offsets[row + 1]) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns = {name: values[rows] for name, values in content.columns.items()}
    return BlockContent(content.positions[atoms], content.species[atoms], offsets, content.pdf[rows], columns)


def difference(first: Catalog, second: Catalog) -> dict[str, Any]:
    """Structures that only one of two catalogs holds, by structure type, and other differences."""
    tables = [catalog.table.rows(["id", "structure_type"]).set_index("id")["structure_type"] for catalog in (first, second)]
    only = [tables[one].drop(index=tables[one].index.intersection(tables[1 - one].index)) for one in (0, 1)]
    changed = {key: f"{one} / {other}" for key, (one, other) in _changed(first.conditions, second.conditions).items()}
    return {
        "same_content": first.content_hash == second.content_hash,
        "same_recipe": first.id == second.id,
        "in_both": len(tables[0].index.intersection(tables[1].index)),
        "only_in_first": len(only[0]),
        "only_in_second": len(only[1]),
        "only_in_first_by_type": dict(Counter(only[0]).most_common()),
        "only_in_second_by_type": dict(Counter(only[1]).most_common()),
        "conditions": changed,
    }


def _held(files: StoreFiles, manifest: Manifest) -> frozenset[str]:
    """All names by which the store's structures can be known again."""
    return frozenset(name for names in _names(files, manifest) for name in names)


def _names(files: StoreFiles, manifest: Manifest) -> list[tuple[str, str]]:
    """Id and identity of each structure: see :func:`deepstruc_hpc.catalog.plan.identities`."""
    frame = CatalogTable(files, manifest).rows(["id", "fingerprint", "elements", "nn_distance"])
    columns = (frame[name] for name in ("id", "fingerprint", "elements", "nn_distance"))
    return [(name, identity(mark, "" if "-" in joined else joined, distance)) for name, mark, joined, distance in zip(*columns, strict=True)]


def _first_of_each(catalogs: Sequence[Catalog]) -> Iterator[tuple[str, Catalog, int, np.ndarray[Any, np.dtype[np.int64]]]]:
    """Block by block the rows of structures that no earlier catalog holds."""
    seen: set[str] = set()
    for part, catalog in enumerate(catalogs):
        names = _names(catalog.files, catalog.manifest)
        for number, place in enumerate(catalog.block_slices()):
            rows = np.array([row for row, pair in enumerate(names[place]) if seen.isdisjoint(pair)], dtype=np.int64)
            if len(rows):
                digest = blake2b("".join(names[place][row][0] for row in rows).encode(), digest_size=6).hexdigest()
                yield f"{part:02d}-{number:06d}-{digest}", catalog, number, rows
        seen.update(name for pair in names for name in pair)


def _existing(files: StoreFiles, planned: Manifest) -> Manifest:
    """The manifest of an earlier merge of the same catalogs, or a new store."""
    if not files.exists(ROOT):
        create_store(files, planned)
        return planned
    manifest = Manifest.read(files)
    if (manifest.recipe_hash, manifest.n_planned) != (planned.recipe_hash, planned.n_planned):
        raise StoreError(f"{files.url}: holds another catalog. Choose another --out.")
    return manifest


def _differing(manifest: Manifest, recipe: Recipe) -> str:
    return ", ".join(f"{key}: {stored} there, {given} in the recipe" for key, (stored, given) in _changed(manifest.conditions, recipe.pdf).items())


def _changed(first: PdfConditions, second: PdfConditions) -> dict[str, tuple[Any, Any]]:
    """The keys in which two sets of conditions differ, with both values; a serialised set may lack a key that has its default."""
    pairs = {key: (getattr(first, key), getattr(second, key)) for key in PdfConditions.model_fields}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
