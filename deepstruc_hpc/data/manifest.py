"""The manifest: which blocks a catalog consists of. One writer, the driver of a build; a block counts once it is named here."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.data.block_file import SUFFIX, pack
from deepstruc_hpc.data.catalog_block import DIGEST_BYTES, BlockContent, bytes_digest, encode_block
from deepstruc_hpc.data.catalog_place import MANIFEST_FILE, no_catalog
from deepstruc_hpc.data.conditions import PdfConditions
from deepstruc_hpc.data.marks import marked_content, pack_marks, unpack_marks
from deepstruc_hpc.data.schema import BLOCKS, FORMAT, READABLE_VERSIONS, SCHEMA_VERSION
from deepstruc_hpc.data.store_files import StoreFiles

ROOT = MANIFEST_FILE
WRITER = "writer"
"""Attribute by which a command stamps the manifest of a store on an object store when it begins; see :mod:`deepstruc_hpc.data.store_lock`."""
MARKS = ("deleted", "n_deleted", "n_atoms_deleted", "stored")
"""Keys of a block's entry that are there only where rows are deleted."""


@dataclass(frozen=True)
class BlockEntry:
    """What the manifest says of a block.

    Attributes:
        id: place in the catalog and a hash of what was planned for it.
        path: file in the store (in format 1 a folder); a block that was made twice has another one.
        n_structures: rows that count.
        n_atoms: atoms of these rows.
        content: hash of all values, and of which rows count.
        digest: hash of the file's bytes (in format 1 of the names and bytes of the folder's files).
        n_bytes: size on disk.
        parameters: parameter columns of this block, name → ``float64`` or ``str``.
        deleted: the deleted rows, see :mod:`deepstruc_hpc.data.marks`; empty where there are none.
        n_deleted: deleted rows.
        n_atoms_deleted: their atoms.
        stored: hash of all stored values where rows are deleted.
    """

    id: str
    path: str
    n_structures: int
    n_atoms: int
    content: str
    digest: str
    n_bytes: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    deleted: str = ""
    n_deleted: int = 0
    n_atoms_deleted: int = 0
    stored: str = ""

    @property
    def stored_content(self) -> str:
        """Hash of all values in the file, deleted rows among them."""
        return self.stored or self.content

    def written(self) -> dict[str, Any]:
        """The entry as plain values: without what is said of deleted rows where there are none."""
        return {name: value for name, value in vars(self).items() if self.n_deleted or name not in MARKS}

    def live_rows(self) -> NDArray[np.int64] | None:
        """Rows of the stored arrays that count; None for all."""
        return np.flatnonzero(~self._marks()) if self.n_deleted else None

    def deleted_rows(self) -> NDArray[np.int64]:
        """Rows of the stored arrays that do not count."""
        return np.flatnonzero(self._marks()) if self.n_deleted else np.empty(0, dtype=np.int64)

    def without_rows(self, rows: NDArray[np.integer[Any]], n_atoms: int) -> BlockEntry:
        """The entry when some more rows are deleted.

        Args:
            rows: of the stored arrays, none of them deleted before.
            n_atoms: of these rows.
        """
        marks = self._marks()
        marks[rows] = True
        return replace(
            self,
            n_structures=self.n_structures - len(rows),
            n_atoms=self.n_atoms - n_atoms,
            content=marked_content(self.stored_content, marks),
            deleted=pack_marks(marks),
            n_deleted=self.n_deleted + len(rows),
            n_atoms_deleted=self.n_atoms_deleted + n_atoms,
            stored=self.stored_content,
        )

    def _marks(self) -> NDArray[np.bool_]:
        rows = self.n_structures + self.n_deleted
        return unpack_marks(self.deleted, rows) if self.n_deleted else np.zeros(rows, dtype=bool)


@dataclass(frozen=True)
class Manifest:
    """State of a catalog at one moment; a new state is a new object.

    Attributes:
        recipes: the recipe of the first build, then those that were appended.
        recipe_hash: hash of the recipes: the catalog's id.
        conditions: of all PDFs.
        code_version: version of the program that made the catalog.
        n_planned: structures that the recipes ask for, without those that a compaction dropped.
        n_blocks_planned: blocks of a complete catalog.
        blocks: those that are there, by id.
        n_settled: recipes whose blocks were joined or divided: they are no longer those of a plan.
        forgotten: entries of damaged blocks with deleted rows; the rows are deleted again when the block is there again.
    """

    recipes: tuple[Mapping[str, Any], ...]
    recipe_hash: str
    conditions: PdfConditions
    code_version: str
    n_planned: int
    n_blocks_planned: int
    blocks: Mapping[str, BlockEntry] = field(default_factory=dict)
    n_settled: int = 0
    forgotten: Mapping[str, BlockEntry] = field(default_factory=dict)

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
        return self.with_blocks([block])

    def with_blocks(self, blocks: Sequence[BlockEntry]) -> Manifest:
        """The state after some more blocks. One that was damaged and had deleted rows has them again."""
        if not blocks:
            return self
        forgotten, added = dict(self.forgotten), {}
        for block in blocks:
            before = forgotten.pop(block.id, None)
            added[block.id] = block if before is None or block.n_deleted else block.without_rows(before.deleted_rows(), before.n_atoms_deleted)
        return replace(self, blocks={**self.blocks, **added}, forgotten=forgotten)

    def without(self, block_ids: Collection[str]) -> Manifest:
        """The state with some blocks forgotten, but not which of their rows were deleted."""
        kept = {name: block for name, block in self.blocks.items() if name not in block_ids}
        marked = {name: block for name, block in self.blocks.items() if name in block_ids and block.n_deleted}
        return replace(self, blocks=kept, forgotten={**self.forgotten, **marked})

    def with_joined(self, members: Collection[str], block: BlockEntry) -> Manifest:
        """The state in which one block stands for some that follow each other."""
        kept = {name: entry for name, entry in self.blocks.items() if name not in members}
        return replace(
            self,
            blocks={**kept, block.id: block},
            n_planned=self.n_planned - sum(self.blocks[name].n_deleted for name in members),
            n_blocks_planned=self.n_blocks_planned - len(members) + 1,
            n_settled=len(self.recipes),
        )

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
            "n_settled": self.n_settled,
            "blocks": [block.written() for block in self.ordered],
            "forgotten": [block.written() for block in self.forgotten.values()],
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
        except (FileNotFoundError, NotADirectoryError) as missing:
            raise StoreError(no_catalog(files.url, files.path if files.is_local else None)) from missing
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
        body.pop(WRITER, None)
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
            body.get("n_settled", 0),
            {entry["id"]: BlockEntry(**entry) for entry in body.get("forgotten", [])},
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


def stamped(document: bytes, writer: str) -> bytes:
    """A manifest with the name of the command that writes it from now on, which changes its bytes and nothing else."""
    content = json.loads(document)
    content["attributes"][WRITER] = writer
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _checksum(body: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(body, sort_keys=True, ensure_ascii=False).encode(), digest_size=DIGEST_BYTES).hexdigest()
