"""The part of a series that is drawn: of a long one every n-th frame, and points no denser than a picture shows, read in stretches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepstruc_hpc.data.series_file import Series

FINEST = 0.05
"""Å between the points that are kept. Data up to Q = 25 Å⁻¹ need π/25 = 0.13 Å; with less than half of that a line looks smooth."""
MOST_NUMBERS = 5_000_000
"""Of measured and calculated curves on the page together: 13 MB of base64, a page of about 20 MB with plotly and 10,000 rows."""
MOST_CHANGES = 200
"""Change points whose frames are kept whatever the thinning."""
MOST_COLUMNS, MOST_ROWS = 1500, 400
"""Of a picture: about the pixels of a figure of eight inches."""
_STRETCH = 1 << 22
"""Numbers read at a time."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SeriesView:
    """Curves that are drawn.

    Attributes:
        series: the whole.
        frames: (n,) which frames these are; step: every how many-th, 1 for all.
        r: (P,) Å.
        data, fit: (n, P) Å⁻², NaN where there is none.
    """

    series: Series
    frames: NDArray[np.int64]
    step: int
    r: Array
    data: NDArray[np.float32]
    fit: NDArray[np.float32]

    @property
    def residual(self) -> NDArray[np.float32]:
        """(n, P) measured minus calculated."""
        return self.data - self.fit


def view_of(series: Series) -> SeriesView:
    """Read what is drawn; memory does not grow with the number of frames.

    Raises:
        PdfFileError: the curves cannot be read.
    """
    spacing = float(np.median(np.diff(series.r)))
    points = slice(None, None, max(1, int(FINEST / spacing)))
    r = series.r[points]
    step = max(1, -(-2 * len(series) * len(r) // MOST_NUMBERS))
    frames = _chosen(series, step)
    data, fit = (np.full((len(frames), len(r)), np.nan, dtype=np.float32) for _ in range(2))
    stretch = max(1, _STRETCH // len(series.r))
    for first in range(0, len(series), stretch):
        inside = np.flatnonzero((frames >= first) & (frames < first + stretch))
        measured, calculated = series.curves(slice(first, first + stretch))
        data[inside], fit[inside] = measured[frames[inside] - first, points], calculated[frames[inside] - first, points]
    return SeriesView(series, frames, step, r, data, fit)


def picture(view: SeriesView, values: NDArray[np.float32]) -> tuple[NDArray[np.int64], Array, NDArray[np.float32]]:
    """What a figure of a few thousand pixels shows: of many curves every n-th, of many points the means of neighbours.

    Args:
        view: says which frames and which r.
        values: (n, P) of them.

    Returns:
        Frames (m,), r (k,) in Å, and values (m, k).
    """
    columns = slice(None, None, -(-len(view.frames) // MOST_COLUMNS))
    group = -(-len(view.r) // MOST_ROWS)
    rows = len(view.r) // group
    r = view.r[: rows * group].reshape(rows, group).mean(axis=1)
    z = values[columns, : rows * group]
    return view.frames[columns], r, z.reshape(len(z), rows, group).mean(axis=2)


def _chosen(series: Series, step: int) -> NDArray[np.int64]:
    """Every n-th frame, the last, and the frames before and after each change point."""
    last = len(series) - 1
    changes = series.change_points.nlargest(MOST_CHANGES, "probability")["frame"].to_numpy(dtype=np.int64)
    wanted = np.concatenate([np.arange(0, last + 1, step), [last], changes - 1, changes])
    return np.unique(wanted[(wanted >= 0) & (wanted <= last)])


def colour_range(values: NDArray[np.floating]) -> float:
    """Half the range of a picture's colours, symmetric about 0: beyond it lies one number in two hundred, so that a spike does not blind the rest."""
    finite = np.abs(values[np.isfinite(values)])
    return float(np.quantile(finite, 0.995)) or 1.0 if len(finite) else 1.0
