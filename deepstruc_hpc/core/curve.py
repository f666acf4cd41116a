"""A measured or simulated pair distribution function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.errors import PdfFileError


@dataclass(frozen=True, eq=False)
class PdfCurve:
    """G(r) with what its file says about it.

    Attributes:
        r: (R,) Å, strictly increasing.
        g: (R,) Å⁻².
        dg: (R,) standard uncertainty of g in Å⁻², or None.
        header: values found in the file under normalised keys: floats ``qmin qmax qdamp qbroad`` (Å⁻¹), ``rpoly``, ``uiso`` (Å²), ``density``
            (atoms Å⁻³) and strings ``radiation`` (``xray`` or ``neutron``), ``composition``, ``program``, ``name`` (of one of several curves).
        source: the path it came from, or words.
        notes: every repair or guess made while reading, one sentence each.
    """

    r: NDArray[np.float64]
    g: NDArray[np.float64]
    dg: NDArray[np.float64] | None = None
    header: Mapping[str, float | str] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.r)

    def value(self, key: str) -> float | None:
        """A number of the header, or None where the file does not say."""
        found = self.header.get(key)
        return float(found) if isinstance(found, int | float) else None

    def between(self, rmin: float, rmax: float) -> PdfCurve:
        """The points with rmin ≤ r ≤ rmax (Å).

        Raises:
            PdfFileError: when fewer than two points lie there.
        """
        inside = (self.r >= rmin - 1e-9) & (self.r <= rmax + 1e-9)
        if inside.sum() < 2:
            raise PdfFileError(
                f"{self.source}: G(r) runs from {self.r[0]:g} to {self.r[-1]:g} Å and has {inside.sum()} points between {rmin:g} and {rmax:g} Å. "
                "Choose --rmin and --rmax inside the measured range."
            )
        return replace(self, r=self.r[inside], g=self.g[inside], dg=None if self.dg is None else self.dg[inside])
