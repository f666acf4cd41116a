"""``deepstruc-hpc catalog …`` on whole stores: check, append, merge, compare, delete, compact and split."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import typer

from deepstruc_hpc.cli.document import print_document
from deepstruc_hpc.data.catalog_place import check_catalog_place


def existing(store: str | None) -> str | None:
    """Callback of an argument that names a catalog: where none can be, this is said before anything slow is imported."""
    if store is not None:
        check_catalog_place(store)
    return store


def existing_or_named(catalog: str | None) -> str | None:
    """Callback of ``--catalog``, which takes the name of a recipe as well."""
    if catalog is not None:
        check_catalog_place(catalog, names=True)
    return catalog


def all_existing(stores: list[str]) -> list[str]:
    """Callback of an argument that names several catalogs."""
    for store in stores:
        check_catalog_place(store)
    return stores


STORE = typer.Argument(..., callback=existing, help="The catalog: a directory, or a URL such as s3://bucket/catalog.")
RECIPE = typer.Argument(..., help="A recipe: a YAML file, or the name of one that comes with the program (monometallic, demo, …).")
AS_JSON = typer.Option(False, "--json", help="One JSON document on stdout.")
WORKERS = typer.Option(None, "--workers", min=0, help="Ray actors where the work is long; by default one a core. 0: in this process, without Ray.")
DRY_RUN = typer.Option(False, "--dry-run", help="Only say what it would be.")


class SetFormat(StrEnum):
    """What ``split`` writes."""

    LISTS = "lists"
    STORES = "stores"


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``catalog``."""
    group.command("verify")(verify_store)
    group.command("append")(append)
    group.command("merge")(merge)
    group.command("diff")(diff)
    group.command("delete")(delete)
    group.command("compact")(compact)
    group.command("split")(split)


def verify_store(store: str = STORE, *, workers: int | None = WORKERS, as_json: bool = AS_JSON) -> None:
    """Check every checksum and invariant; exit code 1 and the block's name where one fails.

    Example: deepstruc-hpc catalog verify demo.zarr
    """
    from deepstruc_hpc.catalog.check import verify_catalog
    from deepstruc_hpc.data.catalog_store import Catalog

    report = verify_catalog(Catalog.open(store), workers=workers)
    if as_json:
        print_document(json.dumps(report.facts(), indent=1))
    else:
        sound = f"{report.n_blocks} blocks with {report.n_structures} structures: no fault"
        typer.echo("\n".join(str(fault) for fault in report.faults) or sound)
        if report.left_over:
            typer.echo(f"{len(report.left_over)} files that nothing needs are left of interrupted commands; the next one removes them", err=True)
        if report.faults:
            typer.echo("mend it: deepstruc-hpc catalog build RECIPE --out STORE --repair makes the damaged blocks again", err=True)
    if report.faults:
        raise typer.Exit(1)


def append(recipe: str = RECIPE, store: str = STORE, *, workers: int | None = WORKERS, as_json: bool = AS_JSON) -> None:
    """Add what a second recipe asks for to a catalog; structures that it holds already are left out.

    Example: deepstruc-hpc catalog append more.yaml demo.zarr
    """
    from deepstruc_hpc.catalog.combine import append_recipe
    from deepstruc_hpc.catalog.recipe import load_recipe

    report = append_recipe(load_recipe(recipe), store, workers=workers)
    print_facts(report.facts(), as_json)
    if not report.complete:
        raise typer.Exit(1)


def merge(
    stores: list[str] = typer.Argument(
        ..., callback=all_existing, help="Catalogs with the same conditions; of a structure in several the first counts."
    ),
    *,
    out: str = typer.Option(..., "--out", help="The new store."),
    workers: int | None = WORKERS,
    as_json: bool = AS_JSON,
) -> None:
    """Put catalogs together into a new one.

    Example: deepstruc-hpc catalog merge metals.zarr alloys.zarr --out all.zarr
    """
    from deepstruc_hpc.catalog.combine import merge_catalogs

    print_facts(merge_catalogs(stores, out, workers=workers).facts(), as_json)


def diff(
    first: str = typer.Argument(..., callback=existing, help="One catalog."),
    second: str = typer.Argument(..., callback=existing, help="Another."),
    *,
    workers: int | None = WORKERS,
    as_json: bool = AS_JSON,
) -> None:
    """Say which structures only one of two catalogs holds, and which both hold with other values.

    Example: deepstruc-hpc catalog diff old.zarr new.zarr
    """
    from deepstruc_hpc.catalog.difference import difference
    from deepstruc_hpc.data.catalog_store import Catalog

    print_facts(difference(Catalog.open(first), Catalog.open(second), workers=workers, progress=True), as_json)


def delete(
    store: str = STORE,
    *,
    where: str = typer.Option(..., "--where", help="Expression over the columns: the structures for which it holds."),
    dry_run: bool = DRY_RUN,
    as_json: bool = AS_JSON,
) -> None:
    """Delete structures: their rows are marked and no longer seen by any command. catalog compact drops them.

    Example: deepstruc-hpc catalog delete demo.zarr --where 'n_atoms > 500' --dry-run
    """
    from deepstruc_hpc.catalog.delete import delete_structures

    print_facts(delete_structures(store, where, dry_run=dry_run).facts(), as_json)


def compact(
    store: str = STORE,
    *,
    rows: int | None = typer.Option(None, "--rows", min=1, help="Most structures of a joined block; by default 4096."),
    dry_run: bool = DRY_RUN,
    workers: int | None = WORKERS,
    as_json: bool = AS_JSON,
) -> None:
    """Join small blocks and drop deleted rows. Ids and order of the structures stay; whoever has the store open must open it again.

    Example: deepstruc-hpc catalog compact demo.zarr
    """
    from deepstruc_hpc.catalog.compact import compact_catalog
    from deepstruc_hpc.catalog.plan import LARGEST_BLOCK

    print_facts(compact_catalog(store, rows=rows or LARGEST_BLOCK, dry_run=dry_run, workers=workers).facts(), as_json)


def split(
    store: str = STORE,
    *,
    out: str = typer.Option(..., "--out", help="Where the sets are made: SET.csv or SET.zarr."),
    by: str = typer.Option("shape", "--by", help="random or shape: train, validation and test as a training divides; or a column: a set a value."),
    kind: SetFormat = typer.Option(SetFormat.LISTS, "--as", help="lists of ids, or stores."),
    validation: float = typer.Option(0.2, "--validation", min=0.0, max=0.5, help="Share of the validation set, for random and shape."),
    test: float = typer.Option(0.2, "--test", min=0.0, max=0.5, help="Share of the test set."),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the division; a training with the same seed has the same sets."),
    workers: int | None = WORKERS,
    as_json: bool = AS_JSON,
) -> None:
    """Divide a catalog into sets, as lists or as catalogs.

    Example: deepstruc-hpc catalog split demo.zarr --by shape --as stores --out parts
    """
    from deepstruc_hpc.catalog.split import split_catalog

    report = split_catalog(store, out, by=by, kind=kind.value, validation=validation, test=test, seed=seed, workers=workers)
    print_facts(report.facts(), as_json)


def print_facts(facts: dict[str, Any], as_json: bool) -> None:
    """Names and values on stdout, one a line, or as one JSON document."""
    if as_json:
        print_document(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if isinstance(value, dict | list) and not value:
            shown = "0"
        elif isinstance(value, dict):
            shown = "  ".join(f"{key} {part}" for key, part in value.items())
        elif isinstance(value, list):
            shown = ", ".join(str(part) for part in value)
        else:
            shown = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        typer.echo(f"{name.replace('_', ' '):{width}}  {shown}")
