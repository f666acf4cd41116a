"""A cheap similarity for long lists: which shapes are worth a fit.

PDFs of all shapes, as the catalog stores them, are brought to one coarse axis in units of the nearest-neighbour distance and kept in half precision.
The data is brought to the same axis at several zooms, and a matrix product gives the cosine between each shape and the data. The best go on to
the fit: half of them an equal number of every structure type, half the most similar of all.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve

START, STOP, STEP = 0.75, 10.5, 0.04
"""Distances in those of nearest neighbours: from below the first shell to the diameter of a close-packed particle of some 850 atoms, in steps
finer than π/Qmax of 25 Å⁻¹ for neighbours at 2.9 Å. A limit of the screening alone: what it lets pass is fitted in full."""
ZOOMS = np.linspace(0.94, 1.06, 13)
"""Expansions that are screened, in steps of 1 %: strain, and errors of the table of distances."""
_SMOOTH = 2
"""Points of the axis that a screened curve is averaged over, fewer than a peak has."""

Floats = NDArray[np.float64]


class Screen:
    """Compressed PDFs of many shapes.

    Args:
        pdfs: (S, R) Å⁻², or an iterable of such blocks.
        r: (R,) Å.
        nn_distance: (S,) Å of each shape.
        types: (S,) structure type of each shape.

    Attributes:
        axis: (X,) in nearest-neighbour distances, as far as the PDFs of all shapes reach.
    """

    def __init__(self, pdfs: Iterable[NDArray[np.floating]], r: Floats, nn_distance: Floats, types: NDArray[np.object_]) -> None:
        stop = min(STOP, float(r[-1]) / float(nn_distance.max()))
        self.axis = np.arange(START, stop + 1e-9, STEP)
        self.types = np.asarray(types, dtype=object)
        self._table = np.empty((len(nn_distance), len(self.axis)), dtype=np.float16)
        row = 0
        for block in pdfs:
            for pdf in block:
                curve = _coarse(np.interp(self.axis * nn_distance[row], r, pdf, left=0.0))
                self._table[row] = curve / (np.abs(curve).max() or 1.0)
                row += 1

    def __len__(self) -> int:
        return len(self._table)

    def similarity(self, curve: PdfCurve, unit: float, rmin: float, rmax: float) -> Floats:
        """(S,) largest cosine between each shape and the data over the zooms; 1 is the same up to scale.

        Args:
            curve: the data.
            unit: Å, about its nearest-neighbour distance.
            rmin: Å.
            rmax: Å.
        """
        best = np.full(len(self), -1.0, dtype=np.float32)
        for zoom in ZOOMS:
            r = self.axis * unit * zoom
            inside = (r >= max(rmin, curve.r[0])) & (r <= min(rmax, curve.r[-1]))
            if inside.sum() < 10:
                continue
            data = (_coarse(np.interp(r, curve.r, curve.g)) * inside).astype(np.float32)
            data /= np.linalg.norm(data) or 1.0
            for start in range(0, len(self), 16384):
                part = self._table[start : start + 16384].astype(np.float32)
                norms = np.sqrt((part[:, inside] ** 2).sum(axis=1))
                best[start : start + 16384] = np.maximum(best[start : start + 16384], part @ data / np.maximum(norms, 1e-9))
        return best.astype(np.float64)

    def best(self, curve: PdfCurve, unit: float, rmin: float, rmax: float, keep: int) -> NDArray[np.intp]:
        """Numbers of the shapes to fit, ascending: the most similar of every type, in equal numbers, then the most similar of what is left."""
        order = np.argsort(-self.similarity(curve, unit, rmin, rmax), kind="stable")
        kinds = list(dict.fromkeys(self.types))
        share = keep // (2 * max(len(kinds), 1))
        chosen = np.zeros(len(self), dtype=bool)
        for kind in kinds:
            chosen[order[self.types[order] == kind][:share]] = True
        rest = order[~chosen[order]]
        chosen[rest[: max(keep - int(chosen.sum()), 0)]] = True
        return np.flatnonzero(chosen)


def _coarse(curve: Floats) -> Floats:
    """A running mean: differences of Qmax and U matter less."""
    return np.convolve(curve, np.full(_SMOOTH, 1.0 / _SMOOTH), mode="same")
