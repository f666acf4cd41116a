"""When a frame that was solved warm is solved fully: it fits worse than it should, or it differs from its neighbour by more than noise."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve

WORSE, WORSE_BY = 1.25, 0.01
"""An Rw above this factor of what is expected, and by so much more than it, is worse than noise makes it: Rw of curves of one sample with the
noise of counting scatters by its 1/√(2n), 5 % for 200 independent points, and rises by half as much for a size that lies between two candidates."""
DIFFERENT = 2.0
"""Times the usual difference between neighbouring frames, from which a frame is another."""
USUAL, FEWEST = 24, 6
"""Neighbours of which the usual difference is the median, and how many are needed."""
SHARE = 8
"""Of so many frames one may be solved fully without a gain; then a stretch goes on warm."""


class Vigilance:
    """Looks at frames one after the other.

    Args:
        expected: Rw that is expected of them; 0 where nothing is known, then the first one says it.
        frames: how many there will be.
    """

    def __init__(self, expected: float, frames: int) -> None:
        self.expected = expected
        self.in_vain, self.most = 0, max(2, frames // SHARE)
        self._before: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self._usual: deque[float] = deque(maxlen=USUAL)

    def differs(self, curve: PdfCurve) -> bool:
        """Whether a curve differs from the one before by more than its neighbours do, its scale apart."""
        before, self._before = self._before, (curve.r, curve.g)
        if before is None:
            return False
        other = np.interp(curve.r, *before)
        scale = float(curve.g @ other) / max(float(other @ other), 1e-300)
        left = float(np.linalg.norm(curve.g - scale * other) / max(float(np.linalg.norm(curve.g)), 1e-300))
        far = len(self._usual) >= FEWEST and left > DIFFERENT * float(np.median(self._usual))
        self._usual.append(left)
        return far

    def asks(self, rw: float, *, ok: bool, changed: bool) -> str:
        """Why a frame is to be solved fully; empty where it is not.

        Args:
            rw: of its warm solution.
            ok: whether that is an answer.
            changed: whether it differs from the frame before.
        """
        if self.expected == 0.0:
            self.expected = rw
        if self.in_vain >= self.most:
            return ""
        if changed:
            return "it differs from the frame before by more than noise"
        if rw > WORSE * self.expected and rw > self.expected + WORSE_BY:
            return f"with its neighbours' candidates Rw is {rw:.3f}, {self.expected:.3f} was expected"
        return "" if ok else "none of its neighbours' candidates is an answer"

    def learn(self, warm: float, full: float | None) -> None:
        """What came of a full solution: where it fits no better, such an Rw is expected from now on."""
        if full is None or full > 0.97 * warm:
            self.in_vain += 1
        self.expected = max(self.expected, warm if full is None else min(full, warm))
