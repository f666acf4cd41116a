"""Pair distances → F(Q): the Debye equation for clusters of any elements, exactly and by histogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64, Numbers, PerAtom, Real
from deepstruc_hpc.physics.compiled import compiled
from deepstruc_hpc.physics.form_factors import Radiation, scattering_factors
from deepstruc_hpc.physics.histogram import class_pairs, extent, pair_count, pair_histograms
from deepstruc_hpc.physics.transform import chebyshev_nodes, lagrange_basis, nodes_for_exponential, sine_sums
from deepstruc_hpc.physics.widths import width_scale

Float = NDArray[np.float64]
FINE_PHASE = 0.08
"""Qmax·h of the histogram behind the reference path: a pair's error is below 1.3e-9 of its weight (module ``histogram``)."""
_NODE_TOLERANCE = 1e-10
_MAX_CLASSES = 12
_PLAIN_WORK = 300_000
"""With many different U, the plain double sum is used below this many terms (pairs times Q) a pair of classes."""


def simulate_fq(
    symbols: Sequence[str],
    positions: Real[Numbers, "atoms 3"],
    q: Real[Numbers, " q"],
    *,
    radiation: Radiation = "xray",
    uiso: PerAtom = 0.005,
    qbroad: float = 0.0,
    delta1: float = 0.0,
    delta2: float = 0.0,
    occupancy: PerAtom | None = None,
) -> Float64[Float, " q"]:
    """Reduced structure function of an isolated cluster.

    F(Q) = Σᵢ<ⱼ 2 oᵢoⱼ fᵢ fⱼ exp(−σᵢⱼ²Q²/2) sin(Q dᵢⱼ)/dᵢⱼ / (N⟨f⟩²), N = Σoᵢ, ⟨f⟩ = Σ oᵢfᵢ/N at each Q,
    σᵢⱼ² = (Uᵢ+Uⱼ)(1 − delta1/d − delta2/d² + Qbroad²d²), 0 where that is negative (:func:`~deepstruc_hpc.physics.widths.width_scale`).
    No self term, so F(0) = 0 and F → 0 for large Q. Atoms closer than 1.5e-8 Å are not counted as a pair.

    Args:
        symbols: N element symbols; ions (``O2-``) for X-rays.
        positions: (N, 3) Å.
        q: (Q,) Å⁻¹, any order, may contain 0.
        radiation: ``xray`` or ``neutron``.
        uiso: a number or (N,), Å².
        qbroad: Å⁻¹.
        delta1: Å.
        delta2: Å².
        occupancy: a number or (N,), 0 to 1.

    Returns:
        (Q,) Å⁻¹, float64; from a histogram whose error is below 2e-9 of the summed weights of the pairs, in memory that does not grow with N².

    Raises:
        StructureError: unknown element, broken positions, a mean scattering factor of zero.

    Source: Debye, Ann. Phys. 351 (1915) 809; Farrow & Billinge, Acta Cryst. A65 (2009) 232.
    """
    q = np.atleast_1d(np.asarray(q, dtype=np.float64))
    atoms = Atoms.of(symbols, positions, uiso, occupancy)
    return atoms.fq(q, scattering_factors(atoms.elements, q, radiation), qbroad=qbroad, delta1=delta1, delta2=delta2)


