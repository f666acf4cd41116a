"""``deepstruc-hpc report``: the page that shows a solved directory."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def report(
        directory: Path = typer.Argument(..., metavar="DIR", help="The directory that solve --out wrote."),
        figures: bool = typer.Option(True, help="Also draw the PNG figures that are missing."),
        chemiscope: bool = typer.Option(True, help="Also write chemiscope.json.gz, for the chemiscope viewer."),
    ) -> None:
        """Write DIR/index.html: table, fits, candidates in 3-D, probabilities and latent maps on one page that opens with no network.

        Where DIR has a series.csv, DIR/series.html is written too: heat maps, quantities along the series, change points, each frame.

        Example: deepstruc-hpc report results/
        """
        from deepstruc_hpc.data.series_file import CSV_FILE
        from deepstruc_hpc.report.page import write_report
        from deepstruc_hpc.report.series_page import write_series_page

        series = (directory / CSV_FILE).is_file()
        if series:
            typer.echo(write_series_page(directory, figures=figures))
        if not series or (directory / "summary.csv").is_file():
            typer.echo(write_report(directory, figures=figures, chemiscope=chemiscope))
