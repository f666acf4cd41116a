"""How much less likely a misfit makes a model: the one place where residuals become nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_likelihood(rw: Any, points: float, *, model_error: float = 0.0) -> NDArray[np.float64]:
    """The marginal log-likelihood of a Gaussian misfit of unknown variance, −½ n ln(Rw² + e²), up to a constant of the data.

    Args:
        rw: agreement, any shape, finite, ≥ 0.
        points: n, the independent points that the misfit counts for, less the fitted parameters.
        model_error: e, the Rw that no candidate of the kind is expected to go below: what a rigid particle always misses.

    Returns:
        Nats, the shape of ``rw``.

    Source: MacKay, Information Theory, Inference and Learning Algorithms (2003), ch. 24: the variance under a scale-free prior integrated out.
    """
    return np.asarray(-0.5 * points * np.log(np.square(rw) + model_error**2))