class Atoms:
    """A cluster prepared for the Debye sum: elements, U and occupancy an atom, all checked."""

    def __init__(self, elements: tuple[str, ...], element: NDArray[np.int64], positions: Float, uiso: Float, occupancy: Float) -> None:
        self.elements = elements
        self.element = element
        self.positions = positions
        self.uiso = uiso
        self.occupancy = occupancy

    @classmethod
    def of(cls, symbols: Sequence[str], positions: Real[Numbers, "atoms 3"], uiso: PerAtom = 0.005, occupancy: PerAtom | None = None) -> Atoms:
        """Check the input of a simulation.

        Raises:
            StructureError: naming what does not fit.
        """
        xyz = np.asarray(positions, dtype=np.float64)
        n = len(symbols)
        if isinstance(symbols, str) or xyz.shape != (n, 3):
            raise StructureError(f"{n} symbols need positions of shape ({n}, 3), found {xyz.shape}. Give a list of symbols, one an atom.")
        if not n:
            raise StructureError("a structure without atoms scatters nothing; at least one atom is needed.")
        u = np.broadcast_to(np.asarray(uiso, dtype=np.float64), (n,))
        o = np.broadcast_to(np.asarray(1.0 if occupancy is None else occupancy, dtype=np.float64), (n,))
        if not (np.isfinite(xyz).all() and np.isfinite(u).all() and np.isfinite(o).all()) or u.min() < 0 or o.min() < 0 or o.sum() <= 0:
            raise StructureError("positions, uiso and occupancy must be finite, uiso and occupancy not negative, and some atom must be there.")
        elements = tuple(sorted(set(symbols)))
        number = {symbol: index for index, symbol in enumerate(elements)}
        return cls(elements, np.array([number[symbol] for symbol in symbols]), xyz, u, o)

    def pair_weights(self, factors: Float64[Float, "elements q"]) -> Float64[Float, "pairs q"]:
        """2 fₐ f_b / (N⟨f⟩²) for every pair of elements a ≤ b.

        Args:
            factors: (E, Q).

        Returns:
            (E(E+1)/2, Q).
        """
        counts = np.bincount(self.element, weights=self.occupancy, minlength=len(self.elements)).astype(np.float64)
        return element_pair_weights(factors, counts)

    def fq(
        self, q: Float64[Float, " q"], factors: Float64[Float, "elements q"], *, qbroad: float = 0.0, delta1: float = 0.0, delta2: float = 0.0
    ) -> Float64[Float, " q"]:
        """F(Q) with scattering factors given, (E, Q) in the order of ``elements``; see :func:`simulate_fq`."""
        highest = max(float(np.abs(q).max(initial=0.0)), 1.0)
        step = FINE_PHASE / highest
        atom, kind, classes = _classes(self, highest)
        terms = len(q) * len(self.positions) * (len(self.positions) - 1) // 2
        if len(classes) > _MAX_CLASSES and terms < _PLAIN_WORK * pair_count(len(classes)):
            return self.fq_exact(q, factors, qbroad=qbroad, delta1=delta1, delta2=delta2)
        n_bins = int(extent(self.positions) / step) + 8
        weights = [self.occupancy[atom] * kind.weight]
        hist = pair_histograms([self.positions[atom]], [kind.number], len(classes), step, n_bins, weights=weights)[0]
        used = np.flatnonzero(hist.any(axis=0))
        if not len(used):
            return np.zeros(len(q))
        first, last = used[0], used[-1] + 1
        d = np.arange(first, last) * step
        scale = width_scale(d, delta1=delta1, delta2=delta2, qbroad=qbroad)
        per_distance = np.divide(hist[:, first:last], d, where=d > 0, out=np.zeros_like(hist[:, first:last]))
        pair_weights = self.pair_weights(factors)
        element_pair = {pair: index for index, pair in enumerate(class_pairs(len(self.elements)))}
        total = np.zeros(len(q))
        for index, (a, b) in enumerate(class_pairs(len(classes))):
            if not per_distance[index].any():
                continue
            (element_a, u_a), (element_b, u_b) = classes[a], classes[b]
            weight = pair_weights[element_pair[min(element_a, element_b), max(element_a, element_b)]]
            total += weight * _damped_sum(per_distance[index], first * step, step, q, scale=scale, u=0.5 * (u_a + u_b))
        return total

    def fq_exact(
        self,
        q: Float64[Float, " q"],
        factors: Float64[Float, "elements q"],
        *,
        qbroad: float = 0.0,
        delta1: float = 0.0,
        delta2: float = 0.0,
        between: Any = (0.0, np.inf),
    ) -> Float64[Float, " q"]:
        """F(Q) by the plain double sum, for checks: pairs with a distance in ``between`` (Å) only; N² time."""
        table = np.zeros((len(self.elements), len(self.elements), len(q)))
        for (a, b), weight in zip(class_pairs(len(self.elements)), self.pair_weights(factors), strict=True):
            table[a, b] = table[b, a] = weight
        total = np.zeros(len(q))
        for i in range(len(self.positions) - 1):
            d = np.sqrt(((self.positions[i + 1 :] - self.positions[i]) ** 2).sum(axis=1))
            scale = width_scale(d, delta1=delta1, delta2=delta2, qbroad=qbroad)
            weight = self.occupancy[i] * self.occupancy[i + 1 :] * ((d >= between[0]) & (d <= between[1]))
            variance = (self.uiso[i] + self.uiso[i + 1 :]) * scale
            _add_pairs(d, weight, variance, self.element[i + 1 :], table[self.element[i]], q, total)
        return total


