"""Make a catalog of structures that come from elsewhere: their PDFs are simulated under conditions as in a recipe.

The source is counted once, then cut into blocks of neighbouring structures; a worker reads, simulates and writes one block. What cannot be read is a
row of the report ``import-report.csv`` in the store, and stops nothing. A killed import goes on with the same command.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from deepstruc_hpc.catalog.blocks import simulated, single_threaded
from deepstruc_hpc.catalog.build import finish, remove_orphans
from deepstruc_hpc.catalog.formats.particles import Particle, columns_of, particle
from deepstruc_hpc.catalog.formats.sources import Part, Source, message_of, open_source, read_part, source_files
from deepstruc_hpc.catalog.plan import BLOCKS_A_CATALOG, LARGEST_BLOCK, SMALLEST_BLOCK
from deepstruc_hpc.catalog.recipe import recipe_hash
from deepstruc_hpc.core.errors import OutputError, StoreError
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_block import BlockContent
from deepstruc_hpc.data.catalog_index import store_block
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.manifest import ROOT, BlockEntry, Manifest, create_store
from deepstruc_hpc.data.schema import COLUMN_NAMES
from deepstruc_hpc.data.store_files import StoreFiles
from deepstruc_hpc.data.store_lock import building
from deepstruc_hpc.runtime.pool import ItemFailure, Worker, map_over_actors
from deepstruc_hpc.runtime.progress import Bars, no_bar, progress_bar
from deepstruc_hpc.runtime.ray_session import ray_session

REPORT = "import-report.csv"
MOST_ATOMS = 20_000
"""Atoms of a structure: its PDF takes about a second (pairs grow with the square), and a block of such holds 80 million atoms."""

_PARTS = "import"


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        store: path or URL.
        n_found: structures in the source.
        n_structures: in the catalog now.
        n_refused: in the report.
        report: where it lies.
        seconds: of this call.
        refused: the first rows of the report, (source, reason).
    """

    store: str
    n_found: int
    n_structures: int
    n_refused: int
    report: str
    seconds: float
    refused: tuple[tuple[str, str], ...]

    def facts(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "refused": [list(pair) for pair in self.refused]}


@dataclass(frozen=True)
class ImportBlock:
    """What a worker is told: the place of a block in the import and the structures that it reads."""

    number: int
    parts: tuple[Part, ...]


class BlockImporter:
    """What an actor holds: the store, the conditions and what is asked of structures. Reads, simulates and writes one block."""

    def __init__(self, store: str, conditions: PdfConditions, structure_type: str, max_atoms: int) -> None:
        self._files, self._conditions = StoreFiles(store), conditions
        self._structure_type, self._max_atoms = structure_type, max_atoms

    def __call__(self, item: ImportBlock) -> tuple[BlockEntry | None, int]:
        """The manifest's entry, none where no structure could be read, and the number of those that could not."""
        taken, refused = self.read(item)
        self._files.write({_part_key(item.number): json.dumps({"refused": refused, "structures": len(taken)}).encode()})
        if not taken:
            return None, len(refused)
        structures = [one.structure for one in taken]
        with single_threaded():
            curves = simulated(structures, self._conditions)
        columns = columns_of(taken)
        kinds = {name: "str" if values.dtype.kind in "OTU" else "float64" for name, values in columns.items() if name not in COLUMN_NAMES}
        content = BlockContent.of_structures(structures, curves, columns)
        return store_block(self._files, f"00-{item.number:06d}-imported", content, kinds), len(refused)

    def read(self, item: ImportBlock) -> tuple[list[Particle], list[tuple[str, str]]]:
        """The particles of a block, and (source, reason) of what is none."""
        taken: list[Particle] = []
        refused: list[tuple[str, str]] = []
        for part in item.parts:
            for name, found in zip(part.names(), read_part(part), strict=True):
                try:
                    taken.append(self._particle(found, name))
                except Exception as broken:  # noqa: BLE001  (whatever is wrong with one structure, the others go on)
                    refused.append((name, message_of(broken)))
        return taken, refused

    def _particle(self, found: Any, name: str) -> Particle:
        if isinstance(found, Exception):
            raise found
        return particle(found, name, structure_type=self._structure_type, max_atoms=self._max_atoms, conditions=self._conditions)


def import_catalog(
    path: str | Path,
    out: str | PathLike[str],
    *,
    conditions: PdfConditions | None = None,
    structure_type: str = "unknown",
    max_atoms: int = MOST_ATOMS,
    workers: int | None = 0,
    progress: bool = False,
) -> ImportReport:
    """Make a catalog of the structures of a source, or what is missing of it.

    Args:
        path: an XYZ file, an ASE database, a CIF, or a folder of them.
        out: directory or URL of the store.
        conditions: of the PDFs; by default those of the export that the source is, else the paper's.
        structure_type: of structures that do not name one.
        max_atoms: larger structures are refused.
        workers: actors; None for one a core, 0 for this process without Ray.
        progress: show bars on stderr.

    Raises:
        ConfigError: no structure in the source.
        StoreError: the store holds something else, or no structure could be taken.
        OutputError: the store cannot be written.
    """
    started = time.perf_counter()
    bars: Bars = progress_bar if progress else no_bar
    with bars("counting structures", len(source_files(Path(path))), unit="files") as bar:
        source = open_source(path, bar.advance)
    chosen = conditions or exported_conditions(Path(path)) or PdfConditions()
    files = StoreFiles(out)
    with building(files):
        manifest = _open_or_create(files, _recipe(Path(path), source, chosen, structure_type, max_atoms), chosen, source)
        if not _finished(files, manifest):
            remove_orphans(files, manifest)
            importer = partial(BlockImporter, files.url, chosen, structure_type, max_atoms)
            manifest = _import_missing(files, manifest, source, importer, workers, progress=progress)
            manifest = _close(files, manifest, source)
        finish(files, manifest)
        rows = _report_rows(files)
    n_structures = sum(block.n_structures for block in manifest.blocks.values())
    seconds = round(time.perf_counter() - started, 3)
    return ImportReport(files.url, len(source), n_structures, len(rows), f"{files.url}/{REPORT}", seconds, tuple(rows[:10]))


