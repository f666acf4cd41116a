"""One block of a catalog: arrays in memory, as the bytes of a Zarr group, and read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.schema import BLOCK_ARRAYS, COLUMN_ARRAYS, COLUMNS
from deepstruc_hpc.data.species import atomic_numbers, element_symbols

DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class BlockContent:
    """The arrays of one block.

    Attributes:
        positions: (A, 3) float32 Å, A atoms of all structures.
        species: (A,) uint8 atomic numbers.
        offsets: (S + 1,) int64.
        pdf: (S, R) float32 Å⁻².
        columns: name → (S,) array; strings as object arrays. Parameters of the shapes follow the columns of the schema.
    """

    positions: NDArray[np.float32]
    species: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    pdf: NDArray[np.float32]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of_structures(cls, structures: Sequence[Structure], pdf: NDArray[np.float32], columns: Mapping[str, NDArray[Any]]) -> BlockContent:
        """Put structures one after the other."""
        offsets = np.concatenate([[0], np.cumsum([len(structure) for structure in structures])]).astype(np.int64)
        positions = np.concatenate([structure.positions for structure in structures]).astype(np.float32)
        species = np.concatenate([atomic_numbers(structure.symbols) for structure in structures])
        return cls(positions, species, offsets, np.ascontiguousarray(pdf, dtype=np.float32), columns)

    @classmethod
    def joined(cls, contents: Sequence[BlockContent], parameters: Sequence[Mapping[str, str]]) -> BlockContent:
        """The rows of several blocks one after the other. A column that a block lacks is NaN or empty there.

        Args:
            contents: the blocks.
            parameters: of each block, its parameter columns with their kind; one that is a number here and a word there becomes a word.
        """
        if len(contents) == 1:
            return contents[0]
        kinds = joined_kinds(parameters)
        columns = {}
        for name in [name for name in contents[0].columns if name not in kinds] + sorted(kinds):
            columns[name] = np.concatenate([_filled(content, name, kinds.get(name, "")) for content in contents])
        counts = np.concatenate([np.diff(content.offsets) for content in contents])
        return cls(
            np.concatenate([content.positions for content in contents]),
            np.concatenate([content.species for content in contents]),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([content.pdf for content in contents]),
            columns,
        )

    def taking(self, rows: NDArray[np.int64] | None) -> BlockContent:
        """Some structures of the block, or all of them for None."""
        if rows is None or np.array_equal(rows, np.arange(len(self))):
            return self
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        atoms = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        columns = {name: values[rows] for name, values in self.columns.items()}
        pdf = self.pdf[rows] if len(self.pdf) else self.pdf
        return BlockContent(self.positions[atoms], self.species[atoms], offsets, pdf, columns)

    def structure(self, row: int) -> Structure:
        """Structure of one row."""
        start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        return Structure(
            element_symbols(self.species[start:stop]),
            self.positions[start:stop].astype(np.float64),
            str(self.columns["structure_type"][row]),
            str(self.columns["label"][row]),
        )

    def content_hash(self) -> str:
        """Hash of every value of every array, independent of how the bytes are compressed."""
        digest = blake2b(digest_size=DIGEST_BYTES)
        arrays: dict[str, NDArray[Any]] = {spec.name: getattr(self, spec.name) for spec in BLOCK_ARRAYS}
        arrays |= {f"{COLUMNS}/{name}": values for name, values in self.columns.items()}
        for name in sorted(arrays):
            values = arrays[name]
            text = is_text(values)
            digest.update(f"{name} {'str' if text else values.dtype.str} {values.shape}\n".encode())
            digest.update("\0".join(values.tolist()).encode() if text else np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def joined_kinds(parameters: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Parameter columns of several blocks, name → ``float64``, or ``str`` where one of them says so, in alphabetical order."""
    kinds: dict[str, str] = {}
    for block in parameters:
        for name, kind in block.items():
            kinds[name] = kind if kinds.get(name, kind) == kind else "str"
    return dict(sorted(kinds.items()))


