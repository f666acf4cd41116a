"""Checkpoints: directories that describe themselves and refuse what does not fit.

A checkpoint holds ``model.safetensors`` (weights), ``config.json`` (:class:`CheckpointInfo`) and, while a training may still go on,
``training_state.pt``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from deepstruc_hpc.core.config import STORED
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.core.version import __version__
from deepstruc_hpc.model.checkpoint_info import SCHEMA_VERSION, CheckpointInfo
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.generator import StructureModel
from deepstruc_hpc.model.size_checkpoint import size_reader
from deepstruc_hpc.model.sized_model import SizedModel

WEIGHTS, DESCRIPTION, STATE = "model.safetensors", "config.json", "training_state.pt"
PRETRAINED_DIR = Path(__file__).resolve().parent / "pretrained"
INSIDE_A_RUN = "checkpoint"


def save_checkpoint(directory: Path, model: Cvae, info: CheckpointInfo, training_state: dict[str, Any] | None = None) -> Path:
    """Write a checkpoint into a directory, which is made.

    Args:
        directory: written to under a temporary name first and renamed when whole; an earlier checkpoint there is replaced.
        model: its weights are stored as they are on any device.
        info: description.
        training_state: what a training needs to go on, or None.
    """
    temporary = directory.with_name(f".{directory.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, temporary / WEIGHTS, metadata={"format": "pt", "schema_version": str(SCHEMA_VERSION)})
    (temporary / DESCRIPTION).write_text(_as_json(info), encoding="utf-8")
    if training_state is not None:
        torch.save(training_state, temporary / STATE)
    replace_directory(temporary, directory)
    return directory


def write_info(directory: Path, info: CheckpointInfo) -> None:
    """Write the description of a checkpoint anew; the weights stay.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomically(directory / DESCRIPTION, _as_json(info))


def _as_json(info: CheckpointInfo) -> str:
    return info.model_dump_json(indent=2, context=STORED) + "\n"


def replace_directory(source: Path, target: Path) -> None:
    """Put a directory in the place of another; one of the two is there at any time."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def find_checkpoint(path_or_name: str | Path) -> Path:
    """The directory of a checkpoint: given itself, as the run that holds it, or as the name of a model that comes with the program.

    Raises:
        CheckpointError: there is none.
    """
    given = Path(path_or_name)
    for candidate in (given, given / INSIDE_A_RUN, PRETRAINED_DIR / str(path_or_name)):
        if (candidate / DESCRIPTION).is_file():
            return candidate
    shipped = ", ".join(sorted(path.parent.name for path in PRETRAINED_DIR.glob(f"*/{DESCRIPTION}"))) or "none"
    raise CheckpointError(
        f"{path_or_name}: no checkpoint there ({DESCRIPTION} and {WEIGHTS} are needed), and no model of that name comes with the program "
        f"({shipped}). Give the directory that deepstruc-hpc train wrote with --out."
    )


def read_info(directory: Path) -> CheckpointInfo:
    """The description of a checkpoint.

    Raises:
        CheckpointError: it is not readable or of another schema.
    """
    path = directory / DESCRIPTION
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as broken:
        raise CheckpointError(f"{path}: cannot be read ({broken}). The checkpoint is damaged; use another or train again.") from broken
    found = values.get("schema_version") if isinstance(values, dict) else None
    if found != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint of schema {found}, but this program ({__version__}) reads schema {SCHEMA_VERSION}. "
            "Train again or use the version that wrote it."
        )
    try:
        return CheckpointInfo.model_validate(values, context=STORED)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{path}: {where}: {first['msg']}. The checkpoint is damaged or of another version; train again.") from invalid


def load_network(directory: Path, *, device: torch.device | str = "cpu") -> tuple[Cvae, CheckpointInfo]:
    """The network of a checkpoint with its weights.

    Raises:
        CheckpointError: weights are missing, damaged, or do not fit the description.
    """
    info = read_info(directory)
    model = Cvae(info.model)
    load_weights(model, directory)
    return model.to(device), info


def load_weights(model: Cvae, directory: Path) -> None:
    """Read a checkpoint's weights into a network of the same settings.

    Raises:
        CheckpointError: weights are missing, damaged, or do not fit.
    """
    path = directory / WEIGHTS
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as broken:
        raise CheckpointError(f"{path}: cannot be read ({broken}). The checkpoint is damaged; use another or train again.") from broken
    except RuntimeError as mismatch:
        reason = str(mismatch).splitlines()[1].strip() if "\n" in str(mismatch) else str(mismatch)
        raise CheckpointError(
            f"{path}: weights do not fit the settings in {DESCRIPTION}: {reason} The two files are not of one checkpoint."
        ) from mismatch


def load_training_state(directory: Path) -> dict[str, Any]:
    """What a training needs to go on.

    Raises:
        CheckpointError: the checkpoint holds no such state.
    """
    path = directory / STATE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError) as broken:
        raise CheckpointError(f"{path}: cannot be read ({broken}). This checkpoint cannot be trained on; resume the run that made it.") from broken
    return state


def load_model(path_or_name: str | Path, *, device: torch.device | str = "cpu") -> StructureModel:
    """A trained model, ready to propose structures.

    Args:
        path_or_name: a checkpoint's directory, a run's directory, or the name of a model that comes with the program.
        device: where it computes.

    Raises:
        CheckpointError: there is none, or it does not fit this program.
    """
    directory = find_checkpoint(path_or_name)
    network, info = load_network(directory, device=device)
    sizes = size_reader(directory, network)
    return StructureModel(network, info) if sizes is None else SizedModel(network, info, sizes)


__all__ = [
    "CheckpointInfo",
    "find_checkpoint",
    "load_model",
    "load_network",
    "load_training_state",
    "load_weights",
    "read_info",
    "replace_directory",
    "save_checkpoint",
    "write_info",
]
