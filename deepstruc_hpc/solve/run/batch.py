"""Solve a batch of PDFs: each is one item to an actor, none stops another, and a second call goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from deepstruc_hpc.core.config import validate_config
from deepstruc_hpc.core.errors import DeepstrucError, OutputError
from deepstruc_hpc.core.files import split_inside
from deepstruc_hpc.data.pdf_files import file_hash
from deepstruc_hpc.solve.checks.srreal import check_srreal
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.measurement.describe import check_sample_options
from deepstruc_hpc.solve.run.artefacts import Folders, NamedArtefacts, folders, resolve_sources
from deepstruc_hpc.solve.run.cif_folders import read_folder
from deepstruc_hpc.solve.run.frame import SolvedFrame
from deepstruc_hpc.solve.run.inputs import PdfItem, find_pdfs, is_whole, make_items, other_tables_in_words, read_values, skipped_in_words
from deepstruc_hpc.solve.run.output import Draw, ItemRecord
from deepstruc_hpc.solve.run.summary import Summary
from deepstruc_hpc.solve.run.worker import Solver, WorkerPlan, failure_record, ids_of

FEW_FILES = 4
"""So many files are solved in this process unless workers are asked for: Ray and the imports of its workers take longer."""
LOOK_EVERY_S = 0.5
"""Seconds between looks at a folder that is watched."""
OnResult = Callable[[ItemRecord], None]


@dataclass(frozen=True)
class BatchOptions:
    """What changes how a batch runs but not its answers.

    Attributes:
        workers: actors; None for one a core, or this process where files are few; 0 for this process, without Ray.
        force: solve again what was solved before.
        recursive: look below the directories named.
        limit: solve at most so many files.
        values: CSV table of settings for single files.
        watch: go on and solve files as they arrive.
        watch_idle_s: end watching when nothing arrived for so long; None for never.
        time_limit_s: seconds an item may take; None for no limit.
        draw: adds figures to an item's folder; must be picklable.
        on_result: called with each record as it comes.
        on_note: called with a sentence on what a person should know, while the run goes on.
        progress: show bars on stderr.
    """

    workers: int | None = None
    force: bool = False
    recursive: bool = False
    limit: int | None = None
    values: Path | None = None
    watch: bool = False
    watch_idle_s: float | None = None
    time_limit_s: float | None = 600.0
    draw: Draw | None = None
    on_result: OnResult | None = None
    on_note: Callable[[str], None] | None = None
    progress: bool = False


def solve(
    paths: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    model: str | Path | None = None,
    catalog: str | Path | None = None,
    crystals: Folders = (),
    structures: Folders = (),
    settings: SolveSettings | None = None,
    options: BatchOptions | None = None,
    **changes: Any,
) -> SolvedFrame:
    """Solve measured PDFs and write the results into a directory.

    Args:
        paths: files, directories, globs, or lists of files (``@NAME``).
        out: output directory.
        model: checkpoint or name; default: the one that comes with the package, if any.
        catalog: store, or the name of a recipe that is built (see the command); default: the one that comes with the package.
        crystals: CIF files, or folders of them, tried beside the known crystal types.
        structures: XYZ or CIF files of clusters, or folders of them, taken as they are.
        settings: see :class:`SolveSettings`.
        options: see :class:`BatchOptions`.
        **changes: fields of either (``samples=200, elements="Au", workers=2``); they win.

    Returns:
        The summary: one row a PDF of the output directory, columns as in ``summary.csv`` and ``folder``. Its ``show()`` is the report in a notebook.

    Raises:
        PdfFileError: nothing to solve. ConfigError: a setting is wrong. OutputError: ``out`` cannot be written.
        CheckpointError, StoreError: the model or catalog cannot be opened.
    """
    own = {name: value for name, value in changes.items() if name in BatchOptions.__dataclass_fields__}
    run = BatchOptions(**{**(vars(options) if options else {}), **own})
    science = {name: value for name, value in changes.items() if name not in own}
    chosen = validate_config(SolveSettings, {**(settings or SolveSettings()).model_dump(), **science}, source="solve")
    named = NamedArtefacts(model, catalog, folders(crystals), folders(structures))
    directory = Path(out).expanduser().resolve()
    return SolvedFrame.of(Batch(paths, directory, chosen, run, named).run(), directory)


class Batch:
    """One call of solve, ready to run: inputs found, sources opened, nothing written yet."""

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        out: Path,
        settings: SolveSettings,
        options: BatchOptions,
        named: NamedArtefacts = NamedArtefacts(),  # noqa: B008 - frozen
    ) -> None:
        check_sample_options(settings)
        if settings.verify == "srreal":
            check_srreal()
        self.names: list[str | Path] = [paths] if isinstance(paths, str | Path) else list(paths)
        self.options, self.out = options, out
        self.values = read_values(Path(options.values)) if options.values else {}
        self.skipped: dict[Path, str] = {}
        self.found = self.look(allow_empty=options.watch)
        values = Path(options.values) if options.values else None
        self.other_tables = other_tables_in_words(self.names, recursive=options.recursive, apart=values)
        self.named: set[str] = set()
        self.make_solver: Callable[[WorkerPlan], Solver] = Solver
        self.sources = resolve_sources(named, settings.sources)
        self.plan = WorkerPlan(
            out=out,
            settings=settings,
            model=self.sources.model,
            catalog=self.sources.catalog,
            crystals=self.sources.crystals,
            structures=self.sources.structures,
            ids=ids_of(self.sources.ids),
            own_elements=self.sources.own_elements,
            time_limit=options.time_limit_s,
            draw=options.draw,
        )

    def run(self) -> pd.DataFrame:
        """Solve what is pending, keep the summary current, and return it."""
        summary = Summary(self.out, self.head())
        pending = self.pending(summary, self.found)
        if pending or self.options.watch:
            summary.run["notes"] = [*summary.run["notes"], *self.read_crystals()]
        try:
            for item, result in self._results(self._stream(summary, pending), pending):
                if item is not None:
                    self._take(summary, item, result)
        finally:
            summary.save()
        return summary.frame()

    def read_crystals(self) -> list[str]:
        """Read the user's CIF files once, before workers ask for them; what there is to say of it."""
        if "crystals" not in self.plan.settings.sources and not self.values:
            return []
        found = [read_folder(folder, workers=self.options.workers, progress=self.options.progress) for folder in self.plan.crystals]
        notes = [folder.damage for folder in found if folder.damage]
        for note in notes if self.options.on_note is not None else []:
            self.options.on_note(note)  # type: ignore[misc]
        return notes

    def any_failed(self, frame: pd.DataFrame) -> bool:
        """Whether a file of this call (not of an earlier one into the same directory) failed."""
        return bool((frame["status"].eq("failed") & frame["file"].isin(self.named)).any())

    @property
    def notes(self) -> list[str]:
        """What a person should know before the run."""
        return [*self.sources.notes, *skipped_in_words(self.skipped), *self.other_tables]

    def head(self) -> dict[str, Any]:
        """The head of summary.json: settings, versions, ids."""
        return {
            "settings": self.plan.settings.model_dump(mode="json"),
            "settings_id": self.plan.settings.fingerprint(*self.plan.ids),
            "seed": self.plan.settings.seed,
            "model": self.sources.model,
            "catalog": self.sources.catalog,
            "crystals": list(self.sources.crystals),
            "structures": list(self.sources.structures),
            "ids": self.sources.ids,
            "notes": self.notes,
            "inputs": [str(name) for name in self.names],
            "versions": versions(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def pending(self, summary: Summary, found: Sequence[Path]) -> list[PdfItem]:
        """The items that are not solved yet with these settings (all of them with ``force``), at most ``limit``."""
        items = make_items(found, summary.folders(), self.values)
        self.named.update(str(item.path) for item in items)
        if not self.options.force:
            items = [item for item in items if not self._finished(summary, item)]
        return items[: self.options.limit]

    def _finished(self, summary: Summary, item: PdfItem) -> bool:
        try:
            return summary.finished(str(item.path), item.folder, self.plan.settings_id(item), partial(file_hash, item.path))
        except (OSError, DeepstrucError):
            return False

    def look(self, *, allow_empty: bool) -> list[Path]:
        """The PDF files that are there now; none of the output directory."""
        found = find_pdfs(self.names, recursive=self.options.recursive, allow_empty=allow_empty, skipped=self.skipped)
        return [path for path in found if self.out not in path.parents]

    def _take(self, summary: Summary, item: PdfItem, result: Any) -> None:
        record = result if isinstance(result, ItemRecord) else failure_record(item, self.plan, f"{item.path}: {result}")
        with suppress(OutputError):  # a full disk: the rows are kept and written with the next one; the last save says so where it is still full
            summary.add(record)
        if self.options.on_result is not None:
            self.options.on_result(record)

    def _stream(self, summary: Summary, pending: Sequence[PdfItem]) -> Iterable[PdfItem | None]:
        return self._arriving(summary, pending) if self.options.watch else pending

    def _arriving(self, summary: Summary, pending: Sequence[PdfItem]) -> Iterator[PdfItem | None]:
        """What is pending, then files as they become whole; None is a heartbeat that lets finished results through."""
        sizes: dict[Path, int] = {}
        handed: dict[Path, str] = {}
        waiting = {item.path: item for item in pending}
        last = time.monotonic()
        while self.options.watch_idle_s is None or time.monotonic() - last < self.options.watch_idle_s:
            here = self.look(allow_empty=True)
            for path in {*waiting}.difference(here):  # an HDF5 file that could not be read when it was first seen: now it has curves
                waiting.pop(path)
            fresh = [path for path in here if path not in waiting and (path not in handed or _changed(path, handed[path]))]
            if fresh:
                waiting.update({item.path: item for item in self.pending(summary, fresh)})
                handed.update({path: _state(path) for path in fresh if path not in waiting})  # finished already
            for path in [path for path in waiting if is_whole(path, sizes)]:
                handed[path] = _state(path)
                last = time.monotonic()
                yield waiting.pop(path)
            yield None
            time.sleep(LOOK_EVERY_S)

    def _results(self, stream: Iterable[PdfItem | None], pending: Sequence[PdfItem]) -> Iterator[tuple[PdfItem | None, Any]]:
        if not pending and not self.options.watch:
            return
        alone = self.options.workers is None and "RAY_ADDRESS" not in os.environ  # else workers are there already, on all nodes of a job
        few = len(pending) == 1 or (alone and len(pending) <= FEW_FILES)
        if self.options.workers == 0 or (few and not self.options.watch):
            yield from self._here(stream, len(pending))
            return
        from deepstruc_hpc.runtime.pool import map_over_actors
        from deepstruc_hpc.runtime.ray_session import ray_session

        label = "solving" if self.options.progress and not self.options.watch else ""
        with ray_session() as session:
            wanted = self.options.workers or max(1, int(session.cpus))  # of all nodes, not of this one alone
            workers = wanted if self.options.watch else min(wanted, len(pending))
            yield from map_over_actors(partial(Solver, self.plan), stream, workers=workers, retries=1, progress_label=label, total=len(pending))

    def _here(self, stream: Iterable[PdfItem | None], total: int) -> Iterator[tuple[PdfItem | None, Any]]:
        """One file after the other in this process."""
        from deepstruc_hpc.runtime.progress import no_bar, progress_bar

        shown = progress_bar if self.options.progress and not self.options.watch else no_bar
        with shown("solving", total) as bar:
            solver = self.make_solver(self.plan)
            for item in stream:
                yield item, solver(item)
                if item is not None:
                    bar.advance()


def _state(path: Path) -> str:
    state = split_inside(path)[0].stat()
    return f"{state.st_size}:{state.st_mtime_ns}"


def _changed(path: Path, before: str) -> bool:
    try:
        return _state(path) != before
    except OSError:
        return False


def versions() -> dict[str, str]:
    """Of the packages that decide an answer, as far as they are installed."""
    found = {}
    for name in ("deepstruc_hpc", "numpy", "scipy", "torch", "ray"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
