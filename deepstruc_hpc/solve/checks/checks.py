"""What may follow the ranking of one curve: the last word by srfit, and the question whether it is a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from deepstruc_hpc.core.curve import PdfCurve
from deepstruc_hpc.solve.candidates.candidate import Candidate
from deepstruc_hpc.solve.measurement.describe import Conditions
from deepstruc_hpc.solve.config import SolveSettings
from deepstruc_hpc.solve.checks.phases import find_mixture
from deepstruc_hpc.solve.candidates.fitting import diameter
from deepstruc_hpc.solve.checks.srfit import verify_in_words, verify_with_srfit


@dataclass(frozen=True, eq=False)
class SecondLook:
    """Tables to write by name, sentences for the message, and entries for result.json."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def second_look(
    candidates: Sequence[Candidate], ranked: pd.DataFrame, curve: PdfCurve, conditions: Conditions, settings: SolveSettings
) -> SecondLook:
    """Do what the settings ask for (``verify``, ``mixtures``).

    Args:
        candidates: all of them, as given to the fit.
        ranked: the table of candidates in order of rank, with ``index``.
        curve: the measured PDF.
        conditions: range and instrument.
        settings: of this curve.
    """
    tables: dict[str, pd.DataFrame] = {}
    words: list[str] = []
    details: dict[str, Any] = {}
    if settings.mixtures:
        lead = candidates[int(ranked["index"].iloc[int(ranked["rw"].to_numpy(dtype=float).argmin())])].structure
        points = conditions.independent_points(1.1 * diameter(lead) + 2.0)
        found = find_mixture(candidates, ranked, curve, conditions, settings.rank, independent_points=points)
        details["mixture"] = found.details() if found else {"kept": False}
        if found is not None:
            tables["mixture"] = found.table()
            words.append(found.words())
    if settings.verify == "srfit":
        tables["verify"] = verify_with_srfit(candidates, ranked, curve, conditions)
        details["verify"] = verify_in_words(tables["verify"])
    return SecondLook(tables, tuple(word for word in words if word), details)
