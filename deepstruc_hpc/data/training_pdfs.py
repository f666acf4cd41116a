"""PDFs for training: the catalog's own, or new ones under random conditions as if measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepstruc_hpc.core.config import Config
from deepstruc_hpc.data.standard_pdf import sample_rows, standardise


@dataclass(frozen=True, eq=False)
class StoredPdfs:
    """The catalog's PDFs exactly as stored: the paper's protocol.

    Attributes:
        r: (P,) Å.
        g: (S, P) float32.
        nn_distance: (S,) Å.
        grid: (R,) r / d_nn.
        rmin: Å; below it the curve is masked, as a measured one is.
    """

    r: NDArray[np.float64]
    g: NDArray[np.float32]
    nn_distance: NDArray[np.float32]
    grid: NDArray[np.float64]
    rmin: float = 2.0

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:  # noqa: ARG002  (the protocol of PdfSource)
        """(B, 2, R); the random generator is not used."""
        at = self.nn_distance[rows].astype(np.float64)[:, None] * self.grid
        values, known = sample_rows(self.r, self.g[rows], at)
        return standardise(values, known & (at >= self.rmin))


class MeasuredLike(Config):
    """Ranges from which the conditions of a training PDF are drawn, uniformly and independently."""

    qmin: tuple[float, float] = Field((0.5, 1.5), description="Å⁻¹")
    qmax: tuple[float, float] = Field((16.0, 28.0), description="Å⁻¹")
    qdamp: tuple[float, float] = Field((0.0, 0.06), description="Å⁻¹")
    uiso: tuple[float, float] = Field((0.003, 0.02), description="Å²")
    delta2: tuple[float, float] = Field((0.0, 5.0), description="Å²")
    noise: tuple[float, float] = Field((0.0, 0.1), description="standard deviation of the noise in G over the RMS of G")
    rmin: tuple[float, float] = Field((1.6, 2.4), description="Å; the curve is masked below")
    rmax: tuple[float, float] = Field((15.0, 30.0), description="Å; the curve is masked beyond")
    zoom: tuple[float, float] = Field((0.97, 1.03), description="error of the nearest-neighbour distance by which r is divided")

    @model_validator(mode="after")
    def _ranges_run_upward(self) -> Self:
        for name in type(self).model_fields:
            low, high = getattr(self, name)
            if low > high or low < 0:
                raise ValueError(f"{name} runs from {low:g} to {high:g}: the first number must not be negative nor above the second")
        return self
