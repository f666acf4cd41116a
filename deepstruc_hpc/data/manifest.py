"""The manifest: which blocks a catalog consists of. One writer, the driver of a build; a block counts once it is named here."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import SUFFIX, pack
from deepstruc_hpc.data.catalog_block import DIGEST_BYTES, BlockContent, bytes_digest, encode_block
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.schema import BLOCKS, FORMAT, READABLE_VERSIONS, SCHEMA_VERSION
from deepstruc_hpc.data.store_files import StoreFiles

ROOT = "zarr.json"


@dataclass(frozen=True)
class BlockEntry:
    """What the manifest says of a block.

    Attributes:
        id: place in the catalog and a hash of what was planned for it.
        path: file in the store (in format 1 a folder); a block that was made twice has another one.
        n_structures: rows.
        n_atoms: atoms of all rows.
        content: hash of all values.
        digest: hash of the file's bytes (in format 1 of the names and bytes of the folder's files).
        n_bytes: size on disk.
        parameters: parameter columns of this block, name → ``float64`` or ``str``.
    """

    id: str
    path: str
    n_structures: int
    n_atoms: int
    content: str
    digest: str
    n_bytes: int
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """State of a catalog at one moment; a new state is a new object.

    Attributes:
        recipes: the recipe of the first build, then those that were appended.
        recipe_hash: hash of the recipes: the catalog's id.
        conditions: of all PDFs.
        code_version: version of the program that made the catalog.
        n_planned: structures that the recipes ask for.
        n_blocks_planned: blocks that the recipes ask for.
        blocks: those that are there, by id.
    """

    recipes: tuple[Mapping[str, Any], ...]
    recipe_hash: str
    conditions: PdfConditions
    code_version: str
    n_planned: int
    n_blocks_planned: int
    blocks: Mapping[str, BlockEntry] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True when every planned block is there."""
        return len(self.blocks) == self.n_blocks_planned

    @property
    def ordered(self) -> list[BlockEntry]:
        """Blocks in the order of the catalog."""
        return [self.blocks[block_id] for block_id in sorted(self.blocks)]

    @property
    def content_hash(self) -> str:
        """Hash over ids and contents of all blocks: equal for equal catalogs, however they were made."""
        digest = blake2b(digest_size=DIGEST_BYTES)
        for block in self.ordered:
            digest.update(f"{block.id} {block.content}\n".encode())
        return digest.hexdigest()

    def with_block(self, block: BlockEntry) -> Manifest:
        """The state after one more block."""
        return replace(self, blocks={**self.blocks, block.id: block})

    def without(self, block_ids: Collection[str]) -> Manifest:
        """The state with some blocks forgotten."""
        return replace(self, blocks={name: block for name, block in self.blocks.items() if name not in block_ids})

    def to_bytes(self) -> bytes:
        """The root group's metadata document with the manifest as its attributes."""
        body: dict[str, Any] = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "code_version": self.code_version,
            "recipe_hash": self.recipe_hash,
            "content_hash": self.content_hash,
            "n_planned": self.n_planned,
            "n_blocks_planned": self.n_blocks_planned,
            "conditions": self.conditions.model_dump(mode="json"),
            "recipes": list(self.recipes),
            "blocks": [asdict(block) for block in self.ordered],
        }
        attributes = {**body, "checksum": _checksum(body)}
        return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def read(cls, files: StoreFiles) -> Manifest:
        """The manifest of a store.

        Raises:
            StoreError: no catalog, another schema, or a damaged manifest.
        """
        try:
            document = json.loads(files.read(ROOT))
            body = dict(document["attributes"])
        except FileNotFoundError as missing:
            raise StoreError(f"{files.url}: no catalog there. Make one: deepstruc-hpc catalog build RECIPE --out {files.url}") from missing
        except (ValueError, KeyError, TypeError) as damaged:
            raise StoreError(
                f"{files.url}/{ROOT}: the manifest cannot be read ({damaged}). Restore it from a copy, or build anew elsewhere."
            ) from damaged
        except OSError as unreadable:
            raise StoreError(f"{files.url}: cannot be read ({unreadable}).") from unreadable
        if body.get("format") != FORMAT:
            raise StoreError(f"{files.url}: a Zarr group, but not a catalog of this program. Choose another path.")
        if body.get("schema_version") not in READABLE_VERSIONS:
            raise StoreError(
                f"{files.url}: the store has format {body.get('schema_version')}, this program reads {READABLE_VERSIONS[0]} to "
                f"{READABLE_VERSIONS[-1]}. Install a newer deepstruc_hpc."
            )
        checksum = body.pop("checksum", "")
        if checksum != _checksum(body):
            raise StoreError(
                f"{files.url}/{ROOT}: the manifest's checksum does not fit its content. Restore it from a copy, or build anew elsewhere."
            )
        blocks = {entry["id"]: BlockEntry(**entry) for entry in body["blocks"]}
        return cls(
            tuple(body["recipes"]),
            body["recipe_hash"],
            PdfConditions(**body["conditions"]),
            body["code_version"],
            body["n_planned"],
            body["n_blocks_planned"],
            blocks,
        )


def create_store(files: StoreFiles, manifest: Manifest) -> None:
    """Write the skeleton of an empty catalog; the manifest last, which makes it one."""
    files.write({**_skeleton(manifest), ROOT: manifest.to_bytes()})


def write_skeleton(files: StoreFiles, manifest: Manifest) -> None:
    """Write what surrounds the blocks once more: the r grid and the group of blocks."""
    files.write(_skeleton(manifest))


def _skeleton(manifest: Manifest) -> dict[str, bytes]:
    import zarr
    from zarr.storage import MemoryStore

    memory: dict[str, Any] = {}
    root = zarr.create_group(MemoryStore(memory), zarr_format=3)
    grid = manifest.conditions.r
    root.create_array("r", shape=grid.shape, dtype=np.float64, chunks=grid.shape, dimension_names=("r",), attributes={"unit": "Å"})[:] = grid
    root.create_group(BLOCKS)
    return {key: value.to_bytes() for key, value in sorted(memory.items()) if key != ROOT}


def write_block(files: StoreFiles, block_id: str, block: BlockContent, *, nonce: str, parameters: Mapping[str, str]) -> BlockEntry:
    """Write a block under a name of its own and say what the manifest needs to know.

    Args:
        files: the store.
        block_id: from the plan.
        block: the arrays.
        nonce: makes the group's name unique, so that two attempts never write the same files.
        parameters: which columns are parameters of shapes, with their kind.
    """
    content = block.content_hash()
    packed = pack(encode_block(block, {"block": block_id, "content": content}))
    path = f"{BLOCKS}/{block_id}-{nonce}{SUFFIX}"
    files.write({path: packed})
    return BlockEntry(block_id, path, len(block), int(block.offsets[-1]), content, bytes_digest(packed), len(packed), dict(parameters))


def leftovers(files: StoreFiles, manifest: Manifest) -> list[str]:
    """Paths of blocks, and of parts of blocks, that the manifest does not name: what killed builds left."""
    named = {block.path for block in manifest.blocks.values()}
    return [f"{BLOCKS}/{name}" for name in files.names(BLOCKS) if name != ROOT and f"{BLOCKS}/{name}" not in named]


def _checksum(body: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(body, sort_keys=True, ensure_ascii=False).encode(), digest_size=DIGEST_BYTES).hexdigest()
