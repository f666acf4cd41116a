"""``deepstruc-hpc solve``: a directory of measured G(r) → ranked structures, fits and a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli import solve_options as options
from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.cli.solve_ending import print_summary
from deepstruc_hpc.core.files import shown_name

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.solve.config import SolveSettings
    from deepstruc_hpc.solve.run.output import ItemRecord

FIRST_WORDS = """\
error: no input: name files with a measured G(r), and a folder for the results:
  deepstruc-hpc solve my-curves/ --out solved/ --composition CeO2
Files are text with r and G(r) (.gr), HDF5 or NeXus. --composition or --elements is needed where the headers of the files do not name the sample.
Qmax comes from the headers, or from --qmax. Qdamp is that of a calibrant: --qdamp, or --instrument. Model and catalog come with the program.
Open solved/index.html afterwards. All options: deepstruc-hpc solve --help
"""
"""Of a call with nothing at all."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(solve)


def solve(
    paths: list[str] = options.PATHS,
    out: Path | None = options.OUT,
    *,
    composition: str | None = options.COMPOSITION,
    elements: str | None = options.ELEMENTS,
    instrument: Path | None = options.INSTRUMENT,
    qdamp: float | None = options.QDAMP,
    qmax: float | None = options.QMAX,
    rmax: float | None = options.RMAX,
    crystals: list[str] = options.CRYSTALS,
    workers: int | None = options.WORKERS,
    force: bool = options.FORCE,
    sample: str | None = options.SAMPLE_KIND,
    mixtures: bool | None = options.MIXTURES,
    radiation: str | None = options.RADIATION,
    rmin: float | None = options.RMIN,
    qmin: float | None = options.QMIN,
    qbroad: float | None = options.QBROAD,
    low_q: float | None = options.LOW_Q,
    model: str | None = options.MODEL,
    catalog: str | None = options.CATALOG,
    structures: list[str] = options.STRUCTURES,
    structures_sizes: bool | None = options.STRUCTURES_SIZES,
    sources: str | None = options.SOURCES,
    samples: int | None = options.SAMPLES,
    sigma: str | None = options.SIGMA,
    recursive: bool = options.RECURSIVE,
    limit: int | None = options.LIMIT,
    time_limit: float = options.TIME_LIMIT,
    seed: int | None = options.SEED,
    dry_run: bool = options.DRY_RUN,
    series: bool = options.SERIES_OPTION,
    order: str = options.ORDER,
    all_frames: bool = options.ALL_FRAMES,
    watch: bool = options.WATCH,
    watch_idle: float | None = options.WATCH_IDLE,
    keep: int | None = options.KEEP,
    figures: bool = options.FIGURES,
    report: bool = options.REPORT,
    as_json: bool = options.AS_JSON,
    verify: str | None = options.VERIFY,
    config: Path | None = options.CONFIG,
    overrides: list[str] = options.SET,
    values: Path | None = options.VALUES,
    print_config: bool = options.PRINT_CONFIG,
) -> None:
    """Find the structures that explain measured PDFs, G(r): propose, fit, rank, report.

    The sample comes from --composition, else --elements, else each file's header. A file to which no candidate belongs gets no structure but a
    reason (refused).

    Example: deepstruc-hpc solve measured/ --out solved/ --composition CeO2 --qdamp 0.03

    More on each option: docs/solving.md, and the reference that make docs builds.
    """
    science = ["samples", "sigma", "sources", "elements", "radiation", "rmin", "rmax", "qmin", "low_q", "qmax", "qdamp", "qbroad", "keep", "seed"]
    science += ["instrument", "verify", "mixtures", "composition", "sample", "structures_sizes"]
    given = locals()
    settings = _settings(config, overrides or [], {name: given[name] for name in science if given[name] is not None})
    if print_config:
        typer.echo(settings.to_yaml(), nl=False)
        return
    if not paths and out is None:
        typer.echo(FIRST_WORDS, nl=False, err=True)
        raise typer.Exit(2)
    run = {name: given[name] for name in ("values", "workers", "recursive", "limit", "watch", "force")}
    run |= {"time_limit_s": time_limit, "watch_idle_s": watch_idle, "progress": not as_json}
    live = LivePage(out.expanduser().resolve(), wanted=report, figures=figures) if watch and out is not None else None
    batch = _prepare(
        paths or [], out, settings, {"named": (model, catalog, crystals or (), structures or ()), "figures": figures, "on_result": live}, run
    )
    for note in batch.notes:
        _say(note)
    if dry_run:
        _say_plan(batch, as_json)
        return
    if series:
        from deepstruc_hpc.cli.series import solve_series

        solve_series(batch, order=order, all_frames=all_frames, report=report, figures=figures, as_json=as_json)
        return
    try:
        frame = batch.run()
    except KeyboardInterrupt:  # how --watch ends as a rule
        if live is not None:
            live.finish()
        raise
    page = _write_report(batch.out, frame, figures=figures) if report else None
    print_summary(batch.out, frame, page, as_json)
    if batch.any_failed(frame):
        raise typer.Exit(1)


