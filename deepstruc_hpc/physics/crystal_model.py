"""G(r) of a crystal times a shape function, in a form that is cheap to change.

With kinds of sites a, b (elements that share a site scatter as their mean), pairs k of kinds a(k), b(k) at distances d with w = oᵢoⱼ/N, and
W_ab(Q) = f_a f_b/⟨f⟩²,

  F(Q) = Σ_k W_ab(Q) γ₀(d) w exp(−σ²Q²/2) sin(Qd)/d − 4πρ₀ ∫ r γ₀(r) sin(Qr) dr,       G(r) = (2/π) ∫_Qmin^Qmax F(Q) sin(Qr) dQ · exp(−(Qdamp r)²/2),
  σ² = (U_a + U_b)(1 − delta1/d − delta2/d² + Qbroad² d²),       γ₀ of :mod:`deepstruc_hpc.physics.shape_functions`.

The line carries what a measurement does not see below Qmin, so that F is nearly 0 there whatever Qmin is. Peaks are laid on a fine grid of r as
Gaussians; sine transforms take them to Q, where they get their scattering factors and their range, and back. What lies beyond rmax fades out.

Source: Farrow & Billinge, Acta Cryst. A65 (2009) 232; Howell et al., Phys. Rev. B 73 (2006) 094107; Kodama et al., Acta Cryst. A62 (2006) 444.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dst, next_fast_len

from deepstruc_hpc.core.shapes import CellVectors, Float64, Int64
from deepstruc_hpc.physics.compiled import compiled
from deepstruc_hpc.physics.crystal_pairs import pair_distances, site_pairs
from deepstruc_hpc.physics.form_factors import scattering_factors
from deepstruc_hpc.physics.histogram import class_pairs
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.shape_functions import ShapeFunction, sphere_shape

Float = NDArray[np.float64]
Species = Sequence[Sequence[tuple[str, float]]]
FADE = 6.0
"""Å beyond rmax over which pairs and line fade out together."""
NARROWEST = 9e-4
"""Å²: no peak is narrower than σ = 0.03 Å, which Qmax = 25 Å⁻¹ cannot tell from 0 (exp(−σ²Q²/2) = 0.75 at Qmax)."""
_GRID_PHASE = 1.0
"""Qmax·h of the grid of r; a Gaussian of σ = 0.03 Å on it is right to 4e-4 at Qmax = 25 Å⁻¹."""
_VANISHING = 0.05
_SAME_DISTANCE = 1e-4
"""Å: pairs whose distances round to the same multiple of it in several cells are equivalent ones."""
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93)
"""Odd factors that mix 64 bits, so that different rows of distances have different keys (Steele et al., Proc. OOPSLA (2014) 453)."""


@compiled
def _lay_gaussians(d: Any, weight: Any, variance: Any, pair: Any, gamma: Any, step: float, end: float, grid: Any) -> None:  # noqa: PLR0917 - compiled
    """Add γ₀·weight/d × unit Gaussians to the rows ``pair`` of the grid; the exponential is continued by two products a point.

    γ₀ between the points of the grid is a straight line, and 1 at r = 0.
    """
    last = grid.shape[1] - 1
    for k in range(d.shape[0]):
        if d[k] > end:
            continue
        place = d[k] / step - 1.0
        before = int(np.floor(place))
        inner = gamma[before] if before >= 0 else 1.0
        amplitude = weight[k] * (inner + (place - before) * (gamma[min(before + 1, last)] - inner)) / d[k]
        if amplitude == 0.0:
            continue
        sigma = np.sqrt(variance[k])
        low = max(0, int((d[k] - 5.0 * sigma) / step))
        high = min(last, int((d[k] + 5.0 * sigma) / step) + 1)
        if low > high:
            continue
        x = (low + 1) * step - d[k]
        g = amplitude * step * 0.3989422804014327 / sigma * np.exp(-0.5 * x * x / variance[k])
        ratio = np.exp(-(x * step + 0.5 * step * step) / variance[k])
        turn = np.exp(-step * step / variance[k])
        for n in range(low, high + 1):
            grid[pair[k], n] += g
            g *= ratio
            ratio *= turn


@dataclass(frozen=True, eq=False)
class Axes:
    """The grids of r and Q of one curve, and the way back to its points.

    Attributes:
        step: Å of the grid of r; its first point is one step from 0.
        r: (N,) Å.
        q: (Qn,) Å⁻¹, those between Qmin and Qmax.
        chosen: numbers of these Q in the transform.
        weight: (Qn,) 1, or the part of an interval of Q inside the range.
        fade: (N,) 1 up to rmax, cos² to 0 beyond.
        end: Å up to which pairs are needed.
    """

    step: float
    r: Float
    q: Float
    chosen: NDArray[np.intp]
    weight: Float
    fade: Float
    end: float

    @classmethod
    def of(cls, rmax: float, instrument: Instrument, *, phase: float = _GRID_PHASE, fade: float = FADE) -> Axes:
        """Grids for a curve that ends at rmax (Å)."""
        step = phase / instrument.qmax
        count = next_fast_len(int(np.ceil((rmax + fade) / step)) + 2, real=True) - 1
        r = np.asarray((np.arange(count) + 1) * step, dtype=np.float64)
        dq = np.pi / ((count + 1) * step)
        q = np.asarray((np.arange(count) + 1) * dq, dtype=np.float64)
        upper = np.clip((instrument.qmax - (q - 0.5 * dq)) / dq, 0.0, 1.0)
        lower = np.clip((q + 0.5 * dq - instrument.qmin) / dq, 0.0, 1.0)
        chosen = np.flatnonzero(upper * lower > 0)
        beyond = np.clip((r - rmax) / fade, 0.0, 1.0)
        return cls(step, r, q[chosen], chosen, (upper * lower)[chosen], np.cos(0.5 * np.pi * beyond) ** 2, rmax + fade)

    def to_q(self, values: Float64[Float, "*rows r"]) -> Float64[Float, "*rows q"]:
        """Σ_n values[…, n] sin(Q r_n) at ``q``."""
        return np.asarray(0.5 * dst(values, type=1, axis=-1)[..., self.chosen])

    def sines(self, r: Float64[Float, " r"]) -> Float64[Float, "q r"]:
        """(Qn, R): takes F at ``q`` to G at r by a product."""
        dq = np.pi / ((len(self.r) + 1) * self.step)
        return np.asarray((2.0 / np.pi) * dq * self.weight[:, None] * np.sin(np.outer(self.q, r)))


@lru_cache(maxsize=512)
def _factors(symbol: str, q: bytes, radiation: Any) -> Float:
    return np.asarray(scattering_factors((symbol,), np.frombuffer(q), radiation)[0])


def kind_weights(
    species: Species, kinds: Int64[NDArray[np.intp], " sites"], q: Float64[Float, " q"], instrument: Instrument
) -> tuple[Float64[Float, "pairs q"], float]:
    """W_ab(Q) = f_a f_b/⟨f⟩² for every pair of kinds a ≤ b, and how much of ⟨f²⟩ the line has.

    Where ⟨f⟩² is less than 0.05 of ⟨f²⟩ (neutron lengths of both signs) ⟨f²⟩ takes its place.

    Returns:
        (P, Q) and the factor of the line: 1, or ⟨f⟩²/⟨f²⟩.
    """
    key = np.ascontiguousarray(q).tobytes()
    n_kinds = int(kinds.max()) + 1
    counts, factors, squares = np.zeros(n_kinds), np.zeros((n_kinds, len(q))), np.zeros((n_kinds, len(q)))
    for kind in range(n_kinds):
        members = np.flatnonzero(kinds == kind)
        occupancy = [sum(amount for _, amount in species[int(site)]) for site in members]
        counts[kind] = sum(occupancy)
        site = species[int(members[0])]
        total = sum(amount for _, amount in site)
        factors[kind] = sum(amount * _factors(symbol, key, instrument.radiation) for symbol, amount in site) / total
        squares[kind] = sum(amount * _factors(symbol, key, instrument.radiation) ** 2 for symbol, amount in site) / total
    shares = counts / counts.sum()
    mean, square = shares @ factors, shares @ squares
    vanishing = bool((mean**2 < _VANISHING * square).any())
    norm = square if vanishing else mean**2
    line = float(np.mean(mean**2 / square)) if vanishing else 1.0
    return np.stack([factors[a] * factors[b] / norm for a, b in class_pairs(n_kinds)]), line


@dataclass(frozen=True, eq=False)
class Cell:
    """The cell of a crystal with what its sites hold.

    Attributes:
        lattice: (3, 3) Å, rows are the cell vectors.
        fractions: (M, 3).
        species: elements of each site with occupancies.
        kinds: (M,) sites that scatter and vibrate alike.
        orbits: (M,) the first equivalent site of each.
    """

    lattice: Float
    fractions: Float
    species: Species
    kinds: NDArray[np.intp]
    orbits: NDArray[np.intp]


class CrystalModel:
    """One crystal on the axes of one curve.

    Args:
        cell: the crystal.
        axes: of the curve.
        instrument: radiation and Qbroad.
        room: pairs are known up to (1 + room) times the end of the axes, so that cells may shrink by as much.
    """

    def __init__(self, cell: Cell, axes: Axes, instrument: Instrument, *, room: float = 0.12) -> None:
        self.axes, self.instrument = axes, instrument
        self.lattice, self.fractions = np.array(cell.lattice), np.array(cell.fractions)
        species, kinds, orbits = cell.species, cell.kinds, cell.orbits
        self.kinds, self.n_kinds = kinds, int(kinds.max()) + 1
        occupancy = np.array([sum(amount for _, amount in site) for site in species])
        self.n_atoms = float(occupancy.sum())
        first, counts = np.unique(orbits, return_counts=True)
        self.table = site_pairs(self.lattice, self.fractions, first.astype(np.intp), axes.end * (1.0 + room))
        multiplicity = np.zeros(len(orbits))
        multiplicity[first] = counts
        i, j = self.table[:, 0], self.table[:, 1]
        self.weight = multiplicity[i] * occupancy[i] * occupancy[j] / self.n_atoms
        number = {pair: index for index, pair in enumerate(class_pairs(self.n_kinds))}
        lookup = np.array([[number[min(a, b), max(a, b)] for b in range(self.n_kinds)] for a in range(self.n_kinds)])
        self.pair = lookup[kinds[i], kinds[j]]
        self.pair_weights, self.line_share = kind_weights(species, kinds, axes.q, instrument)

    def merge(self, geometries: Sequence[tuple[Float, Float]]) -> None:
        """Count pairs once that have the same distance in every one of some cells (lattice, fractions), as equivalent ones do."""
        key = (self.pair.astype(np.uint64) + np.uint64(1)) * np.uint64(_MIX[0])
        for factor, (lattice, fractions) in zip(_MIX[1:], geometries, strict=False):
            steps = np.rint(pair_distances(lattice, fractions, self.table) / _SAME_DISTANCE).astype(np.uint64)
            key = (key ^ (key >> np.uint64(29))) * np.uint64(factor) + steps * np.uint64(_MIX[0])
        order = np.argsort(key, kind="stable")
        new = np.concatenate([[True], np.diff(key[order]) != 0])
        starts = np.flatnonzero(new)
        self.weight = np.add.reduceat(self.weight[order], starts)
        self.table, self.pair = np.ascontiguousarray(self.table[order][starts]), np.ascontiguousarray(self.pair[order][starts])

    def on_grid(
        self,
        lattice: CellVectors,
        fractions: Float64[Float, "sites 3"],
        u: Float64[Float, " kinds"],
        widths: tuple[float, float],
        inverse_diameter: float,
        *,
        shape: ShapeFunction = sphere_shape,
        qbroad: float | None = None,
    ) -> Float64[Float, "rows grid"]:
        """Peaks of every pair of kinds and the line on the grid of r, times the shape function.

        Args:
            lattice: (3, 3) Å.
            fractions: (M, 3).
            u: (K,) U of each kind, Å².
            widths: delta1 (Å) and delta2 (Å²).
            inverse_diameter: 1/D, Å⁻¹.
            shape: γ₀; between the points of the grid it is a straight line, which is right to 1e-6 for D ≥ 20 Å.
            qbroad: Å⁻¹; that of the instrument where not given.

        Returns:
            (P + 1, N); the last row is the line.
        """
        axes = self.axes
        d = pair_distances(lattice, fractions, self.table)
        gamma = shape(axes.r, inverse_diameter)
        sums = np.array([u[a] + u[b] for a, b in class_pairs(self.n_kinds)])
        broad = self.instrument.qbroad if qbroad is None else qbroad
        scale = 1.0 - widths[0] / d - widths[1] / d**2 + (broad * d) ** 2
        variance = np.maximum(sums[self.pair] * scale, NARROWEST)
        grid = np.zeros((len(sums) + 1, len(axes.r)))
        _lay_gaussians(d, self.weight, variance, self.pair, gamma, axes.step, axes.end, grid)
        density = self.n_atoms / abs(float(np.linalg.det(lattice)))
        grid[-1] = -4.0 * np.pi * density * self.line_share * axes.step * axes.r * gamma
        return np.asarray(grid * axes.fade)

    def fq(self, grids: Float64[Float, "*rows pairs grid"]) -> Float64[Float, "*rows q"]:
        """(…, Qn) F(Q) of grids (…, P + 1, N)."""
        parts = self.axes.to_q(grids)
        return np.asarray(np.einsum("...pq,pq->...q", parts[..., :-1, :], self.pair_weights) + parts[..., -1, :])


def crystal_sphere_curve(
    lattice: CellVectors,
    fractions: Float64[Float, "sites 3"],
    species: Species,
    r: Float64[Float, " r"],
    instrument: Instrument,
    *,
    diameter: float | None = None,
    shape: ShapeFunction = sphere_shape,
    uiso: float = 0.005,
    delta2: float = 0.0,
) -> Float64[Float, " r"]:
    """G(r) of a crystal cut to a sphere or another body, as a measurement shows it (no small-angle scattering).

    Args:
        lattice: (3, 3) Å.
        fractions: (M, 3).
        species: elements of each site with occupancies.
        r: (R,) Å.
        instrument: radiation, Qmin, Qmax, Qdamp, Qbroad.
        diameter: Å, of the sphere of the body's volume; None for a crystal without end.
        shape: γ₀ of the body.
        uiso: Å².
        delta2: Å².

    Returns:
        (R,) Å⁻².
    """
    kinds = np.unique([str(sorted(symbol for symbol, _ in site)) for site in species], return_inverse=True)[1].ravel()
    axes = Axes.of(float(np.max(r)), instrument)
    cell = Cell(np.asarray(lattice), np.asarray(fractions), species, kinds, np.arange(len(kinds)))
    model = CrystalModel(cell, axes, instrument, room=0.0)
    inverse = 1.0 / diameter if diameter else 0.0
    grid = model.on_grid(np.asarray(lattice), np.asarray(fractions), np.full(model.n_kinds, uiso), (0.0, delta2), inverse, shape=shape)
    return np.asarray((model.fq(grid) @ axes.sines(r)) * np.exp(-0.5 * (instrument.qdamp * r) ** 2))
