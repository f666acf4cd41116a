"""The tables of an evaluation, for people."""

from __future__ import annotations

import math

from deepstruc_hpc.training.calibration import Calibration
from deepstruc_hpc.training.clean_scores import Comparison, ErrorGrowth
from deepstruc_hpc.training.element_scores import ElementScores
from deepstruc_hpc.training.evaluate import EvaluationReport
from deepstruc_hpc.training.evaluate_fits import FitScores
from deepstruc_hpc.training.latent_scores import Coverage
from deepstruc_hpc.training.scores import Scores
from deepstruc_hpc.training.size_scores import SizeScores

GENERATED = (
    ("MAE, in order (Å)", "mae", ".3f"),
    ("  median", "mae_median", ".3f"),
    ("  standard deviation", "mae_std", ".3f"),
    ("  per coordinate", "mae_per_coordinate", ".3f"),
    ("MAE, aligned and matched (Å)", "mae_aligned", ".3f"),
    ("N exact", "n_exact", ".1%"),
    ("N within 5 %", "n_within_5_percent", ".1%"),
    ("N, median relative error", "n_error", ".1%"),
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
    ("another one fits better", "beats_truth", ".1%"),
    ("candidates a curve", "candidates", ".0f"),
    ("seconds a curve", "seconds", ".2f"),
)


MARK_OF_BEYOND = " *"
MISSING = "–"


def as_text(report: EvaluationReport) -> str:
    """All tables of a report."""
    lines = [f"{report.n_test} test structures, {report.split} split, {report.pdfs} PDFs; {report.n_train} to choose from"]
    if report.n_left_out:
        lines.append(
            f"{report.n_left_out} of them are on no template lattice of this model (beyond model.sites.radius, or of another arrangement): "
            "they are evaluated for type and number of atoms and count by size alone"
        )
    lines += _table(
        GENERATED if report.in_order else GENERATED[IN_ORDER:], {"model": report.model, "nearest PDF": report.nearest_neighbour}, "as generated"
    )
    lines += _types(report)
    for found in report.elements:
        lines += _elements(found)
    if report.fitted is not None and report.listed is not None:
        methods = {"model": report.fitted, **({"+ refinement": report.finished} if report.finished else {}), "all listed": report.listed}
        lines += _table(FITTED, methods, f"after the fit, best Rw of {report.n_fitted} curves")
    lines += _coverage(report.coverage, "calibrated" if report.calibrated else "not calibrated")
    lines += _sizes(report)
    if report.faults is not None:
        faults = report.faults
        lines.append(
            f"{faults.n_faulted} faulted structures: {faults.between:.0%} lie between fcc and hcp; rank correlation with the share of hexagonal "
            f"layers {faults.spearman:.2f}; silhouette of the three kinds {faults.silhouette:.2f}"
        )
    if report.seen_in_training:
        lines.append("note: the model was trained on another catalog, split or seed; it may have seen some of these structures.")
    return "\n".join(lines)


def _elements(found: ElementScores) -> list[str]:
    return [
        "",
        f"elements {'known' if found.known else 'unknown'}: exactly the right ones in {found.elements_exact:.1%}; "
        f"composition wrong by {found.composition_error:.1%} on average",
        f"atoms whose site bears their element {found.atoms_right:.1%}, {found.atoms_right_in_place:.1%} where all sites are right "
        f"({found.sites_exact:.1%} of the structures); everything right in {found.all_right:.1%}",
    ]


def comparison_text(comparison: Comparison) -> str:
    """By what factor errors grow from clean to measured-like conditions, then both reports."""
    lines = [f"{'error':34}{'clean':>14}{'measured-like':>16}{'factor':>10}", *(_grown(error) for error in comparison.growth)]
    return "\n".join([*lines, "", as_text(comparison.clean), "", as_text(comparison.measured_like)])


def calibration_text(found: Calibration) -> str:
    """What a calibration found."""
    widths = sorted(found.widths)
    return "\n".join(
        [
            f"{found.n_structures} validation structures; {len(widths)} latent widths multiplied by {widths[0]:.2f} to {widths[-1]:.2f} "
            f"(median {widths[len(widths) // 2]:.2f}), written into {found.checkpoint}/config.json",
            *_coverage(found.before, "as trained")[:2],
            *_coverage(found.after, "calibrated")[1:2],
            "these structures chose the widths: evaluate on others to confirm them.",
        ]
    )


def _types(report: EvaluationReport) -> list[str]:
    top = report.types
    lines = [f"{'type among the first 1, 3, 5':34}{top.top_1:>10.1%}{top.top_3:>10.1%}{top.top_5:>10.1%}   averaged over the prior"]
    if report.trees is not None:
        trees = report.trees
        lines.append(
            f"{'  gradient-boosted trees':34}{trees.types.top_1:>10.1%}{trees.types.top_3:>10.1%}{trees.types.top_5:>10.1%}   ({trees.n_train} PDFs)"
        )
        lines.append(f"{'  their N within 5 %':34}{trees.n_within_5_percent:>10.1%}")
    return lines


def _coverage(rows: list[Coverage], how: str) -> list[str]:
    return [
        f"{'stated probability':34}" + "".join(f"{row.level:>10.0%}" for row in rows),
        f"{'  latent coordinate within':34}" + "".join(f"{row.latent:>10.1%}" for row in rows) + f"   {how}",
        f"{'  type within':34}" + "".join(f"{row.types:>10.1%}" for row in rows),
    ]


def _sizes(report: EvaluationReport) -> list[str]:
    fitted = any(row.n_fitted for row in report.sizes)
    heads = ("structures", "on no template", "type right", "N, median error", "N within 5 %", *(("curves", "Rw above truth") if fitted else ()))
    lines = [f"{'true number of atoms':22}" + "".join(f"{head:>16}" for head in heads)]
    lines += [_size(row, fitted=fitted) for row in report.sizes]
    if report.n_beyond:
        lines.append(
            f"*: {report.n_beyond} structures have more than {report.max_atoms} atoms, the most that this model was trained on; no sample that is "
            "fitted has more"
        )
    return lines


def _size(row: SizeScores, *, fitted: bool) -> str:
    name = f"{row.smallest} to {row.largest}{MARK_OF_BEYOND if row.n_beyond else ''}"
    cells = [f"{row.count}", f"{row.n_on_no_template}", f"{row.type_exact:.1%}", f"{row.n_error:.1%}", f"{row.n_within_5_percent:.1%}"]
    if fitted:
        cells += [f"{row.n_fitted}", MISSING if math.isnan(row.excess) else f"{row.excess:+.4f}"]
    return f"{name:22}" + "".join(f"{cell:>16}" for cell in cells)


def _grown(error: ErrorGrowth) -> str:
    form = ".1f" if error.unit == "%" else ".4f"
    name = f"{error.name} ({error.unit})" if error.unit else error.name
    factor = MISSING if math.isnan(error.factor) else f"{error.factor:.2f}"
    return f"{name:34}{error.clean:>14{form}}{error.measured_like:>16{form}}{factor:>10}"


def _table(rows: tuple[tuple[str, str, str], ...], methods: dict[str, Scores] | dict[str, FitScores], title: str) -> list[str]:
    lines = [f"{title:34}" + "".join(f"{name:>14}" for name in methods)]
    return lines + [f"{label:34}" + "".join(format(getattr(scores, key), form).rjust(14) for scores in methods.values()) for label, key, form in rows]
