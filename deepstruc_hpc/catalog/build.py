"""Build a catalog: what of the plan is not in the store yet is made by actors and named in the manifest by this process."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from typing import Any

from deepstruc_hpc.catalog.blocks import BlockBuilder, check_engine
from deepstruc_hpc.catalog.card import CARD, write_card
from deepstruc_hpc.catalog.over_blocks import SECONDS_ALONE
from deepstruc_hpc.catalog.plan import Plan, make_plan
from deepstruc_hpc.catalog.recipe import Recipe
from deepstruc_hpc.catalog.recovery import recovered
from deepstruc_hpc.catalog.shapes import ShapeFiles
from deepstruc_hpc.catalog.tickets import TicketBuilder, TicketQueue, ticket_seconds
from deepstruc_hpc.core.errors import OutputError, StoreError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_index import IndexPart, block_key, missing_parts, write_index, write_part
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.catalog_verify import verify
from deepstruc_hpc.data.leftovers import derived_leftovers, leftovers
from deepstruc_hpc.data.manifest import ROOT, Manifest, create_store, write_skeleton
from deepstruc_hpc.data.manifest_writer import ManifestWriter
from deepstruc_hpc.data.schema import BLOCKS, INDEX, PLAN
from deepstruc_hpc.data.store_files import StoreFiles, writing
from deepstruc_hpc.data.store_lock import LOCK, building
from deepstruc_hpc.runtime.pool import ItemFailure, map_over_actors
from deepstruc_hpc.runtime.progress import no_bar, progress_bar
from deepstruc_hpc.runtime.ray_session import ray_session

PARTS_TO_SHARE = 4
"""So many parts of the index are joined by actors: a part takes two seconds, and an actor as long to start."""

_OURS = {ROOT, "r", BLOCKS, INDEX, PLAN, LOCK}


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        store: path or URL.
        recipe_hash: the catalog's id.
        content_hash: of all that is stored now.
        n_structures: in the store now.
        n_planned: that the recipe asks for, without those that were deleted since.
        n_blocks: in the store now.
        n_built: blocks made by this call.
        n_found: blocks that were there.
        n_new: structures made by this call.
        n_bytes: size of all blocks.
        seconds: of this call, without the start of Ray.
        failed: block id and reason of each block that could not be made.
    """

    store: str
    recipe_hash: str
    content_hash: str
    n_structures: int
    n_planned: int
    n_blocks: int
    n_built: int
    n_found: int
    n_new: int
    n_bytes: int
    seconds: float
    failed: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """True when nothing is missing."""
        return not self.failed and self.n_structures == self.n_planned

    def facts(self) -> dict[str, Any]:
        """The report as plain values, with the rate of this call."""
        rate = round(self.n_new / self.seconds, 1) if self.seconds and self.n_new else 0.0
        return {**asdict(self), "complete": self.complete, "structures_a_second": rate}


def build_catalog(
    recipe: Recipe,
    out: str | PathLike[str],
    *,
    workers: int | None = None,
    limit: int | None = None,
    progress: bool = True,
    repair: bool = False,
) -> BuildReport:
    """Build a recipe into a store, or what is missing of it there.

    Args:
        recipe: see :func:`deepstruc_hpc.catalog.recipe.load_recipe`.
        out: directory or URL.
        workers: actors; None for one a core, 0 for this process without Ray.
        limit: replaces the recipe's limit (another catalog, then).
        progress: show a bar on stderr.
        repair: check what is there first and make damaged blocks again.

    Raises:
        RecipeError: no structures.
        StoreError: the store holds another recipe, or something else is there.
        OutputError: the store cannot be written. What the manifest names is whole, and a second call goes on.
        EngineError: the recipe's engine is not installed.
    """
    check_engine(recipe)
    if limit is not None:
        recipe = recipe.updated(limit=limit)
    files = StoreFiles(out)
    if not files.exists(ROOT):
        _refuse_foreign(files)
    with ExitStack() as session:
        session.enter_context(building(files))
        plan = make_plan(recipe, workers=workers, session=session, progress=progress, shelf=shelf_of(files, recipe))
        manifest = open_or_create(files, plan)
        if repair:
            manifest = forget_damaged(files, manifest)
        return build_missing(files, manifest, plan, workers=workers, progress=progress)


