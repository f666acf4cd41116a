"""The record of an export: what was exported, and how far it came. A killed export goes on from its record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepstruc_hpc.catalog.formats.selection import Selection
from deepstruc_hpc.core.errors import OutputError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.version import __version__

FOLDER_RECORD = "export.json"
REMEDY = "Free space or choose another place; the same command goes on where it stopped."


class ExportRecord:
    """The record of one export, a JSON file beside the exported file or in the exported folder.

    Args:
        path: of the record.
        selection: what is exported.
        kind: name of the format.
        options: what else decides about the content.

    Raises:
        OutputError: there is a record of another export, or one that cannot be read.
    """

    def __init__(self, path: Path, selection: Selection, kind: str, options: dict[str, Any] | None = None) -> None:
        self.path = path
        catalog = selection.catalog
        self._body: dict[str, Any] = {
            "format": kind,
            "program": f"deepstruc_hpc {__version__}",
            "catalog": {
                "recipe": [str(recipe.get("name")) for recipe in catalog.manifest.recipes],
                "recipe_hash": catalog.id,
                "content_hash": catalog.content_hash,
                "code_version": catalog.manifest.code_version,
                "structures": len(catalog),
            },
            "where": selection.where.strip(),
            "limit": selection.limit,
            "options": json.loads(json.dumps(options or {})),
            "structures": len(selection),
            "conditions": catalog.conditions.model_dump(mode="json"),
            "key": selection.key,
        }
        self._state: dict[str, Any] = {"done": 0, "complete": False}
        if path.exists():
            self._state = self._earlier()

    @property
    def done(self) -> int:
        """Structures that are safely written."""
        return int(self._state["done"])

    @property
    def complete(self) -> bool:
        """True when nothing is missing."""
        return bool(self._state["complete"])

    @property
    def facts(self) -> dict[str, Any]:
        """What a format keeps there of its own, such as the bytes that are whole."""
        return {name: value for name, value in self._state.items() if name not in {"done", "complete"}}

    def save(self, done: int, *, complete: bool = False, **facts: Any) -> None:
        """Write how far the export came."""
        self._state = {"done": done, "complete": complete, **facts}
        write_atomically(self.path, json.dumps({**self._body, "state": self._state}, indent=1, ensure_ascii=False) + "\n", remedy=REMEDY)

    def _earlier(self) -> dict[str, Any]:
        try:
            document = json.loads(self.path.read_bytes())
            state = dict(document["state"])
            same = all(document.get(name) == self._body[name] for name in ("format", "key", "options"))
        except (ValueError, KeyError, TypeError, OSError) as damaged:
            raise OutputError(f"{self.path}: the record of an export cannot be read ({damaged}). Remove it and what it describes.") from damaged
        if not same:
            differing = ", ".join(name for name in self._body if document.get(name) != self._body[name] and name not in {"key", "program"})
            raise OutputError(f"{self.path}: another export lies there (it differs in {differing}). Choose another place, or remove it.")
        return state


@contextmanager
def alone(record: Path) -> Iterator[None]:
    """Keeps a second export out of a place while this one runs; the system lifts the lock when the process ends, however it ends.

    Raises:
        OutputError: another export is at work there, or nothing can be written.
    """
    import fcntl

    lock = record.with_name(f".{record.name}.lock")
    with or_output_error(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise OutputError(f"{record.parent}: another export is writing there. Wait for it, or choose another place.") from busy
        except OSError:  # a file system without locks
            pass
        yield
        lock.unlink(missing_ok=True)


@contextmanager
def or_output_error(place: Path) -> Iterator[None]:
    """Turns what the system says of a failed write into an error that tells what to do."""
    try:
        yield
    except OSError as failed:
        raise OutputError(f"{place}: cannot be written ({failed.strerror or failed}). {REMEDY}") from failed
