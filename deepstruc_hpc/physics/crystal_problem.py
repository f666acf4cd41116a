"""A curve made ready for crystals to be refined against it: its range, its grids, and what is known of the resolution."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.crystal_model import Axes
from deepstruc_hpc.physics.evidence import independent_points
from deepstruc_hpc.physics.instrument import Instrument

Float = NDArray[np.float64]
LONGEST = 40.0
"""Å: all crystals are compared up to here; pairs grow as the cube of it, and what it says beyond is the size alone."""
FARTHEST = 150.0
"""Å: the few best are refined up to where the data fade, and no farther than this."""
FADED = 0.02
"""RMS of G in 4 Å over RMS from 2 to 10 Å, below which the data have faded: the tail of a distribution of sizes lies at 0.02 to 0.05."""
BEYOND = 8.0
"""Å beyond the place where the data fade that are fitted as well: that nothing is there says where the particle ends."""
RESOLUTION = {"qdamp": (0.035, 0.012), "qbroad": (0.01, 0.01)}
"""Å⁻¹, mean and standard deviation of what instruments have. Calibrated values that are public: Qdamp 0.035, 0.036, 0.038, 0.040, 0.058 with Qbroad
0.018, 0.017, 0.020, 0 (flat detectors at synchrotrons; scripts that come with diffpy-cmi, with Billinge & Jensen, Atomic Pair Distribution Function
Analysis (2023), and with published refinements), 0.02 and 0.02 (time of flight of neutrons)."""
BROADENED_FROM = 20.0
"""Å: a Qbroad of 0.02 Å⁻¹ makes peaks here wider by 8 %; a curve that ends before says nothing on it."""


class CurveProblem:
    """A curve with its grids, shared by all fits to it.

    Args:
        curve: the measurement.
        instrument: as assumed.
        rmin: Å.
        rmax: Å.
        qdamp_known: whether Qdamp is more than a guess.
        qbroad_known: the same of Qbroad; as ``qdamp_known`` where not given.
        longest: Å, no point beyond is fitted.
    """

    def __init__(
        self,
        curve: PdfCurve,
        instrument: Instrument,
        *,
        rmin: float,
        rmax: float,
        qdamp_known: bool,
        qbroad_known: bool | None = None,
        longest: float = LONGEST,
    ) -> None:
        self._curve, self._rmax = curve, min(rmax, float(curve.r[-1]))
        self.points = curve.between(rmin, min(self._rmax, longest))
        self.instrument, self.qdamp_known = instrument, qdamp_known
        self.qbroad_known = qdamp_known if qbroad_known is None else qbroad_known
        self.rmin, self.rmax = float(self.points.r[0]), float(self.points.r[-1])
        self.axes = Axes.of(self.rmax, instrument)
        every = max(1, int(np.pi / instrument.qmax / 2.2 / max(float(np.median(np.diff(self.points.r))), 1e-6)))
        self.r, self.g = self.points.r[::every], self.points.g[::every]
        self.to_r = self.axes.sines(self.r)
        self.norm = float(self.g @ self.g)
        self.n_independent = independent_points(self.rmin, self.rmax, min(instrument.qmin, 1.0), instrument.qmax)

    @cached_property
    def to_points(self) -> Float64[Float, "q r"]:
        """(Qn, R): takes F to G at all points of the file."""
        return self.axes.sines(self.points.r)

    @property
    def n_compared(self) -> int:
        """How many of the points lie in the range that all crystals are compared over."""
        return int(np.searchsorted(self.points.r, LONGEST + 1e-9))

    @property
    def n_compared_independent(self) -> float:
        """Independent points in that range."""
        return independent_points(self.rmin, min(self.rmax, LONGEST), min(self.instrument.qmin, 1.0), self.instrument.qmax)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What of the resolution is refined: Qdamp, and Qbroad where the data go far enough to show it."""
        broad = not self.qbroad_known and self.rmax > BROADENED_FROM
        return (*(() if self.qdamp_known else ("qdamp",)), *(("qbroad",) if broad else ()))

    def extended(self, end: float) -> CurveProblem:
        """The same curve up to another end (Å); itself where that adds less than 1 Å."""
        if min(end, self._rmax) < self.rmax + 1.0:
            return self
        return CurveProblem(
            self._curve,
            self.instrument,
            rmin=self.rmin,
            rmax=self._rmax,
            qdamp_known=self.qdamp_known,
            qbroad_known=self.qbroad_known,
            longest=end,
        )

    @cached_property
    def fades_at(self) -> float:
        """Å, how far the curve is worth fitting: to 8 Å beyond the last 4 Å in which it has 2 % of its strength at 2 to 10 Å, at most 150 Å."""
        r, g = self._curve.r, self._curve.g
        inner = (r >= 2.0) & (r <= 10.0)
        limit = FADED**2 * float(np.mean(g[inner] ** 2)) if inner.any() else 0.0
        last = LONGEST
        for start in np.arange(LONGEST, min(self._rmax, FARTHEST), 4.0):
            window = (r >= start - 4.0) & (r < start)
            if window.any() and float(np.mean(g[window] ** 2)) > limit:
                last = start + BEYOND
        return float(min(last, FARTHEST))
