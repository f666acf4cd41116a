"""The directory of a training: what is in it, and whether a call may begin or go on there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepstruc_hpc.core.config import load_config
from deepstruc_hpc.core.errors import CheckpointError, ConfigError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.data.catalog_store import Catalog
from deepstruc_hpc.model.checkpoint import INSIDE_A_RUN, STATE, replace_directory
from deepstruc_hpc.training.config import MAY_CHANGE_ON_RESUME, TrainConfig
from deepstruc_hpc.training.tracking import flattened

SETTINGS, IDENTITY, RAY_FOLDER, LOCAL_FOLDER = "config.yaml", "run.json", "ray", "local"


@dataclass(frozen=True)
class RunFiles:
    """Paths of one training.

    ``config.yaml`` settings as resolved; ``run.json`` catalog, versions, MLflow's run; ``epochs.jsonl`` metrics by epoch; ``checkpoint/`` the best
    epoch; ``ray/`` or ``local/`` the checkpoints to go on from; ``mlflow.db`` and ``mlflow-artifacts/`` where no other tracking server is set.
    """

    root: Path

    @property
    def settings(self) -> Path:
        """Settings as resolved."""
        return self.root / SETTINGS

    @property
    def identity(self) -> Path:
        """Catalog, versions, MLflow's run."""
        return self.root / IDENTITY

    @property
    def checkpoint(self) -> Path:
        """The best epoch."""
        return self.root / INSIDE_A_RUN

    def read_identity(self) -> dict[str, Any]:
        """Content of ``run.json``, empty where there is none."""
        try:
            found: dict[str, Any] = json.loads(self.identity.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def update_identity(self, **values: Any) -> None:
        """Replace some values of ``run.json``.

        Raises:
            OutputError: it cannot be written.
        """
        write_atomically(self.identity, json.dumps({**self.read_identity(), **values}, indent=2) + "\n")

    def begin(self, config: TrainConfig, catalog: Catalog, store: str, *, resume: bool) -> None:
        """Make the directory ready, or check that the training in it is the one that is asked for.

        Raises:
            ConfigError: a training is there and ``resume`` is not asked, or its settings differ.
            CheckpointError: it was begun on another catalog.
        """
        before = self.read_identity()
        if before and not resume:
            raise ConfigError(f"{self.root}: holds a training already. Add --resume to go on with it, or choose another --out.")
        if before:
            self._check_same(config, catalog, before)
        self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self.settings, config.to_yaml())
        self.update_identity(store=store, catalog_id=catalog.id, catalog_hash=catalog.content_hash, code_version=__version__)

    def keep_best(self, source: Path) -> bool:
        """Copy a checkpoint, without its training state, to where models are looked for; False when Ray has removed it meanwhile."""
        temporary = self.root / f".{INSIDE_A_RUN}.new"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            shutil.copytree(source, temporary, ignore=shutil.ignore_patterns(STATE, ".*"))
        except (FileNotFoundError, shutil.Error):
            shutil.rmtree(temporary, ignore_errors=True)
            return False
        replace_directory(temporary, self.checkpoint)
        return True

    def _check_same(self, config: TrainConfig, catalog: Catalog, before: dict[str, Any]) -> None:
        if before.get("catalog_hash") != catalog.content_hash:
            was, now = str(before.get("catalog_hash"))[:12], catalog.content_hash[:12]
            raise CheckpointError(
                f"{self.root}: was begun on a catalog with the content {was}, but the one given has {now}. Give the catalog that it was begun on, "
                "or another --out."
            )
        old, new = (flattened(settings.model_dump(mode="json")) for settings in (load_config(TrainConfig, self.settings), config))
        changed = sorted(key for key in new if key not in MAY_CHANGE_ON_RESUME and old.get(key) != new[key])
        if changed:
            first, may = changed[0], ", ".join(sorted(MAY_CHANGE_ON_RESUME))
            raise ConfigError(
                f"{self.root}: was begun with {first} = {old.get(first)}, and --resume asks for {new[first]}. Only {may} may change "
                "in a resumed training."
            )
