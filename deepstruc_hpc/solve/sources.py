"""Which model and which catalog a run uses: those named, else those that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from deepstruc_hpc.core.errors import CheckpointError, ConfigError, StoreError
from deepstruc_hpc.core.resources import cache_dir, share_dir
from deepstruc_hpc.solve.config import Source

DEFAULT_MODEL = "default"
DEFAULT_RECIPE = "shapes"


@dataclass(frozen=True)
class Sources:
    """What candidates come from.

    Attributes:
        model: name or path for ``load_model``, or None.
        catalog: store for ``Catalog.open``, or None.
        ids: their ids, part of every result's identity.
        own_elements: the user chose the catalog.
        notes: what a person should know, one sentence each.
    """

    model: str | None
    catalog: str | None
    ids: dict[str, str]
    own_elements: bool
    notes: tuple[str, ...] = ()


def default_catalog_path() -> Path:
    """Where the catalog of the recipe ``shapes`` is kept once it is built; another recipe gives another place."""
    recipe = share_dir("catalog") / f"{DEFAULT_RECIPE}.yaml"
    mark = blake2b(recipe.read_bytes(), digest_size=6).hexdigest() if recipe.is_file() else "none"
    return cache_dir() / f"{DEFAULT_RECIPE}-{mark}.zarr"


def resolve_sources(model: str | Path | None, catalog: str | Path | None, wanted: tuple[Source, ...]) -> Sources:
    """Find model and catalog, and check early that they can be opened.

    Raises:
        CheckpointError: a model that was named cannot be loaded.
        StoreError: a catalog that was named cannot be opened, or none was named and the default is not built.
        ConfigError: no source of candidates is left.
    """
    notes: list[str] = []
    ids: dict[str, str] = {}
    model_name, store = None, None
    if "cvae" in wanted:
        model_name = _model(model, ids, notes)
    if "catalog" in wanted:
        store = _catalog(catalog, ids)
    if model_name is None and store is None:
        raise ConfigError("no source of candidates is left: no model comes with this installation. Give --model CHECKPOINT or --sources catalog.")
    return Sources(model_name, store, ids, own_elements=catalog is not None, notes=tuple(notes))


def _model(given: str | Path | None, ids: dict[str, str], notes: list[str]) -> str | None:
    from deepstruc_hpc.model.checkpoint import WEIGHTS, find_checkpoint, read_info

    name = DEFAULT_MODEL if given is None else str(given)
    if given is not None and Path(given).exists():
        name = str(Path(given).resolve())
    try:
        directory = find_checkpoint(name)
        info = read_info(directory)
    except CheckpointError:
        if given is not None:
            raise
        notes.append("no trained model comes with this installation: candidates come from the catalog alone")
        return None
    ids["model"] = f"{info.name}:{_hash(directory / WEIGHTS)}"
    return str(directory.resolve())


def _hash(weights: Path) -> str:
    try:
        return blake2b(weights.read_bytes(), digest_size=8).hexdigest()
    except OSError as missing:
        raise CheckpointError(f"{weights}: cannot be read ({missing.strerror}). The checkpoint is damaged; use another or train again.") from missing


def _catalog(given: str | Path | None, ids: dict[str, str]) -> str:
    from deepstruc_hpc.data.catalog_store import Catalog

    if given is None:
        path = default_catalog_path()
        if not path.exists():
            raise StoreError(
                f"{path}: the default catalog is not built yet. The command line builds it on first use; or run "
                f"'deepstruc-hpc catalog build {DEFAULT_RECIPE} --out {path}', or give catalog=STORE."
            )
        store = str(path)
    else:
        store = str(Path(given).resolve()) if Path(given).exists() else str(given)
    opened = Catalog.open(store)
    ids["catalog"] = f"{opened.id}:{opened.content_hash}"
    return store
