"""A directory of results as solve leaves it, read back for the report: only from its files, and whole or half finished alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.files import shown_name

BEST = 10
NEEDED = {
    "candidates": ("rank", "structure_type", "n_atoms", "rw"),
    "types": ("structure_type", "probability"),
    "fit": ("r", "g_obs", "g_calc"),
    "latent": ("kind", "z1", "z2", "structure_type", "rw"),
    "verify": ("rank", "rw", "engine"),
    "mixture": ("structure_type", "n_atoms", "weight_fraction", "kept"),
    "phases": ("formula", "structure_type", "weight_fraction"),
    "sizes": ("diameter", "share_by_volume", "share_err"),
}
"""Tables of a folder and the columns without which they are of no use."""
PARAMETERS = ("rw", "scale", "zoom", "uiso", "delta2")
"""What a fit reports, in the order in which it is shown; each may have an uncertainty ``<name>_err``."""


@dataclass(frozen=True)
class PdfResult:
    """One row of the summary and the tables of its folder; a table that is not there is None.

    Attributes:
        row: the row of ``summary.csv``, missing values as None.
        folder: name of its folder within the directory.
        path: that folder.
        details: what ``summary.json`` knows about the file beyond the row, for example the conditions used.
        candidates, types, fit, latent: the tables of the folder.
        files: names of all files in the folder, sorted.
        verify, mixture: what srfit or srreal and the search for mixtures said, where they were asked.
        phases, sizes: the phases of a curve of several, and the free distribution of a crystal's diameters.
    """

    row: Mapping[str, Any]
    folder: str
    path: Path
    details: Mapping[str, Any]
    candidates: pd.DataFrame | None
    types: pd.DataFrame | None
    fit: pd.DataFrame | None
    latent: pd.DataFrame | None
    files: tuple[str, ...]
    verify: pd.DataFrame | None = None
    mixture: pd.DataFrame | None = None
    phases: pd.DataFrame | None = None
    sizes: pd.DataFrame | None = None

    @property
    def status(self) -> str:
        """``ok``, ``failed`` or ``refused``."""
        return str(self.row.get("status") or "unknown")

    @property
    def name(self) -> str:
        """The file's name without its directory."""
        return shown_name(str(self.row.get("file") or self.folder))

    def best(self) -> Mapping[str, Any]:
        """The candidate of rank 1 as a mapping, empty where there is none."""
        return {} if self.candidates is None or self.candidates.empty else clean_row(self.candidates.iloc[0])


@dataclass(frozen=True)
class FolderResult:
    """All PDFs of one directory and what the run says about itself."""

    directory: Path
    pdfs: tuple[PdfResult, ...]
    run: Mapping[str, Any]


def read_results(directory: str | Path) -> FolderResult:
    """Read ``summary.csv``, ``summary.json`` and the folders.

    Raises:
        ConfigError: the directory is not one that solve wrote.
    """
    base = Path(directory)
    if not base.is_dir():
        raise ConfigError(f"{base}: no such directory. Give the directory that solve --out wrote.")
    table = base / "summary.csv"
    if not table.is_file():
        raise ConfigError(f"{base}: holds no summary.csv. Give the directory that solve --out wrote.")
    summary = read_table(table)
    if summary is None or "file" not in summary or "status" not in summary:
        raise ConfigError(f"{table}: not a summary of solve: the columns 'file' and 'status' are needed.")
    document = _read_json(base / "summary.json")
    items = {str(item.get("file")): item for item in document.get("items", []) if isinstance(item, dict)}
    pdfs = tuple(_read_pdf_folder(base, row, items.get(str(row.get("file")), {})) for row in map(clean_row, (r for _, r in summary.iterrows())))
    run = document.get("run")
    return FolderResult(base, pdfs, run if isinstance(run, dict) else {key: value for key, value in document.items() if key != "items"})


def _read_pdf_folder(base: Path, row: Mapping[str, Any], item: Mapping[str, Any]) -> PdfResult:
    folder = str(row.get("folder") or item.get("folder") or Path(str(row.get("file"))).stem)
    path = base / folder
    files = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_file())) if path.is_dir() else ()
    tables = {name: read_table(path / f"{name}.csv", columns) for name, columns in NEEDED.items()}
    tables["latent"] = used_map(tables["latent"])
    details = {key: value for key, value in item.items() if key not in row and value not in (None, "", {}, [])}
    return PdfResult(row, folder, path, details, **tables, files=files)


def read_table(path: Path, needed: Sequence[str] = ()) -> pd.DataFrame | None:
    """A CSV table, or None where it is missing, empty, broken, or lacks a needed column."""
    try:
        table = pd.read_csv(path, keep_default_na=True)
    except (OSError, ValueError):  # EmptyDataError and ParserError are ValueErrors
        return None
    return table if set(needed) <= set(table) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def clean_row(row: pd.Series) -> dict[str, Any]:
    """A row as plain Python values, NaN as None."""
    return {str(key): plain(value) for key, value in row.items()}


def plain(value: Any) -> Any:
    """A value of a table as a plain Python value; NaN and NA as None."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def used_map(latent: pd.DataFrame | None) -> pd.DataFrame | None:
    """The latent table, or None where it holds the catalog alone: the model proposed nothing for this curve."""
    return None if latent is None or latent.empty or latent["kind"].eq("catalog").all() else latent
