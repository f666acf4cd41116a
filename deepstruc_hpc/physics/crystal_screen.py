"""Which crystals could make a curve: all sizes of cell at once, a few ratios of axes, a few diameters.

The curve of a crystal whose lengths are z times larger is G_z(r) = z⁻² G₁(r/z). On a grid of ln r that is a shift, so the sums that give the best
scale and its residual for every z are correlations, and two Fourier transforms a crystal make them all:

  c(z) = Σ y(r) e(r) G₁(r/z) Δr,   n(z) = Σ e(r)² G₁(r/z)² Δr,   Rw² = 1 − c²/(n Σ y² Δr),     e(r) = γ₀(r; D) exp(−(Qdamp r)²/2).

U is the same for all; the ends of the range of Q move with z here, which is right to first order only: a ranking, no fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dst, irfft, next_fast_len, rfft

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.errors import PdfFileError
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.crystal_histogram import lay_histogram
from deepstruc_hpc.physics.crystal_model import FADE, Axes, kind_weights
from deepstruc_hpc.physics.histogram import class_pairs
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.shape_functions import sphere_shape
from deepstruc_hpc.physics.threads import run_blocks, thread_count

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate

Float = NDArray[np.float64]
ZOOMS = (0.86, 1.14)
"""Lengths from radii are wrong by up to 13 % (nitrides, selenides, low-spin ions)."""
FARTHEST = 20.0
"""Å: what lies beyond says little on the type and costs most."""
DIAMETERS = (10.0, 16.0, 25.0, 45.0, np.inf)
"""Å; a sphere of another size between two of them costs less than 0.02 of Rw."""
TYPICAL_U = 0.008
"""Å²: of oxides and metals at room temperature 0.004 to 0.015."""
LOG_STEP = 0.0025
"""Step of ln r: 0.05 Å at 20 Å, below half a period of the fastest wave at Qmax 30 Å⁻¹."""
_AXIS_STEPS = {1: (0.0,), 2: tuple(0.035 * k for k in range(-3, 4)), 3: (-0.05, 0.0, 0.05)}
_FINER = 3
_BLOCK = 64
_PHASE = 1.0


@dataclass(frozen=True, eq=False)
class Screened:
    """What a scan found for one crystal.

    Attributes:
        candidate: as given.
        rw: the best over zooms, ratios of axes and diameters.
        stretch: (3,) factors of a, b, c at the best.
        diameter: Å, infinity for a crystal without end.
        curve: (R,) its G(r) on the screening's points, of norm 1.
    """

    candidate: CrystalCandidate
    rw: float
    stretch: tuple[float, float, float]
    diameter: float
    curve: Float


def free_axes(space_group: int) -> int:
    """How many of a, b, c are free in a conventional cell: 1 cubic, 2 with one distinguished axis (c), 3 below."""
    return 1 if space_group >= 195 else 2 if space_group >= 75 else 3


def stretches(space_group: int) -> list[tuple[float, float, float]]:
    """Factors of a, b, c of volume 1 to try."""
    kind = free_axes(space_group)
    if kind == 1:
        return [(1.0, 1.0, 1.0)]
    if kind == 2:
        return [(float(np.exp(-x / 3)), float(np.exp(-x / 3)), float(np.exp(2 * x / 3))) for x in _AXIS_STEPS[2]]
    steps = _AXIS_STEPS[3]
    logs = [np.array([x, y, 0.0]) - (x + y) / 3 for x in steps for y in steps]
    return [(float(a), float(b), float(c)) for a, b, c in (np.exp(log) for log in logs)]


class Screen:
    """One curve, ready to be compared with many crystals.

    Args:
        curve: the measurement.
        instrument: radiation, range of Q, Qdamp.
        rmin: Å.
        rmax: Å.

    Raises:
        PdfFileError: nothing to compare in the range.

    Attributes:
        farthest: Å, what lies beyond is not compared.
        fade: Å beyond it over which the crystal fades out.
        diameters: Å, tried for each crystal.
    """

    farthest = FARTHEST
    fade = FADE
    diameters: tuple[float, ...] = DIAMETERS

    @staticmethod
    def trials(space_group: int) -> list[tuple[float, float, float]]:
        """Factors of a, b, c to try."""
        return stretches(space_group)

    def __init__(self, curve: PdfCurve, instrument: Instrument, *, rmin: float, rmax: float) -> None:
        end = min(rmax, self.farthest, float(curve.r[-1]))
        self.points = curve.between(rmin, end)
        self.instrument = instrument
        low, high = float(self.points.r[0]), end
        self.axes = Axes.of(high / ZOOMS[0] * 1.02, instrument, phase=_PHASE, fade=self.fade)
        margin = np.log(ZOOMS[1]) + 2 * LOG_STEP
        count = int(np.ceil((np.log(high / low) + 2 * margin) / LOG_STEP))
        self.r = low * np.exp(-margin + LOG_STEP * np.arange(count))
        inside = (self.r >= low) & (self.r <= high)
        width = LOG_STEP * self.r * inside
        self.size = next_fast_len(2 * count, real=True)
        damping = np.exp(-0.5 * (instrument.qdamp * self.r) ** 2)
        envelopes = np.stack([sphere_shape(self.r, 1.0 / diameter) * damping for diameter in self.diameters])
        self._weighted = envelopes * width
        self._width = width
        self._squares = rfft(envelopes**2 * width, self.size)
        self.take(self.points)
        lags = int(np.floor(np.log(ZOOMS[1]) / LOG_STEP))
        self.lags = np.arange(-lags, lags + 1)
        self._grid = self._finer_grid()
        self._blur = np.exp(-TYPICAL_U * self.axes.q**2) / np.sinc(self.axes.q * self.axes.step / (2 * np.pi)) ** 2 * self.axes.weight

    def take(self, curve: PdfCurve) -> None:
        """Compare crystals with this curve from now on."""
        data = np.interp(self.r, curve.r, curve.g)
        self.norm = float(np.sum(self._width * data**2))
        if not self.norm > 0:
            low, high = curve.r[0], curve.r[-1]
            raise PdfFileError(f"{curve.source}: G(r) is 0 everywhere between {low:g} and {high:g} Å; there is nothing to compare crystals with.")
        self._data = rfft(self._weighted * data, self.size)

    def of(self, curve: PdfCurve) -> Self:
        """The same screen for another curve on the same points, such as what a fit leaves of the first.

        Raises:
            PdfFileError: the curve is 0 everywhere.
        """
        other = copy(self)
        other.take(curve)
        return other

    def _finer_grid(self) -> tuple[int, Float, Float]:
        """Points of a grid of r three times as fine, and where the logarithmic grid lies on it."""
        axes = self.axes
        count = _FINER * (len(axes.r) + 1) - 1
        place = self.r / (axes.step / _FINER) - 1.0
        whole = np.clip(np.floor(place), 0, count - 2)
        return count, whole.astype(np.float64), place - whole

    def curves(self, candidate: CrystalCandidate) -> tuple[Float64[Float, "sizes grid"], Float64[Float, " sizes"]]:
        """G₁ without envelope for each of :meth:`trials`, and how much smaller their cells may get.

        Returns:
            (S, N) on the logarithmic grid, and (S,) the least zoom at which no two atoms are nearer than the candidate allows.
        """
        crystal, axes = candidate.crystal, self.axes
        kinds = candidate.kinds
        pair_weights, line_share = kind_weights(crystal.species, kinds, axes.q, self.instrument)
        pairs = class_pairs(int(kinds.max()) + 1)
        table = np.zeros((int(kinds.max()) + 1,) * 2, dtype=np.intp)
        for index, (a, b) in enumerate(pairs):
            table[a, b] = table[b, a] = index
        row = table[kinds[:, None], kinds]
        occupancy = np.array([sum(amount for _, amount in site) for site in crystal.species])
        first, counts = np.unique(candidate.orbits, return_counts=True)
        n_atoms = float(occupancy.sum())
        trials = self.trials(candidate.space_group)
        share = np.zeros(len(kinds))
        share[first] = counts / n_atoms
        grid = np.zeros((len(trials), len(pairs), len(axes.r)))
        for index, stretch in enumerate(trials):
            lattice = np.ascontiguousarray(crystal.lattice * np.array(stretch)[:, None])
            spans = np.floor(axes.end * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(np.intp) + 1
            lay_histogram(lattice, crystal.fractions, share, occupancy, row, spans, axes.step, grid[index])
        density = n_atoms / abs(float(np.linalg.det(crystal.lattice)))
        line = -4.0 * np.pi * density * line_share * axes.step * axes.r * axes.fade
        fq = np.einsum("spq,pq->sq", axes.to_q(grid * axes.fade), pair_weights) * self._blur + axes.to_q(line) * axes.weight
        return self._to_log(fq), self._least_zooms(grid, candidate)

    def _least_zooms(self, grid: Float, candidate: CrystalCandidate) -> Float:
        allowed = np.array([candidate.shortest[a, b] for a, b in class_pairs(len(candidate.shortest))])
        there = grid > 0
        nearest = np.where(there.any(axis=2), self.axes.r[there.argmax(axis=2)] + 0.5 * self.axes.step, np.inf)
        volume = abs(float(np.linalg.det(candidate.crystal.lattice)))
        return np.asarray(np.maximum((allowed / nearest).max(axis=1), np.cbrt(candidate.least_volume / volume)))

    def _to_log(self, fq: Float) -> Float:
        count, whole, part = self._grid
        spectrum = np.zeros((len(fq), count))
        spectrum[:, self.axes.chosen] = fq
        fine = dst(spectrum, type=1, axis=-1)
        index = whole.astype(np.intp)
        return np.asarray(fine[:, index] * (1.0 - part) + fine[:, index + 1] * part)

    def screen(self, candidate: CrystalCandidate) -> Screened:
        """The best zoom, ratio of axes and diameter of one crystal."""
        curves, least = self.curves(candidate)
        shift = np.conj(rfft(curves, self.size))
        square = np.conj(rfft(curves**2, self.size))
        overlap = irfft(self._data[None] * shift[:, None], self.size)[..., self.lags]
        power = irfft(self._squares[None] * square[:, None], self.size)[..., self.lags]
        explained = np.where(overlap > 0, overlap, 0.0) ** 2 / np.maximum(power, 1e-12 * power.max()) / self.norm
        explained *= np.exp(LOG_STEP * self.lags)[None, None] >= least[:, None, None]
        best, size, lag = np.unravel_index(int(np.argmax(explained)), explained.shape)
        zoom = float(np.exp(LOG_STEP * self.lags[lag]))
        a, b, c = self.trials(candidate.space_group)[int(best)]
        return Screened(
            candidate,
            float(np.sqrt(max(0.0, 1.0 - explained[best, size, lag]))),
            (a * zoom, b * zoom, c * zoom),
            float(self.diameters[int(size)]),
            self._shown(curves[int(best)], zoom, float(self.diameters[int(size)])),
        )

    def _shown(self, curve: Float, zoom: float, diameter: float) -> Float:
        r = self.points.r[:: max(1, len(self.points.r) // 400)]
        shown = np.interp(r / zoom, self.r, curve) * sphere_shape(r, 1.0 / diameter)
        return np.asarray(shown / max(float(np.linalg.norm(shown)), 1e-300))


def screen_crystals(curve: PdfCurve, instrument: Instrument, candidates: Sequence[CrystalCandidate], *, rmin: float, rmax: float) -> list[Screened]:
    """All candidates by Rw, the best first; see :class:`Screen`."""
    return by_rw(Screen(curve, instrument, rmin=rmin, rmax=rmax), candidates)


def by_rw(screen: Screen, candidates: Sequence[CrystalCandidate]) -> list[Screened]:
    """Candidates as a screen finds them, the best first; on as many threads as there are cores for this process."""
    found: list[Screened] = []
    step = _BLOCK * thread_count()
    for begin in range(0, len(candidates), step):  # in parts, so that a time limit ends it soon
        part = candidates[begin : begin + step]
        for block in run_blocks(partial(_some, screen, part), len(part), smallest=8):
            found += block
    return sorted(found, key=lambda one: one.rw)


def _some(screen: Screen, candidates: Sequence[CrystalCandidate], start: int, stop: int) -> list[Screened]:
    return [screen.screen(candidate) for candidate in candidates[start:stop]]


ALIKE = 0.998
"""Correlation from which on two screened curves count as one crystal."""
SAME_RW = 1.03
"""The simpler of two such crystals stays unless its Rw is higher by more than this factor."""
SAME_ELEMENTS_RW = 1.1
"""The one with more of the sample's elements stays up to this factor: a random alloy of 400 atoms differs from its mean by as much."""
MOST_OF_A_GROUP = 2
MOST_PARENTS = 2
"""Types of highest symmetry that are refined although others of their topology screened better."""


