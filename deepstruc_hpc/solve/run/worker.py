"""What solves one PDF: a plain class that holds the model and the catalog's shapes, and knows nothing of where it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepstruc_hpc.core.config import validate_config
from deepstruc_hpc.core.errors import DeepstrucError, NotApplicableError, OutputError, TimeLimitError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.pdf_files import file_hash, read_pdf
from deepstruc_hpc.model.contract import Generator
from deepstruc_hpc.solve.candidates.catalog import CatalogSource
from deepstruc_hpc.solve.candidates.crystals import CrystalSource
from deepstruc_hpc.solve.candidates.generator import GeneratorSource
from deepstruc_hpc.solve.candidates.large import LargeSource
from deepstruc_hpc.solve.candidates.source import Source, added_sources
from deepstruc_hpc.solve.candidates.structures import StructureSource
from deepstruc_hpc.solve.checks.checks import Answer
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.pipeline import Sources, solve_curve
from deepstruc_hpc.solve.run.artefacts import COMPOUNDS_MODEL, DEFAULT_MODEL
from deepstruc_hpc.solve.run.inputs import PdfItem
from deepstruc_hpc.solve.run.latent_table import latent_table
from deepstruc_hpc.solve.run.limits import time_limit
from deepstruc_hpc.solve.run.output import Draw, ItemRecord, ItemTables, write_item


@dataclass(frozen=True)
class WorkerPlan:
    """Everything a worker needs; small and picklable.

    Attributes:
        out: output directory, absolute.
        settings: for all files; an item's own values come on top.
        model: path or name for ``load_generator``, or None.
        catalog: store for ``Catalog.open``, or None.
        crystals: folders and files of CIFs to cut particles from.
        structures: folders and files of clusters to take as they are.
        ids: of model and catalog, part of a result's identity.
        own_elements: the catalog was chosen by the user, so its own elements may be tried where none is named.
        time_limit: seconds an item may take, or None.
        draw: adds figures to an item's folder, or None.
    """

    out: Path
    settings: SolveSettings
    model: str | None = None
    catalog: str | None = None
    crystals: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    own_elements: bool = False
    time_limit: float | None = None
    draw: Draw | None = None

    def settings_of(self, item: PdfItem) -> SolveSettings:
        """The settings of one item: the run's, with its own values on top."""
        if not item.values:
            return self.settings
        return validate_config(SolveSettings, {**self.settings.model_dump(), **item.values}, source=f"values for {item.path.name}")

    def settings_id(self, item: PdfItem) -> str:
        """What a second call compares."""
        return self.settings_of(item).fingerprint(*self.ids)


