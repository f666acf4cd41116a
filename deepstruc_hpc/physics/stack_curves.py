"""How well close-packed particles agree with a curve, thousands of them a second.

Of two sites of close-packed layers three times the squared distance is a whole number m (nearest-neighbour distances), so the curve of a particle is
Σ_m n_m g(m) with n_m the pairs of each class and g the curve of one pair. Near one set of parameters g is linear in the distance, U and delta2. So
scale, distance, U and delta2 of every particle follow from one small least-squares problem, without a fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.physics.compiled import compiled
from deepstruc_hpc.physics.target import Target
from deepstruc_hpc.physics.widths import width_scale

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

STEPS = {"length": 1e-3, "uiso": 2e-4, "delta2": 0.1}
"""Of the differences by which g is made linear: relative, Å², Å²."""


def class_of(distance: float) -> int:
    """The class up to which a particle of a diameter has pairs.

    Args:
        distance: nearest-neighbour distances.
    """
    return int(3.0 * distance**2)


@compiled
def _count(p: Any, q: Any, layer: Any, starts: Any, counts: Any) -> None:
    """Add the pairs of each particle to its row of classes."""
    for s in range(starts.shape[0] - 1):
        row = counts[s]
        for a in range(starts[s], starts[s + 1]):
            pa, qa, ka = p[a], q[a], layer[a]
            for b in range(a + 1, starts[s + 1]):
                x, y, z = p[b] - pa, q[b] - qa, layer[b] - ka
                row[(x * x + x * y + y * y) // 3 + 2 * z * z] += 1


def pair_classes(columns: Sequence[tuple[Whole, Whole]], most: int) -> NDArray[np.int32]:
    """(C, most + 1) pairs of each class of particles.

    Args:
        columns: of each particle (N, 2) thirds along a₁ and a₂ and (N,) layers.
        most: largest class.
    """
    starts = np.concatenate([[0], np.cumsum([len(layer) for _, layer in columns])]).astype(np.int64)
    thirds = np.concatenate([one for one, _ in columns]).astype(np.int64)
    layer = np.concatenate([one for _, one in columns]).astype(np.int64)
    counts = np.zeros((len(columns), most + 1), dtype=np.int32)
    _count(np.ascontiguousarray(thirds[:, 0]), np.ascontiguousarray(thirds[:, 1]), layer, starts, counts)
    return counts


@dataclass(frozen=True, eq=False)
class StackCurves:
    """Curves of pairs of each class near one set of parameters.

    Attributes:
        there: (D,) classes that occur.
        curve: (4, D, K) of one pair, and its change with ln(distance), U and delta2, in the basis of the target.
        target: data in the same basis.
    """

    there: Whole
    curve: Floats
    target: Target

    @classmethod
    def of(cls, target: Target, most: int, *, length: float, uiso: float, delta2: float, qbroad: float = 0.0) -> StackCurves:
        """About one set of parameters.

        Args:
            target: the data.
            most: largest class.
            length: nearest-neighbour distance, Å.
            uiso: Å².
            delta2: Å².
            qbroad: Å⁻¹.
        """
        thirds = np.arange(2 * int(np.sqrt(most)) + 2)
        sideways = (thirds[:, None] ** 2 + thirds[:, None] * thirds + thirds**2).ravel()
        sums = np.unique(sideways[sideways % 3 == 0] // 3)[:, None] + 2 * thirds**2
        there = np.unique(sums[(sums > 0) & (sums <= most)])
        distance = length * np.sqrt(there / 3.0)

        def curves(distance: Floats, uiso: float, delta2: float) -> Floats:
            width = uiso * width_scale(distance, delta2=delta2, qbroad=qbroad)
            waves = np.sin(np.outer(distance, target.q)) / distance[:, None] * np.exp(-width[:, None] * target.q**2)
            return np.asarray(waves.astype(np.float32) @ target.transform, dtype=np.float64)

        base = curves(distance, uiso, delta2)
        slopes = [
            (curves(distance * (1 + STEPS["length"]), uiso, delta2) - base) / STEPS["length"],
            (curves(distance, uiso + STEPS["uiso"], delta2) - base) / STEPS["uiso"],
            (curves(distance, uiso, delta2 + STEPS["delta2"]) - base) / STEPS["delta2"],
        ]
        return cls(there, np.stack([base, *slopes]), target)

    def rw(self, counts: NDArray[np.integer]) -> Floats:
        """(C,) at the best scale, with the other parameters as they are."""
        h = counts[:, self.there].astype(np.float64) @ self.curve[0]
        along = np.maximum(h @ self.target.data, 0.0)
        square = np.maximum(np.einsum("ck,ck->c", h, h), 1e-300)
        return np.asarray(np.sqrt(np.maximum(1.0 - along**2 / square / self.target.norm, 0.0)))

    def rw_linear(self, counts: NDArray[np.integer]) -> Floats:
        """(C,) with scale, distance, U and delta2 where they would be if the curve were linear in them."""
        n = counts[:, self.there].astype(np.float64)
        h = np.stack([n @ curve for curve in self.curve], axis=1)
        gram, along = h @ h.transpose(0, 2, 1), h @ self.target.data
        scale = np.sqrt(np.einsum("cii->ci", gram))
        gram = gram / scale[:, :, None] / scale[:, None, :] + 1e-9 * np.eye(4)
        along = along / scale
        solved = np.linalg.solve(gram, along[..., None])[..., 0]
        return np.asarray(np.sqrt(np.maximum(1.0 - np.einsum("ci,ci->c", along, solved) / self.target.norm, 0.0)))
