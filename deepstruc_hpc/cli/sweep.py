"""Command sweep solve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.catalog_store import existing_or_named
from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.cli.train import sweep_group

if TYPE_CHECKING:
    from deepstruc_hpc.solve.scan.sweep import SolveSweepReport

SHOWN = ["file", "structure_type", "same_type", "same_lattice", "n_atoms_min", "n_atoms_median", "n_atoms_max", "rw_min", "rw_max"]


def register(app: typer.Typer) -> None:
    """Add the command to the group ``sweep`` of the application."""
    sweep_group(app).command("solve")(sweep_solve_command)


def sweep_solve_command(
    paths: list[str] = typer.Argument(None, metavar="PATH…", help="G(r) files, directories of them, globs, or lists (@NAME)."),
    *,
    out: Path = typer.Option(..., "--out", "-o", help="Directory of the scan; a second call goes on."),
    config: Path | None = typer.Option(None, "--config", help="YAML: base, space, design, points; default: sigma, samples, rmin, rmax and Qdamp."),
    model: str | None = typer.Option(None, "--model", help="As for solve."),
    catalog: str | None = typer.Option(None, "--catalog", callback=existing_or_named, help="As for solve."),
    overrides: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="A base setting, e.g. qmax=24. May be given several times."),
    elements: str | None = typer.Option(None, "--elements", help="Elements of the samples; default: from the headers."),
    recursive: bool = typer.Option(False, "--recursive", help="Look in the folders below, too."),
    time_limit: float = typer.Option(600.0, "--time-limit", min=1.0, help="Seconds that one file may take under one set of settings."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print the settings that would be tried, one a line, and stop."),
    print_config: bool = typer.Option(False, "--print-config", help="Print the resolved scan as YAML and stop."),
    json_output: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Solve a folder under many settings with Ray Tune, to see how stable each answer is.

    Writes OUT/sweep.csv (a row a PDF and setting), OUT/stability.csv, OUT/sensitivity.csv, a picture a PDF and OUT/index.html.

    Example: deepstruc-hpc sweep solve measured/ --out stability/ --elements Au
    """
    import yaml

    from deepstruc_hpc.cli.solve import prepare_catalog
    from deepstruc_hpc.core.errors import PdfFileError
    from deepstruc_hpc.solve.scan.sweep import sweep_solve
    from deepstruc_hpc.solve.scan.sweep_config import load_solve_sweep

    given: dict[str, Any] = {key: yaml.safe_load(text) for key, _, text in (item.partition("=") for item in overrides)}
    settings = load_solve_sweep(config, given | ({"elements": elements} if elements else {}))
    if print_config:
        typer.echo(settings.to_yaml(), nl=False)
        return
    if dry_run:
        typer.echo("\n".join(f"{point.varied}: {json.dumps(dict(point.values))}" for point in settings.all_points()))
        return
    if not paths:
        raise PdfFileError("no input: name at least one .gr file, directory, glob or list. See deepstruc-hpc sweep solve --help.")
    if any("catalog" in point.settings.sources for point in settings.all_points()):
        prepare_catalog(catalog, None)
    report = sweep_solve(paths, out, settings, model=model, catalog=catalog, recursive=recursive, time_limit_s=time_limit, progress=not json_output)
    page = _write_page(report)
    print_document(_as_json(report, page) if json_output else _as_text(report, page))
    if report.any_failed:
        raise typer.Exit(1)


def _write_page(report: SolveSweepReport) -> Path:
    from deepstruc_hpc.report.sweep_page import write_sweep_report

    return write_sweep_report(report.out)


def _as_json(report: SolveSweepReport, page: Path) -> str:
    tables = {"stability": report.stability.by_file, "sensitivity": report.stability.by_setting}
    rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
    return json.dumps({"out": str(report.out), "report": str(page), "points": int(report.rows["point"].nunique()), **rows, "failed": report.failed})


def _as_text(report: SolveSweepReport, page: Path) -> str:
    table = report.stability.by_file
    shown = table.assign(file=[Path(str(name)).name for name in table["file"]])[[name for name in SHOWN if name in table]]
    lines = [shown.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.3g}")]
    lines += [f"not tried: {what}: {why}" for what, why in report.failed.items()]
    return "\n".join([*lines, f"{report.rows['point'].nunique()} settings. Report: {page}"])