def _say(note: str) -> None:
    typer.echo(f"note: {note}", err=True)


def _settings(config: Path | None, overrides: list[str], options: dict[str, Any]) -> SolveSettings:
    from deepstruc_hpc.core.config import load_config, validate_config
    from deepstruc_hpc.solve.config import SolveSettings

    loaded = load_config(SolveSettings, config, overrides)
    return validate_config(SolveSettings, {**loaded.model_dump(), **options}, source="options") if options else loaded


def _prepare(paths: list[str], out: Path | None, settings: SolveSettings, sources: dict[str, Any], run: dict[str, Any]) -> Any:
    from functools import partial

    from deepstruc_hpc.core.errors import ConfigError, PdfFileError
    from deepstruc_hpc.report.figures import draw_folder
    from deepstruc_hpc.solve.checks.srreal import check_srreal
    from deepstruc_hpc.solve.run.artefacts import NamedArtefacts
    from deepstruc_hpc.solve.run.batch import Batch, BatchOptions
    from deepstruc_hpc.solve.run.inputs import find_pdfs

    if not paths:
        raise PdfFileError("no input: name at least one .gr file, directory, glob or list. See deepstruc-hpc solve --help.")
    if out is None:
        raise ConfigError("--out is missing: name a directory for the results, for example --out solved.")
    if settings.verify == "srreal":
        check_srreal()
    find_pdfs(paths, recursive=run["recursive"], allow_empty=run["watch"])
    model, catalog, crystals, structures = sources["named"]
    if "catalog" in settings.sources:
        prepare_catalog(catalog, run["workers"])
    draw = partial(draw_folder, sigma=settings.sigma) if sources["figures"] else None
    options = BatchOptions(**run, draw=draw, on_result=sources["on_result"], on_note=_say)
    named = NamedArtefacts(model, catalog, tuple(crystals), tuple(structures))
    return Batch(paths, out.expanduser().resolve(), settings, options, named)


def prepare_catalog(catalog: str | None, workers: int | None) -> None:
    """Build a catalog that is known by its recipe's name and is not there yet, once, into the cache."""
    from deepstruc_hpc.solve.run.artefacts import named_catalog

    named = named_catalog(catalog)
    if named is None or named.ready:
        return
    from deepstruc_hpc.catalog.build import build_catalog
    from deepstruc_hpc.catalog.recipe import load_recipe

    typer.echo(f"note: building the catalog {named.name} once into {named.store}; an interrupted build goes on", err=True)
    build_catalog(load_recipe(named.name), named.store, workers=workers)


def _say_plan(batch: Any, as_json: bool) -> None:
    found = [str(path) for path in batch.found]
    plan = {"out": str(batch.out), "files": found, "run": batch.head()}
    if as_json:
        print_document(json.dumps(plan, indent=1))
        return
    typer.echo(
        "\n".join([*found, f"{len(found)} files would be solved into {batch.out}, model {batch.sources.model}, catalog {batch.sources.catalog}."])
    )


class LivePage:
    """What --watch does with each result: a line on stderr, and the page anew, so that a browser beside the beamline shows it after a reload.

    Args:
        out: the output directory.
        wanted: whether to write the page at all.
        figures: whether to draw PNG figures as well.
    """

    LEAST_SECONDS, TIMES_ITS_COST = 2.0, 10.0

    def __init__(self, out: Path, *, wanted: bool, figures: bool) -> None:
        self.out, self.wanted, self.figures = out, wanted, figures
        self._next, self._behind = 0.0, False

    def __call__(self, record: ItemRecord) -> None:
        """Take one result."""
        typer.echo(f"{record.status:8} {shown_name(record.file)}  {record.structure_type} {record.n_atoms or ''}  {record.message}", err=True)
        self._behind = True
        if time.monotonic() >= self._next:
            self.finish()

    def finish(self) -> None:
        """Write the page where it is behind the results."""
        if not (self.wanted and self._behind and (self.out / "summary.csv").is_file()):
            return
        from deepstruc_hpc.core.errors import OutputError
        from deepstruc_hpc.report.page import write_report

        started = time.monotonic()
        try:
            write_report(self.out, figures=self.figures, chemiscope=False)
            self._behind = False
        except OutputError as refused:
            typer.echo(f"note: the page was not written: {refused}", err=True)
        self._next = time.monotonic() + max(self.LEAST_SECONDS, self.TIMES_ITS_COST * (time.monotonic() - started))


def _write_report(out: Path, frame: pd.DataFrame, *, figures: bool) -> Path | None:
    from deepstruc_hpc.report.page import write_report

    return write_report(out, figures=figures) if len(frame) else None