class Solver:
    """Solve PDFs one at a time; model, catalogs and crystals are opened once."""

    def __init__(self, plan: WorkerPlan) -> None:
        self.plan = plan
        self.model = _open_model(plan.model)
        self.compounds = _open_model(compounds_beside(plan.model))
        self.catalog = CatalogSource(Catalog.open(plan.catalog)) if plan.catalog is not None else None
        self._map: pd.DataFrame | None = None
        self._others: dict[tuple[str, bool], Source] = {}

    def sources(self, settings: SolveSettings) -> Sources:
        """The sources that the settings name, in the order in which equal structures keep their origin."""
        chosen = [source for name in settings.sources for source in self._named(name, settings)]
        elements = self.catalog.elements if self.plan.own_elements and self.catalog is not None else ()
        searched = "cvae" in settings.sources
        return Sources(chosen, self.model if searched else None, self.compounds if searched else None, elements)

    def _named(self, name: str, settings: SolveSettings) -> list[Source]:
        if name == "cvae":
            return [GeneratorSource(self.model, self.compounds)] if self.model is not None else []
        if name == "catalog":
            return [] if self.catalog is None else [self.catalog]
        if name == "alloys":  # made from the best shapes, once they are known
            return []
        key = name, settings.structures_sizes
        if key not in self._others:
            if name == "crystals":
                self._others[key] = CrystalSource(self.plan.crystals)
            elif name == "large":
                self._others[key] = LargeSource()
            elif name == "structures":
                self._others[key] = StructureSource.of_folders(self.plan.structures, sizes=settings.structures_sizes)
            else:
                self._others[key] = added_sources()[name]
        return [self._others[key]]

    def __call__(self, item: PdfItem | None) -> ItemRecord | None:
        """Solve, write the item's folder, and say how it went, whatever happens. None is a heartbeat and gives None."""
        if item is None:
            return None
        started = time.monotonic()
        record = ItemRecord(file=str(item.path), folder=item.folder)
        tables: ItemTables | None = None
        try:
            with time_limit(self.plan.time_limit):
                record.file_hash = file_hash(item.path)
                record.settings_id = self.plan.settings_id(item)
                tables = self._solve(item, record)
        except NotApplicableError as other:
            record.status, record.message = "refused", str(other)
        except (DeepstrucError, TimeLimitError) as mendable:
            record.status, record.message = "failed", str(mendable)
        except (OSError, MemoryError) as refused:
            record.status, record.message = "failed", f"{item.path}: {refused}"
        except Exception as defect:  # noqa: BLE001 - one file never stops the rest; the message says that this one is ours
            record.status, record.message = "failed", f"{item.path}: unexpected {type(defect).__name__}: {defect} (a defect of the program)"
        record.seconds = round(time.monotonic() - started, 3)
        if tables is not None or record.status == "refused":
            try:
                write_item(self.plan.out, record, tables, self.plan.draw)
            except OutputError as refused:
                record.status, record.message = "failed", str(refused)
        return record

    def _solve(self, item: PdfItem, record: ItemRecord) -> ItemTables:
        settings = self.plan.settings_of(item)
        answer = solve_curve(read_pdf(item.path), settings, self.sources(settings))
        return self._tables(answer, record, settings)

    def _tables(self, answer: Answer, record: ItemRecord, settings: SolveSettings) -> ItemTables:
        """Fill the row; a curve that is refused gets no answer, only how far the best candidate stayed away."""
        ranking = answer.ranking
        record.status, record.message = answer.verdict.status, answer.message
        record.conditions, record.details = answer.measurement.record(), answer.details
        record.rw, record.n_candidates = float(ranking.candidates.rw[0]), len(ranking)
        for name, value in answer.row.items():
            setattr(record, name, value)
        best = [ranking.candidates.refined_structure(place) for place in range(min(settings.keep, len(ranking)))]
        latent = latent_table(ranking.candidates, self._latent_map()) if self.model is not None else None
        return ItemTables(ranking.frame(), ranking.types, answer.fit, latent, best, more=answer.tables, relaxed=answer.relaxed)

    def _latent_map(self) -> pd.DataFrame | None:
        """Where the shapes of the catalog lie in the model's latent space; made once and kept. None for a generator that encodes no structures."""
        if self._map is None and self.catalog is not None and self.plan.catalog is not None:
            from deepstruc_hpc.model.generator import StructureModel
            from deepstruc_hpc.model.latent_map import latent_map

            if isinstance(self.model, StructureModel):
                self._map = latent_map(self.model, Catalog.open(self.plan.catalog))
        return self._map


def compounds_beside(name: str | None) -> str | None:
    """The model of compounds that comes with the program beside its model of metals; None beside any other."""
    from deepstruc_hpc.model.checkpoint import DESCRIPTION, PRETRAINED_DIR

    shipped = PRETRAINED_DIR / COMPOUNDS_MODEL
    beside = name is not None and Path(name) == PRETRAINED_DIR / DEFAULT_MODEL and (shipped / DESCRIPTION).is_file()
    return str(shipped) if beside else None


def _open_model(name: str | None) -> Generator | None:
    if name is None:
        return None
    from deepstruc_hpc.model.loading import load_generator

    return load_generator(name)


def failure_record(item: PdfItem, plan: WorkerPlan, message: str) -> ItemRecord:
    """The row of an item whose worker died or raised."""
    return ItemRecord(file=str(item.path), folder=item.folder, status="failed", message=message, settings_id=_quiet_id(plan, item))


def _quiet_id(plan: WorkerPlan, item: PdfItem) -> str:
    try:
        return plan.settings_id(item)
    except DeepstrucError:
        return ""


def ids_of(parts: Mapping[str, str]) -> tuple[str, ...]:
    """Ids in a fixed order."""
    return tuple(f"{name}={parts[name]}" for name in sorted(parts))
