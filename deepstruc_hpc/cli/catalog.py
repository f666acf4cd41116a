"""``deepstruc-hpc catalog …``: build, look into and check catalogs of structures."""

from __future__ import annotations

import json
import math
import shlex
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from deepstruc_hpc.cli import catalog_formats, catalog_store
from deepstruc_hpc.cli.catalog_store import AS_JSON, RECIPE, STORE, print_facts
from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

WHERE = typer.Option("", "--where", help="Expression over the columns, e.g. 'structure_type == \"fcc\" and n_atoms < 100'.")
WORKERS = typer.Option(
    None, "--workers", min=0, help="Ray actors; by default one a core where the work is longer than their start. 0: in this process."
)
ROWS_OF_A_TABLE = 50
NEXT = (
    "Next: deepstruc-hpc catalog info {store} says what is in it; deepstruc-hpc train {store} --out run trains a model on it; "
    "deepstruc-hpc solve measured/ --out solved/ --catalog {store} fits it to your curves."
)
"""After a build."""


class TableFormat(StrEnum):
    """How ``list`` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Structures with their simulated PDFs: build a catalog from a recipe, ask it, check it.")
    group.command("build")(build)
    group.command("info")(info)
    group.command("list")(list_structures)
    group.command("sql")(sql)
    group.command("card")(card)
    catalog_store.register(group)
    catalog_formats.register(group)
    app.add_typer(group, name="catalog")


def build(
    recipe: str = RECIPE,
    *,
    out: str = typer.Option(..., "--out", help="The store to make or to complete: a directory or a URL."),
    workers: int | None = WORKERS,
    limit: int | None = typer.Option(None, "--limit", min=1, help="At most so many structures, spread evenly over the types."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say how many structures, blocks and bytes it would be, and about how long."),
    repair: bool = typer.Option(False, "--repair", help="Check what is there first and make damaged blocks again."),
    as_json: bool = AS_JSON,
) -> None:
    """Build a recipe into a store, or what is missing of it there.

    Example: deepstruc-hpc catalog build demo --out demo.zarr --workers 2
    """
    from deepstruc_hpc.catalog.build import build_catalog
    from deepstruc_hpc.catalog.dry_run import estimate
    from deepstruc_hpc.catalog.recipe import load_recipe

    loaded = load_recipe(recipe, limit=limit)
    if dry_run:
        print_facts(estimate(loaded, workers), as_json)
        return
    report = build_catalog(loaded, out, workers=workers, repair=repair)
    print_facts(report.facts(), as_json)
    for block, reason in report.failed.items():
        typer.echo(f"failed: block {block}: {reason}", err=True)
    if not report.complete:
        raise typer.Exit(1)
    if not as_json:
        typer.echo(NEXT.format(store=shlex.quote(out)))


def info(store: str = STORE, *, as_json: bool = AS_JSON) -> None:
    """Say what is in a catalog: counts by type, element and size, r grid, hashes, sizes.

    Example: deepstruc-hpc catalog info demo.zarr
    """
    from deepstruc_hpc.catalog.query import describe
    from deepstruc_hpc.data.catalog_store import Catalog

    print_facts(describe(Catalog.open(store)), as_json)


def list_structures(
    store: str = STORE,
    *,
    where: str = WHERE,
    columns: str = typer.Option("", "--columns", help="Names of columns, joined by commas."),
    limit: int | None = typer.Option(None, "--limit", min=0, help=f"Most rows; by default {ROWS_OF_A_TABLE} for a table, all for csv and json."),
    table_format: TableFormat = typer.Option(TableFormat.TABLE, "--format", help="table, csv or json."),
) -> None:
    """List structures by their columns.

    Example: deepstruc-hpc catalog list demo.zarr --where 'structure_type == "icosahedral"' --columns formula,diameter
    """
    from deepstruc_hpc.catalog.query import first_rows, select
    from deepstruc_hpc.data.catalog_store import Catalog

    names = [name.strip() for name in columns.split(",") if name.strip()]
    catalog = Catalog.open(store)
    if table_format is not TableFormat.TABLE:
        rows = select(catalog, where, names, limit)
        _print_rows(rows, table_format)
        _say_how_many(len(rows), len(rows) if limit is None or len(rows) < limit else catalog.count(where))
        return
    shown, values, total = first_rows(catalog, where, names, ROWS_OF_A_TABLE if limit is None else limit)
    _print_table(shown, values)
    _say_how_many(len(values), total)


def _say_how_many(shown: int, total: int) -> None:
    if shown < total:
        typer.echo(f"{shown} of {total} rows; --limit shows more", err=True)


def sql(
    store: str = STORE,
    statement: str = typer.Argument(..., help="One SELECT over the table catalog, in DuckDB's SQL."),
    *,
    as_json: bool = AS_JSON,
    as_csv: bool = typer.Option(False, "--csv", help="CSV with a line of names on stdout."),
) -> None:
    """Put a SQL query to a catalog. It is only read: a statement that writes or reads anything else is refused.

    The table catalog has the columns of the structures and _number, the number of a structure (catalog[number] in Python).

    Example: deepstruc-hpc catalog sql demo.zarr "select structure_type, count(*) as n from catalog where n_atoms < 100 group by all"
    """
    from deepstruc_hpc.data.catalog_store import Catalog

    if as_json and as_csv:
        raise ConfigError("--json and --csv: name one of them.")
    found = Catalog.open(store).sql(statement)
    if as_json:
        print_document(json.dumps(_plain(found.to_pylist()), ensure_ascii=False, default=str))
        return
    rows = found.to_pandas()
    shown = rows if as_csv else rows.head(ROWS_OF_A_TABLE)
    _print_rows(shown, TableFormat.CSV if as_csv else TableFormat.TABLE)
    if len(shown) < len(rows):
        typer.echo(f"{len(shown)} of {len(rows)} rows; --csv and --json print all", err=True)


def card(store: str = STORE) -> None:
    """Write the catalog card with a figure of one structure of each type, README.md and structures.png in the store.

    Example: deepstruc-hpc catalog card demo.zarr
    """
    from deepstruc_hpc.catalog.card import CARD, FIGURE, write_card
    from deepstruc_hpc.data.catalog_store import Catalog

    catalog = Catalog.open(store)
    write_card(catalog, figure=True)
    typer.echo(f"{catalog.files.url}/{CARD} and {FIGURE}")


def _plain(value: Any) -> Any:
    """A value as JSON holds it: what is not finite becomes null."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_table(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Columns side by side, to the right."""
    if not rows:
        typer.echo("no structure fits", err=True)
        return
    cells = [
        list(names),
        *([f"{value:.4g}" if isinstance(value, float) else "NaN" if value is None else str(value) for value in row] for row in rows),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    typer.echo("\n".join(" ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in cells))


def _print_rows(rows: pd.DataFrame, table_format: TableFormat) -> None:
    if table_format is TableFormat.CSV:
        rows.to_csv(sys.stdout, index=False)
    elif table_format is TableFormat.JSON:
        print_document(json.dumps(json.loads(rows.to_json(orient="records", double_precision=10)), ensure_ascii=False))
    elif rows.empty:
        typer.echo("no structure fits", err=True)
    elif not len(rows.columns):
        raise ConfigError("--columns: no names given.")
    else:
        typer.echo(rows.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
