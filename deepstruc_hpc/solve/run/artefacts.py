"""Which model, catalog, crystals and structures a run uses: those named, else those that come with the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from deepstruc_hpc.core.errors import CheckpointError, ConfigError, StoreError, StructureError
from deepstruc_hpc.core.resources import cache_dir, share_dir
from deepstruc_hpc.solve.candidates.source import BUILT_IN, added_sources
from deepstruc_hpc.solve.candidates.structures import structure_files
from deepstruc_hpc.structures.user_crystals import crystal_files

DEFAULT_MODEL = "default"
COMPOUNDS_MODEL = "compounds"
"""Comes with the program beside the default model, and is asked in its place where the sample is a compound."""
DEFAULT_CATALOG = "compact"
STAND_INS = frozenset({"compact", "shapes", "extended"})
"""Recipes that list each shape in one metal, which stands for all: its element says nothing about a sample."""


Folders = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class NamedArtefacts:
    """What the user names; None and empty: what comes with the package.

    Attributes:
        model: checkpoint or name, or ``FILE.py:NAME`` of a generator of the user's own.
        catalog: store, or the name of a recipe.
        crystals: CIF files and folders of them.
        structures: XYZ and CIF files and folders of them.
    """

    model: str | Path | None = None
    catalog: str | Path | None = None
    crystals: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artefacts:
    """What candidates come from.

    Attributes:
        model: name or path for ``load_generator``, or None.
        catalog: store for ``Catalog.open``, or None.
        crystals, structures: absolute paths.
        ids: their ids, part of every result's identity.
        own_elements: the user chose the catalog.
        notes: what a person should know, one sentence each.
    """

    model: str | None
    catalog: str | None
    ids: dict[str, str]
    own_elements: bool
    notes: tuple[str, ...] = ()
    crystals: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()


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


def resolve_sources(named: NamedArtefacts, wanted: tuple[str, ...]) -> Artefacts:
    """Find what is named, and check early that it can be opened.

    Raises:
        CheckpointError: a model that was named cannot be loaded.
        StoreError: a catalog that was named cannot be opened, or is the name of a recipe that is not built yet.
        StructureError: a folder of crystals or structures is not there, or holds none.
        ConfigError: no source of that name, or none that is left.
    """
    unknown = [name for name in wanted if name not in BUILT_IN]
    if unknown and (missing := [name for name in unknown if name not in added_sources()]):
        raise ConfigError(f"--sources {','.join(missing)}: no such source. Known: {', '.join([*BUILT_IN, *added_sources()])}.")
    notes: list[str] = []
    ids: dict[str, str] = {}
    model_name, store = None, None
    if "cvae" in wanted:
        model_name = _model(named.model, ids, notes)
    if "catalog" in wanted:
        store = _catalog(named.catalog, ids)
    crystals = tuple(str(Path(folder).expanduser().resolve()) for folder in named.crystals)
    structures = tuple(str(Path(folder).expanduser().resolve()) for folder in named.structures)
    for kind, found in (("crystals", [path for folder in crystals for path in crystal_files(Path(folder))]), ("structures", _structures(structures))):
        if found:
            ids[kind] = _content_hash(found)
    if model_name is None and store is None and not {"large", "crystals"} & set(wanted) and not structures and not unknown:
        missing_ones = {"cvae": "no model comes with this installation: give --model CHECKPOINT", "structures": "give --structures FOLDER"}
        missing_ones["alloys"] = "orderings are put on the shapes of other sources"
        why = "; ".join(f"{name}: {missing_ones[name]}" for name in wanted if name in missing_ones)
        raise ConfigError(f"no source of candidates is left ({why}). Or add another one, for example --sources {','.join([*wanted, 'catalog'])}.")
    own = named.catalog is not None and str(named.catalog) not in STAND_INS
    return Artefacts(model_name, store, ids, own_elements=own, notes=tuple(notes), crystals=crystals, structures=structures)


def folders(given: Folders) -> tuple[str, ...]:
    """One path or several as a tuple of texts."""
    return (str(given),) if isinstance(given, str | Path) else tuple(str(path) for path in given)


def _structures(named: Sequence[str]) -> list[Path]:
    return [path for folder in named for path in structure_files(folder)]


def _content_hash(files: Sequence[Path]) -> str:
    """Of one file after the other: ten thousand are never held at once."""
    mark = blake2b(digest_size=8)
    for path in files:
        mark.update(_bytes(path))
    return mark.hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as refused:
        raise StructureError(f"{path}: cannot be read ({refused.strerror or refused}). Check the path.") from refused


def _model(given: str | Path | None, ids: dict[str, str], notes: list[str]) -> str | None:
    from deepstruc_hpc.model.checkpoint import PRETRAINED_DIR, WEIGHTS, find_checkpoint, read_info
    from deepstruc_hpc.model.loading import full_name, is_own, own_identity

    if given is not None and is_own(str(given)):
        ids["model"] = own_identity(full_name(str(given)))
        return full_name(str(given))
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
    beside = PRETRAINED_DIR / COMPOUNDS_MODEL / WEIGHTS
    if directory == PRETRAINED_DIR / DEFAULT_MODEL and beside.is_file():
        ids["compounds model"] = _hash(beside)
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
