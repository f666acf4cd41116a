"""The table over all PDFs of an output directory: kept up to date item by item, read back by a second call."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.core.files import natural_order, write_atomically
from deepstruc_hpc.solve.run.output import OLD_PREFIX, SUMMARY_COLUMNS, WORK_PREFIX, ItemRecord, read_record, writing

SUMMARY_JSON = "summary.json"
SUMMARY_CSV = "summary.csv"
SCHEMA = 1
"""Version of summary.json."""
REMEDY = "Free space or choose another --out; a second call goes on."
SAVE_EVERY_S = 2.0
"""Seconds between writes of the summary."""
STALE_AFTER_S = 3600.0
"""Seconds after which a temporary file is taken for left over."""
_NAMES = {item.name for item in fields(ItemRecord)}


class Summary:
    """Rows by file, saved after every item (at most every two seconds when they come faster; each folder holds its own row as well).

    Args:
        out: the output directory, made when it is not there.
        run: settings, versions, seeds, ids of model and catalog: the head of ``summary.json``.

    Raises:
        OutputError: when the directory cannot be made or written, or holds another program's ``summary.json``.
    """

    def __init__(self, out: Path, run: Mapping[str, Any]) -> None:
        self.out, self.run = out, dict(run)
        self._saved = 0.0
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self.rows = self._earlier()

    def folders(self) -> dict[str, str]:
        """File → folder, of this call and of earlier ones."""
        return {row.file: row.folder for row in self.rows.values()}

    def finished(self, file: str, folder: str, settings_id: str, file_hash: Callable[[], str]) -> bool:
        """Whether the file was solved (or refused) with these settings and these bytes, and its folder is still there."""
        record = read_record(self.out / folder)
        if record is None or record.status == "failed" or record.file != file:
            return False
        if record.settings_id != settings_id or record.file_hash != file_hash():
            return False
        self.rows[file] = record
        return True

    def add(self, record: ItemRecord) -> None:
        """Take a row in and save."""
        self.rows[record.file] = record
        if time.monotonic() - self._saved > SAVE_EVERY_S or len(self.rows) <= 20:
            self.save()

    def save(self) -> None:
        """Write summary.json and summary.csv, each whole or not at all."""
        with writing(self.out):
            items = [asdict(self.rows[file]) for file in sorted(self.rows, key=natural_order)]
            write_atomically(self.out / SUMMARY_JSON, json.dumps({"schema": SCHEMA, "run": self.run, "items": items}, indent=1), remedy=REMEDY)
            write_atomically(self.out / SUMMARY_CSV, self.frame().to_csv(index=False, float_format="%.6g"), remedy=REMEDY)
        self._saved = time.monotonic()

    def frame(self) -> pd.DataFrame:
        """One row a PDF with the columns of ``summary.csv`` and ``folder``, in order of the file names, with numbers in them counted as numbers."""
        rows_in_order = [self.rows[file] for file in sorted(self.rows, key=natural_order)]
        rows = [{name: getattr(row, name) for name in [*SUMMARY_COLUMNS, "folder"]} for row in rows_in_order]
        frame = pd.DataFrame(rows, columns=[*SUMMARY_COLUMNS, "folder"])
        numbers = ("rw", "probability", "diameter", "diameter_low", "diameter_high", "size_spread")
        return frame.astype({"n_atoms": "Int64", **dict.fromkeys(numbers, float)})

    def _earlier(self) -> dict[str, ItemRecord]:
        path = self.out / SUMMARY_JSON
        if not path.exists():
            return {}
        try:
            items = json.loads(path.read_text(encoding="utf-8"))["items"]
            return {item["file"]: ItemRecord(**{key: value for key, value in item.items() if key in _NAMES}) for item in items}
        except (ValueError, KeyError, TypeError) as broken:
            raise OutputError(f"{path}: not a summary of this program ({broken}). Choose another --out, or move the file away.") from broken

    def _sweep(self) -> None:
        """Put back or remove what an interrupted call left under a temporary name."""
        for left in self.out.glob(f"{OLD_PREFIX}*"):
            for folder in left.iterdir():
                if not (self.out / folder.name).exists():
                    folder.replace(self.out / folder.name)
            shutil.rmtree(left, ignore_errors=True)
        for left in self.out.glob(f"{WORK_PREFIX}*"):
            if time.time() - left.stat().st_mtime > STALE_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)
