"""G(r) of a crystal without end: what a calibrant shows.

With oᵢ the occupancy of site i, fᵢ(Q) its scattering factor, N the atoms of a cell and ⟨f⟩ = Σoᵢfᵢ/N,

  F(Q) = Σᵢ Σⱼ oᵢoⱼ fᵢfⱼ exp(−σᵢⱼ²Q²/2) sin(Q dᵢⱼ)/dᵢⱼ / (N⟨f⟩²)  −  4πρ₀ ∫ r sin(Qr) dr,   i in the cell, j in the whole crystal,
  G(r) = (2/π) ∫_Qmin^Qmax F(Q) sin(Qr) dQ · exp(−(Qdamp r)²/2).

The second term is the line −4πrρ₀ of real space. Here the scattering factors depend on Q, pair by pair of elements, as in the Debye sum of a cluster.

Both sums have no end, and a curve up to rmax does not need one: what lies beyond rmax is faded out over ``FADE`` Å by cos². The fade is smooth: it
widens the Bragg peaks by about π/FADE in Q and moves nothing below rmax, except through peaks at the very end of the range of Q. For nickel to 40 Å
with Qmax 25 Å⁻¹ and U 0.005 Å² a fade five times as long changes the curve by less than 1e-3 of max|G|.

Source: Egami & Billinge, Underneath the Bragg Peaks, 2nd ed. (2012), ch. 3; Farrow & Billinge, Acta Cryst. A65 (2009) 232.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepstruc_hpc.core.errors import StructureError
from deepstruc_hpc.core.shapes import Float64, Numbers, Real
from deepstruc_hpc.physics.form_factors import scattering_factors
from deepstruc_hpc.physics.histogram import class_pairs
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.transform import fq_to_gr, quadrature
from deepstruc_hpc.physics.widths import width_scale

Float = NDArray[np.float64]
Species = Sequence[Sequence[tuple[str, float]]]
"""Elements of each site of the cell with their occupancies."""

FADE = 12.0
"""Å over which pairs beyond rmax are faded out."""
MERGE = 1e-3
"""Å: distances of one pair of elements within one bin of this width count as one at their mean; a sine is off by less than 1e-4 at 25 Å⁻¹."""
MOST_ZOOM = 1.05
_MOST_CELL_PAIRS = 30_000_000
_TERMS_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class BulkDistances:
    """The pair distances of a crystal, each once with how often an average atom sees it.

    Attributes:
        elements: E symbols, sorted.
        fractions: (E,) share of each element among the atoms.
        density: atoms per Å³, occupancies counted.
        pairs: for each pair of elements a ≤ b the distances (K,) Å and their weights (K,), Σ oᵢoⱼ/N over both orders.
        reach: Å, all distances up to here are there.
    """

    elements: tuple[str, ...]
    fractions: Float
    density: float
    pairs: tuple[tuple[Float, Float], ...]
    reach: float

    @property
    def shortest(self) -> float:
        """The nearest two atoms, Å."""
        return min(float(d[0]) for d, _ in self.pairs if len(d))


def bulk_distances(lattice: Real[Numbers, "3 3"], fractions: Real[Numbers, "sites 3"], species: Species, reach: float) -> BulkDistances:
    """All pair distances of a crystal up to a reach.

    Args:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3) positions in the cell.
        species: elements of each of the M sites with occupancies.
        reach: Å.

    Raises:
        StructureError: two fully occupied sites closer than 0.5 Å, a cell without atoms, or so many pairs that a length must be wrong.
    """
    cell, places = np.asarray(lattice, dtype=np.float64), np.asarray(fractions, dtype=np.float64)
    elements = tuple(sorted({symbol for site in species for symbol, _ in site}))
    occupancy = np.zeros((len(species), len(elements)))
    for row, site in enumerate(species):
        for symbol, amount in site:
            occupancy[row, elements.index(symbol)] += amount
    n_atoms, volume = float(occupancy.sum()), abs(float(np.linalg.det(cell)))
    if not n_atoms > 0 or not volume > 0:
        raise StructureError(f"a crystal needs atoms and a volume; found {n_atoms:g} atoms in {volume:g} Å³.")
    expected = len(places) ** 2 / volume * 4.2 * reach**3
    if expected > _MOST_CELL_PAIRS:
        raise StructureError(f"{len(places)} sites a cell up to {reach:g} Å make {expected:.0f} pairs. Choose a smaller --rmax.")
    d, i, j = _site_pairs(cell, places, reach)
    if len(d) and d[0] < 0.5:
        full = occupancy.sum(axis=1)
        if (full[i[d < 0.5]] + full[j[d < 0.5]] > 1.01).any():
            raise StructureError(f"two atoms of the crystal are {d[0]:.2f} Å apart. Check the cell (Å) and the positions.")
    pairs = []
    for a, b in class_pairs(len(elements)):
        weight = occupancy[i, a] * occupancy[j, b] * (1.0 if a == b else 2.0) / n_atoms
        pairs.append(_merged(d[weight > 0], weight[weight > 0]))
    return BulkDistances(elements, occupancy.sum(axis=0) / n_atoms, n_atoms / volume, tuple(pairs), reach)


def _site_pairs(cell: Float, places: Float, reach: float) -> tuple[Float, NDArray[np.intp], NDArray[np.intp]]:
    """Distances up to the reach, sorted, from every site of the cell to every site of the crystal, and which sites these are."""
    spread = reach * np.linalg.norm(np.linalg.inv(cell), axis=0)
    ranges = [np.arange(-int(np.ceil(s)) - 1, int(np.ceil(s)) + 2) for s in spread]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    found = []
    for i in range(len(places)):
        for j in range(len(places)):
            d = np.linalg.norm((shifts + places[j] - places[i]) @ cell, axis=1)
            d = d[(d <= reach) & (d > 1e-6)]
            found.append((d, np.full(len(d), i), np.full(len(d), j)))
    distance, first, second = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(distance, kind="stable")
    return distance[order], first[order], second[order]


def _merged(d: Float, weight: Float) -> tuple[Float, Float]:
    if not len(d):
        return d, weight
    _, inverse = np.unique(np.floor(d / MERGE + 0.5), return_inverse=True)
    total: Float = np.bincount(inverse, weights=weight).astype(np.float64)
    middle: Float = np.bincount(inverse, weights=weight * d) / total
    return middle, total


class BulkCurve:
    """G(r) of one crystal on one grid of r, cheap to evaluate again for other lattice constants, U, widths and resolution.

    Args:
        distances: with a reach of at least ``needed_reach(r)``.
        r: (R,) Å.
        instrument: radiation, Qmin, Qmax; its Qdamp and Qbroad are defaults.

    Raises:
        StructureError: the reach is too short, or the mean scattering factor vanishes.
    """

    def __init__(self, distances: BulkDistances, r: ArrayLike, instrument: Instrument) -> None:
        self.distances, self.instrument = distances, instrument
        self.r = np.atleast_1d(np.asarray(r, dtype=np.float64))
        self._end = float(self.r.max())
        if distances.reach < (self._end + FADE) * (1 - 1e-9):
            raise StructureError(
                f"distances up to {distances.reach:g} Å are known; {self._end + FADE:g} Å are needed for a curve to {self._end:g} Å."
            )
        self.q, self._weights = quadrature(instrument.qmin, instrument.qmax, 2.0 * self._end + FADE)
        factors = scattering_factors(distances.elements, self.q, instrument.radiation)
        mean = distances.fractions @ factors
        if not np.all(np.abs(mean) > 1e-6 * np.abs(factors).max()):
            raise StructureError("the mean scattering factor of this crystal vanishes: G(r) is not defined for it.")
        self._pair_weight = [factors[a] * factors[b] / mean**2 for a, b in class_pairs(len(distances.elements))]
        self._line = _line_transform(self.q, self._end)

    def fq(
        self, *, uiso: Real[Numbers, " ..."], zoom: float = 1.0, delta1: float = 0.0, delta2: float = 0.0, qbroad: float | None = None
    ) -> Float64[Float, " q"]:
        """F(Q) at ``self.q``, Å⁻¹.

        Args:
            uiso: Å², a number or one an element in the order of ``distances.elements``.
            zoom: expansion of the lattice, up to 1.05.
            delta1: Å.
            delta2: Å².
            qbroad: Å⁻¹.
        """
        return np.asarray(self._terms(uiso, zoom, {"delta1": delta1, "delta2": delta2, "qbroad": self._qbroad(qbroad)}, slopes=False)[0])

    def slopes(
        self, *, uiso: Real[Numbers, " ..."], zoom: float = 1.0, delta2: float = 0.0, qbroad: float | None = None
    ) -> Float64[Float, "parameters r"]:
        """Derivatives of the undamped G(r) by the U of each element, by delta2 and by Qbroad, in this order; (E + 2, R)."""
        terms = self._terms(uiso, zoom, {"delta2": delta2, "qbroad": self._qbroad(qbroad)}, slopes=True)
        return fq_to_gr(terms[1:], self.q, self._weights, self.r)

    def _qbroad(self, given: float | None) -> float:
        return self.instrument.qbroad if given is None else given

    def _terms(self, uiso: ArrayLike, zoom: float, widths: Mapping[str, float], *, slopes: bool) -> Float:
        """F(Q) and, where wanted, its derivatives by U of each element, delta2, Qbroad; (1 or E + 3, Q)."""
        n_elements = len(self.distances.elements)
        u = np.broadcast_to(np.asarray(uiso, dtype=np.float64), (n_elements,))
        line = -4.0 * np.pi * self.distances.density / zoom**3 * self._line
        total = np.zeros((n_elements + 3 if slopes else 1, len(self.q)))
        bend = 0.5 * self.q**2
        for index, (a, b) in enumerate(class_pairs(n_elements)):
            d, n = self.distances.pairs[index]
            share = self.distances.fractions[a] * self.distances.fractions[b] * (1.0 if a == b else 2.0)
            sums = _pair_sums(d * zoom, n, self.q, u=float(u[a] + u[b]), widths=widths, end=self._end, slopes=slopes)
            weight = self._pair_weight[index]
            total[0] += weight * (sums[:, 0] + share * line)
            if slopes:
                for element in (a, b):
                    total[1 + element] -= weight * bend * sums[:, 1]
                total[-2] += weight * bend * (u[a] + u[b]) * sums[:, 2]
                total[-1] -= weight * bend * (u[a] + u[b]) * 2.0 * widths["qbroad"] * sums[:, 3]
        return total

    def __call__(self, *, uiso: Real[Numbers, " ..."], qdamp: float | None = None, **conditions: float) -> Float64[Float, " r"]:
        """G(r), (R,) Å⁻², with the arguments of :meth:`fq` and Qdamp (Å⁻¹)."""
        damping = self.instrument.qdamp if qdamp is None else qdamp
        return fq_to_gr(self.fq(uiso=uiso, **conditions), self.q, self._weights, self.r, damping)


def needed_reach(rmax: float) -> float:
    """How far distances must be known for a curve that ends at rmax and a zoom of up to 1.05 (or down to 0.95), Å."""
    return (rmax + FADE) * MOST_ZOOM


def simulate_bulk(
    lattice: Real[Numbers, "3 3"],
    fractions: Real[Numbers, "sites 3"],
    species: Species,
    r: Real[Numbers, " r"],
    instrument: Instrument,
    *,
    uiso: float | Mapping[str, float] = 0.005,
    delta1: float = 0.0,
    delta2: float = 0.0,
) -> Float64[Float, " r"]:
    """G(r) of a crystal; see the head of this module.

    Args:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3) positions in the cell.
        species: elements of each site with occupancies.
        r: (R,) Å.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        uiso: Å², a number or one an element.
        delta1: Å.
        delta2: Å².

    Returns:
        (R,) Å⁻², the line −4πrρ₀ included.

    Raises:
        StructureError: an impossible crystal or an unknown element.
    """
    grid = np.atleast_1d(np.asarray(r, dtype=np.float64))
    distances = bulk_distances(lattice, fractions, species, needed_reach(float(grid.max())))
    u: Any = [uiso[symbol] for symbol in distances.elements] if isinstance(uiso, Mapping) else uiso
    return BulkCurve(distances, grid, instrument)(uiso=u, delta1=delta1, delta2=delta2)


def fade(r: Real[Numbers, " *shape"], end: float) -> Float64[Float, " *shape"]:
    """1 up to ``end``, cos² down to 0 over FADE Å beyond it."""
    beyond = np.clip((np.asarray(r, dtype=np.float64) - end) / FADE, 0.0, 1.0)
    return np.asarray(np.cos(0.5 * np.pi * beyond) ** 2)


def _pair_sums(d: Float, n: Float, q: Float, *, u: float, widths: Mapping[str, float], end: float, slopes: bool) -> Float:
    """Σ n exp(−σ²Q²/2) sin(Qd)/d with σ² = u·s(d), faded out beyond ``end``; with slopes the same sums times s, 1/d² and d² as well.

    Returns:
        (Q, 1 or 4). The distances are taken in parts that fit into memory.
    """
    amplitude = n * fade(d, end) / d
    kept = amplitude > 0
    d, amplitude = d[kept], amplitude[kept]
    scale = width_scale(d, **widths)
    columns = amplitude[:, None] * (np.stack([np.ones_like(d), scale, d**-2, d**2], axis=1) if slopes else 1.0)
    total = np.zeros((len(q), columns.shape[1]))
    step = max(1, _TERMS_AT_ONCE // len(q))
    for first in range(0, len(d), step):
        part = slice(first, first + step)
        waves = np.sin(np.outer(q, d[part]))
        waves *= np.exp(np.outer(-0.5 * u * q**2, scale[part]))
        total += waves @ columns[part]
    return total


def _line_transform(q: Float, end: float) -> Float:
    """∫ r sin(Qr) dr with the same fade, Å²: two parts, as the fade's curvature jumps at ``end``, each with nodes for the largest Q."""
    fastest = float(q.max()) + 2.0 * np.pi / FADE
    parts = [quadrature(low, high, fastest) for low, high in ((0.0, end), (end, end + FADE))]
    r, w = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    total: Float = np.sin(np.outer(q, r)) @ (w * r * fade(r, end))
    return total
