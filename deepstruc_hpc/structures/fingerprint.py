"""A name for a structure that rotation, reflection, translation and the order of atoms leave alone.

The fingerprint is a hash of rotation invariants rounded to six digits: moments of the pair distances, with a weight for each element, and
moments of sums over the neighbours of each atom, which tell apart structures that share all distances. Rounding invariants of the whole, not
single distances, keeps it stable: the sums agree to about 1e-13 between orientations, so equal structures meet a rounding edge about once in
a million. A displacement of one atom by 1e-3 of a bond changes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64, Positions
from deepstruc_hpc.core.structure import Structure

_DIGITS = 6


@lru_cache(maxsize=256)
def _weight(symbol: str) -> float:
    """A number of its own for each element label, between 0.5 and 1.5."""
    return 0.5 + int.from_bytes(blake2b(symbol.encode(), digest_size=4).digest(), "little") / 2**32


def invariants(
    positions: Positions, weights: Float64[NDArray[np.float64], " atoms"] | None = None
) -> tuple[float, Float64[NDArray[np.float64], " 10"], float]:
    """Size and shape of a set of weighted points, free of orientation, place and order.

    Args:
        positions: (N, 3), any unit.
        weights: (N,) a number for each kind of atom, or none for equal atoms.

    Returns:
        The root mean square pair distance (unit of the positions; 1 for a single atom), ten numbers of order 1 that depend on the shape alone, and
        the shortest distance (unit of the positions; infinite for a single atom).
    """
    from deepstruc_hpc.structures.kernels import shape_numbers

    n_atoms = len(positions)
    if n_atoms < 2:
        return 1.0, np.zeros(10), float("inf")
    w = np.ones(n_atoms) if weights is None else weights
    size, shape, shortest = shape_numbers(np.ascontiguousarray(positions, dtype=np.float64), w)
    return float(size), shape, float(shortest)


def fingerprint(structure: Structure, *, scale_free: bool = False) -> str:
    """The structure's fingerprint, 32 hexadecimal digits.

    Args:
        structure: any cluster, positions in Å.
        scale_free: leave out size and, for one element, which it is: the same shape in two metals gives one fingerprint.
    """
    return _marked(structure.positions, Counter(structure.symbols), structure.symbols, scale_free=scale_free)[0]


def fingerprint_and_bond(positions: Positions, symbols: Sequence[str] = (), *, scale_free: bool = True) -> tuple[str, float]:
    """Fingerprint and shortest distance together, which costs no more than the fingerprint.

    Args:
        positions: (N, 3), any unit.
        symbols: N elements; none for a shape of one element.
        scale_free: see :func:`fingerprint`.
    """
    return _marked(positions, Counter(symbols), symbols, scale_free=scale_free)


def _marked(positions: NDArray[np.float64], counts: Mapping[str, int], symbols: Sequence[str], *, scale_free: bool) -> tuple[str, float]:
    weights = None if len(counts) <= 1 else np.array([_weight(symbol) for symbol in symbols])
    size, shape, shortest = invariants(positions, weights)
    numbers = [len(positions), *np.round(shape * 10**_DIGITS).astype(np.int64).tolist()]
    names = "" if scale_free and len(counts) <= 1 else ",".join(f"{symbol}{count}" for symbol, count in sorted(counts.items()))
    if not scale_free:
        numbers.append(round(float(np.log(size)) * 10**_DIGITS))
    return blake2b(f"{names}|{numbers}".encode(), digest_size=16).hexdigest(), shortest
