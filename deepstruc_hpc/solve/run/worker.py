"""What solves one PDF: a plain class that holds the model and the catalog's shapes, and knows nothing of where it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepstruc_hpc.core.config import validate_config
from deepstruc_hpc.core.errors import DeepstrucError, OutputError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.data.pdf_files import read_pdf
from deepstruc_hpc.solve.candidates.candidate import CatalogShapes
from deepstruc_hpc.solve.measurement.describe import Conditions, resolve_conditions
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.run.inputs import PdfItem, file_hash
from deepstruc_hpc.solve.ranking.applicability import judge
from deepstruc_hpc.solve.run.latent_table import catalog_map, latent_table
from deepstruc_hpc.solve.run.limits import TimeLimitError, time_limit
from deepstruc_hpc.solve.candidates.generator import Proposals, propose, start_scale
from deepstruc_hpc.solve.ranking.ranking import in_words, lattice_probability, rank_candidates, type_table
from deepstruc_hpc.solve.candidates.fitting import diameter, fit_curve_table, refine, refined_structure
from deepstruc_hpc.solve.checks.positions import relax_best
from deepstruc_hpc.solve.run.output import Draw, ItemRecord, ItemTables, write_item
from deepstruc_hpc.solve.search import improve
from deepstruc_hpc.solve.checks.checks import SecondLook, second_look


@dataclass(frozen=True)
class WorkerPlan:
    """Everything a worker needs; small and picklable.

    Attributes:
        out: output directory, absolute.
        settings: for all files; an item's own values come on top.
        model: path or name for ``load_model``, or None.
        catalog: store for ``Catalog.open``, or None.
        ids: of model and catalog, part of a result's identity.
        own_elements: the catalog was chosen by the user, so its own elements may be tried where none is named.
        time_limit: seconds an item may take, or None.
        draw: adds figures to an item's folder, or None.
    """

    out: Path
    settings: SolveSettings
    model: str | None = None
    catalog: str | None = None
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
    """Solve PDFs one at a time; model and catalog are opened once."""

    def __init__(self, plan: WorkerPlan) -> None:
        self.plan = plan
        self.model = _open_model(plan.model)
        self.shapes: CatalogShapes | None = None
        self.map: pd.DataFrame | None = None
        if plan.catalog is not None:
            catalog = Catalog.open(plan.catalog)
            self.shapes = CatalogShapes(catalog)
            self.map = catalog_map(catalog, self.shapes, self.model) if self.model is not None else None

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
        except (DeepstrucError, TimeLimitError) as mendable:
            record.status, record.message = "failed", str(mendable)
        except (OSError, MemoryError) as refused:
            record.status, record.message = "failed", f"{item.path}: {refused}"
        except Exception as defect:  # noqa: BLE001 - one file never stops the rest; the message says that this one is ours
            record.status, record.message = "failed", f"{item.path}: unexpected {type(defect).__name__}: {defect} (a defect of the program)"
        record.seconds = round(time.monotonic() - started, 3)
        if tables is not None:
            try:
                write_item(self.plan.out, record, tables, self.plan.draw)
            except OutputError as refused:
                record.status, record.message = "failed", str(refused)
        return record

    def _solve(self, item: PdfItem, record: ItemRecord) -> ItemTables:
        settings = self.plan.settings_of(item)
        curve = read_pdf(item.path)
        conditions = resolve_conditions(curve, settings)
        proposals = propose(
            curve, conditions, settings, shapes=self.shapes, model=self.model, item_id=item.path.name, own_elements=self.plan.own_elements
        )
        conditions = replace(conditions, elements=proposals.elements)
        record.conditions = asdict(conditions)
        if not proposals.candidates:
            raise DeepstrucError(f"{item.path}: no candidate holds {', '.join(proposals.elements)}. Choose another --catalog or --elements.")
        start = start_scale(curve, proposals.elements[0])
        fits = refine(proposals.candidates, curve, conditions, start=start)
        proposals, fits = improve(proposals, fits, curve, conditions, settings, model=self.model, start=start, item_id=item.path.name)
        ranked, types = self._rank(fits, proposals, conditions, settings)
        best = self._best_structures(ranked, proposals, settings.keep)
        status, warning = judge(curve, best[0], ranked.iloc[0], conditions, settings.refusal)
        doubts = in_words(ranked, types, settings.rank) if status == "ok" else ""
        again = second_look(proposals.candidates, ranked, curve, conditions, settings) if status == "ok" else SecondLook()
        record.status, record.message = status, "; ".join(part for part in (warning, doubts, *again.words, *proposals.notes) if part)
        self._take_over(record, ranked, types)
        record.details = {"counts": dict(proposals.counts), "notes": [*curve.notes, *conditions.notes, *proposals.notes], **again.details}
        first = ranked.iloc[0]
        fit = fit_curve_table(proposals.candidates[int(first["index"])], first, curve, conditions)
        latent = latent_table(fits, proposals, self.map) if self.model is not None else None
        relaxed = None
        if settings.relax and status == "ok":
            relaxed, said = relax_best(proposals.candidates[int(first["index"])], first, curve, conditions)
            record.details = {**record.details, "relaxed": said}
        return ItemTables(ranked, types, fit, latent, best, more=again.tables, relaxed=relaxed)

    def _rank(self, fits: pd.DataFrame, proposals: Proposals, conditions: Conditions, settings: SolveSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
        if not np.isfinite(fits["rw"].to_numpy(dtype=float)).any():
            reason = fits["refused"].iloc[0] if "refused" in fits else "no finite Rw"
            raise DeepstrucError(f"none of the {len(fits)} candidates could be fitted: {reason}.")
        lead = int(fits["rw"].to_numpy(dtype=float).argmin())
        end = 1.1 * diameter(proposals.candidates[lead].structure) + 2.0
        ranked = rank_candidates(fits, independent_points=conditions.independent_points(end), settings=settings.rank, type_prior=proposals.type_prior)
        return ranked, type_table(ranked)

    def _best_structures(self, ranked: pd.DataFrame, proposals: Proposals, keep: int) -> list[Structure]:
        return [refined_structure(proposals.candidates[int(row["index"])], row) for _, row in ranked.head(keep).iterrows()]

    def _take_over(self, record: ItemRecord, ranked: pd.DataFrame, types: pd.DataFrame) -> None:
        """Fill the row; a curve that is refused gets no answer, only how far the best candidate stayed away."""
        first = ranked.iloc[0]
        record.rw, record.n_candidates = float(first["rw"]), len(ranked)
        if record.status == "ok":
            record.structure_type, record.n_atoms = str(first["structure_type"]), int(first["n_atoms"])
            record.probability = lattice_probability(types)


def _open_model(name: str | None) -> Any | None:
    if name is None:
        return None
    from deepstruc_hpc.model.checkpoint import load_model

    return load_model(name)


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