def distinct(screened: Sequence[Screened], keep: int) -> list[Screened]:
    """The best crystals, the same one once (the simplest of its descriptions), few of a topology, and the type of highest symmetry of each.

    Half of the places are for crystals with all elements of the sample, for their screened curves suffer more from sites that will move.
    """
    kept: list[Screened] = []
    for found in screened:
        enough = len(kept) >= 4 * keep
        if enough and (found.candidate.lacking or len(kept) >= 5 * keep):
            continue
        twin = next((n for n, other in enumerate(kept) if float(other.curve @ found.curve) > ALIKE), None)
        if twin is None:
            kept.append(found)
        elif _better_description(found, kept[twin]):
            kept[twin] = found
    few = list(_few_of_each(kept))
    whole = [found for found in few if not found.candidate.lacking][: keep // 2]
    others = [found for found in few if found not in whole][: keep - len(whole)]
    few = [found for found in few if found in whole or found in others]
    groups = dict.fromkeys(found.candidate.group for found in few if found.candidate.prototype != found.candidate.group)
    parents = {group: parent for group in groups if (parent := _parent(screened, group)) is not None}
    there = {(found.candidate.group, found.candidate.prototype) for found in few}
    missing = [parents[group] for group in groups if group in parents and (group, group) not in there][:MOST_PARENTS]
    return [*few[: keep - len(missing)], *missing]


def _parent(screened: Sequence[Screened], group: str) -> Screened | None:
    """The simplest of the best fits of the type that names a group."""
    best: Screened | None = None
    for found in screened:
        if found.candidate.prototype == found.candidate.group == group and (best is None or _better_description(found, best)):
            best = found
    return best


def _few_of_each(screened: Sequence[Screened]) -> Iterator[Screened]:
    seen: dict[str, int] = {}
    for found in screened:
        group = found.candidate.group
        seen[group] = seen.get(group, 0) + 1
        if seen[group] <= MOST_OF_A_GROUP:
            yield found


def _better_description(found: Screened, than: Screened) -> bool:
    """Of two crystals with nearly one curve: that with more of the sample's elements, else that with fewer different sites."""
    more = len(found.candidate.crystal.composition) - len(than.candidate.crystal.composition)
    if more:
        return more > 0 and found.rw <= SAME_ELEMENTS_RW * than.rw
    return _simplicity(found) < _simplicity(than) and found.rw <= SAME_RW * than.rw


def _simplicity(found: Screened) -> tuple[int, int]:
    return len(np.unique(found.candidate.orbits)), -found.candidate.space_group
