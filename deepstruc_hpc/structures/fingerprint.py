"""A name for a structure that rotation, reflection, translation and the order of atoms leave alone.

The fingerprint is a hash of rotation invariants rounded to six digits: moments of the pair distances, weighted by the atoms' atomic numbers, and
moments of sums over the neighbours of each atom, which tell apart structures that share all distances. Rounding invariants of the whole, not
single distances, keeps it stable: the sums agree to about 1e-13 between orientations, so equal structures meet a rounding edge about once in
a million. A displacement of one atom by 1e-3 of a bond changes it.
"""

from __future__ import annotations

from collections import Counter
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


def _distance_matrix(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    # Differences, not the Gram matrix: that one loses half the digits by cancellation.
    squared = np.zeros((len(positions), len(positions)))
    for axis in range(3):
        squared += np.subtract.outer(positions[:, axis], positions[:, axis]) ** 2
    return np.sqrt(squared)


def invariants(positions: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> tuple[float, NDArray[np.float64]]:
    """Size and shape of a set of weighted points, free of orientation, place and order.

    Args:
        positions: (N, 3), any unit.
        weights: (N,) a number for each kind of atom, or none for equal atoms.

    Returns:
        The root mean square pair distance (unit of the positions; 1 for a single atom), and eight numbers of order 1 that depend on the shape alone.
    """
    n_atoms = len(positions)
    if n_atoms < 2:
        return 1.0, np.zeros(8)
    distances = _distance_matrix(np.asarray(positions, dtype=np.float64))
    size = float(np.sqrt((distances**2).sum() / (n_atoms * (n_atoms - 1))))
    distances /= size
    np.fill_diagonal(distances, np.inf)
    inverse = 1.0 / distances
    np.fill_diagonal(distances, 0.0)
    w = np.ones(n_atoms) if weights is None else weights
    pairs = n_atoms * (n_atoms - 1)
    far, near, nearest = distances @ w, inverse @ w, (inverse * inverse * inverse) @ w
    quartic = (distances * distances) ** 2 @ w
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
        ]
    )
    return size, shape / mean


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
