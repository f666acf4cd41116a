"""What stands at a place where a catalog is looked for, in words, before anything is opened."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.resources import share_dir

MANIFEST_FILE = "zarr.json"


def local_path(store: str | os.PathLike[str]) -> Path | None:
    """The path of a store that is named by a path; None for a URL of another machine."""
    text = os.fspath(store)
    return Path(text.removeprefix("file://")).expanduser() if "://" not in text or text.startswith("file://") else None


def recipe_names() -> list[str]:
    """Recipes that come with the program."""
    return sorted(path.stem for path in share_dir("catalog").glob("*.yaml"))


def check_catalog_place(store: str, *, names: bool = False) -> None:
    """Refuse at once, without opening anything, a place where no catalog can be; of a URL nothing is known.

    Args:
        store: path or URL, as it was typed.
        names: the name of a packaged recipe is as good.

    Raises:
        StoreError: what is there instead, and what to do.
    """
    path = local_path(store)
    if path is None or (path / MANIFEST_FILE).is_file() or (names and not path.exists() and store in recipe_names()):
        return
    raise StoreError(no_catalog(store, path, names=names))


def no_catalog(store: str, path: Path | None, *, names: bool = False) -> str:
    """The sentence that says why there is no catalog at ``store``, which is at ``path`` on this machine, or on another one."""
    own_name = ", or the name of a recipe that comes with the program, such as compact or extended" if names else ""
    needed = f"needed is a directory made by deepstruc-hpc catalog build{own_name}"
    if path is not None and path.is_file():
        return f"{store} is a file and no catalog: {needed}."
    if path is not None and path.is_dir():
        entries = sum(1 for _ in path.iterdir())
        what = f"a folder without {MANIFEST_FILE}: {entries} {'entry' if entries == 1 else 'entries'}" if entries else "an empty folder"
        return f"{store}: no catalog there, but {what}; {needed}."
    near = difflib.get_close_matches(Path(store).stem, recipe_names(), n=1)
    if not near:
        return f"{store}: no catalog there. Make one: deepstruc-hpc catalog build RECIPE --out {store}"
    if names:
        return f"{store}: no catalog there. Did you mean --catalog {near[0]}, a recipe that comes with the program?"
    build = f"deepstruc-hpc catalog build {near[0]} --out {near[0]}.zarr"
    return f"{store}: no catalog there. {near[0]} is a recipe that comes with the program; a catalog of it is made by: {build}"
