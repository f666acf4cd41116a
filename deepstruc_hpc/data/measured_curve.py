"""One curve in Å as if measured, for whoever solves it: the counterpart of the batches that a training makes."""

from __future__ import annotations

import numpy as np

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.core.structure import Structure
from deepstruc_hpc.data.training_pdfs import MeasuredLike
from deepstruc_hpc.physics.instrument import Instrument
from deepstruc_hpc.physics.simulate import simulate_pdf

R_STEP = 0.02


def measured_curve(structure: Structure, ranges: MeasuredLike, rng: np.random.Generator) -> tuple[PdfCurve, Instrument]:
    """A curve under conditions drawn from ranges, and what its user would say of the instrument.

    Noise is white in F(Q) between Qmin and Qmax. ``metal``, ``expected`` and ``zoom`` of the ranges are not used: the curve is in Å.

    Args:
        structure: Å.
        ranges: of the conditions.
        rng: draws them.

    Returns:
        The curve from ``rmin`` to ``rmax``, and the instrument with the damping that is assumed, ``qdamp_error`` from the true one.
    """
    drawn = {name: float(rng.uniform(*getattr(ranges, name))) for name in MeasuredLike.model_fields}
    r = np.arange(0.0, drawn["rmax"] + R_STEP / 2, R_STEP)
    qbroad = drawn["strain"] / np.sqrt(2 * drawn["uiso"])
    true = Instrument(qmin=drawn["qmin"], qmax=drawn["qmax"], qdamp=drawn["qdamp"], qbroad=qbroad)
    g = simulate_pdf(structure.symbols, structure.positions, r, uiso=drawn["uiso"], delta2=drawn["delta2"], **true.model_dump())
    q = np.linspace(true.qmin, true.qmax, 400)
    ripple = rng.normal(size=len(q)) @ np.sin(np.outer(q, r))
    inside = r >= drawn["rmin"]
    size = float(np.sqrt(np.mean(g[inside] ** 2)))
    noise = drawn["noise"] * size * ripple / np.sqrt(np.mean(ripple[inside] ** 2))
    line = rng.choice([-1.0, 1.0]) * drawn["baseline"] * size * r / r[-1]
    assumed = max(true.qdamp + rng.choice([-1.0, 1.0]) * drawn["qdamp_error"], 0.0)
    return PdfCurve(r[inside], (g + noise + line)[inside]), Instrument(qmin=true.qmin, qmax=true.qmax, qdamp=assumed)
