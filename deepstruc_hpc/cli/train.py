"""Commands train, evaluate and sweep train."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.catalog_store import existing
from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.errors import ConfigError

if TYPE_CHECKING:
    from deepstruc_hpc.training.sweep import SweepReport


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("train")(train_command)
    app.command("evaluate")(evaluate_command)
    sweep_group(app).command("train")(sweep_train_command)


def sweep_group(app: typer.Typer) -> typer.Typer:
    """The group ``sweep`` of the application; made when it is not there."""
    for group in app.registered_groups:
        if group.name == "sweep" and group.typer_instance is not None:
            return group.typer_instance
    sweep = typer.Typer(name="sweep", help="Search settings: many runs, the best kept.", no_args_is_help=True)
    app.add_typer(sweep, name="sweep")
    return sweep


CONFIG_HELP = "Settings: a YAML file, or a preset: sites, coordinates, paper, paper_sites, alloys_oxides, compounds, demo, smoke."
NEXT = (
    "Next: open {run}/learning.png; deepstruc-hpc evaluate {run} {store} measures the model; "
    "deepstruc-hpc solve measured/ --out solved/ --model {run} asks it."
)
"""After a training."""
PDFS_HELP = "stored: the catalog's own; measured_like: noise and random conditions; clean: without noise; both: the last two, and how errors grow."
CALIBRATE_HELP = "Measure nothing: adjust the widths that CHECKPOINT states, on the validation set of its training. STORE must be its catalog."
SET_HELP = "One setting as key=value, e.g. epochs=50 or model.latent_dim=2. May be given several times."


def train_command(
    *,
    store: str | None = typer.Argument(None, callback=existing, help="Catalog: a path or URL."),
    out: Path | None = typer.Option(None, "--out", help="Directory of the training."),
    config: str | None = typer.Option(None, "--config", help=CONFIG_HELP),
    overrides: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help=SET_HELP),
    workers: int | None = typer.Option(None, "--workers", min=1, help="Ray Train workers; default: one a core, or a GPU. 1 on a CPU needs no Ray."),
    gpus_per_worker: float = typer.Option(0.0, "--gpus-per-worker", min=0.0, help="GPUs of each worker; 0 trains on CPUs."),
    resume: bool = typer.Option(False, "--resume", help="Go on with the training in --out."),
    print_config: bool = typer.Option(False, "--print-config", help="Print the resolved settings and end; needs neither STORE nor --out."),
    json_output: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Train a CVAE on a catalog with Ray Train; track it in MLflow.

    Writes OUT/checkpoint (the best epoch, for solve --model), OUT/epochs.jsonl, OUT/config.yaml, OUT/mlflow.db, and learning.png, latent.png and
    reconstructions.png of the validation set.

    Example: deepstruc-hpc train catalog.zarr --out run --config demo --workers 2 --set max_minutes=5
    """
    from deepstruc_hpc.training.config import load_train_config

    settings = load_train_config(config, overrides)
    if print_config:
        typer.echo(settings.to_yaml(), nl=False)
        return
    if store is None or out is None:
        raise ConfigError("a catalog and --out are needed, for example: deepstruc-hpc train catalog.zarr --out run.")
    from rich.console import Console

    from deepstruc_hpc.training.display import EpochPrinter, summary_text
    from deepstruc_hpc.training.loop import train

    report = train(store, out, settings, workers=workers, gpus_per_worker=gpus_per_worker, resume=resume, watch=EpochPrinter(settings.max_minutes))
    from deepstruc_hpc.report.training_figures import draw_training  # matplotlib, which no step needs

    with Console(stderr=True).status("drawing the latent map and reconstructions"):
        draw_training(report.run, store, tracking=(report.tracking_uri, report.mlflow_run))
    print_document(json.dumps(report.as_dict()) if json_output else summary_text(report))
    if not json_output:
        typer.echo(NEXT.format(run=shlex.quote(str(out)), store=shlex.quote(store)))


