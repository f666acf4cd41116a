"""The one way in which functions of this package are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile with numba: cached on disk, the interpreter released while it runs, sums free to be reordered.

    The cache lies beside the source, or in the user's cache directory where the package is installed read-only (numba's own rule; ``NUMBA_CACHE_DIR``
    overrides both), so that every process after the first loads machine code in milliseconds.
    """
    return cast("F", njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """Compile a small function into those that call it."""
    return cast("F", njit(cache=True, nogil=True, fastmath=True, error_model="numpy", inline="always")(function))
