"""The stored PDFs of a block as an array in memory that the system reads from the file when it is touched: no decoding, no copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INDEX_CHECKSUM_BYTES = 4


def mapped_rows(path: Path, metadata: dict[str, Any], start: int, size: int) -> NDArray[np.float32] | None:
    """A Zarr array of uncompressed float32 rows, mapped into memory, read-only.

    Args:
        path: of the file that holds the array's only chunk or shard.
        metadata: the array's ``zarr.json``.
        start: where the chunk begins in the file, bytes.
        size: of the chunk, bytes.

    Returns:
        (S, R), or None where the array is stored in another way; then Zarr reads it.
    """
    shape = tuple(metadata["shape"])
    chunk = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
    codecs = metadata["codecs"]
    if metadata["data_type"] != "float32" or len(shape) != 2 or shape[0] == 0 or chunk[0] < shape[0] or chunk[1] != shape[1]:
        return None
    if not (_is_plain(codecs) or _is_plain_shard(codecs, chunk, path, start, size)) or size < 4 * shape[0] * shape[1]:
        return None
    rows: NDArray[np.float32] = np.memmap(path, dtype="<f4", mode="r", offset=start, shape=shape)
    return rows


def _is_plain(codecs: list[dict[str, Any]]) -> bool:
    return len(codecs) == 1 and codecs[0]["name"] == "bytes" and codecs[0].get("configuration", {}).get("endian", "little") == "little"


def _is_plain_shard(codecs: list[dict[str, Any]], shard: tuple[int, ...], path: Path, start: int, size: int) -> bool:
    """Whether the shard's chunks are uncompressed and lie one after the other: its index says where they are."""
    if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
        return False
    inner = codecs[0]["configuration"]
    rows, width = inner["chunk_shape"]
    if not _is_plain(inner["codecs"]) or inner.get("index_location", "end") != "end" or width != shard[1]:
        return False
    count, n_bytes = shard[0] // rows, 4 * rows * width
    if size != count * (n_bytes + 16) + _INDEX_CHECKSUM_BYTES:
        return False
    with path.open("rb") as stream:
        stream.seek(start + count * n_bytes)
        index = np.frombuffer(stream.read(16 * count), dtype="<u8").reshape(count, 2)
    return bool(np.array_equal(index[:, 0], n_bytes * np.arange(count)) and (index[:, 1] == n_bytes).all())