def evaluate_command(
    *,
    checkpoint: str = typer.Argument(..., help="Directory of a checkpoint or a training, or the name of a model that comes with the program."),
    store: str = typer.Argument(..., callback=existing, help="Catalog: a path or URL."),
    split: str = typer.Option("random", "--split", help="random: the paper's; shape: no shape on two sides."),
    pdfs: str = typer.Option("stored", "--pdfs", help=PDFS_HELP),
    limit: int = typer.Option(500, "--limit", min=1, help="At most so many structures of the test set."),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the division and of the conditions."),
    test_share: float | None = typer.Option(None, "--test-share", help="Share of the test set, e.g. 0.2 of a catalog that training never saw."),
    fits: int = typer.Option(0, "--fits", min=0, help="Also fit the model's samples, and every training shape, to so many curves (seconds each)."),
    samples: int = typer.Option(1000, "--samples", min=1, help="Samples of the model for each of these curves."),
    sigma: float = typer.Option(3.0, "--sigma", min=0.01, help="Width of the sampling."),
    trees: bool = typer.Option(False, "--trees", help="Also train gradient-boosted trees on the same PDFs."),
    calibrate_only: bool = typer.Option(False, "--calibrate", help=CALIBRATE_HELP),
    json_output: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Measure a model on the test set: errors of positions, number of atoms, type, calibration, by size; beside it what it has to beat.

    Example: deepstruc-hpc evaluate run catalog.zarr --split shape --pdfs measured_like --fits 100 --trees
    """
    from deepstruc_hpc.core.config import validate_config
    from deepstruc_hpc.runtime.progress import progress_bar
    from deepstruc_hpc.training.calibration import calibrate
    from deepstruc_hpc.training.clean_scores import compare_conditions
    from deepstruc_hpc.training.evaluate import EvaluateSettings, evaluate
    from deepstruc_hpc.training.evaluate_text import as_text, calibration_text, comparison_text

    if calibrate_only:
        found = calibrate(checkpoint, store, bars=progress_bar)
        print_document(json.dumps(found.as_dict()) if json_output else calibration_text(found))
        return
    given = {
        "split": split,
        "pdfs": "measured_like" if pdfs == "both" else pdfs,
        "limit": limit,
        "seed": seed,
        "fits": fits,
        "samples": samples,
        "sigma": sigma,
        "trees": trees,
        "test_share": test_share,
    }
    chosen = validate_config(EvaluateSettings, given, source="options")
    if pdfs == "both":
        both = compare_conditions(checkpoint, store, chosen, bars=progress_bar)
        print_document(json.dumps(both.as_dict()) if json_output else comparison_text(both))
        return
    report = evaluate(checkpoint, store, chosen, bars=progress_bar)
    print_document(json.dumps(report.as_dict()) if json_output else as_text(report))


def sweep_train_command(
    store: str = typer.Argument(..., callback=existing, help="Catalog: a path or URL."),
    config: Path = typer.Option(..., "--config", help="Sweep: base settings, search space, number of trials (YAML)."),
    out: Path = typer.Option(..., "--out", help="Directory of the sweep; a second call goes on."),
    json_output: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
) -> None:
    """Search training settings with Ray Tune, Optuna and ASHA.

    Writes OUT/trials.csv, OUT/trials.png (parallel coordinates) and OUT/best.yaml, which train --config takes.

    Example: deepstruc-hpc sweep train catalog.zarr --config sweep.yaml --out sweep
    """
    from deepstruc_hpc.report.figures import save_figure
    from deepstruc_hpc.report.trials_figure import trials_figure
    from deepstruc_hpc.training.sweep import sweep_train
    from deepstruc_hpc.training.sweep_config import load_sweep_config

    settings = load_sweep_config(config)
    report: SweepReport = sweep_train(store, out, settings)
    save_figure(trials_figure(report.trials, list(settings.space), report.metric), report.out / "trials.png")
    document: dict[str, Any] = report.as_dict()
    print_document(json.dumps(document) if json_output else report.as_text())
