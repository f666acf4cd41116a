"""Random numbers that belong to an item, not to the process that happens to work on it."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def item_seed(run_seed: int, item_id: str) -> int:
    """A 63-bit seed from the run's seed and the item's name: the same on any worker, in any order."""
    digest = blake2b(item_id.encode(), digest_size=8, key=str(run_seed).encode()).digest()
    return int.from_bytes(digest, "little") >> 1


def item_rng(run_seed: int, item_id: str) -> np.random.Generator:
    """The random number generator of one item."""
    return np.random.default_rng(item_seed(run_seed, item_id))
