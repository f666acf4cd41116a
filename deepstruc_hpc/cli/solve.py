"""``deepstruc-hpc solve``: a directory of measured G(r) → ranked structures, fits and a report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.catalog_store import existing_or_named
from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.files import shown_name

if TYPE_CHECKING:
    import pandas as pd

    from deepstruc_hpc.solve.config import SolveSettings
    from deepstruc_hpc.solve.run.output import ItemRecord

PATHS = typer.Argument(
    None, metavar="PATH…", help="G(r) files (text, HDF5/NeXus), directories, globs, a place in a file (a.h5::/entry/pdf), lists (@NAME)."
)
OUT = typer.Option(None, "--out", "-o", help="Output directory. What is solved there with the same settings is not solved again.")
MODEL = typer.Option(
    None, "--model", help="Checkpoint or run directory, or FILE.py:NAME, a generator of your own; default: the model of the program."
)
CATALOG = typer.Option(
    None,
    "--catalog",
    callback=existing_or_named,
    help="Catalog store, or a recipe's name (extended, shapes: built once into the cache). [default: compact, no build needed]",
)
CRYSTALS = typer.Option(None, "--crystals", help="CIF file, or a folder of them: crystals to try beside the known types. Repeatable.")
STRUCTURES = typer.Option(None, "--structures", help="XYZ or CIF file, or a folder of them: clusters, molecules, each fitted as it is. Repeatable.")
ELEMENTS = typer.Option(None, "--elements", help="Elements of the sample, e.g. Au or Ce,O; default: from --composition, else from the header.")
COMPOSITION = typer.Option(None, "--composition", help="Formula of the sample, e.g. CeO2, Pt3Ni or 'Au144 S60'; default: from the header.")
SAMPLE = typer.Option(
    None, "--sample", help="Kind of the sample: metal, alloy, compound, cluster, ligands or support; default: from its elements and amounts."
)
SOURCES = typer.Option(
    None, "--sources", help="Where candidates come from, joined by commas. [default: cvae, catalog, large, crystals, alloys, structures]"
)
INSTRUMENT = typer.Option(None, "--instrument", help="Instrument profile: the file that deepstruc-hpc calibrate writes; options win over it.")
VERIFY = typer.Option(
    None,
    "--verify",
    help="The best ten by another program, beside ours in verify.csv. srfit: refined again with diffpy.srfit; srreal: calculated again with "
    "diffpy.srreal (conda-forge), e.g. --verify srreal.",
)
MIXTURES = typer.Option(None, "--mixtures/--no-mixtures", help="Also try two phases, and several sizes of one type. [default: no]")
WORKERS = typer.Option(
    None, "--workers", min=0, help="Files at a time (Ray actors). [default: one a core; up to 4 files: in this process, as with 0]"
)
CONFIG = typer.Option(None, "--config", help="YAML file of settings (see --print-config); options win over it.")
SET = typer.Option(None, "--set", help="One setting of --print-config as key=value, e.g. refine_positions=true. Repeatable.")
VALUES = typer.Option(None, "--values", help="CSV table with a column file and columns named like settings: values for single files.")
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
    paths: list[str] = PATHS,
    out: Path | None = OUT,
    *,
    model: str | None = MODEL,
    catalog: str | None = CATALOG,
    crystals: list[str] = CRYSTALS,
    structures: list[str] = STRUCTURES,
    structures_sizes: bool | None = typer.Option(None, "--structures-sizes/--no-structures-sizes", help="Try their inner parts, too. [default: no]"),
    samples: int | None = typer.Option(None, "--samples", min=0, help="Structures that the model (CVAE) proposes for a PDF. [default: 1000]"),
    sigma: str | None = typer.Option(None, "--sigma", help="Widths of its sampling, in standard deviations of its prediction. [default: 3,5,7]"),
    sources: str | None = SOURCES,
    elements: str | None = ELEMENTS,
    composition: str | None = COMPOSITION,
    sample: str | None = SAMPLE,
    radiation: str | None = typer.Option(None, "--radiation", help="xray or neutron; default: from --instrument, else the header, else xray."),
    rmin: float | None = typer.Option(None, "--rmin", help="Å. [default: 2]"),
    rmax: float | None = typer.Option(None, "--rmax", help="Å; default: the end of the data, at most 30."),
    qmin: float | None = typer.Option(None, "--qmin", help="Å⁻¹; default: from the header, else --instrument, else 0.7."),
    low_q: float | None = typer.Option(None, "--low-q", min=0, help="Å⁻¹: Q below is taken out of data and model; 0: nothing. [default: 1.2]"),
    qmax: float | None = typer.Option(None, "--qmax", help="Å⁻¹; default: from the header, else --instrument, else 25."),
    qdamp: float | None = typer.Option(None, "--qdamp", help="Å⁻¹, of a calibrant; default: from --instrument, else the header, else 0.03."),
    qbroad: float | None = typer.Option(None, "--qbroad", help="Å⁻¹, of a calibrant; default: from --instrument, else the header, else 0."),
    instrument: Path | None = INSTRUMENT,
    verify: str | None = VERIFY,
    mixtures: bool | None = MIXTURES,
    keep: int | None = typer.Option(None, "--keep", min=1, help="Best structures to write as XYZ and CIF. [default: 10]"),
    seed: int | None = typer.Option(None, "--seed", min=0, help="Seed of random numbers; same seed, same file: same answer. [default: 0]"),
    config: Path | None = CONFIG,
    overrides: list[str] = SET,
    values: Path | None = VALUES,
    workers: int | None = WORKERS,
    recursive: bool = typer.Option(False, "--recursive", help="Look in the folders below, too."),
    limit: int | None = typer.Option(None, "--limit", min=1, help="Solve at most so many files."),
    time_limit: float = typer.Option(600.0, "--time-limit", min=1.0, help="Seconds that one file may take; one that takes longer fails."),
    watch: bool = typer.Option(False, "--watch", help="Go on and solve files as they arrive, until Ctrl-C."),
    watch_idle: float | None = typer.Option(None, "--watch-idle", help="End --watch when nothing arrived for so many seconds."),
    force: bool = typer.Option(False, "--force", help="Solve again what was solved before."),
    figures: bool = typer.Option(True, "--figures/--no-figures", help="Draw PNG figures into each folder."),
    report: bool = typer.Option(True, "--report/--no-report", help="Write index.html."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be solved, and how, and stop."),
    print_config: bool = typer.Option(False, "--print-config", help="Print the resolved settings as YAML and stop."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of the table."),
    series: bool = typer.Option(False, "--series", help="The files are frames that belong together: solve a few fully, the others from these."),
    order: str = typer.Option("name", "--order", help="What orders the frames of --series: name, time, temperature, x, y, a column of --values."),
    all_frames: bool = typer.Option(False, "--all-frames", help="With --series: write the folder of each frame."),
) -> None:
    """Find the structures that explain measured PDFs, G(r): propose, fit, rank, report.

    The sample comes from --composition, else --elements, else each file's header. A file to which no candidate belongs gets no structure but a
    reason (refused).

    Example: deepstruc-hpc solve measured/ --out solved/ --composition CeO2 --qdamp 0.03
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
    if dry_run:
        _say_plan(batch, as_json)
        return
    for note in batch.notes:
        _say(note)
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
    _print_summary(batch.out, frame, page, as_json)
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


