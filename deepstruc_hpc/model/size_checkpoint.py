"""The files of a size head beside a model's own: ``size_head.safetensors``, ``size_head.json`` and, where it has one, ``size_library.safetensors``.

A checkpoint without them is as good as ever.
"""

from __future__ import annotations

import json
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.core.errors import CheckpointError
from deepstruc_hpc.core.files import write_atomically
from deepstruc_hpc.model.cvae import Cvae
from deepstruc_hpc.model.size_head import BLEND, SizeHead, SizeHeadConfig, feature_count
from deepstruc_hpc.model.size_reading import SizeReader

if TYPE_CHECKING:
    from deepstruc_hpc.model.size_library import SizeLibrary

SIZE_WEIGHTS, SIZE_DESCRIPTION, SIZE_LIBRARY = "size_head.safetensors", "size_head.json", "size_library.safetensors"
SIZE_SCHEMA = 1


class SizeInfo(Config):
    """What a size head says of itself."""

    schema_version: int = Field(SIZE_SCHEMA, description="of this document")
    head: SizeHeadConfig = SizeHeadConfig()
    prior_hash: str = Field(description="of the model whose prior's features it reads")
    fewest_atoms: int = Field(ge=1, description="of the particles that it was trained on")
    most_atoms: int = Field(ge=1, description="of the particles that it was trained on")
    seed: int = Field(0, ge=0, description="of its training")
    log: dict[str, float] = Field(default_factory=dict, description="last line of the training's log")
    blend_log: dict[str, float] = Field(default_factory=dict, description="of the fit of the readings' weights, after the training")


def prior_hash(network: Cvae) -> str:
    """Hash of the weights of a model's prior and of its input scales."""
    digest = blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        if name.startswith("pdf_"):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_size_head(directory: Path, head: SizeHead, info: SizeInfo) -> None:
    """Write weights (half precision) and description into a directory that is there."""
    weights = {name: tensor.detach().cpu().half().contiguous() for name, tensor in head.state_dict().items()}
    temporary = directory / f".{SIZE_WEIGHTS}.part"
    save_file(weights, temporary, metadata={"format": "pt", "schema_version": str(SIZE_SCHEMA)})
    temporary.replace(directory / SIZE_WEIGHTS)
    write_atomically(directory / SIZE_DESCRIPTION, info.model_dump_json(indent=2) + "\n")


def load_size_head(directory: Path, network: Cvae) -> tuple[SizeHead, SizeInfo] | None:
    """The size head of a checkpoint; None where it has none.

    Raises:
        CheckpointError: it is damaged, of another schema, or of another model than the one beside it.
    """
    path = directory / SIZE_DESCRIPTION
    if not path.is_file():
        return None
    info = _read_info(path)
    if info.prior_hash != prior_hash(network):
        raise CheckpointError(f"{path}: this size head reads the prior of another model than the one in {directory}. Train it again, or remove it.")
    head = SizeHead(info.head, network.config.grid, feature_count(network))
    weights = directory / SIZE_WEIGHTS
    try:
        stored = {name: tensor.float() for name, tensor in load_file(weights).items()}
        fresh = {name: tensor for name, tensor in head.state_dict().items() if name.startswith(BLEND)}
        head.load_state_dict(fresh | stored)
    except (OSError, SafetensorError, RuntimeError) as broken:
        raise CheckpointError(
            f"{weights}: cannot be read ({str(broken).splitlines()[0]}). The size head is damaged; remove its files, which begin with size_."
        ) from broken
    return head.to(next(network.parameters()).device).eval(), info


def size_reader(directory: Path, network: Cvae) -> SizeReader | None:
    """What reads sizes for a checkpoint; None where it has no size head.

    Raises:
        CheckpointError: as :func:`load_size_head`.
    """
    loaded = load_size_head(directory, network)
    if loaded is None:
        return None
    library = directory / SIZE_LIBRARY
    if loaded[0].config.library and not library.is_file():
        raise CheckpointError(
            f"{library}: not there, but {directory / SIZE_DESCRIPTION} says that the size head has one. Put it back, or remove both."
        )
    return SizeReader(network, loaded[0], partial(read_library, library) if loaded[0].config.library else None)


def read_library(path: Path) -> SizeLibrary:
    """A library of bodies. Its module is imported here: that takes most of a second, and few who load a model ask it for sizes.

    Raises:
        CheckpointError: it is damaged.
    """
    from deepstruc_hpc.model.size_library import SizeLibrary

    return SizeLibrary.load(path)


def _read_info(path: Path) -> SizeInfo:
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as broken:
        raise CheckpointError(f"{path}: cannot be read ({broken}). The size head is damaged; remove its files, which begin with size_.") from broken
    found = values.get("schema_version") if isinstance(values, dict) else None
    if found != SIZE_SCHEMA:
        raise CheckpointError(f"{path}: size head of schema {found}, but this program reads schema {SIZE_SCHEMA}. Train it again.")
    try:
        return SizeInfo.model_validate(values)
    except ValidationError as invalid:
        raise CheckpointError(
            f"{path}: {invalid.errors()[0]['msg']}. The size head is damaged; remove its files, which begin with size_."
        ) from invalid


__all__ = ["SizeInfo", "load_size_head", "prior_hash", "read_library", "save_size_head", "size_reader"]
