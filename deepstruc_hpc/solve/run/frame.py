"""The table that :func:`~deepstruc_hpc.solve.run.batch.solve` returns: a DataFrame that knows where its results lie."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd


class SolvedFrame(pd.DataFrame):
    """The summary of a directory, with :meth:`show`. A part or a changed copy of it is a plain DataFrame.

    Attributes:
        directory: of the results.
    """

    _metadata = ["directory"]  # noqa: RUF012 - as pandas asks for it
    directory: Path

    @classmethod
    def of(cls, frame: pd.DataFrame, directory: Path) -> SolvedFrame:
        """The same table, with its directory."""
        solved = cls(frame)
        solved.directory = directory
        return solved

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def show(self, *, height: int | None = None) -> Any:
        """Write the report; as the last value of a notebook's cell, its views appear there: table, fits, structures to turn, probabilities.

        Args:
            height: of the frame in pixels; None: a usual one.

        Returns:
            A :class:`deepstruc_hpc.report.notebook.PageView`.
        """
        notebook = import_module("deepstruc_hpc.report.notebook")  # by its name: the report stands above solve, which needs it nowhere else
        return notebook.show(self.directory, **({} if height is None else {"height": height}))
