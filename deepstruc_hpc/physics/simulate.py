"""G(r) of clusters: one at a time in double precision, many at once in single precision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Float32, Float64, Numbers, PerAtom, Real
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.debye import Atoms, element_pair_weights
from deepstruc_hpc.physics.form_factors import Radiation, scattering_factors
from deepstruc_hpc.physics.histogram import extent, pair_count, pair_histograms
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.transform import envelope, fq_to_gr, quadrature
from deepstruc_hpc.physics.widths import width_scale

FAST_PHASE = 0.25
"""Qmax·h of the histogram behind the fast path: a pair's error is below 1.2e-6 of its weight at Qmax and (Q/Qmax)⁶ of that elsewhere."""
_BLOCK_BYTES = 256_000_000


def simulate_pdf(
    symbols: Sequence[str],
    positions: Real[Numbers, "atoms 3"],
    r: Real[Numbers, " r"],
    *,
    radiation: Radiation = "xray",
    qmin: float = 0.7,
    qmax: float = 25.0,
    qdamp: float = 0.0,
    qbroad: float = 0.0,
    uiso: PerAtom = 0.005,
    delta1: float = 0.0,
    delta2: float = 0.0,
    occupancy: PerAtom | None = None,
) -> Float64[NDArray[np.float64], " r"]:
    """Reduced pair distribution function of an isolated cluster.

    G(r) = (2/π) ∫_Qmin^Qmax F(Q) sin(Qr) dQ · exp(−(Qdamp r)²/2), with F(Q) of :func:`~deepstruc_hpc.physics.debye.simulate_fq`. The integral is
    exact to rounding (Gauss–Legendre), at the Qmin and Qmax given. No −4πrρ₀ line: an isolated cluster has number density 0.

    Args:
        symbols: N element symbols; ions (``O2-``) for X-rays.
        positions: (N, 3) Å.
        r: (R,) Å, any grid; a uniform one is faster.
        radiation: ``xray`` or ``neutron``.
        qmin: Å⁻¹.
        qmax: Å⁻¹.
        qdamp: Å⁻¹.
        qbroad: Å⁻¹.
        uiso: a number or (N,), Å².
        delta1: Å.
        delta2: Å².
        occupancy: a number or (N,).

    Returns:
        (R,) Å⁻², float64.

    Raises:
        StructureError: unknown element, broken positions.
        ConfigError: an empty range of Q.

    Source: Egami & Billinge, Underneath the Bragg Peaks, 2nd ed. (2012), ch. 3.
    """
    check_range(qmin, qmax)
    r = np.atleast_1d(np.asarray(r, dtype=np.float64))
    atoms = Atoms.of(symbols, positions, uiso, occupancy)
    q, weights = quadrature(qmin, qmax, extent(atoms.positions) + float(np.abs(r).max(initial=1.0)))
    fq = atoms.fq(q, scattering_factors(atoms.elements, q, radiation), qbroad=qbroad, delta1=delta1, delta2=delta2)
    return np.asarray(fq_to_gr(fq, q, weights, r, qdamp))


def check_range(qmin: float, qmax: float) -> None:
    """Refuse an empty or negative range of Q.

    Raises:
        ConfigError: saying what was given.
    """
    if not 0 <= qmin < qmax < np.inf:
        raise ConfigError(f"Qmin = {qmin:g} and Qmax = {qmax:g} Å⁻¹: 0 ≤ Qmin < Qmax is needed.")


def simulate_pdf_batch(
    structures: Sequence[Structure],
    r: Real[Numbers, " r"],
    instrument: Instrument,
    *,
    uiso: float = 0.005,
    delta1: float = 0.0,
    delta2: float = 0.0,
    threads: int | None = None,
) -> Float32[NDArray[np.float32], "structures r"]:
    """G(r) of many clusters under the same conditions: the fast path, single precision.

    The same curve as :func:`simulate_pdf` to 1e-5 of max|G| (in practice 1e-6: rounding of sums in single precision, and the histogram's bound).
    Two matrix products a batch; the matrices are kept for the next call with the same conditions. Works through the structures in blocks of bounded
    memory.

    Args:
        structures: any sizes, any elements, mixed.
        r: (R,) Å.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: Å², of all atoms.
        delta1: Å.
        delta2: Å².
        threads: at most this many for the histograms.

    Returns:
        (S, R) Å⁻², float32, in the order given.
    """
    r = np.atleast_1d(np.asarray(r, dtype=np.float64))
    out = np.zeros((len(structures), len(r)), dtype=np.float32)
    sizes = np.array([extent(structure.positions) for structure in structures])
    elements = [structure.elements for structure in structures]
    order = sorted(range(len(structures)), key=lambda index: (len(elements[index]), sizes[index]))
    start = 0
    while start < len(order):
        n_elements = len(elements[order[start]])
        stop = start
        while stop < len(order) and len(elements[order[stop]]) == n_elements and sizes[order[stop]] <= max(1.25 * sizes[order[start]], 8.0):
            stop += 1
        step = FAST_PHASE / instrument.qmax
        n_bins = _rounded_bins(sizes[order[stop - 1]], step)
        block = max(1, int(_BLOCK_BYTES / (8 * n_bins * pair_count(n_elements))))
        for first in range(start, stop, block):
            chosen = order[first : min(first + block, stop)]
            conditions = (uiso, delta1, delta2)
            block_of = [structures[index] for index in chosen]
            out[chosen] = _block_of_curves(block_of, r, instrument, conditions=conditions, step=step, n_bins=n_bins, threads=threads)
        start = stop
    return out