def element_pair_weights(factors: Float64[Float, "elements q"], counts: Float64[Float, " elements"]) -> Float64[Float, "pairs q"]:
    """2 fₐ f_b / (N⟨f⟩²) for every pair of elements a ≤ b.

    Args:
        factors: (E, Q).
        counts: (E,) atoms of each element, occupancies counted.

    Returns:
        (E(E+1)/2, Q).

    Raises:
        StructureError: where ⟨f⟩ vanishes (a neutron null alloy).
    """
    n = counts.sum()
    mean = counts @ factors / n
    if not np.all(np.abs(mean) > 1e-6 * np.abs(factors).max()):
        raise StructureError("the mean scattering factor of this composition vanishes: F(Q) is not defined for it.")
    return np.stack([2.0 * factors[a] * factors[b] / (n * mean**2) for a, b in class_pairs(len(counts))])


class _Members:
    """Atoms as members of classes: class number and weight."""

    def __init__(self, number: NDArray[np.int64], weight: Float) -> None:
        self.number = number
        self.weight = weight


def _classes(atoms: Atoms, qmax: float) -> tuple[NDArray[np.int64], _Members, list[tuple[int, float]]]:
    """Group atoms by element and U.

    With few distinct U each (element, U) is a class. With many, U is interpolated: an atom is a member of several classes (element, node of U) with
    Lagrange weights, since exp(−(Uᵢ+Uⱼ)x) = exp(−Uᵢx) exp(−Uⱼx). Its pairs with itself have distance 0 and are not counted.
    """
    keys, number = np.unique(np.stack([atoms.element, atoms.uiso], axis=1), axis=0, return_inverse=True)
    everyone = np.arange(len(atoms.positions))
    if len(keys) <= _MAX_CLASSES:
        return everyone, _Members(number.ravel(), np.ones(len(everyone))), [(int(element), float(u)) for element, u in keys]
    low, high = float(atoms.uiso.min()), float(atoms.uiso.max())
    nodes = chebyshev_nodes(low, high, nodes_for_exponential(0.25 * (high - low) * qmax**2, _NODE_TOLERANCE))
    basis = lagrange_basis(nodes, atoms.uiso)
    classes = [(element, float(node)) for element in range(len(atoms.elements)) for node in nodes]
    numbers = (atoms.element[None, :] * len(nodes) + np.arange(len(nodes))[:, None]).ravel()
    return np.tile(everyone, len(nodes)), _Members(numbers, basis.ravel()), classes


def _damped_sum(values: Float, start: float, step: float, q: Float, *, scale: Float, u: float) -> Float:
    """Σ_b values_b exp(−u s_b q²) sin(q d_b): exp(−u s q²) is interpolated in s at as many nodes as 1e-10 needs (one where s is constant)."""
    low, high = float(scale.min()), float(scale.max())
    if high - low < 1e-14:
        damping: Float = np.exp(-u * low * q**2)
        return damping * sine_sums(values, start, step, q)
    half_range = 0.5 * u * (high - low) * float((q**2).max())
    nodes = chebyshev_nodes(low, high, nodes_for_exponential(half_range, _NODE_TOLERANCE))
    sums = sine_sums(values * lagrange_basis(nodes, scale), start, step, q)
    return np.asarray((np.exp(-u * nodes[:, None] * q**2) * sums).sum(axis=0))


@compiled
def _add_pairs(  # noqa: PLR0917 - compiled functions take positional arguments
    d: Any, weight: Any, variance: Any, element: Any, table: Any, q: Any, total: Any
) -> None:
    for k in range(d.shape[0]):
        if weight[k] == 0.0 or d[k] <= 1.4901161193847656e-8:
            continue
        for i in range(q.shape[0]):
            total[i] += weight[k] * table[element[k], i] * np.exp(-0.5 * variance[k] * q[i] * q[i]) * np.sin(q[i] * d[k]) / d[k]
