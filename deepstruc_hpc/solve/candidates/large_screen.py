"""Rw of many large particles of one lattice at once: at the same bond length and widths, curves are histograms of distances times one matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.target import Target, target_of
from deepstruc_hpc.physics.widths import width_scale
from deepstruc_hpc.solve.candidates.large_shapes import STEP
from deepstruc_hpc.solve.measurement.describe import Measurement

BEYOND = 5.0
"""Å past the end of the data up to which distances count: the Fourier ripples of a peak have faded there."""


@dataclass(frozen=True)
class Widths:
    """What the particles of a lattice share in a curve.

    Attributes:
        bond: Å, nearest-neighbour distance.
        uiso: Å².
        delta2: Å².
    """

    bond: float
    uiso: float
    delta2: float


class LargeScreen:
    """One measurement, for curves of one-element particles.

    Args:
        measurement: data, range and instrument.
    """

    def __init__(self, measurement: Measurement) -> None:
        self._instrument, self._end = measurement.instrument, measurement.rmax + BEYOND
        data, instrument = measurement.data, measurement.instrument
        ranges = {"qmin": instrument.qmin, "qmax": instrument.qmax, "qdamp": instrument.qdamp, "low_q": measurement.low_q}
        self.target: Target = target_of(data.r, data.g, **ranges, largest_distance=self._end)

    def curves(self, pairs: NDArray[np.float32], shared: Widths) -> NDArray[np.float32]:
        """(S, K) curves of particles in the target's basis, scale 1.

        F(Q) = (2/N) Σ_b H_b exp(−U s(d_b) Q²) sin(Q d_b)/d_b with d_b = b · step · bond, and G by the target's transform.

        Args:
            pairs: (S, B) histograms over the numbers of atoms, as in :class:`~deepstruc_hpc.solve.candidates.large_shapes.LargeShapes`.
            shared: bond length and widths.
        """
        q = self.target.q
        d = np.arange(1, pairs.shape[1]) * (STEP * shared.bond)
        d = d[(d > 0.5 * shared.bond) & (d < self._end)]
        first = round(d[0] / (STEP * shared.bond))
        scale = width_scale(d, delta2=shared.delta2, qbroad=self._instrument.qbroad)
        sines = np.sin(np.outer(d, q).astype(np.float32)) * np.exp(np.outer(scale, -shared.uiso * q**2).astype(np.float32))
        sines *= (2.0 / d)[:, None].astype(np.float32)
        return np.asarray(pairs[:, first : first + len(d)] @ (sines @ self.target.transform))

    def rw(self, curves: NDArray[np.float32]) -> NDArray[np.float64]:
        """(S,) Rw of each curve at its best scale."""
        projected = curves @ self.target.data.astype(np.float32)
        power = np.einsum("sk,sk->s", curves, curves)
        explained = np.where(projected > 0, projected.astype(np.float64) ** 2 / np.maximum(power, 1e-30), 0.0)
        whole = float(self.target.data @ self.target.data) + self.target.outside
        return np.sqrt(np.maximum(whole - explained, 0.0) / max(self.target.norm, 1e-300))
