"""What noise, an unknown line, a wrong damping and a short range cost: the same structures asked under clean and under measured-like conditions."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from deepstruc_hpc.runtime.progress import Bars, no_bar
from deepstruc_hpc.training.evaluate import EvaluateSettings, EvaluationReport, measured, read_held_out
from deepstruc_hpc.training.held_out import clean
from deepstruc_hpc.training.scores import without_nan


@dataclass(frozen=True)
class ErrorGrowth:
    """One error under both conditions.

    Attributes:
        name: what it is.
        unit: ``%``, ``Å`` or none.
        clean: under clean conditions.
        measured_like: under measured-like ones.
        factor: the second over the first; NaN where the first is 0 or one is missing.
    """

    name: str
    unit: str
    clean: float
    measured_like: float
    factor: float


@dataclass(frozen=True)
class Comparison:
    """Two evaluations that differ in their conditions alone, and by what factor each error grows."""

    clean: EvaluationReport
    measured_like: EvaluationReport
    growth: list[ErrorGrowth]

    @classmethod
    def of(cls, without: EvaluationReport, real: EvaluationReport) -> Comparison:
        """Errors that both reports have."""
        one, other = _errors(without), _errors(real)
        growth = [ErrorGrowth(*key, one[key], other[key], _factor(one[key], other[key])) for key in one if key in other]
        return cls(without, real, growth)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; None for a figure that could not be had."""
        found: dict[str, Any] = without_nan(asdict(self))
        return found


def compare_conditions(
    checkpoint: str | os.PathLike[str], store: str | os.PathLike[str], settings: EvaluateSettings, *, bars: Bars = no_bar
) -> Comparison:
    """Evaluate a checkpoint under clean and under measured-like conditions, on the same structures and with the same random numbers.

    Args:
        checkpoint: directory, run or name.
        store: catalog.
        settings: as for :func:`~deepstruc_hpc.training.evaluate.evaluate`; ``pdfs`` is not used.
        bars: show how far it is.

    Raises:
        CheckpointError: as :func:`~deepstruc_hpc.training.evaluate.evaluate`.
        StoreError: the same.
    """
    real, without = settings.updated(pdfs="measured_like"), settings.updated(pdfs="clean")
    held = read_held_out(checkpoint, store, real, bars)
    return Comparison.of(measured(held.under(clean(held.conditions)), store, without, bars), measured(held, store, real, bars))


def _errors(report: EvaluationReport) -> dict[tuple[str, str], float]:
    """Errors by name and unit: all are 0 for the truth."""
    scores = report.model
    found = {
        ("type wrong", "%"): 100 * (1 - scores.type_exact),
        ("N beyond 5 %", "%"): 100 * (1 - scores.n_within_5_percent),
        ("N not exact", "%"): 100 * (1 - scores.n_exact),
        ("N, median error", "%"): 100 * scores.n_error,
        ("MAE, aligned and matched", "Å"): scores.mae_aligned,
    }
    if report.fitted is not None:
        best = report.fitted
        found |= {
            ("after the fit: type wrong", "%"): 100 * (1 - best.type_exact),
            ("after the fit: N beyond 5 %", "%"): 100 * (1 - best.n_within_5_percent),
            ("after the fit: N not exact", "%"): 100 * (1 - best.n_exact),
            ("after the fit: not all in place", "%"): 100 * (1 - best.sites_exact),
            ("after the fit: MAE", "Å"): best.mae_aligned,
            ("median best Rw minus the truth's", ""): best.excess_median,
        }
    return found


def _factor(clean_error: float, measured_error: float) -> float:
    return measured_error / clean_error if clean_error > 0 and np.isfinite(measured_error) else float("nan")