def _block_of_curves(
    structures: list[Structure],
    r: NDArray[np.float64],
    instrument: Instrument,
    *,
    conditions: tuple[float, float, float],
    step: float,
    n_bins: int,
    threads: int | None,
) -> NDArray[np.float32]:
    """Curves of clusters that all have the same number of elements."""
    q, weights = quadrature(instrument.qmin, instrument.qmax, n_bins * step + float(np.abs(r).max(initial=1.0)))
    classes = [np.unique(np.array(structure.symbols), return_inverse=True)[1].ravel() for structure in structures]
    n_classes = len(structures[0].elements)
    hist = pair_histograms([structure.positions for structure in structures], classes, n_classes, step, n_bins, threads=threads)
    sums = hist.astype(np.float32) @ _distance_to_q(q.tobytes(), step, n_bins, (*conditions, instrument.qbroad))
    pair = np.stack([_pair_weights(structure, q, instrument.radiation) for structure in structures]).astype(np.float32)
    fq = np.einsum("spq,spq->sq", sums, pair)
    curves: NDArray[np.float32] = fq @ _q_to_r(q.tobytes(), weights.tobytes(), r.tobytes(), instrument.qdamp)
    return curves


def _pair_weights(structure: Structure, q: NDArray[np.float64], radiation: Radiation) -> NDArray[np.float64]:
    if len(structure.elements) == 1:  # the factors cancel
        return np.full((1, len(q)), 2.0 / structure.n_atoms)
    counts = np.array([structure.symbols.count(symbol) for symbol in structure.elements], dtype=np.float64)
    return element_pair_weights(_factors(structure.elements, q.tobytes(), radiation), counts)


@lru_cache(maxsize=64)
def _factors(elements: tuple[str, ...], q: bytes, radiation: Radiation) -> NDArray[np.float64]:
    return scattering_factors(elements, np.frombuffer(q), radiation)


def _rounded_bins(size: float, step: float) -> int:
    """Number of bins for distances up to ``size``, rounded up by at most an eighth so that matrices are used again."""
    needed = size / step + 8
    return int(np.ceil(2.0 ** (np.ceil(6 * np.log2(needed)) / 6)))


@lru_cache(maxsize=24)
def _distance_to_q(q: bytes, step: float, n_bins: int, widths: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """(B, Q): exp(−σ²(d)Q²/2) sin(Qd)/d on the grid of distances."""
    nodes = np.frombuffer(q)
    uiso, delta1, delta2, qbroad = widths
    d = np.arange(1, n_bins) * step
    scale = width_scale(d, delta1=delta1, delta2=delta2, qbroad=qbroad)
    matrix = np.zeros((n_bins, len(nodes)), dtype=np.float32)
    for first in range(0, n_bins - 1, 1024):
        part = slice(first, min(first + 1024, n_bins - 1))
        matrix[1:][part] = np.exp(-uiso * scale[part, None] * nodes**2) * np.sin(np.outer(d[part], nodes)) / d[part, None]
    return matrix


@lru_cache(maxsize=24)
def _q_to_r(q: bytes, weights: bytes, r: bytes, qdamp: float) -> NDArray[np.float32]:
    """(Q, R): (2/π) w sin(Qr) exp(−(Qdamp r)²/2)."""
    nodes, grid = np.frombuffer(q), np.frombuffer(r)
    matrix: NDArray[np.float32] = ((2.0 / np.pi) * np.frombuffer(weights)[:, None] * np.sin(np.outer(nodes, grid)) * envelope(grid, qdamp)).astype(
        np.float32
    )
    return matrix
