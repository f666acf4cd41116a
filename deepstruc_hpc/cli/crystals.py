"""``deepstruc-hpc crystals …``: which crystals a sample of given elements can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.errors import ConfigError

if TYPE_CHECKING:
    from deepstruc_hpc.structures.prototypes import CrystalCandidate


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Crystals that a sample of given elements can be.")
    group.callback()(_only_groups)
    group.command("list")(list_crystals)
    app.add_typer(group, name="crystals")


def _only_groups() -> None:
    """Crystals that a sample of given elements can be."""


def list_crystals(
    *,
    elements: str = typer.Option("", "--elements", help="Symbols joined by commas: Ir,O."),
    composition: str = typer.Option("", "--composition", help="The formula where it is known, e.g. IrO2; only crystals of it are listed."),
    crystals: Path | None = typer.Option(None, "--crystals", help="A folder of CIF files whose crystals are listed too; alone: only these."),
    workers: int | None = typer.Option(None, "--workers", min=0, help="Processes that read CIF files. [default: one a core; few files: this one]"),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    export: Path | None = typer.Option(None, "--export", help="Write every crystal as a CIF file into this folder."),
) -> None:
    """List the crystals that a measured curve of these elements is compared with: known types with the elements on their sites.

    Lengths come from radii and are a start: a fit scans them by 14 %. Every CIF file of --crystals that cannot be read is named.

    Example: deepstruc-hpc crystals list --elements Ir,O --composition IrO2
    """
    from deepstruc_hpc.solve.run.cif_folders import read_folder
    from deepstruc_hpc.structures.crystal_listing import amounts_of, crystal_row, export_cifs
    from deepstruc_hpc.structures.prototypes import candidate_crystals

    amounts = amounts_of(composition) if composition else None
    symbols = [symbol.strip() for symbol in elements.split(",") if symbol.strip()] or list(amounts or ())
    if not symbols and crystals is None:
        raise ConfigError("no element is given. Use --elements Ir,O or --composition IrO2.")
    notes: list[str] = []
    found = candidate_crystals(symbols, amounts=amounts) if symbols else []
    if crystals is not None:
        own = read_folder(crystals, workers=workers, progress=not as_json)
        notes = [*([own.damage] if own.damage else []), *own.failures()]
        found += own.candidates()
    if as_json:
        print_document(json.dumps({"crystals": [crystal_row(candidate) for candidate in found], "notes": notes}, ensure_ascii=False, indent=1))
    else:
        _print_table(found)
    for note in notes if not as_json else []:
        typer.echo(f"note: {note}", err=True)
    if export is not None:
        typer.echo(f"{len(export_cifs(found, export))} CIF files in {export}", err=True)


def _print_table(found: list[CrystalCandidate]) -> None:
    from deepstruc_hpc.structures.crystal_listing import crystal_row

    rows = [crystal_row(candidate) for candidate in found]
    width = max([8, *(len(row["formula"]) for row in rows)])
    typer.echo(f"{'formula':{width}} {'prototype':30} {'group':22} {'no.':>4} {'a':>8} {'b':>8} {'c':>8} sites  origin")
    for row in rows:
        lengths = " ".join(f"{row[name]:8.3f}" for name in "abc")
        line = f"{row['formula']:{width}} {row['prototype']:30} {row['group']:22} {row['space_group']:4} {lengths} {row['sites']:5}  {row['origin']}"
        typer.echo(line)
    typer.echo(f"{len(rows)} crystals; lengths in Å", err=True)
