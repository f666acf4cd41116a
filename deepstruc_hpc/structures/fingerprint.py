"""A name for a structure that rotation, reflection, translation and the order of atoms leave alone.

The fingerprint is a hash of rotation invariants rounded to six digits: moments of the pair distances, with a weight for each element, and
moments of sums over the neighbours of each atom, which tell apart structures that share all distances. Rounding invariants of the whole, not
single distances, keeps it stable: the sums agree to about 1e-13 between orientations, so equal structures meet a rounding edge about once in
a million. A displacement of one atom by 1e-3 of a bond changes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.structure import Structure

_DIGITS = 6


@lru_cache(maxsize=256)
def _weight(symbol: str) -> float:
    """A number of its own for each element label, between 0.5 and 1.5."""
    return 0.5 + int.from_bytes(blake2b(symbol.encode(), digest_size=4).digest(), "little") / 2**32


@lru_cache(maxsize=1)
def _neighbour_sums() -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """The compiled loop over pairs; made on first use, because numba takes its time to load."""
    from numba import njit

    @njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
    def sums(x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
        n_atoms = len(x)
        out = np.zeros((4, n_atoms))
        for i in range(n_atoms):
            for j in range(i):
                squared = (x[i, 0] - x[j, 0]) ** 2 + (x[i, 1] - x[j, 1]) ** 2 + (x[i, 2] - x[j, 2]) ** 2
                far = np.sqrt(squared)
                near = 1.0 / far
                nearest = near / squared
                quartic = squared * squared
                out[0, i] += w[j] * far
                out[0, j] += w[i] * far
                out[1, i] += w[j] * near
                out[1, j] += w[i] * near
                out[2, i] += w[j] * nearest
                out[2, j] += w[i] * nearest
                out[3, i] += w[j] * quartic
                out[3, j] += w[i] * quartic
        return out

    compiled: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]] = sums
    return compiled


def invariants(positions: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> tuple[float, NDArray[np.float64]]:
    """Size and shape of a set of weighted points, free of orientation, place and order.

    Args:
        positions: (N, 3), any unit.
        weights: (N,) a number for each kind of atom, or none for equal atoms.

    Returns:
        The root mean square pair distance (unit of the positions; 1 for a single atom), and ten numbers of order 1 that depend on the shape alone.
    """
    n_atoms = len(positions)
    if n_atoms < 2:
        return 1.0, np.zeros(10)
    centred = np.asarray(positions, dtype=np.float64) - np.mean(positions, axis=0)
    # The mean square pair distance is 2 N/(N − 1) times the mean square distance from the centroid.
    size = float(np.sqrt(2.0 * (centred**2).sum() / (n_atoms - 1)))
    w = np.ones(n_atoms) if weights is None else weights
    pairs = n_atoms * (n_atoms - 1)
    far, near, nearest, quartic = _neighbour_sums()(centred / size, w)
    mean = w.mean()
    shape = np.array(
        [
            (w @ far) / pairs,
            (w @ near) / pairs,
            np.sqrt((w @ (far * far)) / n_atoms) / n_atoms,
            np.sqrt((w @ (near * near)) / n_atoms) / n_atoms,
            np.cbrt((w @ near**3) / n_atoms) / n_atoms,
            np.log((w @ nearest) / pairs),
            np.log((w @ (nearest * nearest)) / pairs),
            (w @ (quartic * near)) / pairs / n_atoms,
            *_oscillating(w, far / (n_atoms * mean), near / (n_atoms * mean)),
        ]
    )
    return size, shape / mean


def _oscillating(w: NDArray[np.float64], far: NDArray[np.float64], near: NDArray[np.float64]) -> tuple[float, float]:
    """Means over atoms of quickly varying functions of their sums: moments of low order alone leave some homometric clusters all but equal."""
    return float(w @ np.cos(41.0 * far) / len(w)), float(w @ np.sin(29.0 * near) / len(w))


def fingerprint(structure: Structure, *, scale_free: bool = False) -> str:
    """The structure's fingerprint, 32 hexadecimal digits.

    Args:
        structure: any cluster, positions in Å.
        scale_free: leave out size and, for one element, which it is: the same shape in two metals gives one fingerprint.
    """
    counts = Counter(structure.symbols)
    weights = None if len(counts) == 1 else np.array([_weight(symbol) for symbol in structure.symbols])
    size, shape = invariants(structure.positions, weights)
    numbers = [len(structure), *np.round(shape * 10**_DIGITS).astype(np.int64).tolist()]
    names = "" if scale_free and len(counts) == 1 else ",".join(f"{symbol}{count}" for symbol, count in sorted(counts.items()))
    if not scale_free:
        numbers.append(round(float(np.log(size)) * 10**_DIGITS))
    return blake2b(f"{names}|{numbers}".encode(), digest_size=16).hexdigest()
