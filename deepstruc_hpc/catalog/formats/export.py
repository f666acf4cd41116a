"""Write a catalog, or what an expression chooses of it, in a format of other programs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from deepstruc_hpc.catalog.formats import ase_database, extxyz, optimade
from deepstruc_hpc.catalog.formats.files import StructureFiles
from deepstruc_hpc.catalog.formats.parquet import ParquetDataset
from deepstruc_hpc.catalog.formats.provenance import Division, Options, Provenance
from deepstruc_hpc.catalog.formats.record import FOLDER_RECORD, ExportRecord, alone
from deepstruc_hpc.catalog.formats.ro_crate import ResearchCrate
from deepstruc_hpc.catalog.formats.selection import Chunk, Selection
from deepstruc_hpc.core.errors import ConfigError, OutputError
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.runtime.progress import Bars, no_bar, progress_bar

Format = Literal["xyz", "cif", "extxyz", "ase", "parquet", "optimade", "rocrate"]
_FILE_ENDINGS: Mapping[str, tuple[str, ...]] = {"extxyz": extxyz.SUFFIXES, "ase": ase_database.SUFFIXES, "optimade": optimade.SUFFIXES}
"""Formats of one file, with the endings by which other programs know them; the others are folders."""

_WITH_OPTIONS = ("parquet", "rocrate")
"""Formats that carry the division and the provenance."""


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Attributes:
        out: file or folder.
        structures: in it now.
        written: by this call.
        seconds: of this call.
    """

    out: str
    structures: int
    written: int
    seconds: float


class Sink(Protocol):
    """One format: takes chunks in order and keeps each before the next."""

    rows_a_chunk: int
    needs_pdf: bool

    def write(self, chunk: Chunk) -> None:
        """Write a chunk so that it outlives the process."""

    def finish(self) -> None:
        """Write what only the whole can tell."""

    def close(self) -> None:
        """Let go of what is open."""


def export_catalog(
    catalog: Catalog,
    out: str | Path,
    kind: Format = "xyz",
    *,
    where: str = "",
    limit: int | None = None,
    split: Division = "shape",
    provenance: Provenance | None = None,
    progress: bool = False,
) -> ExportReport:
    """Write structures in a format of other programs; an export that was interrupted goes on.

    Args:
        catalog: an opened catalog.
        out: a file or a folder, by format.
        kind: name of the format.
        where: expression over the columns; empty for all structures.
        limit: at most so many structures, the first ones.
        split: by which division the Parquet files are train, validation and test.
        provenance: licence and authors for the formats that carry them.
        progress: show a bar on stderr.

    Raises:
        ConfigError: the expression is wrong, no structure is left, or the file's ending is not the format's.
        OutputError: the place cannot be written, or holds another export.
        EngineError: the format's library is not installed.
    """
    started = time.perf_counter()
    target, options = _target(Path(out), kind), Options(split, provenance or Provenance())
    record_path = _record_path(target, kind)
    selection = Selection(catalog, where, limit)
    with alone(record_path):
        record = ExportRecord(record_path, selection, kind, asdict(options) if kind in _WITH_OPTIONS else {})
        found = record.done
        if not record.complete:
            record.save(found, **record.facts)  # a killed export is known by its record, however little there is of it
            with closing(_sink(selection, target, kind, record, options)) as sink:
                found = _write(selection, sink, record, f"writing {kind}", progress_bar if progress else no_bar)
    return ExportReport(str(target), len(selection), len(selection) - found, round(time.perf_counter() - started, 3))


def _write(selection: Selection, sink: Sink, record: ExportRecord, label: str, bars: Bars) -> int:
    """Write what is missing; returns how many structures were there."""
    found = record.done
    with bars(label, len(selection)) as bar:
        bar.advance(found)
        for chunk in selection.chunks(found, size=sink.rows_a_chunk, pdf=sink.needs_pdf):
            sink.write(chunk)
            bar.advance(len(chunk))
        sink.finish()
    record.save(len(selection), complete=True)
    return found


def _sink(selection: Selection, target: Path, kind: Format, record: ExportRecord, options: Options) -> Sink:
    if kind == "extxyz":
        return extxyz.ExtendedXyz(target, record)
    if kind == "ase":
        return ase_database.AseDatabase(target, record, selection)
    if kind == "optimade":
        return optimade.Optimade(target, record, selection)
    if kind in _WITH_OPTIONS:
        dataset = ResearchCrate if kind == "rocrate" else ParquetDataset
        return dataset(target, record, selection, options)
    return StructureFiles(target, record, kind)


def _target(out: Path, kind: Format) -> Path:
    """The file or folder that is written; a format of one file takes a folder's name, too, and lies in it as ``structures`` with its own ending."""
    endings = _FILE_ENDINGS.get(kind)
    if endings is None or out.suffix in endings:
        return out
    if out.suffix and not out.is_dir():
        raise ConfigError(f"{out}: --format {kind} writes one file; its name must end in {' or '.join(endings)}, or be a folder's.")
    return out / f"structures{endings[0]}"


def _record_path(target: Path, kind: Format) -> Path:
    """Beside a file, inside a folder."""
    if kind not in _FILE_ENDINGS:
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target}: a file is in the way. Name a directory.")
        return target / FOLDER_RECORD
    record = target.with_name(f"{target.name}.json")
    if target.exists() and not record.exists():
        raise OutputError(f"{target}: a file that this program did not export is in the way. Choose another name, or remove it.")
    return record
