"""Deleted rows of a block: a bit a row, which travels in the manifest until the block is written anew without them."""

from __future__ import annotations

import base64
import zlib
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StoreError

DIGEST_BYTES = 16


def pack_marks(deleted: NDArray[np.bool_]) -> str:
    """(S,) True for a deleted row, as text: a bit a row, deflated, base64."""
    return base64.b64encode(zlib.compress(np.packbits(deleted).tobytes(), 9)).decode()


def unpack_marks(text: str, rows: int) -> NDArray[np.bool_]:
    """(rows,) True for a deleted row.

    Raises:
        StoreError: the text is not that of so many rows.
    """
    try:
        packed = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype=np.uint8)
    except (ValueError, zlib.error) as damaged:
        raise StoreError(f"the marks of deleted rows cannot be read ({damaged}).") from damaged
    if len(packed) != -(-rows // 8):
        raise StoreError(f"the marks of deleted rows are those of {8 * len(packed)} rows, the block has {rows}.")
    return np.unpackbits(packed, count=rows).astype(bool)


def marked_content(stored: str, deleted: NDArray[np.bool_]) -> str:
    """Content hash of a block without its deleted rows, from that of the stored block."""
    return blake2b(stored.encode() + np.packbits(deleted).tobytes(), digest_size=DIGEST_BYTES).hexdigest()
