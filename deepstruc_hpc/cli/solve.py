"""``deepstruc-hpc solve``: a directory of measured G(r) → ranked structures, fits and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.document import print_document

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.solve.config import SolveSettings
    from deepstruc_hpc.solve.results import ItemRecord

PATHS = typer.Argument(None, metavar="PATH…", help="G(r) files, directories of them, globs, or lists (@NAME: one path a line).")
OUT = typer.Option(None, "--out", "-o", help="Output directory. What is solved there with the same settings is not solved again.")
MODEL = typer.Option(None, "--model", help="Checkpoint or run directory; default: the model that comes with the program, if any.")
CATALOG = typer.Option(None, "--catalog", help="Catalog store; default: the list of shapes, built once into the cache.")
ELEMENTS = typer.Option(None, "--elements", help="Elements of the sample, strongest scatterer first, e.g. Au or Au,Pd; default: from the header.")
INSTRUMENT = typer.Option(None, "--instrument", help="Instrument file of deepstruc-hpc calibrate, e.g. instrument.yaml; options win over it.")
VERIFY = typer.Option(None, "--verify", help="srfit: refine the best ten again with diffpy.srfit and write both side by side.")
MIXTURES = typer.Option(None, "--mixtures/--no-mixtures", help="Also try two phases and a distribution of sizes. [default: no]")
WORKERS = typer.Option(None, "--workers", min=0, help="Ray actors; default one a core; 0: in this process, without Ray.")
CONFIG = typer.Option(None, "--config", help="YAML file of settings (see --print-config); options win over it.")
SET = typer.Option(None, "--set", help="One setting as key=value, e.g. rank.tell_apart=0.05. Repeatable.")
VALUES = typer.Option(None, "--values", help="CSV table with a column file and columns named like settings: values for single files.")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(solve)


def solve(
    paths: list[str] = PATHS,
    out: Path | None = OUT,
    *,
    model: str | None = MODEL,
    catalog: str | None = CATALOG,
    samples: int | None = typer.Option(None, "--samples", min=0, help="CVAE samples a PDF, over all levels of sigma. [default: 1000]"),
    sigma: str | None = typer.Option(None, "--sigma", help="Widths of the sampling in standard deviations of the prior. [default: 3,5,7]"),
    sources: str | None = typer.Option(None, "--sources", help="Where candidates come from. [default: cvae,catalog]"),
    elements: str | None = ELEMENTS,
    radiation: str | None = typer.Option(None, "--radiation", help="xray or neutron; default: from the header, else xray."),
    rmin: float | None = typer.Option(None, "--rmin", help="Å. [default: 2]"),
    rmax: float | None = typer.Option(None, "--rmax", help="Å; default: the end of the data, at most 30."),
    qmin: float | None = typer.Option(None, "--qmin", help="Å⁻¹; default: from the header, else 0.7."),
    qmax: float | None = typer.Option(None, "--qmax", help="Å⁻¹; default: from the header, else 25."),
    qdamp: float | None = typer.Option(None, "--qdamp", help="Å⁻¹, from a calibrant; default: from the header, else 0.03."),
    qbroad: float | None = typer.Option(None, "--qbroad", help="Å⁻¹, from a calibrant; default: from the header, else 0."),
    instrument: Path | None = INSTRUMENT,
    verify: str | None = VERIFY,
    mixtures: bool | None = MIXTURES,
    keep: int | None = typer.Option(None, "--keep", min=1, help="Best structures to write as XYZ and CIF. [default: 10]"),
    seed: int | None = typer.Option(None, "--seed", min=0, help="Seed of the samples. [default: 0]"),
    config: Path | None = CONFIG,
    overrides: list[str] = SET,
    values: Path | None = VALUES,
    workers: int | None = WORKERS,
    recursive: bool = typer.Option(False, "--recursive", help="Look in the folders below, too."),
    limit: int | None = typer.Option(None, "--limit", min=1, help="Solve at most so many files."),
    time_limit: float = typer.Option(600.0, "--time-limit", min=1.0, help="Seconds that one file may take."),
    watch: bool = typer.Option(False, "--watch", help="Go on and solve files as they arrive, until Ctrl-C."),
    watch_idle: float | None = typer.Option(None, "--watch-idle", help="End --watch when nothing arrived for so many seconds."),
    force: bool = typer.Option(False, "--force", help="Solve again what was solved before."),
    figures: bool = typer.Option(True, "--figures/--no-figures", help="Draw PNG figures into each folder."),
    report: bool = typer.Option(True, "--report/--no-report", help="Write index.html."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be solved, and how, and stop."),
    print_config: bool = typer.Option(False, "--print-config", help="Print the resolved settings as YAML and stop."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of the table."),
) -> None:
    """Find the structures that explain measured PDFs: propose, fit, rank, report.

    Example: deepstruc-hpc solve measured/ --out solved/ --elements Au --qdamp 0.03
    """
    science = ["samples", "sigma", "sources", "elements", "radiation", "rmin", "rmax", "qmin", "qmax", "qdamp", "qbroad", "keep", "seed"]
    science += ["instrument", "verify", "mixtures"]
    given = locals()
    settings = _settings(config, overrides or [], {name: given[name] for name in science if given[name] is not None})
    if print_config:
        typer.echo(settings.to_yaml(), nl=False)
        return
    run = {name: given[name] for name in ("values", "workers", "recursive", "limit", "watch", "force")}
    run |= {"time_limit_s": time_limit, "watch_idle_s": watch_idle, "progress": not as_json}
    batch = _prepare(paths or [], out, settings, {"model": model, "catalog": catalog, "figures": figures}, run)
    if dry_run:
        _say_plan(batch, as_json)
        return
    for note in batch.sources.notes:
        typer.echo(f"note: {note}", err=True)
    frame = batch.run()
    page = _write_report(batch.out, frame, figures=figures) if report else None
    _print_summary(batch.out, frame, page, as_json)
    if batch.any_failed(frame):
        raise typer.Exit(1)


def _settings(config: Path | None, overrides: list[str], options: dict[str, Any]) -> SolveSettings:
    from deepstruc_hpc.core.config import load_config, validate_config
    from deepstruc_hpc.solve.config import SolveSettings

    loaded = load_config(SolveSettings, config, overrides)
    return validate_config(SolveSettings, {**loaded.model_dump(), **options}, source="options") if options else loaded


def _prepare(paths: list[str], out: Path | None, settings: SolveSettings, sources: dict[str, Any], run: dict[str, Any]) -> Any:
    from functools import partial

    from deepstruc_hpc.core.errors import ConfigError, PdfFileError
    from deepstruc_hpc.report.figures import draw_folder
    from deepstruc_hpc.solve.batch import Batch, BatchOptions
    from deepstruc_hpc.solve.inputs import find_pdfs

    if not paths:
        raise PdfFileError("no input: name at least one .gr file, directory, glob or list. See deepstruc-hpc solve --help.")
    if out is None:
        raise ConfigError("--out is missing: name a directory for the results, for example --out solved.")
    find_pdfs(paths, recursive=run["recursive"], allow_empty=run["watch"])
    catalog = sources["catalog"]
    if catalog is None and "catalog" in settings.sources:
        _build_default_catalog()
    draw = partial(draw_folder, sigma=settings.sigma) if sources["figures"] else None
    options = BatchOptions(**run, draw=draw, on_result=_say_result if run["watch"] else None)
    return Batch(paths, out.expanduser().resolve(), settings, options, model=sources["model"], catalog=catalog)


def _build_default_catalog() -> None:
    from deepstruc_hpc.catalog.build import build_catalog
    from deepstruc_hpc.catalog.recipe import load_recipe
    from deepstruc_hpc.data.catalog_store import Catalog
    from deepstruc_hpc.solve.sources import DEFAULT_RECIPE, default_catalog_path

    store = default_catalog_path()
    if store.exists() and Catalog.open(store).complete:
        return
    typer.echo(f"note: building the list of shapes (recipe {DEFAULT_RECIPE}) once into {store}", err=True)
    build_catalog(load_recipe(DEFAULT_RECIPE), store, workers=0)


def _say_plan(batch: Any, as_json: bool) -> None:
    found = [str(path) for path in batch.found]
    plan = {"out": str(batch.out), "files": found, "run": batch.head()}
    if as_json:
        print_document(json.dumps(plan, indent=1))
        return
    typer.echo(
        "\n".join([*found, f"{len(found)} files would be solved into {batch.out}, model {batch.sources.model}, catalog {batch.sources.catalog}."])
    )


def _say_result(record: ItemRecord) -> None:
    typer.echo(f"{record.status:8} {Path(record.file).name}  {record.structure_type} {record.n_atoms or ''}  {record.message}", err=True)


def _write_report(out: Path, frame: pd.DataFrame, *, figures: bool) -> Path | None:
    from deepstruc_hpc.report.page import write_report

    return write_report(out, figures=figures) if len(frame) else None


def _print_summary(out: Path, frame: pd.DataFrame, page: Path | None, as_json: bool) -> None:
    if as_json:
        rows = json.loads(frame.to_json(orient="records"))
        print_document(json.dumps({"out": str(out), "report": str(page) if page else None, "items": rows}, indent=1))
        return
    shown = frame.assign(file=[Path(str(name)).name for name in frame["file"]])[["file", "status", "structure_type", "n_atoms", "rw", "probability"]]
    if len(shown):
        typer.echo(shown.to_string(index=False, na_rep="-", formatters={"rw": "{:.3f}".format, "probability": "{:.2f}".format}))
    for row in frame.itertuples():
        if row.message:
            typer.echo(f"{Path(str(row.file)).name}: {row.message!s}")
    counts = ", ".join(f"{count} {name}" for name in ("ok", "refused", "failed") if (count := int((frame["status"] == name).sum())))
    typer.echo(f"{counts or 'nothing solved'}. Results: {out}" + (f"  Report: {page}" if page else ""))
