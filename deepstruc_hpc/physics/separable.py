"""F(Q) of many clusters in a form in which zoom, U, delta1, delta2 and Qbroad are cheap to change.

With s(d) the width factor of :mod:`deepstruc_hpc.physics.widths` and L_m(d) interpolation polynomials over a few node distances d_m,

    exp(−U s(z d) Q²) ≈ Σ_m L_m(d) exp(−U s(z d_m) Q²), so that
    F(Q; z, U, …) = Σ_p W_p(Q) Σ_m exp(−U s(z d_m) Q²) F_pm(zQ)/z,      F_pm(q) = (2/N) Σ_{pairs of p} L_m(d) sin(qd)/d,

with z the zoom (all distances times z), p a pair of elements and W_p = fₐf_b/⟨f⟩² (1 for one element). F_pm is made once a structure, on a uniform
grid of q at twice the Nyquist rate of the largest distance, prepared (divided by the transform of the kernel) for interpolation with six taps of
the "exponential of semicircle" kernel of the non-uniform FFT.

Source of the kernel: Barnett, Magland & af Klinteberg, SIAM J. Sci. Comput. 41 (2019) C479.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import ConfigError
from deepstruc_hpc.core.shapes import Float32, Float64
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.physics.debye import element_pair_weights
from deepstruc_hpc.physics.form_factors import Radiation, scattering_factors
from deepstruc_hpc.physics.histogram import extent, pair_histograms
from deepstruc_hpc.physics.model_kernel import N_NODES, TAPS, fill_sines
from deepstruc_hpc.physics.transform import chebyshev_nodes, lagrange_basis

OVERSAMPLING = 2.0
KERNEL_BETA = 2.3 * TAPS
GRID_PHASE = 0.5
"""q_max·h of the histogram: a pair's error is below 8e-5 of its weight at q_max, (q/q_max)⁶ of that elsewhere."""
_BINS, _ZOOMS = 128, 50
"""Grids of distances are rounded up to so many bins, and the largest zoom to a multiple of 1/50: groups of about the same size then share a grid."""
_TABLE_ROWS = 1024
_TOGETHER = 16
"""Clusters transformed at once: their sources stay in a core's cache."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """The separable form of S clusters on one grid; lengths in units of ``lengths`` (Å where those are 1).

    Attributes:
        values: (S, P, K, M) float32: F_pm at q = (k − origin)·dq, times the interpolation's correction.
        nodes: (M,) node distances d_m.
        dq: step of q.
        origin: index k of q = 0.
        q_max: largest q that may be asked for (zoom·Qmax).
        elements: the E elements; pairs p are (a, b), a ≤ b, in the order of ``class_pairs``.
        fractions: (S, E) share of each element.
        n_atoms: (S,).
        shortest: (S, P) shortest distance of each pair of elements, infinity where there is none.
        longest: (S,) an upper bound of the largest distance.
        lengths: (S,) Å, the unit of length of each cluster.
        radiation: for which the weights W_p are meant.
    """

    values: NDArray[np.float32]
    nodes: NDArray[np.float64]
    dq: float
    origin: int
    q_max: float
    elements: tuple[str, ...]
    fractions: NDArray[np.float64]
    n_atoms: NDArray[np.int64]
    shortest: NDArray[np.float64]
    longest: NDArray[np.float64]
    lengths: NDArray[np.float64]
    radiation: Radiation

    def __len__(self) -> int:
        return len(self.values)

    def row(self, number: int) -> Spectra:
        """Those of one cluster."""
        own = slice(number, number + 1)
        names = ("values", "fractions", "n_atoms", "shortest", "longest", "lengths")
        return replace(self, **{name: getattr(self, name)[own] for name in names})

    def pair_weights(self, q: Float64[NDArray[np.float64], " q"]) -> Float32[NDArray[np.float32], "clusters pairs q"]:
        """W_p(Q) = fₐf_b/⟨f⟩² of each cluster.

        Args:
            q: (Q,) Å⁻¹, the true Q (not zoom·Q).

        Returns:
            (S, P, Q) float32.
        """
        if len(self.elements) == 1:
            return np.ones((len(self), 1, len(q)), dtype=np.float32)
        factors = scattering_factors(self.elements, q, self.radiation)
        unique, inverse = np.unique(self.fractions, axis=0, return_inverse=True)
        table = np.stack([0.5 * element_pair_weights(factors, row) for row in unique])
        return table[inverse.ravel()].astype(np.float32)


@lru_cache(maxsize=4)
def kernel_table(rows: int = _TABLE_ROWS) -> tuple[Float32[NDArray[np.float32], "rows taps"], Float32[NDArray[np.float32], "rows taps"]]:
    """The interpolation kernel and its derivative by the grid index, tabulated over the fraction t of a grid step.

    Returns:
        Two arrays (rows + 2, TAPS): row i holds the weights of grid points k−2 … k+3 for a position k + i/rows.
    """
    t = np.arange(rows + 2)[:, None] / rows
    x = (t - (np.arange(TAPS) - (TAPS // 2 - 1))) / (TAPS / 2)
    root = np.sqrt(np.maximum(1.0 - x**2, 1e-30))
    value = np.where(np.abs(x) <= 1, np.exp(KERNEL_BETA * (root - 1.0)), 0.0)
    slope = np.where(np.abs(x) < 1, -value * KERNEL_BETA * x / root / (TAPS / 2), 0.0)
    return value.astype(np.float32), slope.astype(np.float32)


@lru_cache(maxsize=64)
def _kernel_transform(n_bins: int, step: float, dq: float) -> NDArray[np.float64]:
    """∫ φ(x) cos(x d dq) dx at the distances d of the bins but the first, by which sources there are divided beforehand."""
    nodes, weights = _kernel_quadrature()
    half = TAPS / 2
    phi = np.exp(KERNEL_BETA * (np.sqrt(1.0 - nodes**2) - 1.0))
    phase = np.outer(np.arange(1, n_bins) * step * dq, nodes * half)
    transform: NDArray[np.float64] = np.cos(phase) @ (weights * half * phi)
    return transform


@lru_cache(maxsize=1)
def _kernel_quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(32)


def node_distances(shortest: float, longest: float, *, resolution: bool) -> Float64[NDArray[np.float64], " nodes"]:
    """The node distances d_m: Chebyshev in 1/d² where widths depend on 1/d² only, in log d where Qbroad makes them grow with d too."""
    if resolution:
        return np.asarray(np.exp(chebyshev_nodes(math.log(shortest), math.log(longest), N_NODES)))
    return np.asarray(chebyshev_nodes(0.0, shortest**-2.0, N_NODES) ** -0.5)[::-1].copy()


def spectra_of(
    structures: Sequence[Structure],
    *,
    q_max: float,
    max_zoom: float = 1.2,
    radiation: Radiation = "xray",
    lengths: Float64[NDArray[np.float64], " clusters"] | None = None,
    resolution: bool = False,
    reach: float | None = None,
    shortest: float | None = None,
    threads: int | None = None,
) -> Spectra:
    """The separable form of many clusters.

    Args:
        structures: S clusters; their elements are united (a group with the same elements wastes nothing).
        q_max: largest Q that will be asked for at zoom 1, in 1/unit of length.
        max_zoom: largest zoom that will be asked for.
        radiation: ``xray`` or ``neutron``; matters for several elements only.
        lengths: (S,) Å; distances are divided by it (nearest-neighbour distances, say). Then a zoom of 2.88 stands for 2.88 Å, and q has no unit.
        resolution: whether Qbroad will be given; the nodes then cover widths that grow with distance.
        reach: grid for distances up to this (in the unit of length); the largest of the batch when not given.
        shortest: distance that the nodes must cover; the smallest of the batch when not given.
        threads: at most this many.

    Returns:
        Spectra; ``values`` are plain float32 arrays that may be moved to any device.
    """
    if not len(structures):
        raise ConfigError("no structures were given; at least one is needed.")
    unit = np.ones(len(structures)) if lengths is None else np.asarray(lengths, dtype=np.float64)
    positions = [structure.positions / scale for structure, scale in zip(structures, unit, strict=True)]
    elements = tuple(sorted(set().union(*(structure.elements for structure in structures))))
    number = {symbol: index for index, symbol in enumerate(elements)}
    classes = [np.zeros(len(s), dtype=np.int64) if len(elements) == 1 else np.array([number[e] for e in s.symbols]) for s in structures]
    counts = np.stack([np.bincount(kind, minlength=len(elements)) for kind in classes]).astype(np.float64)
    longest = np.array([extent(part) for part in positions])
    highest = q_max * math.ceil(_ZOOMS * max_zoom - 1e-9) / _ZOOMS
    step = GRID_PHASE / highest
    reach = max(float(longest.max()) if reach is None else reach, float(longest.max()), 4 * step)
    n_bins = _BINS * math.ceil((int(reach / step) + 8) / _BINS)  # few different grids, so that their sines serve again
    reach = (n_bins - 8) * step
    hist = pair_histograms(positions, classes, len(elements), step, n_bins, threads=threads)
    near = _shortest(hist, step)
    smallest = float(near[np.isfinite(near)].min(initial=reach)) if shortest is None else shortest
    nodes = node_distances(max(smallest - 3 * step, step), reach, resolution=resolution)
    values, dq, origin = _transform(hist, nodes, step, highest=highest, reach=reach, resolution=resolution)
    values *= (2.0 / counts.sum(axis=1))[:, None, None, None].astype(np.float32)
    fractions = counts / counts.sum(axis=1, keepdims=True)
    n_atoms = counts.sum(axis=1).astype(np.int64)
    return Spectra(values, nodes, dq, origin, highest, elements, fractions, n_atoms, near, longest, unit, radiation)


def _shortest(hist: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """(S, P) the shortest distance, too small by at most three bins (the rim of a pair's six points), or infinity."""
    filled = hist > 0.3
    first = np.argmax(filled, axis=2)
    return np.where(filled.any(axis=2), first * step, np.inf)


def _transform(
    hist: NDArray[np.float64], nodes: NDArray[np.float64], step: float, *, highest: float, reach: float, resolution: bool
) -> tuple[NDArray[np.float32], float, int]:
    """Histograms (S, P, B) → spectra (S, P, K, M), dq, origin: one matrix product over the grid of distances."""
    n_bins = hist.shape[2]
    d = np.arange(1, n_bins) * step
    dq = math.pi / (OVERSAMPLING * (reach + 8 * step))
    origin = TAPS
    q = (np.arange(math.ceil(highest / dq) + 2 * TAPS + 1) - origin) * dq
    variable = np.log if resolution else _inverse_square
    basis = lagrange_basis(variable(nodes), np.clip(variable(d), *sorted((variable(nodes[0]), variable(nodes[-1])))) if resolution else variable(d))
    bound = np.abs(basis).max(axis=0) > 1e3  # far below the shortest distance, where polynomials run away and no pair is
    basis[:, bound] = 0.0
    factor = (basis / d / _kernel_transform(n_bins, step, dq)).astype(np.float32)
    sines = _sines(n_bins, step, len(q), dq)
    spectra = np.empty((*hist.shape[:2], len(q), len(nodes)), dtype=np.float32)
    for first in range(0, len(hist), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        sources = hist[part, :, None, 1:].astype(np.float32) * factor
        spectra[part] = (sources.reshape(-1, n_bins - 1) @ sines).reshape(*sources.shape[:3], len(q)).transpose(0, 1, 3, 2)
    return spectra, dq, origin


@lru_cache(maxsize=48)
def _sines(n_bins: int, step: float, n_q: int, dq: float) -> NDArray[np.float32]:
    """sin(Q d) at the distances of the bins but the first, (n_bins − 1, n_q); the first Q lies TAPS steps below 0."""
    table = np.empty((n_bins - 1, n_q), dtype=np.float32)
    fill_sines(step, dq, TAPS, table)
    table.setflags(write=False)
    return table


def _inverse_square(d: Any) -> NDArray[np.float64]:
    return np.asarray(d**-2.0)
