"""How a fit stands to the uncertainties that the data's file gives: χ² beside Rw.

Fits weigh all points alike. Uncertainties of counting are white in S(Q), and the sine transform spreads them evenly over r: those of G(r) are nearly
the same at all r, and weights of 1/dG² change nothing. Where a file's dG does vary with r, it helps only if it is true: on 21 simulated particles
(docs/files.md) true weights find more types and sizes, those of a dG that grows where the noise does not find fewer sizes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from deepstruc_hpc.solve.measurement.describe import Measurement
from deepstruc_hpc.solve.ranking.posterior import FITTED_PARAMETERS

WITHIN = 2.0
"""χ² a degree of freedom up to which a fit is said to agree within the uncertainties: some 60 degrees of freedom scatter by 0.2 about 1, and programs
know uncertainties to a factor of about √2."""


def reduced_chi_square(fit: pd.DataFrame, measurement: Measurement) -> float | None:
    """χ² a degree of freedom of rank 1, or None where the file has no uncertainties, or as many parameters as independent points.

    χ² = n/(n − k) · mean((Gobs − Gcalc)²/dG²) with n independent points and k parameters: points of a fine grid are not independent, and their mean
    is that of independent ones.

    Args:
        fit: r, difference: what the fit made small.
        measurement: with dG.
    """
    curve = measurement.curve
    if curve.dg is None:
        return None
    r = fit["r"].to_numpy()
    n = measurement.independent_points(float(r[-1]))
    if n <= FITTED_PARAMETERS:
        return None
    share = fit["difference"].to_numpy() / np.interp(r, curve.r, curve.dg)
    return float(np.mean(share**2)) * n / (n - FITTED_PARAMETERS)


def chi_square_in_words(value: float) -> str:
    """A sentence for the notes of a result."""
    if value <= WITHIN:
        return f"χ² of rank 1 is {value:.3g} a degree of freedom with the file's uncertainties: it agrees with the data within them."
    return (
        f"χ² of rank 1 is {value:.3g} a degree of freedom with the file's uncertainties, which are those of counting at best: "
        "what the model misses is larger. All points count alike in the fits."
    )
