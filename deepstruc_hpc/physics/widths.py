"""The width of a pair's peak as a function of its distance."""

from __future__ import annotations

from typing import Any

import numpy as np


def width_scale(d: Any, *, delta1: Any = 0.0, delta2: Any = 0.0, qbroad: Any = 0.0) -> Any:
    """s(d) in σᵢⱼ² = (Uᵢ + Uⱼ) s(d): correlated motion narrows near pairs, finite resolution widens far ones.

    s(d) = 1 − delta1/d − delta2/d² + Qbroad² d², and 0 where that would be negative: such a pair keeps its place and area and has no width at all
    (it is undamped in Q, its peak is as sharp as Qmax allows).

    Args:
        d: Å, > 0, any shape.
        delta1: Å.
        delta2: Å².
        qbroad: Å⁻¹.

    Returns:
        Dimensionless, ≥ 0, of the common shape.

    Source: Proffen & Billinge, J. Appl. Cryst. 32 (1999) 572; Jeong et al., Phys. Rev. B 67 (2003) 104301.
    """
    d = np.asarray(d, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 - delta1 / d - delta2 / d**2 + (qbroad * d) ** 2
    return np.where(d > 0, np.maximum(scale, 0.0), 0.0)