def _print_summary(out: Path, frame: pd.DataFrame, page: Path | None, as_json: bool) -> None:
    if as_json:
        rows = json.loads(frame.to_json(orient="records"))
        print_document(json.dumps({"out": str(out), "report": str(page) if page else None, "items": rows}, indent=1))
        return
    from deepstruc_hpc.report import words

    rows = [dict(zip(frame.columns, values, strict=True)) for values in frame.itertuples(index=False, name=None)]
    if rows:
        typer.echo(_table([_summary_cells(row) for row in rows]))
    for row in rows:
        if message := words.message_words(row):
            typer.echo(f"{shown_name(str(row['file']))}: {message}")
    if guessed := _guessed_qdamp(out) if rows else "":
        typer.echo(guessed)
    counts = words.count_words(frame["status"])
    typer.echo(f"{counts or 'nothing solved'}. Results: {out}" + (f"  Report: {page}" if page else ""))


def _guessed_qdamp(out: Path) -> str:
    """For how many files neither an option nor the header said Qdamp, which sets how fast G(r) decays, and so the size; empty for none."""
    from deepstruc_hpc.solve.run.summary import SUMMARY_JSON

    place = out / SUMMARY_JSON
    items = json.loads(place.read_text(encoding="utf-8"))["items"] if place.is_file() else []
    taken = [item["conditions"]["qdamp"] for item in items if item["conditions"].get("origin", {}).get("qdamp") == "default"]
    if not taken:
        return ""
    whose = "1 file whose header says none" if len(taken) == 1 else f"{len(taken)} files whose headers say none"
    return f"Qdamp {taken[0]:g} Å⁻¹ was taken for {whose}: --qdamp or --instrument is better."


def _summary_cells(row: dict[str, Any]) -> dict[str, str]:
    """A row of the table: head → text."""
    from deepstruc_hpc.report import words
    from deepstruc_hpc.report.results import plain

    rw, probability = plain(row["rw"]), plain(row["probability"])
    return {
        "file": shown_name(str(row["file"])),
        "phase": words.phase_words(row),
        "atoms": words.atoms_words(row),
        "diameter (Å)": words.diameter_words(row),
        "Rw": "" if rw is None else f"{rw:.3f}",
        "probability": "" if probability is None else f"{probability:.2f}",
        "status": words.status_words(row["status"]),
        "flags": ", ".join(label for label, _ in words.flag_words(row)),
    }


def _table(rows: list[dict[str, str]]) -> str:
    """Columns of text, ``-`` for empty cells; the columns with numbers are aligned to the right."""
    lines = [list(rows[0]), *([cell or "-" for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [name in {"atoms", "diameter (Å)", "Rw", "probability"} for name in rows[0]]
    aligned = ([cell.rjust(width) if last else cell.ljust(width) for cell, width, last in zip(line, widths, right, strict=True)] for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in aligned)
