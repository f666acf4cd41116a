"""The folder of one PDF: written under a temporary name, renamed when whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pandas as pd

from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.data.structure_files import write_cif, write_xyz
from deepstruc_hpc.solve.checks.positions import RELAXED_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deepstruc_hpc.core.structure import Structure

RESULT_FILE = "result.json"
WORK_PREFIX = ".solving."
OLD_PREFIX = ".replaced."
_FITTED = ("scale", "zoom", "uiso", "delta2")
CANDIDATE_COLUMNS = (
    *("rank", "source", "structure_type", "n_atoms", "formula", "rw", *_FITTED, "probability", "score", "complexity"),
    *("catalog_id", "latent", "label", *(f"{name}_err" for name in _FITTED), "converged", "at_bounds", "file"),
)
SUMMARY_COLUMNS = (
    *("file", "status", "message", "structure_type", "n_atoms", "rw", "probability", "n_candidates", "seconds"),
    *("formula", "phase", "diameter", "diameter_low", "diameter_high", "size_spread", "phases", "flags"),
)

Draw = Callable[[Path], None]


@dataclass
class ItemRecord:
    """What is known about one PDF: its row of the summary and what a second call compares.

    Attributes:
        file: absolute path; folder: its folder in the output directory.
        status: ``ok``, ``failed`` or ``refused``; message: in words.
        structure_type: of rank 1; n_atoms, rw, probability (of the type): of rank 1.
        n_candidates: fitted; seconds: wall time.
        formula: of rank 1, reduced; phase: name and prototype of rank 1.
        diameter: Å, of the sphere with the volume of rank 1; diameter_low, diameter_high: among what fits alike, the upper one None where the data
            end before the particle.
        size_spread: relative standard deviation of diameters, 0 where one size is enough; phases: weight shares, empty for one.
        flags: words of a fixed list, separated by semicolons.
        settings_id: hash of settings, model and catalog; file_hash: of the file's bytes.
        conditions: the values used and where each comes from.
    """

    file: str
    folder: str
    status: str = "failed"
    message: str = ""
    structure_type: str = ""
    n_atoms: int | None = None
    rw: float | None = None
    probability: float | None = None
    n_candidates: int = 0
    seconds: float = 0.0
    formula: str = ""
    phase: str = ""
    diameter: float | None = None
    diameter_low: float | None = None
    diameter_high: float | None = None
    size_spread: float | None = None
    phases: str = ""
    flags: str = ""
    settings_id: str = ""
    file_hash: str = ""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class ItemTables:
    """Everything of one PDF that becomes a file.

    Attributes:
        candidates: ranked, one row a candidate; rank 1 first.
        types: one row a structure type.
        fit: r, g_obs, g_calc, difference of rank 1.
        latent: kind, z1, z2, structure_type, rw; or None where no model was used.
        structures: the best ones as refined, in order of rank.
        more: further tables by the name of their file (``verify``, ``mixture``).
        relaxed: rank 1 with its atoms moved under the data, or None.
    """

    candidates: pd.DataFrame
    types: pd.DataFrame
    fit: pd.DataFrame
    latent: pd.DataFrame | None
    structures: Sequence[Structure]
    more: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    relaxed: Structure | None = None


def write_item(out: Path, record: ItemRecord, tables: ItemTables | None, draw: Draw | None = None) -> None:
    """Write ``out/<folder>`` whole or not at all; an earlier folder of that name is replaced.

    Args:
        out: the output directory.
        record: written as ``result.json``, which is what a second call believes.
        tables: None for a PDF that gave no candidates.
        draw: adds figures to the folder before it gets its name; a failing figure is a note in the record, not a failure.

    Raises:
        OutputError: when the disk is full or the directory cannot be written.
    """
    with writing(out):
        work = Path(mkdtemp(prefix=f"{WORK_PREFIX}{record.folder}.", dir=out))
        try:
            if tables is not None:
                _write_tables(work, tables)
            _write_record(work, record)
            if draw is not None and tables is not None:
                _draw(work, record, draw)
            work.chmod(0o755)
            _replace_folder(work, out / record.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def read_record(folder: Path) -> ItemRecord | None:
    """The record of a finished folder, or None where there is none that can be read."""
    try:
        return ItemRecord(**json.loads((folder / RESULT_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the file system refuses into an :class:`OutputError` that names the directory."""
    try:
        yield
    except OSError as refused:
        if out.is_file():
            raise OutputError(f"{out}: is a file. Results need a folder: choose another --out.") from refused
        reason = refused.strerror or str(refused)
        raise OutputError(f"{out}: results cannot be written ({reason}). Free space or choose another --out; a second call goes on.") from refused


def _write_tables(folder: Path, tables: ItemTables) -> None:
    candidates = tables.candidates.copy()
    names = [f"rank-{rank:03d}.xyz" for rank in range(1, len(tables.structures) + 1)]
    candidates["file"] = [*names, *[""] * (len(candidates) - len(names))]
    columns = [name for name in CANDIDATE_COLUMNS if name in candidates]
    _with_digits(candidates[columns]).to_csv(folder / "candidates.csv", index=False)
    tables.types.to_csv(folder / "types.csv", index=False, float_format="%.6g")
    _with_digits(tables.fit, 8).to_csv(folder / "fit.csv", index=False)
    for name, table in tables.more.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    if tables.latent is not None:
        _with_digits(tables.latent).to_csv(folder / "latent.csv", index=False)
    for name, structure, row in zip(names, tables.structures, candidates.itertuples(), strict=False):
        comment = f"{structure.formula} {structure.structure_type} Rw={row.rw:.4f} rank={row.rank} source={row.source} {structure.label}"
        write_xyz(structure, folder / name, comment)
        write_cif(structure, (folder / name).with_suffix(".cif"))
    if tables.relaxed is not None:
        write_xyz(tables.relaxed, folder / RELAXED_FILE, f"{tables.relaxed.formula} rank 1 relaxed under the data: see result.json")


def _with_digits(table: pd.DataFrame, digits: int = 6) -> pd.DataFrame:
    """Columns of floats as text with so many digits, empty where NaN: what ``float_format`` writes, several times as fast for long tables."""
    floats = table.select_dtypes("float").columns
    texts = {name: [f"{value:.{digits}g}" if value == value else "" for value in table[name].tolist()] for name in floats}  # noqa: PLR0124 - NaN
    return table.assign(**texts)


def _write_record(folder: Path, record: ItemRecord) -> None:
    (folder / RESULT_FILE).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")


def _draw(folder: Path, record: ItemRecord, draw: Draw) -> None:
    try:
        draw(folder)
    except OSError:
        raise
    except Exception as broken:  # noqa: BLE001 - a figure is worth less than the result it shows
        record.details = {**record.details, "figures": f"not drawn: {type(broken).__name__}: {broken}"}
        _write_record(folder, record)


def _replace_folder(work: Path, final: Path) -> None:
    if final.exists():
        old = Path(mkdtemp(prefix=f"{OLD_PREFIX}{final.name}.", dir=final.parent))
        final.replace(old / final.name)
        work.replace(final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        work.replace(final)