def build_missing(files: StoreFiles, manifest: Manifest, plan: Plan, *, workers: int | None, progress: bool) -> BuildReport:
    """Make the blocks of a plan that the manifest does not name, and the index at the end.

    With ``workers`` None the first seconds of the work are done in this process: what is through then needs no actors.
    """
    named, manifest = manifest, recovered(files, manifest, plan)
    found = frozenset(manifest.blocks)
    failed: dict[str, str] = {}
    remove_orphans(files, manifest)
    started = time.perf_counter()
    alone_s = {None: SECONDS_ALONE, 0: math.inf}.get(workers, 0.0)
    with ExitStack() as stack:
        writer = ManifestWriter(files, named)
        with closing(writer):
            if manifest is not named:
                writer.put(manifest)
            _alone(files, plan, writer, failed, alone_s, strict=workers == 0, progress=progress)
            pending = plan.n_blocks - len(plan.numbers_of([*writer.manifest.blocks, *failed]))
            if pending and workers != 0:
                before = time.perf_counter()
                session = stack.enter_context(ray_session(workers))
                workers = min(pending, workers or max(1, int(session.cpus)))
                started += time.perf_counter() - before
                _shared_out(files, plan, writer, failed, workers, progress=progress)
            else:
                workers = 0
        finish(files, writer.manifest, workers=workers)
    return report_of(files, writer.manifest, found, failed, time.perf_counter() - started)


def _alone(files: StoreFiles, plan: Plan, writer: ManifestWriter, failed: dict[str, str], seconds: float, *, strict: bool, progress: bool) -> None:
    """Make missing blocks in this process until so many seconds have passed.

    With ``strict`` an error goes on to the caller; else the block is noted as failed, as of an actor.
    """
    missing = plan.missing(writer.manifest.blocks)
    if not missing or seconds <= 0.0:
        return
    build, began = BlockBuilder(files.url, writer.manifest.conditions), time.monotonic()
    with (progress_bar if progress else no_bar)("building blocks", sum(len(run) for run in missing)) as bar:
        for number in (number for run in missing for number in run):
            try:
                writer.add(build(plan.block(number)))
            except Exception as error:
                if strict or isinstance(error, OutputError):
                    raise
                failed[plan.block_id(number)] = str(ItemFailure(error, 1, died=False))
            bar.advance()
            if time.monotonic() - began > seconds:
                return


def _shared_out(files: StoreFiles, plan: Plan, writer: ManifestWriter, failed: dict[str, str], workers: int, *, progress: bool) -> None:
    """Make all missing blocks by actors."""
    seconds = ticket_seconds(workers)
    queue = TicketQueue(plan, [*writer.manifest.blocks, *failed], workers, seconds)
    make_worker = partial(TicketBuilder, files.url, writer.manifest.conditions, plan.reader(shelf_of(files, plan.recipe)), seconds)
    with (progress_bar if progress else no_bar)("building blocks", queue.n_left) as bar:
        for ticket, outcome in map_over_actors(make_worker, queue, workers=workers, retries=0):
            bar.advance(queue.take(ticket, outcome, writer, failed))


class PartWriter:
    """What an actor holds that joins the columns of blocks: the store."""

    def __init__(self, store: str) -> None:
        self._files = StoreFiles(store)

    def __call__(self, item: IndexPart) -> None:
        """Write one part of the index."""
        write_part(self._files, item)


def shelf_of(files: StoreFiles, recipe: Recipe) -> ShapeFiles:
    """Where the shapes of a recipe lie while it is built."""
    return ShapeFiles(files, f"{PLAN}/{recipe.id[:16]}")


def open_or_create(files: StoreFiles, plan: Plan) -> Manifest:
    """The manifest of the store, which is made where there is none.

    Raises:
        StoreError: the store is another recipe's, or another program's.
    """
    recipe = plan.recipe
    if not files.exists(ROOT):
        _refuse_foreign(files)
        recipes = ({**recipe.content(), "name": recipe.name, "description": recipe.description},)
        manifest = Manifest(recipes, recipe.id, recipe.pdf, __version__, len(plan), plan.n_blocks)
        create_store(files, manifest)
    else:
        manifest = Manifest.read(files)
    if manifest.recipe_hash != recipe.id:
        raise StoreError(f"{files.url}: holds another recipe ({_difference(manifest, recipe)}). Choose another --out, or remove the store.")
    if manifest.n_settled:
        raise StoreError(
            f"{files.url}: was merged, split or compacted, so its blocks are no longer those of the recipe. To mend a damaged block, make the store "
            "anew with another --out."
        )
    check_found(files, manifest, plan)
    return manifest


