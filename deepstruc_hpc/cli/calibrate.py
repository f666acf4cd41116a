"""``deepstruc-hpc calibrate``: the curve of a bulk calibrant → an instrument file for solve."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli.document import print_document

if TYPE_CHECKING:
    from deepstruc_hpc.solve.measurement.profile import CalibrationResult

ELEMENT = typer.Option(None, "--element", "--calibrant", help="Built-in calibrant: Ni, Si, CeO2, LaB6 …; default: the header's composition.")
CIF = typer.Option(None, "--cif", help="Crystal structure of another calibrant.")
UNITS = {"a": "Å", "delta2": "Å²", "qdamp": "Å⁻¹", "qbroad": "Å⁻¹", "scale": ""}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(calibrate)


def calibrate(
    curve: Path = typer.Argument(..., metavar="FILE", help="Measured G(r) of the calibrant."),
    out: Path = typer.Option(Path("instrument.yaml"), "--out", "-o", help="Instrument profile to write; the figure goes beside it."),
    *,
    element: str | None = ELEMENT,
    cif: Path | None = CIF,
    rmin: float | None = typer.Option(None, "--rmin", min=0.0, help="Å; default 1.5, less where the nearest neighbours need it."),
    rmax: float | None = typer.Option(None, "--rmax", min=0.0, help="Å; default: the end of the data, at most 50."),
    qmin: float | None = typer.Option(None, "--qmin", min=0.0, help="Å⁻¹; default: from the header, else 0.7."),
    qmax: float | None = typer.Option(None, "--qmax", min=0.0, help="Å⁻¹; default: from the header, else 25."),
    radiation: str | None = typer.Option(None, "--radiation", help="xray or neutron; default: from the header, else xray."),
    figure: bool = typer.Option(True, "--figure/--no-figure", help="Draw the fit as PNG beside the instrument file."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of the table."),
) -> None:
    """Learn Qdamp and Qbroad of an instrument from a bulk calibrant: lattice, scale, U and delta2 are fitted along.

    Example: deepstruc-hpc calibrate Ni.gr --out instrument.yaml, then deepstruc-hpc solve measured/ --out solved/ --instrument instrument.yaml
    """
    from deepstruc_hpc.core.errors import ConfigError
    from deepstruc_hpc.solve.instrument_file import write_instrument
    from deepstruc_hpc.solve.measurement.profile import CalibrationRequest
    from deepstruc_hpc.solve.measurement.profile import calibrate as fit

    if radiation not in {None, "xray", "neutron"}:
        raise ConfigError(f"--radiation {radiation}: choose xray or neutron.")
    request = CalibrationRequest(curve, element, cif, rmin, rmax, qmin, qmax, radiation)  # type: ignore[arg-type]
    result = fit(request, on_step=_say_step if sys.stderr.isatty() and not as_json else None)
    if sys.stderr.isatty() and not as_json:
        typer.echo("", err=True)
    write_instrument(result.instrument, out)
    picture = _draw(result, out) if figure else None
    if as_json:
        print_document(json.dumps({"out": str(out), "figure": str(picture) if picture else None, **result.instrument.model_dump()}, indent=1))
        return
    _print_table(result, out, picture)


def _say_step(evaluations: int, rw: float) -> None:
    typer.echo(f"\rfitting: {evaluations} evaluations, Rw {rw:.4f}   ", err=True, nl=False)


def _rows(result: CalibrationResult) -> list[tuple[str, float, float | None, str]]:
    found: Any = result.instrument.calibration
    return [(name, value, found.errors.get(name), UNITS.get(name, "Å²")) for name, value in found.values.items()]


def _print_table(result: CalibrationResult, out: Path, picture: Path | None) -> None:
    found: Any = result.instrument.calibration
    made = result.instrument
    typer.echo(f"{found.calibrant}, {made.radiation}, r {found.rmin:g} to {found.rmax:g} Å, Qmax {made.qmax:g} Å⁻¹: Rw {found.rw:.4f}")
    for name, value, error, unit in _rows(result):
        spread = f"± {error:.2g}" if error is not None else "at its bound"
        typer.echo(f"  {name:10} {value:12.6g} {spread:14} {unit}".rstrip())
    for note in found.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"Instrument file: {out}" + (f"  Figure: {picture}" if picture else ""))


def _draw(result: CalibrationResult, out: Path) -> Path:
    from deepstruc_hpc.report.figures import fit_figure, save_figure

    found: Any = result.instrument.calibration
    drawn = fit_figure(result.table, title=f"{found.calibrant} calibrant, Rw {found.rw:.3f}")
    words = [f"{name} = {value:.5g}" + (f" ± {error:.1g}" if error else "") + f" {unit}" for name, value, error, unit in _rows(result)]
    drawn.axes[0].text(0.99, 0.87, "\n".join(words), transform=drawn.axes[0].transAxes, ha="right", va="top", fontsize=8, color="#4b5563")
    path = out.with_suffix(".png")
    save_figure(drawn, path)
    return path