def exported_conditions(path: Path) -> PdfConditions | None:
    """The conditions that an export of this program wrote beside its file or into its folder."""
    for record in (path.with_name(f"{path.name}.json"), path / "export.json"):
        try:
            return PdfConditions(**json.loads(record.read_bytes())["conditions"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _recipe(path: Path, source: Source, conditions: PdfConditions, structure_type: str, max_atoms: int) -> dict[str, Any]:
    """What stands in the manifest in the place of a recipe: the source's hash and all settings."""
    return {
        "name": path.stem,
        "description": f"{len(source)} structures imported from {path.name}",
        "imported": {"files": len(source.files), "structures": len(source), "digest": source.digest},
        "structure_type": structure_type,
        "max_atoms": max_atoms,
        "pdf": conditions.model_dump(mode="json"),
    }


def _open_or_create(files: StoreFiles, recipe: Mapping[str, Any], conditions: PdfConditions, source: Source) -> Manifest:
    n_blocks = -(-len(source) // _block_size(source))
    planned = Manifest((recipe,), recipe_hash([recipe]), conditions, __version__, len(source), n_blocks)
    if files.exists(ROOT):
        manifest = Manifest.read(files)
        if manifest.recipe_hash != planned.recipe_hash:
            raise StoreError(f"{files.url}: holds another catalog, or the source or its settings have changed. Choose another OUT.")
        return manifest
    if files.is_local and files.path.exists() and any(not one.name.startswith(".") for one in files.path.iterdir()):
        raise StoreError(f"{files.url}: not empty, and no catalog. Choose an empty or a new directory.")
    create_store(files, planned)
    return planned


def _block_size(source: Source) -> int:
    return min(LARGEST_BLOCK, max(SMALLEST_BLOCK, -(-len(source) // BLOCKS_A_CATALOG)))


def _pending(files: StoreFiles, manifest: Manifest, source: Source) -> Iterator[ImportBlock]:
    """Blocks that the manifest does not name, but for those in which nothing could be read."""
    size = _block_size(source)
    there = {int(block_id.split("-")[1]) for block_id in manifest.blocks}
    for number, start in enumerate(range(0, len(source), size)):
        if number not in there and not _nothing_in_it(files, number):
            yield ImportBlock(number, source.parts(start, min(start + size, len(source))))


def _import_missing(
    files: StoreFiles, manifest: Manifest, source: Source, make_worker: Callable[[], Worker], workers: int | None, *, progress: bool
) -> Manifest:
    pending = list(_pending(files, manifest, source))
    label = "importing blocks" if progress else ""
    with ExitStack() as stack:
        if workers == 0 or not pending:
            outcomes = _here(make_worker, pending, progress_bar if progress else no_bar, label)
        else:
            session = stack.enter_context(ray_session(workers))
            count = min(len(pending), workers or max(1, int(session.cpus)))
            outcomes = map_over_actors(make_worker, pending, workers=count, progress_label=label, total=len(pending))
        for item, outcome in outcomes:
            if isinstance(outcome, ItemFailure):
                if isinstance(outcome.error, OutputError):
                    raise outcome.error
                raise StoreError(f"{files.url}: block {item.number} could not be made ({outcome}). The same command goes on from here.")
            if outcome[0] is not None:
                manifest = manifest.with_block(outcome[0])
                files.write({ROOT: manifest.to_bytes()})
    return manifest


def _here(make_worker: Callable[[], Worker], items: list[ImportBlock], bars: Bars, label: str) -> Iterator[tuple[ImportBlock, Any]]:
    worker = make_worker()
    with bars(label, len(items)) as bar:
        for item in items:
            yield item, worker(item)
            bar.advance()


def _close(files: StoreFiles, manifest: Manifest, source: Source) -> Manifest:
    """Write the report, then the manifest of what there is: the catalog is complete with it."""
    size = _block_size(source)
    rows = [*source.refused]
    for number in range(-(-len(source) // size)):
        rows += [(name, reason) for name, reason in json.loads(files.read(_part_key(number)))["refused"]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("source", "reason"), *rows])
    files.write({REPORT: text.getvalue().encode()})
    if not manifest.blocks:
        raise StoreError(f"{files.url}: none of {len(source)} structures could be taken; the first one, {rows[0][0]}: {rows[0][1]}. See {REPORT}.")
    count = sum(block.n_structures for block in manifest.blocks.values())
    manifest = replace(manifest, n_planned=count, n_blocks_planned=len(manifest.blocks))
    files.write({ROOT: manifest.to_bytes()})
    files.delete(_PARTS)
    return manifest


def _finished(files: StoreFiles, manifest: Manifest) -> bool:
    return manifest.complete and files.exists(REPORT)


def _nothing_in_it(files: StoreFiles, number: int) -> bool:
    key = _part_key(number)
    return files.exists(key) and json.loads(files.read(key))["structures"] == 0


def _part_key(number: int) -> str:
    return f"{_PARTS}/{number:06d}.json"


def _report_rows(files: StoreFiles) -> list[tuple[str, str]]:
    rows = list(csv.reader(io.StringIO(files.read(REPORT).decode())))
    return [(row[0], row[1]) for row in rows[1:]]