def check_found(files: StoreFiles, manifest: Manifest, plan: Plan) -> None:
    """Refuse to go on where a block is not one of the plan: another version of the program listed other shapes.

    The ids of blocks say which structures they hold, but each takes the ids of all of them. So a store keeps the digest of its plan: where it is
    that of this plan, the sizes of all blocks and the ids of the first and the last are compared; elsewhere all ids.

    Raises:
        StoreError: naming a block.
    """
    found, key = plan.numbers_of(manifest.blocks), f"{PLAN}/{plan.part:02d}.json"
    known = files.exists(key) and json.loads(files.read(key)).get("digest") == plan.digest()
    named = set(found.values())
    strange = [block_id for block_id in manifest.blocks if block_id not in named and int(block_id.split("-")[0]) >= plan.part]
    sizes = {name: manifest.blocks[name].n_structures + manifest.blocks[name].n_deleted for name in named}
    strange += [name for number, name in found.items() if number >= plan.n_blocks or sizes[name] != plan.size_of(number)]
    numbers = sorted(found)
    compared = {*numbers[:1], *numbers[-1:]} if known else numbers
    if not strange:
        strange = [found[number] for number in compared if plan.block_id(number) != found[number]]
    if strange:
        raise StoreError(
            f"{files.url}: block {min(strange)} is not in the plan of this recipe: the store was made by version {manifest.code_version}, with other "
            "shapes. Choose another --out and build anew."
        )
    if not known:
        files.write({key: json.dumps({"recipe_hash": plan.recipe.id, "n_structures": len(plan), "digest": plan.digest()}).encode()})


def finish(files: StoreFiles, manifest: Manifest, *, workers: int = 0) -> None:
    """Write what is derived from the blocks, the index of columns and the card, where it is not that of this state, and drop what is not needed now.

    Args:
        files: the store.
        manifest: its state.
        workers: actors that join the parts of the index, where there are some; a Ray session is open then. 0 for this process alone.
    """
    missing = missing_parts(files, manifest)
    if workers > 1 and len(missing) >= PARTS_TO_SHARE:
        for _, outcome in map_over_actors(partial(PartWriter, files.url), missing, workers=min(workers, len(missing))):
            if isinstance(outcome, ItemFailure) and isinstance(outcome.error, OutputError):
                raise outcome.error
    if missing or not files.exists(CARD):
        write_index(files, manifest)  # also what an actor could not
        write_card(Catalog(files, manifest))
    with writing(files.url):
        for path in derived_leftovers(files, manifest):
            files.delete(path)


def forget_damaged(files: StoreFiles, manifest: Manifest) -> Manifest:
    """Take every block that fails a check out of the manifest, so that it is made again."""
    faults = verify(Catalog(files, manifest))
    if not faults:
        return manifest
    for name in {fault.block for fault in faults} & set(manifest.blocks):
        files.delete(block_key(manifest.blocks[name]))
    sound = manifest.without({fault.block for fault in faults})
    write_skeleton(files, sound)
    files.write({ROOT: sound.to_bytes()})
    return sound


def remove_orphans(files: StoreFiles, manifest: Manifest) -> None:
    """Delete what no state of the store needs: what killed builds left."""
    with writing(files.url):
        for path in leftovers(files, manifest):
            files.delete(path)


def _refuse_foreign(files: StoreFiles) -> None:
    if not files.is_local or not files.path.exists():
        return
    strange = sorted(path.name for path in files.path.iterdir() if path.name not in _OURS and not path.name.startswith("."))
    if strange:
        raise StoreError(f"{files.url}: not empty, and no catalog ({strange[0]} is there). Choose an empty or a new directory for --out.")


def _difference(manifest: Manifest, recipe: Recipe) -> str:
    """The first settings in which the stored recipe and the given one differ."""
    stored, given = manifest.recipes[0], recipe.content()
    if len(manifest.recipes) > 1:
        return f"{len(manifest.recipes)} recipes, the last one appended"
    differing = [key for key in given if stored.get(key) != given[key]]
    if not differing:
        return f"made with other settings of recipe {stored.get('name')}"
    shown = [f"{key}: {_short(stored.get(key))} there, {_short(given[key])} asked for" for key in differing[:2]]
    return "; ".join(shown) + (f"; {len(differing) - 2} more" if len(differing) > 2 else "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def report_of(files: StoreFiles, manifest: Manifest, found: frozenset[str], failed: Mapping[str, str], seconds: float) -> BuildReport:
    """What a call did, from the state it left and the blocks that were there before it."""
    blocks = manifest.blocks.values()
    return BuildReport(
        store=files.url,
        recipe_hash=manifest.recipe_hash,
        content_hash=manifest.content_hash,
        n_structures=sum(block.n_structures for block in blocks),
        n_planned=manifest.n_planned - sum(block.n_deleted for block in blocks),
        n_blocks=len(manifest.blocks),
        n_built=len(manifest.blocks) - len(found),
        n_found=len(found),
        n_new=sum(block.n_structures for block in blocks if block.id not in found),
        n_bytes=sum(block.n_bytes for block in blocks),
        seconds=round(seconds, 3),
        failed=dict(failed),
    )
