"""What a refinement says of the size of a crystal: a diameter with its doubt, or no end in sight and what it is at least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Float64
from deepstruc_hpc.physics.crystal_problem import RESOLUTION, CurveProblem

Float = NDArray[np.float64]
SMALLEST = 6.0
"""Å: diameter of a sphere that holds about one shell of neighbours."""
NO_END = 2e-4
"""Å⁻¹: 1/D below it changes no point up to 40 Å by more than 1.2 %."""
CALIBRATED = 0.02
"""Of Qdamp: what a calibration leaves open, and how much of it passes from the calibrant to the sample. It bounds how far a crystal without an end is
coherent, which an exact Qdamp would put at micrometres."""
SURELY = 2.0
"""Standard uncertainties that 1/D must be away from 0 before a crystal has an end."""
LARGEST = 1e4
"""Å: no curve says more of a crystal without an end; 1/D of it changes G at 100 Å by 1.5 %."""
BULK = 200.0
"""Å: a crystal that is coherent over more is bulk to a PDF; its envelope changes G by less than 15 % up to 20 Å, as a Qdamp of 0.028 Å⁻¹ does."""
SEEN = 0.5
"""Of a diameter, from which on a curve has to show it where Qdamp is a guess: half of it holds 69 % of what the envelope of a sphere falls by."""
_STEP = 2e-4


class Sized(Protocol):
    """A refinement, as far as its size is concerned; :class:`~deepstruc_hpc.physics.crystal_refine.Refinement` is one."""

    problem: CurveProblem
    vector: Float
    qdamp: float
    extras: tuple[str, ...]

    @property
    def size_place(self) -> int:
        """Place of 1/D in the vector."""

    def value(self, name: str, vector: Float64[Float, " parameters"], otherwise: float) -> float:
        """One of the extras, or what it is where it is none."""

    def curves(
        self, vectors: Sequence[Float], to: Float64[Float, " ..."], r: Float64[Float, " r"], qdamp: float | None = None
    ) -> Float64[Float, "vectors r"]:
        """(V, R) G(r) at scale 1."""

    def residuals(self, curves: Float64[Float, "vectors r"], vectors: Sequence[Float], pull: float = 0.0) -> Float64[Float, "vectors residuals"]:
        """(V, R + pulls)."""


def size_of(run: Sized, error: float) -> tuple[float | None, float | None, float]:
    """The diameter with its standard uncertainty, or None, and what it is at least (95 %), Å.

    A Qdamp that is a guess and was not refined is uncertain, too: the size goes with it. A crystal of more than 200 Å has no end, nor one of which
    the curve shows less than half where Qdamp is a guess: a bulk crystal and a little more of Qdamp make the same curve.

    Args:
        run: refined.
        error: standard uncertainty of 1/D, Å⁻¹.
    """
    inverse = float(run.vector[run.size_place])
    if not run.problem.qdamp_known and "qdamp" not in run.extras:
        error = math.hypot(error, _by_qdamp(run, RESOLUTION["qdamp"][1]))
    known = run.problem.qdamp_known
    if inverse <= SURELY * error or inverse < 1.0 / BULK or (not known and run.problem.rmax * inverse < SEEN):
        doubt = math.hypot(error, _by_qdamp(run, CALIBRATED * run.value("qdamp", run.vector, run.qdamp)))
        return None, None, 1.0 / max(inverse + SURELY * doubt, 1.0 / LARGEST)
    return 1.0 / inverse, error / inverse**2, 1.0 / (inverse + SURELY * error)


def _by_qdamp(run: Sized, change: float) -> float:
    """Å⁻¹, how far 1/D moves to make up for a change of Qdamp (Å⁻¹); the scale follows, everything else stays."""
    problem = run.problem
    qdamp = run.value("qdamp", run.vector, run.qdamp)
    moved = run.vector.copy()
    moved[run.size_place] += _STEP if moved[run.size_place] + _STEP < 1.0 / SMALLEST else -_STEP
    curves = run.curves([run.vector, moved], problem.to_r, problem.r, qdamp)
    damped = curves[0] * np.exp(-qdamp * change * problem.r**2)
    rows = run.residuals(np.stack([*curves, damped]), [run.vector, moved, run.vector])
    by_size, by_damping = (rows[1] - rows[0]) / (moved[run.size_place] - run.vector[run.size_place]), rows[2] - rows[0]
    return abs(float(by_size @ by_damping) / max(float(by_size @ by_size), 1e-300))
