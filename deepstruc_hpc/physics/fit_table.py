"""What a fit of many candidates returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.core.shapes import Int64

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class FitTable:
    """One row a candidate, in the order given.

    Attributes:
        rw: agreement, √(Σ(Gobs−Gcalc)²/ΣGobs²) over the points of the curve between rmin and rmax; infinity where refused.
        scale: dimensionless, ≥ 0.
        zoom: isotropic expansion of the candidate; 1 leaves it as it is.
        uiso: Å²; where several U were refined, their mean over the atoms.
        delta2: Å², of the zoomed cluster.
        scale_err: standard uncertainty from the Jacobian, with the degrees of freedom of ``n_independent``; NaN where it is not defined.
        zoom_err: likewise.
        uiso_err: Å²; of the mean where there are several.
        delta2_err: Å².
        converged: whether the minimum was reached to tolerance.
        at_bounds: names of parameters that ended at a bound, joined by commas; of several U ``uiso_`` with the name of the group.
        n_points: grid points fitted.
        n_independent: independent points, Δr·ΔQ/π.
        refused: why a candidate was not fitted; empty where it was.
        uiso_by_element: U of each element where several were refined, a dict symbol → Å²; an empty dict where ``uiso`` serves all atoms.
        uiso_by_element_err: their standard uncertainties, likewise.
    """

    rw: NDArray[np.float64]
    scale: NDArray[np.float64]
    zoom: NDArray[np.float64]
    uiso: NDArray[np.float64]
    delta2: NDArray[np.float64]
    scale_err: NDArray[np.float64]
    zoom_err: NDArray[np.float64]
    uiso_err: NDArray[np.float64]
    delta2_err: NDArray[np.float64]
    converged: NDArray[np.bool_]
    at_bounds: NDArray[np.object_]
    n_points: NDArray[np.int64]
    n_independent: NDArray[np.float64]
    refused: NDArray[np.object_]
    uiso_by_element: NDArray[np.object_]
    uiso_by_element_err: NDArray[np.object_]

    @classmethod
    def empty(cls, n: int, n_points: int, n_independent: float) -> FitTable:
        """A table of n rows that hold nothing yet."""
        columns: dict[str, Any] = {field.name: np.full(n, np.nan) for field in fields(cls)}
        columns["rw"] = np.full(n, np.inf)
        columns["converged"] = np.zeros(n, dtype=np.bool_)
        columns["n_points"] = np.full(n, n_points)
        columns["n_independent"] = np.full(n, n_independent)
        columns["at_bounds"] = np.full(n, "", dtype=object)
        columns["refused"] = np.full(n, "", dtype=object)
        for name in ("uiso_by_element", "uiso_by_element_err"):
            columns[name] = np.array([{} for _ in range(n)], dtype=object)
        return cls(**columns)

    def __len__(self) -> int:
        return len(self.rw)

    def row(self, index: int) -> dict[str, Any]:
        """One row as plain Python values."""
        return {
            field.name: getattr(self, field.name)[index].item()
            if hasattr(getattr(self, field.name)[index], "item")
            else getattr(self, field.name)[index]
            for field in fields(self)
        }

    def put(self, rows: Int64[NDArray[np.int64], " rows"], values: Mapping[str, Any]) -> None:
        """Write some columns of some rows."""
        for name, column in values.items():
            getattr(self, name)[rows] = column

    def take(self, rows: Int64[NDArray[np.intp], " rows"] | slice) -> FitTable:
        """Some of the rows, in the order given."""
        return FitTable(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def concatenated(cls, tables: Sequence[FitTable]) -> FitTable:
        """The rows of several tables, one after the other."""
        return cls(**{field.name: np.concatenate([getattr(table, field.name) for table in tables]) for field in fields(cls)})

    def order(self) -> Int64[NDArray[np.int64], " rows"]:
        """Row numbers from the best Rw to the worst; refused candidates last."""
        return np.argsort(self.rw, kind="stable")

    def to_frame(self) -> pd.DataFrame:
        """The table as a DataFrame."""
        import pandas as pd

        return pd.DataFrame({field.name: getattr(self, field.name) for field in fields(self)})
