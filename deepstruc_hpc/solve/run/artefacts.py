"""Which model and which catalog a run uses: those named, else those that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from deepstruc_hpc.core.errors import CheckpointError, ConfigError, StoreError
from deepstruc_hpc.core.resources import cache_dir, share_dir
from deepstruc_hpc.solve.config import Source

DEFAULT_MODEL = "default"
DEFAULT_CATALOG = "compact"
STAND_INS = frozenset({"compact", "shapes", "extended"})
"""Recipes that list each shape in one metal, which stands for all: its element says nothing about a sample."""


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


@dataclass(frozen=True)
class NamedCatalog:
    """A catalog known by the name of a recipe that comes with the program.

    Attributes:
        name: of the recipe.
        store: where it lies: in the package, else in the cache, where another recipe has another place.
        packaged: it came with the package and needs no build.
    """

    name: str
    store: Path
    packaged: bool

    @property
    def ready(self) -> bool:
        """Whether it is there, and whole."""
        from deepstruc_hpc.data.catalog_store import Catalog

        return self.packaged or (self.store.exists() and Catalog.open(self.store).complete)


def named_catalog(given: str | Path | None) -> NamedCatalog | None:
    """The catalog that a name stands for: ``compact`` (None means it, too), ``shapes``, ``extended``, …; None where it is a path or a URL."""
    name = DEFAULT_CATALOG if given is None else str(given)
    recipe = share_dir("catalog") / f"{name}.yaml"
    if (given is not None and Path(given).exists()) or Path(name).name != name or not recipe.is_file():
        return None
    packaged = share_dir("catalog") / f"{name}.zarr"
    if (packaged / "zarr.json").is_file():
        return NamedCatalog(name, packaged, packaged=True)
    mark = blake2b(recipe.read_bytes(), digest_size=6).hexdigest()
    return NamedCatalog(name, cache_dir() / f"{name}-{mark}.zarr", packaged=False)


def resolve_sources(model: str | Path | None, catalog: str | Path | None, wanted: tuple[Source, ...]) -> Sources:
    """Find model and catalog, and check early that they can be opened.

    Raises:
        CheckpointError: a model that was named cannot be loaded.
        StoreError: a catalog that was named cannot be opened, or is the name of a recipe that is not built yet.
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
    own = catalog is not None and str(catalog) not in STAND_INS
    return Sources(model_name, store, ids, own_elements=own, notes=tuple(notes))


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

    named = named_catalog(given)
    if named is not None:
        if not named.ready:
            raise StoreError(
                f"{named.store}: the catalog {named.name} is not built yet. The command line builds it on first use; or run "
                f"'deepstruc-hpc catalog build {named.name} --out {named.store}', or give catalog=STORE."
            )
        store = str(named.store)
    else:
        store = str(Path(given).resolve()) if Path(str(given)).exists() else str(given)  # type: ignore[arg-type]
    opened = Catalog.open(store)
    ids["catalog"] = f"{opened.id}:{opened.content_hash}"
    return store
