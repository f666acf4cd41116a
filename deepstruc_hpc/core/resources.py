"""Recipes, cluster profiles and models that travel with the package, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import os
from pathlib import Path

from deepstruc_hpc.core.errors import ConfigError

PACKAGE_DIR = Path(__file__).resolve().parent.parent


def share_dir(kind: str) -> Path:
    """The folder of packaged data: ``catalog``, ``clusters``, ``slurm``. An installed wheel holds them in ``deepstruc_hpc/share``."""
    installed = PACKAGE_DIR / "share" / kind
    return installed if installed.is_dir() else PACKAGE_DIR.parent / kind


def find_resource(kind: str, name: str) -> Path:
    """A file by path, or by name among those that travel with the package (``demo`` finds ``catalog/demo.yaml``).

    Raises:
        ConfigError: naming what was sought and which names there are.
    """
    given = Path(name)
    if given.exists():
        return given
    base = share_dir(kind)
    for candidate in (base / name, base / f"{name}.yaml", base / given.name):
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(path.stem for path in base.glob("*.yaml")))
    raise ConfigError(f"{name}: no such file, and not one of the names that come with the program ({known}).")


def cache_dir() -> Path:
    """Where what can be made again is kept: ``$DEEPSTRUC_HPC_CACHE``, else ``$XDG_CACHE_HOME/deepstruc_hpc``, else ``~/.cache/deepstruc_hpc``."""
    override = os.environ.get("DEEPSTRUC_HPC_CACHE")
    if override:
        return Path(override).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "deepstruc_hpc"