def _filled(content: BlockContent, name: str, kind: str) -> NDArray[Any]:
    if name not in content.columns:
        return np.full(len(content), "", dtype=object) if kind == "str" else np.full(len(content), np.nan)
    values = content.columns[name]
    if kind == "str" and values.dtype.kind == "f":
        return np.array(["" if np.isnan(value) else str(value) for value in values.tolist()], dtype=object)
    return values


def is_text(values: NDArray[Any]) -> bool:
    """True for an array of strings."""
    return values.dtype.kind in "OTU"


def encode_block(block: BlockContent, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """The block as the parts of a Zarr v3 group, name → bytes: made in memory, so that it can be hashed and written whole."""
    import zarr
    from zarr.storage import MemoryStore

    memory: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(memory), zarr_format=3, attributes=dict(attributes))
    for spec in BLOCK_ARRAYS:
        values = getattr(block, spec.name)
        _create(group, spec.name, values, rows=spec.rows_per_chunk, dims=spec.dims, unit=spec.unit)
    columns = group.create_group(COLUMNS)
    units = {spec.name: spec.unit for spec in COLUMN_ARRAYS}
    for name, values in block.columns.items():
        _create(columns, name, values, rows=None, dims=("structure",), unit=units.get(name, ""))
    return {key: memory[key].to_bytes() for key in sorted(memory)}


def bytes_digest(content: bytes) -> str:
    """Hash over the bytes of a block's file."""
    return blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def files_digest(files: Mapping[str, bytes]) -> str:
    """Hash over names and bytes of the files of a block of format 1, which is a folder."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode())
        digest.update(files[name])
    return digest.hexdigest()


def read_block(group: Any, *, pdf: bool = True, columns: Sequence[str] | None = None) -> BlockContent:
    """Read the arrays of an opened Zarr group.

    Args:
        group: see :func:`deepstruc_hpc.data.block_file.open_block`.
        pdf: False leaves the PDFs out.
        columns: names of the columns that are wanted; None for all.

    Raises:
        StoreError: an array is missing or cannot be decoded.
    """
    try:
        stored = group[COLUMNS]
        wanted = sorted(stored.arrays()) if columns is None else [(name, stored[name]) for name in columns]
        table = {name: read_column(array) for name, array in wanted}
        curves = group["pdf"][:] if pdf else np.empty((0, 0), dtype=np.float32)
        return BlockContent(group["positions"][:], group["species"][:], group["offsets"][:], curves, table)
    except (KeyError, ValueError, RuntimeError, OSError, TypeError) as damaged:
        name = group.attrs.get("block", group.path)
        raise StoreError(f"block {name} cannot be read ({damaged}). Run: deepstruc-hpc catalog verify STORE") from damaged


def read_column(array: Any) -> NDArray[Any]:
    """A column: numbers as they are, strings as an object array."""
    values: NDArray[Any] = np.asarray(array[:])
    return values.astype(object) if is_text(values) else values


def _create(group: Any, name: str, values: NDArray[Any], *, rows: int | None, dims: tuple[str, ...], unit: str) -> None:
    from zarr.codecs import BloscCodec, BloscShuffle

    shape = tuple(max(length, 1) for length in values.shape)
    options: dict[str, Any] = {"shape": values.shape, "chunks": shape, "dimension_names": dims}
    if rows is not None:  # PDFs: noise to a compressor (15 % saved), and readers map them from the file
        options |= {"dtype": values.dtype, "compressors": None}
    elif is_text(values):
        options |= {"dtype": str, "compressors": BloscCodec(cname="zstd", clevel=3)}
    else:
        shuffle = BloscShuffle.shuffle if values.dtype.itemsize > 1 else BloscShuffle.noshuffle
        options |= {"dtype": values.dtype, "compressors": BloscCodec(cname="lz4", clevel=5, shuffle=shuffle, typesize=values.dtype.itemsize)}
    if rows is not None and shape[0] > rows:
        whole = -(-shape[0] // rows) * rows
        options |= {"chunks": (rows, *shape[1:]), "shards": (whole, *shape[1:])}
    array = group.create_array(name, **options, attributes={"unit": unit} if unit else {})
    if values.size:
        array[:] = values.astype(str) if is_text(values) else values
