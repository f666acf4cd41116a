"""The tables of an evaluation, for people."""

from __future__ import annotations

from deepstruc_hpc.training.evaluate import EvaluationReport
from deepstruc_hpc.training.evaluate_fits import FitScores
from deepstruc_hpc.training.scores import Scores

GENERATED = (
    ("MAE, in order (Å)", "mae", ".3f"),
    ("  median", "mae_median", ".3f"),
    ("  standard deviation", "mae_std", ".3f"),
    ("  per coordinate", "mae_per_coordinate", ".3f"),
    ("MAE, aligned and matched (Å)", "mae_aligned", ".3f"),
    ("N exact", "n_exact", ".1%"),
    ("N within 5 %", "n_within_5_percent", ".1%"),
    ("type right", "type_exact", ".1%"),
)
IN_ORDER = 4
"""The first rows need atoms in the order of the catalog."""
FITTED = (
    ("N exact", "n_exact", ".1%"),
    ("N within 5 %", "n_within_5_percent", ".1%"),
    ("type right", "type_exact", ".1%"),
    ("all atoms in place", "sites_exact", ".1%"),
    ("MAE, aligned and matched (Å)", "mae_aligned", ".4f"),
    ("median best Rw", "rw_median", ".4f"),
    ("median best Rw minus the truth's", "excess_median", "+.4f"),
    ("candidates a curve", "candidates", ".0f"),
    ("seconds a curve", "seconds", ".2f"),
)


def as_text(report: EvaluationReport) -> str:
    """All tables of a report."""
    lines = [f"{report.n_test} test structures, {report.split} split, {report.pdfs} PDFs; {report.n_train} to choose from"]
    if report.n_left_out:
        lines.append(f"{report.n_left_out} more of the test set are on no parent of this model (longer than model.sites.radius) and count nowhere")
    lines += _table(
        GENERATED if report.in_order else GENERATED[IN_ORDER:], {"model": report.model, "nearest PDF": report.nearest_neighbour}, "as generated"
    )
    top = report.types
    lines.append(f"{'type among the first 1, 3, 5':34}{top.top_1:>10.1%}{top.top_3:>10.1%}{top.top_5:>10.1%}   averaged over the prior")
    if report.trees is not None:
        trees = report.trees
        lines.append(
            f"{'  gradient-boosted trees':34}{trees.types.top_1:>10.1%}{trees.types.top_3:>10.1%}{trees.types.top_5:>10.1%}   ({trees.n_train} PDFs)"
        )
        lines.append(f"{'  their N within 5 %':34}{trees.n_within_5_percent:>10.1%}")
    if report.fitted is not None and report.listed is not None:
        lines += _table(FITTED, {"model": report.fitted, "all listed": report.listed}, f"after the fit, best Rw of {report.n_fitted} curves")
    lines.append(f"{'stated probability':34}" + "".join(f"{row.level:>10.0%}" for row in report.coverage))
    lines.append(f"{'  latent coordinate within':34}" + "".join(f"{row.latent:>10.1%}" for row in report.coverage))
    lines.append(f"{'  type within':34}" + "".join(f"{row.types:>10.1%}" for row in report.coverage))
    if report.faults is not None:
        faults = report.faults
        lines.append(
            f"{faults.n_faulted} faulted structures: {faults.between:.0%} lie between fcc and hcp; rank correlation with the share of hexagonal "
            f"layers {faults.spearman:.2f}; silhouette of the three kinds {faults.silhouette:.2f}"
        )
    if report.seen_in_training:
        lines.append("note: the model was trained on another catalog, split or seed; it may have seen some of these structures.")
    return "\n".join(lines)


def _table(rows: tuple[tuple[str, str, str], ...], methods: dict[str, Scores] | dict[str, FitScores], title: str) -> list[str]:
    lines = [f"{title:34}" + "".join(f"{name:>14}" for name in methods)]
    return lines + [f"{label:34}" + "".join(format(getattr(scores, key), form).rjust(14) for scores in methods.values()) for label, key, form in rows]
