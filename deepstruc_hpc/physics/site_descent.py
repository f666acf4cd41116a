"""Which sites of a lattice are filled, by the curve: atoms put in, taken out and moved one at a time, each step the best of all there are.

At fixed zoom, U and delta2 the curve of a cluster of one element is a sum over its pairs, h = Σ_{pairs} g(d), with g(d) the curve of one pair at
distance d; its residual at the best scale follows from y·h and h·h. With the potential V(s) = Σ_{filled t} g(|s − t|) of every site,

    an atom put on s:          h + V(s)
    an atom taken off s:       h − V(s)
    an atom moved from a to b: h − V(a) + V(b) − g(|a − b|)

so all changes of one atom, tens of thousands, are told from a few matrix products: some milliseconds, where as many fits take seconds. Curves
are those of :class:`~deepstruc_hpc.physics.target.Target`, a basis of as many numbers as the data can hold.

In a crystal of several elements each site has a kind, and g(d) is that of two kinds: their scattering factors' product over the square of the mean
one, which is taken as that of the cluster at the start.

What is made small is −ln of the posterior of an occupation, ½ n ln(residual) − Σ_{filled} ln p/(1 − p): n independent points of unknown variance, and
what was known of every site before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from deepstruc_hpc.physics.evidence import log_likelihood
from deepstruc_hpc.physics.form_factors import Radiation, scattering_factors
from deepstruc_hpc.physics.target import Target
from deepstruc_hpc.physics.widths import width_scale

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DISTANCE_STEP = 5e-4
"""Distances are told apart to this part of the largest one."""
MOST_STEPS = 60
MOST_CHANGED = 6
"""Sites that are changed at random before a further descent, at most: a cation with the anions about it."""
PERFECT = 2e-5
"""Rw at which a search ends."""
FEWEST_ATOMS = 4
"""That an occupation keeps, whatever was known of its sites: fewer have no shape that a curve could tell."""
LEAST_GAIN = 0.05
"""Nats that a step must gain."""
_FLOOR = 1e-10
"""Of the residual over Σ of squares of the data: below it the arithmetic is at its end."""


@dataclass(frozen=True, eq=False)
class SiteScattering:
    """What pairs of sites of different kinds scatter, in units of a pair of mean atoms.

    Attributes:
        elements: the kinds.
        pair: (S, S) number of the two sites' pair of kinds.
        weights: (P, Q) fₐf_b/⟨f⟩² of each pair of kinds at the target's Q.
    """

    elements: tuple[str, ...]
    pair: NDArray[np.int64]
    weights: Floats

    @classmethod
    def of(cls, symbols: Sequence[str], filled: Mask, q: Floats, radiation: Radiation = "xray") -> SiteScattering:
        """Of sites with elements.

        Args:
            symbols: (S,) element of each site.
            filled: (S,) sites by which the mean is taken.
            q: (Q,) Å⁻¹.
            radiation: ``xray`` or ``neutron``.
        """
        elements = tuple(sorted(set(symbols)))
        number = np.array([elements.index(symbol) for symbol in symbols])
        factors = scattering_factors(elements, q, radiation)
        mean = np.bincount(number[filled], minlength=len(elements)) @ factors / np.count_nonzero(filled)
        weights = [factors[a] * factors[b] / mean**2 for a in range(len(elements)) for b in range(len(elements))]
        low, high = np.minimum(number[:, None], number), np.maximum(number[:, None], number)
        return cls(elements, low * len(elements) + high, np.array(weights))

    def pair_uiso(self, uiso: Mapping[str, float]) -> Floats:
        """(P,) mean U of each pair of kinds, Å², from that of each element."""
        each = np.array([uiso[symbol] for symbol in self.elements])
        return np.asarray((each[:, None] + each) / 2.0).ravel()


@dataclass(frozen=True, eq=False)
class SiteCurves:
    """Curves of pairs of sites in the basis of a target.

    Attributes:
        kind: (S, S) int32, the class of the pair of two sites, by distance and by the sites' kinds; 0 for a site with itself.
        curve: (D, K) of one pair of each class.
        target: data in the same basis.
    """

    kind: NDArray[np.int32]
    curve: Floats
    target: Target

    @classmethod
    def of(
        cls, sites: Floats, target: Target, *, uiso: float | Floats, delta2: float, qbroad: float = 0.0, scattering: SiteScattering | None = None
    ) -> SiteCurves:
        """Of all pairs.

        Args:
            sites: (S, 3) Å, as they are in the sample: after the zoom.
            target: the data; reaches to the largest distance of two sites.
            uiso: Å²; with ``scattering`` also (P,), the mean of each pair of kinds.
            delta2: Å².
            qbroad: Å⁻¹.
            scattering: of the sites' kinds; alike where not given.
        """
        squares = np.einsum("si,si->s", sites, sites)
        apart = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * sites @ sites.T, 0.0))
        np.fill_diagonal(apart, 0.0)
        number = np.rint(apart / (DISTANCE_STEP * float(apart.max()))).astype(np.int64)
        if scattering is not None:
            number = number * len(scattering.weights) + scattering.pair
            np.fill_diagonal(number, 0)
        count = np.bincount(number.ravel())
        there = np.flatnonzero(count)
        kind = (np.cumsum(count > 0) - 1)[number].astype(np.int32)
        distance = np.bincount(number.ravel(), weights=apart.ravel())[there] / count[there]
        distance[0] = 1.0
        of_pair = uiso if scattering is None or np.ndim(uiso) == 0 else np.asarray(uiso)[there % len(scattering.weights)]
        width = of_pair * width_scale(distance, delta2=delta2, qbroad=qbroad)
        waves = np.sin(np.outer(distance, target.q)) / distance[:, None] * np.exp(-width[:, None] * target.q**2)
        if scattering is not None:
            waves *= scattering.weights[there % len(scattering.weights)]
        waves[0] = 0.0
        return cls(kind, waves @ target.transform.astype(np.float64), target)

    def potential(self, mask: Mask) -> Floats:
        """(S, K) curves of the pairs of every site with all filled ones."""
        size, classes = len(self.kind), len(self.curve)
        place = self.kind[:, mask] + np.arange(size)[:, None] * classes
        counts = np.bincount(place.ravel(), minlength=size * classes).reshape(size, classes)
        return np.asarray(counts @ self.curve)

    def residual(self, along: Floats | float, square: Floats | float) -> Floats:
        """Σ of squares that are left at the best scale, over that of the data, from y·h and h·h; 1 where the curve points away from the data."""
        along = np.maximum(along, 0.0)
        return np.asarray(np.maximum(1.0 - along**2 / np.maximum(square, 1e-300) / self.target.norm, 0.0))

    def rw(self, mask: Mask) -> float:
        """Of an occupation, at its best scale."""
        curve = 0.5 * self.potential(mask)[mask].sum(axis=0)
        return float(np.sqrt(self.residual(curve @ self.target.data, curve @ curve)))


@dataclass(frozen=True)
class Change:
    """A step: its objective (nats), the site emptied and the site filled, −1 for none."""

    objective: float
    emptied: int = -1
    filled: int = -1


@dataclass(eq=False)
class _State:
    """An occupation (S,), the potential (S, K) of every site, and the curve (K,), kept up to date."""

    curves: SiteCurves
    mask: Mask
    potential: Floats
    total: Floats

    @classmethod
    def of(cls, curves: SiteCurves, mask: Mask) -> _State:
        potential = curves.potential(mask)
        return cls(curves, mask.copy(), potential, 0.5 * potential[mask].sum(axis=0))

    def copy(self) -> _State:
        return _State(self.curves, self.mask.copy(), self.potential.copy(), self.total)

    def turn(self, site: int) -> None:
        """Empty a filled site, or fill an empty one."""
        sign = -1.0 if self.mask[site] else 1.0
        self.total = self.total + sign * self.potential[site]
        self.potential += sign * self.curves.curve[self.curves.kind[:, site]]
        self.mask[site] = not self.mask[site]

    @property
    def residual(self) -> float:
        return float(self.curves.residual(float(self.total @ self.curves.target.data), float(self.total @ self.total)))


class SiteDescent:
    """Descents over the occupations of one set of sites.

    Args:
        curves: of its pairs.
        bonds: (S, S) 1 where two sites are neighbours.
        points: independent points of the data, n.
        min_neighbours: that every atom keeps.
        most_atoms: that an occupation may have.
        log_odds: (S,) ln p/(1 − p) of every site before the data; nothing is known where not given.
    """

    def __init__(
        self, curves: SiteCurves, bonds: csr_matrix, *, points: float, min_neighbours: int, most_atoms: int, log_odds: Floats | None = None
    ) -> None:
        self.curves, self.bonds, self.points = curves, bonds, points
        self.min_neighbours, self.most_atoms = min_neighbours, most_atoms
        self.log_odds = np.zeros(bonds.shape[0]) if log_odds is None else log_odds
        self.full = int(np.asarray(bonds.sum(axis=1)).max())

    def run(self, mask: Mask, most_steps: int = MOST_STEPS) -> tuple[Mask, int]:
        """Change one atom after the other as long as the objective falls.

        Args:
            mask: (S,) filled at the start.
            most_steps: of this descent.

        Returns:
            (S,) filled at the end, and the number of steps.
        """
        state = _State.of(self.curves, mask)
        return state.mask, self._descend(state, most_steps)

    def _descend(self, state: _State, most_steps: int) -> int:
        for step in range(most_steps):
            change = self.best_change(state.mask, state.potential, state.total)
            if change.emptied < 0 and change.filled < 0:
                return step
            for site in (change.emptied, change.filled):
                if site >= 0:
                    state.turn(site)
        return most_steps

    def hops(self, mask: Mask, sites: Floats, count: int, rng: np.random.Generator) -> tuple[Mask, int]:
        """Go on from where no change of one atom helps: an iterated local search.

        A few surface sites that lie together are changed at random and a descent follows; the better of the two ends is where the next one begins
        (Lourenço, Martin & Stützle, Handbook of Metaheuristics, 2003; basin hopping, Wales & Doye, J. Phys. Chem. A 101 (1997) 5111).

        Args:
            mask: (S,) filled at the start, the end of a descent.
            sites: (S, 3) in any unit.
            count: how many are tried.
            rng: random numbers.

        Returns:
            (S,) filled where the objective is lowest, and how many tries lowered it.
        """
        best, better = _State.of(self.curves, mask), 0
        lowest = self._of(best)
        for _ in range(count):
            if best.residual < PERFECT**2:
                break
            trial = best.copy()
            for site in np.flatnonzero(self._perturbed(best.mask, sites, rng) != best.mask):
                trial.turn(int(site))
            self._descend(trial, MOST_STEPS)
            if (objective := self._of(trial)) < lowest - LEAST_GAIN:
                best, lowest, better = trial, objective, better + 1
        return best.mask, better

    def _of(self, state: _State) -> float:
        """The objective of an occupation."""
        return float(self.objective(np.array(state.residual), float(self.log_odds[state.mask].sum())))

    def _perturbed(self, mask: Mask, sites: Floats, rng: np.random.Generator) -> Mask:
        """Some surface sites that lie together changed; no atom is left alone."""
        neighbours = np.asarray(self.bonds @ mask.astype(np.int32))
        surface = np.flatnonzero(np.where(mask, neighbours < self.full, neighbours >= self.min_neighbours))
        about = sites[rng.choice(surface)]
        nearest = np.argsort(np.linalg.norm(sites[surface] - about, axis=1))
        changed = mask.copy()
        chosen = surface[nearest[: int(rng.integers(2, MOST_CHANGED + 1))]]
        changed[chosen] = ~changed[chosen]
        kept = changed & (np.asarray(self.bonds @ changed.astype(np.int32)) >= self.min_neighbours)
        return kept if FEWEST_ATOMS <= np.count_nonzero(kept) <= self.most_atoms else mask

    def objective(self, residual: Floats, log_odds: Floats | float) -> Floats:
        """−ln of the posterior, ½ n ln(residual) − the change of Σ ln p/(1 − p), nats."""
        return -log_likelihood(np.sqrt(np.maximum(residual, _FLOOR)), self.points) - log_odds

    def best_change(self, mask: Mask, potential: Floats, total: Floats) -> Change:
        """The best of all changes of one atom; none where none gains enough.

        Args:
            mask: (S,) filled sites.
            potential: (S, K) of the occupation, :meth:`SiteCurves.potential`.
            total: (K,) its curve, half the sum of the potential over the filled sites.
        """
        data, curves = self.curves.target.data, self.curves
        neighbours = np.asarray(self.bonds @ mask.astype(np.int32))
        leaning = np.asarray(self.bonds @ (mask & (neighbours <= self.min_neighbours)).astype(np.int32)) > 0
        out = np.flatnonzero(mask & (neighbours < self.full) & ~leaning)
        put = np.flatnonzero(~mask & (neighbours >= self.min_neighbours))
        along, square = float(total @ data), float(total @ total)
        now = float(self.objective(curves.residual(along, square), 0.0))
        ways = [Change(now - LEAST_GAIN)]
        y, h = potential @ data, potential @ total
        s = np.einsum("sk,sk->s", potential, potential)
        if len(out) and mask.sum() > FEWEST_ATOMS:
            values = self.objective(curves.residual(along - y[out], square - 2 * h[out] + s[out]), -self.log_odds[out])
            ways.append(Change(float(values.min()), emptied=int(out[values.argmin()])))
        if len(put) and mask.sum() < self.most_atoms:
            values = self.objective(curves.residual(along + y[put], square + 2 * h[put] + s[put]), self.log_odds[put])
            ways.append(Change(float(values.min()), filled=int(put[values.argmin()])))
        if len(out) and len(put):
            kind, curve = curves.kind[np.ix_(out, put)], curves.curve
            v_out, v_put = potential[out], potential[put]
            own = np.take_along_axis(v_out @ curve.T, kind, axis=1) - np.take_along_axis(v_put @ curve.T, kind.T, axis=1).T
            projected = along - y[out][:, None] + y[put] - (curve @ data)[kind]
            length = square + (s - 2 * h)[out][:, None] + (s + 2 * h)[put]
            length += (np.einsum("dk,dk->d", curve, curve) - 2 * curve @ total)[kind] - 2 * v_out @ v_put.T + 2 * own
            values = self.objective(curves.residual(projected, length), self.log_odds[put] - self.log_odds[out][:, None])
            values[(neighbours[put] <= self.min_neighbours) & (self.bonds[out][:, put].toarray() > 0)] = np.inf
            first, second = np.unravel_index(int(values.argmin()), values.shape)
            ways.append(Change(float(values[first, second]), int(out[first]), int(put[second])))
        return min(ways, key=lambda way: way.objective)
